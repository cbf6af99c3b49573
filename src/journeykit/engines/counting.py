"""Shards that come from somewhere: tally each by the labels of all users, then add."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from journeykit.cells import By, make_cells
from journeykit.errors import JourneykitError, ShardError
from journeykit.protocol import Part, Statistic, Tables, add_split


@dataclass(frozen=True)
class Counted:
    """The tallies of one shard.

    Attributes
    ----------
    groups : frozenset of int
        The jackknife groups of its users.
    tables : list of tables
        Those of every statistic, by cell and group.
    """

    groups: frozenset[int]
    tables: list[Tables]


@dataclass(frozen=True)
class Count:
    """Tallies some questions in one shard after another. It can be sent to another process.

    Attributes
    ----------
    statistics : tuple of Statistic
        The questions.
    by, every
        See `make_cells`.
    labels : polars.DataFrame
        Those of all users: a second question may know cells by their numbers.

    Raises
    ------
    ShardError
        When it is called: if a statistic fails; the message names it and the shard.
    """

    statistics: tuple[Statistic[Any, Any], ...]
    by: By
    every: str | None
    labels: pl.DataFrame

    def __call__(self, part: Part) -> Counted:
        """Return the tallies of a shard."""
        (shard,) = part.open().shards(1)
        cells = make_cells(shard, self.by, self.every, self.labels).by_group(shard.groups)
        tables: list[Tables] = []
        for statistic in self.statistics:
            try:
                found = statistic.tally(shard, cells)
                tables.append({name: cells.split(found[name]) for name in statistic.tables})
            except (JourneykitError, MemoryError):
                raise
            except Exception as error:  # a statistic is anybody's code
                raise ShardError.failed(repr(statistic), part.name, error) from error
        return Counted(frozenset(shard.groups.numbers.tolist()), tables)

    def joined(self, counted: Sequence[Counted]) -> Counted:
        """Put what was counted in some of the shards together, at least one, to be added to the others later."""
        groups = [group for each in counted for group in each.groups]
        apart = len(set(groups)) == len(groups)
        tables = [
            add_split([each.tables[n] for each in counted], statistic.tables, apart=apart, labelled=True)
            for n, statistic in enumerate(self.statistics)
        ]
        return Counted(frozenset(groups), tables)

    def added(self, counted: Sequence[Counted]) -> list[Tables]:
        """Add what was counted in shards, at least one: the tables of each statistic, by cell and group."""
        groups = [group for each in counted for group in each.groups]
        apart, labelled = len(set(groups)) == len(groups), self.labels.width > 0
        return [
            add_split([each.tables[n] for each in counted], statistic.tables, apart=apart, labelled=labelled)
            for n, statistic in enumerate(self.statistics)
        ]
