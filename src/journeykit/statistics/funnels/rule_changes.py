"""From one funnel to another, one rule at a time. DEFINITIONS D7.13."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, NamedTuple

from journeykit.errors import ParameterError
from journeykit.statistics.funnels.funnel import Funnel
from journeykit.statistics.funnels.steps import Exclusion, Step
from journeykit.support.durations import microseconds

OF_FUNNEL = ("steps", "unit", "within", "hold", "exclude", "entry_between")
IN_ORDER = (
    "steps", "unit", "within", "hold", "hold_unit", "order", "ties", "grace", "resolution", "reuse_event",
    "entry_between", "entry", "open_entry", "pick", "exclude", "exclusion",
)  # fmt: skip
"""What is changed first; what moves no unit (quantiles, bins, times, breakdown) is left as it is."""

DURATIONS = ("within", "grace", "resolution")


class Change(NamedTuple):
    """One rule on the way.

    Attributes
    ----------
    rule : str
        Its name; several, joined by " + ", where neither can hold without the other.
    before, after : str
        Its values, as they are written.
    funnel : Funnel
        The funnel with this rule and all before it changed.
    """

    rule: str
    before: str
    after: str
    funnel: Funnel


def plain(funnel: Funnel) -> Funnel:
    """Return a funnel that counts the same, with its window in one place and without what moves no unit."""
    rules = replace(funnel.rules, within=None, at="first", times="chosen_run")
    return replace(funnel, within=funnel.window, rules=rules, breakdown=None, at=None, value=None, runs=False)


def changes(a: Funnel, b: Funnel) -> tuple[Funnel, tuple[Change, ...]]:
    """Return where the way starts, and its changes in order.

    Raises
    ------
    ParameterError
        If the funnels do not have the same number of steps, or steps of different kinds.
    """
    _check_pair(a, b)
    here, goal = plain(a), plain(b)
    left = [rule for rule in IN_ORDER if _counted(here, rule) != _counted(goal, rule)]
    start, found = here, []
    while left:
        together = next(chosen for chosen in _choices(left) if _possible(here, goal, chosen))
        there = moved(here, goal, together)
        before, after = (" + ".join(_written(each, rule) for rule in together) for each in (here, there))
        found.append(Change(" + ".join(together), before, after, there))
        left = [rule for rule in left if rule not in together]
        here = there
    return start, tuple(found)


def value_of(funnel: Funnel, rule: str) -> Any:
    """Return the value of a rule, whether of the funnel or of its rules."""
    return getattr(funnel if rule in OF_FUNNEL else funnel.rules, rule)


def _counted(funnel: Funnel, rule: str) -> Any:
    """Return the value of a rule so that equal durations are equal."""
    value = value_of(funnel, rule)
    return microseconds(value, rule) if rule in DURATIONS and value not in (None, "session") else value


def moved(here: Funnel, goal: Funnel, chosen: tuple[str, ...]) -> Funnel:
    """Return a funnel with some rules of another."""
    new = {rule: value_of(goal, rule) for rule in chosen}
    rules = replace(here.rules, **{rule: value for rule, value in new.items() if rule not in OF_FUNNEL})
    return replace(here, rules=rules, **{rule: value for rule, value in new.items() if rule in OF_FUNNEL})


def _choices(left: list[str]) -> list[tuple[str, ...]]:
    """One rule, in the stated order; else two that need each other; else all that are left."""
    pairs = [(one, other) for i, one in enumerate(left) for other in left[i + 1 :]]
    return [*((one,) for one in left), *pairs, tuple(left)]


def _possible(here: Funnel, goal: Funnel, chosen: tuple[str, ...]) -> bool:
    """Whether these rules can change now: a rule may contradict one that is still to change."""
    try:
        moved(here, goal, chosen)
    except ParameterError:
        return False
    return True


def _written(funnel: Funnel, rule: str) -> str:
    value = value_of(funnel, rule)
    if rule in {"steps", "exclude"}:
        return ", ".join(map(_described, value)) or "none"
    return str(value) if isinstance(value, str) else repr(value)


def _described(one: Step | Exclusion) -> str:
    """Write a step or an exclusion with the options that it has."""
    options = (
        f"{each.name}={getattr(one, each.name)!r}"
        for each in fields(one)
        if each.name not in {"events", "name"} and getattr(one, each.name) != each.default
    )
    listed = ", ".join(options)
    return f"{one.match.title} ({listed})" if listed else one.match.title


def _check_pair(a: Funnel, b: Funnel) -> None:
    if not (isinstance(a, Funnel) and isinstance(b, Funnel)):
        raise ParameterError(f"two funnels can be compared, not {type(a).__name__} and {type(b).__name__}.")
    if len(a.made) != len(b.made):
        raise ParameterError(
            f"the funnels have {len(a.made)} and {len(b.made)} steps: only funnels with as many steps can be compared "
            f"step by step."
        )
    if a.of != b.of:
        raise ParameterError(f"the steps of one funnel are of={a.of!r}, those of the other of={b.of!r}.")
