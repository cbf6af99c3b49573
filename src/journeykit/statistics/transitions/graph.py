"""The answer to Transitions: an edge table, a state table, a graph, a matrix. DEFINITIONS D4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import polars as pl

from journeykit.errors import ParameterError, UnknownNameError
from journeykit.protocol import CELL, GROUP, Context, Tables
from journeykit.statistics.base import (
    UNITS_TABLE,
    groups_of_rows,
    groups_per_cell,
    place_of,
    with_floats,
)
from journeykit.statistics.distribution import Distribution
from journeykit.statistics.goals import state_names
from journeykit.statistics.graph_files import GraphAnswer
from journeykit.statistics.transitions.numbers import Coded, Numbers

if TYPE_CHECKING:
    import networkx as nx

    from journeykit.statistics.transitions.transitions import Transitions

START, END = "<START>", "<END>"
LARGEST_MATRIX = 2_000


@dataclass(frozen=True, eq=False, repr=False)
class TransitionGraph(GraphAnswer):
    """Transitions between states, with START and END.

    Attributes
    ----------
    frame : polars.DataFrame
        One row per edge: ``source``, ``target``, ``transitions`` (not unique), distinct ``sessions`` and ``users``
        with the edge, ``probability`` of the target after the source with ``low`` and ``high``,
        ``probability_in``, ``share`` of all transitions, ``user_share`` of the users who have the source,
        ``lift`` over what the target's frequency alone would give, and times in seconds. D4.2.
    states : polars.DataFrame
        One row per state: ``visits``, ``sessions``, ``users``, ``entry_share`` of the paths that start with it
        and ``exit_rate`` of its visits that end a path, each with its interval.
    """

    states: pl.DataFrame

    shown: ClassVar[Sequence[str]] = (
        "source",
        "target",
        "transitions",
        "sessions",
        "users",
        "probability",
        "low",
        "high",
        "time_mean",
    )

    def matrix(self, value: str = "probability") -> pl.DataFrame:
        """Return one column of the edge table as a square table.

        Parameters
        ----------
        value : str
            A column of the frame.

        Returns
        -------
        polars.DataFrame
            First column ``source``, then one column per target; START first, END last; 0 where there is no edge.

        Raises
        ------
        ParameterError
            If there are segments or periods, more than 2,000 states, or no such column.
        """
        self._one_cell("matrix")
        if value not in self.frame.columns[2:]:
            raise ParameterError.choice("value", value, self.frame.columns[2:])
        names = self._in_order({*self.frame["source"], *self.frame["target"]})
        if len(names) > LARGEST_MATRIX:
            raise ParameterError(
                f"a matrix of {len(names):,} states is larger than {LARGEST_MATRIX:,}. "
                f"Use .frame, or .top(n) first."
            )
        place = {name: i for i, name in enumerate(names)}
        cells = np.zeros((len(names), len(names)))
        rows, columns = ([place[name] for name in self.frame[side]] for side in ("source", "target"))
        cells[rows, columns] = self.frame[value].fill_null(0).to_numpy()
        table = {"source": names} | {name: cells[:, i] for i, name in enumerate(names)}
        dtype = self.frame.schema[value]
        return pl.DataFrame(table).with_columns(pl.exclude("source").cast(dtype))

    def to_networkx(self) -> nx.DiGraph[str]:
        """Return a directed graph with the columns of both tables as attributes. D4.4.

        Returns
        -------
        networkx.DiGraph
            Nodes and edges in the order of the tables.
        """
        import networkx as nx

        self._one_cell("to_networkx")
        graph: nx.DiGraph[str] = nx.DiGraph()
        graph.add_node(START)
        for row in self.states.iter_rows(named=True):
            graph.add_node(row.pop("state"), **row)
        for row in self.frame.iter_rows(named=True):
            graph.add_edge(row.pop("source"), row.pop("target"), **row)
        return graph

    def top(self, n: int) -> TransitionGraph:
        """Keep the `n` edges with the most transitions per segment; probabilities stay as they are. D4.4."""
        labels = self.context.labels.columns
        frame = self.frame.group_by(labels, maintain_order=True).head(n) if labels else self.frame.head(n)
        shown = int(frame["transitions"].sum()), int(self.frame["transitions"].sum())
        return self._with(frame, f"{shown[0]:,} of {shown[1]:,} transitions are shown.")

    def filter(self, *, min_count: int = 1) -> TransitionGraph:
        """Keep edges with at least `min_count` transitions; probabilities stay as they are. D4.4."""
        frame = self.frame.filter(pl.col("transitions") >= min_count)
        shown = int(frame["transitions"].sum()), int(self.frame["transitions"].sum())
        return self._with(frame, f"{shown[0]:,} of {shown[1]:,} transitions are shown.")

    def conversion(self, goal: str | Sequence[str]) -> pl.DataFrame:
        """Return P(ever a goal | now in state), from the chain of these transitions. D10.3.

        Parameters
        ----------
        goal : str or sequence of str
            One state, or several of which any counts.

        Returns
        -------
        polars.DataFrame
            The segment columns, then ``state``, ``visits``, ``probability``, ``low``, ``high``: one row per
            state, START included, goals excluded, the most likely first.

        Raises
        ------
        UnknownNameError
            If a goal is not a state of this graph.

        Notes
        -----
        Assumes that the next state depends on the last one only (of order ``order``). One sparse solve, and
        one more per jackknife group.
        """
        from journeykit.statistics.transitions.absorption import conversion_by_state

        goals = (goal,) if isinstance(goal, str) else tuple(goal)
        known = set(self.frame["target"]) - {END}
        unknown = [name for name in goals if name not in known]
        if unknown:
            raise UnknownNameError("state", unknown, sorted(known), advice="")
        return self.context.label(conversion_by_state(self.edges, goals, self.context))

    edges: pl.DataFrame
    """Transitions by cell, jackknife group, source and target: what models are fitted to."""

    def _in_order(self, names: set[str]) -> list[str]:
        """Put START first and END last; stages stand in the order of the model, events in that of their names."""
        staged = getattr(self.statistic, "of", "event") == "stage"
        stages = {name: i for i, name in enumerate(self.context.stages)} if staged else {}
        return sorted(
            names, key=lambda name: (name != START, name == END, stages.get(name, len(stages)), name)
        )

    def _one_cell(self, what: str) -> None:
        if self.context.labels.width:
            raise ParameterError(
                f"{what} takes one segment, and this answer has {self.context.labels.height}. "
                f"Filter the journeys first, or measure without by= and every=."
            )

    def _with(self, frame: pl.DataFrame, note: str) -> TransitionGraph:
        from dataclasses import replace

        context = replace(self.context, notes=(*self.context.notes, note))
        return replace(self, frame=frame, context=context)


def graph_of(statistic: Transitions, tables: Tables, context: Context) -> TransitionGraph:
    """Turn the summed tables of Transitions into its answer."""
    coded = _coded(statistic, tables, context)
    numbers = Numbers(statistic, coded, tables, context)
    frame = numbers.edge_frame()
    if statistic.quantiles:
        frame = _with_quantiles(frame, statistic, tables, coded.names, context)
    edges, nodes = _ordered(frame, "transitions", coded), _ordered(numbers.state_frame(), "visits", coded)
    moves = coded.moves.select(CELL, GROUP, "source", "target", "transitions")
    return TransitionGraph(
        frame=context.label(_named(edges, coded.names)),
        statistic=statistic,
        context=context,
        states=context.label(_named(nodes, coded.names)),
        edges=_named(moves, coded.names),
    )


def _coded(statistic: Transitions, tables: Tables, context: Context) -> Coded:
    """Give every state a number, START and END the last two; tuples are numbered by their names."""
    names = _state_names(statistic, context)
    moves, states, units = (tables[name] for name in ("moves", "states", UNITS_TABLE))
    if statistic.order == 1:
        return Coded(moves, states, units, names)
    moves, states = (_labelled(table, statistic, names) for table in (moves, states))
    found = pl.concat([moves["source"], moves["target"], states["source"]]).unique()
    names = pl.concat([found.filter(~found.is_in([START, END])).sort(), pl.Series([START, END])])
    moves, states = (_numbered(table, names) for table in (moves, states))
    return Coded(moves, states, units, names)


def _numbered(table: pl.DataFrame, names: pl.Series) -> pl.DataFrame:
    """Replace names by numbers."""
    sides = [side for side in ("source", "target") if side in table.columns]
    return table.with_columns(pl.col(sides).replace_strict(names, _numbers(names)))


def _named(table: pl.DataFrame, names: pl.Series) -> pl.DataFrame:
    """Replace numbers by names."""
    sides = [side for side in ("source", "target", "state") if side in table.columns]
    return table.with_columns(names.gather(table[side]).alias(side) for side in sides)


def _state_names(statistic: Transitions, context: Context) -> pl.Series:
    """Return the name of every state number, then START and END."""
    return pl.concat([state_names(statistic.of, context).fill_null(""), pl.Series([START, END])])


def _labelled(table: pl.DataFrame, statistic: Transitions, names: pl.Series) -> pl.DataFrame:
    """Replace the numbers of tuples by names that read ``A > B``."""
    target = [pl.col("target").replace_strict(_numbers(names), names)] if "target" in table.columns else []
    named = table.with_columns(
        *(pl.col(key).replace_strict(_numbers(names), names, default=None) for key in statistic.sources),
        *target,
    )
    source = pl.concat_str(statistic.sources, separator=" > ", ignore_nulls=True)
    none = pl.all_horizontal(pl.col(statistic.sources).is_null())
    source = pl.when(none).then(pl.lit(START)).otherwise(source)
    _refuse_ambiguous(
        named.select(statistic.sources).unique().select(source.alias("source"))["source"], statistic
    )
    shown = [source.alias("source")]
    if target:
        last = [*statistic.sources[1:], "target"]
        tuple_name = pl.concat_str(last, separator=" > ", ignore_nulls=True)
        shown.append(pl.when(pl.col("target") == END).then(pl.lit(END)).otherwise(tuple_name).alias("target"))
    return named.select(CELL, GROUP, *shown, pl.exclude(CELL, GROUP, "target", *statistic.sources))


def _refuse_ambiguous(tuples: pl.Series, statistic: Transitions) -> None:
    """Refuse tuples that read like another one, as ('a', 'b') and ('a > b',) do."""
    twice = tuples.filter(tuples.is_duplicated()).unique().sort()
    if len(twice):
        raise ParameterError(
            f"order={statistic.order} cannot tell {len(twice):,} states apart, such as {twice[0]!r}: names in them "
            f"hold ' > '. Rename these events before reading, or pass order=1."
        )


def _numbers(names: pl.Series) -> pl.Series:
    return pl.int_range(len(names), dtype=pl.Int32, eager=True)


def _with_quantiles(
    frame: pl.DataFrame, statistic: Transitions, tables: Tables, names: pl.Series, context: Context
) -> pl.DataFrame:
    """Add percentiles of the time per edge with Woodruff intervals. D12.5."""
    gaps = tables["gaps"]
    if statistic.order > 1:
        gaps = _numbered(_labelled(gaps, statistic, _state_names(statistic, context)), names)
    things = place_of(gaps, frame, [CELL, "source", "target"])
    times = Distribution.of(frame.height, things, gaps, "gap")
    present = groups_per_cell(tables)
    groups = groups_of_rows(frame[CELL], present)
    columns = times.percentiles(statistic.quantiles, "time", groups, context.level, frame["users"])
    return with_floats(frame, columns)


def _ordered(frame: pl.DataFrame, value: str, coded: Coded) -> pl.DataFrame:
    """Sort by cell, value descending, then names: START first, END last. D0.4."""
    rank = coded.names.rank("ordinal").cast(pl.Int64).to_numpy().copy()
    rank[coded.start], rank[coded.end] = 0, rank.size + 1
    sides = [side for side in ("source", "target", "state") if side in frame.columns]
    by_name = [rank[frame[side].to_numpy()] for side in reversed(sides)]
    return frame[np.lexsort([*by_name, -frame[value].to_numpy(), frame[CELL].to_numpy()])]
