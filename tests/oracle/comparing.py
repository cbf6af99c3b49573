"""Two sets of users side by side: the statistic made again without each group of users. D13.2."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from tests.oracle.differences import jackknifed
from tests.oracle.paths import Path


class Compared(NamedTuple):
    """A difference with its interval and p-value, and the ends of the ratio."""

    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None
    ratio_low: float | None
    ratio_high: float | None


def compared(
    one: Sequence[Path], other: Sequence[Path], number: Callable[[Sequence[Path]], float | None]
) -> Compared:
    """Compare a number of paths on two sides, whatever it is."""
    users = {path.user for path in (*one, *other)}

    def both(chosen: Collection[Any]) -> tuple[float | None, float | None]:
        a, b = (number([path for path in side if path.user in chosen]) for side in (one, other))
        return a, b

    def difference(chosen: Collection[Any]) -> float | None:
        a, b = both(chosen)
        return None if a is None or b is None else a - b

    def log_ratio(chosen: Collection[Any]) -> float | None:
        a, b = both(chosen)
        return None if not a or not b else math.log(a / b)

    low, high, p = jackknifed(users, difference) or (None, None, None)
    ends = jackknifed(users, log_ratio) or (None, None, None)
    ratio_low, ratio_high = (None if end is None else math.exp(end) for end in ends[:2])
    return Compared(difference(users), low, high, p, ratio_low, ratio_high)
