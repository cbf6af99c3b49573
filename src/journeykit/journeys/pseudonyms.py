"""Journeys under pseudonyms. DEFINITIONS D16.2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import polars as pl

from journeykit.errors import ParameterError, UnknownPropertyError
from journeykit.privacy.pseudonyms import pseudonyms
from journeykit.ragged.array import Ragged
from journeykit.ragged.renaming import with_users

J = TypeVar("J", bound=Ragged)
VERB = "pseudonymize"


def pseudonymize(journeys: J, key: bytes, columns: Sequence[str] = ()) -> J:
    """Replace the ids of the users by pseudonyms. D16.2.

    Parameters
    ----------
    key : bytes
        See ``Events.pseudonymize``.
    columns : sequence of str
        Properties that hold ids too.

    Returns
    -------
    Journeys
        The same journeys; users by the jackknife group of their pseudonym (D12.1).

    Raises
    ------
    ParameterError
        If the key is no such bytes, or the journeys are a shard.
    UnknownPropertyError
        If a column was not kept.

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({"user": ["ada", "bob"], "time": [0, 60], "event": ["x", "y"]})
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> journeys.pseudonymize(b"0123456789abcdef").users.is_in(["ada", "bob"]).any()
    False
    """
    for name in columns:
        if name not in journeys.kept:
            raise UnknownPropertyError(name, journeys.kept)
    if journeys.user_range is not None:
        raise ParameterError("a shard is a view. Pseudonymize the journeys that it is a part of.")
    made = with_users(journeys, pseudonyms(journeys.users, key))
    found = made.provenance
    made = replace(made, provenance=replace(found, verbs=(*found.verbs, VERB)))
    if not columns:
        return made
    source = pl.DataFrame([
        pseudonyms(made.source[name], key) if name in columns else made.source[name] for name in made.kept
    ])  # fmt: skip
    return replace(made, source=source)
