"""Which conditions a unit fulfils at all, in any order: retention as ClickHouse has it. DEFINITIONS D9.10."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError
from journeykit.journeys.journeys import Journeys
from journeykit.paths import Unit
from journeykit.patterns.matchers import Match, MatchLike, as_match, check_matches, symbols_of
from journeykit.protocol import CELL, Cells, Context, Tables
from journeykit.ragged.array import Ragged
from journeykit.ragged.views import units_of
from journeykit.statistics.base import (
    UNITS_TABLE,
    Answer,
    Grouped,
    Statistic,
    groups_per_cell,
    place_of,
    with_rate,
)
from journeykit.statistics.checks import check_choices
from journeykit.statistics.goals import Of, Walk
from journeykit.support.unknown_names import Missing


@dataclass(frozen=True, eq=False, repr=False)
class ConditionsMetAnswer(Answer):
    """The answer to `ConditionsMet`; its frame is described there."""


@dataclass(frozen=True)
class ConditionsMet(Statistic[ConditionsMetAnswer]):
    """Count the units that fulfil a first condition, and of these each other one, at any time. D9.10.

    Parameters
    ----------
    conditions : sequence of str, sequence of str, polars expression or Match
        The first decides who counts; 1 to 64 of them.
    of : {"event", "stage"}
        What names are names of.
    unit : {"user", "session"}
        Who fulfils them.
    missing : {"raise", "ignore", "warn"}
        What to do about names that are not in the log. D0.9.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take.

    Notes
    -----
    The answer's frame has one row per condition, in the order given:

    ``condition``, ``number``
        What it asks, and its place from 1.
    ``met``
        Units with an event that fulfils it, among those with one that fulfils the first. The order in time does not
        matter.
    ``first``, ``all_units``
        Units that fulfil the first, and all units.
    ``rate``, ``low``, ``high``
        met / first; Wilson for users, jackknife for sessions (D12).

    ClickHouse's retention function gives these for one user, as 0 and 1: `per_unit` does. For cohorts by date, see
    retention. One pass, O(n).

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({"user": [1, 1, 2, 3], "time": [0, 10, 5, 6], "event": ["buy", "see", "see", "buy"]})
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> journeys.measure(ConditionsMet(["see", "buy"])).frame.select("condition", "met", "first").rows()
    [('see', 2, 2), ('buy', 1, 2)]
    """

    conditions: Sequence[MatchLike]
    of: Of = "event"
    unit: Unit = "user"
    missing: Missing = "raise"

    tables = {UNITS_TABLE: (), "conditions": ("number",)}  # noqa: RUF012

    def __post_init__(self) -> None:
        check_choices(self)
        if (
            isinstance(self.conditions, str)
            or not isinstance(self.conditions, Sequence)
            or not self.conditions
        ):
            raise ParameterError(f"conditions cannot be {self.conditions!r}. Give a list of at least one.")
        met = tuple(as_match(one, f"condition {number}") for number, one in enumerate(self.conditions, 1))
        object.__setattr__(self, "conditions", met)

    @property
    def matches(self) -> tuple[Match, ...]:
        """The conditions as matchers."""
        return self.conditions  # type: ignore[return-value]

    def check(self, context: Context) -> None:
        """Refuse names and properties that the journeys do not have."""
        check_matches(self.matches, self.of, self.missing, context)

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the units that fulfil each condition in one shard."""
        walk, met = Walk(shard, cells, self.of, self.unit), self.met(shard)
        first, all_units = met[:, 0], np.bincount(walk.cells, minlength=walk.cell_count)
        present = cells.present(all_units)
        units = {
            CELL: present.astype(np.int32),
            "all_units": all_units[present],
            "first": np.bincount(walk.cells[first], minlength=walk.cell_count)[present],
            "users": walk.users_per_cell(first)[present],
        }
        counted = [
            pl.DataFrame({
                CELL: present.astype(np.int32),
                "number": np.full(present.size, number + 1, np.int32),
                "met": np.bincount(walk.cells[met[:, number]], minlength=walk.cell_count)[present],
            })
            for number in range(len(self.matches))
        ]  # fmt: skip
        return {UNITS_TABLE: pl.DataFrame(units), "conditions": pl.concat(counted)}

    def answer(self, tables: Tables, context: Context) -> ConditionsMetAnswer:
        """Turn counts into rates with intervals."""
        counted, whole = Grouped(tables["conditions"], ("number",)), Grouped(tables[UNITS_TABLE], ())
        frame = counted.totals
        rows = place_of(frame, whole.totals, [CELL])
        frame = with_rate(
            frame, "rate", counted.sums("met"), whole.sums("first"), rows, groups_per_cell(tables),
            whole.totals["users"].to_numpy()[rows], context, bounds=("low", "high"),
            once=self.unit == "user",
        )  # fmt: skip
        frame = frame.with_columns(whole.totals.select("first", "all_units")[rows])
        titles = pl.Series([match.title for match in self.matches], dtype=pl.String)
        frame = frame.with_columns(pl.lit(titles).gather(pl.col("number") - 1).alias("condition"))
        frame = frame.select(CELL, "condition", "number", "met", "first", "rate", "low", "high", "all_units")
        note = (
            "The order of events in time does not matter: a condition may be fulfilled before the first one."
        )
        return ConditionsMetAnswer(context.label(frame), self, replace(context, notes=(*context.notes, note)))

    def met(self, journeys: Ragged) -> npt.NDArray[np.bool_]:
        """Say of every unit which conditions it fulfils, none without the first.

        Parameters
        ----------
        journeys : Journeys
            All of them, or a shard.

        Returns
        -------
        numpy.ndarray of bool, units x conditions
            In the order of ``journeys.paths(unit)``.
        """
        from journeykit.kernels.patterns.next_event import fulfilled

        paths = journeys.paths(self.unit)
        symbols = symbols_of(journeys, self.matches, self.of, self.unit)
        bits = np.empty(paths.n_paths, np.uint64)
        fulfilled(paths.starts, paths.ends, symbols.codes, symbols.masks, bits)
        each = (bits[:, None] >> np.arange(len(self.matches), dtype=np.uint64)) & np.uint64(1)
        found: npt.NDArray[np.bool_] = each.astype(np.bool_)
        return found & found[:, :1]

    def per_unit(self, journeys: Ragged) -> pl.DataFrame:
        """Return which conditions every unit fulfils.

        Parameters
        ----------
        journeys : Journeys
            Of whom.

        Returns
        -------
        polars.DataFrame
            One row per unit: ``user``; ``session``, its number within the user, if the unit is one; ``met``, a list of
            0 and 1 per condition.

        Raises
        ------
        UnknownNameError
            If a condition names an event that is not in the log.
        """
        self.check(journeys.context(pl.DataFrame([{}])))  # type: ignore[attr-defined]
        size = len(self.matches)
        met = pl.Series("met", self.met(journeys).astype(np.int8), dtype=pl.Array(pl.Int8, size))
        return units_of(journeys, self.unit).with_columns(met.arr.to_list())
