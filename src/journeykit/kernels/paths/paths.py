"""Stretches of paths (whole paths, windows), counted exactly. DEFINITIONS D8.5 to D8.7.

A stretch has a key of 64 bits: a one and its codes (``bits`` per code) where they fit into 63, else a hash with the
top bit set. Equal keys of the second kind are told apart by their codes.
"""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import kernel

MIX = np.uint64(0x9E3779B97F4A7C15)
HASHED = np.uint64(1 << 63)
PACKED_BITS = 63
KEY, CELL, COUNT, PATHS, USERS, LAST_PATH, TIME_SUM, FIRST = np.arange(8, dtype=np.uint64)


@kernel
def key_of(codes, start, end, bits):
    """Return the key of a stretch: its codes packed if they fit, else a hash."""
    key = np.uint64(1)
    if (end - start) * bits < PACKED_BITS:
        for i in range(np.uint64(start), np.uint64(end)):
            key = (key << np.uint64(bits)) | np.uint64(codes[i])
        return key
    for i in range(np.uint64(start), np.uint64(end)):
        key = (key ^ np.uint64(codes[i])) * MIX
        key ^= key >> np.uint64(29)
    return key | HASHED


@kernel
def key_whole_paths(marks, starts, ends, codes, bits, keys):
    """Write the key of every path, where none is empty and each starts where the one before ends.

    `marks` says of every event whether it ends a path. One loop packs the codes of all paths; those that do not fit
    are hashed afterwards.
    """
    origin, path, key = np.uint64(starts[0]), np.uint64(0), np.uint64(1)
    for i in range(np.uint64(marks.size)):
        key = (key << np.uint64(bits)) | np.uint64(codes[origin + i])
        keys[path] = key
        path += np.uint64(marks[i] != 0)
        key = key if marks[i] == 0 else np.uint64(1)
    for path in range(np.uint64(starts.size)):
        if (ends[path] - starts[path]) * bits >= PACKED_BITS:
            keys[path] = key_of(codes, starts[path], ends[path], bits)


@kernel
def key_paths(firsts, lasts, codes, bits, keys):
    """Write the key of every path."""
    for path in range(firsts.size):
        keys[path] = key_of(codes, firsts[path], lasts[path], bits)


@kernel
def same_codes(codes, a, b, length):
    """Tell whether two stretches of codes are equal."""
    for i in range(length):
        if codes[a + i] != codes[b + i]:
            return False
    return True


@kernel
def find_stretch(codes, start, length, key, cell, lengths, places, table):
    """Return the row of a stretch of a cell; a new one gets the next row, counted in the last of `places`."""
    mask = np.uint64(places.size - 2)
    place = (((key ^ np.uint64(cell)) * MIX) >> np.uint64(32)) & mask
    while places[place] > 0:
        row = np.uint64(places[place] - 1)
        if np.uint64(table[row, KEY]) == key and table[row, CELL] == cell:
            packed = key & HASHED == np.uint64(0)
            if packed or (lengths[row] == length and same_codes(codes, table[row, FIRST], start, length)):
                return row
        place = (place + np.uint64(1)) & mask
    row = np.uint64(places[-1])
    places[place] = places[-1] = row + np.uint64(1)
    table[row, KEY], table[row, CELL], table[row, FIRST], lengths[row] = np.int64(key), cell, start, length
    table[row, COUNT] = table[row, PATHS] = table[row, USERS] = table[row, LAST_PATH] = table[
        row, TIME_SUM
    ] = 0
    return row


@kernel
def next_window(codes, start, size, bits, key):
    """Return the key of a window from that of the window before it."""
    if size * bits >= PACKED_BITS:
        return key_of(codes, start, start + size, bits)
    top = np.uint64(1) << np.uint64(size * bits)
    return (((key << np.uint64(bits)) | np.uint64(codes[start + size - 1])) & (top - np.uint64(1))) | top


@kernel
def count_windows(user_paths, room, codes, times, path_cells, rule, won, known, places, table):
    """Count the windows of every path; `rule` = (events of a window, bits per code).

    `room` is (first, last) per path, already cut by anchors. `known` = (lengths, converted) per row; `won` marks the
    paths with a goal, or is empty.
    """
    size, bits = rule
    firsts, lasts = room
    lengths, converted = known
    for user in range(user_paths.size - 1):
        for path in range(user_paths[user], user_paths[user + 1]):
            key = np.uint64(0)
            for start in range(firsts[path], lasts[path] - size + 1):
                if start == firsts[path]:
                    key = key_of(codes, start, start + size, bits)
                else:
                    key = next_window(codes, start, size, bits, key)
                row = find_stretch(codes, start, size, key, path_cells[path], lengths, places, table)
                new = table[row, LAST_PATH] != path + 1
                table[row, COUNT] += 1
                table[row, PATHS] += new
                table[row, USERS] += table[row, LAST_PATH] <= user_paths[user]
                table[row, LAST_PATH] = path + 1
                table[row, TIME_SUM] += times[start + size - 1] - times[start]
                if won.size > 0:
                    converted[row] += new & won[path]


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
    """Mark the paths that hold a wanted code. Without a branch per event: where one comes is hard to foresee."""
    for path in range(starts.size):
        found = False
        for i in range(np.uint64(starts[path]), np.uint64(ends[path])):
            found |= wanted[codes[i]]
        marked[path] = found


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
