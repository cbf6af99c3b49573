"""GA4: the tables ``events_*`` that it writes to BigQuery, as Parquet or JSON."""

from __future__ import annotations

from typing import Any, Unpack

import polars as pl

from journeykit.adapters.adapter import Adapter, joined, number, text, whole
from journeykit.adapters.reading import Options, read, scan
from journeykit.events.events import Events
from journeykit.plans import EventsPlan

_LAST_CLICK = "session_traffic_source_last_click.cross_channel_campaign"
_COLLECTED = "collected_traffic_source.manual"

GA4 = Adapter(
    name="ga4",
    title="GA4 export",
    columns={
        "user_id": text("user_id"),
        "user_pseudo_id": text("user_pseudo_id"),
        "event_timestamp": whole("event_timestamp"),
        "event_name": text("event_name"),
        "ga_session_id": text("event_params[ga_session_id]"),
        "batch_page_id": whole("batch_page_id"),
        "batch_ordering_id": whole("batch_ordering_id"),
        "batch_event_index": whole("batch_event_index"),
        "purchase_revenue": number("ecommerce.purchase_revenue_in_usd", "ecommerce.purchase_revenue"),
        "event_value": number("event_value_in_usd", "event_params[value]"),
        "default_channel_group": text(f"{_LAST_CLICK}.default_channel_group"),
        "source": text(f"{_LAST_CLICK}.source", f"{_COLLECTED}_source", "traffic_source.source"),
        "medium": text(f"{_LAST_CLICK}.medium", f"{_COLLECTED}_medium", "traffic_source.medium"),
        "campaign": text(
            f"{_LAST_CLICK}.campaign_name", f"{_COLLECTED}_campaign_name", "traffic_source.name"
        ),
        "page": text("event_params[page_location]"),
        "screen": text("event_params[firebase_screen]", "event_params[screen_name]"),
        "device": text("device.category"),
        "country": text("geo.country"),
        "platform": text("platform"),
    },
    user=pl.coalesce("user_id", "user_pseudo_id"),
    time=pl.col("event_timestamp"),
    event=pl.col("event_name"),
    session=joined(pl.col("user_pseudo_id"), pl.col("ga_session_id")),
    # The page's number leads; the places of a batch in it and of an event in the batch are small.
    order=pl.col("batch_page_id") * 1_000_000
    + pl.col("batch_ordering_id").fill_null(0).clip(0, 999) * 1_000
    + pl.col("batch_event_index").fill_null(0).clip(0, 999),
    value=pl.coalesce("purchase_revenue", "event_value"),
    properties={
        "channel": pl.col("default_channel_group"),
        **{name: pl.col(name) for name in ("source", "medium", "campaign", "page", "screen")},
        **{name: pl.col(name) for name in ("device", "country", "platform")},
    },
    unit="us",
)


def read_ga4(source: Any, **options: Unpack[Options]) -> Events:
    """Read GA4's export to BigQuery, saved as Parquet or as lines of JSON.

    Parameters
    ----------
    source : object
        The files of one or many days, or what else ``read_events`` takes, such as a frame that BigQuery's client made.
    **options : Options
        What the readers of all exports take; see `journeykit.adapters.reading.Options`.

    Returns
    -------
    Events
        The user is ``user_id``, else ``user_pseudo_id``; the session is GA4's own, ``user_pseudo_id/ga_session_id``;
        the value is the revenue of a purchase in USD, else the event's value. ``batch_page_id``,
        ``batch_ordering_id`` and ``batch_event_index`` order events of one microsecond. ``keep=`` knows channel,
        source, medium, campaign (of the session's last click, else as collected, else of the user's first visit),
        page, screen, device, country, platform, and ``"event_params[<key>]"``.

    Raises
    ------
    JourneykitError
        See ``read_events``.

    Notes
    -----
    Nothing is left out, and GA4 has no id of events, so repeats stay.

    Examples
    --------
    >>> day = pl.DataFrame(
    ...     {
    ...         "user_pseudo_id": ["1.2", "1.2"],
    ...         "event_timestamp": [1767571200000000, 1767571260000000],
    ...         "event_name": ["page_view", "purchase"],
    ...         "ecommerce": [{"purchase_revenue": None}, {"purchase_revenue": 9.5}],
    ...     }
    ... )
    >>> read_ga4(day).frame["value"].to_list()
    [None, 9.5]
    """
    return read(GA4, source, options)


def scan_ga4(source: Any, **options: Unpack[Options]) -> EventsPlan:
    """Plan what `read_ga4` does, and read nothing yet but what tells the columns."""
    return scan(GA4, source, options)
