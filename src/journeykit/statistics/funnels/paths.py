"""The events around the steps of a funnel: what led there, what came after, what those did who dropped. D7.4, D8.14."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
import polars as pl

from journeykit.errors import ParameterError
from journeykit.journeys.journeys import Journeys
from journeykit.journeys.selection import noted
from journeykit.protocol import Cells
from journeykit.ragged.taking import taken
from journeykit.statistics.funnels.machine import Machine
from journeykit.statistics.funnels.runs import Runner, Runs
from journeykit.statistics.goals import Int64s, Walk
from journeykit.support.durations import microseconds

if TYPE_CHECKING:
    from journeykit.statistics.funnels.funnel import Funnel

Part: TypeAlias = Literal["after", "before", "between"]
NEVER = np.iinfo(np.int64).max


class Place(NamedTuple):
    """Which part of the paths is kept."""

    step: int
    part: Part
    dropped: bool


def around(funnel: Funnel, journeys: Journeys, place: Place) -> Journeys:
    """Keep the events around a step; see `Funnel.around`."""
    _check(funnel, place)
    funnel.check(journeys.context(pl.DataFrame([{}])))
    walk = Walk(journeys, Cells(), funnel.of, funnel.container)
    paths = walk.paths
    by_time = funnel.rules.ties != "input" or (place.dropped and place.part == "before")
    first, last = np.full(paths.n_paths, NEVER), np.full(paths.n_paths, -NEVER)
    for runs in Runner(Machine(funnel, funnel.rules.ties), journeys, walk).runs():
        _place_ends(funnel, place, runs, paths.times if by_time else None, first, last)
    at, lengths = paths.places, paths.lengths
    when = paths.times[at] if by_time else at
    kept = np.zeros(journeys.event_codes.size, np.bool_)
    kept[at] = (when >= np.repeat(first, lengths)) & (when <= np.repeat(last, lengths))
    if funnel.container == "user":
        kept = journeys.as_stored(kept)
    who = f"{place.part!r}, dropped=True" if place.dropped else repr(place.part)
    return noted(journeys, taken(journeys, kept), f"around(step={place.step}, {who})")


def _place_ends(
    funnel: Funnel, place: Place, runs: Runs, times: Int64s | None, first: Int64s, last: Int64s
) -> None:
    """Write where the part of every path begins and ends: positions, or times if they are given."""
    step, before = place.step - 1, _required_before(funnel, place.step - 1)
    reached = runs.at[:, step] >= 0
    own = np.flatnonzero(~reached & (runs.at[:, before] >= 0) if place.dropped else reached)
    anchor, since = runs.at[own, before if place.dropped else step], runs.at[own, before]
    if times is not None:
        anchor, since = times[anchor], times[since]
    path = runs.path[own]
    first[path] = {"after": anchor, "before": np.full(own.size, -NEVER), "between": since}[place.part]
    last[path] = NEVER if place.part == "after" else anchor
    if place.dropped and place.part == "before":
        timed = funnel.window is not None and funnel.window != "session"
        last[path] = anchor + microseconds(funnel.window, "within") if timed and funnel.window else NEVER


def _required_before(funnel: Funnel, step: int) -> int:
    """Return the last required step before one; of the first step, itself."""
    return max((k for k in range(step) if not funnel.made[k].optional), default=0)


def _check(funnel: Funnel, place: Place) -> None:
    if place.part not in get_args(Part):
        raise ParameterError.choice("part", place.part, get_args(Part))
    whole = isinstance(place.step, int) and not isinstance(place.step, bool)
    if not whole or not 1 <= place.step <= len(funnel.made):
        raise ParameterError(
            f"step={place.step!r} is none of the {len(funnel.made)} steps of this funnel. Count them from 1."
        )
    if place.step == 1 and (place.dropped or place.part == "between"):
        raise ParameterError(
            "no step lies before the first one: with dropped or 'between', pass step=2 or more."
        )
    if place.dropped and place.part == "between":
        raise ParameterError(
            "who dropped has no events between two steps that were reached. Pass part='before' or 'after'."
        )
    if place.dropped and funnel.made[place.step - 1].optional:
        raise ParameterError(f"nobody drops at step {place.step}, which is optional. Pass a required step.")
    pairs = bool(funnel.hold) and funnel.rules.hold_unit == "pair"
    if funnel.unit == "totals" or funnel.breakdown is not None or pairs:
        raise ParameterError(
            "around needs one run per user or session: it does not go with unit='totals', breakdown= and "
            "hold_unit='pair'."
        )
