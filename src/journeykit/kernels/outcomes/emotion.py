"""Which visits ratings speak of, and how many visits were rated. DEFINITIONS D15.1, D15.3."""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import kernel
from journeykit.kernels.counting import slot_of

VISITS, USERS, LAST_USER, RATED = np.arange(4, dtype=np.uint64)


@kernel
def visits_before(starts, ends, times, codes, skip, owners, moments, wanted, longest, found):
    """Find for every rating its user's last event at or before it, at most `longest` earlier; -1 without one.

    ``wanted[r]`` is the code that the event must have; -1 for any. ``skip`` marks events that are no visits; it may be
    empty.
    """
    for r in range(owners.size):
        first, low, high = starts[owners[r]], starts[owners[r]], ends[owners[r]]
        while low < high:
            middle = (low + high) // 2
            if times[middle] <= moments[r]:
                low = middle + 1
            else:
                high = middle
        found[r] = -1
        i = low - 1
        while i >= first and moments[r] - times[i] <= longest:
            skipped = skip.size > 0 and skip[i]
            if not skipped and (wanted[r] == -1 or np.int64(codes[i]) == wanted[r]):
                found[r] = i
                break
            i -= 1


@kernel
def count_rated(starts, ends, labels, cells, skip, rated, size, keys, rows, table):
    """Count visits, users and rated visits per cell and label; `labels` and `skip` may be empty."""
    for user in range(starts.size):
        for i in range(starts[user], ends[user]):
            if skip.size > 0 and skip[i]:
                continue
            label = np.int64(labels[i]) if labels.size > 0 else 0
            row = slot_of(keys, rows, cells[i] * size + label)
            table[row, VISITS] += 1
            table[row, USERS] += table[row, LAST_USER] != user + 1
            table[row, LAST_USER] = user + 1
            table[row, RATED] += rated[i]
