"""Times of every kind as microseconds since the epoch in UTC. DEFINITIONS D1.2."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import NamedTuple, get_args

import polars as pl

from journeykit.errors import TimeFormatError, TimeUnitError
from journeykit.sources.collecting import collect
from journeykit.sources.roles import Roles, TimeUnit, wrong_type

US = pl.Datetime("us")
EARLIEST_SECOND, LATEST_SECOND = -62_135_596_800, 253_402_300_799
"""The first and last second of the years 1 to 9999."""
_CLOCK = re.compile(r"%[HIklTRrscX+]")
_ZONED = re.compile(r"%[#:]*z|%\+")
PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
LOOKED_AT = 200
"""Texts looked at to detect their format."""

FORMATS = (
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f UTC",
    "%Y-%m-%dT%H:%M%#z",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M%#z",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d",
)
"""The shapes of ISO 8601 that are detected; a fraction of the second may be missing."""
FRACTION, ZONE = "%.f", "%#z"
FRACTIONS, ZONES = ("", ".%3f", ".%6f", ".%9f"), ("Z", "+00:00")
"""What these are in all rows of most logs: polars reads texts of one length in a sixth of the time."""


class TimeReading(NamedTuple):
    """How the times of one column are read.

    Attributes
    ----------
    time : polars.Expr
        Datetime in UTC with microseconds; null where invalid.
    given : polars.Expr or None
        What stood in the column, for a message about an invalid time; None if no value can be invalid.
    gap : polars.Expr or None
        Whether a local time does not exist, because clocks were put forward.
    format : str or None
        The format of texts.
    local : bool
        Whether the times came without a zone.
    """

    time: pl.Expr
    given: pl.Expr | None = None
    gap: pl.Expr | None = None
    format: str | None = None
    local: bool = False


def read_time(plan: pl.LazyFrame, roles: Roles, dtype: pl.DataType) -> TimeReading:
    """Say how the time column becomes UTC microseconds.

    Parameters
    ----------
    plan : polars.LazyFrame
        The log; its first times are looked at if they are texts.
    roles : Roles
        The column and what was said about it.
    dtype : polars.DataType
        The column's type.

    Returns
    -------
    TimeReading
        Expressions on the log.

    Raises
    ------
    ColumnTypeError
        If the column holds no times.
    TimeUnitError
        For numbers without a unit.
    TimeFormatError
        For texts in no known format, or not in the stated one.

    Notes
    -----
    Finer than a microsecond is floored; fractions of numbers are rounded to the microsecond. A local time
    that does not exist is null; one that exists twice is the earlier.
    """
    values = pl.col(roles.time)
    if isinstance(dtype, pl.Datetime):
        precise = values if dtype.time_unit == "us" else values.dt.cast_time_unit("us")
        if dtype.time_zone is None:
            return _local(precise, roles.tz)
        return TimeReading(precise if dtype.time_zone == "UTC" else precise.dt.convert_time_zone("UTC"))
    if dtype == pl.Date:
        return _local(values.cast(US), roles.tz)
    if dtype == pl.Null:
        return TimeReading(values.cast(US).dt.replace_time_zone("UTC"))
    if dtype.is_integer() or dtype.is_float():
        unit = roles.unit or _refuse_unit(plan, roles.time)
        return TimeReading(_number(values, unit, whole=dtype.is_integer()))
    if dtype == pl.String or isinstance(dtype, pl.Categorical | pl.Enum):
        return _text(plan, roles)
    raise wrong_type("time", roles.time, dtype, "times, dates, whole numbers with a unit, or texts")


def in_utc(local: pl.Expr, tz: str | None) -> pl.Expr:
    """Place local times in a zone: null in a gap, the earlier where a time exists twice."""
    if tz in (None, "UTC"):
        return local.dt.replace_time_zone("UTC")
    placed = local.dt.replace_time_zone(tz, ambiguous="earliest", non_existent="null")
    return placed.dt.convert_time_zone("UTC")


def ambiguous_times(times: pl.Series, tz: str | None) -> int:
    """Count times, placed by `in_utc`, whose local time exists twice."""
    if tz is None or tz == "UTC":
        return 0
    return int(times.to_frame("time").select(exists_twice(tz)).to_series().sum())


def exists_twice(tz: str) -> pl.Expr:
    """Tell whether the local time of a column ``time``, placed by `in_utc`, exists twice."""
    local = pl.col("time").dt.convert_time_zone(tz).dt.replace_time_zone(None)
    latest = local.dt.replace_time_zone(tz, ambiguous="latest", non_existent="null")
    return latest.dt.convert_time_zone("UTC") != pl.col("time")


def _local(local: pl.Expr, tz: str | None, given: pl.Expr | None = None) -> TimeReading:
    time = in_utc(local, tz)
    if tz in (None, "UTC"):
        return TimeReading(time, given=given, local=True)
    gap = time.is_null() & local.is_not_null()
    return TimeReading(time, given=local if given is None else given, gap=gap, local=True)


def _number(values: pl.Expr, unit: TimeUnit, *, whole: bool) -> pl.Expr:
    """Turn numbers into times; outside the years 1 to 9999 they are null."""
    per_second = PER_SECOND[unit]
    numbers = values.cast(pl.Int64 if whole else pl.Float64, strict=False)
    if not whole:
        us = (numbers * (PER_SECOND["us"] / per_second)).round().cast(pl.Int64, strict=False)
    elif unit == "ns":
        us = numbers // 1_000
    else:
        us = numbers * (PER_SECOND["us"] // per_second)
    # The bound comes first: a product beyond 64 bits would wrap into a wrong time.
    possible = numbers.is_between(EARLIEST_SECOND * per_second, LATEST_SECOND * per_second)
    if unit == "ns" and whole:
        possible = numbers.is_not_null()
    return pl.when(possible).then(us).cast(US).dt.replace_time_zone("UTC")


def _refuse_unit(plan: pl.LazyFrame, column: str) -> TimeUnit:
    """Show what the first number would be in each unit that makes a plausible year."""
    first = collect(plan.select(column).drop_nulls().head(1), f"looking at column {column!r}")
    units = get_args(TimeUnit)
    readings = {}
    for unit in units if first.height else ():
        seconds = float(first.item()) / PER_SECOND[unit]
        if abs(seconds) < 8e9:
            moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
            readings[unit] = f"{moment:%Y-%m-%d %H:%M:%S}"
    raise TimeUnitError(column, readings, units)


def _text(plan: pl.LazyFrame, roles: Roles) -> TimeReading:
    texts = pl.col(roles.time).cast(pl.String)
    if roles.unit is not None:
        return TimeReading(_number(texts.cast(pl.Int64, strict=False), roles.unit, whole=True), given=texts)
    first = plan.select(texts.alias("time")).drop_nulls().head(LOOKED_AT)
    sample = collect(first, f"looking at column {roles.time!r}")["time"]
    time_format = roles.time_format or _detected(sample, roles.time)
    if roles.time_format and sample.len() and not _read(sample, time_format):
        raise TimeFormatError.mismatch(roles.time, time_format, sample.head(3).to_list())
    zoned = _ZONED.search(time_format) is not None
    parsed = _quickly_parsed(texts, time_format, sample)
    if zoned or time_format.endswith("UTC"):
        aware = parsed if zoned else parsed.dt.replace_time_zone("UTC")
        return TimeReading(aware, given=texts, format=time_format)
    reading = _local(parsed, roles.tz, given=texts)
    return TimeReading(reading.time, reading.given, reading.gap, time_format, local=True)


def _parsed(texts: pl.Expr, time_format: str) -> pl.Expr:
    """Read texts; what does not fit is null. A format without an hour gives midnight."""
    if _CLOCK.search(time_format) is None:
        return texts.str.to_date(time_format, strict=False).cast(US)
    return texts.str.to_datetime(time_format, strict=False, time_unit="us")


def _quickly_parsed(texts: pl.Expr, time_format: str, sample: pl.Series) -> pl.Expr:
    """Read texts as `_parsed` does: by the length that most of the first have, and only the others by the format."""
    if FRACTION not in time_format:
        return _parsed(texts, time_format)
    zones = ZONES if ZONE in time_format else ("",)
    lengths = (
        time_format.replace(FRACTION, fraction).replace(ZONE, zone)
        for fraction, zone in product(FRACTIONS, zones)
    )
    read = {each: _read(sample, each) for each in lengths}
    best = max(read, key=lambda each: read[each])
    if 2 * read[best] < max(1, sample.len()):
        return _parsed(texts, time_format)
    quick = texts.str.to_datetime(best, strict=False, time_unit="us", cache=False)
    if ZONE in time_format:
        quick = quick.dt.replace_time_zone("UTC")
    return pl.coalesce(quick, _parsed(pl.when(quick.is_null()).then(texts), time_format))


def _read(sample: pl.Series, time_format: str) -> int:
    """Count the texts that a format reads."""
    try:
        return sample.len() - pl.select(_parsed(pl.lit(sample), time_format)).to_series().null_count()
    except pl.exceptions.PolarsError:
        return 0


def _detected(sample: pl.Series, column: str) -> str:
    """Take the format that reads most of the first texts, and at least half of them."""
    if sample.is_empty():
        return FORMATS[0]
    best = max(FORMATS, key=lambda each: _read(sample, each))
    if 2 * _read(sample, best) < sample.len():
        raise TimeFormatError.unknown(column, sample.unique(maintain_order=True).head(3).to_list())
    return best
