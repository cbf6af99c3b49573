"""Matomo: visits with their actions, as its Live API writes them."""

from __future__ import annotations

from typing import Any, Unpack

import polars as pl

from journeykit.adapters.adapter import Adapter, LeaveOut, number, text, whole
from journeykit.adapters.reading import Options, read, scan
from journeykit.events.events import Events
from journeykit.plans import EventsPlan

CONTENT = "13"
"""The kind of what is done with contents, which Matomo gives no name."""
_CART = "ecommerceAbandonedCart"
_KIND = pl.col("kind")
_SEEN = (_KIND == CONTENT) & (pl.col("interaction").fill_null("") == "")
# Matomo counts the seconds of actions in the site's zone, as if it were UTC, and those of visits in UTC.
_QUARTER = 900
_LATE = (pl.col("timestamp").min().over("visit") - pl.col("began")).fill_null(0)
_ZONE = (_LATE / _QUARTER).round().cast(pl.Int64) * _QUARTER
_PATH = pl.col("url").str.extract(r"^[a-zA-Z]+://[^/?#]+([^?#]*)")

MATOMO = Adapter(
    name="matomo",
    title="Matomo export",
    columns={
        "user_id": text("userId"),
        "visitor_id": text("visitorId"),
        "visit": text("idVisit"),
        "began": whole("firstActionTimestamp"),
        "timestamp": whole("actionDetails.timestamp"),
        "kind": text("actionDetails.type"),
        "action": whole("actionDetails.pageId"),
        "cause": whole("actionDetails.goalPageId"),
        "url": text("actionDetails.url"),
        "title": text("actionDetails.pageTitle"),
        "category": text("actionDetails.eventCategory"),
        "event_action": text("actionDetails.eventAction"),
        "interaction": text("actionDetails.contentInteraction"),
        "content": text("actionDetails.contentName"),
        "goal": text("actionDetails.goalName"),
        "goal_id": text("actionDetails.goalId"),
        "order_id": text("actionDetails.orderId"),
        "revenue": number("actionDetails.revenue"),
        "referrer_kind": text("referrerType"),
        "referrer": text("referrerName"),
        "device": text("deviceType"),
        "country": text("country"),
    },
    user=pl.coalesce("user_id", "visitor_id"),
    time=pl.col("timestamp") - _ZONE,
    event=pl.when(_KIND == "event")
    .then(pl.concat_str("category", "event_action", separator=": "))
    .when(_KIND == "goal")
    .then(pl.coalesce(pl.concat_str(pl.lit("goal: "), "goal"), _KIND))
    .when(_KIND == CONTENT)
    .then(pl.concat_str(pl.lit("content: "), "content"))
    .when(_KIND != "action")
    .then(_KIND)
    .otherwise(pl.coalesce(_PATH, "title")),
    session=pl.col("visit"),
    # A goal has no number of its own: it follows what is done in its second.
    order=pl.col("action"),
    value=pl.when(_KIND != _CART).then("revenue"),
    unique=(
        pl.col("visit"),
        _KIND,
        *(pl.col(name).fill_null("") for name in ("goal_id", "order_id")),
        pl.coalesce("action", "cause").fill_null(0),
        pl.col("timestamp"),
    ),
    leave_out={"contents": LeaveOut("impressions of contents", _SEEN)},
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
        ``timestamp`` in UTC; the event the path of a page without its query (else its title), category and action of
        an event, the name of a goal, the content that was clicked, else the kind of action. The session is
        ``idVisit``, the value ``revenue`` of goals and orders, not of carts that were left. ``keep=`` knows page,
        title, kind, channel, source, device, country, and places such as ``"actionDetails.eventName"``.

    Raises
    ------
    JourneykitError
        See ``read_events``.

    Notes
    -----
    Impressions of contents are left out (``"contents"``), and actions of a visit that another file has too.
    Matomo writes the timestamps of actions in the zone of the site (its issue 22720): they are put right by as many
    quarters of an hour as the visit's first action is away from ``firstActionTimestamp``; where an export has none,
    they are taken for UTC. A visit across a change to or from summer time is an hour off after it.
    Checked with the source of Matomo's plugins Live, Actions, Goals, Ecommerce, Events and Contents and the expected
    answers of its tests, in public copies of 2026-11; kinds of actions of paid plugins are taken as they are.

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
