"""PrefixSpan over distinct sequences with weights, the most frequent patterns first. DEFINITIONS D8.9."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sequences:
    """Distinct sequences of states (in the order of their names), and how many paths each one stands for.

    Attributes
    ----------
    codes : numpy.ndarray of int64
        The states of all sequences, one after another.
    starts, ends : numpy.ndarray of int64
        Where each sequence stands in them.
    weights : numpy.ndarray of int64
        How many paths it stands for.
    states : int
        How many states there are.
    until : numpy.ndarray of int64, optional
        For every event, where the events end that may come next in a pattern; without it, with the sequence.
    """

    codes: Int64s
    starts: Int64s
    ends: Int64s
    weights: Int64s
    states: int
    until: Int64s | None = None


@dataclass(frozen=True)
class Limits:
    """What a pattern must fulfil."""

    least: int
    most_states: int
    closed: bool


class Found(NamedTuple):
    """A pattern: sorted by support, then by names."""

    negative_support: int
    pattern: tuple[int, ...]
    sequences: Int64s
    places: Int64s


def patterns(log: Sequences, limits: Limits) -> Iterator[Found]:
    """Yield the patterns in the order of D0.4: a longer one is never before its own beginning.

    Closed patterns are known one by one, by BIDE: a pattern is closed where no state can be put into it at one
    place in all sequences that hold it; where one can be put in before its end, as early as it may stand, nothing
    that begins with the pattern is closed.

    References
    ----------
    Pei et al. 2004, IEEE Transactions on Knowledge and Data Engineering 16(11): the projected databases. Wang & Han
    2004, ICDE: BIDE.
    """
    growing, insertions = _Growing(log, limits.least), _Insertions(log)
    heap = growing.children(Found(0, (), np.arange(log.starts.size), log.starts - 1))
    heapq.heapify(heap)
    while heap:
        found = heapq.heappop(heap)
        held = limits.closed and insertions.anywhere(found)
        if not held:
            yield found
        # A pattern into which nothing fits anywhere has no room before its end either.
        if len(found.pattern) < limits.most_states and not (held and insertions.before_end(found)):
            for child in growing.children(found):
                heapq.heappush(heap, child)


class _Growing:
    """The room in which patterns grow by one state."""

    def __init__(self, log: Sequences, least: int) -> None:
        self.log, self.least, self.stamp = log, least, 1
        self.seen = np.zeros(log.states, np.int64)

    def children(self, parent: Found) -> list[Any]:
        """Return the patterns that are one state longer and frequent enough."""
        from journeykit.kernels.paths.prefixes import count_next, extend

        log, support = self.log, np.zeros(self.log.states, np.int64)
        until = log.ends[parent.sequences]
        if log.until is not None and parent.pattern:
            until = log.until[parent.places]
        at = (log.codes, until, parent.sequences, parent.places)
        count_next(*at, log.weights, self.stamp, self.seen, support)
        self.stamp += log.starts.size
        every, children = log.until is not None, []
        for state in np.flatnonzero(support >= self.least).tolist():
            room = self._room(parent, every)
            sequences, places = np.empty(room, np.int64), np.empty(room, np.int64)
            n = extend(*at, state, every, sequences, places)
            pattern = (*parent.pattern, state)
            children.append(Found(-int(support[state]), pattern, sequences[:n].copy(), places[:n].copy()))
        return children

    def _room(self, parent: Found, every: bool) -> int:
        if not every:
            return parent.sequences.size
        met = np.unique(parent.sequences)
        return int((self.log.ends[met] - self.log.starts[met]).sum())


class _Insertions:
    """Whether a state can be put into a pattern so that no sequence is lost. Patterns have their first places."""

    def __init__(self, log: Sequences) -> None:
        self.log, self.base = log, 1
        self.met = np.zeros(log.states, np.int64)

    def anywhere(self, found: Found) -> bool:
        """Say so for every place, the one after the last state too: then the pattern is not closed."""
        ends = self.log.ends[found.sequences]
        return self._fits(found.places + 1, ends) or self._fits_between(found, ends)

    def before_end(self, found: Found) -> bool:
        """Say so for the places within the first occurrence of the pattern: then nothing that it begins is closed."""
        return self._fits_between(found, found.places + 1)

    def _fits_between(self, found: Found, ends: Int64s) -> bool:
        from journeykit.kernels.paths.prefixes import place_pattern

        log, shape = self.log, (found.sequences.size, len(found.pattern))
        firsts, lasts = np.empty(shape, np.int64), np.empty(shape, np.int64)
        pattern = np.array(found.pattern, np.int64)
        place_pattern(log.codes, log.starts, ends, found.sequences, pattern, firsts, lasts)
        begins = np.concatenate([log.starts[found.sequences][:, None], firsts[:, :-1] + 1], axis=1)
        return any(self._fits(begins[:, i].copy(), lasts[:, i].copy()) for i in range(shape[1]))

    def _fits(self, begins: Int64s, ends: Int64s) -> bool:
        from journeykit.kernels.paths.prefixes import fits_everywhere

        base, self.base = self.base, self.base + begins.size + 1
        return bool(fits_everywhere(self.log.codes, begins, ends, base, self.met))
