"""Exact percentiles from counts of distinct values, with Woodruff intervals. DEFINITIONS D0.2, D12.5."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError
from journeykit.intervals import GROUPS, jackknife
from journeykit.protocol import GROUP

Floats = npt.NDArray[np.float64]
DISTINCT_BUDGET = 4_000_000
BIN = 1.005


@dataclass(frozen=True)
class Distribution:
    """Sorted distinct values with their counts by jackknife group, one row of values per thing.

    Attributes
    ----------
    offsets : numpy.ndarray of int64, things + 1
        Where the values of each thing start.
    values : numpy.ndarray of int64
        Ascending within a thing.
    counts : numpy.ndarray of int64
        Over all groups.
    parts : polars.DataFrame
        ``place`` (index into values), ``group``, ``count``.
    """

    offsets: npt.NDArray[np.int64]
    values: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    parts: pl.DataFrame

    @classmethod
    def of(cls, things: int, thing: npt.NDArray[np.int64], frame: pl.DataFrame, value: str) -> Distribution:
        """Gather the rows of a tally (``group``, a value, ``count``) by the thing they belong to."""
        rows = frame.select(pl.Series("thing", thing), GROUP, pl.col(value).alias("value"), "count")
        if rows.height > DISTINCT_BUDGET:
            rows = rows.with_columns(_binned(pl.col("value")))
        rows = rows.group_by("thing", "value", GROUP).agg(pl.col("count").sum())
        rows = rows.sort("thing", "value", GROUP)
        first = rows.select((pl.struct("thing", "value").rle_id()).alias("place"))["place"]
        rows = rows.with_columns(first)
        distinct = rows.group_by("place", maintain_order=True).agg(
            pl.first("thing", "value"), pl.sum("count")
        )
        offsets = np.searchsorted(distinct["thing"].to_numpy(), np.arange(things + 1))
        return cls(offsets, distinct["value"].to_numpy(), distinct["count"].to_numpy(), rows)

    def quantile(self, q: float | Floats) -> Floats:
        """Return the type-7 quantile of every thing; NaN for one without values. D0.2."""
        before = np.concatenate([[0], self.counts.cumsum()])
        first, last = before[self.offsets[:-1]], before[self.offsets[1:]]
        n = last - first
        position = np.where(n > 0, (n - 1) * np.asarray(q, float), 0.0)
        below = np.floor(position)
        low = self._at(before, first + below, n)
        high = self._at(before, first + np.minimum(below + 1, np.maximum(n - 1, 0)), n)
        return np.where(n > 0, low + (position - below) * (high - low), np.nan)

    def _at(self, before: npt.NDArray[np.int64], rank: Floats, n: npt.NDArray[np.int64]) -> Floats:
        """Return the value at a rank counted over all things."""
        if self.values.size == 0:
            return np.full(n.size, np.nan)
        place = np.searchsorted(before, rank, side="right") - 1
        return self.values[np.clip(place, 0, self.values.size - 1)].astype(np.float64)

    def bounds(
        self,
        estimate: Floats,
        groups: npt.NDArray[np.int64],
        level: float,
        users: npt.ArrayLike | None = None,
    ) -> tuple[Floats, Floats]:
        """Return Woodruff intervals of quantiles: the interval of F(estimate), mapped back. D12.5.

        `users` are the distinct users behind each thing's values; without them every value is a user's own.
        """
        things = self.offsets.size - 1
        thing = self.parts["thing"].to_numpy()
        weight = self.parts["count"].to_numpy().astype(float)
        cell = thing * GROUPS + self.parts[GROUP].to_numpy()
        inside = self.parts["value"].to_numpy() <= np.nan_to_num(estimate, nan=-1.0)[thing]
        total = np.bincount(cell, weight, things * GROUPS).reshape(things, GROUPS)
        below = np.bincount(cell, weight * inside, things * GROUPS).reshape(things, GROUPS)
        n, x = total.sum(axis=1), below.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = x / n
            left = n[:, None] - total
            replicates = np.where(left > 0, (x[:, None] - below) / left, np.nan)
        ends = jackknife(share, replicates, groups, n if users is None else users, level=level)
        low, high = self.quantile(np.nan_to_num(ends.low)), self.quantile(np.nan_to_num(ends.high, nan=1.0))
        return np.where(np.isnan(ends.low), np.nan, low), np.where(np.isnan(ends.high), np.nan, high)


def _binned(value: pl.Expr) -> pl.Expr:
    """Put values into logarithmic bins with a relative error of at most 0.25 %; a bin's middle stays in it."""
    exponent = (value.clip(lower_bound=1).log(BIN) + 0.5).floor()
    middle = pl.lit(BIN).pow(exponent).round().cast(pl.Int64)
    return pl.when(value < 400).then(value).otherwise(middle).alias("value")


def checked_quantiles(quantiles: Sequence[float]) -> tuple[float, ...]:
    """Return the quantiles as a tuple, or refuse them."""
    if isinstance(quantiles, float | int | str):
        raise ParameterError(
            f"quantiles must be a list of numbers from 0 to 1, such as [0.5], not {quantiles!r}."
        )
    if not all(isinstance(q, float | int) and 0 <= q <= 1 for q in quantiles):
        raise ParameterError(f"quantiles must be numbers from 0 to 1, not {tuple(quantiles)!r}.")
    return tuple(quantiles)


def column_names(quantiles: Sequence[float], stem: str) -> list[str]:
    """Name the columns of quantiles: ``time_median`` for 0.5, ``time_p90`` for 0.9."""
    return [f"{stem}_median" if q == 0.5 else f"{stem}_p{q * 100:g}" for q in quantiles]
