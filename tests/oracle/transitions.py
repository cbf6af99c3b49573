"""Moves from one state to the next. D4.1 to D4.3."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

from tests.oracle.numbers import mean, percentile, rate, seconds
from tests.oracle.paths import END, START, Item, Path, collapse

State: TypeAlias = str | tuple[str, ...]


class Step(NamedTuple):
    """One transition that was seen, with the user, the session of its source and the seconds it took."""

    source: State
    target: State
    user: Any
    session: tuple[Any, int] | None
    seconds: float | None


class Edge(NamedTuple):
    """The numbers of D4.2 for one pair of states."""

    count: int  # type: ignore[assignment]
    users: int
    sessions: int
    probability: float | None
    probability_in: float | None
    share: float | None
    user_share: float | None
    lift: float | None
    time_mean: float | None
    time_median: float | None
    time_p90: float | None
    time_min: float | None
    time_max: float | None


class Node(NamedTuple):
    """The numbers of D4.2 for one state."""

    count: int  # type: ignore[assignment]
    users: int
    exit_rate: float | None
    entry_share: float | None


def steps_of(
    path: Path, order: int = 1, collapse_repeats: str | None = None, censor: bool = False
) -> list[Step]:
    """All transitions of one path; an open path has no END when censored. D3.5, D4.1, D4.3.

    Choice: the session of a START transition is that of the first event.
    """
    items = list(path.items)
    if collapse_repeats:
        items = collapse(items, collapse_repeats)
    if not items:
        return []
    states = [state_after(items, i, order) for i in range(1, len(items) + 1)]
    steps = [Step(START, states[0], path.user, items[0].session, None)]
    for i in range(1, len(items)):
        a, b = items[i - 1], items[i]
        took = None if a.time is None or b.time is None else seconds(b.time - a.time)
        steps.append(Step(states[i - 1], states[i], path.user, a.session, took))
    if not (censor and path.open):
        steps.append(Step(states[-1], END, path.user, items[-1].session, None))
    return steps


def state_after(items: Sequence[Item], events: int, order: int) -> State:
    """Return the tuple of the last min(events, order) names, or the name itself at order 1. D4.3."""
    names = tuple(item.name for item in items[max(0, events - order) : events])
    return names[0] if order == 1 else names


def all_steps(
    paths: Sequence[Path], order: int = 1, collapse_repeats: str | None = None, open_paths: str = "end"
) -> list[Step]:
    """All transitions of all paths."""
    return [
        step for path in paths for step in steps_of(path, order, collapse_repeats, open_paths == "censor")
    ]


def transition_counts(paths: Sequence[Path], **options: Any) -> Counter[tuple[State, State]]:
    """c(A, B) of D4.1."""
    return Counter((step.source, step.target) for step in all_steps(paths, **options))


def edges(paths: Sequence[Path], include_end: bool = True, **options: Any) -> dict[tuple[State, State], Edge]:
    """The table of D4.2.

    Choice: include_end changes the probability alone: None for transitions to END, while lift and share stay.
    """
    steps = all_steps(paths, **options)
    return {pair: edge(pair, steps, include_end) for pair in {(step.source, step.target) for step in steps}}


def edge(pair: tuple[State, State], steps: Sequence[Step], include_end: bool) -> Edge:
    """One row of D4.2 from all steps."""
    source, target = pair
    own = [step for step in steps if (step.source, step.target) == pair]
    leaving = [step for step in steps if step.source == source]
    continuing = leaving if include_end else [step for step in leaving if step.target != END]
    arriving = sum(step.target == target for step in steps)
    after_start = [step for step in steps if step.source != START]
    overall = rate(sum(step.target == target for step in after_start), len(after_start))
    users = {step.user for step in own}
    times = [step.seconds for step in own if step.seconds is not None]
    return Edge(
        count=len(own),
        users=len(users),
        sessions=len({step.session for step in own if step.session is not None}),
        probability=None if target == END and not include_end else rate(len(own), len(continuing)),
        probability_in=rate(len(own), arriving),
        share=rate(len(own), len(steps)),
        user_share=rate(len(users), len(users_of(source, steps))),
        lift=rate(len(own) / len(leaving), overall) if overall else None,
        time_mean=mean(times),
        time_median=percentile(times, 0.5),
        time_p90=percentile(times, 0.9),
        time_min=min(times, default=None),
        time_max=max(times, default=None),
    )


def users_of(state: State, steps: Sequence[Step]) -> set[Any]:
    """Users who were in a state, also where the path is open after it."""
    return {step.user for step in steps if state in (step.source, step.target)}


def nodes(paths: Sequence[Path], **options: Any) -> dict[State, Node]:
    """Count, users, exit rate and entry share of every event state. D4.2, D4.4."""
    steps = all_steps(paths, **options)
    total = sum(step.source == START for step in steps)
    table = {}
    for state in {step.target for step in steps} - {END}:
        leaving = [step.target for step in steps if step.source == state]
        entered = sum(step.source == START and step.target == state for step in steps)
        table[state] = Node(
            count=sum(step.target == state for step in steps),
            users=len(users_of(state, steps)),
            exit_rate=rate(leaving.count(END), len(leaving)),
            entry_share=rate(entered, total),
        )
    return table
