"""Two rates side by side, and p-values of many tests. D13.2, D13.4."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from fractions import Fraction
from typing import Any

from scipy import stats

from tests.oracle.intervals import group, wilson


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjusted p-values by the formula, nulls left out."""
    ranked = sorted(p for p in p_values if p is not None)
    m = len(ranked)
    raised = [min(1.0, (m - j) * ranked[j]) for j in range(m)]
    return [None if p is None else max(raised[: ranked.index(p) + 1]) for p in p_values]


def benjamini_hochberg(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjusted p-values by the formula, nulls left out."""
    ranked = sorted(p for p in p_values if p is not None)
    m = len(ranked)
    raised = [min(1.0, m * ranked[j] / (j + 1)) for j in range(m)]
    return [None if p is None else min(raised[ranked.index(p) :]) for p in p_values]


def newcombe(x1: int, n1: int, x2: int, n2: int, level: float = 0.95) -> tuple[float, float] | None:
    """Hybrid score interval of a difference of two shares."""
    if n1 == 0 or n2 == 0:
        return None
    p1, p2 = x1 / n1, x2 / n2
    one, two = wilson(p1, n1, level), wilson(p2, n2, level)
    low = p1 - p2 - math.hypot(p1 - one.low, two.high - p2)
    high = p1 - p2 + math.hypot(one.high - p1, p2 - two.low)
    return low, high


def ratio_interval(x1: int, n1: int, x2: int, n2: int, level: float = 0.95) -> tuple[float, float] | None:
    """Katz: the logarithm of a ratio of two shares."""
    if 0 in (x1, x2, n1, n2):
        return None
    z = float(stats.norm.ppf(0.5 + level / 2))
    reach = z * math.sqrt(1 / x1 - 1 / n1 + 1 / x2 - 1 / n2)
    ratio = (x1 / n1) / (x2 / n2)
    return ratio * math.exp(-reach), ratio * math.exp(reach)


def p_value(x1: int, n1: int, x2: int, n2: int) -> float | None:
    """Pooled score test; Fisher's exact one if any expected count is below 5."""
    if n1 == 0 or n2 == 0:
        return None
    n, x = n1 + n2, x1 + x2
    if min(Fraction(a * b, n) for a in (n1, n2) for b in (x, n - x)) < 5:
        return fisher(x1, n1, x2, n2)
    p = x / n
    z = (x1 / n1 - x2 / n2) / math.sqrt(p * (1 - p) * (1 / n1 + 1 / n2))
    return float(2 * stats.norm.sf(abs(z)))


def fisher(x1: int, n1: int, x2: int, n2: int) -> float:
    """All tables with these margins that are no likelier than the one seen, in whole numbers."""
    x = x1 + x2
    ways = {k: math.comb(n1, k) * math.comb(n2, x - k) for k in range(max(0, x - n2), min(x, n1) + 1)}
    return float(Fraction(sum(each for each in ways.values() if each <= ways[x1]), sum(ways.values())))


def jackknifed(
    users: Collection[Any], theta: Callable[[Collection[Any]], float | None], level: float = 0.95
) -> tuple[float, float, float] | None:
    """Low, high and p-value of a difference when whole groups leave. D13.2, D12.3."""
    whole, groups = theta(users), {group(user) for user in users}
    without = [theta([user for user in users if group(user) != each]) for each in groups]
    known = [each for each in without if each is not None]
    n = len(groups)
    if whole is None or n < 10 or n - len(known) > n / 4:
        return None
    se = math.sqrt((n - 1) / n * sum((each - whole) ** 2 for each in known))
    t = float(stats.t.ppf(0.5 + level / 2, n - 1))
    p = float(2 * stats.t.sf(abs(whole) / se, n - 1)) if se > 0 else math.nan
    return whole - t * se, whole + t * se, p
