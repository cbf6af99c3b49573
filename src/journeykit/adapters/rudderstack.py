"""RudderStack: the tables and logs of Segment, with a session."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Unpack

import polars as pl

from journeykit.adapters.adapter import came_from, joined, text, whole
from journeykit.adapters.reading import Options, read, scan
from journeykit.adapters.segment import COLUMNS, SEGMENT
from journeykit.events.events import Events
from journeykit.plans import EventsPlan

RUDDERSTACK = replace(
    SEGMENT,
    name="rudderstack",
    title="RudderStack export",
    columns={
        **COLUMNS,
        "session_id": whole("context_session_id", "context.sessionId"),
        "platform": text("channel"),
    },
    session=joined(pl.coalesce("anonymous_id", "user_id"), pl.col("session_id").cast(pl.String)),
    properties={
        **SEGMENT.properties,
        "referrer": came_from("referrer"),
        "platform": pl.col("platform"),
    },
)


def read_rudderstack(source: Any, **options: Unpack[Options]) -> Events:
    """Read RudderStack's events: tables ``tracks``, ``pages``, ``screens`` of a warehouse, or raw logs.

    Parameters
    ----------
    source : object
        Files of them (Parquet, CSV, gzipped lines of JSON), or what else ``read_events`` takes.
    **options : Options
        What the readers of all exports take; see `journeykit.adapters.reading.Options`.

    Returns
    -------
    Events
        As ``read_segment``, with the session ``context_session_id`` of the anonymous id. ``keep=`` also knows
        platform (web, mobile, server), which RudderStack calls channel.

    Raises
    ------
    JourneykitError
        See ``read_events``.

    Notes
    -----
    What is left out is that of ``read_segment``. The referrer ``$direct`` is none.
    Checked with RudderStack's help (warehouse schema, common fields, session tracking: a session is its id together
    with that of the anonymous user) and the source of its browser library, in public copies of 2026-11.

    Examples
    --------
    >>> row = {"id": "m1", "anonymous_id": "a", "timestamp": "2026-01-05T10:00:00Z", "event": "order_completed"}
    >>> read_rudderstack([{**row, "context_session_id": 1767571200}]).frame["session"].to_list()
    ['a/1767571200']
    """
    return read(RUDDERSTACK, source, options)


def scan_rudderstack(source: Any, **options: Unpack[Options]) -> EventsPlan:
    """Plan what `read_rudderstack` does, and read nothing yet but what tells the columns."""
    return scan(RUDDERSTACK, source, options)
