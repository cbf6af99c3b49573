"""Pain points: what every touchpoint costs in conversions, and what goes with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import polars as pl

from journeykit.charts.canvas import Canvas, Panel
from journeykit.charts.chart import Chart
from journeykit.charts.general import question_of
from journeykit.charts.parts import Part, Segment, parts_of
from journeykit.charts.series import Series, bars, hovers
from journeykit.charts.text import percent, plain, whole, words
from journeykit.errors import ParameterError
from journeykit.models.pains.pain_answer import ASSOCIATIONS, BASE, PARTS, PainPointsAnswer

Value = Literal["conversions", "value"]
VALUES: tuple[Value, ...] = ("conversions", "value")
MOST_PANELS = 3
CALLED = {BASE: "no friction"}


def pains(
    answer: PainPointsAnswer, canvas: Canvas, *, value: Value = "conversions", top: int = 15,
    segment: Segment | None = None,
) -> Chart:  # fmt: skip
    """Draw the conversions that are lost at every touchpoint, by what goes with the loss; the total with its interval.

    Parameters
    ----------
    answer : PainPointsAnswer
        What is drawn.
    canvas : Canvas
        Where.
    value : {"conversions", "value"}
        What is lost; money only where a conversion has a value.
    top : int
        How many touchpoints to show, those that lose most.
    segment : mapping, optional
        Which segments or periods to show; the first three by default.
    """
    if value not in VALUES:
        raise ParameterError.choice("value", value, VALUES)
    if top < 1:
        raise ParameterError(f"top must be at least 1, not {top!r}.")
    column = f"lost_{value}"
    if column not in answer.frame.columns:
        raise ParameterError(
            "value cannot be 'value': the conversions of this answer have none. Pass value= to Chain."
        )
    parts, panels, left = parts_of(answer, segment, MOST_PANELS), [], 0
    known = [part for part in PARTS if part in set(answer.parts["part"])]
    for part in parts.shown:
        ranked = part.of(answer.frame).filter(pl.col(column).is_not_null()).sort(column, descending=True)
        left = max(left, ranked.height - top)
        if not ranked.is_empty():
            panels.append(_panel(canvas, ranked.head(top), answer, part, known, column))
    title = (
        "Pain points: "
        + ("conversions lost" if value == "conversions" else "value lost")
        + " at each touchpoint"
    )
    notes = [
        question_of(answer),
        _of(answer),
        "Bars: the loss by what went with the visit; diamond and line: the total.",
    ]
    notes += [f"The {top:,} that lose most; {left:,} others are left out, as losses do not add up."] * (
        left > 0
    )
    if not panels:
        return canvas.empty(title, notes, "No touchpoint has a reference to lose against.")
    return canvas.chart(title, [*notes, ASSOCIATIONS, parts.note], panels, legend=True, barmode="relative")


def _of(answer: PainPointsAnswer) -> str:
    paths, converted = (int(answer.outcomes[name].sum()) for name in ("paths", "converted"))
    return f"Of {paths:,} paths, {converted:,} converted. Intervals: {percent(answer.context.level)}."


def _panel(
    canvas: Canvas, ranked: pl.DataFrame, answer: PainPointsAnswer, part: Part, known: Sequence[str], column: str
) -> Panel:  # fmt: skip
    """Draw a row of stacked parts per touchpoint, and over it the total with its interval."""
    names = ranked["touchpoint"].to_list()
    parts = part.of(answer.parts).filter(pl.col("touchpoint").is_in(names))
    labels = answer.context.labels.columns
    series = [_part(parts.filter(pl.col("part") == each), each, names, column, labels) for each in known]
    panel = bars(canvas, names, series, "count", words(column), stacked=True)
    stages = (f" · {plain(stage)}" if stage is not None else "" for stage in ranked["stage"])
    called = [f"{plain(name)}{stage}" for name, stage in zip(names, stages, strict=True)]
    total = {
        "type": "scatter", "mode": "markers", "name": "total", "legendgroup": "total", "y": list(range(len(names))),
        "x": ranked[column].to_list(), "hovertext": hovers(ranked, called, [*labels, "in_top_10"]),
        "hoverinfo": "text", "marker": {"color": canvas.theme.ink, "size": 8, "symbol": "diamond"},
        "error_x": _error(ranked, column, canvas),
    }  # fmt: skip
    return Panel(
        [*panel.traces, total], panel.height, part.name, {**panel.xaxis, "zeroline": True}, panel.yaxis
    )


def _part(frame: pl.DataFrame, part: str, names: Sequence[str], column: str, labels: Sequence[str]) -> Series:
    called = CALLED.get(part, words(part))
    at = [names.index(name) for name in frame["touchpoint"]]
    told = [
        f"<b>{whole(name)}</b>, {called}{said.removeprefix('<b>(empty)</b>')}"
        for name, said in zip(frame["touchpoint"], hovers(frame, [""] * frame.height, labels), strict=True)
    ]
    return Series(called, at, frame[column].to_list(), hover=told)


def _error(frame: pl.DataFrame, column: str, canvas: Canvas) -> Mapping[str, Any] | None:
    ends = (frame[f"{column}_{end}"].to_list() for end in ("low", "high"))
    return Series("", [], frame[column].to_list(), *ends).error(canvas.theme.ink)
