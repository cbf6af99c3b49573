"""Heatmaps: where paths are at every step, who comes back, what follows what, which flags wave where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from journeykit.charts.canvas import Canvas, Panel
from journeykit.charts.chart import Chart
from journeykit.charts.general import question_of, source_of
from journeykit.charts.parts import Segment, parts_of
from journeykit.charts.series import hovers
from journeykit.charts.text import labels, plain, written
from journeykit.errors import ParameterError
from journeykit.statistics.friction.answer import FrictionAnswer
from journeykit.statistics.paths.eventually_follows import FollowingTable
from journeykit.statistics.paths.step_matrix import StepTable
from journeykit.statistics.paths.walk import END, OTHER, START
from journeykit.statistics.retention.answer import RetentionAnswer

CELL_HEIGHT, SHOWN_NUMBERS = 27, 16
"""Of a row in pixels; the most columns for which numbers are written into cells."""
MOST_PANELS = 4


@dataclass(frozen=True)
class Grid:
    """A table to colour.

    Attributes
    ----------
    rows, columns : list of str
        Their names, not yet escaped.
    cells : dict of (int, int) to (float or None, str)
        The number of a cell, and what it shows on hover; no cell where there is none.
    marked : set of (int, int)
        Cells that are to be read with care.
    """

    rows: Sequence[str]
    columns: Sequence[str]
    cells: dict[tuple[int, int], tuple[float | None, str]]
    marked: frozenset[tuple[int, int]] = frozenset()


def grid(canvas: Canvas, table: Grid, title: str, columns: str, rows: str, most: float, scale: bool) -> Panel:
    """Draw a table of shares.

    Parameters
    ----------
    canvas : Canvas
        Gives the colours.
    table : Grid
        What is drawn.
    title, columns, rows : str
        Of the panel and of the axes.
    most : float
        The share that has the last colour.
    scale : bool
        Whether to draw the scale of colours.
    """
    theme = canvas.theme
    wide = range(len(table.columns))
    values = [[_number(table, i, j) for j in wide] for i in range(len(table.rows))]
    told = [[table.cells.get((i, j), (None, ""))[1] for j in wide] for i in range(len(table.rows))]
    heat = {
        "type": "heatmap", "z": values, "hovertext": told, "hoverinfo": "text", "xgap": 1, "ygap": 1, "zmin": 0,
        "zmax": 100 * most or 1, "colorscale": [list(each) for each in theme.sequential], "showscale": scale,
        "hoverongaps": False,
        "colorbar": {"title": {"text": "%", "side": "top"}, "thickness": 12, "outlinewidth": 0},
    }  # fmt: skip
    if len(table.columns) <= SHOWN_NUMBERS:
        heat |= {
            "text": [["" if each is None else _short(each) for each in row] for row in values],
            "texttemplate": "%{text}", "textfont": {"size": 11},
        }  # fmt: skip
    traces = [heat]
    if table.marked:
        traces.append(_marks(canvas, table))
    return Panel(
        traces, max(80, CELL_HEIGHT * len(table.rows)), title,
        xaxis={**_named(table.columns, 14), "title": {"text": columns}, "side": "bottom"},
        yaxis={**_named(table.rows, 26), "range": [len(table.rows) - 0.5, -0.5], "title": {"text": rows}},
    )  # fmt: skip


def _number(table: Grid, i: int, j: int) -> float | None:
    share = table.cells.get((i, j), (None, ""))[0]
    return None if share is None else 100 * share


def _short(hundredths: float) -> str:
    return f"{hundredths:.0f}" if hundredths >= 9.95 or hundredths == 0 else f"{hundredths:.1f}"


def _named(names: Sequence[str], width: int) -> dict[str, Any]:
    return {
        "tickvals": list(range(len(names))), "ticktext": labels(names, width), "showgrid": False,
        "zeroline": False, "ticks": "", "ticklabelstandoff": 6,
    }  # fmt: skip


def _marks(canvas: Canvas, table: Grid) -> dict[str, Any]:
    """Draw a ring in the corner of marked cells."""
    cells = sorted(table.marked)
    return {
        "type": "scatter", "mode": "markers", "x": [j + 0.38 for _, j in cells], "y": [i - 0.28 for i, _ in cells],
        "marker": {
            "symbol": "circle", "size": 7, "color": canvas.theme.colours[1],
            "line": {"width": 1, "color": canvas.theme.paper},
        },
        "hoverinfo": "skip", "showlegend": False,
    }  # fmt: skip


def _grid_of(
    frame: pl.DataFrame, names: tuple[str, str, str], rows: Sequence[Any], columns: Sequence[Any],
    called: Sequence[str], left_out: Sequence[str],
) -> dict[tuple[int, int], tuple[float | None, str]]:  # fmt: skip
    """Put the rows of a frame into the cells of a grid."""
    down, across = ({name: i for i, name in enumerate(each)} for each in (rows, columns))
    told = hovers(frame, called, left_out)
    row, column, value = names
    return {
        (down[one], across[other]): (share, hover)
        for one, other, share, hover in zip(frame[row], frame[column], frame[value], told, strict=True)
        if one in down and other in across
    }


def steps(answer: StepTable, canvas: Canvas, *, top: int = 15, segment: Segment | None = None) -> Chart:
    """Draw which share of the paths is where at every step.

    Parameters
    ----------
    answer : StepTable
        What is drawn.
    canvas : Canvas
        Where.
    top : int
        States to show by themselves, those with the largest share at some step; the others are added up.
    segment : mapping, optional
        Which segments or periods to show; the first four by default.
    """
    parts, others = parts_of(answer, segment, MOST_PANELS), 0
    panels: list[Panel] = []
    for part in parts.shown:
        frame = part.of(answer.frame)
        if frame.is_empty():
            continue
        table, merged = _steps(frame, top, answer.context.labels.columns)
        others = max(others, merged)
        panels.append(grid(canvas, table, part.name, "step", "", 1.0, not panels))
    title = f"Share of paths in each {_of(answer)} at every step"
    most: Any = answer.frame["paths_total"].max()
    paths = f"{most or 0:,} paths at most in a step."
    notes = [question_of(answer), "Each column adds up to 100 % of the paths.", paths]
    said = f"{others:,} states are added up as {OTHER}." if others else ""
    return canvas.chart(title, [*notes, said, parts.note], panels) if panels else canvas.empty(title, notes)


def _of(answer: StepTable) -> str:
    return str(getattr(answer.statistic, "of", "state"))


def _steps(frame: pl.DataFrame, top: int, labels: Sequence[str]) -> tuple[Grid, int]:
    """Return the table of a segment, and how many states were added up in it."""
    inner = frame.filter(~pl.col("state").is_in([START, END, OTHER]))
    ranked = (
        inner.group_by("state").agg(pl.col("share").max()).sort(["share", "state"], descending=[True, False])
    )
    kept = ranked["state"].head(top).to_list()
    rest = ranked.height - len(kept)
    if rest:
        keys = [name for name in (*labels, "step", "paths_total") if name in frame.columns]
        shown = pl.col("state").is_in([*kept, START, END])
        summed = frame.filter(~shown).group_by(keys, maintain_order=True).agg(pl.col("paths", "share").sum())
        frame = pl.concat(
            [frame.filter(shown), summed.with_columns(state=pl.lit(OTHER))], how="diagonal_relaxed"
        )
    present = set(frame["state"])
    rows = [name for name in (START, *kept, OTHER, END) if name in present]
    numbers = frame["step"].unique().sort().to_list()
    names = [f"{plain(state)}, step {step}" for step, state in frame.select("step", "state").iter_rows()]
    cells = _grid_of(frame, ("state", "step", "share"), rows, numbers, names, [*labels, "step"])
    return Grid(rows, [str(each) for each in numbers], cells), rest


def retention(
    answer: RetentionAnswer,
    canvas: Canvas,
    *,
    top: int = 26,
    columns: int = 31,
    segment: Segment | None = None,
) -> Chart:
    """Draw which share of every cohort came back, and when.

    Parameters
    ----------
    answer : RetentionAnswer
        What is drawn.
    canvas : Canvas
        Where.
    top, columns : int
        How many cohorts (the last ones) and periods after to show.
    segment : mapping, optional
        Which segments to show; the first four by default.
    """
    parts, labels = parts_of(answer, segment, MOST_PANELS), answer.context.labels.columns
    panels: list[Panel] = []
    left, marked = 0, False
    for part in parts.shown:
        frame = part.of(answer.frame).filter(pl.col("offset") < columns, pl.col("size") > 0)
        cohorts = frame["cohort"].unique(maintain_order=True)
        left, cohorts = max(left, len(cohorts) - top), cohorts.tail(top)
        frame = frame.filter(pl.col("cohort").is_in(cohorts.implode(), nulls_equal=True))
        if frame.is_empty():
            continue
        table = _retention(frame, cohorts.to_list(), labels)
        marked |= bool(table.marked)
        panels.append(
            grid(canvas, table, part.name, "periods after the first", "cohort (users)", 1.0, not panels)
        )
    title = "Retention: share of each cohort that came back"
    notes = [question_of(answer), "Of the users of the cohort, whose number stands beside it."]
    notes += ["A dot marks cells whose period is not over for all of the cohort."] * marked
    notes += [f"The last {top:,} cohorts; {left:,} earlier ones are left out."] * (left > 0)
    return canvas.chart(title, [*notes, parts.note], panels) if panels else canvas.empty(title, notes)


def _retention(frame: pl.DataFrame, cohorts: Sequence[Any], labels: Sequence[str]) -> Grid:
    offsets = frame["offset"].unique().sort().to_list()
    sizes = dict(frame.filter(pl.col("offset") == offsets[0]).select("cohort", "size").iter_rows())
    names = [
        f"{written(each) if each is not None else '(none)'} ({sizes.get(each) or 0:,})" for each in cohorts
    ]
    told = [f"{written(one)}, {other} after" for one, other in frame.select("cohort", "offset").iter_rows()]
    cells = _grid_of(frame, ("cohort", "offset", "rate"), cohorts, offsets, told, [*labels, "offset"])
    down, across = ({name: i for i, name in enumerate(each)} for each in (cohorts, offsets))
    open_ = frame.filter(~pl.col("complete").fill_null(True), pl.col("rate").is_not_null())
    marked = frozenset(
        (down[one], across[other]) for one, other in open_.select("cohort", "offset").iter_rows()
    )
    return Grid(names, [str(each) for each in offsets], cells, marked)


def following(
    answer: FollowingTable, canvas: Canvas, *, top: int = 15, segment: Segment | None = None
) -> Chart:
    """Draw which share of the paths with one event has another one after it.

    Parameters
    ----------
    answer : FollowingTable
        What is drawn.
    canvas : Canvas
        Where.
    top : int
        How many events to show, those in most paths.
    segment : mapping, optional
        Which segments or periods to show; the first four by default.
    """
    title = "Share of paths with another event later"
    notes = [question_of(answer), "Of the paths with the event of the row."]
    columns = ("source", "target", "share", "source_paths")
    return _square(answer, canvas, columns, ("later event", "event"), title, notes, top, segment)


def friction(
    answer: FrictionAnswer, canvas: Canvas, *, top: int = 20, segment: Segment | None = None
) -> Chart:
    """Draw which share of the users of an event had which signs of friction at it.

    Parameters
    ----------
    answer : FrictionAnswer
        What is drawn.
    canvas : Canvas
        Where.
    top : int
        How many events to show, those of most users.
    segment : mapping, optional
        Which segments or periods to show; the first four by default.
    """
    title = "Signs of friction: share of users who had them"
    notes = [question_of(answer), "Of the users with the event of the row."]
    return _square(
        answer, canvas, ("event", "flag", "user_rate", "users"), ("sign", ""), title, notes, top, segment
    )


def _square(
    answer: Any, canvas: Canvas, names: tuple[str, str, str, str], axes: tuple[str, str], title: str,
    notes: Sequence[str], top: int, segment: Segment | None,
) -> Chart:  # fmt: skip
    """Draw one column of a frame by two others, the rows with the largest counts first."""
    if top < 1:
        raise ParameterError(f"top must be at least 1, not {top!r}.")
    down, across, value, size = names
    parts, left = parts_of(answer, segment, MOST_PANELS), 0
    panels: list[Panel] = []
    for part in parts.shown:
        frame = part.of(answer.frame)
        if frame.is_empty():
            continue
        ranked = frame.group_by(down, maintain_order=True).agg(pl.col(size).max())
        ranked = ranked.sort(size, descending=True, maintain_order=True)
        rows = ranked[down].head(top).to_list()
        left = max(left, ranked.height - top)
        others = frame[across].unique(maintain_order=True).to_list()
        columns = [name for name in rows if name in others] if set(others) & set(rows) else others
        told = [f"{plain(one)}: {plain(other)}" for one, other in frame.select(down, across).iter_rows()]
        cells = _grid_of(frame, (down, across, value), rows, columns, told, answer.context.labels.columns)
        most = max((share for share, _ in cells.values() if share is not None), default=1.0)
        panels.append(grid(canvas, Grid(rows, columns, cells), part.name, *axes, most or 1.0, not panels))
    more = f"The {top:,} most frequent; {left:,} others are left out." if left > 0 else ""
    notes = [*notes, source_of(answer.context), more, parts.note]
    return canvas.chart(title, notes, panels, bottom=90) if panels else canvas.empty(title, notes)
