"""From paths to the short lists of events that a funnel asks about. DEFINITIONS D7.1 to D7.3."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from journeykit.kernels.compiling import kernel

Codes = npt.NDArray[np.unsignedinteger[Any]]
Int64s = npt.NDArray[np.int64]
Masks = npt.NDArray[np.uint64]

MASK, TIME, DEADLINE, RANK, SESSION, HELD = 0, 1, 2, 3, 4, 5
COLUMNS = 6
"""Of a list of relevant events, one row of 48 bytes each.

`MASK`: bit k says that the event fits matcher k (steps first, then exclusions); `START`: it may start a run.
`TIME`: microseconds, floored to the resolution. `DEADLINE`: until when a run that starts here may match.
`RANK`: its place among all events of its path that count; where times decide, the first time of any event of its path
that is later by more than the grace. They say what is the very next event.
`SESSION`, `HELD`: all events of a chain have the same number here.
"""
START = 1 << 62
BIT, LOW, HIGH, DIRECT = 0, 1, 2, 3
"""The columns of steps: their bit in `MASK`; least and most time from the step before, in microseconds, the least below
0 where grace allows it; whether it must be the very next event."""


class How(NamedTuple):
    """What may follow what.

    Attributes
    ----------
    by_position : bool
        A later position follows, whatever the times; else times alone decide.
    grace : int
        Where times decide: by how much they may be apart and still count as one, in microseconds.
    reuse : bool
        An event may make several steps.
    distinct : bool
        The rules above do not yet keep an event from making two steps.
    """

    by_position: bool
    grace: int
    reuse: bool
    distinct: bool


@kernel
def usable(events: Int64s, start: int, j: int) -> bool:
    """Tell whether an event is in the session of the run's first, and holds the same values."""
    return bool(events[j, SESSION] == events[start, SESSION] and events[j, HELD] == events[start, HELD])


@kernel
def is_repeat(states: Codes, i: int, seen: Int64s, n_seen: int) -> bool:
    """Tell whether one of the events kept in this tick has the same name."""
    for k in range(n_seen):
        if states[seen[k]] == states[i]:
            return True
    return False


@kernel
def twice_as_long(values: Int64s) -> Int64s:
    """Return the values with as much room after them."""
    longer = np.empty(2 * values.size, np.int64)
    for k in range(values.size):
        longer[k] = values[k]
    return longer


@kernel
def relevant_events(
    starts: Int64s, ends: Int64s, codes: Codes, masks: Int64s, states: Codes, times: Int64s,
    rule: tuple[bool, int, int], offsets: Int64s, at: Int64s, events: Int64s,
) -> None:  # fmt: skip
    """List the events of every path that fit a matcher.

    `rule` = (an occurrence is the first event of a run of its state (D6.4); ticks of time in microseconds, 1 for
    none: times are floored to them, and a name that comes back in a tick is dropped before anything is counted; the
    window). `at` is where each event is among those of all paths.
    """
    by_run, tick, window = rule
    n = 0
    seen = np.empty(64, np.int64)
    for path in range(starts.size):
        offsets[path], rank, n_seen = n, 0, 0
        for i in range(starts[path], ends[path]):
            time = times[i]
            if tick > 1:
                time -= time % tick
                if n_seen > 0 and times[seen[0]] - times[seen[0]] % tick != time:
                    n_seen = 0
                if is_repeat(states, i, seen, n_seen):
                    continue
                if n_seen == seen.size:
                    seen = twice_as_long(seen)
                seen[n_seen] = i
                n_seen += 1
            mask = masks[codes[i]]
            if mask != 0 and not (by_run and i > starts[path] and states[i - 1] == states[i]):
                at[n] = i
                events[n, MASK], events[n, TIME], events[n, DEADLINE] = mask, time, time + window
                events[n, RANK], events[n, SESSION], events[n, HELD] = rank, 0, 0
                n += 1
            rank += 1
    offsets[starts.size] = n


@kernel
def next_times(
    starts: Int64s, ends: Int64s, times: Int64s, rule: tuple[int, int], offsets: Int64s, events: Int64s
) -> None:
    """Write as the rank of every listed event the first time of its path that is later by more than the grace.

    `rule` = (ticks of time in microseconds, grace in microseconds).
    """
    tick, grace = rule
    for path in range(starts.size):
        i = starts[path]
        for j in range(offsets[path], offsets[path + 1]):
            while i < ends[path] and times[i] - times[i] % tick <= events[j, TIME] + grace:
                i += 1
            events[j, RANK] = times[i] - times[i] % tick if i < ends[path] else START


@kernel
def order_ticks(offsets: Int64s, n_steps: int, later_first: bool, events: Int64s, order: Int64s) -> None:
    """Write the order of events by time and step, so that what follows by position follows by the tie rule.

    Exact where no event fits two steps: a later step at the same instant comes after an earlier one (ties "any"),
    or before it, where it cannot follow it (ties "strict").
    """
    steps = (1 << n_steps) - 1
    for unit in range(offsets.size - 1):
        i = offsets[unit]
        while i < offsets[unit + 1]:
            end = i + 1
            while end < offsets[unit + 1] and events[end, TIME] == events[i, TIME]:
                end += 1
            place = i
            if end == i + 1:
                order[i] = i
                place = end
            for k in range(n_steps + 1):
                step = n_steps - k if later_first else k
                for j in range(i, end):
                    mask = events[j, MASK] & steps
                    if place < end and (mask >> step & 1 if step < n_steps else mask == 0):
                        order[place] = j
                        place += 1
            i = end


@kernel
def tied_units(offsets: Int64s, events: Int64s, found: Int64s) -> int:
    """List the units in which different kinds of events have one time; return how many."""
    n = 0
    for unit in range(offsets.size - 1):
        for i in range(offsets[unit] + 1, offsets[unit + 1]):
            if events[i, TIME] == events[i - 1, TIME] and events[i, MASK] != events[i - 1, MASK]:
                found[n] = unit
                n += 1
                break
    return n
