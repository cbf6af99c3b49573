"""Where matches of a pattern end: one pass forwards, which `matches` runs backwards too. DEFINITIONS D8.11.

``machine`` = (offsets, edges, begins, ends, follows), see `journeykit.patterns.automaton`.
``symbols`` = (states that a symbol fits, slots that it blocks, whether it is left out), one row per symbol; the last is
empty if none is. ``memory`` = (seen, blocked, waiting, marks).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from journeykit.kernels.compiling import inlined, kernel

Codes = npt.NDArray[np.unsignedinteger[Any]]
Int64s = npt.NDArray[np.int64]
Masks = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]
Machine = tuple[Int64s, Int64s, Int64s, Int64s, Masks]
Symbols = tuple[Masks, Masks, Bools]
Memory = tuple[Int64s, Int64s, Int64s, Int64s]

FROM, LEAST_TIME, MOST_TIME, LEAST_EVENTS, MOST_EVENTS, BLOCK, QUEUE = range(7)
PLACE, TIME, START = range(3)
HEAD, TAIL, READY = range(3)
NOWHERE, ANYWHERE, AT_THE_EDGE = range(3)
UNBOUNDED = 1 << 62
ONE, ZERO = np.uint64(1), np.uint64(0)


@kernel
def forget(memory: Memory) -> None:
    """Begin anew."""
    seen, blocked, _, marks = memory
    seen[:, PLACE] = -1
    blocked[:] = -1
    marks[:, :READY] = 0
    marks[:, READY] = -1


@kernel
def start_over(edges: Int64s, e: int, memory: Memory, place: int, time: int) -> int:
    """Return the latest start of a match that reaches this event over one edge; -1 if none does.

    Of the positions of the edge's source the latest that is far enough away decides: earlier ones have no later start,
    and are no nearer. A position waits in the queue of its edge until the least distance has passed.
    """
    seen, blocked, waiting, marks = memory
    queue, source = edges[e, QUEUE], edges[e, FROM]
    at, when, start = seen[source, PLACE], seen[source, TIME], seen[source, START]
    if queue >= 0:
        while marks[queue, HEAD] < marks[queue, TAIL]:
            head = marks[queue, HEAD]
            near = place - waiting[queue, head, PLACE] - 1 < edges[e, LEAST_EVENTS]
            if near or abs(time - waiting[queue, head, TIME]) < edges[e, LEAST_TIME]:
                break
            marks[queue, READY] = head
            marks[queue, HEAD] += 1
        ready = marks[queue, READY]
        if ready < 0:
            return -1
        at, when, start = (
            waiting[queue, ready, PLACE],
            waiting[queue, ready, TIME],
            waiting[queue, ready, START],
        )
    if at < 0 or place - at - 1 > edges[e, MOST_EVENTS] or abs(time - when) > edges[e, MOST_TIME]:
        return -1
    if edges[e, BLOCK] >= 0 and blocked[edges[e, BLOCK]] > at:
        return -1
    return int(start)


@kernel
def step(
    machine: Machine, memory: Memory, fits: np.uint64, may_begin: int, place: int, time: int, position: int
) -> np.uint64:
    """Let one event be reached by every state that it fits; return those that reach it."""
    offsets, edges, begins, _, _ = machine
    seen, _, waiting, marks = memory
    reached = ZERO
    for state in range(begins.size - 1, -1, -1):
        if (fits >> np.uint64(state)) & ONE == ZERO:
            continue
        start = -1
        if NOWHERE < begins[state] <= may_begin:
            start = position
        else:
            for e in range(offsets[state], offsets[state + 1]):
                start = max(start, start_over(edges, e, memory, place, time))
        if start >= 0:
            seen[state, PLACE], seen[state, TIME], seen[state, START] = place, time, start
            reached |= ONE << np.uint64(state)
    if marks.shape[0] > 0 and reached != ZERO:
        for e in range(edges.shape[0]):
            queue, source = edges[e, QUEUE], edges[e, FROM]
            if queue >= 0 and (reached >> np.uint64(source)) & ONE:
                waiting[queue, marks[queue, TAIL]] = seen[source]
                marks[queue, TAIL] += 1
    return reached


@kernel
def block(blocked: Int64s, slots: np.uint64, place: int) -> None:
    """Note which slots an event blocks."""
    for slot in range(blocked.size):
        if (slots >> np.uint64(slot)) & ONE:
            blocked[slot] = place


@kernel
def is_dropped(left_out: Bools, symbol: int) -> bool:
    """Tell whether events of a symbol are left out."""
    return left_out.size > 0 and left_out[symbol]


@kernel
def kept_edges(codes: Codes, left_out: Bools, first: int, end: int) -> tuple[int, int]:
    """Return the first and the last event of a path that are not left out."""
    while first < end and is_dropped(left_out, codes[first]):
        first += 1
    end -= 1
    while end >= first and is_dropped(left_out, codes[end]):
        end -= 1
    return first, end


@kernel
def borders(where: Int64s, at_the_edge: bool) -> np.uint64:
    """Return the states that may begin, or end, a match at an event."""
    states = ZERO
    for state in range(where.size):
        if NOWHERE < where[state] <= (AT_THE_EDGE if at_the_edge else ANYWHERE):
            states |= ONE << np.uint64(state)
    return states


@kernel
def ends_here(
    ends: Int64s, seen: Int64s, reached: np.uint64, may_end: int, times: Int64s, i: int, within: int
) -> bool:
    """Tell whether a state that an event reaches ends a match that is not too long."""
    for state in range(ends.size):
        if (reached >> np.uint64(state)) & ONE and NOWHERE < ends[state] <= may_end:
            if times[i] - times[seen[state, START]] <= within:
                return True
    return False


@kernel
def next_end(
    codes: Codes,
    times: Int64s,
    machine: Machine,
    symbols: Symbols,
    memory: Memory,
    within: int,
    span: tuple[int, int],
    since: int,
) -> int:
    """Return where the first match from `since` on ends, -1 if there is none; `span` = the ends of the path.

    Only events that a state may now reach are looked at, and not those that reach it again where once is enough.
    """
    fits, blocks, left_out = symbols
    begins, follows = machine[2], machine[4]
    once = follows[begins.size] if within >= UNBOUNDED else ZERO
    forget(memory)
    place, wanted, enough = -1, borders(begins, since == span[0]), ZERO
    for i in range(since, span[1] + 1):
        symbol = codes[i]
        if is_dropped(left_out, symbol):
            continue
        place += 1
        useful = fits[symbol] & wanted & ~enough
        if useful != ZERO:
            may_begin = AT_THE_EDGE if i == span[0] else ANYWHERE
            reached = step(machine, memory, useful, may_begin, place, times[i], i)
            if reached != ZERO:
                may_end = AT_THE_EDGE if i == span[1] else ANYWHERE
                if ends_here(machine[3], memory[0], reached, may_end, times, i, within):
                    return i
                enough |= reached & once
                for state in range(begins.size):
                    if (reached >> np.uint64(state)) & ONE:
                        wanted |= follows[state]
        if blocks[symbol] != ZERO:
            block(memory[1], blocks[symbol], place)
    return -1


@inlined
def all_that_fits(codes: Codes, fits: Masks, first: int, last: int) -> np.uint64:
    """Return the states that any of some events fits."""
    met = ZERO
    for i in range(np.uint64(first), np.uint64(last + 1)):
        met |= fits[codes[i]]
    return met


@kernel
def count_matches(
    starts: Int64s,
    ends: Int64s,
    codes: Codes,
    times: Int64s,
    machine: Machine,
    symbols: Symbols,
    memory: Memory,
    within: int,
    first_only: bool,
    counts: Int64s,
) -> None:
    """Count the matches of every path that do not overlap, or only whether there is one."""
    first_states, last_states = borders(machine[2], True), borders(machine[3], True)
    for path in range(starts.size):
        counts[path] = 0
        met = all_that_fits(codes, symbols[0], starts[path], ends[path] - 1)
        if met & first_states == ZERO or met & last_states == ZERO:
            continue
        span = kept_edges(codes, symbols[2], starts[path], ends[path])
        since = span[0]
        while since <= span[1]:
            end = next_end(codes, times, machine, symbols, memory, within, span, since)
            if end < 0:
                break
            counts[path] += 1
            since = end + 1
            if first_only:
                break


@kernel
def longest_prefixes(
    starts: Int64s,
    ends: Int64s,
    codes: Codes,
    times: Int64s,
    machine: Machine,
    symbols: Symbols,
    memory: Memory,
    within: int,
    states: Int64s,
) -> None:
    """Say for every path how many states of the pattern can be reached from any start, none of them too late."""
    fits, blocks, left_out = symbols
    for path in range(starts.size):
        first, last = kept_edges(codes, left_out, starts[path], ends[path])
        forget(memory)
        place, furthest = -1, 0
        for i in range(first, last + 1):
            symbol = codes[i]
            if is_dropped(left_out, symbol):
                continue
            place += 1
            may_begin = AT_THE_EDGE if i == first else ANYWHERE
            reached = step(machine, memory, fits[symbol], may_begin, place, times[i], i)
            for state in range(furthest, machine[2].size):
                if (reached >> np.uint64(state)) & ONE and times[i] - times[
                    memory[0][state, START]
                ] <= within:
                    furthest = state + 1
            block(memory[1], blocks[symbol], place)
        states[path] = furthest
