"""Parquet files."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from journeykit.errors import UnreadableFileError
from journeykit.sources.paths import is_remote
from journeykit.support.files import READ_ERRORS, first_line


def scan(names: Sequence[str]) -> pl.LazyFrame:
    """Plan to read Parquet files with equal columns; folders such as ``day=1`` become columns."""
    hive = any("=" in part for name in names for part in name.split("/")[:-1])
    # Names on this machine are already expanded: a bracket in them is only a bracket.
    pattern = any(is_remote(name) for name in names)
    return pl.scan_parquet(list(names), glob=pattern, hive_partitioning=hive)


def count_rows(names: Sequence[str]) -> int:
    """Return how many rows there are, from the ends of the files."""
    return int(scan(names).select(pl.len()).collect().item())


def diagnose(names: Sequence[str], columns: Sequence[str] | None) -> UnreadableFileError | None:
    """Find the first file that cannot be read, or whose columns differ from those of the first."""
    schema: pl.Schema | None = None
    for name in names:
        try:
            plan = pl.scan_parquet(name, glob=False)
            found = plan.collect_schema()
            wanted = [column for column in columns or found.names() if column in found]
            # A pass over the data alone: a count would be answered from the footer.
            plan.select(pl.col(wanted).null_count()).collect()
        except READ_ERRORS as error:
            advice = "Check that it was written to its end, or write it again."
            return UnreadableFileError(name, "parquet", first_line(error), advice)
        schema = schema or found
        differing = [column for column in wanted if schema.get(column) != found[column]]
        if differing:
            column = differing[0]
            reason = f"its column {column!r} is {found[column]}, in {names[0]!r} it is {schema.get(column)}"
            return UnreadableFileError(name, "parquet", reason, "Cast the columns of all files to one type.")
    return None
