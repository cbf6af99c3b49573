"""Values put into groups, and counted up to a limit: what percentiles need. DEFINITIONS D0.2, D12.5."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from journeykit.kernels.compiling import kernel

Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@kernel
def group_places(place: Int64s, values: Int64s, next_of: Int64s, grouped: Int64s) -> None:
    """Put values together by their places; ``next_of[p]`` is where the next one of place p goes."""
    for i in range(values.size):
        grouped[next_of[place[i]]] = values[i]
        next_of[place[i]] += 1


@kernel
def count_below(
    thing: Int64s, group: npt.NDArray[np.uint8], values: Int64s, counts: Int64s, limit: Floats, below: Int64s,
    total: Int64s,
) -> None:  # fmt: skip
    """Count the values of every thing and group (things x groups), and those that are at most the thing's limit."""
    for i in range(values.size):
        total[thing[i], group[i]] += counts[i]
        below[thing[i], group[i]] += counts[i] if values[i] <= limit[thing[i]] else 0
