"""Counting the units of a statistic: what shares and intervals are of."""

from __future__ import annotations

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
        The cell of every path.
    counted : numpy.ndarray of bool
        Which paths count, such as those that are not empty.

    Returns
    -------
    polars.DataFrame
        ``cell``, ``paths``, ``users``.
    """
    kept = np.flatnonzero(counted)
    cells = cells[kept].astype(np.int64)
    user = np.repeat(np.arange(paths.n_users), np.diff(paths.user_paths))[kept]
    new = np.ones(kept.size, np.bool_)
    new[1:] = (cells[1:] != cells[:-1]) | (user[1:] != user[:-1])
    pairs = cells[new] * paths.n_users + user[new]
    if not (np.diff(user[new]) > 0).all():
        pairs = np.unique(pairs)
    totals = np.bincount(cells)
    present = np.flatnonzero(totals)
    users = np.bincount(pairs // max(paths.n_users, 1), minlength=totals.size)[present]
    return pl.DataFrame({CELL: present.astype(np.int32), "paths": totals[present], "users": users})
