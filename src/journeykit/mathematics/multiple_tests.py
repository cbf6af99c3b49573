"""Many tests at once: p-values that hold for all of them together. DEFINITIONS D13.4."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from journeykit.errors import ParameterError

Floats = npt.NDArray[np.float64]


def holm(p_values: npt.ArrayLike) -> Floats:
    """Adjust p-values so that the chance of any false discovery is bounded. D13.4.

    Parameters
    ----------
    p_values : array_like
        One per test, from 0 to 1; NaN where nothing was tested.

    Returns
    -------
    numpy.ndarray of float64
        In the order given; NaN where nothing was tested, which counts as no test.

    Raises
    ------
    ParameterError
        If a value is not a probability.

    Notes
    -----
    With the m p-values in ascending order, the i-th becomes ``max over j <= i of min(1, (m - j + 1) p_j)``. For at
    most ten comparisons planned beforehand. O(m log m).

    References
    ----------
    Holm 1979, Scand. J. Stat. 6.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    p, tested, order = _ranked(p_values)
    m = order.size
    raised = np.minimum(1.0, (m - np.arange(m)) * p[order])
    return _unranked(np.maximum.accumulate(raised), tested, order)


def benjamini_hochberg(p_values: npt.ArrayLike) -> Floats:
    """Adjust p-values so that the expected share of false discoveries is bounded. D13.4.

    Parameters
    ----------
    p_values : array_like
        One per test, from 0 to 1; NaN where nothing was tested.

    Returns
    -------
    numpy.ndarray of float64
        In the order given; NaN where nothing was tested, which counts as no test.

    Raises
    ------
    ParameterError
        If a value is not a probability.

    Notes
    -----
    With the m p-values in ascending order, the i-th becomes ``min over j >= i of min(1, m p_j / j)``. For edges, paths
    and features, of which many are tested at once. O(m log m).

    References
    ----------
    Benjamini & Hochberg 1995, JRSS B 57.

    Examples
    --------
    >>> benjamini_hochberg([0.01, 0.04, 0.02, np.nan]).round(6).tolist()
    [0.03, 0.04, 0.03, nan]
    """
    p, tested, order = _ranked(p_values)
    m = order.size
    raised = np.minimum(1.0, m * p[order] / np.arange(1, m + 1))
    return _unranked(np.minimum.accumulate(raised[::-1])[::-1], tested, order)


def _ranked(p_values: npt.ArrayLike) -> tuple[Floats, npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Return the values that were tested, where they stand, and their ascending order."""
    p = np.asarray(p_values, np.float64).reshape(-1)
    tested = ~np.isnan(p)
    wrong = p[tested][(p[tested] < 0) | (p[tested] > 1)]
    if wrong.size:
        raise ParameterError(f"p_values must be from 0 to 1, or NaN for no test; {wrong[0]:g} is not.")
    return p[tested], tested, np.argsort(p[tested], kind="stable")


def _unranked(adjusted: Floats, tested: npt.NDArray[np.bool_], order: npt.NDArray[np.int64]) -> Floats:
    """Put adjusted values back where their tests stood."""
    found = np.full(tested.size, np.nan)
    found[np.flatnonzero(tested)[order]] = adjusted
    return found
