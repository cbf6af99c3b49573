"""The chart of an answer that has no drawing of its own: bars of its rows, or lines over periods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from journeykit.charts.canvas import Canvas
from journeykit.charts.chart import Chart
from journeykit.charts.parts import Part, Segment, parts_of
from journeykit.charts.series import Estimate, Series, bars, dots, estimates, hovers, lines
from journeykit.charts.text import count, percent, words, written
from journeykit.errors import ParameterError
from journeykit.protocol import Context
from journeykit.statistics.base import Answer, described

MOST_SERIES, LONGEST_QUESTION = 6, 110
WHERE = ("units", "users", "sessions", "events")


def answer(
    answer: Answer, canvas: Canvas, *, value: str | None = None, top: int = 20, segment: Segment | None = None
) -> Chart:
    """Draw any answer: a line per row over periods, else a bar per row, else its rates beside each other.

    Parameters
    ----------
    answer : Answer
        Any.
    canvas : Canvas
        Where.
    value : str, optional
        The column to draw; by default the first with an interval, else the first number that is no count.
    top : int
        How many rows, or lines, to show.
    segment : mapping, optional
        Show these segments only.
    """
    lists = [name for name, dtype in answer.frame.schema.items() if dtype == pl.List(pl.String)]
    answer = replace(answer, frame=answer.frame.with_columns(pl.col(lists).list.join(" > ")))
    numbers = estimates(answer.frame, answer.context.labels.columns)
    chosen = chosen_value(numbers, value)
    by = ", ".join(words(key) for key in keys_of(answer))
    title = (words(chosen.column).capitalize() if chosen else "Rows") + (f" by {by}" if by else "")
    notes = [question_of(answer), source_of(answer.context)]
    if chosen is None or answer.frame.is_empty():
        return canvas.empty(title, notes)
    times = [name for name, dtype in answer.frame.schema.items() if isinstance(dtype, pl.Datetime | pl.Date)]
    keys = keys_of(answer)
    if times and not (keys and times == ["first_time", "last_time"]):
        return _over_time(answer, canvas, chosen, times[-1], title, notes, top)
    if not keys and value is None and answer.frame.height == 1:
        return _rates(canvas, answer, numbers, chosen, notes)
    return _rows(answer, canvas, chosen, keys, title, notes, top, segment)


def chosen_value(numbers: Sequence[Estimate], value: str | None) -> Estimate | None:
    """Return the number to draw.

    Raises
    ------
    ParameterError
        If there is none of that name.
    """
    if value is not None:
        found = next((each for each in numbers if each.column == value), None)
        if found is None:
            raise ParameterError.choice("value", value, [each.column for each in numbers])
        return found
    with_interval = (each for each in numbers if each.low is not None)
    floats = (each for each in numbers if each.kind != "count")
    return next(iter((*with_interval, *floats, *numbers)), None)


def keys_of(answer: Answer) -> list[str]:
    """Return the first texts that tell rows apart, segments aside."""
    labels = answer.context.labels.columns
    schema = answer.frame.schema
    texts = [
        name for name, dtype in schema.items()
        if name not in labels and isinstance(dtype, pl.String | pl.Categorical | pl.Enum)
    ]  # fmt: skip
    rows = answer.frame.select(texts).n_unique() if texts else 0
    enough = (i + 1 for i in range(len(texts)) if answer.frame.select(texts[: i + 1]).n_unique() == rows)
    return texts[: next(enough, 0)]


def question_of(answer: Answer) -> str:
    """Write the question of an answer, as much of it as two lines hold."""
    question = described(answer.statistic)
    return f"{question}." if len(question) <= LONGEST_QUESTION else f"{question[: LONGEST_QUESTION - 3]}..."


def source_of(context: Context) -> str:
    """Say of how much data an answer is, and of which level its intervals are."""
    data = f"Of {count(context.n_users)} users, {count(context.n_sessions)} sessions, {count(context.n_events)} events."
    return f"{data} Intervals: {percent(context.level)}."


def name_of(row: dict[str, Any], keys: Sequence[str]) -> str:
    """Write what a row is about."""
    return " · ".join(written(row[key]) for key in keys if row[key] is not None)


def _over_time(
    answer: Answer, canvas: Canvas, value: Estimate, time: str, title: str, notes: list[str], top: int
) -> Chart:
    """Draw a line for every segment and row, the first ones in the order of the answer."""
    labels = [name for name in answer.context.labels.columns if name != time]
    keys = [*labels, *(name for name in keys_of(answer) if name != time)]
    lines_ = answer.frame.select(keys).unique(maintain_order=True) if keys else pl.DataFrame([{}])
    most = min(top, MOST_SERIES)
    shown = [Part(name_of(row, keys) or "all", row) for row in lines_.head(most).iter_rows(named=True)]
    series = []
    for part in shown:
        own = part.of(answer.frame).sort(time)
        at = own[time].to_list()
        told = hovers(own, [f"{part.name}, {written(each)}" if keys else written(each) for each in at])
        series.append(Series.of(part.name, at, own, value, told))
    more = f"{most:,} of {lines_.height:,} lines are shown." if lines_.height > most else ""
    panel = lines(canvas, series, value.kind, words(value.column), f"{words(time)} ({answer.context.tz})")
    return canvas.chart(f"{title} over time", [*notes, more], [panel], legend=len(shown) > 1)


def _rates(
    canvas: Canvas, answer: Answer, numbers: Sequence[Estimate], chosen: Estimate, notes: Sequence[str]
) -> Chart:
    """Draw the numbers of a single row that are of the kind of the chosen one."""
    alike = [
        each for each in numbers if each.kind == chosen.kind and (each.low is None) == (chosen.low is None)
    ]
    row = answer.frame.row(0, named=True)
    names = [words(each.column) for each in alike]
    told = hovers(answer.frame, [""])[0].removeprefix("<b>(empty)</b><br>")
    low, high = ([row[getattr(each, end)] if each.low else None for each in alike] for end in ("low", "high"))
    values = [row[each.column] for each in alike]
    series = Series("", list(range(len(names))), values, low, high, [told] * len(names))
    panel = bars(canvas, names, [series], chosen.kind, "share" if chosen.kind == "share" else chosen.kind)
    return canvas.chart(f"{type(answer.statistic).__name__} in numbers", notes, [panel])


def _rows(
    answer: Answer, canvas: Canvas, value: Estimate, keys: list[str], title: str, notes: list[str], top: int,
    segment: Segment | None,
) -> Chart:  # fmt: skip
    """Draw a bar, or a dot where a bar would not start at zero, for every row and segment."""
    parts = parts_of(answer, segment, MOST_SERIES)
    frame = answer.frame if keys else answer.frame.with_columns(pl.lit("all").alias("row"))
    keys = keys or ["row"]
    rows = frame.select(keys).unique(maintain_order=True)
    shown = rows.head(top).with_row_index("at")
    names = [name_of(row, keys) for row in shown.iter_rows(named=True)]
    series = []
    for part in parts.shown:
        own = part.of(frame).join(shown, on=keys, how="inner", nulls_equal=True, maintain_order="left")
        own = own.unique("at", keep="first", maintain_order=True)
        at = own["at"].to_list()
        prefix = f"{part.name}: " if part.name else ""
        told = hovers(
            own.drop("at"), [f"{prefix}{names[each]}" for each in at], answer.context.labels.columns
        )
        series.append(Series.of(part.name, at, own, value, told))
    more = f"The first {shown.height:,} of {rows.height:,} rows are shown." if rows.height > top else ""
    draw = bars if value.kind in {"share", "count"} else dots
    panel = draw(canvas, names, series, value.kind, words(value.column))
    return canvas.chart(title, [*notes, more, parts.note], [panel], legend=len(series) > 1)
