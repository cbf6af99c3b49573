"""What the frames of a map tell of how few users, and the map without it. DEFINITIONS D16.1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from journeykit.journey_map.rows import ITEMS, NUMBERS
from journeykit.privacy.suppression import Line, Sensitive, Suppressed, lines_of, suppress

if TYPE_CHECKING:
    from journeykit.journey_map.measured import MeasuredMap

PAIN_NUMBERS = (
    "exit_rate", "reference_exit_rate", "conversion_if_staying", "lost_conversions", "base", "friction",
    "regained_conversions",
)  # fmt: skip


@dataclass(frozen=True)
class Told:
    """A frame, and what its columns tell."""

    frame: pl.DataFrame
    sensitive: Sensitive


def lines_of_stages(rows: range) -> list[Line]:
    """Return what follows from what in the rows of the stages of one segment, in their order.

    Who got so far is who stopped here and who went on; and who went on is who got to the next.
    """
    lines: list[Line] = [[("reached", row), ("furthest", row), ("reached_next", row)] for row in rows]
    return lines + [[("reached_next", row), ("reached", row + 1)] for row in rows[:-1]]


def stages_told(drawn: MeasuredMap) -> Told:
    """Return one row per stage, with those who stopped there and those who went on."""
    flow = drawn.answers["stages"].frame.select("staged_units", "furthest", "reached_next")
    frame = drawn.stages.hstack(flow)
    own = ("reached", "converted", "abandoned", "units", "staged_units", "furthest", "reached_next")
    behind = {
        "visits": "users", "users": "users", "visited": "users", "ratings": "raters", "raters": "raters",
    }  # fmt: skip
    size = len(drawn.stage_names)
    lines = [
        line for first in range(0, frame.height, size) for line in lines_of_stages(range(first, first + size))
    ]
    rates = {
        "visited_share": ("visited", "staged_units"), "reached_share": ("reached", "staged_units"),
        "abandonment_rate": ("abandoned", "visited"), "conversion_rate": ("converted", "visited"),
        "coverage": ("ratings", "visits"),
    }  # fmt: skip
    values = {"dwell_median": "users", "active_dwell_mean": "users", "emotion": "raters"}
    return Told(
        frame, Sensitive(behind | dict(zip(own, own, strict=True)), rates=rates, values=values, lines=lines)
    )


def touchpoints_told(drawn: MeasuredMap) -> Told:
    """Return one row per stage and touchpoint of those that are shown by themselves."""
    labels = drawn.context.labels.columns
    every = drawn.stages.select(*labels, "units").unique(maintain_order=True)
    frame = drawn.touchpoints.filter(pl.col("journeys").is_not_null())
    frame = (
        frame.join(every, on=labels, how="left", nulls_equal=True, maintain_order="left")
        if labels
        else frame.join(every, how="cross")
    )
    behind = {"visits": "users", "users": "users", "journeys": "users", "units": "units"}
    return Told(frame, Sensitive(behind, rates={"journey_share": ("journeys", "units")}))


def channels_told(drawn: MeasuredMap) -> Told:
    """Return one row per stage and channel; behind it are no more users than visits, or than use the channel at all."""
    labels = drawn.context.labels.columns
    keys = [*labels, "channel"]
    used = drawn.channels.group_by(keys).agg(pl.col("users").min())
    frame = drawn.answers["touchpoints"].stage_channels.join(
        used, on=keys, how="left", nulls_equal=True, maintain_order="left"
    )
    frame = frame.with_columns(
        pl.min_horizontal("visits", "users").alias("least"),
        pl.col("visits").sum().over(*labels, "stage").alias("stage_visits"),
    )
    lines = lines_of("visits", frame, [*labels, "stage"])
    behind = {"visits": "least", "stage_visits": "stage_visits"}
    return Told(frame, Sensitive(behind, rates={"visit_share": ("visits", "stage_visits")}, lines=lines))


def pains_told(drawn: MeasuredMap) -> Told:
    """Return one row per touchpoint, the most costly first."""
    return _touchpoints_of_stages(drawn.pain_points, drawn.context.labels.columns)


def opportunities_told(drawn: MeasuredMap) -> Told:
    """Return one row per touchpoint, the most promising first: all, so that the same is withheld as of their pains."""
    frame = drawn.pain_points.sort(-pl.col("regained_conversions"), "touchpoint", nulls_last=True)
    return _touchpoints_of_stages(frame, drawn.context.labels.columns)


def _touchpoints_of_stages(frame: pl.DataFrame, labels: Sequence[str]) -> Told:
    """Say what pain points tell; the visits of a stage are known, and are those of its touchpoints together."""
    behind = {"visits": "users", "users": "users", "exits": "exits"}
    values = dict.fromkeys(PAIN_NUMBERS, "users")
    lines = lines_of("visits", frame, [*labels, "stage"])
    return Told(frame, Sensitive(behind, {"exit_rate": ("exits", "visits")}, values, lines=lines))


def without_few(drawn: MeasuredMap, k: int) -> pl.DataFrame:
    """Return the map as one table in which what is about fewer than `k` users is null.

    Parameters
    ----------
    drawn : MeasuredMap
        The map.
    k : int
        Fewest users that a number may be about.

    Returns
    -------
    polars.DataFrame
        The rows of ``drawn.frame``, and ``suppressed``: whether a number of the row is withheld. What goes with a
        number goes with it: its interval, and the largest part of a pain. The rating beside a quote is one user's.
    """
    labels = drawn.context.labels.columns
    keys = [*labels, "stage", "row", "item"]
    flags = pl.concat(_flags(drawn, k, labels)).group_by(keys).agg(pl.col("value_few", "n_few").any())
    rows = drawn.frame.join(flags, on=keys, how="left", nulls_equal=True, maintain_order="left")
    said = pl.col("row") == "quote"
    value = (
        pl.when(said)
        .then(pl.col("value").is_not_null())
        .otherwise(pl.col("value_few").fill_null(value=False))
    )
    few = {
        "value": value, "low": value, "high": value, "text": value & ~said,
        "n": pl.col("n_few").fill_null(value=False),
    }  # fmt: skip
    shown = [pl.when(~mask).then(pl.col(name)).alias(name) for name, mask in few.items()]
    return rows.with_columns(*shown, (few["value"] | few["n"]).alias("suppressed")).drop("value_few", "n_few")


def _flags(drawn: MeasuredMap, k: int, labels: Sequence[str]) -> Iterator[pl.DataFrame]:
    """Say of every row of the map whether its number, and of how many it is, are withheld."""
    items = {
        "touchpoint": touchpoints_told(drawn), "channel": channels_told(drawn), "pain": pains_told(drawn),
        "opportunity": opportunities_told(drawn),
    }  # fmt: skip
    stages = _suppressed(stages_told(drawn), k)
    asked: list[tuple[str, Suppressed, str | None, str, str]] = [
        (row, stages, None, value, n) for row, (value, _, n) in NUMBERS.items()
    ]
    asked += [(row, _suppressed(told, k), *ITEMS[row]) for row, told in items.items()]
    for row, found, item, value, n in asked:
        yield found.frame.select(
            *labels,
            "stage",
            pl.lit(row).alias("row"),
            (pl.lit(None, pl.String) if item is None else pl.col(item).cast(pl.String)).alias("item"),
            found.withheld[value].alias("value_few"),
            found.withheld[n].alias("n_few"),
        )


def _suppressed(told: Told, k: int) -> Suppressed:
    return suppress(told.frame, told.sensitive, k)
