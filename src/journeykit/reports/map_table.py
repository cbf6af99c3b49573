"""The journey map as a table: stages as columns; what people want, do, feel and suffer as rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import polars as pl
from markupsafe import Markup

from journeykit.charts.text import percent
from journeykit.journey_map.journey_map import JourneyMap
from journeykit.journey_map.measured import MeasuredMap
from journeykit.journey_map.withholding import (
    Told,
    channels_told,
    opportunities_told,
    pains_told,
    stages_told,
    touchpoints_told,
)
from journeykit.reports.drawings import curve
from journeykit.reports.notes import WORDS, MapNotes
from journeykit.reports.shown import ENDLESS, NOTHING, Shown, amount, score, time
from journeykit.reports.wording import Wording

PAINS_PER_STAGE = 3


@dataclass(frozen=True)
class Item:
    """A line of a cell: a name, if it is about one, and what is said of it."""

    name: str
    said: str


@dataclass(frozen=True)
class MapRow:
    """A row of the map.

    Attributes
    ----------
    name, title : str
        For the page and for people.
    cells : sequence of sequences of Item
        One cell per stage.
    curve : Markup, optional
        In place of cells: a drawing across all stages.
    """

    name: str
    title: str
    cells: Sequence[Sequence[Item]]
    curve: Markup | None = None


@dataclass(frozen=True)
class MapTable:
    """The table of a measured map.

    Attributes
    ----------
    measured : MeasuredMap
        What was measured.
    notes : MapNotes
        What a team wrote on it.
    k : int
        Fewest users that a number may be about.
    wording : Wording
        The language.
    """

    measured: MeasuredMap
    notes: MapNotes
    k: int
    wording: Wording

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages in order."""
        return tuple(self.measured.stages["stage"])

    @cached_property
    def numbers(self) -> Shown:
        """One row per stage, with small cells withheld."""
        return self._shown(stages_told(self.measured))

    @cached_property
    def touchpoints(self) -> Shown:
        """One row per stage and touchpoint of those shown."""
        return self._shown(touchpoints_told(self.measured))

    @cached_property
    def channels(self) -> Shown:
        """One row per stage and channel."""
        return self._shown(channels_told(self.measured))

    @cached_property
    def pains(self) -> Shown:
        """One row per touchpoint, the most costly first."""
        return self._shown(pains_told(self.measured))

    @cached_property
    def opportunities(self) -> Shown:
        """One row per touchpoint that could be better, the most promising first."""
        return self._shown(opportunities_told(self.measured))

    @property
    def withheld(self) -> int:
        """How many cells are withheld."""
        every = (self.numbers, self.touchpoints, self.channels, self.pains, self.opportunities)
        return sum(each.cells for each in every)

    @cached_property
    def worst(self) -> dict[str, Any] | None:
        """The touchpoint that costs the most conversions."""
        return self._first(self.pains, "lost_conversions")

    @cached_property
    def best(self) -> dict[str, Any] | None:
        """The touchpoint where most is to be won."""
        return self._first(self.opportunities, "regained_conversions")

    @cached_property
    def saddest(self) -> dict[str, Any] | None:
        """The stage of the lowest emotion."""
        known = [row for row in self.numbers.rows if self.numbers.known(row, "emotion")]
        if not known:
            return None
        row = self.numbers.frame.row(
            min(known, key=lambda each: self.numbers.value(each, "emotion")), named=True
        )
        low, high = row["emotion_low"], row["emotion_high"]
        return {"stage": row["stage"], "value": row["emotion"], "low": low, "high": high, "n": row["ratings"]}

    def rows(self) -> list[MapRow]:
        """Return the rows that have anything in them."""
        say = self.wording
        every = [
            self._words("goal"),
            self._numbers("users", lambda row: [self.numbers.text(row, "visited")]),
            self._numbers("reached", lambda row: [self.numbers.estimate(row, "reached_share")]),
            self._numbers("visits", lambda row: [self.numbers.text(row, "visits")]),
            self._numbers("time", self._times),
            MapRow(
                "touchpoints", say("row_touchpoints"), [list(self._touchpoints(name)) for name in self.stages]
            ),
            MapRow("channels", say("row_channels"), [list(self._channels(name)) for name in self.stages]),
            self._curve(),
            self._numbers("emotion", self._emotions),
            MapRow("quotes", say("row_quotes"), [list(self._quotes(name)) for name in self.stages]),
            self._numbers("conversion", lambda row: [self.numbers.estimate(row, "conversion_rate")]),
            self._numbers("left", lambda row: [self.numbers.estimate(row, "abandonment_rate")]),
            self._ranked("pain", self.pains, "lost_conversions"),
            self._ranked("opportunities", self.opportunities, "regained_conversions"),
            *(self._words(word) for word in WORDS[1:]),
        ]
        return [row for row in every if row.curve or any(self._told(cell) for cell in row.cells)]

    @staticmethod
    def _told(cell: Sequence[Item]) -> bool:
        return any(item.name or item.said not in ("", NOTHING) for item in cell)

    def _shown(self, told: Told) -> Shown:
        return Shown.of(told.frame, told.sensitive, self.k, self.wording)

    def _words(self, word: str) -> MapRow:
        """Return what the team wrote; of goals, else what the map was given."""
        given = {}
        if word == "goal":
            tidy = self.measured.frame.filter(pl.col("row") == "goal")
            given = dict(tidy.select("stage", "text").drop_nulls().iter_rows())
        cells = [
            [Item("", text)] if (text := getattr(self.notes.of(name), word) or given.get(name, "")) else []
            for name in self.stages
        ]
        return MapRow(word, self.wording(f"row_{word}"), cells)

    def _numbers(self, name: str, written: Callable[[int], Sequence[str]]) -> MapRow:
        cells = [[Item("", text) for text in written(row)] for row in self.numbers.rows]
        return MapRow(name, self.wording(f"row_{name}"), cells)

    def _times(self, row: int) -> list[str]:
        """Say how long visits last, and how much of it is spent in sessions."""
        median = self.numbers.text(row, "dwell_median", time)
        active = self.numbers.text(row, "active_dwell_mean", time)
        if median == NOTHING:
            return []
        said = self.wording("time_endless") if median == ENDLESS else self.wording("time_median", time=median)
        return [said] if active == NOTHING else [said, self.wording("time_active", time=active)]

    def _emotions(self, row: int) -> list[str]:
        if not self.numbers.known(row, "emotion"):
            return [self.numbers.text(row, "emotion")]
        said = self.wording(
            "emotion_of",
            ratings=self.numbers.text(row, "ratings"),
            coverage=self.numbers.text(row, "coverage", percent),
        )
        return [self.numbers.estimate(row, "emotion", score), said]

    def _touchpoints(self, stage: str) -> Iterator[Item]:
        shown = self.touchpoints
        for row in shown.rows:
            if shown.value(row, "stage") == stage:
                share = shown.text(row, "journey_share", percent)
                yield Item(shown.value(row, "touchpoint"), share)

    def _channels(self, stage: str) -> Iterator[Item]:
        """Return the channels of a stage, as many as the map shows."""
        shown, asked = self.channels, cast("JourneyMap", self.measured.statistic)
        frame = shown.frame.with_row_index("at").filter(
            pl.col("stage") == stage, pl.col("channel").is_not_null()
        )
        for row, channel in frame.select("at", "channel").head(asked.top).iter_rows():
            yield Item(channel, shown.text(row, "visit_share", percent))

    def _quotes(self, stage: str) -> Iterator[Item]:
        tidy = self.measured.frame.filter(pl.col("row") == "quote", pl.col("stage") == stage)
        for item, text in tidy.select("item", "text").iter_rows():
            yield Item(item, f"\u201c{text}\u201d")

    def _ranked(self, name: str, shown: Shown, column: str) -> MapRow:
        """Return the first few touchpoints of every stage that have more than nothing."""
        cells: dict[str, list[Item]] = {stage: [] for stage in self.stages}
        for row in shown.rows:
            cell = cells.get(shown.value(row, "stage"), [])
            if len(cell) < PAINS_PER_STAGE and shown.known(row, column) and shown.value(row, column) > 0:
                cell.append(Item(shown.value(row, "touchpoint"), shown.estimate(row, column, amount)))
        return MapRow(name, self.wording(f"row_{name}"), list(cells.values()))

    def _curve(self) -> MapRow:
        """Draw the emotion along the stages, from -1 to 1; the numbers stand in the row below."""
        shown, title = self.numbers, self.wording("row_curve")
        points = [
            (
                (row + 0.5) / shown.frame.height,
                *(shown.value(row, f"emotion{end}") for end in ("", "_low", "_high")),
            )
            for row in shown.rows
        ]
        if all(value is None for _, value, *_ in points):
            return MapRow("curve", title, [])
        told = ", ".join(
            f"{stage} {score(value)}" for stage, (_, value, *_) in zip(self.stages, points, strict=True)
        )
        label = self.wording("curve_shows", values=told)
        return MapRow("curve", title, [], curve(points, -1.0, 1.0, label, zero=0.0, kind="emotion"))

    @staticmethod
    def _first(shown: Shown, column: str) -> dict[str, Any] | None:
        known = [row for row in shown.rows if shown.known(row, column) and shown.value(row, column) > 0]
        if not known:
            return None
        row = shown.frame.row(max(known, key=lambda each: shown.value(each, column)), named=True)
        low, high = row[f"{column}_low"], row[f"{column}_high"]
        return {
            "item": row["touchpoint"],
            "stage": row["stage"],
            "value": row[column],
            "low": low,
            "high": high,
        }
