"""Work on all cores: numpy, polars and the kernels release the interpreter's lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock, local
from typing import Any, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

MOST_HANDED = 256
"""About as many times is work handed to a thread, or twice as many."""


class _Here(local):
    """What holds for the thread that asks."""

    one_core = False


_HERE = _Here()


def stay_on_one_core() -> None:
    """Let this thread, one of as many as there are cores, hand no work to others from now on."""
    _HERE.one_core = True


def cores() -> int:
    """Return how many cores this thread may use; ``POLARS_MAX_THREADS`` limits them too."""
    if _HERE.one_core:
        return 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, int(os.environ.get("POLARS_MAX_THREADS", allowed))))


def on_all_cores(
    work: Callable[[Task], Result], tasks: Iterable[Task], *, threads_per_core: int = 1
) -> list[Result]:
    """Do `work` on every task; the results come in the order of the tasks, whatever the number of cores.

    More than one thread per core helps where work waits for others. Neighbouring tasks go together where there are
    many, for handing one over takes 30 µs.
    """
    tasks = list(tasks)
    workers = min(cores() * threads_per_core, len(tasks))
    if workers <= 1:
        return [work(task) for task in tasks]
    size = max(1, len(tasks) // (workers * MOST_HANDED))
    runs = [tasks[first : first + size] for first in range(0, len(tasks), size)]
    with ThreadPoolExecutor(workers) as pool:
        return [
            result
            for results in pool.map(lambda run: [work(task) for task in run], runs)
            for result in results
        ]


class Memo:
    """The last few things that were made, each once, whichever thread asks first. Pickled, it is empty.

    Examples
    --------
    >>> memo = Memo(room=1)
    >>> memo.get("a", lambda: 1), memo.get("a", lambda: 2), memo.get("b", lambda: 3), memo.get("a", lambda: 4)
    (1, 1, 3, 4)
    """

    def __init__(self, room: int = 4) -> None:
        self._room, self._lock, self._made = room, Lock(), dict[Hashable, Any]()

    def get(self, key: Hashable, make: Callable[[], Result]) -> Result:
        """Return what was made for `key`, or make it."""
        with self._lock:
            made: Result = self._made[key] if key in self._made else make()
            self._made.pop(key, None)
            self._made[key] = made
            while len(self._made) > self._room:
                del self._made[next(iter(self._made))]
            return made

    def __reduce__(self) -> tuple[type[Memo], tuple[int]]:
        return Memo, (self._room,)
