"""Funnels over time: a row for every period, and whether it is final. DEFINITIONS D7.11."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from journeykit.protocol import CELL, Context
from journeykit.statistics.goals import Int64s
from journeykit.statistics.periods import MOST_PERIODS, WeekStart, approximate_count, covering
from journeykit.support.durations import microseconds

if TYPE_CHECKING:
    from journeykit.statistics.funnels.funnel import Funnel

COUNTED = (
    "reached", "converted", "dropped", "open", "users", "entered", "matured", "matured_converted", "value",
    "value_nulls",
)  # fmt: skip


def by_period(funnel: Funnel, frame: pl.DataFrame, context: Context) -> pl.DataFrame:
    """Name the segment and period of each row; add rows of zeros for periods without events, and what is final."""
    named = context.label(frame)
    if context.every is None:
        return named
    size = context.labels["period"].n_unique()
    named = named.with_columns((frame[CELL] // max(size, 1)).alias(CELL))
    edges = _edges(funnel, context)
    if edges is not None:
        starts = named["period"].dt.epoch("us").to_numpy()
        place = np.searchsorted(edges, starts, side="right") - 1
        inside = pl.Series((place >= 0) & (place < edges.size - 1), dtype=pl.Boolean)
        empty = np.setdiff1d(np.arange(edges.size - 1), place)
        named = _with_zeros(funnel, named, inside, _moments(edges[empty], context))
    return _with_final(funnel, named.drop(CELL), edges, context)


def trend_notes(funnel: Funnel, context: Context) -> list[str]:
    """Say what a trend leaves out."""
    if context.every is None or _edges(funnel, context) is not None:
        return []
    return [f"Periods without events are not shown: there are more than {MOST_PERIODS:,} periods in all."]


def span_of(funnel: Funnel, context: Context) -> tuple[int, int]:
    """Return the first and the last time at which a run may start: those of `entry_between`, or of the observation."""
    first, last = funnel.entry_span
    low = context.observed_from if first is None else first
    return low, max(low, context.observed_until if last is None else last - 1)


def _edges(funnel: Funnel, context: Context) -> Int64s | None:
    """Return where the periods of the span start, and where the last one ends; None if there are too many."""
    assert context.every is not None
    period, _, sunday = context.every.partition("-")
    low, high = span_of(funnel, context)
    if approximate_count(low, high, period) > MOST_PERIODS:
        return None
    week_start: WeekStart = "sunday" if sunday else "monday"
    return covering(low, high, period, week_start, context.tz).edges


def _moments(times: Int64s, context: Context) -> pl.Series:
    return pl.Series("period", times).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(context.tz)


def _with_zeros(funnel: Funnel, frame: pl.DataFrame, inside: pl.Series, periods: pl.Series) -> pl.DataFrame:
    """Give every segment, and group of the breakdown, the steps of the missing periods: zeros, and rates of nothing.

    Rows that are not `inside` the span are left out.
    """
    group = [funnel.breakdown] if funnel.breakdown else []
    block = frame.unique([CELL, *group, "step"], keep="first", maintain_order=True)
    numbers = [name for name in COUNTED if name in frame.columns]
    kept = {*frame.columns[: frame.columns.index("optional") + 1], *numbers, CELL}
    zero = block.with_columns(
        *(
            pl.when(pl.col(name).is_not_null()).then(pl.lit(0, frame.schema[name])).alias(name)
            for name in numbers
        ),
        *(pl.lit(None, frame.schema[name]).alias(name) for name in frame.columns if name not in kept),
    )
    zero = zero.drop("period").join(periods.to_frame(), how="cross", maintain_order="left_right")
    return pl.concat([frame.filter(inside), zero.select(frame.columns)]).sort(
        CELL, "period", maintain_order=True
    )


def _with_final(funnel: Funnel, frame: pl.DataFrame, edges: Int64s | None, context: Context) -> pl.DataFrame:
    """Say after the period whether the windows of all runs that could start in it were observed."""
    final = pl.Series("final", [None], dtype=pl.Boolean).new_from_index(0, frame.height)
    if funnel.window is not None and funnel.window != "session":
        window = microseconds(funnel.window, "within")
        ends = period_ends(frame["period"], edges, context)
        final = pl.Series("final", ends + window <= context.observed_until, dtype=pl.Boolean)
    return frame.insert_column(frame.columns.index("period") + 1, final)


def period_ends(starts: pl.Series, edges: Int64s | None, context: Context) -> Int64s:
    """Return when each period ends."""
    if edges is not None:
        return edges[np.searchsorted(edges, starts.dt.epoch("us").to_numpy(), side="right")]
    assert context.every is not None
    step = context.every.partition("-")[0]
    return starts.dt.offset_by(step).dt.epoch("us").to_numpy()
