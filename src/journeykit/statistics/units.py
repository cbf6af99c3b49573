"""Counting the units of a statistic: what shares and intervals are of."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.paths import Paths
from journeykit.protocol import CELL


def count_units(paths: Paths, cells: npt.NDArray[np.int32], counted: npt.NDArray[np.bool_]) -> pl.DataFrame:
    """Count the paths of one shard, and their distinct users, per cell.

    Parameters
    ----------
    paths : Paths
        Of the shard.
    cells : numpy.ndarray of int32
        The cell of every path of all shards; empty for one cell.
    counted : numpy.ndarray of bool
        Which paths of this shard count, such as those that are not empty.

    Returns
    -------
    polars.DataFrame
        ``cell``, ``paths``, ``users``.
    """
    kept = np.flatnonzero(counted)
    if cells.size == 0:
        before = np.concatenate([[0], np.cumsum(counted)])
        per_user = np.diff(before[paths.user_paths - paths.first])
        return _frame([0], [kept.size], [int((per_user > 0).sum())])
    user = np.repeat(np.arange(paths.n_users), np.diff(paths.user_paths))
    units = pl.DataFrame({CELL: cells[paths.each][kept], "user": user[kept]})
    counts = units.group_by(CELL).agg(pl.len().alias("paths"), pl.col("user").n_unique().alias("users"))
    return counts.select(CELL, pl.col("paths", "users").cast(pl.Int64))


def _frame(cell: Any, paths: Any, users: Any) -> pl.DataFrame:
    columns = {CELL: (cell, pl.Int32), "paths": (paths, pl.Int64), "users": (users, pl.Int64)}
    return pl.DataFrame([pl.Series(name, values, dtype=dtype) for name, (values, dtype) in columns.items()])
