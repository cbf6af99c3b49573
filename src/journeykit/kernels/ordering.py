"""From rows in input order to events ordered by user and time. DEFINITIONS D1.3, D12.1.

Rows are scattered once into partitions that fit the cache, each a part of one jackknife group; then every
partition numbers its users and orders its events by itself.
"""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import kernel
from journeykit.kernels.memory import (
    LONGEST_TEXT,
    fetch,
    load_byte,
    load_word,
    pack,
    same_text,
    text_at,
    unpack,
)

FNV_OFFSET = np.uint64(0xCBF29CE484222325)
FNV_PRIME = np.uint64(0x100000001B3)
GROUPS = 64
LAST_BYTE, BYTE = np.uint64(255), np.uint64(8)
BLOCK = 128
HASH, TIME, ROW, IDENTITY = 0, 1, 2, 3
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
def fnv_of_four(a, b, c, d, length):
    """Hash four texts of one length at a time: a step waits for the one before it, but not for its neighbours."""
    g = h = i = j = FNV_OFFSET
    at = 0
    while at + 8 <= length:
        w, x, y, z = load_word(a + at), load_word(b + at), load_word(c + at), load_word(d + at)
        for _ in range(8):
            g = (g ^ (w & LAST_BYTE)) * FNV_PRIME
            h = (h ^ (x & LAST_BYTE)) * FNV_PRIME
            i = (i ^ (y & LAST_BYTE)) * FNV_PRIME
            j = (j ^ (z & LAST_BYTE)) * FNV_PRIME
            w, x, y, z = w >> BYTE, x >> BYTE, y >> BYTE, z >> BYTE
        at += 8
    while at < length:
        g = (g ^ np.uint64(load_byte(a + at))) * FNV_PRIME
        h = (h ^ np.uint64(load_byte(b + at))) * FNV_PRIME
        i = (i ^ np.uint64(load_byte(c + at))) * FNV_PRIME
        j = (j ^ np.uint64(load_byte(d + at))) * FNV_PRIME
        at += 1
    return g, h, i, j


@kernel
def hash_texts(views, buffers, hashes, identities):
    """Hash text ids: FNV-1a, then the finaliser (D12.1); note where each text lies. Return the longest length."""
    longest = 0
    for row in range(hashes.size):
        address, length = text_at(views, buffers, row)
        identities[row] = pack(address, length)
        longest = max(longest, length)
    if longest >= LONGEST_TEXT:
        return longest
    row = 0
    while row < hashes.size:
        a, length = unpack(identities[row])
        if row + 4 <= hashes.size:
            (b, m), (c, n), (d, o) = (
                unpack(identities[row + 1]),
                unpack(identities[row + 2]),
                unpack(identities[row + 3]),
            )
            if m == length and n == length and o == length:
                g, h, i, j = fnv_of_four(a, b, c, d, length)
                hashes[row], hashes[row + 1] = finalise(g), finalise(h)
                hashes[row + 2], hashes[row + 3] = finalise(i), finalise(j)
                row += 4
                continue
        hashes[row] = finalise(fnv(a, length))
        row += 1
    return longest


@kernel
def hash_integers(ids, hashes):
    """Hash integer ids by their decimal digits. D12.1."""
    digits = np.empty(20, np.uint8)
    for row in range(hashes.size):
        value = ids[row]
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
def partition_of(h, bits):
    """Return the partition of a hash: its group (the low 6 bits) cut further by the next `bits`."""
    group = np.int64(h & np.uint64(GROUPS - 1))
    return (group << bits) | np.int64((h >> np.uint64(6)) & np.uint64((1 << bits) - 1))


@kernel
def count_partitions(hashes, bits, counts):
    """Count the rows of every partition."""
    for h in hashes:
        counts[partition_of(h, bits)] += 1


@kernel
def scatter(hashes, identities, times, codes, first_row, bits, places, records):
    """Write every row as (hash, time, row and code, identity) to the next place of its partition."""
    for i in range(hashes.size):
        partition = partition_of(hashes[i], bits)
        place = places[partition]
        places[partition] = place + 1
        records[place, HASH] = hashes[i]
        records[place, TIME] = np.uint64(times[i])
        records[place, ROW] = (np.uint64(first_row + i) << CODE_BITS) | np.uint64(codes[i])
        records[place, IDENTITY] = identities[i]


@kernel
def number_users(records, table, users, firsts):
    """Number the users of a partition by first appearance of their hash; return how many there are."""
    mask = table.size - 1
    known = 0
    for i in range(users.size):
        slot = np.int64(records[i, HASH] >> np.uint64(20)) & mask
        while table[slot] >= 0 and records[firsts[table[slot]], HASH] != records[i, HASH]:
            slot = (slot + 1) & mask
        if table[slot] < 0:
            table[slot] = known
            firsts[known] = i
            known += 1
        users[i] = table[slot]
    return known


@kernel
def hashes_collide(records, users, firsts, text):
    """Tell whether rows with one hash have different ids: every row is compared with its user's first row."""
    touched = 0
    for start in range(0, users.size, BLOCK):
        stop = min(start + BLOCK, users.size)
        for i in range(start, stop if text else start):
            touched += fetch(records[i, IDENTITY])
        for i in range(start, stop):
            mine, first = records[i, IDENTITY], records[firsts[users[i]], IDENTITY]
            if mine != first and not (text and same_text(mine, first)):
                return True
    return touched < 0


@kernel
def number_users_by_id(records, text, table, users, firsts):
    """Number the users of a partition whose hashes collide: like `number_users`, comparing the ids."""
    mask = table.size - 1
    known = 0
    for i in range(users.size):
        mine = records[i, IDENTITY]
        slot = np.int64(records[i, HASH] >> np.uint64(20)) & mask
        while table[slot] >= 0:
            other = records[firsts[table[slot]], IDENTITY]
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
def place_events(records, users, offsets, times, codes, rows):
    """Write a partition's events user by user in input order; return how many lie before their predecessor.

    `offsets` (users + 1) comes with zeros and leaves with the place of every user in the partition.
    """
    for user in users:
        offsets[user + 1] += 1
    for user in range(offsets.size - 1):
        offsets[user + 1] += offsets[user]
    place = offsets[:-1].copy()
    backwards = 0
    for i in range(users.size):
        at = place[users[i]]
        place[users[i]] = at + 1
        time = np.int64(records[i, TIME])
        times[at] = time
        codes[at] = records[i, ROW] & CODE_MASK
        rows[at] = records[i, ROW] >> CODE_BITS
        backwards += at > offsets[users[i]] and times[at - 1] > time
    return backwards


@kernel
def before(times, ties, a, b):
    """Tell whether event a comes strictly before event b by (time, tie-break)."""
    return times[a] < times[b] or (times[a] == times[b] and ties.size > 0 and ties[a] < ties[b])


@kernel
def insertion_order(times, ties, first, last, order):
    """Sort the positions first:last by (time, tie-break, position) in `order`."""
    for i in range(first, last):
        j = i
        while j > first and before(times, ties, i, order[j - 1]):
            order[j] = order[j - 1]
            j -= 1
        order[j] = i


@kernel
def merge_runs(times, ties, first, middle, last, order, spare):
    """Merge two sorted neighbours of `order`, the left one first on ties."""
    if not before(times, ties, order[middle], order[middle - 1]):
        return
    spare[first:middle] = order[first:middle]
    left, right, at = first, middle, first
    while left < middle and right < last:
        if before(times, ties, order[right], spare[left]):
            order[at] = order[right]
            right += 1
        else:
            order[at] = spare[left]
            left += 1
        at += 1
    order[at : at + middle - left] = spare[left:middle]


@kernel
def sort_users(offsets, times, ties, order, spare):
    """Order every user's events by (time, tie-break, position): runs of 32 by insertion, then merged."""
    for user in range(offsets.size - 1):
        first, last = offsets[user], offsets[user + 1]
        for start in range(first, last, 32):
            insertion_order(times, ties, start, min(start + 32, last), order)
        width = 32
        while width < last - first:
            for start in range(first, last - width, 2 * width):
                merge_runs(times, ties, start, start + width, min(start + 2 * width, last), order, spare)
            width *= 2


@kernel
def count_ties(offsets, times, ties, codes):
    """Count neighbours of one user with equal time and tie-break: all, and those with different events. D1.9."""
    tied = 0
    distinct = 0
    for user in range(offsets.size - 1):
        for i in range(offsets[user] + 1, offsets[user + 1]):
            if times[i] == times[i - 1] and (ties.size == 0 or ties[i] == ties[i - 1]):
                tied += 1
                distinct += codes[i] != codes[i - 1]
    return tied, distinct
