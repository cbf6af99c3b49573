"""Mixtures of Markov chains: one pass over the moves of all users. Rows of users are ragged: `offsets` cut `edges`."""

from __future__ import annotations

import math

import numpy as np

from journeykit.kernels.compiling import kernel


@kernel
def log_chances(first, last, edges, counts, log_moves, log_sizes, joint):
    """Write log(size x chance of these moves) for every cluster; return the log of their sum, -inf if all are 0."""
    best = -np.inf
    for k in range(log_sizes.size):
        joint[k] = log_sizes[k]
        for i in range(first, last):
            joint[k] += counts[i] * log_moves[edges[i], k]
        best = max(best, joint[k])
    if best == -np.inf:
        return best
    total = 0.0
    for k in range(log_sizes.size):
        total += math.exp(joint[k] - best)
    return best + math.log(total)


@kernel
def expect(offsets, edges, counts, weights, log_moves, log_sizes, joint, moves, sizes):
    """Add to `moves` and `sizes` what each cluster is expected to have of every row; return the log-likelihood.

    The E step, and the sums that the M step needs: nothing is kept per row.
    """
    likelihood = 0.0
    for row in range(weights.size):
        first, last = offsets[row], offsets[row + 1]
        total = log_chances(first, last, edges, counts, log_moves, log_sizes, joint)
        likelihood += weights[row] * total
        if total == -np.inf:
            continue
        for k in range(sizes.size):
            share = weights[row] * math.exp(joint[k] - total)
            sizes[k] += share
            for i in range(first, last):
                moves[edges[i], k] += share * counts[i]
    return likelihood


@kernel
def likeliest(offsets, edges, counts, log_moves, log_sizes, joint, clusters, chances):
    """Write the likeliest cluster of every row, the first of equals, and its probability."""
    for row in range(clusters.size):
        total = log_chances(offsets[row], offsets[row + 1], edges, counts, log_moves, log_sizes, joint)
        best = 0
        for k in range(1, log_sizes.size):
            if joint[k] > joint[best]:
                best = k
        clusters[row] = best
        chances[row] = math.exp(joint[best] - total) if total > -np.inf else np.nan
