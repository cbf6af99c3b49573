"""P(ever reach a goal) from transition counts. DEFINITIONS D10.2, D10.3."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import UndefinedError, listed
from journeykit.mathematics.absorption import AbsorbingChain
from journeykit.mathematics.intervals import GROUPS, jackknife
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
    size = len(states)
    place = {name: i for i, name in enumerate(states)} | dict.fromkeys(goals, size) | {END: size + 1}
    source, target = (
        edges[side].replace_strict(place, return_dtype=pl.Int64).to_numpy() for side in ("source", "target")
    )
    count, group = edges["transitions"].to_numpy().astype(float), edges[GROUP].to_numpy()

    def chain(counts: Floats) -> AbsorbingChain:
        return AbsorbingChain.of_counts(source, target, counts, size, 2)

    whole = chain(count)
    _refuse_endless(states.filter(pl.Series(~whole.ending)).to_list())
    estimate = whole.absorbed[:, 0]
    replicates = np.tile(estimate[:, None], (1, GROUPS))
    present = np.unique(group)
    for each in present:
        replicates[:, each] = chain(np.where(group == each, 0.0, count)).absorbed[:, 0]
    groups = np.full(size, present.size)
    users = np.full(size, context.n_users)
    bounds = jackknife(estimate, replicates, groups, users, level=context.level)
    visits = np.bincount(source, count, size).astype(np.int64)
    frame = pl.DataFrame({CELL: [edges[CELL][0]] * size, "state": states, "visits": visits})
    return with_floats(frame, {"probability": estimate, "low": bounds.low, "high": bounds.high})


def _refuse_endless(states: Sequence[str]) -> None:
    """Refuse a chain with states that nothing leaves for an end or a goal. D10.2."""
    if states:
        raise UndefinedError(
            f"no path from {listed(states)} ends: the chance of a goal is not defined there. Count open paths as "
            f'ended (open_paths="end"), or leave these states out.'
        )
