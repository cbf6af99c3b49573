"""Writing files so that each appears whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

import polars as pl

from journeykit.errors import ParameterError

READ_ERRORS = (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException)
"""What polars raises on a broken file: a panic of Rust, too, which stands beside Exception."""
WRITERS = (".parquet", ".csv", ".ndjson", ".xlsx")


def first_line(error: BaseException) -> str:
    """Shorten an engine's message to its first line; what a panic of Rust says is about Rust."""
    if isinstance(error, pl.exceptions.PanicException):
        return "its content is damaged"
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; move it there if all goes well, else remove it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{token_hex(8)}")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_frame(
    frame: pl.DataFrame, path: Path, *, spreadsheet_safe: bool = True, notes: Sequence[str] = ()
) -> Path:
    """Write a frame in the format that the ending names.

    Parameters
    ----------
    frame : polars.DataFrame
        What to write. Lists are written to CSV and Excel joined by `` > ``.
    path : pathlib.Path
        Ends in ``.parquet``, ``.csv``, ``.ndjson`` or ``.xlsx``.
    spreadsheet_safe : bool
        Whether texts of CSV that a spreadsheet would run as formulas get an apostrophe before them.
    notes : sequence of str
        For a second sheet of Excel.

    Returns
    -------
    pathlib.Path
        The same path.

    Raises
    ------
    ParameterError
        If the ending is another one, or a sheet of Excel cannot hold the frame.
    MissingPackageError
        If ``.xlsx`` is asked for and xlsxwriter is not installed.
    """
    if path.suffix not in WRITERS:
        raise ParameterError.choice("the ending of the file name", path.suffix, WRITERS)
    with replacing(path) as temporary:
        if path.suffix == ".parquet":
            frame.write_parquet(temporary)
        elif path.suffix == ".ndjson":
            frame.write_ndjson(temporary)
        elif path.suffix == ".xlsx":
            from journeykit.support.spreadsheets import write_excel

            write_excel(joined_lists(frame), temporary, notes)
        else:
            from journeykit.support.escaping import as_cells

            plain = joined_lists(frame)
            (as_cells(plain) if spreadsheet_safe else plain).write_csv(temporary)
    return path


def joined_lists(frame: pl.DataFrame) -> pl.DataFrame:
    """Join lists to one text each, by `` > ``."""
    lists = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.List)]
    return frame.with_columns(pl.col(lists).cast(pl.List(pl.String)).list.join(" > "))
