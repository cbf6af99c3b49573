"""What the machines of a funnel share: methods, rules, and what is told of a run. DEFINITIONS D7.4 to D7.9."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from journeykit.kernels.compiling import inlined, kernel
from journeykit.kernels.funnels.lists import DEADLINE, HIGH, TIME

Int64s = npt.NDArray[np.int64]

LINEAR, GREEDY, EXACT, UNORDERED = 1, 2, 3, 4
Method = tuple[int, ...]
"""As many numbers as the method has: by this type a kernel is compiled for one method, without the code of others."""
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
def deadline_of(events: Int64s, steps: Int64s, start: int, level: int, chain: Int64s) -> int:
    """Return until when a run may make its next step: the window's end, or the longest gap's. D7.7."""
    deadline = int(events[start, DEADLINE])
    if level < steps.shape[0]:
        deadline = min(deadline, int(events[chain[level - 1], TIME] + steps[level, HIGH]))
    return deadline
