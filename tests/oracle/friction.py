"""Friction on visits, event by event. D15.4, D15.5."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from tests.oracle.abandonment import Unit, status
from tests.oracle.numbers import percentile
from tests.oracle.paths import Item, Path

ORDER = ("error", "rage", "backtrack", "repeat", "loop", "slow", "low")
SECOND = 1_000_000


class Rage(NamedTuple):
    """So many of one event on one target in a time; from one to the next within a distance."""

    repeats: int = 3
    within: int = SECOND
    distance: float = 30
    target: str | None = None
    places: tuple[str, str] | None = None


def slow_limits(paths: Sequence[Path], share: float) -> dict[str, float]:
    """The percentile of the gaps into each event, inside the paths."""
    gaps: dict[str, list[int]] = {}
    for path in paths:
        for before, item in pairwise(path.items):
            gaps.setdefault(item.name, []).append(item.time - before.time)
    return {name: percentile(each, share) for name, each in gaps.items()}


def flags_of(
    path: Path,
    i: int,
    trouble: Collection[str],
    rage: Rage | None,
    quick: int,
    limits: Mapping[str, float],
) -> set[str]:
    """The flags of the i-th event of a session path."""
    items, names = path.items, path.names
    found = set()
    if names[i] in trouble or (i > 0 and names[i - 1] in trouble):
        found.add("error")
    if rage is not None and is_rage(items[: i + 1], rage):
        found.add("rage")
    if i > 1 and names[i] == names[i - 2] != names[i - 1]:
        found.add("backtrack")
    if i > 0 and names[i] == names[i - 1]:
        found.add("repeat")
    if names[i] in names[:i] and not found:
        found.add("loop")
    if "backtrack" in found and items[i].time - items[i - 2].time <= quick:
        found.add("quick_backtrack")
    if i > 0 and items[i].time - items[i - 1].time > limits.get(names[i], math.inf):
        found.add("slow")
    return found


def is_rage(items: Sequence[Item], rage: Rage) -> bool:
    """Whether the last event ends a burst."""
    last = items[-1]

    def target(item: Item) -> Any:
        return item.row[rage.target] if rage.target is not None else "all"

    same = [one for one in items if one.name == last.name and target(one) == target(last) is not None]
    burst = same[-rage.repeats :]
    if target(last) is None or len(burst) < rage.repeats or last.time - burst[0].time > rage.within:
        return False
    if rage.places is None:
        return True
    for one, other in pairwise(burst):
        ends = [each.row[name] for name in rage.places for each in (one, other)]
        if None in ends or math.hypot(ends[0] - ends[1], ends[2] - ends[3]) > rage.distance:
            return False
    return True


def class_of(found: Collection[str]) -> str:
    """The first flag that holds."""
    return next((flag for flag in ORDER if flag in found), "clean")


def detours(path: Path, trouble: Collection[str], stages: Mapping[int, int]) -> list[tuple[int, bool, bool]]:
    """(Position, a detour, it comes back) of every visit that is no trouble; `stages` by position."""
    found = []
    for i, name in enumerate(path.names):
        if name in trouble:
            continue
        detour = i + 1 < len(path.names) and path.names[i + 1] in trouble
        later = [j for j in range(i + 1, len(path.names)) if path.names[j] not in trouble]
        back = detour and any(stages.get(j, 0) >= stages.get(i, 0) for j in later)
        found.append((i, detour, back))
    return found


class Exposed(NamedTuple):
    """One unit: its outcome, and by event the flags that it met from its start until just before its goal."""

    user: Any
    outcome: str
    met: dict[str, set[str]]


def exposed(
    path: Path,
    flags: Mapping[int, set[str]],
    start: Collection[str] | None,
    goal: Collection[str],
    horizon: float,
    until: int,
    window: int | None = None,
) -> Exposed | None:
    """What a unit met, and what became of it (D5.2); None if it never reached the start.

    `flags` are by the row of the log.
    """
    unit = Unit(
        [item.time for item in path.items],
        [start is None or name in start for name in path.names],
        [name in goal for name in path.names],
    )
    found = status(unit, horizon, until, window)
    if found is None:
        return None
    stop = len(path.items) if found.goal is None else found.goal
    met: dict[str, set[str]] = {}
    for item in path.items[found.origin : stop]:
        own = flags.get(id(item.row), set())
        met.setdefault(item.name, set()).update(own | ({"any"} if own else set()))
    return Exposed(path.user, found.status, met)


def compared(units: Sequence[Exposed], flag: str, event: str | None = None) -> dict[str, tuple[int, ...]]:
    """(Units, converted, abandoned, open) with the flag and without it; at an event, of those that visited it."""
    sides: dict[str, list[str]] = {"with": [], "without": []}
    for unit in units:
        if event is not None and event not in unit.met:
            continue
        flags = set().union(*unit.met.values()) if event is None else unit.met[event]
        sides["with" if flag in flags else "without"].append(unit.outcome)
    return {
        side: (len(all_), *(all_.count(each) for each in ("converted", "abandoned", "open")))
        for side, all_ in sides.items()
    }
