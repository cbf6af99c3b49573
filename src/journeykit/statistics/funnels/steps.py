"""The steps of a funnel, and what must not happen between them. DEFINITIONS D7.1, D7.7."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias

import polars as pl

from journeykit.errors import ParameterError
from journeykit.patterns.matchers import EventSearch, FirstTime, Match, MatchLike, as_match
from journeykit.stages.conditions import Condition, Where
from journeykit.support.durations import Duration, microseconds

MOST_STEPS = 32
Conditions: TypeAlias = pl.Expr | Condition | Sequence[Condition] | Where | None


@dataclass(frozen=True)
class Step:
    """A step of a funnel. D7.1.

    Parameters
    ----------
    events : str, sequence of str, polars expression, Pattern or Match
        Which events make it: any of these names.
    where : polars expression or conditions, optional
        What must be true of the event's properties.
    first_time : bool or "filtered"
        Only the user's first event of these names in the whole log; ``"filtered"``: the first that passes `where`.
    optional : bool
        It is counted where it happens, and changes nothing else. D7.5.
    direct : bool
        It must be the very next event of the unit.
    min_gap, max_gap : str or timedelta, optional
        Least and most time from the step before, both included.
    name : str, optional
        What it is called in the answer; its events by default.

    Raises
    ------
    ParameterError
        If a value cannot be taken, or two contradict each other.

    Examples
    --------
    >>> Step(["card", "paypal"], max_gap="1h").title
    'card | paypal'
    """

    events: MatchLike
    where: Conditions = None
    first_time: FirstTime = False
    optional: bool = False
    direct: bool = False
    min_gap: Duration | None = None
    max_gap: Duration | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "events", _matched(self.events, self.where, self.first_time, "a step"))
        object.__setattr__(self, "where", None)
        object.__setattr__(self, "first_time", False)
        if self.name is not None and not isinstance(self.name, str):
            raise ParameterError(f"the name of a step is a text, not {self.name!r}.")
        gaps = [
            None if gap is None else microseconds(gap, name)
            for name, gap in (("min_gap", self.min_gap), ("max_gap", self.max_gap))
        ]
        if gaps[0] is not None and gaps[1] is not None and gaps[0] > gaps[1]:
            raise ParameterError(
                f"min_gap={self.min_gap!r} is longer than max_gap={self.max_gap!r}: no event fits between."
            )
        if self.optional and (self.direct or gaps != [None, None]):
            raise ParameterError(
                f"the optional step {self.title!r} has direct, min_gap or max_gap: these are of required steps. "
                f"Leave them out, or make it required."
            )

    def __repr__(self) -> str:
        return _shown(self)

    @property
    def match(self) -> Match:
        """Which events make it."""
        assert isinstance(self.events, Match)
        return self.events

    @property
    def title(self) -> str:
        """What it is called in the answer."""
        return self.match.title if self.name is None else self.name


@dataclass(frozen=True)
class Exclusion:
    """Events that must not happen between two steps of a run. D7.7.

    Parameters
    ----------
    events : str, sequence of str, polars expression, Pattern or Match
        Which events exclude.
    where : polars expression or conditions, optional
        What must be true of the event's properties.
    after, before : int
        Between which steps, counted from 1; up to the last by default.
    overlaps_steps : bool
        That its events may be those of the steps from `after` to `before` is on purpose: a second one of these then
        excludes. Without it a funnel refuses such an exclusion. Events that made the steps of a run never exclude it.

    Raises
    ------
    ParameterError
        If the steps are not two of them in order, or `overlaps_steps` is neither True nor False.

    Examples
    --------
    >>> Exclusion("refund", before=3).after
    1
    """

    events: MatchLike
    where: Conditions = None
    after: int = 1
    before: int | None = None
    overlaps_steps: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "events", _matched(self.events, self.where, False, "an exclusion"))
        object.__setattr__(self, "where", None)
        if not isinstance(self.overlaps_steps, bool):
            raise ParameterError.choice("overlaps_steps", self.overlaps_steps, (True, False))
        numbers = [self.after] if self.before is None else [self.after, self.before]
        whole = all(isinstance(number, int) and not isinstance(number, bool) for number in numbers)
        if not whole or self.after < 1 or (self.before is not None and self.after >= self.before):
            raise ParameterError(
                f"an exclusion lies between two steps, counted from 1: after={self.after!r}, "
                f"before={self.before!r} are none. Give, for example, after=1, before=2."
            )

    def __repr__(self) -> str:
        return _shown(self)

    @property
    def match(self) -> Match:
        """Which events exclude."""
        assert isinstance(self.events, Match)
        return self.events


StepLike: TypeAlias = MatchLike | Step
ExclusionLike: TypeAlias = MatchLike | Exclusion


def _shown(one: Step | Exclusion) -> str:
    """Write a step or an exclusion with what differs from the defaults."""
    match = one.match
    names = list(match.names)
    parts = (
        [repr(names[0] if len(names) == 1 else names)]
        if names
        else []
        if match.where is not None
        else [repr(match.pattern or Match())]
    )
    parts += [f"where={_where(match.where)}"] if match.where is not None else []
    parts += [f"first_time={match.first_time!r}"] if match.first_time is not False else []
    parts += [f"label={match.label!r}"] if match.label is not None else []
    own = (each for each in fields(one) if each.name not in {"events", "where", "first_time"})
    parts += [
        f"{each.name}={getattr(one, each.name)!r}" for each in own if getattr(one, each.name) != each.default
    ]
    return f"{type(one).__name__}({', '.join(parts)})"


def _where(where: Any) -> str:
    return " and ".join(str(part) for part in (where if isinstance(where, tuple) else (where,)))


def _matched(events: Any, where: Conditions, first_time: FirstTime, what: str) -> Match:
    match = as_match(events, what)
    if where is None and first_time is False:
        return match
    if isinstance(events, Match) and (events.where is not None or events.first_time is not False):
        raise ParameterError(
            f"{what} is given a Match that has conditions of its own, and where= or first_time= beside it. "
            f"Put them all into the Match."
        )
    if match.where is not None:
        raise ParameterError(f"{what} is given an expression and where= beside it. Join them with &.")
    return replace(match, where=where, first_time=first_time)


def as_steps(steps: Any) -> tuple[Step, ...]:
    """Accept names, lists of names, expressions, matchers and steps.

    Raises
    ------
    ParameterError
        If there is none, there are too many, or the first is optional.
    """
    if isinstance(steps, str | Step | Match | pl.Expr | EventSearch) or not isinstance(steps, Sequence):
        raise ParameterError(
            f"steps must be a list of steps, not {steps!r}. Write, for example, ['view', 'purchase']."
        )
    if not steps:
        raise ParameterError(
            "a funnel needs at least one step, and steps is empty. Write, for example, ['view']."
        )
    if len(steps) > MOST_STEPS:
        raise ParameterError(f"{len(steps)} steps are more than the {MOST_STEPS} that a funnel can have.")
    made = tuple(step if isinstance(step, Step) else Step(step) for step in steps)
    if made[0].optional:
        raise ParameterError(
            f"the first step {made[0].title!r} is optional: a funnel begins with a required one. "
            f"Put it later, or make it required."
        )
    if made[0].direct or made[0].min_gap is not None or made[0].max_gap is not None:
        raise ParameterError(
            f"the first step {made[0].title!r} has direct, min_gap or max_gap, and no step comes before it. "
            f"Leave them out."
        )
    for i, step in enumerate(made):
        following = next((one for one in made[i + 1 :] if not one.optional), None)
        if step.optional and following is not None and following.match == step.match:
            raise ParameterError(
                f"the optional step {step.title!r} is the same as the required step after it: no event could "
                f"tell them apart. Leave one out."
            )
    return made


def as_exclusions(given: Any, steps: Sequence[Step]) -> tuple[Exclusion, ...]:
    """Accept one exclusion or several; their ends must be required steps.

    Raises
    ------
    ParameterError
        If an end is no step, or an optional one; or its events are those of a step between, and not on purpose. D7.7.
    """
    single = isinstance(given, str | Exclusion | Match | pl.Expr | EventSearch)
    listed = (given,) if single else tuple(given)
    made = tuple(one if isinstance(one, Exclusion) else Exclusion(one) for one in listed)
    last = max(k for k, step in enumerate(steps, 1) if not step.optional)
    found = []
    for one in made:
        before = last if one.before is None else one.before
        if one.after >= before or before > len(steps):
            raise ParameterError(
                f"the exclusion of {one.match.title!r} lies between the steps {one.after} and {before}, and the "
                f"funnel has {len(steps)}. Give two of them, the first before the second."
            )
        for end in (one.after, before):
            if steps[end - 1].optional:
                raise ParameterError(
                    f"the exclusion of {one.match.title!r} lies between the steps {one.after} and {before}, and "
                    f"step {end}, {steps[end - 1].title!r}, is optional. Give required steps."
                )
        _check_overlap(one, steps[one.after - 1 : before], one.after)
        found.append(replace(one, before=before))
    return tuple(found)


def _check_overlap(exclusion: Exclusion, steps: Sequence[Step], first: int) -> None:
    """Refuse an exclusion that has a name in common with a step that it lies at or between. D7.7.

    Unless it is on purpose, or its own condition says which of these events it means.
    """
    match = exclusion.match
    if exclusion.overlaps_steps or match.where is not None:
        return
    for k, step in enumerate(steps, first):
        if not set(match.names).isdisjoint(step.match.names):
            raise ParameterError(
                f"the exclusion of {match.title!r} lies between the steps {first} and {first + len(steps) - 1}, and "
                f"its events make step {k}, {step.title!r}: what is a step would exclude too. Exclude another event, "
                f"or pass Exclusion(..., overlaps_steps=True) if a second one is to exclude."
            )
