"""P(ever reach a goal) from transition counts: an absorbing chain, solved sparse. DEFINITIONS D10.2, D10.3."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import UndefinedError, listed
from journeykit.intervals import GROUPS, jackknife
from journeykit.protocol import CELL, GROUP, Context
from journeykit.statistics.base import with_floats

Floats = npt.NDArray[np.float64]
END = "<END>"


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
    ends = [*goals, END]
    states = (
        pl.concat([edges["source"], edges["target"].filter(~edges["target"].is_in(ends))]).unique().sort()
    )
    place = {name: i for i, name in enumerate(states)}
    source = edges["source"].replace_strict(place, return_dtype=pl.Int64).to_numpy()
    target = edges["target"].replace_strict(place, default=-1, return_dtype=pl.Int64).to_numpy()
    won = edges["target"].is_in(list(goals)).to_numpy()
    count, group = edges["transitions"].to_numpy().astype(float), edges[GROUP].to_numpy()
    estimate = solve(source, target, won, count, len(states))
    _refuse_endless(states.filter(pl.Series(np.isnan(estimate))).to_list())
    replicates = np.tile(estimate[:, None], (1, GROUPS))
    present = np.unique(group)
    for each in present:
        replicates[:, each] = solve(source, target, won, np.where(group == each, 0.0, count), len(states))
    groups = np.full(len(states), present.size)
    users = np.full(len(states), context.n_users)
    bounds = jackknife(estimate, replicates, groups, users, level=context.level)
    visits = np.bincount(source, count, len(states)).astype(np.int64)
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
        NaN for states from which no path ends.
    """
    from scipy.sparse import csc_array, eye_array
    from scipy.sparse.linalg import splu

    total = np.bincount(source, count, states)
    with np.errstate(divide="ignore", invalid="ignore"):
        probability = np.where(count > 0, count / total[source], 0.0)
    ending = _ending(source[count > 0], target[count > 0], states)
    inner = (target >= 0) & ending[source] & ending[target]
    moves = csc_array((probability[inner], (source[inner], target[inner])), shape=(states, states))
    reach = np.bincount(source, probability * won, states)
    solved = splu((eye_array(states) - moves).tocsc()).solve(reach)
    return np.where(ending, np.clip(solved, 0.0, 1.0), np.nan)


def _ending(
    source: npt.NDArray[np.int64], target: npt.NDArray[np.int64], states: int
) -> npt.NDArray[np.bool_]:
    """Mark the states from which some path ends, by going back from the ends step by step."""
    ending = np.zeros(states + 1, np.bool_)
    ending[-1] = True
    while True:
        more = np.unique(source[ending[target] & ~ending[source]])
        if more.size == 0:
            return ending[:-1]
        ending[more] = True


def _refuse_endless(states: Sequence[str]) -> None:
    """Refuse a chain with states that nothing leaves for an end or a goal. D10.2."""
    if states:
        raise UndefinedError(
            f"no path from {listed(states)} ends: the chance of a goal is not defined there. Count open paths as "
            f'ended (open_paths="end"), or leave these states out.'
        )
