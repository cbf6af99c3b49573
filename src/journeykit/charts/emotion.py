"""The emotion curve: how users feel at every stage, and how many of them said so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import polars as pl

from journeykit.charts.canvas import Canvas, Panel
from journeykit.charts.chart import Chart
from journeykit.charts.general import question_of
from journeykit.charts.parts import Parts, Segment, parts_of
from journeykit.charts.series import Estimate, Series, dots, hovers, lines
from journeykit.charts.text import count, label, percent, plain
from journeykit.errors import ParameterError
from journeykit.statistics.emotion.answer import RESPONDERS, EmotionAnswer

Of = Literal["stage", "touchpoint"]
OFS: tuple[Of, ...] = ("stage", "touchpoint")
FELT = Estimate("emotion", "emotion_low", "emotion_high", "number")
MOST_SERIES, NAME = 3, 14
SCALE: dict[str, Any] = {"range": [-1.05, 1.05], "tickvals": [-1, -0.5, 0, 0.5, 1], "zeroline": True}
TITLES = {
    "stage": "Emotion along the stages, from -1 to 1",
    "touchpoint": "Emotion by touchpoint, from -1 to 1",
}


def emotion(
    answer: EmotionAnswer, canvas: Canvas, *, of: Of | None = None, top: int = 15, segment: Segment | None = None
) -> Chart:  # fmt: skip
    """Draw the mean emotion with its interval, and the number of ratings that it is of.

    Parameters
    ----------
    answer : EmotionAnswer
        What is drawn.
    canvas : Canvas
        Where.
    of : {"stage", "touchpoint"}, optional
        A curve along the stages, or a row per touchpoint; the curve where there are stages by default.
    top : int
        How many touchpoints to show, those with most ratings.
    segment : mapping, optional
        Which segments or periods to show; the first three by default.
    """
    if of is not None and of not in OFS:
        raise ParameterError.choice("of", of, OFS)
    if top < 1:
        raise ParameterError(f"top must be at least 1, not {top!r}.")
    of = of or ("stage" if answer.context.stages else "touchpoint")
    parts = parts_of(answer, segment, MOST_SERIES)
    names, frame, left = _places(answer, of, top)
    notes = [question_of(answer), _ratings_of(answer), *left, _unknown(answer, frame), RESPONDERS]
    if not frame["ratings"].sum():
        return canvas.empty(TITLES[of], notes, "There are no ratings.")
    draw = _curve if of == "stage" else _rows
    panels = draw(canvas, names, _series(answer, frame, names, of, parts))
    return canvas.chart(TITLES[of], [*notes, parts.note], panels, legend=len(parts.shown) > 1)


def _places(answer: EmotionAnswer, of: Of, top: int) -> tuple[list[str], pl.DataFrame, list[str]]:
    """Return the names of what is shown in order, its rows, and what to say of the others."""
    if of == "stage":
        early = int(answer.stages.filter(pl.col("stage").is_null())["ratings"].sum())
        left = [f"{early:,} ratings before the first stage are left out."] * (early > 0)
        return list(answer.context.stages), answer.stages.filter(pl.col("stage").is_not_null()), left
    rated = answer.frame.filter(pl.col("ratings") > 0)
    ranked = rated.group_by("touchpoint", maintain_order=True).agg(pl.col("ratings").sum())
    ranked = ranked.sort(["ratings", "touchpoint"], descending=[True, False])
    names, others = ranked["touchpoint"].head(top).to_list(), ranked.height - top
    rest = int(ranked["ratings"].slice(top).sum())
    said = [f"Shown: {len(names):,} touchpoints with most ratings; {others:,} more have {rest:,} together."]
    said *= others > 0
    return names, rated.filter(pl.col("touchpoint").is_in(names)), said


def _ratings_of(answer: EmotionAnswer) -> str:
    overall = answer.overall
    rated, visits = (int(overall[name].sum()) for name in ("rated_visits", "visits"))
    share = percent(rated / visits) if visits else "unknown"
    said = f"Means of {int(overall['ratings'].sum()):,} ratings; {share} of {visits:,} visits were rated."
    return f"{said} Intervals: {percent(answer.context.level)}."


def _unknown(answer: EmotionAnswer, frame: pl.DataFrame) -> str:
    least = getattr(answer.statistic, "min_n", 0)
    few = frame.filter(pl.col("emotion").is_null(), pl.col("ratings") > 0).height
    return f"Nothing is drawn of fewer than {least:,} ratings." if few else ""


def _series(
    answer: EmotionAnswer, frame: pl.DataFrame, names: Sequence[str], of: Of, parts: Parts
) -> list[tuple[Series, list[int]]]:
    """Return the emotion of every segment at the places of the names, and the ratings it is of."""
    place = {name: i for i, name in enumerate(names)}
    found = []
    for part in parts.shown:
        own = part.of(frame)
        own = own.with_columns(pl.col(of).replace_strict(place, return_dtype=pl.Int64).alias("at")).sort("at")
        prefix = f"{part.name}: " if part.name else ""
        told = hovers(
            own.drop("at"), [prefix + plain(each) for each in own[of]], answer.context.labels.columns
        )
        series = Series.of(part.name or "emotion", own["at"].to_list(), own, FELT, told)
        found.append((series, own["ratings"].to_list()))
    return found


def _curve(canvas: Canvas, names: Sequence[str], series: Sequence[tuple[Series, list[int]]]) -> list[Panel]:
    """Draw a line along the stages, and under it how many ratings each point is of."""
    theme = canvas.theme
    across = {
        "tickvals": list(range(len(names))), "ticktext": [label(name, NAME) for name in names], "showgrid": False,
        "zeroline": False, "range": [-0.5, len(names) - 0.5],
    }  # fmt: skip
    felt = lines(canvas, [each for each, _ in series], "number", "emotion")
    bars_ = [
        {
            "type": "bar", "x": each.at, "y": ratings, "text": [count(n) for n in ratings], "textposition": "outside",
            "name": label(each.name), "legendgroup": label(each.name), "showlegend": False, "hovertext": each.hover,
            "hoverinfo": "text", "marker": {"color": theme.faint(theme.colour(i), 0.5)}, "textangle": 0,
            "cliponaxis": False, "textfont": {"color": theme.ink, "size": 11},
        }
        for i, (each, ratings) in enumerate(series)
    ]  # fmt: skip
    up = {"title": {"text": "emotion"}, **SCALE, "zerolinecolor": theme.muted}
    below = {"title": {"text": "ratings"}, "rangemode": "tozero", "nticks": 4}
    return [
        Panel(felt.traces, 300, "", across, up),
        Panel(bars_, 110, "Ratings", {**across, "title": {"text": "stage"}}, below),
    ]


def _rows(canvas: Canvas, names: Sequence[str], series: Sequence[tuple[Series, list[int]]]) -> list[Panel]:
    """Draw a row per touchpoint, with the number of ratings beside its name where there is one segment."""
    if len(series) == 1:
        rated = dict(zip(series[0][0].at, series[0][1], strict=True))
        names = [f"{name} ({rated.get(i, 0):,})" for i, name in enumerate(names)]
    panel = dots(canvas, names, [each for each, _ in series], "number", "emotion")
    return [
        Panel(
            panel.traces,
            panel.height,
            "",
            {**panel.xaxis, **SCALE, "zerolinecolor": canvas.theme.muted},
            panel.yaxis,
        )
    ]
