"""Calendar periods as edges in time: days, weeks, months of a time zone, spans of equal length. DEFINITIONS D1.7."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.cells import truncated
from journeykit.errors import ParameterError
from journeykit.protocol import Context
from journeykit.support.durations import MICROSECONDS

Int64s = npt.NDArray[np.int64]
WeekStart: TypeAlias = Literal["monday", "sunday"]
Moment: TypeAlias = date | datetime | None
Between: TypeAlias = tuple[Moment, Moment] | None

WEEK_STARTS: tuple[WeekStart, ...] = ("monday", "sunday")
MOST_PERIODS = 10_000
_PERIOD = re.compile(r"([1-9]\d{0,5})(s|m|h|d|w|mo|q|y)")
_ELAPSED = ("s", "m", "h")


@dataclass(frozen=True, eq=False)
class Periods:
    """Periods that follow each other without a gap.

    Attributes
    ----------
    edges : numpy.ndarray of int64, periods + 1
        Where each period starts and the last one ends, in microseconds since the epoch, UTC.
    tz : str
        The time zone whose days these are.
    """

    edges: Int64s
    tz: str

    @property
    def count(self) -> int:
        """How many."""
        return self.edges.size - 1

    @property
    def grid(self) -> tuple[Int64s, float]:
        """The edges, and how many periods there are per microsecond on average, for the kernels."""
        return self.edges, self.count / float(self.edges[-1] - self.edges[0])

    @property
    def starts(self) -> pl.Series:
        """When each period starts, in the time zone."""
        return pl.Series(self.edges[:-1]).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(self.tz)

    def clipped(self, first: int, last: int) -> Periods:
        """Return the same periods, the first and the last of which begin and end with a range."""
        edges = self.edges.copy()
        edges[0], edges[-1] = first, last + 1
        return Periods(edges, self.tz)

    def index(self, time: int) -> int:
        """Return the period that holds a time; -1 before the first, `count` after the last."""
        return int(np.searchsorted(self.edges, time, side="right")) - 1

    def scratch(self) -> tuple[Int64s, Int64s, Int64s]:
        """Return room for the active periods of one user."""
        one, two, three = (np.empty(self.count, np.int64) for _ in range(3))
        return one, two, three


@lru_cache(maxsize=16)
def covering(first: int, last: int, period: str, week_start: str, tz: str, before: int = 0) -> Periods:
    """Return the periods from the one that holds `first` to the one that holds `last`, made once for all shards.

    Parameters
    ----------
    first, last : int
        Microseconds since the epoch; `last` is not before `first`.
    period : str
        One or several units, such as ``"1d"`` or ``"2w"``; several are counted from the unit that holds `first`.
    week_start : {"monday", "sunday"}
        The first day of a week.
    tz : str
        A day is one of this time zone, of 23 to 25 hours where clocks change. Hours, minutes and seconds are
        elapsed time, counted from a whole one of the zone's standard time.
    before : int
        How many periods more come before these.

    Examples
    --------
    >>> day = 86_400_000_000
    >>> covering(0, 9 * day, "1w", "sunday", "UTC").edges // day
    array([-4,  3, 10])
    """
    count, unit = parts_of(period)
    if unit in _ELAPSED:
        width = count * MICROSECONDS[unit]
        origin = _whole(first, unit, tz)
        return Periods(origin + width * np.arange(-before, (last - origin) // width + 2), tz)
    start = _floor(first, unit, week_start, tz)
    if before:
        start = start.dt.offset_by(f"-{before * count}{unit}")
    until = _local(last, tz)
    step = f"{count}{unit}"
    starts = pl.datetime_range(start[0], until[0], step, time_unit="us", eager=True).alias("")
    return Periods(_instants(starts.append(starts.tail(1).dt.offset_by(step)), tz), tz)


def parts_of(period: str) -> tuple[int, str]:
    """Split a period into how many units, and which.

    Raises
    ------
    ParameterError
        If it is no period.

    Examples
    --------
    >>> parts_of("2w")
    (2, 'w')
    """
    found = _PERIOD.fullmatch(period) if isinstance(period, str) else None
    if found is None:
        raise ParameterError(
            f"period cannot be {period!r}. Give a number of units, such as '1d', '2w' or '1mo' "
            f"(s, m, h, d, w, mo, q, y)."
        )
    return int(found[1]), found[2]


def check_periods(period: str, week_start: str, between: Any) -> None:
    """Refuse a period, a first day of the week or a range that cannot be one.

    Raises
    ------
    ParameterError
        If `between` is not two dates or moments with a time zone, the first before the second; None is open.
    """
    parts_of(period)
    if week_start not in WEEK_STARTS:
        raise ParameterError.choice("week_start", week_start, WEEK_STARTS)
    if between is None:
        return
    if not isinstance(between, tuple | list) or len(between) != 2:
        raise ParameterError(
            f"between cannot be {between!r}. Give two dates or datetimes, from and to; None is open."
        )
    for moment in between:
        if moment is not None and not isinstance(moment, date):
            raise ParameterError(
                f"between cannot hold {moment!r}. Give a date, or a datetime with a time zone."
            )
        if isinstance(moment, datetime) and moment.tzinfo is None:
            raise ParameterError(
                "between needs a time zone. Pass datetime(..., tzinfo=UTC), for example, or a date."
            )
    first, last = (None if moment is None else moment_of(moment, "UTC") for moment in between)
    if first is not None and last is not None and first >= last:
        raise ParameterError(f"between must start before it ends, unlike {between[0]} and {between[1]}.")


def moment_of(moment: date | datetime, tz: str) -> int:
    """Return microseconds since the epoch; a date is the start of that day in the time zone."""
    if isinstance(moment, datetime):
        return (moment - datetime.fromisoformat("1970-01-01T00:00+00:00")) // timedelta(microseconds=1)
    return int(_instants(pl.Series([moment]).cast(pl.Datetime("us")), tz)[0])


def bounds_of(between: Between, first: int, last: int, tz: str) -> tuple[int, int]:
    """Return the first and the last microsecond of a range; an open end is that of the observation."""
    start, end = between or (None, None)
    low = first if start is None else moment_of(start, tz)
    high = last if end is None else moment_of(end, tz) - 1
    return low, max(low, high)


def check_count(count: int, most: int = MOST_PERIODS) -> None:
    """Refuse more periods than a table can have."""
    if count > most:
        raise ParameterError(
            f"{count:,} periods are more than the {most:,} that an answer can have. "
            f"Choose longer periods, or a shorter range with between=."
        )


def check_range(between: Between, period: str, context: Context) -> None:
    """Refuse a range of too many periods, before they are made."""
    low, high = bounds_of(between, context.observed_from, context.observed_until, context.tz)
    check_count(approximate_count(low, high, period))


def approximate_count(first: int, last: int, period: str) -> int:
    """Return about how many periods a range has, without making them."""
    count, unit = parts_of(period)
    days = {"mo": 30, "q": 91, "y": 365}
    width = days[unit] * MICROSECONDS["d"] if unit in days else MICROSECONDS[unit]
    return (last - first) // (count * width) + 1


def _local(time: int, tz: str) -> pl.Series:
    moment = pl.Series([time]).cast(pl.Datetime("us", "UTC"))
    return moment.dt.convert_time_zone(tz).dt.replace_time_zone(None)


def _whole(time: int, unit: str, tz: str) -> int:
    """Return when the hour, minute or second that holds a time began."""
    moment = pl.Series([time]).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(tz)
    if unit != "h":
        return time - time % MICROSECONDS[unit]
    return int(truncated(moment, "1h").dt.epoch("us")[0])


def _floor(time: int, unit: str, week_start: str, tz: str) -> pl.Series:
    """Return the local start of the unit that holds a time."""
    local = _local(time, tz)
    if unit == "w" and week_start == "sunday":
        return local.dt.offset_by("1d").dt.truncate("1w").dt.offset_by("-1d")
    return local.dt.truncate(f"1{unit}")


def _instants(local: pl.Series, tz: str) -> Int64s:
    """Return when local times are; one that clocks skip is when they skip it, one that comes twice the first.

    Where a midnight does not exist, the day before it lasted to the change of the clocks.
    """
    there, before = (
        naive.cast(pl.Datetime("us"))
        .dt.replace_time_zone(tz, ambiguous="earliest", non_existent="null")
        .to_physical()
        for naive in (local, local.dt.offset_by("-1d"))
    )
    return there.fill_null(before + MICROSECONDS["d"]).to_numpy().copy()
