"""Time to an outcome elsewhere: lifelines' logs and corrections, repeat buyers of CDNOW. Published cases G."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

import journeykit as jk

pytestmark = pytest.mark.conformance


@pytest.fixture(scope="module")
def published(conformance):
    cases = json.loads((conformance / "published.json").read_text())["cases"]
    return {case["id"]: case for case in cases if case["id"].startswith("G")}


def survival_at(curve, time):
    """S after a time: that of the last time so far."""
    return curve.filter(pl.col("time") <= time)["unresolved"].tail(1).item()


@pytest.fixture(scope="module")
def lifelines():
    """Logs, and what lifelines says of them; kept in a file, as it needs an older pandas than journeykit's tests."""
    return json.loads((Path(__file__).parent / "lifelines.json").read_text())


def test_waltons(published, lifelines):
    expected = published["G01_waltons"]["expected"]
    kept = lifelines["logs"]["waltons"]
    log = pl.DataFrame({"T": kept["duration"], "E": kept["outcome"], "group": kept["group"]})
    whole = jk.TimeToConvert.of_durations(log, "T", "E")
    row = whole.frame.row(0, named=True)
    assert (row["reached"], row["converted"], row["time_median"]) == (
        expected["n"], expected["events"], expected["median"],
    )  # fmt: skip
    for time, share in expected["S"].items():
        assert survival_at(whole.curve, float(time)) == pytest.approx(share, abs=1e-9)
    groups = jk.TimeToConvert.of_durations(log, "T", "E", by="group")
    medians = dict(groups.frame.select("group", "time_median").iter_rows())
    assert medians == {"miR-137": expected["median_miR"], "control": expected["median_ctrl"]}
    test = groups.log_rank().row(0, named=True)
    assert test["chi_square"] == pytest.approx(expected["logrank_stat"], abs=1e-9)
    assert test["p_value"] == pytest.approx(expected["logrank_p"], rel=1e-9)


@pytest.mark.parametrize("name", ["waltons", "tied"])
def test_curves_of_lifelines(lifelines, name):
    kept = lifelines["logs"][name]
    log = pl.DataFrame({column: kept[column] for column in ("duration", "outcome", "group")})
    answer = jk.TimeToConvert.of_durations(log)
    columns = ("time", "unresolved", "unresolved_low", "unresolved_high")
    found = {time: ends for time, *ends in answer.curve.select(columns).iter_rows()}
    assert answer.frame["time_median"][0] == kept["median"]
    for time, *ends in kept["survival"]:
        assert found[time] == pytest.approx(ends, abs=1e-9)
    for tau, mean in kept["restricted_mean"]:
        assert answer.restricted_mean(tau)["restricted_mean"][0] == pytest.approx(mean, abs=1e-9)
    test = jk.TimeToConvert.of_durations(log, by="group").log_rank().row(0, named=True)
    assert test["degrees"] == len(set(kept["group"])) - 1
    assert test["chi_square"] == pytest.approx(kept["log_rank"]["chi_square"], abs=1e-9)
    assert test["p_value"] == pytest.approx(kept["log_rank"]["p_value"], rel=1e-9)


def test_incidence_of_lifelines(lifelines):
    kept = lifelines["competing"]
    curve = jk.TimeToConvert.of_durations(
        pl.DataFrame({name: kept[name] for name in ("duration", "outcome")})
    ).curve
    for outcome, column in (("1", "converted_by"), ("2", "abandoned_by")):
        found = dict(curve.select("time", column).iter_rows())
        for time, share in kept["incidence"][outcome]:
            assert found[time] == pytest.approx(share, abs=1e-9)


def test_competing_risks_of_lifelines(published):
    expected = published["G03_aalen_johansen"]["expected"]["cif2"]
    table = pl.DataFrame({"duration": range(1, 7), "outcome": [0, 1, 1, 2, 2, 0]})
    last = jk.TimeToConvert.of_durations(table).curve.row(-1, named=True)
    assert last["abandoned_by"] == pytest.approx(expected, abs=1e-9)
    assert last["abandoned_by"] + last["converted_by"] + last["unresolved"] == pytest.approx(1, abs=1e-12)


def test_repeat_buyers_of_cdnow(shared_data, published):
    expected = published["G04_cdnow_repeat"]["expected"]
    text = (shared_data / "cdnow" / "CDNOW_master.txt").read_text()
    rows = [line.split()[:2] for line in text.splitlines() if line.strip()[:1].isdigit()]
    log = pl.DataFrame(rows, schema=["user", "day"], orient="row").unique(maintain_order=True)
    log = log.select("user", pl.col("day").str.to_datetime("%Y%m%d", time_zone="UTC"), event=pl.lit("buy"))
    until = datetime(1998, 6, 30, tzinfo=UTC)
    events = jk.read_events(log, user="user", time="day", event="event", observed_until=until)
    question = jk.TimeToConvert("buy", "buy", quantiles=(0.1, 0.5), resolution="1d")
    answer = events.sessionize(None).measure(question)
    row = answer.frame.row(0, named=True)
    assert (row["reached"], row["converted"]) == (expected["customers"], expected["repeaters_distinct_day"])
    assert row["time_median"] == float("inf")
    for day, share in expected["S"].items():
        assert survival_at(answer.curve, int(day) * 86_400) == pytest.approx(share, abs=1e-9)
