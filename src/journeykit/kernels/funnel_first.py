"""Counting the units of a funnel whose first run says all, without listing their events. DEFINITIONS D7.4, D7.8, D7.11.

Where a step only has to come later than the one before it, the first run goes as far as any, unless an event of its
next step lies behind its deadline. Then, and where events of different kinds are so near to each other that rules about
ties decide, the unit is left to `funnel_pass`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from journeykit.kernels.compiling import inlined, kernel
from journeykit.kernels.funnel_counts import Times, add_times
from journeykit.kernels.funnel_lists import START

Int64s = npt.NDArray[np.int64]
Codes = npt.NDArray[np.unsignedinteger[Any]]
LONG_AGO = -(1 << 62)


@inlined
def first_run(
    span: tuple[int, int], codes: Codes, times: Int64s, masks: Int64s, wanted: Int64s,
    near: int, tick: int, window: int, only_first: bool, made: Int64s,
) -> tuple[int, int]:  # fmt: skip
    """Write when the first run of one path made each step; return how many, and the last start.

    How many is -1 if this does not say all. ``wanted[k]`` are the bits that step k asks
    for. A path whose run is complete is not read further.
    """
    level, want, deadline, last = 0, wanted[0], -LONG_AGO, LONG_AGO
    before, kind = LONG_AGO, 0
    for i in range(span[0], span[1]):
        mask, time = masks[codes[i]], times[i]
        if (mask != 0) & (mask != kind) & (time - before <= near):
            return -1, last
        before, kind = time, mask
        last = time if mask & START else last
        if mask & want:
            time -= time % tick
            if time > deadline:
                return (level if only_first else -1), last
            if level == 0:
                deadline = time + window
            made[level] = time
            level += 1
            if level == wanted.size:
                return level, last
            want = wanted[level]
    return level, last


@kernel
def count_first_runs(
    ragged: tuple[Int64s, Int64s], columns: tuple[Codes, Int64s], masks: Int64s, cells: Int64s, wanted: Int64s,
    rule: tuple[int, int, int, bool, int], counts: tuple[Int64s, ...], times: Times, rest: Int64s,
) -> tuple[int, int]:  # fmt: skip
    """Count the paths whose first run says all, list the others; return how many times were kept, how many others.

    `ragged` = (starts, ends) of paths; `columns` = (symbols, times) of events; `cells` of paths. `rule` = (how near, in
    microseconds, events are that may tie; ticks; the window; whether only first runs count; the end of observation).
    """
    (starts, ends), (codes, moments), (near, tick, window, only_first, until) = ragged, columns, rule
    levels, matured = counts[0], counts[1]
    made = np.empty(wanted.size, np.int64)
    n, n_rest = 0, 0
    for path in range(starts.size):
        level, last = first_run(
            (starts[path], ends[path]), codes, moments, masks, wanted, near, tick, window, only_first, made
        )
        if level < 0:
            rest[n_rest] = path
            n_rest += 1
        elif level > 0:
            own, last = cells[path], made[0] if only_first else last - last % tick
            is_open = level < wanted.size and last + window > until
            levels[own, 0, level, 1 if is_open else 0] += 1
            matured[own, 0 if made[0] + window > until else level] += 1
            n = add_times(made, 0, level, own, counts[4], times, n)
    return n, n_rest
