"""Attribution elsewhere: ChannelAttribution's path data, and Adobe's worked example. Published cases B."""

from __future__ import annotations

import json
from collections import Counter

import polars as pl
import pytest

import journeykit as jk
from tests.logs import DAY

pytestmark = pytest.mark.conformance

COLUMNS = {
    "path": "path",
    "conversions": "total_conversions",
    "value": "total_conversion_value",
    "nulls": "total_null",
}


@pytest.fixture(scope="module")
def published(conformance):
    cases = json.loads((conformance / "published.json").read_text())["cases"]
    return {case["id"]: case for case in cases if case["id"].startswith("B")}


@pytest.fixture(scope="module")
def paths(shared_data):
    return pl.read_csv(shared_data / "channel_paths" / "Data.csv.gz")


def by_channel(answer, model, column):
    return dict(answer.frame.filter(pl.col("model") == model).select("channel", column).iter_rows())


def test_totals(paths, published):
    expected = published["B01_pathdata_totals"]["expected"]
    answer = jk.Attribution.of_paths(paths, **COLUMNS, models="last")
    row = answer.totals.row(0, named=True)
    assert paths.height == expected["paths"]
    assert (row["conversions"], row["null_paths"]) == (expected["total_conversions"], expected["total_null"])
    assert row["value"] == pytest.approx(expected["total_conversion_value"], abs=0.005)
    assert answer.frame["channel"].n_unique() == expected["channels"]
    rate = row["conversions"] / (row["conversions"] + row["null_paths"])
    assert rate == pytest.approx(expected["conversion_rate"], rel=1e-12)


def test_heuristics(paths, published):
    answer = jk.Attribution.of_paths(paths, **COLUMNS, models=["first", "last", "linear"])
    for channel, expected in published["B02_heuristics"]["expected"].items():
        found = {
            f"{row['model']}_touch_{name}": row[column]
            for row in answer.frame.filter(pl.col("channel") == channel).iter_rows(named=True)
            for name, column in (("conversions", "conversions"), ("value", "value"))
        }
        assert found == pytest.approx(expected, rel=1e-9)


def test_transition_matrix(paths, published):
    answer = jk.Attribution.of_paths(paths, **COLUMNS, models="markov", transform="exposure")
    virtual = {"<START>": "(start)", "<CONVERT>": "(conversion)", "<ABANDON>": "(null)"}
    found = {
        (virtual.get(source, source), virtual.get(target, target)): probability
        for source, target, probability in answer.transitions.select(
            "source", "target", "probability"
        ).iter_rows()
    }
    expected = {(a, b): p for a, b, p in published["B03_transition_matrix_order1"]["expected"]}
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("transform", ["exposure", "unique"])
def test_removal_effects(paths, published, transform):
    name = "dedup" if transform == "exposure" else "raw"
    cases = [case for case in published.values() if "_removal_effect_order" in case["id"]]
    for case in cases:
        expected, order = case["expected"], int(case["id"].rpartition("order")[2])
        answer = jk.Attribution.of_paths(paths, **COLUMNS, models="markov", order=order, transform=transform)
        effects = by_channel(answer, "markov", "removal_effect")
        assert effects == pytest.approx(expected[f"removal_effect_{name}"], rel=1e-9)
        credit = by_channel(answer, "markov", "conversions")
        assert sum(credit.values()) == pytest.approx(19785, rel=1e-12)
        if name == "dedup":
            assert credit == pytest.approx(expected["attributed_conversions_dedup"], rel=1e-9)
            assert effects == pytest.approx(expected["ChannelAttribution_MonteCarlo_seed1"], abs=0.015)
            assert answer.transitions["source"].n_unique() == expected["lifted_states"]
    assert cases


def test_shapley(paths, published):
    answer = jk.Attribution.of_paths(paths, **COLUMNS, models=["shapley", "shapley_ordered"])
    for model in ("shapley", "shapley_ordered"):
        expected = published["B08_shapley"]["expected"]
        assert by_channel(answer, model, "conversions") == pytest.approx(expected, rel=1e-9)
    places = answer.places.group_by("channel").agg(pl.col("conversions").sum())
    assert dict(places.iter_rows()) == pytest.approx(expected, rel=1e-9)


def test_flow_identity(paths, published):
    answer = jk.Attribution.of_paths(paths, **COLUMNS, models="markov")
    model, data = published["B09_flow_identity"]["expected"]["PathData"]
    assert answer._chains[0].observed == pytest.approx(model, abs=1e-12)
    assert model == pytest.approx(data, abs=1e-12)


MODELS = {
    "first": "first",
    "last": "last",
    "linear": "linear",
    "J": "j",
    "inverse J": "inverse_j",
    "time decay": "time_decay",
    "U": "position",
    "participation": "participation",
}


def adobe_cases(conformance):
    cases = json.loads((conformance / "vendor_docs.json").read_text())["cases"]
    return [case for case in cases if case["family"] == "attribution"]


def test_adobe(conformance):
    """The days are those of September; touches of a day are a minute apart, so that its visit is one session."""
    cases = adobe_cases(conformance)
    for case in cases:
        met = Counter()
        rows = []
        for event in case["events"]:
            day = int(event["day"].split()[1])
            rows.append(
                {
                    "user": "u",
                    "time": day * DAY + met[day],
                    "event": event.get("event", "visit"),
                    "channel": event.get("channel"),
                    "revenue": event.get("revenue"),
                }
            )
            met[day] += 1
        log = pl.DataFrame(rows, schema_overrides={"time": pl.Datetime("us", "UTC")})
        events = jk.read_events(log, user="user", time="time", event="event", keep=["channel", "revenue"])
        text = case["query"]["model"]
        model = next(name for start, name in sorted(MODELS.items(), reverse=True) if text.startswith(start))
        lookback = {"visit": "session", "visitor": "user"}[case["query"]["lookback"]]
        question = jk.Attribution("purchase", "channel", models=[model], lookback=lookback, value="revenue")
        found = by_channel(events.sessionize("30m").measure(question), model, "value")
        credited = {channel: value for channel, value in found.items() if value > 0}
        assert credited == pytest.approx(case["expected"], abs=0.01), case["id"]
    assert cases
