"""Where sessions begin: one pass over the times of every user. DEFINITIONS D2.1, D2.2.

A mark is 0 where an event continues what is open, else 1 + the cause of what it opens.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from journeykit.kernels.compiling import kernel

Int64s = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

FIRST, TIMEOUT, MAX_DURATION, MAX_EVENTS, BURST, SPLIT_AT, SPLIT_ON, START_EVENTS, END_EVENTS = range(9)
SESSION_COLUMN, OUTSIDE = 9, 10

STARTS, ENDS, PASSIVE = 1, 2, 4
"""Bits of an event name's role: opens a session, ends one, does neither and is carried along."""

NEVER = np.iinfo(np.int64).max
"""A limit that no log reaches."""


@kernel
def mark_timeouts(user_offsets: Int64s, times: Int64s, longest_gap: int, marks: Bytes) -> int:
    """Mark the first event of every session when silence alone cuts; return how many there are."""
    begin, end = user_offsets[0], user_offsets[-1]
    total = 0
    last = times[begin] if begin < end else np.int64(0)
    for i in range(begin, end):
        cuts = times[i] - last > longest_gap
        marks[i] = 2 * cuts
        total += cuts
        last = times[i]
    for user in range(user_offsets.size - 1):
        i = user_offsets[user]
        if i < user_offsets[user + 1]:
            total += marks[i] == 0
            marks[i] = FIRST + 1
    return total


@kernel
def extent_cause(gap: int, age: int, held: int, spread: int, new_day: bool, limits: Int64s) -> int:
    """Name the first of the rules 1 to 5 of D2.1 that fires, or 0."""
    if gap > limits[0]:
        return TIMEOUT
    if age > limits[1]:
        return MAX_DURATION
    if held >= limits[2]:
        return MAX_EVENTS
    if held == limits[3] and spread <= limits[4]:
        return BURST
    return SPLIT_AT if new_day else FIRST


@kernel
def differs(columns: npt.NDArray[np.uint32], seen: npt.NDArray[np.uint32], i: int) -> bool:
    """Tell whether a property of event i is not null and not the last one seen in the session."""
    for column in range(columns.shape[0]):
        value = columns[column, i]
        if value != 0 and seen[column] != 0 and value != seen[column]:
            return True
    return False


@kernel
def remember(columns: npt.NDArray[np.uint32], seen: npt.NDArray[np.uint32], i: int, opens: bool) -> None:
    """Keep the properties of event i as the last ones seen in the session."""
    for column in range(columns.shape[0]):
        value = columns[column, i]
        if opens or value != 0:
            seen[column] = value


@kernel
def content_cause(role: int, last_role: int, changed: bool) -> int:
    """Name the first of the rules 6 to 8 of D2.1 that fires, or 0."""
    if changed:
        return SPLIT_ON
    if role & STARTS:
        return START_EVENTS
    if last_role & ENDS:
        return END_EVENTS
    return FIRST


@kernel
def mark_sessions(
    user_offsets: Int64s,
    times: Int64s,
    event_codes: npt.NDArray[np.unsignedinteger],
    roles: Bytes,
    days: npt.NDArray[np.int32],
    columns: npt.NDArray[np.uint32],
    limits: Int64s,
    marks: Bytes,
) -> int:
    """Mark the first event of every session, and of every run outside any, under all rules; count them."""
    seen = np.zeros(columns.shape[0], np.uint32)
    total = 0
    for user in range(user_offsets.size - 1):
        last, start, held, outside = -1, np.int64(0), 0, False
        for i in range(user_offsets[user], user_offsets[user + 1]):
            role = roles[event_codes[i]]
            passive = (role & PASSIVE) != 0
            cause = FIRST
            if last >= 0:
                new_day = days.size > 0 and days[i] != days[last]
                gap, spread = times[i] - times[last], times[last] - start
                cause = extent_cause(gap, gap + spread, held, spread, new_day, limits)
                if cause == FIRST:
                    cause = content_cause(role, roles[event_codes[last]], differs(columns, seen, i))
                # A local clock set back over midnight: the day outside has already ended the session.
                if cause == FIRST and outside:
                    cause = SPLIT_AT
            opens = last < 0 or cause != FIRST
            if passive:
                marks[i] = OUTSIDE + 1 if opens and not outside else 0
                outside = outside or opens
            else:
                marks[i] = cause + 1 if opens else 0
                remember(columns, seen, i, opens)
                start, held = (times[i], 1) if opens else (start, held + 1)
                last, outside = i, False
            total += marks[i] != 0
    return total


@kernel
def fill_sessions(
    user_offsets: Int64s,
    marks: Bytes,
    session: int,
    end: int,
    session_offsets: Int64s,
    causes: Bytes,
    user_sessions: Int64s,
) -> None:
    """Write where the marked sessions start and why, numbered from `session` up to `end`."""
    for user in range(user_offsets.size - 1):
        user_sessions[user] = session
        for i in range(user_offsets[user], user_offsets[user + 1]):
            # Written at every event and kept at a mark: whether one comes is not to be predicted.
            if session < end:
                session_offsets[session] = i
                causes[session] = marks[i] - 1
            session += marks[i] != 0
