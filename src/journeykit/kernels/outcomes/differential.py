"""What converters and abandoners did before: runs of states, transitions, examples. DEFINITIONS D13.6, D13.7."""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import kernel
from journeykit.kernels.counting import slot_of

TOTAL, CONVERTED, LAST = np.arange(3, dtype=np.uint64)
USERS_X, USERS_Y, LAST_X, LAST_Y = np.arange(1, 5, dtype=np.uint64)


@kernel
def count_grams(starts, ends, states, sides, cells, rule, keys, rows, table):
    """Count the units with each run of one to `longest` states, and those that converted, per cell.

    `rule` = (bits per state, longest, cells). A run is a number: its newest state + 1 in the lowest bits.
    """
    bits, longest, n_cells = rule
    for unit in range(starts.size):
        if sides[unit] < 0:
            continue
        for i in range(starts[unit], ends[unit]):
            gram = np.int64(0)
            for size in range(min(longest, i - starts[unit] + 1)):
                gram |= (np.int64(states[i - size]) + 1) << (bits * size)
                row = slot_of(keys, rows, gram * n_cells + cells[unit])
                if table[row, LAST] != unit + 1:
                    table[row, LAST] = unit + 1
                    table[row, TOTAL] += 1
                    table[row, CONVERTED] += sides[unit] == 0


@kernel
def number_grams(grams, keys, rows):
    """Give every run a number, in their order."""
    for gram in grams:
        slot_of(keys, rows, gram)


@kernel
def known_slot(keys, rows, key):
    """Return the number of a key, -1 if it has none."""
    mask = rows.size - 1
    place = np.int64((np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(20)) & mask
    while keys[place] != 0:
        if keys[place] == key + 1:
            return np.int64(rows[place])
        place = (place + 1) & mask
    return np.int64(-1)


@kernel
def remember(hashes, units, thing, side, mine, unit):
    """Keep a unit as an example of a thing if its hash is among the smallest."""
    last = hashes.shape[2] - 1
    if last < 0 or mine >= hashes[thing, side, last]:
        return
    place = last
    while place > 0 and hashes[thing, side, place - 1] > mine:
        hashes[thing, side, place] = hashes[thing, side, place - 1]
        units[thing, side, place] = units[thing, side, place - 1]
        place -= 1
    hashes[thing, side, place], units[thing, side, place] = mine, unit


@kernel
def count_shown(starts, ends, states, sides, cells, strata, hashes, rule, known, counted, examples):
    """Count units per shown run, cell and stratum; keep as examples those of the smallest hashes.

    `rule` = (bits per state, longest, cells, strata, segments); `known` = (keys, rows) of the runs, `counted` = (keys,
    rows, table), `examples` = (hashes, units), both runs and segments x sides x examples. One unit per user is kept.
    """
    bits, longest, n_cells, n_strata, n_segments = rule
    keys, rows, table = counted
    for unit in range(starts.size):
        if sides[unit] < 0:
            continue
        for i in range(starts[unit], ends[unit]):
            gram = np.int64(0)
            for size in range(min(longest, i - starts[unit] + 1)):
                gram |= (np.int64(states[i - size]) + 1) << (bits * size)
                number = known_slot(known[0], known[1], gram)
                if number < 0:
                    continue
                key = (number * n_cells + cells[unit]) * n_strata + strata[unit]
                row = slot_of(keys, rows, key)
                if table[row, LAST] != unit + 1:
                    table[row, LAST] = unit + 1
                    table[row, TOTAL] += 1
                    table[row, CONVERTED] += sides[unit] == 0
                    mine = hashes[unit]
                    side = np.int64(sides[unit])
                    place = number * n_segments + cells[unit] % n_segments
                    if not (examples[0][place, side] == mine).any():
                        remember(examples[0], examples[1], place, side, mine, unit)


@kernel
def count_edges(starts, ends, states, sides, cells, strata, owners, rule, counted, sources):
    """Count the moves inside the stretches per cell, stratum and pair, and the users with each source.

    `rule` = (states with START, strata, whether stretches begin at START).
    """
    size, n_strata, from_start = rule
    keys, rows, table = counted
    for unit in range(starts.size):
        if sides[unit] < 0 or starts[unit] >= ends[unit]:
            continue
        first, side, user = starts[unit], np.int64(sides[unit]), owners[unit]
        for i in range(first if from_start else first + 1, ends[unit]):
            source = size - 1 if i == first else np.int64(states[i - 1])
            cell = np.int64(cells[unit])
            key = ((cell * n_strata + strata[unit]) * size + source) * size + np.int64(states[i])
            row = slot_of(keys, rows, key)
            table[row, TOTAL] += 1
            table[row, CONVERTED] += side == 0
            known = slot_of(sources[0], sources[1], cell * size + source)
            sources[2][known, TOTAL] += 1
            if sources[2][known, LAST_X + np.uint64(side)] != user + 1:
                sources[2][known, LAST_X + np.uint64(side)] = user + 1
                sources[2][known, USERS_X + np.uint64(side)] += 1
