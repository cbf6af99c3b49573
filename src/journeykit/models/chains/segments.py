"""The chain of every segment, from the summed tables of Chain. DEFINITIONS D10.1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from journeykit.errors import ParameterError, listed
from journeykit.models.chains.making import ABANDON, START, numbered
from journeykit.models.chains.markov import MarkovChain
from journeykit.protocol import CELL, GROUP, Context, Tables
from journeykit.statistics.base import UNITS_TABLE, groups_per_cell
from journeykit.statistics.goals import state_names

if TYPE_CHECKING:
    from journeykit.models.chains.chain import Chain


@dataclass(frozen=True, eq=False)
class SegmentChain:
    """The chain of one segment.

    Attributes
    ----------
    cell : int
        The number of the segment.
    model : MarkovChain
        Its chain.
    visited : polars.DataFrame
        ``state``, ``visits``, ``users``.
    units : polars.DataFrame
        The paths of each jackknife group, and what became of them.
    """

    cell: int
    model: MarkovChain
    visited: pl.DataFrame
    units: pl.DataFrame


def segment_chains(statistic: Chain, tables: Tables, context: Context) -> list[SegmentChain]:
    """Make the chain of every segment that has paths, in the order of cells."""
    names = state_names(statistic.of, context).fill_null("")
    moves = _named_moves(tables["moves"], statistic, names)
    states = _named_states(tables["states"], statistic, names)
    units = counted_paths(tables)
    groups, order = groups_per_cell(tables, "paths"), _order_of(statistic, context)
    found = []
    for cell in sorted(units[CELL].unique().to_list()):
        own = [table.filter(pl.col(CELL) == cell) for table in (moves, states, units)]
        found.append(_chain(statistic, context, cell, own, groups.get(cell, 0), order))
    return found


def counted_paths(tables: Tables) -> pl.DataFrame:
    """Return the paths of every segment and jackknife group that has any."""
    return tables[UNITS_TABLE].filter(pl.col("paths") > 0)


def chain_notes(statistic: Chain, segments: Sequence[SegmentChain], units: pl.DataFrame) -> list[str]:
    """Say where numbers are undefined, and what became of paths that may go on."""
    notes = []
    for segment in segments:
        endless = np.flatnonzero(~segment.model.fitted.chain.ending)
        if endless.size:
            stuck = [segment.model.states[i] for i in endless]
            notes.append(
                f"Nobody who was in {listed(stuck)} was seen to leave for an end: what depends on it is null. Count "
                f'open paths as ended (open_paths="end"), or leave these states out.'
            )
    if statistic.unit == "user" and statistic.horizon is None and statistic.open_paths == "censor":
        notes.append("Without a horizon every path of a user counts as over.")
    still = int(units["open"].sum()) if units.height else 0
    if still:
        notes.append(f"{still:,} paths may still go on: they have no end here.")
    return notes


def nothing_counted(statistic: Chain, context: Context) -> SegmentChain:
    """Return the chain of journeys without events."""
    return _chain(statistic, context, 0, _nothing(statistic), 0, {})


def _chain(
    statistic: Chain,
    context: Context,
    cell: int,
    counted: Sequence[pl.DataFrame],
    groups: int,
    rank: Mapping[str, int],
) -> SegmentChain:
    moves, states, units = counted
    visited = states.group_by("state").agg(pl.col("visits", "users").sum())
    known = sorted(visited["state"].to_list(), key=lambda name: (name != START, rank.get(name, 0), name))
    parts = numbered(
        moves, [*statistic.goals, ABANDON], list(statistic.goals), START,
        states=known, users=dict(visited.select("state", "users").iter_rows()), groups=groups,
        level=context.level, smoothing=statistic.smoothing if known else 0.0,
    )  # fmt: skip
    model = MarkovChain(parts.states, parts.ends, parts.goals, parts.start, parts.fitted)
    return SegmentChain(cell, model, visited, units)


def _order_of(statistic: Chain, context: Context) -> Mapping[str, int]:
    """Say where stages stand; events are sorted by name. D0.4."""
    return {name: i for i, name in enumerate(context.stages)} if statistic.of == "stage" else {}


def _named_moves(table: pl.DataFrame, statistic: Chain, names: pl.Series) -> pl.DataFrame:
    """Give the moves names: ``source``, ``target``, ``end``, ``count``, per cell and group."""
    goals = list(statistic.goals)
    ends = {-2: ABANDON} | {-3 - k: name for k, name in enumerate(goals)}
    sources = list(statistic.sources)
    target = pl.col("target")
    last = pl.when(target >= 0).then(target)
    onward = _tuple_name([pl.col(name) for name in sources[1:]] + [last], names)
    end = target.replace_strict(ends, default=None, return_dtype=pl.String)
    return table.select(
        CELL,
        GROUP,
        _tuple_name([pl.col(name) for name in sources], names).fill_null(START).alias("source"),
        pl.when(target < 0).then(end).otherwise(onward).alias("target"),
        (target < 0).alias("end"),
        pl.col("transitions").cast(pl.Float64).alias("count"),
    )


def _named_states(table: pl.DataFrame, statistic: Chain, names: pl.Series) -> pl.DataFrame:
    """Give the states names, and refuse tuples that read like another one, as ('a', 'b') and ('a > b',) do."""
    sources = [pl.col(name) for name in statistic.sources]
    named = table.with_columns(_tuple_name(sources, names).fill_null(START).alias("state"))
    tuples = named.select("state", *statistic.sources).unique()
    twice = tuples.filter(tuples["state"].is_duplicated())["state"].sort()
    if len(twice):
        raise ParameterError(
            f"order={statistic.order} cannot tell {len(twice):,} states apart, such as {twice[0]!r}: names in them "
            f"hold ' > '. Rename these events before reading, or pass order=1."
        )
    return named.drop(statistic.sources)


def _tuple_name(codes: Sequence[pl.Expr], names: pl.Series) -> pl.Expr:
    """Join the names of codes, null where all are null."""
    known = [
        pl.lit(names).gather(code.fill_null(0)) if len(names) else pl.lit(None, pl.String) for code in codes
    ]
    shown = [pl.when(code.is_not_null()).then(name) for code, name in zip(codes, known, strict=True)]
    nothing = pl.all_horizontal(code.is_null() for code in codes)
    return pl.when(~nothing).then(pl.concat_str(shown, separator=" > ", ignore_nulls=True))


def _nothing(statistic: Chain) -> list[pl.DataFrame]:
    """Return the tables of journeys without events."""
    counts = (
        "paths", "users", "converted", "abandoned", "open", "converted_steps", "abandoned_steps",
    )  # fmt: skip
    schema: dict[str, Any] = {CELL: pl.Int32, GROUP: pl.UInt8} | dict.fromkeys(counts, pl.Int64)
    schema |= {"value": pl.Float64} if statistic.value is not None else {}
    moves = {
        GROUP: pl.UInt8,
        "source": pl.String,
        "target": pl.String,
        "end": pl.Boolean,
        "count": pl.Float64,
    }
    states = {"state": pl.String, "visits": pl.Int64, "users": pl.Int64}
    return [pl.DataFrame(schema=moves), pl.DataFrame(schema=states), pl.DataFrame(schema=schema)]
