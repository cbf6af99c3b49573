"""How long sessions are: counts by length. DEFINITIONS D2.5, D2.6."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError
from journeykit.journeys.journeys import Journeys
from journeykit.mathematics.intervals import GroupSums
from journeykit.paths import Paths
from journeykit.protocol import CELL, GROUP, Cells, Context, Tables
from journeykit.statistics.base import UNITS_TABLE, Answer, Statistic, groups_per_cell, place_of, with_rate
from journeykit.statistics.retention.activity import Gridded
from journeykit.statistics.units import count_units
from journeykit.support.durations import Duration, microseconds

Int64s = npt.NDArray[np.int64]
POSTHOG: tuple[Duration, ...] = ("3s", "10s", "30s", "1m", "3m", "10m", "30m", "1h")


@dataclass(frozen=True, eq=False, repr=False)
class SessionLengthsAnswer(Answer):
    """Sessions by their length; the frame is described in `SessionLengths`."""


@dataclass(frozen=True)
class SessionLengths(Statistic[SessionLengthsAnswer]):
    """Count sessions by their length. D2.6.

    Parameters
    ----------
    bounds : sequence of durations, ascending
        Where a bin ends; a session of exactly so long is the last one in it. Before the first bin come the sessions
        of length 0, such as those of one event; after the last one all that are longer.

    Raises
    ------
    ParameterError
        If `bounds` are not ascending durations.

    Notes
    -----
    A session lasts from its first event to the last that is not passive. The answer's frame has one row per bin:
    ``above`` and ``up_to`` in seconds (null for the open last bin; both 0 for the first), ``sessions``, and their
    ``share`` of all with its jackknife interval. The mean and the median length are in `Overview`, with ``every="1d"``
    by the day of a session's first event. One pass, O(n); 8 bytes per session.

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({"user": [1, 1, 2], "time": [0, 60, 5], "event": ["see", "buy", "see"]})
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> journeys.measure(SessionLengths(("1m", "1h"))).frame.select("above", "up_to", "sessions", "share").rows()
    [(0.0, 0.0, 1, 0.5), (0.0, 60.0, 1, 0.5), (60.0, 3600.0, 0, 0.0), (3600.0, None, 0, 0.0)]
    """

    tables: ClassVar[Mapping[str, Sequence[str]]] = {"lengths": ("bin",), UNITS_TABLE: ()}

    bounds: Sequence[Duration] = POSTHOG

    def __post_init__(self) -> None:
        if isinstance(self.bounds, str) or not isinstance(self.bounds, Sequence):
            raise ParameterError(
                f"bounds cannot be {self.bounds!r}. Give a list of durations, such as ('1m', '1h')."
            )
        object.__setattr__(self, "bounds", tuple(self.bounds))
        edges = self._edges
        if not edges or edges != sorted(set(edges)):
            raise ParameterError(
                f"bounds cannot be {self.bounds!r}. Give durations, each longer than the one before."
            )

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the sessions of one shard."""
        paths = shard.paths("session")
        bins = np.searchsorted(np.array([0, *self._edges]), _lengths(shard, paths), side="left")
        cell = cells.of(paths, "session")
        listed = pl.DataFrame({CELL: cell, "bin": bins.astype(np.int32)})
        counted = listed.group_by(CELL, "bin").agg(pl.len().cast(pl.Int64).alias("sessions"))
        return {"lengths": counted, UNITS_TABLE: count_units(paths, cell, paths.lengths > 0)}

    def answer(self, tables: Tables, context: Context) -> SessionLengthsAnswer:
        """Turn counts into shares."""
        grid = Gridded.of(tables["lengths"], "bin", np.arange(len(self._edges) + 2), context)
        lengths, cells = tables["lengths"], grid.frame.select(CELL).unique(maintain_order=True)
        all_sessions = GroupSums.of(
            cells.height,
            place_of(lengths, cells, [CELL]),
            lengths[GROUP].to_numpy(),
            lengths["sessions"].to_numpy(),
        )
        rows = place_of(grid.frame, cells, [CELL])
        totals = dict(tables[UNITS_TABLE].group_by(CELL).agg(pl.col("users").sum()).iter_rows())
        users = np.array([totals.get(cell, 0) for cell in grid.frame[CELL]], np.float64)
        groups = groups_per_cell(tables)
        frame = with_rate(
            grid.frame, "share", grid.sums("sessions"), all_sessions, rows, groups, users, context
        )
        seconds = [edge / 1e6 for edge in self._edges]
        above, up_to = pl.Series([0.0, 0.0, *seconds]), pl.Series([0.0, *seconds, None], dtype=pl.Float64)
        number = frame["bin"].cast(pl.UInt32)
        frame = frame.select(
            CELL, above.gather(number).alias("above"), up_to.gather(number).alias("up_to"), "sessions", "share",
            "share_low", "share_high",
        )  # fmt: skip
        return SessionLengthsAnswer(context.label(frame), self, context)

    @property
    def _edges(self) -> list[int]:
        return [microseconds(bound, "bounds") for bound in self.bounds]


def _lengths(shard: Journeys, paths: Paths) -> Int64s:
    """Return how long each session lasts, in microseconds; passive events do not make it longer. D2.2."""
    last = paths.ends - 1
    passive = shard.names.is_in(list(shard.session_rule.passive)).to_numpy()
    if passive.any():
        active = np.where(
            passive[paths.codes[paths.events]], 0, np.arange(paths.events.start, paths.events.stop)
        )
        last = np.maximum(np.maximum.accumulate(active)[last - paths.events.start], paths.starts)
    lengths: Int64s = paths.times[last] - paths.times[paths.starts]
    return lengths
