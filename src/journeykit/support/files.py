"""Writing files so that each appears whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

import polars as pl

from journeykit.errors import ParameterError
from journeykit.support.escaping import as_cells

WRITERS = (".parquet", ".csv", ".ndjson")


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


def write_frame(frame: pl.DataFrame, path: Path) -> Path:
    """Write a frame in the format that the ending names.

    Parameters
    ----------
    frame : polars.DataFrame
        What to write. Lists are written to CSV joined by `` > ``, and texts that a spreadsheet would take for a formula
        with an apostrophe before them.
    path : pathlib.Path
        Ends in ``.parquet``, ``.csv`` or ``.ndjson``.

    Returns
    -------
    pathlib.Path
        The same path.

    Raises
    ------
    ParameterError
        If the ending is another one.
    """
    if path.suffix not in WRITERS:
        raise ParameterError.choice("the ending of the file name", path.suffix, WRITERS)
    with replacing(path) as temporary:
        if path.suffix == ".parquet":
            frame.write_parquet(temporary)
        elif path.suffix == ".ndjson":
            frame.write_ndjson(temporary)
        else:
            lists = [name for name, dtype in frame.schema.items() if dtype == pl.List(pl.String)]
            as_cells(frame.with_columns(pl.col(lists).list.join(" > "))).write_csv(temporary)
    return path
