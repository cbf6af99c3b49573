"""Journeys as points, by the states and moves that users have, and clusters of points that are near each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from journeykit.errors import MissingPackageError
from journeykit.models.people.profiles import Profiles

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]
DIMENSIONS = 20
SILHOUETTE_PROFILES = 2_000
KMEANS_STARTS = 10


@dataclass(frozen=True, eq=False)
class Embedding:
    """Profiles as points in at most 20 dimensions.

    Attributes
    ----------
    points : numpy.ndarray of float64, profiles x dimensions
        Of length 1.
    """

    points: Floats

    @classmethod
    def of(cls, profiles: Profiles, seed: int) -> Embedding:
        """Embed profiles by their single states and their moves.

        Raises
        ------
        MissingPackageError
            If scikit-learn is not installed.

        Notes
        -----
        ``(1 + ln count) (1 + ln(users / users who have it))``, rows scaled to length 1, projected to the directions in
        which they differ most (truncated singular value decomposition), scaled again. 12 bytes per user and distinct
        move, 160 bytes per distinct user.
        """
        require_sklearn()
        from scipy.sparse import csr_array, hstack
        from sklearn.decomposition import TruncatedSVD

        shape = (profiles.size, profiles.edges.height)
        moves = csr_array((profiles.counts, profiles.moves, profiles.offsets), shape=shape)
        entered = _entered(profiles)
        visits = moves @ csr_array(
            (np.ones(entered.size), (np.arange(entered.size), entered)),
            shape=(entered.size, int(entered.max(initial=0)) + 1),
        )
        table = hstack([moves, visits]).tocsr()
        table.data = 1 + np.log(table.data)
        having = np.bincount(
            table.indices, np.repeat(profiles.weights, np.diff(table.indptr)), table.shape[1]
        )
        rare = np.log(profiles.n_users / np.maximum(having, 1)) + 1
        table.data *= rare[table.indices]
        lengths = np.sqrt(np.asarray(table.multiply(table).sum(axis=1)).ravel())
        table.data = table.data / np.repeat(np.maximum(lengths, 1e-300), np.diff(table.indptr))
        dimensions = min(DIMENSIONS, min(table.shape) - 1)
        if dimensions < 1:
            return cls(_scaled(np.asarray(table.todense(), np.float64)))
        points = TruncatedSVD(dimensions, random_state=seed % (1 << 32)).fit_transform(table)
        return cls(_scaled(points))

    def clustered(self, clusters: int, weights: Floats, seed: int) -> tuple[Int64s, Floats]:
        """Return the cluster of every profile by k-means, the largest first, and the centres."""
        from sklearn.cluster import KMeans

        fitted = KMeans(clusters, n_init=KMEANS_STARTS, random_state=seed % (1 << 32)).fit(
            self.points, sample_weight=weights
        )
        found: Int64s = fitted.labels_.astype(np.int64)
        centres: Floats = fitted.cluster_centers_
        sizes = np.bincount(found, weights, clusters)
        order = sorted(range(clusters), key=lambda k: (-sizes[k], *centres[k].tolist()))
        return np.argsort(order)[found], centres[order]

    def nearest(self, centres: Floats) -> Int64s:
        """Return the nearest centre of every profile."""
        distances = (centres**2).sum(axis=1)[None, :] - 2 * self.points @ centres.T
        found: Int64s = np.argmin(distances, axis=1).astype(np.int64)
        return found

    def silhouette(self, clusters: Int64s) -> float:
        """Return how much nearer profiles are to their own cluster than to the next one, of at most 2,000; -1 to 1."""
        from sklearn.metrics import silhouette_score

        few = slice(0, SILHOUETTE_PROFILES)
        kinds = np.unique(clusters[few]).size
        if not 2 <= kinds < clusters[few].size:
            return np.nan
        return float(silhouette_score(self.points[few], clusters[few]))


def _entered(profiles: Profiles) -> Int64s:
    """Return the number of the state that each edge leads to."""
    _, entered = np.unique(profiles.edges["target"].to_numpy().astype(object), return_inverse=True)
    return entered.astype(np.int64)


def _scaled(points: Floats) -> Floats:
    lengths = np.sqrt((points**2).sum(axis=1, keepdims=True))
    scaled: Floats = points / np.maximum(lengths, 1e-300)
    return scaled


def require_sklearn() -> None:
    """Refuse n-grams where scikit-learn is not installed."""
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise MissingPackageError("Clusters(method='ngrams')", "scikit-learn", "clusters") from error
