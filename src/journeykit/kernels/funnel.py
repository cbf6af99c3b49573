"""How far each path gets through an ordered funnel within a window. DEFINITIONS D7.2 to D7.4."""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import kernel

NEVER = np.iinfo(np.int64).min


@kernel
def funnel_levels(user_paths, starts, ends, codes, times, masks, steps, window, levels):
    """Write the furthest step of every path, by the latest start that a chain to each step can have.

    Bit k of ``masks[code]`` says that the event matches step k + 1. Every step-1 event starts a run; a later
    position is later, ties included; `window` from the start is inclusive, negative for none.
    """
    since = np.empty(steps, np.int64)
    for path in range(user_paths[0], user_paths[-1]):
        since[:] = NEVER
        level = 0
        for i in range(starts[path], ends[path]):
            mask = masks[codes[i]]
            if mask == 0:
                continue
            for step in range(min(level, steps - 1), 0, -1):
                if (mask >> step) & 1 and since[step - 1] != NEVER:
                    if window < 0 or times[i] - since[step - 1] <= window:
                        since[step] = since[step - 1]
                        level = max(level, step + 1)
            if mask & 1:
                since[0] = times[i]
                level = max(level, 1)
        levels[path - user_paths[0]] = level
