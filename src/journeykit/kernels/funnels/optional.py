"""Optional steps, which are looked for once the required ones are made. DEFINITIONS D7.5."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from journeykit.kernels.compiling import kernel
from journeykit.kernels.funnels.lists import HELD, LOW, MASK, SESSION, TIME, How
from journeykit.kernels.funnels.rules import EXCLUDED, FIRST_STEP, LEVEL, UNIT, deadline_of

Int64s = npt.NDArray[np.int64]


@kernel
def fills(
    events: Int64s,
    steps: Int64s,
    how: How,
    run: Int64s,
    start: int,
    left: int,
    x: int,
    right: int,
    deadline: int,
) -> bool:
    """Tell whether x follows the step before it, and the one after it, or the deadline, follows x. D7.5."""
    own = events[x, TIME]
    if events[x, HELD] != events[start, HELD]:
        return False
    ended = run[EXCLUDED]
    if ended >= 0 and (x > ended if how.by_position else own > events[ended, TIME]):
        return False
    low = 0 if how.by_position else steps[0, LOW]
    if own < events[left, TIME] + low or (how.by_position and x <= left):
        return False
    if right < 0:
        return bool(own <= deadline and events[x, SESSION] == events[start, SESSION])
    return x < right if how.by_position else events[right, TIME] >= own + low


@kernel
def is_used(chain: Int64s, x: int) -> bool:
    """Tell whether an event is in a chain."""
    used = False
    for k in range(chain.size):
        used |= chain[k] == x
    return used


@kernel
def fill_optional(
    offsets: Int64s, events: Int64s, steps: Int64s, bits: Int64s, after: Int64s, follow: tuple[Any, ...],
    rows: Int64s, chains: Int64s, found: Int64s,
) -> None:  # fmt: skip
    """Give each optional step the earliest unused event between its neighbours; -1 where there is none. D7.5.

    ``after[o]`` is the required step before the optional step o.
    """
    how = How(*follow)
    for n in range(rows.shape[0]):
        run, chain, own = rows[n], chains[n], found[n]
        own[:] = -1
        level = run[LEVEL]
        if run[FIRST_STEP] > 0 or level == 0:
            continue
        deadline = deadline_of(events, steps, chain[0], level, chain)
        for o in range(bits.size):
            if level <= after[o]:
                continue
            left = chain[after[o]]
            for before in range(o):
                left = own[before] if after[before] == after[o] and own[before] >= 0 else left
            right = chain[after[o] + 1] if level > after[o] + 1 else -1
            for x in range(offsets[run[UNIT]], offsets[run[UNIT] + 1]):
                if events[x, MASK] & bits[o] and not is_used(chain, x) and not is_used(own, x):
                    if fills(events, steps, how, run, chain[0], left, x, right, deadline):
                        own[o] = x
                        break
