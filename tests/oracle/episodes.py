"""Every episode of a unit, not only the first. D5.4."""

from __future__ import annotations

from tests.oracle.abandonment import Unit, time_and_outcome
from tests.oracle.numbers import SECOND


def episodes(unit: Unit, horizon: int, until: int, window: int | None = None) -> list[tuple[float, int]]:
    """Seconds and outcome of each episode; after a silence the next one begins with the next origin.

    Choice: a unit that converted has no further episode, and an episode that outlives its window is followed
    by another one only if the unit then fell silent before the goal.
    """
    found = []
    while True:
        seen = time_and_outcome(unit, horizon, until, window)
        if seen is None:
            return found
        found.append(seen)
        took, outcome = time_and_outcome(unit, horizon, until) or (0.0, 0)
        if outcome != 2:
            return found
        silent = round(took * SECOND) - horizon + unit.times[list(unit.origin).index(True)]
        later = [
            i for i, time in enumerate(unit.times) if time > silent and i > list(unit.origin).index(True)
        ]
        if not later:
            return found
        start = later[0]
        unit = Unit(unit.times[start:], unit.origin[start:], unit.goal[start:])
