"""Sankeys: paths as they part and meet, step by step; moves from stage to stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import polars as pl

from journeykit.charts.canvas import Canvas, Panel
from journeykit.charts.chart import Chart
from journeykit.charts.general import question_of, source_of
from journeykit.charts.parts import PERIOD, Segment, parts_of
from journeykit.charts.river import river
from journeykit.charts.text import count, duration, interval, labels, percent, whole, words
from journeykit.charts.theme import Theme
from journeykit.errors import ParameterError
from journeykit.statistics.paths.flow_table import FlowTable
from journeykit.statistics.paths.walk import END, OTHER, START
from journeykit.statistics.stage_flow.table import StageFlowAnswer

MOST_PANELS, NODE_HEIGHT, LEAST_HEIGHT = 3, 48, 260
KINDS = ("entry", "advance", "skip", "regress", "loop_move", "exit")
Kind = Literal["sankey", "river"]


def flow(answer: FlowTable, canvas: Canvas, *, top: int = 8, segment: Segment | None = None) -> Chart:
    """Draw how paths go on from step to step.

    Parameters
    ----------
    answer : FlowTable
        What is drawn.
    canvas : Canvas
        Where.
    top : int
        How many states to show by themselves, those of most paths; the others stand together at every step.
    segment : mapping, optional
        Which segments or periods to show; the first three by default.
    """
    if top < 1:
        raise ParameterError(f"top must be at least 1, not {top!r}.")
    parts, panels, others = parts_of(answer, segment, MOST_PANELS), [], 0
    for part in parts.shown:
        frame, merged = _merged(part.of(answer.frame), top)
        others = max(others, merged)
        if not frame.is_empty():
            panels.append(_flow(canvas, frame, part.name))
    paths = int(answer.covered["paths"].sum()) if answer.covered.height else 0
    notes = [question_of(answer), f"Of {paths:,} paths. Width: paths that take the move."]
    notes += [f"The {top:,} most frequent states by themselves; {others:,} others are {OTHER}."] * (
        others > 0
    )
    title = "Flow of paths from step to step"
    return canvas.chart(title, [*notes, parts.note], panels) if panels else canvas.empty(title, notes)


def _merged(frame: pl.DataFrame, top: int) -> tuple[pl.DataFrame, int]:
    """Put states of few paths together, and say how many they are; probabilities are of what leaves."""
    sides = pl.concat([frame.select(state=pl.col(side), paths="paths") for side in ("source", "target")])
    inner = (
        sides.filter(~pl.col("state").is_in([START, END, OTHER])).group_by("state").agg(pl.col("paths").sum())
    )
    kept = inner.sort(["paths", "state"], descending=[True, False])["state"].head(top).to_list()
    if inner.height <= len(kept):
        return frame, 0
    own = pl.Series([START, END, *kept]).implode()
    named = frame.with_columns(
        pl.when(pl.col(side).is_in(own)).then(side).otherwise(pl.lit(OTHER)).alias(side)
        for side in ("source", "target")
    )
    sources = frame.unique(["step", "source"]).with_columns(
        pl.when(pl.col("source").is_in(own)).then("source").otherwise(pl.lit(OTHER)).alias("source")
    )
    leaving = sources.group_by("step", "source").agg(pl.col("source_paths").sum())
    merged = named.group_by("step", "source", "target", maintain_order=True).agg(
        pl.col("paths").sum(),
        *(pl.col(name).first() for name in ("low", "high", "time_mean")),
        pl.len().alias("rows"),
    )
    alone = pl.col("rows") == 1
    merged = merged.with_columns(
        pl.when(alone).then(name).alias(name) for name in ("low", "high", "time_mean")
    )
    merged = merged.join(leaving, on=["step", "source"], how="left", maintain_order="left")
    probability = (pl.col("paths") / pl.col("source_paths")).alias("probability")
    return merged.with_columns(probability), inner.height - len(kept)


def _flow(canvas: Canvas, frame: pl.DataFrame, title: str) -> Panel:
    """Draw one flow: a node for every step and state, coloured by the state."""
    moves = [
        ((row["step"], row["source"]), (row["step"] + 1, row["target"]), row)
        for row in frame.iter_rows(named=True)
    ]
    totals = (
        frame.group_by("source", maintain_order=True)
        .agg(pl.col("paths").sum())
        .sort("paths", descending=True)
    )
    colours = colours_of(canvas.theme, [*totals["source"], *frame["target"].unique(maintain_order=True)])
    columns: dict[int, set[str]] = {}
    for step, state in (end for one, other, _ in moves for end in (one, other)):
        columns.setdefault(step, set()).add(state)
    height = max(LEAST_HEIGHT, NODE_HEIGHT * max(map(len, columns.values())))

    def told(row: dict[str, Any]) -> str:
        share = f"{percent(row['probability'])}{interval(row['low'], row['high'])}"
        time = f"<br>mean time: {duration(row['time_mean'])}" if row["time_mean"] is not None else ""
        return f"paths: {count(row['paths'])} of {count(row['source_paths'])}<br>probability: {share}{time}"

    trace = _sankey(canvas.theme, moves, "paths", lambda node: colours[node[1]], told)
    return Panel([trace], height, title, domain=True)


def colours_of(theme: Theme, names: Sequence[str]) -> dict[str, str]:
    """Give the most frequent states colours, the others and what is virtual grey."""
    virtual = {START, END, OTHER}
    found: dict[str, str] = {}
    for name in names:
        if name not in found:
            used = sum(1 for each in found if each not in virtual)
            found[name] = theme.rest if name in virtual or used >= len(theme.colours) else theme.colour(used)
    return found


def _sankey(
    theme: Theme, moves: Sequence[tuple[Any, Any, dict[str, Any]]], value: str, colour: Callable[[Any], str],
    told: Callable[[dict[str, Any]], str], link: Callable[[dict[str, Any]], str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Return a sankey of moves between nodes (of which the second item is the name)."""
    nodes = list(dict.fromkeys(end for one, other, _ in moves for end in (one, other)))
    place = {node: i for i, node in enumerate(nodes)}
    width = 18 if len({node[0] for node in nodes}) < 5 else 13
    hovers = [
        f"<b>{whole(one[1])}</b> to <b>{whole(other[1])}</b><br>{told(row)}" for one, other, row in moves
    ]
    return {
        "type": "sankey", "arrangement": "snap",
        "node": {
            "label": labels([node[1] for node in nodes], width), "color": [colour(node) for node in nodes],
            "customdata": [whole(node[1]) for node in nodes], "align": "left", "pad": 16, "thickness": 14,
            "hovertemplate": "%{customdata}: %{value:,}<extra></extra>", "line": {"width": 0},
        },
        "link": {
            "source": [place[one] for one, _, _ in moves], "target": [place[other] for _, other, _ in moves],
            "value": [row[value] for _, _, row in moves], "customdata": hovers,
            "color": [link(row) if link else theme.faint(colour(one), 0.35) for one, _, row in moves],
            "hovertemplate": "%{customdata}<extra></extra>",
        },
        "textfont": {"color": theme.ink, "size": 12, "shadow": f"0 0 4px {theme.paper}"},
    }  # fmt: skip


def stages(
    answer: StageFlowAnswer, canvas: Canvas, *, kind: Kind | None = None, segment: Segment | None = None
) -> Chart:
    """Draw the moves between stages, or over periods how many are in which stage.

    Parameters
    ----------
    answer : StageFlowAnswer
        What is drawn.
    canvas : Canvas
        Where.
    kind : {"sankey", "river"}, optional
        Moves from stages on the left to stages on the right, coloured by their kind; or, of an answer with ``every=``,
        areas over time, which it is by default.
    segment : mapping, optional
        Which segments or periods to show; the first three by default.
    """
    periods = PERIOD in answer.context.labels.columns
    kinds = ("river", "sankey") if periods else ("sankey",)
    if kind is not None and kind not in kinds:
        raise ParameterError.choice("kind", kind, kinds)
    if (kind or kinds[0]) == "river":
        return river(answer, canvas, segment)
    parts, panels = parts_of(answer, segment, MOST_PANELS), []
    for part in parts.shown:
        moves = part.of(answer.moves).filter(pl.col("moves") > 0)
        if not moves.is_empty():
            panels.append(_moves(canvas, moves, part.name))
    notes = [
        question_of(answer),
        source_of(answer.context),
        "Left: from. Right: to. Width: moves.",
    ]
    title = "Moves between stages"
    if not panels:
        return canvas.empty(title, notes, "Nobody is in a stage.")
    present = set(answer.moves["kind"])
    colours = {words(kind): colour for kind, colour in _kinds(canvas.theme).items() if kind in present}
    return canvas.chart(title, [*notes, parts.note], panels, key=colours)


def _kinds(theme: Theme) -> dict[str, str]:
    """Return the colour of every kind of move."""
    return dict(
        zip(KINDS, (theme.colour(7), *(theme.colour(i) for i in (0, 2, 1, 3)), theme.rest), strict=True)
    )


def _moves(canvas: Canvas, frame: pl.DataFrame, title: str) -> Panel:
    """Draw moves between two columns of stages: a move back would be a circle in one."""
    theme = canvas.theme
    colours = _kinds(theme)
    moves = [(("from", row["source"]), ("to", row["target"]), row) for row in frame.iter_rows(named=True)]
    most = max(frame["source"].n_unique(), frame["target"].n_unique())

    def told(row: dict[str, Any]) -> str:
        share = f"{percent(row['probability'])} of the moves out of it"
        return f"{words(row['kind'])}: {count(row['moves'])} moves of {count(row['units'])} units<br>{share}"

    trace = _sankey(
        theme,
        moves,
        "moves",
        lambda _: theme.muted,
        told,
        lambda row: theme.faint(colours[row["kind"]], 0.55),
    )
    return Panel([trace], max(LEAST_HEIGHT, 56 * most), title, domain=True)
