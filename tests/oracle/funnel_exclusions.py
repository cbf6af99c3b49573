"""Events that must not come between two steps, and what they do to a run. D7.7."""

from __future__ import annotations

from dataclasses import replace

from tests.oracle.funnel_chains import Run, between, in_window
from tests.oracle.funnel_rules import Container, Question


def excluded_at(container: Container, question: Question, run: Run) -> int | None:
    """Return the position of the first event that excludes a run. Choice: never one of its own steps."""
    found = []
    for number, exclusion in enumerate(question.exclude):
        ends = interval(question, run, exclusion.after, exclusion.before or question.last)
        if ends is None:
            continue
        for x, own in enumerate(container.excludes):
            if number in own and x not in run.chain.values() and inside(container, question, run, ends, x):
                found.append(x)
    return min(found, default=None)


def interval(question: Question, run: Run, after: int, before: int) -> tuple[int, int | None] | None:
    """Return the positions between which an exclusion counts; None for the end is the deadline."""
    if question.rules.order == "unordered":
        return run.positions[0], run.positions[-1]
    if after not in run.chain:
        return None
    return run.chain[after], run.chain.get(before)


def inside(container: Container, question: Question, run: Run, ends: tuple[int, int | None], x: int) -> bool:
    """Whether x lies between two steps, or after one and not after the deadline. D7.3, D7.7."""
    a, b = ends
    rules = question.rules
    if b is not None:
        return between(container, a, x, b, rules)
    own, first = container.rows[x]["time"], container.rows[a]["time"]
    grace = rules.grace if rules.ties == "any" else 0
    later = x > a if rules.ties == "input" else own > first + grace
    in_time = run.deadline is None or own <= run.deadline
    return later and in_time and in_window(container, question, run.positions[0], x)


def cut(container: Container, question: Question, run: Run) -> Run:
    """End a run at the last step before the event that excludes it. D7.7 "dropoff".

    Choice: by the input order a step before its position, else one that is not later.
    """
    x = run.excluded_at
    if x is None:
        return run
    kept: dict[int, int] = {}
    for step, i in run.chain.items():
        later = container.rows[i]["time"] > container.rows[x]["time"]
        if i > x if question.rules.ties == "input" else later:
            break
        kept[step] = i
    return replace(run, chain=kept)
