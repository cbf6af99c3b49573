"""Moves from one state to the next, counted along paths. DEFINITIONS D4."""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import kernel

COUNT, SESSIONS, USERS, LAST_SESSION, LAST_USER, TIME_SUM, TIME_MIN, TIME_MAX = np.arange(8, dtype=np.uint64)


@kernel
def slot_of(keys, rows, key):
    """Return the row of a key: the key itself without a hash table, else numbered by first appearance.

    `keys` holds key + 1 (0 is free) in a power of two of places, and in its last place how many are known.
    """
    if rows.size == 0:
        return np.uint64(key)
    mask = rows.size - 1
    place = np.int64((np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(20)) & mask
    while keys[place] != 0:
        if keys[place] == key + 1:
            return np.uint64(rows[place])
        place = (place + 1) & mask
    known = keys[-1]
    keys[place], rows[place], keys[-1] = key + 1, known, known + 1
    return np.uint64(known)


@kernel
def add_one(table, row, session, user):
    """Count one occurrence, and its session (if it has one) and user if this is their first in the row.

    Without branches: whether an edge is new to a session is as unpredictable as the path.
    """
    table[row, COUNT] += 1
    table[row, SESSIONS] += (table[row, LAST_SESSION] != session + 1) & (session >= 0)
    table[row, LAST_SESSION] = session + 1
    table[row, USERS] += table[row, LAST_USER] != user + 1
    table[row, LAST_USER] = user + 1


@kernel
def add_time(table, row, gap):
    """Add the time that one move took."""
    table[row, TIME_SUM] += gap
    table[row, TIME_MIN] = min(table[row, TIME_MIN], gap)
    table[row, TIME_MAX] = max(table[row, TIME_MAX], gap)


@kernel
def count_moves(user_paths, starts, ends, states, times, sessions, cells, censored, rule, keys, rows, table):
    """Count the moves of every path, with START and END, per cell. D3.2, D4.1.

    `rule` = (states with START and END, skip state 0, collapse repeats). `sessions` numbers the session of
    every event (-1 outside any), or is empty where a path is a session; `censored` marks paths without END.
    """
    size, skip, collapse = rule
    for user in range(user_paths.size - 1):
        for path in range(user_paths[user], user_paths[user + 1]):
            base = cells[path] * size if cells.size > 0 else 0
            source, session, since = size - 2, np.int64(path), np.int64(0)
            for i in range(starts[path], ends[path]):
                target = np.int64(states[i])
                if (skip and target == 0) or (collapse and target == source):
                    continue
                if sessions.size > 0 and source == size - 2:
                    session = np.int64(sessions[i])
                row = slot_of(keys, rows, (base + source) * size + target)
                add_one(table, row, session, user)
                add_time(table, row, times[i] - since)
                if sessions.size > 0:
                    session = np.int64(sessions[i])
                source, since = target, times[i]
            if source != size - 2 and not (censored.size > 0 and censored[path]):
                add_one(table, slot_of(keys, rows, (base + source) * size + size - 1), session, user)


@kernel
def count_visits(user_paths, starts, ends, states, sessions, cells, rule, keys, rows, table):
    """Count the events of every state, and their sessions and users, per cell."""
    size, skip, collapse = rule
    for user in range(user_paths.size - 1):
        for path in range(user_paths[user], user_paths[user + 1]):
            base = cells[path] * size if cells.size > 0 else 0
            last = np.int64(-1)
            for i in range(starts[path], ends[path]):
                state = np.int64(states[i])
                if (skip and state == 0) or (collapse and state == last):
                    continue
                session = sessions[i] if sessions.size > 0 else np.int64(path)
                add_one(table, slot_of(keys, rows, base + state), session, user)
                last = state


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
