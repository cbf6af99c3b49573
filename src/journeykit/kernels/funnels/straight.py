"""From paths straight to the counts of a funnel, without a row per event or run. DEFINITIONS D7.4 to D7.11.

The events of one path after another are listed in a buffer that stays in the cache; the machines of `runs` choose its
runs there, which are counted at once. Only times that are kept for percentiles are written.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from journeykit.kernels.compiling import inlined, kernel
from journeykit.kernels.funnels.counts import Times, add_times
from journeykit.kernels.funnels.lists import COLUMNS, TIME, Columns, How, Listing, order_list, relevant_events
from journeykit.kernels.funnels.rules import FIRST_STEP, LEVEL, MATURED, OPEN, Method, Rules
from journeykit.kernels.funnels.runs import (
    chosen_run,
    counted_row,
    end_of_group,
    next_group,
    next_start,
    period_of,
)

Int64s = npt.NDArray[np.int64]
Block = tuple[Int64s, Int64s, Int64s, Int64s]
"""Where a block of paths is listed: `offsets`, `at`, `events` of `relevant_events`; spare rows."""
State = tuple[Int64s, Int64s, Int64s, Int64s]
"""What `chosen_run` works with: `reach`, `chain`, `scratch`, `states`."""
Cells = tuple[Int64s, Int64s, Int64s]
"""The cell of each path's first period; where periods start in which runs count; the same if a unit counts in each."""
Counts = tuple[Int64s, Int64s, Int64s, Int64s, Int64s]
"""Per cell: runs by first step, level and whether they are open; runs by matured level; users by step, and the user
met last (both empty if no user comes twice); the sums of times, see `add_gap`, of (2 x cells x steps)."""


@kernel
def put_in_order(
    lo: int, hi: int, n_steps: int, later_first: bool, events: Int64s, spare: Int64s, order: Int64s
) -> None:
    """Put the events of each instant of one path into the order of their steps. See `order_list`."""
    order_list(lo, hi, n_steps, later_first, events, order)
    for i in range(lo, hi):
        for column in range(COLUMNS):
            spare[i, column] = events[order[i], column]
    for i in range(lo, hi):
        for column in range(COLUMNS):
            events[i, column] = spare[i, column]


@kernel
def end_of_block(starts: Int64s, ends: Int64s, first: int, most: int) -> int:
    """Return the path before which a block ends of at most so many events and paths, and of one path at least."""
    path, left = first + 1, most - (ends[first] - starts[first])
    while path < min(starts.size, first + most) and ends[path] - starts[path] <= left:
        left -= ends[path] - starts[path]
        path += 1
    return path


@inlined
def count_one(run: Int64s, own: int, owner: int, counts: Counts) -> None:
    """Count a run, and its user at every step that this user had not reached in this cell."""
    levels, matured, users, last, _ = counts
    levels[own, run[FIRST_STEP], run[LEVEL], run[OPEN]] += 1
    matured[own, run[MATURED]] += 1
    if users.size > 0:
        for step in range(run[FIRST_STEP], run[LEVEL]):
            users[own, step] += last[own, step] != owner
            last[own, step] = owner


@inlined
def count_unit(
    span: tuple[int, int], events: Int64s, steps: Int64s, exclusions: Int64s, how: How, method: Method, rules: Rules,
    path: int, owner: int, cells: Cells, state: State, counts: Counts, times: Times, n: int,
) -> int:  # fmt: skip
    """Count the runs of one path, whose events are listed in `span`; return the next row of times."""
    (lo, hi), (reach, chain, scratch, states) = span, state
    segments, periods, apart = cells
    first = next_start(events, lo, hi)
    while first < hi:
        stop = end_of_group(events, rules, apart, first, hi)
        start = chosen_run(
            events, steps, how, method, rules, exclusions, first, stop, lo, hi, reach, chain, scratch, states
        )
        row = counted_row(rules, start, states)
        if row >= 0:
            run, own = states[row], int(segments[path])
            if periods.size > 0:
                own += period_of(periods, events[max(start, first), TIME]) - 1
            count_one(run, own, owner, counts)
            if run[LEVEL] > run[FIRST_STEP] + 1:
                for step in range(run[FIRST_STEP], run[LEVEL]):
                    scratch[step] = events[chain[step], TIME]
                n = add_times(scratch, run[FIRST_STEP], run[LEVEL], own, counts[4], times, n)
        ended = states[2 if start >= 0 else 0]
        first = next_group(events, steps, rules, ended, first, stop, hi, chain)
    return n


@kernel
def count_paths(
    ragged: tuple[Int64s, Int64s, Int64s], columns: Columns, masks: Int64s, cells: Cells, steps: Int64s,
    exclusions: Int64s, method: Method, given: tuple[tuple[Any, ...], ...], block: Block, state: State, counts: Counts,
    times: Times, tied: Int64s,
) -> tuple[int, int]:  # fmt: skip
    """Count the runs of all paths; return how many times were kept, and how many paths have ties.

    `ragged` = (whose a path is, its start, its end); `given` are the values of `Listing`, `How` and `Rules`.
    """
    listed, follow, choice = given
    (owners, starts, ends), (offsets, at, events, spare) = ragged, block
    reorder, how, rules = Listing(*listed).reorder, How(*follow), Rules(*choice)
    n, n_tied, path = np.int64(0), np.int64(0), np.int64(0)
    while path < starts.size:
        stop, known = end_of_block(starts, ends, path, offsets.size - 1), n_tied
        n_tied = relevant_events(
            (path, stop), starts, ends, columns, masks, listed, offsets, at, events, tied, n_tied
        )
        for unit in range(known, n_tied if reorder != 0 else known):
            own = tied[unit] - path
            put_in_order(offsets[own], offsets[own + 1], steps.shape[0], reorder < 0, events, spare, at)
        for own in range(stop - path):
            lo, hi = offsets[own], offsets[own + 1]
            if lo < hi:
                n = count_unit(
                    (lo, hi), events, steps, exclusions, how, method, rules, path + own, owners[path + own], cells,
                    state, counts, times, n,
                )  # fmt: skip
        path = stop
    return int(n), int(n_tied)
