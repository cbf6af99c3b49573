"""Funnels of the shop log: closed, open and hybrid ones of another tool, and its 3.x predecessor."""

from __future__ import annotations

import json
from functools import reduce

import polars as pl
import pytest

import journeykit as jk

pytestmark = pytest.mark.conformance

STAGES = ("catalog", "add_to_cart", "cart", "purchase")


@pytest.fixture(scope="module")
def journeys(shared_data):
    log = pl.read_csv(shared_data / "shop" / "ecom.csv.gz", try_parse_dates=True)
    log = log.with_columns(pl.col("user_id").alias("person"))
    events = jk.read_events(
        log, user="user_id", time="timestamp", event="event", session="session_id", keep=["person"]
    )
    return events.sessionize(jk.SessionRule.from_column())


@pytest.fixture(scope="module")
def oracle(conformance):
    return conformance / "shop_oracle"


def persons(journeys, *steps):
    """Return who reaches the last step of a funnel without a window."""
    frame = journeys.measure(jk.Funnel(steps), by="person").frame
    return set(frame.filter((pl.col("step") == len(steps)) & (pl.col("reached") > 0))["person"])


def test_closed_funnels(journeys, oracle):
    cases = json.loads((oracle / "funnels_closed.json").read_text())
    assert cases
    for name, case in cases.items():
        unit = name.partition("|")[2].removesuffix("_id")
        paths = journeys.n_users if unit == "user" else journeys.n_sessions
        frame = journeys.measure(jk.Funnel(case["steps"], unit=unit)).frame
        wanted = case["result"]
        assert frame["name"].to_list() == [row["step"] for row in wanted]
        assert frame["reached"].to_list() == [row["unique_paths"] for row in wanted]
        of_all = [reached / paths for reached in frame["reached"]]
        assert of_all == pytest.approx([row["conversion_rate"] for row in wanted])
        # The peer's first step is of all paths, ours of those at the first step.
        rates = [row["step_conversion_rate"] for row in wanted]
        assert frame["step_rate"].to_list()[1:] == pytest.approx(rates[1:])


def test_open_funnel_is_who_has_each_stage_at_all(journeys, oracle):
    wanted = pl.read_csv(oracle / "funnel__open.csv")
    found = [len(persons(journeys, stage)) for stage in STAGES]
    assert wanted["stages"].to_list() == list(STAGES)
    assert found == wanted["unique_users"].to_list()
    single = [journeys.measure(jk.Funnel([stage])).frame["reached"].item() for stage in STAGES]
    assert single == found


def test_hybrid_funnel_is_every_stage_at_or_after_the_first_of_them(journeys, oracle):
    wanted = pl.read_csv(oracle / "funnel__hybrid.csv")
    after = [persons(journeys, STAGES[0]), *(persons(journeys, STAGES[0], stage) for stage in STAGES[1:])]
    found = [len(reduce(set.intersection, after[: k + 1])) for k in range(len(STAGES))]
    assert wanted["stages"].to_list() == list(STAGES)
    assert found == wanted["unique_users"].to_list()
