"""How many units hold a pattern, how often, and how long it takes. DEFINITIONS D8.11."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from journeykit.journeys.journeys import Journeys
from journeykit.patterns import Pattern
from journeykit.patterns.searching import Search
from journeykit.protocol import CELL, Cells, Context, Tables
from journeykit.statistics.base import (
    UNITS_TABLE,
    Answer,
    Grouped,
    Statistic,
    groups_of_rows,
    groups_per_cell,
    place_of,
    with_floats,
    with_rate,
    with_share,
)
from journeykit.statistics.distribution import Distribution, checked_quantiles
from journeykit.statistics.goals import Walk
from journeykit.support.unknown_names import Missing

COUNTS = ("units", "users", "matched", "matched_users", "matches")


@dataclass(frozen=True, eq=False, repr=False)
class PatternCountAnswer(Answer):
    """The answer to `PatternCount`; its frame is described there."""


@dataclass(frozen=True)
class PatternCount(Statistic[PatternCountAnswer]):
    """Count the units that hold a pattern, and its matches. D8.11.

    Parameters
    ----------
    pattern : Pattern or str
        What to look for; a text is searched in sessions.
    quantiles : sequence of float
        Which percentiles to compute of the time from the first to the last event of a unit's first match.
    missing : {"raise", "ignore", "warn"}, optional
        What to do about names that are not in the log, in place of what the pattern says. D0.9.

    Raises
    ------
    PatternError
        If a text is no pattern.
    ParameterError
        If a quantile is not between 0 and 1.

    Notes
    -----
    The answer's frame has one row:

    ``units``, ``users``
        All units, and their distinct users.
    ``matched``, ``matched_users``
        Units with at least one match, and their users.
    ``match_rate``, ``match_rate_low``, ``match_rate_high``
        matched / units; Wilson for users, jackknife for sessions (D12).
    ``matches``
        Matches that do not overlap, of all units.
    ``matches_per_unit``, ``matches_per_unit_low``, ``matches_per_unit_high``
        matches / units, jackknife.
    ``time_median`` ...
        Seconds from the first to the last event of the first match, of the matched, with Woodruff intervals (D12.5).

    One pass over the events, O(n k) for k elements; a second one over those of the matches if times are asked for,
    or if repeats leave the length open. 8 bytes per unit.

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({"user": [1, 1, 1, 2], "time": [0, 10, 20, 5], "event": ["see", "buy", "see", "see"]})
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> answer = journeys.measure(PatternCount("see ~> buy"))
    >>> answer.frame.select("units", "matched", "match_rate", "matches").rows()
    [(2, 1, 0.5, 1)]
    """

    pattern: Pattern | str
    quantiles: Sequence[float] = ()
    missing: Missing | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "pattern", as_pattern(self.pattern, self.missing))
        object.__setattr__(self, "quantiles", checked_quantiles(self.quantiles))

    @property
    def tables(self) -> Mapping[str, Sequence[str]]:  # type: ignore[override]
        """The tables of a tally."""
        return {UNITS_TABLE: ()} | ({"times": ("gap",)} if self.quantiles else {})

    def check(self, context: Context) -> None:
        """Refuse names and properties that the journeys do not have."""
        as_pattern(self.pattern).check(context)

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count units with a match, and matches, in one shard."""
        search = Search.of(shard, as_pattern(self.pattern))
        walk = Walk(shard, cells, search.pattern.of, search.pattern.unit)
        counts = search.counts()
        matched = counts > 0
        units = np.bincount(walk.cells, minlength=walk.cell_count)
        with_match = np.bincount(walk.cells[matched], minlength=walk.cell_count)
        are_users = search.pattern.unit == "user"
        columns = (
            units,
            units if are_users else walk.users_per_cell(np.ones(counts.size, np.bool_)),
            with_match,
            with_match if are_users else walk.users_per_cell(matched),
            np.bincount(walk.cells, counts, minlength=walk.cell_count).astype(np.int64),
        )
        present = cells.present(units)
        named = {name: column[present] for name, column in zip(COUNTS, columns, strict=True)}
        tables = {UNITS_TABLE: pl.DataFrame({CELL: present.astype(np.int32), **named})}
        return tables | ({"times": _times(search, walk)} if self.quantiles else {})

    def answer(self, tables: Tables, context: Context) -> PatternCountAnswer:
        """Turn counts into rates with intervals."""
        counted, pattern = Grouped(tables[UNITS_TABLE], ()), as_pattern(self.pattern)
        frame, groups = counted.totals, groups_per_cell(tables)
        rows, users = np.arange(frame.height), frame["users"].to_numpy()
        if pattern.unit == "user":
            frame = with_share(frame, "match_rate", "matched", "units", context)
        else:
            frame = with_rate(
                frame,
                "match_rate",
                counted.sums("matched"),
                counted.sums("units"),
                rows,
                groups,
                users,
                context,
            )
        frame = with_rate(
            frame, "matches_per_unit", counted.sums("matches"), counted.sums("units"), rows, groups, users,
            context, scale="log",
        )  # fmt: skip
        if self.quantiles:
            frame = self._with_times(frame, tables["times"], groups, context)
        times = [name for name in frame.columns if name.startswith("time_")]
        frame = frame.select(
            CELL, "units", "users", "matched", "matched_users", "match_rate", "match_rate_low", "match_rate_high",
            "matches", "matches_per_unit", "matches_per_unit_low", "matches_per_unit_high", *times,
        ).sort(CELL)  # fmt: skip
        note = f"Pattern {pattern.text!r}: matches in one {pattern.unit}, which do not overlap."
        return PatternCountAnswer(context.label(frame), self, replace(context, notes=(*context.notes, note)))

    def _with_times(
        self, frame: pl.DataFrame, times: pl.DataFrame, groups: Mapping[int, int], context: Context
    ) -> pl.DataFrame:
        """Add percentiles of the time that a match takes, in seconds, with Woodruff intervals. D12.5."""
        taken = Distribution.of(frame.height, place_of(times, frame, [CELL]), times, "gap")
        present = groups_of_rows(frame[CELL], groups)
        return with_floats(frame, taken.percentiles(self.quantiles, "time", present, context.level))


def as_pattern(given: Pattern | str, missing: Missing | None = None) -> Pattern:
    """Accept a pattern, or its text; with another way to treat missing names, if one is given."""
    pattern = given if isinstance(given, Pattern) else Pattern(given)
    return pattern if missing is None else replace(pattern, missing=missing)


def _times(search: Search, walk: Walk) -> pl.DataFrame:
    """Count the times that the first match of a unit takes."""
    found = search.matches("first")
    first = np.flatnonzero(np.diff(found[:, 0], prepend=-1))
    last = np.append(first[1:], found.shape[0]) - 1
    times = search.paths.times
    gaps = times[found[last, 2]] - times[found[first, 2]] if first.size else np.empty(0, np.int64)
    listed = pl.DataFrame({CELL: walk.cells[found[first, 0]], "gap": gaps})
    return listed.group_by(CELL, "gap").len("count").with_columns(pl.col("count").cast(pl.Int64))
