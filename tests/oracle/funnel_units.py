"""Which runs count for a unit. D7.7, D7.8, D7.9, D7.10."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tests.oracle.funnel_chains import Run, ordered_runs, with_optional
from tests.oracle.funnel_exclusions import cut, excluded_at
from tests.oracle.funnel_rules import Container, Question, containers, restricted
from tests.oracle.funnel_unordered import unordered_runs
from tests.oracle.numbers import Rows


@dataclass(frozen=True)
class Unit:
    """A unit of the funnel: its container, all its runs that are not void, and those that count."""

    name: Any
    container: Container
    runs: list[Run]
    chosen: list[Run]

    @property
    def level(self) -> int:
        """How far its first run that counts came."""
        return self.chosen[0].level if self.chosen else 0


def runs_of(container: Container, question: Question) -> list[Run]:
    """Return every run, in the order of their starts, with what excludes it."""
    parts = held(container, question) if question.hold else [container]
    make = unordered_runs if question.rules.order == "unordered" else ordered_runs
    runs = [run for part in parts for run in make(part, question)]
    runs.sort(key=lambda run: (run.start, min(run.chain)))
    return [replace(run, excluded_at=excluded_at(container, question, run)) for run in runs]


def value_of(container: Container, question: Question, i: int) -> tuple[Any, ...] | None:
    """Return the held values of an event; None where one is null."""
    values = tuple(container.rows[i].get(column) for column in question.hold)
    return None if None in values else values


def held(container: Container, question: Question) -> list[Container]:
    """One container per held value: only events that have it fit the steps. D7.10."""
    values = [value_of(container, question, i) for i in range(len(container.rows))]
    return [
        restricted(container, lambda i, k, value=value: values[i] == value)
        for value in dict.fromkeys(values)
        if value is not None
    ]


def best(runs: list[Run], question: Question) -> Run | None:
    """Return the run of the highest level, the earliest or the latest of these. D7.8, D7.9."""
    if not runs:
        return None
    top = [run for run in runs if run.level == max(run.level for run in runs)]
    latest = question.rules.pick == "latest" and not question.rules.open_entry
    return top[-1] if latest else top[0]


def clean(container: Container, runs: list[Run], question: Question) -> list[Run]:
    """Leave out the runs that are void, or cut those that are excluded. D7.7."""
    if question.rules.exclusion == "dropoff":
        return [cut(container, question, run) for run in runs]
    whole = [run for run in runs if run.excluded_at is None]
    per_run = question.rules.exclusion == "per_run" or question.rules.order == "unordered"
    if per_run or not runs:
        return whole
    highest = max(run.level for run in runs)
    if any(run.level == highest for run in whole):
        return whole
    return []


def one_after_another(container: Container, question: Question) -> list[Run]:
    """Return the runs that follow each other; each counts. D7.8 "all"."""
    found: list[Run] = []
    last_position, last_time = -1, None
    for run in runs_of(container, question):
        if run.start <= last_position:
            continue
        if last_time is not None and container.rows[run.start]["time"] <= last_time:
            continue
        found += clean(container, [run], question)
        last_position, last_time = run.start, None
        if run.excluded_at is not None:
            last_position = max(run.start, run.excluded_at)
        elif run.level == len(question.required):
            last_position = max(run.positions)
        else:
            ends = [i for i in range(len(container.rows)) if still_in(container, question, run, i)]
            last_position = max(ends, default=run.start)
    return found


def still_in(container: Container, question: Question, run: Run, i: int) -> bool:
    """Whether an event is not after the deadline of a run that timed out."""
    if question.within == "session":
        return bool(container.rows[i]["session"] == container.rows[run.start]["session"])
    return run.deadline is None or container.rows[i]["time"] <= run.deadline


def unit_of(name: Any, container: Container, question: Question) -> Unit:
    """Apply the entry rule to one container. D7.8."""
    if question.rules.entry == "all":
        chosen = one_after_another(container, question)
        return Unit(name, container, chosen, [with_optional(container, question, run) for run in chosen])
    runs = runs_of(container, question)
    if question.rules.entry == "first" and not question.rules.open_entry:
        runs = runs[:1]
    runs = clean(container, runs, question)
    chosen = best(runs, question)
    return Unit(name, container, runs, [] if chosen is None else [with_optional(container, question, chosen)])


def units_of(container: Container, question: Question) -> list[Unit]:
    """Return the units of one container: several where each held value is one. D7.10."""
    if not question.hold or question.rules.hold_unit == "unit":
        return [unit_of(container.unit, container, question)]
    if question.rules.hold_unit == "first_entry":
        every = runs_of(container, question)
        if not every:
            return [unit_of(container.unit, container, question)]
        value = value_of(container, question, every[0].start)
        own = restricted(container, lambda i, k: value_of(container, question, i) == value)
        return [unit_of(container.unit, own, question)]
    values = dict.fromkeys(value_of(container, question, i) for i in range(len(container.rows)))
    parts = []
    for value in values:
        if value is not None:
            own = restricted(container, lambda i, k, v=value: value_of(container, question, i) == v)
            parts.append(unit_of((container.unit, value), own, question))
    return parts


def funnel_units(rows: Rows, question: Question, unit: str = "user") -> list[Unit]:
    """Return the units of a log, those without a run too; ``unit`` is "user", "session" or "totals"."""
    if unit == "totals":
        question = replace(question, rules=replace(question.rules, entry="all"))
    kind = "session" if unit == "session" else "user"
    return [one for each in containers(rows, question, kind) for one in units_of(each, question)]
