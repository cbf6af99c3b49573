"""The answer to Flow: its edges, its states by step, and how much of all they show. DEFINITIONS D8.3, D8.4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.patterns.matchers import Of
from journeykit.protocol import CELL, GROUP, Context, Tables, sum_rows
from journeykit.statistics.base import (
    UNITS_TABLE,
    Answer,
    Grouped,
    groups_of_rows,
    groups_per_cell,
    place_of,
    seconds,
    with_floats,
    with_rate,
)
from journeykit.statistics.distribution import Distribution
from journeykit.statistics.paths.walk import END, OTHER, START, all_names, lost_note
from journeykit.support.shares import percent

if TYPE_CHECKING:
    from journeykit.statistics.paths.flow import Flow

EDGE = ("step", "source", "target")
NODE = ("step", "state")
RANKS = ([START, OTHER, END], [-1, 2, 1])


@dataclass(frozen=True, eq=False, repr=False)
class FlowTable(Answer):
    """The moves between the steps of paths.

    Attributes
    ----------
    frame : polars.DataFrame
        One row per edge: ``step`` of its source, from 1; ``source``, ``target``; ``paths`` that take it, distinct
        ``users``, ``source_paths`` (paths in the source at that step), ``probability`` with ``low`` and ``high``,
        ``time_mean`` in seconds (null to END), and percentiles of the time if asked for.
    nodes : polars.DataFrame
        One row per step and state, before edges are left out: ``paths`` and ``users`` in it, paths that ``continued``
        to another state or ``dropped`` (ended there), and the share that did, ``drop_off``, with ``drop_off_low`` and
        ``drop_off_high``. The rest stands at the last step shown, or is open.
    covered : polars.DataFrame
        Per segment: ``paths`` and ``users`` that flow, ``paths_without_anchor``, paths that are ``longer`` than what is
        shown, ``open`` ones, ``moves`` between their steps (to END too), and ``shown_share`` of these moves. D0.5.
    """

    nodes: pl.DataFrame
    covered: pl.DataFrame

    shown: ClassVar[Sequence[str]] = (*EDGE, "paths", "users", "probability", "low", "high", "time_mean")


def top_nodes(
    edges: pl.DataFrame, top: int, columns: int, of: Of, context: Context
) -> tuple[npt.NDArray[np.int64], int]:
    """Return the keys of the states with the most paths at every step, and how many others there are."""
    names = all_names(of, context)
    inner = edges.filter(pl.col("source") == len(names) - 1, pl.col("target") < len(names) - 3)
    nodes = sum_rows(inner.select(CELL, "step", "target", "paths"), [CELL, "step", "target"])
    rank = names.rank("ordinal").gather(nodes["target"]).alias("rank")
    first = nodes.with_columns(rank).sort(CELL, "step", -pl.col("paths"), "rank")
    kept = first.group_by(CELL, "step", maintain_order=True).head(top)
    cell, step, state = (kept[name].to_numpy().astype(np.int64) for name in (CELL, "step", "target"))
    return np.sort((cell * columns + step) * len(names) + state), nodes.height - kept.height


def flow_table(statistic: Flow, tables: Tables, context: Context) -> FlowTable:
    """Turn the summed tables of Flow into its answer."""
    names = all_names(statistic.of, context)
    counted = _named(tables["edges"], names)
    edges = counted.filter(pl.col("source") != END)
    inside = counted.filter(pl.col("source") == END).with_columns(pl.col("step") + 1)
    nodes = Grouped(inside.drop("source").rename({"target": "state"}), NODE)
    every = _edges(statistic, edges, nodes, tables, context)
    if statistic.quantiles:
        every = _with_quantiles(statistic, every, _named(tables["gaps"], names), tables, context)
    left = every if statistic.drop_off else every.filter(pl.col("target") != END)
    shown = _within(statistic, left)
    covered = _covered(every, shown, tables)
    notes = _notes(statistic, covered, left.height - shown.height, tables)
    context = replace(context, notes=(*context.notes, *notes))
    return FlowTable(
        context.label(_sorted(statistic, shown)),
        statistic,
        context,
        context.label(_nodes(statistic, edges, nodes, tables, context)),
        context.label(covered),
    )


def _named(table: pl.DataFrame, names: pl.Series) -> pl.DataFrame:
    return table.with_columns(
        pl.col("step").cast(pl.Int64),
        names.gather(table["source"]).alias("source"),
        names.gather(table["target"]).alias("target"),
    )


def _nodes(
    statistic: Flow, edges: pl.DataFrame, nodes: Grouped, tables: Tables, context: Context
) -> pl.DataFrame:
    """Count where the paths in every state at every step go on to."""
    ends = pl.col("paths") * (pl.col("target") == END)
    left = edges.rename({"source": "state"})
    left = left.select(CELL, GROUP, *NODE, continued=pl.col("paths") - ends, dropped=ends)
    none = nodes.frame.select(CELL, GROUP, *NODE, continued=pl.lit(0, pl.Int64), dropped=pl.lit(0, pl.Int64))
    leaving = Grouped(sum_rows(pl.concat([none, left]), [CELL, GROUP, *NODE]), NODE)
    whole = nodes.totals.select(CELL, *NODE, "paths", "users")
    frame = whole.with_columns(leaving.totals["continued"], leaving.totals["dropped"])
    frame = with_rate(
        frame,
        "drop_off",
        leaving.sums("dropped"),
        nodes.sums("paths"),
        np.arange(frame.height),
        groups_per_cell(tables),
        frame["users"],
        context,
        once=statistic.unit == "user",
    )
    kind = pl.col("state").replace_strict(*RANKS, default=0)
    return frame.sort(CELL, "step", kind, -pl.col("paths"), "state")


def _edges(
    statistic: Flow, edges: pl.DataFrame, arrivals: Grouped, tables: Tables, context: Context
) -> pl.DataFrame:
    by_edge = Grouped(edges, EDGE)
    frame = by_edge.totals
    rows = place_of(frame.rename({"source": "state"}), arrivals.totals, [CELL, *NODE])
    source = arrivals.totals[rows]
    frame = frame.with_columns(source["paths"].alias("source_paths"))
    frame = with_rate(
        frame,
        "probability",
        by_edge.sums("paths"),
        arrivals.sums("paths"),
        rows,
        groups_per_cell(tables),
        source["users"],
        context,
        bounds=("low", "high"),
        once=statistic.unit == "user",
    )
    frame = seconds(frame, {"time_mean": pl.col("time_sum") / pl.col("paths")}).drop("time_sum")
    timed = pl.when(pl.col("target") != END).then("time_mean").alias("time_mean")
    return frame.with_columns(timed)


def _with_quantiles(
    statistic: Flow, frame: pl.DataFrame, gaps: pl.DataFrame, tables: Tables, context: Context
) -> pl.DataFrame:
    """Add percentiles of the time per edge with Woodruff intervals. D12.5."""
    times = Distribution.of(frame.height, place_of(gaps, frame, [CELL, *EDGE]), gaps, "gap")
    present = groups_per_cell(tables)
    groups = groups_of_rows(frame[CELL], present)
    columns = times.percentiles(statistic.quantiles, "time", groups, context.level, frame["users"])
    return with_floats(frame, columns)


def _within(statistic: Flow, edges: pl.DataFrame) -> pl.DataFrame:
    """Leave out edges that are too light, too heavy, or more than the limit. D8.4."""
    weight = pl.col(statistic.weight)
    if statistic.min_weight is not None:
        edges = edges.filter(weight >= statistic.min_weight)
    if statistic.max_weight is not None:
        edges = edges.filter(weight <= statistic.max_weight)
    if statistic.edge_limit is None:
        return edges
    heaviest = _by_weight(statistic, edges).group_by(CELL, maintain_order=True).head(statistic.edge_limit)
    if statistic.min_weight is not None or statistic.max_weight is not None:
        return heaviest
    return _reachable(heaviest)


def _reachable(edges: pl.DataFrame) -> pl.DataFrame:
    """Leave out the edges that no way of edges leads to from step 1."""
    source = [CELL, "step", "source"]
    kept = [edges.filter(pl.col("step") == 1)]
    for step in range(2, int(edges["step"].max() or 0) + 1):  # type: ignore[arg-type]
        reached = kept[-1].select(CELL, pl.col("step") + 1, pl.col("target").alias("source")).unique()
        kept.append(edges.filter(pl.col("step") == step).join(reached, on=source, how="semi"))
    return pl.concat(kept)


def _by_weight(statistic: Flow, edges: pl.DataFrame) -> pl.DataFrame:
    texts = [pl.format("{}_{}", pl.col("step") + i, side) for i, side in enumerate(("source", "target"))]
    return edges.sort(CELL, -pl.col(statistic.weight), *texts)


def _sorted(statistic: Flow, edges: pl.DataFrame) -> pl.DataFrame:
    if statistic.sort == "weight":
        return _by_weight(statistic, edges)
    kind, other = (pl.col(side).replace_strict(*RANKS, default=0) for side in ("target", "source"))
    return edges.sort(CELL, "step", kind, -pl.col(statistic.weight), other, "source", "target")


def _covered(every: pl.DataFrame, shown: pl.DataFrame, tables: Tables) -> pl.DataFrame:
    """Count the paths that flow per cell, and how much of their moves is shown. D0.5."""
    units = sum_rows(tables[UNITS_TABLE], [CELL]).rename({"lost": "paths_without_anchor"}).sort(CELL)
    units = units.select(CELL, "paths", "users", "paths_without_anchor", "longer", "open")
    for name, edges in (("moves", every), ("seen", shown)):
        moves = sum_rows(edges.select(CELL, pl.col("paths").alias(name)), [CELL])
        units = units.join(moves, on=CELL, how="left", maintain_order="left")
    units = units.with_columns(pl.col("moves", "seen").fill_null(0))
    share = pl.when(pl.col("moves") > 0).then(pl.col("seen") / pl.col("moves")).alias("shown_share")
    return units.with_columns(share).drop("seen")


def _notes(statistic: Flow, covered: pl.DataFrame, left_out: int, tables: Tables) -> tuple[str, ...]:
    moves = int(covered["moves"].sum())
    notes = lost_note(tables[UNITS_TABLE], "the anchors")
    if moves:
        seen = round(float((covered["shown_share"] * covered["moves"]).sum()))
        notes += (f"{seen:,} of {moves:,} moves ({percent(seen / moves)}) are shown.",)
    if left_out:
        notes += (f"{left_out:,} edges outside edge_limit, min_weight, max_weight are left out.",)
    longer, still = int(covered["longer"].sum()), int(covered["open"].sum())
    if longer:
        notes += (f"{longer:,} paths are longer than max_steps={statistic.max_steps}.",)
    return (*notes, f"{still:,} paths are still open: they have no END.") if still else notes
