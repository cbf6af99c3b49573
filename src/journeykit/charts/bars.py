"""Bars side by side: attribution by model, clusters, personas, what a rule moves, scores by order."""

from __future__ import annotations

from typing import Any

import polars as pl

from journeykit.charts.canvas import Canvas, Panel
from journeykit.charts.chart import Chart
from journeykit.charts.general import question_of, source_of
from journeykit.charts.parts import Segment, parts_of
from journeykit.charts.series import Estimate, Series, bars, hovers, lines
from journeykit.charts.text import count, plain, whole, words, written
from journeykit.errors import ParameterError
from journeykit.models.chains.orders import OrderAnswer
from journeykit.models.people.clusters import ClustersAnswer
from journeykit.models.people.personas import PersonasAnswer
from journeykit.statistics.attribution.answer import AttributionAnswer
from journeykit.statistics.base import Answer
from journeykit.statistics.funnels.difference import DifferenceAnswer

MOST_PANELS, MOST_MODELS = 3, 6
SHARE = Estimate("share", "share_low", "share_high", "share")
PART = Estimate("share", "low", "high", "share")


def attribution(
    answer: AttributionAnswer, canvas: Canvas, *, top: int = 12, models: int = MOST_MODELS,
    segment: Segment | None = None,
) -> Chart:  # fmt: skip
    """Draw the share of the conversions that each model gives to each channel.

    Parameters
    ----------
    answer : AttributionAnswer
        What is drawn.
    canvas : Canvas
        Where.
    top : int
        How many channels to show, those with the largest share of any model.
    models : int
        How many models to show, the first ones.
    segment : mapping, optional
        Which segments or periods to show; the first three by default.
    """
    if top < 1 or models < 1:
        raise ParameterError(f"top and models must be at least 1, not {top!r} and {models!r}.")
    parts, panels, left = parts_of(answer, segment, MOST_PANELS), [], 0
    every = answer.frame["model"].unique(maintain_order=True).to_list()
    for part in parts.shown:
        frame = part.of(answer.frame)
        ranked = frame.group_by("channel").agg(pl.col("share").max()).sort(
            ["share", "channel"], descending=[True, False], nulls_last=True
        )  # fmt: skip
        channels = ranked["channel"].head(top).to_list()
        left = max(left, ranked.height - top)
        if channels:
            panels.append(_models(canvas, frame, channels, every[:models], part.name, answer))
    conversions = int(answer.totals["conversions"].sum()) if answer.totals.height else 0
    title = "Attribution: share of conversions by channel"
    notes = [question_of(answer), f"Of {conversions:,} conversions, shared out by each model."]
    notes += [f"{len(every) - models:,} more models are left out."] * (len(every) > models)
    notes += [f"The {top:,} channels with the largest shares; {left:,} others are left out."] * (left > 0)
    if not panels:
        return canvas.empty(title, notes, "Nothing was converted.")
    return canvas.chart(title, [*notes, parts.note], panels, legend=True)


def _models(
    canvas: Canvas, frame: pl.DataFrame, channels: list[Any], models: list[str], title: str, answer: Answer
) -> Panel:
    series = []
    for model in models:
        own = frame.filter(pl.col("model") == model, pl.col("channel").is_in(channels))
        told = hovers(
            own, [f"{plain(each)}, {words(model)}" for each in own["channel"]], answer.context.labels.columns
        )
        at = [channels.index(each) for each in own["channel"]]
        series.append(Series.of(words(model), at, own, SHARE, told))
    panel = bars(canvas, [written(each) for each in channels], series, "share", "share of conversions")
    return Panel(panel.traces, panel.height, title, panel.xaxis, panel.yaxis)


def clusters(answer: ClustersAnswer, canvas: Canvas, *, segment: Segment | None = None) -> Chart:
    """Draw how large the clusters are.

    Parameters
    ----------
    answer : ClustersAnswer
        What is drawn.
    canvas : Canvas
        Where.
    segment : mapping, optional
        Which segments to show; the first six by default.
    """
    names = {each: f"cluster {each}" for each in answer.frame["cluster"].unique(maintain_order=True)}
    return _groups(answer, canvas, "cluster", names, "Clusters of users who move alike", segment)


def personas(answer: PersonasAnswer, canvas: Canvas, *, segment: Segment | None = None) -> Chart:
    """Draw how large the personas are, each named by its typical path.

    Parameters
    ----------
    answer : PersonasAnswer
        What is drawn.
    canvas : Canvas
        Where.
    segment : mapping, optional
        Which segments to show; the first six by default.
    """
    paths = answer.frame.unique("persona", keep="first", maintain_order=True).select(
        "persona", "typical_path"
    )
    names = {number: f"{number}. {written(path or [])}" for number, path in paths.iter_rows()}
    return _groups(answer, canvas, "persona", names, "Personas, by their typical path", segment)


def _groups(
    answer: Answer, canvas: Canvas, key: str, names: dict[Any, str], title: str, segment: Segment | None
) -> Chart:
    parts = parts_of(answer, segment, MOST_MODELS)
    notes = [question_of(answer), source_of(answer.context), parts.note]
    if not names:
        return canvas.empty(title, notes, "There are no users.")
    order, series = list(names), []
    for part in parts.shown:
        own = part.of(answer.frame)
        told = hovers(own, [names[each] for each in own[key]], [*answer.context.labels.columns, key])
        series.append(Series.of(part.name, [order.index(each) for each in own[key]], own, PART, told))
    panel = bars(canvas, list(names.values()), series, "share", "share of users", width=36)
    return canvas.chart(title, notes, [panel], legend=len(series) > 1)


def orders(answer: OrderAnswer, canvas: Canvas) -> Chart:
    """Draw how well chains of each order predict users that they were not fitted to.

    Parameters
    ----------
    answer : OrderAnswer
        What is drawn.
    canvas : Canvas
        Where.
    """
    frame, labels = answer.frame, answer.context.labels.columns
    title = "How many steps back the next step depends on"
    notes = [question_of(answer), "Higher is better; of users left out."]
    if frame.is_empty() or frame["held_out"].null_count() == frame.height:
        return canvas.empty(title, notes, "There are too few users to leave some out.")
    parts = parts_of(answer, None, MOST_MODELS)
    series = []
    for part in parts.shown:
        own = part.of(frame)
        told = hovers(own, [f"order {each}" for each in own["order"]], [*labels, "order"])
        series.append(Series(part.name, own["order"].to_list(), own["held_out"].to_list(), hover=told))
    panel = lines(canvas, series, "number", "log-likelihood per symbol (nats)", "order of the chain")
    axis = {key: each for key, each in panel.yaxis.items() if key != "rangemode"}
    ticks = {**panel.xaxis, "dtick": 1}
    return canvas.chart(
        title, [*notes, parts.note], [Panel(panel.traces, 320, "", ticks, axis)], legend=len(series) > 1
    )


def difference(answer: DifferenceAnswer, canvas: Canvas) -> Chart:
    """Draw how many units each change of a rule brings to the last step, and how many it takes away.

    Parameters
    ----------
    answer : DifferenceAnswer
        What is drawn.
    canvas : Canvas
        Where.
    """
    title = "What makes two funnels count differently"
    notes = ["Units of users at the last step that a change of one rule gains, and that it loses."]
    if answer.frame.is_empty():
        return canvas.empty(title, notes, "The two funnels have the same rules.")
    last = answer.frame.filter(pl.col("step") == pl.col("step").max())
    labels = answer.context.labels.columns
    names = [
        " · ".join([*(plain(row[name]) for name in labels), f"{row['rule']}: {row['from']} to {row['to']}"])
        for row in last.iter_rows(named=True)
    ]
    at = list(range(last.height))
    told = [
        f"<b>{whole(name)}</b><br>before: {count(row['reached_before'])}<br>gained: {count(row['gained'])}<br>"
        f"lost: {count(row['lost'])}<br>after: {count(row['reached_after'])}"
        for name, row in zip(names, last.iter_rows(named=True), strict=True)
    ]
    gained = Series("gained", at, last["gained"].to_list(), hover=told)
    lost = Series("lost", at, [-each for each in last["lost"]], hover=told)
    panel = bars(canvas, names, [gained, lost], "count", "units at the last step", stacked=True)
    return canvas.chart(title, notes, [panel], legend=True, barmode="relative")
