"""The users of one shard as the kernels of activity take them: retention, lifecycle, stickiness, active users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.journeys.journeys import Journeys
from journeykit.mathematics.intervals import GroupSums
from journeykit.patterns.matchers import Match, MatchLike, as_match, check_matches, symbols_of
from journeykit.protocol import CELL, GROUP, Cells, Context
from journeykit.statistics.base import Answer, Statistic, place_of
from journeykit.statistics.periods import Between, WeekStart, check_periods, check_range
from journeykit.support.unknown_names import Missing

Int64s = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
A = TypeVar("A", bound=Answer)


class ByPeriod(Statistic[A]):
    """What questions about users active by period share: the event that is meant, the periods, and their range."""

    event: MatchLike | None
    period: str
    week_start: WeekStart
    between: Between
    missing: Missing

    def check(self, context: Context) -> None:
        """Refuse names and properties that the journeys do not have, and too many periods."""
        check_matches([self._match], "event", self.missing, context)
        check_range(self.between, self.period, context)

    @property
    def _match(self) -> Match:
        return Match() if self.event is None else as_match(self.event, "event")

    def _settle(self) -> None:
        """Bring what was given into one form, and refuse periods that are none."""
        if self.event is not None:
            object.__setattr__(self, "event", self._match)
        check_periods(self.period, self.week_start, self.between)
        if self.between is not None:
            object.__setattr__(self, "between", tuple(self.between))


@dataclass(frozen=True, eq=False)
class Activity:
    """All events of the users of one shard, and which of them are meant.

    Attributes
    ----------
    starts, ends : numpy.ndarray of int64
        The events of every user of the shard.
    times, codes, masks : numpy.ndarray
        Of all shards: when, which symbol, and by symbol which matchers fit, a bit each; no masks where all fit.
    cells : numpy.ndarray of int32
        The cell of every user.
    cell_count : int
        How many cells there are.
    """

    starts: Int64s
    ends: Int64s
    times: Int64s
    codes: npt.NDArray[np.unsignedinteger[Any]]
    masks: npt.NDArray[np.uint8]
    cells: Int32s
    cell_count: int

    @classmethod
    def of(cls, shard: Journeys, cells: Cells, matches: Sequence[Match]) -> Activity:
        """Take the users of a shard; at most eight matchers."""
        paths = shard.paths("user")
        codes, masks = paths.codes, np.empty(0, np.uint8)
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


class Gridded(NamedTuple):
    """The counts of a tally in every place of every cell, zeros too.

    Attributes
    ----------
    table : polars.DataFrame
        The tally, by cell, group and place.
    key : str
        The place's number.
    frame : polars.DataFrame
        ``cell``, the key, and the totals: one row per cell that is shown and place.
    """

    table: pl.DataFrame
    key: str
    frame: pl.DataFrame

    @classmethod
    def of(cls, table: pl.DataFrame, key: str, places: Int64s, context: Context) -> Gridded:
        """Add up a tally in some places; without ``by=`` and ``every=`` the one cell is shown in any case."""
        cells = table[CELL].unique().sort()
        if context.labels.width == 0:
            cells = pl.Series(CELL, [0], dtype=pl.Int32)
        numbers = pl.DataFrame({key: pl.Series(places, dtype=pl.Int32)})
        totals = table.drop(GROUP).group_by(CELL, key).sum()
        grid = cells.to_frame().join(numbers, how="cross", maintain_order="left_right")
        frame = grid.join(totals, on=[CELL, key], how="left", maintain_order="left").fill_null(0)
        return cls(table.join(numbers, on=key, how="semi", maintain_order="left"), key, frame)

    def sums(self, *columns: str) -> GroupSums:
        """Return the parts of the sum of some columns by group, in the order of the frame."""
        place = place_of(self.table, self.frame, [CELL, self.key])
        total = self.table.select(pl.sum_horizontal(*columns)).to_series()
        return GroupSums.of(self.frame.height, place, self.table[GROUP].to_numpy(), total.to_numpy())

    def groups(self) -> dict[int, int]:
        """Return how many jackknife groups have users, by cell."""
        counts = dict(self.table.group_by(CELL).agg(pl.col(GROUP).n_unique()).iter_rows())
        return {cell: int(counts.get(cell, 0)) for cell in self.frame[CELL].unique()}
