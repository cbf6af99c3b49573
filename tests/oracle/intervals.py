"""Uncertainty: groups, Wilson, delete-a-group jackknife. D12.1 to D12.3."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from scipy import stats

MASK = 2**64 - 1
GROUPS = 64
FEWEST_GROUPS = 10


class Interval(NamedTuple):
    """Two ends, or None with the reason in method."""

    low: float | None
    high: float | None
    method: str


def group(user: str | int, seed: int | None = None) -> int:
    """FNV-1a 64 of the id's text, the splitmix64 finaliser, modulo 64. D12.1."""
    h = 0xCBF29CE484222325
    for byte in str(user).encode():
        h = ((h ^ byte) * 0x100000001B3) & MASK
    if seed is not None:
        h ^= seed
    h = ((h ^ (h >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    h = ((h ^ (h >> 27)) * 0x94D049BB133111EB) & MASK
    return (h ^ (h >> 31)) % GROUPS


def wilson(p: float, n: int, level: float = 0.95) -> Interval:
    """Interval of a share p of n users. D12.2."""
    if n == 0:
        return Interval(None, None, "no users")
    z = float(stats.norm.ppf(0.5 + level / 2))
    centre = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return Interval((centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n), "wilson")


def jackknife(
    users: Collection[Any],
    statistic: Callable[[list[Any]], float | None],
    scale: str = "identity",
    total: bool = False,
    level: float = 0.95,
    denominator_users: int | None = None,
) -> Interval:
    """Delete one group of users after the other and look how far the statistic moves. D12.3.

    `users` are those of the statistic; `statistic` is called with a list of users; `total` rescales a sum.
    Choice: G stays the number of non-empty groups where some replicates are null.
    """
    groups = sorted({group(user) for user in users})
    theta = statistic(list(users))
    if theta is None:
        return Interval(None, None, "no value")
    if len(groups) < FEWEST_GROUPS:
        return Interval(None, None, "too few groups")
    replicates = [statistic([user for user in users if group(user) != gone]) for gone in groups]
    rescale = len(groups) / (len(groups) - 1) if total else 1.0
    kept = [one * rescale for one in replicates if one is not None]
    if len(groups) - len(kept) > len(groups) / 4:
        return Interval(None, None, "too many null replicates")
    return interval(
        theta, standard_error(theta, kept, len(groups)), len(groups), scale, level, denominator_users
    )


def standard_error(theta: float, replicates: Sequence[float], groups: int) -> float:
    """Root of (G - 1) / G times the squared distances from the full value. D12.3."""
    return math.sqrt((groups - 1) / groups * sum((one - theta) ** 2 for one in replicates))


def interval(
    theta: float, se: float, groups: int, scale: str, level: float = 0.95, users: int | None = None
) -> Interval:
    """Put theta and its standard error on the scale and back. D12.3.

    Choices: only shares (logit) fall back to Wilson; a mean that does not move has an interval without width.
    """
    reach = float(stats.t.ppf(0.5 + level / 2, groups - 1)) * se
    if scale == "identity":
        return Interval(theta - reach, theta + reach, "jackknife")
    if scale == "log":
        if theta <= 0:
            return Interval(None, None, "not positive")
        return Interval(theta * math.exp(-reach / theta), theta * math.exp(reach / theta), "jackknife")
    if theta in (0, 1) or se == 0:
        return wilson(theta, users or 0, level)
    centre, half = math.log(theta / (1 - theta)), reach / (theta * (1 - theta))
    return Interval(1 / (1 + math.exp(half - centre)), 1 / (1 + math.exp(-half - centre)), "jackknife")
