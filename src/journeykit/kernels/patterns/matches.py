"""Which events matches of a pattern hold: from where they end, a pass backwards tells. DEFINITIONS D8.11.

`machine`, `symbols` and `memory` are those of `ends`.
"""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import kernel
from journeykit.kernels.patterns.ends import (
    ANYWHERE,
    AT_THE_EDGE,
    BLOCK,
    FROM,
    LEAST_EVENTS,
    LEAST_TIME,
    MOST_EVENTS,
    MOST_TIME,
    NOWHERE,
    ONE,
    UNBOUNDED,
    ZERO,
    Codes,
    Int64s,
    Machine,
    Masks,
    Memory,
    Symbols,
    block,
    borders,
    forget,
    is_dropped,
    kept_edges,
    next_end,
    step,
)

FIRST, LAST, ALL = range(3)


@kernel
def mark_backwards(
    codes: Codes,
    times: Int64s,
    mirrored: Machine,
    symbols: Symbols,
    memory: Memory,
    earliest: int,
    span: tuple[int, int],
    stretch: tuple[int, int],
    anywhere: bool,
    can: Masks,
) -> int:
    """Write which states of which events lead to an end in a stretch, bit by bit; return where it begins.

    The states are those of the automaton, not of its mirror. A match ends at the last event of the stretch, or
    anywhere in it. Events before `earliest` in time are not looked at. `can` is by position in the path.
    """
    fits, blocks, left_out = symbols
    since, end = stretch
    top, base = mirrored[2].size - 1, span[0]
    forget(memory)
    place, i = -1, end
    while i >= since and times[i] >= earliest:
        symbol, can[i - base] = codes[i], ZERO
        if not is_dropped(left_out, symbol):
            place += 1
            turned = ZERO
            for state in range(top + 1):
                turned |= ((fits[symbol] >> np.uint64(state)) & ONE) << np.uint64(top - state)
            may_begin = AT_THE_EDGE if i == span[1] else ANYWHERE if i == end or anywhere else NOWHERE
            reached = step(mirrored, memory, turned, may_begin, place, times[i], i)
            for state in range(top + 1):
                can[i - base] |= ((reached >> np.uint64(state)) & ONE) << np.uint64(top - state)
            block(memory[1], blocks[symbol], place)
        i -= 1
    return i + 1


@kernel
def followers(
    machine: Machine, states: np.uint64, goals: np.uint64, gap: int, between: int, passed: np.uint64
) -> np.uint64:
    """Return which of the goals one of the states may go on to, with this much time and these events between."""
    offsets, edges = machine[0], machine[1]
    found = ZERO
    for goal in range(offsets.size - 1):
        if (goals >> np.uint64(goal)) & ONE == ZERO:
            continue
        for e in range(offsets[goal], offsets[goal + 1]):
            if (states >> np.uint64(edges[e, FROM])) & ONE == ZERO:
                continue
            if not edges[e, LEAST_TIME] <= gap <= edges[e, MOST_TIME]:
                continue
            if not edges[e, LEAST_EVENTS] <= between <= edges[e, MOST_EVENTS]:
                continue
            if edges[e, BLOCK] < 0 or (passed >> np.uint64(edges[e, BLOCK])) & ONE == ZERO:
                found |= ONE << np.uint64(goal)
                break
    return found


@kernel
def earliest_events(
    codes: Codes,
    times: Int64s,
    machine: Machine,
    symbols: Symbols,
    span: tuple[int, int],
    since: int,
    room: tuple[Masks, Int64s, Masks],
) -> int:
    """Choose the events of a match from the left, each as early as can be; return how many.

    ``room`` = (the states that lead to an end, by position in the path; per event of the match its position, and the
    number of events and the slots between it and the one before; the states it may be).
    """
    blocks, left_out = symbols[1], symbols[2]
    can, chain, sets = room
    i, base = since - 1, span[0]
    sets[0] = ZERO
    while sets[0] == ZERO and i < span[1]:
        i += 1
        sets[0] = borders(machine[2], i == span[0]) & can[i - base]
    chain[0, 0], n = i, 1
    between, passed = 0, ZERO
    while sets[n - 1] & borders(machine[3], chain[n - 1, 0] == span[1]) == ZERO and i < span[1]:
        i += 1
        symbol = codes[i]
        if is_dropped(left_out, symbol):
            continue
        gap = times[i] - times[chain[n - 1, 0]]
        found = followers(machine, sets[n - 1], can[i - base], gap, between, passed)
        if found != ZERO:
            chain[n, 0], chain[n, 1], chain[n, 2], sets[n] = i, between, np.int64(passed), found
            n, between, passed = n + 1, 0, ZERO
        else:
            between += 1
            passed |= blocks[symbol]
    sets[n - 1] &= borders(machine[3], chain[n - 1, 0] == span[1])
    return n


@kernel
def choose_states(times: Int64s, machine: Machine, n: int, chain: Int64s, sets: Masks) -> None:
    """Leave one state in every set: the first that fits those before and after it."""
    for k in range(n - 2, -1, -1):
        gap = times[chain[k + 1, 0]] - times[chain[k, 0]]
        leading = ZERO
        for state in range(machine[2].size):
            one = sets[k] & (ONE << np.uint64(state))
            if one and followers(machine, one, sets[k + 1], gap, chain[k + 1, 1], np.uint64(chain[k + 1, 2])):
                leading |= one
        sets[k] = leading
    for k in range(n):
        if k > 0:
            gap = times[chain[k, 0]] - times[chain[k - 1, 0]]
            sets[k] = followers(machine, sets[k - 1], sets[k], gap, chain[k, 1], np.uint64(chain[k, 2]))
        sets[k] &= ~sets[k] + ONE


@kernel
def state_of(one: np.uint64) -> int:
    """Return the number of the only bit."""
    state = 0
    while (one >> np.uint64(state)) & ONE == ZERO:
        state += 1
    return state


@kernel
def write_match(
    times: Int64s,
    machine: Machine,
    size: int,
    room: tuple[Masks, Int64s, Masks],
    path: int,
    match: int,
    found: Int64s,
) -> int:
    """Write the events of one match if there is room for any; return how many they are."""
    _, chain, sets = room
    if found.shape[0] > 0 and size > 0:
        choose_states(times, machine, size, chain, sets)
        for k in range(size):
            found[k, 0], found[k, 1], found[k, 2], found[k, 3] = path, match, chain[k, 0], state_of(sets[k])
    return size


@kernel
def next_match(
    codes: Codes,
    times: Int64s,
    machines: tuple[Machine, Machine],
    symbols: Symbols,
    memory: Memory,
    room: tuple[Masks, Int64s, Masks],
    within: int,
    span: tuple[int, int],
    since: int,
) -> int:
    """Find the first match from `since` on of a pattern of fixed length; return how many events it has.

    Of such matches the smaller position of each event makes a match again: the first one ends before any other.
    """
    end = next_end(codes, times, machines[0], symbols, memory, within, span, since)
    if end < 0:
        return 0
    left = mark_backwards(
        codes, times, machines[1], symbols, memory, times[end] - within, span, (since, end), False, room[0]
    )
    return int(earliest_events(codes, times, machines[0], symbols, span, left, room))


@kernel
def next_loose_match(
    codes: Codes,
    times: Int64s,
    machines: tuple[Machine, Machine],
    symbols: Symbols,
    memory: Memory,
    room: tuple[Masks, Int64s, Masks],
    within: int,
    span: tuple[int, int],
    since: int,
) -> int:
    """Find the first match from `since` on of a pattern whose repeats leave its length open.

    Without a window, `room` says already what leads to an end. With one it is found anew from every event that may
    begin a match.
    """
    fits, left_out = symbols[0], symbols[2]
    for i in range(since, span[1] + 1):
        beginning = fits[codes[i]] & borders(machines[0][2], i == span[0])
        if beginning == ZERO or is_dropped(left_out, codes[i]):
            continue
        if within < UNBOUNDED:
            end = i
            while end < span[1] and times[end + 1] - times[i] <= within:
                end += 1
            mark_backwards(
                codes, times, machines[1], symbols, memory, times[i], span, (i, end), True, room[0]
            )
        if beginning & room[0][i - span[0]] != ZERO:
            return int(earliest_events(codes, times, machines[0], symbols, span, i, room))
    return 0


@kernel
def list_matches(
    starts: Int64s,
    ends: Int64s,
    codes: Codes,
    times: Int64s,
    machines: tuple[Machine, Machine],
    symbols: Symbols,
    memory: Memory,
    room: tuple[Masks, Int64s, Masks],
    rule: tuple[int, int, bool, bool],
    counts: Int64s,
    found: Int64s,
) -> int:
    """List the events of matches as (path, match, position, state); return how many, written or not.

    `rule` = (longest time, 0 first / 1 last / 2 all matches, whether they may overlap, whether the length is open).
    `found` of no rows only counts: the matches of each path, and the events of them all.
    """
    within, wanted, overlapping, loose = rule
    chain, n = room[1], 0
    for path in range(starts.size):
        span = kept_edges(codes, symbols[2], starts[path], ends[path])
        since, match, size = span[0], 0, 0
        if loose and within >= UNBOUNDED and since <= span[1]:
            mark_backwards(
                codes, times, machines[1], symbols, memory, times[since], span, span, True, room[0]
            )
        while since <= span[1]:
            if loose:
                events = next_loose_match(codes, times, machines, symbols, memory, room, within, span, since)
            else:
                events = next_match(codes, times, machines, symbols, memory, room, within, span, since)
            if events == 0:
                break
            match, size = match + 1, events
            since = chain[0, 0] + 1 if overlapping else chain[size - 1, 0] + 1
            if wanted != LAST:
                n += write_match(times, machines[0], size, room, path, match, found[n:])
            if wanted == FIRST:
                break
        if wanted == LAST:
            n += write_match(times, machines[0], size, room, path, match, found[n:])
        counts[path] = match
    return n
