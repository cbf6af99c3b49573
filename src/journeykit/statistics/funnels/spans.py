"""Times between any two steps of a funnel's runs. DEFINITIONS D7.11."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError
from journeykit.protocol import CELL, GROUP, Context, Tables, sum_rows
from journeykit.statistics.base import Grouped, groups_of_rows, place_of, with_floats
from journeykit.statistics.funnels.answer import FunnelAnswer, groups_of, mean_columns, percentiles
from journeykit.statistics.funnels.runs import Runs, averages
from journeykit.statistics.funnels.steps import Step
from journeykit.statistics.goals import NEVER as LONGEST
from journeykit.statistics.goals import Floats, Int64s

if TYPE_CHECKING:
    from journeykit.statistics.funnels.funnel import Funnel

Pairs = tuple[tuple[int, int], ...]
SUMS = ("time_count", "time_seconds", "time_rest", "time_min", "time_max")


def checked_pairs(given: Any, steps: Sequence[Step]) -> Pairs:
    """Return pairs of steps, or refuse what is none.

    Raises
    ------
    ParameterError
        If a pair is not two steps of the funnel, the first before the second, or comes twice.
    """
    pairs = [tuple(one) if isinstance(one, tuple | list) else one for one in given]
    for one in pairs:
        whole = isinstance(one, tuple) and all(type(step) is int for step in one)
        if not whole or len(one) != 2 or not 1 <= one[0] < one[1] <= len(steps):
            raise ParameterError(
                f"times_between holds pairs of steps from 1 to {len(steps)}, the first before the second, "
                f"and {one!r} is none. Give, for example, times_between=[(1, {max(2, len(steps))})]."
            )
    if len(set(pairs)) < len(pairs):
        raise ParameterError(f"times_between names a pair of steps twice: {pairs!r}.")
    return tuple(pairs)


class Spans:
    """The times between pairs of steps in one shard, as a table that adds.

    In the tables, `step` is the later step, and `since` one more than the earlier one, so that it differs from 0 and 1.
    """

    def __init__(self, pairs: Pairs, averaged: bool) -> None:
        self.pairs, self.averaged = pairs, averaged
        self.rows: list[tuple[npt.NDArray[Any], ...]] = []

    def add(
        self, runs: Runs, longest: tuple[Runs, Int64s] | None, distinct: Int64s, group: Int64s
    ) -> list[tuple[Int64s, ...]]:
        """Add the times of some runs up; return each as (key, step, since, microseconds).

        Where runs are averaged, the median of a unit has `since`, its mean the same below zero.
        """
        times: list[tuple[Int64s, ...]] = []
        for a, b in self.pairs:
            added: Int64s | Floats
            if longest is None:
                own, gap = gaps_between(runs, a - 1, b - 1)
                added, kept = gap, [(1 + a, gap)]
            else:
                own, added, gap = averages(*longest, a - 1, b - 1)
                kept = [(1 + a, gap), (-1 - a, np.rint(added).astype(np.int64))]
            key = distinct[group[own]]
            self._sum(key, b, 1 + a, added)
            times += [(key, np.full(key.size, b), np.full(key.size, since), value) for since, value in kept]
        return times

    def _sum(self, key: Int64s, step: int, since: int, added: Int64s | Floats) -> None:
        distinct, place = np.unique(key, return_inverse=True)
        n = distinct.size
        seconds, rest = np.divmod(added, 1_000_000)
        whole = np.rint(added).astype(np.int64)
        least, most = np.full(n, LONGEST), np.full(n, -LONGEST)
        np.minimum.at(least, place, whole)
        np.maximum.at(most, place, whole)
        sums = (np.bincount(place, values, n) for values in (seconds, rest))
        self.rows.append((
            distinct, np.full(n, step), np.full(n, since), np.bincount(place, minlength=n), *sums, least, most,
        ))  # fmt: skip

    def table(self, keyed: Callable[[Int64s], dict[str, Any]]) -> pl.DataFrame:
        """Return one row per cell, group of the breakdown and pair."""
        nothing = tuple(np.empty(0, np.int64) for _ in range(3 + len(SUMS)))
        key, step, since, *sums = (np.concatenate(column) for column in zip(nothing, *self.rows, strict=True))
        sums[1:3] = sums[1].astype(np.int64), sums[2].astype(np.float64 if self.averaged else np.int64)
        named = dict(zip(SUMS, sums, strict=True))
        columns = {
            **keyed(key.astype(np.int64)),
            "step": step.astype(np.int64),
            "since": since.astype(np.int64),
        }
        return sum_rows(pl.DataFrame({**columns, **named}), list(columns))


def gaps_between(runs: Runs, before: int, step: int) -> tuple[Int64s, Int64s]:
    """Return the runs that have two steps, and the microseconds between them."""
    own = np.flatnonzero((runs.at[:, step] >= 0) & (runs.at[:, before] >= 0))
    return own, runs.times[own, step] - runs.times[own, before]


def with_spans(funnel: Funnel, answer: FunnelAnswer, tables: Tables, context: Context) -> FunnelAnswer:
    """Add to an answer the times between pairs of steps."""
    if not funnel.pairs:
        return answer
    keys = funnel.tables["spans"]
    spans = Grouped(_complete(funnel, tables["spans"], tables), tuple(keys))
    frame = spans.totals
    present = groups_of(tables, frame, context)
    groups = groups_of_rows(frame[CELL], present)
    frame = frame.with_columns(pl.col("time_count").alias("units"))
    frame = with_floats(frame, mean_columns(frame, spans, "time", groups, context.level))
    if funnel.keeps_times:
        table = tables["times"].filter(pl.col("since") > 1)
        place = place_of(table, frame, [CELL, *keys])
        part = table.select("gap", "count", GROUP)
        columns = percentiles(part, place, frame.height, "time", funnel, groups, context.level)
        frame = with_floats(frame, columns)
    names = pl.Series([step.title for step in funnel.made], dtype=pl.String)
    ends = {"from": pl.col("since") - 1, "to": pl.col("step")}
    shown = context.label(
        frame.select(
            CELL,
            *([pl.col("breakdown").alias(funnel.breakdown)] if funnel.breakdown else []),
            *(end.alias(f"{name}_step") for name, end in ends.items()),
            *(pl.lit(names).gather(end - 1).alias(f"{name}_name") for name, end in ends.items()),
            "units",
            *(name for name in frame.columns if name.startswith("time_") and name not in SUMS[:3]),
        )
    )
    return replace(answer, between=shown)


def _complete(funnel: Funnel, spans: pl.DataFrame, tables: Tables) -> pl.DataFrame:
    """Give every cell, and group of the breakdown, in which units reached a step a row per pair. D0.3."""
    keys = [CELL, *funnel.tables["spans"]]
    steps = tables["steps"].filter(pl.col("reached") > 0)
    group = ["breakdown"] if funnel.breakdown else []
    seen = steps.select(CELL, GROUP, *group).unique(maintain_order=True)
    pairs = pl.DataFrame(
        {"step": [b for _, b in funnel.pairs], "since": [1 + a for a, _ in funnel.pairs]},
        schema={"step": pl.Int64, "since": pl.Int64},
    )
    nothing = {"time_min": LONGEST, "time_max": -LONGEST}
    zero = seen.join(pairs, how="cross").with_columns(
        pl.lit(nothing.get(name, 0)).cast(spans.schema[name]).alias(name) for name in SUMS
    )
    return sum_rows(pl.concat([spans.select(zero.columns), zero]), [GROUP, *keys])
