"""Time to an outcome under censoring. D14.1 to D14.3."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

ENOUGH_AT_RISK = 10


class Point(NamedTuple):
    """One time: units at risk, events, and the share that survives it."""

    time: float
    at_risk: int
    events: int
    survival: float


def kaplan_meier(observed: Sequence[tuple[float, bool | int]]) -> list[Point]:
    """One row per event time of (duration, event or not); events come before censorings. D14.1."""
    points, survival = [], 1.0
    for time in sorted({duration for duration, event in observed if event}):
        at_risk = sum(duration >= time for duration, _ in observed)
        events = sum(duration == time and bool(event) for duration, event in observed)
        survival *= 1 - events / at_risk
        points.append(Point(time, at_risk, events, survival))
    return points


def median_survival(points: Sequence[Point]) -> float:
    """First time with S <= 0.5, else infinity. D14.1."""
    half = 0.5
    return next((point.time for point in points if point.survival <= half), math.inf)


def aalen_johansen(observed: Sequence[tuple[float, int]], cause: int, tau: float) -> float:
    """Cumulative incidence F_cause(tau) of (duration, status), 0 = censored. D14.2."""
    incidence, survival = 0.0, 1.0
    for point in kaplan_meier(observed):
        if point.time > tau:
            break
        of_cause = sum(duration == point.time and status == cause for duration, status in observed)
        incidence += survival * of_cause / point.at_risk
        survival = point.survival
    return incidence


def converted_by(observed: Sequence[tuple[float, int]], tau: float) -> float | None:
    """F_1(tau), None where fewer than ten units were still at risk at tau. D14.3."""
    if sum(duration >= tau for duration, _ in observed) < ENOUGH_AT_RISK:
        return None
    return aalen_johansen(observed, 1, tau)
