"""How often an event happens between two steps of a run. DEFINITIONS D7.3, D7.11."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from journeykit.kernels.compiling import kernel

Codes = npt.NDArray[np.unsignedinteger[Any]]
Int64s = npt.NDArray[np.int64]
Masks = npt.NDArray[np.uint64]

BY_POSITION, BY_TIME, LATER = 0, 1, 2
"""What lies between two steps: positions decide; times do, with equal ones inside; or with equal ones outside."""


@kernel
def first_of_tick(states: Codes, times: Int64s, start: int, i: int, tick: int) -> bool:
    """Tell whether no event before i in its path and tick has its name."""
    own, j = times[i] - times[i] % tick, i - 1
    while j >= start and times[j] >= own:
        if states[j] == states[i]:
            return False
        j -= 1
    return True


@kernel
def made_a_step(at: Int64s, run: int, i: int) -> bool:
    """Tell whether an event is one of the steps of a run."""
    for step in range(at.shape[1]):
        if at[run, step] == i:
            return True
    return False


@kernel
def count_matches(
    at: Int64s, ends: Int64s, spans: Int64s, codes: Codes, masks: Masks, states: Codes, times: Int64s,
    rule: tuple[int, int, int, bool], counts: Int64s,
) -> None:  # fmt: skip
    """Count for every run the events that fit, lie between two steps and made none.

    `spans`, runs x 4: the first and the last position that may lie between, and the first and the last time.
    `ends`, runs x 2: where the path of a run starts and ends. `rule` = (what lies between; ticks of time in
    microseconds; grace in microseconds; whether an occurrence is the first event of a run of its state, D6.4).
    """
    between, tick, grace, by_run = rule
    for run in range(counts.size):
        start, end = ends[run, 0], ends[run, 1]
        first, last, from_time, to_time = spans[run, 0], spans[run, 1], spans[run, 2], spans[run, 3]
        i = first
        low = from_time - grace if between == BY_TIME else from_time + 1
        high = to_time + grace if between == BY_TIME else to_time - 1
        if between != BY_POSITION:
            while i > start and times[i - 1] - times[i - 1] % tick >= low:
                i -= 1
            last = end - 1
        while i <= last:
            time = times[i] - times[i] % tick
            if between != BY_POSITION and time > high:
                break
            fits = masks[codes[i]] != 0 and not (by_run and i > start and states[i - 1] == states[i])
            inside = between == BY_POSITION or time >= low
            if fits and inside and not made_a_step(at, run, i):
                counts[run] += tick == 1 or first_of_tick(states, times, start, i, tick)
            i += 1
