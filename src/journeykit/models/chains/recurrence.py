"""Chains that go on for ever: where they are in the long run, and how long from one state to another. D10.3."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from journeykit.mathematics.absorption import AbsorbingChain

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]
NO_CLASS = -1


@dataclass(frozen=True)
class EndlessChain:
    """Moves between states, none of which ends the walk; the arrays of `AbsorbingChain`."""

    source: Int64s
    target: Int64s
    probability: Floats
    states: int

    @classmethod
    def closed(cls, chain: AbsorbingChain, start: int | None) -> EndlessChain:
        """Let every end lead back to the start; without one, it stays where it is."""
        ends = np.arange(chain.states, chain.size)
        back = ends if start is None else np.full(ends.size, start)
        source, target = np.append(chain.source, ends), np.append(chain.target, back)
        return cls(source, target, np.append(chain.probability, np.ones(ends.size)), chain.size)

    @cached_property
    def classes(self) -> Int64s:
        """The recurrent class of every state, numbered by its first state; -1 for what is left for ever."""
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import connected_components

        real = self.probability > 0
        shape = (self.states, self.states)
        moves = csr_array((self.probability[real], (self.source[real], self.target[real])), shape=shape)
        count, label = connected_components(moves, connection="strong")
        closed = np.ones(count, np.bool_)
        closed[label[self.source[real]][label[self.source[real]] != label[self.target[real]]]] = False
        closed[label[np.bincount(self.source[real], minlength=self.states) == 0]] = False
        recurrent = closed[label]
        _, first, number = np.unique(label[recurrent], return_index=True, return_inverse=True)
        found = np.full(self.states, NO_CLASS)
        found[recurrent] = np.argsort(np.argsort(first))[number]
        return found.astype(np.int64)

    @cached_property
    def stationary(self) -> Floats:
        """How much of the time is spent in each state, per recurrent class; 0 where none is in the long run.

        From the expected visits between two visits of one state, for each class by itself.
        """
        found = np.zeros(self.states)
        for number in range(int(self.classes.max(initial=NO_CLASS)) + 1):
            members = np.flatnonzero(self.classes == number)
            chain, others = self._until(int(members[0]))
            visits = chain.visits_from(self._first_step(int(members[0]))[others])
            share = np.zeros(self.states)
            share[members[0]] = 1.0
            share[others] = visits
            found += np.where(self.classes == number, share / share.sum(), 0.0)
        return found

    def passage(self, target: int) -> Floats:
        """Return the expected moves from every state to the first arrival in `target`; from itself, to the return.

        NaN where the walk need not arrive.
        """
        chain, others = self._until(target)
        found = np.full(self.states, np.nan)
        found[others] = chain.steps
        first = self._first_step(target)
        onward = np.where(first[others] > 0, first[others] * chain.steps, 0.0)
        found[target] = first.sum() + onward.sum() if first.sum() > 0 else np.nan
        return found

    def _until(self, target: int) -> tuple[AbsorbingChain, Int64s]:
        """Return the chain that ends on arrival in one state, and the other states, in its order."""
        others = np.delete(np.arange(self.states), target)
        place = np.empty(self.states, np.int64)
        place[others], place[target] = np.arange(others.size), others.size
        leaving = self.source != target
        chain = AbsorbingChain(
            place[self.source[leaving]],
            place[self.target[leaving]],
            self.probability[leaving],
            others.size,
            1,
        )
        return chain, others

    def _first_step(self, state: int) -> Floats:
        own = self.source == state
        return np.bincount(self.target[own], self.probability[own], self.states).astype(np.float64)

    def after(self, start: Floats, steps: int) -> Floats:
        """Return the distribution over states that many moves after `start`."""
        for _ in range(steps):
            moved = np.bincount(self.target, start[self.source] * self.probability, self.states)
            start = moved.astype(np.float64)
        return start
