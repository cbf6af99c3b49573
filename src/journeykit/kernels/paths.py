"""Stretches of paths (whole paths, windows), counted exactly. DEFINITIONS D8.5 to D8.7.

A stretch has a key of 64 bits: its codes themselves where they fit (``bits`` per code), else a hash with the
top bit set. Equal keys of the second kind are told apart by their codes.
"""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import kernel

MIX = np.uint64(0x9E3779B97F4A7C15)
HASHED = np.uint64(1 << 63)
COUNT, PATHS, USERS, LAST_PATH, LAST_USER, TIME_SUM, CONVERTED, FIRST = np.arange(8, dtype=np.uint64)


@kernel
def key_of(codes, start, end, bits):
    """Return the key of a stretch: its codes packed if they fit, else a hash."""
    key = np.uint64(0)
    if (end - start) * bits < 64:
        for i in range(start, end):
            key = (key << np.uint64(bits)) | (np.uint64(codes[i]) + np.uint64(1))
        return key
    for i in range(start, end):
        key = (key ^ np.uint64(codes[i])) * MIX
        key ^= key >> np.uint64(29)
    return key | HASHED


@kernel
def same_codes(codes, a, b, length):
    """Tell whether two stretches of codes are equal."""
    for i in range(length):
        if codes[a + i] != codes[b + i]:
            return False
    return True


@kernel
def find_stretch(codes, start, length, key, cell, keys, cells, lengths, places, table):
    """Return the row of a stretch of a cell; a new one gets the next row, counted in the last of `places`."""
    mask = places.size - 2
    place = np.int64(((key ^ np.uint64(cell)) * MIX) >> np.uint64(32)) & mask
    while places[place] > 0:
        row = places[place] - 1
        if keys[row] == key and cells[row] == cell:
            packed = key & HASHED == np.uint64(0)
            if packed or (lengths[row] == length and same_codes(codes, table[row, FIRST], start, length)):
                return row
        place = (place + 1) & mask
    row = places[-1]
    places[place] = row + 1
    places[-1] = row + 1
    keys[row], cells[row], lengths[row], table[row, FIRST] = key, cell, length, start
    return row


@kernel
def count_stretches(
    user_paths, starts, ends, codes, times, path_cells, won, size, bits, room, known, places, table
):
    """Count stretches of `size` events (0: the whole path) by what happens in them.

    `room` is (first stretch position per path, last) already cut by anchors; `known` = (keys, cells, lengths).
    """
    keys, cells, lengths = known
    firsts, lasts = room
    for user in range(user_paths.size - 1):
        for path in range(user_paths[user], user_paths[user + 1]):
            cell = path_cells[path] if path_cells.size > 0 else 0
            length = size if size > 0 else lasts[path] - firsts[path]
            if length == 0:
                continue
            for start in range(firsts[path], lasts[path] - length + 1):
                key = key_of(codes, start, start + length, bits)
                row = find_stretch(codes, start, length, key, cell, keys, cells, lengths, places, table)
                table[row, COUNT] += 1
                table[row, PATHS] += table[row, LAST_PATH] != path + 1
                table[row, CONVERTED] += (won.size > 0 and won[path]) and table[row, LAST_PATH] != path + 1
                table[row, LAST_PATH] = path + 1
                table[row, USERS] += table[row, LAST_USER] != user + 1
                table[row, LAST_USER] = user + 1
                table[row, TIME_SUM] += times[start + length - 1] - times[start]


@kernel
def add_keys(keys, cells, counts, part, places, sum_keys, sum_cells, sums, merged):
    """Add the counts of equal (key, cell), and count them; return how many different ones there are.

    Only of one part of them: `part` = (number, a power of two of parts). `places` is a power of two of zeros.
    """
    mask = places.size - 1
    known = 0
    for i in range(keys.size):
        mixed = (keys[i] ^ np.uint64(cells[i])) * MIX
        if np.int64(mixed >> np.uint64(16)) & (part[1] - 1) != part[0]:
            continue
        place = np.int64(mixed >> np.uint64(32)) & mask
        while places[place] > 0:
            row = places[place] - 1
            if sum_keys[row] == keys[i] and sum_cells[row] == cells[i]:
                break
            place = (place + 1) & mask
        if places[place] == 0:
            sum_keys[known], sum_cells[known], sums[known], merged[known] = keys[i], cells[i], 0, 0
            known += 1
            places[place] = known
        sums[places[place] - 1] += counts[i]
        merged[places[place] - 1] += 1
    return known


@kernel
def durations_of(user_paths, codes, times, path_cells, size, bits, room, shown, found, durations):
    """List the durations of shown stretches as (row, duration); return how many there are.

    `shown` = (ascending keys, offsets, codes, row per cell and key or -1, number of rows) of distinct stretches.
    Each further group of cells has its own rows, after those of the groups before.
    """
    firsts, lasts = room
    keys, offsets, shown_codes, rows, per_group = shown
    n = 0
    for path in range(user_paths[0], user_paths[-1]):
        group, cell = divmod(path_cells[path], rows.shape[0])
        length = size if size > 0 else lasts[path] - firsts[path]
        for start in range(firsts[path], lasts[path] - length + 1 if length > 0 else firsts[path]):
            key = key_of(codes, start, start + length, bits)
            index = np.searchsorted(keys, key)
            while index < keys.size and keys[index] == key:
                same = rows[cell, index] >= 0 and offsets[index + 1] - offsets[index] == length
                for i in range(length if same else 0):
                    same &= shown_codes[offsets[index] + i] == codes[start + i]
                if same:
                    found[n] = group * per_group + rows[cell, index]
                    durations[n] = times[start + length - 1] - times[start]
                    n += 1
                index += 1
    return n


@kernel
def mark_paths(starts, ends, codes, wanted, marked):
    """Mark the paths that hold a wanted code."""
    for path in range(starts.size):
        for i in range(starts[path], ends[path]):
            if wanted[codes[i]]:
                marked[path] = True
                break


@kernel
def anchor_paths(starts, ends, codes, is_start, is_end, last_start, firsts, lasts):
    """Cut every path before its first (or last) start anchor and after the first end anchor behind it. D3.4.

    A path without a wanted anchor becomes empty; returns how many did.
    """
    lost = 0
    for path in range(starts.size):
        first, last = starts[path], ends[path]
        if is_start.size > 0:
            found = np.int64(-1)
            for i in range(starts[path], ends[path]):
                if is_start[codes[i]] and (last_start or found < 0):
                    found = i
            first = found if found >= 0 else ends[path]
        if is_end.size > 0:
            found = np.int64(-1)
            for i in range(first + (is_start.size > 0), ends[path]):
                if is_end[codes[i]]:
                    found = i
                    break
            last = found + 1 if found >= 0 else first
        if first >= last:
            lost += starts[path] < ends[path]
            first = last = starts[path]
        firsts[path], lasts[path] = first, last
    return lost
