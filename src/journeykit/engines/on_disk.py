"""What engines over shards on disk share: how much memory, where, and who does the work."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from journeykit.engines.counting import Count
from journeykit.engines.progress import Callback, Meter
from journeykit.engines.workspace import workspace
from journeykit.errors import JourneykitError, ParameterError, ShardError
from journeykit.protocol import Cells, Measured, Statistic, Tables

SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?i?B)\s*", re.IGNORECASE)
POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
LEAST_MEMORY = 64 * 10**6
MOST_SHARDS = 1 << 14
MOST_WAITING = 64


class Task(Protocol):
    """What is done with one shard, as a small value."""

    @property
    def name(self) -> str:
        """The shard, in messages."""

    @property
    def n_events(self) -> int:
        """How many events it has."""


class Executor(Protocol):
    """What is asked of an executor: that of ``concurrent.futures``, or dask's client."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Any:
        """Start a call; the future returned has ``result()`` and ``cancel()``."""


T = TypeVar("T", bound=Task)
Result = TypeVar("Result")


@dataclass(frozen=True)
class OnDisk:
    """Options of engines that cut a log into shards on disk.

    Parameters
    ----------
    memory : str
        About how much memory may be used, such as ``"4GB"``.
    directory : str or pathlib.Path, optional
        Where temporary files are made; the system's folder for them by default.
    shards : int or "auto"
        Into how many parts the users are cut; by default as many as the memory asks for.
    progress : callable, optional
        Called with a `Progress` now and then.
    """

    memory: str = "4GB"
    directory: str | Path | None = None
    shards: int | Literal["auto"] = "auto"
    progress: Callback | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.memory_bytes < LEAST_MEMORY:
            raise ParameterError(f"memory={self.memory!r} is too little. Give at least '64MB'.")
        if isinstance(self.shards, bool) or not (
            self.shards == "auto" or (isinstance(self.shards, int) and 0 < self.shards <= MOST_SHARDS)
        ):
            raise ParameterError(
                f"shards cannot be {self.shards!r}. Give a whole number from 1 to {MOST_SHARDS:,}, or 'auto'."
            )
        if self.progress is not None and not callable(self.progress):
            raise ParameterError(
                f"progress cannot be {self.progress!r}. Give a function that takes a Progress."
            )

    @property
    def memory_bytes(self) -> int:
        """The memory in bytes."""
        found = SIZE.fullmatch(self.memory) if isinstance(self.memory, str) else None
        if found is None:
            raise ParameterError(
                f"memory cannot be {self.memory!r}. Give a size with its unit, such as '4GB'."
            )
        letters = found[2].upper()
        base = 1024 if "I" in letters else 1000
        return int(float(found[1]) * base ** POWERS[letters.rstrip("IB")])

    @property
    def workers(self) -> int:
        """How many shards are worked on at a time, and share the memory."""
        raise NotImplementedError

    def workspace(self) -> AbstractContextManager[Path]:
        """Give a folder that is removed at the end."""
        return workspace(None if self.directory is None else Path(self.directory))

    def working(self) -> AbstractContextManager[Executor]:
        """Give what does the work."""
        raise NotImplementedError

    def map(self, step: str, work: Callable[[T], Result], tasks: Sequence[T]) -> Iterator[Result]:
        """Do the work for every task in the workers, a limited number waiting; results are in the order of tasks.

        Raises
        ------
        ShardError
            If a worker dies, or fails for a reason that is not ours.
        """
        meter = Meter(self.progress, step, sum(task.n_events for task in tasks))
        waiting: deque[tuple[T, Any]] = deque()
        left = iter(tasks)
        with self.working() as executor:
            try:
                while True:
                    while len(waiting) < MOST_WAITING and (task := next(left, None)) is not None:
                        waiting.append((task, executor.submit(work, task)))
                    if not waiting:
                        return
                    task, future = waiting.popleft()
                    yield _result(step, work, task, future)
                    meter.add(task.n_events)
            finally:
                for _, future in waiting:
                    future.cancel()

    def tables(
        self, journeys: Measured, statistics: Sequence[Statistic[Any, Any]], cells: Cells, folder: Path
    ) -> list[Tables]:
        """Tally the shards of journeys as files, and add."""
        parts = journeys.parts(folder, 2 * self.workers if self.shards == "auto" else self.shards)
        by, every = cells.asked or (None, None)
        count = Count(tuple(statistics), by, every, cells.labels)
        return count.added(list(self.map("measuring", count, parts)))


def _result(step: str, work: Callable[[T], Result], task: T, future: Any) -> Result:
    try:
        found: Result = future.result()
    except (JourneykitError, MemoryError):
        raise
    except Exception as error:  # executors have errors of their own
        doing = ", ".join(map(repr, work.statistics)) if isinstance(work, Count) else step
        raise ShardError.failed(doing, task.name, error) from error
    return found
