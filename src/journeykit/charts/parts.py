"""The segments and periods of an answer that a chart shows, one beside the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from journeykit.charts.text import plain
from journeykit.errors import ParameterError
from journeykit.statistics.base import Answer

PERIOD = "period"
Segment = Mapping[str, Any]


@dataclass(frozen=True)
class Part:
    """One segment or period, or all of an answer that has neither.

    Attributes
    ----------
    name : str
        What it is called, not yet escaped; empty for all.
    values : mapping
        Its value of each column of ``by=`` and ``every=``.
    """

    name: str
    values: Segment

    def of(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of this part."""
        return _of(frame, self.values) if self.values else frame


@dataclass(frozen=True)
class Parts:
    """What is shown, and how much there is."""

    shown: tuple[Part, ...]
    all: int

    @property
    def note(self) -> str:
        """What to say of those that are not shown."""
        if self.all == len(self.shown):
            return ""
        return f"{len(self.shown):,} of {self.all:,} segments and periods are shown; segment={{...}} chooses others."


def parts_of(
    answer: Answer, segment: Segment | None, most: int, columns: Sequence[str] | None = None
) -> Parts:
    """Choose which segments and periods to show.

    Parameters
    ----------
    answer : Answer
        What is drawn.
    segment : mapping, optional
        Values of some columns of ``by=`` and ``every=``; all rows by default.
    most : int
        How many a chart has room for.
    columns : sequence of str, optional
        The columns that tell parts apart; those of ``by=`` and ``every=`` by default.

    Returns
    -------
    Parts
        The first ones, in the order of the answer.

    Raises
    ------
    ParameterError
        If there is no such column or no such value.
    """
    labels = list(answer.context.labels.columns if columns is None else columns)
    for name in segment or {}:
        if name not in labels:
            raise ParameterError.choice("segment", name, labels or ["None: there are no segments"])
    if not labels:
        return Parts((Part("", {}),), 1)
    table = answer.frame if set(labels) <= set(answer.frame.columns) else answer.context.labels
    found = table.select(labels).unique(maintain_order=True)
    chosen = _of(found, segment) if segment else found
    if segment and chosen.is_empty() and not found.is_empty():
        known = found.select(list(segment)).unique(maintain_order=True).head(8).rows(named=True)
        raise ParameterError.choice("segment", dict(segment), known)
    rows = chosen.head(most).iter_rows(named=True)
    shown = tuple(Part(", ".join(plain(value) for value in row.values()), row) for row in rows)
    return Parts(shown, chosen.height)


def _of(frame: pl.DataFrame, values: Segment) -> pl.DataFrame:
    """Return the rows that have these values; null is a value like others."""
    wanted = pl.DataFrame(
        [pl.Series(name, [value]).cast(frame.schema[name], strict=False) for name, value in values.items()]
    )
    return frame.join(wanted, on=list(values), how="semi", nulls_equal=True, maintain_order="left")
