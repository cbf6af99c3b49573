"""Active users: per period, and in the window of periods that ends with it. DEFINITIONS D9.9."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import polars as pl

from journeykit.errors import ParameterError
from journeykit.journeys.journeys import Journeys
from journeykit.mathematics.intervals import GROUPS, jackknife
from journeykit.patterns.matchers import MatchLike
from journeykit.protocol import CELL, Cells, Context, Tables
from journeykit.statistics.base import Answer, with_floats, with_share
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
class ActiveUsersAnswer(Answer):
    """Active users; the frame is described in `ActiveUsers`.

    Attributes
    ----------
    average : polars.DataFrame
        One row per segment: ``periods``, how many are complete; the means over these of ``active``, ``rolling`` and
        ``rate``, the last one with its jackknife interval ``low``, ``high`` (D12.3). Null without any.
    """

    average: pl.DataFrame


@dataclass(frozen=True)
class ActiveUsers(ByPeriod[ActiveUsersAnswer]):
    """Count the users who are active per day, week or month, and in a rolling window. D9.9.

    Parameters
    ----------
    event : str, sequence of str, Match or expression, optional
        The event that makes a user active; without it, any event.
    period : str
        ``"1d"``, ``"1w"``, ``"1mo"``, ``"1q"``, ``"1y"``, or several units, counted from the start of the range. In the
        time zone of the journeys.
    window : int
        How many periods the rolling window has, the period itself the last: with days, 7 is WAU and 30 is MAU.
    week_start : {"monday", "sunday"}
        The first day of a week.
    between : (from, to), optional
        Dates or datetimes, ``[from, to)``, widened to whole periods; the whole log by default.
    missing : {"raise", "ignore", "warn"}
        What to do about names that the log does not have. D0.9.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take.

    Notes
    -----
    The answer's frame has one row per period:

    ``start``, ``active``, ``rolling``
        Users active in it, and in the window that ends with it; each user once.
    ``rate``, ``low``, ``high``
        active / rolling, with Wilson's interval: DAU/MAU with the defaults.
    ``complete``
        Whether the period is over and the log covers the whole window; the averages leave the others out.

    A user is one row of ``by=`` and ``every=``: that of the user's first event. One pass, O(n); no memory per event.

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({"user": [1, 2, 1], "time": [0, 5, 86_400], "event": ["see"] * 3})
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> journeys.measure(ActiveUsers(window=2)).frame.select("active", "rolling", "rate", "complete").rows()
    [(2, 2, 1.0, False), (1, 2, 0.5, False)]
    """

    tables: ClassVar[Mapping[str, Sequence[str]]] = {"periods": ("position",)}

    event: MatchLike | None = None
    period: str = "1d"
    window: int = 30
    week_start: WeekStart = "monday"
    between: Between = None
    missing: Missing = "raise"

    def __post_init__(self) -> None:
        check_choices(self)
        self._settle()
        if (
            not isinstance(self.window, int)
            or isinstance(self.window, bool)
            or not 1 <= self.window <= 10_000
        ):
            raise ParameterError(
                f"window cannot be {self.window!r}. Give how many periods it has, from 1 to 10,000, such as 30."
            )

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the users of one shard."""
        from journeykit.kernels.outcomes.activity import count_active

        activity = Activity.of(shard, cells, [self._match])
        periods = self._periods(shard.observed_from, shard.observed_until, shard.tz)
        table = np.zeros((activity.cell_count, periods.count, 2), np.int64)
        count_active(*activity.users, periods.grid, self.window, periods.scratch(), table)
        np.cumsum(table[..., 1], axis=1, out=table[..., 1])
        return {"periods": as_frame(table, ("position",), ("active", "rolling"))}

    def answer(self, tables: Tables, context: Context) -> ActiveUsersAnswer:
        """Turn counts into one row per period, and their averages."""
        periods = self._periods(context.observed_from, context.observed_until, context.tz)
        grid = Gridded.of(tables["periods"], "position", np.arange(self.window - 1, periods.count), context)
        place = grid.frame["position"].to_numpy()
        complete = periods.edges[place + 1] <= context.observed_until
        complete &= periods.edges[place - self.window + 1] >= context.observed_from
        shares = with_share(grid.frame, "rate", "active", "rolling", context)
        frame = shares.rename({"rate_low": "low", "rate_high": "high"}).with_columns(
            periods.starts.gather(pl.Series(place)).alias("start"), pl.Series("complete", complete)
        )
        columns = ("start", "active", "rolling", "rate", "low", "high", "complete")
        average = self._average(frame, grid, context)
        notes = []
        if not complete.all():
            left_out = f"{int((~complete).sum()):,} of {complete.size:,} periods"
            notes.append(
                f"{left_out} are not over, or the log does not cover their window: averages leave them out."
            )
        return ActiveUsersAnswer(
            context.label(frame.select(CELL, *columns)),
            self,
            replace(context, notes=(*context.notes, *notes)),
            context.label(average),
        )

    def _average(self, frame: pl.DataFrame, grid: Gridded, context: Context) -> pl.DataFrame:
        """Average the complete periods of every cell, with jackknife intervals. D12.3."""
        kept = pl.col("complete") & (pl.col("rolling") > 0)
        means = frame.group_by(CELL, maintain_order=True).agg(
            pl.col("complete").sum().cast(pl.Int64).alias("periods"),
            pl.col("active", "rolling").filter("complete").mean(),
            pl.col("rate").filter(kept).mean(),
        )
        size, cells = len(frame) // max(1, means.height), means.height
        parts = {name: _by_group(grid, name, cells, size) for name in ("active", "rolling")}
        with np.errstate(divide="ignore", invalid="ignore"):
            rates = parts["active"] / parts["rolling"]
        usable = frame["complete"].to_numpy().reshape(cells, size, 1) & (parts["rolling"] > 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            replicates = np.where(usable, rates, 0.0).sum(axis=1) / usable.sum(axis=1)
        estimate = means["rate"].fill_null(np.nan).to_numpy()
        present = grid.groups()
        groups = np.array([present[cell] for cell in means[CELL]], np.int64)
        replicates = np.where(np.isnan(estimate)[:, None], np.nan, replicates)
        users = frame.group_by(CELL, maintain_order=True).agg(pl.col("rolling").max())["rolling"].to_numpy()
        ends = jackknife(estimate, replicates, groups, users, level=context.level)
        return with_floats(means, {"low": ends.low, "high": ends.high})

    def _periods(self, observed_from: int, observed_until: int, tz: str) -> Periods:
        low, high = bounds_of(self.between, observed_from, observed_until, tz)
        return covering(low, high, self.period, self.week_start, tz, self.window - 1)


def _by_group(
    grid: Gridded, column: str, cells: int, size: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return the totals without each group: cells, places, groups."""
    sums = grid.sums(column)
    without = np.repeat(sums.total[:, None], GROUPS, axis=1)
    without[sums.row, sums.group] -= sums.value
    return without.reshape(cells, size, GROUPS)
