"""Moves from one state to the next, counted along paths. DEFINITIONS D4."""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import kernel
from journeykit.kernels.counting import slot_of
from journeykit.kernels.paths.ends import PATH_END

COUNT, SESSIONS, USERS, LAST, TIME_SUM, TIME_MIN, TIME_MAX = np.arange(7, dtype=np.uint64)
VISIT_USERS, VISIT_SESSIONS, VISIT_LAST = np.arange(3, dtype=np.uint64)


@kernel
def add_move(table, row, stamp, inside, first):
    """Count one occurrence, and its session (if it is inside one) and user if this is their first in the row.

    Sessions are numbered from user to user, from 1 on: `stamp` is this one's, `first` what the user's stamps are above.
    Without branches: whether an edge is new to a session is as unpredictable as the path.
    """
    last = table[row, LAST]
    table[row, COUNT] += 1
    table[row, SESSIONS] += (last != stamp) & inside
    table[row, USERS] += last <= first
    table[row, LAST] = stamp


@kernel
def add_time(table, row, gap):
    """Add the time that one move took. With branches: extremes soon hold, and are then not written again."""
    table[row, TIME_SUM] += gap
    if gap < table[row, TIME_MIN]:  # noqa: PLR1730
        table[row, TIME_MIN] = gap
    if gap > table[row, TIME_MAX]:  # noqa: PLR1730
        table[row, TIME_MAX] = gap


@kernel
def add_visit(table, row, stamp, inside, first):
    """Count the session (if it is inside one) and the user of a visit if this is their first of the state."""
    last = table[row, VISIT_LAST]
    table[row, VISIT_SESSIONS] += (last != stamp) & inside
    table[row, VISIT_USERS] += last <= first
    table[row, VISIT_LAST] = stamp


@kernel
def stamp_of(number):
    """Return the stamp of a session, and whether it is one: what is outside any has -1 - its number."""
    return (np.int64(number) + 1, True) if number >= 0 else (np.int64(-number), False)


@kernel
def count_moves(
    user_paths, starts, ends, states, times, sessions, firsts, cells, censored, rule, moves, visits
):
    """Count the moves of every path, with START and END, and who visits each state, per cell. D3.2, D4.1.

    `rule` = (states with START and END, skip state 0, collapse repeats); `moves` and `visits` are (keys, rows,
    table), of which the visits of START are the paths. `sessions` numbers the session of every event, or is empty
    where a path is a session; `firsts` is the first of every user. `censored` marks paths without END.
    """
    size, skip, collapse = rule
    keys, rows, table = moves
    state_keys, state_rows, state_table = visits
    for user in range(user_paths.size - 1):
        first = firsts[user]
        for path in range(user_paths[user], user_paths[user + 1]):
            base = np.int64(cells[path]) * size
            source, since, stamp, inside = size - 2, np.int64(0), np.int64(path) + 1, True
            for i in range(np.uint64(starts[path]), np.uint64(ends[path])):
                target = np.int64(states[i])
                if (skip and target == 0) or (collapse and target == source):
                    continue
                if sessions.size > 0 and source == size - 2:
                    stamp, inside = stamp_of(sessions[i])
                row = slot_of(keys, rows, (base + source) * size + target)
                add_move(table, row, stamp, inside, first)
                add_time(table, row, times[i] - since)
                if sessions.size > 0:
                    stamp, inside = stamp_of(sessions[i])
                add_visit(state_table, slot_of(state_keys, state_rows, base + target), stamp, inside, first)
                source, since = target, times[i]
            if source != size - 2:
                start = slot_of(state_keys, state_rows, base + size - 2)
                add_visit(state_table, start, stamp, inside, first)
                if not (censored.size > 0 and censored[path]):
                    end = slot_of(keys, rows, (base + source) * size + size - 1)
                    add_move(table, end, stamp, inside, first)


@kernel
def count_session_moves(marks, origin, states, times, cells, size, moves, visits):
    """Count the moves as above where every event is in a session and sessions are the paths, but for moves to END.

    `marks` says of every event from `origin` on whether it ends a path: see `mark_ends`. One loop without branches: to
    foresee where paths end costs as much as all the counting. `moves` and `visits` are tables without hash tables.
    """
    source, since = size - 2, np.int64(0)
    stamp, first = np.int64(1), np.int64(0)
    for i in range(np.uint64(origin), np.uint64(origin + marks.size)):
        base = np.int64(cells[np.uint64(stamp - 1)]) * size
        target = np.int64(states[i])
        row = np.uint64((base + source) * size + target)
        add_move(moves, row, stamp, True, first)
        add_time(moves, row, times[i] - since)
        add_visit(visits, np.uint64(base + target), stamp, True, first)
        mark = marks[i - np.uint64(origin)]
        since = times[i]
        source = target if mark == 0 else size - 2
        stamp += mark != 0
        first = stamp - 1 if mark > PATH_END else first


@kernel
def count_session_ends(marks, origin, ends, states, cells, censored, size, moves, visits):
    """Count the moves to END, and the visits of START: the sessions and users of the kernel before."""
    first = np.int64(0)
    for path in range(np.uint64(ends.size)):
        base, last = np.int64(cells[path]) * size, np.uint64(ends[path] - 1)
        stamp = np.int64(path) + 1
        add_visit(visits, np.uint64(base + size - 2), stamp, True, first)
        if not (censored.size > 0 and censored[path]):
            row = np.uint64((base + np.int64(states[last])) * size + size - 1)
            add_move(moves, row, stamp, True, first)
        first = stamp if marks[last - np.uint64(origin)] > PATH_END else first


@kernel
def number_tuples(starts, ends, states, previous, keys, rows, ids):
    """Number the tuples that end at every event: the event before's `previous` number, then this state.

    `previous` numbers the tuples that are one shorter; a first event has 0 there. D4.3.
    """
    for path in range(starts.size):
        for i in range(starts[path], ends[path]):
            before = previous[i - 1] + 1 if i > starts[path] else 0
            ids[i] = slot_of(keys, rows, (np.int64(before) << 32) | np.int64(states[i]))


@kernel
def gaps_by_edge(starts, ends, states, times, cells, rule, keys, rows, edges, gaps):
    """List every move between events as (row of its edge, time it took); return how many there are."""
    size, skip, collapse = rule
    n = 0
    for path in range(starts.size):
        base = cells[path] * size if cells.size > 0 else 0
        source, since = np.int64(-1), np.int64(-1)
        for i in range(starts[path], ends[path]):
            target = np.int64(states[i])
            if (skip and target == 0) or (collapse and target == source):
                continue
            if since >= 0:
                edges[n] = slot_of(keys, rows, (base + source) * size + target)
                gaps[n] = times[i] - times[since]
                n += 1
            source, since = target, np.int64(i)
    return n
