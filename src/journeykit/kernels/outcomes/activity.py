"""In which periods users are active: what retention, lifecycle, stickiness and active users share. DEFINITIONS D9."""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import kernel

NEW, RETURNING, RESURRECTING, DORMANT, ACTIVE = 0, 1, 2, 3, 4
NOT_YET = -2


@kernel
def mask_of(codes, masks, i):
    """Return which matchers an event fits; all of them without masks."""
    if masks.size == 0:
        return 3
    return np.int64(masks[codes[i]])


@kernel
def period_of(edges, scale, time):
    """Return the period of a time: -1 before the first edge, ``edges.size - 1`` from the last one on.

    `scale` is periods per microsecond on average, so that the guess is off by one or two at most.
    """
    count = edges.size - 1
    period = np.int64(min(max((time - edges[0]) * scale, 0.0), np.float64(count - 1)))
    while period < count and time >= edges[period + 1]:
        period += 1
    while period >= 0 and time < edges[period]:
        period -= 1
    return period


@kernel
def active_periods(first, end, times, codes, masks, edges, scale, periods, entered, returned):
    """List one user's active periods; return how many, and the period of the first start (-2: none before the end).

    Per period: its number, and how many of its events have bit 0 of their masks (starts) and bit 1 (returns).
    """
    n, first_start, i = 0, NOT_YET, first
    while i < end:
        period = period_of(edges, scale, times[i])
        if period == edges.size - 1:
            break
        until, begin, starts, returns = edges[period + 1], i, 0, 0
        if masks.size == 0:
            while i < end and times[i] < until:
                i += 1
            starts, returns = i - begin, i - begin
        else:
            while i < end and times[i] < until:
                mask = np.int64(masks[codes[i]])
                starts, returns = starts + (mask & 1), returns + (mask >> 1 & 1)
                i += 1
        if first_start == NOT_YET and starts > 0:
            first_start = period
        if period >= 0 and starts + returns > 0:
            periods[n], entered[n], returned[n] = period, starts, returns
            n += 1
    return n, first_start


@kernel
def count_lifecycle(starts, ends, times, codes, masks, cells, grid, by_activity, scratch, table):
    """Count users as new, returning, resurrecting, dormant and active per cell and period. D9.8.

    A user is new in the period of the first event of any kind, or `by_activity` of the first that fits.
    """
    edges, scale = grid
    periods, entered, returned = scratch
    for user in range(starts.size):
        row = cells[user]
        n, first = active_periods(
            starts[user], ends[user], times, codes, masks, edges, scale, periods, entered, returned
        )
        if not by_activity and n > 0:
            first = period_of(edges, scale, times[starts[user]])
        for j in range(n):
            period = periods[j]
            table[row, period, ACTIVE] += 1
            if period == first:
                table[row, period, NEW] += 1
            elif j > 0 and periods[j - 1] == period - 1:
                table[row, period, RETURNING] += 1
            else:
                table[row, period, RESURRECTING] += 1
            if period + 1 < table.shape[1] and (j + 1 == n or periods[j + 1] > period + 1):
                table[row, period + 1, DORMANT] += 1


@kernel
def count_stickiness(starts, ends, times, codes, masks, cells, grid, scratch, table):
    """Count users by the number of their active periods: column k - 1 holds those of k. D9.9."""
    edges, scale = grid
    periods, entered, returned = scratch
    for user in range(starts.size):
        n, _ = active_periods(
            starts[user], ends[user], times, codes, masks, edges, scale, periods, entered, returned
        )
        if n > 0:
            table[cells[user], n - 1] += 1


@kernel
def count_active(starts, ends, times, codes, masks, cells, grid, window, scratch, table):
    """Count users active in every period, and the changes of those active in the `window` that ends with it. D9.9.

    The second column becomes the number of users by summing it up from the first period on.
    """
    edges, scale = grid
    periods, entered, returned = scratch
    for user in range(starts.size):
        row = cells[user]
        n, _ = active_periods(
            starts[user], ends[user], times, codes, masks, edges, scale, periods, entered, returned
        )
        for j in range(n):
            table[row, periods[j], 0] += 1
            table[row, periods[j], 1] += 1
            until = periods[j] + window
            if j + 1 < n:
                until = min(until, periods[j + 1])
            if until < table.shape[1]:
                table[row, until, 1] -= 1
