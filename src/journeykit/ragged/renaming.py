"""Journeys whose users have other ids: each goes to the jackknife group of its new one. DEFINITIONS D12.1, D16.2."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
import polars as pl

from journeykit.ordering.user_ids import GROUPS, group_of
from journeykit.ragged.array import Int64s, Ragged
from journeykit.support.slices import places_of

J = TypeVar("J", bound=Ragged)


def with_users(journeys: J, users: pl.Series) -> J:
    """Give every user another id.

    Parameters
    ----------
    journeys : Ragged
        Not a shard.
    users : polars.Series of String or Int64
        The new ids in the order of the users, each once.

    Returns
    -------
    Ragged
        The same journeys, users by the group of the new id; within a group in the order they had.
    """
    groups = group_of(users)
    order = np.argsort(groups, kind="stable")
    runs = places_of(journeys.user_sessions[:-1][order], np.diff(journeys.user_sessions)[order])
    events = places_of(journeys.user_offsets[:-1][order], np.diff(journeys.user_offsets)[order])
    time_order, staged = journeys.time_order, journeys.staged
    if time_order is not None:
        new_place = np.empty_like(events)
        new_place[events] = np.arange(events.size)
        time_order = new_place[time_order[events]]
    causes, inside = journeys.session_causes, journeys.sessions_inside
    return replace(
        journeys,
        users=users.gather(pl.Series(order)),
        user_offsets=_offsets(np.diff(journeys.user_offsets)[order]),
        session_offsets=_offsets(np.diff(journeys.session_offsets)[runs]),
        user_sessions=_offsets(np.diff(journeys.user_sessions)[order]),
        group_offsets=_offsets(np.bincount(groups, minlength=GROUPS)),
        event_codes=journeys.event_codes[events],
        times=journeys.times[events],
        rows=journeys.rows[events],
        session_causes=None if causes is None else causes[runs],
        sessions_inside=None if inside is None else inside[runs],
        time_order=time_order,
        staged=staged and replace(staged, current=staged.current[events], furthest=staged.furthest[events]),
    )


def _offsets(sizes: Int64s) -> Int64s:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes, dtype=np.int64)])
