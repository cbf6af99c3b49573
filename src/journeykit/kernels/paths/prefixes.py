"""Sequences that go on after a prefix: what comes next, and where. DEFINITIONS D8.9."""

from __future__ import annotations

from journeykit.kernels.compiling import kernel


@kernel
def ends_within(starts, ends, times, gap, until):
    """Fill in for every event where the events of its path end that come at most `gap` after it."""
    for path in range(starts.size):
        last = starts[path]
        for i in range(starts[path], ends[path]):
            while last < ends[path] and times[last] - times[i] <= gap:
                last += 1
            until[i] = last


@kernel
def count_next(codes, until, sequences, places, weights, stamp, seen, support):
    """Add up for every state the weight of the sequences in which it comes after a place and before `until`.

    `sequences`, `places` and `until` = where the prefix ends, ascending, and how far it may go on from there. `seen`
    holds stamps below `stamp`; `support` zeros.
    """
    for entry in range(sequences.size):
        sequence = sequences[entry]
        mark = stamp + sequence
        for i in range(places[entry] + 1, until[entry]):
            if seen[codes[i]] != mark:
                seen[codes[i]] = mark
                support[codes[i]] += weights[sequence]


@kernel
def extend(codes, until, sequences, places, state, every, found_sequences, found_places):
    """List where the prefix ends once it goes on with a state: every such place, or the first of each sequence."""
    n = 0
    for entry in range(sequences.size):
        sequence = sequences[entry]
        same = n > 0 and found_sequences[n - 1] == sequence
        if same and not every:
            continue
        first = places[entry] + 1
        if same:
            first = max(first, found_places[n - 1] + 1)
        for i in range(first, until[entry]):
            if codes[i] == state:
                found_sequences[n], found_places[n] = sequence, i
                n += 1
                if not every:
                    break
    return n


@kernel
def place_pattern(codes, starts, ends, sequences, pattern, firsts, lasts):
    """Fill in where each state of a pattern stands in each sequence: as early as it can, and as late before `ends`."""
    for entry in range(sequences.size):
        i = starts[sequences[entry]]
        for k in range(pattern.size):
            while codes[i] != pattern[k]:
                i += 1
            firsts[entry, k] = i
            i += 1
        i = ends[entry] - 1
        for k in range(pattern.size - 1, -1, -1):
            while codes[i] != pattern[k]:
                i -= 1
            lasts[entry, k] = i
            i -= 1


@kernel
def fits_everywhere(codes, begins, ends, base, met):
    """Say whether one state stands between the bounds of every row. `met` holds numbers up to `base`."""
    for row in range(begins.size):
        kept = 0
        for i in range(begins[row], ends[row]):
            if row == 0 or met[codes[i]] == base + row:
                met[codes[i]] = base + row + 1
                kept += 1
        if kept == 0:
            return False
    return True
