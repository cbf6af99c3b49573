"""The longest chain of a run: by the earliest match where that is exact, else by all that can be reached. D7.2 to D7.4.

Steps count from 0 here, optional ones left out. A chain is written as positions in the list of relevant events;
``chain[k]`` is step k's, from the step that the run starts with.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from journeykit.kernels.compiling import kernel
from journeykit.kernels.funnel_lists import Listed, usable
from journeykit.kernels.matching import matching_size

Int64s = npt.NDArray[np.int64]
Masks = npt.NDArray[np.uint64]

ONE = np.uint64(1)


class Steps(NamedTuple):
    """What may follow what.

    Attributes
    ----------
    bits : numpy.ndarray of uint64, steps
        The bit of each step in the masks.
    low, high : numpy.ndarray of int64, steps
        Least and most time from the step before, in microseconds; `low` is below 0 where grace allows it.
    direct : numpy.ndarray of bool, steps
        Whether it must be the very next event.
    by_position : bool
        A later position follows, whatever the times; else times alone decide.
    grace : int
        Where times decide: by how much they may be apart and still count as one, in microseconds.
    reuse : bool
        An event may make several steps.
    distinct : bool
        The rules above do not yet keep an event from making two steps.
    """

    bits: Masks
    low: Int64s
    high: Int64s
    direct: npt.NDArray[np.bool_]
    by_position: bool
    grace: int
    reuse: bool
    distinct: bool


@kernel
def greedy_chain(
    listed: Listed, steps: Steps, first: int, start: int, lo: int, hi: int, chain: Int64s
) -> int:
    """Match each step by the earliest event that may follow; return the number of steps, those before `first` too.

    Exact where a step has neither `direct` nor a longest gap, and where no event makes two steps or positions decide.
    """
    chain[first] = start
    level = first + 1
    while level < steps.bits.size:
        before = chain[level - 1]
        earliest = listed.times[before] + steps.low[level]
        j = before if steps.reuse or not steps.by_position else before + 1
        if not steps.by_position:
            while j > lo and listed.times[j - 1] >= earliest:
                j -= 1
        found = False
        while j < hi and listed.times[j] <= listed.deadlines[start]:
            if (
                listed.masks[j] & steps.bits[level]
                and listed.times[j] >= earliest
                and usable(listed, start, j)
            ):
                if steps.reuse or j != before:
                    found = True
                    break
            j += 1
        if not found:
            break
        chain[level] = j
        level += 1
    return level


@kernel
def may_follow(listed: Listed, steps: Steps, level: int, i: int, j: int) -> bool:
    """Tell whether step `level` at j may follow the step before at i. D7.2, D7.3."""
    gap = listed.times[j] - listed.times[i]
    if gap < steps.low[level] or gap > steps.high[level]:
        return False
    if i == j and not steps.reuse:
        return False
    if not steps.by_position:
        return not steps.direct[level] or listed.ranks[i] >= listed.times[j] - steps.grace
    return listed.ranks[j] == listed.ranks[i] + 1 if steps.direct[level] else j >= i


@kernel
def mark_reached(
    listed: Listed, steps: Steps, level: int, start: int, lo: int, hi: int, reach: Masks
) -> bool:
    """Mark the events at which a chain can have step `level`, from the marks of the step before."""
    before, bit, met = np.uint64(level - 1), ONE << np.uint64(level), False
    pointer, latest = lo, -1
    for j in range(lo, hi):
        limit = listed.times[j] - steps.low[level]
        while pointer < hi and listed.times[pointer] <= limit:
            if steps.by_position and (pointer > j or (pointer == j and not steps.reuse)):
                break
            if (reach[pointer] >> before) & ONE:
                latest = pointer
            pointer += 1
        if not (listed.masks[j] & steps.bits[level] and usable(listed, start, j)):
            continue
        i = j - 1 if steps.direct[level] and steps.by_position else latest
        if i >= lo and (reach[i] >> before) & ONE and (i == j or may_follow(listed, steps, level, i, j)):
            reach[j] |= bit
            met = True
    return met


@kernel
def keep_leading(listed: Listed, steps: Steps, level: int, lo: int, hi: int, reach: Masks) -> None:
    """Of the marks of the step before `level`, keep those from which a marked event of `level` may follow."""
    before, after = ONE << np.uint64(level - 1), np.uint64(level)
    pointer, earliest = hi - 1, -1
    for i in range(hi - 1, lo - 1, -1):
        limit = listed.times[i] + steps.low[level]
        while pointer >= lo and listed.times[pointer] >= limit:
            if steps.by_position and (pointer < i or (pointer == i and not steps.reuse)):
                break
            if (reach[pointer] >> after) & ONE:
                earliest = pointer
            pointer -= 1
        if not reach[i] & before:
            continue
        j = i + 1 if steps.direct[level] and steps.by_position else earliest
        leads = 0 <= j < hi and (reach[j] >> after) & ONE != 0
        if not (leads and (i == j or may_follow(listed, steps, level, i, j))):
            reach[i] &= ~before


@kernel
def tried_before(listed: Listed, reach: Masks, level: int, j: int, lo: int, used: Int64s, first: int) -> bool:
    """Tell whether an unused event of the same instant and kind comes before j: j cannot lead further."""
    i = j - 1
    while i >= lo and listed.times[i] == listed.times[j]:
        if listed.masks[i] == listed.masks[j] and reach[i] == reach[j]:
            in_use = False
            for k in range(first, level):
                in_use |= used[k] == i
            if not in_use:
                return True
        i -= 1
    return False


@kernel
def first_marked(
    listed: Listed,
    steps: Steps,
    level: int,
    first: int,
    j: int,
    lo: int,
    hi: int,
    reach: Masks,
    chain: Int64s,
) -> int:
    """Return the first marked event from j on that may follow the chain so far; `hi` if there is none."""
    anything_direct = False
    for k in range(steps.direct.size):
        anything_direct |= steps.direct[k]
    while j < hi:
        if (reach[j] >> np.uint64(level)) & ONE and may_follow(listed, steps, level, chain[level - 1], j):
            fresh = True
            if steps.distinct:
                for k in range(first, level):
                    fresh &= chain[k] != j
                fresh = fresh and (
                    anything_direct or not tried_before(listed, reach, level, j, lo, chain, first)
                )
            if fresh:
                return j
        j += 1
    return hi


@kernel
def pick_chain(
    listed: Listed, steps: Steps, first: int, length: int, lo: int, hi: int, reach: Masks, chain: Int64s
) -> bool:
    """Write the smallest chain of marked events, going back where one would be used twice; tell if there is one."""
    level = first + 1
    lowest = chain[first] if steps.by_position else lo
    j = lowest
    while first < level < length:
        j = first_marked(listed, steps, level, first, j, lo, hi, reach, chain)
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
    listed: Listed, steps: Steps, first: int, start: int, lo: int, hi: int, reach: Masks, chain: Int64s
) -> int:
    """Find the longest chain from `start`, the smallest of these; return the number of steps. D7.4.

    Forward: where each step can be reached. Backward: from where the last step can. Then the first choice of each
    step is right at once, unless one event could make two steps at one instant: these few chains are searched.
    """
    end = start
    while end < hi and listed.times[end] <= listed.deadlines[start]:
        end += 1
    if steps.by_position:
        lo = start
    most = steps.bits.size
    while True:
        reach[lo:end] = 0
        reach[start] = ONE << np.uint64(first)
        length = first + 1
        while length < most and mark_reached(listed, steps, length, start, lo, end, reach):
            length += 1
        for level in range(length - 1, first, -1):
            keep_leading(listed, steps, level, lo, end, reach)
        chain[first] = start
        if steps.distinct and matching_size(reach, lo, end, first, length) < length - first:
            most = length - 1
        elif pick_chain(listed, steps, first, length, lo, end, reach, chain):
            return length
        else:
            most = length - 1
