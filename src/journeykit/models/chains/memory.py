"""Likelihoods of chains of several orders, from what follows the longest context. DEFINITIONS D10.4, D10.5."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.mathematics.intervals import GROUPS
from journeykit.models.chains.hypotheses import ChiSquare
from journeykit.protocol import GROUP

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]
HELD_OUT = 5
SMOOTHING = 0.5
ACCEPTED_BELOW = 0.01


@dataclass(frozen=True)
class Memory:
    """What followed which context, row by row.

    Attributes
    ----------
    contexts : tuple of numpy.ndarray of int64
        The k-th numbers the context of the last k states (0: none); where the path was shorter, all of it.
    known : numpy.ndarray of int64
        How many states the context has, at most the longest order.
    last, target, group : numpy.ndarray of int64
        The last state of the context, what followed, and the jackknife group of the users.
    count : numpy.ndarray of float64
        How often.
    """

    contexts: tuple[Int64s, ...]
    known: Int64s
    last: Int64s
    target: Int64s
    group: Int64s
    count: Floats

    @classmethod
    def of(cls, moves: pl.DataFrame, order: int) -> Memory:
        """Number the contexts of a table with ``group``, ``source_1`` ..., ``target``, ``transitions``."""
        sources = [f"source_{i}" for i in range(1, order + 1)]
        contexts = [np.zeros(moves.height, np.int64)]
        for k in range(1, order + 1):
            last = moves.select(sources[order - k :])
            distinct = last.unique(maintain_order=True).with_row_index("number")
            joined = last.join(distinct, on=last.columns, how="left", nulls_equal=True, maintain_order="left")
            contexts.append(joined["number"].to_numpy().astype(np.int64))
        known = moves.select(pl.sum_horizontal(pl.col(sources).is_not_null().cast(pl.Int64)).alias("known"))
        return cls(
            tuple(contexts),
            known["known"].to_numpy(),
            moves[sources[-1]].fill_null(-1).to_numpy().astype(np.int64),
            moves["target"].to_numpy().astype(np.int64),
            moves[GROUP].to_numpy().astype(np.int64) % GROUPS,
            moves["transitions"].to_numpy().astype(np.float64),
        )

    @property
    def order(self) -> int:
        """The longest order."""
        return len(self.contexts) - 1

    @cached_property
    def common(self) -> npt.NDArray[np.bool_]:
        """The rows that every order predicts: those with the longest context."""
        return np.asarray(self.known == self.order)

    @cached_property
    def alphabet(self) -> int:
        """How many different things can come next."""
        return int(np.unique(self.target[self.count > 0]).size)

    def orders(self) -> pl.DataFrame:
        """Score every order on the same symbols. D10.4."""
        n, m = float(self.count[self.common].sum()), int(np.unique(self.target[self.common]).size)
        rows: list[dict[str, Any]] = []
        for k in range(self.order + 1):
            rows.append(self._row(k, n, m, rows[-1] if rows else None))
        return pl.DataFrame(rows, schema=ORDERS, orient="row")

    def _row(self, k: int, n: float, m: int, before: dict[str, Any] | None) -> dict[str, Any]:
        likelihood, contexts = self._fit(k, self.common)
        full, seen = m**k * max(m - 1, 0), contexts * max(m - 1, 0)
        row: dict[str, Any] = {"order": k, "symbols": round(n), "contexts": contexts}
        row |= {"parameters_full": float(full), "parameters_seen": seen, "log_likelihood": likelihood}
        row |= {"aic": -2 * likelihood + 2 * full, "aic_seen": -2 * likelihood + 2 * seen}
        size = np.log(n) if n > 0 else 0.0
        row |= {"bic": -2 * likelihood + size * full, "bic_seen": -2 * likelihood + size * seen}
        row |= {"likelihood_ratio": None, "degrees_of_freedom": None, "p_value": None}
        if before is not None:
            degrees = seen - before["parameters_seen"]
            ratio = max(0.0, 2 * (likelihood - before["log_likelihood"]))
            row |= ChiSquare.of(ratio, degrees)._asdict()
            row["likelihood_ratio"] = row.pop("statistic")
        return row | {"held_out": self._held_out_score(k)}

    def _fit(self, k: int, rows: npt.NDArray[np.bool_]) -> tuple[float, int]:
        """Return the log-likelihood of order k on these rows, fitted to them, and how many contexts they have."""
        joint, context = self._joint(k, self.target, rows)
        totals = np.bincount(context, joint)
        seen = joint > 0
        likelihood = float((joint[seen] * np.log(joint[seen] / totals[context[seen]])).sum())
        return likelihood, int((totals > 0).sum())

    def _joint(self, k: int, target: Int64s, rows: npt.NDArray[np.bool_]) -> tuple[Floats, Int64s]:
        """Return the counts of every context of order k with every target, and the context of each."""
        size = int(self.target.max(initial=0)) + 1
        keys, place = np.unique(self.contexts[k][rows] * size + target[rows], return_inverse=True)
        return np.bincount(place, self.count[rows], keys.size).astype(np.float64), keys // size

    @cached_property
    def held_out(self) -> npt.NDArray[np.bool_]:
        """The rows of users who are held out."""
        return np.asarray(self.group % HELD_OUT == 0)

    @property
    def can_hold_out(self) -> bool:
        """Whether there are users to fit to and users to score."""
        return bool(
            self.count[self.common & self.held_out].sum() > 0
            and self.count[self.common & ~self.held_out].sum() > 0
        )

    def _held_out_score(self, k: int) -> float | None:
        """Return the mean log-likelihood of users who are held out. D10.4."""
        if not self.can_hold_out:
            return None
        m = int(np.unique(self.target[self.common]).size)
        pair, total = self._trained(k)
        test = self.common & self.held_out
        p = (pair[test] + SMOOTHING) / (total[test] + SMOOTHING * m)
        return float((self.count[test] * np.log(p)).sum() / self.count[test].sum())

    def _trained(self, k: int) -> tuple[Floats, Floats]:
        """Return for every row how often the users that are not held out had its pair, and its context."""
        size = int(self.target.max(initial=0)) + 1
        trained = np.where(self.common & ~self.held_out, self.count, 0.0)
        _, pair = np.unique(self.contexts[k] * size + self.target, return_inverse=True)
        return (
            np.bincount(pair, trained)[pair].astype(np.float64),
            np.bincount(self.contexts[k], trained)[self.contexts[k]].astype(np.float64),
        )

    def multi_order(self) -> pl.DataFrame:
        """Compare models that predict every symbol by all that came before it, up to an order. D10.5."""
        frame: list[dict[str, Any]] = []
        likelihoods, degrees = self._layers()
        accepted = True
        for k in range(1, self.order + 1):
            row: dict[str, Any] = {"max_order": k, "log_likelihood": likelihoods[k]}
            row["degrees_of_freedom"] = sum(degrees[: k + 1])
            row |= {"likelihood_ratio": None, "p_value": None, "accepted": None}
            if k > 1:
                test = ChiSquare.of(max(0.0, 2 * (likelihoods[k] - likelihoods[k - 1])), max(0, degrees[k]))
                accepted = accepted and test.p_value < ACCEPTED_BELOW
                row |= {"likelihood_ratio": test.statistic, "p_value": test.p_value, "accepted": accepted}
            frame.append(row)
        return pl.DataFrame(frame, schema=MULTI_ORDER, orient="row")

    def _layers(self) -> tuple[list[float], list[int]]:
        """Return the log-likelihood with every longest order, and the degrees of freedom of every layer."""
        visits = np.bincount(self.target, self.count, int(self.target.max(initial=0)) + 1)
        share = visits / max(visits.sum(), 1.0)
        first = self.known == 0
        at_start = float((self.count[first] * np.log(share[self.target[first]])).sum())
        scores: list[tuple[float, float]] = [(at_start, 0.0)]
        for k in range(1, self.order + 1):
            rows = self.known >= k
            probability = self._probability(k, rows)
            logs = self.count[rows] * np.log(
                probability, where=probability > 0, out=np.zeros(probability.size)
            )
            scores.append((float(logs[self.known[rows] == k].sum()), float(logs.sum())))
        short = np.cumsum([own for own, _ in scores])
        totals = [float(short[k - 1] + scores[k][1]) for k in range(1, self.order + 1)]
        return [at_start, *totals], self._degrees()

    def _probability(self, k: int, rows: npt.NDArray[np.bool_]) -> Floats:
        """Return the probability that order k, fitted to these rows, gives each of them."""
        size = int(self.target.max(initial=0)) + 1
        _, pair = np.unique(self.contexts[k][rows] * size + self.target[rows], return_inverse=True)
        joint = np.bincount(pair, self.count[rows])[pair]
        total = np.bincount(self.contexts[k][rows], self.count[rows])[self.contexts[k][rows]]
        return np.divide(joint, total, out=np.zeros(joint.size), where=total > 0)

    def _degrees(self) -> list[int]:
        """Return the degrees of freedom of every layer: paths in the graph of edges, less one per context."""
        from scipy.sparse import csr_array

        rows = (self.known >= 1) & (self.count > 0)
        source = self.last[rows]
        size = int(max(self.target.max(initial=0), source.max(initial=0))) + 1
        edges = np.unique(source * size + self.target[rows])
        graph = csr_array((np.ones(edges.size), (edges // size, edges % size)), shape=(size, size))
        walks, found = graph, [max(self.alphabet - 1, 0)]
        for _ in range(self.order):
            per_row: Floats = np.asarray(walks.sum(axis=1))
            found.append(int(per_row.sum()) - int((per_row > 0).sum()))
            walks = walks @ graph
        return found


ORDERS: dict[str, Any] = {
    "order": pl.Int64,
    "symbols": pl.Int64,
    "contexts": pl.Int64,
    "parameters_full": pl.Float64,
    "parameters_seen": pl.Int64,
    "log_likelihood": pl.Float64,
    "aic": pl.Float64,
    "bic": pl.Float64,
    "aic_seen": pl.Float64,
    "bic_seen": pl.Float64,
    "likelihood_ratio": pl.Float64,
    "degrees_of_freedom": pl.Int64,
    "p_value": pl.Float64,
    "held_out": pl.Float64,
}
MULTI_ORDER: dict[str, Any] = {
    "max_order": pl.Int64,
    "log_likelihood": pl.Float64,
    "degrees_of_freedom": pl.Int64,
    "likelihood_ratio": pl.Float64,
    "p_value": pl.Float64,
    "accepted": pl.Boolean,
}
