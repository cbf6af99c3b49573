"""All users in memory: one shard per jackknife group, tallied on all cores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from journeykit.protocol import Cells, Measured, Statistic, Tables, add
from journeykit.threads import on_all_cores


class Engine(Protocol):
    """Anything that can cut journeys into shards, tally them, and add."""

    def run(self, journeys: Measured, statistic: Statistic[Any, Any], cells: Cells) -> Tables:
        """Return the summed tables of a statistic."""


@dataclass(frozen=True)
class InMemory:
    """Tally the shards of journeys that are in memory, with one thread per core."""

    def run(self, journeys: Measured, statistic: Statistic[Any, Any], cells: Cells) -> Tables:
        """Return the summed tables of a statistic.

        Parameters
        ----------
        journeys : Journeys
            What is measured; at least one shard.
        statistic : Statistic
            The question.
        cells : Cells
            The rows that ``by=`` and ``every=`` make.

        Returns
        -------
        mapping of str to polars.DataFrame
            The statistic's tables, by cell and jackknife group.
        """
        shards = journeys.shards()
        tallies = on_all_cores(lambda shard: statistic.tally(shard[1], cells), shards)
        groups = [group for group, _ in shards]
        return add(list(zip(groups, tallies, strict=True)), statistic.tables)
