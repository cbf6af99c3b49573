"""How far units get through a funnel, and by which run. DEFINITIONS D7.4, D7.7 to D7.9.

Two machines: `furthest`, linear in the events, where the latest start of a chain to each step says all; and
`best_run`, which looks at every run. `choose_runs` asks the one that the rules allow.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from journeykit.kernels.chains import exact_chain, greedy_chain
from journeykit.kernels.compiling import inlined, kernel
from journeykit.kernels.funnel_lists import (
    BIT,
    DEADLINE,
    HIGH,
    MASK,
    SESSION,
    START,
    TIME,
    How,
)
from journeykit.kernels.matching import unordered_chain

Int64s = npt.NDArray[np.int64]

LINEAR, GREEDY, EXACT, UNORDERED = 0, 1, 2, 3
PER_RUN, FURTHEST_RUN, DROPOFF = 0, 1, 2
ANY, FIRST, ALL, EVERY = 0, 1, 2, 3
UNIT, FIRST_STEP, LEVEL, OPEN, MATURED, EXCLUDED, START_EVENT = 0, 1, 2, 3, 4, 5, 6
COLUMNS = 7
"""Of a chosen run; `EXCLUDED` is the excluding event, -1 without one; a unit that left has no step."""


class Rules(NamedTuple):
    """How runs are looked for and chosen.

    Attributes
    ----------
    method : int
        How a chain is found: LINEAR, GREEDY, EXACT or UNORDERED.
    entry : int
        Which runs count: the best of all (ANY), the FIRST, one after the other (ALL), or each by itself (EVERY).
    latest : bool
        Of equal runs the one that starts last.
    exclusion : int
        PER_RUN, FURTHEST_RUN or DROPOFF.
    open_entry : bool
        A run may begin with any step.
    in_session : bool
        A run must stay in one session.
    until : int
        The end of the observation.
    """

    method: int
    entry: int
    latest: bool
    exclusion: int
    open_entry: bool
    in_session: bool
    until: int


EXCLUDING, AFTER, BEFORE = 0, 1, 2
"""The columns of exclusions: the bit in `MASK`, from which step, to which, both from 0. D7.7."""


@inlined
def is_open(events: Int64s, rules: Rules, start: int) -> bool:
    """Tell whether the window of the run from `start` ends after the observation."""
    return bool(events[start, DEADLINE] > rules.until)


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


@kernel
def chain_of(
    events: Int64s, steps: Int64s, how: How, method: int, first: int, start: int, lo: int, hi: int,
    reach: Int64s, chain: Int64s,
) -> int:  # fmt: skip
    """Find the chain of one run; return the number of steps, those before `first` too. D7.4, D7.6."""
    if method == UNORDERED:
        return int(unordered_chain(events, steps.shape[0], start, hi, reach, chain))
    if method == EXACT:
        return int(exact_chain(events, steps, how, first, start, lo, hi, reach, chain))
    return int(greedy_chain(events, steps, how, first, start, lo, hi, chain))


@kernel
def deadline_of(events: Int64s, steps: Int64s, start: int, level: int, chain: Int64s) -> int:
    """Return until when a run may make its next step: the window's end, or the longest gap's. D7.7."""
    deadline = int(events[start, DEADLINE])
    if level < steps.shape[0]:
        deadline = min(deadline, int(events[chain[level - 1], TIME] + steps[level, HIGH]))
    return deadline


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
    events: Int64s, steps: Int64s, how: How, rules: Rules, out: Int64s, first: int, start: int,
    lo: int, hi: int, reach: Int64s, chain: Int64s, run: Int64s,
) -> None:  # fmt: skip
    """Write what becomes of the run from `start`, which makes step `first` there."""
    level = chain_of(events, steps, how, rules.method, first, start, lo, hi, reach, chain)
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
    events: Int64s, steps: Int64s, how: How, rules: Rules, out: Int64s, first: int, stop: int,
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
            run_from(events, steps, how, rules, out, step, start, lo, hi, reach, chain, run)
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


@inlined
def next_start(events: Int64s, i: int, hi: int) -> int:
    """Return the first event from `i` on that may start a run; `hi` if there is none."""
    while i < hi and not events[i, MASK] & START:
        i += 1
    return i


@inlined
def end_of_group(events: Int64s, rules: Rules, periods: Int64s, start: int, hi: int) -> int:
    """Return where the starts end that compete with this one: all of a unit, those of its period, or it alone."""
    if rules.entry != ANY:
        return start + 1
    if periods.size == 0:
        return hi
    period = np.searchsorted(periods, events[start, TIME], side="right")
    stop = start + 1
    while stop < hi and (period == periods.size or events[stop, TIME] < periods[period]):
        stop += 1
    return stop


@kernel
def end_of_run(
    events: Int64s, steps: Int64s, rules: Rules, run: Int64s, start: int, hi: int, chain: Int64s
) -> int:
    """Return where to look for the next start where runs follow each other. D7.8."""
    if run[EXCLUDED] >= 0:
        return int(run[EXCLUDED]) + 1
    level = run[LEVEL]
    if level == steps.shape[0]:
        last = 0
        for k in range(run[FIRST_STEP], level):
            last = max(last, int(chain[k]))
        return last + 1
    deadline, last = deadline_of(events, steps, start, level, chain), start
    for j in range(start + 1, hi):
        if rules.in_session:
            last = j if events[j, SESSION] == events[start, SESSION] else last
        elif events[j, TIME] <= deadline:
            last = j
        else:
            break
    return last + 1


@kernel
def write_made(run: Int64s, chain: Int64s, made: Int64s) -> None:
    """Write the events of a run; steps that it does not have are -1."""
    for k in range(chain.size):
        made[k] = chain[k] if run[FIRST_STEP] <= k < run[LEVEL] else -1


@kernel
def write_run(
    run: Int64s, unit: int, start: int, chain: Int64s, n: int, rows: Int64s, chains: Int64s
) -> None:
    """Write a run as row n."""
    for column in range(COLUMNS):
        rows[n, column] = run[column]
    rows[n, UNIT], rows[n, START_EVENT] = unit, start
    write_made(run, chain, chains[n])


@inlined
def next_group(
    events: Int64s, steps: Int64s, rules: Rules, ended: Int64s, start: int, stop: int, hi: int, chain: Int64s
) -> int:
    """Return the first start after a group of runs; `hi` if there is none. D7.8."""
    if rules.entry == FIRST:
        return hi
    if rules.entry == ALL:
        stop = end_of_run(events, steps, rules, ended, start, hi, chain)
    return int(next_start(events, stop, hi))


@kernel
def best_with_chain(
    events: Int64s, steps: Int64s, how: How, rules: Rules, out: Int64s, first: int, stop: int, lo: int, hi: int,
    reach: Int64s, chain: Int64s, states: Int64s,
) -> int:  # fmt: skip
    """Choose the best run as `best_run` does, and find its chain again if others were looked at after it."""
    start = best_run(events, steps, how, rules, out, first, stop, lo, hi, reach, chain, states)
    if start >= 0 and (start < stop - 1 or rules.open_entry):
        begins = states[2, FIRST_STEP]
        chain_of(events, steps, how, rules.method, begins, start, lo, hi, reach, chain)
    return int(start)


@inlined
def chosen_run(
    events: Int64s, steps: Int64s, how: How, rules: Rules, out: Int64s, first: int, stop: int, lo: int, hi: int,
    reach: Int64s, chain: Int64s, scratch: Int64s, states: Int64s,
) -> int:  # fmt: skip
    """Choose among the runs that start from `first` to `stop`, and find its chain; return its start, -1 if none counts.

    The last row of `states` is the run; the first is what became of the last one looked at.
    """
    if rules.method == LINEAR:
        return int(furthest(events, steps, how, rules, first, stop, lo, hi, scratch, chain, states[2]))
    return int(best_with_chain(events, steps, how, rules, out, first, stop, lo, hi, reach, chain, states))


@inlined
def counted_row(rules: Rules, start: int, states: Int64s) -> int:
    """Return which row of `states` counts, -1 if none does; a unit that left the funnel may still have matured."""
    best = states[2]
    if start >= 0:
        return 2
    if rules.entry == EVERY:
        return 0
    best[LEVEL], best[FIRST_STEP], best[OPEN] = 0, 0, 0
    return 2 if best[MATURED] > 0 else -1


@kernel
def choose_runs(
    offsets: Int64s, events: Int64s, steps: Int64s, exclusions: Int64s, periods: Int64s,
    follow: tuple[Any, ...], choice: tuple[Any, ...], rows: Int64s, chains: Int64s,
) -> int:  # fmt: skip
    """Write the runs that count, unit after unit; return how many.

    `follow` and `choice` are the values of `How` and `Rules`, as plain tuples so that machine code takes them.
    """
    how, rules = How(*follow), Rules(*choice)
    n, n_steps = 0, steps.shape[0]
    reach = np.empty(events.shape[0] if rules.method == EXACT else n_steps, np.int64)
    chain, scratch = np.empty(n_steps, np.int64), np.empty(n_steps, np.int64)
    states = np.empty((3, COLUMNS), np.int64)
    for unit in range(offsets.size - 1):
        lo, hi = offsets[unit], offsets[unit + 1]
        first = next_start(events, lo, hi)
        while first < hi:
            stop = end_of_group(events, rules, periods, first, hi)
            start = chosen_run(
                events, steps, how, rules, exclusions, first, stop, lo, hi, reach, chain, scratch, states
            )
            row = counted_row(rules, start, states)
            if row >= 0:
                write_run(states[row], unit, max(start, first), chain, n, rows, chains)
                n += 1
            ended = states[2 if start >= 0 else 0]
            first = next_group(events, steps, rules, ended, first, stop, hi, chain)
    return n
