"""The Markov chain of journeys: what becomes of who is where. DEFINITIONS D10."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
import polars as pl

from journeykit.models.chains import making
from journeykit.models.chains.ending import EndingWalks
from journeykit.models.chains.long_run import LongRun
from journeykit.models.chains.making import Parts

if TYPE_CHECKING:
    import networkx as nx


@dataclass(frozen=True, eq=False, repr=False)
class MarkovChain(EndingWalks, LongRun):
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

    def to_networkx(self) -> nx.DiGraph[str]:
        """Return a directed graph that holds every number of this chain.

        Returns
        -------
        networkx.DiGraph
            Nodes with ``conversion``, ``steps``, ``visits``, ``share`` (stationary); edges with ``count``,
            ``probability``, ``leverage``, and for networkx' algorithms ``flow`` (expected moves per walk) and
            ``cost`` (-log probability). What the chain does not have is left out.
        """
        from journeykit.models.chains.graphs import graph_of

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
        from journeykit.models.chains.graphs import centrality

        return centrality(self, kind)

    def communities(self, rng: int = 0) -> pl.DataFrame:
        """Return groups of states with many moves among them (Louvain, with moves as weight).

        Returns
        -------
        polars.DataFrame
            ``state``, ``community`` numbered from 0, the largest first.
        """
        from journeykit.models.chains.graphs import communities

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
        from journeykit.models.chains.graphs import bottleneck

        if target is None:
            self._check_goal()
            target = self.goals[0]
        self._any(target)
        return bottleneck(self, target)
