"""Two rates side by side: difference, ratio, their intervals, and a p-value. DEFINITIONS D13.2."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from math import erfc, lgamma, sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from journeykit.mathematics.intervals import FEWEST_GROUPS, GroupSums, t_quantile, t_within, wilson

Floats = npt.NDArray[np.float64]
FEWEST_EXPECTED = 5
ROUNDING = 1e-7


@dataclass(frozen=True)
class Differences:
    """Rates A against rates B, one per row; NaN where a number is undefined.

    Attributes
    ----------
    difference, difference_low, difference_high : numpy.ndarray of float64
        A - B and its interval.
    ratio, ratio_low, ratio_high : numpy.ndarray of float64
        A / B and its interval; without a ratio where B is 0.
    p_value : numpy.ndarray of float64
        Two-sided, of no difference; for this row alone.
    error : numpy.ndarray of float64
        The standard error of the difference, of the pooled proportion if proportions are compared.
    """

    difference: Floats
    difference_low: Floats
    difference_high: Floats
    ratio: Floats
    ratio_low: Floats
    ratio_high: Floats
    p_value: Floats
    error: Floats


def compare_proportions(
    successes_a: npt.ArrayLike,
    trials_a: npt.ArrayLike,
    successes_b: npt.ArrayLike,
    trials_b: npt.ArrayLike,
    level: float = 0.95,
) -> Differences:
    """Compare proportions of disjoint users, each counted once. D13.2.

    Parameters
    ----------
    successes_a, trials_a, successes_b, trials_b : array_like
        Counts, one per row.
    level : float, default 0.95
        Of the intervals, between 0 and 1.

    Returns
    -------
    Differences
        Difference with Newcombe's hybrid of Wilson intervals; ratio with the interval of its logarithm (none where a
        count of successes is 0); p-value of the pooled score test, of Fisher's exact test where a count of less
        than 5 is expected.

    References
    ----------
    Newcombe 1998, Stat. Med. 17; Katz et al. 1978, Biometrics 34.

    Examples
    --------
    >>> found = compare_proportions([56], [70], [48], [80])
    >>> found.difference.round(4), found.difference_low.round(4), found.difference_high.round(4)
    (array([0.2]), array([0.0524]), array([0.3339]))
    >>> found.ratio.round(4), found.p_value.round(4)
    (array([1.3333]), array([0.008]))
    """
    x1, n1, x2, n2 = (
        np.atleast_1d(np.asarray(each, np.float64)) for each in (successes_a, trials_a, successes_b, trials_b)
    )
    one, two = wilson(x1, n1, level), wilson(x2, n2, level)
    z = NormalDist().inv_cdf((1 + level) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = np.where(n1 > 0, x1 / n1, np.nan), np.where(n2 > 0, x2 / n2, np.nan)
        difference = a - b
        low = difference - np.sqrt((a - one.low) ** 2 + (two.high - b) ** 2)
        high = difference + np.sqrt((one.high - a) ** 2 + (b - two.low) ** 2)
        ratio = np.where(b > 0, a / b, np.nan)
        reach = z * np.sqrt(1 / x1 - 1 / n1 + 1 / x2 - 1 / n2)
        bounded = (x1 > 0) & (x2 > 0)
        ratio_low = np.where(bounded, ratio * np.exp(-reach), np.nan)
        ratio_high = np.where(bounded, ratio * np.exp(reach), np.nan)
        pooled = (x1 + x2) / (n1 + n2)
        error = np.sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n2))
    error = np.where((n1 > 0) & (n2 > 0), error, np.nan)
    return Differences(difference, low, high, ratio, ratio_low, ratio_high, _p_values(x1, n1, x2, n2), error)


def _p_values(x1: Floats, n1: Floats, x2: Floats, n2: Floats) -> Floats:
    """Test each row for no difference: pooled score, or Fisher's where few are expected."""
    n, x = n1 + n2, x1 + x2
    with np.errstate(divide="ignore", invalid="ignore"):
        p = x / n
        z = np.abs(x1 / n1 - x2 / n2) / np.sqrt(p * (1 - p) * (1 / n1 + 1 / n2))
        expected = np.minimum(n1, n2) * np.minimum(x, n - x) / n
    found = np.full(n.size, np.nan)
    for i in np.flatnonzero((n1 > 0) & (n2 > 0)):
        if expected[i] < FEWEST_EXPECTED:
            found[i] = fisher(round(x1[i]), int(n1[i]), round(x2[i]), int(n2[i]))
        else:
            found[i] = erfc(z[i] / sqrt(2))
    return found


def fisher(x1: int, n1: int, x2: int, n2: int) -> float:
    """Return the two-sided p-value of Fisher's exact test: all tables no likelier than this one.

    SciPy has it too, and takes a fifth of a second to import.

    Examples
    --------
    >>> round(fisher(3, 4, 1, 4), 6)
    0.485714
    """
    x, n = x1 + x2, n1 + n2
    least, most = max(0, x - n2), min(x, n1)
    chances = np.array([_log_choose(n1, k) + _log_choose(n2, x - k) for k in range(least, most + 1)])
    chances = np.exp(chances - _log_choose(n, x))
    return float(min(1.0, chances[chances <= chances[x1 - least] * (1 + ROUNDING)].sum()))


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def compare_ratios(
    a: tuple[GroupSums, GroupSums],
    b: tuple[GroupSums, GroupSums],
    groups: npt.NDArray[np.int64],
    users: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    level: float = 0.95,
) -> Differences:
    """Compare ratios of sums over sessions, visits or transitions: a group of users leaves both at once. D13.2.

    Parameters
    ----------
    a, b : tuple of GroupSums
        Numerator and denominator, one row per comparison.
    groups : numpy.ndarray of int, rows
        How many jackknife groups have users.
    users : tuple of array_like, optional
        For ratios that are shares: the distinct users in the denominators of `a` and of `b`.
    level : float, default 0.95
        Of the intervals, between 0 and 1.

    Returns
    -------
    Differences
        NaN where a ratio is undefined; no intervals and no test where there are fewer than 10 groups, or more than a
        quarter of the replicates is undefined.

    Notes
    -----
    A share of exactly 0 or 1 does not move when groups leave, which does not make it certain: such a row is compared
    as proportions of as many users, after the rule for a single share (D12.3). O(rows x 64).

    References
    ----------
    Kott 2001, J. Off. Stat. 17(4).
    """
    rows = np.arange(a[0].total.size)
    with np.errstate(divide="ignore", invalid="ignore"):
        (one, one_without), (two, two_without) = _replicated(*a, rows), _replicated(*b, rows)
    return compare_replicated((one, one_without), (two, two_without), groups, users, level)


def compare_replicated(
    a: tuple[Floats, Floats],
    b: tuple[Floats, Floats],
    groups: npt.NDArray[np.int64],
    users: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    level: float = 0.95,
) -> Differences:
    """Compare numbers of any kind, each known in full and without each jackknife group. D13.2.

    Parameters
    ----------
    a, b : tuple of numpy.ndarray
        The numbers, one per row, and (rows, groups) what they are without the users of each group.
    groups : numpy.ndarray of int, rows
        How many jackknife groups have users.
    users : tuple of array_like, optional
        For numbers that are shares: the distinct users in the denominators of `a` and of `b`, NaN for others.
    level : float, default 0.95
        Of the intervals, between 0 and 1.

    Returns
    -------
    Differences
        As of `compare_ratios`.
    """
    (one, one_without), (two, two_without) = a, b
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(two != 0, one / two, np.nan)
        difference = one - two
        se = _errors(difference, one_without - two_without, groups)
        log_se = _errors(np.log(one / two), np.log(one_without / two_without), groups)
        t = np.array([t_quantile(level, int(g) - 1) if g > 1 else np.nan for g in groups])
        p = np.array([_t_test(d, e, int(g) - 1) for d, e, g in zip(difference, se, groups, strict=True)])
        reach, factor = t * se, np.exp(t * log_se)
        flat = ~np.isnan(se) & ((np.minimum(one, two) <= 0) | (np.maximum(one, two) >= 1))
    found = Differences(
        difference, difference - reach, difference + reach, ratio, ratio / factor, ratio * factor, p, se
    )
    if users is None:
        return found
    n1, n2 = (np.asarray(each, np.float64) for each in users)
    flat &= ~np.isnan(n1) & ~np.isnan(n2)
    n1, n2 = np.where(flat, n1, 0.0), np.where(flat, n2, 0.0)
    return either(flat, compare_proportions(one * n1, n1, two * n2, n2, level), found)


def homogeneity(successes: npt.ArrayLike, trials: npt.ArrayLike) -> tuple[float, int, float]:
    """Test whether proportions of disjoint users are all alike. D13.3.

    Parameters
    ----------
    successes, trials : array_like
        Counts, one per segment; segments without trials are left out.

    Returns
    -------
    tuple of float, int, float
        Chi-square, its degrees of freedom, and the p-value; NaN where nothing varies or there are fewer than two.

    Examples
    --------
    >>> chi_square, degrees, p_value = homogeneity([10, 20, 30], [100, 100, 100])
    >>> round(chi_square, 3), degrees, round(p_value, 5)
    (12.5, 2, 0.00193)
    """
    x, n = (np.asarray(each, np.float64) for each in (successes, trials))
    x, n = x[n > 0], n[n > 0]
    degrees = n.size - 1
    p = x.sum() / n.sum() if degrees > 0 else 0.0
    if not 0 < p < 1:
        return np.nan, max(degrees, 0), np.nan
    chi_square = float(((x - n * p) ** 2 / (n * p * (1 - p))).sum())
    return chi_square, degrees, chi_square_tail(chi_square, degrees)


def chi_square_tail(value: float, degrees: int) -> float:
    """Return the chance that a chi-square variable is larger.

    Examples
    --------
    >>> round(chi_square_tail(3.841459, 1), 6)
    0.05
    """
    from scipy.special import chdtrc

    return float(chdtrc(degrees, value))


def detectable(error: npt.ArrayLike, degrees: npt.ArrayLike, power: float, level: float = 0.95) -> Floats:
    """Return the smallest true difference that would be found with a given power. D13.2.

    Parameters
    ----------
    error : array_like
        Standard errors of the differences.
    degrees : array_like
        Degrees of freedom of the test; 0 for a test by the normal distribution.
    power : float
        How likely it is to be found, above one half and below 1.
    level : float, default 0.95
        One minus the chance of finding one where there is none.

    Returns
    -------
    numpy.ndarray of float64
        ``(q(1 - alpha / 2) + q(power)) x error`` with the quantiles q of the test.

    Examples
    --------
    >>> detectable([0.01], [0], 0.8).round(4).tolist()
    [0.028]
    """
    normal = NormalDist()
    plain = normal.inv_cdf((1 + level) / 2) + normal.inv_cdf(power)
    factor = [
        t_quantile(level, int(each)) + t_quantile(2 * power - 1, int(each)) if each > 0 else plain
        for each in np.atleast_1d(np.asarray(degrees))
    ]
    smallest: Floats = np.asarray(error, np.float64) * np.array(factor)
    return smallest


def either(where: npt.NDArray[np.bool_], one: Differences, other: Differences) -> Differences:
    """Take the intervals and tests of `one` where marked, else those of the other; the numbers are the same."""
    names = [each.name for each in fields(one)]
    chosen = {name: np.where(where, getattr(one, name), getattr(other, name)) for name in names}
    return replace(Differences(**chosen), difference=other.difference, ratio=other.ratio)


def _replicated(top: GroupSums, bottom: GroupSums, rows: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return ratios, and (rows, groups) what they are without each group."""
    x, x_parts = top.take(rows)(0, rows.size)
    n, n_parts = bottom.take(rows)(0, rows.size)
    left = n[:, None] - n_parts
    return (
        np.where(n > 0, x / n, np.nan),
        np.where(left > 0, (x[:, None] - x_parts) / left, np.nan),
    )


def _errors(estimate: Floats, replicates: Floats, groups: npt.NDArray[np.int64]) -> Floats:
    """Return standard errors; NaN where there is none. D12.3."""
    missing = ~np.isfinite(replicates)
    deviations = np.where(missing, 0.0, replicates - estimate[:, None])
    se = np.sqrt((groups - 1) / groups * (deviations**2).sum(axis=1))
    undefined = ~np.isfinite(estimate) | (groups < FEWEST_GROUPS) | (missing.sum(axis=1) > groups / 4)
    return np.where(undefined, np.nan, se)


def _t_test(difference: float, error: float, degrees: int) -> float:
    """Return the two-sided p-value of Student's t; without an error there is no test."""
    if not error > 0:
        return np.nan
    return max(0.0, 1 - t_within(abs(difference) / error, degrees))
