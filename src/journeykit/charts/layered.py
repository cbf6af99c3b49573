"""Places of states between START and END: layers from left to right by the flow, few crossings. No plotly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
SWEEPS = 8


def layered(
    states: int,
    source: Sequence[int],
    target: Sequence[int],
    weight: Sequence[float],
    first: int | None = None,
    last: int | None = None,
    layers: int | None = None,
) -> tuple[Floats, Floats]:
    """Place the states of a graph in layers.

    Parameters
    ----------
    states : int
        How many, numbered from 0.
    source, target : sequence of int
        Of every edge.
    weight : sequence of float
        How much flows over it; positive.
    first, last : int, optional
        States that have the first and the last layer to themselves.
    layers : int, optional
        How many layers; by default about as many as states in a layer, START and END aside.

    Returns
    -------
    tuple of numpy.ndarray
        x from 0 (start) to 1 (end) and y from 0 to 1, of every state.

    Notes
    -----
    A state's level is such that an edge leads one level up in the mean, weighted by what flows: the trophic levels of
    MacKay, Johnson and Sansom (2020). States of nearby levels share a layer. In a layer they stand by the mean place of
    their neighbours (Sugiyama's barycentres), of which a few sweeps are made. O(states^3).
    """
    if states == 0:
        return np.zeros(0), np.zeros(0)
    flow = np.zeros((states, states))
    np.add.at(
        flow, (np.asarray(source, np.int64), np.asarray(target, np.int64)), np.asarray(weight, np.float64)
    )
    np.fill_diagonal(flow, 0.0)
    layer = _layers(_levels(flow), first, last, layers)
    place = _order(flow + flow.T, layer)
    return _spread(layer, place)


def _levels(flow: Floats) -> Floats:
    """Solve for the levels of all states; those without edges are in the middle."""
    both = flow + flow.T
    laplacian = np.diag(both.sum(axis=1)) - both
    imbalance = flow.sum(axis=0) - flow.sum(axis=1)
    levels = np.linalg.lstsq(laplacian, imbalance, rcond=None)[0]
    return np.asarray(levels, np.float64)


def _layers(levels: Floats, first: int | None, last: int | None, layers: int | None) -> Ints:
    """Cut the levels of the inner states into layers of about as many states, in their order."""
    inner = [i for i in np.argsort(levels, kind="stable").tolist() if i not in {first, last}]
    wanted = layers or max(1, round(len(inner) ** 0.5 * 1.3))
    layer = np.zeros(levels.size, np.int64)
    for number, group in enumerate(np.array_split(np.array(inner, np.int64), min(wanted, len(inner)) or 1)):
        layer[group] = number + 1
    if first is not None:
        layer[first] = 0
    if last is not None:
        layer[last] = layer.max() + 1
    return np.unique(layer, return_inverse=True)[1].astype(np.int64)


def _order(both: Floats, layer: Ints) -> Floats:
    """Return a place between 0 and 1 in its layer for every state, moved towards its neighbours."""
    place = np.full(layer.size, 0.5)
    members = [np.flatnonzero(layer == number) for number in range(layer.max() + 1)]
    for group in members:
        place[group] = (np.argsort(np.argsort(-both[group].sum(axis=1), kind="stable")) + 0.5) / group.size
    total = both.sum(axis=1)
    for sweep in range(SWEEPS):
        for group in members if sweep % 2 == 0 else members[::-1]:
            outside = layer != layer[group[0]]
            pulled = both[np.ix_(group, np.flatnonzero(outside))] @ place[outside]
            weight = both[np.ix_(group, np.flatnonzero(outside))].sum(axis=1)
            centre = np.where(weight > 0, pulled / np.where(weight > 0, weight, 1), place[group])
            ranks = np.argsort(np.lexsort([-total[group], centre]))
            place[group] = (ranks + 0.5) / group.size
    return place


def _spread(layer: Ints, place: Floats) -> tuple[Floats, Floats]:
    """Put layers at equal distances; every other one a little lower, so that names do not meet."""
    deepest = max(1, int(layer.max()))
    x = layer / deepest
    size = np.bincount(layer)[layer]
    shift = np.where((layer % 2 == 1) & (size > 1), 0.25 / size, -0.25 / size * (size > 1))
    return x.astype(np.float64), np.clip(place + shift, 0.0, 1.0)
