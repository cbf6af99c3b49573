"""Episodes from a start to what became of it, counted by the time they took. DEFINITIONS D5.4, D14."""

from __future__ import annotations

import numpy as np
import polars as pl

from journeykit.journeys.journeys import Journeys
from journeykit.protocol import CELL
from journeykit.statistics.goals import Codes, Int64s, Marks, Walk
from journeykit.statistics.waiting import distinct


def episode_times(
    shard: Journeys,
    walk: Walk,
    marks: tuple[Codes, Marks, Marks, Int64s],
    within: int,
    quiet: int,
    *,
    every: bool,
    resolution: int,
    by_step: bool = False,
) -> pl.DataFrame:
    """Count the episodes of a shard per outcome and time.

    Parameters
    ----------
    shard : Journeys
        Whose.
    walk : Walk
        Its units and states.
    marks : tuple of numpy.ndarray
        A symbol per event, the symbols that start an episode, those that are goals, and where each unit first starts
        one (-1: never).
    within, quiet : int
        The longest time to the goal, and the longest silence before it, in microseconds.
    every : bool
        Whether an episode may follow another.
    resolution : int
        Times are rounded up to multiples of it, in microseconds.
    by_step : bool
        Whether a time is a number of events instead.

    Returns
    -------
    polars.DataFrame
        ``cell``, ``outcome``, ``time`` (in resolutions, or events), ``count``.
    """
    from journeykit.kernels.outcomes.conversion import list_episodes

    paths, (codes, origins, goals, origin) = walk.paths, marks
    most = walk.n_events if every else paths.n_paths
    units, spans = np.empty(most, np.int64), np.empty(most, np.int64)
    outcomes = np.empty(most, np.uint8)
    rule = (walk.by_run, within, quiet, shard.observed_until, every, by_step)
    n = list_episodes(
        paths.starts,
        paths.ends,
        walk.states,
        codes,
        paths.times,
        origins,
        goals,
        origin,
        rule,
        units,
        spans,
        outcomes,
    )
    # Rounding up keeps "by tau" exact for every tau that is a multiple of the resolution.
    times = spans[:n] if by_step else -(-spans[:n] // resolution)
    keys = outcomes[:n] + 3 * walk.cells[units[:n]].astype(np.int64)
    keys, times, counts = distinct(keys, times)
    columns = {CELL: (keys // 3).astype(np.int32), "outcome": (keys % 3).astype(np.int32)}
    return pl.DataFrame({**columns, "time": times, "count": counts})
