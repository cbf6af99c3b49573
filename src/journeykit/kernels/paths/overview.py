"""The first numbers of a log, counted in one pass over the events of every session. DEFINITIONS D2.5."""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import kernel
from journeykit.kernels.counting import slot_of

# Bits of an event name's role.
PASSIVE, VIEW, KEY, GOAL = 1, 2, 4, 8

# Columns of the table of cells; the last four remember the user met last.
USERS, SESSIONS, EVENTS, OUTSIDE, ACTIVE, SINGLE_EVENT_USERS, BOUNCED, ENGAGED = 0, 1, 2, 3, 4, 5, 6, 7
CONVERTED_USERS, CONVERTED_SESSIONS, DURATION, FIRST, LAST, SESSION_USERS, RETURNED = 8, 9, 10, 11, 12, 13, 14
LAST_USER, USER_EVENTS, LAST_CONVERTED, LAST_SESSION_USER, CELL_COLUMNS = 15, 16, 17, 18, 19


@kernel
def count_user(table, cell, user, events):
    """Count a user once per cell, and as one of a single event while there is no second."""
    if table[cell, LAST_USER] != user + 1:
        table[cell, LAST_USER], table[cell, USER_EVENTS] = user + 1, 0
        table[cell, USERS] += 1
    before = table[cell, USER_EVENTS]
    table[cell, USER_EVENTS] = before + events
    table[cell, SINGLE_EVENT_USERS] += (before + events == 1) - np.int64(before == 1)
    table[cell, EVENTS] += events


@kernel
def count_names(codes, first, last, base, keys, rows, names):
    """Count the events of every name in a cell."""
    for i in range(first, last):
        names[slot_of(keys, rows, base + np.int64(codes[i])), 0] += 1


@kernel
def read_roles(codes, first, last, roles):
    """Return how many events are not passive, the last of these, how many are views, and all roles met."""
    active, end, views, met = 0, first, 0, 0
    for i in range(first, last):
        role = roles[codes[i]]
        if role & PASSIVE == 0:
            active, end = active + 1, i
        views += role & VIEW != 0
        met |= role
    return active, end, views, met


@kernel
def count_session(table, cell, user, converted, bounced, engaged, duration):
    """Count one session, and its user if this is the user's first in the cell."""
    table[cell, SESSIONS] += 1
    table[cell, BOUNCED] += bounced
    table[cell, ENGAGED] += engaged
    table[cell, DURATION] += duration
    table[cell, SESSION_USERS] += table[cell, LAST_SESSION_USER] != user + 1
    table[cell, LAST_SESSION_USER] = user + 1
    if converted:
        table[cell, CONVERTED_SESSIONS] += 1


@kernel
def overview_pass(runs, events, cells, roles, rule, table, names, durations, gaps):
    """Count every run of events (a session, or outside any) per cell.

    `rule` = (end of observation, engaged after, bounce = not engaged). `durations` gets one entry per run
    (-1 outside), `gaps` the time to the user's next session, or -1 - the time to the end of observation.
    """
    until, engaged_after, bounce_engaged = rule
    user_runs, offsets, inside = runs
    codes, role_codes, times = events
    name_count, keys, rows, counts = names
    for user in range(user_runs.size - 1):
        before, before_end = np.int64(-1), np.int64(0)
        for run in range(user_runs[user] - user_runs[0], user_runs[user + 1] - user_runs[0]):
            cell = np.int64(cells[run]) if cells.size > 0 else np.int64(0)
            first, last = offsets[run], offsets[run + 1]
            count_user(table, cell, user, last - first)
            count_names(codes, first, last, cell * name_count, keys, rows, counts)
            active, end, views, met = last - first, last - 1, 0, 0
            if roles.size > 0:
                active, end, views, met = read_roles(role_codes, first, last, roles)
            table[cell, FIRST] = min(table[cell, FIRST], times[first])
            table[cell, LAST] = max(table[cell, LAST], times[last - 1])
            if met & GOAL != 0 and table[cell, LAST_CONVERTED] != user + 1:
                table[cell, CONVERTED_USERS] += 1
                table[cell, LAST_CONVERTED] = user + 1
            durations[run] = gaps[run] = -1
            if inside.size > 0 and not inside[run]:
                table[cell, OUTSIDE] += last - first
                continue
            durations[run] = times[end] - times[first]
            table[cell, ACTIVE] += active
            engaged = durations[run] > engaged_after or views >= 2 or met & KEY != 0
            bounced = not engaged if bounce_engaged else active == 1
            count_session(table, cell, user, met & GOAL != 0, bounced, engaged, durations[run])
            gaps[run] = times[end] - until - 1
            if before >= 0:
                gaps[before] = max(times[first] - before_end, 0)
                table[np.int64(cells[before]) if cells.size > 0 else np.int64(0), RETURNED] += 1
            before, before_end = np.int64(run), times[end]
