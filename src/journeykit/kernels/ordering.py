"""From rows in input order to events ordered by user and time. DEFINITIONS D1.3, D12.1.

The different ids of a piece of the input are its entries: a user has one in each piece with events of theirs.
Entries and rows are scattered once, by a quick hash of the id, into partitions that fit the cache. Every partition
numbers its users by itself, from its entries, and looks up their jackknife groups; then it writes its events to
where the group of their user has its place.
"""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import kernel
from journeykit.kernels.memory import (
    copy_text,
    fetch_all,
    load_byte,
    load_word,
    pack,
    same_text,
    short_word,
    text_at,
    unpack,
)

FNV_OFFSET = np.uint64(0xCBF29CE484222325)
FNV_PRIME = np.uint64(0x100000001B3)
GROUPS = 64
MIX = np.uint64(0x9E3779B97F4A7C15)
BLOCK = 128
HASH, IDENTITY = 0, 1
PLACE = IDENTITY  # once an entry is scattered, its place takes that of its id
TIME, ROW = 0, 1
CODE_BITS = np.uint64(28)
CODE_MASK = np.uint64((1 << 28) - 1)


@kernel
def finalise(h):
    """Spread the bits of a hash: the finaliser of splitmix64. D12.1."""
    h ^= h >> np.uint64(30)
    h *= np.uint64(0xBF58476D1CE4E5B9)
    h ^= h >> np.uint64(27)
    h *= np.uint64(0x94D049BB133111EB)
    return h ^ (h >> np.uint64(31))


@kernel
def fnv(address, length):
    """Hash the bytes of one text: FNV-1a."""
    h = FNV_OFFSET
    for i in range(length):
        h = (h ^ np.uint64(load_byte(address + i))) * FNV_PRIME
    return h


@kernel
def hash_texts(identities, hashes):
    """Hash texts: FNV-1a over the bytes, then the finaliser. D12.1."""
    for i in range(hashes.size):
        address, length = unpack(identities[i])
        hashes[i] = finalise(fnv(address, length))


@kernel
def hash_integers(identities, hashes):
    """Hash integer ids by their decimal digits. D12.1."""
    digits = np.empty(20, np.uint8)
    for row in range(hashes.size):
        value = np.int64(identities[row])
        rest = np.uint64(value) if value >= 0 else np.uint64(0) - np.uint64(value)
        n = 0
        while n == 0 or rest > 0:
            digits[n] = 48 + rest % np.uint64(10)
            rest //= np.uint64(10)
            n += 1
        h = FNV_OFFSET
        if value < 0:
            h = (h ^ np.uint64(45)) * FNV_PRIME
        for i in range(n - 1, -1, -1):
            h = (h ^ np.uint64(digits[i])) * FNV_PRIME
        hashes[row] = finalise(h)


@kernel
def text_offsets(identities, offsets):
    """Write where each text begins when all stand one after another."""
    offsets[0] = 0
    for i in range(identities.size):
        offsets[i + 1] = offsets[i] + unpack(identities[i])[1]


@kernel
def copy_texts(identities, offsets, first, last, target):
    """Copy the texts first:last to their places. Return a number without meaning."""
    touched = 0
    for start in range(first, last, BLOCK):
        stop = min(start + BLOCK, last)
        touched += fetch_all(identities, start, stop)
        for i in range(start, stop):
            copy_text(identities[i], target, offsets[i])
    return touched


@kernel
def quick_hash(address, length):
    """Hash one text eight bytes at a time."""
    h = np.uint64(length) * MIX
    if length < 8:
        return finalise(h ^ short_word(address, length))
    for i in range(0, length - 8, 8):
        h = (h ^ load_word(address + i)) * MIX
        h ^= h >> np.uint64(32)
    return finalise((h ^ load_word(address + length - 8)) * MIX)


@kernel
def note_texts(views, buffers, identities):
    """Note where the text of every row lies; return the longest length."""
    longest = 0
    for row in range(identities.size):
        address, length = text_at(views, buffers, row)
        identities[row] = pack(address, length)
        longest = max(longest, length)
    return longest


@kernel
def quick_hashes(identities, text, hashes):
    """Hash ids quickly, only to find equal ones in this run."""
    for row in range(hashes.size):
        if text:
            address, length = unpack(identities[row])
            hashes[row] = quick_hash(address, length)
        else:
            hashes[row] = finalise(identities[row])


@kernel
def partition_of(h, bits):
    """Return the partition of a hash, by `bits` of it that the table of users does not use."""
    return np.int64((h >> np.uint64(40)) & np.uint64((1 << bits) - 1))


@kernel
def number_ids(identities, hashes, text, bits, table, entries, owners, row_counts, entry_counts):
    """Number the different ids of a piece by first appearance, in `entries`; return how many there are.

    `owners` tells the number of every row. Rows and entries are counted by partition.
    """
    mask = table.size - 1
    table[:] = -1
    known = 0
    for i in range(identities.size):
        h, mine = hashes[i], identities[i]
        slot = np.int64(h) & mask
        while table[slot] >= 0:
            entry = table[slot]
            other = entries[entry, IDENTITY]
            if entries[entry, HASH] == h and (other == mine or (text and same_text(other, mine))):
                break
            slot = (slot + 1) & mask
        partition = partition_of(h, bits)
        if table[slot] < 0:
            table[slot] = known
            entries[known, HASH], entries[known, IDENTITY] = h, mine
            entry_counts[partition] += 1
            known += 1
        owners[i] = table[slot]
        row_counts[partition] += 1
    return known


@kernel
def scatter_entries(entries, bits, places, scattered):
    """Write every entry to the next place of its partition, and the place over its id."""
    for i in range(entries.shape[0]):
        partition = partition_of(entries[i, HASH], bits)
        place = places[partition]
        places[partition] = place + 1
        scattered[place, HASH], scattered[place, IDENTITY] = entries[i, HASH], entries[i, IDENTITY]
        entries[i, PLACE] = np.uint64(place)


@kernel
def scatter_rows(owners, entries, times, codes, first_row, bits, places, records, row_owners):
    """Write every row as (time, row and code) and the place of its entry to the next place of its partition."""
    for i in range(owners.size):
        owner = owners[i]
        partition = partition_of(entries[owner, HASH], bits)
        place = places[partition]
        places[partition] = place + 1
        records[place, TIME] = np.uint64(times[i])
        records[place, ROW] = (np.uint64(first_row + i) << CODE_BITS) | np.uint64(codes[i])
        row_owners[place] = entries[owner, PLACE]


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
def count_groups(owners, first_entry, users, groups, counts, group_users, group_events):
    """Count the events of every user, and the users and events of every group."""
    for owner in owners:
        counts[users[owner - first_entry]] += 1
    for user in range(groups.size):
        group_users[groups[user]] += 1
        group_events[groups[user]] += counts[user]


@kernel
def lay_out(groups, counts, next_user, next_event, places, begins):
    """Give every user its place among all users, and its first event its place: by group, then as they appear."""
    for user in range(groups.size):
        group = groups[user]
        places[user], begins[user] = next_user[group], next_event[group]
        next_user[group] += 1
        next_event[group] += counts[user]


@kernel
def place_events(records, owners, first_entry, users, begins, times, codes, rows):
    """Write a partition's events user by user in input order; return how many lie before their predecessor."""
    place = begins.copy()
    backwards = 0
    for i in range(records.shape[0]):
        user = users[owners[i] - first_entry]
        at = place[user]
        place[user] = at + 1
        time = np.int64(records[i, TIME])
        times[at] = time
        codes[at] = records[i, ROW] & CODE_MASK
        rows[at] = records[i, ROW] >> CODE_BITS
        backwards += at > begins[user] and times[at - 1] > time
    return backwards


@kernel
def before(times, rows, ties, a, b):
    """Tell whether event a comes strictly before event b by (time, tie-break)."""
    return times[a] < times[b] or (times[a] == times[b] and ties.size > 0 and ties[rows[a]] < ties[rows[b]])


@kernel
def insertion_order(times, rows, ties, first, last, order):
    """Sort the positions first:last by (time, tie-break, position) in `order`."""
    for i in range(first, last):
        j = i
        while j > first and before(times, rows, ties, i, order[j - 1]):
            order[j] = order[j - 1]
            j -= 1
        order[j] = i


@kernel
def merge_runs(times, rows, ties, first, middle, last, order, spare):
    """Merge two sorted neighbours of `order`, the left one first on ties."""
    if not before(times, rows, ties, order[middle], order[middle - 1]):
        return
    spare[first:middle] = order[first:middle]
    left, right, at = first, middle, first
    while left < middle and right < last:
        if before(times, rows, ties, order[right], spare[left]):
            order[at] = order[right]
            right += 1
        else:
            order[at] = spare[left]
            left += 1
        at += 1
    order[at : at + middle - left] = spare[left:middle]


@kernel
def sorted_order(times, rows, ties, order, spare):
    """Order the events of one user by (time, tie-break, position): runs of 32 by insertion, then merged."""
    size = times.size
    for start in range(0, size, 32):
        insertion_order(times, rows, ties, start, min(start + 32, size), order)
    width = 32
    while width < size:
        for start in range(0, size - width, 2 * width):
            merge_runs(times, rows, ties, start, start + width, min(start + 2 * width, size), order, spare)
        width *= 2


@kernel
def sort_users(begins, counts, ties, times, codes, rows):
    """Put the events of every user into their order, where they are."""
    largest = counts.max()
    order, spare = np.empty(largest, np.int64), np.empty(largest, np.int64)
    for user in range(begins.size):
        first, size = begins[user], counts[user]
        last = first + size
        sorted_order(times[first:last], rows[first:last], ties, order, spare)
        times[first:last] = times[first:last][order[:size]]
        codes[first:last] = codes[first:last][order[:size]]
        rows[first:last] = rows[first:last][order[:size]]


@kernel
def count_ties(begins, counts, ties, times, codes, rows):
    """Count neighbours of one user with equal time and tie-break: all, and those with different events. D1.9."""
    tied = 0
    distinct = 0
    for user in range(begins.size):
        for i in range(begins[user] + 1, begins[user] + counts[user]):
            if times[i] == times[i - 1] and (ties.size == 0 or ties[rows[i]] == ties[rows[i - 1]]):
                tied += 1
                distinct += codes[i] != codes[i - 1]
    return tied, distinct
