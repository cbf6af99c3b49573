"""The segment or period whose level others are to reach."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from journeykit.errors import ParameterError
from journeykit.protocol import CELL

PERIOD = "period"
SHOWN_VALUES = 8
Reference = Mapping[str, object] | None


def checked_reference(given: Any) -> Any:
    """Bring the values of a segment, by column, into a form that can be compared; None stays.

    Raises
    ------
    ParameterError
        If it is no mapping from columns, or an empty one.
    """
    if given is None:
        return None
    pairs = tuple(given.items()) if isinstance(given, Mapping) else given
    paired = isinstance(pairs, tuple) and all(isinstance(one, tuple) and len(one) == 2 for one in pairs)
    if not paired or not pairs or not all(isinstance(name, str) for name, _ in pairs):
        raise ParameterError(
            f"reference cannot be {given!r}. Name a segment or period, such as {{'device': 'desktop'}}."
        )
    return pairs


def reference_cells(reference: Any, labels: pl.DataFrame) -> dict[int, int]:
    """Return for every cell the cell of its reference; none without a reference.

    Parameters
    ----------
    reference : tuple of (str, object), optional
        As of `checked_reference`. What it does not name stays.
    labels : polars.DataFrame
        The values of every cell.

    Raises
    ------
    ParameterError
        If there are no segments, or not this one.
    """
    if reference is None:
        return {}
    if labels.width == 0:
        raise ParameterError(
            "reference= names a segment or a period, and there are none. Measure with by= or every=, or leave "
            "reference out."
        )
    numbered, wanted = labels.with_row_index("reference"), labels.with_row_index(CELL)
    for name, value in reference:
        if name not in labels.columns:
            raise ParameterError.choice("the column of reference", name, labels.columns)
        fits = labels[name].to_frame().select(_fits(name, value)).to_series()
        values = labels[name].filter(fits).unique()
        if len(values) != 1:
            known = labels[name].unique(maintain_order=True).to_list()[:SHOWN_VALUES]
            raise ParameterError.choice(f"reference[{name!r}]", value, [_shown(each) for each in known])
        wanted = wanted.with_columns(pl.lit(values[0], dtype=labels.schema[name]).alias(name))
    joined = wanted.join(numbered, on=labels.columns, how="left", nulls_equal=True, maintain_order="left")
    return dict(joined.select(CELL, "reference").iter_rows())


def _fits(name: str, value: object) -> pl.Expr:
    """Say which labels are a value; periods may be given as text, date or time."""
    if name != PERIOD:
        return pl.col(name).eq_missing(pl.lit(value))
    text = str(value).replace("T", " ")[:16]
    return pl.col(name).dt.strftime("%Y-%m-%d %H:%M").str.starts_with(text)


def _shown(value: object) -> object:
    return value if not hasattr(value, "isoformat") else str(value)[:16]
