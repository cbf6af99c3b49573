"""Who comes back: users by cohort and column of a retention table. DEFINITIONS D9.1 to D9.4."""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import kernel
from journeykit.kernels.outcomes.activity import active_periods, mask_of, period_of

ON, ON_OR_AFTER, ON_OR_BEFORE, STREAK = 0, 1, 2, 3


@kernel
def note_return(kind, column, marked, table, row, cohort):
    """Take in that a user came back in a column after 0; return the column marked so far. D9.4."""
    if kind == ON:
        table[row, cohort, column] += 1
        return 0
    if kind == ON_OR_AFTER:
        return column
    if kind == ON_OR_BEFORE:
        return marked if marked > 0 else column
    return column if column == marked + 1 else marked


@kernel
def add_returns(kind, minimum, columns, first, n, periods, returned, table, row):
    """Add one user's returns after the cohort of the `first` active period; `columns` maps an offset to a column.

    But for the rule "on", a user is counted once, in the column that sums over columns turn into all of its cells.
    """
    marked, column, count, cohort = 0, 0, 0, periods[first]
    for j in range(first + 1, n):
        offset = periods[j] - cohort
        if offset >= columns.size:
            break
        if columns[offset] != column:
            column, count = columns[offset], 0
        before = count
        count += returned[j]
        if before < minimum <= count:
            marked = note_return(kind, column, marked, table, row, cohort)
    if marked > 0:
        table[row, cohort, marked] += 1


@kernel
def count_retention(
    starts, ends, times, codes, masks, cells, first_cell, grid, columns, rule, scratch, members, table
):
    """Count users by cell, cohort and column, on the calendar. D9.1, D9.2, D9.4.

    `grid` = (edges of the periods, periods per microsecond); bit 0 of a mask is a start, bit 1 a return. `rule` =
    (kind, fewest returns, only a user's first start counts). The table has one cell after `first_cell` per row.
    """
    kind, minimum, first_only = rule
    edges, scale = grid
    periods, entered, returned = scratch
    for user in range(starts.size):
        row = cells[user] - first_cell
        if row < 0 or row >= table.shape[0]:
            continue
        n, first = active_periods(
            starts[user], ends[user], times, codes, masks, edges, scale, periods, entered, returned
        )
        cohorts = 0
        for j in range(n):
            cohort = periods[j]
            if cohort >= table.shape[1]:
                break
            if entered[j] == 0 or (first_only and cohort != first):
                continue
            cohorts += 1
            table[row, cohort, 0] += 1
            add_returns(kind, minimum, columns, j, n, periods, returned, table, row)
        members[row] += cohorts > 0


@kernel
def count_first_returns(starts, ends, times, codes, masks, cells, first_cell, grid, columns, members, table):
    """Count as above for the rule "on", where one return is enough and only a user's first start counts.

    Without a branch per event: whether it begins a new column is hard to foresee.
    """
    edges, scale = grid
    for user in range(starts.size):
        row, i, end = cells[user] - first_cell, np.uint64(starts[user]), np.uint64(ends[user])
        while i < end and mask_of(codes, masks, i) & 1 == 0:
            i += np.uint64(1)
        if row < 0 or row >= table.shape[0] or i == end:
            continue
        cohort = period_of(edges, scale, times[i])
        if cohort < 0 or cohort >= table.shape[1]:
            continue
        members[row] += 1
        returned, column = table[row, cohort], np.uint64(0)
        returned[column] += 1
        for later in range(i + np.uint64(1), end):
            offset = period_of(edges, scale, times[later]) - cohort
            if offset >= columns.size or times[later] >= edges[-1]:
                break
            back, own = mask_of(codes, masks, later) & 2 > 0, np.uint64(columns[np.uint64(offset)])
            returned[own] += back & (own != column)
            column = own if back else column


@kernel
def add_returns_by_clock(
    anchor, end, times, codes, masks, duration, kind, minimum, columns, table, row, cohort
):
    """Add one user's returns in spans of equal duration after the anchor event. D9.2."""
    marked, column, count = 0, 0, 0
    for i in range(anchor + 1, end):
        offset = (times[i] - times[anchor]) // duration
        if offset >= columns.size:
            break
        if mask_of(codes, masks, i) & 2 == 0 or columns[offset] == 0:
            continue
        if columns[offset] != column:
            column, count = columns[offset], 0
        count += 1
        if count == minimum:
            marked = note_return(kind, column, marked, table, row, cohort)
    if marked > 0:
        table[row, cohort, marked] += 1


@kernel
def count_retention_by_clock(
    starts,
    ends,
    times,
    codes,
    masks,
    cells,
    first_cell,
    grid,
    columns,
    rule,
    duration,
    anchors,
    members,
    table,
):
    """Count users by cell, cohort and column, where columns are spans of `duration` after the anchor. D9.2.

    The anchor is the first start in the cohort's period; `anchors` keeps the earliest and the latest of every cohort.
    """
    kind, minimum, first_only = rule
    edges, scale = grid
    for user in range(starts.size):
        row = cells[user] - first_cell
        if row < 0 or row >= table.shape[0]:
            continue
        cohort, member = -1, 0
        for i in range(starts[user], ends[user]):
            if mask_of(codes, masks, i) & 1 == 0:
                continue
            period = period_of(edges, scale, times[i])
            if period >= table.shape[1] or (period < 0 and first_only):
                break
            if period < 0 or period == cohort:
                continue
            cohort, member = period, 1
            table[row, cohort, 0] += 1
            anchors[row, cohort, 0] = min(anchors[row, cohort, 0], times[i])
            anchors[row, cohort, 1] = max(anchors[row, cohort, 1], times[i])
            add_returns_by_clock(
                i, ends[user], times, codes, masks, duration, kind, minimum, columns, table, row, cohort
            )
            if first_only:
                break
        members[row] += member


@kernel
def first_starts(starts, ends, codes, masks, found):
    """Write the position of every user's first start; -1 for none."""
    for user in range(starts.size):
        found[user] = np.int64(-1)
        for i in range(starts[user], ends[user]):
            if mask_of(codes, masks, i) & 1 != 0:
                found[user] = i
                break
