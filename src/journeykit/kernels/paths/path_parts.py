"""Paths, and what is counted of them, in parts whose tables fit into the cache. DEFINITIONS D8.5.

A part holds the (key, cell) whose mixed top bits are its number, so that what is equal meets in one part.
"""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import inlined, kernel
from journeykit.kernels.paths.paths import HASHED, MIX, same_codes

PART_BITS = 6
KEY, OWNER, TOOK, PATH = np.arange(4, dtype=np.uint64)
"""The columns of a path in its part. `OWNER` has the cell in its upper, the user in its lower half."""
HALF = np.uint64(32)
LOWER = (1 << 32) - 1


@inlined
def mixed(key, cell):
    """Return a hash of a key of a cell: its top bits say the part, lower ones the place in a table."""
    return (key ^ np.uint64(cell)) * MIX


@inlined
def part_of(key, cell):
    """Return the part of a key of a cell."""
    return mixed(key, cell) >> np.uint64(64 - PART_BITS)


@inlined
def table_mask(rows):
    """Return one less than the places of a table for so many rows: a power of two, at least twice as many."""
    size = np.uint64(16)
    while size < np.uint64(2 * rows):
        size *= np.uint64(2)
    return size - np.uint64(1)


@kernel
def begin_parts(bounds):
    """Turn what each part has, one place further on, into where it begins, and the end; return a copy."""
    for part in range(1, bounds.size):
        bounds[part] += bounds[part - 1]
    return bounds.copy()


@kernel
def part_paths(user_paths, room, times, path_cells, keys, bounds, parted):
    """Sort the paths that are not empty into parts; `bounds` gets where each begins, and the end.

    `room` is (first, last) per path; `parted`, paths x 4, has the columns above.
    """
    firsts, lasts = room
    bounds[:] = 0
    for path in range(np.uint64(firsts.size)):
        bounds[part_of(keys[path], path_cells[path]) + np.uint64(1)] += lasts[path] > firsts[path]
    places = begin_parts(bounds)
    for user in range(user_paths.size - 1):
        for path in range(np.uint64(user_paths[user]), np.uint64(user_paths[user + 1])):
            first, last, cell = np.uint64(firsts[path]), np.uint64(lasts[path]), path_cells[path]
            if first == last:
                continue
            part = part_of(keys[path], cell)
            place = np.uint64(places[part])
            places[part] += 1
            parted[place, KEY], parted[place, OWNER] = np.int64(keys[path]), (np.int64(cell) << 32) | user
            parted[place, TOOK] = times[last - np.uint64(1)] - times[first]
            parted[place, PATH] = np.int64(path)


@kernel
def count_parted(bounds, parted, room, codes, won, places, found, sums):
    """Count the paths of all parts by key, cell and, where the key is a hash, codes; return how many rows.

    `found` = (key, cell, start and length of one of its paths, user met last) per row, `sums` = (paths, users, time,
    paths with a goal, zeros at first); `won` marks these, or is empty. `places` has room for the table of the largest
    part. Where a path is gets looked up, and written, only for hashes: it is far from where the path before is.
    """
    firsts, lasts = room
    keys, cells, starts, lengths, owners = found
    counts, users, took, converted = sums
    n = np.uint64(0)
    for part in range(bounds.size - 1):
        mask = table_mask(bounds[part + 1] - bounds[part])
        places[: mask + np.uint64(1)] = 0
        for i in range(np.uint64(bounds[part]), np.uint64(bounds[part + 1])):
            key, path = np.uint64(parted[i, KEY]), np.uint64(parted[i, PATH])
            cell, owner = parted[i, OWNER] >> 32, parted[i, OWNER] & LOWER
            place = (mixed(key, cell) >> HALF) & mask
            row = n
            while places[place] > 0:
                row = np.uint64(places[place] - 1)
                if keys[row] == key and cells[row] == cell:
                    if key & HASHED == np.uint64(0) or (
                        lengths[row] == lasts[path] - firsts[path]
                        and same_codes(codes, starts[row], firsts[path], lengths[row])
                    ):
                        break
                place, row = (place + np.uint64(1)) & mask, n
            if row == n:
                n += np.uint64(1)
                places[place] = n
                keys[row], cells[row], owners[row] = key, cell, -1
                if key & HASHED != np.uint64(0):
                    starts[row], lengths[row] = firsts[path], lasts[path] - firsts[path]
                counts[row] = users[row] = took[row] = 0
            counts[row] += 1
            users[row] += owners[row] != owner
            owners[row] = owner
            took[row] += parted[i, TOOK]
            if won.size > 0:
                converted[row] += won[path]
    return n


@kernel
def part_keys(keys, cells, counts, bounds, found, found_cells, sums):
    """Sort rows into parts; `bounds` gets where each part begins, and the end."""
    bounds[:] = 0
    for i in range(np.uint64(keys.size)):
        bounds[part_of(keys[i], cells[i]) + np.uint64(1)] += 1
    places = begin_parts(bounds)
    for i in range(np.uint64(keys.size)):
        part = part_of(keys[i], cells[i])
        place = np.uint64(places[part])
        found[place], found_cells[place], sums[place] = keys[i], cells[i], counts[i]
        places[part] += 1


@kernel
def add_keys(first, last, keys, cells, sums, merged, places):
    """Add the counts of equal (key, cell) from `first` to `last`, in place from `first` on; return where they end.

    `merged` counts how many rows were added. `places` has room for the table.
    """
    mask = table_mask(last - first)
    known = first
    places[: mask + np.uint64(1)] = 0
    for i in range(np.uint64(first), np.uint64(last)):
        key, cell, count = keys[i], cells[i], sums[i]
        place = (mixed(key, cell) >> HALF) & mask
        while places[place] > 0:
            row = np.uint64(first + places[place] - 1)
            if keys[row] == key and cells[row] == cell:
                break
            place = (place + np.uint64(1)) & mask
        if places[place] == 0:
            row = np.uint64(known)
            keys[row], cells[row], sums[row], merged[row] = key, cell, 0, 0
            known += 1
            places[place] = known - first
        row = np.uint64(first + places[place] - 1)
        sums[row] += count
        merged[row] += 1
    return known
