"""What goes with conversion in a funnel: events between the steps, values of a property. DEFINITIONS D7.11, D13.4."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from journeykit.errors import ParameterError, UnknownPropertyError
from journeykit.journeys.journeys import Journeys
from journeykit.protocol import CELL, Cells, Context, Tables, sum_rows
from journeykit.statistics.base import Statistic
from journeykit.statistics.counting import CountingRows
from journeykit.statistics.funnels.correlation_answer import CorrelationAnswer, correlation_answer
from journeykit.statistics.funnels.funnel import Funnel
from journeykit.statistics.funnels.machine import Machine
from journeykit.statistics.funnels.runs import Runner, Runs, numbers_of
from journeykit.statistics.goals import NEVER, Bools, Int64s, Walk, state_names
from journeykit.support.durations import microseconds

FIRST_STEP, LEVEL = 1, 2


@dataclass(frozen=True)
class FunnelCorrelation(Statistic[CorrelationAnswer]):
    """Find the events between the steps of a funnel, or the values of a property, that go with conversion. D7.11.

    Parameters
    ----------
    funnel : Funnel
        Whose units convert or not. It has no breakdown: ask by segment with ``by=``.
    of : str
        ``"events"``: every event strictly after the first step, and strictly before the last one or, for those who did
        not convert, not after the deadline. Otherwise a kept property: its last known value of the unit.

    Raises
    ------
    ParameterError
        If `funnel` is no funnel, or has a breakdown, or `of` is not a text.

    See Also
    --------
    Funnel : The rates themselves.

    Notes
    -----
    The answer's frame has one row per event or value, those not weak first, then by the strength of the odds ratio:

    ``event`` or ``value``
        What is correlated. Events that a step names are left out; so are units without a value.
    ``success``, ``failure``, ``units``
        Units (or runs) with it that converted, that did not, and both: s, f, s + f.
    ``converted``, ``others``
        All units that converted, and all others: S, F. Units that are still open are among the others.
    ``rate_with``, ``rate_without``
        s / (s + f) and (S - s) / (S + F - s - f), each with its interval.
    ``odds_ratio``, ``odds_ratio_low``, ``odds_ratio_high``
        ``((s + 1)(F - f + 1)) / ((f + 1)(S - s + 1))``, the measure of PostHog, with a jackknife interval (D12.3).
    ``correlates_with``
        ``"success"`` for an odds ratio above 1, ``"failure"`` below.
    ``phi``
        Pearson's correlation of having it and converting, the measure of Mixpanel's Signal; null where all or none
        have it.
    ``p_value``, ``p_adjusted``
        Of no association: the score test of two proportions or Fisher's (D13.2), over sessions and runs the
        jackknife; then by Benjamini and Hochberg for all rows together (D13.4).
    ``weak``
        Whether s + f is below min(25, 2 % of S + F).

    What goes with conversion need not cause it. One pass over the events between the steps of the runs that count,
    besides what the funnel costs; 8 numbers per event name and cell.

    References
    ----------
    PostHog documentation, "Correlation analysis"; Mixpanel documentation, "Signal".

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({
    ...     "user": [1, 1, 1, 2, 2, 3],
    ...     "time": [0, 1, 2, 0, 1, 0],
    ...     "event": ["sign up", "tour", "pay", "sign up", "help", "sign up"],
    ... })
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> answer = journeys.measure(jk.FunnelCorrelation(jk.Funnel(["sign up", "pay"], within="1d")))
    >>> answer.frame.select("event", "success", "failure", "odds_ratio", "correlates_with").rows()
    [('tour', 1, 0, 6.0, 'success'), ('help', 0, 1, 0.5, 'failure')]
    """

    funnel: Funnel
    of: str = "events"

    def __post_init__(self) -> None:
        if not isinstance(self.funnel, Funnel):
            raise ParameterError(f"funnel must be a Funnel, not {self.funnel!r}.")
        if self.funnel.breakdown is not None:
            raise ParameterError(
                f"the funnel has breakdown={self.funnel.breakdown!r}, which a correlation does not know. Leave it "
                f"out, and ask by segment: measure(..., by={self.funnel.breakdown!r})."
            )
        if not isinstance(self.of, str) or not self.of:
            raise ParameterError(f"of must be 'events' or the name of a property, not {self.of!r}.")

    @property
    def tables(self) -> Mapping[str, Sequence[str]]:  # type: ignore[override]
        """The tables of a tally."""
        return {"correlates": ("thing",), "outcomes": ()}

    def check(self, context: Context) -> None:
        """Refuse what the funnel refuses, and a property that was not kept."""
        self.funnel.check(context)
        if self.of != "events" and self.of not in context.kept:
            raise UnknownPropertyError(self.of, context.kept)

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the units with each thing in one shard."""
        counting = _Counting(self, shard, cells)
        for runs in counting.runner.runs():
            counting.add(runs)
        return {"correlates": counting.correlates(), "outcomes": counting.outcomes()}

    def answer(self, tables: Tables, context: Context) -> CorrelationAnswer:
        """Turn counts into measures of association."""
        named = dict(tables)
        if self.of == "events":
            named["correlates"] = self._named(tables["correlates"], context)
        return correlation_answer(self, named, context)

    def _named(self, table: pl.DataFrame, context: Context) -> pl.DataFrame:
        """Put names in the place of states, without those of the steps."""
        names = state_names(self.funnel.of, context)
        steps = [name for step in self.funnel.made for name in step.match.names]
        known = table.with_columns(pl.lit(names).gather(pl.col("thing")).alias("thing"))
        return known.filter(pl.col("thing").is_not_null() & ~pl.col("thing").is_in(steps))


class _Counting:
    """The tables of one shard."""

    def __init__(self, question: FunnelCorrelation, shard: Journeys, cells: Cells) -> None:
        self.funnel, self.of, self.shard, self.cells = question.funnel, question.of, shard, cells
        self.walk = Walk(shard, cells, self.funnel.of, self.funnel.container)
        self.machine = Machine(self.funnel, self.funnel.rules.ties)
        self.segments = cells.segments(self.walk.paths, self.funnel.container).astype(np.int64)
        self.runner = Runner(self.machine, shard, self.walk, cells.period_starts)
        self.totals = np.zeros((cells.count, 2), np.int64)
        self.numbers = None if self.of == "events" else numbers_of(shard, (self.of,), self.funnel.container)
        self.size = self.walk.n_states if self.numbers is None else self.numbers.count
        self.counted = CountingRows.make(cells.count * max(self.size, 1), self.walk.n_events)
        self.values: list[pl.DataFrame] = []
        self.n_runs = 0

    def add(self, runs: Runs) -> None:
        """Count the runs of a block that reached a step."""
        some = runs.rows[:, LEVEL] > runs.rows[:, FIRST_STEP]
        path, rows = runs.path[some], runs.rows[some]
        cell = self.cells.at(self.segments[path], runs.start_times[some])
        converted = (rows[:, LEVEL] == self.machine.required.size) & (rows[:, FIRST_STEP] == 0)
        self.totals += np.bincount(2 * cell + ~converted, minlength=self.totals.size).reshape(-1, 2)
        if self.numbers is None:
            self._add_events(path, rows, runs.at[some], runs.times[some], cell, converted)
        else:
            self._add_values(path, cell, converted)
        self.n_runs += path.size

    def _add_events(
        self, path: Int64s, rows: Int64s, at: Int64s, times: Int64s, cell: Int64s, converted: Bools
    ) -> None:
        from journeykit.kernels.funnels.correlation import count_between

        each = np.arange(path.size)
        first, last = self.machine.required[rows[:, FIRST_STEP]], self.machine.required[rows[:, LEVEL] - 1]
        start, end = times[each, first], times[each, last]
        limits = np.column_stack([start, end, self._deadlines(rows[:, LEVEL], start, end)])
        positions = np.column_stack([at[each, first], at[each, last]])
        inside = (
            self.shard.event_sessions("user").astype(np.int64)
            if self.machine.in_session
            else np.empty(0, np.int64)
        )
        rule = (self.funnel.rules.ties == "input", self.machine.tick, self.walk.n_states, self.n_runs)
        count_between(
            positions, limits, converted, self.walk.paths.ends[path], cell, self.walk.states, self.walk.paths.times,
            inside, rule, self.counted.keys, self.counted.rows, self.counted.table,
        )  # fmt: skip

    def _deadlines(self, level: Int64s, start: Int64s, end: Int64s) -> Int64s:
        """Return the last time at which each run could still go on. D7.7."""
        limits = start + self.machine.window if self.machine.window != NEVER else np.full(start.size, NEVER)
        made = [self.funnel.made[k] for k in self.machine.required]
        gaps = [NEVER if step.max_gap is None else microseconds(step.max_gap, "max_gap") for step in made]
        gap = np.array([*gaps, NEVER])[level]
        return np.where(gap == NEVER, limits, np.minimum(limits, end + gap))

    def _add_values(self, path: Int64s, cell: Int64s, converted: Bools) -> None:
        from journeykit.kernels.paths.segments import known_values

        assert self.numbers is not None
        paths, found = self.walk.paths, np.empty(path.size, np.int32)
        known_values(paths.starts[path], paths.ends[path], self.numbers.codes, True, found)
        has = found >= 0
        key, place = np.unique(cell[has] * self.size + found[has], return_inverse=True)
        self.values.append(
            pl.DataFrame({
                "key": key,
                "with": np.bincount(place, minlength=key.size),
                "success": np.bincount(place[converted[has]], minlength=key.size),
            })
        )  # fmt: skip

    def outcomes(self) -> pl.DataFrame:
        """Count who converted and who did not, per cell."""
        some = np.flatnonzero(self.totals.sum(axis=1))
        columns: dict[str, Any] = {CELL: some.astype(np.int32)}
        columns |= {name: self.totals[some, i] for i, name in enumerate(("converted", "others"))}
        return pl.DataFrame(columns)

    def correlates(self) -> pl.DataFrame:
        """Count units with each thing per cell."""
        if self.numbers is None:
            keys, rows = self.counted.found()
            thing: pl.Series = pl.Series((keys % max(self.size, 1)).astype(np.int32))
            return _table(keys // max(self.size, 1), thing, rows[:, 0], rows[:, 1])
        empty = pl.DataFrame(schema={"key": pl.Int64, "with": pl.Int64, "success": pl.Int64})
        found = sum_rows(pl.concat([empty, *self.values]), ["key"])
        keys = found["key"].to_numpy()
        values = self.numbers.values.gather(pl.Series(keys % max(self.size, 1), dtype=pl.UInt32))
        return _table(
            keys // max(self.size, 1), values, found["with"].to_numpy(), found["success"].to_numpy()
        )


def _table(cell: Int64s, thing: pl.Series, having: Int64s, success: Int64s) -> pl.DataFrame:
    columns = {
        CELL: cell.astype(np.int32),
        "thing": thing,
        "success": success,
        "failure": having - success,
    }
    return pl.DataFrame(columns)
