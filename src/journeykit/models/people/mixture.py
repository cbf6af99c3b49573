"""Mixtures of Markov chains: every user follows one of K chains, and which one is not seen. Fitted by EM."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from journeykit.models.people.profiles import Profiles

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]

SHORT_ROUNDS, LONG_ROUNDS = 15, 1_000
TRIED_PROFILES = 5_000
CLOSE_ENOUGH = 1e-9
PRIOR = 1.0
"""How many moves per state the chain of all users counts for: while starts are tried, and when others are assigned."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture of Markov chains over the edges of profiles.

    Attributes
    ----------
    moves : numpy.ndarray of float64, edges x clusters
        The probability of each move from its source.
    sizes : numpy.ndarray of float64, clusters
        The share of each cluster among users.
    log_likelihood : float
        Of all users.
    rounds : int
        How often the two steps were taken.
    converged : bool
        Whether the last one changed the log-likelihood by less than a billionth of it.
    """

    moves: Floats
    sizes: Floats
    log_likelihood: float = np.nan
    rounds: int = 0
    converged: bool = False

    @property
    def clusters(self) -> int:
        """How many clusters there are."""
        return self.sizes.size

    def parameters(self, profiles: Profiles, counts: Floats) -> int:
        """Count what is free: per cluster the moves it is expected to have made, less one per source; sizes less one.

        `counts` are the expected moves, edges x clusters. A move that a cluster did not make once has no number to it.
        """
        made = counts >= 1 - CLOSE_ENOUGH
        sources = [np.unique(profiles.edge_sources[each]).size for each in made.T]
        return int(made.sum()) - sum(sources) + self.clusters - 1

    def assigned(self, profiles: Profiles) -> tuple[Int64s, Floats]:
        """Return the likeliest cluster of every profile, and how likely it is."""
        from journeykit.kernels.models.mixtures import likeliest

        clusters, chances = np.empty(profiles.size, np.int64), np.empty(profiles.size)
        likeliest(
            profiles.offsets, profiles.moves, profiles.counts, *self._logs(), np.empty(self.clusters), clusters, chances
        )  # fmt: skip
        return clusters, chances

    def smoothed(self, profiles: Profiles, counts: Floats) -> Mixture:
        """Return chains that lean on that of all users, so that nothing anybody did is impossible."""
        return Mixture(_chains(profiles, counts, PRIOR * _chain_of_all(profiles)), self.sizes)

    def ordered(self) -> Mixture:
        """Return the same clusters, the largest first; equal ones by their moves."""
        order = sorted(range(self.clusters), key=lambda k: (-self.sizes[k], *(-self.moves[:, k]).tolist()))
        return Mixture(
            self.moves[:, order], self.sizes[order], self.log_likelihood, self.rounds, self.converged
        )

    def _logs(self) -> tuple[Floats, Floats]:
        with np.errstate(divide="ignore"):
            return np.log(np.ascontiguousarray(self.moves)), np.log(self.sizes)

    def stepped(self, profiles: Profiles, weights: Floats, prior: Floats) -> tuple[Mixture, Floats]:
        """Take one E step and one M step; return expected moves too."""
        from journeykit.kernels.models.mixtures import expect

        counts, sizes = np.zeros_like(self.moves), np.zeros(self.clusters)
        likelihood = expect(
            profiles.offsets, profiles.moves, profiles.counts, weights, *self._logs(), np.empty(self.clusters), counts,
            sizes,
        )  # fmt: skip
        return Mixture(_chains(profiles, counts, prior), sizes / sizes.sum(), likelihood), counts

    def run(
        self, profiles: Profiles, weights: Floats, rounds: int, prior: Floats | None = None
    ) -> tuple[Mixture, Floats]:
        """Take both steps until the log-likelihood stands still, at most so many times."""
        lean = np.zeros(profiles.edges.height) if prior is None else prior
        mixture, before, counts = self, -np.inf, np.zeros_like(self.moves)
        for done in range(1, rounds + 1):
            after, counts = mixture.stepped(profiles, weights, lean)
            still = after.log_likelihood - before <= CLOSE_ENOUGH * abs(after.log_likelihood)
            before = after.log_likelihood
            mixture = Mixture(after.moves, after.sizes, before, done, still)
            if still:
                break
        return mixture, counts


def fit_mixture(
    profiles: Profiles, clusters: int, starts: int, seed: int, weights: Floats | None = None
) -> tuple[Mixture, Floats]:
    """Fit the mixture under which what all users did is likeliest.

    Parameters
    ----------
    profiles : Profiles
        At least as many as clusters.
    clusters : int
        How many chains.
    starts : int
        How many random starts are tried for a few rounds; the best goes on to the end.
    seed : int
        Of the starts.
    weights : numpy.ndarray of float64, optional
        Users per profile, if not all of them.

    Returns
    -------
    Mixture
        The largest cluster first.
    numpy.ndarray of float64, edges x clusters
        The moves that each cluster is expected to have made.

    Notes
    -----
    A start takes the moves of K users, each as unlike the ones before as can be (as k-means++ does), and leans on the
    chain of all users; so do the first rounds. The last rounds are plain maximum likelihood. Starts are tried on at
    most 5,000 profiles.

    References
    ----------
    Cadez et al. 2003, Data Mining and Knowledge Discovery 7; Melnykov 2016, Annals of Applied Statistics 10.
    """
    own = profiles.weights if weights is None else weights
    few = profiles.some(TRIED_PROFILES)
    prior = PRIOR * _chain_of_all(profiles)
    best = None
    for start in range(starts if clusters > 1 else 1):
        draw = np.random.default_rng([seed, clusters, start])
        tried, _ = _started(few, own[: few.size], clusters, prior, draw).run(
            few, own[: few.size], SHORT_ROUNDS, prior
        )
        if best is None or tried.log_likelihood > best.log_likelihood:
            best = tried
    assert best is not None
    mixture, _ = best.run(profiles, own, LONG_ROUNDS)
    mixture = mixture.ordered()
    _, counts = mixture.stepped(profiles, own, np.zeros(profiles.edges.height))
    return mixture, counts


def _started(
    profiles: Profiles, weights: Floats, clusters: int, prior: Floats, draw: np.random.Generator
) -> Mixture:
    """Return a mixture of the chains of a few users who are unlike each other."""
    rows = profiles.rows
    own = _log_chances_under_themselves(profiles, prior)
    chances = weights / weights.sum()
    best = np.full(profiles.size, -np.inf)
    chains = []
    for _ in range(clusters):
        chosen = int(draw.choice(profiles.size, p=chances))
        part = slice(profiles.offsets[chosen], profiles.offsets[chosen + 1])
        made = np.bincount(profiles.moves[part], profiles.counts[part], profiles.edges.height)
        chain = _chains(profiles, made[:, None].astype(np.float64), prior)
        chains.append(chain[:, 0])
        under = np.bincount(rows, profiles.counts * np.log(chain[profiles.moves, 0]), profiles.size)
        best = np.maximum(best, under)
        apart = weights * np.maximum(own - best, 0.0)
        chances = apart / apart.sum() if apart.sum() > 0 else weights / weights.sum()
    return Mixture(np.column_stack(chains), np.full(clusters, 1 / clusters))


def _log_chances_under_themselves(profiles: Profiles, prior: Floats) -> Floats:
    """Return how likely the moves of each profile are under the chain that these moves give."""
    rows, sources = profiles.rows, profiles.edge_sources[profiles.moves]
    keys = rows * (int(sources.max(initial=0)) + 1) + sources
    leaving = np.bincount(keys, profiles.counts)[keys] if keys.size else np.empty(0)
    chance = (profiles.counts + prior[profiles.moves]) / (leaving + PRIOR)
    return np.bincount(rows, profiles.counts * np.log(chance), profiles.size).astype(np.float64)


def _chain_of_all(profiles: Profiles) -> Floats:
    return _chains(profiles, profiles.totals()[:, None], np.zeros(profiles.edges.height))[:, 0]


def _chains(profiles: Profiles, counts: Floats, prior: Floats) -> Floats:
    """Divide moves by those from the same source; 0 from sources that a cluster never was in."""
    lean = counts + prior[:, None]
    states = int(profiles.edge_sources.max(initial=-1)) + 1
    leaving = np.column_stack([np.bincount(profiles.edge_sources, each, states) for each in lean.T])
    below = leaving[profiles.edge_sources]
    return np.divide(lean, below, out=np.zeros_like(lean), where=below > 0)
