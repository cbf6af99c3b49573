"""The answer to TopPaths: which rows it shows, and their numbers. DEFINITIONS D8.5 to D8.7."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.protocol import CELL, Context, Tables, sum_rows
from journeykit.statistics.base import (
    UNITS_TABLE,
    Answer,
    Grouped,
    groups_of_rows,
    groups_per_cell,
    place_of,
    seconds,
    with_floats,
    with_rate,
)
from journeykit.statistics.distribution import Distribution
from journeykit.statistics.goals import state_names
from journeykit.statistics.paths.share import with_path_share
from journeykit.support.exchange import cut_bytes, cut_list
from journeykit.support.shares import percent
from journeykit.support.threads import on_all_cores

if TYPE_CHECKING:
    from journeykit.statistics.paths.top_paths import TopPaths

HASHED = 1 << 63
CUT_MARK = "..."
ROW = [CELL, "key", "codes", "cut"]


@dataclass(frozen=True, eq=False, repr=False)
class PathTable(Answer):
    """The most frequent paths.

    Attributes
    ----------
    frame : polars.DataFrame
        One row per path, the most frequent first, then by name: ``path`` (list of names), ``length``, ``count``
        (occurrences), ``paths`` and ``users`` with it, ``share`` of all paths that have it, with ``low`` and
        ``high``, ``cumulative_share`` (whole paths only), ``conversion_rate`` of the paths with it (with
        a goal), ``duration_mean`` in seconds from its first to its last event, and its percentiles if asked for.
    distinct : polars.DataFrame
        Per segment: ``variants`` (how many distinct paths there are), ``count`` of all of them, ``paths``,
        and ``shown_share`` of the count that is in the rows shown. D0.5.
    """

    distinct: pl.DataFrame

    shown: ClassVar[Sequence[str]] = (
        "path",
        "count",
        "users",
        "share",
        "low",
        "high",
        "cumulative_share",
        "conversion_rate",
        "duration_mean",
    )


def bits_per_code(names: int) -> int:
    """Return how many bits a key has for each code of a vocabulary of so many names."""
    return max(1, (names - 1).bit_length())


def table_places(rows: int) -> int:
    """Return how many places a hash table of so many rows has: a power of two, at least twice as many."""
    return 1 << max(4, (2 * rows).bit_length())


class Shown(NamedTuple):
    """What is shown of all that was counted.

    Attributes
    ----------
    rows : polars.DataFrame
        ``cell``, ``key``, ``codes``, ``cut``, ``path`` (codes) and sums, in the order shown.
    variants : polars.DataFrame
        ``cell``, ``variants``, ``count``: of all rows.
    """

    rows: pl.DataFrame
    variants: pl.DataFrame


def shown_paths(statistic: TopPaths, counted: pl.DataFrame, context: Context) -> Shown:
    """Find the rows to show.

    Only keys that can be among the first n are looked at closely: what a key counts is at least what each
    of its paths counts.
    """
    by_key = _by_key(counted)
    least = _nth_largest(by_key, statistic.n)
    while True:
        cells = by_key[CELL].to_numpy()
        limits = np.zeros(int(cells.max(initial=0)) + 1, np.int64)
        limits[least[CELL].to_numpy()] = least["limit"].to_numpy()
        reaching = by_key["count"].to_numpy() >= limits[cells]
        wanted = by_key.select(CELL, "key", "cut").filter(pl.Series(reaching))
        candidates = counted.filter(pl.col("key").is_in(wanted["key"].implode()))
        rows = sum_rows(candidates.join(wanted, on=[CELL, "key", "cut"], how="semi"), ROW)
        exact = _nth_largest(rows, statistic.n)
        if exact.equals(least):
            break
        least = exact
    return Shown(_first(statistic, rows, context), _variants(by_key, counted))


def _by_key(counted: pl.DataFrame) -> pl.DataFrame:
    """Add up the counts of every key, cell and cut, and count its rows: part by part, each in the cache."""
    from journeykit.kernels.paths.path_parts import PART_BITS, add_keys, part_keys

    size, bounds = counted.height, np.zeros((1 << PART_BITS) + 1, np.int64)
    given = (counted[CELL].cast(pl.Int32) * 2 + counted["cut"].cast(pl.Int32)).to_numpy()
    types = (np.uint64, np.int32, np.int64, np.int32)
    keys, cells, sums, merged = (np.empty(size, dtype) for dtype in types)
    part_keys(counted["key"].to_numpy(), given, counted["count"].to_numpy(), bounds, keys, cells, sums)
    most = table_places(int(np.diff(bounds).max()))

    def add(parts: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        places = np.empty(most, np.int32)
        return [
            (first, int(add_keys(first, last, keys, cells, sums, merged, places))) for first, last in parts
        ]

    parts, half = list(pairwise(bounds.tolist())), len(bounds) // 2
    spans = [span for spans in on_all_cores(add, [parts[:half], parts[half:]]) for span in spans]
    columns = {CELL: cells, "key": keys, "count": sums, "rows": merged}
    frame = pl.DataFrame({name: _moved_up(values, spans) for name, values in columns.items()})
    return frame.with_columns(pl.col(CELL) // 2, cut=pl.col(CELL) % 2 == 1)


def _moved_up(values: npt.NDArray[Any], spans: Sequence[tuple[int, int]]) -> npt.NDArray[Any]:
    """Put ascending spans of an array together in its own memory: there may be as many paths as it has room for."""
    at = 0
    for first, last in spans:
        values[at : at + last - first] = values[first:last]
        at += last - first
    return values[:at]


def _variants(by_key: pl.DataFrame, counted: pl.DataFrame) -> pl.DataFrame:
    """Count the distinct paths of each cell: one per packed key, and one per distinct codes of hashed keys."""
    several = by_key.filter(pl.col("key") >= HASHED, pl.col("rows") > 1).select(CELL, "key", "cut")
    collided = (
        counted.lazy()
        .filter(pl.col("key") >= HASHED)
        .join(several.lazy(), on=[CELL, "key", "cut"], how="semi")
        .select(ROW)
        .unique()
        .group_by(CELL)
        .agg(pl.len().cast(pl.Int64).alias("collided"))
        .collect()
    )
    cell, others = (
        by_key[CELL].to_numpy(),
        (by_key["key"].to_numpy() < HASHED) | (by_key["rows"].to_numpy() == 1),
    )
    found = {"variants": np.bincount(cell, others), "count": np.bincount(cell, by_key["count"].to_numpy())}
    sums = pl.DataFrame({CELL: np.arange(len(found["count"]), dtype=np.int32), **found})
    sums = sums.filter(pl.col("count") > 0).cast({"variants": pl.Int64, "count": pl.Int64})
    joined = sums.join(collided, on=CELL, how="left")
    return joined.select(CELL, pl.col("variants") + pl.col("collided").fill_null(0), "count")


def _nth_largest(frame: pl.DataFrame, n: int | None) -> pl.DataFrame:
    """Return the n-th largest count of each cell, the smallest if there are fewer."""
    count = pl.col("count") if n is None else pl.col("count").top_k(n)
    return frame.group_by(CELL).agg(count.min().alias("limit")).sort(CELL)


def _first(statistic: TopPaths, rows: pl.DataFrame, context: Context) -> pl.DataFrame:
    """Sort by count, then by the names of the path, and keep the first n of each cell. D0.4."""
    names = state_names(statistic.of, context).fill_null("")
    rows = rows.with_columns(path=unpacked(rows, bits_per_code(len(names))))
    rank = names.rank("ordinal").cast(pl.UInt32).to_numpy()
    rows = rows.sort(CELL, -pl.col("count"), _texts(rows["path"], rank), "cut", maintain_order=True)
    return rows if statistic.n is None else rows.group_by(CELL, maintain_order=True).head(statistic.n)


def _texts(paths: pl.Series, rank: npt.NDArray[np.uint32]) -> pl.Series:
    """Write the ranks of every path as bytes that sort like the path: four for each, the highest first."""
    ranks = rank[paths.explode(empty_as_null=False).to_numpy()].astype(">u4")
    offsets = np.concatenate([[0], paths.list.len().cast(pl.Int64).to_numpy().cumsum()]) * 4
    return cut_bytes(ranks.tobytes(), offsets).alias("text")


def unpacked(rows: pl.DataFrame, bits: int) -> pl.Series:
    """Return the codes of every path: from the bits of its key, or from its bytes."""
    keys = rows["key"].to_numpy()
    hashed = keys >= HASHED
    lengths = np.zeros(keys.size, np.int64)
    for i in range(1, 63 // bits + 1):
        lengths += keys >= np.uint64(1 << (bits * i))
    texts = rows["codes"].filter(pl.Series(hashed)).drop_nulls()
    lengths[hashed] = texts.bin.size().to_numpy() // 4
    offsets = np.concatenate([[0], lengths.cumsum()])
    path = np.repeat(np.arange(keys.size), lengths)
    shift = (offsets[1:][path] - 1 - np.arange(offsets[-1])) * bits
    shift[hashed[path]] = 0
    codes = (keys[path] >> shift.astype(np.uint64)) & np.uint64((1 << bits) - 1)
    codes[hashed[path]] = np.frombuffer(b"".join(texts.to_list()), np.uint32)
    return cut_list(pl.Series(codes.astype(np.uint32)), offsets).alias("path")


def path_table(statistic: TopPaths, shown: Shown, tables: Tables, context: Context) -> PathTable:
    """Turn the summed tables of TopPaths into its answer."""
    distinct = _distinct(shown, tables)
    frame = _with_share(statistic, shown.rows, tables, context)
    if statistic.quantiles:
        frame = _with_durations(statistic, frame, tables, context)
    names = state_names(statistic.of, context).fill_null("")
    path = frame["path"].list.eval(
        pl.element().replace_strict(_positions(names), names, return_dtype=pl.String)
    )
    marked = pl.when("cut").then(pl.concat_list(path, pl.lit(CUT_MARK))).otherwise(path)
    length = pl.col("path").list.len().cast(pl.Int64).alias("length")
    frame = frame.with_columns(length).with_columns(marked.alias("path"))
    frame = frame.select(
        CELL, "path", "length", pl.exclude(CELL, "path", "length", "key", "codes", "cut", "time_sum")
    )
    note = _note(statistic, distinct)
    from dataclasses import replace

    context = replace(context, notes=(*context.notes, *note))
    return PathTable(context.label(frame), statistic, context, context.label(distinct))


def _positions(names: pl.Series) -> pl.Series:
    return pl.int_range(len(names), dtype=pl.UInt32, eager=True)


def _with_share(statistic: TopPaths, shown: pl.DataFrame, tables: Tables, context: Context) -> pl.DataFrame:
    """Add the share of paths with each row, its interval, and the conversion rate of those paths."""
    parts = tables["paths"].filter(pl.col("key").is_in(shown["key"].implode()))
    parts = parts.join(shown.select(ROW), on=ROW, how="semi", nulls_equal=True)
    by_row, units = Grouped(parts, ("key", "codes", "cut")), Grouped(tables[UNITS_TABLE], ())
    once = statistic.unit == "user"
    frame = with_path_share(by_row, units, tables, context, once=once)
    if statistic.goal:
        frame = with_rate(
            frame,
            "conversion_rate",
            by_row.sums("converted"),
            by_row.sums("paths"),
            np.arange(frame.height),
            groups_per_cell(tables),
            frame["users"].to_numpy(),
            context,
            once=once,
        )
    frame = frame[place_of(shown, frame, ROW)].with_columns(shown["path"])
    if statistic.length is None:
        frame = frame.with_columns(
            cumulative_share=pl.col("count").cum_sum().over(CELL) / pl.col("paths_total")
        )
    return seconds(frame, {"duration_mean": pl.col("time_sum") / pl.col("count")}).drop("paths_total")


def _with_durations(
    statistic: TopPaths, frame: pl.DataFrame, tables: Tables, context: Context
) -> pl.DataFrame:
    """Add percentiles of the duration of each row, with Woodruff intervals. D12.5."""
    durations, present = tables["durations"], groups_per_cell(tables)
    counts = Distribution.of(frame.height, durations["row"].to_numpy(), durations, "duration")
    groups = groups_of_rows(frame[CELL], present)
    columns = counts.percentiles(statistic.quantiles, "duration", groups, context.level, frame["users"])
    return with_floats(frame, columns)


def _distinct(shown: Shown, tables: Tables) -> pl.DataFrame:
    """Count the distinct paths of each cell, and how much of all is shown. D0.5."""
    seen = sum_rows(shown.rows.select(CELL, "count"), [CELL]).rename({"count": "seen"})
    units = sum_rows(tables[UNITS_TABLE], [CELL]).select(
        CELL, "paths", pl.col("lost").alias("paths_without_anchor")
    )
    joined = units.join(shown.variants, on=CELL, how="left").join(seen, on=CELL, how="left")
    share = (pl.col("seen") / pl.col("count")).alias("shown_share")
    counts = pl.col("variants", "count").fill_null(0)
    return joined.with_columns(share, counts).drop("seen").sort(CELL)


def _note(statistic: TopPaths, distinct: pl.DataFrame) -> list[str]:
    what = f"windows of {statistic.length}" if statistic.length else "paths"
    total, variants = distinct["count"].sum(), distinct["variants"].sum()
    notes = []
    if total:
        part = float((distinct["shown_share"] * distinct["count"]).sum()) / float(total)
        notes.append(f"{percent(part)} of {total:,} {what} ({variants:,} distinct) are shown.")
    lost = distinct["paths_without_anchor"].sum()
    return [*notes, f"{lost:,} paths without the anchor are left out."] if lost else notes


__all__: list[Any] = ["PathTable", "bits_per_code", "path_table", "shown_paths"]
