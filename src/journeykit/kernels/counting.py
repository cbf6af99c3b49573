"""Rows to count in, found by key: what several kernels share. See `journeykit.statistics.counting`."""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import kernel

COUNT, SESSIONS, USERS, LAST_SESSION, LAST_USER = np.arange(5, dtype=np.uint64)


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

    Without branches: whether a row is new to a session is as unpredictable as the path.
    """
    table[row, COUNT] += 1
    table[row, SESSIONS] += (table[row, LAST_SESSION] != session + 1) & (session >= 0)
    table[row, LAST_SESSION] = session + 1
    table[row, USERS] += table[row, LAST_USER] != user + 1
    table[row, LAST_USER] = user + 1


@kernel
def add_units(user_paths, cells, counted, table):
    """Count the paths that are marked per cell, and their users; the third column remembers the user met last."""
    for user in range(user_paths.size - 1):
        for path in range(user_paths[user], user_paths[user + 1]):
            cell = np.int64(cells[path])
            table[cell, 0] += counted[path]
            table[cell, 1] += counted[path] & (table[cell, 2] != user + 1)
            table[cell, 2] = user + 1 if counted[path] else table[cell, 2]
