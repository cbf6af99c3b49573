"""Time to an outcome elsewhere: lifelines' logs and corrections, repeat buyers of CDNOW. Published cases G."""

from __future__ import annotations

import json
from datetime import UTC, datetime

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


def test_waltons(published):
    datasets = pytest.importorskip("lifelines.datasets", reason="lifelines, which ships the log, is not here")
    expected = published["G01_waltons"]["expected"]
    log = pl.from_pandas(datasets.load_waltons())
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
