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
from journeykit.statistics.attribution.tally import CONVERTED, NEXT
from journeykit.support.threads import on_all_cores

Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

START = 0
SETTLING = (1_000, 1e-16)
"""How many sweeps to try before a factorisation, and what error may be left."""


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
        keys = [*touches, "outcome", "target"]
        named = [moves[name] for name in (*touches, "target")]
        distinct = pl.concat(named).drop_nulls().unique().sort()
        enum = pl.Enum(distinct)
        rows = moves.select(
            *(
                pl.col(name).cast(enum).to_physical().cast(pl.Int64).fill_null(-1)
                for name in (*touches, "target")
            ),
            "outcome",
        )
        edges = rows.unique().sort(keys)
        codes = edges.select(*touches, "target").to_numpy()
        inner = edges["outcome"].to_numpy() == NEXT
        last = np.where(inner[:, None], codes[:, 1:], -1)
        tuples, number = np.unique(np.concatenate([codes[:, :-1], last]), axis=0, return_inverse=True)
        number = number.reshape(-1)
        row = rows.join(edges.with_row_index("edge"), on=keys, how="left", maintain_order="left")["edge"]
        counts = np.zeros((edges.height, GROUPS))
        np.add.at(counts, (row.to_numpy(), moves[GROUP].to_numpy()), moves["paths"].to_numpy())
        target = np.where(inner, number[edges.height :], -1)
        won = edges["outcome"].to_numpy() == CONVERTED
        return cls(tuple(distinct), tuples, number[: edges.height], target, won, counts)

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
        return float(self.converting(np.zeros((0, len(self.tuples)), np.bool_))[0])

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

    def converting(self, removed: Bools, without: int | None = None) -> Floats:
        """Return P(convert) from START, at first as it is, then with each row of states removed. D11.3.

        Parameters
        ----------
        removed : numpy.ndarray of bool, removals x states
            Where paths end instead of going on.
        without : int, optional
            A jackknife group that is left out.

        Returns
        -------
        numpy.ndarray of float64, 1 + removals
            NaN without paths.
        """
        from journeykit.kernels.attribution import solve_removals

        count = self.total if without is None else np.maximum(self.total - self.counts[:, without], 0.0)
        if count.sum() <= 0:
            return np.full(1 + removed.shape[0], np.nan)
        states = len(self.tuples)
        leaving = np.bincount(self.source, count, states)[self.source]
        shares = np.divide(count, leaving, out=np.zeros(count.size), where=leaving > 0)
        keep = np.ones((states, 1 + removed.shape[0]))
        keep[:, 1:] = ~removed.T
        found, offsets = np.zeros(keep.shape), np.searchsorted(self.source, np.arange(states + 1))
        if solve_removals(offsets, self.target, shares, self.won, keep, SETTLING, found) < 0:
            return self._factorised(count, removed)
        chances: Floats = found[START]
        return chances

    def _factorised(self, count: Floats, removed: Bools) -> Floats:
        """Solve each chain by itself: where paths are so long that sweeps take more."""
        states, chances = len(self.tuples), []
        target = np.where(self.target < 0, np.where(self.won, states, states + 1), self.target)
        for lost in np.concatenate([np.zeros((1, states), np.bool_), removed]):
            nowhere = (self.target >= 0) & lost[self.target]
            chain = AbsorbingChain.of_counts(
                self.source, np.where(nowhere, states + 1, target), count, states, 2
            )
            chances.append(chain.absorbed[START, 0])
        return np.array(chances)

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
        chances = np.array(on_all_cores(lambda group: self.converting(removed, group), [None, *groups]))
        with np.errstate(divide="ignore", invalid="ignore"):
            effects = np.where(chances[:, :1] > 0, 1 - chances[:, 1:] / chances[:, :1], np.nan)
        replicates = np.tile(effects[0][:, None], (1, GROUPS))
        replicates[:, groups] = effects[1:].T
        return effects[0], replicates
