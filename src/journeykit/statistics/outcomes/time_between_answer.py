"""The answer to TimeBetween: one row of figures, and the distribution behind them. D12.5, D14.1 to D14.3."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError
from journeykit.mathematics.intervals import GroupSums
from journeykit.protocol import CELL, GROUP, Context, Tables
from journeykit.statistics.base import (
    Answer,
    Grouped,
    groups_of_rows,
    groups_per_cell,
    place_of,
    with_floats,
    with_rate,
    with_share,
)
from journeykit.statistics.distribution import Distribution
from journeykit.statistics.incidence import Incidence
from journeykit.statistics.waiting import Waits
from journeykit.support.durations import Duration, microseconds

if TYPE_CHECKING:
    from journeykit.statistics.outcomes.time_between import TimeBetween

Floats = npt.NDArray[np.float64]
BOUNDS: tuple[Duration, ...] = ("1s", "10s", "1m", "10m", "1h", "6h", "1d", "7d", "30d", "90d", "365d")


@dataclass(frozen=True, eq=False, repr=False)
class TimeBetweenAnswer(Answer):
    """The time from one event to another; the frame is described in `TimeBetween`.

    Attributes
    ----------
    waits : polars.DataFrame
        What all figures are made of: starts by cell, jackknife group, whether an end was reached, and microseconds.
    """

    waits: pl.DataFrame
    groups: dict[int, int]
    users: dict[int, int]

    def histogram(self, bounds: Sequence[Duration] = BOUNDS) -> pl.DataFrame:
        """Count the waits that ended, by how long they took.

        Parameters
        ----------
        bounds : sequence of durations, ascending
            A wait of exactly a bound is the last of the bin below it.

        Returns
        -------
        polars.DataFrame
            Per segment, period and bin: ``above``, ``up_to`` (seconds; the last bin is open: null), ``ended`` and its
            ``share`` of all that ended. The first bin holds waits of 0 seconds too.

        Raises
        ------
        ParameterError
            If `bounds` are not ascending durations.
        """
        edges = [microseconds(bound, "bounds") for bound in bounds]
        if not edges or edges != sorted(set(edges)):
            raise ParameterError(
                f"bounds cannot be {tuple(bounds)!r}. Give durations, each longer than the one before."
            )
        ended = self.waits.filter(pl.col("closed") == 1)
        number = np.searchsorted(np.array(edges), ended["wait"].to_numpy(), side="left")
        counts = ended.select(CELL, pl.Series("bin", number), pl.col("count").alias("ended"))
        bins = pl.DataFrame(
            {
                "bin": np.arange(len(edges) + 1),
                "above": [0.0, *(edge / 1e6 for edge in edges)],
                "up_to": [*(edge / 1e6 for edge in edges), None],
            }
        )
        grid = pl.DataFrame({CELL: pl.Series(list(self.users), dtype=pl.Int32)}).join(bins, how="cross")
        totals = counts.group_by(CELL, "bin").agg(pl.col("ended").sum())
        table = grid.join(totals, on=[CELL, "bin"], how="left", maintain_order="left")
        table = table.with_columns(pl.col("ended").fill_null(0))
        whole = pl.col("ended").sum().over(CELL)
        share = pl.when(whole > 0).then(pl.col("ended") / whole).alias("share")
        return self.context.label(table.with_columns(share).drop("bin"))

    @cached_property
    def curve(self) -> pl.DataFrame:
        """Who has not got there yet, over time: Kaplan and Meier. D14.1.

        One row per segment, period and distinct ``time`` in seconds: starts ``at_risk``, those ``ended`` and
        ``censored`` at that time, and ``survival``, the share that is still waiting after it.
        """
        tables = []
        for cell, incidence in self._by_cell.items():
            rows = incidence.curve()
            tables.append(
                pl.DataFrame(
                    {
                        CELL: np.full(incidence.times.size, cell, np.int32),
                        "time": incidence.times / 1e6,
                        "at_risk": rows["at_risk"],
                        "ended": rows["converted"],
                        "censored": rows["censored"],
                        "survival": rows["unresolved"],
                    }
                )
            )
        empty = {
            CELL: pl.Int32,
            "time": pl.Float64,
            "at_risk": pl.Int64,
            "ended": pl.Int64,
            "censored": pl.Int64,
        }
        none = pl.DataFrame(schema={**empty, "survival": pl.Float64})
        return self.context.label(pl.concat([none, *tables]))

    def ended_by(self, tau: Duration) -> pl.DataFrame:
        """Return the share that gets there within a time, those who are censored taken into account. D14.3.

        Parameters
        ----------
        tau : str or timedelta
            Since the start, itself included.

        Returns
        -------
        polars.DataFrame
            Per segment and period: starts ``at_risk`` at that time, ``ended_by``, ``low`` and ``high`` (the
            formula's own where a user starts once, else jackknife); null with fewer than 10 at risk.
        """
        micro, rows = microseconds(tau, "tau"), []
        statistic: TimeBetween = self.statistic  # type: ignore[assignment]
        for cell, users in self.users.items():
            incidence = self._by_cell.get(cell)
            groups = None if statistic.each_user_once else self.groups.get(cell, 0)
            share = (np.nan,) * 3
            if incidence is not None:
                share = incidence.converted_by(micro, self.context.level, groups, users)
            rows.append((cell, 0 if incidence is None else incidence.at_risk(micro), *share))
        columns = {
            CELL: pl.Int32,
            "at_risk": pl.Int64,
            "ended_by": pl.Float64,
            "low": pl.Float64,
            "high": pl.Float64,
        }
        return self.context.label(pl.DataFrame(rows, schema=columns, orient="row").fill_nan(None))

    @cached_property
    def _by_cell(self) -> dict[int, Incidence]:
        waits = self.waits.rename({"closed": "outcome", "wait": "time"})
        parts = waits.partition_by(CELL, as_dict=True, include_key=False)
        return {int(cell): Incidence.of(parts[(cell,)]) for (cell,) in sorted(parts)}


def time_between_answer(
    statistic: TimeBetween, tables: Tables, context: Context, units: Grouped
) -> TimeBetweenAnswer:
    """Turn counts per wait into one row per cell."""
    cells, groups = units.totals.select(CELL, "users"), groups_per_cell(tables)
    waits = tables["waits"].sort(CELL, GROUP, "closed", "wait")
    ended = waits.filter(pl.col("closed") == 1)
    present = groups_of_rows(cells[CELL], groups)
    users, rows = cells["users"].to_numpy(), np.arange(cells.height)

    def sums(part: pl.DataFrame, value: pl.Expr) -> GroupSums:
        totals = part.select(value.alias("value")).to_series().to_numpy()
        return GroupSums.of(cells.height, place_of(part, cells, [CELL]), part[GROUP].to_numpy(), totals)

    count = pl.col("count")
    started, censored, done = (
        sums(waits, count),
        sums(waits, count * (1 - pl.col("closed").cast(pl.Int64))),
        sums(ended, count),
    )
    frame = cells.with_columns(
        pl.Series(name, each.total.astype(np.int64))
        for name, each in (("started", started), ("ended", done), ("censored", censored))
    )
    if statistic.each_user_once:
        frame = with_share(frame, "censored_share", "censored", "started", context)
    else:
        frame = with_rate(frame, "censored_share", censored, started, rows, groups, users, context)
    seconds = sums(ended, count * pl.col("wait") / 1e6)
    frame = with_rate(frame, "time_mean", seconds, done, rows, groups, users, context, scale="log")
    taken = Distribution.of(cells.height, place_of(ended, cells, [CELL]), ended, "wait")
    columns = taken.percentiles(statistic.quantiles, "time", present, context.level)
    reached = Waits.of(cells, (CELL,), waits, "wait", "closed").censored(present, users, context.level)
    columns |= {
        "survival_median": reached.value, "survival_median_low": reached.low, "survival_median_high": reached.high
    }  # fmt: skip
    shown = frame.select(CELL, "started", "users", "ended", "censored", pl.selectors.float())
    return TimeBetweenAnswer(
        context.label(with_floats(shown, columns)), statistic, context, waits, groups,
        dict(cells.iter_rows()),
    )  # fmt: skip
