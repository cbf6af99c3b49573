"""PrefixSpan over distinct sequences with weights, the most frequent patterns first. DEFINITIONS D8.9."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from journeykit.statistics.paths.walk import UNLIMITED

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sequences:
    """Distinct sequences of states (in the order of their names), and how many paths each one stands for."""

    codes: Int64s
    starts: Int64s
    ends: Int64s
    weights: Int64s
    states: int


@dataclass(frozen=True)
class Limits:
    """What a pattern must fulfil."""

    least: int
    most_states: int
    max_gap: int | None
    closed: bool


class Found(NamedTuple):
    """A pattern: sorted by support, then by names."""

    negative_support: int
    pattern: tuple[int, ...]
    sequences: Int64s
    places: Int64s

    @property
    def support(self) -> int:
        """How many paths hold it."""
        return -self.negative_support


def patterns(log: Sequences, limits: Limits) -> Iterator[Found]:
    """Yield the patterns in the order of D0.4: a longer one is never before its own beginning.

    References
    ----------
    Pei et al. 2004, IEEE Transactions on Knowledge and Data Engineering 16(11): the projected databases.
    """
    if not limits.closed:
        yield from _mined(log, limits)
        return
    for _, level in groupby(_mined(log, limits), key=lambda found: found.negative_support):
        same = list(level)
        shorter = {one.pattern[:i] + one.pattern[i + 1 :] for one in same for i in range(len(one.pattern))}
        for one in same:
            if one.pattern not in shorter and len(one.pattern) <= limits.most_states:
                yield one


def _mined(log: Sequences, limits: Limits) -> Iterator[Found]:
    """Yield every pattern, the most frequent first; one state longer than wanted where that says what is closed."""
    longest = limits.most_states + limits.closed
    growing = _Growing(log, limits)
    heap = growing.children(Found(0, (), np.arange(log.starts.size), log.starts - 1))
    heapq.heapify(heap)
    while heap:
        found = heapq.heappop(heap)
        yield found
        if len(found.pattern) < longest:
            for child in growing.children(found):
                heapq.heappush(heap, child)


class _Growing:
    """The room in which patterns grow by one state."""

    def __init__(self, log: Sequences, limits: Limits) -> None:
        self.log, self.limits, self.stamp = log, limits, 1
        self.seen = np.zeros(log.states, np.int64)

    def children(self, parent: Found) -> list[Any]:
        """Return the patterns that are one state longer and frequent enough."""
        from journeykit.kernels.prefixes import count_next, extend

        log, support = self.log, np.zeros(self.log.states, np.int64)
        gap = self.limits.max_gap if parent.pattern and self.limits.max_gap is not None else UNLIMITED
        at = (log.codes, log.ends, parent.sequences, parent.places)
        count_next(*at, log.weights, gap, self.stamp, self.seen, support)
        self.stamp += log.starts.size
        every, children = self.limits.max_gap is not None, []
        for state in np.flatnonzero(support >= self.limits.least).tolist():
            room = self._room(parent, every)
            sequences, places = np.empty(room, np.int64), np.empty(room, np.int64)
            n = extend(*at, state, gap, every, sequences, places)
            pattern = (*parent.pattern, state)
            children.append(Found(-int(support[state]), pattern, sequences[:n].copy(), places[:n].copy()))
        return children

    def _room(self, parent: Found, every: bool) -> int:
        if not every:
            return parent.sequences.size
        met = np.unique(parent.sequences)
        return int((self.log.ends[met] - self.log.starts[met]).sum())
