"""Patterns by trying every choice of events. DEFINITIONS D8.11.

A path is a list of (name, time). A pattern is a list of elements and a list of connectors, one shorter:
an element is (names, negated, least, most) with most None for any number; a connector is
(direct, names not between or None, [(operator, amount, "time" or "events")]).
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

Match = tuple[tuple[int, ...], tuple[int, ...]]
COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq}


def fits(element: Any, name: Any) -> bool:
    names, negated = element[:2]
    return (name in names) != negated


def connected(path: Any, i: int, j: int, connectors: list[Any]) -> bool:
    """Tell whether the events i and j may follow each other over one connector, or several plain ones."""
    if j <= i:
        return False
    if all(direct for direct, _, _ in connectors) and j != i + 1:
        return False
    for _, without, tests in connectors:
        if without is not None and any(path[k][0] in without for k in range(i + 1, j)):
            return False
        for sign, amount, what in tests:
            distance = path[j][1] - path[i][1] if what == "time" else j - i - 1
            if not COMPARE[sign](distance, amount):
                return False
    return True


class Search:
    """All matches of a pattern in a path, by trying every run of events for every element."""

    def __init__(self, path: Any, elements: Any, connectors: Any, at_start: bool, at_end: bool) -> None:
        self.path, self.elements, self.connectors = path, elements, connectors
        self.at_start, self.at_end = at_start, at_end

    def grow(self, number: int, positions: Any, of: Any, pending: list[Any]) -> Iterator[Match]:
        """Yield (positions, elements) of every match that begins with these; `pending` connectors lead on."""
        if number == len(self.elements):
            if positions and self.may_end(positions[-1], pending):
                yield positions, of
            return
        following = [self.connectors[number]] if number < len(self.connectors) else []
        if self.elements[number][2] == 0:
            yield from self.grow(number + 1, positions, of, pending + following)
        for run in self.runs(number):
            if self.may_follow(positions, run[0], pending):
                yield from self.grow(number + 1, positions + run, of + (number,) * len(run), following)

    def runs(self, number: int) -> Iterator[tuple[int, ...]]:
        """Yield the events next to each other that an element may match."""
        least, most = self.elements[number][2:]
        for first in range(len(self.path)):
            for last in range(first, len(self.path)):
                if not fits(self.elements[number], self.path[last][0]):
                    break
                if max(least, 1) <= last - first + 1 <= (most or len(self.path)):
                    yield tuple(range(first, last + 1))

    def may_follow(self, positions: Any, first: int, pending: list[Any]) -> bool:
        if positions:
            return connected(self.path, positions[-1], first, pending)
        return not self.at_start or first == 0 or any(not direct for direct, _, _ in pending)

    def may_end(self, last: int, pending: list[Any]) -> bool:
        return not self.at_end or last == len(self.path) - 1 or any(not direct for direct, _, _ in pending)


def matches(
    path: Any,
    elements: Any,
    connectors: Any,
    *,
    at_start: bool = False,
    at_end: bool = False,
    within: int | None = None,
    alphabet: Any = None,
    overlapping: bool = False,
) -> list[Match]:
    """Return the matches one after another, with positions in the whole path."""
    places = [i for i, (name, _) in enumerate(path) if alphabet is None or name in alphabet]
    kept = [path[i] for i in places]
    found = sorted(
        one
        for one in set(Search(kept, elements, connectors, at_start, at_end).grow(0, (), (), []))
        if within is None or kept[one[0][-1]][1] - kept[one[0][0]][1] <= within
    )
    chosen: list[Match] = []
    since = 0
    for positions, of in found:
        if positions[0] >= since:
            chosen.append((tuple(places[i] for i in positions), of))
            since = positions[0] + 1 if overlapping else positions[-1] + 1
    return chosen


def next_node(path: Any, conditions: Any, direction: str, base: str, fits_base: Any = None) -> int | None:
    """Return the position of the event after a run of events that fulfil the conditions in turn. D8.10."""
    order = list(range(len(path))) if direction == "forward" else list(range(len(path)))[::-1]
    may = [
        i for i in range(len(path))
        if (fits_base is None or fits_base(i)) and (not conditions or path[i][0] in conditions[0])
    ]  # fmt: skip
    wanted = {"head": [i for i in may if i == 0], "tail": [i for i in may if i == len(path) - 1]}
    candidates = wanted.get(base, may)
    if not candidates:
        return None
    at = candidates[-1] if base == "last_match" else candidates[0]
    walk = order[order.index(at) :]
    for condition, i in zip(conditions, walk, strict=False):
        if path[i][0] not in condition:
            return None
    return walk[len(conditions)] if len(walk) > len(conditions) else None
