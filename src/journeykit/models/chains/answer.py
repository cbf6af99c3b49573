"""The answer to Chain: edges, states and outcomes with their intervals, and the model behind them. DEFINITIONS D10."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import polars as pl

from journeykit.errors import ParameterError
from journeykit.mathematics.absorption import AbsorbingChain
from journeykit.models.chains.fitted import Estimate, Floats, Quantity, known_probability
from journeykit.models.chains.making import START
from journeykit.models.chains.markov import MarkovChain
from journeykit.models.chains.segments import (
    SegmentChain,
    chain_notes,
    counted_paths,
    nothing_counted,
    segment_chains,
)
from journeykit.protocol import CELL, GROUP, Context, Tables
from journeykit.statistics.base import (
    Grouped,
    groups_per_cell,
    with_rate,
)
from journeykit.statistics.graph_files import GraphAnswer

if TYPE_CHECKING:
    import networkx as nx

    from journeykit.models.chains.chain import Chain


@dataclass(frozen=True, eq=False, repr=False)
class ChainAnswer(GraphAnswer):
    """A Markov chain of journeys, for every segment.

    Attributes
    ----------
    frame : polars.DataFrame
        One row per move: ``source``, ``target``, ``transitions``, ``leaving`` (all moves out of the source),
        ``probability`` with ``low`` and ``high``, and ``leverage`` with its interval: by how much P(convert) grows per
        unit of probability moved from giving up at the source to this target. The most frequent first.
    states : polars.DataFrame
        One row per state: ``visits``, ``users``, ``expected_visits`` per path, ``conversion`` (P(a goal | now here)),
        ``abandonment``, ``steps`` until the end and their ``steps_variance``, each with its interval.
    absorption : polars.DataFrame
        One row per state and end: ``probability`` that the path ends there, with its interval.
    outcomes : polars.DataFrame
        One row per segment: ``paths``, ``users``, ``converted``, ``abandoned``, ``open``; ``observed`` = converted /
        (converted + abandoned) beside the chain's ``conversion`` from START; the mean number of moves, observed and by
        the chain, of all closed paths, and of those that converted: where these two differ much, the chain forgets
        something that matters. With ``value``: its sum, and per conversion.

    Notes
    -----
    Numbers are null, and named in the notes, where a path need not end: where all who were seen in a state may still go
    on (D10.2). `model` refuses such a chain when it is asked for them.
    """

    states: pl.DataFrame
    absorption: pl.DataFrame
    outcomes: pl.DataFrame

    models: tuple[MarkovChain, ...]
    """The chain of every segment, in the order of `cells`."""

    cells: pl.DataFrame
    """The segment of every model."""

    parts: pl.DataFrame
    """The paths of every segment and jackknife group, and what became of them."""

    shown: ClassVar[Sequence[str]] = (
        "source",
        "target",
        "transitions",
        "leaving",
        "probability",
        "low",
        "high",
        "leverage",
    )

    def model(self, **segment: object) -> MarkovChain:
        """Return the chain of one segment.

        Parameters
        ----------
        **segment : object
            The value of each column of ``by=`` and ``every=``; none without segments.

        Returns
        -------
        MarkovChain
            With everything that can be asked of a chain.

        Raises
        ------
        ParameterError
            If it does not name exactly one segment.
        """
        columns = [name for name in self.cells.columns if name != CELL]
        unknown = [name for name in segment if name not in columns]
        if unknown:
            raise ParameterError.choice("segment", unknown[0], columns or ["no segment"])
        chosen = self.cells.with_row_index("place")
        for name, value in segment.items():
            chosen = chosen.filter(pl.col(name).eq_missing(pl.lit(value)))
        if chosen.height != 1:
            known = [
                dict(zip(columns, row, strict=True)) for row in self.cells.select(columns).head(8).rows()
            ]
            raise ParameterError(
                f"model takes one segment, and {chosen.height} of {self.cells.height} fit {segment!r}. "
                f"Available: {', '.join(str(each) for each in known)}."
            )
        return self.models[int(chosen["place"][0])]

    def to_networkx(self) -> nx.DiGraph[str]:
        """Return the chain as a directed graph with every number as attribute; see `MarkovChain.to_networkx`."""
        return self.model().to_networkx()


def chain_answer(statistic: Chain, tables: Tables, context: Context) -> ChainAnswer:
    """Turn the summed tables of Chain into its answer."""
    segments = segment_chains(statistic, tables, context)
    found = [_Cell(statistic, each) for each in (nothing_counted(statistic, context), *segments)]
    units = counted_paths(tables)
    groups = groups_per_cell(tables, "paths")
    cells = [each.cell for each in segments]
    tables_of = {
        name: context.label(pl.concat([each.tables[name] for each in found]))
        for name in ("frame", "states", "absorption")
    }
    tables_of["outcomes"] = context.label(
        _observed(pl.concat([each.tables["outcomes"] for each in found]), statistic, units, groups, context)
    )
    notes = chain_notes(statistic, segments, units)
    labelled = context.label(pl.DataFrame({CELL: pl.Series(cells, dtype=pl.Int32)}).with_columns(place=0))
    return ChainAnswer(
        statistic=statistic,
        context=replace(context, notes=(*context.notes, *notes)),
        models=tuple(each.model for each in found[1:]),
        cells=labelled.drop("place"),
        parts=units,
        **tables_of,
    )


def _observed(
    outcomes: pl.DataFrame, statistic: Chain, units: pl.DataFrame, groups: Mapping[int, int], context: Context
) -> pl.DataFrame:
    """Put the observed share of closed paths that converted before what the chain says of it. D12.2, D12.3."""
    parts = Grouped(units.with_columns(closed=pl.col("converted") + pl.col("abandoned")), ())
    won, closed = parts.sums("converted"), parts.sums("closed")
    users = outcomes["users"].to_numpy()
    rows, once = np.arange(outcomes.height), statistic.unit == "user"
    frame = with_rate(outcomes, "observed", won, closed, rows, groups, users, context, once=once)
    first = ["observed", "observed_low", "observed_high"]
    before = outcomes.columns[: outcomes.columns.index("conversion")]
    return frame.select(*before, *first, pl.exclude(*before, *first))


class _Cell:
    """The chain of one segment and its tables."""

    def __init__(self, statistic: Chain, segment: SegmentChain) -> None:
        self.statistic, self.cell, self.model = statistic, segment.cell, segment.model
        self.visited, self.units = segment.visited, segment.units
        self.found = self._estimates()
        self.tables = {
            "frame": self._edges(),
            "states": self._states(),
            "absorption": self._absorption(),
            "outcomes": self._outcomes(),
        }
        if segment.units.is_empty():
            self.tables = {name: table.clear() for name, table in self.tables.items()}

    def _estimates(self) -> dict[str, Estimate]:
        """Fit every number of the tables at once: one factorisation per replicate."""
        model, fitted = self.model, self.model.fitted
        users, edge_users = fitted.users, fitted.users[fitted.edge_source]
        start = np.array([float(name == START) for name in model.states])
        marks = model._goal_marks

        def leverage(chain: AbsorbingChain) -> Floats:
            chance = np.append(model.converting(chain), marks)
            return chain.visits_from(start)[chain.source] * chance[chain.target]

        quantities = {
            "probability": Quantity(known_probability, "logit", edge_users),
            "leverage": Quantity(leverage, "identity", edge_users),
            "conversion": Quantity(model.converting, "logit", users),
            "abandonment": Quantity(lambda chain: chain.absorbed[:, -1], "logit", users),
            "absorbed": Quantity(
                lambda chain: chain.absorbed.reshape(-1), "logit", np.repeat(users, len(model.ends))
            ),
            "expected_visits": Quantity(lambda chain: chain.visits_from(start), "log", users),
            "steps": Quantity(lambda chain: chain.steps, "log", users),
            "steps_variance": Quantity(lambda chain: chain.steps_variance, "log", users),
            "steps_converted": Quantity(self._steps_converted, "log", users),
        }
        return fitted.estimates(quantities)

    def _steps_converted(self, chain: AbsorbingChain) -> Floats:
        """Return the expected moves of the paths that convert, per state."""
        return chain.steps_given(self.model.converting(chain))

    def _edges(self) -> pl.DataFrame:
        model, fitted = self.model, self.model.fitted
        count = fitted.edge_count
        numbers = {"transitions": count, "leaving": fitted.leaving[fitted.edge_source]}
        columns: dict[str, Any] = model._pairs()
        columns |= {name: np.round(values).astype(np.int64) for name, values in numbers.items()}
        frame = _with(pl.DataFrame(columns), {"probability": ("low", "high"), "leverage": None}, self.found)
        return self._celled(frame).sort("transitions", "source", "target", descending=[True, False, False])

    def _states(self) -> pl.DataFrame:
        frame = pl.DataFrame({"state": pl.Series(self.model.states, dtype=pl.String)})
        frame = frame.join(self.visited, on="state", how="left", maintain_order="left")
        names = ("expected_visits", "conversion", "abandonment", "steps", "steps_variance")
        return self._celled(_with(frame, dict.fromkeys(names), self.found))

    def _absorption(self) -> pl.DataFrame:
        states, ends = self.model.states, self.model.ends
        frame = pl.DataFrame(
            {
                "state": pl.Series(np.repeat(np.array(states, object), len(ends)).tolist(), dtype=pl.String),
                "end": pl.Series([*ends] * len(states), dtype=pl.String),
            }
        )
        found = {"probability": self.found["absorbed"]}
        return self._celled(_with(frame, {"probability": ("low", "high")}, found))

    def _outcomes(self) -> pl.DataFrame:
        sums = self.units.select(pl.exclude(CELL, GROUP).sum())
        closed = pl.col("converted") + pl.col("abandoned")
        steps = pl.col("converted_steps") + pl.col("abandoned_steps")
        frame = sums.select(
            "paths", "users", "converted", "abandoned", "open",
        )  # fmt: skip
        first = {name: Estimate(*(numbers[:1] for numbers in each)) for name, each in self.found.items()}
        if not self.model.states:
            first = {name: Estimate(*(np.array([np.nan]),) * 3) for name in first}
        frame = _with(frame, {"conversion": None}, first)
        frame = frame.with_columns(
            sums.select(_ratio(steps, closed).alias("steps_observed"))["steps_observed"],
        )
        frame = _with(frame, {"steps": None}, first)
        mean = sums.select(_ratio(pl.col("converted_steps"), pl.col("converted")).alias("mean"))["mean"]
        frame = _with(
            frame.with_columns(mean.alias("steps_converted_observed")), {"steps_converted": None}, first
        )
        if self.statistic.value is not None:
            each = sums.select(_ratio(pl.col("value"), pl.col("converted")).alias("each"))["each"]
            frame = frame.with_columns(sums["value"], each.alias("value_per_conversion"))
        return self._celled(frame)

    def _celled(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.select(pl.lit(self.cell, pl.Int32).alias(CELL), pl.all())


def _ratio(top: pl.Expr, bottom: pl.Expr) -> pl.Expr:
    return pl.when(bottom > 0).then(top / bottom)


def _with(
    frame: pl.DataFrame, names: Mapping[str, tuple[str, str] | None], found: Mapping[str, Estimate]
) -> pl.DataFrame:
    """Add numbers and the ends of their intervals, null where undefined. D0.3."""
    columns = []
    for name, bounds in names.items():
        low, high = bounds or (f"{name}_low", f"{name}_high")
        for label, values in zip((name, low, high), found[name], strict=True):
            columns.append(pl.Series(label, values, dtype=pl.Float64, nan_to_null=True))
    return frame.with_columns(columns)
