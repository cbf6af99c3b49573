"""CSV and TSV files, also compressed."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

import polars as pl

from journeykit.errors import BrokenRowError, EmptyInputError, UnreadableFileError
from journeykit.sources.paths import is_remote
from journeykit.sources.texts import first_undecodable, open_text
from journeykit.support.files import READ_ERRORS, first_line

SEPARATORS = {"csv": ",", "tsv": "\t"}
INFERRED_FROM = 10_000
"""Rows from which the types of columns are inferred."""
NO_SEPARATOR = "\x1f"
"""Stands in no line, as good as ever."""
_MISFIT = re.compile(
    r"could not parse `(?P<value>.*?)` as dtype `(?P<dtype>\w+)` at column '(?P<column>.*?)'", re.DOTALL
)
TO_UTF_8 = "Convert the file to UTF-8, for example with iconv."
REPLACED = "\ufffd"
"""What stands for bytes that are not UTF-8."""
QUOTES = "Correct the line, or read the file with polars.scan_csv and its options and pass that."


def scan(names: Sequence[str], kind: str, text: Sequence[str]) -> pl.LazyFrame:
    """Plan to read CSV files with equal headers.

    Parameters
    ----------
    names : sequence of str
        Files.
    kind : {"csv", "tsv"}
        Commas or tabs.
    text : sequence of str
        Columns to be read as text whatever they look like: ids keep their leading zeros.

    Returns
    -------
    polars.LazyFrame
        Types are inferred from the first 10,000 rows. An empty field is null, ``""`` is the empty text. Rows of
        other lengths than the header are for `refuse_ragged`: where only some columns are read nobody notices.
    """
    for name in names:
        _refuse_empty(name, kind)
    pattern = any(is_remote(name) for name in names)
    options = {"separator": SEPARATORS[kind], "glob": pattern, "infer_schema_length": INFERRED_FROM}
    plan = pl.scan_csv(list(names), **options)  # type: ignore[arg-type]
    if not text:
        return plan
    overrides = {column: pl.String for column in text if column in plan.collect_schema()}
    return pl.scan_csv(list(names), schema_overrides=overrides, **options)  # type: ignore[arg-type]


def _refuse_empty(name: str, kind: str) -> None:
    if is_remote(name):
        return
    with open_text(name) as lines:
        first = lines.read(1)
    if not first:
        raise EmptyInputError.source(f"the file {name!r}")
    if first == REPLACED:
        raise BrokenRowError(name, kind, 1, "is not UTF-8", TO_UTF_8)


def other_separator(columns: Sequence[str]) -> str:
    """Say what a file without commas seems to be separated by, with a blank before it; nothing if it has columns.

    Examples
    --------
    >>> other_separator(["user;time;event"])
    " Its fields seem to be separated by ';': write it with commas, or pass polars.scan_csv(..., separator=';')."
    """
    found = [each for each in (";", "\t", "|", ",") if len(columns) == 1 and each in columns[0]]
    return (
        f" Its fields seem to be separated by {found[0]!r}: write it with commas, or pass "
        f"polars.scan_csv(..., separator={found[0]!r})." if found else ""
    )  # fmt: skip


def refuse_ragged(names: Sequence[str], kind: str) -> None:
    """Refuse files with a row that has more fields than the header, or fewer; an empty line is no row.

    Raises
    ------
    BrokenRowError
        With the first of them. Remote files are not looked at.

    Notes
    -----
    A pass over the lines, O(n); only where quotes hold line ends or a row looks broken, a slow one in Python.
    """
    for name in names:
        if not is_remote(name) and _may_be_ragged(name, kind):
            found = _broken_row(name, kind)
            if found is not None:
                raise found


def _may_be_ragged(name: str, kind: str) -> bool:
    """Count the separators of every line outside of quotes."""
    separator = SEPARATORS[kind]
    width = len(_header(name, kind))
    plan = pl.scan_csv(
        name, separator=NO_SEPARATOR, quote_char=None, has_header=False, skip_rows=1, schema={"line": pl.String},
        glob=False,
    )  # fmt: skip
    bare = pl.col("line").str.replace_all(r'"[^"]*"', "")
    try:
        return bool(
            plan.select((bare.str.count_matches(separator, literal=True) != width - 1).any()).collect().item()
        )
    except pl.exceptions.NoDataError:
        return False
    except READ_ERRORS:
        return True


def diagnose(names: Sequence[str], kind: str, reason: str) -> UnreadableFileError | None:
    """Find the first line that cannot be read, by a slow pass in Python."""
    misfit = _MISFIT.search(reason)
    for name in names:
        found = _other_header(name, names[0], kind)
        if found:
            return found
        undecodable = first_undecodable(name)
        if undecodable is not None:
            return BrokenRowError(name, kind, undecodable, "is not UTF-8", TO_UTF_8)
        try:
            row = _broken_row(name, kind) or (misfit and _misfit_row(name, kind, misfit))
        except csv.Error as error:
            return UnreadableFileError(name, kind, str(error), QUOTES)
        found = row or _refused(name, kind)
        if found:
            return found
    return None


def _other_header(name: str, first: str, kind: str) -> UnreadableFileError | None:
    """Say where the header of a file differs from that of the first."""
    own, other = _header(name, kind), _header(first, kind)
    if own == other:
        return None
    at = next(
        (i for i, pair in enumerate(zip(own, other, strict=False)) if pair[0] != pair[1]),
        min(len(own), len(other)),
    )
    said = [repr(each[at]) if at < len(each) else "missing" for each in (own, other)]
    reason = f"its column {at + 1} is {said[0]}, in {first!r} it is {said[1]}"
    return UnreadableFileError(name, kind, reason, "Give all files the same columns, or read them apart.")


def _header(name: str, kind: str) -> list[str]:
    with open_text(name) as lines:
        return next(csv.reader(lines, delimiter=SEPARATORS[kind]), [])


def _refused(name: str, kind: str) -> UnreadableFileError | None:
    """Say what polars has against a file in which no row is to blame."""
    try:
        pl.scan_csv(name, separator=SEPARATORS[kind], glob=False).select(pl.all().null_count()).collect()
    except READ_ERRORS as error:
        return UnreadableFileError(name, kind, first_line(error), QUOTES)
    return None


def _broken_row(name: str, kind: str) -> BrokenRowError | None:
    """Find a row with more or fewer fields than the header, or a quote that never ends."""
    with open_text(name) as lines:
        rows = csv.reader(lines, delimiter=SEPARATORS[kind], strict=True)
        width, line = len(next(rows, [])), 2
        try:
            for row in rows:
                if row and len(row) != width:
                    number = f"{len(row)} fields" if len(row) != 1 else "1 field"
                    reason = f"has {number}, the header has {width}"
                    return BrokenRowError(name, kind, line, reason, QUOTES)
                line = rows.line_num + 1
        except csv.Error:
            return BrokenRowError(name, kind, line, "has a quote that is not closed as it should be", QUOTES)
    return None


def _misfit_row(name: str, kind: str, misfit: re.Match[str]) -> BrokenRowError | None:
    """Find the row with a value that does not fit the type inferred from the first rows."""
    value, column = misfit["value"].strip('"'), misfit["column"]
    with open_text(name) as lines:
        rows = csv.reader(lines, delimiter=SEPARATORS[kind])
        header = next(rows, [])
        place = header.index(column) if column in header else len(header)
        for row in rows:
            if len(row) > place and row[place] == value:
                reason = f"has {value!r} in column {column!r}, which is {misfit['dtype']} in the first rows"
                advice = f"Pass polars.scan_csv(..., schema_overrides={{{column!r}: polars.String}}) instead."
                return BrokenRowError(name, kind, rows.line_num, reason, advice)
    return None
