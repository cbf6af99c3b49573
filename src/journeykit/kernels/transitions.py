"""Moves from one state to the next, counted along paths. DEFINITIONS D4."""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import kernel
from journeykit.kernels.counting import slot_of

COUNT, SESSIONS, USERS, LAST, TIME_SUM, TIME_MIN, TIME_MAX = np.arange(7, dtype=np.uint64)


@kernel
def add_move(table, row, session, inside, first):
    """Count one occurrence, and its session (if it is inside one) and user if this is their first in the row.

    Sessions are numbered from user to user; `first` is this user's first. Without branches: whether an edge is new
    to a session is as unpredictable as the path.
    """
    last = table[row, LAST]
    table[row, COUNT] += 1
    table[row, SESSIONS] += (last != session + 1) & inside
    table[row, USERS] += last <= first
    table[row, LAST] = session + 1


@kernel
def add_time(table, row, gap):
    """Add the time that one move took. With branches: extremes soon hold, and are then not written again."""
    table[row, TIME_SUM] += gap
    if gap < table[row, TIME_MIN]:  # noqa: PLR1730
        table[row, TIME_MIN] = gap
    if gap > table[row, TIME_MAX]:  # noqa: PLR1730
        table[row, TIME_MAX] = gap


@kernel
def session_of(number):
    """Return a session's number, and whether it is one: what is outside any has -1 - its number."""
    return (np.int64(number), True) if number >= 0 else (np.int64(-1 - number), False)


@kernel
def count_moves(
    user_paths, starts, ends, states, times, sessions, firsts, cells, censored, rule, moves, visits
):
    """Count the moves of every path, with START and END, and the visits of every state, per cell. D3.2, D4.1.

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
            base = cells[path] * size if cells.size > 0 else 0
            source, since, session, inside = size - 2, np.int64(0), np.int64(path), True
            for i in range(starts[path], ends[path]):
                target = np.int64(states[i])
                if (skip and target == 0) or (collapse and target == source):
                    continue
                if sessions.size > 0 and source == size - 2:
                    session, inside = session_of(sessions[i])
                row = slot_of(keys, rows, (base + source) * size + target)
                add_move(table, row, session, inside, first)
                add_time(table, row, times[i] - since)
                if sessions.size > 0:
                    session, inside = session_of(sessions[i])
                add_move(state_table, slot_of(state_keys, state_rows, base + target), session, inside, first)
                source, since = target, times[i]
            if source != size - 2:
                add_move(
                    state_table, slot_of(state_keys, state_rows, base + size - 2), session, inside, first
                )
                if not (censored.size > 0 and censored[path]):
                    end = slot_of(keys, rows, (base + source) * size + size - 1)
                    add_move(table, end, session, inside, first)


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
