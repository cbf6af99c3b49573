"""Mixtures of chains and the agreement of clusterings, slow and obvious."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations


def expectation(
    rows: Sequence[tuple[Mapping[int, float], float]],
    chances: Sequence[Sequence[float]],
    sizes: Sequence[float],
) -> tuple[float, list[list[float]], list[float]]:
    """Return the log-likelihood, the moves and the people that every cluster is expected to have."""
    moves = [[0.0] * len(sizes) for _ in chances]
    people = [0.0] * len(sizes)
    likelihood = 0.0
    for counts, weight in rows:
        joint = [
            size * math.prod(chances[edge][k] ** count for edge, count in counts.items())
            for k, size in enumerate(sizes)
        ]
        likelihood += weight * math.log(sum(joint))
        for k, each in enumerate(joint):
            share = weight * each / sum(joint)
            people[k] += share
            for edge, count in counts.items():
                moves[edge][k] += share * count
    return likelihood, moves, people


def adjusted_rand(one: Sequence[int], two: Sequence[int]) -> float:
    """Count the pairs of things that are together in one clustering, in the other, in both."""
    pairs = list(combinations(range(len(one)), 2))
    in_one = sum(one[i] == one[j] for i, j in pairs)
    in_two = sum(two[i] == two[j] for i, j in pairs)
    both = sum(one[i] == one[j] and two[i] == two[j] for i, j in pairs)
    expected = in_one * in_two / len(pairs)
    return (both - expected) / ((in_one + in_two) / 2 - expected)
