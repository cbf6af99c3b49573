"""Survival of waits that may be censored, with the replicates of the jackknife. DEFINITIONS D14.1, D12.3.

A wait is packed as ``microseconds << 7 | censored << 6 | group``, so that sorted waits come in the order of time,
and at equal times events before censorings.
"""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import kernel

CENSORED = 1 << 6
GROUP_BITS = CENSORED - 1
TIME_SHIFT = 7
ROUNDING = 1e-12


@kernel
def pack_pairs(things, values, room, packed):
    """Put a thing above `room` bits of its value."""
    for i in range(things.size):
        packed[i] = things[i] << room | values[i]


@kernel
def count_pairs(packed, room, things, values, counts):
    """List the distinct ones of sorted pairs with their counts; return how many there are."""
    n = -1
    before = np.int64(-1)
    for pair in packed:
        if pair != before:
            n += 1
            things[n], values[n], counts[n] = pair >> room, pair & ((1 << room) - 1), 0
            before = pair
        counts[n] += 1
    return n + 1


@kernel
def count_waits(first, second, values, closed, groups, counts, place, size, totals):
    """Count the waits of every thing; `place` maps its key, first x size + second (size 0: first), to its number."""
    for i in range(values.size):
        key = np.int64(first[i])
        totals[place[key * size + np.int64(second[i]) if size > 0 else key]] += counts[i]


@kernel
def pack_waits(first, second, values, closed, groups, counts, place, size, censors, places, packed):
    """Write every wait `counts` times at its thing's place, which moves on; keys as above."""
    for i in range(values.size):
        key = np.int64(first[i])
        thing = place[key * size + np.int64(second[i]) if size > 0 else key]
        wait = (values[i] << TIME_SHIFT) | np.int64(groups[i])
        if censors and closed[i] == 0:
            wait |= CENSORED
        for _ in range(counts[i]):
            packed[places[thing]] = wait
            places[thing] += 1


@kernel
def count_groups(packed, reached, sizes, below):
    """Count the waits of every group, and those among the first `reached`."""
    for i in range(packed.size):
        sizes[packed[i] & GROUP_BITS] += 1
        below[packed[i] & GROUP_BITS] += i < reached


@kernel
def time_of_survival(packed, level):
    """Return the first time at which S <= level, and S there; -1 and the last S if there is none.

    In a run of events without a censoring between them the product of Kaplan-Meier is (at risk after it) /
    (at risk before it): S(t) = `survival` before the run x left / `at_risk`.
    """
    survival, at_risk, in_run, crossed = 1.0, 1.0, False, np.int64(-1)
    for i in range(packed.size):
        time, censored = packed[i] >> TIME_SHIFT, packed[i] & CENSORED != 0
        if crossed >= 0 and (censored or time > crossed):
            return crossed, survival * ((packed.size - i) / at_risk)
        if in_run and censored:
            survival *= (packed.size - i) / at_risk
        elif not in_run and not censored:
            at_risk = np.float64(packed.size - i)
        in_run = not censored
        if in_run and crossed < 0 and survival * (packed.size - i - 1) <= (level + ROUNDING) * at_risk:
            crossed = time
    return crossed, 0.0 if in_run else survival


@kernel
def replicates_at(packed, until, survivals):
    """Write S(until) without each group into `survivals`, run by run as above; NaN where nobody is left."""
    groups = survivals.size
    left, at_risk = np.zeros(groups), np.zeros(groups)
    for wait in packed:
        left[wait & GROUP_BITS] += 1.0
    for g in range(groups):
        survivals[g] = 1.0 if left[g] < packed.size else np.nan
    in_run = False
    for i in range(packed.size + 1):
        over = i == packed.size or packed[i] >> TIME_SHIFT > until
        censored = over or packed[i] & CENSORED != 0
        n = np.float64(packed.size - i)
        if in_run and censored:
            for g in range(groups):
                survivals[g] *= (n - left[g]) / at_risk[g] if at_risk[g] > 0 else 1.0
        elif not in_run and not censored:
            for g in range(groups):
                at_risk[g] = n - left[g]
        if over:
            return
        in_run = not censored
        left[packed[i] & GROUP_BITS] -= 1.0
