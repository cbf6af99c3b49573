"""The shape of a retention table: its cohorts, its columns, and which cells exist and are complete. D9.2 to D9.5."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from journeykit.statistics.periods import Between, Periods, bounds_of, covering

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Layout:
    """Cohorts by columns.

    Attributes
    ----------
    periods : Periods
        From the first cohort to the end of the observation.
    cohorts : int
        How many of these have a cohort.
    columns : numpy.ndarray of int64
        The column of every offset, also of columns that are counted but not shown; those beyond count nowhere.
    first, last : numpy.ndarray of int64
        The first and the last offset of every column that is shown.
    until : int
        The end of the observation.
    duration : int
        With a clock, the microseconds of one offset; 0 on the calendar.
    """

    periods: Periods
    cohorts: int
    columns: Int64s
    first: Int64s
    last: Int64s
    until: int
    duration: int

    @property
    def shape(self) -> tuple[int, int]:
        """Cohorts, and columns that are shown."""
        return self.cohorts, self.first.size

    @property
    def counted(self) -> tuple[int, int]:
        """Cohorts, and columns that are counted."""
        return self.cohorts, int(self.columns[-1]) + 1

    def exist(self, earliest: Int64s | None = None) -> Bools:
        """Tell which cells exist: those that have started by the end of the observation. D9.5.

        `earliest` holds the first anchor of every cohort, for a clock.
        """
        if self.duration:
            assert earliest is not None
            started: Bools = earliest[..., None] + self.first * self.duration <= self.until
        else:
            started = self._edge(self.first) <= self.until
        return np.where(self.first == 0, self._edge(self.first * 0) <= self.until, started)

    def complete(self, latest: Int64s | None = None) -> Bools:
        """Tell which cells are over by the end of the observation; `latest` holds the last anchors. D9.5."""
        over: Bools = self._edge(self.last + 1) <= self.until
        if not self.duration:
            return over
        assert latest is not None
        own_period: Bools = self._edge(self.last * 0 + 1) <= self.until
        return own_period & (latest[..., None] + (self.last + 1) * self.duration <= self.until)

    def _edge(self, offsets: Int64s) -> Int64s:
        """Return when the period of every cohort and offset starts; far away beyond the last one known."""
        edges = np.concatenate([self.periods.edges, [np.iinfo(np.int64).max]])
        places = np.arange(self.cohorts)[:, None] + offsets
        found: Int64s = edges[np.minimum(places, edges.size - 1)]
        return found


@lru_cache(maxsize=8)
def layout_of(
    period: str,
    week_start: str,
    between: Between,
    brackets: tuple[int, ...] | None,
    total_periods: int | None,
    duration: int,
    observed: tuple[int, int, str],
) -> Layout:
    """Lay out the table of an observation (from, until, time zone), once for all shards.

    Columns that have not begun, or beyond `total_periods`, are not shown, but a later return may count in one before.
    """
    low, high = bounds_of(between, *observed)
    until = observed[1]
    periods = covering(low, max(until, high), period, week_start, observed[2])
    offsets = periods.count
    if duration:
        offsets = max(0, until - int(periods.edges[0])) // duration + 1
    sizes = np.ones(offsets, np.int64) if brackets is None else np.array([1, *brackets])
    last = sizes.cumsum() - 1
    first = last - sizes + 1
    shown = first < (offsets if total_periods is None else min(offsets, total_periods))
    shown[0] = True
    columns = np.repeat(np.arange(sizes.size), sizes)
    cohorts = periods.index(high) + 1
    return Layout(periods, cohorts, columns, first[shown], last[shown], until, duration)
