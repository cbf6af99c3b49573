"""What comes of a situation: rates that lean on coarser ones, and how well they predict for other users. D12."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.mathematics.intervals import GROUPS, jackknife
from journeykit.protocol import CELL, GROUP, Context
from journeykit.statistics.base import with_share

Floats = npt.NDArray[np.float64]
SITUATION = ("state", "quiet", "activity", "converted_before")
LEVELS = ((), SITUATION[:1], SITUATION[:2], SITUATION)
LEANING = 10.0
"""How many users of the coarser situation count as much as those of the finer one."""
TENTHS = 10
HELD_OUT = 5
PREDICTIONS = ("conversion_probability", "low", "high", "abandonment_risk")
PREDICTED: dict[str, Any] = {
    CELL: pl.Int32, **dict.fromkeys(SITUATION, pl.Int32), **dict.fromkeys(PREDICTIONS, pl.Float64)
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Outlook:
    """Counts of situations by jackknife group.

    Attributes
    ----------
    counts : polars.DataFrame
        The columns of a situation, ``group``, ``users``, ``converted``, ``silent``.
    """

    counts: pl.DataFrame

    @classmethod
    def of(cls, table: pl.DataFrame) -> Outlook:
        """Add up what several snapshots say."""
        keys = [*SITUATION, GROUP]
        return cls(table.group_by(keys).agg(pl.col("users", "converted", "silent").sum()).sort(keys))

    def predicted(self, situations: pl.DataFrame, level: float) -> pl.DataFrame:
        """Return the chances in some situations, the first with its interval.

        Parameters
        ----------
        situations : polars.DataFrame
            The columns of a situation, each once; also such as were never seen.
        level : float
            Of the interval.
        """
        chances = self._rates(situations, "converted")
        risk = self._rates(situations, "silent")
        present = self.counts.filter(pl.col("users") > 0)[GROUP].n_unique()
        seen = situations.join(
            self.counts.group_by(SITUATION).agg(pl.col("users").sum()), on=SITUATION, how="left"
        )
        users = np.maximum(seen["users"].fill_null(0).to_numpy(), LEANING)
        groups = np.full(situations.height, present)
        ends = jackknife(chances[:, -1], chances[:, :-1], groups, users, level=level)
        columns = zip(PREDICTIONS, (chances[:, -1], ends.low, ends.high, risk[:, -1]), strict=True)
        return situations.with_columns(pl.Series(name, each, nan_to_null=True) for name, each in columns)

    def _rates(self, situations: pl.DataFrame, outcome: str) -> Floats:
        """Return the rate of an outcome without each jackknife group, and in the last column with all."""
        rates = np.full((situations.height, GROUPS + 1), np.nan)
        for keys in LEVELS:
            distinct = situations.select(keys).unique(maintain_order=True) if keys else pl.DataFrame([{}])
            top, bottom = (self._without(distinct, keys, name) for name in (outcome, "users"))
            numbered = distinct.with_row_index("place")
            place = np.zeros(situations.height, np.int64)
            if keys:
                place = (
                    situations.select(keys)
                    .join(numbered, on=keys, how="left", maintain_order="left")["place"]
                    .to_numpy()
                )
            top, bottom = top[place], bottom[place]
            with np.errstate(invalid="ignore", divide="ignore"):
                rates = (
                    (top + LEANING * rates) / (bottom + LEANING)
                    if keys
                    else np.where(bottom > 0, top / bottom, np.nan)
                )
        return rates

    def _without(self, distinct: pl.DataFrame, keys: tuple[str, ...], name: str) -> Floats:
        """Return sums per row of `distinct` without each group, and with all."""
        parts = np.zeros((max(distinct.height, 1), GROUPS))
        counts = self.counts
        if keys:
            counts = counts.join(distinct.with_row_index("place"), on=keys, how="inner")
            np.add.at(parts, (counts["place"].to_numpy(), counts[GROUP].to_numpy()), counts[name].to_numpy())
        else:
            np.add.at(
                parts, (np.zeros(counts.height, np.int64), counts[GROUP].to_numpy()), counts[name].to_numpy()
            )
        whole = parts.sum(axis=1, keepdims=True)
        return np.hstack([whole - parts, whole])


def held_out(table: pl.DataFrame) -> pl.DataFrame:
    """Predict for the users whose group 5 divides, at the latest snapshot, from the other users.

    Returns
    -------
    polars.DataFrame
        One row per situation: ``users``, ``converted``, ``predicted``.
    """
    left_out = pl.col(GROUP) % HELD_OUT == 0
    others = Outlook.of(table.filter(~left_out))
    mine = table.filter(left_out & (pl.col("latest") == 1))
    mine = mine.group_by(SITUATION).agg(pl.col("users", "converted").sum()).sort(SITUATION)
    predicted = others._rates(mine.select(SITUATION), "converted")[:, -1]
    return mine.with_columns(pl.Series("predicted", predicted, nan_to_null=True)).drop_nulls("predicted")


def calibration_of(table: pl.DataFrame, context: Context) -> pl.DataFrame:
    """Return predicted and observed shares by tenths of the predicted probability."""
    tenth = (pl.col("predicted") * TENTHS).floor().clip(0, TENTHS - 1).cast(pl.Int64)
    rows = table.group_by(tenth.alias("tenth")).agg(
        pl.col("users", "converted").sum(), (pl.col("predicted") * pl.col("users")).sum().alias("sum")
    )
    rows = with_share(rows.sort("tenth"), "observed", "converted", "users", context)
    return rows.select(
        pl.lit(0, pl.Int32).alias(CELL),
        (pl.col("tenth") / TENTHS).alias("from"),
        ((pl.col("tenth") + 1) / TENTHS).alias("to"),
        "users",
        "converted",
        (pl.col("sum") / pl.col("users")).alias("predicted"),
        "observed",
        "observed_low",
        "observed_high",
    )


def accuracy_of(table: pl.DataFrame) -> pl.DataFrame:
    """Return one row: how far off the predictions are, and how well they rank users; null where undefined."""
    n, x, p = (table[name].to_numpy().astype(np.float64) for name in ("users", "converted", "predicted"))
    users, converted = n.sum(), x.sum()
    ranked = np.argsort(p, kind="stable")
    _, place = np.unique(p[ranked], return_inverse=True)
    hits, misses = np.bincount(place, x[ranked]), np.bincount(place, (n - x)[ranked])
    pairs = (hits * (np.cumsum(misses) - misses / 2)).sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        brier = (x * (1 - p) ** 2 + (n - x) * p**2).sum() / users
        rate = converted / users
        auc = pairs / (converted * (users - converted))
    row = {"brier": [brier], "brier_of_mean": [rate * (1 - rate)], "auc": [auc]}
    numbers = pl.DataFrame(row).fill_nan(None)
    return numbers.select(
        pl.lit(0, pl.Int32).alias(CELL), pl.lit(int(users), pl.Int64).alias("users"),
        pl.lit(int(converted), pl.Int64).alias("converted"), pl.all(),
    )  # fmt: skip
