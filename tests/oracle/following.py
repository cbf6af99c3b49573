"""Which state comes some time after which, and frequent patterns with gaps. D8.8, D8.9."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from tests.oracle.paths import Path


class Following(NamedTuple):
    """One pair of D8.8."""

    paths: int
    users: int
    pairs: int
    share: float


def eventually_follows(paths: Sequence[Path]) -> dict[tuple[str, str], Following]:
    """Count every pair i < j of every path, and the paths with at least one. D8.8."""
    pairs: Counter[tuple[str, str]] = Counter()
    holding: dict[tuple[str, str], list[Path]] = {}
    for path in paths:
        own = list(itertools.combinations(path.names, 2))
        pairs.update(own)
        for pair in set(own):
            holding.setdefault(pair, []).append(path)
    having = Counter(name for path in paths for name in set(path.names))
    return {
        pair: Following(len(own), len({path.user for path in own}), pairs[pair], len(own) / having[pair[0]])
        for pair, own in holding.items()
    }


def sequential_patterns(
    paths: Sequence[Path],
    least: int,
    most_states: int,
    max_gap: int | None = None,
    max_time: int | None = None,
) -> dict[tuple[str, ...], int]:
    """List every choice of events of every path, and count the paths that have one with these names. D8.9."""
    counts: Counter[tuple[str, ...]] = Counter()
    for path in paths:
        held = set()
        for size in range(1, most_states + 1):
            for places in itertools.combinations(range(len(path.names)), size):
                pairs = list(itertools.pairwise(places))
                near = max_gap is None or all(b - a <= max_gap for a, b in pairs)
                if near and (
                    max_time is None
                    or all(path.items[b].time - path.items[a].time <= max_time for a, b in pairs)
                ):
                    held.add(tuple(path.names[i] for i in places))
        counts.update(held)
    return {pattern: count for pattern, count in counts.items() if count >= least}


def closed(patterns: dict[tuple[str, ...], int]) -> dict[tuple[str, ...], int]:
    """Leave out what a longer pattern holds that is as frequent. D8.9."""
    return {
        one: count
        for one, count in patterns.items()
        if not any(
            count == other and len(longer) > len(one) and holds(longer, one)
            for longer, other in patterns.items()
        )
    }


def holds(longer: Sequence[str], shorter: Sequence[str]) -> bool:
    """Whether the names of one come in the other, in this order."""
    left = iter(longer)
    return all(name in left for name in shorter)
