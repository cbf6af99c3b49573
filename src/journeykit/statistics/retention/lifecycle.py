"""Lifecycle: new, returning, resurrecting and dormant users by period. DEFINITIONS D9.8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import polars as pl

from journeykit.journeys.journeys import Journeys
from journeykit.patterns.matchers import MatchLike
from journeykit.protocol import Cells, Context, Tables
from journeykit.statistics.base import Answer, with_rate
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

COUNTS = ("new", "returning", "resurrecting", "dormant", "active")


@dataclass(frozen=True, eq=False, repr=False)
class LifecycleAnswer(Answer):
    """New, returning, resurrecting and dormant users; the frame is described in `Lifecycle`."""


@dataclass(frozen=True)
class Lifecycle(ByPeriod[LifecycleAnswer]):
    """Count new, returning, resurrecting and dormant users per period. D9.8.

    Parameters
    ----------
    event : str, sequence of str, Match or expression, optional
        The event that makes a user active; without it, any event.
    period : str
        ``"1d"``, ``"1w"``, ``"1mo"``, ``"1q"``, ``"1y"``, or several units, such as ``"2w"``, counted from the start of
        the range. In the time zone of the journeys.
    week_start : {"monday", "sunday"}
        The first day of a week.
    between : (from, to), optional
        Dates or datetimes, ``[from, to)``, widened to whole periods; the whole log by default.
    new_by : {"any", "activity"}
        Whether a user is new in the period of the first event of any kind, or of the first `event`; over the whole log.
    missing : {"raise", "ignore", "warn"}
        What to do about names that the log does not have. D0.9.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take.

    Notes
    -----
    The answer's frame has one row per period:

    ``start``
        When the period starts.
    ``new``, ``returning``, ``resurrecting``
        Active users: in the period of their first event; active in the period before too; or neither. They add up to
        ``active``.
    ``dormant``
        Users active in the period before and not in this one, as a negative number.
    ``pulse``, ``pulse_low``, ``pulse_high``
        (new + resurrecting) / dormant: above 1 the number of users grows. Null without dormant users. Jackknife on the
        scale of logarithms (D12.3).
    ``complete``
        Whether the period is over. If not, its users still come, and those counted as dormant may.
    ``previous_observed``
        Whether the log covers the period before from its start: if not, users active there may be counted as
        resurrecting or new, and dormant ones are missed.

    A user is one row of ``by=`` and ``every=``: that of the user's first event. One pass, O(n); no memory per event.

    References
    ----------
    Documentation of Amplitude (Pulse) and PostHog.

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({"user": [1, 2, 1, 2], "time": [0, 5, 86_400, 200_000], "event": ["see"] * 4})
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> journeys.measure(Lifecycle()).frame.select("new", "returning", "resurrecting", "dormant").rows()
    [(2, 0, 0, 0), (0, 1, 0, -1), (0, 0, 1, -1)]
    """

    tables: ClassVar[Mapping[str, Sequence[str]]] = {"periods": ("position",)}

    event: MatchLike | None = None
    period: str = "1d"
    week_start: WeekStart = "monday"
    between: Between = None
    new_by: Literal["any", "activity"] = "any"
    missing: Missing = "raise"

    def __post_init__(self) -> None:
        check_choices(self, new_by=("any", "activity"))
        self._settle()

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the users of one shard."""
        from journeykit.kernels.outcomes.activity import count_lifecycle

        activity = Activity.of(shard, cells, [self._match])
        periods = self._periods(shard.observed_from, shard.observed_until, shard.tz)
        table = np.zeros((activity.cell_count, periods.count, len(COUNTS)), np.int64)
        count_lifecycle(*activity.users, periods.grid, self.new_by == "activity", periods.scratch(), table)
        return {"periods": as_frame(table, ("position",), COUNTS)}

    def answer(self, tables: Tables, context: Context) -> LifecycleAnswer:
        """Turn counts into one row per period."""
        periods = self._periods(context.observed_from, context.observed_until, context.tz)
        grid = Gridded.of(tables["periods"], "position", np.arange(1, periods.count), context)
        numerator, denominator = grid.sums("new", "resurrecting"), grid.sums("dormant")
        frame = with_rate(
            grid.frame, "pulse", numerator, denominator, np.arange(grid.frame.height), grid.groups(),
            grid.frame["dormant"].to_numpy(), context, scale="log",
        )  # fmt: skip
        edges, place = periods.edges, grid.frame["position"].to_numpy()
        frame = frame.with_columns(
            periods.starts.gather(pl.Series(place)).alias("start"),
            -pl.col("dormant"),
            pl.Series("complete", edges[place + 1] <= context.observed_until),
            pl.Series("previous_observed", edges[place - 1] >= context.observed_from),
        )
        flags = ("complete", "previous_observed")
        frame = frame.select("cell", "start", *COUNTS, "pulse", "pulse_low", "pulse_high", *flags)
        notes = [] if frame["previous_observed"].all() else [
            "The period before the first one is not in the log as a whole: see previous_observed."
        ]  # fmt: skip
        return LifecycleAnswer(context.label(frame), self, replace(context, notes=(*context.notes, *notes)))

    def _periods(self, observed_from: int, observed_until: int, tz: str) -> Periods:
        low, high = bounds_of(self.between, observed_from, observed_until, tz)
        return covering(low, high, self.period, self.week_start, tz, 1)
