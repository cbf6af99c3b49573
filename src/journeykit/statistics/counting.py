"""Room for the kernels to count in: rows by key, dense where keys are few, else through a hash table."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]

DENSE_NUMBERS = 1 << 21


class CountingRows(NamedTuple):
    """Rows of numbers, found by key.

    Attributes
    ----------
    keys, rows : numpy.ndarray of int64 and int32
        A hash table from key to row, or empty when the key is the row. Of two types, so that the compiler knows
        that they do not overlap: a kernel is then twice as fast.
    table : numpy.ndarray, rows x columns
        What is counted: int64 unless asked otherwise, eight columns, one cache line a row. The first column is not 0
        in a row that was met.
    """

    keys: Int64s
    rows: npt.NDArray[np.int32]
    table: npt.NDArray[Any]

    @classmethod
    def make(
        cls, possible: int, met_at_most: int, columns: int = 8, dtype: type[np.number[Any]] = np.int64
    ) -> CountingRows:
        """Make room for `possible` keys from 0 on, of which at most `met_at_most` will be met."""
        dense = possible * columns <= DENSE_NUMBERS
        count = possible if dense else min(possible, met_at_most)
        table = np.zeros((max(count, 1), columns), dtype)
        if dense:
            return cls(np.empty(0, np.int64), np.empty(0, np.int32), table)
        places = 1 << max(4, (2 * count).bit_length())
        return cls(np.zeros(places + 1, np.int64), np.zeros(places, np.int32), table)

    def found(self) -> tuple[Int64s, npt.NDArray[Any]]:
        """Return the keys that were met, and their rows of the table."""
        keys, rows = self.places()
        return keys, self.table[rows]

    def places(self) -> tuple[Int64s, Int64s]:
        """Return the keys that were met, and where their rows are in the table."""
        if self.rows.size == 0:
            met = np.flatnonzero(self.table[:, 0])
            return met, met
        used = np.flatnonzero(self.keys[:-1])
        return self.keys[used] - 1, self.rows[used].astype(np.int64)
