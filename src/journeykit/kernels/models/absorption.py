"""Paths cut at their first goal, and the moves of what is left. DEFINITIONS D10.1."""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import kernel
from journeykit.kernels.counting import slot_of

COUNT, USERS, LAST = np.arange(3, dtype=np.uint64)


@kernel
def cut_at_goals(starts, ends, symbols, masks, keep, cuts, goals):
    """Find the first event of every path that fits a matcher: `goals` says which (-1: none), `cuts` where it ends.

    A path ends before its goal, or with `keep` after it.
    """
    for path in range(starts.size):
        cuts[path], goals[path] = ends[path], -1
        for i in range(starts[path], ends[path]):
            fits = masks[symbols[i]]
            if fits != 0:
                goal = 0
                while not (fits >> np.uint64(goal)) & np.uint64(1):
                    goal += 1
                cuts[path], goals[path] = i + keep, goal
                break


@kernel
def add_visit(keys, rows, table, key, user):
    """Count one visit, and its user if this is their first there."""
    row = slot_of(keys, rows, key)
    table[row, COUNT] += 1
    table[row, USERS] += table[row, LAST] != user + 1
    table[row, LAST] = user + 1


@kernel
def count_chain(user_paths, starts, cuts, states, cells, goals, still_open, rule, moves, visits, steps):
    """Count the moves of every cut path from START to what became of it, and the visits of every state, per cell.

    `rule` = (states with START and ends, number of START, skip state 0, collapse repeats); ABANDON is START + 1, and
    goal k is START + 2 + k. `moves` and `visits` are (keys, rows, table); `steps` takes the moves of every path, 0 for
    a path without any state or goal.
    """
    size, start, skip, collapse = rule
    keys, rows, table = moves
    state_keys, state_rows, state_table = visits
    for user in range(user_paths.size - 1):
        for path in range(user_paths[user], user_paths[user + 1]):
            base = np.int64(cells[path]) * size
            source, walked = np.int64(start), 0
            for i in range(starts[path], cuts[path]):
                target = np.int64(states[i])
                if (skip and target == 0) or (collapse and target == source):
                    continue
                table[slot_of(keys, rows, (base + source) * size + target), COUNT] += 1
                add_visit(state_keys, state_rows, state_table, base + target, user)
                source = target
                walked += 1
            steps[path] = 0
            if goals[path] < 0 and walked == 0:
                continue
            add_visit(state_keys, state_rows, state_table, base + start, user)
            steps[path] = walked + 1
            if goals[path] >= 0:
                end = start + 2 + np.int64(goals[path])
            elif not still_open[path]:
                end = np.int64(start + 1)
            else:
                steps[path] = walked
                continue
            table[slot_of(keys, rows, (base + source) * size + end), COUNT] += 1
