"""What a long job is doing: a bar on stderr, once it has taken a second."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from threading import Lock, Timer
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from journeykit.engines import Engine, InMemory
from journeykit.engines import Progress as Rows
from journeykit.protocol import Cells, Measured, Statistic, Tables

if TYPE_CHECKING:
    from rich.progress import Progress

PATIENCE = 1.0


class Steps:
    """The steps of a job. A bar appears if stderr is a terminal and the job takes longer than a second.

    Parameters
    ----------
    total : int
        How many steps there will be.
    quiet : bool
        Whether nothing is shown.
    """

    def __init__(self, total: int, *, quiet: bool = False) -> None:
        self.total, self.done, self.part, self.text = total, -1, 0.0, ""
        self.shown = not quiet and sys.stderr.isatty()
        self._bar: Progress | None = None
        self._lock = Lock()
        self._timer = Timer(PATIENCE, self._appear)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        """Start to wait."""
        if self.shown:
            self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar away, however the job ended."""
        self._timer.cancel()
        with self._lock:
            self.shown = False
            if self._bar is not None:
                self._bar.stop()

    def begin(self, text: str) -> None:
        """Say what is done next; the step before is complete."""
        with self._lock:
            self.done, self.part, self.text = self.done + 1, 0.0, text
            self._update()

    def tell(self, progress: Rows) -> None:
        """Say how far the rows of a step have come; a step that is new, or is done again, begins."""
        if not progress.rows and not self.text.startswith(progress.step):
            self.begin(progress.step)
        with self._lock:
            self.part = progress.rows / progress.total if progress.total else 0.0
            self.text = written(progress)
            self._update()

    def _update(self) -> None:
        if self._bar is not None:
            done = self.done + self.part
            self._bar.update(self._bar.task_ids[0], completed=done, description=self.text)

    def _appear(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        with self._lock:
            if not self.shown:
                return
            columns = (
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TimeElapsedColumn(),
            )
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.add_task("", total=self.total)
            self._update()
            self._bar.start()


def written(progress: Rows) -> str:
    """Say how far a step has come.

    Examples
    --------
    >>> written(Rows("measuring", 2_500, 10_000, 30.0))
    'measuring: 2,500 of 10,000 rows, 90 s left'
    """
    rows = f"{progress.rows:,}" if progress.total is None else f"{progress.rows:,} of {progress.total:,}"
    left = progress.seconds_left
    return f"{progress.step}: {rows} rows" + ("" if left is None else f", {left:.0f} s left")


class Reporting:
    """An engine that says which statistic it runs."""

    def __init__(self, steps: Steps, engine: Engine | None = None) -> None:
        self.steps, self.engine = steps, engine or InMemory()

    def run(
        self, journeys: Measured, statistics: Sequence[Statistic[Any, Any]], cells: Cells
    ) -> list[Tables]:
        """Return the summed tables of every statistic."""
        return [self._run(journeys, statistic, cells) for statistic in statistics]

    def _run(self, journeys: Measured, statistic: Statistic[Any, Any], cells: Cells) -> Tables:
        name = type(statistic).__name__
        # The second question of a statistic is private to it, and part of the same step.
        if not name.startswith("_"):
            self.steps.begin(f"measuring {name}")
        return self.engine.run(journeys, [statistic], cells)[0]
