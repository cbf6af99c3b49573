"""Absorbing Markov chains: what becomes of who is in a state. DEFINITIONS D10.2, D10.3."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from journeykit.mathematics.linear_systems import LinearSystem

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class AbsorbingChain:
    """Moves between states, some of which end the walk.

    Attributes
    ----------
    source, target : numpy.ndarray of int64
        Of every edge; what is said twice adds up. Targets from `states` on are ends: ``states + k`` is the k-th.
    probability : numpy.ndarray of float64
        Of the target after the source; those of a state sum to 1, or are all 0 where nothing is known.
    states, ends : int
        How many there are.

    Notes
    -----
    Solved by a sparse LU factorisation of I - Q, made once, or with many states by iteration; see `LinearSystem`.
    Numbers are NaN for states from which a walk need not end: those that no path leads from to an end, and all that can
    get there.

    Examples
    --------
    A drunkard between home (the first end) and the bar:

    >>> walk = AbsorbingChain.of_counts([0, 0, 1, 1], [2, 1, 0, 3], [1, 1, 1, 1], states=2, ends=2)
    >>> walk.absorbed.round(4).tolist()
    [[0.6667, 0.3333], [0.3333, 0.6667]]
    >>> walk.steps.round(4).tolist()
    [2.0, 2.0]
    """

    source: Int64s
    target: Int64s
    probability: Floats
    states: int
    ends: int

    @classmethod
    def of_counts(
        cls, source: npt.ArrayLike, target: npt.ArrayLike, count: npt.ArrayLike, states: int, ends: int
    ) -> AbsorbingChain:
        """Divide the moves of every edge by those out of its source. D10.1."""
        source, target = np.asarray(source, np.int64), np.asarray(target, np.int64)
        count = np.asarray(count, np.float64)
        leaving = np.bincount(source, count, states)[source]
        with np.errstate(divide="ignore", invalid="ignore"):
            probability = np.where(count > 0, count / leaving, 0.0)
        return cls(source, target, probability, states, ends)

    @cached_property
    def ending(self) -> Bools:
        """Which states some walk leads from to an end."""
        certain = self.probability > 0
        return _leading(self.source[certain], self.target[certain], np.arange(self.size) >= self.states)[
            : self.states
        ]

    @cached_property
    def defined(self) -> Bools:
        """Which states every walk leads from to an end."""
        stuck = np.append(~self.ending, np.zeros(self.ends, np.bool_))
        certain = self.probability > 0
        return ~_leading(self.source[certain], self.target[certain], stuck)[: self.states]

    @cached_property
    def _reaching(self) -> Bools:
        """Which states some walk leads from to each end, states x ends."""
        source, target = (each[self.probability > 0] for each in (self.source, self.target))
        places = np.arange(self.size)
        found = [_leading(source, target, places == self.states + end) for end in range(self.ends)]
        return np.array(found, np.bool_).reshape(self.ends, self.size)[:, : self.states].T

    def surely(self, ends: Sequence[int]) -> Bools:
        """Tell from which states every walk ends in one of some ends: P = 1 there, whatever rounding says."""
        others = np.setdiff1d(np.arange(self.ends), ends)
        return self.defined & ~self._reaching[:, others].any(axis=1)

    @property
    def size(self) -> int:
        """How many states and ends there are."""
        return self.states + self.ends

    @cached_property
    def _place(self) -> Int64s:
        """Where each defined state stands in the system that is solved; -1 for others, and for ends."""
        place = np.full(self.size, -1, np.int64)
        place[: self.states][self.defined] = np.arange(int(self.defined.sum()))
        return place

    @cached_property
    def _system(self) -> LinearSystem | None:
        """The system I - Q over the states that are defined."""
        size = int(self.defined.sum())
        if size == 0:
            return None
        rows, columns = self._place[self.source], self._place[self.target]
        inner = (rows >= 0) & (columns >= 0)
        return LinearSystem(rows[inner], columns[inner], self.probability[inner], size)

    def solve(self, right: Floats) -> Floats:
        """Return x of ``x = right + Q x``: what is collected from each state on, if a visit collects `right`.

        Parameters
        ----------
        right : numpy.ndarray of float64, states or states x columns
            One row per state.

        Returns
        -------
        numpy.ndarray of float64
            In the same shape.
        """
        found = np.full(right.shape, np.nan)
        if self._system is not None:
            found[self.defined] = self._system.solve(right[self.defined])
        return found

    def visits_from(self, start: Floats) -> Floats:
        """Return how often each state is visited on average, the first visit included.

        Parameters
        ----------
        start : numpy.ndarray of float64, states
            With which probability a walk starts in each.

        Returns
        -------
        numpy.ndarray of float64, states
            A row of N = (I - Q)^-1 where `start` is a single state; 0 for states never reached. NaN everywhere if
            a walk from there need not end.
        """
        if self._system is None or (start[~self.defined] > 0).any():
            return np.full(self.states, np.nan)
        found = np.zeros(self.states)
        found[self.defined] = self._system.solve(start[self.defined], transposed=True)
        return np.maximum(found, 0.0)

    def after(self, value: Floats) -> Floats:
        """Return the mean of `value` (one per state and end) after one step from each state."""
        mean = np.bincount(self.source, self.probability * value[self.target], self.states)
        return mean.astype(np.float64)

    @cached_property
    def absorbed(self) -> Floats:
        """P(the walk ends in this end | now in this state), states x ends: B = N R."""
        found = np.clip(self._ends_and_steps[:, :-1], 0.0, 1.0)
        for end in range(self.ends):
            found[self.surely([end]), end] = 1.0
        return found

    @cached_property
    def steps(self) -> Floats:
        """Expected moves until the end, the last one included: t = N 1."""
        return self._ends_and_steps[:, -1].copy()

    @cached_property
    def _ends_and_steps(self) -> Floats:
        """Where walks end, and after how many moves, solved together."""
        collected = np.zeros((self.states, self.ends + 1))
        final = self.target >= self.states
        np.add.at(collected, (self.source[final], self.target[final] - self.states), self.probability[final])
        collected[:, -1] = 1.0
        return self.solve(collected)

    @cached_property
    def steps_variance(self) -> Floats:
        """The variance of these moves: (2N - I) t - t * t."""
        return np.maximum(2 * self.solve(self.steps) - self.steps - self.steps**2, 0.0)

    def steps_given(self, chance: Floats) -> Floats:
        """Return the expected moves of the walks that end as wanted, NaN where none does.

        Parameters
        ----------
        chance : numpy.ndarray of float64, states
            P(ends as wanted) from each state.

        Returns
        -------
        numpy.ndarray of float64, states
            The steps of `given`: of the moves p_ij h_j / h_i, N* 1 = (N h) / h.
        """
        chance = np.nan_to_num(chance)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(chance > 0, self.solve(chance) / chance, np.nan)

    def with_row(self, state: int, row: Floats) -> AbsorbingChain:
        """Return the chain with other probabilities out of one state.

        Parameters
        ----------
        state : int
            Whose.
        row : numpy.ndarray of float64, states + ends
            The new ones.

        Returns
        -------
        AbsorbingChain
            With as many states.
        """
        others, targets = self.source != state, np.flatnonzero(row)
        return AbsorbingChain(
            np.append(self.source[others], np.full(targets.size, state)),
            np.append(self.target[others], targets),
            np.append(self.probability[others], row[targets]),
            self.states,
            self.ends,
        )

    def row(self, state: int) -> Floats:
        """Return the probabilities out of one state, one per state and end."""
        own = self.source == state
        return np.bincount(self.target[own], self.probability[own], self.size).astype(np.float64)

    def given(self, chance: Floats) -> AbsorbingChain:
        """Return the chain of the walks that end as wanted: p*_ij = p_ij h_j / h_i (Doob).

        Parameters
        ----------
        chance : numpy.ndarray of float64, states + ends
            P(ends as wanted) from each state and end; states where it is 0 lose all moves.

        Returns
        -------
        AbsorbingChain
            With as many states and ends.
        """
        chance = np.nan_to_num(chance)
        with np.errstate(divide="ignore", invalid="ignore"):
            moved = self.probability * chance[self.target] / chance[self.source]
        possible = (chance[self.source] > 0) & (chance[self.target] > 0)
        return AbsorbingChain(
            self.source, self.target, np.where(possible, moved, 0.0), self.states, self.ends
        )


def _leading(source: Int64s, target: Int64s, marked: Bools) -> Bools:
    """Mark the states from which a marked one can be reached, those included, in O(edges)."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import breadth_first_order

    goals = np.flatnonzero(marked)
    size = marked.size
    rows = np.concatenate([target, np.full(goals.size, size)])
    columns = np.concatenate([source, goals])
    backward = csr_array((np.ones(rows.size), (rows, columns)), shape=(size + 1, size + 1))
    order = breadth_first_order(backward, size, return_predecessors=False)
    found = np.zeros(size + 1, np.bool_)
    found[order] = True
    return found[:size]
