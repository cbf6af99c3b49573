"""The quality of a log: what is odd in it, which rows are, and who makes most of it."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from journeykit.charts.canvas import Canvas, Panel
from journeykit.charts.chart import Chart
from journeykit.charts.series import Series, bars
from journeykit.charts.text import count, escaped, percent, whole, words
from journeykit.errors import ParameterError
from journeykit.events.checks import RULES
from journeykit.events.quality import Quality
from journeykit.events.report import QualityReport

OF_ALL = ("invalid_user", "invalid_time", "invalid_event", "gap_times", "duplicates", "duplicates_dropped")
OF_KEPT = ("ambiguous_times", "tied_events", "out_of_order", "before_1990", "in_future")
"""Counts of rows, as parts of those that were read, and of those that were kept."""
PERCENTILES = (0, 25, 50, 75, 90, 95, 99, 100)


def report(answer: QualityReport, canvas: Canvas, *, top: int = 5) -> Chart:
    """Draw how many findings every rule has; under them the quality of the log.

    Parameters
    ----------
    answer : QualityReport
        What is drawn.
    canvas : Canvas
        Where.
    top : int
        How many findings of a rule to show on hover.
    """
    if top < 1:
        raise ParameterError(f"top must be at least 1, not {top!r}.")
    failed, found = answer.failed(), answer.frame.height
    said = f"{found:,} finding{'' if found == 1 else 's'} of {len(failed):,} of {len(RULES):,} rules."
    notes = [_of(answer.quality), "Nothing odd was found." if answer.ok else said]
    panels = [] if answer.ok else [_findings(canvas, answer, failed, top)]
    return canvas.chart("What is odd in the log", notes, [*panels, *_panels(canvas, answer.quality)])


def quality(answer: Quality, canvas: Canvas) -> Chart:
    """Draw which share of the rows is odd in which way, and how many events users have.

    Parameters
    ----------
    answer : Quality
        What is drawn.
    canvas : Canvas
        Where.
    """
    return canvas.chart("Quality of the log", [_of(answer)], _panels(canvas, answer))


def _of(quality: Quality) -> str:
    span = f"{quality.first:%Y-%m-%d} to {quality.last:%Y-%m-%d}"
    rows = f"{quality.rows_in:,} rows read, {quality.rows_kept:,} kept"
    return f"{rows}: {quality.events:,} events of {quality.users:,} users, {span}."


def _findings(canvas: Canvas, answer: QualityReport, failed: Sequence[str], top: int) -> Panel:
    told, sizes = [], []
    for rule in failed:
        texts = answer.frame.filter(pl.col("rule") == rule)["text"]
        more = [f"and {len(texts) - top:,} more"] * (len(texts) > top)
        told.append("<br>".join([f"<b>{words(rule)}</b>", *(whole(text) for text in texts.head(top)), *more]))
        sizes.append(len(texts))
    series = Series("findings", list(range(len(failed))), sizes, hover=told)
    panel = bars(canvas, [words(rule) for rule in failed], [series], "count", "findings")
    return Panel(panel.traces, panel.height, "Findings by rule", panel.xaxis, panel.yaxis)


def _panels(canvas: Canvas, quality: Quality) -> list[Panel]:
    return [_rows(canvas, quality), _users(canvas, quality)]


def _rows(canvas: Canvas, quality: Quality) -> Panel:
    """Draw the share of rows that are odd; every kind that is looked for, so that a bar of nothing says something."""
    kinds = [(name, getattr(quality, name), quality.rows_in) for name in OF_ALL]
    kinds += [(name, getattr(quality, name), quality.rows_kept) for name in OF_KEPT]
    kinds += [(f"left out: {reason}", rows, quality.rows_in) for reason, rows in quality.left_out.items()]
    told = [
        f"<b>{whole(words(name))}</b><br>{escaped(f'{count(rows)} of {count(of)} rows: {percent(rows / of)}')}"
        for name, rows, of in kinds
    ]
    series = Series("rows", list(range(len(kinds))), [rows / of for _, rows, of in kinds], hover=told)
    panel = bars(canvas, [words(name) for name, _, _ in kinds], [series], "share", "share of rows")
    axis = dict(panel.xaxis) if any(rows for _, rows, _ in kinds) else {**panel.xaxis, "range": [0, 1]}
    return Panel(panel.traces, panel.height, "Rows that are odd", axis, panel.yaxis)


def _users(canvas: Canvas, quality: Quality) -> Panel:
    """Draw percentiles of the events per user; nobody is named."""
    shown = [(each, quality.events_per_user[each]) for each in PERCENTILES]
    names = ["least", *(f"{each} % have up to" for each, _ in shown[1:-1]), "most"]
    told = [
        f"<b>{escaped(name)}</b>: {count(events)} events"
        for name, (_, events) in zip(names, shown, strict=True)
    ]
    series = Series("events", list(range(len(shown))), [events for _, events in shown], hover=told)
    panel = bars(canvas, names, [series], "count", "events of a user")
    axis = {"title": panel.xaxis["title"], "type": "log", "tickformat": "~s", "nticks": 6}
    return Panel(panel.traces, panel.height, "Events per user", axis, panel.yaxis)
