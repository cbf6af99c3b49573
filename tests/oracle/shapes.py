"""The shape of one path. D8.13."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any


def shape(names: Sequence[str], alphabet: int) -> dict[str, Any]:
    """Measure a path of at least one name; the subsequences are listed one by one."""
    runs = [(name, len(list(own))) for name, own in itertools.groupby(names)]
    lengths = [length for _, length in runs]
    m, mean = len(names), sum(lengths) / len(lengths)
    shares = [count / m for count in Counter(names).values()]
    h = -sum(p * math.log(p) for p in shares) / math.log(alphabet) if alphabet > 1 else None
    short = [name for name, _ in runs]
    phi = len({one for k in range(len(short) + 1) for one in itertools.combinations(short, k)})
    s2 = sum((length - mean) ** 2 for length in lengths) / len(lengths)
    s2max = (len(runs) - 1) * (1 - mean) ** 2
    return {
        "events": m,
        "distinct": len(set(names)),
        "transitions": len(runs) - 1,
        "entropy": h,
        "complexity": math.sqrt((len(runs) - 1) / (m - 1) * max(h, 0)) if m > 1 and h is not None else None,
        "turbulence": math.log2(phi * (s2max + 1) / (s2 + 1)),
        "self_loops": sum(a == b for a, b in itertools.pairwise(names)),
        "backtracks": sum(names[i] == names[i - 2] != names[i - 1] for i in range(2, m)),
        "revisits": sum(name in names[:i] and names[i - 1] != name for i, name in enumerate(names) if i),
        "longest_run": max(lengths),
    }
