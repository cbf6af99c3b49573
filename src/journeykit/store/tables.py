"""The tables that the files of a shard hold, and what becomes of them when some of its users change."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.ragged.array import Int64s, Ragged
from journeykit.ragged.views import column_names, columns_of, session_numbers
from journeykit.sessions import CAUSES
from journeykit.store.manifest import GROUPS
from journeykit.support.slices import inverse, offsets, places_of

TIE_BREAK = "order"
"""The column of the tie-break in the files of events, if the log has one."""
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ShardTables:
    """Users, their runs of events and their events, each in the order of the users.

    Attributes
    ----------
    events : polars.DataFrame
        One row per event, those of a user in time.
    users : polars.DataFrame
        One row per user, by group.
    sessions : polars.DataFrame
        One row per session, and per run of events outside any.
    order : numpy.ndarray of int64, optional
        Where each event is stored, if sessions of a user interleave.
    """

    events: pl.DataFrame
    users: pl.DataFrame
    sessions: pl.DataFrame
    order: Int64s | None

    @cached_property
    def user_offsets(self) -> Int64s:
        """Where the events of each user start."""
        return offsets(self.users["events"].to_numpy())

    @cached_property
    def run_offsets(self) -> Int64s:
        """Where the runs of each user start."""
        return offsets((self.users["sessions"] + self.users["runs_outside"]).to_numpy())

    def between(self, first: int, last: int) -> ShardTables:
        """Return the users from the first up to the last, which is left out."""
        events = slice(*self.user_offsets[[first, last]].tolist())
        runs = slice(*self.run_offsets[[first, last]].tolist())
        order = None if self.order is None else self.order[events] - events.start
        return ShardTables(self.events[events], self.users[first:last], self.sessions[runs], order)

    def of_users(self, wanted: Flags) -> ShardTables:
        """Return some users."""
        events = np.repeat(wanted, np.diff(self.user_offsets))
        runs = np.repeat(wanted, np.diff(self.run_offsets))
        order = None if self.order is None else offsets(events)[self.order[events]]
        return ShardTables(
            self.events.filter(pl.Series(events)),
            self.users.filter(pl.Series(wanted)),
            self.sessions.filter(pl.Series(runs)),
            order,
        )

    def tied(self, *, tie_break: bool) -> tuple[int, int]:
        """Count the neighbours of one user that are tied, and those of them that differ in name. D1.9."""
        same = np.zeros(self.events.height, np.bool_)
        times = self.events["time"].to_physical().to_numpy()
        same[:-1] = times[1:] == times[:-1]
        same[self.user_offsets[1:][np.diff(self.user_offsets) > 0] - 1] = False
        if tie_break:
            breaks = self.events[TIE_BREAK]
            same[:-1] &= breaks[1:].eq_missing(breaks[: max(0, len(breaks) - 1)]).to_numpy()
        names = self.events["event"].to_physical().to_numpy()
        return int(same.sum()), int((same[:-1] & (names[1:] != names[:-1])).sum())


def together(parts: list[ShardTables]) -> ShardTables:
    """Put users of several tables together, by group: those of one group in the order of the tables."""
    joined = ShardTables(
        pl.concat([each.events for each in parts]),
        pl.concat([each.users for each in parts]),
        pl.concat([each.sessions for each in parts]),
        _orders(parts),
    )
    groups = joined.users["group"].to_numpy()
    return joined if (groups[1:] >= groups[:-1]).all() else _by_group(joined, groups)


def _orders(parts: list[ShardTables]) -> Int64s | None:
    if all(each.order is None for each in parts):
        return None
    starts = offsets(np.array([each.events.height for each in parts]))
    orders = [np.arange(each.events.height) if each.order is None else each.order for each in parts]
    return np.concatenate([order + start for order, start in zip(orders, starts.tolist(), strict=False)])


def _by_group(tables: ShardTables, groups: npt.NDArray[np.uint8]) -> ShardTables:
    users = np.argsort(groups, kind="stable")
    events, runs = _rows(tables.user_offsets, users), _rows(tables.run_offsets, users)
    order = tables.order
    if order is not None:
        order = inverse(events)[order[events]]
    return ShardTables(tables.events[events], tables.users[users], tables.sessions[runs], order)


def _rows(starts: Int64s, wanted: Int64s) -> Int64s:
    """List the rows of some things that start at `starts`, thing after thing."""
    return places_of(starts[wanted], np.diff(starts)[wanted])


def tables_of(journeys: Ragged) -> ShardTables:
    """Make the tables of journeys."""
    columns = [name for name in column_names(journeys) if name != "event"]
    events = columns_of(journeys, columns)
    codes = _in_time(journeys, journeys.event_codes)
    texts = journeys.names.cast(pl.Categorical).gather(pl.Series(codes)).alias("event")
    events.insert_column(columns.index("time") + 1, texts)
    if TIE_BREAK in journeys.tie_breaks.columns:
        breaks = journeys.tie_breaks[TIE_BREAK].gather(pl.Series(_in_time(journeys, journeys.rows)))
        events.insert_column(columns.index("time") + 2, breaks.alias(TIE_BREAK))
    return ShardTables(events, _users(journeys), _sessions(journeys), journeys.time_order)


def _in_time(journeys: Ragged, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return values if journeys.time_order is None else values[journeys.time_order]


def _users(journeys: Ragged) -> pl.DataFrame:
    numbers = session_numbers(journeys)
    groups = np.repeat(np.arange(GROUPS, dtype=np.uint8), np.diff(journeys.group_offsets))
    users = {
        "user": journeys.users,
        "group": groups,
        "events": np.diff(journeys.user_offsets),
        "sessions": per_user(journeys, numbers > 0),
        "runs_outside": per_user(journeys, numbers == 0),
    }
    return pl.DataFrame(users)


def _sessions(journeys: Ragged) -> pl.DataFrame:
    numbers, sizes = session_numbers(journeys), np.diff(journeys.session_offsets)
    causes = pl.Series([*CAUSES, None], dtype=pl.Enum(CAUSES))
    known = journeys.session_causes
    codes = np.full(sizes.size, len(CAUSES), np.uint8) if known is None else known
    sessions = pl.DataFrame({"session": numbers, "events": sizes, "cause": causes.gather(pl.Series(codes))})
    return sessions.with_columns(pl.when(pl.col("session") > 0).then("session").cast(pl.Int32))


def per_user(journeys: Ragged, runs: Flags) -> Int64s:
    """Count some of the runs of events, for every user."""
    return np.diff(offsets(runs)[journeys.user_sessions])
