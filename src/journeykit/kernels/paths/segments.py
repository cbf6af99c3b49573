"""Which value of a property a path has."""

from __future__ import annotations

from journeykit.kernels.compiling import kernel


@kernel
def known_values(starts, ends, values, last, found):
    """Take each path's first (or last) known value, -1 if it has none."""
    for path in range(starts.size):
        found[path] = -1
        for i in range(starts[path], ends[path]):
            if values[i] >= 0 and (last or found[path] < 0):
                found[path] = values[i]


@kernel
def values_of_users(offsets, values, found, twice):
    """Take each user's known value, -1 without one; mark the users that have two."""
    for user in range(offsets.size - 1):
        found[user] = -1
        for i in range(offsets[user], offsets[user + 1]):
            if values[i] >= 0:
                twice[user] |= found[user] >= 0 and found[user] != values[i]
                found[user] = values[i]
