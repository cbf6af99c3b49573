"""What goes with conversion: events between the steps, values of properties. D7.11, D13.4."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from tests.oracle.funnel_chains import Run, deadline, in_window
from tests.oracle.funnel_rules import Question
from tests.oracle.funnel_units import Unit


class Correlate(NamedTuple):
    """One event or value: units with it, of the converted and of the others."""

    success: int
    failure: int
    converted: int
    others: int

    @property
    def odds_ratio(self) -> float:
        """((s + 1)(F - f + 1)) / ((f + 1)(S - s + 1))."""
        s, f, big_s, big_f = self.success, self.failure, self.converted, self.others
        return ((s + 1) * (big_f - f + 1)) / ((f + 1) * (big_s - s + 1))

    @property
    def phi(self) -> float | None:
        """Pearson's correlation of two yes or no answers; None where one has one value only."""
        s, f = self.success, self.failure
        without_s, without_f = self.converted - s, self.others - f
        below = (s + f) * (without_s + without_f) * self.converted * self.others
        return (s * without_f - f * without_s) / math.sqrt(below) if below else None

    @property
    def weak(self) -> bool:
        """Whether too few units have it."""
        return self.success + self.failure < min(25, 0.02 * (self.converted + self.others))


def correlates(
    units: Sequence[Unit], question: Question, of: str = "events", leave_out: Iterable[str] = ()
) -> dict[Any, Correlate]:
    """Count the units with each event after step 1 and before the end, or with each value of a column.

    Events named by a step are left out. Choice: a property's value is its last known one of the container.
    """
    steps = {name for step in question.steps for name in step.events} | set(leave_out)
    seen: dict[Any, list[bool]] = {}
    sizes = {True: 0, False: 0}
    for unit in units:
        for run in unit.chosen:
            converted = run.level == len(question.required)
            sizes[converted] += 1
            found = (
                names_between(unit, question, run) - steps
                if of == "events"
                else {value_of(unit, of)} - {None}
            )
            for name in found:
                seen.setdefault(name, []).append(converted)
    return {
        name: Correlate(sum(own), len(own) - sum(own), sizes[True], sizes[False])
        for name, own in seen.items()
    }


def value_of(unit: Unit, column: str) -> Any:
    """Return the last known value of a column."""
    known = [row[column] for row in unit.container.rows if row.get(column) is not None]
    return known[-1] if known else None


def names_between(unit: Unit, question: Question, run: Run) -> set[str]:
    """Return the events strictly after step 1 and strictly before the last step, or up to the deadline.

    Choice: the deadline is that of the steps that count, also where an exclusion has ended the run.
    """
    rows, (first, *_, last) = unit.container.rows, (*run.positions, run.positions[-1])
    converted = run.level == len(question.required)
    end = deadline(unit.container, question, run.chain)
    found = set()
    for x, row in enumerate(rows):
        by_position = question.rules.ties == "input"
        after = x > first if by_position else row["time"] > rows[first]["time"]
        if converted:
            before = x < last if by_position else row["time"] < rows[last]["time"]
        else:
            before = end is None or row["time"] <= end
        if after and before and in_window(unit.container, question, first, x):
            found.add(row["event"])
    return found


def benjamini_hochberg(values: Sequence[float | None]) -> list[float | None]:
    """Adjust p values, nulls left out. D13.4."""
    known = sorted(value for value in values if value is not None)
    m = len(known)

    def adjusted(p: float) -> float:
        return min(min(1.0, m * q / j) for j, q in enumerate(known, 1) if q >= p)

    return [None if value is None else adjusted(value) for value in values]
