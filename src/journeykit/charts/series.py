"""Numbers with their intervals, as bars, as dots and as lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

from journeykit.charts.canvas import Canvas, Panel
from journeykit.charts.text import (
    LABEL,
    UNITS,
    count,
    duration,
    interval,
    label,
    labels,
    percent,
    whole,
    words,
)

Kind = Literal["share", "seconds", "count", "number"]
SECONDS = (
    "time_",
    "total_time_",
    "dwell",
    "active_dwell",
    "duration",
    "silence",
    "recency",
    "survival_median",
)
ROW, BAR = 30, 22
"""Height of a row of dots, and of each bar of a row, in pixels."""
LONGEST_HOVER, MOST_BANDS = 14, 3


@dataclass(frozen=True)
class Estimate:
    """A column of a frame, with the columns of its interval if it has one."""

    column: str
    low: str | None
    high: str | None
    kind: Kind

    def write(self, value: Any) -> str:
        """Write one of its values."""
        return written_as(self.kind, value)


def written_as(kind: Kind, value: Any) -> str:
    """Write a number of a kind."""
    return {"share": percent, "seconds": duration, "count": count, "number": count}[kind](value)


def estimates(frame: pl.DataFrame, left_out: Sequence[str] = ()) -> list[Estimate]:
    """Return the numbers of a frame, in the order of its columns, each with its interval.

    ``low`` and ``high`` belong to the nearest float before them.
    """
    found: list[Estimate] = []
    bounds = {name for name in frame.columns if name.endswith(("_low", "_high")) or name in {"low", "high"}}
    names = [name for name in frame.columns if name not in bounds and name not in left_out]
    for name in names:
        dtype = frame.schema[name]
        if not dtype.is_numeric():
            continue
        low, high = f"{name}_low", f"{name}_high"
        if (
            low not in bounds
            and "low" in bounds
            and frame.columns.index("low") == frame.columns.index(name) + 1
        ):
            low, high = "low", "high"
        has = low in bounds and high in bounds
        found.append(Estimate(name, low if has else None, high if has else None, kind_of(frame, name)))
    return found


def kind_of(frame: pl.DataFrame, name: str) -> Kind:
    """Say what the numbers of a column are, by its type, its name and its values."""
    if frame.schema[name].is_integer():
        return "count"
    if name.startswith(SECONDS):
        return "seconds"
    values = frame[name].drop_nulls()
    shared = any(
        part in name for part in ("rate", "share", "probability", "conversion", "certainty", "stability")
    )
    if shared and len(values) and values.min() >= 0 and values.max() <= 1:  # type: ignore[operator]
        return "share"
    return "number"


@dataclass(frozen=True)
class Series:
    """The numbers of one thing.

    Attributes
    ----------
    name : str
        Of the series, not yet escaped.
    at : list
        Where they stand: rows, or times.
    values : list of float or None
        The numbers.
    low, high : list of float or None, optional
        Their intervals.
    hover : list of str
        What to show on hover, ready for plotly.
    """

    name: str
    at: Sequence[Any]
    values: Sequence[float | None]
    low: Sequence[float | None] | None = None
    high: Sequence[float | None] | None = None
    hover: Sequence[str] = field(default_factory=tuple)

    @classmethod
    def of(
        cls, name: str, at: Sequence[Any], frame: pl.DataFrame, value: Estimate, hover: Sequence[str]
    ) -> Series:
        """Make it from the rows of a frame."""
        low, high = (frame[each].to_list() if each else None for each in (value.low, value.high))
        return cls(name, at, frame[value.column].to_list(), low, high, hover)

    def error(self, theme_muted: str) -> dict[str, Any] | None:
        """Return the interval as plotly takes it: what is above and below the number."""
        if self.low is None or self.high is None:
            return None
        sides = [_reach(self.values, ends) for ends in (self.high, self.low)]
        return {
            "type": "data", "symmetric": False, "array": sides[0], "arrayminus": sides[1], "thickness": 1.5,
            "width": 4, "color": theme_muted,
        }  # fmt: skip


def _reach(values: Sequence[float | None], ends: Sequence[float | None]) -> list[float]:
    """Return how far ends are from their numbers; 0 where one of them is unknown."""
    both = zip(values, ends, strict=True)
    return [0.0 if value is None or end is None else abs(end - value) for value, end in both]


def hovers(frame: pl.DataFrame, names: Sequence[object], left_out: Sequence[str] = ()) -> list[str]:
    """Return for every row its name and its numbers, with their intervals, in lines."""
    numbers = estimates(frame, left_out)[:LONGEST_HOVER]
    told = []
    for name, row in zip(names, frame.iter_rows(named=True), strict=True):
        rows = [f"<b>{whole(name)}</b>"]
        for each in numbers:
            if row[each.column] is not None:
                ends = interval(row[each.low], row[each.high], each.write) if each.low and each.high else ""
                rows.append(f"{words(each.column)}: {each.write(row[each.column])}{ends}")
        told.append("<br>".join(rows))
    return told


def axis_of(kind: Kind, title: str, values: Sequence[float | None]) -> tuple[dict[str, Any], float]:
    """Return the axis of numbers of a kind, with its unit, and what they are divided by."""
    if kind == "share":
        return {"title": {"text": f"{title} (%)"}, "rangemode": "tozero"}, 0.01
    if kind == "seconds":
        largest = max(
            (abs(value) for value in values if value is not None and value != float("inf")), default=0
        )
        length, unit = next((each for each in UNITS if largest >= 2 * each[0]), UNITS[-1])
        return {"title": {"text": f"{title} ({unit})"}, "rangemode": "tozero"}, length
    return {"title": {"text": title}, "rangemode": "tozero"}, 1.0


def scaled(values: Sequence[float | None] | None, by: float) -> list[float | None] | None:
    """Divide numbers."""
    return None if values is None else [None if value is None else value / by for value in values]


def _divided(series: Series, by: float) -> Series:
    values = scaled(series.values, by) or []
    return Series(
        series.name, series.at, values, scaled(series.low, by), scaled(series.high, by), series.hover
    )


def bars(
    canvas: Canvas, names: Sequence[str], series: Sequence[Series], kind: Kind, title: str, *, stacked: bool = False,
    width: int = LABEL,
) -> Panel:  # fmt: skip
    """Draw rows of bars, the first on top; `at` of the series counts rows.

    Parameters
    ----------
    canvas : Canvas
        Gives the colours.
    names : sequence of str
        Of the rows, not yet escaped.
    series : sequence of Series
        A bar of every row each.
    kind : {"share", "seconds", "count", "number"}
        Of the numbers.
    title : str
        Of their axis.
    stacked : bool
        Whether the bars of a row stand one after the other.
    width : int
        Of the longest name, in characters.

    Returns
    -------
    Panel
        As high as its rows.
    """
    theme = canvas.theme
    axis, by = axis_of(kind, title, [value for each in series for value in each.values])
    traces = [
        {
            "type": "bar", "orientation": "h", "y": each.at, "x": each.values, "name": label(each.name),
            "error_x": each.error(theme.ink), "hovertext": each.hover, "hoverinfo": "text", "textposition": "none",
            "marker": {"color": theme.colour(i), "line": {"width": 0}}, "legendgroup": label(each.name),
        }
        for i, each in enumerate(_divided(each, by) for each in series)
    ]  # fmt: skip
    per_row = 1 if stacked else max(1, len(series))
    height = max(90, len(names) * (BAR * per_row + 10))
    return Panel(traces, height, xaxis=axis, yaxis=rows_axis(names, width))


def dots(canvas: Canvas, names: Sequence[str], series: Sequence[Series], kind: Kind, title: str) -> Panel:
    """Draw rows of dots with intervals, the first on top; parameters as of `bars`."""
    theme = canvas.theme
    axis, by = axis_of(kind, title, [value for each in series for value in each.values])
    traces = [
        {
            "type": "scatter", "mode": "markers", "y": each.at, "x": each.values, "name": label(each.name),
            "error_x": each.error(theme.muted), "hovertext": each.hover, "hoverinfo": "text",
            "marker": {"color": theme.colour(i), "size": 9},
        }
        for i, each in enumerate(_divided(each, by) for each in series)
    ]  # fmt: skip
    axis = {key: value for key, value in axis.items() if key != "rangemode"}
    return Panel(traces, max(90, len(names) * ROW), xaxis=axis, yaxis=rows_axis(names))


def rows_axis(names: Sequence[str], width: int = LABEL) -> dict[str, Any]:
    """Return an axis of rows by number, the first on top, named; alike names stay apart."""
    return {
        "tickvals": list(range(len(names))), "ticktext": labels(names, width),
        "range": [len(names) - 0.5, -0.5], "showgrid": False, "zeroline": False, "ticks": "",
        "ticklabelstandoff": 6,
    }  # fmt: skip


def lines(canvas: Canvas, series: Sequence[Series], kind: Kind, title: str, time: str = "") -> Panel:
    """Draw numbers over time, or another number; with the bands of their intervals, of up to three.

    Parameters
    ----------
    canvas : Canvas
        Gives the colours.
    series : sequence of Series
        `at` in ascending order.
    kind : {"share", "seconds", "count", "number"}
        Of the numbers.
    title, time : str
        Of the axes.

    Returns
    -------
    Panel
        360 pixels high.
    """
    theme = canvas.theme
    axis, by = axis_of(kind, title, [value for each in series for value in each.values])
    traces: list[dict[str, Any]] = []
    for i, each in enumerate(_divided(each, by) for each in series):
        colour = theme.colour(i)
        if len(series) <= MOST_BANDS:
            traces += band(each, theme.faint(colour, 0.16))
        traces.append(
            {
                "type": "scatter", "mode": "lines+markers" if len(each.at) <= 60 else "lines", "x": each.at,
                "y": each.values, "name": label(each.name), "legendgroup": label(each.name), "hovertext": each.hover,
                "hoverinfo": "text", "line": {"color": colour, "width": 2}, "marker": {"size": 5},
            }
        )  # fmt: skip
    return Panel(traces, 360, xaxis={"title": {"text": time}}, yaxis=axis)


def band(series: Series, colour: str, shape: str = "linear") -> list[dict[str, Any]]:
    """Return the area between the ends of intervals; where there is none, it has no width."""
    if series.low is None or series.high is None:
        return []
    edge = {
        "type": "scatter", "mode": "lines", "x": series.at, "line": {"width": 0, "shape": shape},
        "hoverinfo": "skip", "showlegend": False, "legendgroup": label(series.name),
    }  # fmt: skip
    low, high = (
        [value if end is None else end for value, end in zip(series.values, ends, strict=True)]
        for ends in (series.low, series.high)
    )
    return [{**edge, "y": low}, {**edge, "y": high, "fill": "tonexty", "fillcolor": colour}]
