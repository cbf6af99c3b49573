"""A part of a ragged array: some of its events, with everything that hangs on them. DEFINITIONS D2.4."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.ragged.array import Int64s, Ragged
from journeykit.support.slices import inverse, offsets, places_of

Flags = npt.NDArray[np.bool_]
J = TypeVar("J", bound=Ragged)


def taken(journeys: J, kept: Flags) -> J:
    """Keep some events, in stored order, with everything that hangs on them."""
    if kept.all():
        return journeys
    before = offsets(kept)
    session_ends, user_ends = before[journeys.session_offsets], before[journeys.user_offsets]
    sessions, users = np.diff(session_ends) > 0, np.diff(user_ends) > 0
    sessions_before = offsets(sessions)[journeys.user_sessions]
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
        group_offsets=offsets(users)[journeys.group_offsets],
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
    runs = np.argsort(inverse(journeys.time_order)[starts])
    if (np.diff(runs) > 0).all():
        return journeys
    events = places_of(starts[runs], np.diff(journeys.session_offsets)[runs])
    time_order = inverse(events)[journeys.time_order]
    return replace(
        in_order(journeys, runs, events),
        time_order=None if (np.diff(time_order) > 0).all() else time_order,
    )


def in_order(journeys: J, runs: Int64s, events: Int64s) -> J:
    """Store runs and events in another order; where users begin and what was when is left to the caller.

    Parameters
    ----------
    journeys : Ragged
        Not a shard.
    runs : numpy.ndarray of int64
        Every session, and run of events outside any, in its new order.
    events : numpy.ndarray of int64
        The events of these runs, run after run.
    """
    causes, inside, staged = journeys.session_causes, journeys.sessions_inside, journeys.staged
    return replace(
        journeys,
        session_offsets=offsets(np.diff(journeys.session_offsets)[runs]),
        event_codes=journeys.event_codes[events],
        times=journeys.times[events],
        rows=journeys.rows[events],
        session_causes=None if causes is None else causes[runs],
        sessions_inside=None if inside is None else inside[runs],
        staged=staged and replace(staged, current=staged.current[events], furthest=staged.furthest[events]),
    )
