"""Who reaches the goal after a state: as observed, and by the chain. D5.1, D10.1 to D10.3."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from tests.oracle.numbers import rate
from tests.oracle.paths import END, START, Path
from tests.oracle.transitions import State, transition_counts


class Converted(NamedTuple):
    """Units (or visits) in a state, those with the goal strictly later, and the share."""

    reached: int
    converted: int
    rate: float | None


def conversion(paths: Sequence[Path], goals: Collection[str]) -> dict[State, Converted]:
    """Units whose goal comes after their first time in the state; START is the whole unit. D5.1, D5.3."""
    reached: Counter[State] = Counter()
    converted: Counter[State] = Counter()
    for path in paths:
        names = path.names
        reached[START] += 1
        converted[START] += any(name in goals for name in names)
        for state in set(names):
            reached[state] += 1
            converted[state] += any(name in goals for name in names[names.index(state) + 1 :])
    return {state: Converted(n, converted[state], rate(converted[state], n)) for state, n in reached.items()}


def conversion_per_visit(paths: Sequence[Path], goals: Collection[str]) -> dict[State, Converted]:
    """Occurrences of a state that have the goal at any later position of their path."""
    reached: Counter[State] = Counter()
    converted: Counter[State] = Counter()
    for path in paths:
        for position, name in enumerate(path.names):
            reached[name] += 1
            converted[name] += any(later in goals for later in path.names[position + 1 :])
    return {state: Converted(n, converted[state], rate(converted[state], n)) for state, n in reached.items()}


def cut_at_goal(paths: Sequence[Path], goals: Collection[str]) -> list[Path]:
    """Paths up to and including their first goal; what comes after is no part of the chain. D10.1."""
    cut = []
    for path in paths:
        at = next((i + 1 for i, name in enumerate(path.names) if name in goals), None)
        cut.append(path._replace(items=path.items[:at], open=path.open and at is None))
    return cut


def chain_counts(
    paths: Sequence[Path], goals: Collection[str], **options: Any
) -> Counter[tuple[State, State]]:
    """n_ij of D10.1 with the goal absorbing and END for ABANDON."""
    return transition_counts(cut_at_goal(paths, goals), **options)


def absorption(counts: Mapping[tuple[State, State], int], goals: Collection[State]) -> dict[State, Fraction]:
    """P(ever goal | now in state) by one exact dense solve, goals and END absorbing. D10.2, D10.3."""
    moves = {pair: n for pair, n in counts.items() if pair[0] not in goals and pair[0] != END}
    transient = sorted({source for source, _ in moves}, key=str)
    raise_if_trapped(moves, {target for _, target in moves} | set(transient), goals)
    leaving = {a: sum(n for (source, _), n in moves.items() if source == a) for a in transient}
    matrix = [
        [Fraction(int(a == b)) - Fraction(moves.get((a, b), 0), leaving[a]) for b in transient]
        for a in transient
    ]
    right = [
        sum((Fraction(moves.get((a, goal), 0), leaving[a]) for goal in goals), Fraction(0)) for a in transient
    ]
    return dict(zip(transient, solve(matrix, right), strict=True))


def raise_if_trapped(
    moves: Mapping[tuple[State, State], int], states: Collection[State], goals: Collection[State]
) -> None:
    """Refuse states from which neither the goal nor END can be reached, by name. D10.2."""
    safe: set[State] = set(goals) | {END}
    for _ in states:
        safe |= {source for source, target in moves if target in safe}
    trapped = sorted((state for state in states if state not in safe), key=str)
    if trapped:
        raise ValueError(f"no absorbing state can be reached from {trapped}")


def solve(matrix: list[list[Fraction]], right: list[Fraction]) -> list[Fraction]:
    """Gauss and Jordan on fractions."""
    size = len(right)
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for column in range(size):
        pivot = next(i for i in range(column, size) if rows[i][column] != 0)
        rows[column], rows[pivot] = rows[pivot], rows[column]
        head = rows[column][column]
        rows[column] = [value / head for value in rows[column]]
        for i in range(size):
            factor = rows[i][column]
            if i != column and factor != 0:
                rows[i] = [a - factor * b for a, b in zip(rows[i], rows[column], strict=True)]
    return [row[-1] for row in rows]
