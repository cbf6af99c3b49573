"""The answer to FrictionBeforeAbandonment: who gives up with a flag, and who without it. D5.3, D13.2, D13.4."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import polars as pl

from journeykit.mathematics.differences import Differences, compare_proportions, compare_ratios
from journeykit.mathematics.intervals import GroupSums
from journeykit.mathematics.multiple_tests import benjamini_hochberg
from journeykit.protocol import CELL, Context, Tables
from journeykit.statistics.base import (
    Answer,
    Grouped,
    groups_of_rows,
    groups_per_cell,
    with_floats,
    with_rate,
    with_share,
)
from journeykit.statistics.goals import state_names

if TYPE_CHECKING:
    from journeykit.statistics.friction.before_abandonment import FrictionBeforeAbandonment

ANY = "any"
SIDES = ("with", "without")
TESTS = ("difference", "ratio")


@dataclass(frozen=True, eq=False, repr=False)
class ExposureAnswer(Answer):
    """Which friction goes before giving up.

    Attributes
    ----------
    frame : polars.DataFrame
        One row per flag, ``any`` of them included. Units with the flag, and those without it, in columns that end in
        ``_with`` and ``_without``: ``units``, of these ``converted``, ``abandoned`` and ``open``; ``resolved`` is
        converted or abandoned, and ``rate`` abandoned / resolved, with ``rate_with_low`` and so on. ``difference``
        is the rate with the flag less the rate without it, ``ratio`` the one by the other, each with ``_low`` and
        ``_high``; ``p_value`` of no difference, ``p_adjusted`` for all rows of the table. What was tested comes
        first, the largest difference before others; null where a rate has no units. Where a rate of sessions is
        0 or 1, they are compared as so many users.
    events : polars.DataFrame
        The same per ``event`` and flag: units that met the flag at the event, against those that visited the event
        and never met the flag there. Only pairs that occur.
    """

    shown: ClassVar[Sequence[str]] = (
        "flag",
        "abandoned_with",
        "resolved_with",
        "rate_with",
        "rate_without",
        "difference",
        "difference_low",
        "difference_high",
        "p_adjusted",
    )

    events: pl.DataFrame


def exposure_answer(statistic: FrictionBeforeAbandonment, tables: Tables, context: Context) -> ExposureAnswer:
    """Turn counts of units into rates and comparisons."""
    groups = groups_per_cell(tables, "users_reached")
    names = state_names("event", context)
    named = tables["events"].with_columns(pl.lit(names).gather(pl.col("event")).alias("event"))
    comparison = _Comparison(statistic, groups, context)
    return ExposureAnswer(
        comparison.table(Grouped(tables["overall"], ()), only_met=False),
        statistic,
        replace(context, notes=(*context.notes, *_notes(statistic))),
        comparison.table(Grouped(named, ("event",)), only_met=True),
    )


class _Comparison:
    """Units with each flag against those without it."""

    def __init__(
        self, statistic: FrictionBeforeAbandonment, groups: Mapping[int, int], context: Context
    ) -> None:
        self.statistic, self.groups, self.context = statistic, groups, context

    def table(self, table: Grouped, only_met: bool) -> pl.DataFrame:
        """Return one row per thing and flag, tested together."""
        flags = [ANY, *self.statistic.friction.asked]
        frame = pl.concat([self._flag(table, flag) for flag in flags])
        if only_met:
            frame = frame.filter(pl.col("units_with") > 0)
        tested = pl.col("resolved_with") >= self.statistic.min_units
        frame = frame.with_columns(pl.when(tested).then("p_value").alias("p_value"))
        adjusted = benjamini_hochberg(frame["p_value"].fill_null(np.nan).to_numpy())
        frame = with_floats(frame, {"p_adjusted": adjusted})
        place = pl.col("flag").replace_strict(flags, range(len(flags)), return_dtype=pl.Int32)
        order = [CELL, pl.col("p_adjusted").is_null(), "difference", *table.keys, place]
        by = [False, False, True, *(False for _ in table.keys), False]
        return self.context.label(frame.sort(order, descending=by, nulls_last=True))

    def _flag(self, table: Grouped, flag: str) -> pl.DataFrame:
        """Return one row per thing."""
        frame = table.totals.select(CELL, *table.keys, pl.lit(flag).alias("flag"))
        sums: list[tuple[GroupSums, GroupSums]] = []
        for side in SIDES:
            stem = f"{flag}_{side}"
            units, converted, abandoned, users = (
                pl.col(f"{stem}_{what}") for what in ("units", "converted", "abandoned", "users")
            )
            counted = Grouped(
                table.frame.select(
                    CELL, "group", *table.keys, units=units, converted=converted, abandoned=abandoned, users=users,
                    resolved=converted + abandoned, open=units - converted - abandoned,
                ),
                table.keys,
            )  # fmt: skip
            sums.append((counted.sums("abandoned"), counted.sums("resolved")))
            rated = self._rated(counted)
            own = rated.select(pl.exclude(CELL, *table.keys).name.suffix(f"_{side}"))
            ends = {f"rate_{end}_{side}": f"rate_{side}_{end}" for end in ("low", "high")}
            frame = pl.concat([frame, own.rename(ends)], how="horizontal")
        found = self._compared(frame, sums)
        frame = with_floats(frame, {name: getattr(found, name) for name in _columns()})
        return frame.drop(f"users_{side}" for side in SIDES)

    def _rated(self, counted: Grouped) -> pl.DataFrame:
        frame = counted.totals.select(
            CELL, *counted.keys, "units", "converted", "abandoned", "open", "resolved", "users"
        )
        if self.statistic.unit == "user":
            return with_share(frame, "rate", "abandoned", "resolved", self.context)
        rows, users = np.arange(frame.height), frame["users"].to_numpy()
        return with_rate(
            frame, "rate", counted.sums("abandoned"), counted.sums("resolved"), rows, self.groups, users,
            self.context,
        )  # fmt: skip

    def _compared(self, frame: pl.DataFrame, sums: Sequence[tuple[GroupSums, GroupSums]]) -> Differences:
        if self.statistic.unit == "user":
            x1, n1, x2, n2 = (
                frame[name].to_numpy()
                for name in ("abandoned_with", "resolved_with", "abandoned_without", "resolved_without")
            )
            return compare_proportions(x1, n1, x2, n2, self.context.level)
        present = groups_of_rows(frame[CELL], self.groups)
        users = (frame["users_with"].to_numpy(), frame["users_without"].to_numpy())
        return compare_ratios(sums[0], sums[1], present, users, self.context.level)


def _columns() -> list[str]:
    return [f"{name}{end}" for name in TESTS for end in ("", "_low", "_high")] + ["p_value"]


def _notes(statistic: FrictionBeforeAbandonment) -> list[str]:
    """Say what the comparison is not."""
    notes = [
        "What goes before giving up need not be its reason: a longer stretch meets more of everything.",
        f"Flags that fewer than {statistic.min_units} resolved units met are shown and not tested.",
    ]
    if statistic.unit == "user":
        notes.append(f"A user counts as gone after a silence of {statistic.horizon}.")
    return notes
