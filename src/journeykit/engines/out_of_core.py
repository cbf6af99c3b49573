"""Larger than memory: users cut into shards on disk, tallied shard by shard."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from journeykit.engines.in_memory import InMemory
from journeykit.engines.on_disk import Executor, OnDisk
from journeykit.protocol import Cells, Measured, Statistic, Tables
from journeykit.support.threads import cores, stay_on_one_core


@dataclass(frozen=True)
class OutOfCore(OnDisk):
    """Measure a plan whose log is larger than memory, on one machine with all cores.

    The log is read once. Its rows are cut by user into shards on disk, every shard is ordered by itself, and all
    questions are tallied shard by shard. The answers are those that would have come from memory.

    Parameters
    ----------
    memory : str
        About how much memory may be used, such as ``"4GB"``. All events of one user must fit.
    directory : str or pathlib.Path, optional
        Where temporary files are made; the system's folder for them by default. They need about as much room as the
        columns that are read, uncompressed.
    shards : int or "auto"
        Into how many parts the users are cut; by default as many as the memory asks for.
    progress : callable, optional
        Called now and then with a `Progress`: the step, its rows so far and in total, the time left.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take.
    WorkspaceError
        When it runs: if temporary files cannot be written or read back. They are removed whatever happens; those of a
        run that was killed without notice are found, named and removed by the next one.
    ShardError
        When it runs: if a statistic fails; the message names it and the shard.

    Notes
    -----
    Users belong to shards by the stable hash of their id (D12.1), so that shards are the same on every machine.
    Journeys that are in memory already are tallied there. A condition of ``filter(where=...)`` must look at one event
    at a time.

    Examples
    --------
    >>> import journeykit as jk
    >>> import polars as pl
    >>> log = pl.DataFrame({"user": ["a", "b", "a"], "time": [0, 5, 9], "event": ["see", "see", "buy"]})
    >>> plan = jk.scan_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> plan.measure(jk.TopPaths(), engine=jk.OutOfCore(memory="1GB", shards=2)).frame.select("path", "count").rows()
    [(['see'], 1), (['see', 'buy'], 1)]
    """

    @property
    def workers(self) -> int:
        """One per core."""
        return cores()

    def working(self) -> AbstractContextManager[Executor]:
        """Give a thread per core: reading, ordering and the kernels release the interpreter's lock."""
        return ThreadPoolExecutor(self.workers, initializer=stay_on_one_core)

    def run(
        self, journeys: Measured, statistics: Sequence[Statistic[Any, Any]], cells: Cells
    ) -> list[Tables]:
        """Return the summed tables of every statistic, all of them tallied of a shard while it is in memory."""
        if not journeys.on_disk:
            return InMemory().run(journeys, statistics, cells)
        return self.tables(journeys, statistics, cells, Path())
