"""Curves over the time since a start: who has converted, given up, or is still waiting."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from journeykit.charts import general
from journeykit.charts.canvas import Canvas, Panel
from journeykit.charts.chart import Chart
from journeykit.charts.general import question_of, source_of
from journeykit.charts.parts import Parts, Segment, parts_of
from journeykit.charts.series import Series, band
from journeykit.charts.text import UNITS, count, interval, label, percent, plain
from journeykit.errors import ParameterError
from journeykit.statistics.outcomes.abandonment_answer import AbandonmentAnswer
from journeykit.statistics.outcomes.time_between_answer import TimeBetweenAnswer
from journeykit.statistics.outcomes.time_to_convert_answer import TimeToConvertAnswer

MOST_CURVES, MOST_POINTS, DOTS = 6, 600, 7
Curves = Sequence[tuple[str, str]]


def time_to_convert(answer: TimeToConvertAnswer, canvas: Canvas, *, segment: Segment | None = None) -> Chart:
    """Draw the share that has converted, and that has given up, by a time since the start.

    Parameters
    ----------
    answer : TimeToConvertAnswer
        What is drawn.
    canvas : Canvas
        Where.
    segment : mapping, optional
        Which segments or periods to show; the first six by default.
    """
    title = "Share that has converted by a time since the start"
    curves = [("converted_by", "converted"), ("abandoned_by", "given up")]
    steps = answer.numbers or getattr(answer.statistic, "by", "") == "step"
    return _draw(answer, canvas, title, curves, segment, "steps" if steps else None)


def abandonment(answer: AbandonmentAnswer, canvas: Canvas, *, segment: Segment | None = None) -> Chart:
    """Draw the share that has converted, and that has given up, by a time since the start.

    Parameters
    ----------
    answer : AbandonmentAnswer
        What is drawn.
    canvas : Canvas
        Where.
    segment : mapping, optional
        Which segments or periods to show; the first six by default.
    """
    if not getattr(answer.statistic, "after", True):
        return general.answer(answer, canvas, segment=segment)
    title = "Share that has converted or given up by a time"
    curves = [("converted_by", "converted"), ("abandoned_by", "given up")]
    return _draw(answer, canvas, title, curves, segment)


def waiting(answer: TimeBetweenAnswer, canvas: Canvas, segment: Segment | None) -> Chart:
    """Draw the share that is still waiting after a time."""
    curves = [("survival", "still waiting")]
    return _draw(answer, canvas, "Share that is still waiting after a time", curves, segment)


def _draw(
    answer: Any, canvas: Canvas, title: str, curves: Curves, segment: Segment | None, unit: str | None = None
) -> Chart:
    """Draw the curves of segments: all of one segment, of several the first one of each."""
    notes = [question_of(answer), source_of(answer.context)]
    curve: pl.DataFrame = answer.curve
    if curve.is_empty():
        return canvas.empty(title, notes, "Nobody reached the start.")
    parts = parts_of(answer, segment, MOST_CURVES)
    longest: Any = curve["time"].max()
    length, unit = (
        (1.0, unit) if unit else next((each for each in UNITS if longest >= 2 * each[0]), UNITS[-1])
    )
    curves = [each for each in curves if each == curves[0] or (curve[each[0]] > 0).any()]
    lines = _lines(answer, parts, curves, curve, length)
    traces: list[dict[str, Any]] = []
    for i, line in enumerate(lines):
        colour = canvas.theme.colour(i)
        traces += band(line, canvas.theme.faint(colour, 0.18 if len(lines) <= 2 else 0.1), "hv")
        traces.append(
            {
                "type": "scatter", "mode": "lines", "x": line.at, "y": line.values, "name": label(line.name),
                "legendgroup": label(line.name), "hovertext": line.hover, "hoverinfo": "text",
                "line": {"color": colour, "width": 2, "shape": "hv"},
            }
        )  # fmt: skip
    dots = [] if lines[0].low is not None else _dots(answer, parts, canvas, curves[0][0], longest, length)
    starts = (
        curve.group_by(answer.context.labels.columns or pl.lit(0))
        .agg(pl.col("at_risk").max())["at_risk"]
        .sum()
    )
    said = [f"Of {starts:,} units that started.", "Lines: intervals." if dots else ""]
    panel = Panel(
        [*traces, *dots], 380, xaxis={"title": {"text": f"time since the start ({unit})"}, "rangemode": "tozero"},
        yaxis={"title": {"text": "share of units (%)"}, "rangemode": "tozero"},
    )  # fmt: skip
    return canvas.chart(title, [*notes, *said, parts.note], [panel], legend=len(lines) > 1)


def _lines(answer: Any, parts: Parts, curves: Curves, curve: pl.DataFrame, length: float) -> list[Series]:
    lines = []
    for part in parts.shown:
        own = _thinned(part.of(curve))
        for column, said in curves if len(parts.shown) == 1 else curves[:1]:
            name = said if len(parts.shown) == 1 else part.name
            bounds = [
                own[f"{column}_{end}"] if f"{column}_{end}" in own.columns else None
                for end in ("low", "high")
            ]
            low, high = ([0.0, *(100 * each.fill_nan(None))] if each is not None else None for each in bounds)
            at = [0.0, *(own["time"] / length)]
            first = 100.0 if column == "survival" else 0.0
            told = [_told(name, row, column) for row in own.iter_rows(named=True)]
            lines.append(
                Series(label(name, 60), at, [first, *(100 * own[column])], low, high, [plain(name), *told])
            )
    return lines


def _told(name: str, row: dict[str, Any], column: str) -> str:
    ends = interval(row.get(f"{column}_low"), row.get(f"{column}_high"))
    return f"<b>{label(name, 60)}</b><br>{percent(row[column])}{ends}<br>at risk: {count(row['at_risk'])}"


def _thinned(curve: pl.DataFrame) -> pl.DataFrame:
    """Keep as many points as can be seen; the last one among them."""
    if curve.height <= MOST_POINTS:
        return curve
    kept = np.unique(np.linspace(0, curve.height - 1, MOST_POINTS).round().astype(np.int64))
    return curve[kept]


def _dots(
    answer: Any, parts: Parts, canvas: Canvas, column: str, longest: float, length: float
) -> list[dict[str, Any]]:
    """Draw intervals at some times, of curves that have none at every time."""
    ask, found = (
        (answer.ended_by, "ended_by") if column == "survival" else (answer.converted_by, "converted_by")
    )
    times = np.linspace(longest / (DOTS + 1), longest, DOTS, endpoint=False).tolist()
    try:
        tables = [ask(timedelta(seconds=round(time, 6))) for time in times]
    except ParameterError:
        return []
    names = ("low", "high") if "low" in tables[0].columns else (f"{found}_low", f"{found}_high")
    traces = []
    for i, part in enumerate(parts.shown):
        rows = [part.of(table).row(0, named=True) for table in tables if part.of(table).height]
        known = [(time, row) for time, row in zip(times, rows, strict=False) if row[names[0]] is not None]
        series = Series(
            "", [time / length for time, _ in known], [100 * row[found] for _, row in known],
            [100 * row[names[0]] for _, row in known], [100 * row[names[1]] for _, row in known],
        )  # fmt: skip
        turned = _turned(series) if column == "survival" else series
        traces.append(
            {
                "type": "scatter", "mode": "markers", "x": turned.at, "y": turned.values, "showlegend": False,
                "error_y": turned.error(canvas.theme.muted), "marker": {"size": 5, "color": canvas.theme.colour(i)},
                "hoverinfo": "skip",
            }
        )  # fmt: skip
    return traces


def _turned(series: Series) -> Series:
    """Return 100 % less these numbers: who waits is who has not got there."""
    values, low, high = (
        [None if each is None else 100 - each for each in numbers or []]
        for numbers in (series.values, series.high, series.low)
    )
    return Series(series.name, series.at, values, low, high)
