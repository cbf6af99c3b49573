"""Where paths and users end, as a mark on every event.

With the marks one loop walks along all paths, where a loop for each would end at places that no processor foresees.
"""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import kernel

PATH_END, USER_END = np.uint8(1), np.uint8(2)


@kernel
def mark_ends(user_paths, ends, origin, marks):
    """Mark the last event of every path, and of every user, among the events from `origin` on."""
    marks[:] = 0
    for path in range(user_paths[0], user_paths[-1]):
        marks[ends[path] - 1 - origin] = PATH_END
    for user in range(user_paths.size - 1):
        if user_paths[user + 1] > user_paths[user]:
            marks[ends[user_paths[user + 1] - 1] - 1 - origin] = USER_END
