"""Counting the runs of a funnel: small tables that add. DEFINITIONS D7.11, D7.12."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.journeys import Journeys
from journeykit.protocol import CELL, Cells, Tables, sum_rows
from journeykit.statistics.base import UNITS_TABLE
from journeykit.statistics.funnel_machine import Machine
from journeykit.statistics.funnel_runs import Numbered, Runner, Runs
from journeykit.statistics.goals import Bools, Int64s, Walk

if TYPE_CHECKING:
    from journeykit.statistics.funnel import Funnel

Columns = dict[str, npt.NDArray[Any]]
FIRST_STEP, LEVEL, OPEN, MATURED = 1, 2, 3, 4
PREVIOUS, FIRST = 0, 1
"""What a time is since."""


def tally(funnel: Funnel, shard: Journeys, cells: Cells) -> Tables:
    """Count the runs of one shard."""
    walk = Walk(shard, cells, funnel.of, funnel.container)
    counting = Counting(funnel, shard, walk, cells)
    for runs in counting.runner.runs():
        counting.add(runs)
    return counting.tables()


class Counting:
    """The tables of one shard, block after block."""

    def __init__(self, funnel: Funnel, shard: Journeys, walk: Walk, cells: Cells) -> None:
        self.funnel, self.shard, self.walk, self.cells = funnel, shard, walk, cells
        starts = cells.period_starts
        self.periods = np.empty(0, np.int64) if starts is None else starts.astype(np.int64)
        self.segments = cells.segments(walk.paths, funnel.container).astype(np.int64)
        self.machine = Machine(funnel, funnel.rules.ties)
        self.runner = Runner(self.machine, shard, walk, self.periods)
        self.steps: list[pl.DataFrame] = [self._steps_frame(np.empty(0, np.int64), 0, {})]
        self.times: list[pl.DataFrame] = [_times_frame([np.empty(0, np.int64)] * 5, 1, self.values)]
        self.ties = np.zeros(cells.count, np.int64)
        self.worth = shard_values(funnel, shard)

    @property
    def values(self) -> Numbered | None:
        """The values of the breakdown."""
        return self.runner.values

    def add(self, runs: Runs) -> None:
        """Count the runs of a block."""
        sensitive = self.segments[runs.tie_sensitive]
        self.ties += np.bincount(sensitive, minlength=self.ties.size)
        runs = (
            self.of_step(runs) if self.funnel.place.startswith(("step:", "each:")) and self.values else runs
        )
        if runs.path.size == 0:
            return
        key = self._cell(runs)
        width = 1 if self.values is None else self.values.count + 1
        key = key * width + (runs.value if runs.value.size else 0)
        distinct, group = np.unique(key, return_inverse=True)
        self.steps.append(self._steps_frame(distinct, width, self._counted(runs, group, distinct.size)))
        self._add_times(runs, group, distinct, width)

    def of_step(self, runs: Runs) -> Runs:
        """Give runs the value of their event of a step; those that do not reach it are nowhere. D7.12."""
        at = runs.at[:, self.funnel.place_step - 1]
        kept = at >= 0
        value = runs.value
        if self.funnel.place.startswith("step:") and self.values is not None:
            value = self.values.with_null(at)
        return replace(
            runs, path=runs.path[kept], value=value[kept], rows=runs.rows[kept], at=runs.at[kept],
            start_times=runs.start_times[kept], times=runs.times[kept], excluded_at=runs.excluded_at[kept],
        )  # fmt: skip

    def _cell(self, runs: Runs) -> Int64s:
        """Return the cell of every run: the segment of its path, the period of its first event."""
        cell = self.segments[runs.path]
        if self.periods.size == 0:
            return cell
        return cell + np.searchsorted(self.periods, runs.start_times, side="right") - 1

    def _counted(self, runs: Runs, group: Int64s, n: int) -> Columns:
        """Return the columns of the table of steps, each groups x steps."""
        machine, made = self.machine, self.funnel.made
        k = len(made)
        columns = {name: np.zeros((n, k), np.int64) for name in COUNTS}
        reached = runs.at >= 0
        required = machine.required
        level, first = runs.rows[:, LEVEL], runs.rows[:, FIRST_STEP]
        some = level > first
        last = required[np.maximum(level - 1, 0)]
        key = group * k
        columns["open"] = _bincount(key + last, n, k, some & (runs.rows[:, OPEN] > 0))
        columns["entered"] = _bincount(key + required[first], n, k, some)
        matured = runs.rows[:, MATURED]
        for step in range(k):
            columns["reached"][:, step] = np.bincount(group[reached[:, step]], minlength=n)
            columns["users"][:, step] = self._users(runs, group, reached[:, step], n)
            columns["matured"][:, step] = np.bincount(group[matured > 0], minlength=n)
            place = np.searchsorted(required, step)
            if not made[step].optional:
                columns["matured_converted"][:, step] = np.bincount(group[matured > place], minlength=n)
        columns |= self._worth(runs, group, n)
        return columns

    def _users(self, runs: Runs, group: Int64s, counted: Bools, n: int) -> Int64s:
        """Count the distinct users of some runs in each group."""
        if self.funnel.counts_users_once:
            return np.bincount(group[counted], minlength=n)
        users = self.walk.owners[runs.path[counted]]
        pairs = np.unique(group[counted] * (self.walk.paths.n_users + 1) + users)
        return np.bincount(pairs // (self.walk.paths.n_users + 1), minlength=n)

    def _worth(self, runs: Runs, group: Int64s, n: int) -> Columns:
        """Add the values of the matched events up; null counts 0, and is counted."""
        if self.worth is None:
            return {}
        total, nulls = np.zeros((n, runs.at.shape[1])), np.zeros((n, runs.at.shape[1]), np.int64)
        for step in range(runs.at.shape[1]):
            own = runs.at[:, step] >= 0
            value = self.worth[runs.at[own, step]]
            unknown = np.isnan(value)
            total[:, step] = np.bincount(group[own], np.where(unknown, 0.0, value), minlength=n)
            nulls[:, step] = np.bincount(group[own], unknown, minlength=n).astype(np.int64)
        return {"value": total, "value_nulls": nulls}

    def _steps_frame(self, distinct: Int64s, width: int, columns: Columns) -> pl.DataFrame:
        """Write groups x steps as rows."""
        k = len(self.funnel.made)
        names = [*COUNTS, *(("value", "value_nulls") if self.funnel.value else ())]
        empty = {name: np.zeros((0, k), np.float64 if name == "value" else np.int64) for name in names}
        columns = columns or empty
        keys = _keys(np.repeat(distinct, k), max(width, 1), self.values)
        step = np.tile(np.arange(1, k + 1, dtype=np.int64), distinct.size)
        return pl.DataFrame({**keys, "step": step, **{name: columns[name].ravel() for name in names}})

    def _add_times(self, runs: Runs, group: Int64s, distinct: Int64s, width: int) -> None:
        """Count the times from the step before and from the first, of runs that have both. D7.11."""
        parts = []
        previous = 0
        for step, made in enumerate(self.funnel.made):
            for since, before in ((PREVIOUS, previous), (FIRST, 0)):
                own = (runs.at[:, step] >= 0) & (runs.at[:, before] >= 0)
                if step and (since == PREVIOUS or previous) and own.any():
                    gap = runs.times[own, step] - runs.times[own, before]
                    shape = (np.full(gap.size, step + 1), np.full(gap.size, since))
                    parts.append((distinct[group[own]], *shape, gap, np.ones(gap.size, np.int64)))
            previous = previous if made.optional else step
        if parts:
            columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
            self.times.append(_times_frame(columns, width, self.values))

    def tables(self) -> Tables:
        """Return the tables."""
        keys = self.funnel.tables
        steps = sum_rows(pl.concat(self.steps), [CELL, *keys["steps"]])
        times = sum_rows(pl.concat(self.times), [CELL, *keys["times"]])
        some = np.flatnonzero(self.ties)
        ties = pl.DataFrame({CELL: some.astype(np.int32), "tie_sensitive": self.ties[some]})
        return {"steps": steps, "times": times, "ties": ties, UNITS_TABLE: self._units()}

    def _units(self) -> pl.DataFrame:
        """Count the paths and users of every segment, in its first period."""
        from journeykit.statistics.units import count_units

        paths = self.walk.paths
        return count_units(paths, self.segments.astype(np.int32), paths.ends > paths.starts)


COUNTS = ("reached", "users", "open", "entered", "matured", "matured_converted")


def shard_values(funnel: Funnel, shard: Journeys) -> npt.NDArray[np.float64] | None:
    """Return the property to add up, per event in the order of the funnel's paths; NaN for null."""
    if funnel.value is None:
        return None
    whole = shard.whole

    def make() -> npt.NDArray[np.float64]:
        log = whole.in_time_order() if funnel.container == "user" else whole
        return log.property(funnel.value or "").cast(pl.Float64).fill_null(np.nan).to_numpy()

    return whole.memo.get(("floats", funnel.value, funnel.container), make)


def _bincount(key: Int64s, n: int, k: int, counted: Bools) -> Int64s:
    return np.bincount(key[counted], minlength=n * k).reshape(n, k)


def _keys(key: Int64s, width: int, values: Numbered | None) -> dict[str, Any]:
    """Return the cell of each key, and the breakdown's value."""
    cell = {CELL: (key // width).astype(np.int32)}
    if values is None:
        return cell
    named = pl.concat([values.values, values.values.clear(1)])
    return {**cell, "breakdown": named.gather(pl.Series(key % width, dtype=pl.UInt32))}


def _times_frame(columns: list[Int64s], width: int, values: Numbered | None) -> pl.DataFrame:
    """Count equal times, given keys, steps, since what, gaps, and counts."""
    names = ("step", "since", "gap")
    table = pl.DataFrame(dict(zip(("key", *names, "count"), columns, strict=True)))
    table = table.group_by("key", *names, maintain_order=True).agg(pl.col("count").sum())
    return pl.DataFrame(_keys(table["key"].to_numpy(), width, values)).with_columns(
        table.select(*names, "count")
    )
