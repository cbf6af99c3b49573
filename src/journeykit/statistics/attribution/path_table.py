"""Tables of paths with counts, as other tools keep them, in place of journeys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from journeykit.errors import ParameterError, suggestion
from journeykit.protocol import Context
from journeykit.statistics.attribution.models import BY_CHAIN
from journeykit.statistics.attribution.tally import Floats, PathColumns

if TYPE_CHECKING:
    from journeykit.statistics.attribution.attribution import Attribution


def path_context() -> Context:
    """Return where numbers from a table come from."""
    note = "A table of paths has no users: there are no intervals."
    return Context(
        names=pl.Series([], dtype=pl.String), stages=(), labels=pl.DataFrame([{}]), observed_from=0,
        observed_until=0, tz="UTC", n_users=0, n_sessions=0, n_events=0, tied_pairs=0, notes=(note,),
    )  # fmt: skip


def path_columns(
    paths: Any, statistic: Attribution, conversions: str, nulls: str | None, separator: str
) -> PathColumns:
    """Read and check the columns of a table of paths."""
    frame = paths if isinstance(paths, pl.DataFrame) else pl.DataFrame(paths)
    if "time_decay" in statistic.models:
        raise ParameterError("time_decay needs the times of touches, which a table of paths does not have.")
    if BY_CHAIN in statistic.models and nulls is None:
        raise ParameterError(
            "markov needs the paths that did not convert too. Pass nulls=<column>, or leave markov out of models."
        )
    for name in (statistic.channel, conversions, nulls, statistic.value):
        if name is not None and name not in frame.columns:
            raise ParameterError(
                f"no column {name!r} in the table of paths. {suggestion(name, frame.columns)}"
            )
    none = np.empty(0)
    return PathColumns(
        _split(frame[statistic.channel], separator),
        _counts(frame[conversions]),
        np.zeros(frame.height) if nulls is None else _counts(frame[nulls]),
        none if statistic.value is None else _numbers(frame[statistic.value]).fill_null(0.0).to_numpy(),
    )


def _split(paths: pl.Series, separator: str) -> pl.Series:
    """Return every path as a list of names; an empty text is a path without touches."""
    if isinstance(paths.dtype, pl.List):
        return paths.cast(pl.List(pl.String))
    if paths.dtype != pl.String or not separator:
        raise ParameterError(
            f"the paths in {paths.name!r} must be lists of names, or texts with a separator, not {paths.dtype}."
        )
    names = pl.element().str.strip_chars()
    return paths.str.split(separator).list.eval(names.filter(names != ""))


def _numbers(column: pl.Series) -> pl.Series:
    if not column.dtype.is_numeric():
        raise ParameterError(f"the column {column.name!r} must hold numbers, not {column.dtype}.")
    return column.cast(pl.Float64).fill_nan(None)


def _counts(column: pl.Series) -> Floats:
    numbers = _numbers(column)
    if numbers.null_count() or (numbers < 0).any():
        raise ParameterError(f"the column {column.name!r} must hold counts from 0 on, without nulls.")
    return numbers.to_numpy()
