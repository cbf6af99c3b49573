"""XES: event logs of process mining, as files or as the frames and CSV that pm4py makes of them."""

from __future__ import annotations

from typing import Any, Unpack

import polars as pl

from journeykit.adapters.adapter import Adapter, LeaveOut, moment, number, text
from journeykit.adapters.reading import Options, read, scan
from journeykit.events.events import Events
from journeykit.plans import EventsPlan

XES = Adapter(
    name="xes",
    title="XES log",
    columns={
        "case": text("case:concept:name"),
        "timestamp": moment("time:timestamp"),
        "activity": text("concept:name"),
        "transition": text("lifecycle:transition"),
        "cost": number("cost:total"),
        "resource": text("org:resource"),
        "group": text("org:group"),
        "role": text("org:role"),
    },
    user=pl.col("case"),
    time=pl.col("timestamp"),
    event=pl.col("activity"),
    value=pl.col("cost"),
    leave_out={
        "lifecycle": LeaveOut(
            "transitions of an activity other than its completion",
            pl.col("transition").str.to_lowercase() != "complete",
        )
    },
    properties={name: pl.col(name) for name in ("resource", "group", "role", "transition")},
    default_format="xes",
)


def read_xes(source: Any, **options: Unpack[Options]) -> Events:
    """Read an event log of process mining in XES, or the frame or CSV that pm4py makes of one.

    Parameters
    ----------
    source : object
        Files of XES, also gzipped or zipped; or columns named as in ``case:concept:name``.
    **options : Options
        What the readers of all exports take; see `journeykit.adapters.reading.Options`.

    Returns
    -------
    Events
        The user is the case, the time ``time:timestamp``, the event ``concept:name``, the value ``cost:total``.
        ``keep=`` knows resource, group, role, transition, and the keys of attributes, those of cases with ``case:``
        before them; they are texts.

    Raises
    ------
    UnreadableFileError
        If a file is no XES or declares entities, which are never expanded.
    JourneykitError
        See ``read_events``.

    Notes
    -----
    Transitions of an activity other than its completion, such as its start, are left out (``"lifecycle"``). A case has
    no sessions: ``sessionize(None)`` keeps it whole.
    Checked with public logs and readers of XES, in public copies of 2026-11.

    Examples
    --------
    >>> row = {"case:concept:name": "1", "concept:name": "register", "time:timestamp": "2026-01-05T10:00:00+01:00"}
    >>> read_xes([row]).frame["time"].dt.hour().to_list()
    [9]
    """
    return read(XES, source, options)


def scan_xes(source: Any, **options: Unpack[Options]) -> EventsPlan:
    """Plan what `read_xes` does; files of XES are read into memory at once."""
    return scan(XES, source, options)
