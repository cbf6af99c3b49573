"""Users over time: who is new, comes back and stays away; how many are active."""

from __future__ import annotations

from typing import Any

import polars as pl

from journeykit.charts.canvas import Canvas, Panel
from journeykit.charts.chart import Chart
from journeykit.charts.general import question_of
from journeykit.charts.parts import Segment, parts_of
from journeykit.charts.series import Series, lines
from journeykit.charts.text import count, percent, whole, words, written
from journeykit.errors import ParameterError
from journeykit.statistics.retention.active_users import ActiveUsersAnswer
from journeykit.statistics.retention.lifecycle import LifecycleAnswer

MOST_PANELS = 3
GROUPS = ("new", "returning", "resurrecting", "dormant")
VALUES = ("users", "rate")


def lifecycle(answer: LifecycleAnswer, canvas: Canvas, *, segment: Segment | None = None) -> Chart:
    """Draw the users of every period: new, returning and resurrecting upwards, dormant downwards.

    Parameters
    ----------
    answer : LifecycleAnswer
        What is drawn.
    canvas : Canvas
        Where.
    segment : mapping, optional
        Which segments to show; the first three by default.
    """
    parts, panels = parts_of(answer, segment, MOST_PANELS), []
    for part in parts.shown:
        frame = part.of(answer.frame).sort("start")
        if not frame.is_empty():
            panels.append(_lifecycle(canvas, frame, part.name, answer.context.tz))
    title = "Lifecycle: users of each period"
    notes = [
        question_of(answer),
        "Above zero: active. Below: active in the period before and not in this.",
    ]
    if not panels:
        return canvas.empty(title, notes)
    return canvas.chart(title, [*notes, parts.note], panels, legend=True, barmode="relative", bargap=0.15)


def _lifecycle(canvas: Canvas, frame: pl.DataFrame, title: str, zone: str) -> Panel:
    theme = canvas.theme
    colours = (theme.colour(2), theme.colour(0), theme.colour(4), theme.colour(1))
    traces: list[dict[str, Any]] = []
    for name, colour in zip(GROUPS, colours, strict=True):
        told = [
            f"<b>{name}</b>, {written(row['start'])}: {count(abs(row[name] or 0))} users"
            f"<br>active: {count(row['active'])}{'' if row['complete'] else '<br>the period is not over'}"
            for row in frame.iter_rows(named=True)
        ]
        look: dict[str, Any] = {"color": colour}
        look["opacity"] = [1.0 if each else 0.5 for each in frame["complete"].fill_null(True)]
        traces.append(
            {
                "type": "bar", "x": frame["start"].to_list(), "y": frame[name].to_list(), "name": name,
                "legendgroup": name, "hovertext": told, "hoverinfo": "text", "textposition": "none", "marker": look,
            }
        )  # fmt: skip
    return Panel(
        traces, 340, title, xaxis={"title": {"text": f"period ({zone})"}}, yaxis={"title": {"text": "users"}}
    )


def active_users(
    answer: ActiveUsersAnswer, canvas: Canvas, *, value: str = "users", segment: Segment | None = None
) -> Chart:
    """Draw how many users are active in every period, and in the rolling window that ends with it.

    Parameters
    ----------
    answer : ActiveUsersAnswer
        What is drawn.
    canvas : Canvas
        Where.
    value : {"users", "rate"}
        Both numbers, or the first divided by the second, with its interval.
    segment : mapping, optional
        Which segments to show; the first three by default.
    """
    if value not in VALUES:
        raise ParameterError.choice("value", value, VALUES)
    parts, series = parts_of(answer, segment, MOST_PANELS), []
    columns = ("active", "rolling") if value == "users" else ("rate",)
    for part in parts.shown:
        frame = part.of(answer.frame).sort("start")
        for name in columns:
            told = [_told(part.name, row) for row in frame.iter_rows(named=True)]
            called = ", ".join(
                filter(None, (part.name, words(name) if len(columns) > 1 or not part.name else ""))
            )
            low, high = (frame[end].to_list() if name == "rate" else None for end in ("low", "high"))
            series.append(Series(called, frame["start"].to_list(), frame[name].to_list(), low, high, told))
    title = "Active users" if value == "users" else "Active users over those of the rolling window"
    notes = [question_of(answer), "Rolling: active in the window that ends with the period."]
    if answer.frame.is_empty():
        return canvas.empty(title, notes)
    kind, axis = ("count", "users") if value == "users" else ("share", "active / rolling")
    panel = lines(canvas, series, kind, axis, f"period ({answer.context.tz})")  # type: ignore[arg-type]
    return canvas.chart(title, [*notes, parts.note], [panel], legend=len(series) > 1)


def _told(name: str, row: dict[str, Any]) -> str:
    prefix = f"{whole(name)}, " if name else ""
    over = "" if row["complete"] else "<br>not over yet"
    return (
        f"<b>{prefix}{written(row['start'])}</b><br>active: {count(row['active'])}<br>rolling: {count(row['rolling'])}"
        f"<br>rate: {percent(row['rate'])}{over}"
    )
