"""From counted moves to the numbers of edges and states, before these have names. DEFINITIONS D4.2."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.mathematics.intervals import Bounds, GroupSums, wilson
from journeykit.protocol import CELL, GROUP, Context, Tables
from journeykit.statistics.base import UNITS_TABLE, Grouped, groups_per_cell, rate, with_floats

if TYPE_CHECKING:
    from journeykit.statistics.transitions.transitions import Transitions

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]


class Coded(NamedTuple):
    """The summed tables of Transitions, with a number for every state.

    Attributes
    ----------
    moves : polars.DataFrame
        ``cell``, ``group``, ``source``, ``target``, then sums.
    states : polars.DataFrame
        ``cell``, ``group``, ``source``, then sums; without START and END.
    units : polars.DataFrame
        ``cell``, ``group``, ``paths``, ``users``.
    names : polars.Series of String
        Of every number. START and END are the last two.
    """

    moves: pl.DataFrame
    states: pl.DataFrame
    units: pl.DataFrame
    names: pl.Series

    @property
    def start(self) -> int:
        """The number of START."""
        return len(self.names) - 2

    @property
    def end(self) -> int:
        """The number of END."""
        return len(self.names) - 1


class Numbers:
    """Everything that edges and states share."""

    def __init__(self, statistic: Transitions, coded: Coded, tables: Tables, context: Context) -> None:
        self.statistic, self.coded, self.context = statistic, coded, context
        self.groups = groups_per_cell(tables)
        self.edges = Grouped(coded.moves, ("source", "target"))
        self.states = Grouped(coded.states, ("source",))
        self.units = Grouped(tables[UNITS_TABLE], ())

    def edge_frame(self) -> pl.DataFrame:
        """Return every number of D4.2 per cell and edge, but for the percentiles."""
        totals, start, end = self.edges.totals, self.coded.start, self.coded.end
        cell, source, target, n = (
            totals[name].to_numpy() for name in (CELL, "source", "target", "transitions")
        )
        leaving = self.leaving if self.statistic.include_end else self._leaving(include_end=False)
        rows, users = _places(self._keys(cell, source), leaving.keys), self._users_of(cell, source)
        probability, ends = self._rate(cell, self.edges.sums("transitions"), leaving.sums, rows, users)
        if self.statistic.unit == "user":
            ends = _exact(ends, n, leaving.sums.total[rows], source == start, self.context)
        into, out_of, at = self._keys(cell, target), self._keys(cell, source), cell.astype(np.int64)
        reached = np.where(source != start, n, 0)
        arriving, inner = _sum_over(into, reached), (source != start) & (target != end)
        with np.errstate(divide="ignore", invalid="ignore"):
            lift = n / _sum_over(out_of, n) / (arriving / _sum_over(at, reached))
        columns = {
            "probability": probability,
            "low": ends.low,
            "high": ends.high,
            "probability_in": n / _sum_over(into, n),
            "share": n / _sum_over(at, n),
            "user_share": totals["users"].to_numpy() / users,
            "lift": np.where(arriving > 0, lift, np.nan),
            "time_mean": np.where(inner, totals["time_sum"].to_numpy() / n / 1e6, np.nan),
        }
        for name in ("time_min", "time_max"):
            columns[name] = np.where(inner, totals[name].to_numpy() / 1e6, np.nan)
        frame = with_floats(
            totals.select(CELL, "source", "target", "transitions", "sessions", "users"), columns
        )
        return frame if self.statistic.include_end else frame.filter(pl.col("target") != end)

    def state_frame(self) -> pl.DataFrame:
        """Return visits, entry share and exit rate of every state; a visit at an open end left for nowhere yet."""
        totals, units = self.states.totals, self.units.totals
        cell, state, users = (totals[name].to_numpy() for name in (CELL, "source", "users"))
        of_cell = _places(cell, units[CELL].to_numpy())
        entries = self._edges_at("target", pl.col("source") == self.coded.start)
        started = units["users"].to_numpy()[of_cell]
        entry, entry_ends = self._rate(cell, entries, self.units.sums("paths"), of_cell, started)
        if self.statistic.unit == "user":
            everywhere = np.ones(cell.size, np.bool_)
            paths = units["paths"].to_numpy()[of_cell]
            entry_ends = _exact(entry_ends, entries.total, paths, everywhere, self.context)
        exits = self._edges_at("source", pl.col("target") == self.coded.end)
        rows = _places(self._keys(cell, state), self.leaving.keys)
        exit_rate, exit_ends = self._rate(cell, exits, self.leaving.sums, rows, users)
        columns = {
            "entry_share": entry,
            "entry_share_low": entry_ends.low,
            "entry_share_high": entry_ends.high,
        }
        columns |= {"exit_rate": exit_rate, "exit_rate_low": exit_ends.low, "exit_rate_high": exit_ends.high}
        return with_floats(totals, columns).rename({"source": "state"})

    @cached_property
    def leaving(self) -> Leaving:
        """The moves out of every state, those to END among them."""
        return self._leaving(include_end=True)

    def _leaving(self, *, include_end: bool) -> Leaving:
        """Count the moves out of every state, and those from START; 0 for a state that nothing was seen to leave."""
        moves, states = self.coded.moves, self.coded.states
        counted = moves["transitions"].to_numpy()
        if not include_end:
            counted = np.where(moves["target"].to_numpy() != self.coded.end, counted, 0)
        columns: dict[str, Any] = {
            name: np.concatenate([moves[name].to_numpy(), states[name].to_numpy()])
            for name in (CELL, GROUP, "source")
        }
        columns["n"] = np.concatenate([counted, np.zeros(states.height, np.int64)])
        every = Grouped(pl.DataFrame(columns), ("source",))
        keys = self._keys(*(every.totals[name].to_numpy() for name in (CELL, "source")))
        return Leaving(keys, every.sums("n"))

    def _edges_at(self, side: str, which: pl.Expr) -> GroupSums:
        """Add up the transitions of some edges by the state at one of their sides, as the states stand."""
        moves = self.coded.moves.filter(which)
        totals = self.states.totals
        known = self._keys(totals[CELL].to_numpy(), totals["source"].to_numpy())
        rows = _places(self._keys(moves[CELL].to_numpy(), moves[side].to_numpy()), known)
        return GroupSums.of(totals.height, rows, moves[GROUP].to_numpy(), moves["transitions"].to_numpy())

    def _users_of(self, cell: Int64s, source: Int64s) -> Floats:
        """Return how many users have the source of each edge; for START all users with a path."""
        states, units = self.states.totals, self.units.totals
        started = np.full(units.height, self.coded.start)
        keys = np.concatenate(
            [
                self._keys(states[CELL].to_numpy(), states["source"].to_numpy()),
                self._keys(units[CELL].to_numpy(), started),
            ]
        )
        users = np.concatenate([states["users"].to_numpy(), units["users"].to_numpy()]).astype(np.float64)
        order = np.argsort(keys)
        return users[order][_places(self._keys(cell, source), keys[order])]

    def _keys(self, cell: npt.NDArray[Any], state: npt.NDArray[Any]) -> Int64s:
        """Return a number for each cell and state, ascending with both."""
        keys: Int64s = cell.astype(np.int64) * len(self.coded.names) + state
        return keys

    def _rate(
        self, cell: Int64s, top: GroupSums, bottom: GroupSums, rows: Int64s, users: npt.ArrayLike
    ) -> tuple[Floats, Bounds]:
        return rate(cell, top, bottom, rows, self.groups, users, self.context)


class Leaving(NamedTuple):
    """Moves out of states: a key per cell and state, ascending, and their sums by group."""

    keys: Int64s
    sums: GroupSums


def _places(keys: Int64s, known: Int64s) -> Int64s:
    """Return where each key is among ascending ones, all of which are known."""
    return np.searchsorted(known, keys).astype(np.int64)


def _sum_over(keys: Int64s, values: Int64s) -> Int64s:
    """Return for every row the sum of the rows that share its key."""
    _, place = np.unique(keys, return_inverse=True)
    total: Int64s = np.bincount(place, values).astype(np.int64)
    return total[place]


def _exact(
    ends: Bounds, x: npt.ArrayLike, n: npt.ArrayLike, where: npt.NDArray[np.bool_], context: Context
) -> Bounds:
    """Give rows whose denominator counts every user once Wilson's interval instead. D12.2."""
    exact = wilson(x, n, context.level)
    return Bounds(np.where(where, exact.low, ends.low), np.where(where, exact.high, ends.high))
