"""``by=`` and ``every=``: which segment and which calendar period a path belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError
from journeykit.paths import Paths, Unit
from journeykit.protocol import CELL, Cells, renaming
from journeykit.support.durations import CALENDAR, MICROSECONDS

Int32s = npt.NDArray[np.int32]
PERIOD = "period"


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
    name : str, optional
        What its column is called in answers; by default as the property. Answers that have a column of that name
        themselves, as `Touchpoints` have of channels, need another one.

    Examples
    --------
    >>> Segment("channel", name="first channel")
    Segment(property='channel', at='first', name='first channel')
    """

    property: str
    at: Literal["first", "last"] = "first"
    name: str = ""

    def __post_init__(self) -> None:
        if self.at not in {"first", "last"}:
            raise ParameterError.choice("at", self.at, ("first", "last"))
        for what in ("property", "name"):
            if not isinstance(getattr(self, what), str):
                raise ParameterError(f"{what} of a Segment must be a text, not {getattr(self, what)!r}.")
        object.__setattr__(self, "name", self.name or self.property)


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


def make_cells(journeys: Propertied, by: By, every: str | None, labels: pl.DataFrame | None = None) -> Cells:
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
    labels : polars.DataFrame, optional
        Those of all users, if the journeys are a part of them (`joined_labels`); else what these journeys have.

    Returns
    -------
    Cells
        Only combinations that could occur: all values of each segment, all periods that have events.

    Raises
    ------
    ParameterError
        If `every` is not a calendar period, or two columns would have one name.
    UnknownPropertyError
        If a property was not kept.
    """
    segments = segments_of(by, every)
    if not segments and every is None:
        return Cells(asked=(by, every))
    crossing = _Crossing(journeys, segments, every, labels)
    assign = crossing.assign if segments else None
    return Cells(crossing.labels, assign, crossing.period_starts, asked=(by, every))


def segments_of(by: By, every: str | None) -> tuple[Segment, ...]:
    """Read what ``by=`` names, and check ``every=``; errors as of `make_cells`, but for properties."""
    if every is not None and every not in CALENDAR:
        raise ParameterError.choice("every", every, CALENDAR)
    if by is None:
        return ()
    if isinstance(by, str | Segment):
        by = (by,)
    if not isinstance(by, Sequence) or not all(isinstance(each, str | Segment) for each in by):
        raise ParameterError(
            f"by cannot be {by!r}. Give the name of a kept property, a Segment, or a list of these."
        )
    segments = tuple(each if isinstance(each, Segment) else Segment(each) for each in by)
    names = [segment.name for segment in segments]
    if PERIOD in names:
        raise ParameterError(
            f"no segments can be called {PERIOD!r}, as the column of every= is. "
            f"{renaming(segments[names.index(PERIOD)].property)}"
        )
    if len(set(names)) < len(names):
        twice = max(names, key=names.count)
        raise ParameterError(
            f"by= makes two columns of the name {twice!r}. Name a property once. {renaming(twice)}"
        )
    return segments


def one_segment(by: object, asker: str) -> Segment:
    """Read what ``by=`` names where it can be but one property; `asker` is for the message.

    Raises
    ------
    ParameterError
        If it is neither the name of a property nor a segment.
    """
    if isinstance(by, Sequence) and not isinstance(by, str) and len(by) == 1:
        by = by[0]
    if not isinstance(by, str | Segment):
        raise ParameterError(
            f"{asker} takes one property, and by is {by!r}. Give the name of a kept property, or a Segment."
        )
    return by if isinstance(by, Segment) else Segment(by)


class _Crossing:
    """The cross product of segments and periods, with the labels of its cells."""

    def __init__(
        self,
        journeys: Propertied,
        segments: tuple[Segment, ...],
        every: str | None,
        labels: pl.DataFrame | None,
    ) -> None:
        self.journeys, self.segments = journeys, segments
        self.values, axes = [], []
        for segment in segments:
            known = None if labels is None else _distinct(labels[segment.name])
            values, names = coded(journeys.property(segment.property), known)
            self.values.append(values)
            axes.append(names.alias(segment.name))
        self.period_starts = None
        if every is not None:
            periods = _periods(journeys, every) if labels is None else labels[PERIOD].unique().sort()
            self.period_starts = periods.to_physical().to_numpy()
            axes.append(periods)
        self.sizes = [len(axis) for axis in axes]
        self.labels = _crossed(axes)

    def assign(self, paths: Paths, unit: Unit) -> Int32s:
        """Return for every path of a shard the cell of its segment's first period."""
        from journeykit.kernels.paths.segments import known_values

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


def joined_labels(of_shard: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Return the labels of all users from those of their shards, at least one, in the order of `make_cells`."""
    columns = of_shard[0].columns
    return _crossed([_distinct(pl.concat([labels[each] for labels in of_shard])) for each in columns])


def places_of(labels: pl.DataFrame, among: pl.DataFrame) -> Int32s:
    """Return for every cell of a shard, which has its own labels, the cell among those of all users."""
    if among.width == 0:
        return np.zeros(1, np.int32)
    numbered = among.with_row_index(CELL)
    joined = labels.join(numbered, on=among.columns, how="left", maintain_order="left", nulls_equal=True)
    return joined[CELL].cast(pl.Int32).to_numpy()


def _crossed(axes: Sequence[pl.Series]) -> pl.DataFrame:
    """Return a row for every combination of values, the last of which change first."""
    labels = pl.DataFrame([{}])
    for n, axis in enumerate(axes):
        table = axis.to_frame()
        labels = labels.join(table, how="cross", maintain_order="left_right") if n else table
    return labels


def _distinct(values: pl.Series) -> pl.Series:
    """Return the distinct values in their order, null last."""
    distinct = values.drop_nulls().unique().sort()
    return distinct.extend_constant(None, 1) if values.null_count() else distinct


def _periods(journeys: Propertied, every: str) -> pl.Series:
    """Return the start of every period that has events."""
    times = pl.Series(PERIOD, journeys.times).cast(pl.Datetime("us", "UTC"))
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


def coded(values: pl.Series, names: pl.Series | None = None) -> tuple[Int32s, pl.Series]:
    """Number values by their place among `names`, by default those that occur, null last; -1 stands for null."""
    names = _distinct(values) if names is None else names
    known = pl.DataFrame({"value": names.drop_nulls()}).with_row_index("code")
    codes = values.to_frame("value").join(known, on="value", how="left", maintain_order="left")["code"]
    return codes.cast(pl.Int32).fill_null(-1).to_numpy(), names
