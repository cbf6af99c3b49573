"""The answer to Abandonment: shares, where it happened, other horizons, the course over time. DEFINITIONS D5, D14."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import polars as pl

from journeykit.errors import ParameterError
from journeykit.mathematics.intervals import GroupSums
from journeykit.protocol import CELL, Context, Tables
from journeykit.statistics.base import (
    UNITS_TABLE,
    Answer,
    Grouped,
    groups_per_cell,
    place_of,
    with_floats,
    with_rate,
    with_share,
)
from journeykit.statistics.goals import NEVER, state_names
from journeykit.statistics.incidence import Incidence
from journeykit.support.durations import Duration, microseconds

if TYPE_CHECKING:
    from journeykit.statistics.outcomes.abandonment import Abandonment

LAST_EVENT, LAST_STAGE, FURTHEST_STAGE = range(3)
KINDS = ("last_event", "last_stage", "furthest_stage")
HORIZONS = (1, 2, 4, 8, 16)
"""The horizons of the sensitivity table, in quarters of the horizon asked for. D5.3."""


@dataclass(frozen=True, eq=False, repr=False)
class AbandonmentAnswer(Answer):
    """Who gave up.

    Attributes
    ----------
    frame : polars.DataFrame
        One row per segment and period. Units: ``reached`` the start (and their distinct ``users``), and of
        these ``converted``, ``abandoned`` and ``open``, which add up to them; of the abandoned, ``expired``
        because the window was over; ``resumed`` came back from a silence as long as the horizon. Shares of
        the reached: ``conversion_share``, ``abandoned_share``, ``open_share``. ``abandonment_rate`` is
        abandoned / ``resolved`` (converted or abandoned); near the end of the observation quick outcomes
        weigh more in it. ``converted_by_horizon`` is free of that: the share that converts within the horizon
        (sessions: the timeout; the window if shorter), D14.3; null with fewer than 10 units observed for so
        long. Each rate has ``_low`` and ``_high``: Wilson for users, the formula's own for
        ``converted_by_horizon``, else jackknife.
    where : polars.DataFrame
        Where units gave up (D5.5). ``kind`` is last_event, last_stage or furthest_stage; per ``state``, the
        units that ``reached`` it (have it at or after the start; of furthest stages: came at least so far),
        the ``abandoned`` whose last it was, their ``share`` of all abandoned and the ``rate`` of those who
        reached it. Null is the time before the first stage.
    sensitivity : polars.DataFrame
        The counts and the abandonment rate with a quarter of the ``horizon`` (in seconds) up to four times as
        much. Without rows for sessions. D5.3.
    times : polars.DataFrame
        Episodes by cell, jackknife group, outcome and time: what the curve is made of.
    """

    shown: ClassVar[Sequence[str]] = (
        "reached",
        "converted",
        "abandoned",
        "open",
        "abandonment_rate",
        "abandonment_rate_low",
        "abandonment_rate_high",
        "converted_by_horizon",
        "converted_by_horizon_low",
        "converted_by_horizon_high",
    )

    where: pl.DataFrame
    sensitivity: pl.DataFrame
    times: pl.DataFrame
    groups: dict[int, int]
    users: dict[int, int]

    @cached_property
    def curve(self) -> pl.DataFrame:
        """What became of units over time: Aalen and Johansen. D14.2.

        One row per segment, period and distinct ``time`` in seconds since the start: units ``at_risk``, and
        those ``converted``, ``abandoned`` and ``censored`` at that time; ``unresolved`` (S after it),
        ``converted_by`` and ``abandoned_by``, which sum to 1.
        """
        tables = []
        for cell, incidence in self._by_cell.items():
            seconds = incidence.times * (self._resolution / 1e6)
            columns = {CELL: np.full(seconds.size, cell, np.int32), "time": seconds, **incidence.curve()}
            tables.append(pl.DataFrame(columns))
        if not tables:
            return pl.DataFrame()
        return self.context.label(pl.concat(tables))

    def converted_by(self, tau: Duration) -> pl.DataFrame:
        """Return the share that converts within a time, whoever may still be open. D14.3.

        Parameters
        ----------
        tau : str or timedelta
            Since the start, itself included.

        Returns
        -------
        polars.DataFrame
            Per segment and period: units ``at_risk`` at that time, ``converted_by``, ``converted_by_low`` and
            ``converted_by_high``; null with fewer than 10 at risk.

        Raises
        ------
        ParameterError
            If `tau` is no duration, or the goal was taken anywhere in the session.
        """
        if not self.statistic.after:  # type: ignore[attr-defined]
            raise ParameterError("with after=False there is no time from start to goal.")
        cells = pl.DataFrame({CELL: pl.Series(list(self.users), dtype=pl.Int32)})
        return self.context.label(
            self._with_converted_by(cells, "converted_by", microseconds(tau, "tau"), True)
        )

    @cached_property
    def _by_cell(self) -> dict[int, Incidence]:
        parts = self.times.partition_by(CELL, as_dict=True, include_key=False)
        return {int(cell): Incidence.of(parts[(cell,)]) for (cell,) in sorted(parts)}

    @property
    def _resolution(self) -> int:
        return microseconds(self.statistic.resolution, "resolution")  # type: ignore[attr-defined]

    def _with_converted_by(
        self, frame: pl.DataFrame, name: str, tau: int, at_risk: bool = False
    ) -> pl.DataFrame:
        """Add the share converted by `tau` microseconds, per cell of the frame."""
        statistic: Abandonment = self.statistic  # type: ignore[assignment]
        own_variance = statistic.unit == "user" and statistic.episodes == "first"
        values, counts, place = [], [], tau // self._resolution
        for cell in frame[CELL].to_list():
            incidence = self._by_cell.get(cell)
            groups = None if own_variance else self.groups.get(cell, 0)
            counts.append(0 if incidence is None else incidence.at_risk(place))
            values.append(
                (np.nan,) * 3
                if incidence is None
                else incidence.converted_by(place, self.context.level, groups, self.users[cell])
            )
        columns = np.array(values, np.float64).reshape(-1, 3).T
        if at_risk:
            frame = frame.with_columns(pl.Series("at_risk", counts, dtype=pl.Int64))
        return with_floats(frame, dict(zip((name, f"{name}_low", f"{name}_high"), columns, strict=True)))


def abandonment_of(statistic: Abandonment, tables: Tables, context: Context) -> AbandonmentAnswer:
    """Turn the summed tables of Abandonment into its answer."""
    units = Grouped(tables[UNITS_TABLE], ())
    rates = _Rates(statistic, units, groups_per_cell(tables, "users_reached"), context)
    answer = AbandonmentAnswer(
        frame=rates.shares(),
        statistic=statistic,
        context=replace(context, notes=(*context.notes, *_notes(statistic, units.totals))),
        where=context.label(rates.where(tables["losses"])),
        sensitivity=context.label(rates.sensitivity(tables["horizons"])),
        times=tables["times"],
        groups=rates.groups,
        users=dict(units.totals.select(CELL, "users_reached").iter_rows()),
    )
    quiet = int(units.totals["quiet_max"].max() or 0)  # type: ignore[arg-type]
    window = NEVER if statistic.within is None else microseconds(statistic.within)
    frame = answer._with_converted_by(answer.frame, "converted_by_horizon", min(quiet + 1, window))
    return replace(answer, frame=context.label(frame))


class _Rates:
    """Rates with the interval that their unit asks for: users are counted once, sessions are not. D12."""

    def __init__(
        self, statistic: Abandonment, units: Grouped, groups: dict[int, int], context: Context
    ) -> None:
        self.statistic, self.units, self.groups, self.context = statistic, units, groups, context

    def add(
        self,
        frame: pl.DataFrame,
        name: str,
        part: GroupSums,
        whole: Grouped,
        columns: tuple[str, str, str],
    ) -> pl.DataFrame:
        """Add a rate: `columns` name its numerator, its denominator, and the distinct users in the latter."""
        numerator, denominator, users = columns
        rows = place_of(frame, whole.totals, [CELL, *whole.keys])
        bottom = whole.totals[denominator].gather(pl.Series(rows))
        if self.statistic.unit == "user":
            shared = frame.with_columns(bottom.alias("__whole"))
            return with_share(shared, name, numerator, "__whole", self.context).drop("__whole")
        behind = whole.totals[users].gather(pl.Series(rows)).to_numpy()
        return with_rate(frame, name, part, whole.sums(denominator), rows, self.groups, behind, self.context)

    def shares(self) -> pl.DataFrame:
        """Return the counts and shares of every cell. D5.2, D5.3."""
        converted, abandoned = pl.col("converted"), pl.col("abandoned")
        units = Grouped(
            self.units.frame.with_columns(
                open=pl.col("reached") - converted - abandoned, resolved=converted + abandoned
            ),
            (),
        )
        frame = units.totals.drop("users").rename({"users_reached": "users"})
        for name, part, whole, users in (
            ("conversion_share", "converted", "reached", "users_reached"),
            ("abandoned_share", "abandoned", "reached", "users_reached"),
            ("open_share", "open", "reached", "users_reached"),
            ("abandonment_rate", "abandoned", "resolved", "users_resolved"),
        ):
            frame = self.add(frame, name, units.sums(part), units, (part, whole, users))
        counts = ("reached", "users", "converted", "abandoned", "expired", "open", "resumed", "resolved")
        rates = [name for name in frame.columns if "share" in name or "rate" in name]
        return frame.select(CELL, *counts, *rates)

    def where(self, losses: pl.DataFrame) -> pl.DataFrame:
        """Return the abandoned by their last event, last stage and furthest stage. D5.5."""
        table = Grouped(losses, ("kind", "state"))
        frame = self.add(
            table.totals,
            "share",
            table.sums("abandoned"),
            self.units,
            ("abandoned", "abandoned", "users_lost"),
        )
        frame = self.add(frame, "rate", table.sums("abandoned"), table, ("abandoned", "reached", "users"))
        frame = frame.sort(CELL, "kind", "abandoned", "state", descending=[False, False, True, False])
        events, stages = state_names("event", self.context), state_names("stage", self.context)
        by_event = pl.col("kind") == LAST_EVENT
        named = frame.with_columns(
            pl.when(by_event)
            .then(pl.lit(events).gather(pl.when(by_event).then("state").otherwise(0)))
            .otherwise(pl.lit(stages).gather(pl.when(by_event).then(0).otherwise("state")))
            .alias("state"),
            pl.lit(pl.Series(KINDS)).gather(pl.col("kind")).alias("kind"),
        )
        return named.select(CELL, "kind", "state", "reached", "abandoned", "^share.*$", "^rate.*$")

    def sensitivity(self, horizons: pl.DataFrame) -> pl.DataFrame:
        """Return the abandonment rate with other horizons. D5.3."""
        resolved = pl.col("converted") + pl.col("abandoned")
        table = Grouped(
            horizons.with_columns(open=pl.col("reached") - resolved, resolved=resolved), ("factor",)
        )
        horizon = 0 if self.statistic.horizon is None else microseconds(self.statistic.horizon)
        frame = table.totals.with_columns((pl.col("factor") * (horizon / 4e6)).alias("horizon"))
        frame = with_share(frame, "abandonment_rate", "abandoned", "resolved", self.context)
        return frame.select(
            CELL, "horizon", "reached", "converted", "abandoned", "open", "resolved", "^abandonment_rate.*$"
        )


def _notes(statistic: Abandonment, totals: pl.DataFrame) -> list[str]:
    """Say what the counts take for gone."""
    notes, still = [], int(totals["unfinished"].sum())
    if statistic.unit == "user":
        notes.append(f"A user counts as gone after a silence of {statistic.horizon}.")
    if not statistic.counts_open and still:
        notes.append(
            f"Units that could still convert at the end of the observation and count as abandoned: {still:,}. "
            f'open_paths="censor" counts them as open.'
        )
    return notes
