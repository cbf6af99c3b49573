"""How well ids were joined, where the truth is known: pairs of ids that are rightly or wrongly one user."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from journeykit.errors import MissingColumnError, ParameterError


@dataclass(frozen=True)
class StitchingScore:
    """Pairs of ids whose person is known.

    Attributes
    ----------
    joined : int
        Pairs that are one user.
    same : int
        Pairs that are one person.
    right : int
        Pairs that are both.
    """

    joined: int
    same: int
    right: int

    @property
    def precision(self) -> float | None:
        """Of the pairs that are one user, the share that is one person; None without any."""
        return self.right / self.joined if self.joined else None

    @property
    def recall(self) -> float | None:
        """Of the pairs that are one person, the share that is one user; None without any."""
        return self.right / self.same if self.same else None


def scored(users: pl.DataFrame, truth: pl.DataFrame) -> StitchingScore:
    """Compare users with persons.

    Parameters
    ----------
    users : polars.DataFrame
        ``id``, ``user``; each id once.
    truth : polars.DataFrame
        ``id``, ``person``; an id of nobody, such as a kiosk's, is a person of its own.

    Raises
    ------
    MissingColumnError, ParameterError
        If a column is not there, or an id has two persons.
    """
    for column in ("id", "person"):
        if column not in truth.columns:
            raise MissingColumnError(column, column, truth.columns, f"Rename a column to {column!r}.")
    known = truth.select(pl.col("id", "person").cast(pl.String)).drop_nulls()
    if known["id"].n_unique() < known.height:
        twice = known.filter(pl.col("id").is_duplicated())["id"].min()
        raise ParameterError(f"the truth has the id {twice!r} more than once. Give each id one person.")
    both = known.join(users, on="id", how="left").with_columns(pl.coalesce("user", "id").alias("user"))
    return StitchingScore(_pairs(both, "user"), _pairs(both, "person"), _pairs(both, "user", "person"))


def _pairs(frame: pl.DataFrame, *columns: str) -> int:
    sizes = frame.group_by(columns).len()["len"].cast(pl.Int64)
    return int((sizes * (sizes - 1) // 2).sum())
