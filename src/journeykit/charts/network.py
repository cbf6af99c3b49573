"""Transition graphs: states in layers from START to END, edges as wide as their volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from journeykit.charts.canvas import Canvas, Panel
from journeykit.charts.chart import Chart
from journeykit.charts.general import question_of, source_of
from journeykit.charts.layered import layered
from journeykit.charts.parts import Part, Segment, parts_of
from journeykit.charts.text import count, duration, interval, labels, percent, whole
from journeykit.charts.theme import Theme
from journeykit.errors import ParameterError, UnknownNameError
from journeykit.models.chains.answer import ChainAnswer
from journeykit.statistics.base import Answer
from journeykit.statistics.paths.walk import OTHER
from journeykit.statistics.transitions.graph import END, START, TransitionGraph

ENDS = (END, "<CONVERT>", "<ABANDON>")
MOST_PANELS, HEIGHT = 3, 470
CURVE = np.linspace(0.0, 1.0, 25)
LARGEST_STATE, SMALLEST_STATE, WIDEST, NARROWEST = 38.0, 9.0, 12.0, 0.8
Colour = Literal["probability", "difference"]


@dataclass(frozen=True)
class Network:
    """A graph to draw.

    Attributes
    ----------
    edges : polars.DataFrame
        ``source``, ``target``, ``transitions``, ``probability``, ``low``, ``high`` and ``hover``; with a colour of
        their own also ``difference``.
    states : polars.DataFrame
        ``state``, ``visits`` and ``hover``.
    merged : int
        How many states stand together as other.
    left_out : int
        Edges that are not shown.
    """

    edges: pl.DataFrame
    states: pl.DataFrame
    merged: int = 0
    left_out: int = 0


def graph(
    answer: TransitionGraph | ChainAnswer,
    canvas: Canvas,
    *,
    top: int = 15,
    edges: int = 32,
    min_count: int = 1,
    min_probability: float = 0.0,
    focus: str | None = None,
    segment: Segment | None = None,
) -> Chart:
    """Draw the transitions between states.

    Parameters
    ----------
    answer : TransitionGraph or ChainAnswer
        What is drawn.
    canvas : Canvas
        Where.
    top : int
        States with the most visits to show by themselves; the others stand together as ``<OTHER>``.
    edges : int
        How many edges to show, those with the most transitions.
    min_count, min_probability : int, float
        Thresholds below which an edge is not shown.
    focus : str, optional
        Show the edges into and out of this state only.
    segment : mapping, optional
        Which segments or periods to show; the first three by default.
    """
    _check(answer, top, edges, focus)
    parts = parts_of(answer, segment, MOST_PANELS)
    panels, merged, left_out = [], 0, 0
    for part in parts.shown:
        made = _network(answer, part, top, focus)
        made = _thinned(made, edges, min_count, min_probability)
        if not made.edges.is_empty():
            panels.append(draw(canvas, made, part.name))
            merged, left_out = max(merged, made.merged), left_out + made.left_out
    title = f"{'Moves' if isinstance(answer, ChainAnswer) else 'Transitions'} between states" + (
        f" at {focus}" if focus else ""
    )
    said = [question_of(answer), source_of(answer.context)]
    if not panels:
        return canvas.empty(title, said, "No transition is left to show.")
    look = "Width: transitions. Colour: probability of the target after the source."
    return canvas.chart(title, [*said, look, _said(merged, left_out, top), parts.note], panels, bottom=70)


def _check(answer: TransitionGraph | ChainAnswer, top: int, edges: int, focus: str | None) -> None:
    if top < 1 or edges < 1:
        raise ParameterError(f"top and edges must be at least 1, not {top!r} and {edges!r}.")
    known = pl.concat([answer.frame["source"], answer.frame["target"]]).unique()
    if focus is not None and focus not in known:
        raise UnknownNameError("state", [focus], sorted(known), advice="")


def _said(merged: int, left_out: int, top: int) -> str:
    """Say what is not shown by itself."""
    others = (
        f"The {top:,} most visited states by themselves; {merged:,} others are {OTHER}." if merged else ""
    )
    left = f"{left_out:,} rarer edges are left out." if left_out else ""
    return " ".join(filter(None, (others, left)))


def _network(answer: TransitionGraph | ChainAnswer, part: Part, top: int, focus: str | None) -> Network:
    """Take the rows of a segment, and put the rarest states together."""
    frame, states = part.of(answer.frame), part.of(answer.states)
    visits = states.select("state", pl.col("visits").fill_null(0))
    kept = [START, *ENDS]
    inner = visits.filter(~pl.col("state").is_in(kept)).sort("visits", descending=True, maintain_order=True)
    shown = {*kept, *inner["state"].head(top), *([focus] if focus else [])}
    merged = {*frame["source"], *frame["target"]} - shown
    if len(merged) == 1:
        shown, merged = shown | merged, set()
    if merged:
        frame = _with_other(frame, shown, visits)
    if focus:
        frame = frame.filter((pl.col("source") == focus) | (pl.col("target") == focus))
    return Network(
        frame.with_columns(hover=_edge_hovers(frame)), _states(frame, visits, len(merged)), len(merged)
    )


def _with_other(frame: pl.DataFrame, shown: set[str], visits: pl.DataFrame) -> pl.DataFrame:
    """Put edges of states that are not shown together; probabilities are of the moves that leave."""
    kept = pl.col("source").is_in(list(shown)) & pl.col("target").is_in(list(shown))
    leaving = visits.filter(~pl.col("state").is_in(list(shown)))["visits"].sum() or 1
    named = frame.filter(~kept).with_columns(
        pl.when(pl.col(side).is_in(list(shown))).then(side).otherwise(pl.lit(OTHER)).alias(side)
        for side in ("source", "target")
    )
    together = named.group_by("source", "target", maintain_order=True).agg(
        pl.col("transitions").sum(), pl.col("probability").sum()
    )
    of_other = pl.col("transitions") / leaving
    together = together.with_columns(
        pl.when(pl.col("source") == OTHER).then(of_other).otherwise("probability").alias("probability")
    )
    return pl.concat([frame.filter(kept), together], how="diagonal_relaxed")


def _states(frame: pl.DataFrame, visits: pl.DataFrame, merged: int) -> pl.DataFrame:
    """Return the states of the edges, with their visits: those of START and ends by what leaves or enters them."""
    names = pl.concat([frame["source"], frame["target"]]).unique(maintain_order=True)
    entered = frame.group_by("target").agg(pl.col("transitions").sum().alias("entered"))
    left = frame.group_by("source").agg(pl.col("transitions").sum().alias("left"))
    table = (
        pl.DataFrame({"state": names})
        .join(visits, on="state", how="left", maintain_order="left")
        .join(entered, left_on="state", right_on="target", how="left", maintain_order="left")
        .join(left, left_on="state", right_on="source", how="left", maintain_order="left")
        .with_columns(pl.coalesce("visits", pl.max_horizontal("entered", "left")).alias("visits"))
    )
    told = [
        f"<b>{whole(state)}{f' ({merged:,} states)' if state == OTHER else ''}</b><br>visits: {count(number)}"
        for state, number in table.select("state", "visits").iter_rows()
    ]
    return table.select("state", "visits").with_columns(pl.Series("hover", told, dtype=pl.String))


def _edge_hovers(frame: pl.DataFrame) -> pl.Series:
    """Write what is known of every edge."""
    told = []
    for row in frame.iter_rows(named=True):
        rows = [
            f"<b>{whole(row['source'])}</b> to <b>{whole(row['target'])}</b>",
            f"transitions: {count(row['transitions'])}",
            f"probability: {percent(row['probability'])}{interval(row.get('low'), row.get('high'))}",
        ]
        for name, write in (
            ("users", count),
            ("sessions", count),
            ("leverage", count),
            ("time_mean", duration),
        ):
            if row.get(name) is not None:
                rows.append(f"{name.replace('_', ' ')}: {write(row[name])}")
        told.append("<br>".join(rows))
    return pl.Series("hover", told, dtype=pl.String)


def _thinned(made: Network, edges: int, min_count: int, min_probability: float | None) -> Network:
    enough = [pl.col("transitions") >= min_count]
    if min_probability is not None:
        enough.append(pl.col("probability").fill_null(0) >= min_probability)
    kept = made.edges.filter(*enough).sort("transitions", descending=True, maintain_order=True).head(edges)
    names = pl.concat([kept["source"], kept["target"]])
    states = made.states.filter(pl.col("state").is_in(names.implode()))
    return Network(kept, states, made.merged, made.edges.height - kept.height)


def draw(canvas: Canvas, network: Network, title: str, colour: Colour = "probability") -> Panel:
    """Draw a graph, colours by a column of its edges."""
    names = network.states["state"].to_list()
    place = {name: i for i, name in enumerate(names)}
    source, target = ([place[name] for name in network.edges[side]] for side in ("source", "target"))
    weight = network.edges["transitions"].cast(pl.Float64).to_list()
    first = place.get(START)
    ends = [place[name] for name in ENDS if name in place]
    x, y = layered(len(names), source, target, weight, first, ends[0] if len(ends) == 1 else None)
    if len(ends) > 1:
        x, y = _with_ends(x, y, ends)
    most = max(weight, default=1.0) or 1.0
    traces: list[dict[str, Any]] = []
    shades = _shades(canvas.theme, network.edges[colour].fill_null(0.0).to_list(), colour)
    lanes = list(zip(source, target, weight, network.edges["hover"], shades, strict=True))
    for one, other, moves, hover, shade in lanes[::-1]:
        width = NARROWEST + (WIDEST - NARROWEST) * (moves / most) ** 0.5
        traces += _edge(float(x[one]), float(y[one]), float(x[other]), float(y[other]), width, shade, hover)
    traces.append(_nodes(canvas.theme, network.states, x, y))
    traces.append(_scale(canvas.theme, colour, network.edges[colour]))
    hidden = {"visible": False, "fixedrange": False}
    return Panel(
        traces, HEIGHT, title,
        xaxis={**hidden, "range": [-0.08, 1.08]}, yaxis={**hidden, "range": [-0.06, 1.06]},
    )  # fmt: skip


def _with_ends(x: Any, y: Any, ends: Sequence[int]) -> tuple[Any, Any]:
    """Put several ends below each other on the right; all others keep to their left."""
    inner = np.setdiff1d(np.arange(x.size), ends)
    x = x.copy()
    deepest = x[inner].max(initial=0.0) or 1.0
    x[inner] = x[inner] / deepest * 0.86
    x[list(ends)] = 1.0
    y[list(ends)] = 1 - (np.arange(len(ends)) + 0.5) / len(ends)
    return x, y


def _shades(theme: Theme, values: Sequence[float], colour: Colour) -> list[str]:
    if colour == "probability":
        return [theme.between(0.2 + 0.8 * value) for value in values]
    most = max((abs(value) for value in values), default=0.0) or 1.0
    return [theme.between(0.5 + value / most / 2, theme.diverging) for value in values]


def _edge(
    x0: float, y0: float, x1: float, y1: float, width: float, colour: str, hover: str
) -> list[dict[str, Any]]:
    """Draw a curve with its arrow: forward edges bend up, backward ones down, loops stand above their state."""
    if x0 == x1 and y0 == y1:
        turn = np.linspace(-0.5 * np.pi, 1.5 * np.pi, 25)
        xs, ys = x0 + 0.018 * np.cos(turn), y0 + 0.05 + 0.05 * np.sin(turn)
        tip = 18
    else:
        bend = 0.06 + 0.08 * abs(x1 - x0)
        sign = 1.0 if x1 > x0 or (x0 == x1 and y1 > y0) else -1.0
        middle = (x0 + x1) / 2 + (sign * bend if x0 == x1 else 0.0), (y0 + y1) / 2 + sign * bend
        t = CURVE
        xs = (1 - t) ** 2 * x0 + 2 * t * (1 - t) * middle[0] + t**2 * x1
        ys = (1 - t) ** 2 * y0 + 2 * t * (1 - t) * middle[1] + t**2 * y1
        tip = 15
    line = {
        "type": "scatter", "mode": "lines", "x": xs.round(4).tolist(), "y": ys.round(4).tolist(),
        "line": {"width": round(width, 2), "color": colour, "shape": "spline"}, "hoverinfo": "skip",
        "showlegend": False, "opacity": 0.85,
    }  # fmt: skip
    arrow = {
        "type": "scatter", "mode": "markers", "x": xs[[tip - 1, tip]].round(4).tolist(),
        "y": ys[[tip - 1, tip]].round(4).tolist(), "hovertext": hover, "hoverinfo": "text", "showlegend": False,
        "marker": {
            "symbol": "arrow", "angleref": "previous", "size": [0, round(8 + 1.3 * width, 1)], "color": colour,
            "line": {"width": 0},
        },
    }  # fmt: skip
    return [line, arrow]


def _nodes(theme: Theme, states: pl.DataFrame, x: Any, y: Any) -> dict[str, Any]:
    """Draw the states, as large as their visits, with their names."""
    names, visits = states["state"].to_list(), states["visits"].cast(pl.Float64).fill_null(0.0)
    most = float(visits.max() or 1.0)  # type: ignore[arg-type]
    sizes = [SMALLEST_STATE + (LARGEST_STATE - SMALLEST_STATE) * (value / most) ** 0.5 for value in visits]
    virtual = {START, OTHER, *ENDS}
    return {
        "type": "scatter", "mode": "markers+text", "x": x.round(4).tolist(), "y": y.round(4).tolist(),
        "text": [f"<b>{each}</b>" for each in labels(names, 16)], "textposition": "bottom center",
        "textfont": {"size": 12, "color": theme.ink, "shadow": f"0 0 3px {theme.paper}, 0 0 6px {theme.paper}"},
        "hovertext": states["hover"].to_list(), "hoverinfo": "text", "showlegend": False, "cliponaxis": False,
        "marker": {
            "size": sizes, "opacity": 1, "line": {"width": 2, "color": theme.paper},
            "color": [theme.muted if name in virtual else theme.colours[0] for name in names],
        },
    }  # fmt: skip


def _scale(theme: Theme, colour: Colour, values: pl.Series) -> dict[str, Any]:
    """Draw the scale of the colours."""
    most = float(values.fill_null(0).abs().max() or 0.0) or 1.0  # type: ignore[arg-type]
    whole_ = colour == "probability"
    used = (
        [(i / 4, theme.between(0.2 + 0.2 * i)) for i in range(5)]
        if whole_ else [tuple(each) for each in theme.diverging]
    )  # fmt: skip
    return {
        "type": "scatter", "mode": "markers", "x": [None], "y": [None], "hoverinfo": "skip", "showlegend": False,
        "marker": {
            "color": [0.0], "cmin": 0.0 if whole_ else -100 * most, "cmax": 100.0 if whole_ else 100 * most,
            "colorscale": [list(each) for each in used], "showscale": True,
            "colorbar": {
                "orientation": "h", "thickness": 10, "len": 0.4, "x": 0.5, "xanchor": "center", "y": 0,
                "yanchor": "top", "title": {"text": f"{colour} (%)", "side": "top", "font": {"size": 12}},
                "tickfont": {"size": 11}, "outlinewidth": 0,
            },
        },
    }  # fmt: skip


def contrasted(
    answer: Answer,
    found: TransitionGraph,
    rows: pl.DataFrame,
    canvas: Canvas,
    sides: tuple[str, str],
    top: int,
) -> Chart:
    """Draw the graph of two segments together, coloured by how their probabilities differ.

    Parameters
    ----------
    answer : Comparison
        Gives the question.
    found : TransitionGraph
        Of both segments.
    rows : polars.DataFrame
        ``source``, ``target``, ``a``, ``b``, ``difference`` and its interval.
    canvas : Canvas
        Where.
    sides : tuple of str
        What a and b are called.
    top : int
        How many states to show; edges of others are left out.
    """
    moves = found.frame.group_by("source", "target", maintain_order=True).agg(pl.col("transitions").sum())
    visits = found.states.group_by("state", maintain_order=True).agg(pl.col("visits").sum())
    inner = visits.filter(~pl.col("state").is_in([START, *ENDS])).sort(
        "visits", descending=True, maintain_order=True
    )
    shown = pl.Series([START, *ENDS, *inner["state"].head(top)])
    edges = rows.join(moves, on=["source", "target"], how="inner", maintain_order="left").filter(
        pl.col("source").is_in(shown.implode()), pl.col("target").is_in(shown.implode())
    )
    title = f"Transitions: {sides[0]} less {sides[1]}"
    notes = [question_of(answer), source_of(answer.context)]
    if edges.is_empty():
        return canvas.empty(title, notes)
    told = [
        f"<b>{whole(row['source'])}</b> to <b>{whole(row['target'])}</b><br>transitions: {count(row['transitions'])}"
        f"<br>{whole(sides[0])}: {percent(row['a'])}<br>{whole(sides[1])}: {percent(row['b'])}<br>difference: "
        f"{percent(row['difference'])}{interval(row['difference_low'], row['difference_high'])}"
        for row in edges.iter_rows(named=True)
    ]
    edges = edges.with_columns(pl.Series("hover", told, dtype=pl.String))
    made = _thinned(Network(edges, _states(edges, visits, 0)), 40, 1, None)
    left = f"{inner.height - top:,} rarer states are left out." if inner.height > top else ""
    look = (
        "Width: transitions of both. Colour: difference of the probabilities of the target after the source."
    )
    return canvas.chart(title, [*notes, look, left], [draw(canvas, made, "", "difference")], bottom=70)
