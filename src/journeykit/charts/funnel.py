"""Funnels: how many reach each step, go on, still may, and how long it takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from journeykit.charts.canvas import Canvas, Panel
from journeykit.charts.chart import Chart
from journeykit.charts.general import question_of, source_of
from journeykit.charts.parts import PERIOD, Part, Segment, parts_of
from journeykit.charts.series import Estimate, Series, bars, hovers, lines
from journeykit.charts.text import count, duration, label, percent, plain, written
from journeykit.statistics.funnels.answer import FunnelAnswer
from journeykit.statistics.funnels.window_funnel import WindowFunnelAnswer

STEP_HEIGHT, MOST_GROUPS = 58, 6
FINAL = "final"
RATE = Estimate("total_rate", "total_rate_low", "total_rate_high", "share")
MATURED = Estimate("matured_rate", "matured_rate_low", "matured_rate_high", "share")
WINDOW_RATE = Estimate("rate", "low", "high", "share")


def funnel(answer: FunnelAnswer, canvas: Canvas, *, segment: Segment | None = None) -> Chart:
    """Draw a funnel: one of its own as bars of steps, several as bars beside each other, periods as lines.

    Parameters
    ----------
    answer : FunnelAnswer
        What is drawn.
    canvas : Canvas
        Where.
    segment : mapping, optional
        Which segments, values of the breakdown or periods to show; the first six by default.
    """
    frame = answer.frame
    groups = [name for name in frame.columns[: frame.columns.index("step")] if name != FINAL]
    parts = parts_of(answer, segment, MOST_GROUPS, groups)
    title, notes = _title(answer), [source_of(answer.context), parts.note]
    if frame.is_empty():
        return canvas.empty(title, notes)
    if PERIOD in groups and len(parts.shown) > 1:
        return _over_time(answer, canvas, groups, segment, title, notes)
    if len(parts.shown) > 1:
        return _beside(answer, canvas, parts.shown, title, notes)
    own = parts.shown[0].of(frame)
    name = f"Of {plain(parts.shown[0].name)}." if parts.shown[0].name else ""
    open_ = own["open"].sum() or 0
    went = f"Dark: went on. Light: did not{', hatched: still may' if open_ else ''}. Lines: interval of the share."
    unit = {"totals": "runs"}.get(_unit(answer), f"{_unit(answer)}s")
    return canvas.chart(
        title, [name, notes[0], f"Shares are of the {own['reached'][0]:,} {unit} at the first step.", went],
        [_steps(canvas, own)], barmode="stack", bargap=0.62,
    )  # fmt: skip


def _unit(answer: FunnelAnswer) -> str:
    return str(getattr(answer.statistic, "unit", "user"))


def _title(answer: FunnelAnswer) -> str:
    """Say from where to where, and how long it may take."""
    steps = answer.frame.unique("step", keep="first", maintain_order=True)["name"].to_list()
    statistic: Any = answer.statistic
    if not steps:
        return "Funnel"
    window = statistic.window
    within = f" within {window}" if window is not None else ", however long it takes"
    return f"Funnel from {_short(steps[0])} to {_short(steps[-1])}{within}"


def _short(name: str) -> str:
    name = plain(name)
    return name if len(name) <= 40 else f"{name[:37]}..."


def _steps(canvas: Canvas, frame: pl.DataFrame) -> Panel:
    """Draw the steps of one funnel: what went on, what still may and what did not, of the units of the first step."""
    theme, rows = canvas.theme, list(range(frame.height))
    told = hovers(frame, frame["name"].to_list(), frame.columns[: frame.columns.index("step") + 1])
    first = frame["reached"][0] or 1
    reached = frame["reached"].to_list()
    counted = {name: frame[name].fill_null(0).to_list() for name in ("converted", "dropped", "open")}
    last = [i for i in rows if frame["converted"][i] is None]
    on = [reached[i] if i in last else counted["converted"][i] for i in rows]
    off = [reached[i] - on[i] - counted["open"][i] for i in rows]
    colour = theme.colours[0]
    looks: list[tuple[str, list[int], Mapping[str, Any]]] = [
        ("went on", on, {"color": colour}),
        ("still may", counted["open"], {
            "color": theme.faint(colour, 0.35), "pattern": {"shape": "/", "fgcolor": colour, "size": 5},
        }),
        ("did not", off, {"color": theme.faint(colour, 0.28)}),
    ]  # fmt: skip
    traces: list[dict[str, Any]] = [
        {
            "type": "bar", "orientation": "h", "y": rows, "x": [100 * each / first for each in values], "name": name,
            "marker": look, "hovertext": told, "hoverinfo": "text", "textposition": "none",
        }
        for name, values, look in looks
    ]  # fmt: skip
    series = Series.of("", rows, frame.with_columns(pl.col(RATE.column, *_ends(RATE)) * 100), RATE, told)
    traces.append(
        {
            "type": "scatter", "mode": "markers", "y": rows, "x": series.values, "error_x": series.error(theme.ink),
            "marker": {"size": 1, "color": theme.ink}, "hoverinfo": "skip", "showlegend": False,
        }
    )  # fmt: skip
    heads = [
        {"x": 0, "y": i, "text": _head(row, i), "xanchor": "left", "yanchor": "bottom", "yshift": 11}
        for i, row in enumerate(frame.iter_rows(named=True))
    ]
    height = STEP_HEIGHT * frame.height
    return Panel(
        traces, height, xaxis={"title": {"text": "share of the first step (%)"}, "range": [0, 101]},
        yaxis={"visible": False, "range": [frame.height - 0.6, -0.75]}, annotations=heads,
    )  # fmt: skip


def _ends(estimate: Estimate) -> list[str]:
    return [each for each in (estimate.low, estimate.high) if each is not None]


def _head(row: Mapping[str, Any], place: int) -> str:
    """Write the line above a step."""
    optional = " (optional)" if row["optional"] else ""
    said = [f"{count(row['reached'])}", percent(row["total_rate"])]
    if place:
        said.append(f"{percent(row['step_rate'])} of step before")
    if row.get("time_median") is not None:
        said.append(f"median {duration(row['time_median'])}")
    return f"<b>{label(row['name'], 22)}</b>{optional}: {', '.join(said)}"


def _beside(
    answer: FunnelAnswer, canvas: Canvas, parts: Sequence[Part], title: str, notes: Sequence[str]
) -> Chart:
    """Draw the funnels of segments beside each other."""
    steps = answer.frame.unique("step", keep="first", maintain_order=True).sort("step")
    names = [f"{step}. {plain(name)}" for step, name in steps.select("step", "name").iter_rows()]
    series = []
    for part in parts:
        own = part.of(answer.frame)
        told = hovers(own, [f"{part.name}: {plain(name)}" for name in own["name"]], [*part.values, "step"])
        series.append(Series.of(part.name, [step - 1 for step in own["step"]], own, RATE, told))
    panel = bars(canvas, names, series, "share", "share of the first step")
    return canvas.chart(title, notes, [panel], legend=True)


def _over_time(
    answer: FunnelAnswer, canvas: Canvas, groups: Sequence[str], segment: Segment | None, title: str,
    notes: Sequence[str],
) -> Chart:  # fmt: skip
    """Draw the share that reaches the last step, period after period."""
    last = answer.frame.filter(pl.col("step") == answer.frame["step"].max())
    matured = last["matured_rate"].null_count() < last.height
    value = MATURED if matured else RATE
    others = [name for name in groups if name != PERIOD]
    kept = {name: each for name, each in (segment or {}).items() if name != PERIOD}
    parts = parts_of(answer, kept, MOST_GROUPS, others)
    series = []
    for part in parts.shown:
        own = part.of(last).sort(PERIOD)
        at = own[PERIOD].to_list()
        told = hovers(
            own,
            [", ".join(filter(None, (part.name, written(each)))) for each in at],
            [*groups, FINAL, "step"],
        )
        series.append(Series.of(part.name or "all", at, own, value, told))
    said = (
        "Only of units whose whole window was observed." if matured else "Of all units, open ones included."
    )
    panel = lines(
        canvas, series, "share", "share that reaches the last step", f"period ({answer.context.tz})"
    )
    return canvas.chart(title, [notes[0], said, parts.note], [panel], legend=len(series) > 1)


def window_funnel(answer: WindowFunnelAnswer, canvas: Canvas, *, segment: Segment | None = None) -> Chart:
    """Draw which share of the units gets at least to each level.

    Parameters
    ----------
    answer : WindowFunnelAnswer
        What is drawn.
    canvas : Canvas
        Where.
    segment : mapping, optional
        Which segments or periods to show; the first six by default.
    """
    parts = parts_of(answer, segment, MOST_GROUPS)
    levels = answer.frame.filter(pl.col("level") > 0)
    title = "Window funnel: share of units that get to each level"
    notes = [question_of(answer), source_of(answer.context), parts.note]
    if levels.is_empty():
        return canvas.empty(title, notes)
    rows = levels.unique("level", keep="first", maintain_order=True).sort("level")
    names = [f"{level}. {plain(name)}" for level, name in rows.select("level", "condition").iter_rows()]
    series = []
    for part in parts.shown:
        own = part.of(levels)
        told = hovers(own, [plain(name) for name in own["condition"]], [*part.values, "level"])
        series.append(Series.of(part.name, [each - 1 for each in own["level"]], own, WINDOW_RATE, told))
    panel = bars(canvas, names, series, "share", "share of all units")
    return canvas.chart(title, notes, [panel], legend=len(series) > 1)
