"""Adding the runs that count up, by group and step. DEFINITIONS D7.11."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from journeykit.kernels.compiling import inlined, kernel
from journeykit.kernels.funnels.rules import FIRST_STEP, LEVEL, MATURED, OPEN

Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

REACHED, USERS, OPENED, ENTERED, MATURED_RUNS, CONVERTED = 0, 1, 2, 3, 4, 5
"""Of the counts, each groups x steps."""
COUNT, SECONDS, REST, LEAST, MOST = 0, 1, 2, 3, 4
"""Of the sums of times, each groups x steps."""
MILLION = 1_000_000
Times = tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8], Int64s]
"""Of each time that is kept: whose it is, twice its step plus what it is since, its microseconds."""
PREVIOUS, FIRST = 0, 1
"""What a time is since: the step before, the first step."""


@kernel
def count_run(
    run: Int64s, made: Int64s, own: int, owner: int, required: Int64s, place: Int64s, last: Int64s, counts: Int64s
) -> None:  # fmt: skip
    """Add one run to `counts`, six x groups x steps; ``made[k]`` is at least 0 if it made step k.

    `required` are the steps that must be made, ``place[k]`` which of them step k is, -1 for an optional one. `last`,
    groups x steps, has the owner counted last, -1 at first.
    """
    first, level, matured = run[FIRST_STEP], run[LEVEL], run[MATURED]
    if level > first:
        counts[ENTERED, own, required[first]] += 1
        counts[OPENED, own, required[level - 1]] += run[OPEN] > 0
    for step in range(made.size):
        counts[MATURED_RUNS, own, step] += matured > 0
        counts[CONVERTED, own, step] += place[step] >= 0 and matured > place[step]
        if made[step] >= 0:
            counts[REACHED, own, step] += 1
            if last[own, step] != owner:
                counts[USERS, own, step] += 1
                last[own, step] = owner


@kernel
def count_runs(
    group: Int64s, owner: Int64s, rows: Int64s, at: Int64s, required: Int64s, place: Int64s, last: Int64s,
    counts: Int64s,
) -> None:  # fmt: skip
    """Add runs, those of one owner after each other. See `count_run`."""
    for run in range(group.size):
        count_run(rows[run], at[run], group[run], owner[run], required, place, last, counts)


@kernel
def add_gap(sums: Int64s, own: int, gap: int) -> None:
    """Add microseconds to `sums`, five x groups."""
    sums[COUNT, own] += 1
    sums[SECONDS, own] += gap // MILLION
    sums[REST, own] += gap % MILLION
    sums[LEAST, own] = min(sums[LEAST, own], gap)
    sums[MOST, own] = max(sums[MOST, own], gap)


@inlined
def add_times(made: Int64s, first: int, level: int, own: int, sums: Int64s, times: Times, n: int) -> int:
    """Add the times of a run up, and keep them from row n on if there is room; return the row after them.

    ``made[k]`` is when it made step k, from `first` up to `level`. Times from the first step to the second are those
    from the step before, and nothing is done twice.
    """
    whose, which, gaps = times
    cells = sums.shape[1] // (2 * made.size)
    for step in range(first + 1, level):
        for since in range(1 if first > 0 or step == 1 else 2):
            gap = made[step] - made[step - 1 if since == PREVIOUS else 0]
            add_gap(sums, (since * cells + own) * made.size + step, gap)
            if gaps.size > 0:
                whose[n], which[n], gaps[n] = own, 2 * step + since, gap
                n += 1
    return n


@kernel
def add_gaps(
    group: Int64s,
    at: Int64s,
    times: Int64s,
    step: int,
    before: int,
    sums: Int64s,
    whose: Int64s,
    gaps: Int64s,
) -> int:
    """Add the microseconds between two steps to `sums`, five x groups; list them by group; return how many."""
    n = 0
    for run in range(group.size):
        if at[run, step] >= 0 and at[run, before] >= 0:
            gap, own = times[run, step] - times[run, before], group[run]
            add_gap(sums, own, gap)
            whose[n], gaps[n] = own, gap
            n += 1
    return n


@kernel
def average_gaps(
    of: Int64s, at: Int64s, times: Int64s, step: int, before: int, whose: Int64s, mean: Floats,
    middle: Floats,
) -> int:  # fmt: skip
    """List, for each number of `of`, the mean and median microseconds between two steps; return how many.

    Runs of one number follow each other. Medians are rounded to whole microseconds.
    """
    gaps = np.empty(of.size, np.int64)
    n, run = 0, 0
    while run < of.size:
        own, some, total = of[run], 0, 0
        while run < of.size and of[run] == own:
            if at[run, step] >= 0 and at[run, before] >= 0:
                gaps[some] = times[run, step] - times[run, before]
                total += gaps[some]
                some += 1
            run += 1
        if some > 0:
            if some > 1:
                gaps[:some].sort()
            whose[n], mean[n] = own, total / some
            middle[n] = np.rint((gaps[(some - 1) // 2] + gaps[some // 2]) / 2)
            n += 1
    return n
