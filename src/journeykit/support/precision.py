"""Times that are known to the day only: how they are marked, so that no time between events is made up. D1.2."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

PRECISION = "precision"
EXACT, DAY = "exact", "day"
PRECISIONS = pl.Enum([EXACT, DAY])


def known_to_the_day(columns: Any) -> npt.NDArray[np.bool_] | None:
    """Mark the rows whose time is known to the day only.

    Parameters
    ----------
    columns : DataFrame, or anything with columns by name
        The properties of a log.

    Returns
    -------
    numpy.ndarray of bool or None
        None if there is no column ``precision`` of the type that `combine` gives it.

    Examples
    --------
    >>> known_to_the_day(pl.DataFrame({"precision": pl.Series(["exact", "day"], dtype=PRECISIONS)})).tolist()
    [False, True]
    >>> known_to_the_day(pl.DataFrame({"precision": ["day"]})) is None
    True
    """
    if PRECISION not in columns.columns:
        return None
    found: pl.Series = columns[PRECISION]
    if found.dtype != PRECISIONS:
        return None
    return (found == DAY).fill_null(value=False).to_numpy()


def day_events(columns: Any) -> int:
    """Count the rows whose time is known to the day only; see `known_to_the_day`."""
    marks = known_to_the_day(columns)
    return 0 if marks is None else int(marks.sum())
