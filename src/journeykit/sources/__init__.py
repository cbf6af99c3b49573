"""Where logs come from: one module per format, and `open_source`, which finds the right one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import polars as pl

from journeykit.errors import (
    EngineError,
    JourneykitError,
    ParameterError,
    UnsupportedSourceError,
)
from journeykit.sources import parquet
from journeykit.sources.collecting import collect, engine_errors
from journeykit.sources.paths import FORMATS, common_format, files, is_remote
from journeykit.sources.prepared import PreparedLog

__all__ = [
    "FORMATS",
    "blaming",
    "collect_source",
    "is_paths",
    "open_source",
    "refuse_broken_rows",
    "source_format",
    "source_parts",
]

ROWS_PER_PART = 500_000
MOST_PARTS = 128


def source_format(source: Any, format: str | None = None) -> str | None:
    """Tell the format of files: the stated one, or by their names; None for anything but files.

    Parameters
    ----------
    source : object
        What `open_source` takes.
    format : str, optional
        One of `FORMATS`.

    Returns
    -------
    str or None
        ``"access_log"`` means that the roles have defaults: `journeykit.sources.access_log.ROLES`.

    Raises
    ------
    ParameterError
        For an unknown format, or a format beside something that is no file.
    MissingFileError, UnknownFormatError, EmptyInputError
        If there is no file, or no telling.
    """
    if format is not None and format not in FORMATS:
        raise ParameterError.choice("format", format, FORMATS)
    if not is_paths(source):
        if format is not None:
            kind = type(source).__name__
            raise ParameterError(f"format={format!r} goes with files, not with a {kind}. Leave it out.")
        return None
    return format or common_format(files(source))


def open_source(
    source: Any,
    *,
    format: str | None = None,
    columns: Sequence[str] | None = None,
    text: Sequence[str] = (),
) -> pl.LazyFrame:
    """Plan to read a log from anything that holds one.

    Parameters
    ----------
    source : object
        A path, folder, pattern or URL, or several; files of Parquet, CSV, TSV, NDJSON or access logs, all but
        Parquet also compressed.
        A polars DataFrame or LazyFrame; pandas; a pyarrow Table, RecordBatch, RecordBatchReader or Dataset;
        a DuckDB relation; anything with ``__arrow_c_stream__``; a dict of columns or a list of dicts.
    format : str, optional
        Format of files whose names do not tell it: one of `FORMATS`.
    columns : sequence of str, optional
        The columns that will be used, where reading fewer is a help. None of them has to exist.
    text : sequence of str
        Columns of CSV that stay text whatever they look like, such as ids.

    Returns
    -------
    polars.LazyFrame
        Rows in the order of the source; of files and plans nothing is read but what tells the columns.
        A stream, such as that of a DuckDB relation, may give its rows only once: it is read here.

    Raises
    ------
    MissingFileError
        If a path leads to no file, or a pattern matches none.
    UnknownFormatError, UnsupportedSourceError, ParameterError
        If the format cannot be told or does not exist, or nothing can be read from the object.
    UnreadableFileError, EmptyInputError
        If a file is broken or empty; a `BrokenRowError` names the line.
    EngineError
        If polars, DuckDB or Arrow fail otherwise; chained.
    """
    kind = source_format(source, format)
    with blaming(source, format=format, columns=columns), engine_errors("opening the log"):
        plan = _scan(source, kind, columns, text)
        if plan is None:
            raise UnsupportedSourceError(f"{type(source).__module__}.{type(source).__qualname__}")
        plan.collect_schema()
        return plan


@contextmanager
def blaming(
    source: Any,
    *,
    format: str | None = None,
    columns: Sequence[str] | None = None,
) -> Iterator[None]:
    """Find the file and the line where an engine fails inside, on a plan made on `open_source`.

    Parameters
    ----------
    source, format, columns
        As given to `open_source`.

    Raises
    ------
    UnreadableFileError
        In place of an EngineError, if a file is broken; a `BrokenRowError` names the line.
    """
    try:
        yield
    except EngineError as error:
        if isinstance(source, PreparedLog):
            # Its columns are made of those in the files: any of these may be broken.
            source, kind, columns = list(source.files), source.format, None
        else:
            kind = source_format(source, format)
        raise _diagnosed(source, kind, columns, error) from error.__cause__


def source_parts(
    source: Any,
    *,
    format: str | None = None,
    columns: Sequence[str] | None = None,
) -> list[tuple[int, int | None]]:
    """Cut a log into neighbouring parts of which each can be read without the others.

    Parameters
    ----------
    source, format, columns
        As given to `open_source`.

    Returns
    -------
    list of tuple of int
        First row and number of rows, None for all others. Only Parquet on this machine has more than one part:
        polars skips the pages of others, whole or not, at no measurable cost.

    Raises
    ------
    UnreadableFileError
        If a file is broken.
    """
    names = files(source) if source_format(source, format) == "parquet" else []
    if not names or any(is_remote(name) for name in names):
        return [(0, None)]
    with blaming(source, format=format, columns=columns), engine_errors("counting the rows of the log"):
        rows = parquet.count_rows(names)
    size = max(ROWS_PER_PART, -(-rows // MOST_PARTS))
    last = max(0, rows - 1) // size * size
    return [*((first, size) for first in range(0, last, size)), (last, None)]


def collect_source(
    plan: pl.LazyFrame,
    source: Any,
    *,
    format: str | None = None,
    columns: Sequence[str] | None = None,
    part: tuple[int, int | None] = (0, None),
) -> pl.DataFrame:
    """Run a plan made on `open_source`, or a part of it; where it fails, find the file and the line.

    Parameters
    ----------
    plan : polars.LazyFrame
        What to run.
    source, format, columns
        As given to `open_source`.
    part : tuple of int
        One of `source_parts`.

    Returns
    -------
    polars.DataFrame
        The rows in the order of the source.

    Raises
    ------
    UnreadableFileError
        If a file is broken; a `BrokenRowError` names the line.
    EngineError
        If the engine fails otherwise; chained.
    """
    if part == (0, None):
        refuse_broken_rows(source, format)
    with blaming(source, format=format, columns=columns):
        return collect(plan if part == (0, None) else plan.slice(*part), "reading the log")


def refuse_broken_rows(source: Any, format: str | None = None) -> None:
    """Refuse files of text whose rows are not all as long as their header, before they are read.

    Parameters
    ----------
    source, format
        As given to `open_source`.

    Raises
    ------
    BrokenRowError
        With the file and the line.
    """
    prepared = isinstance(source, PreparedLog)
    kind = source.format if prepared else source_format(source, format)
    # Tables of tabs among exports have no header, and quotes that are none.
    if kind == "csv" or (kind == "tsv" and not prepared):
        from journeykit.sources import csv

        csv.refuse_ragged(source.files if prepared else files(source), kind)


def is_paths(source: object) -> bool:
    """Whether a source is a path, or several."""
    if isinstance(source, str | os.PathLike):
        return True
    return isinstance(source, list | tuple) and all(isinstance(each, str | os.PathLike) for each in source)


def _scan(
    source: Any,
    kind: str | None,
    columns: Sequence[str] | None,
    text: Sequence[str],
) -> pl.LazyFrame | None:
    if kind is None:
        from journeykit.sources import duckdb, frames

        return duckdb.scan(source, columns) if duckdb.is_relation(source) else frames.scan(source)
    names = files(source)
    if kind == "parquet":
        return parquet.scan(names)
    from journeykit.sources import access_log, csv, ndjson

    if kind == "ndjson":
        return ndjson.scan(names, columns)
    if kind == "access_log":
        return access_log.scan(names)
    return csv.scan(names, kind, text)


def _diagnosed(
    source: Any,
    kind: str | None,
    columns: Sequence[str] | None,
    error: EngineError,
) -> JourneykitError:
    """Say which file and line made an engine fail; if none can be blamed, what the engine said."""
    names = [name for name in files(source) if not is_remote(name)] if kind else []
    if kind is None or not names:
        return error
    if kind == "parquet":
        return parquet.diagnose(names, columns) or error
    from journeykit.sources import csv, ndjson
    from journeykit.sources.texts import unreadable_bytes

    found = unreadable_bytes(names, kind)
    if found is None and kind == "ndjson":
        found = ndjson.diagnose(names)
    elif found is None and kind in csv.SEPARATORS:
        found = csv.diagnose(names, kind, str(error.__cause__))
    return found or error
