"""Who reaches a goal after a state, and who falls silent before it. DEFINITIONS D5, D14."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from journeykit.kernels.compiling import kernel
from journeykit.kernels.counting import slot_of

Codes = npt.NDArray[np.unsignedinteger[Any]]
Int64s = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]

REACHED, CONVERTED, OPEN, USERS, VISITS, CONVERTING, LAST_PATH, LAST_USER = np.arange(8, dtype=np.uint64)
LOST = CONVERTED


@kernel
def is_visit(states: Codes, i: int, first: int, by_run: bool) -> bool:
    """Tell an occurrence of a state: every event, or by runs the first event of a run of a stage. D6.4."""
    return not by_run or (states[i] != 0 and (i == first or states[i - 1] != states[i]))


@kernel
def next_goal(states: Codes, codes: Codes, goals: Bytes, by_run: bool, first: int, i: int, end: int) -> int:
    """Return the position of the first goal from `i` on; `end` if there is none.

    ``goals[codes[i]]`` says that event i is one, ``states[i]`` where one visit ends and the next begins.
    """
    while i < end and not (goals[codes[i]] and is_visit(states, i, first, by_run)):
        i += 1
    return i


@kernel
def add_visit(table: Int64s, row: int, path: int, user: int, converts: bool, may_still: bool) -> bool:
    """Count a visit, and its unit and user if it is their first; tell whether it is its unit's first."""
    table[row, VISITS] += 1
    table[row, CONVERTING] += converts
    if table[row, LAST_PATH] == path + 1:
        return False
    table[row, REACHED] += 1
    table[row, CONVERTED] += converts
    table[row, OPEN] += may_still
    table[row, USERS] += table[row, LAST_USER] != user + 1
    table[row, LAST_PATH], table[row, LAST_USER] = path + 1, user + 1
    return True


@kernel
def count_conversions(
    user_paths: Int64s,
    starts: Int64s,
    ends: Int64s,
    states: Codes,
    codes: Codes,
    times: Int64s,
    cells: Int32s,
    still_open: Bools,
    goals: Bytes,
    rule: tuple[int, bool, int, int],
    keys: Int64s,
    rows: Int32s,
    table: Int64s,
) -> None:
    """Count units and visits per state, and those with a goal strictly later. D5.1, D5.2.

    `rule` = (states with START, by runs, longest time to the goal, end of observation). The last state is
    START, which every unit reaches before its first event. `still_open` marks the units that may go on;
    empty if none does.
    """
    size, by_run, within, until = rule
    for user in range(user_paths.size - 1):
        for path in range(user_paths[user], user_paths[user + 1]):
            first, end = starts[path], ends[path]
            if first == end:
                continue
            base = cells[path] * size if cells.size > 0 else 0
            may_go_on = still_open.size > 0 and still_open[path]
            goal = next_goal(states, codes, goals, by_run, first, first, end)
            for i in range(first - 1, end):
                state, since = np.int64(size - 1), times[first]
                if i >= first:
                    if not is_visit(states, i, first, by_run):
                        continue
                    state, since = np.int64(states[i]), times[i]
                    if goal <= i:
                        goal = next_goal(states, codes, goals, by_run, first, i + 1, end)
                converts = goal < end and times[goal] - since <= within
                may_still = may_go_on and not converts and until - since < within
                add_visit(table, slot_of(keys, rows, base + state), path, user, converts, may_still)


@kernel
def times_to_convert(
    starts: Int64s,
    ends: Int64s,
    states: Codes,
    codes: Codes,
    times: Int64s,
    cells: Int32s,
    goals: Bytes,
    rule: tuple[int, bool, int, int],
    keys: Int64s,
    rows: Int32s,
    table: Int64s,
    found: Int64s,
    gaps: Int64s,
) -> int:
    """List every converted unit of every state as (cell and state, time it took); return how many. D5.1."""
    size, by_run, within, _ = rule
    n = 0
    for path in range(starts.size):
        first, end = starts[path], ends[path]
        base = cells[path] * size if cells.size > 0 else 0
        goal = next_goal(states, codes, goals, by_run, first, first, end)
        if goal < end and times[goal] - times[first] <= within:
            found[n], gaps[n] = base + size - 1, times[goal] - times[first]
            n += 1
        for i in range(first, end):
            if not is_visit(states, i, first, by_run):
                continue
            if goal <= i:
                goal = next_goal(states, codes, goals, by_run, first, i + 1, end)
            key = base + np.int64(states[i])
            converts = goal < end and times[goal] - times[i] <= within
            if add_visit(table, slot_of(keys, rows, key), path, 0, converts, False) and converts:
                found[n], gaps[n] = key, times[goal] - times[i]
                n += 1
    return n


@kernel
def follow_units(
    starts: Int64s,
    ends: Int64s,
    states: Codes,
    codes: Codes,
    times: Int64s,
    origins: Bytes,
    goals: Bytes,
    rule: tuple[bool, int, int, bool],
    origin: Int64s,
    goal: Int64s,
    resumed: Bools,
) -> None:
    """Find each unit's origin and goal (-1: none), and whether it came back from a long silence. D5.1, D5.2.

    `rule` = (by runs, longest time to the goal, longest silence, goal anywhere in the unit).
    """
    by_run, within, quiet, anywhere = rule
    for path in range(starts.size):
        first, end = starts[path], ends[path]
        s = next_origin(codes, origins, first, end)
        origin[path], goal[path], resumed[path] = -1, -1, False
        if s == end:
            continue
        origin[path] = s
        g = next_goal(states, codes, goals, by_run, first, first if anywhere else s + 1, end)
        if g < end and times[g] - times[s] > within:
            g = end
        if g < end:
            goal[path] = g
        for i in range(s + 1, min(g + 1, end)):
            resumed[path] |= times[i] - times[i - 1] > quiet


@kernel
def steps_within(times: Int64s, s: int, last: int, within: int) -> int:
    """Return how many events come after `s`, up to `last` and the longest time."""
    while times[last] - times[s] > within:
        last -= 1
    return last - s


@kernel
def next_origin(codes: Codes, origins: Bytes, i: int, end: int) -> int:
    """Return the position of the first origin from `i` on; `end` if there is none."""
    while i < end and not origins[codes[i]]:
        i += 1
    return i


@kernel
def list_episodes(
    starts: Int64s,
    ends: Int64s,
    states: Codes,
    codes: Codes,
    times: Int64s,
    origins: Bytes,
    goals: Bytes,
    origin: Int64s,
    rule: tuple[bool, int, int, int, bool, bool],
    paths: Int64s,
    spans: Int64s,
    outcomes: Bytes,
) -> int:
    """List (unit, time, 0 censored / 1 converted / 2 abandoned) of the episodes; return how many. D5.4, D14.

    `rule` = (by runs, longest time to the goal, longest silence, end of observation, every episode, whether a time
    is how many events come after the origin).
    """
    by_run, within, quiet, until, every, by_step = rule
    n = 0
    for path in range(starts.size):
        first, end, s = starts[path], ends[path], origin[path]
        goal = s
        while s >= 0 and s < end:
            if goal <= s:
                goal = next_goal(states, codes, goals, by_run, first, s + 1, end)
            i = s
            while i < goal and (times[i + 1] if i + 1 < end else until) - times[i] <= quiet:
                i += 1
            span, outcome = until - times[s], 0
            if i < goal:
                span, outcome = times[i] + quiet + 1 - times[s], 2
            elif goal < end:
                span, outcome = times[goal] - times[s], 1
            last = min(i, end - 1)
            paths[n], outcomes[n] = path, outcome if span <= within else 0
            spans[n] = steps_within(times, s, last, within) if by_step else min(span, within)
            n += 1
            if not every or i >= goal:
                break
            s = next_origin(codes, origins, i + 1, end)
    return n


@kernel
def count_losses(
    ends: Int64s,
    states: Codes,
    origin: Int64s,
    lost: Bools,
    owners: Int64s,
    cells: Int32s,
    size: int,
    keys: Int64s,
    rows: Int32s,
    table: Int64s,
) -> None:
    """Count units that have a state at or after their origin, and those that were lost in it. D5.5."""
    for path in range(ends.size):
        if origin[path] < 0:
            continue
        base = cells[path] * size if cells.size > 0 else 0
        for i in range(origin[path], ends[path]):
            row = slot_of(keys, rows, base + np.int64(states[i]))
            table[row, REACHED] += table[row, LAST_PATH] != path + 1
            table[row, USERS] += table[row, LAST_USER] != owners[path] + 1
            table[row, LAST_PATH], table[row, LAST_USER] = path + 1, owners[path] + 1
        if lost[path]:
            table[slot_of(keys, rows, base + np.int64(states[ends[path] - 1])), LOST] += 1
