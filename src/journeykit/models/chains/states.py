"""The states of a Markov chain and the moves between them, as they were counted. DEFINITIONS D10.1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError, UnknownNameError, listed
from journeykit.models.chains.fitted import Estimate, Fit, Quantity, known_probability

Floats = npt.NDArray[np.float64]
LARGEST_MATRIX = 2_000


@dataclass(frozen=True, eq=False, repr=False)
class ChainStates:
    """States, the moves out of each, and how likely they are.

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
    """

    states: tuple[str, ...]
    ends: tuple[str, ...]
    goals: tuple[str, ...]
    start: str | None
    fitted: Fit

    def __repr__(self) -> str:
        ends = f"ends in {listed(self.ends)}" if self.ends else "never ends"
        start = "" if self.start is None else f", starts in {self.start!r}"
        moves = f"{self.fitted.edge_count.sum():,.0f} moves on {self.fitted.edge_source.size:,} edges"
        return f"MarkovChain: {len(self.states):,} states, {moves}{start}, {ends}"

    @property
    def names(self) -> tuple[str, ...]:
        """All states, ends last."""
        return (*self.states, *self.ends)

    def resampled(self, rng: int | np.random.Generator, draws: int = 999) -> Self:
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
        return estimate_frame(columns, "probability", found).sort(
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

    @property
    def _users(self) -> Floats:
        users = self.fitted.users
        return users if users.size == len(self.states) else np.zeros(len(self.states))

    def _pairs(self) -> dict[str, Any]:
        names = pl.Series(self.names, dtype=pl.String)
        sides = (("source", self.fitted.edge_source), ("target", self.fitted.edge_target))
        return {side: names.gather(places) for side, places in sides}

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


def estimate_frame(columns: Mapping[str, Any], name: str, found: Estimate) -> pl.DataFrame:
    """Put an estimate beside what it is of, null where undefined."""
    frame = pl.DataFrame(dict(columns))
    return frame.with_columns(
        pl.Series(label, numbers, nan_to_null=True)
        for label, numbers in ((name, found.value), ("low", found.low), ("high", found.high))
    )
