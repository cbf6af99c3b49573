"""Forest plots: differences, ratios and gains with their intervals, and the line where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import polars as pl

from journeykit.charts.canvas import Canvas, Panel
from journeykit.charts.chart import Chart
from journeykit.charts.general import question_of, source_of
from journeykit.charts.network import contrasted
from journeykit.charts.series import ROW, Series, hovers, rows_axis
from journeykit.charts.text import label, percent, words, written
from journeykit.comparisons.changes import ChangeAnswer
from journeykit.comparisons.compare import Comparison
from journeykit.errors import ParameterError
from journeykit.models.changes.opportunities import OpportunitiesAnswer
from journeykit.models.changes.what_if import WhatIfAnswer
from journeykit.statistics.base import Answer
from journeykit.statistics.differential.answer import DifferentialAnswer
from journeykit.statistics.experiments.answer import ExperimentAnswer
from journeykit.statistics.friction.exposure_answer import ExposureAnswer
from journeykit.statistics.funnels.correlation_answer import CorrelationAnswer
from journeykit.statistics.transitions.graph import TransitionGraph

Value = Literal["difference", "ratio"]
VALUES: tuple[Value, ...] = ("difference", "ratio")
Kind = Literal["forest", "graph"]
KINDS: tuple[Kind, ...] = ("forest", "graph")
LOOK = "Dot and line: estimate and interval; grey where the interval holds no difference."


def _forest(
    canvas: Canvas, frame: pl.DataFrame, names: Sequence[str], value: str, axis: str, *, factor: float = 1.0,
    ratio: bool = False, left_out: Sequence[str] = (),
) -> Panel:  # fmt: skip
    """Draw rows of estimates with intervals, the first on top, and the line of no difference."""
    theme, none = canvas.theme, 1.0 if ratio else 0.0
    low, high = f"{value}_low", f"{value}_high"
    scaled = frame.with_columns(pl.col(value, low, high) * factor)
    told = hovers(frame, names, left_out)
    values, lows, highs = (scaled[name].to_list() for name in (value, low, high))
    series = Series("", list(range(frame.height)), values, lows, highs, told)
    clear = ((pl.col(low) > none) | (pl.col(high) < none)).fill_null(False)
    colours = [theme.colours[0] if each else theme.rest for each in frame.select(clear).to_series()]
    trace = {
        "type": "scatter", "mode": "markers", "y": series.at, "x": series.values, "hovertext": told,
        "hoverinfo": "text", "error_x": series.error(theme.muted),
        "marker": {"size": 10, "color": colours, "symbol": "diamond"},
    }  # fmt: skip
    zero = {
        "type": "scatter", "mode": "lines", "x": [none * factor, none * factor], "y": [-0.5, frame.height - 0.5],
        "line": {"color": theme.ink, "width": 1, "dash": "dot"}, "hoverinfo": "skip",
    }  # fmt: skip
    numbers: dict[str, Any] = {"title": {"text": label(axis, 60)}, "zeroline": False}
    if ratio:
        numbers |= {"type": "log", "tickformat": "~g", "nticks": 6}
    return Panel([zero, trace], max(90, ROW * frame.height), xaxis=numbers, yaxis=rows_axis(names, 34))


def _first(frame: pl.DataFrame, top: int, what: str) -> tuple[pl.DataFrame, str]:
    if top < 1:
        raise ParameterError(f"top must be at least 1, not {top!r}.")
    said = f"The {top:,} {what} of {frame.height:,} rows." if frame.height > top else ""
    return frame.head(top), said


def _named(frame: pl.DataFrame, keys: Sequence[str]) -> list[str]:
    return [
        " > ".join(written(value) for value in row if value is not None)
        for row in frame.select(keys).iter_rows()
    ]


def _plot(
    answer: Answer, canvas: Canvas, frame: pl.DataFrame, keys: Sequence[str], value: str, title: str, axis: str,
    notes: Sequence[str], **look: Any,
) -> Chart:  # fmt: skip
    said = [question_of(answer), source_of(answer.context), *notes]
    labels = answer.context.labels.columns
    frame = frame.filter(pl.col(value).is_not_null() & pl.col(value).is_finite())
    if frame.is_empty():
        return canvas.empty(title, said, "No row has a number to draw.")
    keys = [name for name in (*labels, *keys) if name in frame.columns]
    panel = _forest(canvas, frame, _named(frame, keys), value, axis, left_out=labels, **look)
    return canvas.chart(title, [*said, LOOK], [panel])


def comparison(
    answer: Comparison, canvas: Canvas, *, kind: Kind = "forest", value: Value | None = None, top: int = 25
) -> Chart:
    """Draw how two segments or periods differ, row by row.

    Parameters
    ----------
    answer : Comparison
        What is drawn.
    canvas : Canvas
        Where.
    kind : {"forest", "graph"}
        Estimates with intervals; or, of transitions, the graph of both with the difference of probabilities as colours.
    value : {"difference", "ratio"}, optional
        What to draw; the difference by default, the ratio where columns of several units are compared.
    top : int
        How many rows to show, those with the smallest p-values; or states of the graph.
    """
    if kind not in KINDS:
        raise ParameterError.choice("kind", kind, KINDS)
    if value is not None and value not in VALUES:
        raise ParameterError.choice("value", value, VALUES)
    if kind == "graph":
        return _graph(answer, canvas, top)
    compared = answer.frame["compared"].unique(maintain_order=True).to_list()
    value = value or ("difference" if len(compared) == 1 else "ratio")
    ranked = answer.frame.sort("p_value", nulls_last=True, maintain_order=True)
    frame, said = _first(ranked, top, "with the smallest p-values")
    keys = [
        name for name in frame.columns[: frame.columns.index("compared")] if not name.startswith("period_b")
    ]
    if len(compared) > 1:
        keys.append("compared")
    keys = [name for name in keys if frame[name].n_unique() > 1] or keys[:2]
    sides = answer.frame.columns[:2]
    pair = answer.frame.select(sides).unique(maintain_order=True).rows()
    what = (
        words(compared[0]).capitalize()
        if len(compared) == 1
        else "Ratios"
        if value == "ratio"
        else "Differences"
    )
    sides_ = f"{written(pair[0][0])} {'less' if value == 'difference' else 'over'} {written(pair[0][1])}"
    title = f"{what}: {sides_ if len(pair) == 1 else 'a less b' if value == 'difference' else 'a over b'}"
    one, other = (written(each) for each in pair[0]) if len(pair) == 1 else ("a", "b")
    axis = f"{one} - {other}" if value == "difference" else f"{one} / {other}"
    return _plot(answer, canvas, frame, keys, value, title, axis, [said], ratio=value == "ratio")


def _graph(answer: Comparison, canvas: Canvas, top: int) -> Chart:
    """Draw the graph of a comparison of transitions."""
    found = [each for each in answer.answers if isinstance(each, TransitionGraph)]
    if not found or "probability" not in set(answer.frame["compared"]):
        raise ParameterError(
            "kind='graph' draws a comparison of Transitions in the column 'probability'. Choose kind='forest'."
        )
    sides = answer.frame.columns[:2]
    first = answer.frame.select(sides).row(0)
    rows = answer.frame.filter(
        pl.col("compared") == "probability",
        *(pl.col(name).eq_missing(pl.lit(value)) for name, value in zip(sides, first, strict=True)),
    )
    return contrasted(answer, found[0], rows, canvas, (written(first[0]), written(first[1])), top)


def change(answer: ChangeAnswer, canvas: Canvas, *, top: int = 20) -> Chart:
    """Draw what each segment, or each move, adds to the change of the conversion rate from one period to the next.

    Parameters
    ----------
    answer : ChangeAnswer
        What is drawn.
    canvas : Canvas
        Where.
    top : int
        How many rows to show, the first ones.
    """
    frame, said = _first(answer.frame, top, "first")
    stop = next(i for i, name in enumerate(frame.columns) if frame.schema[name].is_numeric())
    whole = answer.total.row(0, named=True) if answer.total.height else {}
    rates = ""
    if whole.get("change") is not None:
        rates = f"The rate went from {percent(whole['rate_before'])} to {percent(whole['rate_after'])}."
    return _plot(
        answer, canvas, frame, frame.columns[:stop], "effect", "What a change of the conversion rate is made of",
        "part of the change (percentage points)", [rates, said], factor=100.0,
    )  # fmt: skip


def experiment(answer: ExperimentAnswer, canvas: Canvas) -> Chart:
    """Draw by how much each arm differs from the control, in every metric.

    Parameters
    ----------
    answer : ExperimentAnswer
        What is drawn.
    canvas : Canvas
        Where.
    """
    frame = answer.frame.with_columns(
        (pl.col(name) - 1).alias(name.replace("ratio", "change"))
        for name in ("ratio", "ratio_low", "ratio_high")
    )
    title = "Experiment: change against the control"
    return _plot(
        answer,
        canvas,
        frame,
        ["metric", "arm"],
        "change",
        title,
        "change of the mean per user (%)",
        [],
        factor=100.0,
    )


def exposure(answer: ExposureAnswer, canvas: Canvas, *, top: int = 25) -> Chart:
    """Draw by how much more often those give up who had a sign of friction.

    Parameters
    ----------
    answer : ExposureAnswer
        What is drawn.
    canvas : Canvas
        Where.
    top : int
        How many rows to show.
    """
    frame, said = _first(answer.frame, top, "first")
    title = "Giving up with a sign of friction less without it"
    return _plot(
        answer, canvas, frame, ["flag"], "difference", title, "difference of rates (percentage points)", [said],
        factor=100.0,
    )  # fmt: skip


def differential(answer: DifferentialAnswer, canvas: Canvas, *, top: int = 25) -> Chart:
    """Draw which events and moves those who convert have more often than those who give up.

    Parameters
    ----------
    answer : DifferentialAnswer
        What is drawn.
    canvas : Canvas
        Where.
    top : int
        How many rows to show.
    """
    frame, said = _first(answer.frame, top, "first")
    title = "What those who convert do more often, or less"
    axis = "converted less abandoned (percentage points)"
    return _plot(answer, canvas, frame, ["path"], "difference", title, axis, [said], factor=100.0)


def correlation(answer: CorrelationAnswer, canvas: Canvas, *, top: int = 25) -> Chart:
    """Draw the odds of converting with an event over those without it.

    Parameters
    ----------
    answer : CorrelationAnswer
        What is drawn.
    canvas : Canvas
        Where.
    top : int
        How many rows to show.
    """
    frame, said = _first(answer.frame, top, "first")
    keys = [
        name
        for name in ("event", "property", "value")
        if name in frame.columns and not frame[name].dtype.is_numeric()
    ]
    title = "Odds of converting with, over those without"
    return _plot(answer, canvas, frame, keys, "odds_ratio", title, "odds ratio", [said], ratio=True)


def what_if(answer: WhatIfAnswer, canvas: Canvas) -> Chart:
    """Draw how many conversions each change would bring when made alone.

    Parameters
    ----------
    answer : WhatIfAnswer
        What is drawn.
    canvas : Canvas
        Where.
    """
    title = "Conversions that each change alone would bring"
    return _plot(
        answer, canvas, answer.changes, ["change"], "change_in_conversions", title, "more conversions", [],
    )  # fmt: skip


def opportunities(answer: OpportunitiesAnswer, canvas: Canvas, *, top: int = 20) -> Chart:
    """Draw how many conversions would be won if a move were at the level of its reference.

    Parameters
    ----------
    answer : OpportunitiesAnswer
        What is drawn.
    canvas : Canvas
        Where.
    top : int
        How many moves to show.
    """
    frame, said = _first(answer.frame, top, "first")
    title = "Opportunities: conversions to be won by move"
    return _plot(
        answer,
        canvas,
        frame,
        ["source", "target"],
        "change_in_conversions",
        title,
        "more conversions",
        [said],
    )
