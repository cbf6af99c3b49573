"""Runs of one name, found along paths. DEFINITIONS D3.3."""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import kernel


@kernel
def find_runs(starts, ends, order, codes, kept, keep_last, lengths):
    """Leave one kept event of every run of equal codes, the first or the last; `lengths` of that one is the run's.

    `order` says where the events of the paths stand, in the order of the paths; empty if they stand so. Events that
    are not kept are passed over: their neighbours are neighbours. `lengths` holds how many events each stands for.
    """
    for path in range(starts.size):
        last = np.int64(-1)
        for i in range(starts[path], ends[path]):
            here = order[i] if order.size > 0 else i
            if not kept[here]:
                continue
            if last >= 0 and codes[last] == codes[here]:
                total = lengths[last] + lengths[here]
                left, out = (here, last) if keep_last else (last, here)
                kept[out] = False
                lengths[left] = total
                last = left
            else:
                last = np.int64(here)


@kernel
def copy_places(starts, ends, states, skip_zero, collapse, keep_last, places, bounds):
    """List where the events of paths stand that are left without state 0 and without repeats.

    Path p has ``places[bounds[p]:bounds[p + 1]]``.
    """
    n = 0
    bounds[0] = 0
    for path in range(starts.size):
        for i in range(starts[path], ends[path]):
            if skip_zero and states[i] == 0:
                continue
            if collapse and n > bounds[path] and states[places[n - 1]] == states[i]:
                if keep_last:
                    places[n - 1] = i
                continue
            places[n] = i
            n += 1
        bounds[path + 1] = n
