"""Which states come some time after which. DEFINITIONS D8.8."""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import kernel
from journeykit.kernels.counting import add_one, slot_of

PAIRS = np.uint64(5)


@kernel
def count_following(user_paths, starts, ends, codes, cells, size, each_pair, room, states, pairs):
    """Count the paths in which a state comes later than another one, and with `each_pair` every such pair of events.

    `states` and `pairs` = (keys, rows, table). `room` = (states met, in their order; how often each was; how many had
    been met when each was met last), one place per state, zeros.
    """
    met, times, known_at = room
    for user in range(user_paths.size - 1):
        for path in range(user_paths[user], user_paths[user + 1]):
            base, known = cells[path] * size, 0
            for i in range(starts[path], ends[path]):
                state = np.int64(codes[i])
                first = known_at[state] if times[state] > 0 else 0
                for k in range(0 if each_pair else first, known):
                    row = slot_of(pairs[0], pairs[1], (base + met[k]) * size + state)
                    if k >= first:
                        add_one(pairs[2], row, np.int64(path), user)
                    pairs[2][row, PAIRS] += times[met[k]]
                known_at[state] = known
                if times[state] == 0:
                    add_one(states[2], slot_of(states[0], states[1], base + state), np.int64(path), user)
                    met[known] = state
                    known += 1
                times[state] += 1
            for k in range(known):
                times[met[k]] = 0
