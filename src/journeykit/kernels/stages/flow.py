"""Counts over the visits of every unit: stages, moves, dwell, distance from a plan. DEFINITIONS D6.4 to D6.7."""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import kernel

# Columns of the table of stages. LEAVING + m counts the visits that a move of kind m of `kernels.stages` followed.
VISITS, VISITED, VISITED_USERS, RE_ENTRIES, LEAVING = 0, 1, 2, 3, 3
SKIPPED, CLOSED, DWELL, ACTIVE, CURRENT, FURTHEST = 8, 9, 10, 11, 12, 13
OPEN_CURRENT, OPEN_FURTHEST, BYPASSED, REACHED_USERS, ENTRIES = 14, 15, 16, 17, 18
LAST_VISITED_USER, LAST_REACHED_USER, STAGE_COLUMNS = 19, 20, 21

# Columns of the table of moves, and of that of units.
MOVES, MOVED, MOVED_AGAIN, LAST_MOVED, MOVE_COLUMNS = 0, 1, 2, 3, 4
UNITS, STAGED, USERS, STAGED_USERS, LAST_USER, LAST_STAGED_USER, UNIT_COLUMNS = 0, 1, 2, 3, 4, 5, 6


@kernel
def count_unit(units, cell, user, staged):
    """Count one unit, and its user if this is the user's first in the cell."""
    units[cell, UNITS] += 1
    units[cell, USERS] += units[cell, LAST_USER] != user + 1
    units[cell, LAST_USER] = user + 1
    if staged:
        units[cell, STAGED] += 1
        units[cell, STAGED_USERS] += units[cell, LAST_STAGED_USER] != user + 1
        units[cell, LAST_STAGED_USER] = user + 1


@kernel
def count_move(moves, row, path, again):
    """Count one move, and its unit if this is the unit's first of them."""
    moves[row, MOVES] += 1
    moves[row, MOVED] += moves[row, LAST_MOVED] != path + 1
    moves[row, LAST_MOVED] = path + 1
    moves[row, MOVED_AGAIN] += again


@kernel
def count_visit(stages, base, user, stage, previous, kind, again, active):
    """Count one visit in the row of its stage, and how it was come to in the row of the stage before."""
    row = base + stage - 1
    stages[row, VISITS] += 1
    stages[row, RE_ENTRIES] += again
    stages[row, VISITED] += not again
    stages[row, VISITED_USERS] += stages[row, LAST_VISITED_USER] != user + 1
    stages[row, LAST_VISITED_USER] = user + 1
    stages[row, ACTIVE] += active
    if previous == 0:
        stages[row, ENTRIES] += 1
        return
    stages[base + previous - 1, LEAVING + kind] += 1
    for between in range(previous + 1, stage):
        stages[base + between - 1, SKIPPED] += 1


@kernel
def count_dwell(stages, row, dwell, closed):
    """Count a visit that another one follows, and how long it was."""
    stages[row, CLOSED] += closed
    stages[row, DWELL] += dwell * closed


@kernel
def sum_between(values, first, last):
    """Add up values[first:last]."""
    total = np.int64(0)
    for i in range(first, last):
        total += values[i]
    return total


@kernel
def count_furthest(stages, base, user, furthest, seen, path, is_open):
    """Count the furthest stage of a unit, the stages it reached, and those it passed without a visit."""
    stages[base + furthest - 1, FURTHEST] += 1
    stages[base + furthest - 1, OPEN_FURTHEST] += is_open
    for k in range(furthest):
        stages[base + k, BYPASSED] += seen[k] != path + 1
        stages[base + k, REACHED_USERS] += stages[base + k, LAST_REACHED_USER] != user + 1
        stages[base + k, LAST_REACHED_USER] = user + 1


@kernel
def count_walks(
    user_paths, ends, times, gaps, found, kinds, cells, rule, stages, moves, units, things, waits
):
    """Count every visit, move and unit per cell; write each visit's thing (2 x its row + closed) and dwell.

    `rule` = (stages, end of observation, horizon or -1). Positions count from the shard's first event,
    paths from its first path.
    """
    size, until, horizon = rule
    firsts, _, starts, stops, stage_of, previous_of, again = found
    seen = np.zeros(size, np.int64)
    for user in range(user_paths.size - 1):
        for path in range(user_paths[user] - user_paths[0], user_paths[user + 1] - user_paths[0]):
            cell = np.int64(cells[path]) if cells.size > 0 else np.int64(0)
            first, stop = firsts[path], firsts[path + 1]
            count_unit(units, cell, user, first < stop)
            if first == stop:
                continue
            base, edges, furthest = cell * size, cell * (size + 1), np.int64(0)
            for visit in range(first, stop):
                stage, previous = np.int64(stage_of[visit]), np.int64(previous_of[visit])
                active = sum_between(gaps, starts[visit], stops[visit])
                count_visit(stages, base, user, stage, previous, kinds[visit], again[visit], active)
                count_move(moves, (edges + previous) * (size + 2) + stage, path, again[visit])
                seen[stage - 1], furthest = path + 1, max(furthest, stage)
                closed = visit + 1 < stop
                dwell = (times[starts[visit + 1]] if closed else until) - times[starts[visit]]
                count_dwell(stages, base + stage - 1, dwell, closed)
                things[visit], waits[visit] = 2 * (base + stage - 1) + closed, dwell
            last = np.int64(stage_of[stop - 1])
            is_open = horizon >= 0 and until - times[ends[path] - 1] < horizon
            stages[base + last - 1, CURRENT] += 1
            stages[base + last - 1, OPEN_CURRENT] += is_open
            if not is_open:
                count_move(moves, (edges + last) * (size + 2) + size + 1, path, False)
            count_furthest(stages, base, user, furthest, seen, path, is_open)


@kernel
def deviations(first_visits, stages, plan, distances, longer):
    """Write the Levenshtein distance of each path of stages from the plan, and the longer length. D6.7."""
    row = np.empty(plan.size + 1, np.int64)
    for path in range(first_visits.size - 1):
        first, stop = first_visits[path], first_visits[path + 1]
        for k in range(plan.size + 1):
            row[k] = k
        for visit in range(first, stop):
            diagonal, row[0] = row[0], visit - first + 1
            for k in range(plan.size):
                substituted = diagonal + (stages[visit] != plan[k])
                diagonal = row[k + 1]
                row[k + 1] = min(substituted, row[k] + 1, row[k + 1] + 1)
        distances[path] = row[plan.size]
        longer[path] = max(plan.size, stop - first)
