"""Segment: tables of a warehouse (tracks, pages, screens, one per event) and the raw logs of a bucket."""

from __future__ import annotations

from typing import Any, Unpack

import polars as pl

from journeykit.adapters.adapter import Adapter, LeaveOut, moment, number, text
from journeykit.adapters.reading import Options, read, scan
from journeykit.events.events import Events
from journeykit.plans import EventsPlan

_PAGE = pl.when(pl.col("path").is_not_null()).then(pl.lit("page"))
COLUMNS = {
    "id": text("id", "messageId"),
    "type": text("type"),
    "user_id": text("user_id", "userId"),
    "anonymous_id": text("anonymous_id", "anonymousId"),
    "timestamp": moment("timestamp", "original_timestamp", "originalTimestamp", "received_at", "receivedAt"),
    "event_text": text("event_text", "event"),
    "name": text("name", "properties.name"),
    "path": text("path", "context_page_path", "context.page.path"),
    "url": text("url", "context_page_url", "context.page.url"),
    "revenue": number("revenue", "properties.revenue", "total", "properties.total"),
    "referrer": text("referrer", "context_page_referrer", "context.page.referrer"),
    "source": text("context_campaign_source", "context.campaign.source"),
    "medium": text("context_campaign_medium", "context.campaign.medium"),
    "campaign": text("context_campaign_name", "context.campaign.name"),
    "system": text("context_os_name", "context.os.name"),
    "library": text("context_library_name", "context.library.name"),
}
"""Tables of a warehouse have snake_case, raw logs camelCase and nested objects."""

SEGMENT = Adapter(
    name="segment",
    title="Segment export",
    columns=COLUMNS,
    user=pl.coalesce("user_id", "anonymous_id"),
    time=pl.col("timestamp"),
    # A page or screen has its name in place of an event; many have none.
    event=pl.coalesce(pl.col("event_text"), pl.col("name"), pl.col("type"), _PAGE),
    value=pl.col("revenue"),
    unique=(pl.col("id"),),
    leave_out={
        "identity": LeaveOut(
            "identify, group and alias calls", pl.col("type").is_in(["identify", "group", "alias"])
        )
    },
    properties={
        "page": pl.col("url"),
        **{
            name: pl.col(name)
            for name in ("path", "referrer", "source", "medium", "campaign", "system", "library")
        },
    },
)


def read_segment(source: Any, **options: Unpack[Options]) -> Events:
    """Read Segment's events: tables ``tracks``, ``pages``, ``screens`` of a warehouse, or raw logs.

    Parameters
    ----------
    source : object
        Files of them (Parquet, CSV, gzipped lines of JSON), or what else ``read_events`` takes.
    **options : Options
        What the readers of all exports take; see `journeykit.adapters.reading.Options`.

    Returns
    -------
    Events
        The user is ``user_id``, else ``anonymous_id``; the time is ``timestamp``, which Segment has corrected
        for the device's clock; the event is ``event_text``, else ``event``, of pages and screens their name,
        else their type. The value is ``revenue``, else ``total``. ``keep=`` knows page, path, referrer,
        source, medium, campaign, system, library, and places such as ``"properties.plan"``.

    Raises
    ------
    JourneykitError
        See ``read_events``.

    Notes
    -----
    Identify, group and alias calls are left out (``"identity"``), and repeats with the same message id. Segment
    has no session.
    Checked with Segment's help (warehouse schema, logs in Amazon S3), in public copies of 2026-11; that an order's
    ``revenue`` goes before its ``total`` is our choice.

    Examples
    --------
    >>> row = {"id": "m1", "anonymous_id": "a", "timestamp": "2026-01-05T10:00:00Z", "event_text": "Order Completed"}
    >>> read_segment([{**row, "revenue": "12.5"}]).frame["value"].to_list()
    [12.5]
    """
    return read(SEGMENT, source, options)


def scan_segment(source: Any, **options: Unpack[Options]) -> EventsPlan:
    """Plan what `read_segment` does, and read nothing yet but what tells the columns."""
    return scan(SEGMENT, source, options)
