"""From entries to users, and from rows in input order to events ordered by user and time. DEFINITIONS D1.3, D12.1.

Entries are scattered, by a quick hash of the id, into partitions that fit the cache. Every partition numbers its
users by itself and looks up their jackknife groups. Then every entry knows the place of its first event, and rows
go straight there.
"""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import inlined, kernel
from journeykit.kernels.memory import fetch_all, same_text
from journeykit.kernels.ordering.user_ids import BLOCK, HASH, IDENTITY

RUN = 16
PLACE = HASH  # once users are numbered, the place of its first event takes that of an entry's hash


@kernel
def partition_of(h, bits):
    """Return the partition of a hash, by `bits` of it that the table of users does not use."""
    return np.int64((h >> np.uint64(40)) & np.uint64((1 << bits) - 1))


@kernel
def count_entries(entries, bits, counts):
    """Count entries by partition."""
    for i in range(entries.shape[0]):
        counts[partition_of(entries[i, HASH], bits)] += 1


@kernel
def scatter_entries(entries, sizes, bits, places, own_places, scattered, scattered_sizes):
    """Write every entry and its size to the next place of its partition; say which place that was."""
    for i in range(entries.shape[0]):
        partition = partition_of(entries[i, HASH], bits)
        place = places[partition]
        places[partition] = place + 1
        scattered[place, HASH], scattered[place, IDENTITY] = entries[i, HASH], entries[i, IDENTITY]
        scattered_sizes[place] = sizes[i]
        own_places[i] = place


@kernel
def number_users(entries, table, users, firsts):
    """Number the users of a partition by first appearance of their hash; return how many there are."""
    mask = table.size - 1
    known = 0
    for i in range(users.size):
        slot = np.int64(entries[i, HASH]) & mask
        while table[slot] >= 0 and entries[firsts[table[slot]], HASH] != entries[i, HASH]:
            slot = (slot + 1) & mask
        if table[slot] < 0:
            table[slot] = known
            firsts[known] = i
            known += 1
        users[i] = table[slot]
    return known


@kernel
def hashes_collide(entries, users, firsts, text):
    """Tell whether entries with one hash have different ids: each is compared with its user's first."""
    touched = 0
    for start in range(0, users.size, BLOCK):
        stop = min(start + BLOCK, users.size)
        touched += fetch_all(entries[:, IDENTITY], start, stop if text else start)
        for i in range(start, stop):
            mine, first = entries[i, IDENTITY], entries[firsts[users[i]], IDENTITY]
            if mine != first and not (text and same_text(mine, first)):
                return True
    return touched < 0


@kernel
def number_users_by_id(entries, text, table, users, firsts):
    """Number the users of a partition whose hashes collide: like `number_users`, comparing the ids."""
    mask = table.size - 1
    known = 0
    for i in range(users.size):
        mine = entries[i, IDENTITY]
        slot = np.int64(entries[i, HASH]) & mask
        while table[slot] >= 0:
            other = entries[firsts[table[slot]], IDENTITY]
            if mine == other or (text and same_text(mine, other)):
                break
            slot = (slot + 1) & mask
        if table[slot] < 0:
            table[slot] = known
            firsts[known] = i
            known += 1
        users[i] = table[slot]
    return known


@kernel
def count_groups(users, sizes, groups, counts, group_users, group_events):
    """Count the events of every user, and the users and events of every group."""
    for i in range(users.size):
        counts[users[i]] += sizes[i]
    for user in range(groups.size):
        group_users[groups[user]] += 1
        group_events[groups[user]] += counts[user]


@kernel
def lay_out(groups, counts, own_identities, next_user, next_event, begins, user_offsets, identities):
    """Give every user its place among all users, and its first event its place: by group, then as they appear."""
    for user in range(groups.size):
        group = groups[user]
        place, begins[user] = next_user[group], next_event[group]
        next_user[group] += 1
        next_event[group] += counts[user]
        user_offsets[place], identities[place] = begins[user], own_identities[user]


@kernel
def place_entries(users, sizes, begins, entries):
    """Give every entry the place of its first event: entries of a user follow each other as in the input."""
    following = begins.copy()
    for i in range(users.size):
        user = users[i]
        entries[i, PLACE] = np.uint64(following[user])
        following[user] += sizes[i]


@kernel
def place_rows(owners, following, row_times, row_codes, first_row, times, codes, rows):
    """Write the rows of a piece to the next places of their entries."""
    for i in range(owners.size):
        owner = owners[i]
        at = following[owner]
        following[owner] = at + 1
        times[at] = row_times[i]
        codes[at] = row_codes[i]
        rows[at] = first_row + i


@kernel
def count_disorder(offsets, times):
    """Count the events that lie before their predecessor of the same user."""
    backwards = 0
    for user in range(offsets.size - 1):
        for i in range(offsets[user] + 1, offsets[user + 1]):
            backwards += times[i] < times[i - 1]
    return backwards


@inlined
def before(time, row, other_time, other_row, ties):
    """Tell whether an event comes strictly before another by (time, tie-break)."""
    return time < other_time or (time == other_time and ties.size > 0 and ties[row] < ties[other_row])


@inlined
def insert(times, codes, rows, ties, first, last):
    """Sort events from `first` to `last` by (time, tie-break), equal ones as they are."""
    for i in range(first + 1, last):
        time, code, row = times[i], codes[i], rows[i]
        j = i
        while j > first and before(time, row, times[j - 1], rows[j - 1], ties):
            times[j], codes[j], rows[j] = times[j - 1], codes[j - 1], rows[j - 1]
            j -= 1
        times[j], codes[j], rows[j] = time, code, row


@inlined
def merge(times, codes, rows, ties, first, middle, last, to_times, to_codes, to_rows):
    """Merge two sorted neighbours into other arrays, the left one first on ties."""
    left, right = first, middle
    for at in range(first, last):
        if right < last and (
            left == middle or before(times[right], rows[right], times[left], rows[left], ties)
        ):
            to_times[at], to_codes[at], to_rows[at] = times[right], codes[right], rows[right]
            right += 1
        else:
            to_times[at], to_codes[at], to_rows[at] = times[left], codes[left], rows[left]
            left += 1


@kernel
def sort_users(offsets, ties, times, codes, rows):
    """Put the events of every user into their order, where they are: runs by insertion, then merged."""
    largest = 0
    for user in range(offsets.size - 1):
        largest = max(largest, offsets[user + 1] - offsets[user])
    spare_times, spare_rows = np.empty(largest, times.dtype), np.empty(largest, rows.dtype)
    spare_codes = np.empty(largest, codes.dtype)
    for user in range(offsets.size - 1):
        first, last = offsets[user], offsets[user + 1]
        size = last - first
        own_times, own_codes, own_rows = times[first:last], codes[first:last], rows[first:last]
        for start in range(0, size, RUN):
            insert(own_times, own_codes, own_rows, ties, start, min(start + RUN, size))
        width = RUN
        while width < size:
            for start in range(0, size, 2 * width):
                middle, end = min(start + width, size), min(start + 2 * width, size)
                merge(
                    own_times, own_codes, own_rows, ties, start, middle, end,
                    spare_times, spare_codes, spare_rows,
                )  # fmt: skip
            own_times[:] = spare_times[:size]
            own_codes[:] = spare_codes[:size]
            own_rows[:] = spare_rows[:size]
            width *= 2


@kernel
def count_ties(offsets, ties, times, codes, rows):
    """Count neighbours of one user with equal time and tie-break: all, and those with different events. D1.9."""
    tied = 0
    distinct = 0
    for user in range(offsets.size - 1):
        for i in range(offsets[user] + 1, offsets[user + 1]):
            if times[i] == times[i - 1] and (ties.size == 0 or ties[rows[i]] == ties[rows[i - 1]]):
                tied += 1
                distinct += codes[i] != codes[i - 1]
    return tied, distinct
