"""Touchpoints and channels: how much happens at each stage, and through what every touchpoint is reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from journeykit.charts.canvas import Canvas, Panel
from journeykit.charts.chart import Chart
from journeykit.charts.general import question_of, source_of
from journeykit.charts.heatmaps import Grid, grid
from journeykit.charts.parts import Part, Segment, parts_of
from journeykit.charts.series import Series, bars, hovers
from journeykit.charts.text import label, plain
from journeykit.errors import ParameterError
from journeykit.statistics.touchpoints.answer import OFFLINE, TouchpointsAnswer

MOST_PANELS, MOST_CHANNELS, CHANNEL = 3, 7, 12
OTHER, UNKNOWN, HEAD = "<OTHER>", "(unknown)", "stage: "
HATCH = {"shape": "/", "size": 6, "solidity": 0.35, "fillmode": "overlay"}


def touchpoints(
    answer: TouchpointsAnswer, canvas: Canvas, *, top: int = 20, channels: int = MOST_CHANNELS,
    segment: Segment | None = None,
) -> Chart:  # fmt: skip
    """Draw the visits of every stage by channel, and of every touchpoint the share that came through each channel.

    Parameters
    ----------
    answer : TouchpointsAnswer
        What is drawn.
    canvas : Canvas
        Where.
    top : int
        How many touchpoints to show, those of most journeys, stage by stage.
    channels : int
        How many channels to show, those with most visits; the others are added up.
    segment : mapping, optional
        Which segments or periods to show; the first three by default.
    """
    if top < 1 or channels < 1:
        raise ParameterError(f"top and channels must be at least 1, not {top!r} and {channels!r}.")
    drawn = _Drawn(answer, canvas, top, channels)
    parts, panels = parts_of(answer, segment, MOST_PANELS), []
    for part in parts.shown:
        panels += drawn.panels(part)
    title = "Touchpoints by channel: visits" if drawn.channels else "Touchpoints: visits"
    notes = [question_of(answer), source_of(answer.context), *drawn.notes(), parts.note]
    if not panels:
        return canvas.empty(title, notes, "There are no visits.")
    return canvas.chart(
        title, notes, panels, legend=bool(drawn.channels) and bool(drawn.staged), barmode="stack", bottom=90
    )


class _Drawn:
    """The panels of every segment, with the same channels in the same colours."""

    def __init__(self, answer: TouchpointsAnswer, canvas: Canvas, top: int, channels: int) -> None:
        self.answer, self.canvas, self.top = answer, canvas, top
        self.labels = answer.context.labels.columns
        self.staged = list(answer.context.stages)
        ranked = answer.channels.group_by("channel", "side", maintain_order=True).agg(pl.col("visits").sum())
        ranked = ranked.sort(["visits", "channel"], descending=[True, False])
        self.known = ranked.filter(pl.col("channel").is_not_null())
        shown = self.known.head(channels)
        self.channels = shown["channel"].to_list() if self.known.height else []
        self.sides = dict(shown.select("channel", "side").iter_rows())
        self.left = 0

    def notes(self) -> list[str]:
        """Say what the shares are of, and what is left out."""
        more = self.known.height - len(self.channels)
        return [
            "Hatched and marked: offline channels." if OFFLINE in self.sides.values() else "",
            "Of each touchpoint, beside its name, the visits; in its cells their share by channel."
            if self.channels
            else "",
            f"{more:,} channels with fewer visits are added up as {OTHER}." if more > 0 else "",
            f"The {self.top:,} touchpoints of most journeys; {self.left:,} others are left out."
            if self.left > 0
            else "",
        ]

    def panels(self, part: Part) -> list[Panel]:
        """Return the panels of a segment."""
        frame = part.of(self.answer.frame)
        if frame.is_empty():
            return []
        self.left = max(self.left, frame.height - self.top)
        place = {stage: i for i, stage in enumerate(self.staged)}
        order = pl.col("stage").replace_strict(place, default=len(place), return_dtype=pl.Int64)
        shown = frame.head(self.top).sort(order, -pl.col("visits"), maintain_order=True)
        found = [self._stages(part)] if self.staged else []
        return [*found, self._grid(part, shown) if self.channels else self._bars(part, shown)]

    def _channel(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Put channels that are not shown together, by key and channel; what is not known stays apart."""
        named = pl.when(pl.col("channel").is_null()).then(pl.lit(UNKNOWN))
        kept = named.when(pl.col("channel").is_in(self.channels)).then("channel").otherwise(pl.lit(OTHER))
        return frame.with_columns(kept.alias("channel"))

    @property
    def _columns(self) -> list[str]:
        return [*self.channels, OTHER, UNKNOWN]

    def _called(self, channel: str) -> str:
        return f"{plain(channel)} (offline)" if self.sides.get(channel) == OFFLINE else plain(channel)

    def _stages(self, part: Part) -> Panel:
        """Draw a bar per stage, divided by channel."""
        frame = part.of(self.answer.stage_channels if self.channels else self.answer.stages)
        frame = frame.filter(pl.col("stage").is_not_null())
        one = pl.lit("visits").alias("channel")
        frame = self._channel(frame) if self.channels else frame.with_columns(one)
        summed = frame.group_by("stage", "channel", maintain_order=True).agg(pl.col("visits").sum())
        summed = summed.with_columns((pl.col("visits") / pl.col("visits").sum().over("stage")).alias("share"))
        series = []
        for name in self._columns if self.channels else ["visits"]:
            own = summed.filter(pl.col("channel") == name)
            if own.height:
                told = hovers(own, [f"{plain(stage)}, {self._called(name)}" for stage in own["stage"]])
                at = [self.staged.index(stage) for stage in own["stage"]]
                series.append(Series(self._called(name), at, own["visits"].to_list(), hover=told))
        panel = bars(self.canvas, self.staged, series, "count", "visits", stacked=True)
        hatched = [self._called(name) for name, side in self.sides.items() if side == OFFLINE]
        marked = [label(name) for name in hatched]
        traces = [
            {**trace, "marker": {**trace["marker"], "pattern": HATCH}} if trace["name"] in marked else trace
            for trace in panel.traces
        ]
        title = " · ".join(filter(None, (part.name, "Visits by stage")))
        return replace(panel, traces=traces, title=title)

    def _rows(self, shown: pl.DataFrame) -> tuple[list[str | None], list[str]]:
        """Return the touchpoints in rows, None above those of each stage, and what the rows are called."""
        rows: list[str | None] = []
        called: list[str] = []
        before: object = self
        for name, stage, visits in shown.select("touchpoint", "stage", "visits").iter_rows():
            if self.staged and stage != before:
                rows.append(None)
                called.append(f"{HEAD}{plain(stage) if stage is not None else 'no stage'}")
            rows.append(name)
            called.append(f"{plain(name)} ({visits:,})")
            before = stage
        return rows, called

    def _grid(self, part: Part, shown: pl.DataFrame) -> Panel:
        """Colour the share of a touchpoint's visits that came through each channel."""
        rows, called = self._rows(shown)
        own = self._channel(part.of(self.answer.by_channel).filter(pl.col("touchpoint").is_in(rows)))
        own = own.group_by("touchpoint", "channel", maintain_order=True).agg(pl.col("visits").sum())
        own = own.with_columns((pl.col("visits") / pl.col("visits").sum().over("touchpoint")).alias("share"))
        columns = [name for name in self._columns if name in set(own["channel"])]
        names = [f"{plain(a)}, {self._called(b)}" for a, b in own.select("touchpoint", "channel").iter_rows()]
        cells = {
            (rows.index(name), columns.index(channel)): (share, told)
            for (name, channel, share), told in zip(
                own.select("touchpoint", "channel", "share").iter_rows(), hovers(own, names), strict=True
            )
        }
        table = Grid(called, [self._called(each) for each in columns], cells)
        panel = grid(self.canvas, table, "", "channel", "", 1.0, False)
        ticks = [
            f"{label(name, CHANNEL)}<br>(offline)"
            if self.sides.get(name) == OFFLINE
            else label(name, CHANNEL)
            for name in columns
        ]
        panel = replace(panel, xaxis={**panel.xaxis, "ticktext": ticks})
        return self._panel(panel, rows, called, part, "Share of visits by channel")

    def _bars(self, part: Part, shown: pl.DataFrame) -> Panel:
        """Draw the visits of every touchpoint, where there are no channels."""
        rows, called = self._rows(shown)
        at = [i for i, name in enumerate(rows) if name is not None]
        told = hovers(shown, shown["touchpoint"].to_list(), self.labels)
        series = Series("visits", at, shown["visits"].to_list(), hover=told)
        panel = bars(self.canvas, called, [series], "count", "visits", stacked=True)
        return self._panel(panel, rows, called, part, "Visits by touchpoint")

    @staticmethod
    def _panel(
        panel: Panel, rows: Sequence[str | None], called: Sequence[str], part: Part, title: str
    ) -> Panel:
        """Write the stages above their touchpoints."""
        ticks = [
            f"<b>{label(name.removeprefix(HEAD))}</b>" if row is None else tick
            for row, name, tick in zip(rows, called, panel.yaxis["ticktext"], strict=True)
        ]
        headed = " · ".join(filter(None, (part.name, title)))
        return replace(panel, title=headed, yaxis={**panel.yaxis, "ticktext": ticks})
