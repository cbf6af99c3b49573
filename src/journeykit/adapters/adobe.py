"""Adobe Analytics: its data feed, hits as TSV whose columns another file names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

import polars as pl

from journeykit.adapters.adapter import Adapter, LeaveOut, joined, text, whole
from journeykit.adapters.reading import Options, read, scan
from journeykit.errors import UnreadableFileError
from journeykit.events.events import Events
from journeykit.plans import EventsPlan
from journeykit.sources.texts import open_text

HEADERS = "column_headers.tsv"
LOOKUPS = (
    "browser", "browser_type", "carrier", "carrier_headers", "color_depth", "column_headers", "connection_type",
    "country", "event", "event_lookup", "javascript_version", "languages", "mobile_attributes",
    "mobile_attributes_headers", "operating_system_type", "operating_system_type_headers", "operating_systems",
    "plugins", "referrer_type", "resolution", "search_engines",
)  # fmt: skip
"""Files of a delivery that hold no hits."""
COMMERCE = {
    "purchase": 1,
    "checkout": 11,
    "cart removal": 13,
    "cart addition": 12,
    "cart view": 14,
    "product view": 2,
}
"""The standard events of shops by their numbers, those that say most first."""
LINKS = (10, 11, 12, 100, 101, 102)
"""Kinds of hits that are links: others, downloads, exits; before Adobe's processing and after it."""
PINGS = (32, 53, 63, 77)
"""Kinds of hits that say that a medium still plays."""
KINDS = {
    **dict.fromkeys((31, 50, 60, 76), "media start"),
    **dict.fromkeys((33, 78), "media update"),
    **dict.fromkeys((51, 61), "media end"),
    **dict.fromkeys((52, 62), "media scrubbing"),
    **dict.fromkeys((54, 64), "advertisement start"),
    **dict.fromkeys((55, 65), "advertisement end"),
    **dict.fromkeys((56, 66), "advertisement scrubbing"),
    **dict.fromkeys((40, 80), "survey"),
}
"""Kinds of hits that are neither pages nor links, as the table of page events names them."""


def _has(number: int) -> pl.Expr:
    """Whether a hit has an event; that of a purchase that was counted before has none."""
    counted = pl.when(pl.col("duplicate_purchase").fill_null(0) == 0).then("event_list")
    return counted.str.contains(rf"(?:^|,){number}(?:[=:,]|$)")


def headers(names: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Find the files with hits, and the columns that the delivery of each names, or the only ones that are named."""
    kinds = {name: _kind(name) for name in names}
    named = {Path(name).parent: _line(name) for name, kind in kinds.items() if kind == "column_headers"}
    only = next(iter(named.values())) if len(set(named.values())) == 1 else None
    hits = [Path(name) for name, kind in kinds.items() if kind not in LOOKUPS]
    return {str(hit): named.get(hit.parent) or only or _beside(hit) for hit in hits}


def _kind(name: str) -> str:
    """Return what a file holds, by its name; files of archives have a number before it."""
    return re.sub(r"^[0-9]{6}-", "", Path(name).name).split(".", 1)[0]


def _beside(hit: Path) -> tuple[str, ...]:
    try:
        return _line(str(hit.with_name(HEADERS)))
    except OSError as error:
        advice = f"Put the {HEADERS} of the same delivery beside it."
        raise UnreadableFileError(
            str(hit), "data feed", f"there is no {HEADERS} beside it", advice
        ) from error


def _line(path: str) -> tuple[str, ...]:
    with open_text(path) as file:
        return tuple(file.readline().rstrip("\r\n").split("\t"))


# A caret keeps a comma, a semicolon, an equals sign or a caret in a product's name.
_REVENUE = (
    pl.col("product_list")
    .str.replace_all(r"\^.", "_")
    .str.split(",")
    .list.eval(pl.element().str.split(";").list.get(3, null_on_oob=True).cast(pl.Float64, strict=False))
    .list.sum()
)
_LINK = pl.concat_str(pl.lit("link: "), pl.coalesce("link_name", "link_url"))

ADOBE = Adapter(
    name="adobe",
    title="Adobe data feed",
    columns={
        **{
            name: text(f"post_{name}", name) for name in ("visid_high", "visid_low", "page_url", "event_list")
        },
        **{name: text(f"post_{name}", name) for name in ("product_list", "campaign", "channel", "referrer")},
        "page_name": text("post_pagename", "pagename"),
        "link_name": text("post_page_event_var2", "page_event_var2"),
        "link_url": text("post_page_event_var1", "page_event_var1"),
        "page_event": whole("post_page_event", "page_event"),
        "mcvisid": text("mcvisid"),
        **{name: whole(name) for name in ("hit_time_gmt", "visit_page_num", "exclude_hit", "hit_source")},
        "sent": whole("post_cust_hit_time_gmt", "cust_hit_time_gmt"),
        "customer_perspective": whole("post_customer_perspective", "customer_perspective"),
        "duplicate_purchase": whole("duplicate_purchase"),
        **{name: text(name) for name in ("visit_num", "visit_start_time_gmt", "hitid_high", "hitid_low")},
        **{name: text(name) for name in ("va_closer_id", "va_finder_id", "ref_type", "geo_country")},
    },
    user=pl.coalesce(pl.concat_str("visid_high", "visid_low", separator="_"), "mcvisid"),
    time=pl.when(pl.col("sent").fill_null(0) == 0).then("hit_time_gmt").otherwise("sent"),
    event=pl.coalesce(
        *(pl.when(_has(number)).then(pl.lit(name)) for name, number in COMMERCE.items()),
        pl.when(pl.col("page_event").is_in(LINKS)).then(_LINK),
        pl.col("page_event").replace_strict(KINDS, default=None, return_dtype=pl.String),
        "page_name",
        "page_url",
    ),
    session=joined(
        pl.concat_str("visid_high", "visid_low", separator="_"),
        pl.col("visit_num"),
        pl.col("visit_start_time_gmt"),
    ),
    order=pl.col("visit_page_num"),
    value=pl.when(_has(1)).then(_REVENUE),
    unique=(pl.col("hitid_high"), pl.col("hitid_low")),
    leave_out={
        "excluded": LeaveOut("hits that Adobe excludes from reports", pl.col("exclude_hit") > 0),
        "imported": LeaveOut(
            "hits of data sources and summaries, which are no visits",
            pl.col("hit_source").is_in([5, 7, 8, 9]),
        ),
        "background": LeaveOut("hits of apps in the background", pl.col("customer_perspective") > 0),
        "pings": LeaveOut("signs that a medium still plays", pl.col("page_event").is_in(PINGS)),
    },
    properties={
        "page": pl.col("page_name"),
        "url": pl.col("page_url"),
        "campaign": pl.col("campaign"),
        "section": pl.col("channel"),
        "referrer": pl.col("referrer"),
        "channel": pl.col("va_closer_id"),
        "first_channel": pl.col("va_finder_id"),
        "country": pl.col("geo_country"),
    },
    unit="s",
    headers=headers,
    escaped=True,
)


def read_adobe(source: Any, **options: Unpack[Options]) -> Events:
    """Read Adobe Analytics' data feed.

    Parameters
    ----------
    source : object
        The delivery: its folder, its archive (zip or tar.gz), or its files of hits with ``column_headers.tsv``
        beside them or in an archive of lookups; or a frame with these columns.
    **options : Options
        What the readers of all exports take; see `journeykit.adapters.reading.Options`.

    Returns
    -------
    Events
        The user is ``post_visid_high_post_visid_low``, else ``mcvisid``; the time ``post_cust_hit_time_gmt``, which
        suites with timestamps have, else ``hit_time_gmt``, when Adobe received the hit; the event, by
        ``post_event_list``, purchase, checkout, cart removal, cart addition, cart view or product view, else the link
        that was followed, else the media event, else the name of the page. The session is the user, the visit's
        number and start; the value the revenue in ``post_product_list`` of purchases; ``visit_page_num`` orders hits
        of one second. ``keep=`` knows page, url, campaign, section (Adobe's ``channel``), channel and first_channel
        (numbers of marketing channels), referrer, country, and any other column.

    Raises
    ------
    UnreadableFileError
        If no ``column_headers.tsv`` belongs to a file of hits.
    JourneykitError
        See ``read_events``.

    Notes
    -----
    Left out are hits that Adobe excludes (``"excluded"``), those of data sources and summaries (``"imported"``), those
    of apps in the background (``"background"``), signs that a medium still plays (``"pings"``), and repeats with the
    same hit id. A hit whose purchase was counted before (``duplicate_purchase``) is a page: none of its events count.
    Checked with Adobe's help on data feeds (column reference, calculate metrics, page event and hit source lookups,
    special characters; AdobeDocs/analytics.en) in public copies of 2026-11. Of the numbers of standard events 1, 12
    and 200 were seen in public queries; 2, 11, 13 and 14 are from memory: ``event.tsv`` of your delivery tells.
    Revenue that is sent as a currency event is not in the value. Adobe says that files are ISO-8859-1; one that is
    not UTF-8 is refused.

    Examples
    --------
    >>> hit = {"mcvisid": "12", "hit_time_gmt": "1767571200", "post_event_list": "1,200=5"}
    >>> read_adobe([{**hit, "post_product_list": ";shoe;1;25.5,;hat;1;4"}]).frame["value"].to_list()
    [29.5]
    """
    return read(ADOBE, source, options)


def scan_adobe(source: Any, **options: Unpack[Options]) -> EventsPlan:
    """Plan what `read_adobe` does, and read nothing yet but what tells the columns; archives are unpacked."""
    return scan(ADOBE, source, options)
