"""Counting moves in paths that are given as lists of names, not as a log. DEFINITIONS D4.3, D10.1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from journeykit.errors import MissingColumnError, ParameterError
from journeykit.protocol import GROUP

MOST_GROUPS = 10_000
RENAME = "Rename the column that holds it."
PathsLike: TypeAlias = Sequence[Sequence[str]] | pl.Series | pl.DataFrame


def listed_paths(paths: PathsLike, counts: Sequence[float] | None = None) -> pl.DataFrame:
    """Bring paths into one frame: ``path``, ``count``, ``group``.

    Parameters
    ----------
    paths : sequence of sequences of str, polars.Series or polars.DataFrame
        A frame has a column ``path`` of lists, and may have ``count`` and ``group``.
    counts : sequence of float, optional
        How often each path occurs; once by default. Without counts and groups, each path is a group of its own: they
        are taken as independent. With counts only, all are one group, and there are no intervals.

    Returns
    -------
    polars.DataFrame
        One row per path.

    Raises
    ------
    ParameterError
        If paths are not lists of texts, a count is negative or not finite, or their numbers differ.
    MissingColumnError
        If a frame has no column ``path``.
    """
    if isinstance(paths, pl.DataFrame):
        if "path" not in paths.columns:
            raise MissingColumnError("path", "path", paths.columns, RENAME)
        frame = paths.select("path", *(name for name in ("count", GROUP) if name in paths.columns))
    else:
        frame = pl.DataFrame({"path": _series(paths)})
    if frame.schema["path"] != pl.List(pl.String):
        raise ParameterError(f"paths must be lists of names, not {frame.schema['path']}.")
    if counts is not None:
        given = np.asarray(counts, np.float64).reshape(-1)
        if given.size != frame.height:
            raise ParameterError(f"there are {frame.height:,} paths and {given.size:,} counts.")
        frame = frame.with_columns(pl.Series("count", given))
    weighted = "count" in frame.columns
    if not weighted:
        frame = frame.with_columns(pl.lit(1.0).alias("count"))
    frame = frame.with_columns(pl.col("count").cast(pl.Float64))
    wrong = frame["count"].filter(~(frame["count"].is_finite() & (frame["count"] >= 0)).fill_null(False))
    if len(wrong):
        raise ParameterError(f"counts must be finite and not negative; {wrong[0]} is not.")
    if GROUP in frame.columns:
        return frame
    number = pl.lit(0, pl.Int64) if weighted else pl.int_range(frame.height, dtype=pl.Int64) % MOST_GROUPS
    return frame.with_columns(number.alias(GROUP))


def _series(paths: Any) -> pl.Series:
    if isinstance(paths, pl.Series):
        return paths
    if isinstance(paths, str) or any(isinstance(path, str) for path in paths):
        raise ParameterError("paths must be lists of names: a single path is a list with one list in it.")
    if not all(isinstance(path, Iterable) for path in paths):
        wrong = next(path for path in paths if not isinstance(path, Iterable))
        raise ParameterError(f"paths must be lists of names, and {wrong!r} is none.")
    listed = [list(path) for path in paths]
    for path in listed:
        for name in path:
            if not isinstance(name, str):
                raise ParameterError(f"paths must be lists of names, and {name!r} is no text.")
    return pl.Series("path", listed, dtype=pl.List(pl.String))


def context_moves(
    paths: pl.DataFrame,
    order: int,
    ends: Mapping[str, str] | None = None,
    otherwise: str | None = None,
    *,
    collapse: bool = False,
) -> pl.DataFrame:
    """Count what follows the last `order` states.

    Parameters
    ----------
    paths : polars.DataFrame
        Of `listed_paths`.
    order : int
        How many of the last states are looked at.
    ends : mapping of str to str, optional
        State -> name of the end that it stands for: a path is cut at its first such state. Without it, paths are
        not cut, and have neither start nor end.
    otherwise : str, optional
        The end of the paths that have none of these states; without it they have no end.
    collapse : bool
        Whether a run of one state is a single state.

    Returns
    -------
    polars.DataFrame
        ``group``, ``source_1`` ... ``source_k`` (oldest first; null where the path was shorter), ``target``,
        ``end`` (whether the target is one), ``count``.
    """
    events = (
        paths.with_row_index("number")
        .explode("path", empty_as_null=False, keep_nulls=False)
        .rename({"path": "target"})
    )
    if collapse:
        before = pl.col("target").shift(1).over("number")
        events = events.filter(pl.col("target").ne_missing(before))
    events = events.with_columns(pl.lit(value=False).alias("end"))
    if ends is not None:
        events = _cut(events, ends, otherwise)
    sources = [f"source_{i}" for i in range(1, order + 1)]
    events = events.with_columns(
        pl.col("target").shift(order - i).over("number").alias(name) for i, name in enumerate(sources)
    )
    if ends is None:
        events = events.filter(pl.col(sources[-1]).is_not_null())
    return events.group_by(GROUP, *sources, "target", "end", maintain_order=True).agg(pl.col("count").sum())


def _cut(events: pl.DataFrame, ends: Mapping[str, str], otherwise: str | None) -> pl.DataFrame:
    """Keep every path up to its first end, under the end's name."""
    goal = pl.col("target").is_in(list(ends))
    before = goal.cast(pl.Int64).cum_sum().over("number") - goal.cast(pl.Int64)
    cut = events.filter(before == 0).with_columns(goal.alias("end"))
    named = pl.col("target").replace(dict(ends)) if ends else pl.col("target")
    cut = cut.with_columns(pl.when("end").then(named).otherwise("target").alias("target"))
    if otherwise is None:
        return cut
    lost = cut.group_by("number", maintain_order=True).last().filter(~pl.col("end"))
    lost = lost.with_columns(pl.lit(otherwise).alias("target"), pl.lit(value=True).alias("end"))
    return pl.concat([cut, lost.select(cut.columns)])
