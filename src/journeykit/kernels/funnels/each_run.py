"""The best run of a funnel, found by looking at every one: what excludes it, which is better. D7.4, D7.7, D7.8."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from journeykit.kernels.compiling import kernel
from journeykit.kernels.funnels.chains import exact_chain, greedy_chain
from journeykit.kernels.funnels.lists import BIT, MASK, SESSION, START, TIME, How
from journeykit.kernels.funnels.matching import unordered_chain
from journeykit.kernels.funnels.rules import (
    AFTER,
    BEFORE,
    DROPOFF,
    EXACT,
    EXCLUDED,
    EXCLUDING,
    FIRST_STEP,
    LEVEL,
    MATURED,
    OPEN,
    PER_RUN,
    UNIT,
    UNORDERED,
    Method,
    Rules,
    deadline_of,
    is_open,
)

Int64s = npt.NDArray[np.int64]


@kernel
def chain_of(
    events: Int64s, steps: Int64s, how: How, method: Method, first: int, start: int, lo: int, hi: int,
    reach: Int64s, chain: Int64s,
) -> int:  # fmt: skip
    """Find the chain of one run; return the number of steps, those before `first` too. D7.4, D7.6."""
    if len(method) == UNORDERED:
        return int(unordered_chain(events, steps.shape[0], start, hi, reach, chain))
    if len(method) == EXACT:
        return int(exact_chain(events, steps, how, first, start, lo, hi, reach, chain))
    return int(greedy_chain(events, steps, how, first, start, lo, hi, chain))


@kernel
def excludes(events: Int64s, how: How, a: int, b: int, deadline: int, x: int) -> bool:
    """Tell whether x lies between the events a and b, or up to the deadline if b is -1. D7.3, D7.7."""
    time = events[x, TIME]
    if b < 0 and (time > deadline or events[x, SESSION] != events[a, SESSION]):
        return False
    if how.by_position:
        return x > a and (b < 0 or x < b)
    after = time > events[a, TIME] + how.grace
    return after and (b < 0 or time < events[b, TIME] - how.grace)


@kernel
def excluding_event(
    events: Int64s, steps: Int64s, how: How, rules: Rules, out: Int64s, first: int, level: int, start: int,
    lo: int, hi: int, chain: Int64s,
) -> int:  # fmt: skip
    """Return the first event that excludes a run; -1 if none does. D7.7."""
    found, deadline = hi, deadline_of(events, steps, start, level, chain)
    for e in range(out.shape[0]):
        if level <= out[e, AFTER] or first > out[e, AFTER]:
            continue
        a = chain[out[e, AFTER]]
        b = chain[out[e, BEFORE]] if level > out[e, BEFORE] else -1
        if rules.method == UNORDERED:
            a, b = chain[0], chain[level - 1]
        for x in range(a if how.by_position else lo, found):
            if b >= 0 and events[x, TIME] > events[b, TIME]:
                break
            if events[x, MASK] & out[e, EXCLUDING] and excludes(events, how, a, b, deadline, x):
                in_chain = False
                for k in range(first, level):
                    in_chain |= chain[k] == x
                if not in_chain:
                    found = x
                    break
    return -1 if found == hi else found


@kernel
def level_before(events: Int64s, how: How, first: int, level: int, chain: Int64s, x: int) -> int:
    """Return how many steps were made before the event x. D7.7, "dropoff"."""
    for k in range(first + 1, level):
        if chain[k] > x if how.by_position else events[chain[k], TIME] > events[x, TIME]:
            return k
    return level


@kernel
def run_from(
    events: Int64s, steps: Int64s, how: How, method: Method, rules: Rules, out: Int64s, first: int, start: int,
    lo: int, hi: int, reach: Int64s, chain: Int64s, run: Int64s,
) -> None:  # fmt: skip
    """Write what becomes of the run from `start`, which makes step `first` there."""
    level = chain_of(events, steps, how, method, first, start, lo, hi, reach, chain)
    run[FIRST_STEP], run[LEVEL], run[EXCLUDED] = first, level, -1
    may_go_on = level < steps.shape[0] and is_open(events, rules, start)
    if out.shape[0] > 0:
        x = excluding_event(events, steps, how, rules, out, first, level, start, lo, hi, chain)
        run[EXCLUDED], may_go_on = x, may_go_on and x < 0
        if x >= 0 and rules.exclusion == DROPOFF:
            run[LEVEL] = level_before(events, how, first, level, chain, x)
    run[OPEN] = may_go_on and deadline_of(events, steps, start, level, chain) > rules.until
    run[MATURED] = 0 if is_open(events, rules, start) else level - first


@kernel
def take(run: Int64s, best: Int64s, start: int) -> None:
    """Make a run the best so far; `start` is -1 if only its length counts."""
    best[FIRST_STEP], best[LEVEL], best[EXCLUDED], best[UNIT] = (
        run[FIRST_STEP],
        run[LEVEL],
        run[EXCLUDED],
        start,
    )


@kernel
def is_better(rules: Rules, run: Int64s, best: Int64s) -> bool:
    """Take a run's length into the best so far; tell whether the run is the one to choose now. D7.7, D7.8."""
    void = run[EXCLUDED] >= 0 and rules.exclusion != DROPOFF
    length, most = run[LEVEL] - run[FIRST_STEP], best[LEVEL] - best[FIRST_STEP]
    if void and (rules.exclusion == PER_RUN or length < most):
        return False
    if length > most:
        take(run, best, -1)
    return not void and (length > most or (length == most and (best[UNIT] < 0 or rules.latest)))


@kernel
def best_run(
    events: Int64s, steps: Int64s, how: How, method: Method, rules: Rules, out: Int64s, first: int, stop: int,
    lo: int, hi: int, reach: Int64s, chain: Int64s, states: Int64s,
) -> int:  # fmt: skip
    """Choose the best of the runs that start from `first` to `stop`; return its start, -1 if none counts.

    The rows of `states` are the last run, the best whose window has passed, and the best of all.
    """
    run, matured, best = states[0], states[1], states[2]
    best[:], matured[:] = 0, 0
    best[UNIT], matured[UNIT] = -1, -1
    may_go_on = False
    for start in range(first, stop):
        if not events[start, MASK] & START:
            continue
        for step in range(steps.shape[0] if rules.open_entry else 1):
            if rules.open_entry and not events[start, MASK] & steps[step, BIT]:
                continue
            run_from(events, steps, how, method, rules, out, step, start, lo, hi, reach, chain, run)
            may_go_on |= run[OPEN] != 0
            if not is_open(events, rules, start) and is_better(rules, run, matured):
                take(run, matured, start)
            if is_better(rules, run, best):
                take(run, best, start)
        complete = best[UNIT] >= 0 and best[LEVEL] == steps.shape[0] and best[FIRST_STEP] == 0
        if complete and not rules.latest:
            break
    best[OPEN] = may_go_on and best[LEVEL] < steps.shape[0]
    best[MATURED] = matured[LEVEL] - matured[FIRST_STEP] if matured[UNIT] >= 0 else 0
    return int(best[UNIT])


@kernel
def best_with_chain(
    events: Int64s, steps: Int64s, how: How, method: Method, rules: Rules, out: Int64s, first: int, stop: int,
    lo: int, hi: int, reach: Int64s, chain: Int64s, states: Int64s,
) -> int:  # fmt: skip
    """Choose the best run as `best_run` does, and find its chain again if others were looked at after it."""
    start = best_run(events, steps, how, method, rules, out, first, stop, lo, hi, reach, chain, states)
    if start >= 0 and (start < stop - 1 or rules.open_entry):
        begins = states[2, FIRST_STEP]
        chain_of(events, steps, how, method, begins, start, lo, hi, reach, chain)
    return int(start)
