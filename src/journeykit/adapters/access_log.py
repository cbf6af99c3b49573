"""Access logs of web servers: requests of people for pages, without bots, assets and failures."""

from __future__ import annotations

from typing import Any, Unpack

import polars as pl

from journeykit.adapters.adapter import Adapter, LeaveOut, moment, text, whole
from journeykit.adapters.reading import Options, read, scan
from journeykit.events.events import Events
from journeykit.plans import EventsPlan

BOTS = (
    r"(?i)bot\b|crawl|spider|slurp|scrap|monitor|preview|feed|\brss\b|curl/|wget/|python|java/|go-http|headless"
    r"|https?://|@"
)
"""A user agent that says so, or names a page or an address to write to, which no browser does."""
ASSETS = (
    r"(?i)\.(?:css|js|mjs|map|png|jpe?g|gif|svg|ico|webp|avif|bmp|woff2?|ttf|eot|otf|mp[34]|webm|xml|txt|json)"
    r"(?:\?|$)|^/favicon|^/robots\.txt"
)
IDS = r"/(?:[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|[0-9a-fA-F]{16,}|[0-9]+)\b"
"""Parts of a path that name one thing: numbers, UUIDs, hashes."""
_AGENT = pl.col("user_agent")
_PAGE = pl.col("path").str.extract(r"^([^?#]*)").str.replace_all(IDS, "/{id}")

ACCESS_LOG = Adapter(
    name="access_log",
    title="access log",
    columns={
        "ip": text("ip"),
        "auth_user": text("auth_user"),
        "user_agent": text("user_agent"),
        "time": moment("time"),
        "request": text("request"),
        "method": text("method"),
        "path": text("path"),
        "status": whole("status"),
        "bytes": whole("bytes"),
        "referer": text("referer"),
    },
    user=pl.coalesce("auth_user", pl.concat_str("ip", _AGENT.fill_null("-"), separator=" ")),
    time=pl.col("time"),
    event=pl.coalesce(pl.concat_str("method", _PAGE, separator=" "), "request"),
    leave_out={
        "bots": LeaveOut("requests of bots, by their user agent", _AGENT.str.contains(BOTS)),
        "assets": LeaveOut(
            "images, styles, scripts and other parts of pages", pl.col("path").str.contains(ASSETS)
        ),
        "failures": LeaveOut("requests that failed", (pl.col("status") < 200) | (pl.col("status") >= 400)),
        "probes": LeaveOut("HEAD and OPTIONS requests", pl.col("method").is_in(["HEAD", "OPTIONS"])),
    },
    properties={
        "page": pl.col("path").str.extract(r"^([^?#]*)"),
        "referrer": pl.col("referer").str.extract(r"^[a-z]+://([^/:?#]+)"),
        "source": pl.col("path").str.extract(r"[?&]utm_source=([^&#]*)"),
        "medium": pl.col("path").str.extract(r"[?&]utm_medium=([^&#]*)"),
        "campaign": pl.col("path").str.extract(r"[?&]utm_campaign=([^&#]*)"),
        **{name: pl.col(name) for name in ("ip", "user_agent", "method", "path", "status", "bytes")},
    },
    default_format="access_log",
)


def read_access_log(source: Any, **options: Unpack[Options]) -> Events:
    """Read the access logs of Apache or nginx, as journeys of people over pages.

    Parameters
    ----------
    source : object
        Files in the common or the combined format, also compressed or zipped, whatever they are called.
    **options : Options
        What the readers of all exports take; see `journeykit.adapters.reading.Options`.

    Returns
    -------
    Events
        The user is who logged in, else address and user agent together; the event is the method and the path without
        its query, with ``{id}`` for numbers, UUIDs and hashes in it. ``keep=`` knows page, path, referrer, source,
        medium, campaign, ip, user_agent, method, status, bytes.

    Raises
    ------
    JourneykitError
        See ``read_events``; a line in another form counts as an invalid row.

    Notes
    -----
    Left out are requests of bots by their user agent (``"bots"``), assets (``"assets"``), requests with another status
    than 2xx and 3xx (``"failures"``), and HEAD and OPTIONS (``"probes"``). ``read_events`` reads the same files
    line by line, with nothing left out.

    Examples
    --------
    >>> import journeykit as jk
    >>> events = read_access_log(jk.datasets.access_log(), on_invalid="drop")
    >>> events.quality.left_out["requests of bots, by their user agent"]
    2607
    """
    return read(ACCESS_LOG, source, options)


def scan_access_log(source: Any, **options: Unpack[Options]) -> EventsPlan:
    """Plan what `read_access_log` does, and read nothing yet but what tells the columns."""
    return scan(ACCESS_LOG, source, options)
