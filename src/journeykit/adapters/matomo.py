"""Matomo: visits with their actions, as its Live API writes them."""

from __future__ import annotations

from typing import Any, Unpack

import polars as pl

from journeykit.adapters.adapter import Adapter, LeaveOut, number, text, whole
from journeykit.adapters.reading import Options, read, scan
from journeykit.events.events import Events
from journeykit.plans import EventsPlan

_KIND = pl.col("kind")
_PATH = pl.col("url").str.extract(r"^[a-zA-Z]+://[^/?#]+([^?#]*)")

MATOMO = Adapter(
    name="matomo",
    title="Matomo export",
    columns={
        "user_id": text("userId"),
        "visitor_id": text("visitorId"),
        "visit": text("idVisit"),
        "timestamp": whole("actionDetails.timestamp"),
        "kind": text("actionDetails.type"),
        "action": text("actionDetails.pageId"),
        "position": whole("actionDetails.pageviewPosition"),
        "url": text("actionDetails.url"),
        "title": text("actionDetails.pageTitle"),
        "category": text("actionDetails.eventCategory"),
        "event_action": text("actionDetails.eventAction"),
        "goal": text("actionDetails.goalName"),
        "revenue": number("actionDetails.revenue"),
        "referrer_kind": text("referrerType"),
        "referrer": text("referrerName"),
        "device": text("deviceType"),
        "country": text("country"),
    },
    user=pl.coalesce("user_id", "visitor_id"),
    time=pl.col("timestamp"),
    event=pl.when(_KIND == "event")
    .then(pl.concat_str("category", "event_action", separator=": "))
    .when(_KIND == "goal")
    .then(pl.coalesce(pl.concat_str(pl.lit("goal: "), "goal"), _KIND))
    .when(_KIND != "action")
    .then(_KIND)
    .otherwise(pl.coalesce(_PATH, "title")),
    session=pl.col("visit"),
    order=pl.col("position"),
    value=pl.col("revenue"),
    unique=(pl.col("visit"), _KIND, pl.col("action"), pl.col("timestamp")),
    leave_out={"contents": LeaveOut("impressions of contents", _KIND == "contentImpression")},
    properties={
        "page": pl.col("url"),
        "title": pl.col("title"),
        "channel": pl.col("referrer_kind"),
        "source": pl.col("referrer"),
        "device": pl.col("device"),
        "country": pl.col("country"),
        "kind": _KIND,
    },
    unit="s",
    rows="actionDetails",
)


def read_matomo(source: Any, **options: Unpack[Options]) -> Events:
    """Read the visits that Matomo's ``Live.getLastVisitsDetails`` gives as JSON.

    Parameters
    ----------
    source : object
        Files with a list of visits or a visit per line, also gzipped or zipped; or a frame with a column
        ``actionDetails``.
    **options : Options
        What the readers of all exports take; see `journeykit.adapters.reading.Options`.

    Returns
    -------
    Events
        One row per action of a visit. The user is ``userId``, else ``visitorId``; the time the action's
        ``timestamp``; the event the path of a page without its query (else its title), category and action of an
        event, the name of a goal, else the kind of action. The session is ``idVisit``, the value ``revenue``. ``keep=``
        knows page, title, kind, channel, source, device, country, and places such as
        ``"actionDetails.eventName"``.

    Raises
    ------
    JourneykitError
        See ``read_events``.

    Notes
    -----
    Impressions of contents are left out (``"contents"``), and actions of a visit that another file has too.

    Examples
    --------
    >>> action = {"type": "action", "url": "https://shop.example/cart?x=1", "timestamp": 1767571200, "pageId": "9"}
    >>> read_matomo([{"idVisit": "5", "visitorId": "v", "actionDetails": [action]}]).frame["event"].to_list()
    ['/cart']
    """
    return read(MATOMO, source, options)


def scan_matomo(source: Any, **options: Unpack[Options]) -> EventsPlan:
    """Plan what `read_matomo` does, and read nothing yet but what tells the columns."""
    return scan(MATOMO, source, options)
