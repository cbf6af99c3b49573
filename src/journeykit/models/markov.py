"""The Markov chain of journeys: what becomes of who is where. DEFINITIONS D10."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError, UndefinedError, UnknownNameError, listed
from journeykit.mathematics.absorption import AbsorbingChain
from journeykit.models import making
from journeykit.models.changes import as_changes, changed_fit
from journeykit.models.fitted import Estimate, Fit, Quantity, known_probability
from journeykit.models.making import Parts
from journeykit.models.recurrence import NO_CLASS, EndlessChain

if TYPE_CHECKING:
    import networkx as nx

    from journeykit.models.changes import Change
    from journeykit.models.hypotheses import ChiSquare

Floats = npt.NDArray[np.float64]
LARGEST_MATRIX = 2_000


@dataclass(frozen=True, eq=False, repr=False)
class MarkovChain:
    """A chain of states, in which the next one depends on the present one only.

    Made by `fit`, `from_counts`, `from_matrix`, or by ``journeys.measure(jk.Chain(goal)).model()``.

    Attributes
    ----------
    states : tuple of str
        Those that a walk leaves again, ``<START>`` first if there is one.
    ends : tuple of str
        Those that it does not leave: ``<CONVERT>`` and ``<ABANDON>``, goals by name, or absorbing states.
    goals : tuple of str
        The ends that are a success.
    start : str or None
        Where walks start.

    Notes
    -----
    Every table has the columns ``low`` and ``high``: the interval of the delete-a-group jackknife, which refits the
    chain without each group of users (D12.3); null where the moves are not known by group, or there are fewer than
    ten groups. A number is one sparse factorisation, its interval one per group.

    Assumes that all who are in a state are alike, however they came there. See `OrderSelection` for whether that holds.

    References
    ----------
    Kemeny & Snell 1960, Finite Markov Chains.

    Examples
    --------
    >>> chain = MarkovChain.fit([["view", "cart", "buy"], ["view"], ["cart", "view", "buy"]], goal="buy")
    >>> chain.conversion().select("state", pl.col("probability").round(4)).rows()
    [('<START>', 0.6667), ('cart', 0.8), ('view', 0.6)]
    >>> weather = MarkovChain.from_matrix([[0.9, 0.1], [0.5, 0.5]], ["sun", "rain"])
    >>> weather.stationary().select("state", pl.col("share").round(4)).rows()
    [('sun', 0.8333), ('rain', 0.1667)]
    """

    states: tuple[str, ...]
    ends: tuple[str, ...]
    goals: tuple[str, ...]
    start: str | None
    fitted: Fit

    @classmethod
    def fit(
        cls,
        data: Any,
        *,
        goal: str | Sequence[str] | Mapping[str, str | Sequence[str]] | None = None,
        counts: Sequence[float] | None = None,
        order: int = 1,
        collapse_repeats: bool = False,
        smoothing: float = 0.0,
        level: float = 0.95,
    ) -> MarkovChain:
        """Fit the chain to paths, to the answer of `Transitions`, or to that of `Chain`.

        Parameters
        ----------
        data : sequence of sequences of str, polars.Series, polars.DataFrame, TransitionGraph or ChainAnswer
            Paths; a frame has the column ``path``, and may have ``count`` and ``group``. An answer without segments.
        goal : str, sequence of str or mapping of str to these, optional
            Where paths are cut: any of these states is ``<CONVERT>``; by name, each is an end of its own. Paths
            without it end in ``<ABANDON>``. Without a goal, paths have neither start nor end.
        counts : sequence of float, optional
            How often each path occurs.
        order : int
            How many of the last states make up a state, such as ``a > b``. D4.3.
        collapse_repeats : bool
            Whether a run of one state is a single state.
        smoothing : float
            Added to the count of every move that is possible; for order 1. D10.1.
        level : float
            Of the intervals.

        Returns
        -------
        MarkovChain
            With p_ij = n_ij / n_i.

        Raises
        ------
        ParameterError
            If `data` is none of these, or a parameter has a value it cannot take.
        UnknownNameError
            If no path has a goal.
        """
        parts = making.fitted_parts(data, goal, counts, order, collapse_repeats, smoothing, level)
        return cls._of(parts)

    @classmethod
    def from_counts(
        cls,
        counts: pl.DataFrame | npt.ArrayLike,
        states: Sequence[str] | None = None,
        *,
        absorbing: Sequence[str] = (),
        start: str | None = None,
        goals: Sequence[str] | None = None,
        smoothing: float = 0.0,
        level: float = 0.95,
    ) -> MarkovChain:
        """Make the chain of counted moves.

        Parameters
        ----------
        counts : polars.DataFrame or array_like, states x states
            A frame has ``source``, ``target``, ``count``, and may have ``group`` (0 to 63) for intervals.
        states : sequence of str, optional
            The names of rows and columns; needed for an array.
        absorbing : sequence of str
            States that a walk does not leave, whatever moves out of them were counted.
        start : str, optional
            Where walks start.
        goals : sequence of str, optional
            The absorbing states that are a success; all of them by default.
        smoothing : float
            Added to every count. D10.1.
        level : float
            Of the intervals.

        Returns
        -------
        MarkovChain
            A state that only leads to itself is absorbing too.

        Raises
        ------
        ParameterError
            If a count is negative or not finite, or the shape does not fit the names.
        UndefinedError
            If nothing was seen to leave a state that is not absorbing.
        UnknownNameError
            If `absorbing`, `start` or `goals` is no state.
        """
        return cls._of(making.counted_parts(counts, states, absorbing, start, goals, smoothing, level))

    @classmethod
    def from_matrix(
        cls,
        matrix: npt.ArrayLike,
        states: Sequence[str],
        *,
        start: str | None = None,
        goals: Sequence[str] | None = None,
    ) -> MarkovChain:
        """Make the chain of known probabilities; states that lead to themselves for certain are absorbing.

        Parameters
        ----------
        matrix : array_like, states x states
            Every row sums to 1.
        states : sequence of str
            The names of rows and columns.
        start : str, optional
            Where walks start.
        goals : sequence of str, optional
            The absorbing states that are a success; all of them by default.

        Returns
        -------
        MarkovChain
            Without intervals.

        Raises
        ------
        ParameterError
            If a probability is not from 0 to 1, or a row does not sum to 1.
        """
        return cls._of(making.matrix_parts(matrix, states, start, goals))

    @classmethod
    def _of(cls, parts: Parts) -> MarkovChain:
        return cls(parts.states, parts.ends, parts.goals, parts.start, parts.fitted)

    def __repr__(self) -> str:
        ends = f"ends in {listed(self.ends)}" if self.ends else "never ends"
        start = "" if self.start is None else f", starts in {self.start!r}"
        moves = f"{self.fitted.edge_count.sum():,.0f} moves on {self.fitted.edge_source.size:,} edges"
        return f"MarkovChain: {len(self.states):,} states, {moves}{start}, {ends}"

    @property
    def names(self) -> tuple[str, ...]:
        """All states, ends last."""
        return (*self.states, *self.ends)

    def resampled(self, rng: int | np.random.Generator, draws: int = 999) -> MarkovChain:
        """Return the same chain, whose intervals are those of the bootstrap: groups drawn with replacement. D12.6.

        Parameters
        ----------
        rng : int or numpy.random.Generator
            Where chance comes from.
        draws : int
            How often.

        Returns
        -------
        MarkovChain
            The groups are those of users, or the paths themselves where it was fitted to up to 10,000 of them.
        """
        if not isinstance(draws, int) or draws < 1:
            raise ParameterError(f"draws must be a whole number from 1 on, not {draws!r}.")
        if not isinstance(rng, int | np.random.Generator) or isinstance(rng, bool):
            raise ParameterError(f"rng must be a whole number or a numpy Generator, not {rng!r}.")
        seed = rng if isinstance(rng, int) else int(rng.integers(1 << 62))
        return replace(self, fitted=replace(self.fitted, draws=draws, seed=seed))

    def edges(self) -> pl.DataFrame:
        """Return the probability of every move.

        Returns
        -------
        polars.DataFrame
            ``source``, ``target``, ``count``, ``leaving`` (moves out of the source), ``probability``, ``low``,
            ``high``; the most frequent first.
        """
        fitted = self.fitted
        users = self._users[fitted.edge_source]
        found = fitted.estimates({"p": Quantity(known_probability, "logit", users)})["p"]
        columns = self._pairs() | {"count": fitted.edge_count, "leaving": fitted.leaving[fitted.edge_source]}
        return _frame(columns, "probability", found).sort(
            "count", "source", "target", descending=[True, False, False]
        )

    def matrix(self) -> pl.DataFrame:
        """Return the probabilities as a square table: a column ``source``, then one per target.

        Raises
        ------
        ParameterError
            If there are more than 2,000 states.
        """
        if len(self.names) > LARGEST_MATRIX:
            raise ParameterError(
                f"a matrix of {len(self.names):,} states is larger than {LARGEST_MATRIX:,}. Use .edges()."
            )
        chain, size = self.fitted.chain, len(self.names)
        cells = np.zeros((size, size))
        np.add.at(cells, (chain.source, chain.target), chain.probability)
        for end in range(len(self.states), size):
            cells[end, end] = 1.0
        return pl.DataFrame({"source": self.names} | {name: cells[:, i] for i, name in enumerate(self.names)})

    def absorption(self) -> pl.DataFrame:
        """Return P(the walk ends there | now in state): B = N R.

        Returns
        -------
        polars.DataFrame
            ``state``, ``end``, ``probability``, ``low``, ``high``; states in their order.

        Raises
        ------
        UndefinedError
            If a walk from some state need not end.
        """
        self._check_ends()
        size = len(self.ends)
        users = np.repeat(self._users, size)
        quantity = Quantity(lambda chain: chain.absorbed.reshape(-1), "logit", users)
        found = self.fitted.estimates({"b": quantity})["b"]
        columns = {"state": np.repeat(self.states, size), "end": np.tile(self.ends, len(self.states))}
        return _frame(columns, "probability", found)

    def conversion(self) -> pl.DataFrame:
        """Return P(the walk ends in a goal | now in state).

        Returns
        -------
        polars.DataFrame
            ``state``, ``probability``, ``low``, ``high``; states in their order. From START of a chain of order 1
            whose paths all ended it is the share of paths that converted, exactly.

        Raises
        ------
        UndefinedError
            If there is no goal, or a walk from some state need not end.
        """
        self._check_goal()
        quantity = Quantity(self.converting, "logit", self._users)
        return _frame({"state": self.states}, "probability", self.fitted.estimates({"b": quantity})["b"])

    def converting(self, chain: AbsorbingChain) -> Floats:
        """Return P(goal) from every state of this chain, or of one with the same states."""
        return np.asarray(np.minimum(chain.absorbed[:, self._goal_places].sum(axis=1), 1.0))

    def steps(self) -> pl.DataFrame:
        """Return how many moves a walk makes until it ends, the last one included.

        Returns
        -------
        polars.DataFrame
            ``state``, ``steps`` with ``low`` and ``high``, ``variance`` with ``variance_low`` and
            ``variance_high``.

        Raises
        ------
        UndefinedError
            If a walk from some state need not end.
        """
        self._check_ends()
        quantities = {
            "steps": Quantity(lambda chain: chain.steps, "log", self._users),
            "variance": Quantity(lambda chain: chain.steps_variance, "log", self._users),
        }
        found = self.fitted.estimates(quantities)
        frame = _frame({"state": self.states}, "steps", found["steps"])
        ends = ("variance", "variance_low", "variance_high")
        columns = (pl.Series(n, v, nan_to_null=True) for n, v in zip(ends, found["variance"], strict=True))
        return frame.with_columns(*columns)

    def visits(self, start: str | None = None) -> pl.DataFrame:
        """Return how often a walk visits each state on average, the first visit included: a row of N.

        Parameters
        ----------
        start : str, optional
            Where walks start; the start of the chain by default.

        Returns
        -------
        polars.DataFrame
            ``state``, ``visits``, ``low``, ``high``.

        Raises
        ------
        ParameterError
            If the chain has no start and none is given.
        UndefinedError
            If a walk need not end.
        """
        self._check_ends()
        first = self._one(start)
        found = self.fitted.estimates(
            {"n": Quantity(lambda chain: chain.visits_from(first), "log", self._users)}
        )["n"]
        return _frame({"state": self.states}, "visits", found)

    def fundamental(self, source: str, target: str) -> float:
        """Return one entry of N = (I - Q)^-1: expected visits of `target` from `source` on, the first included."""
        self._check_ends()
        return float(self.fitted.chain.visits_from(self._one(source))[self._place(target)])

    def conditioned(self, goal: str | Sequence[str] | None = None) -> MarkovChain:
        """Return the chain of the walks that end in a goal: what converting journeys look like (Doob).

        Parameters
        ----------
        goal : str or sequence of str, optional
            The ends that are wanted; the goals by default, ``"<ABANDON>"`` for those that are lost.

        Returns
        -------
        MarkovChain
            With p*_ij = p_ij b_j / b_i, and intervals; moves that cannot lead there have probability 0.

        Raises
        ------
        UndefinedError
            If no walk ends there.
        """
        wanted = self.goals if goal is None else (goal,) if isinstance(goal, str) else tuple(goal)
        if goal is None:
            self._check_goal()
        self._check_ends()
        places = [self._end(name) for name in wanted]
        marks = np.zeros(len(self.ends))
        marks[places] = 1.0

        def change(chain: AbsorbingChain) -> AbsorbingChain:
            return chain.given(np.append(chain.absorbed[:, places].sum(axis=1), marks))

        first = self.fitted.chain.absorbed[:, places].sum(axis=1)
        begun = first if self.start is None else first[[self._place(self.start)]]
        if not (begun > 0).any():
            raise UndefinedError(f"no walk ends in {listed(wanted)}: there is nothing to look at.")
        return replace(self, goals=tuple(wanted), fitted=self.fitted.changed(change, absent=~(first > 0)))

    def changed(self, changes: Change | Sequence[Change]) -> MarkovChain:
        """Return the chain after changes of some moves, made one after the other. D10.3.

        Parameters
        ----------
        changes : Change or sequence of Change
            Which move, by how much, and where the others go.

        Returns
        -------
        MarkovChain
            With intervals that hold for the changed chain; its counts are those before.

        Raises
        ------
        ParameterError
            If a probability would leave [0, 1].
        UnknownNameError
            If there is no such state.
        UndefinedError
            If a share of a move that was never seen is to change.
        """
        return replace(self, fitted=changed_fit(self, as_changes(changes))[1])

    def leverage(self, instead: str = making.ABANDON) -> pl.DataFrame:
        """Return what a little more of each move is worth: N[START, i] (b_j - b_k).

        Parameters
        ----------
        instead : str
            From where the moves are taken, a state or an end.

        Returns
        -------
        polars.DataFrame
            ``source``, ``target``, ``probability``, ``leverage`` with ``low`` and ``high``: by how much P(convert)
            grows per unit of probability moved from `instead` to the target; the largest first.
        """
        self._check_goal()
        first, other = self._one(None), self._any(instead)
        marks = self._goal_marks

        def worth(chain: AbsorbingChain) -> Floats:
            chance = np.append(self.converting(chain), marks)
            return np.asarray(chain.visits_from(first)[chain.source] * (chance[chain.target] - chance[other]))

        users = self._users[self.fitted.edge_source]
        found = self.fitted.estimates({"l": Quantity(worth, "identity", users)})["l"]
        columns = self._pairs() | {"probability": self.fitted.chain.probability}
        return _frame(columns, "leverage", found).sort(
            "leverage", "source", "target", descending=[True, False, False], nulls_last=True
        )

    def stationary(self) -> pl.DataFrame:
        """Return the share of time spent in each state in the long run; ends lead back to the start, if there is one.

        Returns
        -------
        polars.DataFrame
            ``state``, ``recurrent_class`` (null for states that are left for ever), ``share``, ``low``, ``high``.
            Shares sum to 1 in each class.
        """
        users = np.append(self._users, np.full(len(self.ends), self._users.max(initial=0)))
        quantity = Quantity(lambda chain: self._closed(chain).stationary, "logit", users)
        found = self.fitted.estimates({"pi": quantity})["pi"]
        number = pl.Series("recurrent_class", self._closed(self.fitted.chain).classes)
        frame = _frame({"state": self.names, "recurrent_class": number}, "share", found)
        return frame.with_columns(pl.col("recurrent_class").replace(NO_CLASS, None))

    def first_passage(self, target: str | Sequence[str] | None = None) -> pl.DataFrame:
        """Return how many moves it takes on average to first arrive in a state; ends lead back to the start.

        Parameters
        ----------
        target : str or sequence of str, optional
            Where to; every state by default, which is one factorisation each.

        Returns
        -------
        polars.DataFrame
            ``source``, ``target``, ``steps``, ``low``, ``high``; null where it need not happen. From a state to
            itself it is 0, see `recurrence`.
        """
        wanted = self.names if target is None else (target,) if isinstance(target, str) else tuple(target)
        tables = [self._passage(name) for name in wanted]
        return pl.concat(tables)

    def _passage(self, target: str) -> pl.DataFrame:
        place, size = self._any(target), len(self.names)
        quantity = Quantity(lambda chain: self._closed(chain).passage(place), "log", 0)
        found = self.fitted.estimates({"m": quantity})["m"]
        found.value[place] = 0.0
        return _frame({"source": self.names, "target": [target] * size}, "steps", found)

    def recurrence(self) -> pl.DataFrame:
        """Return how many moves it takes on average to come back to each state: 1 / its stationary share.

        Returns
        -------
        polars.DataFrame
            ``state``, ``steps``, ``low``, ``high``; null for states that are left for ever.
        """

        def times(chain: AbsorbingChain) -> Floats:
            share = self._closed(chain).stationary
            return np.asarray(np.divide(1.0, share, out=np.full(share.size, np.nan), where=share > 0))

        found = self.fitted.estimates({"r": Quantity(times, "log", 0)})["r"]
        return _frame({"state": self.names}, "steps", found)

    def after(self, steps: int, start: str | None = None) -> pl.DataFrame:
        """Return where a walk is after so many moves; an end is not left.

        Returns
        -------
        polars.DataFrame
            ``state``, ``probability``, ``low``, ``high``.
        """
        if not isinstance(steps, int) or steps < 0:
            raise ParameterError(f"steps must be a whole number from 0 on, not {steps!r}.")
        first = np.append(self._one(start), np.zeros(len(self.ends)))
        users = np.append(self._users, np.full(len(self.ends), self._users.max(initial=0)))
        quantity = Quantity(
            lambda chain: EndlessChain.closed(chain, None).after(first, steps), "logit", users
        )
        return _frame({"state": self.names}, "probability", self.fitted.estimates({"p": quantity})["p"])

    def next_states(self, state: str, n: int | None = None) -> pl.DataFrame:
        """Return what comes next after a state, the most likely first.

        Parameters
        ----------
        state : str
            Of a chain of order k, the last k states: ``"view > cart"``.
        n : int, optional
            How many rows; all by default.

        Returns
        -------
        polars.DataFrame
            ``target``, ``count``, ``leaving``, ``probability``, ``low``, ``high``.
        """
        self._place(state)
        rows = self.edges().filter(source=state).drop("source")
        rows = rows.sort("probability", "target", descending=[True, False])
        return rows if n is None else rows.head(n)

    def log_likelihood(self) -> float:
        """Return the natural logarithm of the probability of all counted moves."""
        fitted = self.fitted
        seen = fitted.edge_count > 0
        return float((fitted.edge_count[seen] * np.log(fitted.chain.probability[seen])).sum())

    def reversibility(self) -> ChiSquare:
        """Test whether the chain runs backwards as it runs forwards: as many moves A to B as B to A.

        Returns
        -------
        ChiSquare
            Bowker's test of symmetry of the moves; paths are closed by joining their ends with the start. Takes moves
            as independent; those of one user are not quite, and p-values are too small then.
        """
        from journeykit.models.hypotheses import symmetry

        return symmetry(self.fitted, None if self.start is None else self._place(self.start))

    def to_networkx(self) -> nx.DiGraph[str]:
        """Return a directed graph that holds every number of this chain.

        Returns
        -------
        networkx.DiGraph
            Nodes with ``conversion``, ``steps``, ``visits``, ``share`` (stationary); edges with ``count``,
            ``probability``, ``leverage``, and for networkx' algorithms ``flow`` (expected moves per walk) and
            ``cost`` (-log probability). What the chain does not have is left out.
        """
        from journeykit.models.graphs import graph_of

        return graph_of(self)

    def centrality(self, kind: str = "betweenness") -> pl.DataFrame:
        """Return how central each state is in the graph of moves.

        Parameters
        ----------
        kind : {"betweenness", "closeness", "pagerank"}
            Betweenness and closeness take -log probability as distance, pagerank takes moves as weight.

        Returns
        -------
        polars.DataFrame
            ``state``, ``centrality``; the most central first.
        """
        from journeykit.models.graphs import centrality

        return centrality(self, kind)

    def communities(self, rng: int = 0) -> pl.DataFrame:
        """Return groups of states with many moves among them (Louvain, with moves as weight).

        Returns
        -------
        polars.DataFrame
            ``state``, ``community`` numbered from 0, the largest first.
        """
        from journeykit.models.graphs import communities

        return communities(self, rng)

    def bottleneck(self, target: str | None = None) -> pl.DataFrame:
        """Return the edges through which all who reach a goal must go, with the fewest moves: the minimum cut.

        Parameters
        ----------
        target : str, optional
            A state or end; by default the goal, of which there must be one.

        Returns
        -------
        polars.DataFrame
            ``source``, ``target``, ``flow``: expected moves per walk; their sum bounds what reaches the target.
        """
        from journeykit.models.graphs import bottleneck

        if target is None:
            self._check_goal()
            target = self.goals[0]
        self._any(target)
        return bottleneck(self, target)

    @property
    def _users(self) -> Floats:
        users = self.fitted.users
        return users if users.size == len(self.states) else np.zeros(len(self.states))

    @property
    def _goal_places(self) -> list[int]:
        return [self.ends.index(name) for name in self.goals]

    @property
    def _goal_marks(self) -> Floats:
        return np.array([name in self.goals for name in self.ends], np.float64)

    def _pairs(self) -> dict[str, Any]:
        names = pl.Series(self.names, dtype=pl.String)
        sides = (("source", self.fitted.edge_source), ("target", self.fitted.edge_target))
        return {side: names.gather(places) for side, places in sides}

    def _closed(self, chain: AbsorbingChain) -> EndlessChain:
        return EndlessChain.closed(chain, None if self.start is None else self._place(self.start))

    def _place(self, state: str) -> int:
        if state not in self.states:
            raise UnknownNameError("state", [state], self.states, advice="")
        return self.states.index(state)

    def _end(self, end: str) -> int:
        if end not in self.ends:
            raise UnknownNameError("end", [end], self.ends, advice="")
        return self.ends.index(end)

    def _any(self, name: str) -> int:
        if name not in self.names:
            raise UnknownNameError("state", [name], self.names, advice="")
        return self.names.index(name)

    def _one(self, start: str | None) -> Floats:
        """Return the distribution that is all in one state."""
        start = self.start if start is None else start
        if start is None:
            raise ParameterError(f"this chain has no start. Pass start= one of {listed(self.states)}.")
        first = np.zeros(len(self.states))
        first[self._place(start)] = 1.0
        return first

    def _check_ends(self) -> None:
        """Refuse a chain that a walk need not leave. D10.2."""
        if not self.ends:
            raise UndefinedError("this chain has no absorbing state: no walk in it ends.")
        making.refuse_endless(self.fitted, self.states)

    def _check_goal(self) -> None:
        self._check_ends()
        if not self.goals:
            raise UndefinedError(f"this chain has no goal among its ends {listed(self.ends)}.")


def _frame(columns: Mapping[str, Any], name: str, found: Estimate) -> pl.DataFrame:
    """Put an estimate beside what it is of, null where undefined."""
    frame = pl.DataFrame(dict(columns))
    return frame.with_columns(
        pl.Series(label, numbers, nan_to_null=True)
        for label, numbers in ((name, found.value), ("low", found.low), ("high", found.high))
    )
