"""Lifecycle, stickiness and active users, user by user and period by period. D9.8, D9.9."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

from tests.oracle.numbers import Rows


def active_in(rows: Rows, edges: list[int], names: Collection[str] | None = None) -> dict[Any, set[int]]:
    """Which of the periods between edges each user is active in."""
    active: dict[Any, set[int]] = {row["user"]: set() for row in rows}
    for row in rows:
        for i in range(len(edges) - 1):
            if edges[i] <= row["time"] < edges[i + 1] and (names is None or row["event"] in names):
                active[row["user"]].add(i)
    return active


def lifecycle(
    rows: Rows, edges: list[int], names: Collection[str] | None = None, new_by: str = "any"
) -> list[tuple[int, int, int, int]]:
    """New, returning, resurrecting and dormant (negative) users of every period but the first."""
    counts: Counter[tuple[int, str]] = Counter()
    for user, periods in active_in(rows, edges, names).items():
        own = [row for row in rows if row["user"] == user]
        if new_by == "activity" and names is not None:
            own = [row for row in own if row["event"] in names]
        first = min((row["time"] for row in own), default=edges[-1])
        for i in range(1, len(edges) - 1):
            if i in periods and edges[i] <= first < edges[i + 1]:
                counts[i, "new"] += 1
            elif i in periods:
                counts[i, "returning" if i - 1 in periods else "resurrecting"] += 1
            elif i - 1 in periods:
                counts[i, "dormant"] -= 1
    kinds = ("new", "returning", "resurrecting", "dormant")
    return [tuple(counts[i, kind] for kind in kinds) for i in range(1, len(edges) - 1)]  # type: ignore[misc]


def stickiness(rows: Rows, edges: list[int], names: Collection[str] | None = None) -> list[int]:
    """Users active in exactly 1, 2, ... periods."""
    sizes = Counter(len(periods) for periods in active_in(rows, edges, names).values())
    return [sizes[k] for k in range(1, len(edges))]


def active_users(
    rows: Rows, edges: list[int], window: int, names: Collection[str] | None = None
) -> list[tuple[int, int]]:
    """Users active in every period, and in the window of periods that ends with it."""
    active = active_in(rows, edges, names).values()
    return [
        (
            sum(i in periods for periods in active),
            sum(any(j in periods for j in range(i - window + 1, i + 1)) for periods in active),
        )
        for i in range(window - 1, len(edges) - 1)
    ]
