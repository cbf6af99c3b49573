"""What is known of a tool's export: where its columns stand, which of them play the roles, what is left out and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from journeykit.sources.roles import TimeUnit


@dataclass(frozen=True)
class Column:
    """Where one value of an event stands in an export.

    Parameters
    ----------
    places : sequence of str
        As of `journeykit.adapters.places`; of several that an export has, the first that is not null counts.
    dtype : polars.DataType or None
        What it is read as; a value that is no such thing is null. None: as it is stored.
    """

    places: tuple[str, ...]
    dtype: Any = pl.String


def text(*places: str) -> Column:
    """Say where a text stands."""
    return Column(places)


def whole(*places: str) -> Column:
    """Say where a whole number stands, written as a number or as text."""
    return Column(places, pl.Int64)


def number(*places: str) -> Column:
    """Say where a number stands, written as a number or as text."""
    return Column(places, pl.Float64)


def moment(*places: str) -> Column:
    """Say where a time stands, in whatever type."""
    return Column(places, None)


@dataclass(frozen=True, eq=False)
class LeaveOut:
    """Rows that are no steps of a customer.

    Parameters
    ----------
    reason : str
        What they are, as it is shown in ``events.quality``.
    test : polars.Expr
        Whether a row is one, of the adapter's columns; null is no.
    """

    reason: str
    test: pl.Expr


@dataclass(frozen=True, eq=False)
class Adapter:
    """How the export of one tool becomes a log.

    Expressions are of the names in `columns`. A name that is none of these is a place in the export itself.

    Parameters
    ----------
    name : str
        As in ``read_<name>``.
    title : str
        What it reads, for messages.
    columns : mapping of str to Column
        Where the values stand.
    user, time, event : polars.Expr
        Who, when and what.
    session : polars.Expr, optional
        The tool's own session, unique among all users.
    order : polars.Expr, optional
        The tool's tie-break: one number, or a text that sorts as events follow each other.
    value : polars.Expr, optional
        A number.
    unique : sequence of polars.Expr
        What together is the same for two rows only if they are one event, sent twice. A null is like nothing.
    leave_out : mapping of str to LeaveOut
        By the name for ``leave_out=``.
    properties : mapping of str to polars.Expr
        What ``keep=`` may name, besides places.
    unit : {"s", "ms", "us", "ns"}, optional
        Of times that are numbers.
    headers : callable, optional
        Given the files, those with rows and the columns of each, where TSV has no header.
    escaped : bool
        Whether a backslash in TSV keeps a tab or the end of a line in a field.
    rows : str, optional
        The list column of which every element is an event.
    default_format : str, optional
        The format of files whose names do not tell it.
    """

    name: str
    title: str
    columns: Mapping[str, Column]
    user: pl.Expr
    time: pl.Expr
    event: pl.Expr
    session: pl.Expr | None = None
    order: pl.Expr | None = None
    value: pl.Expr | None = None
    unique: tuple[pl.Expr, ...] = ()
    leave_out: Mapping[str, LeaveOut] = field(default_factory=dict)
    properties: Mapping[str, pl.Expr] = field(default_factory=dict)
    unit: TimeUnit | None = None
    headers: Callable[[Sequence[str]], Mapping[str, tuple[str, ...]]] | None = None
    escaped: bool = False
    rows: str | None = None
    default_format: str | None = None

    def column(self, name: str) -> Column:
        """Return where a name of an expression stands: as the adapter says, or the place of that name as it is."""
        return self.columns.get(name) or Column((name,), None)


def came_from(name: str) -> pl.Expr:
    """Return a referrer; null for ``$direct``, which some tools write where there is none."""
    return pl.when(pl.col(name) != "$direct").then(name)


def joined(*parts: pl.Expr) -> pl.Expr:
    """Join the parts of an id to one that is unique among all users; null if a part is."""
    return pl.concat_str(parts, separator="/")
