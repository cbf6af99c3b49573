"""What a funnel asks, and the events of one container with the steps that they fit. D7.1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from tests.oracle.numbers import Row, Rows
from tests.oracle.ordering import order

Condition = Callable[[Row], bool]


@dataclass(frozen=True)
class Step:
    """A step: any of these names (none: any event), a condition on the row, and the options of D7.1."""

    events: Sequence[str] = ()
    where: Condition | None = None
    first_time: bool | str = False
    optional: bool = False
    direct: bool = False
    min_gap: int | None = None
    max_gap: int | None = None


@dataclass(frozen=True)
class Exclusion:
    """Events that must not come between two steps, both numbered from 1; ``before`` None is the last. D7.7."""

    events: Sequence[str] = ()
    where: Condition | None = None
    after: int = 1
    before: int | None = None


@dataclass(frozen=True)
class Rules:
    """The rules of D7.2 to D7.11 by their names."""

    order: str = "ordered"
    ties: str = "input"
    grace: int = 0
    resolution: int | None = None
    entry: str = "any"
    pick: str = "earliest"
    exclusion: str = "per_run"
    open_entry: bool = False
    reuse_event: bool = False
    hold_unit: str = "unit"
    times: str = "chosen_run"


@dataclass(frozen=True)
class Question:
    """A funnel: durations are microseconds; ``within`` may be "session" or None; ``until`` is T."""

    steps: Sequence[Step]
    within: int | str | None = None
    exclude: Sequence[Exclusion] = ()
    hold: Sequence[str] = ()
    rules: Rules = Rules()
    entry_between: tuple[int | None, int | None] = (None, None)
    until: int | None = None

    @property
    def required(self) -> list[int]:
        """The numbers of the steps that are not optional."""
        return [k for k, step in enumerate(self.steps, 1) if not step.optional]

    @property
    def last(self) -> int:
        """The number of the last required step."""
        return self.required[-1]


class Container(NamedTuple):
    """The ordered events of a user or session, per event the steps and the exclusions it fits."""

    unit: Any
    rows: list[Row]
    steps: list[set[int]]
    excludes: list[set[int]]


def fits(row: Row, matcher: Step | Exclusion) -> bool:
    """Whether name and condition hold."""
    named = not matcher.events or row["event"] in matcher.events
    return named and (matcher.where is None or matcher.where(row))


def matching(user_rows: Rows, matcher: Step | Exclusion) -> list[bool]:
    """Per event of a user whether it fits, "first time" over all the user has. D7.1."""
    found = [fits(row, matcher) for row in user_rows]
    first_time = getattr(matcher, "first_time", False)
    if not first_time:
        return found
    named = [not matcher.events or row["event"] in matcher.events for row in user_rows]
    candidates = found if first_time == "filtered" else named
    first = candidates.index(True) if True in candidates else None
    return [fit and i == first for i, fit in enumerate(found)]


def coarse(user_rows: Rows, resolution: int) -> list[Row]:
    """Floor times to ticks; of the same names in one tick the first remains. D7.3."""
    kept: list[Row] = []
    seen: set[tuple[str, int]] = set()
    for row in user_rows:
        tick = row["time"] // resolution
        if (row["event"], tick) not in seen:
            seen.add((row["event"], tick))
            kept.append({**row, "time": tick * resolution})
    return kept


def containers(rows: Rows, question: Question, unit: str = "user") -> list[Container]:
    """Cut a log into the containers of a funnel; sessions by the column ``session``. D7.1."""
    found = []
    for user, ordered in order(rows).items():
        own = ordered if question.rules.resolution is None else coarse(ordered, question.rules.resolution)
        steps = [matching(own, step) for step in question.steps]
        excludes = [matching(own, exclusion) for exclusion in question.exclude]
        whole = Container(user, own, by_event(steps, len(own), 1), by_event(excludes, len(own), 0))
        found += [whole] if unit == "user" else in_sessions(whole)
    return found


def by_event(marks: list[list[bool]], size: int, base: int) -> list[set[int]]:
    """Turn marks per matcher into numbers per event."""
    return [{k for k, mark in enumerate(marks, base) if mark[i]} for i in range(size)]


def in_sessions(whole: Container) -> list[Container]:
    """Cut the events of a user by their session, in the order of the sessions' first events."""
    names = list(dict.fromkeys(row["session"] for row in whole.rows))
    parts = []
    for name in names:
        at = [i for i, row in enumerate(whole.rows) if row["session"] == name]
        columns = ([column[i] for i in at] for column in (whole.rows, whole.steps, whole.excludes))
        parts.append(Container((whole.unit, name), *columns))
    return parts


def restricted(container: Container, keep: Callable[[int, int], bool]) -> Container:
    """Let an event at a position fit a step only where `keep` says so."""
    steps = [{k for k in own if keep(i, k)} for i, own in enumerate(container.steps)]
    return container._replace(steps=steps)


def with_rules(question: Question, **changed: Any) -> Question:
    """The same funnel under other rules."""
    return replace(question, rules=replace(question.rules, **changed))
