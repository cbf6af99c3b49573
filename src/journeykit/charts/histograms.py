"""Histograms: how long, how often, how likely."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import polars as pl

from journeykit.charts.canvas import Canvas, Panel
from journeykit.charts.chart import Chart
from journeykit.charts.general import question_of, source_of
from journeykit.charts.parts import Part, Parts, Segment, parts_of
from journeykit.charts.series import kind_of
from journeykit.charts.survival import waiting
from journeykit.charts.text import count, duration, interval, label, percent, plain, whole, words
from journeykit.errors import ParameterError
from journeykit.models.people.propensity import PropensityAnswer
from journeykit.statistics.base import Answer
from journeykit.statistics.features import FeaturesAnswer
from journeykit.statistics.outcomes.time_between_answer import TimeBetweenAnswer
from journeykit.statistics.overview.session_lengths import SessionLengthsAnswer
from journeykit.statistics.retention.stickiness import StickinessAnswer

MOST_SERIES, MOST_BINS = 4, 30
Kind = Literal["histogram", "curve"]
KINDS: tuple[Kind, ...] = ("histogram", "curve")


def columns(
    canvas: Canvas, names: Sequence[str], series: Sequence[tuple[str, Sequence[float | None], Sequence[str], Any]],
    axes: tuple[str, str],
) -> Panel:  # fmt: skip
    """Draw columns side by side.

    Parameters
    ----------
    canvas : Canvas
        Gives the colours.
    names : sequence of str
        Of the columns, from left to right.
    series : sequence of (name, values, hover, error)
        A column of every name each; the interval as plotly takes it, or None.
    axes : tuple of str
        What the columns are, and how high.
    """
    traces = [
        {
            "type": "bar", "x": list(range(len(names))), "y": values, "name": label(name), "hovertext": told,
            "hoverinfo": "text", "textposition": "none", "error_y": error, "marker": {"color": canvas.theme.colour(i)},
        }
        for i, (name, values, told, error) in enumerate(series)
    ]  # fmt: skip
    step = -(-len(names) // 12)
    ticks = list(range(0, len(names), step))
    across = {
        "title": {"text": axes[0]}, "tickvals": ticks, "ticktext": [label(names[i], 18) for i in ticks],
        "showgrid": False,
    }  # fmt: skip
    return Panel(traces, 340, xaxis=across, yaxis={"title": {"text": axes[1]}, "rangemode": "tozero"})


def _up_to(above: float | None, up_to: float | None) -> str:
    """Write a bin of durations."""
    if up_to is None:
        return f"> {duration(above)}"
    return duration(up_to) if above == up_to or not above else f"{duration(above)} - {duration(up_to)}"


def _binned(
    answer: Answer, canvas: Canvas, frame: pl.DataFrame, numbers: tuple[str, str], parts: Parts, title: str,
    axis: str, notes: Sequence[str],
) -> Chart:  # fmt: skip
    """Draw shares by bins of a duration, which are the same for all segments."""
    counted, share = numbers
    said = [question_of(answer), source_of(answer.context), *notes, parts.note]
    if frame.is_empty() or not frame[counted].sum():
        return canvas.empty(title, said)
    low, high = f"{share}_low", f"{share}_high"
    series, names = [], [""]
    for part in parts.shown:
        own = part.of(frame)
        names = [_up_to(above, up_to) for above, up_to in own.select("above", "up_to").iter_rows()]
        bounds = low in own.columns
        told = [
            f"<b>{whole(' '.join(filter(None, (part.name, name))))}</b><br>{words(counted)}: {count(row[counted])}<br>"
            f"share: {percent(row[share])}{interval(row[low], row[high]) if bounds else ''}"
            for name, row in zip(names, own.iter_rows(named=True), strict=True)
        ]
        values = (100 * own[share]).to_list()
        error = _error(canvas, own, share) if bounds else None
        series.append((part.name, values, told, error))
    panel = columns(canvas, names, series, (axis, f"share of {words(counted)} (%)"))
    return canvas.chart(title, said, [panel], legend=len(series) > 1)


def _error(canvas: Canvas, frame: pl.DataFrame, share: str) -> dict[str, Any]:
    above, below = (
        (100 * (frame[f"{share}_{end}"] - frame[share])).abs().fill_null(0).to_list()
        for end in ("high", "low")
    )
    return {
        "type": "data", "symmetric": False, "array": above, "arrayminus": below, "color": canvas.theme.ink,
        "thickness": 1.5, "width": 4,
    }  # fmt: skip


def time_between(
    answer: TimeBetweenAnswer, canvas: Canvas, *, kind: Kind = "histogram", segment: Segment | None = None
) -> Chart:
    """Draw how long it took from one event to the other.

    Parameters
    ----------
    answer : TimeBetweenAnswer
        What is drawn.
    canvas : Canvas
        Where.
    kind : {"histogram", "curve"}
        Of those that got there, or the share of all that is still waiting.
    segment : mapping, optional
        Which segments or periods to show; the first four by default.
    """
    if kind not in KINDS:
        raise ParameterError.choice("kind", kind, KINDS)
    if kind == "curve":
        return waiting(answer, canvas, segment)
    parts = parts_of(answer, segment, MOST_SERIES)
    title = "How long it took from one event to the other"
    started, ended = (int(answer.frame[name].sum()) for name in ("started", "ended"))
    notes = [f"Of the {ended:,} that got there, of {started:,} that started."]
    return _binned(
        answer,
        canvas,
        answer.histogram(),
        ("ended", "share"),
        parts,
        title,
        "time, up to and including",
        notes,
    )


def session_lengths(answer: SessionLengthsAnswer, canvas: Canvas, *, segment: Segment | None = None) -> Chart:
    """Draw how long sessions are.

    Parameters
    ----------
    answer : SessionLengthsAnswer
        What is drawn.
    canvas : Canvas
        Where.
    segment : mapping, optional
        Which segments or periods to show; the first four by default.
    """
    parts = parts_of(answer, segment, MOST_SERIES)
    title = "Length of sessions"
    return _binned(
        answer, canvas, answer.frame, ("sessions", "share"), parts, title, "length, up to and including", []
    )


def stickiness(answer: StickinessAnswer, canvas: Canvas, *, segment: Segment | None = None) -> Chart:
    """Draw in how many periods users were active.

    Parameters
    ----------
    answer : StickinessAnswer
        What is drawn.
    canvas : Canvas
        Where.
    segment : mapping, optional
        Which segments to show; the first four by default.
    """
    keys = [name for name in answer.frame.columns if name in {"start"}]
    parts = parts_of(answer, segment, MOST_SERIES, [*answer.context.labels.columns, *keys])
    title = "Stickiness: in how many periods users were active"
    said = [question_of(answer), "Of the users who were active at all.", parts.note]
    if answer.frame.is_empty():
        return canvas.empty(title, said)
    longest: Any = answer.frame["active_periods"].max()
    most = min(longest, MOST_BINS)
    said += [f"More than {most} periods are not shown."] * (longest > most)
    series = [_sticky(canvas, part, answer.frame, most) for part in parts.shown]
    names = [str(each) for each in range(1, most + 1)]
    panel = columns(canvas, names, series, ("active periods", "share of users (%)"))
    return canvas.chart(title, said, [panel], legend=len(series) > 1)


def _sticky(
    canvas: Canvas, part: Part, frame: pl.DataFrame, most: int
) -> tuple[str, list[float | None], list[str], Any]:
    every = pl.DataFrame(
        {"active_periods": pl.Series(range(1, most + 1), dtype=frame.schema["active_periods"])}
    )
    own = every.join(part.of(frame), on="active_periods", how="left", maintain_order="left")
    told = [
        f"<b>{whole(part.name) if part.name else 'users'}</b><br>active in {row['active_periods']}: "
        f"{count(row['users'])} ({percent(row['share'])}{interval(row['share_low'], row['share_high'])})"
        for row in own.iter_rows(named=True)
    ]
    return part.name, (100 * own["share"]).to_list(), told, _error(canvas, own, "share")


def features(
    answer: FeaturesAnswer, canvas: Canvas, *, value: str = "events", segment: Segment | None = None
) -> Chart:
    """Draw how one feature is distributed over the users.

    Parameters
    ----------
    answer : FeaturesAnswer
        What is drawn.
    canvas : Canvas
        Where.
    value : str
        The column to draw.
    segment : mapping, optional
        Which segments to show; the first four by default.
    """
    return _of_users(answer, canvas, value, segment, f"Users by {words(value)}")


def propensity(
    answer: PropensityAnswer,
    canvas: Canvas,
    *,
    value: str = "conversion_probability",
    segment: Segment | None = None,
) -> Chart:
    """Draw how one prediction is distributed over the users.

    Parameters
    ----------
    answer : PropensityAnswer
        What is drawn.
    canvas : Canvas
        Where.
    value : str
        The column to draw.
    segment : mapping, optional
        Which segments to show; the first four by default.
    """
    return _of_users(answer, canvas, value, segment, f"Users by {words(value)}")


def _of_users(answer: Answer, canvas: Canvas, value: str, segment: Segment | None, title: str) -> Chart:
    """Draw a histogram of a column of users, no user shown."""
    frame = answer.frame
    choices = [name for name, dtype in frame.schema.items() if dtype.is_numeric() and name != "group"]
    if value not in choices:
        raise ParameterError.choice("value", value, choices)
    parts = parts_of(answer, segment, MOST_SERIES)
    known = frame[value].cast(pl.Float64).drop_nulls().drop_nans()
    said = [
        question_of(answer), f"Of {len(known):,} users; {frame.height - len(known):,} have none.",
        parts.note,
    ]  # fmt: skip
    if known.is_empty():
        return canvas.empty(title, said)
    edges = _edges(known, frame.schema[value].is_integer())
    whole_numbers = frame.schema[value].is_integer()
    write = (
        percent
        if kind_of(frame, value) == "share"
        else duration
        if kind_of(frame, value) == "seconds"
        else count
    )
    names = [_range(low, high, whole_numbers, write) for low, high in pairwise(edges)]
    series = []
    for part in parts.shown:
        own = part.of(frame)[value].cast(pl.Float64).drop_nulls().drop_nans()
        sizes = np.histogram(own.to_numpy(), edges)[0].tolist()
        prefix = f"{part.name}, " if part.name else ""
        told = [
            f"<b>{whole(prefix + name)}</b><br>users: {count(size)} ({percent(size / max(1, len(own)))})"
            for name, size in zip(names, sizes, strict=True)
        ]
        series.append((plain(part.name) if part.name else "", sizes, told, None))
    panel = columns(canvas, names, series, (words(value), "users"))
    return canvas.chart(title, said, [panel], legend=len(series) > 1, bargap=0.05)


def _edges(values: pl.Series, whole_numbers: bool) -> Any:
    """Return where bins begin and end: of a whole number each, or of equal width."""
    low, high = float(values.min()), float(values.max())  # type: ignore[arg-type]
    if whole_numbers:
        width = max(1, -int(-(high - low + 1) // MOST_BINS))
        return np.arange(low, high + width + 1, width)
    return np.linspace(low, high if high > low else low + 1, 1 + min(20, MOST_BINS))


def _range(low: float, high: float, whole_numbers: bool, write: Callable[[float], str]) -> str:
    if whole_numbers:
        return count(low) if high - low <= 1 else f"{count(low)} - {count(high - 1)}"
    return f"{write(low)} - {write(high)}"
