"""Adding the runs that count up, by group and step. DEFINITIONS D7.11."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from journeykit.kernels.compiling import kernel
from journeykit.kernels.funnel import FIRST_STEP, LEVEL, MATURED, OPEN

Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

REACHED, USERS, OPENED, ENTERED, MATURED_RUNS, CONVERTED = 0, 1, 2, 3, 4, 5
"""Of the counts, each groups x steps."""
COUNT, SECONDS, REST, LEAST, MOST = 0, 1, 2, 3, 4
"""Of the sums of times, each groups x steps."""
MILLION = 1_000_000


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
