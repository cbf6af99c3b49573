"""Where visits show friction, and which units met it before they converted or gave up. DEFINITIONS D15.4, D15.5."""

from __future__ import annotations

import math

import numpy as np

from journeykit.kernels.compiling import kernel
from journeykit.kernels.counting import add_one, slot_of

ERROR, RAGE, BACKTRACK, QUICK, REPEAT, LOOP, SLOW, LOW = 1, 2, 4, 8, 16, 32, 64, 128
BITS = 8
BINS = 64 * 128
ANY, VISITS, CLASS, PLAIN, DETOUR, RETURN, KINDS = 8, 9, 10, 18, 19, 20, 21
UNITS, CONVERTED, ABANDONED, USERS, LAST_PATH, LAST_USER = np.arange(6, dtype=np.uint64)
SIDES = 2 * (BITS + 1)
LEFT_OPEN, HAS_CONVERTED, HAS_ABANDONED = 0, 1, 2


@kernel
def bin_of(gap):
    """Return the bin of a gap: its own up to 255, then 128 for every doubling."""
    shift = max(0, math.frexp(np.float64(gap))[1] - 8)
    return shift * 128 + (gap >> shift)


@kernel
def count_gaps(starts, ends, codes, times, counts):
    """Count the times since the event before in the session, by event and bin: (events, bins)."""
    for path in range(starts.size):
        for i in range(starts[path] + 1, ends[path]):
            counts[codes[i], bin_of(times[i] - times[i - 1])] += 1


@kernel
def list_bins(starts, ends, codes, times, events, bins):
    """List (event, bin of the gap) of every gap; return how many there are."""
    n = 0
    for path in range(starts.size):
        for i in range(starts[path] + 1, ends[path]):
            events[n], bins[n] = codes[i], bin_of(times[i] - times[i - 1])
            n += 1
    return n


@kernel
def list_gaps(starts, ends, codes, times, bins, events, gaps):
    """List (event, gap) where the gap is in one of the two bins of its event; return how many there are."""
    n = 0
    for path in range(starts.size):
        for i in range(starts[path] + 1, ends[path]):
            code, gap = codes[i], times[i] - times[i - 1]
            found = bin_of(gap)
            if found == bins[code, 0] or found == bins[code, 1]:
                events[n], gaps[n] = code, gap
                n += 1
    return n


@kernel
def ends_burst(ring, met, slot, i, first, times, x, y, rule):
    """Tell whether event `i` is the last of enough like it in a short time and place; remember it.

    `ring` holds the places of the events before it that have this slot, as many as a burst has but one; `rule` =
    (longest time from the first to the last, longest distance from one to the next).
    """
    within, distance = rule
    size = ring.shape[1]
    before = ring[slot, met[slot] % size]
    burst = before >= first and times[i] - times[before] <= within
    if burst and x.size > 0:
        for k in range(1, size + 1):
            after = ring[slot, (met[slot] + k) % size] if k < size else i
            # Not a number is no distance, and no burst.
            burst &= (x[after] - x[before]) ** 2 + (y[after] - y[before]) ** 2 <= distance**2
            before = after
    ring[slot, met[slot] % size] = i
    met[slot] += 1
    return burst


@kernel
def mark_rage(starts, ends, codes, times, targets, x, y, n_targets, rule, keys, rows, ring, met, flags):
    """Flag the events that end a burst of one event on one target; `targets` (-1: none known) may be empty."""
    for path in range(starts.size):
        for i in range(starts[path], ends[path]):
            key = np.int64(codes[i])
            if targets.size > 0:
                if targets[i] < 0:
                    continue
                key = key * n_targets + targets[i]
            slot = slot_of(keys, rows, key)
            if ends_burst(ring, met, slot, i, starts[path], times, x, y, rule):
                flags[i] |= RAGE


@kernel
def mark_low(starts, ends, times, stages, owners, moments, rated_stages, bad, latest, flags):
    """Flag the events of users, in the order of time, whose latest rating at or before them at their stage is bad.

    Ratings are ordered by user and time; a stage of -1 is none. `latest` remembers the latest one of every stage.
    """
    r = 0
    for user in range(starts.size):
        latest[:] = False
        for i in range(starts[user], ends[user]):
            while r < owners.size and (owners[r] < user or (owners[r] == user and moments[r] <= times[i])):
                if owners[r] == user and rated_stages[r] >= 0:
                    latest[rated_stages[r]] = bad[r]
                r += 1
            if latest[stages[i]]:
                flags[i] |= LOW


@kernel
def flag_visits(starts, ends, codes, times, symbols, masks, limits, quick, seen, flags):
    """Write the flags of every visit; `flags` holds RAGE and LOW already.

    ``masks[symbols[i]]`` is odd where event i is trouble. A gap above ``limits[code]`` is slow. `seen` remembers
    per event the last path that had it.
    """
    for path in range(starts.size):
        first, was_trouble = starts[path], False
        for i in range(first, ends[path]):
            code = codes[i]
            found = flags[i] & RAGE
            is_trouble = masks[symbols[i]] & np.uint64(1) != 0
            if is_trouble or was_trouble:
                found |= ERROR
            was_trouble = is_trouble
            if i > first and codes[i - 1] == code:
                found |= REPEAT
            elif i > first + 1 and codes[i - 2] == code:
                found |= BACKTRACK
                if times[i] - times[i - 2] <= quick:
                    found |= QUICK
            if found == 0 and seen[code] == path + 1:
                found |= LOOP
            seen[code] = path + 1
            if i > first and times[i] - times[i - 1] > limits[code]:
                found |= SLOW
            flags[i] |= found


@kernel
def count_flags(user_paths, starts, ends, labels, flags, class_of, cells, size, keys, rows, table):
    """Count visits, sessions and users per cell, label and kind: each flag, any of them, all visits, each class.

    `labels` is empty where all visits have one.
    """
    for user in range(user_paths.size - 1):
        for path in range(user_paths[user], user_paths[user + 1]):
            base = cells[path] * size
            for i in range(starts[path], ends[path]):
                label = np.int64(labels[i]) if labels.size > 0 else 0
                key = (base + label) * KINDS
                found = flags[i]
                add_one(table, slot_of(keys, rows, key + VISITS), path, user)
                add_one(table, slot_of(keys, rows, key + CLASS + class_of[found]), path, user)
                if found == 0:
                    continue
                add_one(table, slot_of(keys, rows, key + ANY), path, user)
                for bit in range(BITS):
                    if found >> bit & 1:
                        add_one(table, slot_of(keys, rows, key + bit), path, user)


@kernel
def count_detours(user_paths, starts, ends, labels, symbols, masks, stages, cells, size, keys, rows, table):
    """Count the visits that are no trouble, those that trouble follows, and of these those that come back. D15.5.

    To come back is to have, after the trouble, another event that is none, at the stage of the visit or later;
    `stages` may be empty.
    """
    for user in range(user_paths.size - 1):
        for path in range(user_paths[user], user_paths[user + 1]):
            base = cells[path] * size
            furthest, then_trouble = -1, False
            for i in range(ends[path] - 1, starts[path] - 1, -1):
                if masks[symbols[i]] & np.uint64(1) != 0:
                    then_trouble = True
                    continue
                stage = np.int64(stages[i]) if stages.size > 0 else 0
                label = np.int64(labels[i]) if labels.size > 0 else 0
                key = (base + label) * KINDS
                add_one(table, slot_of(keys, rows, key + PLAIN), path, user)
                if then_trouble:
                    add_one(table, slot_of(keys, rows, key + DETOUR), path, user)
                    if furthest >= stage:
                        add_one(table, slot_of(keys, rows, key + RETURN), path, user)
                furthest, then_trouble = max(furthest, stage), False


@kernel
def add_unit(table, row, path, user, outcome):
    """Count a unit by its outcome, and the user of one that is not open, if the row has not got it yet."""
    if table[row, LAST_PATH] == path + 1:
        return
    table[row, LAST_PATH] = path + 1
    table[row, UNITS] += 1
    table[row, CONVERTED] += outcome == HAS_CONVERTED
    table[row, ABANDONED] += outcome == HAS_ABANDONED
    if outcome != LEFT_OPEN:
        table[row, USERS] += table[row, LAST_USER] != user + 1
        table[row, LAST_USER] = user + 1


@kernel
def count_with(codes, flags, asked, path, user, outcome, span, base, every, keys, rows, table):
    """Count one unit for the flags it has in a stretch, per event and at all; bit 8 is any of them."""
    for i in range(span[0], span[1]):
        found = np.int64(flags[i])
        found |= (found != 0) << BITS
        key = (base + np.int64(codes[i])) * SIDES
        for bit in range(BITS + 1):
            if (asked & found) >> bit & 1:
                add_unit(table, slot_of(keys, rows, key + 2 * bit), path, user, outcome)
                add_unit(table, slot_of(keys, rows, every + 2 * bit), path, user, outcome)


@kernel
def count_without(key, asked, path, user, outcome, keys, rows, table):
    """Count one unit for the flags that it has not got at one event, or at all."""
    for bit in range(BITS + 1):
        if asked >> bit & 1 and table[slot_of(keys, rows, key + 2 * bit), LAST_PATH] != path + 1:
            add_unit(table, slot_of(keys, rows, key + 2 * bit + 1), path, user, outcome)


@kernel
def count_exposed(ends, codes, flags, asked, origin, goal, outcomes, owners, cells, size, keys, rows, table):
    """Count units with and without each flag from their origin until before their goal, per event and at all.

    An origin or goal of -1 is none. The last of `size` events stands for all. Side 2b of a key is with bit b, side
    2b + 1 without it.
    """
    for path in range(ends.size):
        if origin[path] < 0:
            continue
        base = cells[path] * size
        every = (base + size - 1) * SIDES
        user, outcome = owners[path], outcomes[path]
        span = (origin[path], goal[path] if goal[path] >= 0 else ends[path])
        count_with(codes, flags, asked, path, user, outcome, span, base, every, keys, rows, table)
        count_without(every, asked, path, user, outcome, keys, rows, table)
        for i in range(span[0], span[1]):
            key = (base + np.int64(codes[i])) * SIDES
            count_without(key, asked, path, user, outcome, keys, rows, table)
