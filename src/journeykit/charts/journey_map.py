"""The journey map as one figure: stages from left to right; what happens in them, from top to bottom."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite, log10
from typing import Any

import polars as pl

from journeykit.charts.canvas import Canvas, Panel
from journeykit.charts.chart import Chart
from journeykit.charts.emotion import FELT, SCALE
from journeykit.charts.general import question_of
from journeykit.charts.pains import CALLED
from journeykit.charts.parts import Part, Segment, parts_of
from journeykit.charts.series import Series, hovers, lines
from journeykit.charts.text import (
    UNITS,
    count,
    duration,
    escaped,
    interval,
    label,
    labels,
    percent,
    plain,
    whole,
)
from journeykit.charts.text import lines as wrapped
from journeykit.errors import ParameterError
from journeykit.journey_map.measured import MeasuredMap
from journeykit.journey_map.rows import STILL_THERE
from journeykit.models.pains.pain_answer import ASSOCIATIONS
from journeykit.statistics.emotion.answer import RESPONDERS

MOST_STAGES, WIDTH, LETTER = 10, 530, 6.4
"""Stages that a figure of 600 pixels has room for, what they share of it, and how wide a letter is."""
HEAD, NUMBERS, CURVE, SLOT = 30, 90, 150, 36
"""Heights in pixels: of the names, of rows of numbers, of the curve, and of one thing in a stage."""
GAP, INSIDE = 18, 0.46
ITEMS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "touchpoint": ("Touchpoints: share of the journeys", percent),
    "pain": ("Pain points: lost conversions", count),
    "opportunity": ("Opportunities: conversions regained at the usual exit rate", count),
}


def journey_map(
    answer: MeasuredMap, canvas: Canvas, *, top: int = 3, segment: Segment | None = None
) -> Chart:
    """Draw the map: the stages as columns; journeys, time, touchpoints, emotion, pains and opportunities as rows.

    Parameters
    ----------
    answer : MeasuredMap
        What is drawn.
    canvas : Canvas
        Where.
    top : int
        How many touchpoints, pains and opportunities to show per stage, the largest, of those that the map has.
    segment : mapping, optional
        Which segment or period to show; the first by default.
    """
    if top < 1:
        raise ParameterError(f"top must be at least 1, not {top!r}.")
    parts, title = parts_of(answer, segment, 1), "Customer journey map"
    stages = parts.shown[0].of(answer.stages) if parts.shown else answer.stages.clear()
    notes = [question_of(answer), parts.note]
    if stages.is_empty():
        return canvas.empty(title, notes, "There are no journeys.")
    part = parts.shown[0]
    all_of = {row: _all_of(answer, row, part) for row in ITEMS}
    drawn = _Drawn(canvas, stages, part.of(answer.frame), all_of, top, answer.context.labels.columns)
    if part.name:
        title = f"{title}: {part.name}"
    said = [_of(answer, stages), *notes, *drawn.notes()]
    return canvas.chart(title, said, drawn.panels(), gap=GAP, bottom=24, bargap=0.3, barmode="overlay")


def _of(answer: MeasuredMap, stages: pl.DataFrame) -> str:
    units, reached = (int(stages[name].max() or 0) for name in ("units", "reached"))  # type: ignore[arg-type]
    level = percent(answer.context.level)
    return f"Of {units:,} journeys, {reached:,} of them with a stage. Lines, bands and brackets: intervals of {level}."


def _all_of(answer: MeasuredMap, row: str, part: Part) -> pl.Series:
    """Return the stage of everything that a row could show."""
    frame, column = {
        "touchpoint": (answer.answers["touchpoints"].frame, "journeys"),
        "pain": (answer.pain_points, "lost_conversions"),
        "opportunity": (answer.opportunities, "regained_conversions"),
    }[row]
    return part.of(frame).filter(pl.col(column) > 0, pl.col("stage").is_not_null())["stage"]


class _Drawn:
    """The rows of one map."""

    def __init__(
        self, canvas: Canvas, stages: pl.DataFrame, rows: pl.DataFrame, all_of: Mapping[str, pl.Series], top: int,
        labels: Sequence[str],
    ) -> None:  # fmt: skip
        self.canvas, self.theme, self.top, self.labels = canvas, canvas.theme, top, labels
        self.left_stages = max(0, stages.height - MOST_STAGES)
        self.stages = stages.head(MOST_STAGES)
        self.names = self.stages["stage"].to_list()
        self.rows = rows.filter(pl.col("stage").is_in(self.names))
        self.width = max(6, int((WIDTH / len(self.names) - 6) / LETTER))
        self.left_items = {row: len(stages_) - self._shown(row).height for row, stages_ in all_of.items()}

    def notes(self) -> list[str]:
        """Say what the rows leave out, and how to read them."""
        more = ", ".join(f"{MANY[row]} ({n:,})" for row, n in self.left_items.items() if n > 0)
        return [
            f"Up to {self.top:,} of each in a stage; left out: {more}." if more else "",
            f"The last {self.left_stages:,} stages are left out." if self.left_stages else "",
            "" if self._felt else "There are no ratings to draw an emotion of.",
            RESPONDERS if self._felt else "",
            ASSOCIATIONS if self._of("pain").height else "",
        ]

    def panels(self) -> list[Panel]:
        """Return the rows that have anything in them, from top to bottom."""
        found = [self._heads(), self._journeys(), self._time(), self._items("touchpoint")]
        if self._felt:
            found.append(self._emotion())
        return [
            each for each in [*found, self._items("pain"), self._items("opportunity")] if each is not None
        ]

    @property
    def _felt(self) -> bool:
        return self.stages["emotion"].null_count() < self.stages.height

    @property
    def _across(self) -> dict[str, Any]:
        """The axis that all rows share: a column per stage, unnamed."""
        return {
            "range": [-0.5, len(self.names) - 0.5], "tickvals": [i + 0.5 for i in range(len(self.names) - 1)],
            "showticklabels": False, "ticks": "", "zeroline": False, "showgrid": True, "linecolor": self.theme.grid,
            "matches": "x", "fixedrange": True,
        }  # fmt: skip

    def _heads(self) -> Panel:
        """Write the names of the stages, and under them what users want."""
        goals = dict(self.rows.filter(pl.col("row") == "goal").select("stage", "text").iter_rows())
        texts = [wrapped(plain(goals[name]), self.width) if goals.get(name) else [] for name in self.names]
        heads = [
            self._head(name, short)
            for name, short in zip(self.names, labels(self.names, self.width), strict=True)
        ]
        deepest = max(len(head) + len(text) for head, text in zip(heads, texts, strict=True))
        said = [
            "<br>".join([*(f"<b>{line}</b>" for line in head), *(escaped(line) for line in text)])
            for head, text in zip(heads, texts, strict=True)
        ]
        marks = [
            {"x": i, "y": 1, "yanchor": "top", "text": text, "hovertext": whole(name), "font": {"size": 12}}
            for i, (text, name) in enumerate(zip(said, self.names, strict=True))
        ]
        hidden = {"visible": False, "range": [0, 1], "fixedrange": True}
        across = {key: value for key, value in self._across.items() if key != "matches"}
        colour = {
            "type": "bar",
            "x": list(range(len(said))),
            "y": [1] * len(said),
            "width": 0.98,
            "hoverinfo": "skip",
        }
        colour["marker"] = {"color": self.theme.faint(self.theme.colours[0], 0.16), "line": {"width": 0}}
        return Panel(
            [colour],
            HEAD + 16 * (deepest - 1),
            "",
            {**across, "showgrid": False, "showline": False},
            hidden,
            marks,
        )

    def _head(self, name: str, short: str) -> list[str]:
        """Return the lines of a name: up to three if they hold it, else one with what has room."""
        whole_ = wrapped(plain(name), self.width)
        return [escaped(line) for line in whole_] if len(whole_) <= 3 else [short]

    def _told(self) -> list[str]:
        return hovers(
            self.stages.select("stage", *NUMBERS_TOLD), [plain(name) for name in self.names], self.labels
        )

    def _journeys(self) -> Panel:
        """Draw a bar per stage."""
        visited = self.stages["visited"].to_list()
        texts = [
            f"{count(n)} ({percent(share)})" if self.width > 10 else count(n)
            for n, share in self.stages.select("visited", "visited_share").iter_rows()
        ]
        trace = {
            "type": "bar", "x": list(range(len(visited))), "y": visited, "hovertext": self._told(), "hoverinfo": "text",
            "marker": {"color": self.theme.colours[0]}, "textposition": "none",
        }  # fmt: skip
        axis = {"range": [0, 1.3 * (max(visited) or 1)], "nticks": 3, "fixedrange": True}
        return Panel(
            [trace], NUMBERS, "Journeys that were there", self._across, axis, self._above(visited, texts)
        )

    def _above(self, at: Sequence[float], texts: Sequence[str]) -> list[dict[str, Any]]:
        return [
            {"x": i, "y": y, "text": text, "yanchor": "bottom", "yshift": 2, "font": {"size": 11}}
            for i, (y, text) in enumerate(zip(at, texts, strict=True))
        ]

    def _time(self) -> Panel:
        """Draw the median time on an axis from seconds to months; where half have not left yet there is none."""
        names = ("dwell_median", "dwell_median_low", "dwell_median_high")
        values, low, high = ([_height(each) for each in self.stages[name]] for name in names)
        series = Series("", list(range(len(values))), values, low, high, self._told())
        trace = {
            "type": "scatter", "mode": "markers", "x": series.at, "y": series.values, "hovertext": series.hover,
            "hoverinfo": "text", "error_y": series.error(self.theme.ink),
            "marker": {"color": self.theme.colours[0], "size": 9},
        }  # fmt: skip
        stays = "<br>".join(wrapped(STILL_THERE, self.width))
        texts = [
            stays if each == float("inf") else "" if each is None else duration(each)
            for each in self.stages["dwell_median"]
        ]
        tops = [max(value or 0.0, end or 0.0) for value, end in zip(values, high, strict=True)]
        most = max([*tops, 1.0])
        marks = [(_height(length) or 0.0, f"1 {unit}") for length, unit in reversed(UNITS)]
        axis = {
            "range": [0, 1.35 * most], "tickvals": [at for at, _ in marks], "ticktext": [name for _, name in marks],
            "fixedrange": True,
        }  # fmt: skip
        title = "Median time in the stage"
        return Panel([trace], NUMBERS + 10, title, self._across, axis, self._above(tops, texts))

    def _emotion(self) -> Panel:
        series = Series.of("emotion", list(range(len(self.names))), self.stages, FELT, self._told())
        panel = lines(self.canvas, [series], "number", "")
        rated = [
            {
                "x": i, "y": -1.05, "yanchor": "bottom", "font": {"size": 11, "color": self.theme.muted},
                "text": f"{count(ratings)} rating{'' if ratings == 1 else 's'}" if self.width > 10 else count(ratings),
            }
            for i, ratings in enumerate(self.stages["ratings"])
        ]  # fmt: skip
        up = {
            **SCALE,
            "title": {"text": ""},
            "zerolinecolor": self.theme.muted,
            "fixedrange": True,
            "range": [-1.3, 1.1],
        }
        return Panel(
            panel.traces, CURVE, "Emotion, from -1 to 1, and how many ratings", self._across, up, rated
        )

    def _of(self, row: str) -> pl.DataFrame:
        return self.rows.filter(pl.col("row") == row, pl.col("value").is_not_null())

    def _shown(self, row: str) -> pl.DataFrame:
        """Return the first things of every stage, and in which slot each stands."""
        slot = pl.int_range(pl.len()).over("stage").alias("slot")
        return self._of(row).with_columns(slot).filter(pl.col("slot") < self.top)

    def _items(self, row: str) -> Panel | None:
        """Draw the first things of every stage below each other: a bar, the name and the number on it."""
        title, write = ITEMS[row]
        frame = self._shown(row)
        if frame.is_empty():
            return None
        most: Any = frame["value"].abs().max()
        places = {name: i for i, name in enumerate(self.names)}
        left = [places[name] - INSIDE for name in frame["stage"]]
        lengths = [2 * INSIDE * abs(value) / (most or 1.0) for value in frame["value"]]
        told = [self._item_told(each, row, write) for each in frame.iter_rows(named=True)]
        bars = {
            "type": "bar", "orientation": "h", "base": left, "x": lengths, "y": frame["slot"].to_list(), "width": 0.86,
            "hovertext": told, "hoverinfo": "text", "textposition": "none",
            "marker": {"color": self.theme.faint(self.theme.colour(COLOURS[row]), 0.3), "line": {"width": 0}},
        }  # fmt: skip
        texts = {
            "type": "scatter", "mode": "text", "x": [x + 0.01 for x in left],
            "y": frame["slot"].to_list(), "textposition": "middle right",
            "text": [self._item(each, write) for each in frame.iter_rows(named=True)], "hovertext": told,
            "hoverinfo": "text", "textfont": {"size": 11, "color": self.theme.ink}, "cliponaxis": False,
        }  # fmt: skip
        deepest: Any = frame["slot"].max()
        down = {
            "range": [deepest + 0.5, -0.5], "showticklabels": False, "showgrid": False, "zeroline": False, "ticks": "",
            "fixedrange": True,
        }  # fmt: skip
        return Panel([bars, texts], SLOT * (deepest + 1), title, self._across, down)

    def _item(self, row: dict[str, Any], write: Callable[[Any], str]) -> str:
        """Write a name, and under it the number, with its interval where there is room."""
        value, ends = write(row["value"]), interval(row["low"], row["high"], write)
        number = f"{value}{ends}" if len(value) + len(ends) <= self.width else value
        return f"{label(row['item'], self.width)}<br>{escaped(number)}"

    @staticmethod
    def _item_told(row: dict[str, Any], kind: str, write: Callable[[Any], str]) -> str:
        """Write on hover the whole name, the number with its interval, of how many, and what goes with it."""
        ends = interval(row["low"], row["high"], write)
        told = [f"<b>{whole(row['item'])}</b>", escaped(f"{TOLD[kind][0]}: {write(row['value'])}{ends}")]
        told += [] if row["n"] is None else [f"{TOLD[kind][1]}: {count(row['n'])}"]
        with_it = CALLED.get(row["text"], row["text"]) if kind == "pain" else row["text"]
        told += [] if with_it is None else [f"{TOLD[kind][2]}: {whole(with_it)}"]
        return "<br>".join(told)


NUMBERS_TOLD = (
    "visits", "visited", "^visited_share.*$", "^reached_share.*$", "^dwell_median.*$", "converted",
    "^conversion_rate.*$", "abandoned", "^abandonment_rate.*$", "ratings", "^emotion.*$", "^coverage.*$",
)  # fmt: skip
MANY = {"touchpoint": "touchpoints", "pain": "pains", "opportunity": "opportunities"}
COLOURS = {"touchpoint": 0, "pain": 1, "opportunity": 2}
TOLD = {
    "touchpoint": ("share of the journeys", "journeys", "most through"),
    "pain": ("lost conversions", "visits", "most of it goes with"),
    "opportunity": ("regained conversions", "visits", ""),
}


def _height(seconds: float | None) -> float | None:
    """Return where a time stands on an axis that has room for seconds and for months; none for what never ends."""
    return log10(1 + seconds) if seconds is not None and isfinite(seconds) else None
