"""The river of stages: how many are in which stage, period after period."""

from __future__ import annotations

from typing import Any

import polars as pl

from journeykit.charts.canvas import Canvas, Panel
from journeykit.charts.chart import Chart
from journeykit.charts.general import question_of, source_of
from journeykit.charts.parts import PERIOD, Segment, parts_of
from journeykit.charts.text import count, label, percent, whole, written
from journeykit.statistics.stage_flow.table import StageFlowAnswer

MOST_PANELS = 3


def river(answer: StageFlowAnswer, canvas: Canvas, segment: Segment | None) -> Chart:
    """Draw, period after period, the stage in which units were last seen, one area per stage."""
    others = [name for name in answer.context.labels.columns if name != PERIOD]
    parts, panels = parts_of(answer, segment, MOST_PANELS, others), []
    for part in parts.shown:
        frame = part.of(answer.frame)
        if not frame.is_empty():
            panels.append(_panel(canvas, frame, part.name, answer.context.tz))
    title = "Stages over time"
    notes = [
        question_of(answer), source_of(answer.context),
        "Area: units of the period by the stage they were last seen in.",
    ]  # fmt: skip
    if not panels:
        return canvas.empty(title, notes, "Nobody is in a stage.")
    return canvas.chart(title, [*notes, parts.note], panels, legend=True)


def _panel(canvas: Canvas, frame: pl.DataFrame, title: str, zone: str) -> Panel:
    theme = canvas.theme
    traces: list[dict[str, Any]] = []
    for i, stage in enumerate(frame["stage"].unique(maintain_order=True)):
        own = frame.filter(pl.col("stage").eq_missing(stage)).sort(PERIOD)
        told = [
            f"<b>{whole(stage)}</b>, {written(row[PERIOD])}<br>last seen here: {count(row['current'])} of "
            f"{count(row['staged_units'])} ({percent(row['current_share'])})"
            for row in own.iter_rows(named=True)
        ]
        traces.append(
            {
                "type": "scatter", "mode": "lines", "stackgroup": "stages", "x": own[PERIOD].to_list(),
                "y": own["current"].to_list(), "name": label(stage), "legendgroup": label(stage),
                "hovertext": told, "hoverinfo": "text",
                "line": {"width": 0.5, "color": theme.paper, "shape": "spline"}, "fillcolor": theme.colour(i),
            }
        )  # fmt: skip
    axes: dict[str, Any] = {"title": {"text": "units"}, "rangemode": "tozero"}
    return Panel(traces, 340, title, xaxis={"title": {"text": f"period ({zone})"}}, yaxis=axes)
