"""How far units get through a funnel, and by which run. DEFINITIONS D7.4, D7.7 to D7.9.

Two machines: `furthest`, linear in the events, where the latest start of a chain to each step says all; and
`best_run`, which looks at every run. `choose_runs` asks the one that the rules allow.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from journeykit.kernels.chains import exact_chain, greedy_chain
from journeykit.kernels.compiling import kernel
from journeykit.kernels.funnel_lists import (
    BIT,
    DEADLINE,
    HELD,
    HIGH,
    LOW,
    MASK,
    SESSION,
    START,
    TIME,
    How,
)
from journeykit.kernels.matching import unordered_chain

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

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
def furthest(
    events: Int64s, steps: Int64s, how: How, rules: Rules, opens: Bools, first: int, stop: int, lo: int, hi: int,
    scratch: Int64s, chain: Int64s, best: Int64s,
) -> int:  # fmt: skip
    """Choose the best of the runs that start from `first` to `stop`; return its start. Linear."""
    n_steps, start = steps.shape[0], first
    level = greedy_chain(events, steps, how, 0, first, lo, hi, chain)
    last = stop - 1
    while not events[last, MASK] & START:
        last -= 1
    if rules.latest or (level < n_steps and last > first and events[first, DEADLINE] < events[hi - 1, TIME]):
        most = latest_start(events, steps, first, stop, hi, scratch)
        if rules.latest:
            start = scratch[most - 1]
        elif most > level:
            start = earliest_start(events, steps, first, stop, hi, most, scratch)
        level = most
    best[FIRST_STEP], best[LEVEL], best[EXCLUDED] = 0, level, -1
    best[OPEN] = level < n_steps and opens[last]
    best[MATURED] = 0 if opens[first] else level
    if opens[last] and not opens[first]:
        while opens[last] or not events[last, MASK] & START:
            last -= 1
        best[MATURED] = latest_start(events, steps, first, last + 1, hi, scratch)
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
    events: Int64s, steps: Int64s, how: How, rules: Rules, out: Int64s, opens: Bools, first: int, start: int,
    lo: int, hi: int, reach: Int64s, chain: Int64s, run: Int64s,
) -> None:  # fmt: skip
    """Write what becomes of the run from `start`, which makes step `first` there."""
    level = chain_of(events, steps, how, rules.method, first, start, lo, hi, reach, chain)
    run[FIRST_STEP], run[LEVEL], run[EXCLUDED] = first, level, -1
    may_go_on = level < steps.shape[0] and opens[start]
    if out.shape[0] > 0:
        x = excluding_event(events, steps, how, rules, out, first, level, start, lo, hi, chain)
        run[EXCLUDED], may_go_on = x, may_go_on and x < 0
        if x >= 0 and rules.exclusion == DROPOFF:
            run[LEVEL] = level_before(events, how, first, level, chain, x)
    run[OPEN] = may_go_on and deadline_of(events, steps, start, level, chain) > rules.until
    run[MATURED] = 0 if opens[start] else level - first


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
    events: Int64s, steps: Int64s, how: How, rules: Rules, out: Int64s, opens: Bools, first: int, stop: int,
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
            run_from(events, steps, how, rules, out, opens, step, start, lo, hi, reach, chain, run)
            may_go_on |= run[OPEN] != 0
            if not opens[start] and is_better(rules, run, matured):
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
def next_start(events: Int64s, i: int, hi: int) -> int:
    """Return the first event from `i` on that may start a run; `hi` if there is none."""
    while i < hi and not events[i, MASK] & START:
        i += 1
    return i


@kernel
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
def next_run(
    events: Int64s, steps: Int64s, rules: Rules, run: Int64s, start: int, stop: int, hi: int, chain: Int64s
) -> int:
    """Return where to look for the next start after a group of runs. D7.8."""
    if rules.entry == FIRST:
        return hi
    if rules.entry != ALL:
        return stop
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
def write_run(
    run: Int64s, unit: int, start: int, chain: Int64s, n: int, rows: Int64s, chains: Int64s
) -> None:
    """Write a run as row n; steps that it does not have are -1."""
    for column in range(COLUMNS):
        rows[n, column] = run[column]
    rows[n, UNIT], rows[n, START_EVENT] = unit, start
    for k in range(chain.size):
        chains[n, k] = chain[k] if run[FIRST_STEP] <= k < run[LEVEL] else -1


@kernel
def choose_runs(
    offsets: Int64s, events: Int64s, opens: Bools, steps: Int64s, exclusions: Int64s, periods: Int64s,
    follow: tuple[Any, ...], choice: tuple[Any, ...], rows: Int64s, chains: Int64s,
) -> int:  # fmt: skip
    """Write the runs that count, unit after unit; return how many.

    `opens` marks the starts whose window ends after the observation. `follow` and `choice` are the values of `How` and
    `Rules`, as plain tuples so that machine code takes them.
    """
    how, rules = How(*follow), Rules(*choice)
    n, n_steps = 0, steps.shape[0]
    reach = np.empty(events.shape[0] if rules.method == EXACT else n_steps, np.int64)
    chain, scratch = np.empty(n_steps, np.int64), np.empty(n_steps, np.int64)
    states = np.empty((3, COLUMNS), np.int64)
    run, best = states[0], states[2]
    for unit in range(offsets.size - 1):
        lo, hi = offsets[unit], offsets[unit + 1]
        first = next_start(events, lo, hi)
        while first < hi:
            stop = end_of_group(events, rules, periods, first, hi)
            if rules.method == LINEAR:
                start = furthest(events, steps, how, rules, opens, first, stop, lo, hi, scratch, chain, best)
            else:
                start = best_run(
                    events, steps, how, rules, exclusions, opens, first, stop, lo, hi, reach, chain, states
                )
                if start >= 0 and (start < stop - 1 or rules.open_entry):
                    chain_of(events, steps, how, rules.method, best[FIRST_STEP], start, lo, hi, reach, chain)
            ended = best if start >= 0 else run
            if start < 0 and rules.entry != EVERY and best[MATURED] > 0:
                best[LEVEL], best[FIRST_STEP], best[OPEN] = 0, 0, 0
                write_run(best, unit, first, chain, n, rows, chains)
                n += 1
            elif start >= 0 or rules.entry == EVERY:
                write_run(ended, unit, max(start, first), chain, n, rows, chains)
                n += 1
            first = next_start(events, next_run(events, steps, rules, ended, first, stop, hi, chain), hi)
    return n


@kernel
def fills(
    events: Int64s,
    steps: Int64s,
    how: How,
    run: Int64s,
    start: int,
    left: int,
    x: int,
    right: int,
    deadline: int,
) -> bool:
    """Tell whether x follows the step before it, and the one after it, or the deadline, follows x. D7.5."""
    own = events[x, TIME]
    if events[x, HELD] != events[start, HELD]:
        return False
    ended = run[EXCLUDED]
    if ended >= 0 and (x > ended if how.by_position else own > events[ended, TIME]):
        return False
    low = 0 if how.by_position else steps[0, LOW]
    if own < events[left, TIME] + low or (how.by_position and x <= left):
        return False
    if right < 0:
        return bool(own <= deadline and events[x, SESSION] == events[start, SESSION])
    return x < right if how.by_position else events[right, TIME] >= own + low


@kernel
def is_used(chain: Int64s, x: int) -> bool:
    """Tell whether an event is in a chain."""
    used = False
    for k in range(chain.size):
        used |= chain[k] == x
    return used


@kernel
def fill_optional(
    offsets: Int64s, events: Int64s, steps: Int64s, bits: Int64s, after: Int64s, follow: tuple[Any, ...],
    rows: Int64s, chains: Int64s, found: Int64s,
) -> None:  # fmt: skip
    """Give each optional step the earliest unused event between its neighbours; -1 where there is none. D7.5.

    ``after[o]`` is the required step before the optional step o.
    """
    how = How(*follow)
    for n in range(rows.shape[0]):
        run, chain, own = rows[n], chains[n], found[n]
        own[:] = -1
        level = run[LEVEL]
        if run[FIRST_STEP] > 0 or level == 0:
            continue
        deadline = deadline_of(events, steps, chain[0], level, chain)
        for o in range(bits.size):
            if level <= after[o]:
                continue
            left = chain[after[o]]
            for before in range(o):
                left = own[before] if after[before] == after[o] and own[before] >= 0 else left
            right = chain[after[o] + 1] if level > after[o] + 1 else -1
            for x in range(offsets[run[UNIT]], offsets[run[UNIT] + 1]):
                if events[x, MASK] & bits[o] and not is_used(chain, x) and not is_used(own, x):
                    if fills(events, steps, how, run, chain[0], left, x, right, deadline):
                        own[o] = x
                        break
