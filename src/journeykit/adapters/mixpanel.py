"""Mixpanel: what its export API gives, one object per line."""

from __future__ import annotations

from typing import Any, Unpack

import polars as pl

from journeykit.adapters.adapter import Adapter, LeaveOut, number, text
from journeykit.adapters.reading import Options, read, scan
from journeykit.events.events import Events
from journeykit.plans import EventsPlan

IDENTITY = ("$identify", "$create_alias", "$merge")

MIXPANEL = Adapter(
    name="mixpanel",
    title="Mixpanel export",
    columns={
        "event": text("event"),
        "distinct_id": text("properties.distinct_id", "properties.$distinct_id"),
        "time": number("properties.time"),
        "$insert_id": text("properties.$insert_id"),
        "utm_source": text("properties.utm_source"),
        "utm_medium": text("properties.utm_medium"),
        "utm_campaign": text("properties.utm_campaign"),
        "$referring_domain": text("properties.$referring_domain"),
        "$current_url": text("properties.$current_url", "properties.current_url_path"),
        "$device": text("properties.$device", "properties.$model"),
        "$os": text("properties.$os"),
        "$browser": text("properties.$browser"),
        "mp_country_code": text("properties.mp_country_code"),
        "mp_lib": text("properties.mp_lib"),
    },
    user=pl.col("distinct_id"),
    time=pl.col("time"),
    event=pl.col("event"),
    # The four that Mixpanel compares; it keeps the latest version.
    unique=(pl.col("event"), pl.col("distinct_id"), pl.col("time"), pl.col("$insert_id")),
    leave_out={"identity": LeaveOut("calls that join identities", pl.col("event").is_in(IDENTITY))},
    properties={
        "source": pl.col("utm_source"),
        "medium": pl.col("utm_medium"),
        "campaign": pl.col("utm_campaign"),
        "referrer": pl.col("$referring_domain"),
        "page": pl.col("$current_url"),
        "device": pl.col("$device"),
        "system": pl.col("$os"),
        "browser": pl.col("$browser"),
        "country": pl.col("mp_country_code"),
        "platform": pl.col("mp_lib"),
    },
    unit="s",
)


def read_mixpanel(source: Any, **options: Unpack[Options]) -> Events:
    """Read Mixpanel's export: the lines of JSON that its raw export API gives.

    Parameters
    ----------
    source : object
        Files of it, also gzipped or zipped, or what else ``read_events`` takes.
    **options : Options
        What the readers of all exports take; see `journeykit.adapters.reading.Options`.

    Returns
    -------
    Events
        The user is ``distinct_id``. There is no session and no value; name one, such as
        ``value="properties.amount"``. ``keep=`` knows source, medium, campaign, referrer, page, device,
        system, browser, country, platform, and places such as ``"properties.plan"``.

    Raises
    ------
    JourneykitError
        See ``read_events``.

    Notes
    -----
    Calls that join identities are left out (``"identity"``), and repeats with the same event, user, time and
    ``$insert_id``. Times are seconds in UTC. Projects of before 2023 may have them in the project's own zone:
    then pass ``time=pl.from_epoch("time").dt.replace_time_zone("US/Pacific", ambiguous="earliest",
    non_existent="null")``. An export that was asked for with ``time_in_ms`` needs ``unit="ms"``; without it, its rows
    are invalid.
    Checked with Mixpanel's help (raw event export) and public readers of such files, in public copies of 2026-11.

    Examples
    --------
    >>> line = {"event": "view", "properties": {"time": 1767571200, "distinct_id": "ann", "$insert_id": "a1"}}
    >>> events = read_mixpanel([line, line])
    >>> events.frame["user"].to_list(), events.quality.left_out
    (['ann'], {'repeats of an event already read': 1})
    """
    return read(MIXPANEL, source, options)


def scan_mixpanel(source: Any, **options: Unpack[Options]) -> EventsPlan:
    """Plan what `read_mixpanel` does, and read nothing yet but what tells the columns."""
    return scan(MIXPANEL, source, options)
