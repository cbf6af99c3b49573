"""The answer to a funnel: rates with intervals, times, what is open. DEFINITIONS D7.11, D12."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError
from journeykit.mathematics.intervals import GroupSums, ratio_bounds
from journeykit.protocol import CELL, GROUP, Context, Tables
from journeykit.statistics.base import (
    UNITS_TABLE,
    Answer,
    Grouped,
    groups_of_rows,
    place_of,
    rate,
    share,
    with_floats,
)
from journeykit.statistics.distribution import Distribution, column_names
from journeykit.statistics.funnels.trend import by_period
from journeykit.statistics.goals import NEVER as LONGEST
from journeykit.statistics.goals import Floats, Int64s
from journeykit.support.threads import on_all_cores

if TYPE_CHECKING:
    from journeykit.statistics.funnels.funnel import Funnel

Since = Literal["previous", "first"]
SINCE: Mapping[str, int] = {"previous": 0, "first": 1}
STEMS: Mapping[str, str] = {"previous": "time", "first": "total_time"}
RESERVED = (
    "step", "name", "optional", "reached", "converted", "dropped", "open", "users", "entered", "step_rate",
    "total_rate", "matured", "matured_converted", "matured_rate", "value", "value_nulls",
    "period", "final", "from", "to", "units", "from_step", "to_step", "from_name", "to_name",
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
        ``final``, with ``every=``, after ``period``: whether the window of every run that could start in the period
        was observed: end of the period + window <= end of the observation. Null without a window.
    runs : polars.DataFrame, optional
        The run table, with ``runs=True``: ``user``, ``session`` (of sessions, from 1), ``run`` (in its unit, from 1),
        ``step``, ``name``, ``row`` (of the input, from 0), ``time``, ``excluded``, ``open`` and ``counts``: whether its
        unit counts by it.
    between : polars.DataFrame, optional
        With ``times_between``: ``from_step``, ``to_step``, ``from_name``, ``to_name``, ``units`` that have both, and
        ``time_*`` in seconds, after the columns of segments and of the breakdown.
    """

    runs: pl.DataFrame | None = None
    between: pl.DataFrame | None = None

    shown: ClassVar[Sequence[str]] = (
        "step", "name", "reached", "dropped", "open", "step_rate", "total_rate", "total_rate_low", "total_rate_high",
        "matured_rate", "time_median",
    )  # fmt: skip

    @property
    def proportions(self) -> Mapping[str, tuple[pl.Expr, pl.Expr]]:
        """The share of the users at the first step that reach each step."""
        funnel: Any = self.statistic
        once = funnel.counts_users_once and not funnel.rules.open_entry and funnel.breakdown is None
        return {"total_rate": (pl.col("reached"), pl.col("reached").first())} if once else {}

    @property
    def tie_sensitive(self) -> int:
        """Units whose level depends on the order of events at one time. D7.3."""
        return self._tie_sensitive

    _tie_sensitive: int = 0
    _times: pl.LazyFrame | None = None

    @property
    def times(self) -> pl.DataFrame:
        """How many units took how long: ``step``, ``since``, ``seconds``, ``units``, after the columns of segments.

        Raises
        ------
        ParameterError
            If the funnel keeps no times.
        """
        if self._times is None:
            raise ParameterError(
                "this funnel kept no times: it has neither quantiles nor bins. Ask with quantiles=(0.5,)."
            )
        return self.context.label(self._times.collect())

    def histogram(
        self,
        step: int | None = None,
        since: Since | int = "first",
        *,
        bins: int | None = None,
        min_bins: int = 3,
    ) -> pl.DataFrame:
        """Count the units by how long they took to a step. D7.11.

        Parameters
        ----------
        step : int, optional
            From 1; the last one by default.
        since : {"first", "previous"} or int
            From the first step, from the required step before, or from a step of `times_between`.
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
        chosen = self.times.filter(
            (pl.col("step") == step) & (pl.col("since") == since_name(funnel, since, step))
        )
        keys = [name for name in self.times.columns if name not in ("step", "since", "seconds", "units")]
        groups = chosen.partition_by(keys, maintain_order=True) if keys else [chosen]
        tables = [_binned(group, keys, bins or funnel.bins, min_bins) for group in groups if group.height]
        empty = chosen.select(*keys, _int("from"), _int("to"), _int("units")).clear()
        return pl.concat([empty, *tables])


def since_name(funnel: Funnel, since: Since | int, step: int) -> str:
    """Return what times since a step are called in `times`, or refuse a step that was not asked for."""
    if isinstance(since, int):
        if (since, step) not in funnel.pairs:
            raise ParameterError(
                f"this funnel kept no times from step {since!r} to step {step}. Ask with "
                f"times_between=[({since!r}, {step})]."
            )
        return f"step:{since}"
    if since not in SINCE:
        raise ParameterError.choice("since", since, (*SINCE, *(f"{a}" for a, b in funnel.pairs if b == step)))
    return since


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
    present = groups_of(tables, frame, context)
    frame = _with_outcomes(funnel, frame)
    frame = _with_rates(funnel, frame, steps, present, context)
    frame, times = _with_times(funnel, frame, tables, steps, present, context)
    frame = _named(funnel, frame).select(CELL, *_columns(funnel, frame))
    sensitive = int(tables["ties"]["tie_sensitive"].sum())
    group = {"breakdown": funnel.breakdown or "breakdown"}
    frame = by_period(funnel, frame.rename(group, strict=False), context)
    times = None if times is None else times.rename(group, strict=False)
    runs = _run_table(funnel, tables["runs"], context) if funnel.runs else None
    return FunnelAnswer(frame, funnel, context, runs, None, sensitive, times)


def _run_table(funnel: Funnel, table: pl.DataFrame, context: Context) -> pl.DataFrame:
    """Name what the run table shows. D7.11."""
    names = pl.Series([step.title for step in funnel.made], dtype=pl.String)
    moment = pl.col("time").cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(context.tz)
    table = table.sort(CELL, "user", "session", "run", "step")
    shown = ("name", "row", "time", "excluded", "open", "counts")
    named = context.label(table.drop(GROUP)).with_columns(
        pl.when(pl.col("session") > 0).then(pl.col("session")).alias("session"),
        pl.lit(names).gather(pl.col("step") - 1).alias("name"),
        moment.alias("time"),
        *(pl.col(flag).cast(pl.Boolean) for flag in ("excluded", "open", "counts")),
    )
    return named.select(pl.exclude(shown), *shown)


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
    missing = asked.join(table, on=keys, how="anti", nulls_equal=True, maintain_order="left")
    zeros = (pl.lit(_nothing(name)).cast(table.schema[name]).alias(name) for name in numbers)
    counted = table.select(keys + numbers)
    return counted if missing.is_empty() else pl.concat([counted, missing.select(*keys, *zeros)])


def _nothing(name: str) -> int:
    """Return what a column holds where nothing was counted; extremes have no value of their own."""
    return LONGEST if name.endswith("_min") else -LONGEST if name.endswith("_max") else 0


def groups_of(tables: Tables, frame: pl.DataFrame, context: Context) -> dict[int, int]:
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
    told, continued = shown & funnel.tells_open, pl.lit(pl.Series(went_on.ravel()))
    return frame.with_columns(
        pl.when(shown).then(continued).alias("converted"),
        pl.when(told).then(pl.col("reached") - continued - pl.col("open")).alias("dropped"),
        pl.when(told).then(pl.col("open")).alias("open"),
    )


def _with_rates(
    funnel: Funnel, frame: pl.DataFrame, steps: Grouped, present: Mapping[int, int], context: Context
) -> pl.DataFrame:
    """Add step, total and matured rates with their intervals. D12.2, D12.3."""
    k = len(funnel.made)
    before, _ = _neighbours(funnel)
    block = np.arange(frame.height) // k * k
    bases = {"step_rate": block + np.tile(before, frame.height // k), "total_rate": block}
    windowed = funnel.window is not None and funnel.window != "session"
    columns: dict[str, Floats] = {}
    for name, rows in bases.items():
        columns |= _rate(funnel, frame, steps, name, ("reached", "reached"), rows, present, context)
    own = np.arange(frame.height)
    matured = ("matured_converted", "matured")
    columns |= _rate(funnel, frame, steps, "matured_rate", matured, own, present, context)
    frame = with_floats(frame, columns)
    optional = pl.Series(np.tile([step.optional for step in funnel.made], frame.height // k))
    null = optional if windowed else pl.Series(np.ones(frame.height, bool))
    names = [name for name in frame.columns if name.startswith("matured")]
    return frame.with_columns(pl.when(~null).then(pl.col(name)).alias(name) for name in names)


def _rate(
    funnel: Funnel,
    frame: pl.DataFrame,
    steps: Grouped,
    name: str,
    columns: tuple[str, str],
    rows: Int64s,
    present: Mapping[int, int],
    context: Context,
) -> dict[str, Floats]:
    """Return one rate: Wilson where each user is counted once and is part of the whole, else the jackknife."""
    top, bottom = columns
    if funnel.counts_users_once and not funnel.rules.open_entry:
        return share(name, frame[top].to_numpy(), frame[bottom].to_numpy()[rows], context)
    scale: Literal["log", "logit"] = "log" if funnel.rules.open_entry else "logit"
    cells, users = frame[CELL].to_numpy(), frame["users"].to_numpy()[rows]
    estimate, ends = rate(
        cells, steps.sums(top), steps.sums(bottom), rows, present, users, context, scale=scale
    )
    return {name: estimate, f"{name}_low": ends.low, f"{name}_high": ends.high}


def _with_times(
    funnel: Funnel,
    frame: pl.DataFrame,
    tables: Tables,
    steps: Grouped,
    present: Mapping[int, int],
    context: Context,
) -> tuple[pl.DataFrame, pl.LazyFrame | None]:
    """Add the times, from the step before and from the first; and return how many units took how long."""
    groups = groups_of_rows(frame[CELL], present)
    means = (mean_columns(frame, steps, stem, groups, context.level) for stem in STEMS.values())
    frame = with_floats(frame, {name: values for columns in means for name, values in columns.items()})
    if not funnel.keeps_times:
        return frame, None
    keys = [CELL, *funnel.tables["steps"]]
    table = tables["times"]
    place = _places(funnel, frame, table, keys)
    since, again = (
        table["since"].to_numpy(),
        np.tile(_follows_first(funnel), frame.height // len(funnel.made)),
    )

    def found(number: int) -> dict[str, Floats]:
        own = since == number
        part = table.select("gap", "count", GROUP).filter(pl.Series(own))
        return percentiles(part, place[own], frame.height, "", funnel, groups, context.level)

    previous, first = on_all_cores(found, SINCE.values())
    first = {stem: np.where(again, previous[stem], values) for stem, values in first.items()}
    stems = zip(STEMS.values(), (previous, first), strict=True)
    frame = with_floats(
        frame, {f"{name}{stem}": values for name, columns in stems for stem, values in columns.items()}
    )
    names = pl.Series([*SINCE, *(f"step:{k}" for k in range(1, len(funnel.made)))], dtype=pl.String)
    counted = shown_times(funnel, with_times_since_first(funnel, table.lazy()))
    counted = counted.group_by([*keys, "since", "gap"]).agg(pl.col("count").sum())
    counted = counted.sort([*keys, "since", "gap"], nulls_last=True)
    return frame, counted.select(
        *keys,
        pl.lit(names).gather(pl.col("since")).alias("since"),
        (pl.col("gap") / 1e6).alias("seconds"),
        pl.col("count").alias("units"),
    )


def _follows_first(funnel: Funnel) -> npt.NDArray[np.bool_]:
    """Tell of every step whether the required one before it is the first: its time since both is the same."""
    before, _ = _neighbours(funnel)
    return np.array([k > 0 and one == 0 for k, one in enumerate(before)])


def with_times_since_first(funnel: Funnel, table: pl.LazyFrame) -> pl.LazyFrame:
    """Add the times since the first step that a tally has only as those since the step before."""
    steps = (np.flatnonzero(_follows_first(funnel)) + 1).tolist()
    same = table.filter((pl.col("since") == SINCE["previous"]) & pl.col("step").is_in(steps))
    return pl.concat([table, same.with_columns(pl.lit(SINCE["first"], pl.Int64).alias("since"))])


def shown_times(funnel: Funnel, table: pl.LazyFrame) -> pl.LazyFrame:
    """Leave of times between two steps one per unit: means, with a negative `since`, where runs are averaged. D7.11."""
    if funnel.rules.times != "mean_of_runs":
        return table
    return table.filter(pl.col("since") < 2).with_columns(pl.col("since").abs())


def _places(funnel: Funnel, frame: pl.DataFrame, table: pl.DataFrame, keys: Sequence[str]) -> Int64s:
    """Return the row of the frame that each time belongs to; without a breakdown its cell and step say it."""
    if funnel.breakdown:
        return place_of(table, frame, keys)
    cells = frame[CELL].to_numpy()[:: len(funnel.made)]
    block = np.searchsorted(cells, table[CELL].to_numpy())
    place: Int64s = block * len(funnel.made) + table["step"].to_numpy() - 1
    return place


def mean_columns(
    frame: pl.DataFrame, steps: Grouped, stem: str, groups: Int64s, level: float
) -> dict[str, Floats]:
    """Return the mean with its jackknife interval, the least and the most. D12.3."""
    rest, units = steps.sums(f"{stem}_rest"), steps.sums(f"{stem}_count")
    seconds = steps.sums(f"{stem}_seconds")
    total = GroupSums(
        seconds.total + rest.total / 1e6, seconds.row, seconds.group, seconds.value + rest.value / 1e6
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(units.total > 0, total.total / units.total, np.nan)
    ends = ratio_bounds(
        total, units, np.arange(frame.height), groups, units.total, scale="identity", level=level
    )
    some = units.total > 0
    least, most = (np.where(some, frame[f"{stem}_{end}"].to_numpy() / 1e6, np.nan) for end in ("min", "max"))
    named = {"mean": mean, "mean_low": ends.low, "mean_high": ends.high, "min": least, "max": most}
    return {f"{stem}_{name}": values for name, values in named.items()}


def percentiles(
    table: pl.DataFrame, place: Int64s, rows: int, stem: str, funnel: Funnel, groups: Int64s, level: float
) -> dict[str, Floats]:
    """Return the percentiles of each row, in seconds, with Woodruff intervals. D12.5."""
    return Distribution.of(rows, place, table, "gap").percentiles(funnel.quantiles, stem, groups, level)


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
    names = column_names(funnel.quantiles, "")
    shown = [
        "_mean",
        "_mean_low",
        "_mean_high",
        *(f"{name}{end}" for name in names for end in ("", "_low", "_high")),
    ]
    times = [f"{stem}{name}" for stem in STEMS.values() for name in (*shown, "_min", "_max")]
    value = ["value", "value_nulls"] if funnel.value else []
    counts = ["reached", "converted", "dropped", "open", "users", "entered"]
    return [*group, "step", "name", "optional", *counts, *rates, *matured, *times, *value]
