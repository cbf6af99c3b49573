"""The walks of a Markov chain until they end: where, after how many moves, by which ways. DEFINITIONS D10.2, D10.3."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl

from journeykit.errors import UndefinedError, listed
from journeykit.mathematics.absorption import AbsorbingChain
from journeykit.models.chains.fitted import Quantity
from journeykit.models.chains.making import ABANDON, refuse_endless
from journeykit.models.chains.states import ChainStates, Floats, estimate_frame
from journeykit.models.changes.changes import as_changes, changed_fit

if TYPE_CHECKING:
    from journeykit.models.changes.changes import Change


@dataclass(frozen=True, eq=False, repr=False)
class EndingWalks(ChainStates):
    """What becomes of walks: their end, the way there, and what a change of a move would do."""

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
        return estimate_frame(columns, "probability", found)

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
        return estimate_frame(
            {"state": self.states}, "probability", self.fitted.estimates({"b": quantity})["b"]
        )

    def converting(self, chain: AbsorbingChain) -> Floats:
        """Return P(goal) from every state of this chain, or of one with the same states."""
        chance = np.minimum(chain.absorbed[:, self._goal_places].sum(axis=1), 1.0)
        return np.where(chain.surely(self._goal_places), 1.0, chance)

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
        frame = estimate_frame({"state": self.states}, "steps", found["steps"])
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
        return estimate_frame({"state": self.states}, "visits", found)

    def fundamental(self, source: str, target: str) -> float:
        """Return one entry of N = (I - Q)^-1: expected visits of `target` from `source` on, the first included."""
        self._check_ends()
        return float(self.fitted.chain.visits_from(self._one(source))[self._place(target)])

    def conditioned(self, goal: str | Sequence[str] | None = None) -> Self:
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

    def changed(self, changes: Change | Sequence[Change]) -> Self:
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

    def leverage(self, instead: str = ABANDON) -> pl.DataFrame:
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
        return estimate_frame(columns, "leverage", found).sort(
            "leverage", "source", "target", descending=[True, False, False], nulls_last=True
        )

    @property
    def _goal_places(self) -> list[int]:
        return [self.ends.index(name) for name in self.goals]

    @property
    def _goal_marks(self) -> Floats:
        return np.array([name in self.goals for name in self.ends], np.float64)

    def _check_ends(self) -> None:
        """Refuse a chain that a walk need not leave. D10.2."""
        if not self.ends:
            raise UndefinedError("this chain has no absorbing state: no walk in it ends.")
        refuse_endless(self.fitted, self.states)

    def _check_goal(self) -> None:
        self._check_ends()
        if not self.goals:
            raise UndefinedError(f"this chain has no goal among its ends {listed(self.ends)}.")
