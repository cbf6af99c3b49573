"""How long it takes from one event to another. DEFINITIONS D14.1."""

from __future__ import annotations

from journeykit.kernels.compiling import kernel


@kernel
def occurs(codes, masks, i, first, bit, by_run):
    """Tell whether an event fits a matcher; by runs, whether it is the first one of a run of those that do."""
    if masks[codes[i]] & bit == 0:
        return False
    return not (by_run and i > first and masks[codes[i - 1]] & bit != 0)


@kernel
def list_waits(starts, ends, times, codes, masks, stops, rule, paths, origins, goals, waits, closed):
    """List the waits from starts (bit 0 of a mask) to the next end (bit 1) strictly after; return how many.

    `rule` = (by runs, every start or only a path's first, longest wait). A wait without an end in time is not closed:
    it lasts until `stops` of its path, or as long as the longest. `goals` holds where the next end is, or -1.
    """
    by_run, every, within = rule
    n = 0
    for path in range(starts.size):
        first, end, goal = starts[path], ends[path], starts[path]
        for i in range(first, end):
            if not occurs(codes, masks, i, first, 1, by_run):
                continue
            if goal <= i:
                goal = i + 1
                while goal < end and not occurs(codes, masks, goal, first, 2, by_run):
                    goal += 1
            ended = goal < end and times[goal] - times[i] <= within
            wait = times[goal] - times[i] if ended else min(stops[path] - times[i], within)
            paths[n], origins[n], waits[n], closed[n] = path, i, wait, ended
            goals[n] = goal if goal < end else -1
            n += 1
            if not every:
                break
    return n
