"""Stickiness: in how many periods users are active. DEFINITIONS D9.9."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import polars as pl

from journeykit.journeys.journeys import Journeys
from journeykit.patterns.matchers import MatchLike
from journeykit.protocol import CELL, Cells, Context, Tables
from journeykit.statistics.base import Answer, with_share
from journeykit.statistics.checks import check_choices
from journeykit.statistics.periods import (
    Between,
    Periods,
    WeekStart,
    bounds_of,
    covering,
)
from journeykit.statistics.retention.activity import Activity, ByPeriod, Gridded, as_frame
from journeykit.support.unknown_names import Missing


@dataclass(frozen=True, eq=False, repr=False)
class StickinessAnswer(Answer):
    """Users by the number of their active periods; the frame is described in `Stickiness`."""


@dataclass(frozen=True)
class Stickiness(ByPeriod[StickinessAnswer]):
    """Count users by the number of periods they are active in. D9.9.

    Parameters
    ----------
    event : str, sequence of str, Match or expression, optional
        The event that makes a user active; without it, any event.
    period : str
        ``"1d"``, ``"1w"``, ``"1mo"`` and so on, or several units, such as ``"2d"``, counted from the unit in which the
        range starts; also ``"1h"``, ``"5m"``, ``"10s"``. In the time zone of the journeys.
    week_start : {"monday", "sunday"}
        The first day of a week.
    between : (from, to), optional
        Dates or datetimes: only events in ``[from, to)`` count, also where a period starts before; the whole log by
        default.
    compare_previous : bool
        Whether to count in the equal span of time just before the range as well.
    missing : {"raise", "ignore", "warn"}
        What to do about names that the log does not have. D0.9.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take.

    Notes
    -----
    The answer's frame has one row per number of periods, from 1 to all of them:

    ``active_periods``, ``users``
        Users active in exactly so many periods; how often in a period does not matter.
    ``share``, ``share_low``, ``share_high``
        users / all users active in the range, with Wilson's interval.
    ``cumulative``, ``cumulative_share`` and its bounds
        Users active in at least so many periods, and their share.
    ``previous_users``, ``previous_share`` and its bounds
        If it was asked for, ``users`` and ``share`` in the span before.

    A user is one row of ``by=`` and ``every=``: that of the user's first event. One pass, O(n); no memory per event.

    References
    ----------
    Documentation of Amplitude and PostHog.

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({"user": [1, 2, 1, 1], "time": [0, 5, 86_400, 86_401], "event": ["see"] * 4})
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> journeys.measure(Stickiness()).frame.select("active_periods", "users", "share", "cumulative").rows()
    [(1, 1, 0.5, 2), (2, 1, 0.5, 1)]
    """

    tables: ClassVar[Mapping[str, Sequence[str]]] = {"current": ("position",), "previous": ("position",)}

    event: MatchLike | None = None
    period: str = "1d"
    week_start: WeekStart = "monday"
    between: Between = None
    compare_previous: bool = False
    missing: Missing = "raise"

    def __post_init__(self) -> None:
        check_choices(self)
        self._settle()

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the users of one shard, in the range and in the span before it."""
        activity = Activity.of(shard, cells, [self._match])
        spans = self._spans(shard.observed_from, shard.observed_until, shard.tz)
        counted = [self._count(activity, periods) for periods in spans]
        none = counted[0].clear()
        return {"current": counted[0], "previous": counted[1] if self.compare_previous else none}

    def answer(self, tables: Tables, context: Context) -> StickinessAnswer:
        """Turn counts into shares."""
        periods = self._spans(context.observed_from, context.observed_until, context.tz)[0]
        places = np.arange(periods.count)
        frame = Gridded.of(tables["current"], "position", places, context).frame
        total = pl.col("users").sum().over(CELL)
        above = pl.col("users").cum_sum(reverse=True).over(CELL)
        frame = frame.with_columns(total.alias("all"), above.alias("cumulative"))
        frame = with_share(frame, "share", "users", "all", context)
        frame = with_share(frame, "cumulative_share", "cumulative", "all", context)
        columns = [*_with_bounds("users", "share"), *_with_bounds("cumulative", "cumulative_share")]
        if self.compare_previous:
            frame = self._with_previous(frame, tables["previous"], context)
            columns += _with_bounds("previous_users", "previous_share")
        frame = frame.with_columns((pl.col("position").cast(pl.Int64) + 1).alias("active_periods"))
        frame = frame.select(CELL, "active_periods", *columns)
        notes = []
        if int(periods.edges[-1]) > context.observed_until + 1:
            notes.append("The range ends after the log does: its last periods are not complete.")
        return StickinessAnswer(context.label(frame), self, replace(context, notes=(*context.notes, *notes)))

    def at_later_end(self, tables: Tables, before: int, after: int) -> Tables | None:
        """Keep what was counted, unless it is compared with the span before: that moves with the end."""
        return None if self.compare_previous else tables

    def _spans(self, observed_from: int, observed_until: int, tz: str) -> list[Periods]:
        """Return the periods of the range, and of as much time just before it if that is compared."""
        low, high = bounds_of(self.between, observed_from, observed_until, tz)
        spans = [(low, high), (low - (high + 1 - low), low - 1)][: 1 + self.compare_previous]
        return [
            covering(first, last, self.period, self.week_start, tz, 0).clipped(first, last)
            for first, last in spans
        ]

    def _count(self, activity: Activity, periods: Periods) -> pl.DataFrame:
        from journeykit.kernels.outcomes.activity import count_stickiness

        table = np.zeros((activity.cell_count, periods.count), np.int64)
        count_stickiness(*activity.users, periods.grid, periods.scratch(), table)
        return as_frame(table[..., None], ("position",), ("users",))

    def _with_previous(self, frame: pl.DataFrame, table: pl.DataFrame, context: Context) -> pl.DataFrame:
        """Put what was counted before the range beside it; no more periods than the range has."""
        users = table.group_by(CELL, "position").agg(pl.col("users").sum().alias("previous_users"))
        totals = users.group_by(CELL).agg(pl.col("previous_users").sum().alias("previous_all"))
        frame = frame.join(users, on=[CELL, "position"], how="left", maintain_order="left")
        frame = frame.join(totals, on=CELL, how="left", maintain_order="left")
        frame = frame.with_columns(pl.col("previous_users", "previous_all").fill_null(0))
        return with_share(frame, "previous_share", "previous_users", "previous_all", context)


def _with_bounds(count: str, share: str) -> list[str]:
    return [count, share, f"{share}_low", f"{share}_high"]
