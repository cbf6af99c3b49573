"""DuckDB: files, and connections of the user with all that is attached to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import polars as pl

from journeykit.databases.addresses import Address
from journeykit.databases.columns import becomes_text
from journeykit.databases.identifiers import Table, check_name, quoted
from journeykit.databases.opening import IfExists
from journeykit.errors import ParameterError

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_PER_BATCH = 100_000
GIVEN = "__journeykit_frame"
TABLES = (
    "select table_schema, table_name from information_schema.tables where table_catalog = current_database()"
)


def connect(address: Address, *, writing: bool) -> EmbeddedDatabase:
    """Open a file; only for writing it is made or locked."""
    import duckdb

    return EmbeddedDatabase(duckdb.connect(address.place, read_only=not writing), address.shown)


class EmbeddedDatabase:
    """A connection of DuckDB. Work is done on cursors, in transactions of their own."""

    def __init__(self, connection: Any, shown: str = "the DuckDB connection") -> None:
        self.connection, self.shown = connection, shown
        self.secrets: tuple[str, ...] = ()

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    @contextmanager
    def batches(self, query: str, parameters: Sequence[Any]) -> Iterator[pa.RecordBatchReader]:
        """Run a query, and stream what it finds."""
        with self._cursor() as cursor:
            found = cursor.sql(query, params=list(parameters) or None)
            if found is None:
                raise ParameterError("the query finds no rows: it is no SELECT.")
            yield found.to_arrow_reader(ROWS_PER_BATCH)

    def tables(self) -> list[Table]:
        """List tables and views, those of the schema in use first and without its name."""
        with self._cursor() as cursor:
            (used,) = cursor.execute("select current_schema()").fetchone()
            found = cursor.execute(TABLES).fetchall()
        return [
            *(Table(None, name) for schema, name in found if schema == used),
            *(Table(*each) for each in found),
        ]

    def tables_after_error(self) -> list[str]:
        """List the names of tables and views for a message; none if even this fails."""
        with suppress(Exception):
            return list(dict.fromkeys(table.name for table in self.tables()))
        return []

    def write(self, tables: Mapping[Table, pl.DataFrame], if_exists: IfExists) -> None:
        """Write tables in one transaction; categories become texts."""
        there = set(self.tables())
        with self._cursor() as cursor:
            cursor.begin()
            try:
                for table, frame in tables.items():
                    _write(cursor, table, frame, if_exists, exists=table in there)
                cursor.commit()
            except BaseException:
                with suppress(Exception):
                    cursor.rollback()
                raise

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        """Give a cursor that looks where the connection does."""
        (found,) = self.connection.sql("select current_database(), current_schema()").fetchall()
        cursor = self.connection.cursor()
        try:
            cursor.execute(f"use {'.'.join(map(quoted, found))}")
            yield cursor
        finally:
            cursor.close()


def _write(cursor: Any, table: Table, frame: pl.DataFrame, if_exists: IfExists, *, exists: bool) -> None:
    for name in frame.columns:
        check_name(name, "the name of a column")
    columns = ", ".join(
        f"{quoted(name)}::varchar as {quoted(name)}" if becomes_text(dtype) else quoted(name)
        for name, dtype in frame.schema.items()
    )
    rows = f"select {columns} from {quoted(GIVEN)}"
    if if_exists == "append" and exists:
        statement = f"insert into {table.sql} by name {rows}"
    else:
        statement = f"create {'or replace ' * (if_exists == 'replace')}table {table.sql} as {rows}"
    cursor.register(GIVEN, frame.to_arrow())
    try:
        cursor.execute(statement)
    finally:
        cursor.unregister(GIVEN)
