"""Journeys: an ordered, encoded ragged array of users, their sessions and their events."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar, overload

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit import selection, store, views
from journeykit.cells import By, make_cells
from journeykit.durations import Duration, microseconds
from journeykit.engines import Engine, InMemory
from journeykit.errors import SHOWN_NAMES, ParameterError, UnknownPropertyError
from journeykit.paths import UNITS, Paths, Unit
from journeykit.protocol import Cells, Context, Statistic
from journeykit.sessions import SessionRule, is_open
from journeykit.stages import StageAssignment, StageModel

Int64s = npt.NDArray[np.int64]
Codes = npt.NDArray[np.unsignedinteger[Any]]
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
UNMAPPED = "In no stage: "


@dataclass(frozen=True)
class Provenance:
    """What happened on the way from the log to the journeys. D0.6."""

    tied_pairs: int = 0
    tied_pairs_distinct: int = 0
    out_of_order: int = 0
    events_outside: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Staged:
    """A stage for every event. D6.3."""

    model: StageModel
    current: npt.NDArray[np.uint8]
    furthest: npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False, repr=False)
class Journeys:
    """Ordered paths of users, cut into sessions, with codes for events.

    Made by ``Events.sessionize`` and ``open_journeys``. Nothing changes it; verbs return new journeys.

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
    source: pl.DataFrame | store.StoredColumns = field(default_factory=pl.DataFrame)
    provenance: Provenance = field(default_factory=Provenance)
    user_range: tuple[int, int] | None = None

    frame = cached_property(views.frame)
    to_arrow = views.to_arrow
    filter = selection.select
    head = selection.head
    sample = selection.sample
    write = store.write
    __repr__ = views.text
    _repr_html_ = views.html

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
    def stage_codes(self) -> npt.NDArray[np.uint8] | None:
        """The stage after every event: 0 before the first, k for the k-th. D6.3."""
        return None if self.staged is None else self.staged.current

    @property
    def furthest_stage_codes(self) -> npt.NDArray[np.uint8] | None:
        """The furthest stage up to every event. D6.3."""
        return None if self.staged is None else self.staged.furthest

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

    def assign_stages(self, model: StageModel, *, missing: Literal["raise", "ignore"] = "raise") -> Journeys:
        """Give every event the stage that its user is in, and the furthest one so far.

        Parameters
        ----------
        model : StageModel
            Stages in order, with the rules that lead into them.
        missing : {"raise", "ignore"}
            What to do about exact names in rules that are not in the log. D0.9.

        Returns
        -------
        Journeys
            The same events with `stage_codes` and `furthest_stage_codes`, in place of those of any model before.
            A note says how many events are in no stage; ``model.unmapped(journeys)`` lists their names.

        Raises
        ------
        UnknownNameError
            If a rule names an event that is not in the log.
        StageModelError
            If an expression of a rule does not fit the log's columns.

        Notes
        -----
        A stage holds until another one is matched, through the end of a session too: stages follow the order of
        the user's events in time, also where sessions interleave. O(n) if names decide, else O(n x rules).
        D6.1 to D6.3.

        Examples
        --------
        >>> import journeykit as jk
        >>> log = pl.DataFrame({"user": [1, 1, 1], "time": [0, 1, 2], "event": ["ping", "see", "buy"]})
        >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
        >>> staged = journeys.assign_stages(jk.StageModel([jk.Stage("look", "see"), jk.Stage("own", "buy")]))
        >>> staged.stage_codes.tolist(), staged.provenance.notes
        ([0, 1, 2], ("In no stage: 1 of 3 events (33.3 %): 'ping' (1).",))
        """
        order, log = self.time_order, self
        if order is not None:
            log = replace(
                self,
                event_codes=self.event_codes[order],
                times=self.times[order],
                rows=self.rows[order],
                time_order=None,
            )
        found = model.assign(log, missing=missing)
        current, furthest = found.current, found.furthest
        if order is not None:
            current, furthest = np.empty_like(current), np.empty_like(furthest)
            current[order], furthest[order] = found.current, found.furthest
        notes = [note for note in self.provenance.notes if not note.startswith(UNMAPPED)]
        provenance = replace(self.provenance, notes=(*notes, _unmapped_note(found)))
        return replace(self, staged=Staged(model, current, furthest), provenance=provenance)

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
        first, last = self.user_range
        return replace(paths, user_paths=paths.user_paths[first : last + 1])

    @cached_property
    def _session_paths(self) -> Paths:
        starts, ends = self.session_offsets[:-1], self.session_offsets[1:]
        user_paths = self.user_sessions
        if self.sessions_inside is not None:
            before = np.concatenate([[0], self.sessions_inside.cumsum()]).astype(np.int64)
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
            return self.paths(unit).codes
        if self.staged is None:
            raise ParameterError('of="stage" needs stages. Call assign_stages(model) first.')
        current = self.staged.current
        return current[self.time_order] if unit == "user" and self.time_order is not None else current

    def event_sessions(self, unit: Unit) -> npt.NDArray[np.int32]:
        """Return the session number of every event in the order of the paths of `unit`; -1 outside any session.

        Empty for sessions, where the number of the path says it.
        """
        return np.empty(0, np.int32) if unit == "session" else self.whole._event_sessions

    @cached_property
    def _event_sessions(self) -> npt.NDArray[np.int32]:
        number = np.arange(self.session_offsets.size - 1, dtype=np.int32)
        if self.sessions_inside is not None:
            number = np.where(self.sessions_inside, number, np.int32(-1))
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
            One per path of all shards.
        """
        paths = self.paths(unit)
        last = paths.times[paths.ends - 1]
        if unit == "session":
            return is_open(self.session_rule, last, self.observed_until)
        if horizon is None:
            return np.zeros(last.size, np.bool_)
        return np.asarray(self.observed_until - last < microseconds(horizon, "horizon"))

    def shards(self) -> list[tuple[int, Journeys]]:
        """Return one view per jackknife group that has users: (group, journeys)."""
        shards = []
        for group in range(self.group_offsets.size - 1):
            first, last = int(self.group_offsets[group]), int(self.group_offsets[group + 1])
            if first < last:
                shards.append((group, self._shard(first, last)))
        return shards or [(0, self._shard(0, 0))]

    def _shard(self, first: int, last: int) -> Journeys:
        shard = replace(self, user_range=(first, last))
        shard.__dict__["whole"] = self.whole
        return shard

    @cached_property
    def whole(self) -> Journeys:
        """The journeys that a shard is a view of."""
        return self

    @overload
    def measure(
        self,
        statistic: Statistic[Any, A],
        /,
        *,
        by: By = ...,
        every: str | None = ...,
        engine: Engine | None = ...,
        level: float = ...,
    ) -> A: ...
    @overload
    def measure(
        self,
        first: Statistic[Any, A],
        second: Statistic[Any, B],
        /,
        *,
        by: By = ...,
        every: str | None = ...,
        engine: Engine | None = ...,
        level: float = ...,
    ) -> tuple[A, B]: ...
    @overload
    def measure(
        self,
        first: Statistic[Any, A],
        second: Statistic[Any, B],
        third: Statistic[Any, C],
        /,
        *,
        by: By = ...,
        every: str | None = ...,
        engine: Engine | None = ...,
        level: float = ...,
    ) -> tuple[A, B, C]: ...
    @overload
    def measure(
        self,
        *statistics: Statistic[Any, Any],
        by: By = ...,
        every: str | None = ...,
        engine: Engine | None = ...,
        level: float = ...,
    ) -> Any: ...

    def measure(
        self,
        *statistics: Statistic[Any, Any],
        by: By = None,
        every: str | None = None,
        engine: Engine | None = None,
        level: float = 0.95,
    ) -> Any:
        """Answer one or more questions.

        Parameters
        ----------
        *statistics : Statistic
            The questions.
        by : str, Segment or sequence of these, optional
            Answer per segment: a kept property of the user, the session or the event. A path belongs to the
            first value known in it.
        every : {"1d", "1w", "1mo", "1q", "1y"}, optional
            Answer per calendar period of a path's first event, in the time zone of the journeys. D1.7.
        engine : Engine, optional
            Where to run; all cores in memory by default.
        level : float, default 0.95
            Of the intervals, between 0 and 1.

        Returns
        -------
        Answer or tuple of Answer
            One answer per statistic.

        Raises
        ------
        ParameterError
            If no statistic is given, or a parameter has a value it cannot take.
        UnknownPropertyError
            If `by` names a property that was not kept.
        """
        if not statistics:
            raise ParameterError("measure needs at least one statistic, such as Transitions().")
        if not 0 < level < 1:
            raise ParameterError(f"level must lie between 0 and 1, not {level!r}.")
        engine = engine or InMemory()
        cells = make_cells(self, by, every)
        context = self.context(cells.labels, level)
        answers = tuple(self._answer(engine, statistic, cells, context) for statistic in statistics)
        return answers[0] if len(answers) == 1 else answers

    def _answer(self, engine: Engine, statistic: Statistic[Any, Any], cells: Cells, context: Context) -> Any:
        tables = engine.run(self, statistic, cells)
        following = statistic.follow_up(tables, context)
        if following is None:
            return statistic.answer(tables, context)
        return following.answer({**tables, **engine.run(self, following, cells)}, context)

    def context(self, labels: pl.DataFrame, level: float = 0.95) -> Context:
        """Return what an answer says of where it comes from. D0.6."""
        return Context(
            names=self.names,
            stages=self.stage_names,
            labels=labels,
            observed_from=self.observed_from,
            observed_until=self.observed_until,
            tz=self.tz,
            n_users=self.n_users,
            n_sessions=self.n_sessions,
            n_events=self.n_events,
            tied_pairs=self.provenance.tied_pairs,
            level=level,
            notes=self.provenance.notes,
        )


def _unmapped_note(found: StageAssignment) -> str:
    """Say how many events are in no stage, and which. D6.3."""
    events, unmapped = found.matched.size, int(found.unmapped["events"].sum())
    named = ", ".join(
        f"{name!r} ({count:,})" for name, count, _ in found.unmapped.head(SHOWN_NAMES).iter_rows()
    )
    more = f" and {found.unmapped.height - SHOWN_NAMES:,} more" if found.unmapped.height > SHOWN_NAMES else ""
    share = f" ({found.unmapped_share:.1%})".replace("%", " %") if found.unmapped_share is not None else ""
    return f"{UNMAPPED}{unmapped:,} of {events:,} events{share}{': ' if named else ''}{named}{more}."


def open_journeys(path: str | Path, *, verify: bool = False) -> Journeys:
    """Reopen journeys that ``Journeys.write`` wrote.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder.
    verify : bool
        Compare the checksum of every file, which takes as long as reading them; otherwise their sizes only.

    Returns
    -------
    Journeys
        The same, stages included. A property is read when it is first asked for.

    Raises
    ------
    StoreError
        If there are no journeys, if they are damaged, or if a newer version wrote them.
    """
    stored = store.read(path, verify=verify)
    staged = None if stored.stages is None else Staged(*stored.stages)
    return Journeys(**stored.parts, staged=staged, provenance=Provenance(**stored.provenance))
