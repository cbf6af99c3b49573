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
