"""How many visits of each kind go on, and how many give up. DEFINITIONS D15.6."""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import kernel
from journeykit.kernels.counting import slot_of

VISITS, EXITS = np.arange(2, dtype=np.uint64)


@kernel
def count_left(starts, cuts, states, labels, cells, goals, still_open, size, n_labels, keys, rows, table):
    """Count the visits of cut paths per cell, state and label, and those after which the path gave up.

    The last visit of a path that may still go on is in neither count: nobody knows what comes next.
    """
    for path in range(starts.size):
        gave_up = goals[path] < 0 and not still_open[path]
        last = cuts[path] if goals[path] >= 0 or gave_up else cuts[path] - 1
        base = np.int64(cells[path]) * size
        for i in range(starts[path], last):
            key = (base + np.int64(states[i])) * n_labels + np.int64(labels[i])
            row = slot_of(keys, rows, key)
            table[row, VISITS] += 1
            table[row, EXITS] += gave_up and i == cuts[path] - 1


@kernel
def end_states(starts, cuts, states, goals, still_open, wanted, found):
    """Tell for every path which of the wanted states it gave up in; -1 for all others."""
    for path in range(starts.size):
        found[path] = -1
        if goals[path] < 0 and not still_open[path] and cuts[path] > starts[path]:
            state = np.int64(states[cuts[path] - 1])
            if wanted[state]:
                found[path] = state
