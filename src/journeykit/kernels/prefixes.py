"""Sequences that go on after a prefix: what comes next, and where. DEFINITIONS D8.9."""

from __future__ import annotations

from journeykit.kernels.compiling import kernel


@kernel
def count_next(codes, ends, sequences, places, weights, max_gap, stamp, seen, support):
    """Add up for every state the weight of the sequences in which it comes after a place, at most `max_gap` later.

    `sequences` and `places` = where the prefix ends, ascending. `seen` holds stamps below `stamp`; `support` zeros.
    """
    for entry in range(sequences.size):
        sequence = sequences[entry]
        mark = stamp + sequence
        for i in range(places[entry] + 1, min(ends[sequence], places[entry] + 1 + max_gap)):
            if seen[codes[i]] != mark:
                seen[codes[i]] = mark
                support[codes[i]] += weights[sequence]


@kernel
def extend(codes, ends, sequences, places, state, max_gap, every, found_sequences, found_places):
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
        for i in range(first, min(ends[sequence], places[entry] + 1 + max_gap)):
            if codes[i] == state:
                found_sequences[n], found_places[n] = sequence, i
                n += 1
                if not every:
                    break
    return n
