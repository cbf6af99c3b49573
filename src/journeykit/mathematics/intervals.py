"""Intervals: Wilson for proportions of users, the delete-a-group jackknife for everything else. DEFINITIONS D12."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import atan, cos, pi, sin, sqrt
from statistics import NormalDist
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from journeykit.support.slices import places_of

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.integer]
Scale = Literal["identity", "logit", "log"]

GROUPS = 64
FEWEST_GROUPS = 10
BLOCK = 16_384


class Bounds(NamedTuple):
    """The ends of intervals, NaN where there is none."""

    low: Floats
    high: Floats


def wilson(successes: npt.ArrayLike, trials: npt.ArrayLike, level: float = 0.95) -> Bounds:
    """Return Wilson intervals of proportions of users, each counted once. D12.2.

    Parameters
    ----------
    successes, trials : array_like
        Counts; NaN where there are no trials.
    level : float, default 0.95
        Between 0 and 1.

    Returns
    -------
    Bounds
        Of the proportions.

    References
    ----------
    Wilson 1927, JASA 22.

    Examples
    --------
    >>> bounds = wilson([8], [10])
    >>> bounds.low.round(4).tolist(), bounds.high.round(4).tolist()
    ([0.4902], [0.9433])
    """
    x, n = np.asarray(successes, np.float64), np.asarray(trials, np.float64)
    z = NormalDist().inv_cdf((1 + level) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.where(n > 0, x / n, np.nan)
        centre = p + z * z / (2 * n)
        reach = z * np.sqrt(np.maximum(p * (1 - p), 0) / n + z * z / (4 * n * n))
        low, high = (centre - reach) / (1 + z * z / n), (centre + reach) / (1 + z * z / n)
    return Bounds(np.where(x <= 0, np.minimum(low, 0.0), low).clip(0, 1), high.clip(0, 1))


@lru_cache(maxsize=256)
def t_quantile(level: float, degrees: int) -> float:
    """Return the two-sided quantile of Student's t at a level, for whole degrees of freedom.

    By bisection of the distribution's finite sum, to the last bit. SciPy has it too, and takes a fifth of a second to
    import, which is more than most answers take.

    Examples
    --------
    >>> round(t_quantile(0.95, 63), 6)
    1.998341
    """
    low, high = 0.0, 1.0
    while t_within(high, degrees) < level:
        low, high = high, 2 * high
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if t_within(middle, degrees) < level else (low, middle)
    return high


def t_within(t: float, degrees: int) -> float:
    """Return P(-t < T < t) for Student's t with whole degrees of freedom.

    References
    ----------
    Abramowitz & Stegun 1964, 26.7.3 and 26.7.4.
    """
    angle = atan(t / sqrt(degrees))
    odd = degrees % 2
    term = cos(angle) if odd else 1.0
    total = 0.0
    for i in range(1 + odd, degrees, 2):
        total += term
        term *= cos(angle) ** 2 * i / (i + 1)
    total *= sin(angle)
    return 2 / pi * (angle + total) if odd else total


class GroupSums(NamedTuple):
    """Sums per row and jackknife group, kept sparse.

    Attributes
    ----------
    total : numpy.ndarray of float64, rows
        Over all groups.
    row, group, value : numpy.ndarray
        One entry per row and group that has a part of it, sorted by row.
    """

    total: Floats
    row: Ints
    group: Ints
    value: Floats

    @classmethod
    def of(cls, rows: int, row: Ints, group: Ints, value: npt.ArrayLike) -> GroupSums:
        """Sort entries by row and add them up."""
        value = np.asarray(value, np.float64)
        order = np.argsort(row, kind="stable")
        total = np.bincount(row, weights=value, minlength=rows).astype(np.float64)
        return cls(total, np.asarray(row)[order], np.asarray(group)[order], value[order])

    def take(self, rows: Ints) -> Callable[[int, int], tuple[Floats, Floats]]:
        """Return a function that gives totals and (rows, groups) parts for a slice of `rows`."""

        def block(first: int, last: int) -> tuple[Floats, Floats]:
            wanted = rows[first:last]
            distinct, place = np.unique(wanted, return_inverse=True)
            starts = np.searchsorted(self.row, distinct)
            lengths = np.searchsorted(self.row, distinct, side="right") - starts
            entries = places_of(starts, lengths)
            cells = np.repeat(np.arange(distinct.size), lengths) * GROUPS + self.group[entries]
            parts = np.bincount(cells, self.value[entries], distinct.size * GROUPS).astype(np.float64)
            return self.total[wanted], parts.reshape(-1, GROUPS)[place]

        return block


def ratio_bounds(
    numerator: GroupSums,
    denominator: GroupSums,
    denominator_rows: Ints,
    groups: Ints,
    users: npt.ArrayLike,
    *,
    scale: Scale = "logit",
    level: float = 0.95,
) -> Bounds:
    """Return jackknife intervals of ratios of sums. D12.3.

    Parameters
    ----------
    numerator : GroupSums
        One row per ratio.
    denominator : GroupSums
        What the ratios divide by.
    denominator_rows : numpy.ndarray of int
        Per ratio, the row of its denominator.
    groups : numpy.ndarray of int
        Per ratio, how many jackknife groups have users.
    users : array_like
        Per ratio, the distinct users in the denominator, for the interval of rates of exactly 0 or 1.
    scale : {"logit", "log", "identity"}
        Logit for probabilities, log for positive ratios and times, identity for means and differences.
    level : float, default 0.95
        Between 0 and 1.

    Returns
    -------
    Bounds
        NaN where the ratio is undefined, has fewer than 10 groups, or more than a quarter of its
        replicates is undefined.

    Notes
    -----
    O(rows x 64) time, in blocks of bounded memory.
    """
    rows = numerator.total.size
    low, high = np.full(rows, np.nan), np.full(rows, np.nan)
    top, bottom = numerator.take(np.arange(rows)), denominator.take(denominator_rows)
    users = np.asarray(users, np.float64)
    for first in range(0, rows, BLOCK):
        part = slice(first, min(first + BLOCK, rows))
        x, x_parts = top(part.start, part.stop)
        n, n_parts = bottom(part.start, part.stop)
        with np.errstate(divide="ignore", invalid="ignore"):
            estimate = np.where(n > 0, x / n, np.nan)
            replicates = np.where(
                n[:, None] - n_parts > 0, (x[:, None] - x_parts) / (n[:, None] - n_parts), np.nan
            )
        bounds = jackknife(estimate, replicates, groups[part], users[part], scale=scale, level=level)
        low[part], high[part] = bounds.low, bounds.high
    return Bounds(low, high)


def jackknife(
    estimate: Floats,
    replicates: Floats,
    groups: Ints,
    users: npt.ArrayLike,
    *,
    scale: Scale = "logit",
    level: float = 0.95,
) -> Bounds:
    """Return intervals from delete-a-group replicates. D12.3.

    Parameters
    ----------
    estimate : numpy.ndarray of float64, rows
        From all users; NaN where undefined.
    replicates : numpy.ndarray of float64, rows x groups
        The same without the users of each group; equal to the estimate for groups without users.
    groups : numpy.ndarray of int, rows
        How many groups have users.
    users : array_like, rows
        Distinct users in the denominator: a rate of 0 or 1, or one without variance, gets Wilson's interval.
    scale : {"logit", "log", "identity"}
        Where the interval is symmetric.
    level : float, default 0.95
        Between 0 and 1.

    Returns
    -------
    Bounds
        NaN where there is none.

    References
    ----------
    Kott 2001, J. Off. Stat. 17(4); Wolter 2007.
    """
    groups = np.asarray(groups)
    missing = np.isnan(replicates)
    deviations = np.where(missing, 0.0, replicates - estimate[:, None])
    with np.errstate(divide="ignore", invalid="ignore"):
        se = np.sqrt((groups - 1) / groups * (deviations**2).sum(axis=1))
        t = np.array([t_quantile(level, int(g) - 1) if g > 1 else np.nan for g in np.unique(groups)])
        reach = t[np.searchsorted(np.unique(groups), groups)] * se
        low, high = _scaled(estimate, reach, scale)
    flat = (se == 0) | ((estimate <= 0) | (estimate >= 1) if scale == "logit" else np.zeros(se.size, bool))
    if scale == "logit" and flat.any():
        exact = wilson(estimate * np.asarray(users, np.float64), users, level)
        low, high = np.where(flat, exact.low, low), np.where(flat, exact.high, high)
    undefined = np.isnan(estimate) | (groups < FEWEST_GROUPS) | (missing.sum(axis=1) > groups / 4)
    if scale == "log":
        undefined |= estimate <= 0
    return Bounds(np.where(undefined, np.nan, low), np.where(undefined, np.nan, high))


def _scaled(estimate: Floats, reach: Floats, scale: Scale) -> tuple[Floats, Floats]:
    """Put estimate -+ reach on the scale where the interval is symmetric."""
    if scale == "identity":
        return estimate - reach, estimate + reach
    if scale == "log":
        factor = np.exp(reach / estimate)
        return estimate / factor, estimate * factor
    odds = estimate / (1 - estimate)
    factor = np.exp(reach / (estimate * (1 - estimate)))
    return odds / factor / (1 + odds / factor), 1 - 1 / (1 + odds * factor)
