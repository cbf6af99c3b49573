"""How units leave a stage, by how many events they have had in it. DEFINITIONS D14.5."""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import kernel

# Columns of the table. LEAVING + m counts those that left by a move of kind m of `kernels.stages`, 0 being the end.
AT_RISK, USERS, LEAVING, LAST_USER, COLUMNS = 0, 1, 2, 7, 8


@kernel
def count_at_risk(rows, base, first, last, user):
    """Count one unit at risk at its events `first` up to `last` in a stage, and its user if new to the row."""
    for event in range(first, last):
        row = base + event
        rows[row, AT_RISK] += 1
        rows[row, USERS] += rows[row, LAST_USER] != user + 1
        rows[row, LAST_USER] = user + 1


@kernel
def count_leaving(user_paths, first_visits, starts, ends, stages, kinds, still_open, cells, rule, rows):
    """Count every unit at every event in a stage, and how it left.

    `rule` = (stages, most events). The row of cell c, stage s and event m is ((c * stages + s - 1) * most + m - 1).
    """
    size, most = rule
    before = np.zeros(size, np.int64)
    for user in range(user_paths.size - 1):
        for path in range(user_paths[user] - user_paths[0], user_paths[user + 1] - user_paths[0]):
            before[:] = 0
            stop = first_visits[path + 1]
            for visit in range(first_visits[path], stop):
                stage = np.int64(stages[visit]) - 1
                base = (np.int64(cells[path]) * size + stage) * most
                first = before[stage]
                before[stage] += ends[visit] - starts[visit]
                count_at_risk(rows, base, first, min(before[stage], most), user)
                if before[stage] > most:
                    continue
                if visit + 1 < stop:
                    rows[base + before[stage] - 1, LEAVING + kinds[visit + 1]] += 1
                elif not still_open[path]:
                    rows[base + before[stage] - 1, LEAVING] += 1
