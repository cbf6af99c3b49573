"""Transitions: which state follows which, how often, for how many, and how fast. DEFINITIONS D4."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError
from journeykit.journeys.journeys import Journeys
from journeykit.paths import Paths, Unit
from journeykit.protocol import CELL, Cells, Context, Tables
from journeykit.statistics.base import UNITS_TABLE, Statistic
from journeykit.statistics.checks import check_choices, check_states
from journeykit.statistics.counting import CountingRows
from journeykit.statistics.distribution import checked_quantiles
from journeykit.statistics.transitions.graph import TransitionGraph, graph_of
from journeykit.statistics.transitions.interleaved import recount_sessions
from journeykit.statistics.transitions.tuples import Tuples
from journeykit.support.durations import Duration, microseconds

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Transitions(Statistic[TransitionGraph]):
    """Count the moves from one state to the next. D4.

    Parameters
    ----------
    of : {"event", "stage"}
        What a state is. Events before the first stage are left out of a stage path.
    unit : {"session", "user"}
        What a path is.
    collapse_repeats : bool
        Whether a run of one state is a single state, at the time of its first event.
    order : int
        How many of the last states make up a state. D4.3.
    include_end : bool
        Whether probabilities count the end of a path as a move, so that they sum to 1 with the exit rate.
    open_paths : {"end", "censor"}
        Whether a path that may still go on gets an END. D3.5.
    horizon : str or timedelta, optional
        With ``open_paths="censor"`` and users: how long a silence makes a path ended.
    quantiles : sequence of float
        Which percentiles of the time per edge to compute, such as ``(0.5, 0.9)``; 0.5 is the median.

    Notes
    -----
    One pass, O(n), a cache line per edge while it works; `quantiles` adds a sort of the gaps of each shard.

    References
    ----------
    Directly-follows graphs: van der Aalst 2016, Process Mining.

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({"user": [1, 1, 1, 2], "time": [0, 10, 20, 5], "event": ["a", "b", "a", "b"]})
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> journeys.measure(Transitions()).frame.select("source", "target", "transitions").rows()[:2]
    [('<START>', 'a', 1), ('<START>', 'b', 1)]
    """

    of: Literal["event", "stage"] = "event"
    unit: Unit = "session"
    collapse_repeats: bool = False
    order: int = 1
    include_end: bool = True
    open_paths: Literal["end", "censor"] = "end"
    horizon: Duration | None = None
    quantiles: Sequence[float] = ()

    def __post_init__(self) -> None:
        check_choices(self)
        if not isinstance(self.order, int) or self.order < 1:
            raise ParameterError(f"order must be a whole number from 1 on, not {self.order!r}.")
        object.__setattr__(self, "quantiles", checked_quantiles(self.quantiles))
        if self.horizon is not None:
            microseconds(self.horizon, "horizon")

    @property
    def sources(self) -> tuple[str, ...]:
        """The key columns of a source: the last states, oldest first."""
        return ("source",) if self.order == 1 else tuple(f"source_{i}" for i in range(1, self.order + 1))

    @property
    def tables(self) -> Mapping[str, Sequence[str]]:  # type: ignore[override]
        """The tables of a tally."""
        tables = {"moves": (*self.sources, "target"), "states": self.sources, UNITS_TABLE: ()}
        return tables | ({"gaps": (*self.sources, "target", "gap")} if self.quantiles else {})

    def check(self, context: Context) -> None:
        """Refuse stages that were not assigned."""
        check_states(self.of, context)

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the moves and the states of one shard."""
        return _Tally(self, shard, cells).tables()

    def answer(self, tables: Tables, context: Context) -> TransitionGraph:
        """Turn counts into probabilities with intervals."""
        return graph_of(self, tables, context)


class _Tally:
    """The counting of one shard."""

    TIMES: ClassVar = {"time_sum": 4, "time_min": 5, "time_max": 6}

    def __init__(self, statistic: Transitions, shard: Journeys, cells: Cells) -> None:
        from journeykit.kernels.paths import transitions as kernels

        self.kernels, self.statistic = kernels, statistic
        paths = shard.paths(statistic.unit)
        self.states = shard.states(statistic.of, statistic.unit)
        self.cells = cells.of(paths, statistic.unit)
        self.cell_count = cells.count
        self.sessions = shard.event_sessions(statistic.unit)
        self.censored = _censored(statistic, shard, paths)
        self.skip = statistic.of == "stage"
        self.n_names = len(shard.stage_names) + 1 if self.skip else len(shard.names)
        self.first_sessions = paths.user_paths
        if statistic.unit == "user":
            first, last = shard.user_range or (0, shard.n_users)
            self.first_sessions = shard.user_sessions[first : last + 1]
        self.paths = paths
        self.tuples = None
        if statistic.order > 1:
            self.tuples = Tuples(
                paths, self.states, self.sessions, statistic.order,
                skip_zero=self.skip, collapse=statistic.collapse_repeats,
            )  # fmt: skip
            self.paths, self.states, self.sessions = self.tuples.paths, self.tuples.ids, self.tuples.sessions
        n_states = self.n_names if self.tuples is None else self.tuples.count
        flags = (self.skip, statistic.collapse_repeats) if self.tuples is None else (False, False)
        self.rule = (n_states + 2, *flags)
        self.size = n_states + 2
        self.n_events = self.paths.n_events
        self.interleaved = statistic.unit == "user" and shard.time_order is not None

    def tables(self) -> Tables:
        """Return all tables of the tally."""
        paths = self.paths
        moves = CountingRows.make(self.cell_count * self.size**2, self.n_events + paths.n_paths)
        moves.table[:, self.TIMES["time_min"]] = np.iinfo(np.int64).max
        visits = CountingRows.make(self.cell_count * self.size, self.n_events + paths.n_paths)
        if self.all_in_sessions and not moves.rows.size:
            self._count_sessions(moves.table, visits.table)
        else:
            self._count_paths(moves, visits)
        if self.interleaved:
            recount_sessions(self, moves, visits)
        tables = {"moves": self._moves(moves), **self._visits(moves, visits)}
        return tables | ({"gaps": self._gaps()} if self.statistic.quantiles else {})

    @property
    def all_in_sessions(self) -> bool:
        """Whether all events between the first and the last count, and paths are sessions, none of them empty."""
        return self.statistic.unit == "session" and self.rule[1:] == (False, False) and self.paths.gapless

    def _count_sessions(self, moves: Int64s, visits: Int64s) -> None:
        """Count in one loop over the events, and one over the sessions."""
        from journeykit.kernels.paths.ends import mark_ends

        paths, origin = self.paths, self.paths.events.start
        marks = np.empty(self.n_events, np.uint8)
        mark_ends(paths.user_paths, paths.ends, origin, marks)
        self.kernels.count_session_moves(
            marks, origin, self.states, paths.times, self.cells, self.size, moves, visits
        )
        self.kernels.count_session_ends(
            marks, origin, paths.ends, self.states, self.cells, self.censored, self.size, moves, visits
        )

    def _count_paths(self, moves: CountingRows, visits: CountingRows) -> None:
        """Count path by path."""
        paths = self.paths
        self.kernels.count_moves(
            paths.user_paths,
            paths.starts,
            paths.ends,
            self.states,
            paths.times,
            self.sessions,
            self.first_sessions,
            self.cells,
            self.censored,
            self.rule,
            (moves.keys, moves.rows, moves.table),
            (visits.keys, visits.rows, visits.table),
        )

    def _moves(self, counted: CountingRows) -> pl.DataFrame:
        keys, rows = counted.found()
        inner = (keys // self.size % self.size != self.size - 2) & (keys % self.size != self.size - 1)
        times = {name: np.where(inner, rows[:, i], 0) for name, i in self.TIMES.items()}
        counts = {"transitions": rows[:, 0], "sessions": rows[:, 1], "users": rows[:, 2]}
        return pl.DataFrame({**self._edge_keys(keys), **counts, **times})

    def _visits(self, moves: CountingRows, counted: CountingRows) -> dict[str, pl.DataFrame]:
        """Return the visits of every state: the moves to it; those of START are the paths: the moves from it."""
        keys, rows = counted.found()
        edges, made = moves.found()
        base, source, target = edges // self.size**2, edges // self.size % self.size, edges % self.size
        begun = source == self.size - 2
        visited = np.concatenate([base * self.size + target, (base * self.size + source)[begun]])
        made = np.concatenate([made[:, 0], made[begun, 0]])
        order = np.argsort(keys)
        place = order[np.searchsorted(keys[order], visited).clip(max=keys.size - 1)]
        known = keys[place] == visited
        visits = np.bincount(place[known], made[known], keys.size).astype(np.int64)
        cell, state = (keys // self.size).astype(np.int32), keys % self.size
        start = state == self.size - 2
        units = {CELL: cell[start], "paths": visits[start], "users": rows[start, 0]}
        states = {CELL: cell[~start], **self._sources(state[~start]), "visits": visits[~start]}
        states |= {"sessions": rows[~start, 1], "users": rows[~start, 0]}
        return {"states": pl.DataFrame(states), UNITS_TABLE: pl.DataFrame(units)}

    def _edge_keys(self, keys: Int64s) -> dict[str, Any]:
        target = keys % self.size
        end = target == self.size - 1
        last = target if self.tuples is None else self.tuples.last_state(np.where(end, 0, target))
        return {
            CELL: (keys // self.size**2).astype(np.int32),
            **self._sources(keys // self.size % self.size),
            "target": np.where(end, self.n_names + 1, last).astype(np.int32),
        }

    def _sources(self, states: Int64s) -> dict[str, Any]:
        if self.tuples is None:
            return {"source": states.astype(np.int32)}
        return dict(zip(self.statistic.sources, self.tuples.columns(states), strict=True))

    def _gaps(self) -> pl.DataFrame:
        """Count the moves between events per edge and time they took."""
        paths = self.paths
        rows = CountingRows.make(self.cell_count * self.size**2, self.n_events)
        edges, gaps = np.empty(self.n_events, np.int64), np.empty(self.n_events, np.int64)
        n = self.kernels.gaps_by_edge(
            paths.starts,
            paths.ends,
            self.states,
            paths.times,
            self.cells,
            self.rule,
            rows.keys,
            rows.rows,
            edges,
            gaps,
        )
        if rows.rows.size:
            used = np.flatnonzero(rows.keys[:-1])
            edges[:n] = (rows.keys[used] - 1)[np.argsort(rows.rows[used])][edges[:n]]
        counted = pl.DataFrame({"edge": edges[:n], "gap": gaps[:n]}).group_by("edge", "gap").len("count")
        keys = self._edge_keys(counted["edge"].to_numpy())
        return pl.DataFrame(keys).with_columns(counted["gap"], counted["count"].cast(pl.Int64))


def _censored(statistic: Transitions, shard: Journeys, paths: Paths) -> npt.NDArray[np.bool_]:
    """Mark the paths that may still go on; empty if every path gets its END. D3.5."""
    if statistic.open_paths == "end":
        return np.empty(0, np.bool_)
    return shard.open_paths(statistic.unit, statistic.horizon)
