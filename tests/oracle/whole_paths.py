"""Whole paths and n-grams. D8.5 to D8.7."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from tests.oracle.numbers import mean, percentile, rate, seconds
from tests.oracle.paths import Path
from tests.oracle.transitions import transition_counts


class PathRow(NamedTuple):
    """One distinct path; cut says that names are only its beginning."""

    names: tuple[str, ...]
    cut: bool
    count: int  # type: ignore[assignment]
    share: float | None
    cumulative_share: float | None
    users: int
    conversion_rate: float | None
    median_duration: float | None


def top_paths(
    paths: Sequence[Path],
    max_length: int | None = None,
    prefix: int | None = None,
    goals: Collection[str] = (),
) -> list[PathRow]:
    """Distinct paths by count, then names. D8.5, D8.6, D0.4.

    Choices: duration and conversion are those of the whole path however much of it is shown; with
    prefix=k a path of fewer than k events has no such prefix, and the share is still of all paths.
    """
    whole = [path for path in paths if path.items]
    grouped: dict[tuple[tuple[str, ...], bool], list[Path]] = {}
    for path in whole:
        length = prefix or max_length or len(path.names)
        if prefix and len(path.names) < prefix:
            continue
        is_cut = prefix is None and len(path.names) > length
        grouped.setdefault((path.names[:length], is_cut), []).append(path)
    ranked = sorted(grouped.items(), key=lambda one: (-len(one[1]), one[0]))
    table, seen = [], 0
    for (names, is_cut), own in ranked:
        seen += len(own)
        table.append(
            PathRow(
                names=names,
                cut=is_cut,
                count=len(own),
                share=rate(len(own), len(whole)),
                cumulative_share=rate(seen, len(whole)),
                users=len({path.user for path in own}),
                conversion_rate=mean([any(name in goals for name in path.names) for path in own])
                if goals
                else None,
                median_duration=percentile([duration(path) for path in own], 0.5),
            )
        )
    return table


def duration(path: Path) -> float:
    """Seconds from the first to the last event. D2.5."""
    times = [item.time for item in path.items if item.time is not None]
    return seconds(times[-1] - times[0])


class Ngram(NamedTuple):
    """One n-gram of D8.7."""

    count: int  # type: ignore[assignment]
    paths: int
    share: float | None
    lift: float | None
    type: str


def ngrams(paths: Sequence[Path], length: int, **options: Any) -> dict[tuple[str, ...], Ngram]:
    """Contiguous runs of names inside paths. D8.7.

    Choice: a single name is neither a loop nor a cycle (as in the shop answers).
    """
    counts: Counter[tuple[str, ...]] = Counter()
    holding: Counter[tuple[str, ...]] = Counter()
    for path in paths:
        own = [path.names[i : i + length] for i in range(len(path.names) - length + 1)]
        counts.update(own)
        holding.update(set(own))
    singles = Counter(name for path in paths for name in path.names)
    moves = transition_counts(paths, **options)
    leaving: Counter[Any] = Counter()
    for (source, _), count in moves.items():
        leaving[source] += count
    table = {}
    for gram, count in counts.items():
        expected = float(singles[gram[0]])
        for a, b in itertools.pairwise(gram):
            expected *= moves[a, b] / leaving[a]
        share = rate(holding[gram], len(paths))
        table[gram] = Ngram(count, holding[gram], share, rate(count, expected), kind(gram))
    return table


def kind(gram: tuple[str, ...]) -> str:
    """Loop, cycle or other. D8.7."""
    if len(gram) == 1 or gram[0] != gram[-1]:
        return "other"
    return "loop" if len(set(gram)) == 1 else "cycle"
