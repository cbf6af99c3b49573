"""What an experiment measures of every user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from journeykit.errors import ParameterError, UnknownPropertyError
from journeykit.patterns.matchers import Match, MatchLike, as_match
from journeykit.protocol import Context

Counted = Literal["users", "events", "value"]
COUNTED: tuple[Counted, ...] = ("users", "events", "value")
GOOD = ("up", "down")


@dataclass(frozen=True)
class Metric:
    """A number of every user in an experiment, of what they did after they were exposed.

    Parameters
    ----------
    event : str, sequence of str, polars expression, Pattern or Match
        Which events count.
    count : {"users", "events", "value"}
        Whether the user did it at all (1 or 0: the mean is a conversion rate), how often, or the sum of a property.
    value : str
        With ``count="value"``: the kept property to add up. Null adds nothing.
    good : {"up", "down"}
        Which way is better.
    name : str, optional
        What it is called; the event by default.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take.

    Examples
    --------
    >>> Metric("purchase").title
    'purchase'
    >>> Metric("purchase", "value").title
    'value of purchase'
    """

    event: MatchLike
    count: Counted = "users"
    value: str = "value"
    good: Literal["up", "down"] = "up"
    name: str | None = None

    def __post_init__(self) -> None:
        if self.count not in COUNTED:
            raise ParameterError.choice("count", self.count, COUNTED)
        if self.good not in GOOD:
            raise ParameterError.choice("good", self.good, GOOD)
        object.__setattr__(self, "event", as_match(self.event, "event"))

    @property
    def match(self) -> Match:
        """Which events count."""
        assert isinstance(self.event, Match)
        return self.event

    @property
    def title(self) -> str:
        """What it is called in answers."""
        if self.name is not None:
            return self.name
        of = {"users": "", "events": "number of ", "value": f"{self.value} of "}
        return of[self.count] + self.match.title

    def check(self, context: Context) -> None:
        """Refuse a property that was not kept."""
        if self.count == "value" and self.value not in context.kept:
            raise UnknownPropertyError(self.value, context.kept)


def as_metrics(
    given: MatchLike | Metric | Sequence[MatchLike | Metric], parameter: str
) -> tuple[Metric, ...]:
    """Accept one metric or several, or events that users do or not."""
    listed: Sequence[Any] = given if isinstance(given, list | tuple) else [given]
    metrics = tuple(each if isinstance(each, Metric) else Metric(each) for each in listed)
    titles = [metric.title for metric in metrics]
    twice = [title for title in titles if titles.count(title) > 1]
    if twice:
        raise ParameterError(
            f"{parameter} has two metrics called {twice[0]!r}. Give one of them another name=."
        )
    return metrics
