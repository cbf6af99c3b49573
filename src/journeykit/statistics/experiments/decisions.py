"""Deciding between arms: the best one, what a wrong choice costs, and looking before the end. DEFINITIONS D13."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
POINTS = 4001
REACH = 8.0


def best_arm(means: npt.ArrayLike, errors: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return for every arm the chance that it is the best, and what choosing it would lose on average.

    Parameters
    ----------
    means, errors : array_like
        Of the arms, larger is better; NaN for an arm that is not known.

    Returns
    -------
    tuple of numpy.ndarray
        P(the arm's true mean is the largest), and the mean of how much the largest is above it.

    Notes
    -----
    The true means are taken as normal around those seen, independent of each other: nothing is assumed known before.
    By a fine sum over values, no random draws; arms without variance are known exactly.

    Examples
    --------
    >>> chance, loss = best_arm([0.10, 0.12], [0.01, 0.01])
    >>> chance.round(4).tolist(), loss.round(5).tolist()
    ([0.0786, 0.9214], [0.0205, 0.0005])
    """
    from scipy.special import ndtr

    mean, error = np.asarray(means, np.float64), np.asarray(errors, np.float64)
    if np.isnan(mean + error).any():
        return np.full(mean.size, np.nan), np.full(mean.size, np.nan)
    widest = error.max(initial=0.0) or 1.0
    error = np.maximum(error, widest * 1e-6)
    low, high = (mean - REACH * error).min(), (mean + REACH * error).max()
    edges = np.unique(np.concatenate([np.linspace(low, high, POINTS), *_finely(mean, error)]))
    below = ndtr((edges[:, None] - mean) / error)
    middle = (edges[1:] + edges[:-1]) / 2
    inside = np.diff(below, axis=0)
    at_most = ndtr((middle[:, None] - mean) / error)
    chance = np.array([
        (inside[:, k] * np.delete(at_most, k, axis=1).prod(axis=1)).sum() for k in range(mean.size)
    ])  # fmt: skip
    highest = edges[-1] - (at_most.prod(axis=1) * np.diff(edges)).sum()
    return chance / chance.sum(), np.maximum(highest - mean, 0.0)


def _finely(mean: Floats, error: Floats) -> list[Floats]:
    """Return values around each arm as fine as its own error."""
    return [m + e * np.linspace(-REACH, REACH, 801) for m, e in zip(mean, error, strict=True)]


def always_valid(
    difference: Floats, error: Floats, users: npt.ArrayLike, planned: int, level: float
) -> tuple[Floats, Floats, Floats]:
    """Return an interval and a p-value that hold at every look, however often one looks.

    Parameters
    ----------
    difference, error : numpy.ndarray
        Differences and their standard errors now.
    users : array_like
        Users in both arms now.
    planned : int
        The number of users for which the interval is as narrow as it can be.
    level : float
        Of the interval.

    Returns
    -------
    tuple of numpy.ndarray
        Low, high, p-value; NaN without a standard error.

    Notes
    -----
    With ``r = n rho^2`` and ``z = difference / error``: the interval is the difference -+ error times
    ``sqrt((1 + r) / r (ln(1 + r) - 2 ln(alpha)))``, the p-value
    ``min(1, sqrt(1 + r) exp(-z^2 r / (2 (1 + r))))``, and ``rho^2 = (ln(1 - 2 ln(alpha)) - 2 ln(alpha)) / planned``.

    References
    ----------
    Johari, Koomen, Pekelis & Walsh 2022, Oper. Res. 70(3); Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas 2024, Ann.
    Stat. 52(6).

    Examples
    --------
    >>> low, high, p = always_valid(np.array([0.02]), np.array([0.005]), [1000], 1000, 0.95)
    >>> low.round(4).tolist(), high.round(4).tolist(), p.round(4).tolist()
    ([0.0048], [0.0352], [0.0025])
    """
    alpha = 1 - level
    r = np.asarray(users, np.float64) * (np.log(1 - 2 * np.log(alpha)) - 2 * np.log(alpha)) / planned
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = error * np.sqrt((1 + r) / r * (np.log(1 + r) - 2 * np.log(alpha)))
        z = np.where(error > 0, difference / error, np.nan)
        p = np.minimum(1.0, np.sqrt(1 + r) * np.exp(-(z**2) * r / (2 * (1 + r))))
    return difference - reach, difference + reach, p
