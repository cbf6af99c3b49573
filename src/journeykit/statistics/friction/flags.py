"""Which visits of a shard show friction: one byte of flags each. DEFINITIONS D15.4."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from journeykit.journeys.journeys import Journeys
from journeykit.paths import Unit
from journeykit.patterns.matchers import Symbols, symbols_of
from journeykit.statistics.counting import CountingRows
from journeykit.statistics.emotion.joining import JoinedRatings
from journeykit.support.durations import microseconds

if TYPE_CHECKING:
    from journeykit.statistics.friction.friction import Friction

Bytes = npt.NDArray[np.uint8]
Int64s = npt.NDArray[np.int64]

FLAGS = ("error", "rage", "backtrack", "quick_backtrack", "repeat", "loop", "slow", "low")
"""By bit."""
CLEAN = "clean"
CLASSES = ("error", "rage", "backtrack", "repeat", "loop", "slow", "low", CLEAN)
"""A visit's class is the first that holds."""


def class_of_flags() -> Bytes:
    """Return the number of the class of every set of flags."""
    classes = np.full(256, CLASSES.index(CLEAN), np.uint8)
    flags = np.arange(256)
    for name in reversed(CLASSES[:-1]):
        classes[flags >> FLAGS.index(name) & 1 == 1] = CLASSES.index(name)
    return classes


@dataclass(frozen=True)
class ShardVisits:
    """The visits of one shard: events of its sessions, at places counted from the shard's first event.

    Attributes
    ----------
    events : slice
        The events of the shard among those of all.
    user_paths, starts, ends : numpy.ndarray of int64
        The sessions of each user, and where they start and end.
    codes, times : numpy.ndarray
        Of every event.
    """

    events: slice
    user_paths: Int64s
    starts: Int64s
    ends: Int64s
    codes: npt.NDArray[np.unsignedinteger[Any]]
    times: Int64s

    @classmethod
    def of(cls, shard: Journeys) -> ShardVisits:
        """Take the sessions of a shard."""
        paths = shard.paths("session")
        first, last = shard.user_range or (0, shard.n_users)
        events = slice(int(shard.user_offsets[first]), int(shard.user_offsets[last]))
        starts, ends = paths.starts - events.start, paths.ends - events.start
        return cls(events, paths.user_paths, starts, ends, paths.codes[events], paths.times[events])

    @property
    def n_events(self) -> int:
        """How many events the shard has, those outside any session included."""
        return self.codes.size

    def trouble(self, question: Friction, shard: Journeys) -> Symbols:
        """Return the symbol of every event, and whether a symbol is trouble."""
        if question.trouble is None:
            return Symbols(self.codes, np.zeros(len(shard.names), np.uint64))
        symbols = symbols_of(shard, [question.trouble], "event", "session")  # type: ignore[list-item]
        return Symbols(symbols.codes[self.events], symbols.masks)

    def flags(self, question: Friction, shard: Journeys, limits: Int64s, unit: Unit = "session") -> Bytes:
        """Return the flags of every event in the order of the paths of `unit`, 0 outside any session."""
        from journeykit.kernels.outcomes.friction import flag_visits

        flags = np.zeros(self.n_events, np.uint8)
        self._mark_rage(question, shard, flags)
        self._mark_low(question, shard, flags)
        symbols = self.trouble(question, shard)
        flag_visits(
            self.starts, self.ends, self.codes, self.times, symbols.codes, symbols.masks, limits,
            microseconds(question.quick, "quick"), np.zeros(len(shard.names), np.int64), flags,
        )  # fmt: skip
        in_time = self._in_time(shard) if unit == "user" else None
        return flags if in_time is None else flags[in_time]

    def _in_time(self, shard: Journeys) -> Int64s | None:
        """Return where the events of every user stand in the order of time; None if they stand so already."""
        return None if shard.time_order is None else shard.time_order[self.events] - self.events.start

    def _mark_low(self, question: Friction, shard: Journeys, flags: Bytes) -> None:
        """Flag the visits at whose stage the user's latest rating so far is a bad one."""
        from journeykit.kernels.outcomes.friction import mark_low

        if question.ratings is None or self.n_events == 0:
            return
        joined = JoinedRatings.of(question.ratings, shard)
        paths = shard.paths("user")
        stages, of_rating = np.zeros(self.n_events, np.uint8), np.zeros(joined.owner.size, np.int64)
        if shard.staged is not None:
            stages = shard.states("stage", "user")[self.events].astype(np.uint8)
            of_rating = np.where(joined.visit >= 0, stages[joined.visit].astype(np.int64), -1)
        low = np.zeros(self.n_events, np.uint8)
        mark_low(
            paths.starts - self.events.start, paths.ends - self.events.start, paths.times[self.events], stages,
            joined.owner, joined.time, of_rating, joined.emotion < 0, np.zeros(len(shard.stage_names) + 1, np.bool_),
            low,
        )  # fmt: skip
        in_time = self._in_time(shard)
        if in_time is None:
            flags |= low
        else:
            flags[in_time] |= low
        inside = np.zeros(self.n_events + 1, np.int64)
        np.add.at(inside, self.starts, 1)
        np.add.at(inside, self.ends, -1)
        flags[inside[:-1].cumsum() == 0] = 0

    def _mark_rage(self, question: Friction, shard: Journeys, flags: Bytes) -> None:
        from journeykit.kernels.outcomes.friction import mark_rage

        rule = question.rage
        if rule is None:
            return
        targets, (x, y) = rule.targets(shard), rule.places(shard)
        n_targets = int(targets.max(initial=0)) + 1
        rows = CountingRows.make(len(shard.names) * n_targets, self.n_events)
        ring = np.full((rows.table.shape[0], rule.repeats - 1), -1, np.int64)
        mark_rage(
            self.starts, self.ends, self.codes, self.times, targets[self.events], x[self.events],
            y[self.events], n_targets, (microseconds(rule.within, "within"), float(rule.distance)),
            rows.keys, rows.rows, ring, np.zeros(ring.shape[0], np.int64), flags,
        )  # fmt: skip
