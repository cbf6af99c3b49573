"""``by=`` and ``every=``: which segment and which calendar period a path belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.durations import CALENDAR, MICROSECONDS
from journeykit.errors import ParameterError
from journeykit.paths import Paths, Unit
from journeykit.protocol import Cells

Int32s = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Segment:
    """A property that cuts paths into segments.

    Parameters
    ----------
    property : str
        A kept property of the user, the session or the event.
    at : {"first", "last"}
        Where a path holds several values: which of the known ones counts. Null is a segment of its own,
        of the paths that hold no value at all (D0.3).

    Examples
    --------
    >>> Segment("device")
    Segment(property='device', at='first')
    """

    property: str
    at: Literal["first", "last"] = "first"

    def __post_init__(self) -> None:
        if self.at not in {"first", "last"}:
            raise ParameterError.choice("at", self.at, ("first", "last"))


By: TypeAlias = str | Segment | Sequence[str | Segment] | None


class Propertied(Protocol):
    """What segments ask of journeys."""

    @property
    def tz(self) -> str:
        """The time zone of calendar periods."""

    @property
    def times(self) -> npt.NDArray[np.int64]:
        """The time of every event."""

    @property
    def time_order(self) -> npt.NDArray[np.int64] | None:
        """Where the events of a user stand that follow each other in time, if sessions interleave."""

    def property(self, name: str) -> pl.Series:
        """Return a kept property, one value per event in journey order."""


def make_cells(journeys: Propertied, by: By, every: str | None) -> Cells:
    """Make the cells of ``by=`` and ``every=``.

    Parameters
    ----------
    journeys : Journeys
        Where the properties are.
    by : str, Segment or sequence of these, optional
        The segments; several are crossed.
    every : {"1h", "1d", "1w", "1w-sunday", "1mo", "1q", "1y"}, optional
        The calendar period of a path's first event, in the time zone of the journeys. Weeks start on
        Monday, or with ``"1w-sunday"`` on Sunday. D1.7. Hours are those of `truncated`.

    Returns
    -------
    Cells
        Only combinations that could occur: all values of each segment, all periods that have events.

    Raises
    ------
    ParameterError
        If `every` is not a calendar period, or a segment is named twice.
    UnknownPropertyError
        If a property was not kept.
    """
    segments = _segments(by)
    if every is not None and every not in CALENDAR:
        raise ParameterError.choice("every", every, CALENDAR)
    if not segments and every is None:
        return Cells()
    crossing = _Crossing(journeys, segments, every)
    return Cells(crossing.labels, crossing.assign if segments else None, crossing.period_starts)


def _segments(by: By) -> tuple[Segment, ...]:
    if by is None:
        return ()
    if isinstance(by, str | Segment):
        by = (by,)
    if not isinstance(by, Sequence) or not all(isinstance(each, str | Segment) for each in by):
        raise ParameterError(
            f"by cannot be {by!r}. Give the name of a kept property, a Segment, or a list of these."
        )
    segments = tuple(each if isinstance(each, Segment) else Segment(each) for each in by)
    if len({segment.property for segment in segments}) < len(segments):
        raise ParameterError(f"by= names a property twice: {[segment.property for segment in segments]}.")
    return segments


class _Crossing:
    """The cross product of segments and periods, with the labels of its cells."""

    def __init__(self, journeys: Propertied, segments: tuple[Segment, ...], every: str | None) -> None:
        self.journeys, self.segments = journeys, segments
        self.values, tables = [], []
        for segment in segments:
            values, names = coded(journeys.property(segment.property))
            self.values.append(values)
            tables.append(pl.DataFrame({segment.property: names}))
        self.period_starts = None
        if every is not None:
            periods = _periods(journeys, every)
            self.period_starts = periods.to_physical().to_numpy()
            tables.append(pl.DataFrame({"period": periods}))
        self.sizes = [table.height for table in tables]
        self.labels = tables[0]
        for table in tables[1:]:
            self.labels = self.labels.join(table, how="cross", maintain_order="left_right")

    def assign(self, paths: Paths, unit: Unit) -> Int32s:
        """Return for every path of a shard the cell of its segment's first period."""
        from journeykit.kernels.segments import known_values

        starts, ends, in_time = paths.starts, paths.ends, None
        if unit == "user" and self.journeys.time_order is not None:
            in_time = self.journeys.time_order[paths.events]
            starts, ends = starts - paths.events.start, ends - paths.events.start
        cells = np.zeros(starts.size, np.int32)
        for segment, values, size in zip(self.segments, self.values, self.sizes, strict=False):
            found = np.empty(starts.size, np.int32)
            known_values(
                starts, ends, values if in_time is None else values[in_time], segment.at == "last", found
            )
            found[found < 0] = size - 1
            cells = cells * size + found
        return cells if self.period_starts is None else cells * self.sizes[-1]


def _periods(journeys: Propertied, every: str) -> pl.Series:
    """Return the start of every period that has events."""
    times = pl.Series("period", journeys.times).cast(pl.Datetime("us", "UTC"))
    return truncated(times.dt.convert_time_zone(journeys.tz), every).unique().sort()


def truncated(local: pl.Series, every: str) -> pl.Series:
    """Return the start of the calendar period of each time. D1.7.

    An hour is 3,600 s, and begins with a whole hour of the zone's standard time: where clocks change, none is longer
    or shorter, and the one that comes twice on the clock is two.
    """
    if every == "1h":
        times = local.dt.epoch("us")
        since = (times + local.dt.base_utc_offset().dt.total_microseconds()) % MICROSECONDS["h"]
        return (times - since).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(local.dtype.time_zone)  # type: ignore[attr-defined]
    if every != "1w-sunday":
        return local.dt.truncate(every)
    return local.dt.truncate("1d").dt.offset_by("1d").dt.truncate("1w").dt.offset_by("-1d")


def coded(values: pl.Series) -> tuple[Int32s, pl.Series]:
    """Number the distinct values by their order, null last; -1 stands for null."""
    distinct = values.drop_nulls().unique().sort()
    known = pl.DataFrame({"value": distinct}).with_row_index("code")
    codes = values.to_frame("value").join(known, on="value", how="left", maintain_order="left")["code"]
    numbers = codes.cast(pl.Int32).fill_null(-1).to_numpy()
    if values.null_count():
        distinct = distinct.extend_constant(None, 1)
    return numbers, distinct
