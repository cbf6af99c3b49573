"""N-grams: states in a row, how often, and how much more often than single moves let expect. DEFINITIONS D8.7."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import polars as pl

from journeykit.errors import ParameterError
from journeykit.journeys.journeys import Journeys
from journeykit.paths import Unit
from journeykit.patterns.matchers import Of
from journeykit.protocol import CELL, Cells, Context, Tables, sum_rows
from journeykit.statistics.base import UNITS_TABLE, Answer, Statistic
from journeykit.statistics.checks import check_states
from journeykit.statistics.goals import state_names
from journeykit.statistics.paths.table import Shown, bits_per_code, path_table, shown_paths
from journeykit.statistics.paths.top_paths import TopPaths
from journeykit.statistics.paths.walk import check_shared, checked_count


@dataclass(frozen=True, eq=False, repr=False)
class NGramTable(Answer):
    """The most frequent n-grams.

    Attributes
    ----------
    frame : polars.DataFrame
        One row per n-gram: ``path`` (list of names), ``length``, ``count`` (occurrences, which may overlap), ``paths``
        and ``users`` with it, ``share`` of all paths with ``low`` and ``high``, ``expected`` count if the next state
        depended on the last one only, ``lift`` (count / expected), ``type`` (``"loop"``: one state again and again;
        ``"cycle"``: back to the first; ``"other"``), ``duration_mean`` in seconds from first to last. Sorted by count,
        then by the names.
    distinct : polars.DataFrame
        Per segment and ``length``: ``variants`` (how many distinct n-grams there are), ``count`` of all of them,
        ``paths`` of the segment, and ``shown_share`` of the count that is in the rows shown. D0.5.
    """

    distinct: pl.DataFrame

    shown: ClassVar[Sequence[str]] = (
        "path",
        "count",
        "users",
        "share",
        "low",
        "high",
        "expected",
        "lift",
        "type",
    )


@dataclass(frozen=True)
class NGrams(Statistic[NGramTable]):
    """Find states that follow each other directly, and more often than chance. D8.7.

    Parameters
    ----------
    sizes : int or (int, int)
        How many states in a row: one number, or the smallest and the largest.
    n : int or None
        How many rows per size and segment; None for all.
    of : {"event", "stage"}
        What a path is made of. Events before the first stage are left out of a stage path.
    unit : {"session", "user"}
        What a path is.
    collapse_repeats : bool
        Whether a run of one state is one state.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take.

    Notes
    -----
    expected = count(g1) x p(g2 | g1) x p(g3 | g2) ..., with the transition probabilities of D4 (END included): what a
    chain of single moves makes likely. Of one state and of two it is the count itself, so the lift is 1. A single name
    is neither loop nor cycle. One pass per size, O(n), exact as in `TopPaths`. Intervals for the rows shown.

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({"user": [1] * 3 + [2] * 3, "time": [0, 1, 2] * 2, "event": list("abaabb")})
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> grams = journeys.measure(NGrams(3)).frame
    >>> grams.select("path", "count", "expected", "type").rows()
    [(['a', 'b', 'a'], 1, 0.6666666666666666, 'cycle'), (['a', 'b', 'b'], 1, 0.6666666666666666, 'other')]
    """

    sizes: int | tuple[int, int] = (2, 4)
    n: int | None = 20
    of: Of = "event"
    unit: Unit = "session"
    collapse_repeats: bool = False

    def __post_init__(self) -> None:
        check_shared(self)
        checked_count("n", self.n)
        sizes = tuple(self.sizes) if isinstance(self.sizes, list | tuple) else (self.sizes, self.sizes)
        if (
            len(sizes) != 2
            or not all(isinstance(size, int) and size > 0 for size in sizes)
            or sizes[0] > sizes[1]
        ):
            raise ParameterError(
                f"sizes must be a whole number from 1 on, or the smallest and the largest, not {self.sizes!r}."
            )
        object.__setattr__(self, "sizes", sizes)

    @property
    def _shown_sizes(self) -> range:
        assert isinstance(self.sizes, tuple)
        return range(self.sizes[0], self.sizes[1] + 1)

    @property
    def _counted_sizes(self) -> list[int]:
        """The sizes shown, and those that say what to expect."""
        return sorted({*self._shown_sizes, *((1, 2) if self._shown_sizes[-1] > 2 else ())})

    @property
    def tables(self) -> Mapping[str, Sequence[str]]:  # type: ignore[override]
        """The tables of a tally."""
        keys = self._windows(1).tables["paths"]
        return {_table(size): keys for size in self._counted_sizes} | {UNITS_TABLE: ()}

    def _windows(self, size: int) -> TopPaths:
        return TopPaths(
            self.n, of=self.of, unit=self.unit, length=size, collapse_repeats=self.collapse_repeats
        )

    def check(self, context: Context) -> None:
        """Refuse stages that were not assigned."""
        check_states(self.of, context)

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the windows of one shard by key, size by size."""
        tables: dict[str, pl.DataFrame] = {}
        for size in self._counted_sizes:
            counted = self._windows(size).tally(shard, cells)
            tables |= {_table(size): counted["paths"], UNITS_TABLE: counted[UNITS_TABLE]}
        return tables

    def answer(self, tables: Tables, context: Context) -> NGramTable:
        """Turn counts into shares and lifts, for the most frequent n-grams."""
        frames, distinct, notes = [], [], list(context.notes)
        for size in self._shown_sizes:
            windows, counted = (
                self._windows(size),
                {"paths": tables[_table(size)], UNITS_TABLE: tables[UNITS_TABLE]},
            )
            shown = shown_paths(windows, counted["paths"], context)
            table = path_table(windows, shown, counted, replace(context, notes=()))
            cell = shown.rows.select(
                pl.col(CELL).alias("__cell"), expected=self._expected(shown, tables, context)
            )
            frames.append(table.frame.hstack(cell))
            length = pl.lit(size, pl.Int64).alias("length")
            labels = context.labels.columns
            distinct.append(
                table.distinct.select(*labels, length, "variants", "count", "paths", "shown_share")
            )
            notes += table.notes
        context = replace(context, notes=tuple(notes))
        return NGramTable(_finished(pl.concat(frames), context), self, context, pl.concat(distinct))

    def _expected(self, shown: Shown, tables: Tables, context: Context) -> pl.Series:
        """Return what a chain of single moves lets expect of every row."""
        if self._shown_sizes[-1] <= 2:
            return shown.rows["count"].cast(pl.Float64)
        bits = bits_per_code(len(state_names(self.of, context)))
        singles, pairs = (_by_code(tables[_table(size)], bits, size) for size in (1, 2))
        first = pl.col("path").list.first().cast(pl.UInt64).alias("first")
        rows = shown.rows.select(CELL, "path", first).with_row_index("row")
        start = rows.join(
            singles.rename({"second": "first"}), on=[CELL, "first"], how="left", maintain_order="left"
        )
        codes = rows.explode("path").with_columns(second=pl.col("path").cast(pl.UInt64))
        moves = codes.with_columns(first=pl.col("second").shift(1).over("row")).drop_nulls("first")
        moves = moves.join(pairs, on=[CELL, "first", "second"], how="left", maintain_order="left")
        base = singles.rename({"second": "first", "count": "base"})
        moves = moves.join(base, on=[CELL, "first"], how="left", maintain_order="left")
        ratio = (pl.col("count") / pl.col("base")).product().alias("ratio")
        chance = moves.group_by("row").agg(ratio)
        joined = start.join(chance, on="row", how="left", maintain_order="left")
        return joined.select(pl.col("count") * pl.col("ratio").fill_null(1.0)).to_series()


def _table(size: int) -> str:
    return f"windows_{size}"


def _by_code(counted: pl.DataFrame, bits: int, size: int) -> pl.DataFrame:
    """Count the windows of one or two states per cell, by state: their keys are always packed."""
    sums = sum_rows(counted.select(CELL, "key", "count"), [CELL, "key"])
    second = pl.col("key") & ((1 << bits) - 1)
    columns = [second.alias("second"), pl.col("count")]
    if size == 2:
        columns.insert(0, ((pl.col("key") // (1 << bits)) & ((1 << bits) - 1)).alias("first"))
    return sums.select(CELL, *columns)


def _finished(frame: pl.DataFrame, context: Context) -> pl.DataFrame:
    """Add lift and type; sort by count, then by the names. D0.4."""
    names = pl.col("path").list
    back = (names.len() > 1) & (names.first() == names.last())
    loop = pl.when(names.n_unique() == 1).then(pl.lit("loop")).otherwise(pl.lit("cycle"))
    kind = pl.when(back).then(loop).otherwise(pl.lit("other"))
    frame = frame.with_columns((pl.col("count") / pl.col("expected")).alias("lift"), kind.alias("type"))
    rows = frame.select("__cell", "count", "path").rows()
    order = sorted(range(frame.height), key=lambda row: (rows[row][0], -rows[row][1], rows[row][2]))
    last = ["expected", "lift", "type", "duration_mean"]
    return frame[order].select(
        *context.labels.columns, pl.exclude(*context.labels.columns, "__cell", *last), *last
    )
