"""Journeys whose users have other ids: each goes to the jackknife group of its new one. DEFINITIONS D12.1, D16.2."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
import polars as pl

from journeykit.ordering.user_ids import GROUPS, group_of
from journeykit.ragged.array import Ragged
from journeykit.ragged.taking import in_order
from journeykit.support.slices import inverse, offsets, places_of

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
    time_order = journeys.time_order
    return replace(
        in_order(journeys, runs, events),
        users=users.gather(pl.Series(order)),
        user_offsets=offsets(np.diff(journeys.user_offsets)[order]),
        user_sessions=offsets(np.diff(journeys.user_sessions)[order]),
        group_offsets=offsets(np.bincount(groups, minlength=GROUPS)),
        time_order=None if time_order is None else inverse(events)[time_order[events]],
    )
