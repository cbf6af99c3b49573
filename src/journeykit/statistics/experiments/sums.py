"""From sums over users to means of arms, their differences, and what the time before explains. DEFINITIONS D13.2."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from journeykit.mathematics.differences import Differences, compare_proportions, compare_replicated, either

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
SUMS = ("users", "y", "yy", "x", "xx", "xy")


@dataclass(frozen=True)
class Sums:
    """Users of an arm, and sums over them of a metric y and of the same before the exposure, x.

    Attributes
    ----------
    users, y, yy, x, xx, xy : numpy.ndarray of float64
        Of any one shape.
    """

    users: Floats
    y: Floats
    yy: Floats
    x: Floats
    xx: Floats
    xy: Floats

    def over_groups(self) -> Sums:
        """Add up the last axis."""
        return Sums(*(getattr(self, each.name).sum(axis=-1) for each in fields(self)))

    def without_groups(self) -> Sums:
        """Return the sums of all groups but one, for each."""
        every = (getattr(self, each.name) for each in fields(self))
        return Sums(*(each.sum(axis=-1, keepdims=True) - each for each in every))

    @property
    def mean(self) -> Floats:
        """The mean of y; NaN without users."""
        return _over(self.y, self.users)

    @property
    def mean_before(self) -> Floats:
        """The mean of x."""
        return _over(self.x, self.users)

    @property
    def spread(self) -> tuple[Floats, Floats, Floats]:
        """Sums of squares around the means: of y, of x, and of both."""
        return (
            np.maximum(self.yy - self.y * self.mean, 0.0),
            np.maximum(self.xx - self.x * self.mean_before, 0.0),
            self.xy - self.x * self.mean,
        )

    def error(self, slope: Floats) -> Floats:
        """Return the standard error of the mean of y - slope x, of users who are independent."""
        yy, xx, xy = self.spread
        left = np.maximum(yy - 2 * slope * xy + slope**2 * xx, 0.0)
        return np.sqrt(_over(_over(left, self.users - 1), self.users))


def _over(top: Floats, bottom: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(bottom > 0, top / bottom, np.nan)


def slope_of(a: Sums, b: Sums) -> Floats:
    """Return how much of y goes with one unit of x, inside the arms; 0 where x does not vary."""
    (_, xx_a, xy_a), (_, xx_b, xy_b) = a.spread, b.spread
    return np.nan_to_num(_over(xy_a + xy_b, xx_a + xx_b))


def adjusted(a: Sums, b: Sums, use_before: bool) -> tuple[Floats, Floats, Floats]:
    """Return the means of both arms as if both had the same past, and the slope. CUPED.

    Notes
    -----
    ``mean(y) - slope (mean(x) - mean of x in both arms)`` with the slope of `slope_of`.
    """
    if not use_before:
        return a.mean, b.mean, np.zeros_like(a.mean)
    slope = slope_of(a, b)
    common = _over(a.x + b.x, a.users + b.users)
    return a.mean - slope * (a.mean_before - common), b.mean - slope * (b.mean_before - common), slope


def compare_arms(
    a: Sums, b: Sums, groups: npt.NDArray[np.int64], proportions: Bools, use_before: bool, level: float
) -> Differences:
    """Compare the means of two arms, one row per metric, groups last. D13.2.

    Parameters
    ----------
    a, b : Sums
        (rows, groups).
    groups : numpy.ndarray of int
        Per row, how many groups have users.
    proportions : numpy.ndarray of bool
        Per row, whether y is 1 or 0 for every user, and so compared as a proportion.
    use_before : bool
        Whether to take out what the past explains.
    level : float
        Of the intervals.
    """
    one, other = a.over_groups(), b.over_groups()
    mean_a, mean_b, _ = adjusted(one, other, use_before)
    without_a, without_b, _ = adjusted(a.without_groups(), b.without_groups(), use_before)
    found = compare_replicated((mean_a, without_a), (mean_b, without_b), groups, None, level)
    counts = [np.where(proportions, each, 0.0) for each in (one.y, one.users, other.y, other.users)]
    exact = compare_proportions(counts[0], counts[1], counts[2], counts[3], level)
    return either(proportions, exact, found)


def variance_reduction(a: Sums, b: Sums) -> Floats:
    """Return the share of the variance of y that the past explains, inside the arms; NaN where y does not vary."""
    slope = slope_of(a, b)
    (yy_a, xx_a, xy_a), (yy_b, xx_b, xy_b) = a.spread, b.spread
    explained = 2 * slope * (xy_a + xy_b) - slope**2 * (xx_a + xx_b)
    return _over(explained, yy_a + yy_b)
