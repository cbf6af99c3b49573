"""Several questions to the same users: one run for all, and one for all second questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypedDict

from journeykit.cells import By
from journeykit.engines.in_memory import Engine
from journeykit.errors import NotAStatisticError, ParameterError
from journeykit.protocol import Context, Statistic, Tables

Questions = Sequence[Statistic[Any, Any]]
Run = Callable[[Questions], Sequence[Tables]]


class MeasureOptions(TypedDict, total=False):
    """What ``measure`` takes beside the questions, written once for its overloads; see ``Journeys.measure``."""

    by: By
    every: str | None
    level: float


class EngineOptions(MeasureOptions, total=False):
    """The same where an engine may be chosen."""

    engine: Engine | None


def check_questions(statistics: Questions, level: float) -> None:
    """Refuse what is no question, and a level that is none.

    Raises
    ------
    ParameterError
        If there is no statistic, or the level does not lie between 0 and 1.
    NotAStatisticError
        If something else stands among them.
    """
    if not statistics:
        raise ParameterError("measure needs at least one statistic, such as Transitions().")
    if not 0 < level < 1:
        raise ParameterError(f"level must lie between 0 and 1, not {level!r}.")
    for statistic in statistics:
        if isinstance(statistic, type) or not hasattr(statistic, "tally"):
            raise NotAStatisticError(statistic)


def ask(statistics: Questions, context: Context, run: Run) -> Any:
    """Answer questions from the tables that `run` counts for them.

    Parameters
    ----------
    statistics : sequence of Statistic
        At least one.
    context : Context
        Where the answers come from.
    run : callable
        Returns the summed tables of some statistics, in their order.

    Returns
    -------
    Answer or tuple of Answer
        One answer per statistic; bare if there is only one.

    Raises
    ------
    JourneykitError
        Whatever a statistic refuses, before anything is counted.
    """
    for statistic in statistics:
        statistic.check(context)
    answers = tuple(last.answer(tables, context) for last, tables in counted(statistics, context, run))
    return answers[0] if len(answers) == 1 else answers


def counted(statistics: Questions, context: Context, run: Run) -> list[tuple[Statistic[Any, Any], Tables]]:
    """Return the sums that answers are made of, and the statistics that make them: the last follow-ups, if any.

    Parameters
    ----------
    statistics, context, run
        See `ask`; the statistics are checked.

    Returns
    -------
    list of Statistic and tables
        One per statistic.
    """
    asked, tables = list(statistics), [dict[str, Any]() for _ in statistics]
    waiting = list(range(len(asked)))
    while waiting:
        following = []
        for place, found in zip(waiting, run([asked[place] for place in waiting]), strict=True):
            tables[place] |= found
            if (second := asked[place].follow_up(tables[place], context)) is not None:
                asked[place] = second
                following.append(place)
        waiting = following
    return list(zip(asked, tables, strict=True))
