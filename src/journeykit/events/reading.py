"""Reading a log into memory, under canonical names. DEFINITIONS D1."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from datetime import datetime
from functools import reduce
from operator import add
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from journeykit.errors import (
    ColumnTypeError,
    JourneykitError,
    MissingColumnError,
    ParameterError,
    TimeUnitError,
)
from journeykit.sources import blaming, collect_source, open_source, source_format, source_parts
from journeykit.sources.canonical import (
    CanonicalLog,
    Duplicates,
    OnInvalid,
    Validity,
    canonicalise,
    check_choices,
    drop_duplicates,
)
from journeykit.sources.known_exports import hint
from journeykit.sources.prepared import PreparedLog
from journeykit.sources.roles import Roles, TimeUnit
from journeykit.support.threads import on_all_cores

if TYPE_CHECKING:
    from journeykit.events.events import Events
    from journeykit.ordering.user_ids import Piece, UserIds
    from journeykit.ordering.vocabulary import EventNames


def read_events(  # noqa: PLR0913 - a log has many parts
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
    on_invalid: OnInvalid = "raise",
    duplicates: Duplicates = "keep",
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
    check_choices(on_invalid, duplicates)
    check_span(observed_from, observed_until)
    roles = roles_of(
        source,
        format,
        {"user": user, "time": time, "event": event},
        session=session,
        order=order,
        value=value,
        keep=keep,
        tz=tz,
        unit=unit,
        time_format=time_format,
    )
    log = open_log(source, roles, format)
    parts, names = _parts(log.plan, source, roles, format, together=duplicates == "drop")
    counts = reduce(add, (part.validity for part in parts)).counts(on_invalid)
    frame, dropped = pl.concat([part.frame for part in parts]), 0
    if duplicates == "drop":
        frame, dropped = drop_duplicates(frame)
    users, columns = _encoded(parts, frame, names)
    ends = pl.Series([end for part in parts for end in part.ends])
    first, last = span(ends, observed_from, observed_until)
    zone, form = log.local_zone, log.time_format
    from journeykit.events.events import Events

    notes = source.notes if isinstance(source, PreparedLog) else ()
    return Events(users, columns, counts, dropped, tz or "UTC", form, zone, first, last, notes=notes)


class _Part(NamedTuple):
    """The valid rows of a part of the log, events by number; the ids of its users apart, unless needed as a column."""

    frame: pl.DataFrame
    ends: tuple[Any, Any]
    validity: Validity
    users: list[Piece] | None
    text: bool


def _parts(
    plan: pl.LazyFrame, source: Any, roles: Roles, format: str | None, *, together: bool
) -> tuple[list[_Part], EventNames]:
    """Read a log part by part on all cores: while one is decoded the ids of another are looked at.

    The names of events are numbered alike in all parts. A log that has only one part, or has to stay `together`,
    keeps the column of its ids.
    """
    from journeykit.ordering.vocabulary import EventNames

    names = EventNames()
    whole: list[tuple[int, int | None]] = [(0, None)]
    bounds = whole if together else source_parts(source, format=format, columns=roles.columns)

    def read(part: tuple[int, int | None]) -> _Part:
        validity = Validity(part[0])
        found = collect_source(plan, source, format=format, columns=roles.columns, part=part)
        # To import takes the interpreter's lock, for which work in pieces would wait again and again.
        warming.join()
        frame = validity.keep(found)
        from journeykit.ordering.user_ids import encode_part

        frame = frame.with_columns(names.number(frame["event"]))
        users, ends = frame["user"], (frame["time"].min(), frame["time"].max())
        if len(bounds) == 1:
            return _Part(frame, ends, validity, None, users.dtype == pl.String)
        return _Part(frame.drop("user"), ends, validity, encode_part(users), users.dtype == pl.String)

    # What comes after decoding is imported while polars decodes.
    warming = Thread(target=_warm_up, daemon=True)
    warming.start()
    return on_all_cores(read, bounds, threads_per_core=2), names


def _encoded(parts: Sequence[_Part], frame: pl.DataFrame, names: EventNames) -> tuple[UserIds, pl.DataFrame]:
    """Put the ids of the parts together, or encode their column; encode the names of the events."""
    from journeykit.ordering.user_ids import UserIds
    from journeykit.ordering.vocabulary import recoded

    if parts[0].users is None:
        users = UserIds.of(frame["user"])
    else:
        users = UserIds.joined((part.users or () for part in parts), text=parts[0].text)
    events = recoded(frame["event"], names.numbered, names.vocabulary())
    return users, frame.drop("user", strict=False).with_columns(events)


def open_log(source: Any, roles: Roles, format: str | None) -> CanonicalLog:
    """Plan to read a log under canonical names; errors as of `read_events`."""
    names = [name for name in (roles.user, roles.session, roles.event) if name]
    plan = open_source(source, format=format, columns=roles.columns, text=names)
    with blaming(source, format=format, columns=roles.columns):
        try:
            return canonicalise(plan, roles)
        except (MissingColumnError, ColumnTypeError, TimeUnitError) as error:
            from journeykit.sources.csv import other_separator

            names = plan.collect_schema().names()
            error.args = (f"{error}{hint(names) or other_separator(names)}",)
            raise


def _warm_up() -> None:
    """Load what comes next while the file is read."""
    from journeykit.kernels.warming import warm_up

    warm_up()
    importlib.import_module("journeykit.events.events")


def roles_of(source: Any, format: str | None, required: dict[str, str | None], **others: Any) -> Roles:
    """Fill in the roles that a format has by default, and insist on the others."""
    if source_format(source, format) == "access_log":
        from journeykit.sources.access_log import ROLES

        required = {role: column or ROLES[role] for role, column in required.items()}
    missing = [role for role, column in required.items() if column is None]
    if missing:
        raise ParameterError(
            f"read_events needs to know which columns play the roles {missing}. Pass "
            + ", ".join(f"{role}=<column name>" for role in missing)
            + "."
            + _hint(source, format)
        )
    return Roles(**{**required, **others})


def _hint(source: Any, format: str | None) -> str:
    """Say which reader fits the columns of a log, if it can be opened."""
    try:
        return hint(open_source(source, format=format).collect_schema().names())
    except JourneykitError:
        return ""


def check_span(start: object, end: object) -> None:
    """Refuse ends of the observation that are no moments."""
    for parameter, given in (("observed_from", start), ("observed_until", end)):
        if given is not None and (not isinstance(given, datetime) or given.tzinfo is None):
            wrong = "needs a time zone" if isinstance(given, datetime) else f"cannot be {given!r}"
            raise ParameterError(f"{parameter} {wrong}. Pass datetime(..., tzinfo=UTC), for example.")


def span(times: pl.Series, start: datetime | None, end: datetime | None) -> tuple[datetime, datetime]:
    """Return the span of observation. D1.6."""
    first, last = times.min(), times.max()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
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
