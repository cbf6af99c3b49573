"""From paths to the short lists of events that a funnel asks about. DEFINITIONS D7.1 to D7.3."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from journeykit.kernels.compiling import kernel

Codes = npt.NDArray[np.unsignedinteger[Any]]
Int64s = npt.NDArray[np.int64]
Columns = tuple[Codes, Codes, Int64s]
"""Of the events of all paths: symbols, states, times."""

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
def is_repeat(states: Codes, times: Int64s, tick: int, first: int, i: int) -> bool:
    """Tell whether an event before this one in its tick, from `first` on, has the same name."""
    j, since = i - 1, times[i] - times[i] % tick
    while j >= first and times[j] >= since:
        if states[j] == states[i]:
            return True
        j -= 1
    return False


class Listing(NamedTuple):
    """How the events of a path are listed.

    Attributes
    ----------
    by_run : bool
        An occurrence is the first event of a run of its state (D6.4).
    tick : int
        Ticks of time in microseconds, 1 for none: times are floored to them, and a name that comes back in a tick is
        dropped before anything is counted.
    window : int
        The longest time from the start.
    grace : int
        Where times decide what is the very next event: by how much it is later; below 0 where positions do.
    earliest, end : int
        Runs start from the one up to, and without, the other.
    reorder : int
        Whether events of one time stay as they are (0), or are put into the order of their steps (1) or into the other
        one (-1).
    """

    by_run: bool
    tick: int
    window: int
    grace: int
    earliest: int
    end: int
    reorder: int


@kernel
def special_events(
    first: int, end: int, columns: Columns, masks: Int64s, listing: Listing, n: int, at: Int64s, events: Int64s
) -> int:  # fmt: skip
    """List the events of one path, where not every event counts or times are floored; return the row after them."""
    codes, states, times = columns
    rank = 0
    for i in range(first, end):
        if listing.tick > 1 and is_repeat(states, times, listing.tick, first, i):
            continue
        mask = masks[codes[i]]
        if mask != 0 and not (listing.by_run and i > first and states[i - 1] == states[i]):
            at[n], events[n, MASK], events[n, TIME] = i, mask, times[i] - times[i] % listing.tick
            events[n, RANK] = rank
            n += 1
        rank += 1
    return n


@kernel
def later_times(
    first: int, end: int, times: Int64s, listing: Listing, lo: int, hi: int, events: Int64s
) -> None:  # fmt: skip
    """Write as the rank of every event of one list the first time of its path that is later by more than the grace."""
    i = first
    for j in range(lo, hi):
        while i < end and times[i] - times[i] % listing.tick <= events[j, TIME] + listing.grace:
            i += 1
        events[j, RANK] = times[i] - times[i] % listing.tick if i < end else START


@kernel
def list_events(
    span: tuple[int, int], starts: Int64s, ends: Int64s, columns: Columns, masks: Int64s, listing: Listing,
    offsets: Int64s, at: Int64s, events: Int64s,
) -> int:  # fmt: skip
    """List the events of some paths that fit a matcher, their marks and times; return how many.

    Where every event counts, without a branch: which events fit is hard to foresee.
    """
    codes, _, times = columns
    first, last = span
    plain = listing.tick == 1 and not listing.by_run
    n = 0
    for path in range(first, last):
        offsets[path - first] = n
        if plain:
            for i in range(starts[path], ends[path]):
                mask = masks[codes[i]]
                at[n], events[n, MASK], events[n, TIME] = i, mask, times[i]
                events[n, RANK] = i - starts[path]
                n += mask != 0
        else:
            n = special_events(starts[path], ends[path], columns, masks, listing, n, at, events)
    offsets[last - first] = n
    return n


@kernel
def add_tied(path: int, offsets: Int64s, n: int, events: Int64s, tied: Int64s, n_tied: int) -> int:
    """Add the paths, from `path` on, whose events of one time are of different kinds; return how many there are."""
    own = 0
    for k in range(1, n):
        if events[k, TIME] == events[k - 1, TIME] and events[k, MASK] != events[k - 1, MASK]:
            while offsets[own + 1] <= k:
                own += 1
            if offsets[own] < k and (n_tied == 0 or tied[n_tied - 1] != path + own):
                tied[n_tied] = path + own
                n_tied += 1
    return n_tied


@kernel
def relevant_events(
    span: tuple[int, int], starts: Int64s, ends: Int64s, columns: Columns, masks: Int64s, listed: tuple[Any, ...],
    offsets: Int64s, at: Int64s, events: Int64s, tied: Int64s, n_tied: int,
) -> int:  # fmt: skip
    """List the events of the paths from the one to the other that fit a matcher; add those paths that have ties.

    Return how many of these there are now. `at`, one longer than what is listed, is where each event is among those of
    all paths. `SESSION` and `HELD` stay as they are.
    """
    listing = Listing(*listed)
    n = list_events(span, starts, ends, columns, masks, listing, offsets, at, events)
    if listing.grace >= 0:
        for path in range(span[0], span[1]):
            own = path - span[0]
            later_times(starts[path], ends[path], columns[2], listing, offsets[own], offsets[own + 1], events)
    for k in range(n):
        time = events[k, TIME]
        events[k, DEADLINE] = time + listing.window
        if time < listing.earliest or time >= listing.end:
            events[k, MASK] &= ~START
    return int(add_tied(span[0], offsets, n, events, tied, n_tied))


@kernel
def order_list(lo: int, hi: int, n_steps: int, later_first: bool, events: Int64s, order: Int64s) -> None:
    """Write the order of the events of one list by time and step, so that what follows by position follows by ties.

    Exact where no event fits two steps: a later step at the same instant comes after an earlier one (ties "any"),
    or before it, where it cannot follow it (ties "strict").
    """
    steps = (1 << n_steps) - 1
    i = lo
    while i < hi:
        end = i + 1
        while end < hi and events[end, TIME] == events[i, TIME]:
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
def order_ticks(offsets: Int64s, n_steps: int, later_first: bool, events: Int64s, order: Int64s) -> None:
    """Write the order of the events of every list; see `order_list`."""
    for unit in range(offsets.size - 1):
        order_list(offsets[unit], offsets[unit + 1], n_steps, later_first, events, order)
