"""The answer to Chain: edges, states and outcomes with their intervals, and the model behind them. DEFINITIONS D10."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import polars as pl

from journeykit.absorption import AbsorbingChain
from journeykit.errors import ParameterError, listed
from journeykit.models.fitted import Estimate, Floats, Quantity, known_probability
from journeykit.models.making import ABANDON, START, numbered
from journeykit.models.markov import MarkovChain
from journeykit.protocol import CELL, GROUP, Context, Tables
from journeykit.statistics.base import (
    UNITS_TABLE,
    Answer,
    Grouped,
    groups_per_cell,
    with_rate,
    with_wilson,
)

if TYPE_CHECKING:
    import networkx as nx

    from journeykit.models.chain import Chain


@dataclass(frozen=True, eq=False, repr=False)
class ChainAnswer(Answer):
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
    names = _state_names(statistic, context)
    moves = _named_moves(tables["moves"], statistic, names)
    states = _named_states(tables["states"], statistic, names)
    units = tables[UNITS_TABLE].filter(pl.col("paths") > 0)
    groups, order = groups_per_cell(tables, "paths"), _order_of(statistic, context)
    found = [_Cell(statistic, context)]
    cells = sorted(units[CELL].unique().to_list())
    for cell in cells:
        own = [table.filter(pl.col(CELL) == cell) for table in (moves, states, units)]
        found.append(_Cell(statistic, context, cell, own, groups.get(cell, 0), order))
    tables_of = {
        name: context.label(pl.concat([each.tables[name] for each in found]))
        for name in ("frame", "states", "absorption")
    }
    tables_of["outcomes"] = context.label(
        _observed(pl.concat([each.tables["outcomes"] for each in found]), statistic, units, groups, context)
    )
    notes = [note for each in found for note in each.notes]
    if statistic.unit == "user" and statistic.horizon is None and statistic.open_paths == "censor":
        notes.append("Without a horizon every path of a user counts as over.")
    still = int(units["open"].sum()) if units.height else 0
    if still:
        notes.append(f"{still:,} paths may still go on: they have no end here.")
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
    frame = with_rate(outcomes, "observed", won, closed, np.arange(outcomes.height), groups, users, context)
    if statistic.unit == "user":
        frame = with_wilson(frame, ("observed_low", "observed_high"), won.total, closed.total, context)
    first = ["observed", "observed_low", "observed_high"]
    before = outcomes.columns[: outcomes.columns.index("conversion")]
    return frame.select(*before, *first, pl.exclude(*before, *first))


def _state_names(statistic: Chain, context: Context) -> pl.Series:
    if statistic.of == "stage":
        return pl.Series(["", *context.stages], dtype=pl.String)
    return context.names.cast(pl.String).rechunk()


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


class _Cell:
    """The chain of one segment and its tables."""

    def __init__(
        self,
        statistic: Chain,
        context: Context,
        cell: int = 0,
        counted: Sequence[pl.DataFrame] | None = None,
        groups: int = 0,
        order: Mapping[str, int] | None = None,
    ) -> None:
        self.statistic, self.cell, self.level = statistic, cell, context.level
        moves, states, self.units = _nothing(statistic) if counted is None else counted
        self.visited = states.group_by("state").agg(pl.col("visits", "users").sum())
        rank = order or {}
        known = sorted(
            self.visited["state"].to_list(), key=lambda name: (name != START, rank.get(name, 0), name)
        )
        parts = numbered(
            moves, [*statistic.goals, ABANDON], list(statistic.goals), START,
            states=known, users=dict(self.visited.select("state", "users").iter_rows()), groups=groups,
            level=context.level, smoothing=statistic.smoothing if known else 0.0,
        )  # fmt: skip
        self.model = MarkovChain(parts.states, parts.ends, parts.goals, parts.start, parts.fitted)
        self.found = self._estimates()
        self.tables = {
            "frame": self._edges(),
            "states": self._states(),
            "absorption": self._absorption(),
            "outcomes": self._outcomes(),
        }
        if counted is None:
            self.tables = {name: table.clear() for name, table in self.tables.items()}

    @property
    def notes(self) -> list[str]:
        """Say where numbers are undefined."""
        endless = np.flatnonzero(~self.model.fitted.chain.ending)
        if endless.size == 0:
            return []
        stuck = [self.model.states[i] for i in endless]
        note = (
            f"Nobody who was in {listed(stuck)} was seen to leave for an end: what depends on it is null. Count open "
            f'paths as ended (open_paths="end"), or leave these states out.'
        )
        return [note]

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
        chance = np.append(self.model.converting(chain), self.model._goal_marks)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(chance[: chain.states] > 0, chain.given(chance).steps, np.nan)

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
