"""What ``measure`` and ``quality`` do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import typer

from journeykit import sessions
from journeykit.cells import Segment
from journeykit.cli import stored
from journeykit.cli.options import (
    ENGINES,
    PRESETS,
    STATISTICS,
    Asking,
    Cutting,
    Reading,
    Running,
    Writing,
    listed,
)
from journeykit.cli.output import all_or_nothing, check_format, frames_of, write_frames
from journeykit.cli.progress import Reporting, Steps
from journeykit.cli.tables import Page
from journeykit.engines import OutOfCore
from journeykit.errors import SHOWN_NAMES, ParameterError, suggestion
from journeykit.events.events import Events
from journeykit.events.reading import read_events
from journeykit.journeys.journeys import Journeys
from journeykit.plans import JourneysPlan, scan_events
from journeykit.protocol import Context, Statistic
from journeykit.sessions import SessionRule
from journeykit.sources.roles import ROLES
from journeykit.stages import StageModel
from journeykit.statistics.base import Answer
from journeykit.statistics.outcomes.abandonment import Abandonment
from journeykit.statistics.outcomes.conversion import Conversion
from journeykit.statistics.overview.overview import Overview
from journeykit.statistics.paths.top_paths import TopPaths
from journeykit.statistics.stage_flow.stage_flow import StageFlow
from journeykit.statistics.transitions.transitions import Transitions
from journeykit.support.durations import CALENDAR, microseconds
from journeykit.support.files import WRITERS

Questions = Mapping[str, Statistic[Journeys, Answer]]
OUT_OF_CORE_STEPS = 4
"""Cutting the log, ordering, measuring, writing."""


def run(reading: Reading, asking: Asking, running: Running, writing: Writing, *, quiet: bool) -> None:
    """Read, cut, measure, write, print; what can be refused is refused before anything is read."""
    endings = check_format(writing.table_format)
    store = stored.store_of(reading)
    if store is not None:
        stored.refuse_idle(reading, asking, running)
    asked = questions(
        asking, staged=asking.stages is not None if store is None else bool(stored.stages_of(store))
    )
    if asking.every is not None and asking.every not in CALENDAR:
        raise ParameterError.choice("--every", asking.every, CALENDAR)
    if running.engine not in ENGINES:
        raise ParameterError.choice("--engine", running.engine, ENGINES)
    rule = session_rule(reading, asking) if store is None else stored.rule_of(store)
    model = None if asking.stages is None else StageModel.load(asking.stages)
    out_of_core = running.engine == "out-of-core"
    ask = _out_of_core if out_of_core else _in_memory
    total = OUT_OF_CORE_STEPS if out_of_core else len(asked) + 3
    with Steps(total, quiet=quiet) as steps, all_or_nothing(writing.out) as folder:
        if store is None:
            found = ask(reading, asking, running, rule, model, asked, steps)
        else:
            steps.begin("counting what changed")
            found = store.measure(*asked.values(), by=segments(asking) or None, every=asking.every)
        answers = dict(zip(asked, found if len(asked) > 1 else (found,), strict=True))
        steps.begin("writing")
        written = write_frames(frames_of(answers), folder, endings)
    if not quiet:
        page = Page()
        page.say(described(next(iter(answers.values())).context, rule))
        for name, answer in answers.items():
            page.answer(name, answer)
        page.notes(answers)
        page.say(summary(writing.out, {path.name for path in written}))


def _in_memory(
    reading: Reading,
    asking: Asking,
    running: Running,
    rule: SessionRule,
    model: StageModel | None,
    asked: Questions,
    steps: Steps,
) -> Any:
    """Read everything, then measure."""
    _, journeys = ordered(reading, asking, rule, model, steps)
    by = segments(asking) or None
    return journeys.measure(*asked.values(), by=by, every=asking.every, engine=Reporting(steps))


def ordered(
    reading: Reading,
    cutting: Cutting,
    rule: SessionRule,
    model: StageModel | None,
    steps: Steps,
    keep: Iterable[str] = (),
) -> tuple[Events, Journeys]:
    """Read a log, cut it into sessions and give its events their stages; columns to keep besides those asked for."""
    steps.begin("reading the log")
    events: Events = read_events(source_of(reading), **_roles(reading, (*columns_of(cutting), *keep)))
    steps.begin("ordering and cutting into sessions")
    journeys = events.sessionize(rule)
    if model is not None:
        model.check(journeys, unmapped="ignore", missing=cutting.missing)  # type: ignore[arg-type]
        # What is missing was told by check.
        journeys = journeys.assign_stages(model, missing="ignore")
    return events, journeys


def _out_of_core(
    reading: Reading,
    asking: Asking,
    running: Running,
    rule: SessionRule,
    model: StageModel | None,
    asked: Questions,
    steps: Steps,
) -> Any:
    """Measure shard by shard; the bar shows the rows of each step."""
    plan, engine = planned(reading, asking, running, rule, model, steps)
    return plan.measure(*asked.values(), by=segments(asking) or None, every=asking.every, engine=engine)


def planned(
    reading: Reading,
    cutting: Cutting,
    running: Running,
    rule: SessionRule,
    model: StageModel | None,
    steps: Steps,
    keep: Iterable[str] = (),
) -> tuple[JourneysPlan, OutOfCore]:
    """Plan what `ordered` does, and say how to run it in shards; the bar shows the rows of each step."""
    engine = OutOfCore(memory=running.memory, directory=running.directory, progress=steps.tell)
    plan = scan_events(source_of(reading), **_roles(reading, (*columns_of(cutting), *keep))).sessionize(rule)
    if model is not None:
        plan = plan.assign_stages(model, missing=cutting.missing)  # type: ignore[arg-type]
    return plan, engine


def look(reading: Reading, *, quiet: bool) -> None:
    """Read and print the quality of a log."""
    with Steps(2, quiet=quiet) as steps:
        events = read(reading, steps)
        steps.begin("looking at it")
        quality = events.quality
    if not quiet:
        page = Page()
        page.say(repr(quality))


def read(reading: Reading, steps: Steps) -> Events:
    """Read the log of a command."""
    steps.begin("reading the log")
    return read_events(source_of(reading), **_roles(reading))


def segments(cutting: Cutting) -> tuple[Segment, ...]:
    """Return what ``--by`` names; ``column=name`` says what a segment is called.

    Examples
    --------
    >>> segments(Cutting(by=["device,channel=first channel"]))[1]
    Segment(property='channel', at='first', name='first channel')
    """
    split = ((each, *each.rpartition("=")) for each in listed(cutting.by))
    return tuple(Segment(column, name=name) if column else Segment(each) for each, column, _, name in split)


def columns_of(cutting: Cutting) -> tuple[str, ...]:
    """Return the columns that ``--by`` names."""
    return tuple(each.property for each in segments(cutting))


def source_of(reading: Reading) -> Any:
    """Return what ``read_events`` reads."""
    return reading.log[0] if len(reading.log) == 1 else list(reading.log)


def _roles(reading: Reading, kept: Iterable[str] = ()) -> dict[str, Any]:
    """Return the options of ``read_events``; what segments are made of is kept."""
    more = [name for name in kept if name not in ROLES]
    given = {each.name: getattr(reading, each.name) for each in fields(reading)}
    del given["log"]
    given["session"] = given.pop("session_column")
    return {**given, "keep": tuple(dict.fromkeys((*listed(reading.keep), *more)))}


def session_rule(reading: Reading, asking: Cutting) -> SessionRule:
    """Return the rule that ``--session`` names.

    Raises
    ------
    ParameterError
        If it is neither a duration nor a known name; with the closest names.
    """
    text = asking.session or ("column" if reading.session_column else "30m")
    if text == "column":
        if reading.session_column is None:
            raise typer.BadParameter(
                "'column' takes the log's own sessions: name them with --session-column.",
                param_hint="--session",
            )
        return SessionRule.from_column()
    if text == "none":
        return SessionRule(None)
    if text in PRESETS:
        return _preset(text, reading)
    if not text[:1].isdigit():
        raise ParameterError(
            f"--session cannot be {text!r}. {suggestion(text, ('column', 'none', *PRESETS))} "
            f"Or give a duration with its unit, such as '30m'."
        )
    microseconds(text, "--session")
    return SessionRule(text)


def _preset(name: str, reading: Reading) -> SessionRule:
    if name == "matomo" and "campaign" not in listed(reading.keep):
        # Its rule of campaigns needs a property that only some logs have.
        return sessions.matomo(None)
    rule: SessionRule = getattr(sessions, name)()
    return rule


def questions(asking: Asking, *, staged: bool) -> Questions:
    """Return the statistics to measure, by name.

    Parameters
    ----------
    asking : Asking
        The options.
    staged : bool
        Whether the journeys have stages.

    Raises
    ------
    typer.BadParameter
        If a statistic is unknown, or lacks the option that it needs.
    ParameterError
        If a parameter has a value that it cannot take.
    """
    _refuse_idle(asking, staged)
    applicable = [name for name in STATISTICS if not _lacking(name, asking, staged)]
    names = listed(asking.statistics) or tuple(applicable)
    for name in names:
        if name not in STATISTICS:
            raise typer.BadParameter(
                f"no statistic {name!r}. {suggestion(name, STATISTICS)}", param_hint="--statistics"
            )
        if lacking := _lacking(name, asking, staged):
            raise typer.BadParameter(f"{name} needs {lacking}.", param_hint="--statistics")
    return {name: _MAKERS[name](asking) for name in names}


def _refuse_idle(asking: Asking, staged: bool) -> None:
    """Refuse options that nothing would use."""
    if asking.start and not asking.goal:
        raise typer.BadParameter("needs --goal: abandonment is not reaching it.", param_hint="--start")
    if asking.horizon and not (asking.goal or staged):
        raise typer.BadParameter("needs --goal or --stages.", param_hint="--horizon")


def _lacking(name: str, asking: Asking, staged: bool) -> str | None:
    """Return the option without which a statistic cannot be asked for."""
    if name in {"conversion", "abandonment"} and not asking.goal:
        return "--goal"
    return "--stages" if name == "stage_flow" and not staged else None


def _goal(asking: Asking) -> dict[str, Any]:
    who = {"unit": "session"} if asking.horizon is None else {"unit": "user", "horizon": asking.horizon}
    return {"goal": tuple(asking.goal or ()), "missing": asking.missing, **who}


_MAKERS: Mapping[str, Callable[[Asking], Statistic[Journeys, Any]]] = {
    "overview": lambda asking: Overview(
        tuple(asking.goal) if asking.goal else None,
        missing=asking.missing,  # type: ignore[arg-type]
    ),
    "transitions": lambda asking: Transitions(),
    "top_paths": lambda asking: TopPaths(
        asking.top,
        goal=tuple(asking.goal) if asking.goal else None,
        missing=asking.missing,  # type: ignore[arg-type]
    ),
    "conversion": lambda asking: Conversion(**_goal(asking)),
    "abandonment": lambda asking: Abandonment(
        **_goal(asking), start=tuple(asking.start) if asking.start else None
    ),
    "stage_flow": lambda asking: StageFlow(horizon=asking.horizon),
}


def summary(folder: Path, written: Collection[str]) -> str:
    """Say what was written, and which tables in the folder are of an earlier run."""
    said = f"{len(written):,} files in {folder}"
    older = sorted(
        path.name for path in folder.iterdir() if path.suffix in WRITERS and path.name not in written
    )
    more = f" and {len(older) - SHOWN_NAMES:,} more" if len(older) > SHOWN_NAMES else ""
    return said if not older else f"{said}\nNot of this run: {', '.join(older[:SHOWN_NAMES])}{more}"


def described(context: Context | Journeys, rule: SessionRule) -> str:
    """Say in one line what was read."""
    return f"{context.n_events:,} events of {context.n_users:,} users in {context.n_sessions:,} sessions ({rule!r})"
