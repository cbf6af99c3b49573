"""Which channels paths use, and where they switch from one to another."""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import kernel
from journeykit.kernels.counting import add_one, slot_of

ONLINE, OFFLINE = 1, 2


@kernel
def walk_channels(user_paths, starts, ends, channels, offline, cells, seen, keys, rows, table, used, sides):
    """Count the switches of every path per cell, source and target; say how many channels it used, and which sides.

    A channel of -1 is not known: what comes before it counts as the source. `seen` remembers per channel the last path
    that used it.
    """
    size = offline.size
    for user in range(user_paths.size - 1):
        for path in range(user_paths[user], user_paths[user + 1]):
            base, before = np.int64(cells[path]) * size, np.int64(-1)
            used[path], sides[path] = 0, 0
            for i in range(starts[path], ends[path]):
                channel = np.int64(channels[i])
                if channel < 0:
                    continue
                if before >= 0 and channel != before:
                    add_one(table, slot_of(keys, rows, (base + before) * size + channel), path, user)
                if seen[channel] != path + 1:
                    seen[channel] = path + 1
                    used[path] += 1
                    sides[path] |= OFFLINE if offline[channel] else ONLINE
                before = channel
