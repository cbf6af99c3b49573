"""Every move of one chain brought to the level of another, one at a time and exactly. DEFINITIONS D10.3, D15.6."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from journeykit.mathematics.absorption import AbsorbingChain
from journeykit.mathematics.intervals import GROUPS
from journeykit.models.chains.fitted import Floats
from journeykit.models.chains.making import ABANDON, START
from journeykit.models.chains.markov import MarkovChain

Int64s = npt.NDArray[np.int64]
COLUMNS_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class Levels:
    """A chain and its reference, over the states and moves of both.

    Attributes
    ----------
    own, reference : MarkovChain
        With the same ends. Without a reference, it is the pooled exit rate of the other states.
    """

    own: MarkovChain
    reference: MarkovChain | None

    @cached_property
    def states(self) -> tuple[str, ...]:
        """The states of both, those of the own chain first."""
        other = () if self.reference is None else self.reference.states
        return tuple(dict.fromkeys([*self.own.states, *other]))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The states and ends of both."""
        return (*self.states, *self.own.ends)

    @cached_property
    def _moves(self) -> tuple[Int64s, Int64s, list[Int64s]]:
        """The distinct moves of both chains, and for every row of each fit its move."""
        place = {name: i for i, name in enumerate(self.names)}
        size, keys = len(self.names), []
        for chain in self._chains:
            known = np.array([place[name] for name in chain.names], np.int64)
            keys.append(known[chain.fitted.source] * size + known[chain.fitted.target])
        distinct, row = np.unique(np.concatenate(keys), return_inverse=True)
        cut = np.cumsum([each.size for each in keys])[:-1]
        return distinct // size, distinct % size, np.split(row.astype(np.int64), cut)

    @property
    def _chains(self) -> list[MarkovChain]:
        return [self.own] if self.reference is None else [self.own, self.reference]

    @property
    def source(self) -> Int64s:
        """The source of every move."""
        return self._moves[0]

    @property
    def target(self) -> Int64s:
        """The target of every move."""
        return self._moves[1]

    @property
    def exits(self) -> npt.NDArray[np.bool_]:
        """Which moves give up."""
        return np.asarray(self.target == self.names.index(ABANDON))

    def counts(self, side: int, group: int | None = None) -> Floats:
        """Return the moves of the own chain (0) or of the reference (1), without a group."""
        fitted = self._chains[side].fitted
        kept = fitted.count if group is None else np.where(fitted.group % GROUPS == group, 0.0, fitted.count)
        row = self._moves[2][side]
        listed = np.bincount(row, minlength=self.source.size) > 0
        return np.asarray(np.bincount(row, kept, self.source.size) + fitted.smoothing * listed)

    def leaving(self, counts: Floats) -> Floats:
        """Return for every move how many leave its source."""
        return np.bincount(self.source, counts, len(self.states))[self.source].astype(np.float64)

    def shares(self, counts: Floats) -> Floats:
        """Return probabilities, NaN where nothing leaves the source."""
        leaving = self.leaving(counts)
        return np.asarray(np.divide(counts, leaving, out=np.full(counts.size, np.nan), where=leaving > 0))

    def wanted(self, group: int | None = None) -> Floats:
        """Return the level of every move; NaN where the reference has none."""
        if self.reference is not None:
            return self.shares(self.counts(1, group))
        counts = self.counts(0, group)
        leaving = self.leaving(counts)
        inner = self.source != (self.names.index(START) if START in self.names else -1)
        total, lost = counts[inner].sum(), counts[self.exits & inner].sum()
        with np.errstate(divide="ignore", invalid="ignore"):
            others = np.where(total > leaving, (lost - counts) / (total - leaving), np.nan)
        return np.where(self.exits & inner, others, np.nan)

    def solved(self, group: int | None, converting: Callable[[AbsorbingChain], Floats]) -> Solved:
        """Solve the chain without a group; moves out of states it was never in are those of the reference."""
        own, level = self.shares(self.counts(0, group)), self.wanted(group)
        filled = np.nan_to_num(np.where(np.isnan(own), level, own))
        chain = AbsorbingChain(self.source, self.target, filled, len(self.states), len(self.own.ends))
        return Solved(self, chain, own, level, converting)


@dataclass(frozen=True, eq=False)
class Solved:
    """One replicate: the chain, the level of each move, and what bringing a move there changes."""

    levels: Levels
    chain: AbsorbingChain
    own: Floats
    level: Floats
    converting: Callable[[AbsorbingChain], Floats]

    @cached_property
    def chance(self) -> Floats:
        """P(a goal) from every state and end."""
        marks = np.array([name in self.levels.own.goals for name in self.levels.own.ends], np.float64)
        return np.append(self.converting(self.chain), marks)

    @property
    def start(self) -> npt.NDArray[np.bool_]:
        """Where paths start."""
        return np.array([name == START for name in self.levels.states])

    @cached_property
    def visits(self) -> Floats:
        """Expected visits of a path, per state."""
        return self.chain.visits_from(self.start.astype(np.float64))

    @cached_property
    def _returns(self) -> tuple[Floats, Floats]:
        """N[target, source] of every move (0 for ends), and N[i, i] of every state, in blocks of columns."""
        source, target = self.chain.source, self.chain.target
        into, own = np.zeros(source.size), np.empty(self.chain.states)
        for first in range(0, self.chain.states, COLUMNS_AT_ONCE):
            columns = np.arange(first, min(first + COLUMNS_AT_ONCE, self.chain.states))
            right = np.zeros((self.chain.states, columns.size))
            right[columns, columns - first] = 1.0
            found = self.chain.solve(right)
            own[columns] = found[columns, columns - first]
            here = (source >= first) & (source <= columns[-1]) & (target < self.chain.states)
            into[here] = found[target[here], source[here] - first]
        return into, own

    @cached_property
    def by_state(self) -> Floats:
        """Change of P(a goal) per state, if all its moves were those of the reference; NaN without one."""
        source = self.chain.source
        into, own = self._returns

        def summed(numbers: Floats) -> Floats:
            return np.bincount(source, numbers, self.chain.states).astype(np.float64)

        gained = summed(self.level * self.chance[self.chain.target]) - self.chance[: self.chain.states]
        back = summed(self.level * into) - (own - 1)
        return self._worth(np.arange(self.chain.states), gained, back)

    @cached_property
    def by_move(self) -> Floats:
        """Change of P(a goal) per move, if it were at its level and the rest of its state in proportion."""
        source, (into, own) = self.chain.source, self._returns
        with np.errstate(divide="ignore", invalid="ignore"):
            rest = np.where(self.own < 1, (1 - self.level) / (1 - self.own), np.nan)
        more = self.level - rest * self.own
        gained = (rest - 1) * self.chance[source] + more * self.chance[self.chain.target]
        back = (rest - 1) * (own[source] - 1) + more * into
        alone = np.where(self.level == 1, 0.0, self.by_state[source])
        return np.asarray(np.where(self.own < 1, self._worth(source, gained, back), alone))

    def _worth(self, state: Int64s, gained: Floats, back: Floats) -> Floats:
        """N[START, i] (dp . b) / (1 - dp . N[., i])."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(back < 1, self.visits[state] * gained / (1 - back), np.nan)

    @property
    def at_start(self) -> float:
        """P(a goal) of a path."""
        return float(self.chance[: self.chain.states][self.start].sum())

    @property
    def together(self) -> float:
        """P(a goal) of a path, if all states were as in the reference; NaN without one."""
        if self.levels.reference is None:
            return np.nan
        known = np.where(np.isnan(self.level), self.chain.probability, self.level)
        chain = AbsorbingChain(
            self.chain.source, self.chain.target, known, self.chain.states, self.chain.ends
        )
        return float(self.converting(chain)[self.start].sum())
