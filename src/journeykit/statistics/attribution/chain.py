"""What is lost without a channel: removal effects in the chain of touches. DEFINITIONS D11.3."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.mathematics.absorption import AbsorbingChain
from journeykit.mathematics.intervals import GROUPS
from journeykit.protocol import GROUP
from journeykit.statistics.attribution.tally import CONVERTED, NEXT, OUTCOMES
from journeykit.support.threads import on_all_cores

Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

START = 0
SETTLING = (1_000, 1e-16)
"""How many sweeps to try before a factorisation, and what error may be left."""
SETTLING_NEAR = (1_000, 1e-13)
"""The same for the replicates of an interval, which start from the estimate and are told apart from it by far more."""


@dataclass(frozen=True, eq=False)
class TouchChain:
    """The moves between the last touches of one cell.

    Attributes
    ----------
    channels : tuple of str
        All that are touched, in the order of their names.
    tuples : numpy.ndarray of int64, states x order
        The last touches of every state, oldest first, as numbers of channels; -1 where it is shorter. State 0 is START.
    source, target : numpy.ndarray of int64
        States of every edge, by source; -1 for a target that ends the path.
    won : numpy.ndarray of bool
        Whether the target is a conversion.
    counts : numpy.ndarray of float64, edges x groups
        Paths by jackknife group.
    """

    channels: tuple[str, ...]
    tuples: Int64s
    source: Int64s
    target: Int64s
    won: Bools
    counts: Floats

    @classmethod
    def of(cls, moves: pl.DataFrame, touches: Sequence[str]) -> TouchChain:
        """Gather the rows of a tally: the columns of `touches`, ``target``, ``outcome``, ``group``, ``paths``."""
        distinct = pl.concat([moves[name] for name in (*touches, "target")]).drop_nulls().unique().sort()
        enum, base = pl.Enum(distinct), len(distinct) + 1

        def digits(name: str) -> Int64s:
            """Return the numbers of channels from 1 on, 0 for none."""
            codes = moves[name].cast(enum).to_physical().cast(pl.Int64) + 1
            return codes.fill_null(0).to_numpy()

        # One number per move, in the order of its touches, outcome and target: `TouchCounts` sees to it that it fits.
        state = np.zeros(moves.height, np.int64)
        for name in touches:
            state = state * base + digits(name)
        packed = (state * OUTCOMES + moves["outcome"].to_numpy()) * base + digits("target")
        edges, row = np.unique(packed, return_inverse=True)
        state, (outcome, target) = edges // (OUTCOMES * base), np.divmod(edges % (OUTCOMES * base), base)
        following = np.where(outcome == NEXT, state % base ** (len(touches) - 1) * base + target, START)
        states, number = np.unique(np.append(state, following), return_inverse=True)
        places = base ** np.arange(len(touches))[::-1]
        place = row * GROUPS + moves[GROUP].to_numpy()
        counts = np.bincount(place, moves["paths"].to_numpy(), edges.size * GROUPS).astype(np.float64)
        return cls(
            tuple(distinct), states[:, None] // places % base - 1, number[: edges.size],
            np.where(outcome == NEXT, number[edges.size :], -1), outcome == CONVERTED, counts.reshape(-1, GROUPS),
        )  # fmt: skip

    @cached_property
    def total(self) -> Floats:
        """Paths over every edge, all groups together."""
        counts: Floats = self.counts.sum(axis=1)
        return counts

    @cached_property
    def groups(self) -> list[int]:
        """The jackknife groups that have paths."""
        return np.flatnonzero(self.counts.any(axis=0)).tolist()

    @property
    def observed(self) -> float:
        """P(convert) from START with all channels."""
        return float(self.converting(np.zeros((0, len(self.tuples)), np.bool_))[START, 0])

    def of_channel(self) -> Bools:
        """Mark the states whose last touch is of each channel, channels x states."""
        found: Bools = self.tuples[:, -1] == np.arange(len(self.channels))[:, None]
        return found

    def ending_in(self, touches: Sequence[str], sequence: bool) -> Bools:
        """Mark the states that end in any of some channels, or in a sequence of them."""
        numbers = [self.channels.index(name) for name in touches if name in self.channels]
        if not sequence:
            return np.isin(self.tuples[:, -1], numbers)
        if len(numbers) < len(touches):
            return np.zeros(len(self.tuples), np.bool_)
        found: Bools = (self.tuples[:, -len(numbers) :] == numbers).all(axis=1)
        return found

    def converting(self, removed: Bools, without: int | None = None, near: Floats | None = None) -> Floats:
        """Return P(convert) from every state, at first as it is, then with each row of states removed. D11.3.

        Parameters
        ----------
        removed : numpy.ndarray of bool, removals x states
            Where paths end instead of going on.
        without : int, optional
            A jackknife group that is left out.
        near : numpy.ndarray of float64, states x (1 + removals), optional
            About what it is, where to start from: with all groups.

        Returns
        -------
        numpy.ndarray of float64, states x (1 + removals)
            NaN without paths.
        """
        from journeykit.kernels.outcomes.attribution import solve_removals

        count = self.total if without is None else np.maximum(self.total - self.counts[:, without], 0.0)
        if count.sum() <= 0:
            return np.full((len(self.tuples), 1 + removed.shape[0]), np.nan)
        states = len(self.tuples)
        leaving = np.bincount(self.source, count, states)[self.source]
        shares = np.divide(count, leaving, out=np.zeros(count.size), where=leaving > 0)
        keep = np.ones((states, 1 + removed.shape[0]))
        keep[:, 1:] = ~removed.T
        offsets = np.searchsorted(self.source, np.arange(states + 1))
        found = np.zeros(keep.shape) if near is None else near.copy()
        rule = SETTLING if near is None else SETTLING_NEAR
        if solve_removals(offsets, self.target, shares, self.won, keep, rule, found) < 0:
            return self._factorised(count, removed)
        return found

    def _factorised(self, count: Floats, removed: Bools) -> Floats:
        """Solve each chain by itself: where paths are so long that sweeps take more."""
        states, chances = len(self.tuples), []
        target = np.where(self.target < 0, np.where(self.won, states, states + 1), self.target)
        for lost in np.concatenate([np.zeros((1, states), np.bool_), removed]):
            nowhere = (self.target >= 0) & lost[self.target]
            chain = AbsorbingChain.of_counts(
                self.source, np.where(nowhere, states + 1, target), count, states, 2
            )
            chances.append(chain.absorbed[:, 0])
        return np.array(chances).T

    def removal_effects(self, removed: Bools) -> tuple[Floats, Floats]:
        """Return the share of conversions lost with each row of states removed, and its replicates. D11.3, D12.3.

        Returns
        -------
        effects : numpy.ndarray of float64, removals
            NaN without conversions.
        replicates : numpy.ndarray of float64, removals x groups
            Without the users of each jackknife group.
        """
        groups = self.groups if len(self.groups) > 1 else []
        whole = self.converting(removed)
        without = on_all_cores(lambda group: self.converting(removed, group, whole)[START], groups)
        chances = np.array([whole[START], *without])
        with np.errstate(divide="ignore", invalid="ignore"):
            effects = np.where(chances[:, :1] > 0, 1 - chances[:, 1:] / chances[:, :1], np.nan)
        replicates = np.tile(effects[0][:, None], (1, GROUPS))
        replicates[:, groups] = effects[1:].T
        return effects[0], replicates
