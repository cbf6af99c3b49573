"""Funnels under the rules of a vendor, asked of the slow twin and of the package alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import journeykit as jk
from tests import oracle
from tests.measuring import journeys_of
from tests.oracle import funnel_presets as presets
from tests.oracle.funnel_rules import Exclusion, Question, Step, with_rules
from tests.oracle.numbers import Row


@dataclass(frozen=True)
class Answered:
    """Units (or totals) per step, and the seconds from the first to the last step of those that converted."""

    reached: list[int]
    seconds: list[float]


def twin(
    rows: Sequence[Row],
    steps: Sequence[str],
    vendor: str,
    *,
    within: int | None = None,
    exclude: str | None = None,
    hold: str | None = None,
    unit: str = "user",
) -> tuple[list[Any], Question]:
    """Ask the slow twin for its units."""
    window = within or presets.WINDOWS.get(vendor.partition("_")[0])
    mine = Question(
        [Step((name,)) for name in steps],
        window,
        [Exclusion((exclude,))] if exclude else [],
        hold=[hold] if hold else [],
        rules=getattr(presets, vendor.upper()),
    )
    return oracle.funnel_units(rows, mine, unit), with_rules(mine, entry="all") if unit == "totals" else mine


def ask_twin(rows: Sequence[Row], steps: Sequence[str], vendor: str, **options: Any) -> Answered:
    """Ask the slow twin."""
    units, mine = twin(rows, steps, vendor, **options)
    return Answered(
        [row.reached for row in oracle.funnel_steps(units, mine)], oracle.total_times(units, mine)
    )


def groups_twin(
    rows: Sequence[Row], steps: Sequence[str], vendor: str, column: str, at: str
) -> dict[Any, list[int]]:
    """Ask the slow twin for a breakdown."""
    _, mine = twin(rows, steps, vendor)
    groups = oracle.breakdown(rows, mine, column, at)
    return {value: [row.reached for row in oracle.funnel_steps(own, mine)] for value, own in groups.items()}


def package(
    rows: Sequence[Row],
    steps: Sequence[str],
    vendor: str,
    *,
    within: int | None = None,
    exclude: str | None = None,
    hold: str | None = None,
    unit: str = "user",
    **more: Any,
) -> Any:
    """Ask the package."""
    question = jk.Funnel(
        steps,
        within=None if within is None else timedelta(microseconds=within),
        exclude=[] if exclude is None else [jk.Exclusion(exclude, overlaps_steps=exclude in steps)],
        hold=[hold] if hold else [],
        rules=getattr(jk.rules, vendor)(),
        unit=unit,
        missing="ignore",
        **more,
    )
    return journeys_of(rows).measure(question)


def ask_package(rows: Sequence[Row], steps: Sequence[str], vendor: str, **options: Any) -> Answered:
    """Ask the package."""
    answer = package(rows, steps, vendor, **options)
    own = answer.times.filter(step=len(steps), since="first")
    seconds = [value for value, units in own.select("seconds", "units").rows() for _ in range(units)]
    return Answered(answer.frame["reached"].to_list(), seconds)


def groups_package(
    rows: Sequence[Row], steps: Sequence[str], vendor: str, column: str, at: str
) -> dict[Any, list[int]]:
    """Ask the package for a breakdown."""
    frame = package(rows, steps, vendor, breakdown=column, at=at).frame
    return {
        value: own["reached"].to_list()
        for (value,), own in frame.partition_by(column, as_dict=True, maintain_order=True).items()
    }
