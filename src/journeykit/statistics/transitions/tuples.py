"""States of order k: the tuple of the last k states, numbered exactly. DEFINITIONS D4.3."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.paths import Paths
from journeykit.statistics.cleaning import cleaned
from journeykit.statistics.counting import CountingRows

Int64s = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]


class Tuples:
    """The tuples of one shard: a number for every event, and what each number stands for.

    The shard's events are first copied without the skipped and the repeated ones, so that neighbours are
    neighbours. Number t of level j is a pair (number of level j - 1 of the event before or -1, state).
    """

    def __init__(
        self, paths: Paths, states: Any, sessions: Int32s, order: int, *, skip_zero: bool, collapse: bool
    ) -> None:
        from journeykit.kernels.paths.transitions import number_tuples

        self.paths, states, self.sessions = cleaned(
            paths, states, sessions, skip_zero=skip_zero, collapse=collapse
        )
        ids: Any = states
        self.levels: list[tuple[Int64s, Int64s]] = []
        for _ in range(order - 1):
            counted = CountingRows.make(1 << 62, max(1, states.size))
            numbers = np.empty(states.size, np.int64)
            number_tuples(
                self.paths.starts, self.paths.ends, states, ids, counted.keys, counted.rows, numbers
            )
            used = np.flatnonzero(counted.keys[:-1])
            keys = (counted.keys[used] - 1)[np.argsort(counted.rows[used])]
            self.levels.append(((keys >> 32) - 1, keys & 0xFFFFFFFF))
            ids = numbers
        self.ids = ids
        self.count = self.levels[-1][0].size

    def last_state(self, numbers: Int64s) -> Int64s:
        """Return the last state of each tuple."""
        states = self.levels[-1][1]
        return states[numbers] if states.size else numbers

    def columns(self, numbers: Int64s) -> list[pl.Series]:
        """Return the states of each tuple, oldest first; null where it is shorter, as START is."""
        columns = []
        numbers = np.where(numbers < self.count, numbers, -1)
        for before, states in reversed(self.levels):
            columns.append(_looked_up(states, numbers))
            numbers = _looked_up(before, numbers)
        columns.append(numbers)
        series = [pl.Series(each, dtype=pl.Int64).cast(pl.Int32) for each in reversed(columns)]
        return [each.set(each < 0, None) for each in series]


def _looked_up(values: Int64s, numbers: Int64s) -> Int64s:
    if values.size == 0:
        return np.full(numbers.size, -1, np.int64)
    return np.where(numbers >= 0, values[np.maximum(numbers, 0)], -1)
