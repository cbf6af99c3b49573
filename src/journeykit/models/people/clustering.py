"""One set of users in clusters: how many, who, and whether halves of the users say the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.models.people.embedding import Embedding
from journeykit.models.people.mixture import Mixture, fit_mixture
from journeykit.models.people.profiles import USER, Profiles, adjusted_rand, contingency
from journeykit.protocol import CELL, GROUP

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]
RESAMPLED_STARTS = 5
HALVES = 1


@dataclass(frozen=True, eq=False)
class Clustering:
    """The clusters that were chosen.

    Attributes
    ----------
    profiles : Profiles
        What was clustered.
    labels : numpy.ndarray of int64
        The cluster of every profile, from 0.
    chances : numpy.ndarray of float64
        The probability that it belongs there; NaN with n-grams.
    stability : numpy.ndarray of float64
        Per cluster; NaN without resamples.
    tried : list of dict
        One row per number of clusters.
    clusters : int
        How many were chosen.
    converged : bool
        Whether the model that was chosen had settled.
    """

    profiles: Profiles
    labels: Int64s
    chances: Floats
    stability: Floats
    tried: list[dict[str, Any]]
    clusters: int
    converged: bool

    def sizes(self) -> dict[str, Any]:
        """Return the columns of the table of clusters."""
        weights = self.profiles.weights
        users = np.bincount(self.labels, weights, self.clusters)
        with np.errstate(invalid="ignore", divide="ignore"):
            certainty = np.bincount(self.labels, weights * self.chances, self.clusters) / users
        return {
            CELL: np.zeros(self.clusters, np.int32),
            "cluster": np.arange(1, self.clusters + 1),
            "users": users.astype(np.int64),
            "all_users": np.full(self.clusters, self.profiles.n_users),
            "certainty": certainty,
            "stability": self.stability,
        }

    def moves(self) -> dict[str, Any]:
        """Return the columns of the table of moves, as the users who were put into each cluster made them."""
        profiles = self.profiles
        edges, rows = profiles.edges.height, profiles.rows
        key = self.labels[rows] * edges + profiles.moves
        counted = np.bincount(key, profiles.counts * profiles.weights[rows], self.clusters * edges)
        made: Floats = counted.astype(np.float64).reshape(self.clusters, edges)
        chances = np.vstack([_shares(each, profiles) for each in made])
        among_all = _shares(profiles.totals(), profiles)
        cluster, edge = np.nonzero(made)
        return {
            CELL: np.zeros(cluster.size, np.int32),
            "cluster": cluster + 1,
            "source": profiles.edges["source"].gather(edge),
            "target": profiles.edges["target"].gather(edge),
            "moves": made[cluster, edge],
            "probability": chances[cluster, edge],
            "probability_all": among_all[edge],
            "lift": chances[cluster, edge] / among_all[edge],
        }

    def assignments(self) -> pl.DataFrame:
        """Return one row per user, by id."""
        profile = self.profiles.users["profile"].to_numpy()
        columns = [
            pl.Series("cluster", self.labels[profile] + 1, dtype=pl.Int64),
            pl.Series("probability", self.chances[profile], nan_to_null=True),
            pl.lit(0, pl.Int32).alias(CELL),
        ]
        return self.profiles.users.select(USER, GROUP).with_columns(columns).sort(USER)


def cluster(
    profiles: Profiles, tried: Sequence[int], method: str, starts: int, resamples: int, seed: int
) -> Clustering:
    """Try some numbers of clusters, choose one, and cluster halves of the users again.

    Parameters
    ----------
    profiles : Profiles
        At least one.
    tried : sequence of int
        Numbers of clusters; more than profiles count for as many as these.
    method : {"markov", "ngrams"}
        See `Clusters`.
    starts, resamples, seed : int
        See `Clusters`.

    Returns
    -------
    Clustering
        Of the smallest BIC, or the largest silhouette; of equals the fewest clusters.
    """
    counts = sorted({min(each, profiles.size) for each in tried})
    found = _by_mixture if method == "markov" else _by_ngrams
    return found(profiles, counts, starts, resamples, seed)


def _by_mixture(
    profiles: Profiles, counts: Sequence[int], starts: int, resamples: int, seed: int
) -> Clustering:
    rows, fits = [], []
    for k in counts:
        mixture, moves = fit_mixture(profiles, k, starts, seed)
        parameters = mixture.parameters(profiles, moves)
        bic = -2 * mixture.log_likelihood + parameters * np.log(profiles.n_users)
        fits.append((mixture, moves))
        rows.append(
            _row(k, log_likelihood=mixture.log_likelihood, parameters=parameters, bic=float(bic),
                 rounds=mixture.rounds, converged=mixture.converged)
        )  # fmt: skip
    best = int(np.argmin([row["bic"] for row in rows]))
    mixture, _ = fits[best]
    labels, chances = mixture.assigned(profiles)

    def again(weights: Floats, draw: int) -> Int64s:
        other, moves = fit_mixture(profiles, mixture.clusters, min(starts, RESAMPLED_STARTS), draw, weights)
        lenient: Mixture = other.smoothed(profiles, moves)
        return lenient.assigned(profiles)[0]

    stability, agreement = _stability(profiles, labels, mixture.clusters, again, resamples, seed)
    rows[best] |= {"chosen": True, "agreement": agreement}
    return Clustering(profiles, labels, chances, stability, rows, mixture.clusters, mixture.converged)


def _by_ngrams(
    profiles: Profiles, counts: Sequence[int], starts: int, resamples: int, seed: int
) -> Clustering:
    points = Embedding.of(profiles, seed)
    found = [points.clustered(k, profiles.weights, seed)[0] for k in counts]
    scores = [points.silhouette(labels) for labels in found]
    rows = [_row(k, silhouette=score) for k, score in zip(counts, scores, strict=True)]
    best = int(np.argmax(np.nan_to_num(scores, nan=-2.0)))
    labels, k = found[best], counts[best]

    def again(weights: Floats, draw: int) -> Int64s:
        return points.nearest(points.clustered(k, weights, draw)[1])

    stability, agreement = _stability(profiles, labels, k, again, resamples, seed)
    rows[best] |= {"chosen": True, "agreement": agreement}
    return Clustering(profiles, labels, np.full(labels.size, np.nan), stability, rows, k, converged=True)


def _row(clusters: int, **known: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(
        ("log_likelihood", "parameters", "bic", "silhouette", "rounds", "converged", "agreement")
    )
    return {CELL: 0, "clusters": clusters, "chosen": False, **nothing, **known}


def _stability(
    profiles: Profiles, labels: Int64s, clusters: int, again: Any, resamples: int, seed: int
) -> tuple[Floats, float | None]:
    """Return the mean Jaccard index of every cluster with its likeness, and the mean adjusted Rand index."""
    likeness, agreement = [], []
    for i in range(resamples):
        draw = np.random.default_rng([seed, i, HALVES])
        weights = draw.binomial(profiles.weights.astype(np.int64), 0.5).astype(np.float64)
        if np.count_nonzero(weights) < clusters:
            continue
        other = again(weights, int(draw.integers(1 << 32)))
        table = contingency(labels, other, profiles.weights)
        both = table.sum(axis=1)[:, None] + table.sum(axis=0)[None, :] - table
        with np.errstate(invalid="ignore"):
            likeness.append(np.nanmax(np.where(both > 0, table / both, 0.0), axis=1))
        agreement.append(adjusted_rand(labels, other, profiles.weights))
    if not likeness:
        return np.full(clusters, np.nan), None
    rows = np.zeros((len(likeness), clusters))
    for i, each in enumerate(likeness):
        rows[i, : each.size] = each
    return rows.mean(axis=0), float(np.mean(agreement))


def _shares(moves: Floats, profiles: Profiles) -> Floats:
    """Divide moves by those from the same source."""
    leaving = np.bincount(profiles.edge_sources, moves)[profiles.edge_sources]
    return np.divide(moves, leaving, out=np.zeros_like(moves), where=leaving > 0)
