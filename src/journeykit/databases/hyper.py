"""Extracts of Tableau: files that end in .hyper."""

from __future__ import annotations

import tempfile
from pathlib import Path

import polars as pl

from journeykit.databases.columns import with_texts
from journeykit.databases.failures import database_errors
from journeykit.databases.identifiers import Table
from journeykit.errors import MissingPackageError
from journeykit.support.files import joined_lists, replacing

EXTRACT = Table("Extract", "Extract")
"""The table that Tableau looks for."""
UNSIGNED = (pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64)


def write_hyper(frame: pl.DataFrame, path: Path, table: Table = EXTRACT) -> Path:
    """Write a frame as an extract of one table; the file appears whole or not at all.

    Parameters
    ----------
    frame : polars.DataFrame
        Lists of texts are joined by `` > ``.
    path : pathlib.Path
        Ends in ``.hyper``.
    table : Table
        Tableau looks for ``"Extract"."Extract"``.

    Returns
    -------
    pathlib.Path
        The same path.

    Raises
    ------
    MissingPackageError
        If tableauhyperapi is not installed.
    DatabaseError
        If the extract cannot be written.
    """
    try:
        import tableauhyperapi as hyper
    except ImportError as error:
        raise MissingPackageError("a .hyper file", "tableauhyperapi", "tableau") from error
    plain = with_texts(joined_lists(frame)).with_columns(
        pl.col([name for name in frame.columns if frame[name].dtype in UNSIGNED]).cast(pl.Int64),
    )
    with (
        replacing(path) as temporary,
        tempfile.TemporaryDirectory() as folder,
        database_errors(f"writing {str(path)!r}"),
        hyper.HyperProcess(
            hyper.Telemetry.DO_NOT_SEND_USAGE_DATA_TO_TABLEAU, parameters={"log_config": ""}
        ) as process,
        hyper.Connection(process.endpoint, temporary, hyper.CreateMode.CREATE) as connection,
    ):
        rows = Path(folder) / "rows.parquet"
        plain.write_parquet(rows)
        if table.schema is not None:
            connection.catalog.create_schema(table.schema)
        source = hyper.escape_string_literal(str(rows))
        connection.execute_command(f"create table {table.sql} as select * from external({source})")
    return path
