"""Several statistics as one question: counted in the same runs, each with its follow-ups."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import polars as pl

from journeykit.journeys.journeys import Journeys
from journeykit.protocol import Cells, Context, Tables
from journeykit.statistics.base import Answer, Statistic

BETWEEN = "/"


@dataclass(frozen=True, eq=False)
class Together(Statistic[Any]):
    """What is asked next of several statistics by name.

    Attributes
    ----------
    statistics : mapping of str to Statistic
        The last question of each.
    asked : tuple of str
        Those that are counted now; the others have all they need.
    make : callable
        Makes the answer of all, from theirs by name.
    """

    statistics: Mapping[str, Statistic[Any]]
    asked: tuple[str, ...]
    make: Callable[[Mapping[str, Answer], Context], Any]

    by_group: ClassVar[bool] = False

    @property
    def tables(self) -> Mapping[str, Sequence[str]]:  # type: ignore[override]
        """The tables of those that are counted now, under ``name/table``."""
        return {
            f"{name}{BETWEEN}{table}": keys
            for name in self.asked
            for table, keys in self.statistics[name].tables.items()
        }

    def check(self, context: Context) -> None:
        """Refuse what any of them refuses."""
        for statistic in self.statistics.values():
            statistic.check(context)

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count one shard for each."""
        return {
            f"{name}{BETWEEN}{table}": counted
            for name in self.asked
            for table, counted in self.statistics[name].tally(shard, cells).items()
        }

    def follow_up(self, tables: Tables, context: Context) -> Statistic[Any] | None:
        """Ask what those that were counted ask next; None if none of them does."""
        following = {}
        for name in self.asked:
            second = self.statistics[name].follow_up(_own(name, tables), context)
            if second is not None:
                following[name] = second
        if not following:
            return None
        return Together({**self.statistics, **following}, tuple(following), self.make)

    def answer(self, tables: Tables, context: Context) -> Any:
        """Answer each, and make one answer of them."""
        answers = {
            name: statistic.answer(_own(name, tables), context) for name, statistic in self.statistics.items()
        }
        return self.make(answers, context)


def _own(name: str, tables: Tables) -> dict[str, pl.DataFrame]:
    """Return the tables of one statistic under its own names."""
    start = f"{name}{BETWEEN}"
    return {table.removeprefix(start): frame for table, frame in tables.items() if table.startswith(start)}
