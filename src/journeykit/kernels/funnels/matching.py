"""Which events make which steps when order does not matter: a matching that grows event by event. D7.6."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from journeykit.kernels.compiling import kernel
from journeykit.kernels.funnels.lists import DEADLINE, MASK, TIME, usable

Int64s = npt.NDArray[np.int64]


@kernel
def grow(owner: Int64s, mask: int) -> bool:
    """Match one more event, which fits the steps of `mask`, if that is possible by moving others (Berge 1957).

    ``owner[k]`` is the mask of the event that makes step k; 0 if none does.
    """
    movable = 0
    for k in range(owner.size):
        if (mask >> k) & 1:
            if owner[k] == 0:
                owner[k] = mask
                return True
            movable |= owner[k]
    return movable & ~mask != 0 and move(owner, mask)


@kernel
def move(owner: Int64s, mask: int) -> bool:
    """Match one more event by giving others the steps that they fit, too; breadth first."""
    waiting, parent = np.empty(owner.size, np.int64), np.full(owner.size, -2, np.int64)
    n, done = 0, 0
    for k in range(owner.size):
        if (mask >> k) & 1:
            waiting[n], parent[k] = k, -1
            n += 1
    while done < n:
        step = waiting[done]
        done += 1
        if owner[step] == 0:
            while parent[step] >= 0:
                owner[step] = owner[parent[step]]
                step = parent[step]
            owner[step] = mask
            return True
        for k in range(owner.size):
            if parent[k] == -2 and (owner[step] >> k) & 1:
                waiting[n], parent[k] = k, step
                n += 1
    return False


@kernel
def matching_size(marks: Int64s, lo: int, hi: int, first: int, length: int) -> int:
    """Return how many of the steps `first` up to `length` can be made by distinct marked events."""
    owner = np.zeros(length, np.int64)
    size = 0
    for j in range(lo, hi):
        if size < length - first and marks[j] != 0 and grow(owner, marks[j]):
            size += 1
    return size


@kernel
def unordered_chain(events: Int64s, n_steps: int, start: int, hi: int, owner: Int64s, chain: Int64s) -> int:
    """Keep every event from `start` on that makes one step more; return how many. D7.6."""
    owner[:] = 0
    steps = (1 << n_steps) - 1
    level, j = 0, start
    while j < hi and level < n_steps and events[j, TIME] <= events[start, DEADLINE]:
        mask = events[j, MASK] & steps
        if mask and usable(events, start, j) and grow(owner, mask):
            chain[level] = j
            level += 1
        j += 1
    return level
