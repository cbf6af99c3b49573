"""Durations and calendar periods: '30m', '7d', timedelta; days, weeks and months of a time zone."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Literal, TypeAlias

from journeykit.errors import ParameterError

Duration: TypeAlias = str | timedelta

MICROSECONDS = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
}
_PART = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h|d|w)")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")

Calendar: TypeAlias = Literal["1h", "1d", "1w", "1w-sunday", "1mo", "1q", "1y"]
CALENDAR: tuple[Calendar, ...] = ("1h", "1d", "1w", "1w-sunday", "1mo", "1q", "1y")


def microseconds(duration: Duration, parameter: str = "duration") -> int:
    """Turn a duration into whole microseconds.

    Parameters
    ----------
    duration : str or timedelta
        One or more numbers with a unit of ``us, ms, s, m, h, d, w``: ``"30m"``, ``"1d12h"``.
        Days and weeks are elapsed time (86,400 s, 604,800 s); see D1.7.
    parameter : str
        The name for the message.

    Returns
    -------
    int
        Microseconds, at least 1.

    Raises
    ------
    ParameterError
        If it has no unit, is not a duration, or is not positive.

    Examples
    --------
    >>> microseconds("30m")
    1800000000
    """
    if isinstance(duration, timedelta):
        total = duration // timedelta(microseconds=1)
    elif isinstance(duration, str) and _DURATION.fullmatch(duration.strip()):
        total = round(sum(float(n) * MICROSECONDS[unit] for n, unit in _PART.findall(duration)))
    else:
        raise ParameterError.duration(parameter, duration)
    if total <= 0:
        raise ParameterError.not_positive(parameter, duration)
    return total


def readable(us: float) -> str:
    """Write a duration for people: ``"36h"``, ``"7d"``, ``"90s"``.

    Examples
    --------
    >>> readable(604800000000)
    '7d'
    """
    for unit in ("d", "h", "m", "s", "ms"):
        if us >= MICROSECONDS[unit] and us % MICROSECONDS[unit] == 0:
            return f"{int(us // MICROSECONDS[unit])}{unit}"
    return f"{us / 1e6:g}s"
