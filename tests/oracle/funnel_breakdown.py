"""Funnels by the value of a property. D7.12."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tests.oracle.funnel_rules import Container, Question, containers, restricted
from tests.oracle.funnel_units import Unit, unit_of, units_of
from tests.oracle.numbers import Rows


def breakdown(
    rows: Rows, question: Question, column: str, at: str = "first", unit: str = "user"
) -> dict[Any, list[Unit]]:
    """Return the units of every group; null is a group. ``at`` is of D7.12.

    A unit without a run is in no group.
    """
    if unit == "totals":
        question = replace(question, rules=replace(question.rules, entry="all"))
    found: dict[Any, list[Unit]] = {}
    for container in containers(rows, question, "session" if unit == "session" else "user"):
        for value, one in groups_of(container, question, column, at):
            if one.chosen:
                found.setdefault(value, []).append(one)
    return found


def groups_of(container: Container, question: Question, column: str, at: str) -> list[tuple[Any, Unit]]:
    """Return the groups of one container with what counts there."""
    values = [row.get(column) for row in container.rows]
    if at in ("first", "last"):
        known = [v for v, own in zip(values, container.steps, strict=True) if own and v is not None]
        value = None if not known else known[0] if at == "first" else known[-1]
        return [(value, one) for one in units_of(container, question)]
    if at.startswith("step:"):
        return by_step(container, question, values, int(at.removeprefix("step:")))
    step = int(at.removeprefix("each:")) if at.startswith("each:") else None
    found = []
    for value in dict.fromkeys(values):
        own = restricted(container, lambda i, k, v=value: values[i] == v or (step is not None and k != step))
        one = unit_of(container.unit, own, question)
        if step is None or any(step in run.reached for run in one.chosen):
            found.append((value, one))
    return found


def by_step(
    container: Container, question: Question, values: Sequence[Any], step: int
) -> list[tuple[Any, Unit]]:
    """Put what counts where its event of the step has its value. Choice: what did not reach it, nowhere."""
    found: dict[Any, Unit] = {}
    for one in units_of(container, question):
        for run in one.chosen:
            if step in run.reached:
                value = values[run.reached[step]]
                before = found.get(value, replace(one, chosen=[]))
                found[value] = replace(before, chosen=[*before.chosen, run])
    return list(found.items())
