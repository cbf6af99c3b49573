"""How far units get through a funnel, and by which run. DEFINITIONS D7.4, D7.7 to D7.9.

Two machines: `furthest`, linear in the events, where the latest start of a chain to each step says all; and
`best_run`, which looks at every run. `choose_runs` asks the one that the rules allow.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from journeykit.kernels.chains import Steps, exact_chain, greedy_chain
from journeykit.kernels.compiling import kernel
from journeykit.kernels.funnel_lists import START, Listed
from journeykit.kernels.matching import unordered_chain

Int64s = npt.NDArray[np.int64]
Masks = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]

ONE = np.uint64(1)
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
    until : int
        The end of the observation.
    """

    method: int
    entry: int
    latest: bool
    exclusion: int
    open_entry: bool
    until: int


class Exclusions(NamedTuple):
    """What may not happen between two steps, which count from 0: the bit in the masks, from, to. D7.7."""

    bits: Masks
    after: Int64s
    before: Int64s


@kernel
def latest_start(listed: Listed, steps: Steps, first: int, stop: int, hi: int, since: Int64s) -> int:
    """Return the furthest step of the runs that start from `first` to `stop`; ``since`` has their latest starts."""
    level, n_steps = 0, steps.bits.size
    since[:] = -1
    for i in range(first, hi):
        mask = listed.masks[i]
        for step in range(min(level, n_steps - 1), 0, -1):
            if mask & steps.bits[step] and since[step - 1] >= 0:
                if listed.times[i] <= listed.deadlines[since[step - 1]]:
                    since[step] = since[step - 1]
                    level = max(level, step + 1)
        if i < stop and mask & START:
            since[0] = i
            level = max(level, 1)
    return level


@kernel
def earliest_start(
    listed: Listed, steps: Steps, first: int, stop: int, hi: int, level: int, done: Int64s
) -> int:
    """Return the earliest start from which `level` steps can be made, from when each later step can be complete."""
    done[:] = np.iinfo(np.int64).max
    found = -1
    for i in range(hi - 1, first - 1, -1):
        mask = listed.masks[i]
        if i < stop and mask & START:
            complete = done[1] if level > 1 else listed.times[i]
            if complete <= listed.deadlines[i]:
                found = i
        for step in range(1, level):
            if mask & steps.bits[step]:
                complete = listed.times[i] if step == level - 1 else done[step + 1]
                done[step] = min(done[step], complete)
    return found


@kernel
def furthest(
    listed: Listed, steps: Steps, rules: Rules, opens: Bools, first: int, stop: int, lo: int, hi: int,
    scratch: Int64s, best: Int64s,
) -> int:  # fmt: skip
    """Choose the best of the runs that start from `first` to `stop`; return its start. Linear."""
    n_steps, start = steps.bits.size, first
    level = greedy_chain(listed, steps, 0, first, lo, hi, scratch)
    last = stop - 1
    while not listed.masks[last] & START:
        last -= 1
    if rules.latest or (level < n_steps and last > first and listed.deadlines[first] < listed.times[hi - 1]):
        most = latest_start(listed, steps, first, stop, hi, scratch)
        if rules.latest:
            start = scratch[most - 1]
        elif most > level:
            start = earliest_start(listed, steps, first, stop, hi, most, scratch)
        level = most
    best[FIRST_STEP], best[LEVEL], best[EXCLUDED] = 0, level, -1
    best[OPEN] = level < n_steps and opens[last]
    best[MATURED] = 0 if opens[first] else level
    if opens[last] and not opens[first]:
        while opens[last] or not listed.masks[last] & START:
            last -= 1
        best[MATURED] = latest_start(listed, steps, first, last + 1, hi, scratch)
    return start


@kernel
def chain_of(
    listed: Listed, steps: Steps, method: int, first: int, start: int, lo: int, hi: int,
    reach: Masks, chain: Int64s,
) -> int:  # fmt: skip
    """Find the chain of one run; return the number of steps, those before `first` too. D7.4, D7.6."""
    if method == UNORDERED:
        return int(unordered_chain(listed, steps.bits.size, start, hi, reach, chain))
    if method == EXACT:
        return int(exact_chain(listed, steps, first, start, lo, hi, reach, chain))
    return int(greedy_chain(listed, steps, first, start, lo, hi, chain))


@kernel
def deadline_of(listed: Listed, steps: Steps, start: int, level: int, chain: Int64s) -> int:
    """Return until when a run may make its next step: the window's end, or the longest gap's. D7.7."""
    deadline = int(listed.deadlines[start])
    if level < steps.bits.size:
        deadline = min(deadline, int(listed.times[chain[level - 1]] + steps.high[level]))
    return deadline


@kernel
def excludes(listed: Listed, steps: Steps, a: int, b: int, deadline: int, x: int) -> bool:
    """Tell whether x lies between the events a and b, or up to the deadline if b is -1. D7.3, D7.7."""
    time = listed.times[x]
    if b < 0 and (time > deadline or (listed.sessions.size > 0 and listed.sessions[x] != listed.sessions[a])):
        return False
    if steps.by_position:
        return x > a and (b < 0 or x < b)
    after = time > listed.times[a] + steps.grace
    return after and (b < 0 or time < listed.times[b] - steps.grace)


@kernel
def excluding_event(
    listed: Listed, steps: Steps, rules: Rules, out: Exclusions, first: int, level: int, start: int, lo: int, hi: int,
    chain: Int64s,
) -> int:  # fmt: skip
    """Return the first event that excludes a run; -1 if none does. D7.7."""
    found, deadline = hi, deadline_of(listed, steps, start, level, chain)
    for e in range(out.bits.size):
        if level <= out.after[e] or first > out.after[e]:
            continue
        a = chain[out.after[e]]
        b = chain[out.before[e]] if level > out.before[e] else -1
        if rules.method == UNORDERED:
            a, b = chain[0], chain[level - 1]
        for x in range(a if steps.by_position else lo, found):
            if b >= 0 and listed.times[x] > listed.times[b]:
                break
            if listed.masks[x] & out.bits[e] and excludes(listed, steps, a, b, deadline, x):
                in_chain = False
                for k in range(first, level):
                    in_chain |= chain[k] == x
                if not in_chain:
                    found = x
                    break
    return -1 if found == hi else found


@kernel
def level_before(listed: Listed, steps: Steps, first: int, level: int, chain: Int64s, x: int) -> int:
    """Return how many steps were made before the event x. D7.7, "dropoff"."""
    for k in range(first + 1, level):
        if chain[k] > x if steps.by_position else listed.times[chain[k]] > listed.times[x]:
            return k
    return level


@kernel
def run_from(
    listed: Listed, steps: Steps, rules: Rules, out: Exclusions, opens: Bools, first: int, start: int, lo: int, hi: int,
    reach: Masks, chain: Int64s, run: Int64s,
) -> None:  # fmt: skip
    """Write what becomes of the run from `start`, which makes step `first` there."""
    level = chain_of(listed, steps, rules.method, first, start, lo, hi, reach, chain)
    run[FIRST_STEP], run[LEVEL], run[EXCLUDED] = first, level, -1
    may_go_on = level < steps.bits.size and opens[start]
    if out.bits.size > 0:
        x = excluding_event(listed, steps, rules, out, first, level, start, lo, hi, chain)
        run[EXCLUDED], may_go_on = x, may_go_on and x < 0
        if x >= 0 and rules.exclusion == DROPOFF:
            run[LEVEL] = level_before(listed, steps, first, level, chain, x)
    run[OPEN] = may_go_on and deadline_of(listed, steps, start, level, chain) > rules.until
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
    listed: Listed, steps: Steps, rules: Rules, out: Exclusions, opens: Bools, first: int, stop: int, lo: int, hi: int,
    reach: Masks, chain: Int64s, run: Int64s, matured: Int64s, best: Int64s,
) -> int:  # fmt: skip
    """Choose the best of the runs that start from `first` to `stop`; return its start, -1 if none counts."""
    best[:], matured[:] = 0, 0
    best[UNIT], matured[UNIT] = -1, -1
    may_go_on = False
    for start in range(first, stop):
        if not listed.masks[start] & START:
            continue
        for step in range(steps.bits.size if rules.open_entry else 1):
            if rules.open_entry and not listed.masks[start] & steps.bits[step]:
                continue
            run_from(listed, steps, rules, out, opens, step, start, lo, hi, reach, chain, run)
            may_go_on |= run[OPEN] != 0
            if not opens[start] and is_better(rules, run, matured):
                take(run, matured, start)
            if is_better(rules, run, best):
                take(run, best, start)
        complete = best[UNIT] >= 0 and best[LEVEL] == steps.bits.size and best[FIRST_STEP] == 0
        if complete and not rules.latest:
            break
    best[OPEN] = may_go_on and best[LEVEL] < steps.bits.size
    best[MATURED] = matured[LEVEL] - matured[FIRST_STEP] if matured[UNIT] >= 0 else 0
    return int(best[UNIT])


@kernel
def next_start(listed: Listed, i: int, hi: int) -> int:
    """Return the first event from `i` on that may start a run; `hi` if there is none."""
    while i < hi and not listed.masks[i] & START:
        i += 1
    return i


@kernel
def end_of_group(listed: Listed, rules: Rules, periods: Int64s, start: int, hi: int) -> int:
    """Return where the starts end that compete with this one: all of a unit, those of its period, or it alone."""
    if rules.entry != ANY:
        return start + 1
    if periods.size == 0:
        return hi
    period = np.searchsorted(periods, listed.times[start], side="right")
    stop = start + 1
    while stop < hi and (period == periods.size or listed.times[stop] < periods[period]):
        stop += 1
    return stop


@kernel
def next_run(
    listed: Listed, steps: Steps, rules: Rules, run: Int64s, start: int, stop: int, hi: int, chain: Int64s
) -> int:
    """Return where to look for the next start after a group of runs. D7.8."""
    if rules.entry == FIRST:
        return hi
    if rules.entry != ALL:
        return stop
    if run[EXCLUDED] >= 0:
        return int(run[EXCLUDED]) + 1
    level = run[LEVEL]
    if level == steps.bits.size:
        return int(chain[run[FIRST_STEP] : level].max()) + 1
    deadline, last = deadline_of(listed, steps, start, level, chain), start
    for j in range(start + 1, hi):
        if listed.sessions.size > 0:
            last = j if listed.sessions[j] == listed.sessions[start] else last
        elif listed.times[j] <= deadline:
            last = j
        else:
            break
    return last + 1


@kernel
def write_run(
    run: Int64s, unit: int, start: int, chain: Int64s, n: int, rows: Int64s, chains: Int64s
) -> None:
    """Write a run as row n; steps that it does not have are -1."""
    rows[n] = run
    rows[n, UNIT], rows[n, START_EVENT] = unit, start
    chains[n, :] = -1
    chains[n, run[FIRST_STEP] : run[LEVEL]] = chain[run[FIRST_STEP] : run[LEVEL]]


@kernel
def choose_runs(
    lists: tuple[Any, ...], step_rules: tuple[Any, ...], run_rules: tuple[Any, ...], exclusions: tuple[Any, ...],
    opens: Bools, periods: Int64s,
    rows: Int64s, chains: Int64s,
) -> int:  # fmt: skip
    """Write the runs that count, unit after unit; return how many.

    The tuples are those of `Listed`, `Steps`, `Rules` and `Exclusions`, plain ones so that machine code takes them;
    `opens` marks the starts whose window ends after the observation.
    """
    listed, steps, rules, out = Listed(*lists), Steps(*step_rules), Rules(*run_rules), Exclusions(*exclusions)
    n, n_steps = 0, steps.bits.size
    reach = np.empty(listed.masks.size if rules.method == EXACT else n_steps, np.uint64)
    chain, scratch = np.empty(n_steps, np.int64), np.empty(n_steps, np.int64)
    run, matured, best = np.empty(COLUMNS, np.int64), np.empty(COLUMNS, np.int64), np.empty(COLUMNS, np.int64)
    for unit in range(listed.offsets.size - 1):
        lo, hi = listed.offsets[unit], listed.offsets[unit + 1]
        first = next_start(listed, lo, hi)
        while first < hi:
            stop = end_of_group(listed, rules, periods, first, hi)
            if rules.method == LINEAR:
                start = furthest(listed, steps, rules, opens, first, stop, lo, hi, scratch, best)
                greedy_chain(listed, steps, 0, start, lo, hi, chain)
            else:
                start = best_run(
                    listed, steps, rules, out, opens, first, stop, lo, hi, reach, chain, run, matured, best
                )
                if start >= 0 and (start < stop - 1 or rules.open_entry):
                    chain_of(listed, steps, rules.method, best[FIRST_STEP], start, lo, hi, reach, chain)
            if start >= 0 or rules.entry == EVERY:
                write_run(best if start >= 0 else run, unit, max(start, first), chain, n, rows, chains)
                n += 1
            elif best[MATURED] > 0:
                best[LEVEL], best[FIRST_STEP], best[OPEN] = 0, 0, 0
                write_run(best, unit, first, chain, n, rows, chains)
                n += 1
            ended = best if start >= 0 else run
            first = next_start(listed, next_run(listed, steps, rules, ended, first, stop, hi, chain), hi)
    return n


@kernel
def fills(
    listed: Listed, steps: Steps, run: Int64s, start: int, left: int, x: int, right: int, deadline: int
) -> bool:
    """Tell whether x follows the step before it, and the one after it, or the deadline, follows x. D7.5."""
    own = listed.times[x]
    if listed.held.size > 0 and listed.held[x] != listed.held[start]:
        return False
    ended = run[EXCLUDED]
    if ended >= 0 and (x > ended if steps.by_position else own > listed.times[ended]):
        return False
    low = 0 if steps.by_position else steps.low[0]
    if own < listed.times[left] + low or (steps.by_position and x <= left):
        return False
    if right < 0:
        return bool(
            own <= deadline and (listed.sessions.size == 0 or listed.sessions[x] == listed.sessions[start])
        )
    return x < right if steps.by_position else listed.times[right] >= own + low


@kernel
def fill_optional(
    lists: tuple[Any, ...],
    step_rules: tuple[Any, ...],
    bits: Masks,
    after: Int64s,
    rows: Int64s,
    chains: Int64s,
    found: Int64s,
) -> None:
    """Give each optional step the earliest unused event between its neighbours; -1 where there is none. D7.5.

    ``after[o]`` is the required step before the optional step o.
    """
    listed, steps = Listed(*lists), Steps(*step_rules)
    found[:] = -1
    for n in range(rows.shape[0]):
        first, level = rows[n, FIRST_STEP], rows[n, LEVEL]
        start = chains[n, first]
        deadline = deadline_of(listed, steps, start, level, chains[n])
        for o in range(bits.size):
            if first > 0 or level <= after[o]:
                continue
            left = chains[n, after[o]]
            for before in range(o):
                if after[before] == after[o] and found[n, before] >= 0:
                    left = found[n, before]
            right = chains[n, after[o] + 1] if level > after[o] + 1 else -1
            for x in range(listed.offsets[rows[n, UNIT]], listed.offsets[rows[n, UNIT] + 1]):
                unused = (chains[n] != x).all() and (found[n] != x).all()
                if (
                    unused
                    and listed.masks[x] & bits[o]
                    and fills(listed, steps, rows[n], start, left, x, right, deadline)
                ):
                    found[n, o] = x
                    break
