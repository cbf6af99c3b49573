"""Tallies after some users changed: what these users added is taken away, what they add now is added."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from functools import reduce

import polars as pl

from journeykit.protocol import CELL, GROUP, Tables, adder

BEFORE, AFTER, NEW = " before", " after", " new"
"""Endings that no column of a tally has."""
THERE = " there"
"""The column that says whether a table has the row, with these endings."""
EXTREMES = ("_min", "_max")


def updated(
    tables: Tables, before: Tables, after: Tables, keys: Mapping[str, Sequence[str]]
) -> tuple[Tables, set[int]] | None:
    """Return the tallies of users some of whom have changed.

    Parameters
    ----------
    tables : mapping of str to polars.DataFrame
        Tallies of all users, as they were, by cell and group.
    before, after : mapping of str to polars.DataFrame
        Tallies of the users that changed, as they were and as they are.
    keys : mapping of str to sequence of str
        The key columns of each table.

    Returns
    -------
    tables, groups : mapping of str to polars.DataFrame, set of int
        The tallies, and the groups whose rows cannot be told: an extreme may have been that of a user who
        changed. None if no row can: a table holds other numbers than whole ones.

    Notes
    -----
    A row that had counts and has none now is left out, unless `after` holds it too. O(rows of all tables), and one
    pass over `tables`.
    """
    found, unknown = {}, set[int]()
    for name, columns in keys.items():
        table = tables[name]
        on = [CELL, GROUP, *columns]
        values = [each for each in table.columns if each not in on]
        if not all(table.schema[each].is_integer() for each in values):
            return None
        if all(each.endswith(EXTREMES) for each in values):
            return None
        change = _Change(on, values, before[name], after[name])
        found[name] = change.made_to(table)
        unknown |= change.unknown
    return found, unknown


class _Change:
    """What a change does to one table."""

    def __init__(self, on: list[str], values: list[str], before: pl.DataFrame, after: pl.DataFrame) -> None:
        self.on, self.values = on, values
        self.extremes = [name for name in values if name.endswith(EXTREMES)]
        self.sums = [name for name in values if name not in self.extremes]
        self.before, self.after = before, after
        self.unknown = set[int]()

    def made_to(self, table: pl.DataFrame) -> pl.DataFrame:
        """Return the table after it; the rows of `unknown` groups are worth nothing."""
        near = self._may_change(table)
        rows = self._side_by_side(table.filter(near)).with_columns(
            *(self._sum(name).alias(name + NEW) for name in self.sums),
            *(self._extreme(name).alias(name + NEW) for name in self.extremes),
        )
        emptied = pl.all_horizontal(pl.col(name + NEW) == 0 for name in self.sums)
        had = pl.any_horizontal(pl.col(name) != 0 for name in self.sums)
        self.unknown |= set(rows.filter(self._miscounted())[GROUP].to_list())
        rows = rows.filter(pl.col(THERE + AFTER) | (pl.col(THERE) & ~(emptied & had)))
        if self.extremes:
            self.unknown |= set(rows.filter(self._lost())[GROUP].to_list())
        new = [pl.col(name + NEW).cast(table.schema[name], strict=False).alias(name) for name in self.values]
        return pl.concat([table.filter(~near), rows.select(*self.on, *new).select(table.columns)])

    def _may_change(self, table: pl.DataFrame) -> pl.Series:
        """Tell the rows that have the numbers of a row that changes among their keys, and few others."""
        numbers = [name for name in self.on if table.schema[name].is_integer()]
        mark = reduce(operator.xor, (pl.col(name).hash(seed) for seed, name in enumerate(numbers)))
        marks = pl.concat([part.select(mark).to_series() for part in (self.before, self.after)])
        return table.select(mark.is_in(marks.implode())).to_series()

    def _side_by_side(self, some: pl.DataFrame) -> pl.DataFrame:
        """Return one row per key: its values, those to take away and those to add, and which of these there are."""
        parts = {"": some, BEFORE: self.before, AFTER: self.after}
        named = [
            part.select(
                *self.on,
                *(pl.col(name).cast(pl.Int64).alias(name + which) for name in self.values),
                pl.lit(value=True).alias(THERE + which),
            )
            for which, part in parts.items()
        ]
        values = [adder(name)(name + which) for which in parts for name in self.values]
        there = [pl.col(THERE + which).any() for which in parts]
        return pl.concat(named, how="diagonal").group_by(self.on, maintain_order=True).agg(*values, *there)

    def _sum(self, name: str) -> pl.Expr:
        return pl.col(name) - pl.col(name + BEFORE) + pl.col(name + AFTER)

    def _extreme(self, name: str) -> pl.Expr:
        both = (pl.min_horizontal if name.endswith("_min") else pl.max_horizontal)(name, name + AFTER)
        return pl.when(self._all_changed()).then(pl.col(name + AFTER)).otherwise(both)

    def _all_changed(self) -> pl.Expr:
        """Tell the rows to which no other users add."""
        return pl.all_horizontal(pl.col(name) == pl.col(name + BEFORE) for name in self.sums)

    def _all_alike(self, name: str) -> pl.Expr:
        """Tell the rows whose least and greatest value are the same, so that it stays whoever goes."""
        pair = [name[:-4] + ending for ending in EXTREMES]
        return pl.col(pair[0]) == pl.col(pair[1]) if set(pair) <= set(self.extremes) else pl.lit(value=False)

    def _miscounted(self) -> pl.Expr:
        """Tell the rows that lack what is taken away."""
        wrong = []
        for name in self.sums:
            was, old, new = pl.col(name), pl.col(name + BEFORE), pl.col(name + NEW)
            wrong += [(was >= 0) & (old >= 0) & (new < 0), ~pl.col(THERE) & (old != 0)]
        return pl.any_horizontal(each.fill_null(value=False) for each in wrong)

    def _lost(self) -> pl.Expr:
        """Tell the rows whose extreme was that of a user who has another now."""
        lost = []
        for name in self.extremes:
            was, old, new = pl.col(name), pl.col(name + BEFORE), pl.col(name + AFTER)
            beaten = new > was if name.endswith("_min") else new < was
            lost.append((old == was) & (beaten | new.is_null()) & ~self._all_alike(name))
        known = self._all_changed().fill_null(value=False)
        return pl.any_horizontal(each.fill_null(value=False) for each in lost) & ~known
