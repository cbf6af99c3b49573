"""Where paths are at step k, and how they go on from there. D8.1 to D8.4."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tests.oracle.numbers import mean, percentile, seconds
from tests.oracle.paths import END, OTHER, START, Item, Path


def step_matrix(
    paths: Sequence[Path],
    first: int,
    last: int,
    origin: Callable[[Path], int | None] = lambda path: -1,
    top: int | None = None,
    threshold: float | None = None,
) -> tuple[dict[tuple[int, str], int], int]:
    """Count the paths per (step, state), and the paths that have the event at step 0. D8.1, D8.2.

    Choice: with `top`, the states with the largest count at any step, then by name.
    """
    counts: Counter[tuple[int, str]] = Counter()
    placed = [(path, at) for path in paths if path.items and (at := origin(path)) is not None]
    for path, at in placed:
        for step in range(first, last + 1):
            place = at + step
            known = 0 <= place < len(path.names)
            counts[step, path.names[place] if known else START if place < 0 else END] += 1
    largest: dict[str, int] = {}
    for (_, state), count in counts.items():
        if state not in (START, END):
            largest[state] = max(count, largest.get(state, 0))
    kept = sorted(largest, key=lambda state: (-largest[state], state))[:top]
    kept = [state for state in kept if threshold is None or largest[state] / len(placed) >= threshold]
    merged: Counter[tuple[int, str]] = Counter()
    for (step, state), count in counts.items():
        merged[step, state if state in (START, END, *kept) else OTHER] += count
    return dict(merged), len(placed)


class FlowEdge(NamedTuple):
    """One edge of D8.3."""

    paths: int
    users: int
    time_mean: float | None
    time_median: float | None


def flow(
    paths: Sequence[Path],
    max_steps: int,
    top: int | None = None,
    censored: bool = False,
    ended: bool = True,
) -> dict[tuple[int, str, str], FlowEdge]:
    """Count the moves between steps; paths are cut at anchors and to the limit before. D8.3, D3.5.

    Choices: END takes a step like an event, so a path of `max_steps` events shows none; a move to it takes no time.
    Paths cut at an end anchor have not `ended`.
    """
    nodes = []
    for path in paths:
        items = [*path.items]
        if ended and not (censored and path.open):
            items.append(Item(END, None, None))
        nodes.append((path.user, items[:max_steps]))
    ranked: dict[int, Counter[str]] = defaultdict(Counter)
    for _, items in nodes:
        for step, item in enumerate(items, 1):
            if item.name not in (END, OTHER):
                ranked[step][item.name] += 1
    shown = {
        step: set(sorted(names, key=lambda name: (-names[name], name))[:top])
        for step, names in ranked.items()
    }
    moves: dict[tuple[int, str, str], list[tuple[Any, int | None]]] = defaultdict(list)
    for user, items in nodes:
        named = [
            item.name if item.name in (END, *shown.get(step, ())) else OTHER
            for step, item in enumerate(items, 1)
        ]
        for i in range(len(items) - 1):
            a, b = items[i].time, items[i + 1].time
            moves[i + 1, named[i], named[i + 1]].append((user, None if a is None or b is None else b - a))
    return {key: _edge(own) for key, own in moves.items()}


def _edge(moves: Sequence[tuple[Any, int | None]]) -> FlowEdge:
    times = [seconds(time) for _, time in moves if time is not None]
    return FlowEdge(
        len(moves), len({user for user, _ in moves}), mean(times) if times else None, percentile(times, 0.5)
    )


def cut_edges(
    edges: dict[tuple[int, str, str], int],
    edge_limit: int | None = None,
    min_weight: int | None = None,
    max_weight: int | None = None,
) -> list[tuple[int, str, str]]:
    """Keep the heaviest edges that can be reached from step 1. D8.4."""
    left = [
        edge
        for edge, weight in edges.items()
        if (min_weight is None or weight >= min_weight) and (max_weight is None or weight <= max_weight)
    ]
    left.sort(key=lambda edge: (-edges[edge], f"{edge[0]}_{edge[1]}", f"{edge[0] + 1}_{edge[2]}"))
    left = left[:edge_limit]
    if edge_limit is None or min_weight is not None or max_weight is not None:
        return left
    seen = {(1, source) for step, source, _ in left if step == 1}
    for step in sorted({edge[0] for edge in left}):
        seen |= {(step + 1, target) for k, source, target in left if k == step and (k, source) in seen}
    return [edge for edge in left if edge[:2] in seen]
