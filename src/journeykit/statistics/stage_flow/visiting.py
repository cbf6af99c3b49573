"""The visits to stages of a shard's units. DEFINITIONS D6.4."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from journeykit.journeys.journeys import Journeys
from journeykit.paths import Paths, Unit

if TYPE_CHECKING:
    from journeykit.kernels.stages.stages import Visits


@dataclass(frozen=True)
class StageVisits:
    """Every visit of a shard; positions count from the shard's first event, paths from its first path.

    Attributes
    ----------
    paths : Paths
        The units.
    users, events : slice
        Where the shard's users and events are in the whole.
    order : numpy.ndarray of int64, optional
        The events in the order of the units, where they are not kept so.
    ends : numpy.ndarray of int64
        Where each unit ends.
    visits : Visits
        The visits.
    kinds : numpy.ndarray of uint8
        How each visit was come to, as in `kernels.stages`.
    """

    paths: Paths
    users: slice
    events: slice
    order: npt.NDArray[np.int64] | None
    ends: npt.NDArray[np.int64]
    visits: Visits
    kinds: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, shard: Journeys, unit: Unit) -> StageVisits:
        """List the visits of a shard with stages."""
        from journeykit.kernels.stages.stages import classify_moves, visits

        assert shard.staged is not None
        paths = shard.paths(unit)
        first_user, last_user = shard.user_range or (0, shard.n_users)
        events = slice(int(shard.user_offsets[first_user]), int(shard.user_offsets[last_user]))
        order, current = None, shard.staged.current[events]
        if unit == "user" and shard.time_order is not None:
            order = shard.time_order[events] - events.start
            current = current[order]
        ends = paths.ends - events.start
        found = visits(paths.starts - events.start, ends, current)
        kinds = np.empty(found.stages.size, np.uint8)
        classify_moves(found.stages, found.previous, shard.staged.model.loop_moves, kinds)
        return cls(paths, slice(first_user, last_user + 1), events, order, ends, found, kinds)
