"""The scan of ClickHouse's windowFunnel: how far each path gets, by the chains each level keeps. DEFINITIONS D7.14.

Levels count from 1; ``first[k]`` is when the chain of level k began, NEVER if there is none. Events of one instant are
taken together, by the number of the condition that they fit.
"""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import inlined, kernel
from journeykit.kernels.funnels.matching import grow

NEVER = np.iinfo(np.int64).min
ONE = np.uint64(1)


@kernel
def window_levels(starts, ends, codes, masks, times, rule, room, levels):
    """Write the highest level of every path.

    Bit k - 1 of ``masks[code]`` says that the event fits condition k. `rule` is: number of conditions, window, and
    whether the modes strict_increase, strict_once, strict_deduplication, strict_order, allow_reentry are on. `room` is
    for the places of the events of any path, and four times for the conditions and one more.
    """
    count, once, in_order = rule[0], rule[3], rule[5]
    at, first, last, owner, fresh = room
    for path in range(starts.size):
        size, met = list_fitting(starts[path], ends[path], codes, masks, in_order, at)
        levels[path] = 0
        if not met & ONE:
            continue
        first[:] = NEVER
        j, going = 0, True
        while j < size and going:
            begin, time = at[j], times[at[j]]
            while j < size and times[at[j]] == time:
                j += 1
            after = at[j - 1] + 1
            if once:
                going = instant_once(codes, masks, time, begin, after, rule, first, fresh, owner)
            else:
                going = instant(codes, masks, time, begin, after, rule, first, last)
        level = count
        while level > 0 and first[level] == NEVER:
            level -= 1
        levels[path] = level


@inlined
def list_fitting(start, end, codes, masks, every, at):
    """List the events of a path that fit a condition, or every one; return how many, and all conditions met."""
    n, met = np.uint64(0), np.uint64(0)
    for i in range(np.uint64(start), np.uint64(end)):
        mask = masks[codes[i]]
        at[n] = np.int64(i)
        n += np.uint64((mask != 0) | every)
        met |= mask
    return np.int64(n), met


@inlined
def instant(codes, masks, time, begin, after, rule, first, last):
    """Take the events of one instant, each chain of a level replacing the one before; tell whether the scan goes on."""
    count, in_order = rule[0], rule[5]
    for k in range(0 if in_order else 1, count + 1):
        for i in range(begin, after):
            mask = masks[codes[i]]
            if k == 0:
                if mask == 0 and first[1] != NEVER:
                    return False
            elif (mask >> np.uint64(k - 1)) & ONE:
                if not goes_on(k, time, rule, first, last) or first[count] != NEVER:
                    return False
    return True


@inlined
def goes_on(k, time, rule, first, last):
    """Read one entry of a condition; tell whether the scan goes on after it."""
    _, window, increase, _, deduplicate, in_order, reentry = rule
    if k == 1:
        first[1] = last[1] = time
    elif deduplicate and first[k] != NEVER:
        return False
    elif first[k - 1] == NEVER:
        return not in_order or reentry or first[1] == NEVER
    elif time - first[k - 1] <= window and not (increase and last[k - 1] == time):
        first[k], last[k] = first[k - 1], time
    return True


@kernel
def instant_once(codes, masks, time, begin, after, rule, first, fresh, owner):
    """Take the events of one instant, each once in a chain, all chains kept; tell whether the scan goes on.

    Only events of one instant can serve a chain twice, so earlier chains need no record of their events.
    """
    count, _, _, _, deduplicate, in_order, reentry = rule
    fresh[:] = NEVER
    going = True
    for k in range(0 if in_order else 1, count + 1):
        for i in range(begin, after):
            mask = masks[codes[i]]
            if k == 0:
                going = going and not (mask == 0 and first[1] != NEVER)
                continue
            if not going or not (mask >> np.uint64(k - 1)) & ONE:
                continue
            since = latest_start(codes, masks, time, begin, after, k, i, rule, first, owner)
            if k > 1 and first[k - 1] == NEVER and fresh[k - 1] == NEVER:
                started = first[1] != NEVER or fresh[1] != NEVER
                going = not (started and in_order and not reentry)
            elif k > 1 and deduplicate and (first[k] != NEVER or fresh[k] != NEVER):
                going = first[k - 1] == NEVER and since == NEVER
            else:
                fresh[k] = max(fresh[k], since)
                going = fresh[count] == NEVER
    for k in range(1, count + 1):
        first[k] = max(first[k], fresh[k])
    return going


@kernel
def latest_start(codes, masks, time, begin, after, k, event, rule, first, owner):
    """Return the latest start of a chain that an event can bring to level k; NEVER if there is none.

    The chain was at some level before this instant, and takes the levels up to k - 1 from other events of it.
    """
    window, increase = rule[1], rule[2]
    latest = NEVER
    for level in range(k - 1, -1, -1):
        needed = k - 1 - level
        if needed > 0 and (increase or not can_make(codes, masks, begin, after, level, needed, event, owner)):
            break
        start = time if level == 0 else first[level]
        if start != NEVER and time - start <= window:
            latest = max(latest, start)
    return latest


@kernel
def can_make(codes, masks, begin, after, level, needed, event, owner):
    """Tell whether the levels after one can each have an event of this instant of their own, without one event."""
    owner[:] = 0
    wanted = (ONE << np.uint64(needed)) - ONE
    made = 0
    for i in range(begin, after):
        fits = np.int64((masks[codes[i]] >> np.uint64(level)) & wanted)
        if i != event and fits != 0 and grow(owner[:needed], fits):
            made += 1
        if made == needed:
            return True
    return False
