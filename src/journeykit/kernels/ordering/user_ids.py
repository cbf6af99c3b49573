"""User ids: hashed, told apart, kept. DEFINITIONS D12.1.

The different ids of a piece of the input are its entries: a user has one in each piece with events of theirs.
"""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import kernel
from journeykit.kernels.memory import (
    copy_text,
    copy_words,
    fetch_all,
    load_byte,
    load_word,
    pack,
    same_text,
    short_word,
    text_at,
    unpack,
    words_of,
)

FNV_OFFSET = np.uint64(0xCBF29CE484222325)
FNV_PRIME = np.uint64(0x100000001B3)
MIX = np.uint64(0x9E3779B97F4A7C15)
BLOCK = 128
HASH, IDENTITY = 0, 1


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
def number_ids(identities, hashes, text, table, entries, sizes, owners):
    """Number the different ids of a piece by first appearance, in `entries`; return how many there are.

    `owners` tells the number of every row, `sizes` how many rows have each.
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
        if table[slot] < 0:
            table[slot] = known
            entries[known, HASH], entries[known, IDENTITY] = h, mine
            sizes[known] = 0
            known += 1
        owners[i] = table[slot]
        sizes[table[slot]] += 1
    return known


@kernel
def keep_texts(entries, texts, address):
    """Copy the texts of entries to `texts`, which lies at `address`, and let the entries point there.

    Return how many words they fill.
    """
    at = 0
    for i in range(entries.shape[0]):
        length = unpack(entries[i, IDENTITY])[1]
        copy_words(entries[i, IDENTITY], texts, at)
        entries[i, IDENTITY] = pack(address + 8 * at, length)
        at += words_of(length)
    return at
