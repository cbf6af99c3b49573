"""What happens at the k-th step of paths, and between two steps. DEFINITIONS D3.4, D8.1 to D8.3."""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import kernel
from journeykit.kernels.counting import add_one, slot_of

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
def shown_state(state, step, segment, rule, shown):
    """Return a state, or OTHER if it is not among those shown at a step; `shown` is ascending, empty for all."""
    names, columns = rule
    if shown.size == 0:
        return state
    key = (segment * columns + step) * (names + 3) + state
    place = np.searchsorted(shown, key)
    return state if place < shown.size and shown[place] == key else names + 1


@kernel
def count_flow(paths, codes, times, cells, segments, rule, limit, shown, ended, keys, rows, table, gaps):
    """Count the paths in every state at every step, and the moves between steps, to END if a path `ended`. D8.3.

    `paths` = (user offsets, first positions, ends); `rule` = (names, columns): START, OTHER, END are the next states;
    a path longer than `limit` shows its two ends. A state at a step is counted as if it came from END. `gaps` takes
    (row, time) of every timed move, or is empty. Returns how many of these there are.
    """
    user_paths, firsts, lasts = paths
    names, columns = rule
    size, end, n = names + 3, np.int64(names + 2), 0
    for user in range(user_paths.size - 1):
        for path in range(user_paths[user], user_paths[user + 1]):
            length = lasts[path] - firsts[path]
            nodes = min(length, columns)
            source, since = end, np.int64(0)
            for step in range(nodes + (0 < length < columns and ended[path])):
                target, at, base = end, since, (cells[path] * columns + step) * size
                if step < nodes:
                    place, hidden = event_at(step, length, firsts[path], lasts[path], limit)
                    target, at = np.int64(names + 1), times[place]
                    if not hidden:
                        target = shown_state(np.int64(codes[place]), step, segments[path], rule, shown)
                    add_one(table, slot_of(keys, rows, (base + end) * size + target), np.int64(path), user)
                if step > 0:
                    row = slot_of(keys, rows, (base + source) * size + target)
                    add_one(table, row, np.int64(path), user)
                    table[row, GAPS] += at - since
                    if gaps.size > 0 and step < nodes:
                        gaps[n, 0], gaps[n, 1] = row, at - since
                        n += 1
                source, since = target, at
    return n
