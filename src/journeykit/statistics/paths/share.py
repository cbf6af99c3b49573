"""The share of paths that have something, with its interval. DEFINITIONS D12.2, D12.3."""

from __future__ import annotations

import polars as pl

from journeykit.protocol import CELL, Context, Tables
from journeykit.statistics.base import Grouped, groups_per_cell, place_of, with_rate


def with_path_share(
    part: Grouped, whole: Grouped, tables: Tables, context: Context, *, total: str = "paths_total", once: bool
) -> pl.DataFrame:
    """Return the totals of a table with the share of paths that each row has.

    Parameters
    ----------
    part, whole : Grouped
        Each with a column ``paths``; the keys of `whole`, if it has any, are keys of `part`.
    tables : mapping of str to polars.DataFrame
        All tables of the answer, for the jackknife's groups.
    context : Context
        Gives the level.
    total : str
        The name for the paths of the whole.
    once : bool
        Whether the paths are users, so that Wilson's interval holds.

    Returns
    -------
    polars.DataFrame
        Four more columns: `total`, ``share``, ``low``, ``high``.
    """
    rows = place_of(part.totals, whole.totals, [CELL, *whole.keys])
    behind = whole.totals[rows]
    return with_rate(
        part.totals.with_columns(behind["paths"].alias(total)),
        "share",
        part.sums("paths"),
        whole.sums("paths"),
        rows,
        groups_per_cell(tables),
        behind["users"],
        context,
        bounds=("low", "high"),
        once=once,
    )
