"""Tables of numbers of several units, which no axis has room for together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from journeykit.charts.canvas import Canvas, Panel
from journeykit.charts.chart import Chart
from journeykit.charts.general import question_of, source_of
from journeykit.charts.parts import Segment, parts_of
from journeykit.charts.text import count, duration, escaped, interval, label, percent, words
from journeykit.statistics.base import Answer
from journeykit.statistics.overview.table import OverviewAnswer
from journeykit.statistics.paths.shape import ShapeTable

MOST_PANELS, ROW_HEIGHT = 3, 28


def _writer(row: Mapping[str, Any], key: str) -> Callable[[Any], str]:
    """Return how the number of a row is written: by its unit, and rates as shares."""
    return duration if row.get("unit") == "seconds" else percent if row[key].endswith("_rate") else count


def overview(answer: OverviewAnswer, canvas: Canvas, *, segment: Segment | None = None) -> Chart:
    """Show the numbers of an overview.

    Parameters
    ----------
    answer : OverviewAnswer
        What is shown.
    canvas : Canvas
        Where.
    segment : mapping, optional
        Which segments or periods to show; the first three by default.
    """
    return _table(answer, canvas, "number", "value", "Overview", segment)


def shape(answer: ShapeTable, canvas: Canvas, *, segment: Segment | None = None) -> Chart:
    """Show the means of the measures of paths.

    Parameters
    ----------
    answer : ShapeTable
        What is shown.
    canvas : Canvas
        Where.
    segment : mapping, optional
        Which segments or periods to show; the first three by default.
    """
    return _table(answer, canvas, "measure", "mean", "Shape of paths: means", segment)


def _table(
    answer: Answer, canvas: Canvas, key: str, value: str, title: str, segment: Segment | None
) -> Chart:
    theme, panels = canvas.theme, []
    parts = parts_of(answer, segment, MOST_PANELS)
    for part in parts.shown:
        frame = part.of(answer.frame)
        if frame.is_empty():
            continue
        rows = list(frame.iter_rows(named=True))
        written = [_writer(row, key)(row[value]) for row in rows]
        ends = [interval(row["low"], row["high"], _writer(row, key)).strip(" []") for row in rows]
        cells = [[label(words(row[key]), 40) for row in rows], [escaped(each) for each in written], ends]
        heads = [f"<b>{each}</b>" for each in (key, value, "interval")]
        fill = {"color": theme.paper}
        trace = {
            "type": "table", "columnwidth": [4, 2, 3],
            "header": {
                "values": heads, "align": "left", "fill": fill, "line": {"color": theme.grid}, "height": ROW_HEIGHT,
                "font": {"color": theme.ink, "size": 13},
            },
            "cells": {
                "values": cells, "align": ["left", "right", "left"], "fill": fill, "line": {"color": theme.grid},
                "height": ROW_HEIGHT, "font": {"color": theme.ink, "size": 13},
            },
        }  # fmt: skip
        panels.append(Panel([trace], ROW_HEIGHT * (len(rows) + 2), part.name, domain=True))
    notes = [question_of(answer), source_of(answer.context), parts.note]
    return canvas.chart(title, notes, panels, bottom=20) if panels else canvas.empty(title, notes)
