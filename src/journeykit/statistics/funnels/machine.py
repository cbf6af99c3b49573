"""A funnel as the kernels read it: matchers as bits, gaps in microseconds, the method that rules need. D7.2, D7.3."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from journeykit.statistics.goals import NEVER, Int64s
from journeykit.support.durations import microseconds

if TYPE_CHECKING:
    from journeykit.kernels.funnels.lists import How, Listing
    from journeykit.kernels.funnels.rules import Rules
    from journeykit.patterns.matchers import Match
    from journeykit.statistics.funnels.funnel import Funnel

START = 1 << 62


@dataclass(frozen=True)
class Machine:
    """What the kernels need to know of a funnel.

    Attributes
    ----------
    funnel : Funnel
        The question.
    ties : {"input", "any", "strict"}
        Which events may follow each other.
    probing : bool
        Whether this only asks if ties matter: then without grace, and without reordering anything else.
    """

    funnel: Funnel
    ties: str
    probing: bool = False

    @cached_property
    def matches(self) -> tuple[Match, ...]:
        """The matchers, whose numbers are bits: steps, then exclusions."""
        return (*(step.match for step in self.funnel.made), *(one.match for one in self.funnel.excluded))

    @cached_property
    def required(self) -> Int64s:
        """The numbers of the required steps, from 0."""
        return np.array([k for k, step in enumerate(self.funnel.made) if not step.optional], np.int64)

    @cached_property
    def optional(self) -> Int64s:
        """The numbers of the optional steps, from 0."""
        return np.array([k for k, step in enumerate(self.funnel.made) if step.optional], np.int64)

    @property
    def step_bits(self) -> int:
        """The bits of all steps."""
        return (1 << len(self.funnel.made)) - 1

    @property
    def start_bits(self) -> int:
        """The bits of the steps that a run may begin with. D7.4, D7.6, D7.9."""
        rules = self.funnel.rules
        anywhere = rules.open_entry or rules.order == "unordered"
        first = self.required if anywhere else self.required[:1]
        return sum(1 << int(k) for k in first)

    @cached_property
    def tick(self) -> int:
        """Ticks of time in microseconds."""
        resolution = self.funnel.rules.resolution
        return 1 if resolution is None else microseconds(resolution, "resolution")

    @cached_property
    def grace(self) -> int:
        """By how much a step may be earlier than the one before it."""
        grace = self.funnel.rules.grace
        return 0 if grace is None or self.probing else microseconds(grace, "grace")

    @cached_property
    def window(self) -> int:
        """The longest time from the start; NEVER for a session or any time."""
        within = self.funnel.window
        return NEVER if within is None or within == "session" else microseconds(within, "within")

    @property
    def in_session(self) -> bool:
        """Whether a run of a user must stay in one session."""
        return self.funnel.window == "session" and self.funnel.container == "user"

    @property
    def has_direct(self) -> bool:
        """Whether a step must be the very next event."""
        return self.funnel.rules.order == "strict" or any(step.direct for step in self.funnel.made)

    def steps(self, method: int) -> Int64s:
        """Return the required steps as the kernels take them: bit, least and most gap, whether direct."""
        rules, made = self.funnel.rules, [self.funnel.made[k] for k in self.required]
        least = 0 if self.by_position(method) else 1 if self.ties == "strict" else -self.grace
        low = [least if s.min_gap is None else max(least, microseconds(s.min_gap, "min_gap")) for s in made]
        high = [NEVER if s.max_gap is None else microseconds(s.max_gap, "max_gap") for s in made]
        direct = [int(k > 0 and (step.direct or rules.order == "strict")) for k, step in enumerate(made)]
        return np.array([[1 << int(k) for k in self.required], low, high, direct], np.int64).T.copy()

    def by_position(self, method: int) -> bool:
        """Whether a later position follows, whatever the times."""
        from journeykit.kernels.funnels.rules import LINEAR

        return self.ties == "input" or method == LINEAR

    def how(self, method: int, overlap: bool) -> How:
        """Return what may follow what; `overlap` says that an event may fit two required steps."""
        from journeykit.kernels.funnels.lists import How

        reuse = self.funnel.rules.reuse_event
        return How(self.by_position(method), self.grace, reuse, overlap and self.ties == "any" and not reuse)

    def method(self, overlap: bool) -> int:
        """Return how chains are found: by the cheapest way that is exact. D7.4."""
        from journeykit.kernels.funnels.rules import EXACT, GREEDY, LINEAR, UNORDERED

        rules, made = self.funnel.rules, self.funnel.made
        if rules.order == "unordered":
            return UNORDERED
        if (
            self.has_direct
            or any(step.max_gap is not None for step in made)
            or (overlap and self.ties == "any" and not rules.reuse_event)
        ):
            return EXACT
        timed = self.ties != "input"
        special = (
            any(step.min_gap is not None for step in made)
            or bool(self.funnel.excluded or self.funnel.hold)
            or (timed and (overlap or self.optional.size > 0))
            or rules.open_entry
            or (rules.reuse_event and overlap)
            or self.grace > 0
            or self.in_session
        )
        return GREEDY if special else LINEAR

    def listing(self, method: int, by_run: bool) -> Listing:
        """Return how the events of paths are listed; `by_run`: an occurrence is the first of a run of its state."""
        from journeykit.kernels.funnels.lists import Listing
        from journeykit.kernels.funnels.rules import LINEAR

        by_time = self.ties != "input"
        first, last = self.funnel.entry_span
        return Listing(
            by_run=by_run,
            tick=self.tick,
            window=self.window,
            grace=self.grace if by_time and self.has_direct else -1,
            earliest=-NEVER if first is None else first,
            end=NEVER if last is None else last,
            reorder=0 if method != LINEAR or not by_time else -1 if self.ties == "strict" else 1,
        )

    def rules(self, method: int, until: int, *, every_run: bool) -> Rules:
        """Return how runs are chosen."""
        from journeykit.kernels.funnels.rules import (
            ALL,
            ANY,
            DROPOFF,
            EVERY,
            FIRST,
            FURTHEST_RUN,
            PER_RUN,
            Rules,
        )

        rules = self.funnel.rules
        entry = {"any": ANY, "first": FIRST, "all": ALL}[rules.entry]
        if self.funnel.unit == "totals":
            entry = ALL
        elif rules.open_entry:
            entry = ANY
        exclusion = {"per_run": PER_RUN, "furthest_run": FURTHEST_RUN, "dropoff": DROPOFF}[rules.exclusion]
        if rules.order == "unordered" and exclusion == FURTHEST_RUN:
            exclusion = PER_RUN
        if every_run and entry == ANY:
            entry = EVERY
        return Rules(
            method, entry, rules.pick == "latest", exclusion, rules.open_entry, self.in_session, until
        )

    @cached_property
    def exclusions(self) -> Int64s:
        """What must not happen, between which required steps: bit, from, to."""
        place = {int(k): i for i, k in enumerate(self.required)}
        first = len(self.funnel.made)
        rows = [
            (1 << (first + e), place[one.after - 1], place[(one.before or 0) - 1])
            for e, one in enumerate(self.funnel.excluded)
        ]
        return np.array(rows, np.int64).reshape(-1, 3)
