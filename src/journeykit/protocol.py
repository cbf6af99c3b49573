"""What an engine and a statistic know of each other.

A statistic says which small additive tables (its *tally*) it needs from one shard of users; an engine makes
the shards and adds the tallies; the statistic turns the sum into an answer. Neither imports the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError
from journeykit.paths import Paths, Unit

Tables = Mapping[str, pl.DataFrame]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]

ShardT_contra = TypeVar("ShardT_contra", contravariant=True)
AnswerT_co = TypeVar("AnswerT_co", covariant=True)

CELL, GROUP = "cell", "group"


class Groups(NamedTuple):
    """The jackknife groups of a shard's users, which stand one after the other. D12.1.

    Attributes
    ----------
    numbers : numpy.ndarray of uint8
        The groups that have users, ascending.
    bounds : numpy.ndarray of int64, groups + 1
        Where the users of each start among those of the shard.
    """

    numbers: npt.NDArray[np.uint8]
    bounds: Int64s


@dataclass(frozen=True)
class Cells:
    """What a tally counts apart: one cell per jackknife group, segment of ``by=`` and period of ``every=``.

    Attributes
    ----------
    labels : polars.DataFrame
        One row per segment and period: the columns of ``by=``, then ``period``, which changes first.
        One row without columns when neither is asked for.
    assign : callable
        Given paths and their unit, the row of every path's segment and first period; None without segments.
    period_starts : numpy.ndarray of int64, optional
        When each period starts, ascending, in microseconds since the epoch; None without ``every=``.
    groups : Groups, optional
        The groups of the users that are counted; None for one group of all, number 0.
    asked : tuple of (by, every), optional
        What the cells were made for, so that shards that are elsewhere can make them again; None if they cannot.
    """

    labels: pl.DataFrame = field(default_factory=lambda: pl.DataFrame([{}]))
    assign: Callable[[Paths, Unit], Int32s] | None = None
    period_starts: Int64s | None = None
    groups: Groups | None = None
    asked: tuple[Any, str | None] | None = None

    @property
    def per_group(self) -> int:
        """How many cells a group has."""
        return max(1, self.labels.height)

    @property
    def count(self) -> int:
        """How many cells there are."""
        return self.per_group * (1 if self.groups is None else self.groups.numbers.size)

    def of(self, paths: Paths, unit: Unit) -> Int32s:
        """Return the cell of every path of a shard, by the period of its first event."""
        cells = self.segments(paths, unit)
        if self.period_starts is None:
            return cells
        return self.at(cells, paths.times[paths.starts]).astype(np.int32)

    def segments(self, paths: Paths, unit: Unit) -> Int32s:
        """Return for every path of a shard the cell of its segment's first period; the next ones follow."""
        cells = np.zeros(paths.n_paths, np.int32) if self.assign is None else self.assign(paths, unit)
        if self.groups is not None:
            for group, (first, last) in enumerate(pairwise(paths.user_paths[self.groups.bounds].tolist())):
                cells[first:last] += np.int32(group * self.per_group)
        return cells

    def at(self, segments: npt.NDArray[np.integer[Any]], times: Int64s) -> Int64s:
        """Return the cells of what falls into periods by these times, from those that `segments` gives."""
        if self.period_starts is None:
            return segments.astype(np.int64, copy=False)
        return segments + np.searchsorted(self.period_starts, times, side="right") - 1

    def by_group(self, groups: Groups) -> Cells:
        """Return the cells of a shard with these groups."""
        return replace(self, groups=groups)

    def present(self, units: Int64s) -> Int64s:
        """Return the cells to show: those that have units, all where there is neither segment nor period."""
        return np.flatnonzero(units) if self.per_group > 1 else np.arange(self.count)

    def split(self, table: pl.DataFrame) -> pl.DataFrame:
        """Put the group of every row of a tally beside what is left of its cell."""
        return split([(self, table)])


@dataclass(frozen=True)
class Context:
    """Where an answer comes from; `every` is the calendar period that it is given by, None for none. D0.6."""

    names: pl.Series
    stages: tuple[str, ...]
    labels: pl.DataFrame
    observed_from: int
    observed_until: int
    tz: str
    n_users: int
    n_sessions: int
    n_events: int
    tied_pairs: int
    kept: tuple[str, ...] = ()
    level: float = 0.95
    every: str | None = None
    notes: tuple[str, ...] = ()

    def label(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Put the columns of ``by=`` and ``every=`` in the place of the cell number.

        Raises
        ------
        ParameterError
            If the frame has a column of such a name itself.
        """
        if self.labels.width == 0:
            return frame.drop(CELL)
        taken = [name for name in self.labels.columns if name in frame.columns]
        if taken:
            raise ParameterError(
                f"this answer has a column {taken[0]!r} itself, so that its segments need another name. "
                f"{renaming(taken[0])}"
            )
        numbered = self.labels.with_row_index(CELL).with_columns(pl.col(CELL).cast(pl.Int32))
        joined = frame.join(numbered, on=CELL, how="left", maintain_order="left")
        return joined.select(*self.labels.columns, pl.exclude(CELL, *self.labels.columns))


def renaming(name: str) -> str:
    """Advise a name for segments whose own is taken."""
    return f"Pass by=jk.Segment({name!r}, name=<another name>)."


class Statistic(Protocol[ShardT_contra, AnswerT_co]):
    """Anything that can be measured."""

    @property
    def tables(self) -> Mapping[str, Sequence[str]]:
        """The tables of a tally: name -> key columns. All other columns add."""

    @property
    def by_group(self) -> bool:
        """Whether all that a tally counts stands in the groups of its users, whichever are tallied together."""

    def check(self, context: Context) -> None:
        """Refuse what these journeys cannot answer, before any work."""

    def tally(self, shard: ShardT_contra, cells: Cells) -> Tables:
        """Count one shard: frames with ``cell``, the key columns, and columns that add."""

    def follow_up(self, tables: Tables, context: Context) -> Statistic[ShardT_contra, Any] | None:
        """Return a second question, which is tallied too and gives the answer to both tallies; or None."""

    def answer(self, tables: Tables, context: Context) -> AnswerT_co:
        """Turn the summed tables, which hold a ``group`` column too, into an answer."""

    def at_later_end(self, tables: Tables, before: int, after: int) -> Tables | None:
        """Return the summed tables that the same events have when they are observed longer; None if unknown."""


def add(parts: Sequence[tuple[Cells, Tables]], keys: Mapping[str, Sequence[str]]) -> Tables:
    """Add the tallies of shards.

    Parameters
    ----------
    parts : sequence of (Cells, tables)
        A tally and the cells that it counted; at least one.
    keys : mapping of str to sequence of str
        The key columns of each table. Columns that end in ``_min`` or ``_max`` take the extreme, all others add.

    Returns
    -------
    mapping of str to polars.DataFrame
        One row per cell, group and key. A table without keys has a row of zeros if nothing was counted and there
        is neither segment nor period.
    """
    groups = [
        group for cells, _ in parts for group in ([0] if cells.groups is None else cells.groups.numbers)
    ]
    tables = {name: split([(cells, tables[name]) for cells, tables in parts]) for name in keys}
    labelled = parts[0][0].labels.width > 0
    return add_split([tables], keys, apart=len(set(groups)) == len(groups), labelled=labelled)


def split(parts: Sequence[tuple[Cells, pl.DataFrame]]) -> pl.DataFrame:
    """Put the tables of shards one after the other, and the group of every row beside what is left of its cell."""
    groups, cells = [], []
    for own, table in parts:
        numbers = np.zeros(1, np.uint8) if own.groups is None else own.groups.numbers
        numbered, size = table[CELL].to_numpy(), np.int32(own.per_group)
        group = numbered // size
        groups.append(numbers[group])
        cells.append(numbered - group * size)
    columns = [pl.Series(CELL, np.concatenate(cells)), pl.Series(GROUP, np.concatenate(groups))]
    return pl.concat([table for _, table in parts]).select(*columns, pl.exclude(CELL))


def add_split(
    parts: Sequence[Tables], keys: Mapping[str, Sequence[str]], *, apart: bool, labelled: bool
) -> Tables:
    """Add tallies that know their groups.

    Parameters
    ----------
    parts : sequence of tables
        At least one, with the columns ``cell`` and ``group``, all cells numbered alike.
    keys : mapping of str to sequence of str
        See `add`.
    apart : bool
        Whether no two of them have users of one group, so that nothing has to be added.
    labelled : bool
        Whether there are segments or periods.

    Returns
    -------
    mapping of str to polars.DataFrame
        See `add`.
    """
    summed: dict[str, pl.DataFrame] = {}
    for name, columns in keys.items():
        table = pl.concat([tables[name] for tables in parts])
        if not apart:
            table = sum_rows(table, [CELL, GROUP, *columns])
        if not columns and table.is_empty() and not labelled:
            table = table.clear(1).select(pl.all().fill_null(0))
        summed[name] = table
    return summed


def sum_rows(frame: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """Add the numbers of rows that share their keys; the order of first appearance is kept."""
    numbers = (column for column, dtype in frame.schema.items() if dtype.is_numeric())
    rest = [column for column in numbers if column not in {*keys, GROUP}]
    added = [adder(column)(column) for column in rest]
    return frame.group_by(keys, maintain_order=True).agg(added) if keys else frame.select(added)


def adder(column: str) -> Callable[[str], pl.Expr]:
    """Say how the numbers of a column are added up."""
    return pl.min if column.endswith("_min") else pl.max if column.endswith("_max") else pl.sum


class Measured(Protocol):
    """What an engine asks of journeys: to be cut into shards of whole users."""

    @property
    def n_events(self) -> int:
        """How many events."""

    @property
    def on_disk(self) -> bool:
        """Whether the shards are files already."""

    def shards(self, most: int) -> Sequence[Any]:
        """Return one to `most` shards of about as many events, each of whole groups; each has ``groups``."""

    def parts(self, folder: Path, most: int) -> Sequence[Part]:
        """Return one to `most` shards as files, written to a folder unless they are files already."""


class Part(Protocol):
    """A shard as a small value that can be sent: it says where its files are."""

    @property
    def name(self) -> str:
        """What it is called in messages."""

    @property
    def n_events(self) -> int:
        """How many events it has."""

    def open(self) -> Any:
        """Return the journeys of these users."""
