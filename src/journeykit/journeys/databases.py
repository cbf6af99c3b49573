"""Journeys as tables of a database of DuckDB."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from journeykit.errors import ParameterError
from journeykit.ragged.array import Ragged
from journeykit.ragged.views import frame, session_numbers, users_at
from journeykit.sessions import CAUSES
from journeykit.store.tables import per_user

TABLES = ("events", "sessions", "users")


def to_duckdb(
    journeys: Ragged,
    target: str | Path | Any,
    *,
    tables: Sequence[str] | Mapping[str, str] = TABLES,
    if_exists: str = "raise",
) -> None:
    """Write the journeys as tables of a database of DuckDB, all in one transaction.

    Parameters
    ----------
    target : str, pathlib.Path or connection
        A file that ends in ``.duckdb``, made if need be; ``"duckdb:///file"``; or an open connection.
    tables : sequence or mapping of str
        Which tables: ``events``, ``sessions``, ``users``; a mapping gives each its name in the database.
    if_exists : {"raise", "replace", "append"}
        What to do with tables of these names.

    Raises
    ------
    ParameterError
        If the target is no database of DuckDB, or there is no such table of journeys.
    DatabaseError
        If a table exists and `if_exists` is ``"raise"``, or DuckDB fails.

    Notes
    -----
    ``events`` is the table of ``journeys.frame``: ``user``, ``session``, ``time`` in UTC, ``event``, stages and
    properties. ``sessions`` has a row per session: ``user``, ``session`` (its number within the user), ``first`` and
    ``last`` (times), ``events``, and ``cause``, the rule that opened it. ``users`` has a row per user: ``user``,
    ``first``, ``last``, ``events``, ``sessions``. DuckDB reads the memory of the journeys; texts are written out.

    Examples
    --------
    >>> import duckdb, journeykit as jk
    >>> log = pl.DataFrame({"user": [1, 1, 2], "time": [0, 9999, 5], "event": ["see", "buy", "see"]})
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> with duckdb.connect() as connection:
    ...     journeys.to_duckdb(connection, tables={"sessions": "visits"})
    ...     connection.sql('select "user", count(*) from visits group by all order by all').fetchall()
    [(1, 2), (2, 1)]
    """
    from journeykit.databases.addresses import address_of
    from journeykit.databases.identifiers import Table
    from journeykit.databases.opening import is_duckdb
    from journeykit.databases.writing import write_tables

    names = dict(tables) if isinstance(tables, Mapping) else {name: name for name in tables}
    for name in names:
        if name not in TABLES:
            raise ParameterError.choice("a table of journeys", name, TABLES)
    address = address_of(target)
    if not is_duckdb(target) and (address is None or address.kind != "duckdb"):
        raise ParameterError(
            "to_duckdb writes to DuckDB: give a file that ends in .duckdb, 'duckdb:///file', or a connection of DuckDB."
        )
    if journeys.user_range is not None:
        raise ParameterError(
            "a shard is a view, and is not written. Write the journeys that it is a part of."
        )
    wanted = {Table.of(renamed): MAKERS[name](journeys) for name, renamed in names.items()}
    write_tables(wanted, target, if_exists=if_exists)  # type: ignore[arg-type] # checked there


def _sessions(journeys: Ragged) -> pl.DataFrame:
    numbers = session_numbers(journeys)
    inside = numbers > 0
    starts, ends = journeys.session_offsets[:-1][inside], journeys.session_offsets[1:][inside]
    causes = pl.Series(CAUSES, dtype=pl.Enum(CAUSES))
    known = journeys.session_causes
    cause = pl.repeat(None, starts.size, dtype=causes.dtype, eager=True)
    if known is not None:
        cause = causes.gather(pl.Series(known[inside]))
    return pl.DataFrame(
        {
            "user": users_at(journeys, starts),
            "session": numbers[inside],
            "first": _moments(journeys.times[starts]),
            "last": _moments(journeys.times[ends - 1]),
            "events": ends - starts,
            "cause": cause,
        }
    )


def _users(journeys: Ragged) -> pl.DataFrame:
    offsets = journeys.user_offsets
    times = journeys.times if journeys.time_order is None else journeys.times[journeys.time_order]
    return pl.DataFrame(
        {
            "user": journeys.users,
            "first": _moments(times[offsets[:-1]]),
            "last": _moments(times[offsets[1:] - 1]),
            "events": np.diff(offsets),
            "sessions": per_user(journeys, session_numbers(journeys) > 0),
        }
    )


def _moments(times: Any) -> pl.Series:
    return pl.Series(times).cast(pl.Datetime("us", "UTC"))


MAKERS: Mapping[str, Callable[[Any], pl.DataFrame]] = {
    "events": frame,
    "sessions": _sessions,
    "users": _users,
}
