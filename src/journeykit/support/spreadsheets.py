"""Workbooks of Excel. A cell is data, never a formula."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from journeykit.errors import MissingPackageError, ParameterError

MOST_ROWS, MOST_COLUMNS, LONGEST_TEXT = 1_048_576, 16_384, 32_767
"""What a sheet of Excel holds, its header included."""
OPTIONS = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}


def write_excel(frame: pl.DataFrame, path: Path, notes: Sequence[str] = ()) -> None:
    """Write a frame, without lists, to a workbook: the sheet ``answer``, and ``notes`` if there are any.

    Parameters
    ----------
    frame : polars.DataFrame
        Texts stay texts, whatever they look like. Excel has no time zones: times lose theirs.
    path : pathlib.Path
        The file to write.
    notes : sequence of str
        One row each.

    Raises
    ------
    MissingPackageError
        If xlsxwriter is not installed.
    ParameterError
        If a sheet cannot hold it.
    """
    try:
        import xlsxwriter
    except ImportError as error:
        raise MissingPackageError("an .xlsx file", "xlsxwriter", "excel") from error
    _check_size(frame)
    with xlsxwriter.Workbook(str(path), OPTIONS) as workbook:
        sheet = workbook.add_worksheet("answer")
        formats = {
            pl.Datetime: workbook.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
            pl.Date: workbook.add_format({"num_format": "yyyy-mm-dd"}),
        }
        bold = workbook.add_format({"bold": True})
        sheet.freeze_panes(1, 0)
        for number, column in enumerate(_plain(frame).iter_columns()):
            sheet.write_string(0, number, column.name, bold)
            if column.dtype == pl.String:
                _write_texts(sheet, 1, number, column.to_list())
            else:
                sheet.write_column(1, number, column.to_list(), formats.get(column.dtype.base_type()))
        if notes:
            _write_texts(workbook.add_worksheet("notes"), 0, 0, notes)


def _write_texts(sheet: Any, first: int, column: int, texts: Sequence[str | None]) -> None:
    """Write texts as texts, whatever they begin with."""
    for row, text in enumerate(texts, first):
        if text is not None:
            sheet.write_string(row, column, text)


def _plain(frame: pl.DataFrame) -> pl.DataFrame:
    """Bring a frame to what cells hold: numbers, texts, booleans, dates and times without zone."""
    zoned = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.Datetime)]
    floats = [name for name, dtype in frame.schema.items() if dtype.is_float()]
    return frame.with_columns(
        pl.col(zoned).dt.replace_time_zone(None),
        pl.when(pl.col(floats).is_finite()).then(pl.col(floats)),
    )


def _check_size(frame: pl.DataFrame) -> None:
    if frame.height >= MOST_ROWS or frame.width > MOST_COLUMNS:
        raise ParameterError(
            f"a sheet of Excel holds {MOST_ROWS - 1:,} rows of {MOST_COLUMNS:,} columns, and this are "
            f"{frame.height:,} of {frame.width:,}. Write .parquet or .csv."
        )
    texts = [name for name, dtype in frame.schema.items() if dtype == pl.String]
    for name in texts:
        longest = frame[name].str.len_chars().max()
        if isinstance(longest, int) and longest > LONGEST_TEXT:
            raise ParameterError(
                f"a cell of Excel holds {LONGEST_TEXT:,} characters, and a text in {name!r} has {longest:,}. "
                f"Write .parquet or .csv."
            )
