"""Retention: who comes back, by cohort and time since. DEFINITIONS D9.1 to D9.7."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError, UnknownPropertyError
from journeykit.journeys.journeys import Journeys
from journeykit.patterns.matchers import Match, MatchLike, as_match, check_matches
from journeykit.protocol import CELL, Cells, Context, Tables
from journeykit.statistics.base import UNITS_TABLE, Statistic
from journeykit.statistics.checks import check_choices
from journeykit.statistics.periods import (
    Between,
    WeekStart,
    approximate_count,
    bounds_of,
    check_count,
    check_periods,
)
from journeykit.statistics.retention.activity import Activity, as_frame
from journeykit.statistics.retention.answer import RetentionAnswer, retention_answer
from journeykit.statistics.retention.layout import Layout, layout_of
from journeykit.support.durations import Duration, microseconds
from journeykit.support.unknown_names import Missing

Int64s = npt.NDArray[np.int64]
Cohort: TypeAlias = Literal["first_time", "recurring", "first_time_filtered"]
ReturnRule: TypeAlias = Literal["on", "on_or_after", "on_or_before", "streak"]

COHORTS: tuple[Cohort, ...] = ("first_time", "recurring", "first_time_filtered")
RULES: tuple[ReturnRule, ...] = ("on", "on_or_after", "on_or_before", "streak")
ON = RULES.index("on")
BLOCK = 1 << 22
MOST_PERIODS = 5_000
NEVER = 1 << 62


@dataclass(frozen=True)
class Retention(Statistic[RetentionAnswer]):
    """Count who of each cohort comes back, by the time since. D9.1 to D9.6.

    Parameters
    ----------
    start : str, sequence of str, Match or expression, optional
        The event that makes a user a member of a cohort; without it, any event.
    returning : str, sequence of str, Match or expression, optional
        The event that counts as coming back; without it, any event.
    cohort : {"first_time", "recurring", "first_time_filtered"}
        Users belong to the period of their first start ever, if it fulfils the condition of `start`; to every period
        with a start; or to the period of the first start that fulfils the condition. Who started before the range is in
        no cohort of a first time.
    rule : {"on", "on_or_after", "on_or_before", "streak"}
        A cell counts the users who came back in its period; in it or later; in period 1 up to it; in each of these.
    brackets : sequence of int, optional
        How many periods each column after column 0 takes together, such as ``(7, 7, 14)``.
    clock : "calendar" or duration
        What the time since is counted in: calendar periods, or spans such as ``"24h"`` after the user's first start
        in the cohort's period.
    period : str
        The periods of cohorts, and of the calendar's columns: ``"1d"``, ``"1w"``, ``"1mo"``, ``"1q"``, ``"1y"``, or
        several units, such as ``"30d"``, counted from the start of the range. In the time zone of the journeys.
    week_start : {"monday", "sunday"}
        The first day of a week.
    total_periods : int, optional
        How many columns to count, column 0 included.
    between : (from, to), optional
        The cohorts' range: dates or datetimes, ``[from, to)``, widened to whole periods; the whole log by default.
        Users come back until the end of the observation.
    min_occurrences : int
        How many return events in a period (or bracket) count as coming back.
    vs : {"first", "previous"}
        What the rate divides by: the cohort's size, or the column before.
    cohort_by : str, optional
        A kept property: one cohort per value that it has at the user's first start, over all periods together, each
        cell over the users whose period is complete.
    appearances : bool
        Whether the answer lists every member of every cohort with the columns they came back in.
    missing : {"raise", "ignore", "warn"}
        What to do about names that the log does not have. D0.9.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take.

    Notes
    -----
    The answer's frame has one row per cohort and column that has started by the end of the observation:

    ``cohort``, ``offset``
        The start of the cohort's period, or the value of `cohort_by`; the column, 0 for the cohort itself.
    ``size``, ``returned``
        Distinct users of the cohort, and those who came back. Column 0 is the size (D9.3); nobody is 0, not null.
    ``rate``, ``low``, ``high``, ``churn``
        returned / size with Wilson's interval, null for a cohort without users; and 1 - rate. With ``vs="previous"``
        by ``previous``, the column before, with the jackknife's (users may come back after a pause, so that the rate
        can exceed 1).
    ``complete``, ``may_grow``
        Whether the cell's time is over for all of its users: if not, its count is a lower bound and averages leave it
        out. With ``"on_or_after"`` all cells may grow.

    ``average`` is described in `RetentionAnswer`. The order in time does not matter within a calendar period; with a
    clock only returns after the anchor count. With ``by=`` and ``every=`` users are what is cut: a user belongs to the
    segment and period of the user's first event.

    One pass, O(n), and O(active periods squared) per user for recurring cohorts; no memory per event. The table takes
    8 bytes per cohort, column and segment in blocks of at most 32 MB.

    References
    ----------
    Documentation of Amplitude, Mixpanel, PostHog, GA4, Adobe Analytics.

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({"user": [1, 2, 1, 3, 3], "time": [0, 5, 86_400, 90_000, 200_000], "event": ["see"] * 5})
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> answer = journeys.measure(Retention())
    >>> answer.frame.select("offset", "size", "returned", "rate", "complete").rows()
    [(0, 2, 2, 1.0, True), (1, 2, 1, 0.5, True), (2, 2, 0, 0.0, False), (0, 1, 1, 1.0, True), (1, 1, 1, 1.0, False), (0, 0, 0, None, False)]
    """  # noqa: E501

    start: MatchLike | None = None
    returning: MatchLike | None = None
    cohort: Cohort = "first_time"
    rule: ReturnRule = "on"
    brackets: Sequence[int] | None = None
    clock: Literal["calendar"] | Duration = "calendar"
    period: str = "1d"
    week_start: WeekStart = "monday"
    total_periods: int | None = None
    between: Between = None
    min_occurrences: int = 1
    vs: Literal["first", "previous"] = "first"
    cohort_by: str | None = None
    appearances: bool = False
    missing: Missing = "raise"

    def __post_init__(self) -> None:
        for parameter in ("start", "returning"):
            given = getattr(self, parameter)
            if given is not None:
                object.__setattr__(self, parameter, as_match(given, parameter))
        check_choices(self, cohort=COHORTS, rule=RULES, vs=("first", "previous"))
        check_periods(self.period, self.week_start, self.between)
        for parameter in ("total_periods", "min_occurrences"):
            _check_positive(parameter, getattr(self, parameter))
        if self.brackets is not None:
            object.__setattr__(self, "brackets", _checked_brackets(self.brackets))
        if self.between is not None:
            object.__setattr__(self, "between", tuple(self.between))
        if self.clock != "calendar":
            microseconds(self.clock, "clock")
        if self.appearances and self.cohort_by is not None:
            raise ParameterError(
                "appearances= lists members by the period of their cohort: it does not go with cohort_by=. "
                "Leave one of them out."
            )

    @property
    def tables(self) -> Mapping[str, Sequence[str]]:  # type: ignore[override]
        """The tables of a tally."""
        value = () if self.cohort_by is None else ("value",)
        tables: dict[str, Sequence[str]] = {"table": (*value, "cohort", "offset"), UNITS_TABLE: ()}
        if self._duration:
            tables["anchors"] = (*value, "cohort")
        return tables | ({"appearances": ("user", "cohort", "offset")} if self.appearances else {})

    def check(self, context: Context) -> None:
        """Refuse names and properties that the journeys do not have, and tables that are too large."""
        check_matches(self._matches, "event", self.missing, context)
        if self.cohort_by is not None and self.cohort_by not in context.kept:
            raise UnknownPropertyError(self.cohort_by, context.kept)
        low, high = bounds_of(self.between, context.observed_from, context.observed_until, context.tz)
        check_count(approximate_count(low, max(high, context.observed_until), self.period), MOST_PERIODS)
        if self._duration and self.total_periods is None and self.brackets is None:
            check_count((context.observed_until - low) // self._duration + 1, MOST_PERIODS)

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the members and the returns of one shard."""
        activity = Activity.of(shard, cells, self._matches)
        layout = self._layout(shard.observed_from, shard.observed_until, shard.tz)
        values, rows = None, activity.cell_count
        if self.cohort_by is not None:
            activity, values = self._by_value(shard, activity)
            rows *= max(1, len(values))
        parts = [
            self._count(activity, layout, first, min(_cells_at_once(layout), rows - first))
            for first in range(0, rows, _cells_at_once(layout))
        ]
        tables = {name: pl.concat([part[name] for part in parts]) for name in parts[0]}
        if values is not None:
            tables = {name: _with_values(table, name, values) for name, table in tables.items()}
        if self.appearances:
            tables["appearances"] = self._appearances(shard, activity, layout)
        return tables

    def answer(self, tables: Tables, context: Context) -> RetentionAnswer:
        """Turn counts into rates with intervals, and averages over complete cells."""
        layout = self._layout(context.observed_from, context.observed_until, context.tz)
        return retention_answer(self, layout, tables, context)

    def at_later_end(self, tables: Tables, before: int, after: int) -> Tables | None:
        """Keep what was counted: later periods only add cells, which are empty but where returns before them count."""
        return None if self.rule == "on_or_before" else tables

    @property
    def _duration(self) -> int:
        return 0 if self.clock == "calendar" else microseconds(self.clock, "clock")

    @property
    def _first_only(self) -> bool:
        return self.cohort != "recurring"

    @property
    def _matches(self) -> tuple[Match, Match]:
        """What starts and what returns; a conditioned first time asks about the first event of the names."""
        start = Match() if self.start is None else as_match(self.start, "start")
        returning = Match() if self.returning is None else as_match(self.returning, "returning")
        if self.cohort == "first_time" and not start.by_name:
            start = replace(start, first_time=start.first_time or True)
        return start, returning

    def _layout(self, observed_from: int, observed_until: int, tz: str) -> Layout:
        return layout_of(
            self.period, self.week_start, self.between, self.brackets, self.total_periods, self._duration,
            (observed_from, observed_until, tz),
        )  # fmt: skip

    def _count(self, activity: Activity, layout: Layout, first_cell: int, count: int) -> Tables:
        """Count users by cell, cohort and column, for some cells."""
        table, members, anchors = self._passed(activity, layout, first_cell, count)
        frame = as_frame(table[..., None], ("cohort", "offset"), ("users",), first_cell)
        tables = {"table": frame, UNITS_TABLE: as_frame(members[:, None], (), ("users",), first_cell)}
        if self._duration:
            met = frame.filter(pl.col("offset") == 0).select(CELL, "cohort")
            extremes = anchors[met[CELL].to_numpy() - first_cell, met["cohort"].to_numpy()]
            tables["anchors"] = met.with_columns(
                pl.Series("anchor_min", extremes[:, 0]), pl.Series("anchor_max", extremes[:, 1])
            )
        return tables

    def _passed(
        self, activity: Activity, layout: Layout, first_cell: int, count: int
    ) -> tuple[Int64s, Int64s, Int64s]:
        """Go through the events once; return the counts, the members of any cohort, and the anchors."""
        from journeykit.kernels.outcomes.retention import (
            count_first_returns,
            count_retention,
            count_retention_by_clock,
        )

        table = np.zeros((count, *layout.counted), np.int64)
        members = np.zeros(count, np.int64)
        anchors = np.empty((count, layout.cohorts, 2), np.int64)
        anchors[..., 0], anchors[..., 1] = NEVER, -NEVER
        rule = (RULES.index(self.rule), self.min_occurrences, self._first_only)
        shared = (*activity.users, first_cell, layout.periods.grid, layout.columns)
        if self._duration:
            count_retention_by_clock(*shared, rule, self._duration, anchors, members, table)
        elif rule == (ON, 1, True):
            count_first_returns(*shared, members, table)
        else:
            count_retention(*shared, rule, layout.periods.scratch(), members, table)
        return _summed(table, self.rule)[..., : layout.shape[1]], members, anchors

    def _by_value(self, shard: Journeys, activity: Activity) -> tuple[Activity, pl.Series]:
        """Cut the cells by the value of a property at the user's first start; users without a start are in none."""
        from journeykit.kernels.outcomes.retention import first_starts

        position = np.empty(activity.starts.size, np.int64)
        first_starts(activity.starts, activity.ends, activity.codes, activity.masks, position)
        place = np.maximum(position, 0)
        rows = shard.rows if shard.time_order is None else shard.rows[shard.time_order]
        assert self.cohort_by is not None
        found = shard.source[self.cohort_by].gather(pl.Series(rows[place] if rows.size else place[:0]))
        values = found.unique().sort(nulls_last=True).alias("value")
        numbers = pl.DataFrame({"value": values}).with_row_index("number")
        joined = found.to_frame("value").join(
            numbers, on="value", how="left", maintain_order="left", nulls_equal=True
        )
        number = joined["number"].to_numpy().astype(np.int32)
        cells = np.where(position < 0, np.int32(-1), activity.cells * np.int32(len(values)) + number)
        return replace(activity, cells=cells), values

    def _appearances(self, shard: Journeys, activity: Activity, layout: Layout) -> pl.DataFrame:
        """List (cell, user, cohort, column) of every member, some users at a time."""
        first = (shard.user_range or (0, 0))[0]
        step, parts = _cells_at_once(layout), []
        for start in range(0, max(1, activity.starts.size), step):
            some = slice(start, start + step)
            count = activity.starts[some].size
            one_by_one = replace(
                activity, starts=activity.starts[some], ends=activity.ends[some],
                cells=np.arange(count, dtype=np.int32),
            )  # fmt: skip
            table, _, _ = self._passed(one_by_one, layout, 0, max(count, 1))
            found = as_frame(table[..., None], ("cohort", "offset"), ("appearances",))
            user = found[CELL].to_numpy() + start
            cell = activity.cells[user]
            ids = shard.users.gather(pl.Series(user + first)).alias("user")
            parts.append(found.select(pl.Series(CELL, cell), ids, pl.exclude(CELL)))
        return pl.concat(parts)


def _cells_at_once(layout: Layout) -> int:
    return max(1, BLOCK // (layout.counted[0] * layout.counted[1]))


def _summed(table: Int64s, rule: str) -> Int64s:
    """Turn the one column in which a user is counted into all of the user's cells. D9.4."""
    later = table[..., 1:]
    if rule == "on_or_before":
        np.cumsum(later, axis=-1, out=later)
    elif rule != "on":
        later[...] = later[..., ::-1].cumsum(axis=-1)[..., ::-1]
    return table


def _with_values(table: pl.DataFrame, name: str, values: pl.Series) -> pl.DataFrame:
    """Split a cell that is one of a segment and a value in two."""
    size = max(1, len(values))
    cell, number = pl.col(CELL) // size, table[CELL] % size
    if name == UNITS_TABLE:
        return table.group_by(cell, maintain_order=True).agg(pl.col("users").sum())
    return table.select(cell, values.gather(number.cast(pl.UInt32)).alias("value"), pl.exclude(CELL))


def _check_positive(parameter: str, value: Any) -> None:
    if value is None and parameter == "total_periods":
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ParameterError(f"{parameter} cannot be {value!r}. Give a whole number, 1 or more.")


def _checked_brackets(brackets: Any) -> tuple[int, ...]:
    listed = tuple(brackets) if isinstance(brackets, Sequence) and not isinstance(brackets, str) else ()
    if not listed or not all(
        isinstance(size, int) and not isinstance(size, bool) and size > 0 for size in listed
    ):
        raise ParameterError(
            f"brackets cannot be {brackets!r}. Give how many periods each column takes together, such as (7, 7, 14)."
        )
    return listed
