"""The paths of one unit: which slice of the ordered events each session or user owns. D3.1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from journeykit.support.slices import places_of

Int64s = npt.NDArray[np.int64]
Unit = Literal["session", "user"]
UNITS: tuple[Unit, ...] = ("session", "user")


@dataclass(frozen=True)
class Paths:
    """Paths over shared event columns: path p is ``codes[starts[p]:ends[p]]``.

    Attributes
    ----------
    user_paths : numpy.ndarray of int64, users + 1
        User u of this shard owns the paths ``user_paths[u]`` up to ``user_paths[u + 1]``.
    starts, ends : numpy.ndarray of int64
        First position of each path, and the one after its last, among the events of all shards.
    codes : numpy.ndarray of an unsigned integer
        The state of every event of all shards.
    times : numpy.ndarray of int64
        Microseconds since the epoch, as many.
    """

    user_paths: Int64s
    starts: Int64s
    ends: Int64s
    codes: npt.NDArray[np.unsignedinteger[Any]]
    times: Int64s

    @property
    def lengths(self) -> Int64s:
        """How many events each path has."""
        return self.ends - self.starts

    @property
    def places(self) -> Int64s:
        """The positions of the events of all paths, path by path."""
        return places_of(self.starts, self.lengths)

    @property
    def n_paths(self) -> int:
        """How many paths there are."""
        return self.starts.size

    @property
    def n_events(self) -> int:
        """How many events all paths have."""
        return int(self.ends.sum() - self.starts.sum())

    @property
    def n_users(self) -> int:
        """How many users there are."""
        return self.user_paths.size - 1

    @property
    def events(self) -> slice:
        """Where the events of all paths are."""
        return slice(int(self.starts[0]), int(self.ends[-1])) if self.n_paths else slice(0, 0)

    @property
    def gapless(self) -> bool:
        """Whether each path starts where the one before ends, and none is empty."""
        return np.array_equal(self.starts[1:], self.ends[:-1]) and bool((self.starts < self.ends).all())
