"""Retention tables as frames: rates with intervals, and averages over complete cells. DEFINITIONS D9.5, D9.6, D12.3."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.mathematics.intervals import GROUPS, GroupSums, Ints, Scale, jackknife, ratio_bounds
from journeykit.protocol import CELL, GROUP, Context, Tables
from journeykit.statistics.base import UNITS_TABLE, Answer, place_of, with_floats, with_share

if TYPE_CHECKING:
    from journeykit.statistics.retention.layout import Layout
    from journeykit.statistics.retention.retention import Retention

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

MOST_AT_ONCE = 1 << 18
"""Numbers of the tables without one group each that are worked on together."""


@dataclass(frozen=True, eq=False, repr=False)
class RetentionAnswer(Answer):
    """Who came back; the frame is described in `Retention`.

    Attributes
    ----------
    average : polars.DataFrame
        One row per column of the table: ``offset``; ``cohorts``, how many have users and a complete cell there;
        ``size`` and ``returned``, summed over these; ``rate`` (weighted: returned / size, or by ``previous``) and
        ``simple``, the mean of the cohorts' rates, each with its jackknife interval (D12.3). Null without cohorts.
    appearances : polars.DataFrame
        If it was asked for: one row per member, cohort and column that the member counts in, sorted.
    """

    average: pl.DataFrame
    appearances: pl.DataFrame

    shown: ClassVar[tuple[str, ...]] = (
        "cohort",
        "offset",
        "size",
        "returned",
        "rate",
        "low",
        "high",
        "complete",
    )

    def matrix(self, values: str = "rate") -> pl.DataFrame:
        """Return one column of the frame as the table that is usually drawn: a row per cohort, a column per offset.

        Parameters
        ----------
        values : str
            Such as ``"rate"``, ``"returned"``, ``"complete"``.

        Returns
        -------
        polars.DataFrame
            The segments, ``cohort``, ``size`` at offset 0, then ``"0"``, ``"1"`` and so on; null where a cell does not
            exist.
        """
        keys = [*self.context.labels.columns, "cohort"]
        size = self.frame.filter(pl.col("offset") == 0).select(*keys, "size")
        offsets = self.frame["offset"].unique().sort().to_list()
        cells = [
            pl.col("cells").filter(pl.col("offset") == offset).first().alias(str(offset))
            for offset in offsets
        ]
        table = self.frame.select(*keys, "offset", pl.col(values).alias("cells"))
        wide = table.group_by(keys, maintain_order=True).agg(cells)
        return size.join(wide, on=keys, how="right", nulls_equal=True, maintain_order="right").select(
            *keys, "size", *map(str, offsets)
        )


def retention_answer(
    statistic: Retention, layout: Layout, tables: Tables, context: Context
) -> RetentionAnswer:
    """Turn counts into frames."""
    table = _Table(statistic, layout, tables, context)
    pooled = table.averages(by_value=True) if statistic.cohort_by is not None else None
    frame = table.cells() if pooled is None else _of_values(pooled, statistic, context)
    average = table.averages(by_value=False)
    order = [*context.labels.columns, "user", "cohort", "offset"]
    listed = pl.DataFrame()
    if statistic.appearances:
        listed = tables["appearances"].select(CELL, "user", "cohort", "offset")
        listed = table.named(listed)
        listed = listed.sort(CELL, "user", "cohort", "offset")
        listed = context.label(listed).select(order)
    counted = {name: frame.schema[name] for name in ("size", "returned")}
    notes = _notes(statistic, frame)
    return RetentionAnswer(
        context.label(frame.cast(counted)),  # type: ignore[arg-type]
        statistic,
        replace(context, notes=(*context.notes, *notes)),
        context.label(average),
        listed,
    )


class _Table:
    """The counts of all cells of the table, dense: things (a cell, or a value in a cell), cohorts, columns."""

    def __init__(self, statistic: Retention, layout: Layout, tables: Tables, context: Context) -> None:
        self.statistic, self.layout, self.context = statistic, layout, context
        self.rows = tables["table"]
        self.keys = [CELL, *(["value"] if statistic.cohort_by is not None else [])]
        self.things = self.rows.select(self.keys).unique()
        if context.labels.width == 0 and self.things.height == 0 and len(self.keys) == 1:
            self.things = pl.DataFrame({CELL: pl.Series([0], dtype=pl.Int32)})
        self.things = self.things.sort(self.keys, nulls_last=True)
        self.shape = (self.things.height, *layout.shape)
        self.thing = place_of(self.rows, self.things, self.keys)
        self.place = (
            np.ravel_multi_index(
                (self.thing, self.rows["cohort"].to_numpy(), self.rows["offset"].to_numpy()), self.shape
            )
            if self.rows.height
            else np.empty(0, np.int64)
        )
        self.group, self.count = self.rows[GROUP].to_numpy(), self.rows["users"].to_numpy()
        self.returned = np.bincount(self.place, self.count, int(np.prod(self.shape))).astype(np.float64)
        self.returned = self.returned.reshape(self.shape)
        earliest, latest = self._anchors(tables)
        self.exist = np.broadcast_to(layout.exist(earliest), self.shape)
        self.complete = np.broadcast_to(layout.complete(latest), self.shape) & self.exist
        units = tables[UNITS_TABLE].group_by(CELL).agg(pl.col("users").sum())
        self.members = {int(cell): int(users) for cell, users in units.iter_rows()}

    def _dense(self, first: int, groups: int) -> Floats:
        """Return the counts of some groups from `first` on: groups x the shape of the table."""
        size, own = int(np.prod(self.shape)), (self.group >= first) & (self.group < first + groups)
        place = (self.group[own].astype(np.int64) - first) * size + self.place[own]
        found = np.bincount(place, self.count[own], groups * size)
        return found.astype(np.float64).reshape(groups, *self.shape)

    def _anchors(self, tables: Tables) -> tuple[Int64s | None, Int64s | None]:
        """Return the first and the last anchor of every cohort; those without users start with their period."""
        if "anchors" not in tables:
            return None, None
        edges, cohorts = self.layout.periods.edges, self.layout.cohorts
        earliest, latest = (np.tile(edges[:cohorts], (self.shape[0], 1)) for _ in range(2))
        anchors = (
            tables["anchors"]
            .group_by(*self.keys, "cohort")
            .agg(pl.col("anchor_min").min(), pl.col("anchor_max").max())
        )
        place = (place_of(anchors, self.things, self.keys), anchors["cohort"].to_numpy())
        earliest[place], latest[place] = anchors["anchor_min"].to_numpy(), anchors["anchor_max"].to_numpy()
        return earliest, latest

    def denominators(self, returned: Floats) -> Floats:
        """Return what every cell is divided by. D9.6."""
        if self.statistic.vs == "first":
            return np.broadcast_to(returned[..., :1], returned.shape)
        return np.concatenate([returned[..., :1], returned[..., :-1]], axis=-1)

    def named(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Replace the numbers of cohorts by the starts of their periods."""
        starts = self.layout.periods.starts
        return frame.with_columns(starts.gather(frame["cohort"].cast(pl.UInt32)).alias("cohort"))

    def cells(self) -> pl.DataFrame:
        """Return one row per cell that exists."""
        thing, cohort, column = np.nonzero(self.exist)
        under = self.denominators(self.returned)[thing, cohort, column]
        frame = pl.DataFrame(
            {
                CELL: self.things[CELL].gather(pl.Series(thing)),
                "cohort": pl.Series(cohort, dtype=pl.Int64),
                "offset": pl.Series(column, dtype=pl.Int64),
                "size": self.returned[thing, cohort, 0].astype(np.int64),
                "returned": self.returned[thing, cohort, column].astype(np.int64),
                "previous": under.astype(np.int64),
                "complete": self.complete[thing, cohort, column],
            }
        )
        frame = self._with_rates(self.named(frame), np.ravel_multi_index((thing, cohort, column), self.shape))
        grows = pl.lit(True) if self.statistic.rule == "on_or_after" else ~pl.col("complete")
        previous = [] if self.statistic.vs == "first" else ["previous"]
        return frame.with_columns(grows.alias("may_grow"), (1 - pl.col("rate")).alias("churn")).select(
            CELL, "cohort", "offset", "size", "returned", *previous, "rate", "low", "high", "churn", "complete",
            "may_grow",
        )  # fmt: skip

    def _with_rates(self, frame: pl.DataFrame, places: Int64s) -> pl.DataFrame:
        if self.statistic.vs == "first":
            shares = with_share(frame, "rate", "returned", "previous", self.context)
            return shares.rename({"rate_low": "low", "rate_high": "high"})
        groups = self._groups()
        present = np.array([groups[cell] for cell in frame[CELL]], np.int64)
        sums = GroupSums.of(int(np.prod(self.shape)), self.place, self.group, self.count)
        before = np.where(places % self.shape[2] == 0, places, places - 1)
        own = GroupSums(sums.total[places], *_entries(sums, places))
        with np.errstate(divide="ignore", invalid="ignore"):
            rate = np.where(sums.total[before] > 0, own.total / sums.total[before], np.nan)
        users = frame["previous"].to_numpy()
        ends = ratio_bounds(own, sums, before, present, users, scale="log", level=self.context.level)
        return with_floats(frame, {"rate": rate, "low": ends.low, "high": ends.high})

    def _groups(self) -> dict[int, int]:
        """Return how many jackknife groups have members, by cell."""
        counts = self.rows.group_by(CELL).agg(pl.col(GROUP).n_unique())
        return dict.fromkeys(self.things[CELL].to_list(), 0) | {
            int(cell): int(count) for cell, count in counts.iter_rows()
        }

    def averages(self, by_value: bool) -> pl.DataFrame:
        """Average every column over its complete cells of cohorts with users, by cell, or by value in it. D9.6."""
        things = self.things if by_value else self.things.select(CELL).unique().sort(CELL)
        every = np.arange(self.shape[0])
        pool = _Pool(every if by_value else place_of(self.things, things, [CELL]), things.height)
        under = self.denominators(self.returned)
        counted = self.complete & (self.returned[..., :1] > 0)
        sizes = pool.sum(np.broadcast_to(self.returned[..., :1], self.shape), counted)
        top, bottom = pool.sum(self.returned, counted), pool.sum(under, counted)
        n, k = sizes.shape
        counts = {
            "offset": np.tile(np.arange(k), n),
            "cohorts": pool.sum(np.ones(self.shape), counted).astype(np.int64).ravel(),
            "size": sizes.astype(np.int64).ravel(),
            "returned": top.astype(np.int64).ravel(),
        }
        if self.statistic.vs == "previous":
            counts["previous"] = bottom.astype(np.int64).ravel()
        frame = things[np.repeat(np.arange(n), k)]
        frame = frame.with_columns(pl.Series(name, values) for name, values in counts.items())
        return self._with_averages(frame, pool, counted, bottom)

    def _with_averages(
        self, frame: pl.DataFrame, pool: _Pool, counted: Bools, bottom: Floats
    ) -> pl.DataFrame:
        """Add both averages with their jackknife intervals. D12.3."""
        estimates = self._both(pool, self.returned, counted)
        at_once = min(GROUPS, max(1, MOST_AT_ONCE // max(1, self.returned.size)))
        blocks = [
            self._both(pool, self.returned - self._dense(first, min(at_once, GROUPS - first)), counted)
            for first in range(0, GROUPS, at_once)
        ]
        replicates = [
            np.ascontiguousarray(np.moveaxis(np.concatenate(each), 0, -1))
            for each in zip(*blocks, strict=True)
        ]
        present, cells = self._groups(), frame[CELL].to_list()
        groups = np.array([present[cell] for cell in cells], np.int64)
        members = np.array([self.members.get(cell, 0) for cell in cells], np.float64)
        users = np.minimum(bottom.ravel(), members)
        scale: Scale = "logit" if self.statistic.vs == "first" else "log"
        for name, stem, value, parts in zip(
            ("rate", "simple"), ("", "simple_"), estimates, replicates, strict=True
        ):
            ends = jackknife(
                value.ravel(), parts.reshape(-1, GROUPS), groups, users, scale=scale, level=self.context.level
            )
            frame = with_floats(
                frame, {name: value.ravel(), f"{stem}low": ends.low, f"{stem}high": ends.high}
            )
        return frame

    def _both(self, pool: _Pool, returned: Floats, counted: Bools) -> tuple[Floats, Floats]:
        """Return the weighted and the simple average of every column."""
        under = self.denominators(returned)
        usable = counted & (under > 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            weighted = pool.sum(returned, counted) / pool.sum(under, counted)
            rates = np.where(usable, returned / under, 0.0)
            simple = pool.sum(rates, usable) / pool.sum(np.ones(returned.shape), usable)
        return weighted, simple


class _Pool(NamedTuple):
    """Sums over the cohorts of all things that belong together."""

    number: Int64s
    size: int

    def sum(self, values: Floats, counted: Bools) -> Floats:
        """Add the counted cells, by pool and column; before things there may be groups."""
        own = np.where(counted, values, 0.0).sum(axis=-2)
        total = np.zeros((*own.shape[:-2], self.size, own.shape[-1]))
        np.add.at(np.moveaxis(total, -2, 0), self.number, np.moveaxis(own, -2, 0))
        return total


def _entries(sums: GroupSums, places: Int64s) -> tuple[Ints, Ints, Floats]:
    """Return the parts of some rows, numbered by their places."""
    number = np.full(sums.total.size, -1)
    number[places] = np.arange(places.size)
    row = number[sums.row]
    kept = row >= 0
    return row[kept], np.asarray(sums.group)[kept], sums.value[kept]


def _of_values(pooled: pl.DataFrame, statistic: Retention, context: Context) -> pl.DataFrame:
    """Make the cells of property cohorts: all periods together, over the users whose period is complete."""
    frame = pooled.rename({"value": "cohort"}).drop("simple", "simple_low", "simple_high", "cohorts")
    if statistic.cohort != "recurring" and statistic.vs == "first":
        shares = with_share(frame.drop("rate", "low", "high"), "rate", "returned", "size", context)
        frame = shares.rename({"rate_low": "low", "rate_high": "high"})
    complete = pl.col("size") > 0
    grows = pl.lit(True) if statistic.rule == "on_or_after" else ~complete
    previous = [] if statistic.vs == "first" else ["previous"]
    return frame.with_columns(
        complete.alias("complete"), grows.alias("may_grow"), (1 - pl.col("rate")).alias("churn")
    ).select(
        CELL,
        "cohort",
        "offset",
        "size",
        "returned",
        *previous,
        "rate",
        "low",
        "high",
        "churn",
        "complete",
        "may_grow",
    )


def _notes(statistic: Retention, frame: pl.DataFrame) -> list[str]:
    """Say which cells can still change, and when weeks start."""
    notes = []
    unfinished = frame.filter(~pl.col("complete")).height
    if unfinished and statistic.cohort_by is None:
        notes.append(
            f"{unfinished:,} of {frame.height:,} cells are not complete: their counts are lower bounds, and averages "
            f"leave them out."
        )
    if statistic.rule == "on_or_after":
        notes.append("Every cell may still grow: a later return counts in all cells before it.")
    return notes
