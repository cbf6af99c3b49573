"""Overview on logs worked out by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import journeykit as jk
from journeykit.errors import ParameterError, UnknownNameError
from journeykit.statistics.distribution import Distribution
from journeykit.statistics.waiting import Waits
from tests import logs, oracle


def journeys(rows, rule="30m", **options):
    return jk.read_events(logs.frame(rows), user="user", time="time", event="event", **options).sessionize(
        rule
    )


def test_every_number_of_the_small_shop():
    answer = journeys(logs.SMALL_SHOP).measure(jk.Overview(goal="purchase"))
    minute = 60.0
    expected = {
        "users": 3.0,
        "sessions": 4.0,
        "events": 9.0,
        "event_names": 4.0,
        "span": 200 * minute,
        "events_per_user": 3.0,
        "sessions_per_user": 4 / 3,
        "events_per_session": 9 / 4,
        "session_duration_mean": (35 + 4) * minute / 4,
        "session_duration_median": 2 * minute,
        "bounce_rate": 2 / 4,
        "return_rate": 1 / 4,
        "return_gap_median": 31 * minute,
        "return_gap_median_censored": float("inf"),
        "open_sessions": 1.0,
        "single_event_users": 1.0,
        "single_event_user_rate": 1 / 3,
        "opened_by_first": 3.0,
        "opened_by_timeout": 1.0,
        "user_conversion_rate": 1 / 3,
        "session_conversion_rate": 1 / 4,
    }
    assert dict(answer.frame.select("number", "value").iter_rows()) == pytest.approx(expected)
    bounces = answer.frame.row(by_predicate=pl.col("number") == "bounce_rate", named=True)
    assert (bounces["numerator"], bounces["denominator"], bounces["unit"]) == (2.0, 4, "share of sessions")
    users = answer.frame.row(by_predicate=pl.col("number") == "user_conversion_rate", named=True)
    interval = oracle.wilson(1 / 3, 3)
    assert (users["low"], users["high"]) == pytest.approx((interval.low, interval.high))


def test_segments_and_periods_cut_sessions():
    rows = [{**row, "device": "mobile" if row["event"] == "search" else "desktop"} for row in logs.SMALL_SHOP]
    answer = journeys(rows, keep=["device"]).measure(jk.Overview(), by="device")
    of = {(row["device"], row["number"]): row["value"] for row in answer.frame.iter_rows(named=True)}
    assert (of["mobile", "users"], of["mobile", "sessions"], of["mobile", "events"]) == (1.0, 1.0, 3.0)
    assert (of["desktop", "users"], of["desktop", "sessions"], of["desktop", "events"]) == (2.0, 3.0, 6.0)
    weeks = journeys(logs.THREE_WEEKS).measure(jk.Overview(), every="1w")
    users = weeks.frame.filter(number="users")
    assert users["value"].to_list() == [2.0, 2.0, 2.0]
    assert "2024-01-08" in repr(weeks)
    with pytest.raises(ParameterError) as caught:
        weeks.value("users")
    assert str(caught.value) == (
        "value takes one segment, and this overview has several. Filter .frame instead."
    )


def test_events_outside_sessions_are_the_users_and_not_the_sessions():
    rule = jk.SessionRule("30m", passive=["ping"])
    rows = logs.log("a 0 view; a 10 ping; a 100 ping; a 101 view; b 0 ping")
    answer = journeys(rows, rule).measure(jk.Overview())
    found = {
        name: answer.value(name)
        for name in ("users", "sessions", "events", "events_outside", "events_per_session", "bounce_rate")
    }
    assert found == {
        "users": 2.0,
        "sessions": 2.0,
        "events": 5.0,
        "events_outside": 2.0,
        "events_per_session": 1.0,
        "bounce_rate": 1.0,
    }
    assert answer.value("session_duration_mean") == 0.0
    assert answer.value("return_gap_median") == 101 * 60.0


def test_engaged_sessions_if_the_rule_names_them():
    rule = jk.sessions.ga4(views=["view"], key_events=["purchase"])
    answer = journeys(logs.SMALL_SHOP, rule).measure(jk.Overview())
    assert answer.value("engaged_rate") == 2 / 4
    assert answer.value("bounce_rate") == 2 / 4
    assert "engaged_rate" not in journeys(logs.SMALL_SHOP).measure(jk.Overview()).frame["number"].to_list()


def test_intervals_of_sessions_are_those_of_the_jackknife():
    rng = np.random.default_rng(3)
    rows = [
        {"user": f"u{user}", "time": int(time) * logs.MINUTE, "event": "view"}
        for user in range(80)
        for time in np.sort(rng.integers(0, 500, rng.integers(1, 9)))
    ]
    answer = journeys(rows).measure(jk.Overview())
    of_user = {user: oracle.sessions(own).sessions for user, own in oracle.order(rows).items()}

    def bounce_rate(users):
        found = [session for user in users for session in of_user[user]]
        return oracle.rate(sum(len(session) == 1 for session in found), len(found))

    def duration(users):
        found = [session for user in users for session in of_user[user]]
        return oracle.rate(sum(s[-1]["time"] - s[0]["time"] for s in found) / 1e6, len(found))

    for number, twin, scale in (
        ("bounce_rate", bounce_rate, "logit"),
        ("session_duration_mean", duration, "log"),
    ):
        one = answer.frame.row(by_predicate=pl.col("number") == number, named=True)
        expected = oracle.jackknife(list(of_user), twin, scale, denominator_users=80)
        assert one["value"] == pytest.approx(twin(list(of_user)))
        assert (one["low"], one["high"]) == pytest.approx((expected.low, expected.high))
    median = answer.frame.row(by_predicate=pl.col("number") == "session_duration_median", named=True)
    assert median["low"] <= median["value"] <= median["high"]


def test_intervals_of_medians_are_those_of_the_distribution():
    rng = np.random.default_rng(5)
    cell, group = np.sort(rng.integers(0, 2, 600)), rng.integers(0, 40, 600)
    tally = pl.DataFrame(
        {"cell": cell, "group": group, "value": rng.integers(0, 9, 600), "count": rng.integers(1, 4, 600)},
        schema_overrides={"cell": pl.Int32, "group": pl.UInt8},
    )
    groups = np.array([40, 40])
    found = Waits.of(pl.DataFrame({"cell": [0, 1]}), ("cell",), tally, "value").plain(groups, 0.95)
    twin = Distribution.of(2, cell, tally, "value")
    estimate = twin.quantile(0.5)
    low, high = twin.bounds(estimate, groups, 0.95)
    assert (found.value * 1e6).tolist() == pytest.approx(estimate.tolist())
    assert (found.low * 1e6).tolist() == pytest.approx(low.tolist())
    assert (found.high * 1e6).tolist() == pytest.approx(high.tolist())


def test_goals():
    staged = journeys(logs.SMALL_SHOP)
    assert staged.measure(jk.Overview(goal=["purchase", "search"])).value("session_conversion_rate") == 2 / 4
    with pytest.raises(UnknownNameError) as caught:
        staged.measure(jk.Overview(goal="purchased"))
    assert str(caught.value) == (
        "no event 'purchased' in this log. Did you mean 'purchase'? "
        "Available: 'purchase', 'search', 'cart', 'view'. "
        'Pass missing="ignore" to count such names as never seen.'
    )
    ignored = staged.measure(jk.Overview(goal="purchased", missing="ignore"))
    assert ignored.value("user_conversion_rate") == 0.0
    with pytest.raises(ParameterError) as caught:
        jk.Overview(goal=[])
    assert str(caught.value) == (
        "goal cannot be []. Give a name, a list of names, a polars expression, a Pattern or a Match."
    )
    with pytest.raises(ParameterError) as caught:
        jk.Overview(missing="drop")
    assert str(caught.value) == "missing cannot be 'drop'. Choose one of: 'raise', 'ignore', 'warn'."
    with pytest.raises(ParameterError, match="number cannot be 'user'"):
        ignored.value("user")


def test_it_reads_well():
    text = repr(journeys(logs.SMALL_SHOP).measure(jk.Overview()))
    assert text.splitlines()[:5] == [
        "Overview()",
        "users                       3",
        "sessions                    4",
        "events                      9",
        "event names                 4",
    ]
    assert "return gap median censored  never" in text
    hostile = [{**row, "device": "<i>"} for row in logs.SMALL_SHOP]
    answer = journeys(hostile, keep=["device"]).measure(jk.Overview(), by="device")
    assert "<i>" not in answer._repr_html_()
    assert "<th>&lt;i&gt;</th>" in answer._repr_html_()


def test_nobody_is_left():
    answer = journeys(logs.SMALL_SHOP).filter(users=[]).measure(jk.Overview(goal="purchase"))
    for number in ("users", "sessions", "events", "event_names", "open_sessions"):
        assert answer.value(number) == 0
    for number in (
        "span",
        "events_per_user",
        "bounce_rate",
        "session_duration_median",
        "user_conversion_rate",
    ):
        assert answer.value(number) is None


@pytest.mark.conformance
def test_the_shop_against_polars(shared_data):
    log = pl.read_csv(shared_data / "shop" / "ecom.csv.gz", try_parse_dates=True)
    answer = journeys_of(log).measure(jk.Overview(goal="purchase"))
    gap = pl.col("timestamp").diff().over("user_id") > pl.duration(minutes=30)
    steps = log.with_row_index("row").sort("user_id", "timestamp", "row")
    sessions = (
        steps.with_columns(number=gap.fill_null(False).cum_sum().over("user_id"))
        .group_by("user_id", "number")
        .agg(
            events=pl.len(),
            seconds=(pl.col("timestamp").max() - pl.col("timestamp").min()).dt.total_microseconds() / 1e6,
            bought=(pl.col("event") == "purchase").any(),
        )
    )
    assert answer.value("sessions") == sessions.height == 3605
    assert answer.value("bounce_rate") == pytest.approx(
        sessions.select(pl.col("events") == 1)["events"].mean()
    )
    assert answer.value("session_duration_mean") == pytest.approx(sessions["seconds"].mean())
    assert answer.value("session_duration_median") == pytest.approx(sessions["seconds"].median())
    assert answer.value("session_conversion_rate") == pytest.approx(sessions["bought"].mean())
    users = sessions.group_by("user_id").agg(pl.col("bought").any())
    assert answer.value("user_conversion_rate") == pytest.approx(users["bought"].mean())


def journeys_of(log):
    return jk.read_events(log, user="user_id", time="timestamp", event="event").sessionize("30m")
