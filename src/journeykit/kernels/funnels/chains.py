"""The longest chain of a run: by the earliest match where that is exact, else by all that can be reached. D7.2 to D7.4.

Steps count from 0 here, optional ones left out. A chain is written as positions in the list of relevant events;
``chain[k]`` is step k's, from the step that the run starts with.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from journeykit.kernels.compiling import inlined, kernel
from journeykit.kernels.funnels.lists import (
    BIT,
    DEADLINE,
    DIRECT,
    HIGH,
    LOW,
    MASK,
    RANK,
    TIME,
    How,
    usable,
)
from journeykit.kernels.funnels.matching import matching_size

Int64s = npt.NDArray[np.int64]


@inlined
def greedy_chain(
    events: Int64s, steps: Int64s, how: How, first: int, start: int, lo: int, hi: int, chain: Int64s
) -> int:
    """Match each step by the earliest event that may follow; return the number of steps, those before `first` too.

    Exact where a step has neither `direct` nor a longest gap, and where no event makes two steps or positions decide.
    """
    chain[first] = start
    level = first + 1
    while level < steps.shape[0]:
        before = chain[level - 1]
        earliest = events[before, TIME] + steps[level, LOW]
        j = before if how.reuse or not how.by_position else before + 1
        if not how.by_position:
            while j > lo and events[j - 1, TIME] >= earliest:
                j -= 1
        found = False
        while j < hi and events[j, TIME] <= events[start, DEADLINE]:
            if (
                events[j, MASK] & steps[level, BIT]
                and events[j, TIME] >= earliest
                and usable(events, start, j)
            ):
                if how.reuse or j != before:
                    found = True
                    break
            j += 1
        if not found:
            break
        chain[level] = j
        level += 1
    return level


@kernel
def may_follow(events: Int64s, steps: Int64s, how: How, level: int, i: int, j: int) -> bool:
    """Tell whether step `level` at j may follow the step before at i. D7.2, D7.3."""
    gap = events[j, TIME] - events[i, TIME]
    if gap < steps[level, LOW] or gap > steps[level, HIGH]:
        return False
    if i == j and not how.reuse:
        return False
    if not how.by_position:
        return not steps[level, DIRECT] or events[i, RANK] >= events[j, TIME] - how.grace
    return events[j, RANK] == events[i, RANK] + 1 if steps[level, DIRECT] else j >= i


@kernel
def mark_reached(
    events: Int64s, steps: Int64s, how: How, level: int, start: int, lo: int, hi: int, reach: Int64s
) -> bool:
    """Mark the events at which a chain can have step `level`, from the marks of the step before."""
    before, bit, met = level - 1, 1 << level, False
    pointer, latest = lo, -1
    for j in range(lo, hi):
        limit = events[j, TIME] - steps[level, LOW]
        while pointer < hi and events[pointer, TIME] <= limit:
            if how.by_position and (pointer > j or (pointer == j and not how.reuse)):
                break
            if (reach[pointer] >> before) & 1:
                latest = pointer
            pointer += 1
        if not (events[j, MASK] & steps[level, BIT] and usable(events, start, j)):
            continue
        i = j - 1 if steps[level, DIRECT] and how.by_position else latest
        if i >= lo and (reach[i] >> before) & 1 and (i == j or may_follow(events, steps, how, level, i, j)):
            reach[j] |= bit
            met = True
    return met


@kernel
def keep_leading(
    events: Int64s, steps: Int64s, how: How, level: int, lo: int, hi: int, reach: Int64s
) -> None:
    """Of the marks of the step before `level`, keep those from which a marked event of `level` may follow."""
    before, after = 1 << (level - 1), level
    pointer, earliest = hi - 1, -1
    for i in range(hi - 1, lo - 1, -1):
        limit = events[i, TIME] + steps[level, LOW]
        while pointer >= lo and events[pointer, TIME] >= limit:
            if how.by_position and (pointer < i or (pointer == i and not how.reuse)):
                break
            if (reach[pointer] >> after) & 1:
                earliest = pointer
            pointer -= 1
        if not reach[i] & before:
            continue
        j = i + 1 if steps[level, DIRECT] and how.by_position else earliest
        leads = 0 <= j < hi and (reach[j] >> after) & 1 != 0
        if not (leads and (i == j or may_follow(events, steps, how, level, i, j))):
            reach[i] &= ~before


@kernel
def tried_before(
    events: Int64s, reach: Int64s, level: int, j: int, lo: int, used: Int64s, first: int
) -> bool:
    """Tell whether an unused event of the same instant and kind comes before j: j cannot lead further."""
    i = j - 1
    while i >= lo and events[i, TIME] == events[j, TIME]:
        if events[i, MASK] == events[j, MASK] and reach[i] == reach[j]:
            in_use = False
            for k in range(first, level):
                in_use |= used[k] == i
            if not in_use:
                return True
        i -= 1
    return False


@kernel
def first_marked(
    events: Int64s, steps: Int64s, how: How, level: int, first: int, j: int, lo: int, hi: int,
    reach: Int64s, chain: Int64s,
) -> int:  # fmt: skip
    """Return the first marked event from j on that may follow the chain so far; `hi` if there is none."""
    direct = 0
    for k in range(steps.shape[0]):
        direct += steps[k, DIRECT]
    while j < hi:
        if (reach[j] >> level) & 1 and may_follow(events, steps, how, level, chain[level - 1], j):
            fresh = True
            if how.distinct:
                for k in range(first, level):
                    fresh &= chain[k] != j
                fresh = fresh and (direct > 0 or not tried_before(events, reach, level, j, lo, chain, first))
            if fresh:
                return j
        j += 1
    return hi


@kernel
def pick_chain(
    events: Int64s,
    steps: Int64s,
    how: How,
    first: int,
    length: int,
    lo: int,
    hi: int,
    reach: Int64s,
    chain: Int64s,
) -> bool:
    """Write the smallest chain of marked events, going back where one would be used twice; tell if there is one."""
    level = first + 1
    lowest = chain[first] if how.by_position else lo
    j = lowest
    while first < level < length:
        j = first_marked(events, steps, how, level, first, j, lo, hi, reach, chain)
        if j < hi:
            chain[level] = j
            level += 1
            j = lowest
        else:
            level -= 1
            j = chain[level] + 1
    return level == length


@kernel
def exact_chain(
    events: Int64s,
    steps: Int64s,
    how: How,
    first: int,
    start: int,
    lo: int,
    hi: int,
    reach: Int64s,
    chain: Int64s,
) -> int:
    """Find the longest chain from `start`, the smallest of these; return the number of steps. D7.4.

    Forward: where each step can be reached. Backward: from where the last step can. Then the first choice of each
    step is right at once, unless one event could make two steps at one instant: these few chains are searched.
    """
    end = start
    while end < hi and events[end, TIME] <= events[start, DEADLINE]:
        end += 1
    if how.by_position:
        lo = start
    most = steps.shape[0]
    while True:
        reach[lo:end] = 0
        reach[start] = 1 << first
        length = first + 1
        while length < most and mark_reached(events, steps, how, length, start, lo, end, reach):
            length += 1
        for level in range(length - 1, first, -1):
            keep_leading(events, steps, how, level, lo, end, reach)
        chain[first] = start
        if how.distinct and matching_size(reach, lo, end, first, length) < length - first:
            most = length - 1
        elif pick_chain(events, steps, how, first, length, lo, end, reach, chain):
            return length
        else:
            most = length - 1
