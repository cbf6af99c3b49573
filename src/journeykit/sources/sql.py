"""Results of queries, as they stream from a database: batch by batch, and of each only the columns that are used."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from journeykit.databases.addresses import address_of, scrubbed
from journeykit.databases.failures import database_errors, missing_table
from journeykit.databases.opening import opened
from journeykit.errors import ColumnTypeError, DatabaseError, ParameterError, suggestion
from journeykit.sources.roles import Roles

if TYPE_CHECKING:
    import pyarrow as pa

SHOWN_QUERY = 60
HEX_GROUPS = ((0, 8), (8, 4), (12, 4), (16, 4), (20, 12))
"""Where the parts of a UUID begin, and how long they are."""


@dataclass(frozen=True, repr=False)
class Query:
    """A query to a database.

    Attributes
    ----------
    database : str, path or connection
        What `journeykit.databases.opening.opened` opens. It may hold a password, and is in no repr.
    text : str
        SQL, as it is sent to the database.
    parameters : sequence of object
        Values for the places that the query leaves open; they are sent apart from it.
    """

    database: Any
    text: str
    parameters: Sequence[Any] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.text, str) or not self.text.strip():
            raise ParameterError(f"query must be a text of SQL, not {self.text!r}.")
        if isinstance(self.parameters, str | bytes) or not isinstance(self.parameters, Sequence):
            raise ParameterError("parameters must be a list of values, one for each open place of the query.")

    def __repr__(self) -> str:
        text = scrubbed(" ".join(self.text.split()))
        shown = text if len(text) <= SHOWN_QUERY else f"{text[:SHOWN_QUERY]}..."
        address = address_of(self.database)
        place = f"a connection of type {type(self.database).__name__}" if address is None else address.shown
        return f"query {shown!r} to {place}"


def stream(query: Query, roles: Roles, columns: Sequence[str] | None = None) -> Generator[pl.DataFrame]:
    """Run a query, and give its result batch by batch, as frames.

    Parameters
    ----------
    query : Query
        What to run.
    roles : Roles
        Which columns are used, and for what.
    columns : sequence of str, optional
        Fewer of them.

    Yields
    ------
    polars.DataFrame
        The columns in use, in their order; at least one frame, which may be empty. UUIDs become texts, numerics of
        PostgreSQL become texts too (they are exact), or Float64 in the role of the value.

    Raises
    ------
    MissingColumnError, ColumnTypeError
        If the result does not have a column, or has it in a type that cannot be read: before a row is read.
    DatabaseError
        If the database fails, also in the middle.
    """
    with _running(query) as reader:
        wanted = _checked(reader.schema, roles, columns)
        yield _frame(reader.schema.empty_table(), wanted, roles)
        for batch in reader:
            yield _frame(batch, wanted, roles)


def scan(query: Query, roles: Roles) -> pl.LazyFrame:
    """Plan to run a query; it runs anew whenever the plan does, and once now, to learn its columns."""
    from polars.io.plugins import register_io_source

    with closing(stream(query, roles)) as frames:
        schema = next(frames).schema

    def batches(
        columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        left = n_rows
        with closing(stream(query, roles, columns)) as frames:
            for frame in frames:
                found = frame if left is None else frame.head(left)
                left = None if left is None else left - found.height
                yield found if predicate is None else found.filter(predicate)
                if left == 0:
                    return

    return register_io_source(batches, schema=schema)


@contextmanager
def _running(query: Query) -> Iterator[pa.RecordBatchReader]:
    with opened(query.database) as database:
        step = f"reading from {database.shown}"
        try:
            with (
                database_errors(step, database.secrets),
                database.batches(query.text, query.parameters) as reader,
            ):
                yield reader
        except DatabaseError as error:
            table = missing_table(error.reason)
            if table is None:
                raise
            tables = database.tables_after_error()
            raise DatabaseError(step, error.reason, suggestion(table, tables)) from error.__cause__


def _checked(schema: pa.Schema, roles: Roles, columns: Sequence[str] | None) -> list[str]:
    """Return the columns to read, after a look at all that will be used."""
    names = schema.names
    twice = sorted({name for name in roles.columns if names.count(name) > 1})
    if twice:
        raise ParameterError(
            f"the query gives several columns the name {twice[0]!r}. Give each its own with AS."
        )
    roles.check_columns(names)
    for role, name in [*roles.named.items(), *(("keep", name) for name in roles.keep)]:
        _check_type(role, schema.field(name))
    return [name for name in roles.columns if columns is None or name in columns]


def _check_type(role: str, column: pa.Field) -> None:
    import pyarrow as pa

    kind = column.type
    opaque = getattr(kind, "extension_name", None) == "arrow.opaque"
    if (opaque and not pa.types.is_string(kind.storage_type)) or str(kind) == "month_day_nano_interval":
        name = kind.type_name if opaque else "interval"
        raise ColumnTypeError(
            role, column.name, f"values of the type {name}", "texts, numbers or times",
            "Cast it to text in the query.",
        )  # fmt: skip


def _frame(rows: Any, wanted: Sequence[str], roles: Roles) -> pl.DataFrame:
    """Turn a batch or table of Arrow into a frame of plain types."""
    arrays = {}
    for name in wanted:
        column, kind = rows.column(name), rows.schema.field(name).type
        extension = getattr(kind, "extension_name", None)
        storage = column.cast(kind.storage_type) if extension else column
        series = pl.Series(name, storage)
        if extension == "arrow.uuid":
            series = _dashed(series)
        elif extension == "arrow.opaque" and name == roles.value:
            series = series.cast(pl.Float64)
        arrays[name] = series
    return pl.DataFrame(arrays)


def _dashed(uuids: pl.Series) -> pl.Series:
    """Write the 16 bytes of UUIDs as text."""
    digits = pl.col(uuids.name).bin.encode("hex")
    parts = [digits.str.slice(start, length) for start, length in HEX_GROUPS]
    return uuids.to_frame().select(pl.concat_str(parts, separator="-").alias(uuids.name)).to_series()
