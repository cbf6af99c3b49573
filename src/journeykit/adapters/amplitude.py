"""Amplitude: what its export API and its bucket exports give, a zip of gzipped lines of JSON."""

from __future__ import annotations

from typing import Any, Unpack

import polars as pl

from journeykit.adapters.adapter import Adapter, LeaveOut, joined, moment, number, text, whole
from journeykit.adapters.reading import Options, read, scan
from journeykit.events.events import Events
from journeykit.plans import EventsPlan

_USER = pl.coalesce("user_id", "amplitude_id")
_SESSION = pl.when(pl.col("session_id") != -1).then(pl.col("session_id"))

AMPLITUDE = Adapter(
    name="amplitude",
    title="Amplitude export",
    columns={
        "user_id": text("user_id"),
        "amplitude_id": text("amplitude_id"),
        "device_id": text("device_id"),
        "event_time": moment("event_time"),
        "event_type": text("event_type"),
        "event_id": whole("event_id"),
        "session_id": whole("session_id"),
        "$insert_id": text("$insert_id", "insert_id"),
        "$revenue": number("event_properties.$revenue", "revenue"),
        "utm_source": text("user_properties.utm_source", "event_properties.utm_source"),
        "utm_medium": text("user_properties.utm_medium", "event_properties.utm_medium"),
        "utm_campaign": text("user_properties.utm_campaign", "event_properties.utm_campaign"),
        "platform": text("platform"),
        "device_type": text("device_type", "device_family"),
        "os_name": text("os_name"),
        "country": text("country"),
        "language": text("language"),
    },
    user=_USER,
    time=pl.col("event_time"),
    event=pl.col("event_type"),
    session=joined(_USER, _SESSION.cast(pl.String)),
    order=pl.col("event_id"),
    value=pl.col("$revenue"),
    unique=(pl.col("device_id").fill_null(""), pl.col("$insert_id")),
    leave_out={
        "identity": LeaveOut(
            "calls that set properties of users and groups",
            pl.col("event_type").is_in(["$identify", "$groupidentify"]),
        )
    },
    properties={
        "source": pl.col("utm_source"),
        "medium": pl.col("utm_medium"),
        "campaign": pl.col("utm_campaign"),
        "device": pl.col("device_type"),
        "system": pl.col("os_name"),
        **{name: pl.col(name) for name in ("platform", "country", "language")},
    },
)


def read_amplitude(source: Any, **options: Unpack[Options]) -> Events:
    """Read Amplitude's export: the zip archive that its API gives, or the gzipped lines of JSON in it.

    Parameters
    ----------
    source : object
        An archive, a folder of files, or what else ``read_events`` takes.
    **options : Options
        What the readers of all exports take; see `journeykit.adapters.reading.Options`.

    Returns
    -------
    Events
        The user is ``user_id``, else ``amplitude_id``; the session is the user and ``session_id``, null where
        that is -1; the value is ``$revenue``; ``event_id`` orders events of one time. ``keep=`` knows source,
        medium, campaign, device, system, platform, country, language, and places such as
        ``"event_properties.plan"``.

    Raises
    ------
    JourneykitError
        See ``read_events``.

    Notes
    -----
    Calls that set properties of users and groups are left out (``"identity"``), and repeats with the same device
    and ``$insert_id``, however far apart; Amplitude itself looks back seven days. Times are UTC.
    Checked with Amplitude's help (Export API, duplicates) and public readers of such files, in public copies of
    2026-11. That -1 means no session is from its documented sample.

    Examples
    --------
    >>> line = {"user_id": "ann", "event_type": "view", "event_time": "2026-01-05 10:00:00.123000", "session_id": -1}
    >>> read_amplitude([line]).frame["session"].to_list()
    [None]
    """
    return read(AMPLITUDE, source, options)


def scan_amplitude(source: Any, **options: Unpack[Options]) -> EventsPlan:
    """Plan what `read_amplitude` does, and read nothing yet but what tells the columns."""
    return scan(AMPLITUDE, source, options)
