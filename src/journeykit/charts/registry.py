"""Which function draws which answer: ours by name, so that none is imported in vain, and those of users."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from inspect import signature
from typing import Any, TypeVar

from journeykit.charts.canvas import Canvas
from journeykit.charts.chart import Chart
from journeykit.charts.theme import Theme, theme_of
from journeykit.errors import ParameterError, suggestion

Drawing = Callable[..., Chart]
D = TypeVar("D", bound=Drawing)

OURS: Mapping[str, str] = {
    "statistics.base.Answer": "general.answer",
    "statistics.transitions.graph.TransitionGraph": "network.graph",
    "models.chains.answer.ChainAnswer": "network.graph",
    "statistics.funnels.answer.FunnelAnswer": "funnel.funnel",
    "statistics.funnels.window_funnel.WindowFunnelAnswer": "funnel.window_funnel",
    "statistics.paths.step_matrix.StepTable": "heatmaps.steps",
    "statistics.paths.eventually_follows.FollowingTable": "heatmaps.following",
    "statistics.retention.answer.RetentionAnswer": "heatmaps.retention",
    "statistics.friction.answer.FrictionAnswer": "heatmaps.friction",
    "statistics.paths.flow_table.FlowTable": "sankey.flow",
    "statistics.stage_flow.table.StageFlowAnswer": "sankey.stages",
    "statistics.paths.table.PathTable": "icicle.paths",
    "statistics.outcomes.time_to_convert_answer.TimeToConvertAnswer": "survival.time_to_convert",
    "statistics.outcomes.abandonment_answer.AbandonmentAnswer": "survival.abandonment",
    "statistics.outcomes.time_between_answer.TimeBetweenAnswer": "histograms.time_between",
    "statistics.overview.session_lengths.SessionLengthsAnswer": "histograms.session_lengths",
    "statistics.retention.stickiness.StickinessAnswer": "histograms.stickiness",
    "statistics.features.FeaturesAnswer": "histograms.features",
    "models.people.propensity.PropensityAnswer": "histograms.propensity",
    "statistics.retention.lifecycle.LifecycleAnswer": "growth.lifecycle",
    "statistics.retention.active_users.ActiveUsersAnswer": "growth.active_users",
    "statistics.attribution.answer.AttributionAnswer": "bars.attribution",
    "statistics.funnels.difference.DifferenceAnswer": "bars.difference",
    "models.people.clusters.ClustersAnswer": "bars.clusters",
    "models.people.personas.PersonasAnswer": "bars.personas",
    "models.chains.orders.OrderAnswer": "bars.orders",
    "statistics.overview.table.OverviewAnswer": "numbers.overview",
    "statistics.paths.shape.ShapeTable": "numbers.shape",
    "comparisons.compare.Comparison": "forest.comparison",
    "comparisons.changes.ChangeAnswer": "forest.change",
    "statistics.experiments.answer.ExperimentAnswer": "forest.experiment",
    "statistics.friction.exposure_answer.ExposureAnswer": "forest.exposure",
    "statistics.differential.answer.DifferentialAnswer": "forest.differential",
    "statistics.funnels.correlation_answer.CorrelationAnswer": "forest.correlation",
    "models.changes.what_if.WhatIfAnswer": "forest.what_if",
    "models.changes.opportunities.OpportunitiesAnswer": "forest.opportunities",
    "statistics.emotion.answer.EmotionAnswer": "emotion.emotion",
    "statistics.touchpoints.answer.TouchpointsAnswer": "touchpoints.touchpoints",
    "models.pains.pain_answer.PainPointsAnswer": "pains.pains",
    "journey_map.measured.MeasuredMap": "journey_map.journey_map",
    "events.report.QualityReport": "quality.report",
    "events.quality.Quality": "quality.quality",
    "journeys.journeys.Journeys": "sequences.journeys",
}
"""Of the package: the module and name of a class, and those of the function that draws it."""

_of_users: dict[type, Drawing] = {}


def drawing(kind: type) -> Callable[[D], D]:
    """Make a function the one that draws a class of answers, in place of ours.

    Parameters
    ----------
    kind : type
        The answer of your own statistic, or one of ours. Its subclasses are drawn by it too, unless they have their
        own.

    Returns
    -------
    callable
        A decorator that gives the function back. The function takes the answer and a `Canvas`; its keyword-only
        parameters are the options of ``answer.chart()``.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> import journeykit as jk
    >>> from journeykit.charts import Canvas, Panel, drawing
    >>> @dataclass(frozen=True, eq=False, repr=False)
    ... class Counted(jk.Answer):
    ...     "How many."
    >>> @drawing(Counted)
    ... def draw_counted(answer, canvas: Canvas, *, colour="#0072b2"):
    ...     bar = {"type": "bar", "y": answer.frame["events"], "marker": {"color": colour}}
    ...     return canvas.chart("Events", [], [Panel([bar], height=300)])
    """

    def register(function: D) -> D:
        _of_users[kind] = function
        return function

    return register


def drawing_of(kind: type) -> Drawing:
    """Return the function that draws a class: the own one of the nearest class above it.

    Raises
    ------
    ParameterError
        If neither it nor a class above it can be drawn.
    """
    for each in kind.__mro__:
        if each in _of_users:
            return _of_users[each]
        name = f"{each.__module__}.{each.__qualname__}".removeprefix("journeykit.")
        if name in OURS:
            module, _, function = OURS[name].rpartition(".")
            found: Drawing = getattr(import_module(f"journeykit.charts.{module}"), function)
            return found
    raise ParameterError(
        f"there is no chart of a {kind.__name__}. Write a function that draws it, under "
        f"@journeykit.charts.drawing({kind.__name__})."
    )


def chart_of(thing: Any, *, theme: str | Theme = "light", **options: Any) -> Chart:
    """Draw an answer, journeys, or how good a log is.

    Parameters
    ----------
    thing : Answer, Journeys, QualityReport or Quality
        What is drawn.
    theme : {"light", "dark"} or Theme
        The colours.
    **options
        Of its drawing function.

    Returns
    -------
    Chart
        A figure.

    Raises
    ------
    ParameterError
        If an option does not exist, or has a value it cannot take.
    """
    function = drawing_of(type(thing))
    known = [each.name for each in signature(function).parameters.values() if each.kind is each.KEYWORD_ONLY]
    for name in options:
        if name not in known:
            raise ParameterError(
                f"the chart of a {type(thing).__name__} has no option {name!r}. {suggestion(name, ['theme', *known])}"
            )
    return function(thing, Canvas(theme_of(theme)), **options)
