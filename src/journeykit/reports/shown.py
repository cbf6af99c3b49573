"""Frames as they are shown: numbers written for readers, and what is withheld said so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import polars as pl

from journeykit.charts.text import count, duration, percent
from journeykit.privacy.suppression import Sensitive, suppress
from journeykit.reports.wording import Wording

Write = Callable[[float | None], str]
NOTHING, ENDLESS = "\u2013", "\u221e"


@dataclass(frozen=True)
class Shown:
    """A frame after suppression, and how its cells are written.

    Attributes
    ----------
    frame, withheld : polars.DataFrame
        As in `Suppressed`.
    k : int
        Fewest users that a number may be about.
    wording : Wording
        The language.
    """

    frame: pl.DataFrame
    withheld: pl.DataFrame
    k: int
    wording: Wording

    @classmethod
    def of(cls, frame: pl.DataFrame, sensitive: Sensitive, k: int, wording: Wording) -> Shown:
        """Withhold what has to be."""
        found = suppress(frame, sensitive, k)
        return cls(found.frame, found.withheld, k, wording)

    @property
    def cells(self) -> int:
        """How many cells are withheld."""
        return int(sum(self.withheld.sum().row(0)))

    @property
    def rows(self) -> range:
        """The numbers of the rows."""
        return range(self.frame.height)

    def known(self, row: int, *names: str) -> bool:
        """Tell whether all of these cells have a number that may be shown."""
        return all(self.frame[name][row] is not None for name in names)

    def value(self, row: int, name: str) -> Any:
        """Return a cell; null where it is withheld or undefined."""
        found = self.frame[name][row]
        return found.to_list() if isinstance(found, pl.Series) else found

    def text(self, row: int, name: str, write: Write = count) -> str:
        """Write a cell: a number, ``<k`` where it is withheld, a dash where there is none."""
        if self.withheld[name][row]:
            return f"<{self.k}"
        value = self.frame[name][row]
        return NOTHING if value is None else write(value)

    def estimate(self, row: int, name: str, write: Write = percent) -> str:
        """Write a number with its interval."""
        written = self.text(row, name, write)
        low, high = (self.frame[f"{name}_{end}"][row] for end in ("low", "high"))
        if self.frame[name][row] is None or low is None or high is None:
            return written
        return f"{written} ({self.between(low, high, write)})"

    def between(self, low: float, high: float, write: Write = percent) -> str:
        """Write an interval."""
        return self.wording("interval", low=write(low), high=write(high))


def time(seconds: float | None) -> str:
    """Write a duration; infinite where fewer than half ever end."""
    if seconds is None:
        return NOTHING
    return ENDLESS if seconds == float("inf") else duration(seconds)


def score(value: float | None) -> str:
    """Write an emotion from -1 to 1 with its sign.

    Examples
    --------
    >>> score(0.25), score(-0.5), score(0.0)
    ('+0.25', '\u22120.50', '0.00')
    """
    if value is None:
        return NOTHING
    return f"{value:+.2f}".replace("-", "\u2212") if round(value, 2) else "0.00"


def amount(value: float | None) -> str:
    """Write conversions lost or won, which are no whole numbers.

    Examples
    --------
    >>> amount(12.34), amount(-0.04), amount(1234.5)
    ('12.3', '0.0', '1,234')
    """
    if value is None:
        return NOTHING
    shown = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.1f}"
    return "0.0" if shown == "-0.0" else shown.replace("-", "\u2212")
