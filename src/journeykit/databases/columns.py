"""Columns that databases do not have as polars has them."""

from __future__ import annotations

import polars as pl


def becomes_text(dtype: pl.DataType) -> bool:
    """Tell whether a type is written as text: names from a list, and columns of nothing but nulls.

    Examples
    --------
    >>> becomes_text(pl.Enum(["view"])), becomes_text(pl.Int64())
    (True, False)
    """
    return isinstance(dtype, pl.Enum | pl.Categorical | pl.Null)


def with_texts(frame: pl.DataFrame) -> pl.DataFrame:
    """Make texts of the columns that are written as such."""
    texts = [name for name, dtype in frame.schema.items() if becomes_text(dtype)]
    return frame.with_columns(pl.col(texts).cast(pl.String))
