"""A change of the conversion rate between two periods, part by part. D13.8, D13.9."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from tests.oracle.paths import START, Path

CONVERT, ABANDON = "<CONVERT>", "<ABANDON>"


def by_segment(
    before: Sequence[Path], after: Sequence[Path], goal: str, segment: Callable[[Path], Any]
) -> dict[Any, tuple[Fraction, Fraction]]:
    """Mix and rate effects of every segment, in exact fractions. D13.8."""
    periods = (before, after)
    whole = [Fraction(sum(goal in path.names for path in paths), len(paths)) for paths in periods]
    found = {}
    for each in {segment(path) for paths in periods for path in paths}:
        own = [[path for path in paths if segment(path) == each] for paths in periods]
        w0, w1 = (Fraction(len(part), len(paths)) for part, paths in zip(own, periods, strict=True))
        r0, r1 = (
            Fraction(sum(goal in path.names for path in part), len(part)) if part else None for part in own
        )
        r0, r1 = (r1 if r0 is None else r0), (r0 if r1 is None else r1)
        found[each] = ((w1 - w0) * ((r0 + r1) / 2 - sum(whole) / 2), (r1 - r0) * (w0 + w1) / 2)
    return found


def moves_of(paths: Sequence[Path], goal: str) -> Counter[tuple[str, str]]:
    """The moves of paths cut at their first goal; an open path without one has no end. D10.1."""
    found: Counter[tuple[str, str]] = Counter()
    for path in paths:
        names = list(path.names)
        end = [] if path.open else [ABANDON]
        if goal in names:
            names, end = names[: names.index(goal)], [CONVERT]
        walk = [START, *names, *end]
        found.update(itertools.pairwise(walk))
    return found


def by_move(
    before: Sequence[Path], after: Sequence[Path], goal: str
) -> tuple[dict[tuple[str, str], float], float]:
    """The effect of every move, and the change of P(convert), with dense matrices. D13.9."""
    counts = [moves_of(paths, goal) for paths in (before, after)]
    states = sorted({source for each in counts for source, _ in each})
    names = [*states, CONVERT, ABANDON]
    p = np.zeros((2, len(states), len(names)))
    for k, each in enumerate(counts):
        for (source, target), count in each.items():
            p[k, states.index(source), names.index(target)] = count
    left = p.sum(axis=2)
    for i in range(len(states)):
        p[:, i] = p[0, i] if not left[1, i] else p[1, i] if not left[0, i] else p[:, i]
    p = p / p.sum(axis=2, keepdims=True)
    size, start = len(states), states.index(START)
    visits = [np.linalg.inv(np.eye(size) - each[:, :size]) for each in p]
    chances = [np.append(n @ each[:, size], [1.0, 0.0]) for n, each in zip(visits, p, strict=True)]
    found = {}
    for i, source in enumerate(states):
        for j, target in enumerate(names):
            if p[0, i, j] or p[1, i, j]:
                own = visits[0][start, i] * (chances[1][j] - chances[1][i])
                other = visits[1][start, i] * (chances[0][j] - chances[0][i])
                found[source, target] = (p[1, i, j] - p[0, i, j]) / 2 * (own + other)
    return found, chances[1][start] - chances[0][start]
