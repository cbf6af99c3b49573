"""The users of one shard as the kernels of activity take them: retention, lifecycle, stickiness, active users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.journeys import Journeys
from journeykit.matchers import Match, symbols_of
from journeykit.protocol import CELL, Cells

Int64s = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
ANY = Match()
"""Every event."""


@dataclass(frozen=True, eq=False)
class Activity:
    """All events of the users of one shard, and which of them are meant.

    Attributes
    ----------
    starts, ends : numpy.ndarray of int64
        The events of every user of the shard.
    times, codes, masks : numpy.ndarray
        Of all shards: when, which symbol, and by symbol which matchers fit, a bit each; None where all fit.
    cells : numpy.ndarray of int32
        The cell of every user.
    cell_count : int
        How many cells there are.
    """

    starts: Int64s
    ends: Int64s
    times: Int64s
    codes: npt.NDArray[np.unsignedinteger[Any]] | None
    masks: npt.NDArray[np.uint8] | None
    cells: Int32s
    cell_count: int

    @classmethod
    def of(cls, shard: Journeys, cells: Cells, matches: Sequence[Match]) -> Activity:
        """Take the users of a shard; at most eight matchers."""
        paths = shard.paths("user")
        codes, masks = None, None
        if not all(match.by_name and not match.names for match in matches):
            symbols = symbols_of(shard, matches, "event", "user")
            codes, masks = symbols.codes, symbols.masks.astype(np.uint8)
        return cls(paths.starts, paths.ends, paths.times, codes, masks, cells.of(paths, "user"), cells.count)

    @property
    def events(self) -> tuple[Any, ...]:
        """The first arguments of every kernel of activity."""
        return self.starts, self.ends, self.times, self.codes, self.masks

    @property
    def users(self) -> tuple[Any, ...]:
        """The same with the cells."""
        return *self.events, self.cells


def as_frame(table: Int64s, keys: Sequence[str], columns: Sequence[str], first_cell: int = 0) -> pl.DataFrame:
    """Return the rows of a dense table that hold anything: ``cell``, the keys, and the columns of its last axis.

    Parameters
    ----------
    table : numpy.ndarray of int64
        Axes: cell, one per key, columns.
    keys, columns : sequence of str
        The names.
    first_cell : int
        The cell of the first row.
    """
    flat = table.reshape(-1, table.shape[-1])
    rows = np.flatnonzero(flat.any(axis=1))
    cell, *places = (place.astype(np.int32) for place in np.unravel_index(rows, table.shape[:-1]))
    counts = (flat[rows, i] for i in range(flat.shape[1]))
    named = zip((CELL, *keys, *columns), (cell + np.int32(first_cell), *places, *counts), strict=True)
    return pl.DataFrame([pl.Series(name, values) for name, values in named])
