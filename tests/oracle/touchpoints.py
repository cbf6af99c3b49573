"""Touchpoints and channels, journey by journey."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from itertools import pairwise
from typing import NamedTuple

from tests.oracle.numbers import rate
from tests.oracle.paths import Path

Label = Callable[[Path, int], Hashable]


class Met(NamedTuple):
    """What a thing that journeys meet counts."""

    visits: int
    users: int
    journeys: int
    journey_share: float | None
    converted: int
    conversion_rate: float | None


def met(paths: Sequence[Path], label: Label, goals: Collection[str]) -> dict[Hashable, Met]:
    """Journeys that meet each label, and those with a goal strictly after their first visit. D5.1."""
    found = {}
    for thing in {label(path, i) for path in paths for i in range(len(path.items))}:
        firsts = {}
        visits = 0
        for number, path in enumerate(paths):
            places = [i for i in range(len(path.items)) if label(path, i) == thing]
            visits += len(places)
            if places:
                firsts[number] = places[0]
        won = sum(any(name in goals for name in paths[n].names[first + 1 :]) for n, first in firsts.items())
        users = len({paths[n].user for n in firsts})
        share, conversion = rate(len(firsts), len(paths)), rate(won, len(firsts))
        found[thing] = Met(visits, users, len(firsts), share, won, conversion)
    return found


def channels(path: Path, column: str) -> list[str]:
    """The known channels of a journey, one per event that has one."""
    return [item.row[column] for item in path.items if item.row is not None and item.row[column] is not None]


def switches(paths: Sequence[Path], column: str) -> dict[tuple[str, str], tuple[int, int]]:
    """From a channel to the next known one: switches, and journeys with any."""
    found: dict[tuple[str, str], list[int]] = {}
    for number, path in enumerate(paths):
        for pair in pairwise(channels(path, column)):
            if pair[0] != pair[1]:
                found.setdefault(pair, []).append(number)
    return {pair: (len(all_), len(set(all_))) for pair, all_ in found.items()}


def kind(path: Path, column: str, offline: Collection[str]) -> str | None:
    """Which sides a journey uses; None where no channel is known."""
    used = set(channels(path, column))
    if not used:
        return None
    if used <= set(offline):
        return "offline only"
    return "online and offline" if used & set(offline) else "online only"
