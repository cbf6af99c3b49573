"""Icicles and sunbursts: whole paths that begin alike share their beginning."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

from journeykit.charts.canvas import Canvas, Panel
from journeykit.charts.chart import Chart
from journeykit.charts.general import question_of
from journeykit.charts.parts import Segment, parts_of
from journeykit.charts.sankey import colours_of
from journeykit.charts.text import count, labels, percent, whole
from journeykit.charts.theme import Theme
from journeykit.errors import ParameterError
from journeykit.statistics.paths.table import PathTable

Kind = Literal["icicle", "sunburst"]
KINDS: tuple[Kind, ...] = ("icicle", "sunburst")
MOST_PANELS, HEIGHT = 3, 460
ROOT = "all"


@dataclass
class _Tree:
    """The nodes of an icicle, parents before their children."""

    ids: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    parents: list[str] = field(default_factory=list)
    values: list[int] = field(default_factory=list)

    def add(self, node: str, name: str, parent: str, value: int) -> None:
        """Add to a node, which is made when it is first met."""
        if node in self.ids:
            self.values[self.ids.index(node)] += value
            return
        self.ids.append(node)
        self.names.append(name)
        self.parents.append(parent)
        self.values.append(value)


def paths(
    answer: PathTable, canvas: Canvas, *, kind: Kind = "icicle", top: int = 30, steps: int = 7,
    segment: Segment | None = None,
) -> Chart:  # fmt: skip
    """Draw the most frequent paths as a tree of what comes after what.

    Parameters
    ----------
    answer : PathTable
        What is drawn.
    canvas : Canvas
        Where.
    kind : {"icicle", "sunburst"}
        From left to right, or from the middle outwards.
    top : int
        How many paths to show; the others are one piece.
    steps : int
        How many events of a path to show.
    segment : mapping, optional
        Which segments or periods to show; the first three by default.
    """
    if kind not in KINDS:
        raise ParameterError.choice("kind", kind, KINDS)
    if top < 1 or steps < 1:
        raise ParameterError(f"top and steps must be at least 1, not {top!r} and {steps!r}.")
    parts, panels, shown, all_, longer = parts_of(answer, segment, MOST_PANELS), [], 0, 0, 0
    for part in parts.shown:
        frame = part.of(answer.frame).head(top)
        if frame.is_empty():
            continue
        known: Any = part.of(answer.distinct)["count"].sum()
        here = int(frame["count"].sum())
        total = max(int(known or 0), here)
        shown, all_ = shown + here, all_ + total
        longer += frame.filter(pl.col("path").list.len() > steps).height
        panels.append(_panel(canvas.theme, _tree(frame, here, steps), total, kind, part.name))
    title = "Most frequent paths, by what they begin with"
    notes = [question_of(answer), f"{shown:,} of {all_:,} paths are shown; shares are of all."]
    cut = f"{longer:,} of them are longer than the {steps:,} steps shown." if longer else ""
    return (
        canvas.chart(title, [*notes, cut, parts.note], panels, bottom=20)
        if panels
        else canvas.empty(title, notes)
    )


def _tree(frame: pl.DataFrame, here: int, steps: int) -> _Tree:
    tree = _Tree()
    tree.add(ROOT, "paths shown", "", here)
    for path, occurrences in frame.select("path", "count").iter_rows():
        node = ROOT
        for name in path[:steps]:
            parent, node = node, f"{node}/{len(name)}:{name}"
            tree.add(node, name, parent, occurrences)
    return tree


def _panel(theme: Theme, tree: _Tree, total: int, kind: Kind, title: str) -> Panel:
    above = dict(zip(tree.ids, tree.values, strict=True))
    by_name: dict[str, int] = {}
    for node, name, value in zip(tree.ids, tree.names, tree.values, strict=True):
        if node != ROOT:
            by_name[name] = by_name.get(name, 0) + value
    colours = colours_of(theme, sorted(by_name, key=lambda name: -by_name[name]))
    told = [
        f"<b>{whole(name)}</b><br>paths: {count(value)} ({percent(value / (total or 1))} of all"
        + (f", {percent(value / (above[parent] or 1))} of those that came so far)" if parent else ")")
        for name, parent, value in zip(tree.names, tree.parents, tree.values, strict=True)
    ]
    numbers = {node: str(i) for i, node in enumerate(tree.ids)}
    trace: dict[str, Any] = {
        "type": kind, "ids": [numbers[node] for node in tree.ids], "branchvalues": "total", "sort": True,
        "parents": [numbers.get(parent, "") for parent in tree.parents], "values": tree.values,
        "labels": labels(tree.names, 22), "hovertext": told, "hoverinfo": "text",
        "text": [percent(value / (total or 1)) for value in tree.values], "textinfo": "label+text",
        "insidetextorientation": "radial",
        "marker": {
            "colors": [
                theme.grid if node == ROOT else colours[name]
                for node, name in zip(tree.ids, tree.names, strict=True)
            ],
            "line": {"width": 1, "color": theme.paper},
        },
    }  # fmt: skip
    if kind == "icicle":
        trace = {key: value for key, value in trace.items() if key != "insidetextorientation"}
        trace |= {
            "tiling": {"orientation": "h"},
            "root": {"color": theme.grid},
            "pathbar": {"visible": False},
        }
    return Panel([trace], HEIGHT, title, domain=True)
