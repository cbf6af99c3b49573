"""A part of a ragged array: some of its events, with everything that hangs on them. DEFINITIONS D2.4."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.ragged.array import Int64s, Ragged
from journeykit.support.slices import places_of

Flags = npt.NDArray[np.bool_]
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
    events = places_of(starts[runs], sizes)
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
