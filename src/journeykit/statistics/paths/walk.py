"""The paths of a shard as a question wants them: without noise, cut at anchors. DEFINITIONS D3.3, D3.4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError
from journeykit.journeys.journeys import Journeys
from journeykit.paths import Unit
from journeykit.patterns.matchers import Match, Of, symbols_of
from journeykit.protocol import CELL, Cells, Context
from journeykit.statistics.goals import Walk, state_names
from journeykit.statistics.units import count_units
from journeykit.support.unknown_names import MISSING

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Occurrence: TypeAlias = Literal["first", "last"] | int

START, OTHER, END = "<START>", "<OTHER>", "<END>"
VIRTUAL = (START, OTHER, END)
UNLIMITED = 1 << 40
SHARED: dict[str, tuple[object, ...]] = {
    "of": ("event", "stage"),
    "unit": ("session", "user"),
    "missing": MISSING,
    "keep": ("first", "last"),
    "open_paths": ("end", "censor"),
    "collapse_repeats": (False, True),
    "weight": ("paths", "users"),
    "sort": ("step", "weight"),
}


def check_shared(statistic: Any) -> None:
    """Refuse a choice of `SHARED` that a question about steps cannot take."""
    for parameter, allowed in SHARED.items():
        value = getattr(statistic, parameter, allowed[0])
        if value not in allowed:
            raise ParameterError.choice(parameter, value, allowed)


def checked_occurrence(occurrence: object) -> None:
    """Refuse what says of no anchor which of its occurrences is meant."""
    counted = isinstance(occurrence, int) and not isinstance(occurrence, bool) and occurrence > 0
    if not counted and occurrence not in ("first", "last"):
        raise ParameterError(
            f"occurrence cannot be {occurrence!r}. Choose 'first', 'last', or a whole number from 1 on."
        )


def checked_count(parameter: str, value: object, least: int = 1) -> None:
    """Refuse what is no whole number, or too small a one; None is fine."""
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ParameterError(f"{parameter} must be a whole number from {least} on, not {value!r}.")


def all_names(of: Of, context: Context) -> pl.Series:
    """Return the name of every state number, then START, OTHER, END."""
    return pl.concat([state_names(of, context).rename("name"), pl.Series("name", VIRTUAL)])


class CleanWalk(Walk):
    """The units of one shard without state 0 (before the first stage) and, if asked for, without repeats.

    Attributes
    ----------
    segments : numpy.ndarray of int32
        The row of ``by=`` and ``every=`` that every path belongs to.
    """

    def __init__(
        self,
        shard: Journeys,
        cells: Cells,
        of: Of,
        unit: Unit,
        *,
        collapse: bool = False,
        keep_last: bool = False,
        matches: Sequence[Match] = (),
    ) -> None:
        super().__init__(shard, cells, of, unit)
        self.segments = self.cells % np.int32(cells.per_group)
        self.symbols, self.masks = self.states, np.zeros(1, np.uint64)
        if matches:
            self.symbols, self.masks = symbols_of(shard, matches, of, unit)
        if self.by_run or collapse:
            self._leave_out(collapse, keep_last)

    def _leave_out(self, collapse: bool, keep_last: bool) -> None:
        from journeykit.kernels.paths.cleaning import copy_places

        paths = self.paths
        places, bounds = np.empty(self.n_events, np.int64), np.empty(paths.n_paths + 1, np.int64)
        copy_places(paths.starts, paths.ends, self.states, self.by_run, collapse, keep_last, places, bounds)
        places = places[: bounds[-1]]
        self.states, self.symbols = self.states[places], self.symbols[places]
        self.paths = replace(paths, starts=bounds[:-1], ends=bounds[1:], times=paths.times[places])
        self.n_events = int(bounds[-1])

    def find(self, firsts: Int64s, bit: int, occurrence: Occurrence = "first") -> Int64s:
        """Return where an occurrence of a matcher stands in every path from `firsts` on; -1 without one."""
        from journeykit.kernels.paths.steps import find_events

        nth = {"first": 1, "last": 0}.get(str(occurrence), occurrence)
        found = np.empty(firsts.size, np.int64)
        find_events(firsts, self.paths.ends, self.symbols, self.masks, np.uint64(1 << bit), nth, found)
        return found

    def cut(self, start: int | None, end: int | None, occurrence: Occurrence) -> tuple[Int64s, Int64s]:
        """Cut every path before its start and after the first end behind that; empty without them. D3.4."""
        firsts, lasts = self.paths.starts.copy(), self.paths.ends.copy()
        lost = np.zeros(firsts.size, np.bool_)
        if start is not None:
            found = self.find(firsts, start, occurrence)
            lost |= found < 0
            firsts = np.where(lost, lasts, found)
        if end is not None:
            found = self.find(np.minimum(firsts + (start is not None), lasts), end)
            lost |= found < 0
            lasts = np.where(lost, firsts, found + 1)
        return np.where(lost, self.paths.starts, firsts), np.where(lost, self.paths.starts, lasts)

    def counted_units(self, counted: Bools, **marked: Bools) -> pl.DataFrame:
        """Count per cell the paths that count and their users, those with events that do not, and marked ones."""
        units = count_units(self.paths, self.cells, counted)
        marked = {"lost": (self.paths.ends > self.paths.starts) & ~counted, **marked}
        tables = [
            count_units(self.paths, self.cells, one).select(CELL, pl.col("paths").alias(name))
            for name, one in marked.items()
        ]
        for table in tables:
            units = units.join(table, on=CELL, how="full", coalesce=True)
        return units.with_columns(pl.exclude(CELL).fill_null(0)).sort(CELL)


def lost_note(units: pl.DataFrame, what: str) -> tuple[str, ...]:
    """Say how many paths have no anchor."""
    lost = int(units["lost"].sum())
    return (f"{lost:,} paths without {what} are left out.",) if lost else ()
