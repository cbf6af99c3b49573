"""One way to open a database, whatever its kind: by an address, or as a connection that is open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, get_args

import polars as pl

from journeykit.databases.addresses import Address, address_of
from journeykit.databases.failures import database_errors
from journeykit.databases.identifiers import Table
from journeykit.errors import MissingFileError, ParameterError

if TYPE_CHECKING:
    import pyarrow as pa

IfExists: TypeAlias = Literal["raise", "replace", "append"]


class Database(Protocol):
    """An open database.

    Attributes
    ----------
    shown : str
        What messages call it.
    secrets : tuple of str
        What must not be printed.
    """

    shown: str
    secrets: tuple[str, ...]

    def batches(self, query: str, parameters: Sequence[Any]) -> AbstractContextManager[pa.RecordBatchReader]:
        """Run a query, and stream what it finds."""

    def tables(self) -> list[Table]:
        """List tables and views; those of the connection's own schema once more without it, and first."""

    def tables_after_error(self) -> list[str]:
        """List the names of tables and views for a message; none if even this fails."""

    def write(self, tables: Mapping[Table, pl.DataFrame], if_exists: IfExists) -> None:
        """Write tables in one transaction: all, or none."""


def is_connection(target: object) -> bool:
    """Whether an object is a connection that `opened` can use, without importing its driver."""
    return is_duckdb(target) or _is_adbc(target)


@contextmanager
def opened(target: Any, *, writing: bool = False) -> Iterator[Database]:
    """Open a database, and close it in the end; a connection that was given stays open.

    Parameters
    ----------
    target : str, path or connection
        What `address_of` reads, or a connection of DuckDB or of an ADBC driver.
    writing : bool
        Whether a file may be made or changed.

    Raises
    ------
    ParameterError
        If it is none of these.
    MissingFileError
        If a file is to be read and is not there.
    MissingPackageError
        If the driver is not installed.
    DatabaseError
        If the database cannot be opened.
    """
    if is_duckdb(target):
        from journeykit.databases.embedded import EmbeddedDatabase

        yield EmbeddedDatabase(target)
    elif _is_adbc(target):
        from journeykit.databases.arrow import ArrowDatabase

        with database_errors("asking the connection for its database"):
            adapted = ArrowDatabase.of(target)
        yield adapted
    else:
        address = address_of(target)
        if address is None:
            raise no_database(target)
        if address.kind != "postgresql" and not writing:
            _check_file(address)
        with _connected(address, writing=writing) as database:
            yield database


def check_if_exists(if_exists: object) -> None:
    """Refuse what is no choice."""
    if if_exists not in get_args(IfExists):
        raise ParameterError.choice("if_exists", if_exists, get_args(IfExists))


@contextmanager
def _connected(address: Address, *, writing: bool) -> Iterator[Database]:
    if address.kind == "duckdb":
        from journeykit.databases import embedded

        connect: Any = embedded.connect
    else:
        from journeykit.databases import arrow

        connect = arrow.connect
    with database_errors(f"opening {address.shown}", address.secrets):
        database = connect(address, writing=writing)
    try:
        yield database
    finally:
        with database_errors(f"closing {address.shown}", address.secrets):
            database.close()


def is_duckdb(target: object) -> bool:
    """Whether an object is a connection of DuckDB, without importing it."""
    return any(each.__name__ == "DuckDBPyConnection" for each in type(target).__mro__)


def _is_adbc(target: object) -> bool:
    kinds = ((each.__module__, each.__name__) for each in type(target).__mro__)
    return ("adbc_driver_manager.dbapi", "Connection") in kinds


def no_database(target: object) -> ParameterError:
    """Say what is wrong without a word of a target that may hold a password."""
    if isinstance(target, str) and "://" in target:
        kind = f"an address {target.partition('://')[0]}:// leads to no database that is known here."
    else:
        kind = f"an object of type {type(target).__name__} is no database."
    return ParameterError(
        f"{kind} Give 'postgresql://user@host/database', 'sqlite:///file', 'duckdb:///file', the path of a .duckdb or "
        f".sqlite file, or a connection of DuckDB or of an ADBC driver."
    )


def _check_file(address: Address) -> None:
    path = Path(address.place)
    if not path.is_file():
        names = sorted(each.name for each in path.parent.iterdir()) if path.parent.is_dir() else None
        raise MissingFileError.path(str(path), str(path.parent), names)
