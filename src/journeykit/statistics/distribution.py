"""Exact percentiles from counts of distinct values, with Woodruff intervals. DEFINITIONS D0.2, D12.5.

Any percentile of values that are all known; above `DISTINCT_BUDGET` rows they are put into bins, so that sorting and
memory stay bounded, for an error of at most 0.25 %. Medians of waits, some of which may have no end yet, are the
business of `journeykit.statistics.waiting`, which packs a wait into 8 bytes and bins nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError
from journeykit.mathematics.intervals import GROUPS, jackknife
from journeykit.protocol import GROUP
from journeykit.support.threads import on_all_cores

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]
DISTINCT_BUDGET = 4_000_000
FEWEST_BUCKETED, MOST_BUCKETED = 10_000, 64
"""Values that are worth putting into buckets, and things whose buckets are looked at one by one."""
DROPPED_BITS = 52 - 7
"""Of a float: values in one bucket differ by less than 1/128."""
BIN = 1.005


@dataclass(frozen=True)
class Distribution:
    """The values of things, each with its count, in ascending order or in buckets that are in ascending order.

    Attributes
    ----------
    offsets : numpy.ndarray of int64, things + 1
        Where the values of each thing start.
    values : numpy.ndarray of int64
        Ascending within a thing, but for those of one bucket.
    counts : numpy.ndarray of int64
        Of each value, which may come several times.
    parts : polars.DataFrame
        ``thing``, ``value``, ``group``, ``count``, in any order.
    buckets : numpy.ndarray of int64, optional
        Where the values of each bucket start; None if all values are in order.
    """

    offsets: Int64s
    values: Int64s
    counts: Int64s
    parts: pl.DataFrame
    buckets: Int64s | None = None

    @classmethod
    def of(cls, things: int, thing: Int64s, frame: pl.DataFrame, value: str) -> Distribution:
        """Gather the rows of a tally (``group``, a value, ``count``) by the thing they belong to."""
        rows = frame.select(pl.Series("thing", thing), pl.col(value).alias("value"), GROUP, "count").rechunk()
        binned = rows.height > DISTINCT_BUDGET
        if binned:
            rows = rows.with_columns(_binned(pl.col("value")))
        if things <= MOST_BUCKETED and rows.height >= FEWEST_BUCKETED:
            return cls._bucketed(things, rows)
        if not binned and rows["count"].max() == 1:
            return cls._sorted(things, rows)
        joined = rows.group_by("thing", "value").agg(pl.col("count").sum()).sort("thing", "value")
        offsets = np.searchsorted(joined["thing"].to_numpy(), np.arange(things + 1))
        return cls(offsets, joined["value"].to_numpy(), joined["count"].to_numpy(), rows)

    @classmethod
    def _bucketed(cls, things: int, rows: pl.DataFrame) -> Distribution:
        """Put values into buckets by their leading bits, in linear time; those that are asked for are sorted later."""
        values = rows["value"].to_numpy()
        leading = np.maximum(values, 0).astype(np.float64).view(np.int64) >> DROPPED_BITS
        base = int(leading[leading > 0].min(initial=1 << 62))
        leading = np.maximum(leading - base + 1, 0)
        size = int(leading.max(initial=0)) + 1
        place = rows["thing"].to_numpy() * size + leading
        buckets = np.concatenate([[0], np.bincount(place, minlength=things * size).cumsum()])
        counts = rows["count"].to_numpy()
        grouped = _grouped(place, buckets, values)
        counts = np.ones(values.size, np.int64) if (counts == 1).all() else _grouped(place, buckets, counts)
        return cls(buckets[::size], grouped, counts, rows, buckets)

    @classmethod
    def _sorted(cls, things: int, rows: pl.DataFrame) -> Distribution:
        """Sort the values of each thing, on all cores."""
        thing = rows["thing"].to_numpy()
        offsets = np.concatenate([[0], np.bincount(thing, minlength=things).cumsum()])
        values = _grouped(thing, offsets, rows["value"].to_numpy())
        on_all_cores(lambda span: values[span[0] : span[1]].sort(), pairwise(offsets.tolist()))
        return cls(offsets, values, np.ones(values.size, np.int64), rows)

    @cached_property
    def _before(self) -> Int64s:
        """How many values are before each, and how many in all."""
        return np.concatenate([[0], self.counts.cumsum()])

    def quantile(self, q: float | Floats) -> Floats:
        """Return the type-7 quantile of every thing; NaN for one without values. D0.2."""
        first, last = self._before[self.offsets[:-1]], self._before[self.offsets[1:]]
        n = last - first
        position = np.where(n > 0, (n - 1) * np.asarray(q, float), 0.0)
        below = np.floor(position)
        low = self._at(first + below, n)
        high = self._at(first + np.minimum(below + 1, np.maximum(n - 1, 0)), n)
        return np.where(n > 0, low + (position - below) * (high - low), np.nan)

    def _at(self, rank: Floats | Int64s, n: Int64s) -> Floats:
        """Return the value at a rank counted over all things."""
        if self.values.size == 0:
            return np.full(n.size, np.nan)
        last = self.values.size - 1
        place = np.clip(np.searchsorted(self._before, rank, side="right") - 1, 0, last)
        if self.buckets is not None:
            bucket = np.searchsorted(self.buckets, place[n > 0], side="right") - 1
            for each in np.unique(bucket).tolist():
                self._sort(int(self.buckets[each]), int(self.buckets[each + 1]))
            place = np.clip(np.searchsorted(self._before, rank, side="right") - 1, 0, last)
        return self.values[place].astype(np.float64)

    def _sort(self, first: int, end: int) -> None:
        """Put the values of one bucket in order."""
        order = np.argsort(self.values[first:end]) + first
        self.values[first:end], self.counts[first:end] = self.values[order], self.counts[order]
        self._before[first + 1 : end + 1] = self._before[first] + self.counts[first:end].cumsum()

    def bounds(
        self,
        estimate: Floats,
        groups: Int64s,
        level: float,
        users: npt.ArrayLike | None = None,
    ) -> tuple[Floats, Floats]:
        """Return Woodruff intervals of quantiles: the interval of F(estimate), mapped back. D12.5.

        `users` are the distinct users behind each thing's values; without them every value is a user's own.
        """
        from journeykit.kernels.outcomes.distribution import count_below

        below, total = np.zeros((2, self.offsets.size - 1, GROUPS), np.int64)
        thing, value, group, count = (
            self.parts[name].to_numpy() for name in ("thing", "value", GROUP, "count")
        )
        count_below(thing, group, value, count, np.nan_to_num(estimate, nan=-1.0), below, total)
        n, x = total.sum(axis=1), below.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = x / n
            left = n[:, None] - total
            replicates = np.where(left > 0, (x[:, None] - below) / left, np.nan)
        ends = jackknife(share, replicates, groups, n if users is None else users, level=level)
        low, high = self.quantile(np.nan_to_num(ends.low)), self.quantile(np.nan_to_num(ends.high, nan=1.0))
        return np.where(np.isnan(ends.low), np.nan, low), np.where(np.isnan(ends.high), np.nan, high)

    def percentiles(
        self,
        quantiles: Sequence[float],
        stem: str,
        groups: Int64s,
        level: float,
        users: npt.ArrayLike | None = None,
    ) -> dict[str, Floats]:
        """Return quantiles of microseconds in seconds, with Woodruff intervals, as columns; see `bounds`. D12.5."""
        columns: dict[str, Floats] = {}
        for q, name in zip(quantiles, column_names(quantiles, stem), strict=True):
            value = self.quantile(q)
            low, high = self.bounds(value, groups, level, users)
            columns |= {name: value / 1e6, f"{name}_low": low / 1e6, f"{name}_high": high / 1e6}
        return columns


def _grouped(place: Int64s, offsets: Int64s, values: Int64s) -> Int64s:
    """Return values put together by their places."""
    from journeykit.kernels.outcomes.distribution import group_places

    grouped = np.empty(values.size, np.int64)
    group_places(place, values, offsets[:-1].copy(), grouped)
    return grouped


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
