"""Rates, means and percentiles. D0.2, D0.3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

Row: TypeAlias = dict[str, Any]
Rows: TypeAlias = Sequence[Row]

SECOND = 1_000_000


def rate(part: float, whole: float) -> float | None:
    """Part of the whole, or None where the whole is nothing. D0.3."""
    return part / whole if whole else None


def mean(values: Sequence[float]) -> float | None:
    """Sum over number."""
    return rate(sum(values), len(values))


def percentile(values: Sequence[float], share: float) -> float | None:
    """Linear interpolation between order statistics, type 7. D0.2."""
    if not values:
        return None
    ranked = sorted(values)
    position = (len(ranked) - 1) * share
    below = int(position)
    above = min(below + 1, len(ranked) - 1)
    return ranked[below] + (position - below) * (ranked[above] - ranked[below])


def seconds(microseconds: int) -> float:
    """Microseconds as seconds. D0.2."""
    return microseconds / SECOND
