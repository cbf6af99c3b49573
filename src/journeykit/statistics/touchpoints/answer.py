"""The answer to Touchpoints: volume, reach and conversion by touchpoint, stage and channel; switches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import polars as pl

from journeykit.protocol import CELL, Context, Tables
from journeykit.statistics.base import (
    UNITS_TABLE,
    Answer,
    Grouped,
    groups_per_cell,
    place_of,
    with_rate,
    with_share,
)
from journeykit.statistics.goals import state_names

if TYPE_CHECKING:
    from journeykit.statistics.touchpoints.touchpoints import Touchpoints

ONLINE, OFFLINE = "online", "offline"
SIDES = {1: "online only", 2: "offline only", 3: "online and offline"}
REACH = ("journeys", "^journey_share.*$", "converted", "^conversion_rate.*$")
AFTER_IT = "Conversion after a touchpoint says who converts after it, not who converts because of it."


@dataclass(frozen=True, eq=False, repr=False)
class TouchpointsAnswer(Answer):
    """Where journeys go, and through which channel.

    Everywhere: ``visits`` are events; ``journeys`` are units with one or more, ``users`` theirs; ``journey_share`` of
    all journeys; ``converted`` those with a goal strictly after their first visit, ``conversion_rate`` of the
    journeys. Each share has ``_low`` and ``_high``: Wilson for users, else jackknife (D12).

    Attributes
    ----------
    frame : polars.DataFrame
        One row per ``touchpoint``, those of most journeys first: the ``stage`` that most of its visits are in (the
        earlier of two; null without stages), ``visits`` and their ``visit_share``, ``channels`` (how many known ones)
        and ``main_channel`` (with most visits; null without a channel).
    stages : polars.DataFrame
        One row per ``stage``, null before the first.
    channels : polars.DataFrame
        One row per ``channel``, null where it is not known, with its ``side``: online or offline.
    by_channel : polars.DataFrame
        One row per ``touchpoint`` and ``channel``.
    stage_channels : polars.DataFrame
        ``visits`` per ``stage`` and ``channel``, and ``visit_share`` of the stage.
    switches : polars.DataFrame
        From the channel ``source`` to ``target``: ``switches``, ``journeys`` that have any; ``probability`` of the
        switches out of the source.
    sides : polars.DataFrame
        Journeys by ``kind``: online only, offline only, online and offline. Those without a known channel are left
        out, and of none of the kinds.
    reach : polars.DataFrame
        Journeys by ``channels_used``: how many different ones.
    """

    stages: pl.DataFrame
    channels: pl.DataFrame
    by_channel: pl.DataFrame
    stage_channels: pl.DataFrame
    switches: pl.DataFrame
    sides: pl.DataFrame
    reach: pl.DataFrame

    shown: ClassVar[Sequence[str]] = (
        "touchpoint", "stage", "visits", "journeys", "journey_share", "converted", "conversion_rate", "channels",
    )  # fmt: skip


def touchpoints_answer(statistic: Touchpoints, tables: Tables, context: Context) -> TouchpointsAnswer:
    """Turn the sums of all shards into shares and rates."""
    built = _Tables(statistic, tables, context)
    notes = [AFTER_IT] if statistic.goal is not None else []
    known = set(tables["channels"]["channel"].to_list())
    absent = [name for name in statistic.offline if name not in known]
    if absent:
        notes.append(f"No event came through {', '.join(map(repr, absent))}, which offline= names.")
    frames = {name: context.label(frame) for name, frame in built.frames().items()}
    return TouchpointsAnswer(
        statistic=statistic, context=replace(context, notes=(*context.notes, *notes)), **frames
    )


class _Tables:
    """The frames of one answer."""

    def __init__(self, statistic: Touchpoints, tables: Tables, context: Context) -> None:
        self.statistic, self.tables, self.context = statistic, tables, context
        self.groups, self.units = groups_per_cell(tables), Grouped(tables[UNITS_TABLE], ())
        self.names = statistic.touchpoints(context.names)[1]

    def frames(self) -> dict[str, pl.DataFrame]:
        """Return every frame of the answer, with cells."""
        return {
            "frame": self._touchpoints(),
            "stages": self._stages(),
            "channels": self._ordered(
                self._sided(self._with_visits(self._reach("channels", "channel"))),
                "channel", "side", "visits", "visit_share", "users",
            ),
            "by_channel": self._ordered(
                self._sided(self._named(self._reach("by_channel", "touchpoint", "channel"))),
                "touchpoint", "channel", "side", "visits", "users",
            ),
            "stage_channels": self._stage_channels(),
            "switches": self._switches(),
            "sides": self._sides(),
            "reach": self._used("channels_used"),
        }  # fmt: skip

    def _reach(self, table: str, *keys: str) -> pl.DataFrame:
        """Return the journeys of every thing, as a share of all, and those that convert after it."""
        grouped = Grouped(self.tables[table], keys)
        totals = grouped.totals
        paths = self.units.totals[place_of(totals, self.units.totals, [CELL])]
        frame = totals.with_columns(paths["paths"], paths["users"].alias("all_users"))
        frame = self._share(frame, grouped, "journey_share", "journeys", "paths", "all_users")
        frame = self._share(frame, grouped, "conversion_rate", "converted", "journeys", "users")
        if self.statistic.goal is None:
            rates = [f"conversion_rate{end}" for end in ("", "_low", "_high")]
            frame = frame.with_columns(
                pl.lit(None, pl.Int64).alias("converted"), pl.lit(None, pl.Float64).alias(rates[0]),
                *(pl.lit(None, pl.Float64).alias(name) for name in rates[1:]),
            )  # fmt: skip
        return frame

    def _share(
        self, frame: pl.DataFrame, table: Grouped, name: str, part: str, whole: str, users: str
    ) -> pl.DataFrame:
        if self.statistic.unit == "user":
            return with_share(frame, name, part, whole, self.context)
        everything = whole == "paths"
        bottom = self.units.sums("paths") if everything else table.sums(whole)
        rows = place_of(frame, self.units.totals, [CELL]) if everything else np.arange(frame.height)
        return with_rate(
            frame, name, table.sums(part), bottom, rows, self.groups, frame[users].to_numpy(), self.context
        )

    def _touchpoints(self) -> pl.DataFrame:
        frame = self._with_visits(self._reach("touchpoints", "touchpoint"))
        stage = self._staged(self._main("places", "stage", pl.col("stage") > 0))
        known = self.tables["by_channel"].filter(pl.col("channel").is_not_null())
        each = known.group_by(CELL, "touchpoint").agg(
            pl.col("channel").n_unique().cast(pl.Int64).alias("channels")
        )
        channel = self._main("by_channel", "channel", pl.col("channel").is_not_null()).rename(
            {"channel": "main_channel"}
        )
        for other in (stage, each, channel):
            frame = frame.join(other, on=[CELL, "touchpoint"], how="left", maintain_order="left")
        if self.statistic.channel is not None:
            frame = frame.with_columns(pl.col("channels").fill_null(0))
        columns = (
            "touchpoint",
            "stage",
            "visits",
            "visit_share",
            "users",
            *REACH,
            "channels",
            "main_channel",
        )
        return self._ordered(self._named(frame), *columns, complete=True)

    def _main(self, table: str, key: str, known: pl.Expr) -> pl.DataFrame:
        """Return where most visits of every touchpoint are, as far as it is known; the first of equal ones."""
        sums = self.tables[table].filter(known).group_by(CELL, "touchpoint", key).agg(pl.col("visits").sum())
        ranked = sums.sort(CELL, "touchpoint", "visits", key, descending=[False, False, True, False])
        return ranked.group_by(CELL, "touchpoint", maintain_order=True).agg(pl.col(key).first())

    def _stages(self) -> pl.DataFrame:
        frame = self._reach("stages", "stage")
        place = pl.when(pl.col("stage") > 0).then("stage")
        frame = frame.sort(CELL, place, nulls_last=True)
        return self._staged(frame).select(CELL, "stage", "visits", "users", *REACH)

    def _stage_channels(self) -> pl.DataFrame:
        totals = Grouped(self.tables["stage_channels"], ("stage", "channel")).totals
        share = (pl.col("visits") / pl.col("visits").sum().over(CELL, "stage")).alias("visit_share")
        place = pl.when(pl.col("stage") > 0).then("stage")
        order = [pl.col(CELL), place, -pl.col("visits"), pl.col("channel")]
        frame = totals.with_columns(share).sort(order, nulls_last=True)
        return self._sided(self._staged(frame)).select(
            CELL, "stage", "channel", "side", "visits", "visit_share"
        )

    def _staged(self, frame: pl.DataFrame) -> pl.DataFrame:
        stages = pl.lit(state_names("stage", self.context))
        return frame.with_columns(stages.gather(pl.col("stage")).alias("stage"))

    def _switches(self) -> pl.DataFrame:
        grouped = Grouped(self.tables["switches"], ("source", "target"))
        leaving = Grouped(self.tables["switches"], ("source",))
        rows = place_of(grouped.totals, leaving.totals, [CELL, "source"])
        frame = with_rate(
            grouped.totals, "probability", grouped.sums("switches"), leaving.sums("switches"), rows, self.groups,
            leaving.totals["users"].to_numpy()[rows], self.context,
        )  # fmt: skip
        order = [pl.col(CELL), -pl.col("switches"), pl.col("source"), pl.col("target")]
        return frame.sort(order).select(CELL, "source", "target", "switches", "journeys", "^probability.*$")

    def _sides(self) -> pl.DataFrame:
        frame = self._used("sides")
        names = pl.col("sides").replace_strict(SIDES, default=None, return_dtype=pl.String).alias("kind")
        return frame.with_columns(names).select(CELL, "kind", *REACH)

    def _used(self, key: str) -> pl.DataFrame:
        return self._reach("uses", key).sort(CELL, key).select(CELL, key, *REACH)

    def _with_visits(self, frame: pl.DataFrame) -> pl.DataFrame:
        share = pl.col("visits") / pl.col("visits").sum().over(CELL)
        return frame.with_columns(share.alias("visit_share"))

    def _named(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(pl.lit(self.names).gather(pl.col("touchpoint")).alias("touchpoint"))

    def _sided(self, frame: pl.DataFrame) -> pl.DataFrame:
        channel = pl.col("channel")
        side = (
            pl.when(channel.is_in(list(self.statistic.offline)))
            .then(pl.lit(OFFLINE))
            .otherwise(pl.lit(ONLINE))
        )
        return frame.with_columns(pl.when(channel.is_not_null()).then(side).alias("side"))

    def _ordered(self, frame: pl.DataFrame, *columns: str, complete: bool = False) -> pl.DataFrame:
        """Put what most journeys meet first; names decide between equals. D0.4."""
        names = [pl.col(name) for name in columns if name in ("touchpoint", "channel")]
        ordered = frame.sort([pl.col(CELL), -pl.col("journeys"), *names], nulls_last=True)
        return ordered.select(CELL, *columns, *(() if complete else REACH))
