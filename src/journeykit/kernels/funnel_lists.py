"""From paths to the short lists of events that a funnel asks about. DEFINITIONS D7.1 to D7.3."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from journeykit.kernels.compiling import kernel

Codes = npt.NDArray[np.unsignedinteger[Any]]
Int64s = npt.NDArray[np.int64]
Masks = npt.NDArray[np.uint64]

START = np.uint64(1 << 63)
"""The bit of an event that may start a run."""


class Listed(NamedTuple):
    """The events that matter, unit after unit, in order.

    Attributes
    ----------
    offsets : numpy.ndarray of int64, units + 1
        Where the events of each unit start.
    masks : numpy.ndarray of uint64
        Bit k: the event fits matcher k (steps first, then exclusions); the top bit: it may start a run.
    times : numpy.ndarray of int64
        Floored to the resolution.
    ranks : numpy.ndarray of int64
        The place of the event in its path among all events that count; where times decide, the first time of
        any event of its path that is later by more than the grace. They say what is the very next event.
    sessions, held : numpy.ndarray of int64
        All events of a chain have the same number here; empty if that does not matter.
    deadlines : numpy.ndarray of int64
        Until when a run that starts here may match.
    at : numpy.ndarray of int64
        The position of the event among those of all paths.
    """

    offsets: Int64s
    masks: Masks
    times: Int64s
    ranks: Int64s
    sessions: Int64s
    held: Int64s
    deadlines: Int64s
    at: Int64s


@kernel
def usable(listed: Listed, start: int, j: int) -> bool:
    """Tell whether an event is in the session of the run's first, and holds the same values."""
    together = listed.sessions.size == 0 or listed.sessions[j] == listed.sessions[start]
    return bool(together and (listed.held.size == 0 or listed.held[j] == listed.held[start]))


@kernel
def is_repeat(states: Codes, i: int, seen: Int64s, n_seen: int) -> bool:
    """Tell whether one of the events kept in this tick has the same name."""
    for k in range(n_seen):
        if states[seen[k]] == states[i]:
            return True
    return False


@kernel
def relevant_events(
    starts: Int64s,
    ends: Int64s,
    codes: Codes,
    masks: Masks,
    states: Codes,
    times: Int64s,
    rule: tuple[bool, int],
    offsets: Int64s,
    at: Int64s,
    ranks: Int64s,
    found: Masks,
    ticks: Int64s,
) -> None:
    """List the events of every path that fit a matcher.

    `rule` = (an occurrence is the first event of a run of its state (D6.4); ticks of time in microseconds, 1 for
    none: times are floored to them, and a name that comes back in a tick is dropped before anything is counted).
    """
    by_run, tick = rule
    n = 0
    for path in range(starts.size):
        offsets[path] = n
        rank = np.int64(0)
        seen = np.empty(states.size if tick > 1 and states.size < 64 else 64, np.int64)
        n_seen = 0
        for i in range(starts[path], ends[path]):
            time = times[i]
            if tick > 1:
                time -= time % tick
                if n_seen > 0 and times[seen[0]] - times[seen[0]] % tick != time:
                    n_seen = 0
                if is_repeat(states, i, seen, n_seen):
                    continue
                if n_seen == seen.size:
                    seen = np.concatenate((seen, np.empty_like(seen)))
                seen[n_seen] = i
                n_seen += 1
            mask = masks[codes[i]]
            if mask != 0 and not (by_run and i > starts[path] and states[i - 1] == states[i]):
                at[n], ranks[n], found[n], ticks[n] = i, rank, mask, time
                n += 1
            rank += 1
    offsets[starts.size] = n


@kernel
def next_times(
    starts: Int64s,
    ends: Int64s,
    times: Int64s,
    rule: tuple[int, int],
    offsets: Int64s,
    ticks: Int64s,
    ranks: Int64s,
) -> None:
    """Write for every listed event the first time of its path that is later by more than the grace.

    `rule` = (ticks of time in microseconds, grace in microseconds).
    """
    tick, grace = rule
    for path in range(starts.size):
        i = starts[path]
        for j in range(offsets[path], offsets[path + 1]):
            while i < ends[path] and times[i] - times[i] % tick <= ticks[j] + grace:
                i += 1
            ranks[j] = times[i] - times[i] % tick if i < ends[path] else np.iinfo(np.int64).max


@kernel
def order_ticks(
    offsets: Int64s, n_steps: int, later_first: bool, order: Int64s, masks: Masks, times: Int64s
) -> None:
    """Order the events of each instant by their step, so that what follows by position follows by the tie rule.

    Exact where no event fits two steps: a later step at the same instant comes after an earlier one (ties "any"),
    or before it, where it cannot follow it (ties "strict").
    """
    for unit in range(offsets.size - 1):
        i = offsets[unit]
        while i < offsets[unit + 1]:
            end = i + 1
            while end < offsets[unit + 1] and times[end] == times[i]:
                end += 1
            if end == i + 1:
                order[i] = i
            else:
                place = i
                for k in range(n_steps + 1):
                    step = n_steps - k if later_first else k
                    for j in range(i, end):
                        is_step = masks[j] & np.uint64((1 << n_steps) - 1)
                        fits = (
                            (masks[j] >> np.uint64(step)) & np.uint64(1) != 0
                            if step < n_steps
                            else is_step == 0
                        )
                        if fits:
                            order[place] = j
                            place += 1
            i = end
