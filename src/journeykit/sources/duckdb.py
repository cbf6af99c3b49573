"""Relations of DuckDB."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl


def is_relation(source: object) -> bool:
    """Whether an object is a relation, without importing DuckDB."""
    return type(source).__name__ == "DuckDBPyRelation"


def scan(relation: Any, columns: Sequence[str] | None) -> pl.LazyFrame:
    """Read a relation, now and once; only the wanted columns leave DuckDB."""
    present = [column for column in columns or () if column in relation.columns]
    if present:
        quoted = ('"' + column.replace('"', '""') + '"' for column in present)
        relation = relation.project(", ".join(quoted))
    # polars' plan on the relation's stream would give its rows to the first run, and none to the next.
    return pl.DataFrame(relation).lazy()
