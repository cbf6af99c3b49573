"""Numbers of a funnel. D7.11."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from tests.oracle.funnel_chains import Run, follows, with_optional
from tests.oracle.funnel_rules import Question
from tests.oracle.funnel_units import Unit, best, clean, runs_of
from tests.oracle.numbers import SECOND, mean, percentile, rate

Counted = list[tuple[Unit, Run]]


class StepRow(NamedTuple):
    """One step of the answer."""

    reached: int
    entered: int
    step_rate: float | None
    total_rate: float | None
    open: int | None
    dropped: int | None


def counted(units: Sequence[Unit]) -> Counted:
    """Return everything that counts, once per run: one per unit, or all runs of totals."""
    return [(unit, run) for unit in units for run in unit.chosen]


def steps(units: Sequence[Unit], question: Question) -> list[StepRow]:
    """Return the table of steps.

    Choice: the step before a step is the required one before it; only required steps have open and dropped.
    """
    runs = counted(units)
    reached = {k: sum(k in run.reached for _, run in runs) for k in range(1, len(question.steps) + 1)}
    found = []
    for k, number in reached.items():
        before = max((one for one in question.required if one < k), default=k)
        after = next((one for one in question.required if one > k), None)
        still = None if question.steps[k - 1].optional else open_at(units, question, k)
        dropped = None if still is None or after is None else number - reached[after] - still
        entered = sum(min(run.chain) == k for _, run in runs)
        to_step, to_start = rate(number, reached[before]), rate(number, reached[1])
        found.append(StepRow(number, entered, to_step, to_start, still, dropped))
    return found


def open_at(units: Sequence[Unit], question: Question, k: int) -> int | None:
    """Count the units at a level that may still go on at T. D7.11 open(k)."""
    has_gap = any(step.max_gap is not None for step in question.steps)
    if question.until is None or k == question.last or (not isinstance(question.within, int) and not has_gap):
        return None
    level = question.required.index(k) + 1
    if question.rules.entry == "all":
        return sum(is_open(run, question) for _, run in counted(units) if run.level == level)
    return sum(
        any(is_open(run, question) for run in unit.runs)
        for unit in units
        if unit.chosen and unit.level == level
    )


def is_open(run: Run, question: Question) -> bool:
    """Whether a run that is not void may still go on. Choice: without an end of its own it may."""
    ended = run.excluded_at is not None or run.level == len(question.required)
    assert question.until is not None
    return not ended and (run.deadline is None or run.deadline > question.until)


def matured(units: Sequence[Unit], question: Question) -> tuple[int, int] | None:
    """Units that converted and all units, of the runs that had their whole window. D7.11."""
    if not isinstance(question.within, int) or question.until is None:
        return None
    converted = entered = 0
    for unit in units:
        for run in mature_runs(unit, question):
            entered += 1
            converted += run.level == len(question.required)
    return converted, entered


def mature_runs(unit: Unit, question: Question) -> list[Run]:
    """Return the best of the runs whose window has passed, or all of them for totals."""
    assert isinstance(question.within, int)
    assert question.until is not None
    last = question.until - question.within

    def had_time(run: Run) -> bool:
        return bool(unit.container.rows[run.start]["time"] <= last)

    if question.rules.entry == "all":
        return [run for run in unit.chosen if had_time(run)]
    runs = runs_of(unit.container, question)
    if question.rules.entry == "first" and not question.rules.open_entry:
        runs = runs[:1]
    chosen = best(clean(unit.container, [run for run in runs if had_time(run)], question), question)
    return [] if chosen is None else [chosen]


def times(units: Sequence[Unit], question: Question, k: int) -> list[float]:
    """Seconds from the required step before to step k, of the chosen runs. D7.11."""
    return [
        value for unit in units for run in unit.chosen if (value := taken(unit, run, question, k)) is not None
    ]


def taken(unit: Unit, run: Run, question: Question, k: int, since: int | None = None) -> float | None:
    """Seconds of one run from a step, by default the required one before, to another."""
    before = since or max((one for one in question.required if one < k), default=None)
    if before is None or before not in run.reached or k not in run.reached:
        return None
    rows = unit.container.rows
    return float(rows[run.reached[k]]["time"] - rows[run.reached[before]]["time"]) / SECOND


def total_times(units: Sequence[Unit], question: Question) -> list[float]:
    """Seconds from the first step to the last required one. D7.11."""
    return span_times(units, question, 1, question.last)


def span_times(units: Sequence[Unit], question: Question, since: int, k: int) -> list[float]:
    """Seconds between two steps of the chosen runs."""
    found = (taken(unit, run, question, k, since) for unit, run in counted(units))
    return [value for value in found if value is not None]


def times_of_runs(
    units: Sequence[Unit], question: Question, k: int, of: Callable[[Sequence[float]], float | None] = mean
) -> list[float]:
    """Per unit the mean (or median) over its runs of the highest level: ``times="mean_of_runs"``. D7.11."""
    found = []
    for unit in units:
        top = [run for run in unit.runs if unit.chosen and run.level == unit.level]
        whole = [with_optional(unit.container, question, run) for run in top]
        own = [value for run in whole if (value := taken(unit, run, question, k)) is not None]
        value = of(own)
        if value is not None:
            found.append(value)
    return found


def median(values: Sequence[float]) -> float | None:
    """The middle. D0.2."""
    return percentile(values, 0.5)


def histogram(seconds: Sequence[float], bins: int | None = None, min_bins: int = 3) -> list[tuple[int, int]]:
    """Return where each bin starts, and how many are in it; one row more than bins. D7.11."""
    if not seconds:
        return []
    wanted = bins or min(max(cube_root_up(len(seconds)), min_bins), 60)
    first = math.floor(min(seconds))
    width = math.ceil((math.ceil(max(seconds)) - first) / wanted) or 60
    starts = [first + i * width for i in range(wanted + 1)]
    return [(start, sum(start <= value < start + width for value in seconds)) for start in starts]


def cube_root_up(n: int) -> int:
    """Return the smallest integer whose cube is at least n."""
    return next(i for i in range(n + 1) if i**3 >= n)


class Period(NamedTuple):
    """One period of a trend."""

    reached_from: int
    reached_to: int
    rate: float | None
    units: dict[Any, bool]


def trend(
    units: Sequence[Unit],
    question: Question,
    bucket: Callable[[int], Any],
    buckets: Sequence[Any],
    from_step: int = 1,
    to_step: int | None = None,
) -> dict[Any, Period]:
    """Count every unit once in each period in which a run of it starts, by the best of these. D7.11.

    ``bucket`` gives the period of a time; those of ``buckets`` are rows even where nothing happened.
    """
    last = to_step or question.last
    found: dict[Any, list[tuple[Any, Run]]] = {name: [] for name in buckets}
    for unit in units:
        for name, run in best_by_period(unit, question, bucket):
            found.setdefault(name, []).append((unit.name, run))
    rows = {}
    for name, own in found.items():
        came = {unit: last in run.reached for unit, run in own if from_step in run.reached}
        start, to = (sum(k in run.reached for _, run in own) for k in (from_step, last))
        rows[name] = Period(start, to, rate(to, start), came)
    return rows


def best_by_period(unit: Unit, question: Question, bucket: Callable[[int], Any]) -> list[tuple[Any, Run]]:
    """Return the best run of each period in which runs start."""
    if question.rules.entry == "all":
        return [(bucket(unit.container.rows[run.start]["time"]), run) for run in unit.chosen]
    runs = runs_of(unit.container, question)
    if question.rules.entry == "first":
        runs = runs[:1]
    periods: dict[Any, list[Run]] = {}
    for run in runs:
        periods.setdefault(bucket(unit.container.rows[run.start]["time"]), []).append(run)
    chosen = {name: best(clean(unit.container, own, question), question) for name, own in periods.items()}
    return [(name, run) for name, run in chosen.items() if run is not None]


def frequency(
    units: Sequence[Unit], question: Question, fits: Callable[[Any], bool], a: int, b: int
) -> list[int]:
    """Matches strictly between steps a and b, without those that made a step, per unit that reached b. D7.11."""
    found = []
    for unit, run in counted(units):
        if a in run.reached and b in run.reached:
            rows, at = unit.container.rows, run.reached
            found.append(
                sum(
                    fits(row) and x not in at.values() and lies(unit, question, at[a], x, at[b])
                    for x, row in enumerate(rows)
                )
            )
    return found


def lies(unit: Unit, question: Question, a: int, x: int, b: int) -> bool:
    """Whether x follows a and b follows x."""
    rules = replace(question.rules, reuse_event=False)
    return follows(unit.container, a, x, rules) and follows(unit.container, x, b, rules)
