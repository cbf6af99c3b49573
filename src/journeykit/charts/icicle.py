"""Icicles and sunbursts: whole paths that begin alike share their beginning."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import islice
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
class _Node:
    """A beginning that paths share: the event that it ends with, and how many paths have it."""

    name: str
    parent: str
    value: int


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


def _tree(frame: pl.DataFrame, here: int, steps: int) -> dict[str, _Node]:
    """Return the nodes by their ids, parents before their children."""
    tree = {ROOT: _Node("paths shown", "", here)}
    for path, occurrences in frame.select("path", "count").iter_rows():
        node = ROOT
        for name in path[:steps]:
            parent, node = node, f"{node}/{len(name)}:{name}"
            tree.setdefault(node, _Node(name, parent, 0)).value += occurrences
    return tree


def _panel(theme: Theme, tree: dict[str, _Node], total: int, kind: Kind, title: str) -> Panel:
    by_name = Counter[str]()
    for node in islice(tree.values(), 1, None):
        by_name[node.name] += node.value
    colours = colours_of(theme, sorted(by_name, key=lambda name: -by_name[name]))
    told = [
        f"<b>{whole(node.name)}</b><br>paths: {count(node.value)} ({percent(node.value / (total or 1))} of all"
        + (
            f", {percent(node.value / (tree[node.parent].value or 1))} of those that came so far)"
            if node.parent
            else ")"
        )
        for node in tree.values()
    ]
    numbers, values = {id_: str(i) for i, id_ in enumerate(tree)}, [node.value for node in tree.values()]
    trace: dict[str, Any] = {
        "type": kind, "ids": list(numbers.values()), "branchvalues": "total", "sort": True,
        "parents": [numbers.get(node.parent, "") for node in tree.values()], "values": values,
        "labels": labels([node.name for node in tree.values()], 22), "hovertext": told, "hoverinfo": "text",
        "text": [percent(value / (total or 1)) for value in values], "textinfo": "label+text",
        "insidetextorientation": "radial",
        "marker": {
            "colors": [
                theme.grid if id_ == ROOT else colours[node.name] for id_, node in tree.items()
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
