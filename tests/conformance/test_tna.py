"""The transition matrix of the R package tna: continuations only. Published case D01."""

from __future__ import annotations

import json

import polars as pl
import pytest

import journeykit as jk

pytestmark = pytest.mark.conformance


@pytest.fixture(scope="module")
def expected(conformance):
    cases = json.loads((conformance / "published.json").read_text())["cases"]
    return next(case["expected"] for case in cases if case["id"] == "D01_tna_matrix")


@pytest.fixture(scope="module")
def graph(shared_data):
    wide = pl.read_csv(shared_data / "tna" / "group_regulation.csv.gz", null_values="NA").with_row_index(
        "user"
    )
    long = wide.unpivot(index="user", variable_name="step", value_name="event").drop_nulls("event")
    log = long.select(pl.col("user").cast(pl.Int64), pl.col("step").str.slice(1).cast(pl.Int64), "event")
    journeys = jk.read_events(log, user="user", time="step", event="event", unit="s").sessionize(None)
    return journeys.measure(jk.Transitions(unit="user", include_end=False))


def test_matrix(graph, expected):
    inner = graph.frame.filter(pl.col("source") != "<START>")
    assert "<END>" not in inner["target"]
    assert inner.height == expected["nonzero_edges"]
    found = {(a, b): p for a, b, p in inner.select("source", "target", "probability").iter_rows()}
    for source, row in expected["P"].items():
        for target, probability in row.items():
            assert found.get((source, target), 0.0) == pytest.approx(probability, abs=1e-12)


def test_initial(graph, expected):
    states = graph.states
    assert states["visits"].sum() == expected["events"]
    assert states.height == expected["states"]
    found = dict(states.select("state", "entry_share").iter_rows())
    assert found == pytest.approx(expected["initial"], abs=1e-12)
    starts = graph.frame.filter(pl.col("source") == "<START>")
    assert dict(starts.select("target", "probability").iter_rows()) == pytest.approx(
        expected["initial"], abs=1e-12
    )
    assert starts["transitions"].sum() == expected["sequences"]
