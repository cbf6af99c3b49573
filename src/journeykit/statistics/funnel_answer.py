"""The answer to a funnel: rates with intervals, times, what is open. DEFINITIONS D7.11, D12."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import polars as pl

from journeykit.errors import ParameterError
from journeykit.intervals import GroupSums
from journeykit.protocol import CELL, GROUP, Context, Tables, sum_rows
from journeykit.statistics.base import (
    UNITS_TABLE,
    Answer,
    Grouped,
    place_of,
    with_floats,
    with_rate,
    with_share,
)
from journeykit.statistics.distribution import Distribution, column_names
from journeykit.statistics.goals import Floats, Int64s

if TYPE_CHECKING:
    from journeykit.statistics.funnel import Funnel

Since = Literal["previous", "first"]
SINCE: Mapping[str, int] = {"previous": 0, "first": 1}
STEMS: Mapping[str, str] = {"previous": "time", "first": "total_time"}
RESERVED = (
    "step", "name", "optional", "reached", "converted", "dropped", "open", "users", "entered", "step_rate",
    "total_rate", "matured", "matured_converted", "matured_rate", "value", "value_nulls",
    "period", "from", "to", "units",
)  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class FunnelAnswer(Answer):
    """How many units went through the steps, one row per step.

    Attributes
    ----------
    frame : polars.DataFrame
        ``step``, ``name``, ``optional``: the step, from 1.
        ``reached``: units (runs for totals) that reached it.
        ``converted``, ``dropped``, ``open``: those of `reached` that went on to the next required step, that did not,
        and that still may at the end of the observation; null for the last step and optional ones, and the last two
        where no window ends a run. ``reached = converted + dropped + open``.
        ``users``: their distinct users. ``entered``: units whose run begins here.
        ``step_rate``: of the units at the required step before it. ``total_rate``: of those at the first step.
        ``matured``, ``matured_converted``, ``matured_rate``: the same among runs whose whole window was observed: the
        rate to report. Null without a window.
        ``time_*``, ``total_time_*``: seconds from the step before, and from the first step.
        ``value``, ``value_nulls``: sum of the property, and how many were null.
    times : polars.DataFrame
        How many units took how long: ``step``, ``since``, ``seconds``, ``units``.
    runs : polars.DataFrame, optional
        The run table.
    """

    times: pl.DataFrame
    runs: pl.DataFrame | None = None

    shown: ClassVar[Sequence[str]] = (
        "step", "name", "reached", "dropped", "open", "step_rate", "total_rate", "total_rate_low", "total_rate_high",
        "matured_rate", "time_median",
    )  # fmt: skip

    @property
    def tie_sensitive(self) -> int:
        """Units whose level depends on the order of events at one time. D7.3."""
        return self._tie_sensitive

    _tie_sensitive: int = 0

    def histogram(
        self, step: int | None = None, since: Since = "first", *, bins: int | None = None, min_bins: int = 3
    ) -> pl.DataFrame:
        """Count the units by how long they took to a step. D7.11.

        Parameters
        ----------
        step : int, optional
            From 1; the last one by default.
        since : {"first", "previous"}
            From the first step, or from the required step before.
        bins : int, optional
            How many; those of the funnel, or by the number of units, by default.
        min_bins : int
            The least number by units; PostHog's later version has 1.

        Returns
        -------
        polars.DataFrame
            ``from``, ``to`` in seconds and ``units``, after the columns of segments; one row more than bins.

        Raises
        ------
        ParameterError
            If a parameter has a value it cannot take.

        Notes
        -----
        Bins start at the whole second below the least time and are of whole seconds: the rule of PostHog.
        """
        funnel: Funnel = self.statistic  # type: ignore[assignment]
        last = len(funnel.made)
        step = last if step is None else step
        if not isinstance(step, int) or not 2 <= step <= last:
            raise ParameterError(f"step must be a whole number from 2 to {last}, not {step!r}.")
        if since not in SINCE:
            raise ParameterError.choice("since", since, tuple(SINCE))
        chosen = self.times.filter((pl.col("step") == step) & (pl.col("since") == since))
        keys = [name for name in self.times.columns if name not in ("step", "since", "seconds", "units")]
        groups = chosen.partition_by(keys, maintain_order=True) if keys else [chosen]
        tables = [_binned(group, keys, bins or funnel.bins, min_bins) for group in groups if group.height]
        empty = chosen.select(*keys, _int("from"), _int("to"), _int("units")).clear()
        return pl.concat([empty, *tables])


def _int(name: str) -> pl.Expr:
    return pl.lit(0, pl.Int64).alias(name)


def _binned(group: pl.DataFrame, keys: Sequence[str], bins: int | None, min_bins: int) -> pl.DataFrame:
    """Put the times of one group into bins. D7.11."""
    seconds, units = group["seconds"].to_numpy(), group["units"].to_numpy()
    count = bins or min(max(_cube_root_up(int(units.sum())), min_bins), 60)
    first = floor(seconds.min())
    width = ceil((ceil(seconds.max()) - first) / count) or 60
    place = ((seconds - first) // width).astype(np.int64)
    starts = first + width * np.arange(count + 1, dtype=np.int64)
    found = np.bincount(place, units, minlength=count + 1).astype(np.int64)
    table = pl.DataFrame({"from": starts, "to": starts + width, "units": found})
    return group.select(keys).head(1).join(table, how="cross") if keys else table


def _cube_root_up(n: int) -> int:
    """Return the least integer whose cube is at least n."""
    root: int = max(0, round(float(n) ** (1 / 3)) - 1)
    while root**3 < n:
        root += 1
    return root


def funnel_answer(funnel: Funnel, tables: Tables, context: Context) -> FunnelAnswer:
    """Turn counts into the answer."""
    keys = funnel.tables["steps"]
    steps = Grouped(_complete(funnel, tables, context), tuple(keys))
    frame = steps.totals
    present = _groups(funnel, tables, frame, context)
    frame = _with_outcomes(funnel, frame)
    frame = _with_rates(funnel, frame, steps, present, context)
    frame, times = _with_times(funnel, frame, tables, present, context)
    frame = _named(funnel, frame).select(CELL, *_columns(funnel, frame))
    sensitive = int(tables["ties"]["tie_sensitive"].sum())
    group = {"breakdown": funnel.breakdown or "breakdown"}
    frame, times = (_labelled(context, one.rename(group, strict=False)) for one in (frame, times))
    return FunnelAnswer(frame, funnel, context, times, None, sensitive)


def _labelled(context: Context, frame: pl.DataFrame) -> pl.DataFrame:
    return context.label(frame)


def _complete(funnel: Funnel, tables: Tables, context: Context) -> pl.DataFrame:
    """Give every segment, group and period that could have runs a row per step. D0.3."""
    table = tables["steps"]
    size = context.labels["period"].n_unique() if "period" in context.labels.columns else 1
    units = tables[UNITS_TABLE].filter(pl.col("paths") > 0).select(CELL, GROUP)
    if units.is_empty() and context.labels.width == 0:
        units = pl.DataFrame({CELL: [0], GROUP: [0]}, schema={CELL: pl.Int32, GROUP: pl.UInt8})
    first = (pl.col(CELL) // size * size).cast(pl.Int32)
    asked = units.with_columns(first.alias(CELL)).unique(maintain_order=True)
    if funnel.breakdown:
        seen = table.filter(pl.col("reached") > 0).select(first.alias(CELL), "breakdown")
        asked = asked.join(seen.unique(maintain_order=True), on=CELL, how="inner", maintain_order="left")
    periods = pl.DataFrame({"of": pl.Series(range(size), dtype=pl.Int32)})
    step = pl.DataFrame({"step": range(1, len(funnel.made) + 1)}, schema={"step": pl.Int64})
    asked = asked.join(periods, how="cross").with_columns(pl.col(CELL) + pl.col("of")).join(step, how="cross")
    keys = [CELL, GROUP, *funnel.tables["steps"]]
    numbers = [name for name in table.columns if name not in keys]
    zero = asked.select(*keys, *(pl.lit(0).cast(table.schema[name]).alias(name) for name in numbers))
    return sum_rows(pl.concat([table.select(keys + numbers), zero]), keys)


def _groups(funnel: Funnel, tables: Tables, frame: pl.DataFrame, context: Context) -> dict[int, int]:
    """Return how many jackknife groups have users in the segment of each cell."""
    size = context.labels["period"].n_unique() if "period" in context.labels.columns else 1
    units = tables[UNITS_TABLE].filter(pl.col("users") > 0)
    counts = units.group_by((pl.col(CELL) // size).alias(CELL)).agg(pl.col(GROUP).n_unique())
    found = {int(segment): int(count) for segment, count in counts.iter_rows()}
    return {cell: found.get(cell // size, 0) for cell in frame[CELL].unique().to_list()}


def _neighbours(funnel: Funnel) -> tuple[list[int], list[int | None]]:
    """Return for every step the required step before it, itself for the first, and the required one after it."""
    required = [k for k, step in enumerate(funnel.made) if not step.optional]
    before = [max((one for one in required if one < k), default=k) for k in range(len(funnel.made))]
    after = [next((one for one in required if one > k), None) for k in range(len(funnel.made))]
    return before, after


def _with_outcomes(funnel: Funnel, frame: pl.DataFrame) -> pl.DataFrame:
    """Add who went on and who dropped; the rows of a cell and group are the steps in order."""
    k = len(funnel.made)
    _, after = _neighbours(funnel)
    reached = frame["reached"].to_numpy().reshape(-1, k)
    entered = frame["entered"].to_numpy().reshape(-1, k)
    went_on = np.zeros_like(reached)
    known = np.zeros(k, bool)
    for step, following in enumerate(after):
        if following is not None and not funnel.made[step].optional:
            known[step] = True
            went_on[:, step] = reached[:, following] - (
                entered[:, following] if funnel.rules.open_entry else 0
            )
    shown = pl.Series(np.tile(known, reached.shape[0]))
    told = shown & funnel.tells_open
    frame = frame.with_columns(pl.Series("went_on", went_on.ravel()))
    return frame.with_columns(
        pl.when(shown).then(pl.col("went_on")).alias("converted"),
        pl.when(told).then(pl.col("reached") - pl.col("went_on") - pl.col("open")).alias("dropped"),
        pl.when(told).then(pl.col("open")).alias("open"),
    ).drop("went_on")


def _with_rates(
    funnel: Funnel, frame: pl.DataFrame, steps: Grouped, present: Mapping[int, int], context: Context
) -> pl.DataFrame:
    """Add step, total and matured rates with their intervals. D12.2, D12.3."""
    k = len(funnel.made)
    before, _ = _neighbours(funnel)
    block = np.arange(frame.height) // k * k
    bases = {"step_rate": block + np.tile(before, frame.height // k), "total_rate": block}
    windowed = funnel.window is not None and funnel.window != "session"
    for name, rows in bases.items():
        frame = _with_rate(funnel, frame, steps, name, ("reached", "reached"), rows, present, context)
    own = np.arange(frame.height)
    frame = _with_rate(
        funnel, frame, steps, "matured_rate", ("matured_converted", "matured"), own, present, context
    )
    optional = pl.Series(np.tile([step.optional for step in funnel.made], frame.height // k))
    null = optional if windowed else pl.Series(np.ones(frame.height, bool))
    names = [name for name in frame.columns if name.startswith("matured")]
    return frame.with_columns(pl.when(~null).then(pl.col(name)).alias(name) for name in names)


def _with_rate(
    funnel: Funnel,
    frame: pl.DataFrame,
    steps: Grouped,
    name: str,
    columns: tuple[str, str],
    rows: Int64s,
    present: Mapping[int, int],
    context: Context,
) -> pl.DataFrame:
    """Add one rate: Wilson where each user is counted once and is part of the whole, else the jackknife."""
    top, bottom = columns
    if funnel.counts_users_once and not funnel.rules.open_entry:
        whole = frame[bottom].gather(pl.Series(rows)).alias("whole")
        return with_share(frame.with_columns(whole), name, top, "whole", context).drop("whole")
    scale: Literal["log", "logit"] = "log" if funnel.rules.open_entry else "logit"
    users = frame["users"].to_numpy()[rows]
    return with_rate(
        frame, name, steps.sums(top), steps.sums(bottom), rows, present, users, context, scale=scale
    )


def _with_times(
    funnel: Funnel, frame: pl.DataFrame, tables: Tables, present: Mapping[int, int], context: Context
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Add the times, from the step before and from the first; and return how many units took how long."""
    keys = [CELL, *funnel.tables["steps"]]
    table = tables["times"]
    second = _neighbours(funnel)[0].count(0) > 0
    groups = np.array([present.get(cell, 0) for cell in frame[CELL].to_list()], np.int64)
    firsts = [k + 1 for k, before in enumerate(_neighbours(funnel)[0]) if before == 0 and k] if second else []
    both = pl.concat(
        [
            table,
            table.filter(pl.col("step").is_in(firsts) & (pl.col("since") == 0)).with_columns(
                since=pl.lit(1, pl.Int64)
            ),
        ]
    )
    for since, number in SINCE.items():
        own = both.filter(pl.col("since") == number)
        place = place_of(own, frame, keys)
        frame = with_floats(
            frame, _summary(own, place, frame.height, STEMS[since], funnel, groups, context.level)
        )
    counted = sum_rows(both, [*keys, "since", "gap"]).sort([*keys, "since", "gap"], nulls_last=True)
    names = pl.Series(list(SINCE), dtype=pl.String)
    return frame, counted.select(
        *keys,
        pl.lit(names).gather(pl.col("since")).alias("since"),
        (pl.col("gap") / 1e6).alias("seconds"),
        pl.col("count").alias("units"),
    )


def _summary(
    table: pl.DataFrame, place: Int64s, rows: int, stem: str, funnel: Funnel, groups: Int64s, level: float
) -> dict[str, Floats]:
    """Return mean, percentiles, least and most of the times of each row, in seconds."""
    from journeykit.intervals import ratio_bounds

    gap, count = table["gap"].to_numpy().astype(np.float64), table["count"].to_numpy()
    group = table[GROUP].to_numpy()
    total = GroupSums.of(rows, place, group, gap * count / 1e6)
    units = GroupSums.of(rows, place, group, count)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(units.total > 0, total.total / units.total, np.nan)
    ends = ratio_bounds(total, units, np.arange(rows), groups, units.total, scale="identity", level=level)
    columns = {f"{stem}_mean": mean, f"{stem}_mean_low": ends.low, f"{stem}_mean_high": ends.high}
    taken = Distribution.of(rows, place, table, "gap")
    for q, name in zip(funnel.quantiles, column_names(funnel.quantiles, stem), strict=True):
        value = taken.quantile(q)
        low, high = taken.bounds(value, groups, level)
        columns |= {name: value / 1e6, f"{name}_low": low / 1e6, f"{name}_high": high / 1e6}
    least, most = np.full(rows, np.inf), np.full(rows, -np.inf)
    np.minimum.at(least, place, gap / 1e6)
    np.maximum.at(most, place, gap / 1e6)
    some = units.total > 0
    columns |= {f"{stem}_min": np.where(some, least, np.nan), f"{stem}_max": np.where(some, most, np.nan)}
    return columns


def _named(funnel: Funnel, frame: pl.DataFrame) -> pl.DataFrame:
    times = frame.height // len(funnel.made)
    names = [step.title for step in funnel.made] * times
    optional = [step.optional for step in funnel.made] * times
    return frame.with_columns(
        pl.Series("name", names, dtype=pl.String), pl.Series("optional", optional, dtype=pl.Boolean)
    )


def _columns(funnel: Funnel, frame: pl.DataFrame) -> list[str]:
    """Return the columns of the answer in their order."""
    group = ["breakdown"] if funnel.breakdown else []
    rates = [f"{name}{end}" for name in ("step_rate", "total_rate") for end in ("", "_low", "_high")]
    matured = ["matured", "matured_converted", "matured_rate", "matured_rate_low", "matured_rate_high"]
    times = [name for stem in STEMS.values() for name in frame.columns if name.startswith(f"{stem}_")]
    value = ["value", "value_nulls"] if funnel.value else []
    counts = ["reached", "converted", "dropped", "open", "users", "entered"]
    return [*group, "step", "name", "optional", *counts, *rates, *matured, *times, *value]
