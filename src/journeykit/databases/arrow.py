"""PostgreSQL and SQLite through ADBC: batches of Arrow both ways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import polars as pl

from journeykit.databases.addresses import Address
from journeykit.databases.columns import with_texts
from journeykit.databases.identifiers import Table, check_lengths, check_name
from journeykit.databases.opening import IfExists
from journeykit.errors import MissingPackageError
from journeykit.support.files import joined_lists

if TYPE_CHECKING:
    import pyarrow as pa

DRIVERS = {
    "postgresql": ("adbc_driver_postgresql", "postgres", "PostgreSQL"),
    "sqlite": ("adbc_driver_sqlite", "sqlite", "SQLite"),
}
MODES = {"raise": "create", "replace": "replace", "append": "create_append"}
TABLES = {
    "PostgreSQL": (
        "select nullif(table_schema, current_schema()), table_name from information_schema.tables "
        "where table_schema not in ('information_schema', 'pg_catalog')"
    ),
    "SQLite": "select null, name from sqlite_master where type in ('table', 'view')",
}


def connect(address: Address, *, writing: bool) -> ArrowDatabase:
    """Connect to a server, or open a file.

    Raises
    ------
    MissingPackageError
        If the driver is not installed.
    """
    package, extra, name = DRIVERS[address.kind]
    try:
        driver = import_module(f"{package}.dbapi")
    except ImportError as error:
        raise MissingPackageError(f"{name} at an address", package.replace("_", "-"), extra) from error
    place = address.place
    if address.kind == "sqlite" and not writing:
        place = f"file:{quote(str(Path(place).absolute()))}?mode=ro"
    return ArrowDatabase(driver.connect(place), name, address.shown, address.secrets)


class ArrowDatabase:
    """A connection of an ADBC driver to a database of some vendor, such as ``"PostgreSQL"``."""

    def __init__(self, connection: Any, vendor: str, shown: str, secrets: tuple[str, ...] = ()) -> None:
        self.connection, self.vendor, self.shown, self.secrets = connection, vendor, shown, secrets

    @classmethod
    def of(cls, connection: Any) -> ArrowDatabase:
        """Take a connection of the user."""
        return cls(
            connection, str(connection.adbc_get_info().get("vendor_name")), "the database of the connection"
        )

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    @contextmanager
    def batches(self, query: str, parameters: Sequence[Any]) -> Iterator[pa.RecordBatchReader]:
        """Run a query, and stream what it finds."""
        with self.connection.cursor() as cursor:
            cursor.execute(query, list(parameters) or None)
            reader = cursor.fetch_record_batch()
            try:
                yield reader
            finally:
                reader.close()

    def tables(self) -> list[Table]:
        """List tables and views; a schema of None is the one in use."""
        statement = TABLES.get(self.vendor)
        if statement is None:
            return []
        with self.connection.cursor() as cursor:
            cursor.execute(statement)
            return [Table(*each) for each in cursor.fetchall()]

    def tables_after_error(self) -> list[str]:
        """List the names of tables and views for a message; none if even this fails."""
        with suppress(Exception):
            if self.vendor == "PostgreSQL":
                self.connection.rollback()  # after an error it answers nothing else
            return [table.name for table in self.tables()]
        return []

    def write(self, tables: Mapping[Table, pl.DataFrame], if_exists: IfExists) -> None:
        """Write tables in one transaction, and end it; names are quoted by the driver."""
        try:
            with self.connection.cursor() as cursor:
                for table, frame in tables.items():
                    rows = self._rows(table, frame)
                    cursor.adbc_ingest(table.name, rows, MODES[if_exists], db_schema_name=table.schema)
            self.connection.commit()
        except BaseException:
            with suppress(Exception):
                self.connection.rollback()
            raise

    def _rows(self, table: Table, frame: pl.DataFrame) -> pa.Table:
        for name in frame.columns:
            check_name(name, "the name of a column")
        if self.vendor == "PostgreSQL":
            check_lengths([table.name, *frame.columns])
        plain = with_texts(frame)
        return (joined_lists(plain) if self.vendor == "SQLite" else plain).to_arrow()
