"""All answers that a report is written from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from journeykit.cells import Segment
from journeykit.journey_map.journey_map import JourneyMap
from journeykit.journey_map.measured import MeasuredMap
from journeykit.models.people.clusters import Clusters
from journeykit.models.people.personas import Personas, PersonasAnswer
from journeykit.protocol import Context
from journeykit.reports.origins import SEED, Origin
from journeykit.statistics.base import Answer
from journeykit.statistics.outcomes.abandonment import Abandonment
from journeykit.statistics.outcomes.abandonment_answer import AbandonmentAnswer
from journeykit.statistics.overview.overview import Overview
from journeykit.statistics.overview.table import OverviewAnswer
from journeykit.statistics.paths.top_paths import TopPaths
from journeykit.statistics.stage_flow.table import StageFlowAnswer
from journeykit.statistics.transitions.graph import TransitionGraph
from journeykit.statistics.transitions.transitions import Transitions
from journeykit.support.unknown_names import Missing

PATHS = 10
SEGMENT = "segment"
"""The column of what is compared, whatever the property is called."""
SAMPLED_USERS = 1_000
"""Personas are found among so many users at most: a clustering of all of them takes minutes and says the same."""
DAY = 86_400_000_000
PERIODS = (("1d", 45 * DAY), ("1w", 400 * DAY))
"""The period of the course over time, and the longest log for it; months beyond."""


@dataclass(frozen=True)
class Question:
    """What a report is asked.

    Attributes
    ----------
    goal, start, horizon, by, personas, missing
        As in `journeykit.report`.
    map : JourneyMap, optional
        The question for the journey map; None without stages.
    """

    goal: Any
    start: Any = None
    horizon: Any = None
    by: Segment | None = None
    personas: int = 3
    map: JourneyMap | None = None
    missing: Missing = "raise"


@dataclass(frozen=True)
class Findings:
    """The answers; None where a thing was not asked, or cannot be asked.

    Attributes
    ----------
    overview, over_time, segments : OverviewAnswer
        Of all, per period, per segment.
    by : str
        What the segments are called; empty without.
    unsampled : bool
        Whether personas were asked for and no user could be drawn.
    """

    overview: OverviewAnswer
    graph: TransitionGraph
    paths: Any
    over_time: OverviewAnswer
    every: str
    segments: OverviewAnswer | None = None
    by: str = ""
    abandonment: AbandonmentAnswer | None = None
    map: MeasuredMap | None = None
    personas: PersonasAnswer | None = None
    unsampled: bool = False

    @property
    def stages(self) -> StageFlowAnswer | None:
        """How users go through the stages: what the map was made of."""
        return None if self.map is None else self.map.answers["stages"]

    @property
    def answers(self) -> Mapping[str, Any]:
        """All answers that there are, by name."""
        return {name: each for name, each in vars(self).items() if isinstance(each, Answer)}


def measured(origin: Origin, question: Question) -> Findings:
    """Ask everything, in as few passes as it takes; first what is refused where a property was not kept."""
    asked: dict[str, Any] = {
        "overview": Overview(question.goal, missing=question.missing),
        "graph": Transitions(),
        "paths": TopPaths(PATHS, goal=question.goal, missing=question.missing),
    }
    if question.start is not None or question.horizon is not None:
        unit: Any = "session" if question.horizon is None else "user"
        asked["abandonment"] = Abandonment(
            question.goal, question.start, unit=unit, horizon=question.horizon, missing=question.missing
        )
    if question.map is not None:
        asked["map"] = question.map
    overview, found = asked["overview"], dict[str, Any]()
    if question.by is not None:
        found["segments"] = origin.measure(overview, by=replace(question.by, name=SEGMENT))
    found |= zip(asked, origin.measure(*asked.values()), strict=True)
    every = period_of(found["overview"].context)
    found["over_time"] = origin.measure(overview, every=every)
    if question.personas:
        found["personas"] = _personas(origin, question)
        found["unsampled"] = found["personas"] is None
    return Findings(every=every, by="" if question.by is None else question.by.name, **found)


def period_of(context: Context) -> str:
    """Return the period by which the course over time has a few dozen points."""
    span = context.observed_until - context.observed_from
    return next((every for every, longest in PERIODS if span <= longest), "1mo")


def _personas(origin: Origin, question: Question) -> PersonasAnswer | None:
    """Describe groups of a sample of the users; none where no user can be drawn."""
    some = origin.sample(SAMPLED_USERS)
    if some is None:
        return None
    clusters = Clusters(question.personas, starts=3, resamples=4, rng=SEED)
    return some.measure(Personas(question.goal, clusters, missing="ignore"))
