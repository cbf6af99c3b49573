"""Funnels: how many units go through steps, by stated rules. DEFINITIONS D7."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from journeykit.errors import ParameterError, UnknownPropertyError
from journeykit.journeys.journeys import Journeys
from journeykit.paths import Unit
from journeykit.patterns.matchers import MOST_MATCHERS, check_matches
from journeykit.protocol import Cells, Context, Tables
from journeykit.statistics.base import UNITS_TABLE, Statistic, described
from journeykit.statistics.distribution import checked_quantiles
from journeykit.statistics.funnels.answer import RESERVED, FunnelAnswer, funnel_answer
from journeykit.statistics.funnels.rules import FunnelRules, check_place
from journeykit.statistics.funnels.spans import checked_pairs, with_spans
from journeykit.statistics.funnels.steps import (
    Exclusion,
    ExclusionLike,
    Step,
    StepLike,
    as_exclusions,
    as_steps,
)
from journeykit.statistics.funnels.tally import at_later_end, tally
from journeykit.statistics.funnels.trend import trend_notes
from journeykit.statistics.goals import Of
from journeykit.support.durations import Duration, microseconds
from journeykit.support.unknown_names import MISSING, Missing

if TYPE_CHECKING:
    from journeykit.plans import JourneysPlan
    from journeykit.statistics.funnels.paths import Part

Span = tuple[datetime | None, datetime | None]
UNITS = ("user", "session", "totals")


@dataclass(frozen=True)
class Funnel(Statistic[FunnelAnswer]):
    """Count the units that go through steps. D7.

    Parameters
    ----------
    steps : sequence of str, list of str, polars expression, Match or Step
        In order; a list is alternatives.
    within : str, timedelta, "session" or None
        The longest time from the first step, itself included; None takes that of `rules`, or any.
    unit : {"user", "session", "totals"}
        What is counted: users, sessions with only their own events, or all runs of users, one after another.
    exclude : str, Exclusion or sequence of these
        What must not happen between steps.
    hold : str or sequence of str
        Properties that are equal, and known, in all events of a run.
    rules : FunnelRules
        How it is counted; `jk.rules` has those of well-known products.
    breakdown : str, optional
        A property whose values are answered for apart.
    at : {"first", "last", "step:k", "each:k", "all"}, optional
        Where the breakdown takes its value (D7.12); None: as `rules` say.
    entry_between : (datetime, datetime), optional
        Only runs that start in ``[from, to)``; either end may be None.
    quantiles : sequence of float
        Which percentiles of the times to compute; 0.5 is the median. Without any, and without `bins`, times are only
        added up, and there is no histogram: that costs a fifth less.
    bins : int, optional
        Bins of the histogram of times; by the number of units without it.
    times_between : sequence of (int, int)
        Pairs of steps, counted from 1, whose time from the one to the other the answer has in `between`, besides the
        times from the step before and from the first step.
    value : str, optional
        A numeric property of the matched events to add up per step.
    of : {"event", "stage"}
        What steps are names of. An occurrence of a stage is a visit (D6.4).
    runs : bool
        Whether the answer has the run table.
    missing : {"raise", "ignore", "warn"}
        Whether a name that the log does not have is an error, matches nothing, or is a warning. D0.9.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take, or two contradict each other.

    Notes
    -----
    The answer's frame has one row per step; `FunnelAnswer` says what its columns are. Levels are exact maxima over all
    admissible chains (D7.4). The cost is O(n) where positions decide or no event fits two steps, and no gap,
    exclusion or held value is asked for; else every run is looked at, O(runs x events of a run x steps). Besides the
    log the times of each unit are held for percentiles, 14 bytes each. Where runs are looked at again (optional steps,
    held values, breakdowns, `value`, `runs`, `times_between`, means of runs, windows of a session) a block of 262,144
    events and its runs are held too, plus 4 bytes per event for each property that is asked for.
    Where events of one time may change places, fit several steps, and are fewer than the steps need, the
    search goes back and forth among them.

    References
    ----------
    Rules: documentation and test suites of the products in `jk.rules`.

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({"user": [1, 1, 1, 2, 2], "time": [0, 60, 90, 0, 10], "event": ["a", "b", "c", "a", "c"]})
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> answer = journeys.measure(Funnel(["a", "b", "c"], within="1m"))
    >>> answer.frame.select("step", "name", "reached", "step_rate", "time_median").rows()
    [(1, 'a', 2, 1.0, None), (2, 'b', 1, 0.5, 60.0), (3, 'c', 0, 0.0, None)]
    """

    steps: Sequence[StepLike]
    within: Duration | None = None
    unit: Literal["user", "session", "totals"] = "user"
    exclude: ExclusionLike | Exclusion | Sequence[ExclusionLike | Exclusion] = ()
    hold: str | Sequence[str] = ()
    rules: FunnelRules = field(default_factory=FunnelRules)
    breakdown: str | None = None
    at: str | None = None
    entry_between: Span | None = None
    quantiles: Sequence[float] = (0.5,)
    bins: int | None = None
    times_between: Sequence[tuple[int, int]] = ()
    value: str | None = None
    of: Of = "event"
    runs: bool = False
    missing: Missing = "raise"

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", as_steps(self.steps))
        object.__setattr__(self, "exclude", as_exclusions(self.exclude, self.made))
        object.__setattr__(self, "hold", (self.hold,) if isinstance(self.hold, str) else tuple(self.hold))
        object.__setattr__(self, "quantiles", checked_quantiles(self.quantiles))
        object.__setattr__(self, "times_between", checked_pairs(self.times_between, self.made))
        self._check_choices()
        for contradicts, message in self._contradictions():
            if contradicts:
                raise ParameterError(message)

    def __repr__(self) -> str:
        return described(self)

    @property
    def made(self) -> tuple[Step, ...]:
        """The steps."""
        return self.steps  # type: ignore[return-value]

    @property
    def excluded(self) -> tuple[Exclusion, ...]:
        """The exclusions."""
        return self.exclude  # type: ignore[return-value]

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The pairs of steps between which times are asked for, from 1."""
        return self.times_between  # type: ignore[return-value]

    @property
    def container(self) -> Unit:
        """Whose events a run is made of. D7.1."""
        return "session" if self.unit == "session" else "user"

    @property
    def window(self) -> Duration | None:
        """The window that counts: the funnel's, or that of its rules."""
        return self.rules.within if self.within is None else self.within

    @property
    def place(self) -> str:
        """Where a breakdown takes its value. D7.12."""
        return self.rules.at if self.at is None else self.at

    @property
    def place_step(self) -> int:
        """The step whose events have the breakdown's value, from 1; 0 if it is none."""
        return int(self.place.partition(":")[2] or 0)

    @cached_property
    def entry_span(self) -> tuple[int | None, int | None]:
        """When a run may start, microseconds."""
        ends = self.entry_between or (None, None)
        moments = (None if end is None else pl.Series([end]).dt.epoch("us")[0] for end in ends)
        first, last = moments
        return first, last

    @property
    def counts_users_once(self) -> bool:
        """Whether no user is counted twice at a step, so that Wilson's interval holds. D12.2."""
        return self.unit == "user" and not (self.hold and self.rules.hold_unit == "pair")

    @property
    def keeps_times(self) -> bool:
        """Whether every time is kept, for percentiles and histograms."""
        return bool(self.quantiles) or self.bins is not None

    @property
    def tells_open(self) -> bool:
        """Whether a run ends by itself, so that an open one can be told apart. D7.11."""
        timed = self.window is not None and self.window != "session"
        return timed or any(step.max_gap is not None for step in self.made)

    def _check_choices(self) -> None:
        for name, allowed in (
            ("unit", UNITS),
            ("of", ("event", "stage")),
            ("missing", MISSING),
        ):
            if getattr(self, name) not in allowed:
                raise ParameterError.choice(name, getattr(self, name), allowed)
        if not isinstance(self.rules, FunnelRules):
            raise ParameterError(
                f"rules must be FunnelRules, such as jk.rules.posthog(), not {self.rules!r}."
            )
        if self.within is not None and self.within != "session":
            microseconds(self.within, "within")
        if self.at is not None:
            check_place(self.at)
        names = [*self.hold, *(name for name in (self.breakdown, self.value) if name is not None)]
        if not all(isinstance(name, str) for name in names):
            raise ParameterError(f"hold, breakdown and value are names of properties, not {names!r}.")
        if self.bins is not None and (not isinstance(self.bins, int) or not 1 <= self.bins <= 10_000):
            raise ParameterError(f"bins must be a whole number from 1 to 10,000, not {self.bins!r}.")
        check_span(self.entry_between)

    def _contradictions(self) -> list[tuple[bool, str]]:
        """Return what cannot be asked for together, as (whether it is, message)."""
        rules, made = self.rules, self.made
        gaps = any(step.direct or step.min_gap is not None or step.max_gap is not None for step in made)
        optional = any(step.optional for step in made)
        asked = len(made) + len(self.excluded)
        places = any(one.after != 1 or one.before != len(made) for one in self.excluded)
        return [
            (
                asked >= MOST_MATCHERS,
                f"{asked} steps and exclusions are more than the {MOST_MATCHERS - 1} that a funnel can have.",
            ),
            (
                rules.entry == "all" and self.unit != "totals",
                f'entry="all" counts runs, and unit={self.unit!r} counts each unit once. Pass unit="totals".',
            ),
            (
                self.unit == "totals" and rules.pick == "latest",
                'unit="totals" counts every run, and pick="latest" chooses one. Leave pick out.',
            ),
            (
                self.unit == "totals" and rules.open_entry,
                'unit="totals" does not go with open_entry=True: runs that begin anywhere do not follow each other.',
            ),
            (
                rules.order == "unordered" and (gaps or optional),
                'order="unordered" knows no step before another: leave direct, min_gap, max_gap and optional out.',
            ),
            (
                rules.order == "unordered" and places,
                'order="unordered" can exclude only from the first to the last step: leave after and before out.',
            ),
            (
                rules.open_entry and optional,
                "open_entry=True does not go with optional steps: before the entry, one left out looks the same.",
            ),
            (
                rules.reuse_event and any(step.direct for step in made),
                "reuse_event=True does not go with direct=True: an event is not the next one after itself.",
            ),
            (
                self.place_step > len(made),
                f"at={self.place!r} names a step that the funnel of {len(made)} steps does not have.",
            ),
            (
                self.at is not None and self.breakdown is None,
                f"at={self.at!r} says where a breakdown takes its value, and there is none. Pass breakdown=<property>.",
            ),
            (
                self.breakdown in RESERVED,
                f"the breakdown {self.breakdown!r} has the name of a column of the answer. Rename the property.",
            ),
        ]

    @property
    def tables(self) -> Mapping[str, Sequence[str]]:  # type: ignore[override]
        """The tables of a tally."""
        group = ("breakdown",) if self.breakdown else ()
        tables: dict[str, Sequence[str]] = {
            "steps": (*group, "step"),
            "ties": (),
            UNITS_TABLE: (),
        }
        times: dict[str, Sequence[str]] = (
            {"times": (*group, "step", "since", "gap")} if self.keeps_times else {}
        )
        if self.tells_open:
            times |= {"coming": ("step", "moment")}
        if self.pairs:
            times |= {"spans": (*group, "step", "since")}
        return tables | times | ({"runs": RUN_KEYS} if self.runs else {})

    def around(
        self, journeys: Journeys | JourneysPlan, step: int, part: Part = "after", *, dropped: bool = False
    ) -> Journeys:
        """Keep the events around a step: what its users did after it, before it, or on the way to it.

        Parameters
        ----------
        journeys : Journeys or plan of journeys
            Where the funnel runs; a plan is run in memory.
        step : int
            Which step, from 1.
        part : {"after", "before", "between"}
            From the event of the step on; up to it; or from that of the required step before it. These events are
            kept too.
        dropped : bool
            Of those who reached the required step before it and not this one, open ones too: from that event on, or
            up to it and for the window of the funnel after it.

        Returns
        -------
        Journeys
            Of the users (or sessions) whose run counts there; any question can be asked of them.

        Raises
        ------
        ParameterError
            If there is no such step, the funnel counts several runs of a user, or there are no journeys.

        Notes
        -----
        One run counts per unit (D7.8). With ``ties="input"`` positions decide what is before; with others times do,
        and all events of the time of a step are kept. PostHog's paths around funnels (D8.14). One pass, 26 bytes per
        event meanwhile.

        Examples
        --------
        >>> import journeykit as jk
        >>> log = pl.DataFrame({"user": [1, 1, 1, 2, 2], "time": [0, 9, 20, 0, 10], "event": list("abcad")})
        >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
        >>> gone = Funnel(["a", "b"], within="1m").around(journeys, 2, dropped=True)
        >>> gone.frame["event"].to_list()
        ['a', 'd']
        """
        from journeykit.plans import JourneysPlan
        from journeykit.statistics.funnels.paths import Place, around

        found = journeys.collect() if isinstance(journeys, JourneysPlan) else journeys
        if not isinstance(found, Journeys):
            raise ParameterError(
                f"around needs journeys, or a plan of them, not {type(journeys).__name__}. Call sessionize(...) first."
            )
        return around(self, found, Place(step, part, dropped))

    def check(self, context: Context) -> None:
        """Refuse names and properties that the journeys do not have."""
        matches = [step.match for step in self.made] + [one.match for one in self.excluded]
        check_matches(matches, self.of, self.missing, context)
        for name in (*self.hold, self.breakdown, self.value):
            if name is not None and name not in context.kept:
                raise UnknownPropertyError(name, context.kept)

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count one shard."""
        return tally(self, shard, cells)

    def answer(self, tables: Tables, context: Context) -> FunnelAnswer:
        """Turn counts into rates and times with intervals."""
        context = replace(context, notes=(*context.notes, *self._notes(tables), *trend_notes(self, context)))
        return with_spans(self, funnel_answer(self, tables, context), tables, context)

    def at_later_end(self, tables: Tables, before: int, after: int) -> Tables | None:
        """Close the runs whose time is over; None where runs were looked at one by one."""
        if self.tells_open:
            return at_later_end(tables, after)
        return tables if self.window is None else None

    def _notes(self, tables: Tables) -> list[str]:
        notes = []
        if self.window is None and self.container == "user":
            notes.append("No window: a run may take any time. State one with within=.")
        if self.unit == "totals" and self.rules.entry == "first":
            notes.append(
                'unit="totals" counts every run, one after another: entry="first" of the rules holds for users and '
                "sessions."
            )
        sensitive, units = int(tables["ties"]["tie_sensitive"].sum()), int(tables[UNITS_TABLE]["paths"].sum())
        if sensitive:
            what = "sessions" if self.container == "session" else "users"
            notes.append(
                f"{sensitive:,} of {units:,} {what} come further or less far if events at one time change places."
            )
        return notes


RUN_KEYS: tuple[str, ...] = ("user", "session", "run", "step")


def check_span(span: Any) -> None:
    """Refuse an `entry_between` that is no span of time."""
    if span is None:
        return
    if not isinstance(span, tuple | list) or len(span) != 2:
        raise ParameterError(f"entry_between must be a pair (from, to) of datetimes, not {span!r}.")
    for end in span:
        if end is not None and (not isinstance(end, datetime) or end.tzinfo is None):
            raise ParameterError(f"entry_between needs datetimes with a time zone, not {end!r}.")
    if None not in span and span[0] >= span[1]:
        raise ParameterError(
            f"entry_between must start before it ends, and {span[0].isoformat()} does not lie before "
            f"{span[1].isoformat()}."
        )
