"""Converters against those who gave up, on paths cut before the goal. D13.6, D13.7."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from tests.oracle.paths import START, Path


class Prefix(NamedTuple):
    """What a unit did up to its goal, or up to the end if it gave up."""

    user: Any
    converted: bool
    names: tuple[str, ...]


def prefixes(
    paths: Sequence[Path], goal: str, start: str | None, until: int, *, quiet: int, uncut: bool = False
) -> list[Prefix]:
    """Cut every unit that reached `start` before its goal; those silent for `quiet` or less are still open."""
    found = []
    for path in paths:
        names = path.names
        first = 0
        if start is not None:
            if start not in names:
                continue
            first = names.index(start)
        later = first if start is None else first + 1
        at = next((i for i in range(later, len(names)) if names[i] == goal), None)
        if at is not None:
            found.append(Prefix(path.user, True, names[first : None if uncut else at]))
        elif until - path.items[-1].time > quiet:
            found.append(Prefix(path.user, False, names[first:]))
    return found


def strata_of(units: Sequence[Prefix], strata: int) -> list[int]:
    """The class of every unit, by the quantiles of the lengths of all: the smallest length that a share k / n has."""
    lengths = sorted(len(unit.names) for unit in units)
    cuts = set()
    for k in range(1, strata):
        enough = [
            length for length in lengths if sum(x <= length for x in lengths) * strata >= k * len(lengths)
        ]
        cuts.add(min(enough))
    cuts.discard(max(lengths, default=0))
    return [sum(cut < len(unit.names) for cut in cuts) for unit in units]


def has(unit: Prefix, run: tuple[str, ...]) -> bool:
    """Whether the run stands in the prefix, directly one after the other."""
    n = len(run)
    return any(unit.names[i : i + n] == run for i in range(len(unit.names) - n + 1))


def runs(unit: Prefix, longest: int) -> set[tuple[str, ...]]:
    """All runs of one to `longest` names."""
    return {
        unit.names[i : i + n] for n in range(1, longest + 1) for i in range(len(unit.names) - n + 1)
    }  # fmt: skip


def moves(unit: Prefix, from_start: bool) -> Counter[tuple[str, str]]:
    """The moves inside the prefix, from START on if it begins there."""
    names = ((START, *unit.names) if from_start else unit.names) if unit.names else ()
    return Counter(itertools.pairwise(names))


def alike(
    chosen: Collection[int], strata: Sequence[int], converted: Sequence[bool], tops: Sequence[float],
    bottoms: Sequence[float],
) -> tuple[float, float] | None:  # fmt: skip
    """Both rates as means over the classes that both kinds have, weighted by both kinds' denominators."""
    one = other = weight = 0.0
    for stratum in set(strata):
        sums = {}
        for kind in (True, False):
            own = [i for i in chosen if strata[i] == stratum and converted[i] == kind]
            sums[kind] = sum(tops[i] for i in own), sum(bottoms[i] for i in own)
        if sums[True][1] and sums[False][1]:
            w = sums[True][1] + sums[False][1]
            weight += w
            one += w * sums[True][0] / sums[True][1]
            other += w * sums[False][0] / sums[False][1]
    return (one / weight, other / weight) if weight else None


def difference_of(
    units: Sequence[Prefix], strata: Sequence[int], tops: Sequence[float], bottoms: Sequence[float]
) -> Callable[[Collection[Any]], float | None]:
    """The difference of the rates, of the units of some users."""
    kinds = [unit.converted for unit in units]

    def difference(users: Collection[Any]) -> float | None:
        chosen = [i for i, unit in enumerate(units) if unit.user in users]
        both = alike(chosen, strata, kinds, tops, bottoms)
        return None if both is None else both[0] - both[1]

    return difference
