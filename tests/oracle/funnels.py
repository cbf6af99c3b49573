"""Ordered funnels: the longest admissible chain, by trying all of them. D7.2 to D7.4."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tests.oracle.numbers import Row, Rows


def chain(
    rows: Rows,
    steps: Sequence[Collection[str]],
    window: int | None = None,
    ties: str = "input",
    grace: int = 0,
) -> tuple[int, ...]:
    """Positions of the longest chain, of these the lexicographically smallest. D7.2, D7.4, D7.8."""
    best: tuple[int, ...] = ()

    def extend(so_far: tuple[int, ...]) -> None:
        nonlocal best
        if len(so_far) > len(best):
            best = so_far
        if len(so_far) == len(steps) or len(best) == len(steps):
            return
        for position, row in enumerate(rows):
            if row["event"] in steps[len(so_far)] and admissible(rows, so_far, position, window, ties, grace):
                extend((*so_far, position))

    extend(())
    return best


def admissible(
    rows: Rows, so_far: tuple[int, ...], position: int, window: int | None, ties: str, grace: int
) -> bool:
    """Whether the event at a position may be the next of a chain. D7.2, D7.3."""
    if not so_far:
        return True
    time, first, before = rows[position]["time"], rows[so_far[0]]["time"], rows[so_far[-1]]
    if position in so_far or (window is not None and time - first > window):
        return False
    return follows(before, rows[position], position > so_far[-1], ties, grace)


def follows(before: Row, row: Row, is_later: bool, ties: str, grace: int) -> bool:
    """Return what the tie rule of D7.3 says of two events."""
    if ties == "input":
        return is_later
    if ties == "strict":
        return bool(row["time"] > before["time"])
    return bool(row["time"] >= before["time"] - grace)


def funnel(
    containers: Sequence[Rows],
    steps: Sequence[Collection[str]],
    window: int | None = None,
    ties: str = "input",
    grace: int = 0,
) -> list[int]:
    """Units that reached each step. D7.11."""
    levels = [len(chain(rows, steps, window, ties, grace)) for rows in containers]
    return [sum(level >= k for level in levels) for k in range(1, len(steps) + 1)]
