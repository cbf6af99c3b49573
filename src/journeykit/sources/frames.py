"""Frames in memory: polars, pandas, Arrow, and whatever streams Arrow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from journeykit.sources.prepared import PreparedLog


def is_dataset(source: object) -> bool:
    """Whether an object is a pyarrow dataset, without importing pyarrow."""
    kinds = ((base.__module__, base.__name__) for base in type(source).__mro__)
    return ("pyarrow._dataset", "Dataset") in kinds


def is_spark(source: object) -> bool:
    """Whether an object is a DataFrame of Spark, without importing pyspark."""
    kind = type(source)
    return kind.__module__.startswith("pyspark.sql.") and kind.__name__ == "DataFrame"


def scan(source: Any) -> pl.LazyFrame | None:
    """Plan to read a frame; None if this is none.

    A stream may give its rows only once, so an object that is not known to be a table is read now.
    """
    if isinstance(source, PreparedLog):
        return source.plan
    if isinstance(source, pl.LazyFrame):
        return _plain(source)
    if isinstance(source, pl.DataFrame):
        return _plain(source.lazy())
    if is_spark(source):
        return _plain(pl.DataFrame(source.toArrow()).lazy())
    if is_dataset(source):
        return _plain(pl.scan_pyarrow_dataset(source))
    if hasattr(source, "__arrow_c_stream__") or type(source).__module__.startswith("pandas"):
        return _plain(pl.DataFrame(source).lazy())
    if isinstance(source, Mapping) or _is_records(source):
        return _plain(pl.DataFrame(source).lazy())
    return None


def _is_records(source: object) -> bool:
    return isinstance(source, list) and bool(source) and isinstance(source[0], dict)


def _plain(plan: pl.LazyFrame) -> pl.LazyFrame:
    """Replace columns of Arrow extension types by what they are stored as."""
    schema = plan.collect_schema()
    extended = [name for name, dtype in schema.items() if isinstance(dtype, pl.BaseExtension)]
    return plan.with_columns(pl.col(extended).ext.storage()) if extended else plan
