"""What every user of an experiment did after the exposure, and before it. DEFINITIONS D13.5."""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import kernel


@kernel
def expose(starts, ends, arms, times, started, found, twice):
    """Find each user's exposure, the first event from `started` on with a known arm, -1 without one.

    `found` holds its position; `twice` marks users that were seen in another arm from then on.
    """
    for user in range(starts.size):
        found[user] = -1
        for i in range(starts[user], ends[user]):
            if arms[i] < 0 or times[i] < started:
                continue
            if found[user] < 0:
                found[user] = i
            twice[user] |= arms[i] != arms[found[user]]


@kernel
def add_up(starts, ends, exposed, codes, masks, times, values, rule, after, before):
    """Add up each exposed user's matching events after the exposure and before it.

    `rule` = (bit of the metric, longest time after, longest time before). `values` is what an event adds, NaN for
    nothing; without any, each adds 1. The exposure itself is after.
    """
    bit, within, earlier = rule
    for user in range(starts.size):
        at = exposed[user]
        if at < 0:
            continue
        for i in range(starts[user], ends[user]):
            if masks[codes[i]] & np.uint64(bit) == 0:
                continue
            value = values[i] if values.size > 0 else 1.0
            if np.isnan(value):
                continue
            if i >= at:
                after[user] += value if times[i] - times[at] <= within else 0.0
            elif times[at] - times[i] <= earlier:
                before[user] += value
