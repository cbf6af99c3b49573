"""Paths without the events that a question leaves out: neighbours become neighbours. DEFINITIONS D3.3."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from journeykit.paths import Paths
from journeykit.support.slices import offsets

Int64s = npt.NDArray[np.int64]
Codes = npt.NDArray[Any]


def cleaned(
    paths: Paths, states: Codes, beside: Codes, *, skip_zero: bool, collapse: bool
) -> tuple[Paths, Codes, Codes]:
    """Copy the events of one shard without state 0 and without repeats.

    Parameters
    ----------
    paths : Paths
        Of one shard.
    states : numpy.ndarray
        The state of every event of all shards.
    beside : numpy.ndarray
        What else is known of every event of all shards, such as its session; or empty.
    skip_zero : bool
        Whether state 0 (before the first stage) is left out.
    collapse : bool
        Whether a run of one state becomes its first event.

    Returns
    -------
    Paths, states, beside
        Of this shard only.
    """
    events, lengths = paths.places, paths.lengths
    begins = offsets(lengths)
    states = states[events]
    kept = states > 0 if skip_zero else np.ones(states.size, np.bool_)
    if collapse:
        kept &= ~_repeats(states, kept, np.repeat(np.arange(lengths.size), lengths))
    bounds = offsets(kept)[begins]
    shorter = Paths(paths.user_paths, bounds[:-1], bounds[1:], paths.codes, paths.times[events][kept])
    return shorter, states[kept], beside[events][kept] if beside.size else beside


def _repeats(states: Codes, kept: npt.NDArray[np.bool_], path: Int64s) -> npt.NDArray[np.bool_]:
    """Mark kept events whose state is that of the kept event before them in the same path."""
    places = np.flatnonzero(kept)
    repeated = np.zeros(states.size, np.bool_)
    same = (states[places][1:] == states[places][:-1]) & (path[places][1:] == path[places][:-1])
    repeated[places[1:][same]] = True
    return repeated
