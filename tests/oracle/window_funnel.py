"""The scan of ClickHouse's windowFunnel, keeping every candidate chain. D7.14."""

from __future__ import annotations

from collections.abc import Collection, Sequence

MODES = ("strict_increase", "strict_once", "strict_deduplication", "strict_order", "allow_reentry")

Event = tuple[int, str]
Chain = tuple[int, int, tuple[int, ...]]
"""First time, last time, rows used."""


def window_funnel(
    events: Sequence[Event], conditions: Sequence[Collection[str]], window: int, modes: Collection[str] = ()
) -> int:
    """Return the highest level of one unit. Raises ValueError for modes that the engine refuses.

    Without strict_once a level keeps the chain with the latest first time; with it, all chains.
    """
    if set(modes) - {*MODES} or ("allow_reentry" in modes and "strict_order" not in modes):
        raise ValueError(modes)
    entries = []
    for row, (time, label) in enumerate(events):
        matched = [k for k, condition in enumerate(conditions, 1) if label in condition]
        if not matched and "strict_order" in modes:
            matched = [0]
        entries += [(time, k, row) for k in matched]
    levels: dict[int, list[Chain]] = {}
    for time, k, row in sorted(entries, key=lambda one: one[:2]):
        if stops(levels, k, time, row, window, modes):
            break
        if k == 1:
            add(levels, 1, [(time, time, (row,))], modes)
        elif k > 1:
            add(levels, k, extended(levels.get(k - 1, []), time, row, window, modes), modes)
        if len(conditions) in levels:
            break
    return max(levels, default=0)


def stops(
    levels: dict[int, list[Chain]], k: int, time: int, row: int, window: int, modes: Collection[str]
) -> bool:
    """Whether the scan ends here."""
    if k == 0:
        return bool(levels)
    if k == 1:
        return False
    if "strict_deduplication" in modes and k in levels:
        return "strict_once" not in modes or any(row not in used for _, _, used in levels.get(k - 1, []))
    orphan = "strict_order" in modes and (k - 1) not in levels and bool(levels)
    return orphan and "allow_reentry" not in modes


def extended(
    chains: Sequence[Chain], time: int, row: int, window: int, modes: Collection[str]
) -> list[Chain]:
    """Return the chains that the row can go on."""
    return [
        (first, time, (*used, row))
        for first, last, used in chains
        if time <= first + window
        and ("strict_increase" not in modes or last < time)
        and ("strict_once" not in modes or row not in used)
    ]


def add(levels: dict[int, list[Chain]], k: int, chains: list[Chain], modes: Collection[str]) -> None:
    """Keep the newest chain, which is the one with the latest first time, or every chain under strict_once."""
    if not chains:
        return
    if "strict_once" in modes:
        levels.setdefault(k, []).extend(chains)
    else:
        levels[k] = chains[-1:]
