"""Slices of arrays, one after another."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]


def offsets(sizes: npt.NDArray[Any]) -> Int64s:
    """Return where things of these sizes start, and where the last ends.

    Examples
    --------
    >>> offsets(np.array([2, 0, 3])).tolist()
    [0, 2, 2, 5]
    """
    return np.concatenate([np.zeros(1, np.int64), sizes.cumsum(dtype=np.int64)])


def inverse(places: Int64s) -> Int64s:
    """Return where each place is named, of a list that names each of them once.

    Examples
    --------
    >>> inverse(np.array([2, 0, 1])).tolist()
    [1, 2, 0]
    """
    found = np.empty_like(places)
    found[places] = np.arange(places.size)
    return found


def places_of(starts: Int64s, lengths: Int64s) -> Int64s:
    """List the places of slices, slice after slice.

    Parameters
    ----------
    starts, lengths : numpy.ndarray of int64
        Where each slice begins, and how long it is.

    Returns
    -------
    numpy.ndarray of int64
        As many as all lengths together.

    Examples
    --------
    >>> places_of(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    ends: Int64s = lengths.cumsum(dtype=np.int64)
    shifts: Int64s = starts - (ends - lengths)
    n = int(ends[-1]) if ends.size else 0
    places: Int64s = np.repeat(shifts, lengths) + np.arange(n)
    return places
