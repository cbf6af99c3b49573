"""The answer to Friction: flagged visits, sessions and users per event and stage; classes; detours. D15.4, D15.5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import polars as pl

from journeykit.protocol import CELL, Context, Tables
from journeykit.statistics.base import Answer, Grouped, groups_per_cell, with_rate, with_share
from journeykit.statistics.friction.flags import CLASSES
from journeykit.statistics.friction.slow_visits import SlowLimits
from journeykit.statistics.goals import state_names

if TYPE_CHECKING:
    from journeykit.statistics.friction.friction import Friction

ANY = "any"
ALL_VISITS = "all"


@dataclass(frozen=True, eq=False, repr=False)
class FrictionAnswer(Answer):
    """Where visits show friction.

    Attributes
    ----------
    frame : polars.DataFrame
        One row per event and flag, ``any`` of them included, the most frequent first. ``flagged_visits`` of all
        ``visits`` to the event and their share ``visit_rate``; ``flagged_sessions`` of the ``sessions`` that have
        the event, and ``session_rate``; ``flagged_users`` of its ``users``, and ``user_rate``. Each rate has
        ``_low`` and ``_high``: Wilson for users, else jackknife (D12). A flag that was looked for and not found
        has zeros.
    stages : polars.DataFrame
        The same per ``stage`` that users are in at the visit (null: before their first); without rows where the
        journeys have no stages.
    overall : polars.DataFrame
        The same over all events: ``session_rate`` is the share of sessions with the flag.
    classes : polars.DataFrame
        Per ``event`` and ``friction_class``, which every visit has exactly one of: ``class_visits`` of its
        ``visits``, and their share ``class_rate``.
    detours : polars.DataFrame
        Per ``event``: its ``visits`` that are no trouble, and their ``users``; ``detours``, those whose next event
        is trouble, and ``detour_rate``; ``returns``, the detours after which the session has any event but trouble at
        the stage of the visit or later (without stages: any event but trouble), and ``return_rate``. D15.5.
    limits : polars.DataFrame
        Per ``event``: how many ``gaps`` lead to it, and ``slow_after`` how many seconds a visit is slow.
    """

    shown: ClassVar[Sequence[str]] = (
        "event",
        "flag",
        "visits",
        "flagged_visits",
        "visit_rate",
        "visit_rate_low",
        "visit_rate_high",
        "flagged_sessions",
        "flagged_users",
        "user_rate",
    )

    stages: pl.DataFrame
    overall: pl.DataFrame
    classes: pl.DataFrame
    detours: pl.DataFrame
    limits: pl.DataFrame


def friction_answer(
    statistic: Friction, limits: SlowLimits, tables: Tables, context: Context
) -> FrictionAnswer:
    """Turn the counts of flags into rates with intervals."""
    rates = _Rates(statistic, groups_per_cell(tables), context)
    events = Grouped(_named(tables["events"], "event", context), ("event",))
    stages = Grouped(_named(tables["stages"], "stage", context), ("stage",))
    return FrictionAnswer(
        rates.flags(events),
        statistic,
        replace(context, notes=(*context.notes, *_notes(statistic))),
        rates.flags(stages),
        rates.flags(Grouped(tables["overall"], ())),
        rates.classes(events),
        rates.detours(events),
        limits.frame,
    )


class _Rates:
    """Rates of one answer, with their intervals."""

    def __init__(self, statistic: Friction, groups: Mapping[int, int], context: Context) -> None:
        self.statistic, self.groups, self.context = statistic, groups, context

    def flags(self, table: Grouped) -> pl.DataFrame:
        """Return one row per thing and flag."""
        parts = [self._flag(table, flag) for flag in (*self.statistic.asked, ANY)]
        frame = pl.concat(parts)
        order = [ANY, *self.statistic.asked]
        keys = [CELL, "flagged_visits", *table.keys, pl.col("flag").replace_strict(order, range(len(order)))]
        by = [False, True, *(False for _ in table.keys), False]
        return self.context.label(frame.sort(keys, descending=by, nulls_last=False))

    def _flag(self, table: Grouped, flag: str) -> pl.DataFrame:
        counts = {f"{ALL_VISITS}_{what}": what for what in ("visits", "sessions", "users")}
        counts |= {f"{flag}_{what}": f"flagged_{what}" for what in ("visits", "sessions", "users")}
        columns = [pl.col(old).alias(new) for old, new in counts.items()]
        frame = table.totals.select(CELL, *table.keys, pl.lit(flag).alias("flag"), *columns)
        for what in ("visits", "sessions"):
            frame = self.rate(
                frame, table, f"{what[:-1]}_rate", (f"{flag}_{what}", f"{ALL_VISITS}_{what}"), "users"
            )
        frame = with_share(frame, "user_rate", "flagged_users", "users", self.context)
        rates = [
            (f"flagged_{what}s", what + "s", f"{what}_rate", f"{what}_rate_low", f"{what}_rate_high")
            for what in ("visit", "session", "user")
        ]
        return frame.select(CELL, *table.keys, "flag", *(name for group in rates for name in group))

    def classes(self, table: Grouped) -> pl.DataFrame:
        """Return one row per event and class of visits."""
        looked_for = {*self.statistic.asked, CLASSES[-1]}
        parts = []
        for place, name in enumerate(CLASSES):
            if name not in looked_for:
                continue
            frame = table.totals.select(
                CELL, *table.keys, pl.lit(name).alias("friction_class"), pl.lit(place).alias("place"),
                pl.col(f"class_{name}_visits").alias("class_visits"),
                pl.col(f"{ALL_VISITS}_visits").alias("visits"),
                pl.col(f"{ALL_VISITS}_users").alias("users"),
            )  # fmt: skip
            columns = (f"class_{name}_visits", f"{ALL_VISITS}_visits")
            parts.append(self.rate(frame, table, "class_rate", columns, "users").drop("users"))
        frame = pl.concat(parts).sort(
            CELL,
            "visits",
            *table.keys,
            "place",
            descending=[False, True, *(False for _ in table.keys), False],
        )
        return self.context.label(frame.drop("place"))

    def detours(self, table: Grouped) -> pl.DataFrame:
        """Return one row per event that is not always trouble."""
        table = Grouped(
            table.frame.filter(pl.col("plain_visits").sum().over(CELL, *table.keys) > 0), table.keys
        )
        counts = {"visits": "plain_visits", "users": "plain_users", "detours": "detour_visits"}
        counts |= {"returns": "return_visits", "detour_users": "detour_users"}
        frame = table.totals.select(
            CELL, *table.keys, *(pl.col(old).alias(new) for new, old in counts.items())
        )
        frame = self.rate(frame, table, "detour_rate", ("detour_visits", "plain_visits"), "users")
        frame = self.rate(frame, table, "return_rate", ("return_visits", "detour_visits"), "detour_users")
        order = [CELL, "detours", *table.keys]
        frame = frame.sort(order, descending=[name == "detours" for name in order])
        rates = ("visits", "users", "detours", "^detour_rate.*$", "returns", "^return_rate.*$")
        return self.context.label(frame.select(CELL, *table.keys, *rates))

    def rate(
        self, frame: pl.DataFrame, table: Grouped, name: str, columns: tuple[str, str], users: str
    ) -> pl.DataFrame:
        """Add a rate of two columns of the table, whose rows are those of the frame. D12.3."""
        top, bottom = (table.sums(column) for column in columns)
        rows = np.arange(frame.height)
        return with_rate(frame, name, top, bottom, rows, self.groups, frame[users].to_numpy(), self.context)


def _named(table: pl.DataFrame, key: str, context: Context) -> pl.DataFrame:
    """Replace numbers of events or stages by names."""
    names = state_names("event" if key == "event" else "stage", context)
    return table.with_columns(pl.lit(names).gather(pl.col(key)).alias(key))


def _notes(statistic: Friction) -> list[str]:
    """Say what was not looked for."""
    notes = []
    if statistic.trouble is None:
        notes.append("Errors and detours were not looked for: trouble= names no event.")
    if statistic.rage is None:
        notes.append("Rage was not looked for.")
    if statistic.slow is None:
        notes.append("Slow visits were not looked for.")
    return notes
