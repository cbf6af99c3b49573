"""One place where customers leave traces, and how its rows become events: a value per export. D1.1, D1.2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeAlias, get_args

import polars as pl

from journeykit.errors import ColumnClashError, MissingColumnError, ParameterError
from journeykit.events.events import Events
from journeykit.sources import blaming, open_source, refuse_broken_rows
from journeykit.sources.canonical import GAP, GIVEN, TWICE, canonicalise
from journeykit.sources.collecting import engine_errors
from journeykit.sources.roles import ROLES, Roles, TimeUnit, check_zone
from journeykit.sources.times import exists_twice
from journeykit.support.durations import Duration, microseconds
from journeykit.support.precision import DAY, EXACT, PRECISION, PRECISIONS

Precision: TypeAlias = Literal["exact", "day"]
DayOrder: TypeAlias = Literal["before", "after"]
Column: TypeAlias = str | pl.Expr
CHANNEL, SOURCE, ORDER = "channel", "source", "order"
OWN = (*ROLES, CHANNEL, SOURCE, PRECISION)
"""What a combined log calls its columns; no property may."""
MARK = "__"
"""Before the names of columns that are made here, so that they do not hide the log's own."""
PLACES = {"before": 0, EXACT: 1, "after": 2}
"""What comes first of events at one time."""


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Source:
    """Rows of one export, and which part each column plays.

    Parameters
    ----------
    log : object
        What ``read_events`` takes, or `Events`.
    source : str
        What this source is called, such as ``"till"``: a property of every event.
    user, time, event : str or polars.Expr
        The columns of who, when and what; an expression makes them of several, such as ``pl.lit("ticket opened")``.
    channel : str or polars.Expr
        Where it happened: a name such as ``"call centre"``, or an expression on columns. The source's name by default.
    value : str, optional
        The column of a number, such as the worth of a purchase or the score of a survey.
    properties : sequence of str, or mapping of str to (str or Expr)
        Further columns to keep; a mapping names them.
    optional : sequence of str
        Further columns to keep where the log has them.
    where : polars.Expr, optional
        Which rows are events; by default all.
    prefix : str
        What is put in front of every id, such as ``"crm:"``, so that numbers of several systems do not meet.
    offset : str or timedelta
        What is added to its times, because its clock goes wrong: ``"-90s"`` if it is 90 seconds fast.
    precision : {"exact", "day"}
        Whether times are known to the day only.
    day_order : {"before", "after"}
        Whether such events stand before or after the others of their day.
    tz, unit, time_format, format
        See ``read_events``. A day is one of the time zone `tz`.

    Raises
    ------
    ParameterError, ColumnClashError
        If a parameter has a value it cannot take, or a property the name of a part.

    Examples
    --------
    >>> till = pl.DataFrame({"card": [7], "day": ["2026-01-05"], "total": [9.5]})
    >>> Source(log=till, source="till", user="card", time="day", event=pl.lit("bought"), value="total", precision="day")
    Source('till')
    """

    log: Any
    source: str
    user: Column = "user"
    time: Column = "time"
    event: Column = "event"
    channel: Column | None = None
    value: Column | None = None
    properties: Sequence[str] | Mapping[str, Column] = ()
    optional: Sequence[str] = ()
    where: pl.Expr | None = None
    prefix: str = ""
    offset: Duration = timedelta(0)
    precision: Precision = "exact"
    day_order: DayOrder = "before"
    tz: str | None = None
    unit: TimeUnit | None = None
    time_format: str | None = None
    format: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.source, str) or not self.source:
            raise ParameterError(f"source cannot be {self.source!r}. Give the source a name, such as 'till'.")
        for name in ("properties", "optional"):
            if isinstance(getattr(self, name), str):
                raise ParameterError(
                    f"{name} must be columns, not one text. Pass {name}=[{getattr(self, name)!r}]."
                )
        for name, choices in (("precision", Precision), ("day_order", DayOrder)):
            if getattr(self, name) not in get_args(choices):
                raise ParameterError.choice(name, getattr(self, name), get_args(choices))
        for name in (*self.kept, *self.optional):
            if name in OWN:
                raise ColumnClashError(name)
        if self.tz is not None:
            check_zone(self.tz)
        shift(self.offset)

    @property
    def kept(self) -> dict[str, Column]:
        """The properties by name."""
        given = self.properties
        return dict(given) if isinstance(given, Mapping) else {name: name for name in given}

    def plan(self, tz: str | None = None) -> pl.LazyFrame:
        """Plan to read the rows under the names of a combined log; errors as of ``read_events``.

        `tz` is the time zone where the source has none of its own.
        """
        opened = self._opened()
        with engine_errors(f"reading the columns of the source {self.source!r}"):
            schema = opened.collect_schema()
        self._check_columns(schema)
        kept = self.kept | {name: name for name in self.optional if name in schema}
        made = {MARK + name: _expression(column) for name, column in kept.items()}
        roles = {}
        for role in ("user", "time", "event", "value"):
            column = getattr(self, role)
            roles[role] = MARK + role if isinstance(column, pl.Expr) else column
            if isinstance(column, pl.Expr):
                made[MARK + role] = column
        channel = self.source if self.channel is None else self.channel
        made[MARK + CHANNEL] = pl.lit(channel) if isinstance(channel, str) else channel
        opened = opened if self.where is None else opened.filter(self.where)
        zone = self.tz or tz
        given = Roles(
            **roles, keep=[MARK + CHANNEL, *(MARK + name for name in kept)], tz=zone, unit=self.unit,
            time_format=self.time_format,
        )  # fmt: skip
        with self._blaming():
            log = canonicalise(
                opened.with_columns(column.alias(name) for name, column in made.items()), given
            )
            beside = [pl.col(name) for name in (GIVEN, GAP) if name in log.plan.collect_schema()]
        if log.local_zone is not None and log.local_zone != "UTC":
            beside.append(exists_twice(log.local_zone).alias(TWICE))
        return log.plan.select(*self._columns(kept, zone), *beside)

    def _columns(self, kept: Mapping[str, Any], zone: str | None) -> list[pl.Expr]:
        """Return the columns of the combined log, from canonical ones."""
        user, time = pl.col("user").cast(pl.String), pl.col("time")
        if self.prefix:
            user = pl.lit(self.prefix) + user
        if shift(self.offset):
            time = (time.to_physical() + shift(self.offset)).cast(pl.Datetime("us", "UTC"))
        if self.precision == DAY:
            time = _day(time, zone, last=self.day_order == "after")
        place = PLACES[self.day_order] if self.precision == DAY else PLACES[EXACT]
        return [
            user.alias("user"),
            time.alias("time"),
            pl.col("event").cast(pl.String),
            *([pl.col("value").cast(pl.Float64)] if self.value is not None else []),
            pl.col(MARK + CHANNEL).cast(pl.String).alias(CHANNEL),
            pl.lit(self.source).alias(SOURCE),
            pl.lit(self.precision, PRECISIONS).alias(PRECISION),
            pl.lit(place, pl.Int8).alias(ORDER),
            *(pl.col(MARK + name).alias(name) for name in kept),
        ]

    def _opened(self) -> pl.LazyFrame:
        if isinstance(self.log, Events):
            return self.log.frame.lazy()
        names = [each for each in (self.user, self.event) if isinstance(each, str)]
        return open_source(self.log, format=self.format, text=names)

    def check_rows(self) -> None:
        """Refuse files of which a row is longer or shorter than the header."""
        if not isinstance(self.log, Events):
            refuse_broken_rows(self.log, self.format)

    def _blaming(self) -> AbstractContextManager[None]:
        return nullcontext() if isinstance(self.log, Events) else blaming(self.log, format=self.format)

    def _check_columns(self, schema: pl.Schema) -> None:
        """Refuse names that the log does not have."""
        given = [(role, getattr(self, role)) for role in ("user", "time", "event", "value")]
        for role, column in [*given, *(("properties", column) for column in self.kept.values())]:
            if isinstance(column, str) and column not in schema:
                raise MissingColumnError(
                    role, column, schema.names(), f"Pass {role}=<column name> to Source {self.source!r}."
                )

    def __repr__(self) -> str:
        return f"Source({self.source!r})"


def shift(offset: Duration) -> int:
    """Return an offset in microseconds; a minus before a duration is allowed."""
    if isinstance(offset, timedelta):
        return offset // timedelta(microseconds=1)
    if isinstance(offset, str) and offset.startswith("-"):
        return -microseconds(offset[1:], "offset")
    return microseconds(offset, "offset")


def _expression(column: Column) -> pl.Expr:
    return pl.col(column) if isinstance(column, str) else column


def _day(time: pl.Expr, zone: str | None, *, last: bool) -> pl.Expr:
    """Return the first or the last microsecond of the day of a time."""
    start = time.dt.convert_time_zone(zone or "UTC").dt.truncate("1d")
    if last:
        start = start.dt.offset_by("1d") - pl.duration(microseconds=1)
    return start.dt.convert_time_zone("UTC")
