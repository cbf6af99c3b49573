"""Sequence index plots: sample journeys, a row each, an event per cell."""

from __future__ import annotations

from typing import Any, Literal

import polars as pl

from journeykit.charts.canvas import Canvas, Panel
from journeykit.charts.chart import Chart
from journeykit.charts.text import duration, labels, whole
from journeykit.errors import ParameterError
from journeykit.journeys.journeys import Journeys

OTHER, NONE = "other events", "(none)"
ROW_HEIGHT = 12
OF = ("event", "stage")
UNITS = ("session", "user")


def journeys(
    journeys: Journeys, canvas: Canvas, *, of: Literal["event", "stage"] = "event",
    unit: Literal["session", "user"] = "session", n: int = 50, steps: int = 30, top: int = 8,
) -> Chart:  # fmt: skip
    """Draw sample journeys as rows of coloured cells.

    Parameters
    ----------
    journeys : Journeys
        What is drawn.
    canvas : Canvas
        Where.
    of : {"event", "stage"}
        What a cell is.
    unit : {"session", "user"}
        What a row is: all of a session, or of a user.
    n : int
        How many rows: of the users with the smallest hashes, the same on every machine. No user is named.
    steps : int
        How many cells of a row to show.
    top : int
        How many events have colours of their own, at most eight; the others share one.
    """
    _check(journeys, of, unit, (n, steps, top))
    sample = journeys.head(min(journeys.n_users, n)).frame.filter(pl.col("session").is_not_null())
    keys = ["user", "session"] if unit == "session" else ["user"]
    first = sample.select(keys).unique(maintain_order=True).head(n).with_row_index("row")
    cells = sample.join(first, on=keys, how="inner", maintain_order="left").with_columns(
        pl.col(of).cast(pl.String).alias("state"),
        (pl.col("time") - pl.col("time").first().over("row")).dt.total_microseconds().alias("since"),
        pl.int_range(pl.len()).over("row").alias("step"),
    )
    title = f"Sample of {first.height:,} {unit}s, {of} after {of}"
    whole_ = journeys.n_sessions if unit == "session" else journeys.n_users
    notes = [
        f"{first.height:,} of {whole_:,} {unit}s: of the users with the smallest hashes, in the order of their paths."
    ]
    longer = cells.group_by("row").len().filter(pl.col("len") > steps).height
    notes += [f"{longer:,} are longer than the {steps:,} steps shown."] * (longer > 0)
    cells = cells.filter(pl.col("step") < steps)
    if cells.is_empty():
        return canvas.empty(title, notes)
    return _draw(canvas, cells, title, notes, min(top, len(canvas.theme.colours)), unit)


def _check(journeys: Journeys, of: str, unit: str, numbers: tuple[int, int, int]) -> None:
    if of not in OF:
        raise ParameterError.choice("of", of, OF)
    if unit not in UNITS:
        raise ParameterError.choice("unit", unit, UNITS)
    if min(numbers) < 1:
        raise ParameterError(f"n, steps and top must be at least 1, not {numbers!r}.")
    if of == "stage" and not journeys.stage_names:
        raise ParameterError(
            "these journeys have no stages. Call .assign_stages(model) first, or pass of='event'."
        )


def _draw(canvas: Canvas, cells: pl.DataFrame, title: str, notes: list[str], top: int, unit: str) -> Chart:
    theme = canvas.theme
    ranked = (
        cells["state"].drop_nulls().value_counts(sort=True).sort(["count", "state"], descending=[True, False])
    )
    shown = ranked["state"].head(top).to_list()
    if ranked.height - len(shown):
        notes = [
            *notes,
            f"The {top:,} most frequent have colours of their own, {ranked.height - top:,} others share one.",
        ]
    names = [
        *shown,
        *([OTHER] if ranked.height > len(shown) else []),
        *([NONE] if cells["state"].null_count() else []),
    ]
    numbers = {name: i for i, name in enumerate(names)}
    rows = _in_order(cells)
    last: Any = cells["step"].max()
    width = last + 1
    grid: list[list[Any]] = [[None] * width for _ in rows]
    told: list[list[str]] = [[""] * width for _ in rows]
    for row in cells.select("row", "step", "state", "since").iter_rows():
        place, state = rows[row[0]], row[2]
        name = NONE if state is None else state if state in numbers else OTHER
        grid[place][row[1]] = numbers[name]
        told[place][row[1]] = (
            f"<b>{whole(state)}</b><br>step {row[1] + 1}, {duration(row[3] / 1e6)} after the first"
        )
    colours = [theme.colour(i) if name in shown else theme.rest for i, name in enumerate(names)]
    scale = [
        [edge, colour]
        for i, colour in enumerate(colours)
        for edge in (i / len(colours), (i + 1) / len(colours))
    ]
    heat = {
        "type": "heatmap", "z": grid, "hovertext": told, "hoverinfo": "text", "xgap": 1, "ygap": 1, "showscale": False,
        "zmin": -0.5, "zmax": len(names) - 0.5, "colorscale": scale, "hoverongaps": False,
    }  # fmt: skip
    legend = [
        {
            "type": "scatter", "mode": "markers", "x": [None], "y": [None], "name": shown_as,
            "marker": {"symbol": "square", "size": 11, "color": colour},
        }
        for shown_as, colour in zip(labels(names), colours, strict=True)
    ]  # fmt: skip
    panel = Panel(
        [heat, *legend], max(120, ROW_HEIGHT * len(rows)),
        xaxis={"title": {"text": "step"}, "tickvals": list(range(0, width, 5)), "showgrid": False, "zeroline": False,
               "ticktext": [str(i + 1) for i in range(0, width, 5)], "range": [-0.5, width - 0.5]},
        yaxis={"title": {"text": f"{unit}s"}, "range": [len(rows) - 0.5, -0.5], "showgrid": False, "zeroline": False,
               "showticklabels": False, "ticks": ""},
    )  # fmt: skip
    return canvas.chart(title, notes, [panel], legend=True)


def _in_order(cells: pl.DataFrame) -> dict[int, int]:
    """Return the place of every row: alike beginnings stand together."""
    paths = cells.group_by("row", maintain_order=True).agg(pl.col("state").fill_null("").str.join("\x00"))
    return {int(row): place for place, row in enumerate(paths.sort("state", "row")["row"])}
