"""StageFlow: who reaches which stage, goes on, goes back, stays how long, and leaves. DEFINITIONS D6.4 to D6.7."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError
from journeykit.journeys.journeys import Journeys
from journeykit.paths import UNITS, Unit
from journeykit.protocol import CELL, Cells, Context, Tables
from journeykit.statistics.base import UNITS_TABLE, Statistic
from journeykit.statistics.stage_flow.table import StageFlowAnswer, stage_flow_answer
from journeykit.statistics.stage_flow.visiting import StageVisits
from journeykit.statistics.waiting import distinct
from journeykit.support.durations import Duration, microseconds

Int64s = npt.NDArray[np.int64]
UNPLANNED, PLANNED, PLANNED_CHAIN = 0, 1, 2


@dataclass(frozen=True)
class StageFlow(Statistic[StageFlowAnswer]):
    """Follow units through the stages of a model. D6.4, D6.5.

    Parameters
    ----------
    unit : {"user", "session"}
        Who goes through the stages. A session begins in the stage that its user was in, and its furthest stage
        is the furthest of the session.
    horizon : str or timedelta, optional
        How long a unit must be silent to count as gone (D5.2). Without it every unit has left where it was seen
        last, and nothing is open.

    Notes
    -----
    Visits are maximal runs of events in one current stage. Three passes, O(n); the medians sort the visits.

    References
    ----------
    Lemon & Verhoef 2016, J. Marketing 80(6); CJML 2.0 for planned and actual journeys.

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({"user": [1, 1, 1, 2], "time": [0, 10, 40, 5], "event": ["see", "buy", "see", "see"]})
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> model = jk.StageModel([jk.Stage("look", "see"), jk.Stage("own", "buy")])
    >>> flow = journeys.assign_stages(model).measure(StageFlow())
    >>> flow.frame.select("stage", "visited", "reached", "step_through", "regresses", "dwell_mean").rows()
    [('look', 2, 2, 0.5, 0, 10.0), ('own', 1, 1, None, 1, 30.0)]
    """

    tables: ClassVar[Mapping[str, Sequence[str]]] = {
        "stages": ("stage",),
        "moves": ("source", "target", "kind"),
        "dwells": ("stage", "dwell", "closed"),
        "deviations": ("distance", "longer"),
        UNITS_TABLE: (),
    }

    unit: Unit = "user"
    horizon: Duration | None = None

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ParameterError.choice("unit", self.unit, UNITS)
        if self.horizon is not None:
            microseconds(self.horizon, "horizon")

    def check(self, context: Context) -> None:
        """Refuse journeys without stages."""
        if not context.stages:
            raise ParameterError("StageFlow needs stages. Call assign_stages(model) first.")

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the visits, moves and units of one shard."""
        return _Tally(self, shard, cells).tables()

    def answer(self, tables: Tables, context: Context) -> StageFlowAnswer:
        """Turn counts into shares, rates and medians with intervals."""
        return stage_flow_answer(self, tables, context)


class _Tally:
    """The counting of one shard; positions count from the shard's first event, paths from its first path."""

    def __init__(self, statistic: StageFlow, shard: Journeys, cells: Cells) -> None:
        from journeykit.kernels.stages import flow as kernels

        assert shard.staged is not None
        self.kernels, self.statistic, self.cells = kernels, statistic, cells
        self.model, self.size = shard.staged.model, len(shard.stage_names)
        walked = StageVisits.of(shard, statistic.unit)
        paths, self.ends, self.found, self.kinds = walked.paths, walked.ends, walked.visits, walked.kinds
        self.user_paths = paths.user_paths
        self.times = paths.times[walked.events]
        self.gaps = _active_gaps(shard, walked)
        self.path_cells = cells.of(paths, statistic.unit)
        horizon = -1 if statistic.horizon is None else microseconds(statistic.horizon, "horizon")
        self.rule = (self.size, shard.observed_until, horizon)

    def tables(self) -> Tables:
        """Return all tables of the tally."""
        count, size, visits = self.cells.count, self.size, self.found.stages.size
        stages = np.zeros((count * size, self.kernels.STAGE_COLUMNS), np.int64)
        moves = np.zeros((count * (size + 1) * (size + 2), self.kernels.MOVE_COLUMNS), np.int64)
        units = np.zeros((count, self.kernels.UNIT_COLUMNS), np.int64)
        things, waits = np.empty(visits, np.int64), np.empty(visits, np.int64)
        self.kernels.count_walks(
            self.user_paths,
            self.ends,
            self.times,
            self.gaps,
            self.found,
            self.kinds,
            self.path_cells,
            self.rule,
            stages,
            moves,
            units,
            things,
            waits,
        )
        return {
            "stages": self._stages(stages, units),
            "moves": self._moves(moves),
            "dwells": self._dwells(things, waits),
            "deviations": self._deviations(),
            UNITS_TABLE: self._units(units),
        }

    def _present(self, units: Int64s) -> Int64s:
        """Return the cells to show."""
        return self.cells.present(units[:, self.kernels.UNITS])

    def _stages(self, table: Int64s, units: Int64s) -> pl.DataFrame:
        """List every stage of every cell that has units."""
        k = self.kernels
        present = self._present(units)
        rows = table.reshape(-1, self.size, table.shape[1])[present]
        furthest, users = rows[:, :, k.FURTHEST], rows[:, :, k.REACHED_USERS]
        reached = furthest[:, ::-1].cumsum(axis=1)[:, ::-1]
        counts = {
            name: rows[:, :, getattr(k, name.upper())]
            for name in (
                "visits",
                "visited",
                "visited_users",
                "re_entries",
                "skipped",
                "closed",
                "dwell",
                "active",
                "current",
                "furthest",
                "open_current",
                "open_furthest",
                "bypassed",
                "reached_users",
                "entries",
            )
        }
        counts |= {"reached": reached, "reached_next": _next(reached), "reached_next_users": _next(users)}
        for kind, name in enumerate(("advances", "skips", "regresses", "loop_moves"), start=1):
            counts[name] = rows[:, :, k.LEAVING + kind]
        keys = {
            CELL: np.repeat(present, self.size).astype(np.int32),
            "stage": np.tile(np.arange(1, self.size + 1, dtype=np.int32), present.size),
        }
        return pl.DataFrame(
            keys | {name: np.ascontiguousarray(each).ravel() for name, each in counts.items()}
        )

    def _moves(self, table: Int64s) -> pl.DataFrame:
        """List the moves that were made, START and END included; `kind` as in `kernels.stages`, 5 for an exit."""
        k, size = self.kernels, self.size
        rows = np.flatnonzero(table[:, k.MOVES])
        source, target = rows // (size + 2) % (size + 1), rows % (size + 2)
        exits = target == size + 1
        inner = np.where(exits, 0, target)
        kind = np.where(source == 0, 0, np.where(target < source, 3, np.where(target == source + 1, 1, 2)))
        kind = np.where(self.model.loop_moves[source, inner], 4, kind)
        planned = np.zeros(rows.size, np.bool_)
        if self.model.planned is not None:
            planned = self.model.planned[source, inner]
        counts = table[rows, k.MOVES]
        return pl.DataFrame(
            {
                CELL: (rows // ((size + 1) * (size + 2))).astype(np.int32),
                "source": source.astype(np.int32),
                "target": target.astype(np.int32),
                "kind": np.where(exits, 5, kind).astype(np.int32),
                "moves": counts,
                "units": table[rows, k.MOVED],
                "re_entries": table[rows, k.MOVED_AGAIN],
                "inner": np.where(exits | (source == 0), 0, counts),
                "planned": np.where(planned, counts, 0),
            }
        )

    def _dwells(self, things: Int64s, waits: Int64s) -> pl.DataFrame:
        """Count the distinct times between the starts of visits, closed ones and those cut off by the end."""
        things, waits, counts = distinct(things, waits)
        possible = np.arange(2 * self.size * self.cells.count)
        each = np.diff(np.searchsorted(things, possible), append=things.size)
        row = possible >> 1
        return pl.DataFrame(
            {
                CELL: np.repeat((row // self.size).astype(np.int32), each),
                "stage": np.repeat((row % self.size + 1).astype(np.int32), each),
                "dwell": waits,
                "closed": np.repeat((possible & 1).astype(np.int32), each),
                "count": counts,
            }
        )

    def _deviations(self) -> pl.DataFrame:
        """Count the units with a stage by their distance from the planned path and the longer length."""
        plan = planned_chain(self.model.planned)
        if not plan.size:
            return pl.DataFrame(
                schema={CELL: pl.Int32, "distance": pl.Int64, "longer": pl.Int64, "units": pl.Int64}
            )
        first = self.found.first
        staged = np.flatnonzero(np.diff(first))
        distances, longer = np.empty(first.size - 1, np.int64), np.empty(first.size - 1, np.int64)
        self.kernels.deviations(first, self.found.stages, plan, distances, longer)
        frame = pl.DataFrame(
            {CELL: self.path_cells[staged], "distance": distances[staged], "longer": longer[staged]}
        )
        return (
            frame.group_by(CELL, "distance", "longer")
            .agg(pl.len().cast(pl.Int64).alias("units"))
            .sort(pl.all())
        )

    def _units(self, table: Int64s) -> pl.DataFrame:
        """Count the units and their users; `plan_max` says what the model plans."""
        k = self.kernels
        present = self._present(table)
        plan = UNPLANNED if self.model.planned is None else PLANNED
        if planned_chain(self.model.planned).size:
            plan = PLANNED_CHAIN
        columns: dict[str, Any] = {CELL: present.astype(np.int32)}
        for name, column in (
            ("paths", k.UNITS),
            ("staged", k.STAGED),
            ("users", k.USERS),
            ("staged_users", k.STAGED_USERS),
        ):
            columns[name] = table[present, column]
        return pl.DataFrame(columns | {"plan_max": np.full(present.size, plan, np.int64)})


def planned_chain(planned: npt.NDArray[np.bool_] | None) -> Int64s:
    """Return the stages of the planned path in order; empty if the planned moves are not one simple chain. D6.7.

    Examples
    --------
    >>> moves = np.zeros((4, 4), np.bool_)
    >>> moves[1, 3] = moves[3, 2] = True
    >>> planned_chain(moves).tolist()
    [1, 3, 2]
    """
    none = np.empty(0, np.int64)
    if planned is None or not planned.any():
        return none
    entered = planned.any(axis=0)
    origins = np.flatnonzero(planned.any(axis=1) & ~entered)
    if origins.size != 1 or planned.sum(axis=0).max() > 1 or planned.sum(axis=1).max() > 1:
        return none
    chain = [int(origins[0])]
    while planned[chain[-1]].any():
        chain.append(int(planned[chain[-1]].argmax()))
    return np.array(chain) if len(chain) == planned.sum() + 1 else none


def _next(counts: Int64s) -> Int64s:
    """Shift counts by stage: what the next stage has, 0 for the last."""
    return np.concatenate([counts[:, 1:], np.zeros_like(counts[:, :1])], axis=1)


def _active_gaps(shard: Journeys, walked: StageVisits) -> Int64s:
    """Return the time from every event to the next of its session, 0 for the last and outside sessions. D6.5."""
    times = shard.times[walked.events]
    gaps = np.zeros(times.size, np.int64)
    np.subtract(times[1:], times[:-1], out=gaps[:-1])
    runs = shard.user_sessions[walked.users]
    offsets = shard.session_offsets[runs[0] : runs[-1] + 1] - walked.events.start
    gaps[offsets[1:] - 1] = 0
    if shard.sessions_inside is not None:
        outside = ~shard.sessions_inside[runs[0] : runs[-1]]
        gaps[np.repeat(outside, np.diff(offsets))] = 0
    return gaps if walked.order is None else gaps[walked.order]
