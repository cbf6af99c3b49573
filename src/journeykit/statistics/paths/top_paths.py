"""The most frequent paths: whole, cut at anchors, or windows of n events. DEFINITIONS D8.5 to D8.7."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError
from journeykit.journeys.journeys import Journeys
from journeykit.paths import Unit
from journeykit.protocol import CELL, Cells, Context, Tables
from journeykit.statistics.base import UNITS_TABLE, Statistic, place_of
from journeykit.statistics.checks import check_choices, check_names
from journeykit.statistics.cleaning import cleaned
from journeykit.statistics.distribution import checked_quantiles
from journeykit.statistics.paths.table import PathTable, Shown, bits_per_code, path_table, shown_paths
from journeykit.statistics.units import count_units
from journeykit.support.exchange import cut_bytes
from journeykit.support.unknown_names import Missing

Names = str | Sequence[str] | None
HASHED = np.uint64(1 << 63)


@dataclass(frozen=True)
class TopPaths(Statistic[PathTable]):
    """Find the most frequent paths. D8.5, D8.7.

    Parameters
    ----------
    n : int or None
        How many rows per segment; None for all.
    of : {"event", "stage"}
        What a path is made of. Events before the first stage are left out of a stage path.
    unit : {"session", "user"}
        What a path is.
    length : int, optional
        Count windows of so many events in a row instead of whole paths (n-grams); they may overlap.
    start, end : str or sequence of str, optional
        Cut each path before its first `start` and after the first `end` behind it; paths without are left
        out and counted in the notes. D3.4.
    occurrence : {"first", "last"}
        Which `start` counts.
    max_length : int, optional
        Cut longer paths after so many events; their last name is ``...``.
    prefix : bool
        With `max_length`: count equal beginnings, whether the path goes on or not.
    collapse_repeats : bool
        Whether a run of one name is one event.
    goal : str or sequence of str, optional
        Adds the share of the paths with the row that hold a goal anywhere.
    quantiles : sequence of float
        Which percentiles of the duration to add, such as ``(0.5,)`` for the median; they cost a second pass.
    missing : {"raise", "ignore", "warn"}
        What to do with names that the log does not have. D0.9.

    Notes
    -----
    One pass, O(n); exact: a path of up to 63 bits of codes is its own key, a longer one is found by a hash and told
    apart by its codes. Intervals, for the rows shown, by the jackknife.

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({"user": [1, 1, 2, 2, 3], "time": [0, 9, 0, 9, 0], "event": ["a", "b", "a", "b", "a"]})
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> journeys.measure(TopPaths(2)).frame.select("path", "count", "cumulative_share").rows()
    [(['a', 'b'], 2, 0.6666666666666666), (['a'], 1, 1.0)]
    """

    n: int | None = 20
    of: Literal["event", "stage"] = "event"
    unit: Unit = "session"
    length: int | None = None
    start: Names = None
    end: Names = None
    occurrence: Literal["first", "last"] = "first"
    max_length: int | None = None
    prefix: bool = False
    collapse_repeats: bool = False
    goal: Names = None
    quantiles: Sequence[float] = ()
    missing: Missing = "raise"

    tables: ClassVar[Mapping[str, Sequence[str]]] = {"paths": ("key", "codes", "cut"), UNITS_TABLE: ()}

    def __post_init__(self) -> None:
        check_choices(self)
        for parameter in ("n", "length", "max_length"):
            value = getattr(self, parameter)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ParameterError(f"{parameter} must be a whole number from 1 on, not {value!r}.")
        if self.length is not None and self.max_length is not None:
            raise ParameterError("length counts windows and max_length cuts whole paths: pass one of them.")
        if self.prefix and self.max_length is None:
            raise ParameterError("prefix counts equal beginnings of max_length events. Pass max_length too.")
        object.__setattr__(self, "quantiles", checked_quantiles(self.quantiles))
        for parameter in ("start", "end", "goal"):
            value = getattr(self, parameter)
            if value is not None:
                object.__setattr__(self, parameter, (value,) if isinstance(value, str) else tuple(value))

    def check(self, context: Context) -> None:
        """Refuse anchors and goals that the journeys do not have."""
        check_names(
            self.of, [*(self.start or ()), *(self.end or ()), *(self.goal or ())], self.missing, context
        )

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the paths of one shard by key."""
        return _Stretches(self, shard, cells).tables()

    def follow_up(self, tables: Tables, context: Context) -> Statistic[PathTable] | None:
        """Ask for the durations of the rows that will be shown, where their percentiles are wanted."""
        if not self.quantiles:
            return None
        return _ShownPaths(self, shown_paths(self, tables["paths"], context))

    def answer(self, tables: Tables, context: Context) -> PathTable:
        """Turn counts into shares, for the most frequent paths."""
        return path_table(self, shown_paths(self, tables["paths"], context), tables, context)


class _Stretches:
    """The stretches of one shard, and the room to count them in."""

    def __init__(self, statistic: TopPaths, shard: Journeys, cells: Cells) -> None:
        self.statistic = statistic
        paths = shard.paths(statistic.unit)
        codes = shard.states(statistic.of, statistic.unit)
        staged = statistic.of == "stage"
        self.path_cells = cells.of(paths, statistic.unit)
        self.bounds = np.array([0, paths.n_users]) if cells.groups is None else cells.groups.bounds
        if staged or statistic.collapse_repeats:
            none = np.empty(0, np.int32)
            paths, codes, _ = cleaned(
                paths, codes, none, skip_zero=staged, collapse=statistic.collapse_repeats
            )
        self.paths, self.codes = paths, codes
        names = ["", *shard.stage_names] if staged else shard.names.to_list()
        self.bits = bits_per_code(len(names))
        self.marks = {role: _marks(names, getattr(statistic, role)) for role in ("start", "end", "goal")}
        self.firsts, self.lasts = self._cut()
        self.size = statistic.length or 0

    def _cut(self) -> tuple[Any, Any]:
        """Return where the stretch of every path begins and ends."""
        paths = self.paths
        if not (self.marks["start"].size or self.marks["end"].size or self.statistic.max_length):
            return paths.starts, paths.ends
        firsts, lasts = paths.starts.copy(), paths.ends.copy()
        if self.marks["start"].size or self.marks["end"].size:
            from journeykit.kernels.paths import anchor_paths

            last_start = self.statistic.occurrence == "last"
            anchor_paths(
                paths.starts,
                paths.ends,
                self.codes,
                self.marks["start"],
                self.marks["end"],
                last_start,
                firsts,
                lasts,
            )
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
        """Count group by group, so that what is at work stays in the cache."""
        from journeykit.kernels import paths as kernels

        paths, lengths = self.paths, self.lasts - self.firsts
        won = np.zeros(paths.starts.size if self.marks["goal"].size else 0, np.bool_)
        if won.size:
            kernels.mark_paths(paths.starts, paths.ends, self.codes, self.marks["goal"], won)
        stretches = np.maximum(lengths - self.size + 1, 0) if self.size else lengths > 0
        before = np.concatenate([[0], stretches.cumsum(dtype=np.int64)])[paths.user_paths[self.bounds]]
        room = _Room(int(before[-1]), int(np.diff(before).max(initial=0)), goal=bool(self.statistic.goal))
        keys = np.empty(0, np.uint64) if self.size else self._keys()
        for first, last in pairwise(self.bounds.tolist()):
            room.places[:-1] = 0
            own, rooms = paths.user_paths[first : last + 1], (self.firsts, self.lasts)
            columns = (own, rooms, self.codes, paths.times, self.path_cells)
            counted = (won, (room.lengths, room.converted), room.places, room.table)
            if self.size:
                kernels.count_windows(*columns, (self.size, self.bits), *counted)
            else:
                kernels.count_whole_paths(*columns, keys, *counted)
        return {"paths": self._frame(*room.taken()), UNITS_TABLE: self._units()}

    def _keys(self) -> npt.NDArray[np.uint64]:
        """Return the key of every path."""
        from journeykit.kernels import paths as kernels
        from journeykit.kernels.ends import mark_ends

        paths, keys = self.paths, np.empty(self.paths.n_paths + 1, np.uint64)
        if self.firsts is not paths.starts or not paths.gapless:
            kernels.key_paths(self.firsts, self.lasts, self.codes, self.bits, keys)
            return keys
        marks = np.empty(paths.events.stop - paths.events.start, np.uint8)
        mark_ends(paths.user_paths, paths.ends, paths.events.start, marks)
        kernels.key_whole_paths(marks, paths.starts, paths.ends, self.codes, self.bits, keys)
        return keys

    def _frame(self, keys: Any, cells: Any, sizes: Any, table: Any, converted: Any) -> pl.DataFrame:
        from journeykit.kernels import paths as kernels

        cut = cells % 2 == 1 if self.doubled else np.zeros(cells.size, np.bool_)
        cells = cells // 2 if self.doubled else cells
        count = pl.Series("count", table[:, kernels.COUNT])
        columns = {
            CELL: cells.astype(np.int32),
            "key": keys,
            "codes": self._texts(keys >= HASHED, table[:, kernels.FIRST], sizes),
            "cut": cut,
            "count": count,
            "paths": table[:, kernels.PATHS] if self.size else count,
            "users": table[:, kernels.USERS],
            "time_sum": table[:, kernels.TIME_SUM],
        }
        return pl.DataFrame(columns | ({"converted": converted} if self.statistic.goal else {}))

    def _texts(self, hashed: Any, starts: Any, sizes: Any) -> pl.Series:
        """Return the codes of hashed stretches as bytes, four per code; null for the others."""
        if not hashed.any():
            return pl.Series("codes", [None], dtype=pl.Binary).new_from_index(0, hashed.size)
        begins = np.concatenate([[0], np.where(hashed, sizes, 0).cumsum(dtype=np.int64)])
        events = np.repeat(starts[hashed] - begins[:-1][hashed], sizes[hashed]) + np.arange(begins[-1])
        codes = self.codes[events].astype(np.uint32)
        texts = cut_bytes(codes.tobytes(), begins * 4).alias("codes")
        return texts.zip_with(pl.Series(hashed), pl.Series([None], dtype=pl.Binary))

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
        from journeykit.kernels.paths import durations_of

        paths = self.paths
        distinct = shown.select("key", "path").unique(maintain_order=True).sort("key")
        codes = np.array([code for path in distinct["path"].to_list() for code in path], np.uint32)
        offsets = np.concatenate([[0], distinct["path"].list.len().to_numpy().cumsum()]).astype(np.int64)
        rows = np.full((per_group * (2 if self.doubled else 1), distinct.height), -1, np.int32)
        cells = (
            shown[CELL].to_numpy() * 2 + shown["cut"].to_numpy() if self.doubled else shown[CELL].to_numpy()
        )
        rows[cells, place_of(shown, distinct, ["key", "path"])] = np.arange(shown.height)
        most = int(np.maximum(self.lasts - self.firsts, 1).sum()) if self.size else paths.n_paths
        found, durations = np.empty(most, np.int64), np.empty(most, np.int64)
        known = (distinct["key"].to_numpy(), offsets, codes, rows, shown.height)
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


class _Room:
    """Where the stretches of a shard are counted: rows that follow each other, found by places, group by group."""

    def __init__(self, most: int, most_at_once: int, *, goal: bool) -> None:
        self.places = np.zeros((1 << max(4, (2 * most_at_once).bit_length())) + 1, np.int32)
        self.table, self.lengths = np.empty((most, 8), np.int64), np.empty(most, np.int32)
        self.converted = np.zeros(most if goal else 0, np.int64)

    def taken(self) -> tuple[Any, ...]:
        """Return keys, cells, lengths, counts and conversions of all rows."""
        from journeykit.kernels import paths as kernels

        table = self.table[: int(self.places[-1])]
        n = table.shape[0]
        keys, cells = table[:, kernels.KEY].astype(np.uint64), table[:, kernels.CELL].copy()
        return keys, cells, self.lengths[:n], table, self.converted[:n]


@dataclass(frozen=True)
class _ShownPaths(Statistic[PathTable]):
    """The second question: how long the shown paths take."""

    statistic: TopPaths
    shown: Shown

    tables: ClassVar[Mapping[str, Sequence[str]]] = {"durations": ("row", "duration")}

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the durations of one shard."""
        return {
            "durations": _Stretches(self.statistic, shard, cells).durations(self.shown.rows, cells.per_group)
        }

    def answer(self, tables: Tables, context: Context) -> PathTable:
        """Turn both tallies into the answer."""
        return path_table(self.statistic, self.shown, tables, context)


def _marks(names: Sequence[str], wanted: Sequence[str] | None) -> npt.NDArray[np.bool_]:
    """Mark the codes of wanted names; empty if none are wanted."""
    if wanted is None:
        return np.empty(0, np.bool_)
    return np.isin(np.array(names, dtype=object), list(wanted))
