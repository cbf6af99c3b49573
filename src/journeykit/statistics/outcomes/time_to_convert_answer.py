"""The answer to TimeToConvert: curves, times, hazards, and a test between segments. DEFINITIONS D14."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from journeykit.errors import ParameterError
from journeykit.protocol import CELL, Context, Tables, sum_rows
from journeykit.statistics.base import UNITS_TABLE, Answer, Grouped, groups_per_cell
from journeykit.statistics.distribution import column_names
from journeykit.statistics.incidence import Incidence, log_rank
from journeykit.support.durations import Duration, microseconds

if TYPE_CHECKING:
    from journeykit.statistics.outcomes.time_to_convert import TimeToConvert

OUTCOMES = ("censored", "converted", "abandoned")
Time = Duration | float


@dataclass(frozen=True, eq=False, repr=False)
class TimeToConvertAnswer(Answer):
    """How long it takes to convert; the frame is described in `TimeToConvert`.

    Attributes
    ----------
    times : polars.DataFrame
        What all figures are made of: units by cell, jackknife group, outcome (0 censored, 1 converted, 2 abandoned) and
        time.
    """

    times: pl.DataFrame
    groups: dict[int, int]
    users: dict[int, int]
    scale: float
    numbers: bool
    own_variance: bool

    @cached_property
    def curve(self) -> pl.DataFrame:
        """What became of units over time: Kaplan and Meier, Aalen and Johansen. D14.1, D14.2.

        One row per segment, period and distinct ``time``: units ``at_risk``, those ``converted``, ``abandoned`` and
        ``censored`` at that time; ``unresolved`` (S after it), ``converted_by`` and ``abandoned_by``, which sum to 1;
        of users the bounds of the first two, Greenwood's and the delta method's, symmetric for log(-log).
        """
        tables = []
        for cell, incidence in self._by_cell.items():
            times = incidence.times * self.scale
            columns: dict[str, Any] = {CELL: np.full(times.size, cell, np.int32), "time": times}
            columns |= incidence.curve()
            if self.own_variance:
                columns |= incidence.bounds(self.context.level)
            tables.append(pl.DataFrame(columns))
        if not tables:
            return pl.DataFrame()
        return self.context.label(pl.concat(tables))

    def converted_by(self, tau: Time) -> pl.DataFrame:
        """Return the share that has converted by a time, whoever may still be under way. D14.3.

        Parameters
        ----------
        tau : duration, or number of steps
            Since the start, itself included. A number where the clock counts steps, or durations were given as such.

        Returns
        -------
        polars.DataFrame
            Per segment and period: units ``at_risk`` at that time, ``converted_by``, ``low``, ``high``; null with fewer
            than 10 at risk.
        """
        at, rows = self._place(tau), []
        for cell, incidence in self._by_cell.items():
            share = incidence.converted_by(at, self.context.level, self._groups(cell), self.users[cell])
            rows.append((cell, incidence.at_risk(at), *share))
        return self._frame(rows, ("converted_by", "low", "high"), at_risk=True)

    def restricted_mean(self, tau: Time) -> pl.DataFrame:
        """Return the mean time spent unresolved up to a time: the area under S. D14.4.

        Parameters
        ----------
        tau : duration, or number of steps
            As of `converted_by`.

        Returns
        -------
        polars.DataFrame
            Per segment and period: ``restricted_mean``, ``low``, ``high`` (of users; null for others); null where
            nobody was observed for so long and some were still unresolved.
        """
        at, rows = self._place(tau), []
        z = NormalDist().inv_cdf((1 + self.context.level) / 2)
        for cell, incidence in self._by_cell.items():
            mean, variance = incidence.restricted_mean(at)
            reach = z * np.sqrt(variance) if self.own_variance else np.nan
            rows.append((cell, *(self.scale * each for each in (mean, mean - reach, mean + reach))))
        return self._frame(rows, ("restricted_mean", "low", "high"))

    def hazard(self, every: Time = "1d") -> pl.DataFrame:
        """Return by how many of those still under way each stretch of time was the one. D14.5.

        Parameters
        ----------
        every : duration, or number of steps
            How long a stretch is. A time of exactly a bound belongs to the stretch before it, 0 to the first.

        Returns
        -------
        polars.DataFrame
            Per segment, period and stretch: from ``above`` to ``up_to``, units ``at_risk`` at its beginning (observed
            beyond it), ``converted``, ``abandoned``, and each divided by those at risk: ``converted_hazard``,
            ``converted_low``, ``converted_high`` and so on. Wilson's interval of users, the jackknife's of sessions.
        """
        width, tables = self._place(every, "every"), []
        if width <= 0:
            raise ParameterError(f"every must be greater than zero, not {every!r}.")
        for cell, incidence in self._by_cell.items():
            found = incidence.hazards(width, self.context.level, self._groups(cell), self.users[cell])
            place = np.arange(found["at_risk"].size)
            columns: dict[str, Any] = {CELL: np.full(place.size, cell, np.int32)}
            columns |= {"above": place * width * self.scale, "up_to": (place + 1) * width * self.scale}
            tables.append(pl.DataFrame(columns | found).fill_nan(None))
        return self.context.label(pl.concat(tables)) if tables else pl.DataFrame()

    def log_rank(self) -> pl.DataFrame:
        """Test whether all segments (and periods) convert at the same rate. D14.6.

        Returns
        -------
        polars.DataFrame
            One row: ``segments``, ``chi_square``, ``degrees``, ``p_value``; null without two segments or conversions.

        Raises
        ------
        ParameterError
            If units are sessions, which are not independent.
        """
        if not self.own_variance:
            raise ParameterError(
                "the log-rank test takes users, who are independent; sessions are not. "
                "Compare converted_by of the segments instead."
            )
        samples = list(self._by_cell.values())
        statistic, degrees, p_value = log_rank(samples)
        row = {"segments": len(samples), "chi_square": statistic, "degrees": degrees, "p_value": p_value}
        return pl.DataFrame([row]).with_columns(
            pl.col("chi_square", "p_value").cast(pl.Float64).fill_nan(None)
        )

    @cached_property
    def _by_cell(self) -> dict[int, Incidence]:
        parts = self.times.partition_by(CELL, as_dict=True, include_key=False)
        return {int(cell): Incidence.of(parts[(cell,)]) for (cell,) in sorted(parts)}

    def _groups(self, cell: int) -> int | None:
        return None if self.own_variance else self.groups.get(cell, 0)

    def _place(self, tau: Time, parameter: str = "tau") -> float:
        """Return a time on the clock of the tally."""
        if not self.numbers:
            return microseconds(tau, parameter) / 1e6 / self.scale  # type: ignore[arg-type]
        if not isinstance(tau, int | float) or isinstance(tau, bool) or tau < 0:
            raise ParameterError(f"the clock counts plain numbers here: give one from 0 on, not {tau!r}.")
        return float(tau)

    def _frame(
        self, rows: Sequence[tuple[Any, ...]], names: Sequence[str], *, at_risk: bool = False
    ) -> pl.DataFrame:
        schema: dict[str, Any] = {CELL: pl.Int32, **({"at_risk": pl.Int64} if at_risk else {})}
        schema |= dict.fromkeys(names, pl.Float64)
        return self.context.label(pl.DataFrame(rows, schema=schema, orient="row").fill_nan(None))


NO_INTERVALS = (np.nan,) * 3


def survival_answer(
    statistic: TimeToConvert, tables: Tables, context: Context, scale: float | None, *, own_variance: bool
) -> TimeToConvertAnswer:
    """Turn the units of every time into one row per cell; `scale` is the seconds of a time, None for plain numbers."""
    clock = (1.0 if scale is None else scale, scale is None, own_variance)
    units = Grouped(tables[UNITS_TABLE], ()).totals
    groups, times = groups_per_cell(tables), tables["times"].sort(CELL, "group", "outcome", "time")
    sums = sum_rows(times.select(CELL, "outcome", "count"), [CELL, "outcome"])
    for k, name in enumerate(OUTCOMES):
        own = sums.filter(pl.col("outcome") == k).select(CELL, pl.col("count").alias(name))
        units = units.join(own, on=CELL, how="left", maintain_order="left")
    frame = units.select(
        CELL, "reached", "users", *(pl.col(name).fill_null(0) for name in (*OUTCOMES[1:], "censored"))
    )
    answer = TimeToConvertAnswer(
        frame, statistic, context, times, groups, dict(units.select(CELL, "users").iter_rows()), *clock
    )
    names = column_names(statistic.quantiles, "time")
    columns: dict[str, list[float]] = {f"{name}{end}": [] for name in names for end in ("", "_low", "_high")}
    for cell in frame[CELL].to_list():
        incidence = answer._by_cell.get(cell)
        for q, name in zip(statistic.quantiles, names, strict=True):
            found = NO_INTERVALS
            if incidence is not None:
                found = incidence.quantile(q, context.level, answer._groups(cell), answer.users[cell])
            for end, value in zip(("", "_low", "_high"), found, strict=True):
                columns[f"{name}{end}"].append(value * clock[0])
    series = [pl.Series(name, values, dtype=pl.Float64).fill_nan(None) for name, values in columns.items()]
    return TimeToConvertAnswer(
        context.label(frame.with_columns(series)), statistic, context, times, groups, answer.users, *clock
    )
