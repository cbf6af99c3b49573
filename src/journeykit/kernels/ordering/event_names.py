"""The names of events numbered: by the bits of their views where these are known, else by their texts. D3.2."""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import kernel
from journeykit.kernels.memory import load_word, same_bytes, text_at
from journeykit.kernels.ordering.user_ids import MIX, quick_hash

ADDRESS, LENGTH = 0, 1
SEEN_BITS = 10
SHIFT = np.uint64(64 - SEEN_BITS)


@kernel
def number_names(
    views, buffers, start, before, known, slots, hashes, places, firsts, seen, seen_numbers, numbers
):
    """Number the texts of a chunk, from row `start` on, by first appearance, until there is no room for another.

    Of every name there is a hash, found by `slots`, where its text lies, and its first row, which counts the rows
    `before` the chunk too; `seen` holds the views that were met last. Return the row reached.
    """
    mask = slots.size - 1
    for row in range(start, numbers.size):
        view = views + 16 * row
        head, tail = load_word(view), load_word(view + 8)
        at = np.int64(((head ^ (tail * MIX)) * MIX) >> SHIFT)
        if seen[at, 0] == head and seen[at, 1] == tail:
            numbers[row] = seen_numbers[at]
            continue
        address, length = text_at(views, buffers, row)
        h = quick_hash(address, length)
        slot = np.int64(h) & mask
        while slots[slot] >= 0:
            name = slots[slot]
            same = hashes[name] == h and places[name, LENGTH] == length
            if same and same_bytes(places[name, ADDRESS], address, length):
                break
            slot = (slot + 1) & mask
        if slots[slot] < 0:
            name = known[0]
            if name == hashes.size:
                return row
            slots[slot] = name
            hashes[name], firsts[name] = h, before + row
            places[name, ADDRESS], places[name, LENGTH] = address, length
            known[0] = name + 1
        numbers[row] = slots[slot]
        seen[at, 0], seen[at, 1], seen_numbers[at] = head, tail, slots[slot]
    return numbers.size


@kernel
def fill_slots(hashes, slots):
    """Write the numbers of names to the slots of their hashes."""
    mask = slots.size - 1
    for name in range(hashes.size):
        slot = np.int64(hashes[name]) & mask
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = name
