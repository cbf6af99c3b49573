"""All users in memory: a few shards per core, each of whole jackknife groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from journeykit.protocol import Cells, Measured, Statistic, Tables, add
from journeykit.support.threads import cores, on_all_cores

SHARDS_PER_CORE = 4
FEWEST_EVENTS, MOST_EVENTS = 1 << 16, 1 << 22
"""Of a shard: below the first, starting it costs more than it saves; above the second, its tables leave the cache."""


class Engine(Protocol):
    """Anything that can cut journeys into shards, tally them, and add."""

    def run(
        self, journeys: Measured, statistics: Sequence[Statistic[Any, Any]], cells: Cells
    ) -> list[Tables]:
        """Return the summed tables of every statistic."""


@dataclass(frozen=True)
class InMemory:
    """Tally the shards of journeys that are in memory, with one thread per core."""

    def run(
        self, journeys: Measured, statistics: Sequence[Statistic[Any, Any]], cells: Cells
    ) -> list[Tables]:
        """Return the summed tables of every statistic.

        Parameters
        ----------
        journeys : Journeys
            What is measured; at least one shard.
        statistics : sequence of Statistic
            The questions.
        cells : Cells
            The rows that ``by=`` and ``every=`` make.

        Returns
        -------
        list of mapping of str to polars.DataFrame
            The tables of each statistic, by cell and jackknife group.
        """
        events = journeys.n_events
        most = max(1, SHARDS_PER_CORE * cores(), -(-events // MOST_EVENTS))
        shards = journeys.shards(min(most, 1 + events // FEWEST_EVENTS))

        def tables(statistic: Statistic[Any, Any]) -> Tables:
            def tally(shard: Any) -> tuple[Cells, Tables]:
                own = cells.by_group(shard.groups)
                return own, statistic.tally(shard, own)

            return add(on_all_cores(tally, shards), statistic.tables)

        return [tables(statistic) for statistic in statistics]
