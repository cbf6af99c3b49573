"""Runs of a funnel in any order: kept events and the largest matching. D7.6."""

from __future__ import annotations

from itertools import permutations

from tests.oracle.funnel_chains import Run, in_window, may_start
from tests.oracle.funnel_rules import Container, Question


def largest_matching(fits: list[set[int]], steps: list[int]) -> int:
    """Return how many events can have a step of their own, by trying every assignment."""
    padded = [*steps, *([0] * len(fits))]
    tried = {one[: len(fits)] for one in permutations(padded, len(fits))}
    return max((sum(k in own for k, own in zip(one, fits, strict=True)) for one in tried), default=0)


def unordered_run(container: Container, question: Question, start: int) -> Run:
    """Take the events from a start in order; keep those that increase the matching. D7.6."""
    kept: list[int] = []
    for i in range(start, len(container.rows)):
        if not container.steps[i] or not in_window(container, question, start, i):
            continue
        if len(kept) == len(question.steps):
            break
        if largest_matching([container.steps[j] for j in [*kept, i]], question.required) > len(kept):
            kept.append(i)
    within = question.within
    end = container.rows[start]["time"] + within if isinstance(within, int) else None
    return Run(start, dict(enumerate(kept, 1)), deadline=end)


def unordered_runs(container: Container, question: Question) -> list[Run]:
    """Every event that matches a step starts a run. D7.6."""
    starts = [i for i, own in enumerate(container.steps) if own and may_start(container, question, i)]
    return [unordered_run(container, question, start) for start in starts]
