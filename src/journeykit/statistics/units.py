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
    from journeykit.kernels.counting import add_units

    table = np.zeros((int(cells.max(initial=0)) + 1, 3), np.int64)
    add_units(paths.user_paths, cells, counted, table)
    present = np.flatnonzero(table[:, 0])
    return pl.DataFrame(
        {CELL: present.astype(np.int32), "paths": table[present, 0], "users": table[present, 1]}
    )
