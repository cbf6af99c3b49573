"""Counting touches, their credit, and the chain that they form. DEFINITIONS D11."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError
from journeykit.journeys.journeys import Journeys
from journeykit.patterns.matchers import symbols_of
from journeykit.protocol import CELL, Cells, Tables
from journeykit.statistics.attribution.models import BY_CHAIN, BY_PLACE, TRANSFORMS, Weighing
from journeykit.statistics.base import UNITS_TABLE
from journeykit.statistics.counting import CountingRows
from journeykit.statistics.funnels.runs import Numbered, numbers_of
from journeykit.statistics.funnels.tally import floats_of
from journeykit.statistics.goals import longest
from journeykit.support.slices import offsets

if TYPE_CHECKING:
    from journeykit.statistics.attribution.attribution import Attribution

Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

BLOCK = 1 << 20
LARGEST_KEY = 1 << 62
UNITS = ("conversions", "null_paths", "value", "untouched", "untouched_value", "users", "converting_users")
NEXT, CONVERTED, LOST = range(3)
OUTCOMES = 3


@dataclass(frozen=True, eq=False)
class TouchPaths:
    """Touches in order, and the spans of them that lead to a conversion or to none.

    Attributes
    ----------
    codes, times : numpy.ndarray
        Of every touch: its channel, and microseconds since the epoch (empty where they are not known).
    firsts, lasts : numpy.ndarray of int64
        The first touch of every span, and the one after its last.
    cells : numpy.ndarray of int32
        Of every span.
    owners : numpy.ndarray of int64
        The user of every span, ascending; empty where there are none.
    conversions, nulls, values : numpy.ndarray of float64
        How many conversions and paths without one a span stands for, and their value (empty without values).
    open_cells : numpy.ndarray of int32
        The cells of the paths without a conversion that may still go on, which are left out.
    """

    codes: npt.NDArray[np.int32]
    times: Int64s
    firsts: Int64s
    lasts: Int64s
    cells: npt.NDArray[np.int32]
    owners: Int64s
    conversions: Floats
    nulls: Floats
    values: Floats
    open_cells: npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class PathColumns:
    """Paths of channels with their counts, one row each."""

    path: pl.Series
    conversions: Floats
    nulls: Floats
    values: Floats


class TouchCounts:
    """What is counted of touch paths, one after another."""

    def __init__(self, statistic: Attribution, channels: pl.Series, cells: int, most: int) -> None:
        self.statistic, self.channels, self.cells = statistic, channels, cells
        self.size = max(1, len(channels))
        direct = [i for i, name in enumerate(channels) if name == statistic.direct]
        self.weighing = Weighing.of(
            statistic.models, statistic.position, statistic.half_life, direct[0] if direct else -1
        )
        self.states = (self.size + 1) ** statistic.order
        if max(cells, OUTCOMES) * self.states * (self.size + 2) >= LARGEST_KEY:
            raise ParameterError(
                f"order={statistic.order} has too many states with {len(channels):,} channels. "
                f"Take a smaller order, or join rare channels first."
            )
        self.seen = np.zeros(self.size, np.int64)
        self.outcomes = np.zeros((cells, len(UNITS)))
        self.last_users = np.zeros((cells, 2), np.int64)
        self.open_paths = np.zeros(cells)
        columns = 1 + 2 * len(self.weighing.names)
        self.credit = CountingRows.make(cells * self.size, most, columns, np.float64)
        self.places = self.moves = None
        if BY_PLACE in statistic.models:
            self.places = CountingRows.make(cells * self.size**2, most, 2, np.float64)
        if BY_CHAIN in statistic.models:
            possible = cells * self.states * (self.size + 2)
            self.moves = CountingRows.make(possible, 2 * most, 1, np.float64)

    def add(self, paths: TouchPaths) -> None:
        """Count the spans of one block."""
        from journeykit.kernels.outcomes import attribution as kernels

        self.open_paths += np.bincount(paths.open_cells, minlength=self.cells)
        amounts = (paths.conversions, paths.values)
        kernels.count_outcomes(
            paths.firsts, paths.lasts, paths.owners, paths.cells, paths.conversions, paths.nulls, paths.values,
            self.outcomes, self.last_users,
        )  # fmt: skip
        longest_span = int((paths.lasts - paths.firsts).max(initial=0))
        times = np.empty(longest_span if paths.times.size else 0, np.int64)
        room = (np.empty(longest_span, np.int32), times, np.empty(longest_span, np.bool_))
        touches, spans = (paths.codes, paths.times), (paths.firsts, paths.lasts)
        rule = (self.size, TRANSFORMS.index(self.statistic.transform))
        models = (self.weighing.kinds, self.weighing.numbers, np.empty(self.weighing.kinds.size))

        def fresh() -> Int64s:
            self.seen[:] = 0
            return self.seen

        kernels.credit_touches(
            spans, paths.cells, amounts, touches, models, rule, fresh(), room,
            self.credit.keys, self.credit.rows, self.credit.table,
        )  # fmt: skip
        if self.places is not None:
            kernels.credit_places(
                spans, paths.cells, amounts, touches, rule, fresh(), room,
                self.places.keys, self.places.rows, self.places.table,
            )  # fmt: skip
        if self.moves is not None:
            kernels.count_touch_moves(
                spans, paths.cells, (paths.conversions, paths.nulls), touches, (*rule, self.states), fresh(), room,
                self.moves.keys, self.moves.rows, self.moves.table,
            )  # fmt: skip

    def tables(self) -> Tables:
        """Return all tables of the tally."""
        tables = {UNITS_TABLE: self._units(), "credit": self._credit()}
        if self.places is not None:
            tables["places"] = self._places(self.places)
        if self.moves is not None:
            tables["moves"] = self._moves(self.moves)
        return tables

    def _units(self) -> pl.DataFrame:
        met = np.flatnonzero(self.outcomes[:, 0] + self.outcomes[:, 1] + self.open_paths)
        columns = {name: self.outcomes[met, i] for i, name in enumerate(UNITS)}
        return pl.DataFrame({CELL: met.astype(np.int32), **columns, "open_paths": self.open_paths[met]})

    def _credit(self) -> pl.DataFrame:
        keys, rows = self.credit.found()
        columns = {"touches": rows[:, 0]}
        for i, model in enumerate(self.weighing.names):
            columns |= {model: rows[:, 1 + 2 * i], f"{model}_value": rows[:, 2 + 2 * i]}
        cell = (keys // self.size).astype(np.int32)
        return pl.DataFrame({CELL: cell, "channel": self._named(keys % self.size), **columns})

    def _places(self, counted: CountingRows) -> pl.DataFrame:
        keys, rows = counted.found()
        cell, channel = np.divmod(keys // self.size, self.size)
        columns = {CELL: cell.astype(np.int32), "channel": self._named(channel)}
        place = (keys % self.size + 1).astype(np.int32)
        return pl.DataFrame({**columns, "place": place, "conversions": rows[:, 0], "value": rows[:, 1]})

    def _moves(self, counted: CountingRows) -> pl.DataFrame:
        keys, rows = counted.found()
        state, target = np.divmod(keys, self.size + 2)
        columns: dict[str, Any] = {CELL: (state // self.states).astype(np.int32)}
        state = state % self.states
        for name in reversed(self.statistic.touch_columns):
            columns[name] = self._named(state % (self.size + 1) - 1)
            state = state // (self.size + 1)
        outcome = np.maximum(target - self.size + 1, NEXT).astype(np.int32)
        columns["target"] = self._named(np.where(outcome == NEXT, target, -1))
        return pl.DataFrame({**columns, "outcome": outcome, "paths": rows[:, 0]}).select(
            CELL, *self.statistic.touch_columns, "target", "outcome", "paths"
        )

    def _named(self, numbers: Int64s) -> pl.Series:
        """Return the names of channels; null for -1."""
        known = pl.Series(numbers).cast(pl.Int64)
        return self.channels.gather(known.set(known < 0, None))


def count_journeys(statistic: Attribution, shard: Journeys, cells: Cells) -> Tables:
    """Count the touch paths of one shard."""
    unit = statistic.unit
    channels = numbers_of(shard, (statistic.channel,), unit)
    names = channels.values.cast(pl.String)
    counts = TouchCounts(statistic, names, cells.count, int(shard.paths(unit).lengths.sum()))
    for paths in _blocks(statistic, shard, cells, channels):
        counts.add(paths)
    return counts.tables()


def _blocks(
    statistic: Attribution, shard: Journeys, cells: Cells, channels: Numbered
) -> Iterator[TouchPaths]:
    """List the touch paths of about a million events after another."""
    from journeykit.kernels.outcomes.attribution import list_touch_paths

    unit, paths = statistic.unit, shard.paths(statistic.unit)
    symbols = symbols_of(shard, statistic.matches, "event", unit)
    masks = symbols.masks.astype(np.uint8)
    values = np.empty(0) if statistic.value is None else floats_of(shard, statistic.value, unit)
    kept, still_open = _first_of_session(statistic, shard), shard.open_paths(unit, statistic.horizon)
    own_cells = cells.segments(paths, unit)
    owners = np.repeat(np.arange(paths.n_users), np.diff(paths.user_paths))
    before = offsets(paths.lengths)
    cuts = np.append(np.searchsorted(before, np.arange(0, before[-1], BLOCK)), paths.n_paths)
    lookback = longest(None if statistic.by_span else statistic.lookback, "lookback")
    for first, last in pairwise(np.unique(cuts).tolist()):
        own, most = slice(first, last), int(before[last] - before[first])
        touches = (np.empty(most, np.int32), np.empty(most, np.int64))
        spans = tuple(np.empty(most + last - first, np.int64) for _ in range(4))
        n = list_touch_paths(
            paths.starts[own], paths.ends[own], paths.times, symbols.codes, masks, channels.codes, kept,
            (lookback, statistic.reset), touches, spans,
        )  # fmt: skip
        firsts, lasts, path, goals = (each[:n] for each in spans)
        converted = goals >= 0
        cell = own_cells[own][path]
        if cells.period_starts is not None:
            at = np.where(converted, paths.times[goals], touches[1][lasts - 1])
            cell = cells.at(cell, at).astype(np.int32)
        closed = converted | ~still_open[own][path]
        won, cell = converted[closed], cell.astype(np.int32)
        earned = np.nan_to_num(np.where(won, values[goals[closed]], 0.0), nan=0.0) if values.size else values
        yield TouchPaths(
            touches[0], touches[1], firsts[closed], lasts[closed], cell[closed], owners[own][path][closed],
            won.astype(np.float64), (~won).astype(np.float64), earned, cell[~closed],
        )  # fmt: skip


def _first_of_session(statistic: Attribution, shard: Journeys) -> npt.NDArray[np.uint8]:
    """Mark the first touch of every session, in the order of the unit's paths; empty if all touches count."""
    from journeykit.kernels.outcomes.attribution import keep_first_touches

    if statistic.per == "event":
        return np.empty(0, np.uint8)
    whole = shard.whole

    def make() -> npt.NDArray[np.uint8]:
        # Of a copy: the memo of these journeys is in use.
        log = replace(whole)
        channels = numbers_of(log, (statistic.channel,), "session")
        symbols = symbols_of(log, statistic.matches, "event", "session")
        kept = np.zeros(channels.codes.size, np.uint8)
        starts, ends = whole.session_offsets[:-1], whole.session_offsets[1:]
        keep_first_touches(starts, ends, symbols.codes, symbols.masks.astype(np.uint8), channels.codes, kept)
        ordered = statistic.unit == "user" and whole.time_order is not None
        return kept[whole.time_order] if ordered else kept

    return whole.memo.get(("first touches", statistic.channel, statistic.matches, statistic.unit), make)


def count_table(statistic: Attribution, columns: PathColumns) -> Tables:
    """Count paths that are given with their counts, as one cell."""
    touches = columns.path.explode(empty_as_null=False).drop_nulls()
    distinct = touches.unique().sort()
    codes = touches.cast(pl.Enum(distinct)).to_physical().cast(pl.Int32)
    lengths = columns.path.list.drop_nulls().list.len().fill_null(0).to_numpy()
    bounds = offsets(lengths)
    counts = TouchCounts(statistic, distinct, 1, len(touches) + len(columns.path))
    none = np.empty(0, np.int64)
    spans = (bounds[:-1], bounds[1:], np.zeros(len(columns.path), np.int32), none)
    amounts = (columns.conversions, columns.nulls, columns.values)
    counts.add(TouchPaths(codes.to_numpy(), none, *spans, *amounts, np.empty(0, np.int32)))
    return counts.tables()
