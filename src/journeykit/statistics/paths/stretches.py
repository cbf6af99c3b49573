"""The stretches of the paths of one shard that a question counts: whole paths, cut ones, windows. D8.5 to D8.7."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.journeys.journeys import Journeys
from journeykit.patterns.matchers import symbols_of
from journeykit.protocol import CELL, Cells, Tables
from journeykit.statistics.base import UNITS_TABLE, place_of
from journeykit.statistics.cleaning import cleaned
from journeykit.statistics.paths.table import HASHED, bits_per_code, table_places
from journeykit.statistics.units import count_units
from journeykit.support.exchange import cut_bytes
from journeykit.support.slices import offsets, places_of

if TYPE_CHECKING:
    from journeykit.statistics.paths.top_paths import TopPaths

Int64s = npt.NDArray[np.int64]
NO_MARKS = np.empty(0, np.bool_)
BLOCK_PATHS = 1 << 15
"""Of the groups that are counted together, about."""


class Counted(NamedTuple):
    """What a shard has of every stretch, cell by cell.

    Attributes
    ----------
    keys, cells : numpy.ndarray
        Which stretch, of which cell.
    starts, sizes : numpy.ndarray
        Where one of them is, and how many events it has; of whole paths, only if the key is a hash.
    counts, paths, users : numpy.ndarray of int64
        How often it is there, in how many paths, of how many users.
    took : numpy.ndarray of int64
        The microseconds of all of them.
    converted : numpy.ndarray of int64
        The paths with it that have a goal; empty without goals.
    """

    keys: npt.NDArray[np.uint64]
    cells: npt.NDArray[np.integer[Any]]
    starts: Int64s
    sizes: npt.NDArray[np.int32]
    counts: Int64s
    paths: Int64s
    users: Int64s
    took: Int64s
    converted: Int64s

    def head(self, rows: int) -> Counted:
        """Return the first rows, without the room for more: tallies of many shards wait to be added."""
        kept = {id(column): column[:rows].copy() for column in self}
        return Counted._make(kept[id(column)] for column in self)


class Stretches:
    """The stretches of one shard, and the room to count them in."""

    def __init__(self, statistic: TopPaths, shard: Journeys, cells: Cells) -> None:
        self.statistic = statistic
        paths = shard.paths(statistic.unit)
        codes = shard.states(statistic.of, statistic.unit)
        staged = statistic.of == "stage"
        matches = statistic.matches
        symbols, masks = symbols_of(shard, list(matches.values()), statistic.of, statistic.unit)
        self.marks = {role: masks >> np.uint64(bit) & np.uint64(1) > 0 for bit, role in enumerate(matches)}
        self.whole, self.whole_symbols = paths, symbols
        self.path_cells = cells.of(paths, statistic.unit)
        self.bounds = np.array([0, paths.n_users]) if cells.groups is None else cells.groups.bounds
        if staged or statistic.collapse_repeats:
            collapse = statistic.collapse_repeats
            paths, codes, symbols = cleaned(paths, codes, symbols, skip_zero=staged, collapse=collapse)
        self.paths, self.codes, self.symbols = paths, codes, symbols
        names = ["", *shard.stage_names] if staged else shard.names.to_list()
        self.bits = bits_per_code(len(names))
        self.firsts, self.lasts = self._cut()
        self.size = statistic.length or 0

    def _cut(self) -> tuple[Any, Any]:
        """Return where the stretch of every path begins and ends."""
        paths = self.paths
        start, end = (self.marks.get(role, NO_MARKS) for role in ("start", "end"))
        if not (start.size or end.size or self.statistic.max_length):
            return paths.starts, paths.ends
        firsts, lasts = paths.starts.copy(), paths.ends.copy()
        if start.size or end.size:
            from journeykit.kernels.paths.paths import anchor_paths

            last_start = self.statistic.occurrence == "last"
            anchor_paths(paths.starts, paths.ends, self.symbols, start, end, last_start, firsts, lasts)
        if self.statistic.max_length is not None:
            longest = firsts + self.statistic.max_length
            if not self.statistic.prefix:
                self.path_cells = self.path_cells * 2 + (lasts > longest)
            lasts = np.minimum(lasts, longest)
        return firsts, lasts

    @property
    def doubled(self) -> bool:
        """Whether cells also tell cut paths from whole ones."""
        return self.statistic.max_length is not None and not self.statistic.prefix

    def tables(self) -> Tables:
        """Count the stretches, and the units that they are of."""
        from journeykit.kernels.paths.paths import mark_paths

        goals = self.marks.get("goal", NO_MARKS)
        won = np.zeros(self.paths.n_paths if goals.size else 0, np.bool_)
        if won.size:
            # Of the paths as they are: in a run that is one event, any of its events may be the goal.
            mark_paths(self.whole.starts, self.whole.ends, self.whole_symbols, goals, won)
        counted = self._windows(won) if self.size else self._whole_paths(won)
        return {"paths": self._frame(counted), UNITS_TABLE: self._units()}

    def _whole_paths(self, won: npt.NDArray[np.bool_]) -> Counted:
        """Count paths block by block, and part by part, so that what is at work stays in the cache."""
        from journeykit.kernels.paths.path_parts import PART_BITS, count_parted, part_paths

        paths, n, blocks = self.paths, self.paths.n_paths, self._blocks()
        uncut = self.firsts is paths.starts and paths.gapless
        most = int(np.diff(paths.user_paths[blocks]).max(initial=0))
        bounds, parted = np.empty((1 << PART_BITS) + 1, np.int64), np.empty((most, 4), np.int64)
        keys, cells, starts, counts, in_all, took = (
            np.empty(n, kind) for kind in (np.uint64, np.int32, *[np.int64] * 4)
        )
        sizes, owners = np.empty(n, np.int32), np.empty(n, np.int32)
        converted = np.zeros(n if self.statistic.goal else 0, np.int64)
        rows = 0
        for first, last in pairwise(blocks.tolist()):
            own = slice(*paths.user_paths[[first, last]])
            user_paths = paths.user_paths[first : last + 1] - own.start
            room = (self.firsts[own], self.lasts[own])
            path_keys = self._keys(user_paths, *room, uncut=uncut)
            part_paths(user_paths, room, paths.times, self.path_cells[own], path_keys, bounds, parted)
            places = np.empty(table_places(int(np.diff(bounds).max())), np.int32)
            found = tuple(column[rows:] for column in (keys, cells, starts, sizes, owners))
            sums = tuple(column[rows:] for column in (counts, in_all, took, converted))
            rows += int(count_parted(bounds, parted, room, self.codes, won[own], places, found, sums))
        return Counted(keys, cells, starts, sizes, counts, counts, in_all, took, converted).head(rows)

    def _blocks(self) -> Int64s:
        """Return where blocks of whole groups of users begin, and the end: so few paths that they stay in the cache."""
        paths = self.paths.user_paths[self.bounds]
        kept = np.flatnonzero(np.diff(paths // BLOCK_PATHS) > 0) + 1
        return np.unique([0, *self.bounds[kept], self.paths.n_users])

    def _windows(self, won: npt.NDArray[np.bool_]) -> Counted:
        """Count windows group by group, so that what is at work stays in the cache."""
        from journeykit.kernels.paths import paths as kernels

        paths, windows = self.paths, np.maximum(self.lasts - self.firsts - self.size + 1, 0)
        before = offsets(windows)[paths.user_paths[self.bounds]]
        most = int(before[-1])
        places = np.zeros(table_places(int(np.diff(before).max(initial=0))) + 1, np.int32)
        table, sizes = np.empty((most, 8), np.int64), np.empty(most, np.int32)
        converted = np.zeros(most if self.statistic.goal else 0, np.int64)
        for first, last in pairwise(self.bounds.tolist()):
            places[:-1] = 0
            kernels.count_windows(
                paths.user_paths[first : last + 1], (self.firsts, self.lasts), self.codes, paths.times,
                self.path_cells, (self.size, self.bits), won, (sizes, converted), places, table,
            )  # fmt: skip
        rows = int(places[-1])
        wanted = (kernels.FIRST, kernels.COUNT, kernels.PATHS, kernels.USERS, kernels.TIME_SUM)
        starts, counts, in_paths, users, took = (table[:, column] for column in wanted)
        keys, cells = table[:rows, kernels.KEY].astype(np.uint64), table[:rows, kernels.CELL].copy()
        return Counted(keys, cells, starts, sizes, counts, in_paths, users, took, converted).head(rows)

    def _keys(
        self, user_paths: Int64s, firsts: Int64s, lasts: Int64s, *, uncut: bool
    ) -> npt.NDArray[np.uint64]:
        """Return the key of every path of some users; whether none is cut or empty, so that they lie side by side."""
        from journeykit.kernels.paths import paths as kernels
        from journeykit.kernels.paths.ends import mark_ends

        keys = np.empty(firsts.size + 1, np.uint64)
        if not (uncut and firsts.size):
            kernels.key_paths(firsts, lasts, self.codes, self.bits, keys)
            return keys
        marks = np.empty(int(lasts[-1] - firsts[0]), np.uint8)
        mark_ends(user_paths, lasts, int(firsts[0]), marks)
        kernels.key_whole_paths(marks, firsts, lasts, self.codes, self.bits, keys)
        return keys

    def _frame(self, counted: Counted) -> pl.DataFrame:
        cells = counted.cells
        cut = cells % 2 == 1 if self.doubled else np.zeros(cells.size, np.bool_)
        columns = {
            CELL: (cells // 2 if self.doubled else cells).astype(np.int32, copy=False),
            "key": counted.keys,
            "codes": self._texts(counted.keys >= HASHED, counted.starts, counted.sizes),
            "cut": cut,
            "count": counted.counts,
            "paths": counted.paths,
            "users": counted.users,
            "time_sum": counted.took,
        }
        return pl.DataFrame(columns | ({"converted": counted.converted} if self.statistic.goal else {}))

    def _texts(self, hashed: Any, starts: Any, sizes: Any) -> pl.Series:
        """Return the codes of hashed stretches as bytes, four per code; null for the others."""
        rows = np.flatnonzero(hashed)
        codes = self.codes[places_of(starts[rows], sizes[rows])].astype(np.uint32)
        texts = cut_bytes(codes.tobytes(), offsets(sizes[rows]) * 4)
        place = pl.Series(np.cumsum(hashed) - 1).set(pl.Series(~hashed), None)
        return texts.gather(place).alias("codes")

    def _units(self) -> pl.DataFrame:
        cells = self.path_cells // 2 if self.doubled else self.path_cells
        counted = self.lasts > self.firsts
        units = count_units(self.paths, cells, counted)
        if self.firsts is self.paths.starts:
            return units.with_columns(lost=pl.lit(0, pl.Int64))
        lost = count_units(self.paths, cells, (self.paths.lengths > 0) & ~counted)
        joined = units.join(lost.select(CELL, lost="paths"), on=CELL, how="full", coalesce=True)
        return joined.with_columns(pl.exclude(CELL).fill_null(0)).sort(CELL)

    def durations(self, shown: pl.DataFrame, per_group: int) -> pl.DataFrame:
        """Count the durations of the shown stretches: the row shown, a duration, how often.

        A row has its own cell, so that the first cell of its group stands for all of them.
        """
        from journeykit.kernels.paths.paths import durations_of

        paths = self.paths
        distinct = shown.select("key", "path").unique(maintain_order=True).sort("key")
        codes = np.array([code for path in distinct["path"].to_list() for code in path], np.uint32)
        bounds = offsets(distinct["path"].list.len().to_numpy())
        rows = np.full((per_group * (2 if self.doubled else 1), distinct.height), -1, np.int32)
        cells = (
            shown[CELL].to_numpy() * 2 + shown["cut"].to_numpy() if self.doubled else shown[CELL].to_numpy()
        )
        rows[cells, place_of(shown, distinct, ["key", "path"])] = np.arange(shown.height)
        most = int(np.maximum(self.lasts - self.firsts, 1).sum()) if self.size else paths.n_paths
        found, durations = np.empty(most, np.int64), np.empty(most, np.int64)
        known = (distinct["key"].to_numpy(), bounds, codes, rows, shown.height)
        room = (self.firsts, self.lasts)
        n = durations_of(
            paths.user_paths,
            self.codes,
            paths.times,
            self.path_cells,
            self.size,
            self.bits,
            room,
            known,
            found,
            durations,
        )
        listed = pl.DataFrame({"row": found[:n], "duration": durations[:n]})
        counted = listed.group_by("row", "duration").agg(pl.len().cast(pl.Int64).alias("count"))
        group, row = pl.col("row") // shown.height, pl.col("row") % shown.height
        return counted.select((group * per_group).cast(pl.Int32).alias(CELL), row, pl.exclude("row"))
