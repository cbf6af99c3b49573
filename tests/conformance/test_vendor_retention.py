"""Retention and lifecycle elsewhere: worked examples of Amplitude, cohorts of the shop log, repeat buyers of CDNOW."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime

import polars as pl
import pytest

import journeykit as jk
from tests import logs
from tests.measuring import journeys_of

pytestmark = pytest.mark.conformance


@pytest.fixture(scope="module")
def vendor_docs(conformance):
    return {case["id"]: case for case in json.loads((conformance / "vendor_docs.json").read_text())["cases"]}


@pytest.fixture(scope="module")
def published(conformance):
    return {case["id"]: case for case in json.loads((conformance / "published.json").read_text())["cases"]}


def test_months_of_the_shop_log(shared_data, conformance):
    """Empty cells of the source are months that are not in the log yet; ours do not exist there."""
    log = pl.read_csv(shared_data / "shop" / "ecom.csv.gz", try_parse_dates=True)
    events = jk.read_events(log, user="user_id", time="timestamp", event="event")
    table = events.sessionize("30m").measure(jk.Retention(period="1mo")).matrix()
    wanted = pl.read_csv(conformance / "shop_oracle" / "cohorts__start_M_1M.csv")
    assert table["cohort"].dt.strftime("%Y-%m").to_list() == wanted["CohortGroup"].to_list()
    for ours, theirs in zip(table.iter_rows(), wanted.iter_rows(), strict=True):
        assert [None if one is None else pytest.approx(one, abs=1e-12) for one in theirs[1:]] == list(
            ours[2:]
        )


def test_amplitude_retention_on_or_after(vendor_docs):
    """The page gives counts: as many users who come back on day 3 or later, or before it, or never."""
    expected = vendor_docs["amp-retention-on-or-after"]["expected"]["cohort_april_1"]
    size, returned = expected["cohort"], expected["returned"]
    hour, day = 3_600_000_000, 86_400_000_000
    rows = [{"user": i, "time": hour, "event": "start"} for i in range(size)]
    rows += [{"user": i, "time": (3 + i % 3) * day + hour, "event": "back"} for i in range(returned)]
    rows += [{"user": i, "time": 2 * day, "event": "back"} for i in range(returned, size, 2)]
    for rules in ({"rule": "on_or_after"}, {"rule": "on_or_after", "clock": "24h", "cohort": "recurring"}):
        frame = journeys_of(rows).measure(jk.Retention("start", "back", **rules)).frame
        row = frame.filter(pl.col("offset") == 3).row(0, named=True)
        assert (row["returned"], row["size"]) == (returned, size)
        assert round(100 * row["rate"], 1) == expected["percent"]


def test_amplitude_pulse(vendor_docs):
    assert vendor_docs["amp-pulse"]["expected"] == {"pulse > 1": "gaining users", "pulse < 1": "losing users"}
    day = 24 * 60
    log = f"a 0 x; b 0 x; c 0 x; c {day} x; d {day} x; a {2 * day} x; e {2 * day} x; f {2 * day} x"
    frame = journeys_of(logs.log(log)).measure(jk.Lifecycle()).frame
    assert frame.select("new", "resurrecting", "dormant", "pulse").rows() == [
        (3, 0, 0, None), (1, 0, -2, 0.5), (2, 1, -2, 1.5),
    ]  # fmt: skip


def test_repeat_buyers_of_cdnow(shared_data, published):
    """Days from the first to the second day of purchase, one purchase per customer and day."""
    expected = published["G04_cdnow_repeat"]["expected"]
    text = (shared_data / "cdnow" / "CDNOW_master.txt").read_text()
    rows = sorted(
        {(line.split()[0], line.split()[1]) for line in text.splitlines() if line.split()[0].isdigit()}
    )
    log = pl.DataFrame(rows, schema=["user", "time"], orient="row").with_columns(
        pl.col("time").str.to_datetime("%Y%m%d", time_zone="UTC"), event=pl.lit("purchase")
    )
    until = datetime(1998, 6, 30, tzinfo=UTC)
    events = jk.read_events(log, user="user", time="time", event="event", observed_until=until)
    answer = events.sessionize(None).measure(jk.TimeBetween("purchase", "purchase"))
    row = answer.frame.row(0, named=True)
    assert (row["started"], row["ended"]) == (expected["customers"], expected["repeaters_distinct_day"])
    assert row["survival_median"] == math.inf
    for day, survival in expected["S"].items():
        assert 1 - answer.ended_by(f"{day}d")["ended_by"][0] == pytest.approx(survival, abs=1e-9)
    assert answer.curve.filter(pl.col("time") == 7 * 86_400)["survival"][0] == pytest.approx(
        expected["S"]["7"], abs=1e-9
    )


def test_between_takes_dates():
    log = logs.log("a 0 x; b 1440 x; a 2880 x; b 2880 x")
    question = jk.Retention(between=(date(2024, 1, 2), None))
    assert journeys_of(log).measure(question).frame.select("size", "returned").rows() == [
        (1, 1),
        (1, 1),
        (0, 0),
    ]
