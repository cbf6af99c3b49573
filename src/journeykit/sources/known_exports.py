"""Exports of other tools that have readers of their own, known by their columns."""

from __future__ import annotations

from collections.abc import Collection

SIGNS = (
    ("ga4", ("event_timestamp", "event_name", "event_params")),
    ("posthog", ("distinct_id", "event", "properties", "uuid")),
    ("amplitude", ("event_type", "event_time", "amplitude_id")),
    ("snowplow", ("collector_tstamp", "event_id", "domain_userid")),
    ("adobe", ("hit_time_gmt", "post_event_list")),
    ("matomo", ("idVisit", "actionDetails")),
    ("xes", ("case:concept:name", "concept:name")),
    ("rudderstack", ("anonymous_id", "context_session_id")),
    ("segment", ("anonymous_id", "event_text")),
    ("segment", ("anonymousId", "messageId")),
)
"""The name of a reader, and columns that no other export has together."""


def hint(columns: Collection[str]) -> str:
    """Say which reader fits these columns, with a blank before it; nothing if none does.

    Examples
    --------
    >>> hint(["event_params", "event_name", "event_timestamp", "geo"])
    ' This looks like an export that jk.read_ga4 reads as it is.'
    """
    for name, signs in SIGNS:
        if all(sign in columns for sign in signs):
            return f" This looks like an export that jk.read_{name} reads as it is."
    if set(columns) == {"event", "properties"}:
        return " This looks like an export that jk.read_mixpanel reads as it is."
    return ""
