"""Counting the runs of a funnel: small tables that add. DEFINITIONS D7.11, D7.12."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ColumnTypeError
from journeykit.journeys.journeys import Journeys
from journeykit.protocol import CELL, GROUP, Cells, Tables, sum_rows
from journeykit.statistics.base import UNITS_TABLE
from journeykit.statistics.funnels.at_once import Counted, count_at_once, is_enough
from journeykit.statistics.funnels.machine import Machine
from journeykit.statistics.funnels.runs import Numbered, Runner, Runs, averages
from journeykit.statistics.funnels.spans import Spans
from journeykit.statistics.goals import NEVER as LONGEST
from journeykit.statistics.goals import Floats, Int64s, Walk

if TYPE_CHECKING:
    from journeykit.kernels.funnels.plain import Coming
    from journeykit.statistics.funnels.funnel import Funnel

Columns = dict[str, npt.NDArray[Any]]
LEVEL, OPEN, START_EVENT = 2, 3, 6
PREVIOUS, FIRST = 0, 1
"""What a time is since."""


def tally(funnel: Funnel, shard: Journeys, cells: Cells) -> Tables:
    """Count the runs of one shard."""
    walk = Walk(shard, cells, funnel.of, funnel.container)
    counting = Counting(funnel, shard, walk, cells)
    if is_enough(counting.runner, cells.count):
        counting.add_counted(count_at_once(counting.runner, counting.segments, cells.count))
        return counting.tables()
    averaged = funnel.rules.times == "mean_of_runs"
    for runs in counting.runner.runs(with_every=funnel.runs or averaged):
        counting.add(runs)
    return counting.tables()


class Counting:
    """The tables of one shard, block after block."""

    def __init__(self, funnel: Funnel, shard: Journeys, walk: Walk, cells: Cells) -> None:
        self.funnel, self.shard, self.walk, self.cells = funnel, shard, walk, cells
        self.segments = cells.segments(walk.paths, funnel.container).astype(np.int64)
        self.machine = Machine(funnel, funnel.rules.ties)
        self.runner = Runner(self.machine, shard, walk, cells.period_starts)
        self.steps: list[tuple[Int64s, Columns]] = []
        self.times: list[tuple[npt.NDArray[Any], ...]] = [(np.empty(0, np.int64),) * 4]
        self.coming: Coming | None = None
        self.ties = np.zeros(cells.count, np.int64)
        self.spans = Spans(funnel.pairs, funnel.rules.times == "mean_of_runs")
        self.run_rows: list[tuple[npt.NDArray[Any], ...]] = []
        self.worth = shard_values(funnel, shard)

    @property
    def values(self) -> Numbered | None:
        """The values of the breakdown."""
        return self.runner.values

    @property
    def width(self) -> int:
        """How many values of the breakdown a cell can have, null too."""
        return 1 if self.values is None else self.values.count + 1

    def add(self, runs: Runs) -> None:
        """Count the runs of a block."""
        self._count_ties(runs.tie_sensitive)
        if self.funnel.runs and runs.every is not None:
            self.run_rows.append(self._run_rows(runs, runs.every))
        runs = (
            self.of_step(runs) if self.funnel.place.startswith(("step:", "each:")) and self.values else runs
        )
        if runs.path.size == 0:
            return
        key = self._cell(runs)
        key = key * self.width + (runs.value if runs.value.size else 0)
        distinct, group = np.unique(key, return_inverse=True)
        columns = self._counted(runs, group, distinct.size) | self._timed(runs, group, distinct)
        self.steps.append((distinct, columns))
        if self.funnel.pairs:
            longest = runs.longest_of_units() if self.funnel.rules.times == "mean_of_runs" else None
            kept = self.spans.add(runs, longest, distinct, group)
            self.times += kept if self.funnel.keeps_times else []

    def add_counted(self, counted: Counted) -> None:
        """Take what one pass has counted."""
        some = np.flatnonzero(counted.matured.any(axis=1))
        columns: Columns = {name: values[some] for name, values in counted.by_step().items()}
        for name, sums in zip(SUMS, counted.sums, strict=True):
            columns |= {f"{stem}_{name}": sums[since, some] for since, stem in enumerate(STEMS)}
        self.steps.append((some, columns))
        step, since = np.divmod(counted.which, 2)
        self.times.append((counted.whose, step + 1, since, counted.gaps))
        self._count_ties(counted.sensitive)
        self.coming = counted.coming

    def _count_ties(self, paths: Int64s) -> None:
        self.ties += np.bincount(self.segments[paths], minlength=self.ties.size)

    def of_step(self, runs: Runs) -> Runs:
        """Give runs the value of their event of a step; those that do not reach it are nowhere. D7.12."""
        at = runs.at[:, self.funnel.place_step - 1]
        kept = at >= 0
        value = runs.value
        if self.funnel.place.startswith("step:") and self.values is not None:
            value = self.values.with_null(at)
        return replace(runs, value=value).some(np.flatnonzero(kept))

    def _cell(self, runs: Runs) -> Int64s:
        """Return the cell of every run: the segment of its path, the period of its first event."""
        return self.cells.at(self.segments[runs.path], runs.start_times)

    def _counted(self, runs: Runs, group: Int64s, n: int) -> Columns:
        """Return the columns of the table of steps, each groups x steps."""
        from journeykit.kernels.funnels.counts import count_runs

        k, required = len(self.funnel.made), self.machine.required
        place = np.full(k, -1, np.int64)
        place[required] = np.arange(required.size)
        counts, last = np.zeros((len(COUNTS), n, k), np.int64), np.full((n, k), -1, np.int64)
        owner = runs.path if self.funnel.counts_users_once else self.walk.owners[runs.path]
        count_runs(group, owner, runs.rows, runs.at, required, place, last, counts)
        return dict(zip(COUNTS, counts, strict=True)) | self._worth(runs, group, n)

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

    def _steps_frame(self) -> pl.DataFrame:
        """Write groups x steps as rows, and add those of all blocks up."""
        k = len(self.funnel.made)
        names = [*COUNTS, *TIMES, *(("value", "value_nulls") if self.funnel.value else ())]
        empty = {name: np.zeros((0, k), self._dtype(name)) for name in names}
        blocks = [(np.empty(0, np.int64), empty), *self.steps]
        distinct = np.concatenate([block for block, _ in blocks])
        columns = {name: np.concatenate([block[name] for _, block in blocks]).ravel() for name in names}
        keys = _keys(np.repeat(distinct, k), self.width, self.values)
        step = np.tile(np.arange(1, k + 1, dtype=np.int64), distinct.size)
        rows = pl.DataFrame({**keys, "step": step, **columns})
        return sum_rows(rows, [CELL, *self.funnel.tables["steps"]]) if len(self.steps) > 1 else rows

    def _dtype(self, name: str) -> type[np.float64 | np.int64]:
        """Return the type of a column: means over runs are not whole microseconds."""
        averaged = name.endswith("_rest") and self.funnel.rules.times == "mean_of_runs"
        return np.float64 if name == "value" or averaged else np.int64

    def _run_rows(self, runs: Runs, every: Runs) -> tuple[npt.NDArray[Any], ...]:
        """Return the columns of the run table: one row per step that a run made. D7.11."""
        order = np.argsort(every.path, kind="stable")
        every = every.some(order)
        number = np.arange(every.path.size) - np.searchsorted(every.path, every.path) + 1
        counting = np.isin(every.rows[:, START_EVENT], runs.rows[runs.rows[:, LEVEL] > 0, START_EVENT])
        if self.funnel.unit == "totals":
            counting = np.ones(every.path.size, np.bool_)
        void = every.excluded_at >= 0
        if self.funnel.rules.exclusion != "dropoff":
            counting &= ~void
        run, step = np.nonzero(every.at >= 0)
        return (
            self._cell(every)[run], every.path[run], number[run], step + 1, every.at[run, step],
            void[run], every.rows[run, OPEN] > 0, counting[run],
        )  # fmt: skip

    def _runs_frame(self) -> pl.DataFrame:
        """Write the run table, with users, sessions and rows of the input."""
        nothing = tuple(np.empty(0, np.int64) for _ in range(8))
        columns = [
            np.concatenate(column).astype(np.int64) for column in zip(nothing, *self.run_rows, strict=True)
        ]
        cell, path, run, step, at, *flags = columns
        owner, whole = self.walk.owners[path], self.shard.whole
        first = 0 if self.shard.user_range is None else self.shard.user_range[0]
        stored = at if whole.time_order is None or self.funnel.unit == "session" else whole.time_order[at]
        session = (
            path - self.walk.paths.user_paths[owner] + 1
            if self.funnel.unit == "session"
            else np.zeros_like(path)
        )
        named = dict(zip(("excluded", "open", "counts"), flags, strict=True))
        return pl.DataFrame({
            CELL: cell.astype(np.int32), "user": whole.users.gather(pl.Series(owner + first)), "session": session,
            "run": run, "step": step, "row": whole.rows[stored].astype(np.int64), "time": whole.times[stored], **named,
        })  # fmt: skip

    def _times_frame(self) -> pl.DataFrame:
        """Write one row per time."""
        key, *rest = (np.concatenate(columns) for columns in zip(*self.times, strict=True))
        named = dict(zip(("step", "since", "gap"), rest, strict=True))
        return pl.DataFrame(
            {**_keys(key, self.width, self.values), **named, "count": np.ones(key.size, np.int64)}
        )

    def _timed(self, runs: Runs, group: Int64s, distinct: Int64s) -> Columns:
        """Add times up, whole seconds and the rest apart so that sums are exact; keep each for percentiles. D7.11."""
        n, k = distinct.size, len(self.funnel.made)
        columns: Columns = {name: np.zeros((n, k), self._dtype(name)) for name in TIMES}
        for stem in STEMS:
            columns[f"{stem}_min"][:], columns[f"{stem}_max"][:] = LONGEST, -LONGEST
        longest = runs.longest_of_units() if self.funnel.rules.times == "mean_of_runs" else None
        previous = 0
        for step, made in enumerate(self.funnel.made):
            for since, before in ((PREVIOUS, previous), (FIRST, 0)) if step else ():
                if longest is None:
                    sums, whose, gaps = added(runs, group, n, before, step)
                else:
                    own, mean, gaps = averages(*longest, before, step)
                    sums, whose = averaged_sums(group[own], mean, n), group[own]
                for name, column in zip(SUMS, sums, strict=True):
                    columns[f"{STEMS[since]}_{name}"][:, step] = column
                repeated = since == FIRST and previous == 0
                if self.funnel.keeps_times and gaps.size and not repeated:
                    shape = (np.full(gaps.size, step + 1), np.full(gaps.size, since))
                    self.times.append((distinct[whose], *shape, gaps))
            previous = previous if made.optional else step
        return columns

    def tables(self) -> Tables:
        """Return the tables."""
        some = np.flatnonzero(self.ties)
        ties = pl.DataFrame({CELL: some.astype(np.int32), "tie_sensitive": self.ties[some]})
        tables = {"steps": self._steps_frame(), "ties": ties, UNITS_TABLE: self._units()}
        tables |= {"times": self._times_frame()} if self.funnel.keeps_times else {}
        if self.funnel.tells_open:
            tables["coming"] = self._coming_frame(tables["steps"])
        if self.funnel.pairs:
            tables["spans"] = self.spans.table(lambda key: _keys(key, self.width, self.values))
        return tables | ({"runs": self._runs_frame()} if self.funnel.runs else {})

    def _coming_frame(self, steps: pl.DataFrame) -> pl.DataFrame:
        """Count what a later end of the observation changes by its moment, which is null if it is not known."""
        if self.coming is None:
            cells = steps.select(pl.col(CELL).unique())
            return cells.select(
                CELL, pl.lit(0, pl.Int64).alias("step"), pl.lit(None, pl.Int64).alias("moment"),
                *(pl.lit(1, pl.Int64).alias(name) for name in COMING),
            )  # fmt: skip
        whose, which, moments = self.coming
        step, closes = np.divmod(which.astype(np.int64), 2)
        return pl.DataFrame(
            {CELL: whose, "step": step, "moment": moments, "open": closes, "matured": 1 - closes}
        )

    def _units(self) -> pl.DataFrame:
        """Count the paths and users of every segment, in its first period."""
        from journeykit.statistics.units import count_units

        paths = self.walk.paths
        return count_units(paths, self.segments.astype(np.int32), paths.ends > paths.starts)


STEMS = ("time", "total_time")
SUMS = ("count", "seconds", "rest", "min", "max")
TIMES = tuple(f"{stem}_{name}" for stem in STEMS for name in SUMS)

COUNTS = ("reached", "users", "open", "entered", "matured", "matured_converted")


COMING = ("open", "matured")
"""How many runs close at a step, and how many have made it with their window observed, from a moment on."""


def at_later_end(tables: Tables, until: int) -> Tables | None:
    """Return the tables of a funnel when its runs are observed longer; None if it is not known what changes then."""
    coming, steps = tables["coming"], tables["steps"]
    if coming["moment"].null_count():
        return None
    place, over = [CELL, GROUP], coming.filter(pl.col("moment") <= until)
    by_step = over.group_by(*place, "step").agg(
        pl.col("open").sum().alias("closed"), pl.col("matured").sum().alias("more")
    )
    # A run has matured if it has made its first step with its window observed.
    first = by_step.filter(pl.col("step") == 1).select(*place, all="more")
    joined = steps.join(by_step, on=[*place, "step"], how="left", maintain_order="left").join(
        first, on=place, how="left", maintain_order="left"
    )
    changed = joined.with_columns(
        pl.col("open") - pl.col("closed").fill_null(0),
        pl.col("matured") + pl.col("all").fill_null(0),
        pl.col("matured_converted") + pl.col("more").fill_null(0),
    )
    return {
        **tables,
        "steps": changed.select(steps.columns),
        "coming": coming.filter(pl.col("moment") > until),
    }


def added(
    runs: Runs, group: Int64s, n: int, before: int, step: int
) -> tuple[tuple[npt.NDArray[Any], ...], Int64s, Int64s]:
    """Return the sums of the times between two steps, `SUMS` x groups; whose each is, and the times."""
    from journeykit.kernels.funnels.counts import add_gaps

    sums = np.zeros((len(SUMS), n), np.int64)
    sums[-2], sums[-1] = LONGEST, -LONGEST
    whose, gaps = np.empty(group.size, np.int64), np.empty(group.size, np.int64)
    some = add_gaps(group, runs.at, runs.times, step, before, sums, whose, gaps)
    return tuple(sums), whose[:some], gaps[:some]


def averaged_sums(place: Int64s, mean: Floats, n: int) -> tuple[npt.NDArray[Any], ...]:
    """Return the sums of means, one array of groups for each of `SUMS`."""
    seconds, rest = np.divmod(mean, 1_000_000)
    least, most = np.full(n, LONGEST, np.int64), np.full(n, -LONGEST, np.int64)
    np.minimum.at(least, place, np.rint(mean).astype(np.int64))
    np.maximum.at(most, place, np.rint(mean).astype(np.int64))
    return (
        np.bincount(place, minlength=n),
        *(np.bincount(place, part, n) for part in (seconds, rest)),
        least,
        most,
    )


def shard_values(funnel: Funnel, shard: Journeys) -> npt.NDArray[np.float64] | None:
    """Return the property to add up, per event in the order of the funnel's paths; NaN for null."""
    return None if funnel.value is None else floats_of(shard, funnel.value, funnel.container)


def floats_of(shard: Journeys, name: str, unit: str) -> npt.NDArray[np.float64]:
    """Return a property of numbers, once for all shards, per event in the order of the paths of `unit`; NaN for null.

    Raises
    ------
    ColumnTypeError
        If it holds something else.
    """
    whole = shard.whole

    def make() -> npt.NDArray[np.float64]:
        log = whole.in_time_order() if unit == "user" else whole
        values = log.property(name)
        # A column without any value tells no type: readers call it text.
        unknown = values.null_count() == len(values)
        if not (unknown or values.dtype.is_numeric() or values.dtype in {pl.Boolean, pl.Null}):
            raise ColumnTypeError(
                "value", values.name, str(values.dtype), "numbers", "Pass value=<a numeric property>."
            )
        return values.cast(pl.Float64).fill_null(np.nan).to_numpy()

    return whole.memo.get(("floats", name, unit), make)


def _keys(key: Int64s, width: int, values: Numbered | None) -> dict[str, Any]:
    """Return the cell of each key, and the breakdown's value."""
    cell = {CELL: (key // width).astype(np.int32)}
    if values is None:
        return cell
    named = pl.concat([values.values, values.values.clear(1)])
    return {**cell, "breakdown": named.gather(pl.Series(key % width, dtype=pl.UInt32))}
