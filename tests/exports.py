"""Small exports of other tools in their true shapes, made by hand, and what they are as a log."""

from __future__ import annotations

import gzip
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

HOSTILE = "<script>\"a\",'b'\n🛒"


@dataclass(frozen=True)
class Export:
    """The rows of an export as its tool nests them, and the log they are.

    ``log`` has (user, time in ISO, event, session, value) of the rows that stay; ``left_out`` the reasons of the
    others, ``keep`` a property with its values.
    """

    name: str
    rows: list[dict[str, Any]]
    log: list[tuple[Any, ...]]
    left_out: dict[str, int] = field(default_factory=dict)
    keep: tuple[str, list[Any]] = ("", [])
    flat: bool = False


def parameter(key: str, **value: Any) -> dict[str, Any]:
    kinds = {"string_value": None, "int_value": None, "float_value": None, "double_value": None}
    return {"key": key, "value": {**kinds, **value}}


def ga4_row(user: str | None, us: int, event: str, session: int | None, **more: Any) -> dict[str, Any]:
    parameters = [parameter("page_location", string_value=f"https://shop.example/{event}")]
    if session is not None:
        parameters.append(parameter("ga_session_id", int_value=session))
    return {
        "event_date": "20260105",
        "event_timestamp": us,
        "event_name": event,
        "event_params": parameters,
        "user_id": user,
        "user_pseudo_id": "11.22",
        "ecommerce": {"purchase_revenue": None, "transaction_id": None},
        "traffic_source": {"name": "(direct)", "medium": "(none)", "source": "first"},
        "batch_page_id": 1767571200000,
        "batch_ordering_id": 1,
        "batch_event_index": 1,
        **more,
    }


REPEATS = "repeats of an event already read"
T = 1_767_571_200  # 2026-01-05 00:00:00 UTC
ISO = "2026-01-05 00:00:0{}+00:00"

GA4 = Export(
    "ga4",
    [
        ga4_row(None, T * 1_000_000, "page_view", 7),
        ga4_row("ann", T * 1_000_000 + 1_000_000, HOSTILE, 7),
        ga4_row(
            "ann",
            T * 1_000_000 + 2_000_000,
            "purchase",
            None,
            ecommerce={"purchase_revenue": 9.5, "transaction_id": "t1"},
        ),
    ],
    [
        ("11.22", ISO.format(0), "page_view", "11.22/7", None),
        ("ann", ISO.format(1), HOSTILE, "11.22/7", None),
        ("ann", ISO.format(2), "purchase", None, 9.5),
    ],
    keep=(
        "page",
        [
            "https://shop.example/page_view",
            f"https://shop.example/{HOSTILE}",
            "https://shop.example/purchase",
        ],
    ),
)

_MIX = {"distinct_id": "ann", "$insert_id": "i1", "$current_url": "https://shop.example/", "mp_lib": "web"}
MIXPANEL = Export(
    "mixpanel",
    [
        {"event": HOSTILE, "properties": {**_MIX, "time": T}},
        {"event": HOSTILE, "properties": {**_MIX, "time": T}},
        {"event": "cart", "properties": {**_MIX, "time": T + 1}},
        {"event": "$identify", "properties": {**_MIX, "time": T + 2, "$insert_id": "i9"}},
    ],
    [("ann", ISO.format(0), HOSTILE), ("ann", ISO.format(1), "cart")],
    {"calls that join identities": 1, REPEATS: 1},
    ("page", ["https://shop.example/"] * 2),
)


def amplitude_row(number: int, event: str, insert: str, **more: Any) -> dict[str, Any]:
    return {
        "user_id": "ann",
        "amplitude_id": 4711,
        "device_id": "d1",
        "event_time": f"2026-01-05 00:00:0{number}.000000",
        "event_type": event,
        "event_id": number,
        "session_id": T * 1_000,
        "$insert_id": insert,
        "event_properties": {"$revenue": None, "plan": "pro"},
        "user_properties": {"utm_source": "mail"},
        **more,
    }


AMPLITUDE = Export(
    "amplitude",
    [
        amplitude_row(0, HOSTILE, "a"),
        amplitude_row(1, "buy", "b", event_properties={"$revenue": 4.5, "plan": "pro"}),
        amplitude_row(1, "buy", "b"),
        amplitude_row(2, "$identify", "c"),
        amplitude_row(3, "later", "d", user_id=None, session_id=-1),
    ],
    [
        ("ann", ISO.format(0), HOSTILE, f"ann/{T * 1_000}", None),
        ("ann", ISO.format(1), "buy", f"ann/{T * 1_000}", 4.5),
        ("4711", ISO.format(3), "later", None, None),
    ],
    {"calls that set properties of users and groups": 1, REPEATS: 1},
    ("source", ["mail"] * 3),
)


def posthog_row(number: int, event: str, uuid: str, **properties: Any) -> dict[str, Any]:
    return {
        "uuid": uuid,
        "event": event,
        "distinct_id": "ann",
        "person_id": "p1",
        "timestamp": f"2026-01-05T00:00:0{number}.000Z",
        "properties": {"$session_id": "s1", "$current_url": "https://shop.example/", **properties},
    }


POSTHOG = Export(
    "posthog",
    [
        posthog_row(0, "$pageview", "u0"),
        posthog_row(0, "$pageview", "u0"),
        posthog_row(1, HOSTILE, "u1"),
        posthog_row(2, "$feature_flag_called", "u2"),
        posthog_row(3, "$set", "u3"),
    ],
    [("p1", ISO.format(0), "$pageview", "s1"), ("p1", ISO.format(1), HOSTILE, "s1")],
    {
        REPEATS: 1,
        "calls that join or describe identities": 1,
        "flag calls, heatmaps and measurements of pages": 1,
    },
    ("page", ["https://shop.example/"] * 2),
)

_CAMPAIGN = {"campaign": {"source": "mail", "name": "spring"}}
SEGMENT = Export(
    "segment",
    [
        {
            "messageId": f"m{number}",
            "type": kind,
            "event": event,
            "name": name,
            "anonymousId": "a1",
            "userId": user,
            "timestamp": f"2026-01-05T00:00:0{number}.000Z",
            "context": _CAMPAIGN,
            "properties": {"revenue": revenue},
        }
        for number, kind, event, name, user, revenue in [
            (0, "page", None, "Home", None, None),
            (1, "page", None, None, None, None),
            (2, "track", HOSTILE, None, "ann", 3.5),
            (2, "track", HOSTILE, None, "ann", 3.5),
            (3, "identify", None, None, "ann", None),
        ]
    ],
    [
        ("a1", ISO.format(0), "Home", None),
        ("a1", ISO.format(1), "page", None),
        ("ann", ISO.format(2), HOSTILE, 3.5),
    ],
    {"identify, group and alias calls": 1, REPEATS: 1},
    ("source", ["mail"] * 3),
)

RUDDERSTACK = Export(
    "rudderstack",
    [
        {
            "id": f"m{number}",
            "event": "order_completed",
            "event_text": text,
            "anonymous_id": "a1",
            "user_id": None,
            "timestamp": f"2026-01-05 00:00:0{number}.000 UTC",
            "context_session_id": 55,
            "channel": "web",
            "total": 2.5,
        }
        for number, text in [(0, HOSTILE), (1, "Order Completed"), (1, "Order Completed")]
    ],
    [("a1", ISO.format(0), HOSTILE, "a1/55", 2.5), ("a1", ISO.format(1), "Order Completed", "a1/55", 2.5)],
    {REPEATS: 1},
    ("platform", ["web", "web"]),
    flat=True,
)


def snowplow_row(number: int, kind: str, **more: Any) -> dict[str, Any]:
    return {
        "app_id": "shop",
        "platform": "web",
        "collector_tstamp": "2026-01-06 00:00:00.000",
        "dvce_created_tstamp": "2026-01-05 00:00:00.000",
        "event": kind,
        "event_id": f"e{number}",
        "user_id": None,
        "domain_userid": "d1",
        "network_userid": "n1",
        "mkt_source": "mail",
        "se_category": None,
        "se_action": None,
        "se_value": None,
        "tr_total": None,
        "domain_sessionid": "s1",
        "derived_tstamp": f"2026-01-05 00:00:0{number}.000",
        "event_name": kind,
        "event_fingerprint": "f",
        **more,
    }


SNOWPLOW = Export(
    "snowplow",
    [
        snowplow_row(0, "page_view"),
        snowplow_row(1, "page_ping"),
        snowplow_row(2, "struct", event_name="event", se_category="shop", se_action="add", se_value=1.5),
        snowplow_row(2, "struct", event_name="event", se_category="shop", se_action="add", se_value=1.5),
        snowplow_row(
            2, "struct", event_name="event", se_category="shop", se_action="go", event_fingerprint="g"
        ),
        snowplow_row(3, "transaction", tr_total=20.0, user_id="ann"),
        snowplow_row(4, "transaction_item"),
    ],
    [
        ("d1", ISO.format(0), "page_view", "s1", None),
        ("d1", ISO.format(2), "shop: add", "s1", 1.5),
        ("d1", ISO.format(2), "shop: go", "s1", None),
        ("ann", ISO.format(3), "transaction", "s1", 20.0),
    ],
    {"pings of pages that stay open": 1, "items of a transaction that has a row": 1, REPEATS: 1},
    ("source", ["mail"] * 4),
    flat=True,
)

EXPORTS = [GA4, MIXPANEL, AMPLITUDE, POSTHOG, SEGMENT, RUDDERSTACK, SNOWPLOW]


def lines(export: Export) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in export.rows).encode()


def write(export: Export, folder: Path, kind: str) -> Path:
    """Write an export as one of: ndjson, json.gz, zip (of json.gz), json (one list), parquet, json text, csv."""
    path = folder / f"{export.name}.{kind}"
    if kind in ("ndjson", "json"):
        path.write_bytes(lines(export) if kind == "ndjson" else json.dumps(export.rows).encode())
    elif kind == "json.gz":
        path.write_bytes(gzip.compress(lines(export)))
    elif kind == "zip":
        half = len(export.rows) // 2
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for number, rows in enumerate((export.rows[:half], export.rows[half:])):
                part = "".join(json.dumps(row) + "\n" for row in rows).encode()
                archive.writestr(f"4711/4711_2026-01-05_{number}#0.json.gz", gzip.compress(part))
    elif kind == "parquet":
        pl.DataFrame(export.rows, infer_schema_length=None).write_parquet(path)
    else:
        texts = {
            name: [_field(row.get(name)) for row in export.rows]
            for name in dict.fromkeys(key for row in export.rows for key in row)
        }
        pl.DataFrame(texts, schema=dict.fromkeys(texts, pl.String)).write_csv(path)
    return path


def _field(value: Any) -> str | None:
    if value is None:
        return None
    return json.dumps(value) if isinstance(value, dict | list) else str(value)
