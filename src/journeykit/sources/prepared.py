"""A log that a reader of an export has made ready: a plan, the files behind it, and what was met on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl


@dataclass(frozen=True, eq=False)
class PreparedLog:
    """A plan for the columns of a log, with what a plain frame cannot say.

    Attributes
    ----------
    title : str
        What it is, for its repr, such as ``"GA4 export 'events.parquet'"``.
    plan : polars.LazyFrame
        The columns; one named as `journeykit.sources.canonical.LEFT_OUT` says which rows are left out, and why.
    files : tuple of str
        The files that the plan reads, to name the broken one; none if it reads a frame.
    format : str, optional
        Their format, one of `journeykit.sources.paths.FORMATS`.
    notes : tuple of str
        What a reader should know of these files, such as a column that only some of them have.
    keeping : object
        What has to live as long as the plan, such as the folder of an archive's files.
    """

    title: str
    plan: pl.LazyFrame
    files: tuple[str, ...] = ()
    format: str | None = None
    notes: tuple[str, ...] = ()
    keeping: Any = None

    def __repr__(self) -> str:
        return " ".join([self.title, *(f"({note})" for note in self.notes)])
