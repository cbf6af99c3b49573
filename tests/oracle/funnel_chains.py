"""Runs of an ordered funnel: all admissible chains from one start, by trying them. D7.2 to D7.5, D7.9."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.oracle.funnel_rules import Container, Question, Rules


@dataclass(frozen=True)
class Run:
    """One run: where it starts, its required steps and their positions in order, its optional ones.

    ``excluded_at`` is the position of the first event that excludes it. ``deadline`` is the last time at which
    it could go on, None for no end.
    """

    start: int
    chain: dict[int, int]
    optional: dict[int, int] = field(default_factory=dict)
    deadline: int | None = None
    excluded_at: int | None = None

    @property
    def level(self) -> int:
        """How many required steps."""
        return len(self.chain)

    @property
    def positions(self) -> tuple[int, ...]:
        """Where its required steps are."""
        return tuple(self.chain.values())

    @property
    def reached(self) -> dict[int, int]:
        """All steps, in their order, with their positions."""
        return dict(sorted({**self.chain, **self.optional}.items()))


def follows(container: Container, i: int, j: int, rules: Rules) -> bool:
    """Whether a step at j may follow a step at i. D7.3.

    Choice: with ``reuse_event`` one event may also serve the next step, but not where time must increase.
    """
    before, after = container.rows[i]["time"], container.rows[j]["time"]
    if rules.ties == "strict":
        return bool(after > before)
    if i == j:
        return rules.reuse_event
    if rules.ties == "input":
        return j > i
    return bool(after >= before - rules.grace)


def between(container: Container, a: int, x: int, b: int, rules: Rules) -> bool:
    """Whether an event at x lies between those at a and b. D7.3."""
    if rules.ties == "input":
        return a < x < b
    first, own, last = (container.rows[i]["time"] for i in (a, x, b))
    grace = rules.grace if rules.ties == "any" else 0
    return bool(first + grace < own < last - grace)


def next_to(container: Container, i: int, j: int, rules: Rules) -> bool:
    """Whether no other event of the container lies between i and j. D7.1, D7.2.

    Choice: "between" is that of the tie rule, so that events of one time stand beside each other in any order.
    """
    return not any(x not in (i, j) and between(container, i, x, j, rules) for x in range(len(container.rows)))


def may_extend(container: Container, question: Question, chain: dict[int, int], step: int, j: int) -> bool:
    """Whether the event at j may be the next required step of a chain. D7.2."""
    rules, wanted = question.rules, question.steps[step - 1]
    first, before = next(iter(chain.values())), list(chain.values())[-1]
    if step not in container.steps[j] or (not rules.reuse_event and j in chain.values()):
        return False
    gap = container.rows[j]["time"] - container.rows[before]["time"]
    too_soon = wanted.min_gap is not None and gap < wanted.min_gap
    too_late = wanted.max_gap is not None and gap > wanted.max_gap
    if too_soon or too_late or not in_window(container, question, first, j):
        return False
    if (wanted.direct or rules.order == "strict") and not next_to(container, before, j, rules):
        return False
    return follows(container, before, j, rules)


def in_window(container: Container, question: Question, first: int, j: int) -> bool:
    """Whether j is in the window that first opens. D7.2."""
    if question.within is None:
        return True
    one, other = container.rows[first], container.rows[j]
    if question.within == "session":
        return bool(one["session"] == other["session"])
    return bool(other["time"] - one["time"] <= question.within)


def chains(container: Container, question: Question, start: int, entered: int) -> Iterator[dict[int, int]]:
    """Yield every admissible chain from the event at `start` as step `entered`."""

    def extend(chain: dict[int, int]) -> Iterator[dict[int, int]]:
        yield chain
        later = [k for k in question.required if k > max(chain)]
        if later:
            for j in range(len(container.rows)):
                if may_extend(container, question, chain, later[0], j):
                    yield from extend({**chain, later[0]: j})

    yield from extend({entered: start})


def ordered_run(container: Container, question: Question, start: int, entered: int = 1) -> Run:
    """Return the run of a start: its longest chain, of these the smallest positions. D7.4."""
    best = min(chains(container, question, start, entered), key=lambda one: (-len(one), tuple(one.values())))
    return Run(start, best, deadline=deadline(container, question, best))


def deadline(container: Container, question: Question, chain: dict[int, int]) -> int | None:
    """Return the last time at which a chain could still go on. D7.7."""
    times = [container.rows[i]["time"] for i in chain.values()]
    start, before = times[0], times[-1]
    later = [k for k in question.required if k > max(chain)]
    ends = [start + question.within] if isinstance(question.within, int) else []
    if later and question.steps[later[0] - 1].max_gap is not None:
        ends.append(before + question.steps[later[0] - 1].max_gap)
    return min(ends, default=None)


def with_optional(container: Container, question: Question, run: Run) -> Run:
    """Let each optional step take the earliest unused event between its neighbours. D7.5.

    Choice: in their order, so that an optional step is a neighbour of the next; only where all required steps
    before it are in the run.
    """
    taken: dict[int, int] = {}
    for k, step in enumerate(question.steps, 1):
        required = [one for one in question.required if one < k]
        if not step.optional or any(one not in run.chain for one in required):
            continue
        before = max(one for one in {**run.chain, **taken} if one < k)
        lower = {**run.chain, **taken}[before]
        upper = next((run.chain[one] for one in question.required if one > k and one in run.chain), None)
        used = {*run.chain.values(), *taken.values()}
        for x in range(len(container.rows)):
            if (
                k in container.steps[x]
                and x not in used
                and fills(container, question, run, (lower, x, upper))
            ):
                taken[k] = x
                break
    return Run(run.start, run.chain, taken, run.deadline, run.excluded_at)


def fills(container: Container, question: Question, run: Run, at: tuple[int, int, int | None]) -> bool:
    """Whether x follows the step before it, and the step after it follows x or the deadline does. D7.5."""
    lower, x, upper = at
    start, own = container.rows[run.start], container.rows[x]
    held = all(own.get(column) == start.get(column) for column in question.hold)
    if (
        not held
        or not follows(container, lower, x, question.rules)
        or after_its_end(container, question, run, x)
    ):
        return False
    if upper is not None:
        return follows(container, x, upper, question.rules)
    in_time = run.deadline is None or container.rows[x]["time"] <= run.deadline
    return in_time and in_window(container, question, run.start, x)


def after_its_end(container: Container, question: Question, run: Run, x: int) -> bool:
    """Whether x comes after the event that ended a run."""
    end = run.excluded_at
    if end is None:
        return False
    return (
        x > end if question.rules.ties == "input" else container.rows[x]["time"] > container.rows[end]["time"]
    )


def ordered_runs(container: Container, question: Question) -> list[Run]:
    """Return the runs of all starts; with open entry a start may be at any required step. D7.4, D7.9."""
    entered = question.required if question.rules.open_entry else [1]
    return [
        ordered_run(container, question, i, k)
        for i, own in enumerate(container.steps)
        for k in entered
        if k in own and may_start(container, question, i)
    ]


def may_start(container: Container, question: Question, i: int) -> bool:
    """Whether an event is inside ``entry_between``, ``[from, to)``. D7.4."""
    first, last = question.entry_between
    time = container.rows[i]["time"]
    return (first is None or time >= first) and (last is None or time < last)
