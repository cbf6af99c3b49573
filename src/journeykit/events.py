"""Events: a log with canonical columns, read and checked, ready to be cut into journeys. DEFINITIONS D1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from importlib import import_module
from threading import Thread
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.durations import Duration
from journeykit.errors import ParameterError
from journeykit.journeys import Journeys, Provenance
from journeykit.ordering import OrderedEvents, order_events
from journeykit.quality import Quality
from journeykit.quality import quality as quality_of
from journeykit.sessions import SessionRule, cut
from journeykit.sources import blaming, collect_source, open_source, source_format
from journeykit.sources.access_log import ROLES as ACCESS_LOG_ROLES
from journeykit.sources.canonical import (
    InvalidCounts,
    Roles,
    canonicalise,
    drop_duplicates,
    encode_events,
    resolve_invalid,
)
from journeykit.sources.roles import TimeUnit

Int64s = npt.NDArray[np.int64]
COLUMNS = ("user", "time", "event", "order")


@dataclass(frozen=True, eq=False, repr=False)
class Events:
    """A log in memory: who, when, what, and the properties that were kept, in input order.

    Made by `read_events`. Nothing changes it.

    Attributes
    ----------
    frame : polars.DataFrame
        ``user`` (String or Int64), ``time`` (Datetime, UTC, microseconds), ``event`` (Enum), then ``session``,
        ``order`` and ``value`` as far as given, then the kept properties. Valid rows only.
    counts : InvalidCounts
        Rows read, and rows left out for want of a user, time or event.
    duplicates_dropped : int
        Rows left out because they equal an earlier one.
    tz : str
        The time zone of calendar days, weeks and months.
    time_format : str or None
        The format in which texts were read as times.
    local_zone : str or None
        The zone in which times without one were placed.
    observed_from, observed_until : datetime
        The span of observation. D1.6.
    """

    frame: pl.DataFrame
    counts: InvalidCounts
    duplicates_dropped: int
    tz: str
    time_format: str | None
    local_zone: str | None
    observed_from: datetime
    observed_until: datetime
    read_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @cached_property
    def quality(self) -> Quality:
        """Rows read and dropped, duplicates, ties, span, heavy users, broken clocks. D1.9."""
        return quality_of(
            self.frame,
            self.counts,
            duplicates_dropped=self.duplicates_dropped,
            local_zone=self.local_zone,
            time_format=self.time_format,
            now=self.read_at,
        )

    def sessionize(self, timeout: Duration | SessionRule | None = "30m", **options: Any) -> Journeys:
        """Order the events of every user, and cut them into sessions.

        Parameters
        ----------
        timeout : str, timedelta, SessionRule or None
            Longest silence inside a session, for example ``"30m"``: a silence of exactly this does not cut.
            None: silence never cuts. Or a whole rule, such as ``jk.sessions.ga4()`` or
            ``SessionRule.from_column()``.
        **options
            The other options of `SessionRule`, such as ``max_duration="12h"``.

        Returns
        -------
        Journeys
            The same events in the order (user, time, order, input row), with session boundaries. D1.3, D2.

        Raises
        ------
        ParameterError
            If an option has a value it cannot take.
        UnknownNameError
            If the rule names an event that the log does not have.

        Notes
        -----
        O(n) when the log is in time order, else one stable sort per user. 32 bytes per event while it works,
        13 in the result.

        Examples
        --------
        >>> log = pl.DataFrame({"user": ["a", "a", "b"], "time": [0, 3600, 60], "event": ["x", "y", "x"]})
        >>> read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m").n_sessions
        3
        """
        if isinstance(timeout, SessionRule):
            if options:
                raise ParameterError(
                    f"sessionize takes a SessionRule or options, not both. Put {sorted(options)} into the rule."
                )
            rule = timeout
        else:
            rule = SessionRule(timeout, **_known(options))
        ordered = self._ordered()
        return _journeys(self, ordered, rule)

    def _ordered(self) -> OrderedEvents:
        frame = self.frame
        ties = None
        if "order" in frame.columns:
            last = frame.height + 1
            ties = frame["order"].rank("dense").cast(pl.Int64).fill_null(last).to_numpy()
        times = frame["time"].to_physical()
        return order_events(frame["user"], times, frame["event"].to_physical(), ties)

    def __repr__(self) -> str:
        span = f"{self.frame['time'].min()} .. {self.frame['time'].max()}" if self.frame.height else "no time"
        return f"Events: {self.frame.height:,} rows, {span}\n{self.frame.head(5)}"

    def _repr_html_(self) -> str:
        return f"<p>Events: {self.frame.height:,} rows</p>{self.frame.head(5)._repr_html_()}"


def read_events(
    source: Any,
    *,
    user: str | None = None,
    time: str | None = None,
    event: str | None = None,
    session: str | None = None,
    order: str | None = None,
    value: str | None = None,
    keep: Sequence[str] = (),
    tz: str | None = None,
    unit: TimeUnit | None = None,
    time_format: str | None = None,
    format: str | None = None,
    on_invalid: Literal["raise", "drop"] = "raise",
    duplicates: Literal["keep", "drop"] = "keep",
    observed_from: datetime | None = None,
    observed_until: datetime | None = None,
) -> Events:
    """Read a log into memory, under canonical names, and check it.

    Parameters
    ----------
    source : object
        A path, folder, pattern or URL, or several, of Parquet, CSV, TSV, NDJSON or web server access logs; a polars
        DataFrame or LazyFrame; pandas; a pyarrow Table, RecordBatch, RecordBatchReader or Dataset; a DuckDB
        relation; anything with ``__arrow_c_stream__``.
    user, time, event : str
        The columns of who, when and what. Access logs have defaults: ``ip``, ``time``, ``request``.
    session : str, optional
        The log's own session, for ``SessionRule.from_column()``.
    order : str, optional
        What orders events of one user at one time; null sorts last. D1.3.
    value : str, optional
        A number, such as the revenue of a purchase.
    keep : sequence of str
        Columns to keep as properties.
    tz : str, optional
        The time zone of times without one, and of calendar days and weeks; UTC by default.
    unit : {"s", "ms", "us", "ns"}, optional
        The unit of times that are integers. It is never guessed.
    time_format : str, optional
        How times are written that are texts; otherwise detected once from the first of them.
    format : str, optional
        The format of files whose names do not tell it.
    on_invalid : {"raise", "drop"}
        What to do with rows without a valid user, time or event. D1.4.
    duplicates : {"keep", "drop"}
        Whether rows that equal an earlier one in all columns read are dropped. D1.5.
    observed_from, observed_until : datetime, optional
        The span of observation; by default the first and the last time. D1.6.

    Returns
    -------
    Events
        The valid rows, in input order.

    Raises
    ------
    MissingColumnError
        If a named column is not there; with the closest names.
    ColumnTypeError, TimeUnitError, TimeFormatError
        If a column cannot play its role.
    InvalidRowsError
        If rows are invalid and `on_invalid` is ``"raise"``.
    MissingFileError, UnreadableFileError, EmptyInputError
        If there is nothing to read.

    Examples
    --------
    >>> log = pl.DataFrame({"who": ["a"], "at": ["2026-01-05 10:00:00"], "what": ["view"]})
    >>> read_events(log, user="who", time="at", event="what").frame.row(0)[2]
    'view'
    """
    roles = _roles(
        source,
        format,
        dict(user=user, time=time, event=event),
        session=session,
        order=order,
        value=value,
        keep=keep,
        tz=tz,
        unit=unit,
        time_format=time_format,
    )
    Thread(target=import_module, args=("journeykit.kernels.ordering",), daemon=True).start()
    names = [name for name in (roles.user, roles.session, roles.event) if name]
    plan = open_source(source, format=format, columns=roles.columns, text=names)
    with blaming(source, format=format, columns=roles.columns):
        log = canonicalise(plan, roles)
    frame = collect_source(log.plan, source, format=format, columns=roles.columns)
    frame, counts = resolve_invalid(frame, on_invalid)
    frame, dropped = drop_duplicates(encode_events(frame), duplicates)
    first, last = _span(frame, observed_from, observed_until)
    return Events(frame, counts, dropped, tz or "UTC", log.time_format, log.local_zone, first, last)


def _roles(source: Any, format: str | None, required: dict[str, str | None], **others: Any) -> Roles:
    """Fill in the roles that a format has by default, and insist on the others."""
    if source_format(source, format) == "access_log":
        required = {role: column or ACCESS_LOG_ROLES[role] for role, column in required.items()}
    missing = [role for role, column in required.items() if column is None]
    if missing:
        raise ParameterError(
            f"read_events needs to know which columns play the roles {missing}. Pass "
            + ", ".join(f"{role}=<column name>" for role in missing)
            + "."
        )
    return Roles(**required, **others)


def _span(frame: pl.DataFrame, start: datetime | None, end: datetime | None) -> tuple[datetime, datetime]:
    """Return the span of observation. D1.6."""
    times = frame["time"]
    first, last = times.min(), times.max()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    for parameter, given in (("observed_from", start), ("observed_until", end)):
        if given is not None and given.tzinfo is None:
            raise ParameterError(
                f"{parameter} needs a time zone. Pass datetime(..., tzinfo=UTC), for example."
            )
    if end is not None and end < last:
        raise ParameterError(
            f"observed_until is {end.isoformat()}, and the log has events until {last.isoformat()}. Give a later "
            f"time, or filter the log first."
        )
    if start is not None and start > first:
        raise ParameterError(
            f"observed_from is {start.isoformat()}, and the log has events from {first.isoformat()} on. Give an "
            f"earlier time, or filter the log first."
        )
    return start or first, end or last


def _known(options: dict[str, Any]) -> dict[str, Any]:
    """Refuse options that SessionRule does not have."""
    from dataclasses import fields

    known = [each.name for each in fields(SessionRule) if each.name not in {"timeout", "_"}]
    for name in options:
        if name not in known:
            raise ParameterError.choice("an option of sessionize", name, known)
    return options


@dataclass(frozen=True, eq=False)
class _OrderedLog:
    """What the session rule asks of the ordered events."""

    ordered: OrderedEvents
    frame: pl.DataFrame
    tz: str

    @property
    def user_offsets(self) -> Int64s:
        return self.ordered.user_offsets

    @property
    def times(self) -> Int64s:
        return self.ordered.times

    @property
    def event_codes(self) -> Any:
        return self.ordered.event_codes

    @property
    def names(self) -> pl.Series:
        return _vocabulary(self.frame)

    @property
    def session_values(self) -> pl.Series | None:
        return self.property("session") if "session" in self.frame.columns else None

    def property(self, name: str) -> pl.Series:
        """Return a kept property in order."""
        from journeykit.errors import UnknownPropertyError

        if name not in self.frame.columns or name in COLUMNS:
            raise UnknownPropertyError(name, [each for each in self.frame.columns if each not in COLUMNS])
        return self.frame[name].gather(pl.Series(self.ordered.rows))


def _vocabulary(frame: pl.DataFrame) -> pl.Series:
    dtype = frame["event"].dtype
    assert isinstance(dtype, pl.Enum)
    return dtype.categories.alias("event")


def _journeys(events: Events, ordered: OrderedEvents, rule: SessionRule) -> Journeys:
    """Cut ordered events into sessions, and put everything into one value."""
    found = cut(rule, _OrderedLog(ordered, events.frame, events.tz))
    codes, times, rows, time_order = ordered.event_codes, ordered.times, ordered.rows, None
    if found.order is not None:
        codes, times, rows = codes[found.order], times[found.order], rows[found.order]
        time_order = np.empty(found.order.size, np.int64)
        time_order[found.order] = np.arange(found.order.size)
    outside = 0
    if found.inside is not None:
        outside = int(np.diff(found.session_offsets)[~found.inside].sum())
    return Journeys(
        users=ordered.users,
        names=_vocabulary(events.frame),
        user_offsets=ordered.user_offsets,
        session_offsets=found.session_offsets,
        user_sessions=found.user_sessions,
        event_codes=codes,
        times=times,
        group_offsets=ordered.group_offsets,
        rows=rows,
        observed_from=_micro(events.observed_from),
        observed_until=_micro(events.observed_until),
        tz=events.tz,
        session_rule=rule,
        session_causes=found.causes,
        sessions_inside=found.inside,
        time_order=time_order,
        source=events.frame.drop(COLUMNS, strict=False),
        provenance=Provenance(
            ordered.tied_pairs,
            ordered.tied_pairs_distinct,
            ordered.out_of_order,
            outside,
            _notes(events, ordered, outside),
        ),
    )


def _micro(moment: datetime) -> int:
    return int(pl.Series([moment]).dt.epoch("us")[0])


def _notes(events: Events, ordered: OrderedEvents, outside: int) -> tuple[str, ...]:
    """Say what a reader of any answer should know of the log."""
    said = {
        f"{events.counts.dropped:,} rows without a valid user, time or event were dropped": events.counts.dropped,
        f"{events.duplicates_dropped:,} duplicate rows were dropped": events.duplicates_dropped,
        f"{ordered.tied_pairs_distinct:,} pairs of different events share user and time: "
        f"their order is that of the log": ordered.tied_pairs_distinct,
        f"{outside:,} events lie outside any session": outside,
    }
    return tuple(f"{text}." for text, count in said.items() if count)
