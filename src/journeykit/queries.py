"""Logs in databases: the result of a query, read or planned to be read."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from journeykit.errors import ParameterError
from journeykit.events.reading import read_events, roles_of
from journeykit.sources.canonical import check_choices
from journeykit.sources.roles import Roles
from journeykit.sources.sql import Query, scan, stream

if TYPE_CHECKING:
    from journeykit.events.events import Events
    from journeykit.plans import EventsPlan

OF_ROLES = ("session", "order", "value", "keep", "tz", "unit", "time_format")


def read_sql(
    database: Any,
    query: str,
    *,
    user: str,
    time: str,
    event: str,
    parameters: Sequence[Any] = (),
    **options: Any,
) -> Events:
    """Read a log out of a database into memory.

    Parameters
    ----------
    database : str, pathlib.Path or connection
        ``"postgresql://user:password@host/database"`` (``journeykit[postgres]``), ``"sqlite:///file"``
        (``journeykit[sqlite]``), ``"duckdb:///file"``, a path that ends in ``.duckdb`` or ``.sqlite``, or an open
        connection of DuckDB, with whatever is attached to it, or of an ADBC driver. Files are opened for reading only;
        nothing is committed.
    query : str
        One SELECT, as the database understands it. Its result comes in batches of Arrow, and of each only the columns
        in use are kept.
    user, time, event : str
        The columns of who, when and what.
    parameters : sequence of object
        Values for the open places of the query (``$1`` in PostgreSQL and DuckDB, ``?`` in SQLite and DuckDB). They
        travel apart from it, so that nothing in them is SQL: never paste values into a query.
    **options
        The other parameters of `read_events`, but ``format``.

    Returns
    -------
    Events
        The valid rows, in the order of the result.

    Raises
    ------
    MissingColumnError
        If the result lacks a column; with the closest names.
    ColumnTypeError
        If a column cannot play its role; before a row is read, if its type tells.
    DatabaseError
        If the database cannot be reached, refuses the query, or is lost on the way. The message has what the database
        said and no password, as have all errors that it is chained to.
    MissingPackageError, MissingFileError, ParameterError
        If the driver is not installed, a file is not there, or a parameter has a value that it cannot take.
    InvalidRowsError, EmptyInputError
        As of `read_events`. A time outside the years 1 to 9999, such as ``infinity``, is invalid.

    Notes
    -----
    Numbers of PostgreSQL's type ``numeric`` are read as texts, which are exact, but as Float64 in the role of the
    value; UUIDs are read as texts. The memory needed is that of the columns in use.

    Examples
    --------
    >>> import duckdb
    >>> connection = duckdb.connect()
    >>> _ = connection.sql("create table clicks as select 'ada' as who, now() as at, 'view' as what")
    >>> query = "select * from clicks where what = $1"
    >>> events = read_sql(connection, query, parameters=["view"], user="who", time="at", event="what")
    >>> events.frame["user"].to_list()
    ['ada']
    """
    asked, roles = _checked("read_sql", database, query, parameters, (user, time, event), options)
    return read_events(pl.concat(stream(asked, roles)), user=user, time=time, event=event, **options)


def scan_sql(
    database: Any,
    query: str,
    *,
    user: str,
    time: str,
    event: str,
    parameters: Sequence[Any] = (),
    **options: Any,
) -> EventsPlan:
    """Plan to read a log out of a database; parameters and errors as of `read_sql`.

    Returns
    -------
    EventsPlan
        As of `scan_events`. The query runs once now, to learn its columns, and again whenever the plan runs: the
        database should give the same rows each time. With ``engine=OutOfCore()`` the batches go to disk as they come.

    Examples
    --------
    >>> import duckdb
    >>> import journeykit as jk
    >>> connection = duckdb.connect()
    >>> _ = connection.sql("create table clicks as select 'ada' as who, now() as at, 'view' as what")
    >>> plan = scan_sql(connection, "from clicks", user="who", time="at", event="what").sessionize("30m")
    >>> plan.measure(jk.Overview(), engine=jk.OutOfCore()).value("events")
    1.0
    """
    from journeykit.plans import scan_events

    asked, roles = _checked("scan_sql", database, query, parameters, (user, time, event), options)
    return scan_events(scan(asked, roles), user=user, time=time, event=event, **options)


def _checked(
    name: str,
    database: Any,
    query: str,
    parameters: Sequence[Any],
    required: tuple[str, str, str],
    options: dict[str, Any],
) -> tuple[Query, Roles]:
    """Check all that can be checked without the database."""
    known = [each for each in inspect.signature(read_events).parameters if each not in ("source", "format")]
    for option in options:
        if option not in known:
            raise ParameterError.unknown(name, option, [*known, "parameters"])
    check_choices(options.get("on_invalid", "raise"), options.get("duplicates", "keep"))
    user, time, event = required
    others = {each: value for each, value in options.items() if each in OF_ROLES}
    roles = roles_of(None, None, {"user": user, "time": time, "event": event}, **others)
    return Query(database, query, tuple(parameters) if isinstance(parameters, list) else parameters), roles
