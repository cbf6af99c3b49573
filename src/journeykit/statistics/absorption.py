"""P(ever reach a goal) from transition counts: an absorbing chain, solved sparse. DEFINITIONS D10.2, D10.3."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.intervals import GROUPS, jackknife
from journeykit.protocol import CELL, GROUP, Context, sum_rows
from journeykit.statistics.base import with_floats

Floats = npt.NDArray[np.float64]


def conversion_by_state(edges: pl.DataFrame, goals: Sequence[str], context: Context) -> pl.DataFrame:
    """Solve the chain of every cell, and once more without each jackknife group.

    Parameters
    ----------
    edges : polars.DataFrame
        ``cell``, ``group``, ``source``, ``target``, ``transitions``.
    goals : sequence of str
        States that end a path with success; END ends it without.
    context : Context
        Gives the level.

    Returns
    -------
    polars.DataFrame
        ``cell``, ``state``, ``visits``, ``probability``, ``low``, ``high``, sorted.
    """
    cells = [_one_cell(part, goals, context) for _, part in edges.group_by(CELL, maintain_order=True)]
    return pl.concat(cells).sort(
        CELL, "probability", "state", descending=[False, True, False], nulls_last=True
    )


def _one_cell(edges: pl.DataFrame, goals: Sequence[str], context: Context) -> pl.DataFrame:
    edges = edges.filter(~pl.col("source").is_in(list(goals)))
    states = edges["source"].unique().sort()
    place = {name: i for i, name in enumerate(states)}
    source = edges["source"].replace_strict(place, return_dtype=pl.Int64).to_numpy()
    target = edges["target"].replace_strict(place, default=-1, return_dtype=pl.Int64).to_numpy()
    won = edges["target"].is_in(list(goals)).to_numpy()
    count, group = edges["transitions"].to_numpy().astype(float), edges[GROUP].to_numpy()
    estimate = solve(source, target, won, count, len(states))
    replicates = np.tile(estimate[:, None], (1, GROUPS))
    present = np.unique(group)
    for each in present:
        replicates[:, each] = solve(source, target, won, np.where(group == each, 0.0, count), len(states))
    groups = np.full(len(states), present.size)
    users = np.full(len(states), context.n_users)
    bounds = jackknife(estimate, replicates, groups, users, level=context.level)
    visits = sum_rows(edges.select("source", "transitions"), ["source"]).sort("source")["transitions"]
    frame = pl.DataFrame({CELL: [edges[CELL][0]] * len(states), "state": states, "visits": visits})
    return with_floats(frame, {"probability": estimate, "low": bounds.low, "high": bounds.high})


def solve(
    source: npt.NDArray[np.int64],
    target: npt.NDArray[np.int64],
    won: npt.NDArray[np.bool_],
    count: Floats,
    states: int,
) -> Floats:
    """Return P(reach a goal) from every state.

    Parameters
    ----------
    source, target : numpy.ndarray of int64
        State numbers of every edge; -1 for a target that ends the path.
    won : numpy.ndarray of bool
        Whether the target is a goal.
    count : numpy.ndarray of float64
        Transitions of the edge.
    states : int
        How many states there are.

    Returns
    -------
    numpy.ndarray of float64
        NaN for states without transitions, and where nothing ever ends.
    """
    from scipy.sparse import csc_array, eye_array
    from scipy.sparse.linalg import splu

    total = np.bincount(source, count, states)
    with np.errstate(divide="ignore", invalid="ignore"):
        probability = np.where(count > 0, count / total[source], 0.0)
    inner = target >= 0
    moves = csc_array((probability[inner], (source[inner], target[inner])), shape=(states, states))
    reach = np.bincount(source, probability * won, states)
    try:
        solved = splu((eye_array(states) - moves).tocsc()).solve(reach)
    except RuntimeError:
        return np.full(states, np.nan)
    return np.where(total > 0, np.clip(solved, 0.0, 1.0), np.nan)
