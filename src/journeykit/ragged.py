"""The ragged array that journeys are, as the verbs see it, and a part of it. DEFINITIONS D1.3, D2.4."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.sessions import SessionRule

Int64s = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Ragged(Protocol):
    """What the verbs read of journeys, which they copy with `dataclasses.replace`."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def users(self) -> pl.Series:
        """The id of every user."""

    @property
    def names(self) -> pl.Series:
        """The vocabulary; an event code is a position in it."""

    @property
    def user_offsets(self) -> Int64s:
        """Where each user's events start."""

    @property
    def session_offsets(self) -> Int64s:
        """Where each session, or run of events outside any, starts."""

    @property
    def user_sessions(self) -> Int64s:
        """Which session is the first of each user."""

    @property
    def group_offsets(self) -> Int64s:
        """Which users belong to each jackknife group."""

    @property
    def event_codes(self) -> npt.NDArray[np.unsignedinteger[Any]]:
        """What happened."""

    @property
    def times(self) -> Int64s:
        """When, in microseconds."""

    @property
    def rows(self) -> npt.NDArray[np.unsignedinteger[Any]]:
        """Where the properties of each event stand."""

    @property
    def session_causes(self) -> npt.NDArray[np.uint8] | None:
        """What opened each session."""

    @property
    def sessions_inside(self) -> npt.NDArray[np.bool_] | None:
        """False for runs of events outside any session."""

    @property
    def time_order(self) -> Int64s | None:
        """Where the events stand that follow each other in time; None where sessions do not interleave."""

    @property
    def user_range(self) -> tuple[int, int] | None:
        """The users of a shard; None for all."""

    @property
    def stage_codes(self) -> npt.NDArray[np.uint8] | None:
        """The stage after every event."""

    @property
    def furthest_stage_codes(self) -> npt.NDArray[np.uint8] | None:
        """The furthest stage up to every event."""

    @property
    def stage_names(self) -> tuple[str, ...]:
        """The stages in order."""

    @property
    def kept(self) -> tuple[str, ...]:
        """The names of the kept properties."""

    @property
    def observed_from(self) -> int:
        """When the observation begins."""

    @property
    def observed_until(self) -> int:
        """When it ends."""

    @property
    def tz(self) -> str:
        """The time zone of calendar days."""

    @property
    def session_rule(self) -> SessionRule:
        """What cut the sessions."""

    @property
    def staged(self) -> Any:  # noqa: ANN401
        """The stages, None before they are assigned."""

    @property
    def provenance(self) -> Any:  # noqa: ANN401
        """What happened on the way."""

    @property
    def n_users(self) -> int:
        """How many users."""

    @property
    def n_sessions(self) -> int:
        """How many sessions."""

    @property
    def n_events(self) -> int:
        """How many events."""

    def property(self, name: str) -> pl.Series:
        """Return a kept property, one value per event."""


J = TypeVar("J", bound=Ragged)


def taken(journeys: J, kept: Flags) -> J:
    """Keep some events, in stored order, with everything that hangs on them."""
    if kept.all():
        return journeys
    before = np.concatenate([[0], np.cumsum(kept)])
    session_ends, user_ends = before[journeys.session_offsets], before[journeys.user_offsets]
    sessions, users = np.diff(session_ends) > 0, np.diff(user_ends) > 0
    sessions_before = np.concatenate([[0], np.cumsum(sessions)])[journeys.user_sessions]
    inside = journeys.sessions_inside
    inside = None if inside is None or inside[sessions].all() else inside[sessions]
    causes, staged = journeys.session_causes, journeys.staged
    session_offsets = np.concatenate([[0], session_ends[1:][sessions]])
    part = replace(
        journeys,
        users=journeys.users.filter(pl.Series(users)),
        user_offsets=np.concatenate([[0], user_ends[1:][users]]),
        session_offsets=session_offsets,
        user_sessions=np.concatenate([[0], sessions_before[1:][users]]),
        group_offsets=np.concatenate([[0], np.cumsum(users)])[journeys.group_offsets],
        event_codes=journeys.event_codes[kept],
        times=journeys.times[kept],
        rows=journeys.rows[kept],
        session_causes=None if causes is None else causes[sessions],
        sessions_inside=inside,
        time_order=_kept_order(journeys.time_order, kept, before),
        staged=staged and replace(staged, current=staged.current[kept], furthest=staged.furthest[kept]),
        provenance=replace(
            journeys.provenance,
            events_outside=0 if inside is None else int(np.diff(session_offsets)[~inside].sum()),
        ),
        user_range=None,
    )
    return _by_first_event(part)


def _kept_order(order: Int64s | None, kept: Flags, before: Int64s) -> Int64s | None:
    """Renumber the places of the events that are kept; None if these follow each other in time as stored."""
    if order is None:
        return None
    places: Int64s = before[order[kept[order]]]
    return None if (np.diff(places) > 0).all() else places


def _by_first_event(journeys: J) -> J:
    """Put a user's sessions in the order of the first events that are left. D2.4."""
    if journeys.time_order is None:
        return journeys
    starts = journeys.session_offsets[:-1]
    runs = np.argsort(_inverse(journeys.time_order)[starts])
    if (np.diff(runs) > 0).all():
        return journeys
    sizes = np.diff(journeys.session_offsets)[runs]
    session_offsets = np.concatenate([[0], np.cumsum(sizes)])
    events = np.repeat(starts[runs] - session_offsets[:-1], sizes) + np.arange(journeys.times.size)
    time_order = _inverse(events)[journeys.time_order]
    causes, inside, staged = journeys.session_causes, journeys.sessions_inside, journeys.staged
    return replace(
        journeys,
        session_offsets=session_offsets,
        event_codes=journeys.event_codes[events],
        times=journeys.times[events],
        rows=journeys.rows[events],
        session_causes=None if causes is None else causes[runs],
        sessions_inside=None if inside is None else inside[runs],
        time_order=None if (np.diff(time_order) > 0).all() else time_order,
        staged=staged and replace(staged, current=staged.current[events], furthest=staged.furthest[events]),
    )


def _inverse(places: Int64s) -> Int64s:
    """Return where each place is named."""
    inverse = np.empty_like(places)
    inverse[places] = np.arange(places.size)
    return inverse
