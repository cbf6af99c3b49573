"""The numbers of an answer on two sides, and what they are without each group of users. DEFINITIONS D12.3."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.comparisons.sides import Sides
from journeykit.errors import ParameterError
from journeykit.mathematics.intervals import GROUPS
from journeykit.protocol import CELL, GROUP, Context, Statistic, Tables

Floats = npt.NDArray[np.float64]
BOUNDS = ("_low", "_high")
SIDE, ALL = "__side", "__all"


@dataclass(frozen=True)
class Replicated:
    """The rows of an answer on side a and side b, matched by their keys.

    Attributes
    ----------
    answer : Answer
        Of both cells, from all users.
    rows : polars.DataFrame
        The keys of every row that is on either side, those of a first, and the names that follow them.
    a, b : polars.DataFrame
        The answer's rows of each side in this order; null where the side has no such row.
    values : tuple of str
        The columns to compare.
    without : dict of str to (numpy.ndarray, numpy.ndarray)
        Per column, (rows, groups) its numbers on side a and side b without the users of each group.
    groups : int
        How many groups have users.
    """

    answer: Any
    rows: pl.DataFrame
    a: pl.DataFrame
    b: pl.DataFrame
    values: tuple[str, ...]
    without: dict[str, tuple[Floats, Floats]]
    groups: int

    @classmethod
    def make(
        cls,
        statistic: Statistic[Any, Any],
        tables: Tables,
        context: Context,
        sides: Sides,
        values: Sequence[str] | None,
    ) -> Replicated:
        """Answer once from all users, and once more without each group."""
        tables = {name: _of_sides(table, sides) for name, table in tables.items()}
        answer = statistic.answer(tables, context)
        frame = _sided(answer.frame, context.labels, sides)
        keys = _keys(frame, values)
        columns = _compared(frame, keys, values)
        rows = _named(frame, keys)
        a, b = (_matched(rows.select(keys), frame, keys, side) for side in (0, 1))
        groups = np.unique(np.concatenate([table[GROUP].to_numpy() for table in tables.values()]))
        without = {name: (_tiled(a[name]), _tiled(b[name])) for name in columns}
        totals = [name for name in columns if frame.schema[name].is_integer()]
        for group in groups:
            left = {name: table.filter(pl.col(GROUP) != group) for name, table in tables.items()}
            part = _sided(statistic.answer(left, context).frame, context.labels, sides)
            for side in (0, 1):
                found = _matched(rows.select(keys), part, keys, side)
                for name in columns:
                    scale = groups.size / max(groups.size - 1, 1) if name in totals else 1.0
                    without[name][side][:, group] = _floats(found[name]) * scale
        return cls(answer, rows, a, b, columns, without, groups.size)


def _of_sides(table: pl.DataFrame, sides: Sides) -> pl.DataFrame:
    return table.filter(pl.col(CELL).is_in([sides.a, sides.b]))


def _sided(frame: pl.DataFrame, labels: pl.DataFrame, sides: Sides) -> pl.DataFrame:
    """Put the side of every row in the place of its label."""
    column = labels.columns[0]
    places = pl.DataFrame({column: labels[column].gather([sides.a, sides.b]), SIDE: [0, 1]})
    sided = frame.join(places, on=column, how="inner", maintain_order="left").drop(column)
    return sided.select(pl.lit(0).alias(ALL), pl.all())


def _keys(frame: pl.DataFrame, values: Sequence[str] | None) -> list[str]:
    """Return the first columns, at least those before any number, that together tell the rows of a side apart."""
    columns = [name for name in frame.columns if name not in (SIDE, ALL)]
    named = next((i for i, name in enumerate(columns) if frame.schema[name].is_numeric()), len(columns))
    for n in range(named, len(columns) + 1):
        keys = columns[:n]
        if set(keys) & set(values or ()):
            break
        if not frame.select(SIDE, *keys).is_duplicated().any():
            return [ALL, *keys]
    raise ParameterError(
        f"the rows of this answer cannot be told apart by their first columns, {columns[:3]}: compare does not know "
        f"which row of one segment belongs to which of the other. Put the columns that name a row first."
    )


def _named(frame: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """Return one row per key, with the names that follow it."""
    columns = [name for name in frame.columns if name != SIDE]
    shown = columns[: len(keys)]
    for name in columns[len(keys) :]:
        if frame.schema[name] != pl.String:
            break
        shown.append(name)
    return frame.select(shown).unique(keys, keep="first", maintain_order=True)


def _compared(frame: pl.DataFrame, keys: list[str], values: Sequence[str] | None) -> tuple[str, ...]:
    """Return the columns to compare: those asked for, or those with an interval, or all that are no counts."""
    numbers = [
        name for name in frame.columns if frame.schema[name].is_numeric() and name not in (*keys, SIDE)
    ]
    if values is not None:
        unknown = [name for name in values if name not in numbers]
        if unknown:
            raise ParameterError.choice("values", unknown[0], numbers)
        return tuple(dict.fromkeys(values))
    ends = [name for name in numbers if name in ("low", "high") or name.endswith(BOUNDS)]
    bounded = [name for name in numbers if f"{name}_low" in ends]
    if "low" in ends:
        bounded.insert(0, frame.columns[frame.columns.index("low") - 1])
    rates = [name for name in numbers if frame.schema[name].is_float() and name not in ends]
    found = tuple(dict.fromkeys(bounded or rates or numbers))
    if not found:
        raise ParameterError("this answer has no numbers to compare.")
    return found


def _matched(rows: pl.DataFrame, frame: pl.DataFrame, keys: list[str], side: int) -> pl.DataFrame:
    """Return the rows of one side in the order of `rows`."""
    own = frame.filter(pl.col(SIDE) == side)
    return rows.join(own, on=keys, how="left", nulls_equal=True, maintain_order="left")


def _floats(column: pl.Series) -> Floats:
    return column.cast(pl.Float64).fill_null(np.nan).to_numpy()


def _tiled(column: pl.Series) -> Floats:
    """Return the numbers once per group: a group without users changes nothing."""
    return np.tile(_floats(column)[:, None], (1, GROUPS))
