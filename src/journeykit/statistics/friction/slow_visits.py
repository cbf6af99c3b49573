"""After which gap a visit is slow: an exact percentile of the gaps into each event, in two questions. D0.2, D15.4.

The first counts gaps in bins, the second lists those of the bin that the percentile is in. Both are small whatever
the log, and the percentile is as exact as one of all gaps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.journeys.journeys import Journeys
from journeykit.protocol import CELL, Cells, Context, Tables
from journeykit.statistics.base import Statistic
from journeykit.statistics.friction.flags import ShardVisits
from journeykit.statistics.goals import NEVER
from journeykit.statistics.waiting import distinct

Int64s = npt.NDArray[np.int64]
BINS_TABLE, GAPS_TABLE = "gap_bins", "gaps"
DENSE_COUNTS = 1 << 22
NO_BIN = -1


class Asker(Protocol):
    """A question that needs to know what is slow."""

    @property
    def quantile(self) -> float | None:
        """The share of gaps that are not slow; None if it does not ask."""

    def with_limits(self, limits: SlowLimits) -> Statistic[Any]:
        """Return what it asks next."""

    def answer(self, tables: Tables, context: Context) -> Any:
        """Turn all tallies into the answer."""


def binned_gaps(shard: Journeys) -> pl.DataFrame:
    """Count the gaps of one shard: ``cell`` (always 0), ``event``, ``bin``, ``count``."""
    from journeykit.kernels.outcomes import friction as kernels

    visits, size = ShardVisits.of(shard), len(shard.names)
    arrays = (visits.starts, visits.ends, visits.codes, visits.times)
    if size * kernels.BINS <= DENSE_COUNTS:
        counts = np.zeros((size, kernels.BINS), np.int64)
        kernels.count_gaps(*arrays, counts)
        events, bins = np.nonzero(counts)
        return _frame(events, "bin", bins, counts[events, bins])
    events, bins = np.empty(visits.n_events, np.int64), np.empty(visits.n_events, np.int64)
    n = kernels.list_bins(*arrays, events, bins)
    events, bins, found = distinct(events[:n], bins[:n])
    return _frame(events, "bin", bins, found)


def next_question(asker: Asker, tables: Tables, context: Context) -> Statistic[Any]:
    """Return the question that follows the bins: the gaps near the percentile, or at once what is asked in the end."""
    if asker.quantile is None:
        return asker.with_limits(SlowLimits.none(context))
    return _NearbyGaps(asker, GapRanks.of(tables[BINS_TABLE], asker.quantile, len(context.names)))


def slow_limits(asker: Asker, tables: Tables, context: Context) -> SlowLimits:
    """Return the limits from the tallies of both questions."""
    if asker.quantile is None:
        return SlowLimits.none(context)
    ranks = GapRanks.of(tables[BINS_TABLE], asker.quantile, len(context.names))
    return SlowLimits.of(ranks, tables[GAPS_TABLE], context)


@dataclass(frozen=True, eq=False)
class GapRanks:
    """Where the percentile of the gaps into each event lies.

    Attributes
    ----------
    counts : numpy.ndarray of int64, events
        How many gaps.
    bins : numpy.ndarray of int64, events x 2
        The bins of the two gaps that the percentile lies between; -1 without gaps.
    ranks : numpy.ndarray of int64, events x 2
        The places of these two among the gaps of their bins.
    share : numpy.ndarray of float64, events
        How far the percentile is from the one to the other.
    """

    counts: Int64s
    bins: Int64s
    ranks: Int64s
    share: npt.NDArray[np.float64]

    @classmethod
    def of(cls, table: pl.DataFrame, quantile: float, size: int) -> GapRanks:
        """Find the bins. D0.2."""
        rows = table.group_by("event", "bin").agg(pl.col("count").sum()).sort("event", "bin")
        events, bins, each = (rows[name].to_numpy() for name in ("event", "bin", "count"))
        counts = np.bincount(events, each, size).astype(np.int64)
        before = np.concatenate([[0], each.cumsum()])
        first = np.concatenate([[0], counts.cumsum()])[:-1]
        position = np.maximum(counts - 1, 0) * quantile
        below = np.floor(position).astype(np.int64)
        both = np.stack([below, np.minimum(below + 1, np.maximum(counts - 1, 0))], axis=1)
        row = np.searchsorted(before, first[:, None] + both, side="right") - 1
        row = np.minimum(row, max(rows.height - 1, 0))
        known = counts > 0
        found = np.where(known[:, None], bins[row], NO_BIN) if rows.height else np.full((size, 2), NO_BIN)
        lowest = before[row[:, 0]] if rows.height else first
        return cls(counts, found, first[:, None] + both - lowest[:, None], position - below)


@dataclass(frozen=True, eq=False)
class SlowLimits:
    """How long the gap into each event may be before the visit is slow.

    Attributes
    ----------
    micros : numpy.ndarray of int64
        One per event code: a longer gap is slow; never where there are no gaps, or slow visits are not asked for.
    frame : polars.DataFrame
        ``event``, ``gaps`` (how many), ``slow_after`` (seconds), of the events that have gaps.
    """

    micros: Int64s
    frame: pl.DataFrame

    @classmethod
    def none(cls, context: Context) -> SlowLimits:
        """Return limits that nothing is above."""
        return cls._of(np.zeros(len(context.names), np.int64), np.full(len(context.names), np.nan), context)

    @classmethod
    def of(cls, ranks: GapRanks, gaps: pl.DataFrame, context: Context) -> SlowLimits:
        """Take the percentile, type 7, over all users and segments."""
        rows = gaps.group_by("event", "gap").agg(pl.col("count").sum()).sort("event", "gap")
        events, values, each = (rows[name].to_numpy() for name in ("event", "gap", "count"))
        first = np.concatenate([[0], np.bincount(events, each, ranks.counts.size).cumsum()])[:-1]
        known = ranks.counts > 0
        places = np.searchsorted(each.cumsum(), first[:, None] + ranks.ranks, side="right")
        limits = np.full(known.size, np.nan)
        low, high = values[places[known]].astype(np.float64).T if known.any() else (np.empty(0),) * 2
        limits[known] = low + ranks.share[known] * (high - low)
        return cls._of(ranks.counts, limits, context)

    @classmethod
    def _of(cls, counts: Int64s, limits: npt.NDArray[np.float64], context: Context) -> SlowLimits:
        known = counts > 0
        micros = np.full(counts.size, NEVER, np.int64)
        micros[known] = np.floor(limits[known]).astype(np.int64)
        seconds = pl.Series("slow_after", limits / 1e6).fill_nan(None)
        names = context.names.cast(pl.String).rechunk()
        frame = pl.DataFrame({"event": names, "gaps": counts, "slow_after": seconds})
        return cls(micros, frame.filter(pl.col("gaps") > 0))


@dataclass(frozen=True, eq=False)
class _NearbyGaps(Statistic[Any]):
    """The second question: the gaps in the bins that the percentiles are in."""

    asker: Asker
    ranks: GapRanks

    tables: ClassVar[Mapping[str, Sequence[str]]] = {GAPS_TABLE: ("event", "gap")}
    by_group: ClassVar[bool] = False

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the gaps of one shard."""
        from journeykit.kernels.outcomes.friction import list_gaps

        visits = ShardVisits.of(shard)
        events, gaps = np.empty(visits.n_events, np.int64), np.empty(visits.n_events, np.int64)
        n = list_gaps(visits.starts, visits.ends, visits.codes, visits.times, self.ranks.bins, events, gaps)
        found, values, counts = distinct(events[:n], gaps[:n])
        return {GAPS_TABLE: _frame(found, "gap", values, counts)}

    def follow_up(self, tables: Tables, context: Context) -> Statistic[Any] | None:
        """Ask what was asked, now that it is known what is slow."""
        return self.asker.with_limits(SlowLimits.of(self.ranks, tables[GAPS_TABLE], context))

    def answer(self, tables: Tables, context: Context) -> Any:
        """Turn all tallies into the answer."""
        return self.asker.answer(tables, context)


def _frame(events: Int64s, name: str, values: Int64s, counts: Int64s) -> pl.DataFrame:
    columns = {"event": events.astype(np.int32), name: values, "count": counts}
    return pl.DataFrame({CELL: np.zeros(events.size, np.int32), **columns})
