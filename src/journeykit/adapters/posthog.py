"""PostHog: its batch export of events, Parquet with properties as JSON text, or lines of JSON."""

from __future__ import annotations

from typing import Any, Unpack

import polars as pl

from journeykit.adapters.adapter import Adapter, LeaveOut, came_from, moment, text
from journeykit.adapters.reading import Options, read, scan
from journeykit.events.events import Events
from journeykit.plans import EventsPlan

IDENTITY = ("$identify", "$set", "$create_alias", "$merge_dangerously", "$groupidentify")
INTERNAL = ("$feature_flag_called", "$web_vitals", "$$heatmap", "$performance_event", "$snapshot")

POSTHOG = Adapter(
    name="posthog",
    title="PostHog export",
    columns={
        "uuid": text("uuid"),
        "person_id": text("person_id"),
        "distinct_id": text("distinct_id"),
        "timestamp": moment("timestamp"),
        "event": text("event"),
        "$session_id": text("properties.$session_id"),
        "utm_source": text("properties.utm_source"),
        "utm_medium": text("properties.utm_medium"),
        "utm_campaign": text("properties.utm_campaign"),
        "$referring_domain": text("properties.$referring_domain"),
        "$current_url": text("properties.$current_url"),
        "$pathname": text("properties.$pathname"),
        "$device_type": text("properties.$device_type"),
        "$os": text("properties.$os"),
        "$browser": text("properties.$browser"),
        "$geoip_country_code": text("properties.$geoip_country_code"),
        "$lib": text("properties.$lib"),
    },
    user=pl.coalesce("person_id", "distinct_id"),
    time=pl.col("timestamp"),
    event=pl.col("event"),
    session=pl.col("$session_id"),
    unique=(pl.col("uuid"),),
    leave_out={
        "identity": LeaveOut("calls that join or describe identities", pl.col("event").is_in(IDENTITY)),
        "internal": LeaveOut(
            "flag calls, heatmaps and measurements of pages", pl.col("event").is_in(INTERNAL)
        ),
    },
    properties={
        "source": pl.col("utm_source"),
        "medium": pl.col("utm_medium"),
        "campaign": pl.col("utm_campaign"),
        "referrer": came_from("$referring_domain"),
        "page": pl.col("$current_url"),
        "path": pl.col("$pathname"),
        "device": pl.col("$device_type"),
        "system": pl.col("$os"),
        "browser": pl.col("$browser"),
        "country": pl.col("$geoip_country_code"),
        "platform": pl.col("$lib"),
    },
)


def read_posthog(source: Any, **options: Unpack[Options]) -> Events:
    """Read PostHog's batch export of events, as Parquet or as lines of JSON.

    Parameters
    ----------
    source : object
        Files of it, or what else ``read_events`` takes.
    **options : Options
        What the readers of all exports take; see `journeykit.adapters.reading.Options`.

    Returns
    -------
    Events
        The user is ``person_id``, else ``distinct_id``; the session is ``$session_id``. There is no value;
        name one, such as ``value="properties.amount"``. ``keep=`` knows source, medium, campaign, referrer,
        page, path, device, system, browser, country, platform, and places such as ``"properties.plan"``.

    Raises
    ------
    JourneykitError
        See ``read_events``.

    Notes
    -----
    Calls that join or describe identities (``"identity"``) and flag calls, heatmaps and measurements of pages
    (``"internal"``) are left out, and repeats with the same ``uuid``. A person who was merged later may still
    have several ids in older files. The referrer ``$direct`` is none.
    Checked with PostHog's help on batch exports (columns) and the test and type documents of its browser library
    (names of properties), in public copies of 2026-11; ``$geoip_country_code`` was seen in public queries.

    Examples
    --------
    >>> row = {"uuid": "1", "distinct_id": "ann", "event": "$pageview", "timestamp": "2026-01-05T10:00:00Z"}
    >>> read_posthog([{**row, "properties": '{"$session_id": "s1"}'}]).frame["session"].to_list()
    ['s1']
    """
    return read(POSTHOG, source, options)


def scan_posthog(source: Any, **options: Unpack[Options]) -> EventsPlan:
    """Plan what `read_posthog` does, and read nothing yet but what tells the columns."""
    return scan(POSTHOG, source, options)
