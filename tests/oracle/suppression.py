"""D16.1 by itself: which cells of a table of parts with totals are withheld, and what an attacker gets by one step."""

from __future__ import annotations


def withheld(table: list[list[int]], k: int) -> set[tuple[int, int]]:
    """Withhold small cells of a table whose last row and column are totals, then partners until it is stable.

    Choice: of equals the first in the line; of lines the first that has exactly one withheld.
    """
    rows, columns = len(table), len(table[0])
    lines = [[(i, j) for j in range(columns)] for i in range(rows)]
    lines += [[(i, j) for i in range(rows)] for j in range(columns)]
    hidden = {(i, j) for i in range(rows) for j in range(columns) if 1 <= table[i][j] < k}
    while True:
        lonely = [line for line in lines if sum(cell in hidden for cell in line) == 1]
        partners = [[(table[i][j], line.index((i, j)), (i, j)) for i, j in line if (i, j) not in hidden and table[i][j]]
                    for line in lonely]  # fmt: skip
        partners = [each for each in partners if each]
        if not partners:
            return hidden
        hidden.add(min(partners[0])[2])


def computable(table: list[list[int]], hidden: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """Return the withheld cells that follow from one row or column of what is shown."""
    rows, columns = len(table), len(table[0])
    return {
        (i, j)
        for i, j in hidden
        if not any((i, other) in hidden for other in range(columns) if other != j)
        or not any((other, j) in hidden for other in range(rows) if other != i)
    }
