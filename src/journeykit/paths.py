"""The paths of one unit: which slice of the ordered events each session or user owns. D3.1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

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
        First position of each path, and the one after its last. Of all shards together, as are the next two.
    codes : numpy.ndarray of an unsigned integer
        The state of every event.
    times : numpy.ndarray of int64
        Microseconds since the epoch.
    """

    user_paths: Int64s
    starts: Int64s
    ends: Int64s
    codes: npt.NDArray[np.unsignedinteger[Any]]
    times: Int64s

    @property
    def first(self) -> int:
        """The first path of this shard."""
        return int(self.user_paths[0])

    @property
    def last(self) -> int:
        """The path after the last one of this shard."""
        return int(self.user_paths[-1])

    @property
    def each(self) -> slice:
        """The paths of this shard among all."""
        return slice(self.first, self.last)

    @property
    def lengths(self) -> Int64s:
        """How many events each path of this shard has."""
        return self.ends[self.each] - self.starts[self.each]

    @property
    def n_paths(self) -> int:
        """How many paths this shard has."""
        return self.last - self.first

    @property
    def n_users(self) -> int:
        """How many users this shard has."""
        return self.user_paths.size - 1
