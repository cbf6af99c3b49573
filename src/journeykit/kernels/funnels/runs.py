"""Which runs of a unit count, one group of starts after the other. DEFINITIONS D7.4, D7.8, D7.9.

The run of a group is chosen by `linear` or `each_run`, as the rules allow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from journeykit.kernels.compiling import inlined, kernel
from journeykit.kernels.funnels.each_run import best_with_chain
from journeykit.kernels.funnels.linear import furthest
from journeykit.kernels.funnels.lists import MASK, SESSION, START, TIME, How
from journeykit.kernels.funnels.rules import (
    ALL,
    ANY,
    COLUMNS,
    EVERY,
    EXACT,
    EXCLUDED,
    FIRST,
    FIRST_STEP,
    LEVEL,
    LINEAR,
    MATURED,
    OPEN,
    START_EVENT,
    UNIT,
    Method,
    Rules,
    deadline_of,
)

Int64s = npt.NDArray[np.int64]


@inlined
def next_start(events: Int64s, i: int, hi: int) -> int:
    """Return the first event from `i` on that may start a run; `hi` if there is none."""
    while i < hi and not events[i, MASK] & START:
        i += 1
    return i


@kernel
def period_of(periods: Int64s, time: int) -> int:
    """Return how many periods have begun by a time. numpy's own search takes a second to compile."""
    first, last = 0, periods.size
    while first < last:
        middle = (first + last) // 2
        if periods[middle] <= time:
            first = middle + 1
        else:
            last = middle
    return first


@inlined
def end_of_group(events: Int64s, rules: Rules, periods: Int64s, start: int, hi: int) -> int:
    """Return where the starts end that compete with this one: all of a unit, those of its period, or it alone."""
    if rules.entry != ANY:
        return start + 1
    if periods.size == 0:
        return hi
    period = period_of(periods, events[start, TIME])
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


@inlined
def chosen_run(
    events: Int64s, steps: Int64s, how: How, method: Method, rules: Rules, out: Int64s, first: int, stop: int,
    lo: int, hi: int, reach: Int64s, chain: Int64s, scratch: Int64s, states: Int64s,
) -> int:  # fmt: skip
    """Choose among the runs that start from `first` to `stop`, and find its chain; return its start, -1 if none counts.

    The last row of `states` is the run; the first is what became of the last one looked at.
    """
    if len(method) == LINEAR:
        return int(furthest(events, steps, how, rules, first, stop, lo, hi, scratch, chain, states[2]))
    return int(
        best_with_chain(events, steps, how, method, rules, out, first, stop, lo, hi, reach, chain, states)
    )


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
    follow: tuple[Any, ...], method: Method, choice: tuple[Any, ...], rows: Int64s, chains: Int64s,
) -> int:  # fmt: skip
    """Write the runs that count, unit after unit; return how many.

    `follow` and `choice` are the values of `How` and `Rules`, as plain tuples so that machine code takes them.
    """
    how, rules = How(*follow), Rules(*choice)
    n, n_steps = np.int64(0), steps.shape[0]
    reach = np.empty(events.shape[0] if len(method) == EXACT else n_steps, np.int64)
    chain, scratch = np.empty(n_steps, np.int64), np.empty(n_steps, np.int64)
    states = np.empty((3, COLUMNS), np.int64)
    for unit in range(offsets.size - 1):
        lo, hi = offsets[unit], offsets[unit + 1]
        first = next_start(events, lo, hi)
        while first < hi:
            stop = end_of_group(events, rules, periods, first, hi)
            start = chosen_run(
                events,
                steps,
                how,
                method,
                rules,
                exclusions,
                first,
                stop,
                lo,
                hi,
                reach,
                chain,
                scratch,
                states,
            )
            row = counted_row(rules, start, states)
            if row >= 0:
                write_run(states[row], unit, max(start, first), chain, n, rows, chains)
                n += 1
            ended = states[2 if start >= 0 else 0]
            first = next_group(events, steps, rules, ended, first, stop, hi, chain)
    return int(n)
