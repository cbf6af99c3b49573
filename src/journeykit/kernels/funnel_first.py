"""Counting units of a plain funnel without listing their events. DEFINITIONS D7.4, D7.8, D7.11.

Where a step only has to come later than the one before it, the first run goes as far as any, unless an event of its
next step lies behind its deadline: then all starts are looked at, in linear time as in `funnel.furthest`. Where events
of different kinds are so near to each other that rules about ties decide, the unit is left to `funnel_pass`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from journeykit.kernels.compiling import inlined, kernel
from journeykit.kernels.funnel_counts import Times, add_times
from journeykit.kernels.funnel_lists import START

Int64s = npt.NDArray[np.int64]
Codes = npt.NDArray[np.unsignedinteger[Any]]
Span = tuple[int, int]
Columns = tuple[Codes, Int64s, Int64s]
"""The symbols and the times of events, and the marks of each symbol."""
Listed = tuple[Int64s, Int64s]
"""The marks and the times of the events of one path that have marks."""
NEAR, LATE = -2, -1
"""In place of how many steps a first run makes: rules about ties decide; an event of its next step comes too late."""
LONG_AGO, FAR_OFF = -(1 << 62), (1 << 63) - 1


class Plain(NamedTuple):
    """The rules of a plain funnel.

    Attributes
    ----------
    near : int
        How near, in microseconds, events of different kinds are that may tie.
    by_position : bool
        The order of the input decides between these, and their units are only told.
    tick : int
        Ticks of time in microseconds, 1 for none.
    window : int
        The longest time from the start.
    only_first : bool
        Only first runs count.
    until : int
        The end of the observation.
    """

    near: int
    by_position: bool
    tick: int
    window: int
    only_first: bool
    until: int


@inlined
def first_run(
    span: Span, columns: Columns, wanted: Int64s, rule: Plain, made: Int64s
) -> tuple[int, int, bool]:
    """Write when the first run of one path made each step; return how many, the last start, and whether events tie.

    ``wanted[k]`` are the bits that step k asks for. A path whose run is complete is not read further.
    """
    codes, times, masks = columns
    level, want, deadline, last, ties = 0, wanted[0], FAR_OFF, LONG_AGO, False
    before, kind = LONG_AGO, 0
    for i in range(span[0], span[1]):
        mask, time = masks[codes[i]], times[i]
        if (mask != 0) & (mask != kind) & (time - before <= rule.near):
            if not rule.by_position:
                return NEAR, last, True
            ties = True
        before, kind = (time, mask) if mask != 0 else (before, kind)
        last = time if mask & START else last
        if mask & want:
            time -= time % rule.tick
            if time > deadline:
                return (level if rule.only_first else LATE), last, ties
            if level == 0:
                deadline = time + rule.window
            made[level] = time
            level += 1
            if level == wanted.size:
                return level, last, ties
            want = wanted[level]
    return level, last, ties


@inlined
def list_marked(span: Span, columns: Columns, listed: Listed) -> int:
    """List the marks and the times of the events of one path that have marks; return how many."""
    codes, times, masks = columns
    marks, moments = listed
    n = 0
    for i in range(span[0], span[1]):
        marks[n], moments[n] = masks[codes[i]], times[i]
        n += marks[n] != 0
    return n


@kernel
def any_near(n: int, listed: Listed, near: int) -> bool:
    """Tell whether events of different kinds may tie."""
    marks, moments = listed
    for i in range(1, n):
        if marks[i] != marks[i - 1] and moments[i] - moments[i - 1] <= near:
            return True
    return False


@kernel
def latest_starts(n: int, listed: Listed, wanted: Int64s, window: int, limit: int, since: Int64s) -> int:
    """Return the furthest step of the runs that start until `limit`.

    ``since[k]`` becomes the latest start from which step k is made.
    """
    marks, moments = listed
    level = 0
    since[:] = LONG_AGO
    for i in range(n):
        mask, time = marks[i], moments[i]
        for step in range(min(level, wanted.size - 1), 0, -1):
            if mask & wanted[step] and time - since[step - 1] <= window:
                since[step] = since[step - 1]
                level = max(level, step + 1)
        if mask & START and time <= limit:
            since[0] = time
            level = max(level, 1)
    return level


@kernel
def earliest_start(n: int, listed: Listed, wanted: Int64s, window: int, level: int, done: Int64s) -> int:
    """Return the earliest event from which `level` steps can be made; `done` is when each can be complete."""
    marks, moments = listed
    found = 0
    done[:] = FAR_OFF
    for i in range(n - 1, -1, -1):
        mask, time = marks[i], moments[i]
        if mask & START and (done[1] if level > 1 else time) <= time + window:
            found = i
        for step in range(1, level):
            if mask & wanted[step]:
                done[step] = min(done[step], time if step == level - 1 else done[step + 1])
    return found


@kernel
def best_run(n: int, listed: Listed, wanted: Int64s, rule: Plain, made: Int64s) -> tuple[int, int, int, bool]:
    """Write when the best run of one path made each step, the first of equal ones.

    Return how many, how many those make whose window has passed, the last start, and whether events tie.
    """
    marks, moments = listed
    ties = any_near(n, listed, rule.near)
    if ties and not rule.by_position:
        return NEAR, 0, LONG_AGO, True
    for i in range(n):
        moments[i] -= moments[i] % rule.tick
    level = matured = latest_starts(n, listed, wanted, rule.window, FAR_OFF, made)
    last, closed = made[0], rule.until - rule.window
    if last > closed:
        matured = latest_starts(n, listed, wanted, rule.window, closed, made)
    step = 0
    for i in range(earliest_start(n, listed, wanted, rule.window, level, made), n):
        if step < level and marks[i] & wanted[step]:
            made[step] = moments[i]
            step += 1
    return level, matured, last, ties


@kernel
def count_first_runs(
    ragged: tuple[Int64s, Int64s], columns: Columns, cells: Int64s, wanted: Int64s, given: tuple[Any, ...],
    counts: tuple[Int64s, ...], times: Times, room: Listed, rest: Int64s, tied: Int64s,
) -> tuple[int, int, int]:  # fmt: skip
    """Count the paths in which ties do not decide; list the others, and those of the counted ones that have ties.

    `ragged` = (starts, ends) of paths; `given` are the values of `Plain`; in `room` the events of any path can be
    listed. Return how many times were kept, and how many paths were listed as the one and the other.
    """
    (starts, ends), rule = ragged, Plain(*given)
    levels, matured = counts[0], counts[1]
    made = np.empty(wanted.size, np.int64)
    n, n_rest, n_tied = np.int64(0), np.int64(0), np.int64(0)
    for path in range(starts.size):
        span = (starts[path], ends[path])
        level, last, ties = first_run(span, columns, wanted, rule, made)
        complete = 0 if level <= 0 or made[0] + rule.window > rule.until else level
        if level == LATE:
            level, complete, last, ties = best_run(list_marked(span, columns, room), room, wanted, rule, made)
        if level == NEAR:
            rest[n_rest] = path
            n_rest += 1
            continue
        if ties:
            tied[n_tied] = path
            n_tied += 1
        if level > 0:
            own, last = cells[path], made[0] if rule.only_first else last - last % rule.tick
            is_open = level < wanted.size and last + rule.window > rule.until
            levels[own, 0, level, 1 if is_open else 0] += 1
            matured[own, complete] += 1
            n = add_times(made, np.int64(0), level, own, counts[4], times, n)
    return int(n), int(n_rest), int(n_tied)
