"""Hotjar: the lists of recordings and of answers to surveys that it exports as CSV."""

from __future__ import annotations

from typing import Any, Unpack

import polars as pl

from journeykit.adapters.adapter import Adapter, moment, text
from journeykit.adapters.reading import Options, read, scan
from journeykit.events.events import Events
from journeykit.plans import EventsPlan

HOTJAR = Adapter(
    name="hotjar",
    title="Hotjar export",
    columns={
        "user": text("Hotjar User ID", "User ID", "User", "user_id"),
        "submitted": moment("Date Submitted", "Date submitted", "Submitted"),
        "recorded": moment("Date", "Created", "Session start", "created_time"),
        "recording": text("Recording URL", "Recording ID", "Session ID"),
        "response": text("Response URL"),
        "page": text("Source URL", "Landing page", "Landing page URL", "Start URL"),
        "exit": text("Exit page", "Exit page URL"),
        "device": text("Device"),
        "browser": text("Browser"),
        "system": text("OS", "Operating System"),
        "country": text("Country"),
    },
    user=pl.col("user"),
    time=pl.coalesce(pl.col("submitted"), pl.col("recorded")),
    event=pl.when(pl.col("submitted").is_not_null())
    .then(pl.lit("survey answer"))
    .when(pl.col("recorded").is_not_null())
    .then(pl.lit("recorded session")),
    unique=(
        pl.coalesce("recording", "response"),
        pl.col("user"),
        pl.coalesce(pl.col("submitted"), pl.col("recorded")),
    ),
    properties={
        name: pl.col(name) for name in ("page", "exit", "device", "browser", "system", "country", "recording")
    },
)


def read_hotjar(source: Any, **options: Unpack[Options]) -> Events:
    """Read Hotjar's CSV of recordings or of the answers to a survey.

    Parameters
    ----------
    source : object
        Files of it, also zipped, or a frame with these columns.
    **options : Options
        What the readers of all exports take; see `journeykit.adapters.reading.Options`.

    Returns
    -------
    Events
        The user is Hotjar's id; the event ``survey answer`` with the time that it was submitted, or ``recorded
        session``. ``keep=`` knows page, exit, device, browser, system, country, recording, and any other column such
        as the text of a question.

    Raises
    ------
    MissingColumnError
        If the export has other headings; name them with ``user=`` and ``time=``.
    JourneykitError
        See ``read_events``.

    Notes
    -----
    Hotjar exports no single clicks: its rows are touchpoints to put beside the events of another tool. Left out are
    repeats with the same address of the answer or the recording, user and time: a later export has the earlier answers
    too. Headings have changed over the years; times are UTC unless ``tz=`` says otherwise.
    Those of answers to surveys were checked with public readers of 2023 and 2026: Number, User, Date Submitted,
    Country, Source URL, Device, Browser, OS, Hotjar User ID, lately Response URL, the questions, and Tags for each.
    Those of recordings, and that times are UTC, are from memory.

    Examples
    --------
    >>> row = {"User": "u1", "Date Submitted": "2026-01-05 10:00:00", "How likely are you to recommend us?": "9"}
    >>> read_hotjar([row], value="How likely are you to recommend us?").frame["value"].to_list()
    [9.0]
    """
    return read(HOTJAR, source, options)


def scan_hotjar(source: Any, **options: Unpack[Options]) -> EventsPlan:
    """Plan what `read_hotjar` does, and read nothing yet but what tells the columns."""
    return scan(HOTJAR, source, options)
