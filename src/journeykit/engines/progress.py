"""How far a long job has come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import TypeAlias


@dataclass(frozen=True)
class Progress:
    """How far one step of a job has come.

    Attributes
    ----------
    step : str
        What is being done: ``"cutting the log"``, ``"ordering"``, ``"measuring"``.
    rows : int
        Rows of the log, or events, that are done.
    total : int or None
        How many there are; None while that is not known.
    seconds : float
        How long the step has taken.
    """

    step: str
    rows: int
    total: int | None
    seconds: float

    @property
    def seconds_left(self) -> float | None:
        """How long the step will still take at its speed so far; None while that is not known."""
        if self.total is None or not self.rows:
            return None
        return self.seconds * max(0, self.total - self.rows) / self.rows


Callback: TypeAlias = Callable[[Progress], None]


@dataclass
class Meter:
    """Counts the rows of one step, and tells whoever asked."""

    callback: Callback | None
    step: str
    total: int | None
    rows: int = 0
    started: float = field(default_factory=monotonic)

    def __post_init__(self) -> None:
        self.add(0)

    def add(self, rows: int) -> None:
        """Count rows that are done."""
        self.rows += rows
        if self.callback is not None:
            self.callback(Progress(self.step, self.rows, self.total, monotonic() - self.started))
