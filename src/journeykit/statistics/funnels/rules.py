"""The rules of a funnel, each by its name. DEFINITIONS D7.2 to D7.13."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from journeykit.errors import ParameterError
from journeykit.support.durations import Duration, microseconds

Window: TypeAlias = Duration | None

CHOICES: dict[str, tuple[str, ...]] = {
    "order": ("ordered", "strict", "unordered"),
    "ties": ("input", "any", "strict"),
    "entry": ("any", "first", "all"),
    "pick": ("earliest", "latest"),
    "exclusion": ("per_run", "furthest_run", "dropoff"),
    "hold_unit": ("unit", "pair", "first_entry"),
    "times": ("chosen_run", "mean_of_runs"),
}
PLACES = ("first", "last", "all", "step:k", "each:k")
_PLACE = re.compile(r"first|last|all|(?:step|each):[1-9]\d*")


@dataclass(frozen=True)
class FunnelRules:
    """How a funnel counts; each rule moves numbers, and each product chose its own. D7.13.

    Parameters
    ----------
    order : {"ordered", "strict", "unordered"}
        Steps in their order; the same with no other event in between; or in any order. D7.2, D7.6.
    ties : {"input", "any", "strict"}
        Of two events at one time: which may follow the other. By their order in the log, both, or neither. D7.3.
    grace : str or timedelta, optional
        With ``ties="any"``: a step may be this much earlier than the one before it.
    resolution : str or timedelta, optional
        Times are floored to it, and a name that comes back in the same tick of a path is dropped.
    entry : {"any", "first", "all"}
        A unit counts by its best run, by its first, or every run counts, one after another (unit totals). D7.8.
    pick : {"earliest", "latest"}
        Which of a unit's equally long runs gives times and properties.
    exclusion : {"per_run", "furthest_run", "dropoff"}
        Whether an excluded run is void, or takes its unit out if no equally long run is clean, or ends there. D7.7.
    open_entry : bool
        A run may begin with any step. D7.9.
    reuse_event : bool
        One event may make several steps.
    hold_unit : {"unit", "pair", "first_entry"}
        With ``hold=``: the unit counts by its best value, each value is a unit of its own, or only the value of
        the first entry counts. D7.10.
    times : {"chosen_run", "mean_of_runs"}
        Times of the run that counts, or the mean over the unit's longest runs. D7.11.
    within : str, timedelta or None
        The window of funnels that state none.
    at : str
        Where a breakdown takes its value, for funnels that do not say. D7.12.

    Raises
    ------
    ParameterError
        If a rule has a value it cannot take, or two rules contradict each other.

    Examples
    --------
    >>> FunnelRules(ties="any", entry="first")
    FunnelRules(ties='any', entry='first')
    """

    order: Literal["ordered", "strict", "unordered"] = "ordered"
    ties: Literal["input", "any", "strict"] = "input"
    grace: Duration | None = None
    resolution: Duration | None = None
    entry: Literal["any", "first", "all"] = "any"
    pick: Literal["earliest", "latest"] = "earliest"
    exclusion: Literal["per_run", "furthest_run", "dropoff"] = "per_run"
    open_entry: bool = False
    reuse_event: bool = False
    hold_unit: Literal["unit", "pair", "first_entry"] = "unit"
    times: Literal["chosen_run", "mean_of_runs"] = "chosen_run"
    within: Window = None
    at: str = "first"

    def __post_init__(self) -> None:
        for rule, allowed in CHOICES.items():
            if getattr(self, rule) not in allowed:
                raise ParameterError.choice(rule, getattr(self, rule), allowed)
        for rule in ("grace", "resolution", "within"):
            if getattr(self, rule) is not None:
                microseconds(getattr(self, rule), rule)
        check_place(self.at)
        for contradicts, message in self._contradictions():
            if contradicts:
                raise ParameterError(message)

    def __repr__(self) -> str:
        set_ = (
            f"{name}={getattr(self, name)!r}"
            for name, each in type(self).__dataclass_fields__.items()
            if getattr(self, name) != each.default
        )
        return f"FunnelRules({', '.join(set_)})"

    def _contradictions(self) -> list[tuple[bool, str]]:
        """Return pairs of rules that cannot both hold, as (whether they are asked for, message)."""
        return [
            (
                self.grace is not None and self.ties != "any",
                f'grace= needs ties="any", not ties={self.ties!r}: only there times alone decide what follows.',
            ),
            (
                self.pick == "latest" and self.entry != "any",
                f'pick="latest" needs entry="any", not entry={self.entry!r}: it chooses among the runs of a unit.',
            ),
            (
                self.open_entry and self.order == "unordered",
                'open_entry=True does not go with order="unordered": without an order every step may come first.',
            ),
            (
                self.open_entry and self.entry == "all",
                'open_entry=True does not go with entry="all": runs that begin anywhere do not follow each other.',
            ),
            (
                self.open_entry and self.pick == "latest",
                'open_entry=True does not go with pick="latest": it takes the most steps, then the earliest.',
            ),
            (
                self.reuse_event and self.order != "ordered",
                f"reuse_event=True does not go with order={self.order!r}: each step needs an event of its own.",
            ),
            (
                self.reuse_event and self.ties == "strict",
                'reuse_event=True does not go with ties="strict": one event is not later than itself.',
            ),
        ]


def check_place(at: object) -> None:
    """Refuse a place of a breakdown that is none."""
    if not isinstance(at, str) or not _PLACE.fullmatch(at):
        raise ParameterError.choice("at", at, PLACES)
