"""A chain fitted to counted moves, and again without each jackknife group: every number with its interval. D12.3."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from journeykit.mathematics.absorption import AbsorbingChain
from journeykit.mathematics.intervals import FEWEST_GROUPS, GROUPS, Bounds, Scale, jackknife

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]
Number = Callable[[AbsorbingChain], Floats]


def same(chain: AbsorbingChain) -> AbsorbingChain:
    """Return the chain as it is."""
    return chain


class Quantity(NamedTuple):
    """What to compute of a chain: one number per row, on which scale its interval is symmetric, of how many users."""

    number: Number
    scale: Scale
    users: npt.ArrayLike


class Estimate(NamedTuple):
    """Numbers and the ends of their intervals; NaN where undefined."""

    value: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, eq=False)
class Fit:
    """Moves by jackknife group, and the chain that is most likely given them.

    Attributes
    ----------
    source, target, group : numpy.ndarray of int64
        One row per edge and group that has moves on it. Targets from `states` on are ends.
    count : numpy.ndarray of float64
        How many moves.
    states, ends : int
        How many there are.
    groups : int
        How many groups have users; with fewer than ten there are no intervals.
    users : numpy.ndarray of float64, states
        Distinct users who have each state.
    level : float
        Of the intervals.
    smoothing : float
        Added to the count of every edge that is listed, those without moves too. D10.1.
    change : callable
        What is done to the chain, and to that of every replicate, before anything is computed of it.
    absent : numpy.ndarray of bool, states, optional
        The states that the change leaves no walk in.
    draws, seed : int
        With draws, intervals are those of the bootstrap of groups, with this seed. D12.6.
    """

    source: Int64s
    target: Int64s
    group: Int64s
    count: Floats
    states: int
    ends: int
    groups: int = 0
    users: Floats = field(default_factory=lambda: np.empty(0))
    level: float = 0.95
    smoothing: float = 0.0
    change: Callable[[AbsorbingChain], AbsorbingChain] = same
    absent: npt.NDArray[np.bool_] | None = None
    draws: int = 0
    seed: int = 0

    @cached_property
    def _edges(self) -> tuple[Int64s, Int64s, Int64s]:
        """The distinct edges in order: source and target; and the edge of every row."""
        size = self.states + self.ends
        keys, place = np.unique(self.source * size + self.target, return_inverse=True)
        return keys // max(size, 1), keys % max(size, 1), place.astype(np.int64)

    @property
    def edge_source(self) -> Int64s:
        """The source of every distinct edge."""
        return self._edges[0]

    @property
    def edge_target(self) -> Int64s:
        """The target of every distinct edge."""
        return self._edges[1]

    @cached_property
    def edge_count(self) -> Floats:
        """The moves on every distinct edge."""
        return np.bincount(self._edges[2], self.count, self.edge_source.size).astype(np.float64)

    @cached_property
    def leaving(self) -> Floats:
        """The moves out of every state."""
        return np.bincount(self.source, self.count, self.states).astype(np.float64)

    @cached_property
    def unchanged(self) -> AbsorbingChain:
        """The chain before `change`."""
        return self._counted(self.edge_count)

    @cached_property
    def chain(self) -> AbsorbingChain:
        """The chain of all users."""
        return self.change(self.unchanged)

    def without(self, group: int) -> AbsorbingChain:
        """Return the chain of the users outside a group."""
        kept = np.where(self.group % GROUPS == group, 0.0, self.count)
        count = np.bincount(self._edges[2], kept, self.edge_source.size).astype(np.float64)
        return self.change(self._counted(count))

    def changed(
        self, change: Callable[[AbsorbingChain], AbsorbingChain], absent: npt.NDArray[np.bool_] | None = None
    ) -> Fit:
        """Return the fit of a chain that is changed once more."""
        before = self.change
        return replace(self, change=lambda chain: change(before(chain)), absent=absent)

    def estimates(self, quantities: Mapping[str, Quantity]) -> dict[str, Estimate]:
        """Compute numbers of the chain with their intervals, from one fit of each replicate.

        Parameters
        ----------
        quantities : mapping of str to Quantity
            The numbers, any name each.

        Returns
        -------
        dict of str to Estimate
            Under the same names.

        Notes
        -----
        As many factorisations as groups, one more for the numbers themselves.
        """
        if self.draws:
            return self._bootstrapped(quantities)

        def numbers(chain: AbsorbingChain, _: int | None) -> dict[str, Floats]:
            return {name: np.asarray(each.number(chain)) for name, each in quantities.items()}

        values, replicates = self.replicated(numbers)
        return {
            name: self.bounded(values[name], replicates[name], each.scale, each.users)
            for name, each in quantities.items()
        }

    def replicated(
        self, numbers: Callable[[AbsorbingChain, int | None], Mapping[str, Floats]]
    ) -> tuple[dict[str, Floats], dict[str, Floats]]:
        """Compute numbers of the chain, and again without each jackknife group.

        Parameters
        ----------
        numbers : callable
            Given a chain and the group that is left out (None for none): arrays by name.

        Returns
        -------
        values : dict of str to numpy.ndarray of float64, rows
            Of all users.
        replicates : dict of str to numpy.ndarray of float64, rows x 64
            Without each group; what all users have where a group has none, or there are fewer than ten.
        """
        values = {name: np.asarray(each) for name, each in numbers(self.chain, None).items()}
        replicates = {name: np.tile(value[:, None], (1, GROUPS)) for name, value in values.items()}
        if self.groups >= FEWEST_GROUPS:
            for group in np.unique(self.group % GROUPS).tolist():
                for name, each in numbers(self.without(group), group).items():
                    replicates[name][:, group] = each
        return values, replicates

    def _bootstrapped(self, quantities: Mapping[str, Quantity]) -> dict[str, Estimate]:
        """Compute numbers with the percentiles that they have when groups are drawn with replacement. D12.6."""
        draw = np.random.default_rng(self.seed)
        present, place = np.unique(self.group, return_inverse=True)
        found: dict[str, list[Floats]] = {name: [] for name in quantities}
        for _ in range(self.draws):
            weight = draw.multinomial(present.size, np.full(present.size, 1 / max(present.size, 1)))
            count = np.bincount(self._edges[2], self.count * weight[place], self.edge_source.size)
            chain = self.change(self._counted(count.astype(np.float64)))
            for name, each in quantities.items():
                found[name].append(np.asarray(each.number(chain)))
        tails = [(1 - self.level) / 2, (1 + self.level) / 2]
        return {
            name: Estimate(np.asarray(each.number(self.chain)), *_percentiles(np.array(found[name]), tails))
            for name, each in quantities.items()
        }

    def bounded(self, value: Floats, replicates: Floats, scale: Scale, users: npt.ArrayLike = 0) -> Estimate:
        """Return numbers with the intervals that their replicates give. D12.3."""
        if self.groups < FEWEST_GROUPS or value.size == 0:
            nothing = np.full(value.size, np.nan)
            return Estimate(value, nothing, nothing)
        groups = np.full(value.size, self.groups)
        known = np.broadcast_to(np.asarray(users, np.float64), value.shape)
        with np.errstate(all="ignore"):
            ends: Bounds = jackknife(value, replicates, groups, known, scale=scale, level=self.level)
        return Estimate(value, ends.low, ends.high)

    def _counted(self, count: Floats) -> AbsorbingChain:
        return AbsorbingChain.of_counts(
            self.edge_source, self.edge_target, count + self.smoothing, self.states, self.ends
        )


def _percentiles(values: Floats, tails: list[float]) -> list[Floats]:
    """Return percentiles per column over the draws where it is defined; NaN if those are less than three quarters."""
    missing = np.isnan(values).mean(axis=0) > 0.25
    filled = np.where(missing, 0.0, values)
    return [np.where(missing, np.nan, each) for each in np.nanquantile(filled, tails, axis=0)]


def known_probability(chain: AbsorbingChain) -> Floats:
    """Return the probability of every edge, NaN where nothing was seen to leave its source."""
    leaving = np.bincount(chain.source, chain.probability, chain.states)[chain.source]
    return np.where(leaving > 0, chain.probability, np.nan)
