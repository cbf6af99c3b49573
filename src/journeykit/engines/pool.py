"""Many processes: shards sent as the paths of their files, to any executor."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from journeykit.engines.in_memory import InMemory
from journeykit.engines.on_disk import Executor, OnDisk
from journeykit.errors import ParameterError
from journeykit.protocol import Cells, Measured, Statistic, Tables
from journeykit.support.threads import cores


@dataclass(frozen=True)
class _Pooled:
    executor: Executor


@dataclass(frozen=True)
class Pool(OnDisk, _Pooled):
    """Order and tally the shards of a log in the workers of an executor.

    Parameters
    ----------
    executor : concurrent.futures.Executor
        A process pool, or anything whose ``submit`` returns a future, such as the client of a dask cluster. It is not
        shut down. Its workers must see `directory`.
    memory, directory, shards, progress
        See `OutOfCore`; the memory is that of all workers together, as many as this machine has cores.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take.
    WorkspaceError
        When it runs: see `OutOfCore`.
    ShardError
        When it runs: if a worker fails or dies; the message names the statistic and the shard.

    Notes
    -----
    What is sent is small: to the workers the questions and the path of a shard, back its tables. Process pools should
    start their workers afresh, ``ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn"))``: a forked
    copy of a process that has threads, such as those of polars, may hang.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> import journeykit as jk
    >>> import polars as pl
    >>> log = pl.DataFrame({"user": ["a", "b", "a"], "time": [0, 5, 9], "event": ["see", "see", "buy"]})
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> with ThreadPoolExecutor(2) as executor:
    ...     journeys.measure(jk.TopPaths(), engine=jk.Pool(executor)).frame.select("path", "count").rows()
    [(['see'], 1), (['see', 'buy'], 1)]
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(getattr(self.executor, "submit", None)):
            raise ParameterError(
                f"executor cannot be {self.executor!r}. Give one of concurrent.futures, such as "
                f"ProcessPoolExecutor(), or a client of dask."
            )

    @property
    def workers(self) -> int:
        """One per core of this machine: an executor does not tell how many it has."""
        return cores()

    def working(self) -> AbstractContextManager[Executor]:
        """Give the executor, which stays open."""
        return nullcontext(self.executor)

    def run(
        self, journeys: Measured, statistics: Sequence[Statistic[Any, Any]], cells: Cells
    ) -> list[Tables]:
        """Return the summed tables of every statistic; journeys in memory are first written as shards.

        Those whose cells only they can make, as when segments are compared by user, are tallied in this process.
        """
        if cells.asked is None:
            return InMemory().run(journeys, statistics, cells)
        if journeys.on_disk:
            return self.tables(journeys, statistics, cells, Path())
        with self.workspace() as folder:
            return self.tables(journeys, statistics, cells, folder)
