"""Snowplow: the table ``atomic.events`` of a warehouse, and the enriched events as TSV."""

from __future__ import annotations

from typing import Any, Unpack

import polars as pl

from journeykit.adapters.adapter import Adapter, LeaveOut, moment, number, text
from journeykit.adapters.reading import Options, read, scan
from journeykit.events.events import Events
from journeykit.plans import EventsPlan

FIELDS = tuple(
    """
    app_id platform etl_tstamp collector_tstamp dvce_created_tstamp event event_id txn_id name_tracker
    v_tracker v_collector v_etl user_id user_ipaddress user_fingerprint domain_userid domain_sessionidx
    network_userid geo_country geo_region geo_city geo_zipcode geo_latitude geo_longitude geo_region_name
    ip_isp ip_organization ip_domain ip_netspeed page_url page_title page_referrer page_urlscheme page_urlhost
    page_urlport page_urlpath page_urlquery page_urlfragment refr_urlscheme refr_urlhost refr_urlport
    refr_urlpath refr_urlquery refr_urlfragment refr_medium refr_source refr_term mkt_medium mkt_source
    mkt_term mkt_content mkt_campaign contexts se_category se_action se_label se_property se_value
    unstruct_event tr_orderid tr_affiliation tr_total tr_tax tr_shipping tr_city tr_state tr_country
    ti_orderid ti_sku ti_name ti_category ti_price ti_quantity pp_xoffset_min pp_xoffset_max pp_yoffset_min
    pp_yoffset_max useragent br_name br_family br_version br_type br_renderengine br_lang br_features_pdf
    br_features_flash br_features_java br_features_director br_features_quicktime br_features_realplayer
    br_features_windowsmedia br_features_gears br_features_silverlight br_cookies br_colordepth br_viewwidth
    br_viewheight os_name os_family os_manufacturer os_timezone dvce_type dvce_ismobile dvce_screenwidth
    dvce_screenheight doc_charset doc_width doc_height tr_currency tr_total_base tr_tax_base tr_shipping_base
    ti_currency ti_price_base base_currency geo_timezone mkt_clickid mkt_network etl_tags dvce_sent_tstamp
    refr_domain_userid refr_device_tstamp derived_contexts domain_sessionid derived_tstamp event_vendor
    event_name event_format event_version event_fingerprint true_tstamp
    """.split()  # noqa: SIM905 - a list of 131 texts would be 131 lines
)
"""The 131 columns of an enriched event, which its TSV does not name."""
_STRUCTURED = pl.concat_str("se_category", "se_action", separator=": ")
_NAMES = ("source", "medium", "campaign", "term", "content")

SNOWPLOW = Adapter(
    name="snowplow",
    title="Snowplow export",
    columns={
        **{
            name: text(name) for name in ("user_id", "domain_userid", "network_userid", "event", "event_name")
        },
        **{name: text(name) for name in ("event_id", "event_fingerprint", "domain_sessionid")},
        **{name: text(name) for name in ("se_category", "se_action", "platform", "app_id")},
        "tstamp": moment("derived_tstamp", "collector_tstamp"),
        "dvce_created_tstamp": moment("dvce_created_tstamp"),
        "tr_total": number("tr_total"),
        "se_value": number("se_value"),
        **{name: text(f"mkt_{name}") for name in _NAMES},
        "refr_medium": text("refr_medium"),
        "refr_source": text("refr_source"),
        "page_urlpath": text("page_urlpath"),
        "page_url": text("page_url"),
        "dvce_type": text("dvce_type"),
        "geo_country": text("geo_country"),
    },
    user=pl.coalesce("user_id", "domain_userid", "network_userid"),
    time=pl.col("tstamp"),
    event=pl.when(pl.col("event") == "struct")
    .then(_STRUCTURED)
    .otherwise(pl.coalesce("event_name", "event")),
    session=pl.col("domain_sessionid"),
    order=pl.col("dvce_created_tstamp"),
    value=pl.coalesce("tr_total", "se_value"),
    # The same id with another fingerprint is another event.
    unique=(pl.col("event_id"), pl.col("event_fingerprint").fill_null("")),
    leave_out={
        "page_pings": LeaveOut("pings of pages that stay open", pl.col("event") == "page_ping"),
        "items": LeaveOut("items of a transaction that has a row", pl.col("event") == "transaction_item"),
    },
    properties={
        **{name: pl.col(name) for name in (*_NAMES, "platform", "app_id", "refr_medium", "refr_source")},
        "page": pl.col("page_url"),
        "path": pl.col("page_urlpath"),
        "device": pl.col("dvce_type"),
        "country": pl.col("geo_country"),
    },
    headers=lambda names: dict.fromkeys(names, FIELDS),
    default_format="tsv",
)


def read_snowplow(source: Any, **options: Unpack[Options]) -> Events:
    """Read Snowplow's events: the table ``atomic.events`` of a warehouse, or enriched events as TSV.

    Parameters
    ----------
    source : object
        Files of them (Parquet, CSV, lines of JSON, TSV without a header), or what else ``read_events`` takes.
    **options : Options
        What the readers of all exports take; see `journeykit.adapters.reading.Options`.

    Returns
    -------
    Events
        The user is ``user_id``, else ``domain_userid``, else ``network_userid``; the time is
        ``derived_tstamp``, else ``collector_tstamp``; the event is ``event_name``, of structured events their
        category and action. The session is ``domain_sessionid``; the value is ``tr_total``, else
        ``se_value``; ``dvce_created_tstamp`` orders events of one time. ``keep=`` knows source, medium,
        campaign, term, content, refr_medium, refr_source, page, path, platform, app_id, device, country, and
        any other column.

    Raises
    ------
    JourneykitError
        See ``read_events``.

    Notes
    -----
    Pings of pages that stay open (``"page_pings"``) and the items of transactions (``"items"``) are left out, and
    repeats with the same ``event_id`` and ``event_fingerprint``.
    The columns of TSV and their order are those of Snowplow's help (enriched stream TSV file format) and of its Python
    SDK 0.2.3, compared by a program.

    Examples
    --------
    >>> row = {"domain_userid": "d", "derived_tstamp": "2026-01-05 10:00:00.000", "event": "page_view"}
    >>> events = read_snowplow([row, {**row, "event": "page_ping"}])
    >>> events.quality.left_out
    {'pings of pages that stay open': 1}
    """
    return read(SNOWPLOW, source, options)


def scan_snowplow(source: Any, **options: Unpack[Options]) -> EventsPlan:
    """Plan what `read_snowplow` does, and read nothing yet but what tells the columns."""
    return scan(SNOWPLOW, source, options)
