"""What is lost without a channel: removal effects in the chain of touches. DEFINITIONS D11.3."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.intervals import GROUPS
from journeykit.protocol import GROUP
from journeykit.statistics.attribution.tally import CONVERTED, NEXT
from journeykit.statistics.transitions.absorption import solve

Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
START = 0


@dataclass(frozen=True, eq=False)
class TouchChain:
    """The moves between the last touches of one cell.

    Attributes
    ----------
    channels : tuple of str
        All that are touched, in the order of their names.
    last : numpy.ndarray of int64, edges x order
        The touches of the state that an edge leads to, oldest first, as numbers of channels; -1 where it is shorter,
        and everywhere for an edge that leads to an end.
    source, target : numpy.ndarray of int64
        States of every edge; -1 for a target that ends the path. 0 is START.
    won : numpy.ndarray of bool
        Whether the target is a conversion.
    counts : numpy.ndarray of float64, edges x groups
        Paths by jackknife group.
    states : int
        How many there are.
    """

    channels: tuple[str, ...]
    last: Int64s
    source: Int64s
    target: Int64s
    won: npt.NDArray[np.bool_]
    counts: Floats
    states: int

    @classmethod
    def of(cls, moves: pl.DataFrame, touches: Sequence[str]) -> TouchChain:
        """Gather the rows of a tally: the columns of `touches`, ``target``, ``outcome``, ``group``, ``paths``."""
        distinct = pl.concat([moves[name] for name in (*touches, "target")]).drop_nulls().unique().sort()
        place = pl.int_range(len(distinct), eager=True)
        edges = moves.select(*touches, "target", "outcome").unique(maintain_order=True)
        edges = edges.sort(*touches, "outcome", "target")
        codes = [
            edges[name].replace_strict(distinct, place, default=-1, return_dtype=pl.Int64).to_numpy()
            for name in (*touches, "target")
        ]
        inner = edges["outcome"].to_numpy() == NEXT
        last = np.where(inner[:, None], np.column_stack(codes[1:]), -1)
        before = np.column_stack(codes[:-1])
        tuples, number = np.unique(np.concatenate([before, last]), axis=0, return_inverse=True)
        number = number.reshape(-1)
        source, target = number[: edges.height], np.where(inner, number[edges.height :], -1)
        keys = [*touches, "target", "outcome"]
        row = moves.join(
            edges.with_row_index("edge"), on=keys, how="left", nulls_equal=True, maintain_order="left"
        )
        counts = np.zeros((edges.height, GROUPS))
        np.add.at(counts, (row["edge"].to_numpy(), moves[GROUP].to_numpy()), moves["paths"].to_numpy())
        won = edges["outcome"].to_numpy() == CONVERTED
        return cls(tuple(distinct), last, source, target, won, counts, max(1, len(tuples)))

    @cached_property
    def total(self) -> Floats:
        """Paths over every edge, all groups together."""
        counts: Floats = self.counts.sum(axis=1)
        return counts

    @cached_property
    def groups(self) -> list[int]:
        """The jackknife groups that have paths."""
        return np.flatnonzero(self.counts.any(axis=0)).tolist()

    def lost_by_channel(self) -> npt.NDArray[np.bool_]:
        """Mark the edges that lead to each channel, channels x edges."""
        found: npt.NDArray[np.bool_] = self.last[:, -1] == np.arange(len(self.channels))[:, None]
        return found

    def lost_by(self, removed: Collection[str] | Sequence[str], sequence: bool) -> npt.NDArray[np.bool_]:
        """Mark the edges into a state that ends in any of some channels, or in a sequence of them."""
        numbers = [self.channels.index(name) for name in removed if name in self.channels]
        if not sequence:
            return np.isin(self.last[:, -1], numbers)
        if len(numbers) < len(removed):
            return np.zeros(self.source.size, np.bool_)
        found: npt.NDArray[np.bool_] = (self.last[:, -len(numbers) :] == numbers).all(axis=1)
        return found

    def converting(self, lost: npt.NDArray[np.bool_] | None = None, without: int | None = None) -> float:
        """Return P(convert) from START, with some edges leading nowhere, without the users of a group. D11.3."""
        count = self.total if without is None else self.total - self.counts[:, without]
        if count.sum() <= 0:
            return np.nan
        target, won = self.target, self.won
        if lost is not None:
            target = np.where(lost, -1, target)
        chances = solve(self.source, target, won, np.maximum(count, 0.0), self.states)
        return float(chances[START])

    def removal_effects(self, lost: npt.NDArray[np.bool_], without: int | None = None) -> Floats:
        """Return the share of conversions lost with each row of marked edges; NaN without conversions. D11.3."""
        whole = self.converting(None, without)
        if not whole > 0:
            return np.full(lost.shape[0], np.nan)
        return np.array([1 - self.converting(edges, without) / whole for edges in lost])

    def replicated(self, lost: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """Return removal effects, and those without the users of each jackknife group. D12.3."""
        effects = self.removal_effects(lost)
        replicates = np.tile(effects[:, None], (1, GROUPS))
        if len(self.groups) > 1:
            for group in self.groups:
                replicates[:, group] = self.removal_effects(lost, group)
        return effects, replicates
