"""The ragged array that journeys are: users, their sessions, their events, in plain columns. DEFINITIONS D1.3, D2.4."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError, UnknownPropertyError
from journeykit.paths import UNITS, Paths, Unit
from journeykit.protocol import Groups
from journeykit.sessions import SessionRule, is_open
from journeykit.support.durations import Duration, microseconds
from journeykit.support.slices import offsets
from journeykit.support.threads import Memo

if TYPE_CHECKING:
    from journeykit.stages import StageModel

Int64s = npt.NDArray[np.int64]
Codes = npt.NDArray[np.unsignedinteger[Any]]


class Columns(Protocol):
    """Where the properties are: a frame, or a file whose columns are read when they are asked for."""

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""

    def __getitem__(self, name: str, /) -> pl.Series:
        """Return one of them."""


@dataclass(frozen=True)
class Provenance:
    """What happened on the way from the log to the journeys. D0.6.

    Attributes
    ----------
    tied_pairs, tied_pairs_distinct, out_of_order : int
        See D1.9.
    events_outside : int
        Events outside any session.
    rows_dropped, duplicates_dropped : int
        Rows of the log that were left out because they are invalid, or equal an earlier one.
    rows_left_out : int
        Rows that the reader of an export left out on purpose, such as the pings of pages.
    rows_moved, rows_unmapped : int
        Rows that became another user's by their identity, and rows of unknown ids that were left out. D1.8.
    day_events : int
        Events whose time is known to the day only.
    notes : tuple of str
        What a reader of any answer should know of the log.
    verbs : tuple of str
        What left out or renamed events afterwards.
    """

    tied_pairs: int = 0
    tied_pairs_distinct: int = 0
    out_of_order: int = 0
    events_outside: int = 0
    rows_dropped: int = 0
    duplicates_dropped: int = 0
    rows_left_out: int = 0
    rows_moved: int = 0
    rows_unmapped: int = 0
    day_events: int = 0
    notes: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Staged:
    """A stage for every event. D6.3."""

    model: StageModel
    current: npt.NDArray[np.uint8]
    furthest: npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False, repr=False)
class Ragged:
    """Ordered paths of users, cut into sessions, with codes for events.

    Attributes
    ----------
    users : polars.Series
        The id of every user, stored by jackknife group (D12.1).
    names : polars.Series of String
        The vocabulary: an event code is a position in it.
    user_offsets : numpy.ndarray of int64, users + 1
        Where the events of each user start.
    session_offsets : numpy.ndarray of int64, sessions + 1
        Where the events of each session start; every user boundary is one.
    user_sessions : numpy.ndarray of int64, users + 1
        Which session is the first of each user.
    event_codes : numpy.ndarray of uint8, uint16 or uint32
        What happened.
    times : numpy.ndarray of int64
        When, in microseconds since the epoch, UTC.
    group_offsets : numpy.ndarray of int64, 65
        Which users belong to each jackknife group.
    rows : numpy.ndarray of uint32 or uint64
        Where each event stood in the input.
    tie_breaks : Columns
        The column ``order`` by input row, if the log has one (D1.3).
    """

    users: pl.Series
    names: pl.Series
    user_offsets: Int64s
    session_offsets: Int64s
    user_sessions: Int64s
    event_codes: Codes
    times: Int64s
    group_offsets: Int64s
    rows: Codes
    observed_from: int
    observed_until: int
    tz: str = "UTC"
    session_rule: SessionRule = field(default_factory=SessionRule)
    session_causes: npt.NDArray[np.uint8] | None = None
    sessions_inside: npt.NDArray[np.bool_] | None = None
    time_order: Int64s | None = None
    staged: Staged | None = None
    source: Columns = field(default_factory=pl.DataFrame)
    tie_breaks: Columns = field(default_factory=pl.DataFrame)
    provenance: Provenance = field(default_factory=Provenance)
    user_range: tuple[int, int] | None = None

    @property
    def n_users(self) -> int:
        """How many users."""
        return self.user_offsets.size - 1

    @property
    def n_sessions(self) -> int:
        """How many sessions; runs of events outside any session are none. D2.2."""
        inside = self.sessions_inside
        return self.session_offsets.size - 1 if inside is None else int(inside.sum())

    @property
    def n_events(self) -> int:
        """How many events."""
        return self.event_codes.size

    @property
    def kept(self) -> tuple[str, ...]:
        """The names of the kept properties."""
        return tuple(self.source.columns)

    @property
    def stage_names(self) -> tuple[str, ...]:
        """The stages in order; empty before ``assign_stages``."""
        return () if self.staged is None else tuple(stage.name for stage in self.staged.model.stages)

    @property
    def code_of_name(self) -> Mapping[str, int]:
        """The code of every name."""
        return self.whole._code_of_name

    @cached_property
    def _code_of_name(self) -> dict[str, int]:
        return {name: code for code, name in enumerate(self.names.to_list())}

    @property
    def stage_codes(self) -> npt.NDArray[np.uint8] | None:
        """The stage after every event: 0 before the first, k for the k-th. D6.3."""
        return None if self.staged is None else self.staged.current

    @property
    def furthest_stage_codes(self) -> npt.NDArray[np.uint8] | None:
        """The furthest stage up to every event. D6.3."""
        return None if self.staged is None else self.staged.furthest

    @property
    def groups(self) -> Groups:
        """The jackknife groups of the users, group 0 if there are none. D12.1."""
        first, last = self.user_range or (0, self.n_users)
        bounds = np.clip(self.group_offsets, first, last) - first
        numbers = np.flatnonzero(np.diff(bounds))
        if numbers.size == 0:
            return Groups(np.zeros(1, np.uint8), np.zeros(2, np.int64))
        return Groups(numbers.astype(np.uint8), np.append(bounds[numbers], last - first))

    def property(self, name: str) -> pl.Series:
        """Return a kept property, one value per event in journey order.

        Parameters
        ----------
        name : str
            A column named in ``keep=``, or the role ``value``.

        Returns
        -------
        polars.Series
            n_events values, gathered when they are asked for.

        Raises
        ------
        UnknownPropertyError
            If it was not kept.
        """
        if name not in self.source.columns:
            raise UnknownPropertyError(name, self.kept)
        return self.source[name].gather(pl.Series(self.rows))

    def paths(self, unit: Unit = "session") -> Paths:
        """Return the paths of one unit as a ragged array of event codes. D3.1.

        Parameters
        ----------
        unit : {"session", "user"}
            A path is all events of one session, or all events of one user, in order.

        Returns
        -------
        Paths
            Views, not copies, except for users whose sessions interleave.
        """
        if unit not in UNITS:
            raise ParameterError.choice("unit", unit, UNITS)
        paths = self.whole._session_paths if unit == "session" else self.whole._user_paths
        if self.user_range is None:
            return paths
        user_paths = paths.user_paths[self.user_range[0] : self.user_range[1] + 1]
        own = slice(user_paths[0], user_paths[-1])
        return replace(
            paths, user_paths=user_paths - own.start, starts=paths.starts[own], ends=paths.ends[own]
        )

    @cached_property
    def _session_paths(self) -> Paths:
        starts, ends = self.session_offsets[:-1], self.session_offsets[1:]
        user_paths = self.user_sessions
        if self.sessions_inside is not None:
            before = offsets(self.sessions_inside)
            starts, ends = starts[self.sessions_inside], ends[self.sessions_inside]
            user_paths = before[self.user_sessions]
        return Paths(user_paths, starts, ends, self.event_codes, self.times)

    @cached_property
    def _user_paths(self) -> Paths:
        codes, times = self.event_codes, self.times
        if self.time_order is not None:
            codes, times = codes[self.time_order], times[self.time_order]
        each = np.arange(self.n_users + 1, dtype=np.int64)
        return Paths(each, self.user_offsets[:-1], self.user_offsets[1:], codes, times)

    def states(self, of: str, unit: Unit) -> Codes:
        """Return the state of every event in the order of the paths of `unit`: event codes, or stage codes."""
        if of == "event":
            return self.whole.paths(unit).codes
        if self.staged is None:
            raise ParameterError('of="stage" needs stages. Call assign_stages(model) first.')
        current = self.staged.current
        return current[self.time_order] if unit == "user" and self.time_order is not None else current

    def event_sessions(self, unit: Unit) -> npt.NDArray[np.int32]:
        """Return the session number of every event in the order of the paths of `unit`; outside any -1 - number.

        Empty for sessions, where the number of the path says it.
        """
        return np.empty(0, np.int32) if unit == "session" else self.whole._event_sessions

    @cached_property
    def _event_sessions(self) -> npt.NDArray[np.int32]:
        number = np.arange(self.session_offsets.size - 1, dtype=np.int32)
        if self.sessions_inside is not None:
            number = np.where(self.sessions_inside, number, -1 - number)
        each = np.repeat(number, np.diff(self.session_offsets))
        return each if self.time_order is None else each[self.time_order]

    def open_paths(self, unit: Unit, horizon: Duration | None = None) -> npt.NDArray[np.bool_]:
        """Mark the paths that could still go on at the end of the observation. D3.5.

        Parameters
        ----------
        unit : {"session", "user"}
            A session is open while its timeout has not passed (D2.5).
        horizon : str or timedelta, optional
            A user is open while the silence is shorter than this; without it, never.

        Returns
        -------
        numpy.ndarray of bool
            One per path of this shard.
        """
        paths = self.paths(unit)
        last = paths.times[paths.ends - 1]
        if unit == "session":
            return is_open(self.session_rule, last, self.observed_until)
        if horizon is None:
            return np.zeros(last.size, np.bool_)
        return np.asarray(self.observed_until - last < microseconds(horizon, "horizon"))

    def in_time_order(self) -> Self:
        """Return the events of every user in the order of time, as they are unless sessions interleave."""
        order = self.time_order
        if order is None:
            return self
        staged = self.staged and replace(
            self.staged, current=self.staged.current[order], furthest=self.staged.furthest[order]
        )
        return replace(
            self,
            event_codes=self.event_codes[order],
            times=self.times[order],
            rows=self.rows[order],
            time_order=None,
            staged=staged,
        )

    def as_stored(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Put values that follow `in_time_order` back to where their events are stored."""
        if self.time_order is None:
            return values
        stored = np.empty_like(values)
        stored[self.time_order] = values
        return stored

    @cached_property
    def memo(self) -> Memo:
        """What was made of these journeys once, for all shards and the next questions."""
        return Memo()

    def shards(self, most: int = 1) -> list[Self]:
        """Return views of one to `most` parts of the users, each of whole jackknife groups.

        Parameters
        ----------
        most : int
            How many; there are fewer where groups are too large or have no users.

        Returns
        -------
        list of Journeys
            In the order of the users, of about as many events.
        """
        before = self.user_offsets[self.group_offsets]
        cuts = np.searchsorted(before, self.n_events * np.arange(1, most) / most)
        users = np.unique([0, *self.group_offsets[cuts], self.n_users])
        return [self._shard(int(a), int(b)) for a, b in pairwise(users)] or [self._shard(0, 0)]

    def _shard(self, first: int, last: int) -> Self:
        shard = replace(self, user_range=(first, last))
        shard.__dict__["whole"] = self.whole
        return shard

    @cached_property
    def whole(self) -> Self:
        """The journeys that a shard is a view of."""
        return self
