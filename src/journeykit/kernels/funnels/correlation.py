"""Which events come between the first step of a run and its end. DEFINITIONS D7.11."""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import kernel
from journeykit.kernels.counting import slot_of

WITH, CONVERTED, LAST_RUN = 0, 1, 2


@kernel
def count_between(
    positions, limits, converted, ends, cells, states, times, sessions, rule, keys, rows, table
):
    """Count every state once per run in which it comes strictly after the first step and before the end.

    ``positions`` holds the first and the last step of each run, ``limits`` their times and the deadline. A run that
    converted ends before its last step, others at the deadline, itself included. `rule` is: whether positions decide
    what is later, the tick of time, how many states there are, the number of the first run.
    """
    by_position, tick, n_states, number = rule
    for run in range(converted.size):
        first, last = positions[run, 0], positions[run, 1]
        start, end, deadline = limits[run, 0], limits[run, 1], limits[run, 2]
        for i in range(first + 1, ends[run]):
            time = times[i] - times[i] % tick
            over = time > deadline
            if converted[run]:
                over = i >= last if by_position else time >= end
            if over or (sessions.size > 0 and sessions[i] != sessions[first]):
                break
            if by_position or time > start:
                row = slot_of(keys, rows, cells[run] * n_states + np.int64(states[i]))
                if table[row, LAST_RUN] != number + run + 1:
                    table[row, LAST_RUN] = number + run + 1
                    table[row, WITH] += 1
                    table[row, CONVERTED] += converted[run]
