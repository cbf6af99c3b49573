"""The journey map as one tidy table: a row per stage, row of the map and item."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from journeykit.protocol import Context

if TYPE_CHECKING:
    from journeykit.journey_map.journey_map import JourneyMap

ROWS = (
    "goal", "users", "visits", "reached", "time", "conversion", "abandonment", "emotion", "response", "touchpoint",
    "channel", "pain", "opportunity", "quote",
)  # fmt: skip
STILL_THERE = "fewer than half have left"
NUMBERS = {
    "users": ("visited", None, "units"),
    "visits": ("visits", None, "visited"),
    "reached": ("reached_share", "reached_share", "reached"),
    "time": ("dwell_median", "dwell_median", "visited"),
    "conversion": ("conversion_rate", "conversion_rate", "visited"),
    "abandonment": ("abandonment_rate", "abandonment_rate", "visited"),
    "emotion": ("emotion", "emotion", "ratings"),
    "response": ("coverage", "coverage", "visits"),
}
"""Rows of one number: its column of the stages, that of its interval, and of how many it is."""

ITEMS = {
    "touchpoint": ("touchpoint", "journey_share", "journeys"),
    "channel": ("channel", "visit_share", "visits"),
    "pain": ("touchpoint", "lost_conversions", "visits"),
    "opportunity": ("touchpoint", "regained_conversions", "visits"),
}
"""Rows of several things per stage: their column, that of the number, and of how many it is."""


def map_rows(
    statistic: JourneyMap, frames: Mapping[str, pl.DataFrame], stage_channels: pl.DataFrame, context: Context
) -> pl.DataFrame:
    """Return the map: the labels, ``stage``, ``row``, ``item``, ``value``, ``low``, ``high``, ``n``, ``text``."""
    rows = _Rows(statistic, context.labels.columns)
    stages = frames["stages"]
    parts = [rows.words(stages), *(rows.number(stages, row) for row in NUMBERS)]
    shown = frames["touchpoints"].filter(pl.col("journeys").is_not_null())
    parts.append(rows.items(shown, "touchpoint", *ITEMS["touchpoint"], "main_channel"))
    known = stage_channels.filter(pl.col("channel").is_not_null())
    parts.append(rows.items(rows.first(known), "channel", *ITEMS["channel"], "side"))
    parts.append(rows.pains(frames["pain_points"], frames["pain_parts"]))
    won = rows.first(frames["opportunities"])
    parts.append(rows.items(won, "opportunity", *ITEMS["opportunity"], None))
    parts.append(rows.items(frames["quotes"], "quote", "touchpoint", "emotion", None, "quote"))
    return rows.ordered(pl.concat(parts), stages)


class _Rows:
    """Rows of one map."""

    def __init__(self, statistic: JourneyMap, labels: list[str]) -> None:
        self.statistic, self.labels = statistic, labels

    def words(self, stages: pl.DataFrame) -> pl.DataFrame:
        """Return what users want, where it is said."""
        words = self.statistic.words
        text = pl.col("stage").replace_strict(words, default=None, return_dtype=pl.String)
        said = stages.with_columns(text.alias("said")).filter(pl.col("said").is_not_null())
        return self._rows(said, "goal", None, None, None, None, "said")

    def number(self, stages: pl.DataFrame, row: str) -> pl.DataFrame:
        """Return one number per stage; one that is not known yet says so."""
        value, interval, n = NUMBERS[row]
        frame = stages.with_columns(pl.col(value).cast(pl.Float64))
        endless = pl.col(value).is_infinite()
        frame = frame.with_columns(pl.when(endless).then(pl.lit(STILL_THERE)).alias("text"))
        ends = [f"{interval}{end}" for end in ("_low", "_high")] if interval else []
        finite = [pl.when(pl.col(name).is_finite()).then(pl.col(name)) for name in [value, *ends]]
        return self._rows(frame.with_columns(finite), row, None, value, interval, n, "text")

    def items(
        self, frame: pl.DataFrame, row: str, item: str, value: str, n: str | None, text: str | None
    ) -> pl.DataFrame:
        """Return one row per thing of a stage."""
        interval = value if f"{value}_low" in frame.columns else None
        return self._rows(frame.filter(pl.col("stage").is_not_null()), row, item, value, interval, n, text)

    def first(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the first rows of every stage."""
        place = pl.int_range(pl.len()).over([*self.labels, "stage"])
        return frame.filter(place < self.statistic.top)

    def pains(self, pains: pl.DataFrame, parts: pl.DataFrame) -> pl.DataFrame:
        """Return the pains that lose conversions, with the part that loses most."""
        keys = [*self.labels, "touchpoint"]
        ranked = parts.drop_nulls("lost_conversions").sort(
            "lost_conversions", descending=True, maintain_order=True
        )
        main = ranked.group_by(keys, maintain_order=True).agg(pl.col("part").first())
        losing = self.first(pains.filter(pl.col("lost_conversions") > 0))
        named = losing.join(main, on=keys, how="left", nulls_equal=True, maintain_order="left")
        return self.items(named, "pain", *ITEMS["pain"], "part")

    def _rows(
        self, frame: pl.DataFrame, row: str, item: str | None, value: str | None, interval: str | None,
        n: str | None, text: str | None,
    ) -> pl.DataFrame:  # fmt: skip
        def column(name: str | None, dtype: Any, alias: str) -> pl.Expr:
            return (pl.lit(None, dtype) if name is None else pl.col(name).cast(dtype)).alias(alias)

        ends = (None, None) if interval is None else (f"{interval}_low", f"{interval}_high")
        return frame.select(
            *self.labels,
            "stage",
            pl.lit(row).alias("row"),
            column(item, pl.String, "item"),
            column(value, pl.Float64, "value"),
            column(ends[0], pl.Float64, "low"),
            column(ends[1], pl.Float64, "high"),
            column(n, pl.Int64, "n"),
            column(text, pl.String, "text"),
        )

    def ordered(self, rows: pl.DataFrame, stages: pl.DataFrame) -> pl.DataFrame:
        """Sort by segment, stage and row; items keep their order."""
        keys = [*self.labels, "stage"]
        place = stages.select(keys).with_row_index("place")
        row = pl.col("row").replace_strict(list(ROWS), list(range(len(ROWS))), return_dtype=pl.Int64)
        joined = rows.join(place, on=keys, how="left", nulls_equal=True, maintain_order="left")
        return joined.sort("place", row, maintain_order=True).drop("place")
