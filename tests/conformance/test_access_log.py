"""Web server logs, read raw: sessions per address. Published case I11."""

from __future__ import annotations

import json

import polars as pl
import pytest

import journeykit as jk

pytestmark = pytest.mark.conformance


@pytest.fixture(scope="module")
def expected(conformance):
    cases = json.loads((conformance / "published.json").read_text())["cases"]
    return next(case["expected"] for case in cases if case["id"] == "I11_http_sessions")


def test_apache_log(shared_data, expected):
    """One line has an unclosed quote: its request still has a user, a time and a path, so it counts or is dropped."""
    wanted = expected["elastic"]
    events = jk.read_events(shared_data / "access_log" / "elastic_apache_logs.log", on_invalid="drop")
    journeys = events.sessionize("30m")
    assert journeys.n_sessions == wanted["sessions_ip_30m_gt"]
    assert journeys.n_users == wanted["ips"]
    assert str(events.observed_from) == wanted["min"]
    assert str(events.observed_until) == wanted["max"]
    assert journeys.n_events in (wanted["lines"], wanted["lines"] - wanted["unparsed"])


def test_nasa_log(shared_data, expected):
    log = pl.read_csv(
        shared_data / "access_log" / "nasa_19950701.tsv", separator="\t", quote_char=None,
        truncate_ragged_lines=True, encoding="utf8-lossy",
    )  # fmt: skip
    journeys = jk.read_events(log, user="host", time="time", event="url", unit="s").sessionize("30m")
    wanted = expected["nasa_jul"]
    assert (journeys.n_events, journeys.n_users) == (wanted["rows"], wanted["hosts"])
    assert journeys.n_sessions == wanted["sessions_30m_gt"]
