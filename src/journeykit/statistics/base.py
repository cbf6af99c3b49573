"""What statistics share: the base classes, tables by group, and rates with their intervals."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.journeys.journeys import Journeys
from journeykit.mathematics.intervals import Bounds, GroupSums, Scale, ratio_bounds, wilson
from journeykit.protocol import CELL, GROUP, Cells, Context, Tables, sum_rows
from journeykit.support.drawing import Drawn, draw

if TYPE_CHECKING:
    from journeykit.databases.identifiers import TableName
    from journeykit.databases.opening import IfExists

A = TypeVar("A", bound="Answer")
UNITS_TABLE = "units"
SHOWN_ROWS = 10
LARGEST_KEY = 1 << 62
TABLE: Mapping[str, Any] = {
    "tbl_rows": SHOWN_ROWS,
    "tbl_cols": -1,
    "tbl_width_chars": 160,
    "fmt_str_lengths": 60,
    "float_precision": 4,
    "tbl_hide_dataframe_shape": True,
}


@dataclass(frozen=True)
class Statistic(ABC, Generic[A]):
    """A question to journeys: count each shard of users, then turn the sum into an answer.

    Subclasses are frozen dataclasses; their fields are the question. The law each of them keeps: the answer to
    the added tallies of any split of the users is the answer to the tally of all users.
    """

    tables: ClassVar[Mapping[str, Sequence[str]]]
    """The tables of a tally: name -> key columns. All other columns add; ``*_min`` and ``*_max`` take extremes."""

    by_group: ClassVar[bool] = True
    """Whether all that a tally counts stands in the groups of its users, whichever of them are tallied together."""

    def check(self, context: Context) -> None:
        """Refuse what these journeys cannot answer, such as names they do not have, before any work."""

    @abstractmethod
    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count one shard of users.

        Parameters
        ----------
        shard : Journeys
            Whole users; ``shard.paths(unit)`` gives their paths.
        cells : Cells
            ``cells.of(paths, unit)`` says which row of ``by=`` and ``every=`` a path belongs to.

        Returns
        -------
        mapping of str to polars.DataFrame
            For every name in ``tables``: a column ``cell`` (Int32), the keys, and columns that add.
        """

    def follow_up(self, tables: Tables, context: Context) -> Statistic[Any] | None:
        """Return a second question, which is tallied too and gives the answer to both tallies.

        None by default. For answers of unbounded rows: the first tally finds what to show, the second
        measures what would be too much to measure for all.
        """
        return None

    @abstractmethod
    def answer(self, tables: Tables, context: Context) -> A:
        """Turn the sum of all tallies into an answer.

        Parameters
        ----------
        tables : mapping of str to polars.DataFrame
            The added tables, with the column ``group``: the jackknife group of the users (D12.1).
        context : Context
            Names, labels of the cells, and where the numbers come from.

        Returns
        -------
        Answer
            One tidy frame and views of it.
        """

    def at_later_end(self, tables: Tables, before: int, after: int) -> Tables | None:
        """Return the tally that the same events have when they are observed longer.

        None by default: the events are tallied again. Only a tally that looks at ``shard.observed_until`` is asked,
        by a store to which newer events were appended.

        Parameters
        ----------
        tables : mapping of str to polars.DataFrame
            The tally at the earlier end, by ``cell`` and ``group``.
        before, after : int
            The two ends of the observation, in microseconds since the epoch.

        Returns
        -------
        mapping of str to polars.DataFrame or None
            What ``tally`` would count at the later end; rows in any order.
        """
        return None


@dataclass(frozen=True, eq=False, repr=False)
class Answer:
    """The answer to a statistic: one tidy frame, and where it comes from.

    Attributes
    ----------
    frame : polars.DataFrame
        One row per thing; every rate beside its numerator, its denominator and its interval.
    statistic : Statistic
        The question.
    context : Context
        Observation span, time zone, ties and notes. D0.6.
    """

    frame: pl.DataFrame
    statistic: Statistic[Any]
    context: Context

    shown: ClassVar[Sequence[str]] = ()
    """The columns that are printed; all without any."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the numbers should know."""
        return self.context.notes

    @property
    def proportions(self) -> Mapping[str, tuple[pl.Expr, pl.Expr]]:
        """The rates of the frame in which every user counts at most once, as numerator and denominator. D12.2.

        None by default, which is always right: `compare` then takes the jackknife.
        """
        return {}

    def write(
        self,
        target: Any,
        *,
        table: TableName | None = None,
        if_exists: IfExists = "raise",
        spreadsheet_safe: bool = True,
    ) -> Path | None:
        """Write the frame to a file or as a table of a database, by what the target is.

        Parameters
        ----------
        target : str, pathlib.Path or connection
            A file that ends in ``.parquet``, ``.csv``, ``.ndjson``, ``.xlsx`` (``journeykit[excel]``) or ``.hyper``
            (``journeykit[tableau]``), which is replaced; it appears whole or not at all. A database:
            ``"postgresql://user:password@host/database"`` (``journeykit[postgres]``), ``"sqlite:///file"``
            (``journeykit[sqlite]``), ``"duckdb:///file"``, a file that ends in ``.duckdb`` or ``.sqlite``, or an open
            connection of DuckDB or of an ADBC driver.
        table : str or pair of str, optional
            The name of the table of a database, or its schema and name; any text, nothing in it is taken for SQL.
        if_exists : {"raise", "replace", "append"}
            What to do if the database has such a table. The work is one transaction, which is committed.
        spreadsheet_safe : bool
            Whether texts of CSV that a spreadsheet would run as formulas (they begin with ``=``, ``+``, ``-``, ``@``
            or a control character) get an apostrophe before them. Cells of Excel are texts anyway.

        Returns
        -------
        pathlib.Path or None
            The file; None for a table of a database.

        Raises
        ------
        ParameterError
            If the target is none of these, a table's name is missing, or a sheet of Excel cannot hold the frame.
        MissingPackageError
            If what writes it is not installed.
        DatabaseError
            If the table exists and `if_exists` is ``"raise"``, or the database fails. No password is in the message.
        """
        from journeykit.databases.writing import write_table

        return write_table(
            self.frame,
            target,
            table=table,
            if_exists=if_exists,
            spreadsheet_safe=spreadsheet_safe,
            notes=(described(self.statistic), *self.notes),
        )

    def chart(self, **options: Any) -> Drawn:
        """Draw the answer.

        Parameters
        ----------
        **options
            ``theme="light"`` or ``"dark"``, and what the chart of this kind of answer can be told: see
            `the guide <../how-to/draw-a-chart.html>`_.

        Returns
        -------
        Chart
            A plotly figure with ``save``. It says in its title what it shows and of how many.

        Raises
        ------
        ParameterError
            If an option does not exist, or has a value it cannot take; all that do are listed.
        """
        return draw(self, options)

    def __repr__(self) -> str:
        with pl.Config(**TABLE):
            table = str(self._head())
        left_out = self.frame.width - len(self._columns)
        more = [f"{left_out} more column{'s' * (left_out > 1)} in .frame."] if left_out else []
        return "\n".join(
            [f"{described(self.statistic)}: {self.frame.height:,} rows", table, *more, *self.notes]
        )

    def _ipython_display_(self) -> None:
        """Show the chart, which a notebook draws itself, then the head of the table."""
        from IPython.display import HTML, display

        display(self.chart(), HTML(self._repr_html_()))

    def _repr_html_(self) -> str:
        from html import escape

        with pl.Config(**TABLE):
            table = self._head()._repr_html_()
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        return f"<p><code>{escape(described(self.statistic))}</code></p>{table}<ul>{notes}</ul>"

    @property
    def _columns(self) -> list[str]:
        """The columns that a printed answer shows, segments first."""
        if not self.shown:
            return self.frame.columns
        return [*self.context.labels.columns, *(name for name in self.shown if name in self.frame.columns)]

    def _head(self) -> pl.DataFrame:
        head = self.frame.select(self._columns).head(SHOWN_ROWS)
        lists = [name for name, dtype in head.schema.items() if dtype == pl.List(pl.String)]
        return head.with_columns(pl.col(lists).list.join(" > "))


def described(statistic: Statistic[Any]) -> str:
    """Write a statistic with the parameters that differ from their defaults."""
    set_ = (
        f"{each.name}={getattr(statistic, each.name)!r}"
        for each in fields(statistic)
        if getattr(statistic, each.name) != default_of(each)
    )
    return f"{type(statistic).__name__}({', '.join(set_)})"


def default_of(parameter: Field[Any]) -> Any:
    """Return what a field of a dataclass is by default; MISSING without a default."""
    return parameter.default if parameter.default_factory is MISSING else parameter.default_factory()


@dataclass(frozen=True)
class Grouped:
    """A table by cell, group and key, with its totals over the groups.

    Attributes
    ----------
    frame : polars.DataFrame
        One row per cell, group and key.
    keys : tuple of str
        Without ``cell`` and ``group``.
    """

    frame: pl.DataFrame
    keys: tuple[str, ...]

    @cached_property
    def totals(self) -> pl.DataFrame:
        """One row per cell and key, in a stable order."""
        keys = [CELL, *self.keys]
        if self._packed is None or self.frame.is_empty():
            return sum_rows(self.frame, keys).sort(keys, nulls_last=True)
        firsts = np.concatenate([[0], np.flatnonzero(np.diff(self._packed[self._order])) + 1])
        columns = {}
        for column in self.frame.iter_columns():
            if column.name in keys:
                columns[column.name] = column.gather(self._order[firsts])
            elif column.name != GROUP and column.dtype.is_numeric():
                columns[column.name] = pl.Series(
                    _adder(column.name).reduceat(column.to_numpy()[self._order], firsts)
                )
        return pl.DataFrame(columns).select(*keys, pl.exclude(keys))

    @cached_property
    def _packed(self) -> npt.NDArray[np.unsignedinteger[Any]] | None:
        """The cell and the keys of every row in one number, if they are small numbers."""
        packed, size = np.zeros(self.frame.height, np.int64), 1
        for name in (CELL, *self.keys):
            column = self.frame[name]
            if not column.dtype.is_integer() or column.null_count():
                return None
            values = column.to_numpy()
            largest = int(values.max(initial=0)) + 1
            size *= largest
            if values.min(initial=0) < 0 or size >= LARGEST_KEY:
                return None
            packed = packed * largest + values
        return packed.astype(np.min_scalar_type(size))

    @cached_property
    def _order(self) -> npt.NDArray[np.int64]:
        """The rows by cell and keys. Of few things in linear time: numpy sorts 16 bits by their digits."""
        return np.argsort(self.rows if self._packed is None else self._packed, kind="stable")

    @cached_property
    def rows(self) -> npt.NDArray[np.int64]:
        """The row of the totals that each row of the frame belongs to."""
        if self._packed is None or self.frame.is_empty():
            return place_of(self.frame, self.totals, [CELL, *self.keys])
        rows = np.empty(self.frame.height, np.int64)
        rows[self._order] = np.concatenate([[0], (np.diff(self._packed[self._order]) != 0).cumsum()])
        return rows

    def sums(self, column: str) -> GroupSums:
        """Return the parts of one column by group, in the order of the totals."""
        values = self.frame[column].to_numpy().astype(np.float64)
        total = np.bincount(self.rows, values, self.totals.height)
        groups, order = self.frame[GROUP].to_numpy(), self._order
        return GroupSums(total.astype(np.float64), self.rows[order], groups[order], values[order])


def _adder(column: str) -> np.ufunc:
    """Say how `sum_rows` adds a column."""
    return np.minimum if column.endswith("_min") else np.maximum if column.endswith("_max") else np.add


def place_of(frame: pl.DataFrame, within: pl.DataFrame, keys: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return for every row of `frame` the row of `within` that has its keys."""
    numbered = within.select(keys).with_row_index("place")
    joined = frame.select(keys).join(
        numbered, on=list(keys), how="left", maintain_order="left", nulls_equal=True
    )
    return joined["place"].cast(pl.Int64).to_numpy()


def groups_per_cell(tables: Tables, column: str = "users") -> dict[int, int]:
    """Return how many jackknife groups have users in each cell, from the table of units."""
    units = tables[UNITS_TABLE].filter(pl.col(column) > 0)
    counts = units.group_by(CELL).agg(pl.col(GROUP).n_unique())
    return {int(cell): int(count) for cell, count in counts.iter_rows()}


def with_rate(
    frame: pl.DataFrame,
    name: str,
    numerator: GroupSums,
    denominator: GroupSums,
    rows: npt.NDArray[np.int64],
    groups: Mapping[int, int],
    users: npt.ArrayLike,
    context: Context,
    *,
    scale: Scale = "logit",
    bounds: tuple[str, str] | None = None,
    once: bool = False,
) -> pl.DataFrame:
    """Add a ratio and its interval to a frame: the jackknife's, or Wilson's for shares of users. D12.2, D12.3.

    Parameters
    ----------
    frame : polars.DataFrame
        With the column ``cell``; one row per ratio, in the order of the totals of `numerator`.
    name : str
        The column of the ratio.
    numerator, denominator : GroupSums
        What is divided.
    rows : numpy.ndarray of int64
        The row of the denominator of each ratio.
    groups : mapping of int to int
        Jackknife groups with users, per cell.
    users : array_like
        Distinct users in the denominator.
    context : Context
        Gives the level.
    scale : {"logit", "log", "identity"}
        Where the interval is symmetric.
    bounds : tuple of str, optional
        The columns of the interval, ``<name>_low`` and ``<name>_high`` by default.
    once : bool
        Whether the denominator counts every user once, so that Wilson's interval holds.

    Returns
    -------
    polars.DataFrame
        The frame with three more columns; null where the ratio is undefined.
    """
    estimate, ends = rate(
        frame[CELL].to_numpy(), numerator, denominator, rows, groups, users, context, scale=scale, once=once
    )
    low, high = bounds or (f"{name}_low", f"{name}_high")
    return with_floats(frame, {name: estimate, low: ends.low, high: ends.high})


def rate(
    cells: npt.NDArray[np.integer],
    numerator: GroupSums,
    denominator: GroupSums,
    rows: npt.NDArray[np.int64],
    groups: Mapping[int, int],
    users: npt.ArrayLike,
    context: Context,
    *,
    scale: Scale = "logit",
    once: bool = False,
) -> tuple[npt.NDArray[np.float64], Bounds]:
    """Return ratios and their intervals, NaN where undefined; parameters as of `with_rate`. D12.2, D12.3."""
    with np.errstate(divide="ignore", invalid="ignore"):
        bottom = denominator.total[rows]
        estimate = np.where(bottom > 0, numerator.total / bottom, np.nan)
    if once:
        return estimate, wilson(numerator.total, bottom, context.level)
    present = groups_of_rows(cells, groups)
    return estimate, ratio_bounds(
        numerator, denominator, rows, present, users, scale=scale, level=context.level
    )


def groups_of_rows(cells: npt.ArrayLike, groups: Mapping[int, int]) -> npt.NDArray[np.int64]:
    """Return how many jackknife groups have users in the cell of each row; none where the mapping lacks it."""
    known = np.zeros(max([*groups, -1]) + 2, np.int64)
    known[list(groups)] = list(groups.values())
    found: npt.NDArray[np.int64] = known[np.minimum(np.asarray(cells), known.size - 1)]
    return found


def with_share(frame: pl.DataFrame, name: str, part: str, whole: str, context: Context) -> pl.DataFrame:
    """Add the share of users (each counted once) and its Wilson interval to a frame. D12.2."""
    columns = share(name, frame[part].to_numpy(), frame[whole].to_numpy(), context)
    return with_floats(frame, columns)


def share(
    name: str, part: npt.ArrayLike, whole: npt.ArrayLike, context: Context
) -> dict[str, npt.NDArray[np.float64]]:
    """Return the share of users (each counted once) and its Wilson interval, as columns. D12.2."""
    x, n = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    ends = wilson(x, n, context.level)
    with np.errstate(divide="ignore", invalid="ignore"):
        estimate = np.where(n > 0, x / n, np.nan)
    return {name: estimate, f"{name}_low": ends.low, f"{name}_high": ends.high}


def with_floats(frame: pl.DataFrame, columns: Mapping[str, npt.NDArray[np.float64]]) -> pl.DataFrame:
    """Add float columns, with null for NaN. D0.3."""
    return frame.with_columns(pl.Series(name, values, nan_to_null=True) for name, values in columns.items())


def seconds(frame: pl.DataFrame, columns: Mapping[str, pl.Expr]) -> pl.DataFrame:
    """Add durations in seconds from expressions in microseconds. D0.2."""
    return frame.with_columns((micro / 1e6).alias(name) for name, micro in columns.items())
