"""Whether a chain fits: the same everywhere, the same backwards, without memory. DEFINITIONS D10.6."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from journeykit.errors import ParameterError, UnknownNameError
from journeykit.models.chains.fitted import Fit

if TYPE_CHECKING:
    from journeykit.models.chains.markov import MarkovChain

Floats = npt.NDArray[np.float64]


class ChiSquare(NamedTuple):
    """A test by chi-square.

    Attributes
    ----------
    statistic : float
        How far the counts are from what the hypothesis lets expect.
    degrees_of_freedom : int
        0 where nothing could be tested.
    p_value : float
        Chance of a statistic at least as large if the hypothesis holds; 1 without degrees of freedom.
    """

    statistic: float
    degrees_of_freedom: int
    p_value: float

    @classmethod
    def of(cls, statistic: float, degrees: int) -> ChiSquare:
        """Look the chance up."""
        from scipy.special import chdtrc

        return cls(float(statistic), int(degrees), float(chdtrc(degrees, statistic)) if degrees else 1.0)


def homogeneity(chains: Sequence[MarkovChain]) -> ChiSquare:
    """Test whether chains of disjoint users, or of periods, have the same probabilities. D10.6.

    Parameters
    ----------
    chains : sequence of MarkovChain
        At least two, fitted to counts.

    Returns
    -------
    ChiSquare
        Sum over chains g and edges of n_i^g (p_ij^g - p_ij)^2 / p_ij, p_ij pooled; degrees of freedom: sum over states
        of (chains with the state - 1)(its targets - 1).

    Notes
    -----
    Takes moves as independent. Those of one path and one user are not quite: p-values are too small then.

    References
    ----------
    Anderson & Goodman 1957, Ann. Math. Stat. 28.
    """
    if len(chains) < 2:
        raise ParameterError(f"homogeneity compares at least two chains, and was given {len(chains)}.")
    names = sorted({name for chain in chains for name in chain.names})
    place = {name: i for i, name in enumerate(names)}
    keys, counts, which = [], [], []
    for number, chain in enumerate(chains):
        own = np.array([place[name] for name in chain.names], np.int64)
        fitted = chain.fitted
        keys.append(own[fitted.edge_source] * len(names) + own[fitted.edge_target])
        counts.append(fitted.edge_count)
        which.append(np.full(fitted.edge_count.size, number))
    edges, row = np.unique(np.concatenate(keys), return_inverse=True)
    table = np.zeros((edges.size, len(chains)))
    np.add.at(table, (row, np.concatenate(which)), np.concatenate(counts))
    return _independent(table, edges // len(names))


def _independent(table: Floats, block: npt.NDArray[np.int64]) -> ChiSquare:
    """Test in each block of rows whether rows and columns are independent, and add up."""
    table, block = table[table.sum(axis=1) > 0], block[table.sum(axis=1) > 0]
    _, place = np.unique(block, return_inverse=True)
    totals = np.zeros((int(place.max(initial=-1)) + 1, table.shape[1]))
    np.add.at(totals, place, table)
    with np.errstate(divide="ignore", invalid="ignore"):
        pooled = table.sum(axis=1) / totals.sum(axis=1)[place]
    expected = pooled[:, None] * totals[place]
    real = expected > 0
    statistic = ((table - expected)[real] ** 2 / expected[real]).sum()
    degrees = ((totals > 0).sum(axis=1) - 1) * (np.bincount(place, minlength=len(totals)) - 1)
    return ChiSquare.of(statistic, int(degrees.sum()))


def memory(
    past: npt.ArrayLike, present: npt.ArrayLike, future: npt.ArrayLike, count: npt.ArrayLike
) -> ChiSquare:
    """Test order 1 against order 2: whether past and future are independent given the present. D10.6.

    Parameters
    ----------
    past, present, future : array_like of int
        Of every triple of states that occurs.
    count : array_like of float
        How often.

    Returns
    -------
    ChiSquare
        Pearson's, summed over present states. Degrees of freedom are m (m - 1)^2 where every past and future of every
        present occurs; in general (pasts - 1)(futures - 1) of each present state.

    Notes
    -----
    Takes triples as independent. Those of one path and one user overlap: p-values are too small then.
    """
    past, present, future = (np.asarray(each, np.int64) for each in (past, present, future))
    pasts, column = np.unique(past, return_inverse=True)
    size = int(future.max(initial=0)) + 1
    rows, row = np.unique(present * size + future, return_inverse=True)
    table = np.zeros((rows.size, pasts.size))
    np.add.at(table, (row, column), np.asarray(count, np.float64))
    return _independent(table, rows // size)


def goodness_of_fit(paths: Sequence[Sequence[str]], chain: MarkovChain) -> ChiSquare:
    """Test whether three states in a row are as frequent as a chain of order 1 lets expect.

    Parameters
    ----------
    paths : sequence of sequences of str
        Of states that the chain has.
    chain : MarkovChain
        Fitted to these paths, or to others.

    Returns
    -------
    ChiSquare
        Sum over triples of (n_abc - n_ab p_bc)^2 / (n_ab p_bc), infinite if a move is met that the chain takes for
        impossible. Degrees of freedom: distinct triples - their distinct first two states + their distinct middle
        states - 1.

    Raises
    ------
    UnknownNameError
        If the chain does not have a state of the paths.

    Notes
    -----
    Takes triples as independent. Those of one path and one user overlap: p-values are too small then.

    References
    ----------
    Polansky 2007, Communications in Statistics 36.

    Examples
    --------
    >>> from journeykit import MarkovChain
    >>> path = ["a", "b", "a", "b", "a", "a", "b"]
    >>> goodness_of_fit([path], MarkovChain.fit([path])).degrees_of_freedom
    2
    """
    if unknown := {state for path in paths for state in path} - set(chain.names):
        raise UnknownNameError("state", sorted(unknown), chain.names, advice="")
    edges = chain.edges().select("source", "target", "probability")
    probability = {(source, target): p for source, target, p in edges.iter_rows()}
    triples = Counter(triple for path in paths for triple in zip(path, path[1:], path[2:], strict=False))
    pairs: Counter[tuple[str, str]] = Counter()
    for (past, present, _), count in triples.items():
        pairs[past, present] += count
    statistic = -float(triples.total())
    for (past, present, future), count in triples.items():
        p = probability.get((present, future), 0.0)
        statistic += count**2 / (pairs[past, present] * p) if p else math.inf
    degrees = len(triples) - len(pairs) + len({present for _, present in pairs}) - 1
    return ChiSquare.of(statistic, max(degrees, 0))


def symmetry(fitted: Fit, start: int | None) -> ChiSquare:
    """Test whether there are as many moves from A to B as from B to A; ends are joined with the start.

    Parameters
    ----------
    fitted : Fit
        The counted moves.
    start : int, optional
        The start; without one, moves into ends are left out.

    Returns
    -------
    ChiSquare
        Sum over pairs of (n_AB - n_BA)^2 / (n_AB + n_BA); one degree of freedom per pair with moves.

    Notes
    -----
    Takes moves as independent. Those of one path and one user are not quite: p-values are too small then.

    References
    ----------
    Bowker 1948, JASA 43.
    """
    source, target, count = fitted.edge_source, fitted.edge_target, fitted.edge_count
    if start is None:
        inner = target < fitted.states
        source, target, count = source[inner], target[inner], count[inner]
    else:
        target = np.where(target < fitted.states, target, start)
    low, high = np.minimum(source, target), np.maximum(source, target)
    apart = low != high
    pairs, row = np.unique(low[apart] * fitted.states + high[apart], return_inverse=True)
    forward = np.bincount(row, np.where(source < target, count, 0.0)[apart], pairs.size)
    backward = np.bincount(row, np.where(source > target, count, 0.0)[apart], pairs.size)
    both = forward + backward
    seen = both > 0
    return ChiSquare.of(((forward - backward)[seen] ** 2 / both[seen]).sum(), int(seen.sum()))
