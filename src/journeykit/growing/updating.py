"""Tallies after some users changed: what these users added is taken away, what they add now is added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from journeykit.protocol import CELL, GROUP, Tables, sum_rows

BEFORE, AFTER = "_before", "_after"


def updated(
    tables: Tables, before: Tables, after: Tables, keys: Mapping[str, Sequence[str]]
) -> Tables | None:
    """Return the tallies of users some of whom have changed.

    Parameters
    ----------
    tables : mapping of str to polars.DataFrame
        Tallies of all users, as they were, by cell and group.
    before, after : mapping of str to polars.DataFrame
        Tallies of the users that changed, as they were and as they are.
    keys : mapping of str to sequence of str
        The key columns of each table.

    Returns
    -------
    mapping of str to polars.DataFrame, or None
        None if they cannot be told exactly: a table holds other numbers than whole ones, or an extreme may
        have been that of a user who changed.

    Notes
    -----
    A row that had counts and has none now is left out, unless `after` holds it too. O(rows of all tables), and one
    pass over `tables`.
    """
    found = {}
    for name, columns in keys.items():
        on = [CELL, GROUP, *columns]
        try:
            table = _updated(tables[name], before[name], after[name], on)
        except pl.exceptions.PolarsError:
            return None
        if table is None:
            return None
        found[name] = table
    return found


def _updated(
    table: pl.DataFrame, before: pl.DataFrame, after: pl.DataFrame, on: list[str]
) -> pl.DataFrame | None:
    values = [name for name in table.columns if name not in on]
    sums = [name for name in values if not name.endswith(("_min", "_max"))]
    if not sums or not all(table.schema[name].is_integer() for name in values):
        return None
    table, before, after = (sum_rows(each, on).select(table.columns) for each in (table, before, after))
    changed = _side_by_side(before, after, on, values)
    rows = table.with_row_index("__row").join(changed, on=on, how="inner", nulls_equal=True)
    new = changed.join(table, on=on, how="anti", nulls_equal=True)
    if new.filter(pl.any_horizontal(pl.col(name + BEFORE) > 0 for name in sums)).height:
        return None
    rows = rows.with_columns(
        (pl.col(name).cast(pl.Int64) - pl.col(name + BEFORE).fill_null(0) + pl.col(name + AFTER).fill_null(0))
        .alias(name + AFTER)
        for name in sums
    )  # fmt: skip
    emptied = pl.all_horizontal(pl.col(name + AFTER) == 0 for name in sums) & pl.any_horizontal(
        pl.col(name) != 0 for name in sums
    )
    rows = rows.with_columns(gone=emptied & ~pl.col("__after"))
    extremes = [name for name in values if name not in sums]
    if not _told(rows.filter(~pl.col("gone")), sums, extremes):
        return None
    rows = rows.with_columns(
        (pl.min_horizontal if name.endswith("_min") else pl.max_horizontal)(name, name + AFTER).alias(
            name + AFTER
        )
        for name in extremes
    )
    untouched = table.with_row_index("__row").join(rows.select("__row"), on="__row", how="anti")
    dtypes = {name: table.schema[name] for name in values}
    parts = [untouched.select(table.columns)]
    for part in (rows.filter(~pl.col("gone")), new.filter(pl.col("__after"))):
        parts.append(part.select(*on, *(pl.col(name + AFTER).cast(dtypes[name]).alias(name) for name in values)))
    return pl.concat([part.select(table.columns) for part in parts])


def _side_by_side(
    before: pl.DataFrame, after: pl.DataFrame, on: list[str], values: list[str]
) -> pl.DataFrame:
    """Return one row per key of either table; sums as signed numbers."""
    numbers = [
        each.with_columns(pl.col(name).cast(pl.Int64) for name in values).rename(
            {name: name + ending for name in values}
        )
        for each, ending in ((before, BEFORE), (after.with_columns(__after=pl.lit(value=True)), AFTER))
    ]
    joined = numbers[0].join(numbers[1], on=on, how="full", coalesce=True, nulls_equal=True)
    return joined.with_columns(pl.col("__after").fill_null(value=False))


def _told(rows: pl.DataFrame, sums: list[str], extremes: list[str]) -> bool:
    """Tell whether sums of what only grows stayed so, and extremes are those of users that did not change."""
    fell = [(pl.col(name) >= 0) & (pl.col(name + BEFORE) >= 0) & (pl.col(name + AFTER) < 0) for name in sums]
    lost = []
    for name in extremes:
        was, old, new = pl.col(name), pl.col(name + BEFORE), pl.col(name + AFTER)
        beaten = new > was if name.endswith("_min") else new < was
        lost.append((old == was) & (beaten | new.is_null()))
    wrong = rows.select(pl.any_horizontal(*fell, *lost).fill_null(value=False).any()).item()
    return not wrong
