"""Writing tables to wherever they are to go."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from journeykit.databases.addresses import address_of
from journeykit.databases.failures import database_errors
from journeykit.databases.hyper import EXTRACT, write_hyper
from journeykit.databases.identifiers import Table, TableName
from journeykit.databases.opening import IfExists, check_if_exists, is_connection, no_database, opened
from journeykit.errors import DatabaseError, ParameterError
from journeykit.support.files import WRITERS, write_frame

HYPER = ".hyper"


def write_table(
    frame: pl.DataFrame,
    target: Any,
    *,
    table: TableName | None = None,
    if_exists: IfExists = "raise",
    spreadsheet_safe: bool = True,
    notes: Sequence[str] = (),
) -> Path | None:
    """Write a frame to a file, or as a table of a database; parameters as of ``Answer.write``.

    Parameters
    ----------
    frame : polars.DataFrame
        What to write.
    target : str, path or connection
        Where.
    table : str or pair of str, optional
        Name of the table, or schema and name.
    if_exists : {"raise", "replace", "append"}
        What to do if there is such a table.
    spreadsheet_safe : bool
        See `write_frame`.
    notes : sequence of str
        Written beside the frame, where the format has a place for them.

    Returns
    -------
    pathlib.Path or None
        The file; None for a table of a database.
    """
    check_if_exists(if_exists)
    if is_connection(target) or address_of(target) is not None:
        if table is None:
            raise ParameterError("a database needs the name of the table. Pass table=<name>.")
        write_tables({Table.of(table): frame}, target, if_exists=if_exists)
        return None
    if not isinstance(target, str | os.PathLike) or "://" in os.fspath(target):
        raise no_database(target)
    path = Path(target)
    if path.suffix == HYPER:
        return write_hyper(frame, path, EXTRACT if table is None else Table.of(table))
    if table is not None:
        raise ParameterError(
            f"table={table!r} goes with a database, not with a {path.suffix} file. Leave it out."
        )
    if path.suffix not in WRITERS:
        raise ParameterError.choice(
            "the ending of the file name", path.suffix, (*WRITERS, HYPER, ".duckdb", ".sqlite")
        )
    return write_frame(frame, path, spreadsheet_safe=spreadsheet_safe, notes=notes)


def write_tables(tables: Mapping[Table, pl.DataFrame], target: Any, *, if_exists: IfExists) -> None:
    """Write frames as tables of one database in one transaction.

    Parameters
    ----------
    tables : mapping of Table to polars.DataFrame
        What to write, by name.
    target : str, path or connection
        See `opened`.
    if_exists : {"raise", "replace", "append"}
        What to do with tables that are there.

    Raises
    ------
    DatabaseError
        If there is such a table and `if_exists` is ``"raise"``, or the database refuses it.
    """
    check_if_exists(if_exists)
    with opened(target, writing=True) as database:
        names = " and ".join(map(str, tables))
        step = f"writing {names} to {database.shown}"
        with database_errors(step, database.secrets):
            there = set(database.tables())
            for table in tables:
                if if_exists == "raise" and table in there:
                    raise DatabaseError.exists(str(table), database.shown)
            database.write(tables, if_exists)
