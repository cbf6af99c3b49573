"""What an engine and a statistic know of each other.

A statistic says which small additive tables (its *tally*) it needs from one shard of users; an engine makes
the shards and adds the tallies; the statistic turns the sum into an answer. Neither imports the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl
import polars.selectors as cs

from journeykit.paths import Paths, Unit

Tables = Mapping[str, pl.DataFrame]
Int32s = npt.NDArray[np.int32]

ShardT_contra = TypeVar("ShardT_contra", contravariant=True)
AnswerT_co = TypeVar("AnswerT_co", covariant=True)

CELL, GROUP = "cell", "group"


@dataclass(frozen=True)
class Cells:
    """The rows that ``by=`` and ``every=`` make: one cell per segment and period.

    Attributes
    ----------
    labels : polars.DataFrame
        One row per cell, in the order of the cell numbers: the columns of ``by=``, then ``period``.
        One row without columns when neither is asked for.
    assign : callable
        Given paths and their unit, the cell of every path (of all shards); None when there is one cell.
    """

    labels: pl.DataFrame = field(default_factory=lambda: pl.DataFrame([{}]))
    assign: Callable[[Paths, Unit], Int32s] | None = None

    @property
    def count(self) -> int:
        """How many cells there are."""
        return max(1, self.labels.height)

    def of(self, paths: Paths, unit: Unit) -> Int32s:
        """Return the cell of every path of all shards; an empty array stands for one cell only."""
        return np.empty(0, np.int32) if self.assign is None else self.assign(paths, unit)


@dataclass(frozen=True)
class Context:
    """Where an answer comes from. D0.6."""

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
    notes: tuple[str, ...] = ()

    def label(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Put the columns of ``by=`` and ``every=`` in the place of the cell number."""
        if self.labels.width == 0:
            return frame.drop(CELL)
        numbered = self.labels.with_row_index(CELL).with_columns(pl.col(CELL).cast(pl.Int32))
        joined = frame.join(numbered, on=CELL, how="left", maintain_order="left")
        return joined.select(*self.labels.columns, pl.exclude(CELL, *self.labels.columns))


class Statistic(Protocol[ShardT_contra, AnswerT_co]):
    """Anything that can be measured."""

    @property
    def tables(self) -> Mapping[str, Sequence[str]]:
        """The tables of a tally: name -> key columns. All other columns add."""

    def check(self, context: Context) -> None:
        """Refuse what these journeys cannot answer, before any work."""

    def tally(self, shard: ShardT_contra, cells: Cells) -> Tables:
        """Count one shard: frames with ``cell``, the key columns, and columns that add."""

    def follow_up(self, tables: Tables, context: Context) -> Statistic[ShardT_contra, Any] | None:
        """Return a second question, which is tallied too and gives the answer to both tallies; or None."""

    def answer(self, tables: Tables, context: Context) -> AnswerT_co:
        """Turn the summed tables, which hold a ``group`` column too, into an answer."""


def add(parts: Sequence[tuple[int, Tables]], keys: Mapping[str, Sequence[str]]) -> Tables:
    """Add the tallies of shards.

    Parameters
    ----------
    parts : sequence of (group, tables)
        A tally and the jackknife group (D12.1) of its users.
    keys : mapping of str to sequence of str
        The key columns of each table. Columns that end in ``_min`` or ``_max`` take the extreme, all others add.

    Returns
    -------
    mapping of str to polars.DataFrame
        One row per cell, group and key.
    """
    summed: dict[str, pl.DataFrame] = {}
    for name, columns in keys.items():
        frames = [tables[name] for _, tables in parts]
        groups = np.repeat([group for group, _ in parts], [frame.height for frame in frames]).astype(np.uint8)
        summed[name] = pl.concat(frames).select(CELL, pl.Series(GROUP, groups), pl.exclude(CELL))
        if len({group for group, _ in parts}) < len(parts):
            summed[name] = sum_rows(summed[name], [CELL, GROUP, *columns])
    return summed


def sum_rows(frame: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """Add the numbers of rows that share their keys; the order of first appearance is kept."""
    numbers = frame.select(cs.numeric()).columns
    rest = [column for column in numbers if column not in {*keys, GROUP}]
    if not keys:
        return frame.select([_adder(column) for column in rest])
    return frame.group_by(keys, maintain_order=True).agg([_adder(column) for column in rest])


def _adder(column: str) -> pl.Expr:
    if column.endswith("_min"):
        return pl.col(column).min()
    if column.endswith("_max"):
        return pl.col(column).max()
    return pl.col(column).sum()


class Measured(Protocol):
    """What an engine asks of journeys: to be cut into shards of whole users."""

    def shards(self) -> list[tuple[int, Any]]:
        """Return one shard per jackknife group that has users: (group, shard)."""
