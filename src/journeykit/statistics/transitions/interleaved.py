"""Sessions per move of users who go in and out of several sessions at once. DEFINITIONS D2.3, D4.2.

The kernels take a session as new to a move when it is not the last one that made it. That is right while a
user's sessions follow one another; where they interleave, the pairs of move and session are counted here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from journeykit.statistics.cleaning import cleaned
from journeykit.statistics.counting import CountingRows

if TYPE_CHECKING:
    from journeykit.statistics.transitions.transitions import _Tally

Int64s = npt.NDArray[np.int64]
SESSIONS = 1


def recount_sessions(tally: _Tally, moves: CountingRows, visits: CountingRows) -> None:
    """Correct the sessions of every row of both tables."""
    _, skip, collapse = tally.rule
    paths, states, sessions = cleaned(
        tally.paths, tally.states, tally.sessions, skip_zero=skip, collapse=collapse
    )
    lengths = paths.lengths
    path = np.repeat(np.arange(lengths.size), lengths)
    base = tally.cells.astype(np.int64) * tally.size
    at, start, end = base[path], tally.size - 2, tally.size - 1
    target = states.astype(np.int64)
    first = np.ones(path.size, np.bool_)
    first[1:] = path[1:] != path[:-1]
    before = np.maximum(np.arange(path.size) - 1, 0)
    source = np.where(first, start, target[before])
    made_in = np.where(first, sessions, sessions[before])
    last = np.roll(first, -1)
    if tally.censored.size:
        last &= ~tally.censored[path]
    keys = np.concatenate([(at + source) * tally.size + target, (at + target)[last] * tally.size + end])
    _set_sessions(moves, keys, np.concatenate([made_in, sessions[last]]))
    _set_sessions(visits, at + target, sessions)


def _set_sessions(counted: CountingRows, keys: Int64s, sessions: npt.NDArray[np.int32]) -> None:
    """Write the number of distinct sessions of every key into its row; negative is none."""
    pairs = np.unique(np.stack([keys, sessions])[:, sessions >= 0], axis=1)
    distinct, numbers = np.unique(pairs[0], return_counts=True)
    met, rows = counted.places()
    place = np.searchsorted(distinct, met)
    place[place == distinct.size] = 0
    known = distinct[place] == met if distinct.size else np.zeros(met.size, np.bool_)
    counted.table[rows, SESSIONS] = 0
    counted.table[rows[known], SESSIONS] = numbers[place[known]]
