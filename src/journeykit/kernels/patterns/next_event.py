"""The event after a run of given events; and whether a path fulfils conditions at all. DEFINITIONS D8.10, D9.10."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from journeykit.kernels.compiling import kernel

Codes = npt.NDArray[np.unsignedinteger[Any]]
Int64s = npt.NDArray[np.int64]
Masks = npt.NDArray[np.uint64]

HEAD, TAIL, FIRST_MATCH, LAST_MATCH = range(4)
NO_RUN, NOTHING_NEXT = -2, -1
ONE, ZERO = np.uint64(1), np.uint64(0)


@kernel
def is_base(fits: np.uint64, length: int, with_condition: bool) -> bool:
    """Tell whether an event fits the first element, and the condition, whose bit follows those of the elements."""
    if length > 0 and fits & ONE == ZERO:
        return False
    return not with_condition or (fits >> np.uint64(length)) & ONE != ZERO


@kernel
def base_of(codes: Codes, masks: Masks, first: int, end: int, rule: tuple[int, bool, int, bool]) -> int:
    """Return the position where a run may begin; -1 if there is none."""
    length, _, base, with_condition = rule
    if base in (HEAD, TAIL):
        at = first if base == HEAD else end - 1
        return at if is_base(masks[codes[at]], length, with_condition) else -1
    step = 1 if base == FIRST_MATCH else -1
    at = first if base == FIRST_MATCH else end - 1
    while first <= at < end:
        if is_base(masks[codes[at]], length, with_condition):
            return at
        at += step
    return -1


@kernel
def next_events(
    starts: Int64s, ends: Int64s, codes: Codes, masks: Masks, rule: tuple[int, bool, int, bool], found: Int64s
) -> None:
    """Write the position of the event after the run of every path; -1 at the border, -2 without such a run.

    `rule` = (elements of the run, whether it runs forwards, where it begins, whether that has a condition).
    """
    length, forward, _, _ = rule
    step = 1 if forward else -1
    for path in range(starts.size):
        found[path] = NO_RUN
        if starts[path] == ends[path]:
            continue
        at = base_of(codes, masks, starts[path], ends[path], rule)
        if at < 0:
            continue
        k = 0
        while k < length and starts[path] <= at < ends[path] and (masks[codes[at]] >> np.uint64(k)) & ONE:
            at += step
            k += 1
        if k == length:
            found[path] = at if starts[path] <= at < ends[path] else NOTHING_NEXT


@kernel
def fulfilled(starts: Int64s, ends: Int64s, codes: Codes, masks: Masks, found: Masks) -> None:
    """Write which matchers any event of each path fits."""
    for path in range(starts.size):
        found[path] = ZERO
        for i in range(starts[path], ends[path]):
            found[path] |= masks[codes[i]]
