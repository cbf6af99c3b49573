"""The furthest run of a funnel in linear time: the latest start of a chain to each step says all. DEFINITIONS D7.4."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from journeykit.kernels.compiling import inlined, kernel
from journeykit.kernels.funnels.chains import greedy_chain
from journeykit.kernels.funnels.lists import BIT, DEADLINE, MASK, START, TIME, How
from journeykit.kernels.funnels.rules import EXCLUDED, FIRST_STEP, LEVEL, MATURED, OPEN, Rules, is_open

Int64s = npt.NDArray[np.int64]


@kernel
def latest_start(events: Int64s, steps: Int64s, first: int, stop: int, hi: int, since: Int64s) -> int:
    """Return the furthest step of the runs that start from `first` to `stop`; ``since`` has their latest starts."""
    level, n_steps = 0, steps.shape[0]
    since[:] = -1
    for i in range(first, hi):
        mask = events[i, MASK]
        for step in range(min(level, n_steps - 1), 0, -1):
            if mask & steps[step, BIT] and since[step - 1] >= 0:
                if events[i, TIME] <= events[since[step - 1], DEADLINE]:
                    since[step] = since[step - 1]
                    level = max(level, step + 1)
        if i < stop and mask & START:
            since[0] = i
            level = max(level, 1)
    return level


@kernel
def earliest_start(
    events: Int64s, steps: Int64s, first: int, stop: int, hi: int, level: int, done: Int64s
) -> int:
    """Return the earliest start from which `level` steps can be made, from when each later step can be complete."""
    done[:] = START
    found = -1
    for i in range(hi - 1, first - 1, -1):
        mask = events[i, MASK]
        if i < stop and mask & START:
            complete = done[1] if level > 1 else events[i, TIME]
            if complete <= events[i, DEADLINE]:
                found = i
        for step in range(1, level):
            if mask & steps[step, BIT]:
                complete = events[i, TIME] if step == level - 1 else done[step + 1]
                done[step] = min(done[step], complete)
    return found


@kernel
def comes_too_late(events: Int64s, bit: int, first: int, hi: int) -> bool:
    """Tell whether an event of a step lies behind the deadline of the run from `first`."""
    i = hi - 1
    while i > first and events[i, TIME] > events[first, DEADLINE]:
        if events[i, MASK] & bit:
            return True
        i -= 1
    return False


@kernel
def last_start(events: Int64s, rules: Rules, stop: int, closed: bool) -> int:
    """Return the last start before `stop`; `closed`: of those whose window was observed."""
    last = stop - 1
    while not events[last, MASK] & START or (closed and is_open(events, rules, last)):
        last -= 1
    return last


@inlined
def furthest(
    events: Int64s, steps: Int64s, how: How, rules: Rules, first: int, stop: int, lo: int, hi: int,
    scratch: Int64s, chain: Int64s, best: Int64s,
) -> int:  # fmt: skip
    """Choose the best of the runs that start from `first` to `stop`; return its start. Linear.

    A later run can only make more steps than the first one by an event of the next step after the deadline of that.
    """
    n_steps, start = steps.shape[0], first
    level = greedy_chain(events, steps, how, 0, first, lo, hi, chain)
    own = level
    if rules.latest or (level < n_steps and comes_too_late(events, steps[level, BIT], first, hi)):
        level = latest_start(events, steps, first, stop, hi, scratch)
        if rules.latest:
            start = scratch[level - 1]
        elif level > own:
            start = earliest_start(events, steps, first, stop, hi, level, scratch)
    best[FIRST_STEP], best[LEVEL], best[EXCLUDED] = 0, level, -1
    best[OPEN] = level < n_steps and is_open(events, rules, last_start(events, rules, stop, False))
    best[MATURED] = 0 if is_open(events, rules, first) else level
    if level > own and best[MATURED] > 0:
        closed = last_start(events, rules, stop, True)
        best[MATURED] = latest_start(events, steps, first, closed + 1, hi, scratch)
    if start != first:
        greedy_chain(events, steps, how, 0, start, lo, hi, chain)
    return start
