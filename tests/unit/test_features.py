"""Features of users: worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

import journeykit as jk

HOUR = 3_600
LOG = [
    ("ann", 0, "view", None), ("ann", 60, "view", None), ("ann", 90, "buy", 20.0), ("ann", 25 * HOUR, "buy", 5.0),
    ("bob", 23 * HOUR, "view", 3.0), ("bob", 24 * HOUR + 60, "view", None),
    ("cy", 26 * HOUR, "buy", None),
]  # fmt: skip


def journeys():
    log = pl.DataFrame(LOG, schema=["user", "time", "event", "price"], orient="row")
    return jk.read_events(log, user="user", time="time", event="event", unit="s", keep=["price"]).sessionize(
        "30m"
    )


def test_a_row_per_user_by_hand():
    found = journeys().measure(jk.Features("buy", value="price")).frame
    counts = found.select(
        "user", "events", "sessions", "active_days", "distinct_events", "repeats", "goals", "value"
    )
    assert counts.rows() == [
        ("ann", 4, 2, 2, 2, 2, 2, 25.0),
        ("bob", 2, 2, 2, 1, 1, 0, 0.0),
        ("cy", 1, 1, 1, 1, 0, 1, 0.0),
    ]
    times = found.select("lifetime", "recency", "session_seconds", "time_to_goal", "goal_recency").rows()
    assert times == [
        (25.0 * HOUR, 1.0 * HOUR, 90.0, 90.0, 1.0 * HOUR),
        (HOUR + 60.0, 2.0 * HOUR - 60, 0.0, None, None),
        (0.0, 0.0, 0.0, 0.0, 0.0),
    ]
    assert found["first_time"][0] == datetime(1970, 1, 1, tzinfo=UTC)
    assert found["stage"].to_list() == [None] * 3


def test_counts_are_those_of_the_log():
    counts = journeys().measure(jk.Features()).counts.select("user", "event", "events")
    assert counts.rows() == [("ann", "buy", 2), ("ann", "view", 2), ("bob", "view", 2), ("cy", "buy", 1)]


def test_stages_and_a_value_without_a_goal():
    staged = journeys().assign_stages(jk.StageModel([jk.Stage("own", "buy"), jk.Stage("look", "view")]))
    found = staged.filter(events="buy", keep="users").measure(jk.Features(value="price"), by="price")
    assert found.frame.select("price", "user", "stage", "furthest_stage", "value").rows() == [
        (20.0, "ann", "own", "look", 25.0),
        (None, "cy", "own", "own", 0.0),
    ]


def test_recency_frequency_and_value_are_scored():
    log = pl.DataFrame(
        [(u, t, "buy", float(u)) for u in range(1, 5) for t in range(u)],
        schema=["user", "time", "event", "price"],
        orient="row",
    )  # fmt: skip
    read = jk.read_events(log, user="user", time="time", event="event", unit="s", keep=["price"]).sessionize(
        "30m"
    )
    scored = read.measure(jk.Features("buy", value="price")).rfm(2)
    assert scored.select("user", "recency", "frequency", "monetary").rows() == [
        (1, 3.0, 1, 1.0), (2, 2.0, 2, 4.0), (3, 1.0, 3, 9.0), (4, 0.0, 4, 16.0)
    ]  # fmt: skip
    assert scored.select("recency_score", "frequency_score", "monetary_score").rows() == [
        (1, 1, 1), (1, 1, 1), (2, 2, 2), (2, 2, 2)
    ]  # fmt: skip
    nobody = journeys().measure(jk.Features("buy")).rfm()
    assert nobody.filter(pl.col("user") == "bob")["frequency_score"].to_list() == [None]
    assert nobody["monetary_score"].null_count() == 3


def test_what_is_refused():
    with pytest.raises(jk.errors.UnknownPropertyError) as refused:
        journeys().measure(jk.Features(value="prise"))
    assert str(refused.value).startswith("no property 'prise' in these journeys. Did you mean 'price'?")
    with pytest.raises(jk.errors.ParameterError) as wrong:
        journeys().measure(jk.Features()).rfm(1)
    assert str(wrong.value) == "scores must be a whole number from 2 to 10, not 1."
    with pytest.raises(jk.errors.UnknownNameError):
        journeys().measure(jk.Features("bye"))
