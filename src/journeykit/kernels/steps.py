"""What happens at the k-th step of paths, and between two steps. DEFINITIONS D3.4, D8.1 to D8.3."""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import kernel
from journeykit.kernels.transitions import add_one, slot_of

GAPS = np.uint64(5)


@kernel
def find_events(firsts, ends, codes, masks, bit, nth, found):
    """Find the n-th event (0: the last) of every path, from `firsts` on, that fits a matcher; -1 if there is none."""
    for path in range(firsts.size):
        found[path] = -1
        seen = 0
        for i in range(firsts[path], ends[path]):
            if masks[codes[i]] & bit:
                seen += 1
                if nth in (0, seen):
                    found[path] = i
                if seen == nth:
                    break


@kernel
def count_steps(starts, ends, codes, cells, origins, rule, keys, rows, table, before, after):
    """Count the states at the steps around the event at `origins` of every path (-1 counts no path).

    `rule` = (states, first step, last step). `before[cell, k]` counts the paths that have their first event at the
    k-th of these steps, `after[cell, k]` those whose END comes first there; the last column is for neither.
    """
    size, first, last = rule
    steps = last - first + 1
    for path in range(starts.size):
        origin = origins[path]
        if origin < -1 or starts[path] == ends[path]:
            continue
        low, high = max(first, starts[path] - origin), min(last, ends[path] - 1 - origin)
        before[cells[path], low - first] += 1
        after[cells[path], high + 1 - first] += 1
        base = (cells[path] * steps - first) * size
        for step in range(low, high + 1):
            table[slot_of(keys, rows, base + step * size + np.int64(codes[origin + step])), 0] += 1


@kernel
def event_at(step, length, first, last, limit):
    """Return where the event of a step (from 0) stands, and whether it stands for those left out between. D3.4."""
    if length <= limit:
        return first + step, False
    half = limit // 2
    if step < half:
        return first + step, False
    return (first + step, True) if step == half else (last - 2 * half - 1 + step, False)


@kernel
def shown_state(state, step, cell, rule, shown):
    """Return a state, or OTHER if it is not among those shown at a step; `shown` is ascending, empty for all."""
    size, steps, other = rule
    if shown.size == 0:
        return state
    key = (cell * steps + step) * size + state
    place = np.searchsorted(shown, key)
    return state if place < shown.size and shown[place] == key else other


@kernel
def count_flow(paths, codes, times, cells, segments, rule, limits, shown, ended, keys, rows, table, gaps):
    """Count the moves between the steps of every path, with END behind its last event if it `ended`. D8.3.

    `paths` = (user offsets, first positions, ends); `rule` = (states, steps, OTHER), END = OTHER + 1;
    `limits` = (most steps, longest path that has no events left out in its middle). `gaps` takes (row, time) of every
    timed move, or is empty. Returns how many gaps there are.
    """
    user_paths, firsts, lasts = paths
    size, steps, other = rule
    n = 0
    for user in range(user_paths.size - 1):
        for path in range(user_paths[user], user_paths[user + 1]):
            length = lasts[path] - firsts[path]
            nodes = min(length, limits[0])
            source, since = np.int64(-1), np.int64(0)
            for step in range(nodes + (ended[path] and nodes == length and nodes < steps)):
                place, hidden = event_at(min(step, length - 1), length, firsts[path], lasts[path], limits[1])
                target, at = other + 1, since
                if step < nodes:
                    at = times[place]
                    state = np.int64(codes[place])
                    target = other if hidden else shown_state(state, step, segments[path], rule, shown)
                if source >= 0:
                    key = ((cells[path] * steps + step - 1) * size + source) * size + target
                    row = slot_of(keys, rows, key)
                    add_one(table, row, np.int64(path), user)
                    table[row, GAPS] += at - since
                    if gaps.size > 0 and step < nodes:
                        gaps[n, 0], gaps[n, 1] = row, at - since
                        n += 1
                source, since = target, at
    return n
