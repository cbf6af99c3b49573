"""Shares of two kinds of units, compared in classes of like units. DEFINITIONS D13.6."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from journeykit.mathematics.differences import Differences, compare_proportions, compare_replicated

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Counts:
    """Units (or moves) with something and all of them, of two kinds.

    Attributes
    ----------
    x, n_x, y, n_y : numpy.ndarray of float64, rows x strata x groups
        Of the first kind and of the second.
    """

    x: Floats
    n_x: Floats
    y: Floats
    n_y: Floats

    def over_groups(self) -> Counts:
        """Add up the groups."""
        return Counts(*(each.sum(axis=2) for each in (self.x, self.n_x, self.y, self.n_y)))

    def without_groups(self) -> Counts:
        """Return the sums of all groups but one, for each."""
        every = (self.x, self.n_x, self.y, self.n_y)
        return Counts(*(each.sum(axis=2, keepdims=True) - each for each in every))

    def alike(self) -> tuple[Floats, Floats]:
        """Return both shares as means over the strata that both kinds have, weighted by the units of both."""
        with np.errstate(divide="ignore", invalid="ignore"):
            weight = np.where((self.n_x > 0) & (self.n_y > 0), self.n_x + self.n_y, 0.0)
            weight = weight / weight.sum(axis=1, keepdims=True)
            a = np.where(weight > 0, weight * self.x / self.n_x, 0.0).sum(axis=1)
            b = np.where(weight > 0, weight * self.y / self.n_y, 0.0).sum(axis=1)
        known = ~np.isnan(weight).any(axis=1)
        return np.where(known, a, np.nan), np.where(known, b, np.nan)


def contrast(
    counts: Counts, groups: npt.NDArray[np.int64], users: tuple[Floats, Floats], once: bool, level: float
) -> tuple[Floats, Floats, Differences]:
    """Compare both kinds, row by row; return both shares, alike in length, and their comparison. D13.2.

    Parameters
    ----------
    counts : Counts
        What is compared.
    groups : numpy.ndarray of int
        Per row, the groups that have units of either kind.
    users : tuple of numpy.ndarray
        Distinct users in the denominators, for shares of exactly 0 or 1.
    once : bool
        Whether every unit is a user and there is one stratum: then as proportions.
    level : float
        Of the intervals.
    """
    total = counts.over_groups()
    a, b = total.alike()
    if once and total.x.shape[1] == 1:
        x, n_x, y, n_y = (each[:, 0] for each in (total.x, total.n_x, total.y, total.n_y))
        return a, b, compare_proportions(x, n_x, y, n_y, level)
    without_a, without_b = counts.without_groups().alike()
    return a, b, compare_replicated((a, without_a), (b, without_b), groups, users, level)


def phi(x: Floats, n_x: Floats, y: Floats, n_y: Floats) -> Floats:
    """Return Pearson's correlation of having it and being of the first kind; NaN where all or none have it."""
    having, lacking = x + y, n_x + n_y - x - y
    below = having * lacking * n_x * n_y
    return (x * (n_y - y) - y * (n_x - x)) / np.sqrt(np.where(below > 0, below, np.nan))
