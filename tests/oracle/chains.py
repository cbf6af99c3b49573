"""The Markov chain of journeys, path by path and with exact fractions. D10.1 to D10.3."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from itertools import groupby, pairwise

from tests.oracle.conversion import solve
from tests.oracle.paths import START, Path

ABANDON = "<ABANDON>"
Moves = Counter[tuple[str, str]]


def walk(
    path: Path,
    goals: Mapping[str, Collection[str]],
    order: int = 1,
    *,
    keep: bool = False,
    censor: bool = False,
    collapse: bool = False,
) -> list[str]:
    """The states of one path from START to what became of it; a censored open path has no end. D10.1."""
    names: list[str] = []
    end = None
    for name in path.names:
        end = next((label for label, own in goals.items() if name in own), None)
        if end is None or keep:
            names.append(name)
        if end is not None:
            break
    if collapse:
        names = [name for name, _ in groupby(names)]
    if not names and end is None:
        return []
    states = [" > ".join(names[max(0, i - order) : i]) for i in range(1, len(names) + 1)]
    last = [end] if end is not None else [] if censor and path.open else [ABANDON]
    return [START, *states, *last]


def chain_moves(paths: Sequence[Path], goals: Mapping[str, Collection[str]], **options: object) -> Moves:
    """n_ij over all paths."""
    return Counter(pair for path in paths for pair in pairwise(walk(path, goals, **options)))  # type: ignore[arg-type]


class ExactChain:
    """A chain solved by Gauss on fractions; it must end for certain from everywhere."""

    def __init__(self, moves: Mapping[tuple[str, str], int | Fraction], ends: Sequence[str]) -> None:
        self.ends = list(ends)
        self.states = sorted({source for source, _ in moves})
        leaving = {a: sum(n for (s, _), n in moves.items() if s == a) for a in self.states}
        self.p = {(a, b): Fraction(n) / leaving[a] for (a, b), n in moves.items()}

    @property
    def matrix(self) -> list[list[Fraction]]:
        """I - Q."""
        return [[int(a == b) - self.p.get((a, b), Fraction(0)) for b in self.states] for a in self.states]

    def collected(self, right: Mapping[str, Fraction]) -> dict[str, Fraction]:
        """x = right + Q x."""
        found = solve(self.matrix, [right[a] for a in self.states])
        return dict(zip(self.states, found, strict=True))

    def absorbed(self, end: str) -> dict[str, Fraction]:
        """P(ends there | now here)."""
        return self.collected({a: self.p.get((a, end), Fraction(0)) for a in self.states})

    def steps(self) -> dict[str, Fraction]:
        """Expected moves until the end."""
        return self.collected({a: Fraction(1) for a in self.states})

    def variance(self) -> dict[str, Fraction]:
        """By the second moment: E[T^2] = 1 + 2 sum p_ij t_j + sum p_ij E[T_j^2]."""
        t = self.steps()
        onward = {a: sum(self.p.get((a, b), Fraction(0)) * t[b] for b in self.states) for a in self.states}
        second = self.collected({a: 1 + 2 * onward[a] for a in self.states})
        return {a: second[a] - t[a] ** 2 for a in self.states}

    def visits(self, start: str, state: str) -> Fraction:
        """One entry of N."""
        return self.collected({a: Fraction(int(a == state)) for a in self.states})[start]

    def changed(self, source: str, target: str, to: Fraction, instead: str | None = None) -> ExactChain:
        """Another probability of one move; the others in proportion, or one of them. D10.3, D15.6."""
        before = self.p.get((source, target), Fraction(0))
        after = ExactChain({}, self.ends)
        after.states, after.p = self.states, dict(self.p)
        for a, b in self.p:
            if a == source and b != target and instead is None:
                after.p[a, b] *= (1 - to) / (1 - before)
        if instead is not None:
            after.p[source, instead] = self.p.get((source, instead), Fraction(0)) + before - to
        after.p[source, target] = to
        return after
