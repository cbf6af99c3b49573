"""Sequential patterns: states in an order, with others between. DEFINITIONS D8.9."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import islice
from typing import ClassVar

import numpy as np
import polars as pl

from journeykit.errors import ParameterError
from journeykit.journeys.journeys import Journeys
from journeykit.mathematics.intervals import GROUPS
from journeykit.paths import Unit
from journeykit.patterns.matchers import Of
from journeykit.protocol import CELL, GROUP, Cells, Context, Tables, sum_rows
from journeykit.statistics.base import (
    UNITS_TABLE,
    Answer,
    Grouped,
    Statistic,
    place_of,
)
from journeykit.statistics.checks import check_states
from journeykit.statistics.goals import longest, state_names
from journeykit.statistics.paths.prefix_span import Int64s, Limits, Sequences, patterns
from journeykit.statistics.paths.share import with_path_share
from journeykit.statistics.paths.table import bits_per_code, unpacked
from journeykit.statistics.paths.top_paths import TopPaths
from journeykit.statistics.paths.walk import UNLIMITED, CleanWalk, check_shared, checked_count
from journeykit.support.durations import Duration
from journeykit.support.exchange import cut_bytes

PATH = ("key", "codes", "cut")


@dataclass(frozen=True, eq=False, repr=False)
class SequentialPatternTable(Answer):
    """The frequent patterns.

    Attributes
    ----------
    frame : polars.DataFrame
        One row per pattern: ``pattern`` (list of names), ``length``, ``paths`` that hold it (its support),
        ``paths_total``, ``share`` with ``low`` and ``high``. Sorted by paths, then by the names.
    """

    shown: ClassVar[Sequence[str]] = ("pattern", "paths", "share", "low", "high")


@dataclass(frozen=True)
class SequentialPatterns(Statistic[SequentialPatternTable]):
    """Find states that come in an order in many paths, whatever lies between. D8.9.

    Parameters
    ----------
    n : int or None
        How many patterns per segment, the most frequent; None for all.
    min_support : int or float
        In how many paths a pattern must be: a number, or a share of the paths between 0 and 1.
    min_length, max_length : int
        How many states a pattern has.
    max_gap : int, str or timedelta, optional
        How many events a state may come after the one before it, 1 is directly after; or how long, such as ``"10m"``.
    closed : bool
        Leave out patterns that a longer one, of any length, holds and that are in no more paths than that one.
    of : {"event", "stage"}
        What a path is made of. Events before the first stage are left out of a stage path.
    unit : {"session", "user"}
        What a path is.
    collapse_repeats : bool
        Whether a run of one state is one state.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take, or `closed` and `max_gap` are both asked for: with a limited gap, a
        part of a pattern can be rarer than the whole.

    Notes
    -----
    A path counts once, however often it holds the pattern. Distinct paths are counted in one pass, as `Variants` are;
    with a `max_gap` as time, distinct paths with how far each event reaches. They are searched in the answer by
    PrefixSpan, the most frequent patterns first, so that only patterns at least as frequent as the last one shown are
    ever grown; the cost is the events of the distinct paths for each of these. With neither `n` nor a high
    `min_support` there can be exponentially many.

    References
    ----------
    PrefixSpan: Pei et al. 2004, IEEE Transactions on Knowledge and Data Engineering 16(11). Closed patterns by
    BIDE: Wang & Han 2004, ICDE.

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({"user": [1] * 3 + [2] * 3, "time": [0, 1, 2] * 2, "event": list("axbayb")})
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> journeys.measure(SequentialPatterns(min_support=2, min_length=2)).frame.select("pattern", "paths").rows()
    [(['a', 'b'], 2)]
    """

    n: int | None = 20
    min_support: int | float = 1
    min_length: int = 1
    max_length: int | None = None
    max_gap: int | Duration | None = None
    closed: bool = False
    of: Of = "event"
    unit: Unit = "session"
    collapse_repeats: bool = False

    tables: ClassVar[Mapping[str, Sequence[str]]] = TopPaths.tables

    def __post_init__(self) -> None:
        check_shared(self)
        for parameter in ("n", "min_length", "max_length"):
            checked_count(parameter, getattr(self, parameter))
        if self._longest_gap is None:
            checked_count("max_gap", self.max_gap)
        support = self.min_support
        share = isinstance(support, float) and 0 < support <= 1
        if not share and (not isinstance(support, int) or isinstance(support, bool) or support < 1):
            raise ParameterError(
                f"min_support is a number of paths from 1 on, or a share between 0 and 1, not {support!r}."
            )
        if self.max_length is not None and self.max_length < self.min_length:
            raise ParameterError(f"max_length={self.max_length} is below min_length={self.min_length}.")
        if self.closed and self.max_gap is not None:
            raise ParameterError(
                "closed does not go with max_gap: a part of a pattern can then be rarer than the whole. "
                "Pass one of them."
            )

    @property
    def _longest_gap(self) -> int | None:
        """The gap in microseconds; None where it is counted in events, or there is none."""
        return longest(self.max_gap, "max_gap") if isinstance(self.max_gap, str | timedelta) else None

    @property
    def _paths(self) -> TopPaths:
        return TopPaths(None, of=self.of, unit=self.unit, collapse_repeats=self.collapse_repeats)

    def check(self, context: Context) -> None:
        """Refuse stages that were not assigned."""
        check_states(self.of, context)

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the distinct paths of one shard."""
        if self._longest_gap is None:
            return self._paths.tally(shard, cells)
        return _reaching(self, self._longest_gap, shard, cells)

    def answer(self, tables: Tables, context: Context) -> SequentialPatternTable:
        """Search the distinct paths for patterns."""
        names = state_names(self.of, context)
        units = Grouped(tables[UNITS_TABLE], ())
        searched = [
            _searched(self, part, int(paths), names, cell)
            for cell, paths in units.totals.select(CELL, "paths").iter_rows()
            if (part := tables["paths"].filter(pl.col(CELL) == cell)).height
        ]
        parts = [_nothing(), *searched]
        found, shown = (pl.concat(tables) for tables in zip(*parts, strict=True))
        by_pattern = Grouped(found, ("number",))
        frame = with_path_share(by_pattern, units, tables, context, once=self.unit == "user")
        frame = shown.join(frame, on=[CELL, "number"], how="left", maintain_order="left").drop("number")
        if self.n is not None and shown.group_by(CELL).len().filter(pl.col("len") == self.n).height:
            told = f"The {self.n:,} most frequent patterns are shown; there may be more."
            context = replace(context, notes=(*context.notes, told))
        return SequentialPatternTable(context.label(frame), self, context)


def _nothing() -> tuple[pl.DataFrame, pl.DataFrame]:
    keys = {CELL: pl.Int32, "number": pl.Int64}
    counted = pl.DataFrame(schema={CELL: pl.Int32, GROUP: pl.UInt8, "number": pl.Int64, "paths": pl.Int64})
    return counted, pl.DataFrame(schema={**keys, "pattern": pl.List(pl.String), "length": pl.Int64})


def _searched(
    statistic: SequentialPatterns, part: pl.DataFrame, paths: int, names: pl.Series, cell: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Search the paths of one cell; return the support of every pattern by group, and its names."""
    distinct = sum_rows(part.select(*PATH, "count"), PATH)
    row = place_of(part, distinct, PATH)
    log, order = _sequences(statistic, distinct, names)
    support = statistic.min_support
    least = support if isinstance(support, int) else int(np.ceil(support * paths - 1e-9))
    limits = Limits(max(1, least), statistic.max_length or UNLIMITED, statistic.closed)
    wanted = (one for one in patterns(log, limits) if len(one.pattern) >= statistic.min_length)
    groups, counts = part[GROUP].to_numpy(), part["count"].to_numpy()
    shown, counted = [], [np.empty((0, GROUPS), np.int64)]
    for found in islice(wanted, statistic.n):
        holds = np.zeros(distinct.height, np.bool_)
        holds[found.sequences] = True
        counted.append(np.bincount(groups[holds[row]], counts[holds[row]], GROUPS).astype(np.int64)[None])
        shown.append([order[state] for state in found.pattern])
    by_group = np.concatenate(counted)
    number, group = np.nonzero(by_group)
    columns = {"number": number, GROUP: group.astype(np.uint8), "paths": by_group[number, group]}
    supported = pl.DataFrame(columns).select(pl.lit(cell, pl.Int32).alias(CELL), GROUP, "number", "paths")
    pattern = pl.Series("pattern", shown, dtype=pl.List(pl.String))
    length = pattern.list.len().cast(pl.Int64).alias("length")
    numbered = pl.DataFrame([pl.Series("number", range(len(shown)), dtype=pl.Int64), pattern, length])
    return supported, numbered.select(pl.lit(cell, pl.Int32).alias(CELL), "number", "pattern", "length")


def _reaching(statistic: SequentialPatterns, gap: int, shard: Journeys, cells: Cells) -> Tables:
    """Count the distinct paths of one shard, each event with how many of the next ones are within the gap."""
    from journeykit.kernels.paths.prefixes import ends_within

    walk = CleanWalk(shard, cells, statistic.of, statistic.unit, collapse=statistic.collapse_repeats)
    paths, counted = walk.paths, walk.paths.ends > walk.paths.starts
    until = np.empty(walk.states.size, np.int64)
    ends_within(paths.starts, paths.ends, paths.times, gap, until)
    places = paths.places
    events = np.empty((places.size, 2), np.uint32)
    events[:, 0], events[:, 1] = walk.states[places], until[places] - places - 1
    offsets = np.concatenate([[0], paths.lengths.cumsum(dtype=np.int64)])
    texts = cut_bytes(events.tobytes(), offsets * events.itemsize * 2).alias("codes")
    frame = pl.DataFrame({CELL: walk.cells, "codes": texts}).filter(pl.Series(counted))
    tallied = frame.group_by(CELL, "codes").agg(pl.len().cast(pl.Int64).alias("count"))
    rows = tallied.select(
        CELL, pl.lit(0, pl.UInt64).alias("key"), "codes", pl.lit(False).alias("cut"), "count"
    )
    return {"paths": rows, UNITS_TABLE: walk.counted_units(counted)}


def _sequences(
    statistic: SequentialPatterns, distinct: pl.DataFrame, names: pl.Series
) -> tuple[Sequences, list[str]]:
    """Return distinct paths with their states numbered by name, and the names in that order."""
    reach: Int64s | None = None
    if statistic._longest_gap is not None:
        events = np.frombuffer(b"".join(distinct["codes"].to_list()), np.uint32).reshape(-1, 2)
        codes, reach = events[:, 0].astype(np.int64), events[:, 1].astype(np.int64)
        lengths = distinct["codes"].bin.size().cast(pl.Int64).to_numpy() // 8
    else:
        listed = unpacked(distinct, bits_per_code(len(names)))
        codes, lengths = (
            listed.explode().cast(pl.Int64).to_numpy(),
            listed.list.len().cast(pl.Int64).to_numpy(),
        )
        if isinstance(statistic.max_gap, int):
            reach = np.full(codes.size, statistic.max_gap)
    ends = lengths.cumsum()
    until = (
        reach if reach is None else np.minimum(np.arange(1, codes.size + 1) + reach, np.repeat(ends, lengths))
    )
    rank = names.rank("ordinal").fill_null(0).cast(pl.Int64).to_numpy()
    order = ["", *names.drop_nulls().sort().to_list()]
    weights = distinct["count"].to_numpy()
    return Sequences(rank[codes], ends - lengths, ends, weights, len(order), until), order
