"""From chances to conversions and money: the paths of a segment, by jackknife group. DEFINITIONS D12.3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from journeykit.mathematics.intervals import FEWEST_GROUPS, GROUPS
from journeykit.models.chains.fitted import Estimate, Floats
from journeykit.protocol import GROUP

VALUE = "value"
TOP = 10


@dataclass(frozen=True)
class Worth:
    """How many paths there are, and what a conversion is worth, by jackknife group.

    Attributes
    ----------
    paths, converted, value : numpy.ndarray of float64, 64
        Sums of each group; the value is NaN if none was asked for.
    groups : int
        How many groups have paths.
    """

    paths: Floats
    converted: Floats
    value: Floats
    groups: int

    @classmethod
    def of(cls, units: pl.DataFrame) -> Worth:
        """Take the paths of one segment."""
        group = units[GROUP].to_numpy()

        def sums(name: str) -> Floats:
            return np.bincount(group, units[name].to_numpy(), GROUPS).astype(np.float64)

        value = sums(VALUE) if VALUE in units.columns else np.full(GROUPS, np.nan)
        return cls(sums("paths"), sums("converted"), value, units[GROUP].n_unique())

    def paths_without(self, group: int | None) -> float:
        """Return the number of paths; without a group, that of the others brought up to all. D12.3."""
        return self._rescaled(self.paths, group)

    def each_without(self, group: int | None) -> float:
        """Return the mean value of a conversion, NaN without any."""
        kept = np.ones(GROUPS, np.bool_)
        if group is not None:
            kept[group] = False
        converted = self.converted[kept].sum()
        return float(self.value[kept].sum() / converted) if converted > 0 else np.nan

    def _rescaled(self, sums: Floats, group: int | None) -> float:
        total = float(sums.sum())
        if group is None or self.paths[group] == 0 or self.groups < 2:
            return total
        return (total - float(sums[group])) * self.groups / (self.groups - 1)


def share_in_top(replicates: Floats, groups: Sequence[int]) -> pl.Series:
    """Return for every row in which share of the replicates it is among the first `TOP`. D15.6.

    Parameters
    ----------
    replicates : numpy.ndarray of float64, rows x 64
        What the rows are ranked by, without each group; NaN ranks last, and of equal ones the earlier row first.
    groups : sequence of int
        Those that have users; with fewer than ten, null.
    """
    if len(groups) < FEWEST_GROUPS:
        return pl.Series([None] * len(replicates), dtype=pl.Float64)
    worth = np.nan_to_num(replicates[:, list(groups)], nan=-np.inf)
    place = np.argsort(np.argsort(-worth, axis=0, kind="stable"), axis=0)
    return pl.Series((place < TOP).mean(axis=1), dtype=pl.Float64)


def estimate_columns(found: Mapping[str, Estimate]) -> dict[str, pl.Series]:
    """Return a column per number and end of its interval, null where undefined. D0.3."""
    columns = {}
    for name, estimate in found.items():
        for label, values in zip((name, f"{name}_low", f"{name}_high"), estimate, strict=True):
            columns[label] = pl.Series(label, values, dtype=pl.Float64, nan_to_null=True)
    return columns
