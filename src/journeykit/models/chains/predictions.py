"""How well chains predict what comes next for users that they were not fitted to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.mathematics.intervals import GroupSums, ratio_bounds
from journeykit.models.chains.memory import SMOOTHING, Memory

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]
TENTHS = 10
BLOCK = 4_000_000
WEIGHTS = [2.0**k for k in range(-3, 11)]


class Predicted(NamedTuple):
    """The predictions for some contexts.

    Attributes
    ----------
    rows : numpy.ndarray of int64
        The rows of the memory that have one of these contexts, of users who are held out.
    context : numpy.ndarray of int64
        The context of each, numbered among these.
    chance : numpy.ndarray of float64, contexts x alphabet
        Of everything that can come next, by name.
    """

    rows: Int64s
    context: Int64s
    chance: Floats


class Predictions:
    """What the users that are not held out let expect of the others: order k leans on order k - 1.

    The chance of j after context i is ``(n_ij + a q_j) / (n_i + a)``, q that of the next lower order; of order 0
    ``(n_j + 1/2) / (n + m/2)``. The weight a of each order is the one under which what these users did is likeliest,
    each move predicted from all others.
    """

    def __init__(self, memory: Memory, rank: npt.ArrayLike) -> None:
        self.memory = memory
        found = np.unique(memory.target[memory.common])
        self.alphabet = found[np.argsort(np.asarray(rank)[found], kind="stable")]
        self.column = np.zeros(int(found.max(initial=0)) + 1, np.int64)
        self.column[self.alphabet] = np.arange(self.alphabet.size)
        self.train = memory.common & ~memory.held_out
        self.test = np.flatnonzero(memory.common & memory.held_out & (memory.count > 0))

    @cached_property
    def _first(self) -> Floats:
        rows = self.train
        counts = np.bincount(
            self.column[self.memory.target[rows]], self.memory.count[rows], self.alphabet.size
        )
        smoothed: Floats = (counts + SMOOTHING) / (counts.sum() + SMOOTHING * counts.size)
        return smoothed

    def _counts(self, k: int) -> Any:
        """Return how often each target followed each context of order k, for users who are not held out."""
        from scipy.sparse import csr_array

        memory, rows = self.memory, self.train
        shape = (int(memory.contexts[k].max(initial=0)) + 1, self.alphabet.size)
        cells = (memory.contexts[k][rows], self.column[memory.target[rows]])
        return csr_array((memory.count[rows], cells), shape=shape)

    @cached_property
    def _by_order(self) -> list[Any]:
        return [self._counts(k) for k in range(self.memory.order + 1)]

    @cached_property
    def weights(self) -> list[float]:
        """The weight a of the next lower order, per order; 0 for order 0, which has none."""
        memory, rows = self.memory, self.train & (self.memory.count > 0)
        column, count = self.column[memory.target[rows]], memory.count[rows]
        lower, found = self._first[column], [0.0]
        for k in range(1, memory.order + 1):
            context = memory.contexts[k][rows]
            _, pair = np.unique(context * self.alphabet.size + column, return_inverse=True)
            here = np.bincount(pair, count)[pair] if pair.size else count
            there = np.bincount(context, count)[context] if pair.size else count
            likely = [
                float(
                    (
                        count * np.log((np.maximum(here - 1, 0) + a * lower) / (np.maximum(there - 1, 0) + a))
                    ).sum()
                )
                for a in WEIGHTS
            ]
            best = WEIGHTS[int(np.argmax(likely))]
            lower = (here + best * lower) / (there + best)
            found.append(best)
        return found

    def _shorter(self, k: int, contexts: Int64s) -> Int64s:
        """Return the context of order k - 1 that each context of order k ends with."""
        own = self.memory.contexts[k][self.memory.common]
        distinct, first = np.unique(own, return_index=True)
        shorter = self.memory.contexts[k - 1][self.memory.common]
        found: Int64s = shorter[first[np.searchsorted(distinct, contexts)]]
        return found

    def chances(self, k: int, contexts: Int64s) -> Floats:
        """Return the chance of everything that can come next after contexts of order k."""
        if k == 0:
            return np.tile(self._first, (contexts.size, 1))
        parents, place = np.unique(self._shorter(k, contexts), return_inverse=True)
        counts = self._by_order[k][contexts].toarray()
        weight = self.weights[k]
        below = counts.sum(axis=1, keepdims=True) + weight
        found: Floats = (counts + weight * self.chances(k - 1, parents)[place]) / below
        return found

    def _blocks(self, k: int) -> Iterator[Predicted]:
        """Give the predictions of order k, some contexts at a time."""
        contexts, place = np.unique(self.memory.contexts[k][self.test], return_inverse=True)
        order = np.argsort(place, kind="stable")
        bounds = np.searchsorted(place[order], np.arange(contexts.size + 1))
        width = max(1, BLOCK // max(1, self.alphabet.size))
        for first in range(0, contexts.size, width):
            last = min(first + width, contexts.size)
            rows = order[bounds[first] : bounds[last]]
            yield Predicted(self.test[rows], place[rows] - first, self.chances(k, contexts[first:last]))

    def accuracy(self, top: Sequence[int], level: float) -> pl.DataFrame:
        """Return how often what came next is among the likeliest, with the jackknife over the users held out."""
        orders = range(self.memory.order + 1) if self.memory.can_hold_out else range(0)
        parts = [self._accuracy_of(k, top, level) for k in orders]
        return pl.concat([pl.DataFrame(schema=ACCURACY), *parts])

    def _accuracy_of(self, k: int, top: Sequence[int], level: float) -> pl.DataFrame:
        memory = self.memory
        place = np.empty(memory.count.size, np.int64)
        for rows, context, chance in self._blocks(k):
            # Columns stand by name, so that a stable sort lets names decide between equal chances.
            ranked = np.argsort(np.argsort(-chance, axis=1, kind="stable"), axis=1)
            place[rows] = ranked[context, self.column[memory.target[rows]]]
        count, group = memory.count[self.test], memory.group[self.test]
        hits = [np.where(place[self.test] < most, count, 0.0) for most in top]
        row, groups = np.repeat(np.arange(len(top)), count.size), np.tile(group, len(top))
        right = GroupSums.of(len(top), row, groups, np.concatenate(hits))
        every = GroupSums.of(len(top), row, groups, np.tile(count, len(top)))
        present = np.full(len(top), np.unique(group).size)
        ends = ratio_bounds(right, every, np.arange(len(top)), present, every.total, level=level)
        frame: dict[str, Any] = {
            "order": [k] * len(top),
            "top": list(top),
            "correct": right.total,
            "symbols": every.total,
        }
        frame |= {"accuracy": right.total / every.total, "low": ends.low, "high": ends.high}
        typed = [
            pl.Series(name, values, nan_to_null=True, strict=False).cast(ACCURACY[name])
            for name, values in frame.items()
        ]
        return pl.DataFrame(typed)

    def calibration(self) -> pl.DataFrame:
        """Return predicted and observed shares by tenths of the predicted probability."""
        orders = range(self.memory.order + 1) if self.memory.can_hold_out else range(0)
        parts = [self._calibration_of(k) for k in orders]
        return pl.concat([pl.DataFrame(schema=CALIBRATION), *parts])

    def _calibration_of(self, k: int) -> pl.DataFrame:
        sums = np.zeros((3, TENTHS))
        for rows, context, chance in self._blocks(k):
            count = self.memory.count[rows]
            asked = np.repeat(np.bincount(context, count, len(chance)), chance.shape[1])
            came = np.zeros(chance.shape)
            np.add.at(came, (context, self.column[self.memory.target[rows]]), count)
            tenth = np.minimum((chance.reshape(-1) * TENTHS).astype(np.int64), TENTHS - 1)
            for i, weight in enumerate((asked, asked * chance.reshape(-1), came.reshape(-1))):
                sums[i] += np.bincount(tenth, weight, TENTHS)
        met = np.flatnonzero(sums[0])
        columns = {
            "order": np.full(met.size, k),
            "from": met / TENTHS,
            "to": (met + 1) / TENTHS,
            "predictions": np.round(sums[0][met]).astype(np.int64),
            "predicted": sums[1][met] / sums[0][met],
            "observed": sums[2][met] / sums[0][met],
        }
        return pl.DataFrame(columns, schema=CALIBRATION)


ACCURACY: dict[str, Any] = {
    "order": pl.Int64,
    "top": pl.Int64,
    "correct": pl.Int64,
    "symbols": pl.Int64,
    "accuracy": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
}
CALIBRATION: dict[str, Any] = {
    "order": pl.Int64,
    "from": pl.Float64,
    "to": pl.Float64,
    "predictions": pl.Int64,
    "predicted": pl.Float64,
    "observed": pl.Float64,
}
