"""How far back journeys remember: chains of several orders against each other. DEFINITIONS D10.4, D10.5, D10.6."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import polars as pl

from journeykit.errors import ParameterError
from journeykit.journeys.journeys import Journeys
from journeykit.models.chains.memory import Memory
from journeykit.models.chains.path_counts import PathsLike, context_moves, listed_paths
from journeykit.models.chains.predictions import Predictions
from journeykit.paths import Unit
from journeykit.patterns.matchers import Of
from journeykit.protocol import CELL, Cells, Context, Tables
from journeykit.statistics.base import UNITS_TABLE, Answer, Statistic
from journeykit.statistics.checks import check_choices, check_states
from journeykit.statistics.goals import state_names
from journeykit.statistics.transitions.transitions import Transitions

TABLES = ("frame", "multi_order", "accuracy", "calibration")


@dataclass(frozen=True, eq=False, repr=False)
class OrderAnswer(Answer):
    """Chains of order 0 to the longest, by every criterion; none is picked.

    Attributes
    ----------
    frame : polars.DataFrame
        One row per order: ``symbols`` scored (the same for all orders), ``contexts`` seen, parameters
        ``parameters_full`` = m^k (m - 1) and ``parameters_seen`` = contexts (m - 1); ``log_likelihood``, ``aic``,
        ``bic``, and both with the seen parameters; ``likelihood_ratio`` against the order before, with
        ``degrees_of_freedom`` and ``p_value``; ``held_out``: mean log-likelihood per symbol, in nats, of users that the
        chain was not fitted to. D10.4.
    multi_order : polars.DataFrame
        One row per longest order K of a model that predicts every symbol by as many states as came before, at most K:
        ``log_likelihood``, ``degrees_of_freedom``, ``likelihood_ratio`` and ``p_value`` against K - 1, ``accepted``
        (p < 0.01, and so were all before). D10.5.
    accuracy : polars.DataFrame
        One row per order and k: ``correct`` of ``symbols`` of users left out were among the k likeliest: ``accuracy``.
    calibration : polars.DataFrame
        One row per order and tenth of predicted probability: ``predicted`` on average, ``observed`` share, of so many
        ``predictions``, for users left out. The two agree where probabilities can be taken at their word.

    Notes
    -----
    Users are left out by jackknife group: those with a group that 5 divides, about a fifth. Their next states are
    predicted from the other users: ``(n_ij + a q_j) / (n_i + a)`` with q of the next lower order, and the weight a that
    makes their own moves likeliest, each predicted from all others. Ranks of equal chances go by name.
    """

    multi_order: pl.DataFrame
    accuracy: pl.DataFrame
    calibration: pl.DataFrame

    shown: ClassVar[Sequence[str]] = (
        "order",
        "symbols",
        "contexts",
        "log_likelihood",
        "aic",
        "bic",
        "p_value",
        "held_out",
    )


@dataclass(frozen=True)
class OrderSelection(Statistic[OrderAnswer]):
    """Compare chains by how many of the last states they look at. D10.4, D10.5.

    Parameters
    ----------
    max_order : int
        The longest memory to try, from 1 to 6.
    of : {"event", "stage"}
        What a state is.
    unit : {"session", "user"}
        What a path is.
    include_end : bool
        Whether the end of a path is something to predict.
    collapse_repeats : bool
        Whether a run of one state is a single state.
    top : sequence of int
        For which k to ask how often the next state is among the k likeliest.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take.

    Notes
    -----
    All orders predict the same symbols: those with `max_order` states before them in the path. With few users the
    higher orders learn by heart; BIC and the held-out score tell, AIC and the likelihood ratio hardly do.

    The cost is that of ``Transitions(order=max_order)``.

    References
    ----------
    Singer et al. 2014, PLOS ONE 9(7); Scholtes 2017, KDD, arXiv:1702.05499.

    Examples
    --------
    >>> rain = OrderSelection(1).of_paths([["wet", "dry", "wet", "dry", "wet", "wet", "dry"]])
    >>> rain.frame.select("order", "symbols", "contexts", "parameters_seen").rows()
    [(0, 6, 1, 1), (1, 6, 2, 2)]
    """

    max_order: int = 3
    of: Of = "event"
    unit: Unit = "session"
    include_end: bool = False
    collapse_repeats: bool = False
    top: Sequence[int] = (1, 3, 5)

    LONGEST: ClassVar = 6

    def __post_init__(self) -> None:
        check_choices(self)
        if not isinstance(self.max_order, int) or not 1 <= self.max_order <= self.LONGEST:
            raise ParameterError(
                f"max_order must be a whole number from 1 to {self.LONGEST}, not {self.max_order!r}."
            )
        top = (self.top,) if isinstance(self.top, int) else tuple(self.top)
        if not top or not all(isinstance(k, int) and k >= 1 for k in top):
            raise ParameterError(f"top must be whole numbers from 1 on, not {self.top!r}.")
        object.__setattr__(self, "top", tuple(sorted(set(top))))

    @property
    def moves(self) -> Transitions:
        """The question whose counts this one takes."""
        return Transitions(
            of=self.of, unit=self.unit, order=self.max_order, collapse_repeats=self.collapse_repeats
        )

    @property
    def contexts(self) -> tuple[str, ...]:
        """The key columns of a context, oldest first."""
        return self.moves.sources if self.max_order > 1 else ("source",)

    @property
    def tables(self) -> Mapping[str, Sequence[str]]:  # type: ignore[override]
        """The tables of a tally."""
        return {"moves": (*self.contexts, "target"), UNITS_TABLE: ()}

    def check(self, context: Context) -> None:
        """Refuse stages that were not assigned."""
        check_states(self.of, context)

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count what follows every context in one shard."""
        tables = self.moves.tally(shard, cells)
        moves = tables["moves"].select(CELL, *self.contexts, "target", "transitions")
        return {"moves": moves, UNITS_TABLE: tables[UNITS_TABLE]}

    def answer(self, tables: Tables, context: Context) -> OrderAnswer:
        """Score every order."""
        names = state_names(self.of, context).fill_null("")
        start, end = len(names), len(names) + 1
        rank = np.append(names.rank("ordinal").to_numpy().astype(np.int64), [0, len(names) + 1])
        moves = tables["moves"].rename({old: f"source_{i}" for i, old in enumerate(self.contexts, start=1)})
        nothing = pl.when(pl.col("^source_.*$") != start).then(pl.col("^source_.*$"))
        moves = moves.with_columns(nothing)
        if not self.include_end:
            moves = moves.filter(pl.col("target") != end)
        cells = sorted(tables[UNITS_TABLE].filter(pl.col("paths") > 0)[CELL].unique().to_list())
        scored = {
            cell: self._scored(moves.filter(pl.col(CELL) == cell), rank, context.level) for cell in cells
        }
        empty = self._scored(moves.clear(), rank, context.level)
        return self._labelled(scored, empty, context)

    def of_paths(
        self, paths: PathsLike, counts: Sequence[float] | None = None, level: float = 0.95
    ) -> OrderAnswer:
        """Answer for paths that are given as lists of names.

        Parameters
        ----------
        paths : sequence of sequences of str, polars.Series or polars.DataFrame
            A frame has the column ``path``, and may have ``count`` and ``group`` (0 to 63).
        counts : sequence of float, optional
            How often each path occurs.
        level : float
            Of the intervals.

        Returns
        -------
        OrderAnswer
            As of journeys; nobody is held out where there is one group only.
        """
        listed = listed_paths(paths, counts)
        ends: dict[str, str] = {}
        moves = context_moves(
            listed, self.max_order, ends, "" if self.include_end else None, collapse=self.collapse_repeats
        )
        sources = [f"source_{i}" for i in range(1, self.max_order + 1)]
        names = pl.concat([moves.filter(~pl.col("end"))["target"], *(moves[name] for name in sources)])
        known = names.drop_nulls().unique().sort()
        codes = pl.int_range(len(known), dtype=pl.Int32, eager=True)
        coded = moves.with_columns(pl.col(*sources, "target").replace_strict(known, codes, default=None))
        final = pl.when("end").then(pl.lit(len(known) + 1, pl.Int32)).otherwise("target").alias("target")
        coded = coded.with_columns(final).rename({"count": "transitions"})
        rank = np.append(np.arange(1, len(known) + 1), [0, len(known) + 1])
        scored = {0: self._scored(coded, rank, level)}
        context = Context(known, (), pl.DataFrame([{}]), 0, 0, "UTC", 0, 0, 0, 0, level=level)
        return self._labelled(scored, scored[0], context)

    def _scored(self, moves: pl.DataFrame, rank: Any, level: float) -> dict[str, pl.DataFrame]:
        memory = Memory.of(moves, self.max_order)
        predictions = Predictions(memory, rank)
        return {
            "frame": memory.orders(),
            "multi_order": memory.multi_order(),
            "accuracy": predictions.accuracy(self.top, level),
            "calibration": predictions.calibration(),
        }

    def _labelled(
        self,
        scored: Mapping[int, Mapping[str, pl.DataFrame]],
        empty: Mapping[str, pl.DataFrame],
        context: Context,
    ) -> OrderAnswer:
        tables = {}
        for name in TABLES:
            parts = [
                own[name].select(pl.lit(cell, pl.Int32).alias(CELL), pl.all()) for cell, own in scored.items()
            ]
            none = empty[name].clear().select(pl.lit(0, pl.Int32).alias(CELL), pl.all())
            tables[name] = context.label(pl.concat([none, *parts]))
        notes = ["Held out: the users in every fifth group; the others predict for them."]
        return OrderAnswer(statistic=self, context=replace(context, notes=(*context.notes, *notes)), **tables)
