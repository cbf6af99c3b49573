"""What sets a cluster apart from the other users: rates and means of both, and the difference with its interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.mathematics.differences import compare_proportions, compare_replicated
from journeykit.mathematics.intervals import GROUPS

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]

TRAITS: dict[str, Any] = {
    "cluster": pl.Int64, "kind": pl.String, "trait": pl.String, "numerator": pl.Float64, "denominator": pl.Float64,
    "value": pl.Float64, "rest": pl.Float64, "difference": pl.Float64, "difference_low": pl.Float64,
    "difference_high": pl.Float64, "p_value": pl.Float64, "excess": pl.Float64,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Trait:
    """A ratio of sums over users.

    Attributes
    ----------
    kind, name : str
        What it is about, and what it is.
    user : numpy.ndarray of int64
        The user of every entry.
    numerator, denominator : numpy.ndarray of float64
        What each entry adds.
    proportion : bool
        Whether every user counts once, with 0 or 1. D12.2.
    """

    kind: str
    name: str
    user: Int64s
    numerator: Floats
    denominator: Floats
    proportion: bool = False

    def compared(self, cluster: Int64s, group: Int64s, clusters: int, level: float) -> pl.DataFrame:
        """Compare every cluster with all other users. D12.2, D12.3, D13.2.

        Parameters
        ----------
        cluster, group : numpy.ndarray of int64
            Of every user, from 0.
        clusters : int
            How many there are.
        level : float
            Of the intervals.

        Returns
        -------
        polars.DataFrame
            One row per cluster, with the columns of `TRAITS`.
        """
        key = cluster[self.user] * GROUPS + group[self.user]
        top, bottom = (
            np.bincount(key, each, clusters * GROUPS).reshape(clusters, GROUPS).astype(np.float64)
            for each in (self.numerator, self.denominator)
        )
        x, n = top.sum(axis=1), bottom.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            value, rest = _ratio(x, n), _ratio(x.sum() - x, n.sum() - n)
            if self.proportion:
                found = compare_proportions(x, n, x.sum() - x, n.sum() - n, level)
            else:
                others = (_without(top.sum(axis=0) - top), _without(bottom.sum(axis=0) - bottom))
                replicates = _ratio(_without(top), _without(bottom)), _ratio(*others)
                present = np.full(clusters, np.unique(group).size)
                found = compare_replicated(
                    (value, replicates[0]), (rest, replicates[1]), present, level=level
                )
        columns = {
            "cluster": np.arange(1, clusters + 1),
            "kind": [self.kind] * clusters,
            "trait": [self.name] * clusters,
            "numerator": x,
            "denominator": n,
            "value": value,
            "rest": rest,
            "difference": found.difference,
            "difference_low": found.difference_low,
            "difference_high": found.difference_high,
            "p_value": found.p_value,
            "excess": (value - rest) * n,
        }
        return pl.DataFrame(columns, schema=TRAITS, nan_to_null=True)


def _without(parts: Floats) -> Floats:
    """Return sums without each group."""
    left: Floats = parts.sum(axis=1, keepdims=True) - parts
    return left


def _ratio(top: Floats, bottom: Floats) -> Floats:
    return np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1.0), np.nan)


def user_traits(users: pl.DataFrame, stages: tuple[str, ...]) -> list[Trait]:
    """Return what rows of `Features` say: conversion, behaviour, and the stages reached."""
    everyone, ones = np.arange(users.height), np.ones(users.height)
    column = {name: users[name].to_numpy().astype(np.float64) for name in USED}
    traits = [
        Trait("conversion", "converted", everyone, (column["goals"] > 0).astype(np.float64), ones, proportion=True),
        Trait("behaviour", "sessions per user", everyone, column["sessions"], ones),
        Trait("behaviour", "active days per user", everyone, column["active_days"], ones),
        Trait("behaviour", "events per session", everyone, column["events"], column["sessions"]),
        Trait("time", "seconds per session", everyone, column["session_micros"] / 1e6, column["sessions"]),
        Trait("time", "seconds from first to last event", everyone, (column["last"] - column["first"]) / 1e6, ones),
    ]  # fmt: skip
    furthest = users["furthest_stage"].to_numpy()
    reached = [
        Trait("stage", f"reached {name}", everyone, (furthest > k).astype(np.float64), ones, proportion=True)
        for k, name in enumerate(stages)
    ]
    return traits + reached


USED = ("goals", "sessions", "active_days", "events", "session_micros", "first", "last")


def listed_traits(kind: str, rows: pl.DataFrame, name: str, place: Int64s) -> list[Trait]:
    """Return a share per value of a column: of all entries of a user (``of``), those that have it (``count``).

    Parameters
    ----------
    kind : str
        What the traits are about.
    rows : polars.DataFrame
        The column `name`, ``count`` and ``of``.
    name : str
        Of the column.
    place : numpy.ndarray of int64
        The user of every row.
    """
    count, whole = (rows[each].to_numpy().astype(np.float64) for each in ("count", "of"))
    values = rows[name].to_numpy().astype(object)
    return [
        Trait(kind, str(value), place[values == value], count[values == value], whole[values == value])
        for value in sorted(set(values.tolist()))
    ]
