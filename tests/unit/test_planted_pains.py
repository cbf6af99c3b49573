"""The simulated shop with planted pains, and what its users say."""

from __future__ import annotations

import polars as pl
import pytest

import journeykit as jk
from journeykit.errors import ParameterError, UnknownNameError

PAINS = {"checkout": 0.4, "search": 0.1}


@pytest.fixture(scope="module")
def painful():
    return jk.datasets.simulate_shop(4_000, rng=5, pains=PAINS)


def test_a_pain_of_nothing_changes_nothing():
    plain, nothing = (
        jk.datasets.simulate_shop(300, rng=5, pains=pains) for pains in (None, {"checkout": 0.0})
    )
    assert nothing.events.select("user", "event").equals(plain.events.select("user", "event"))
    assert nothing.truth.conversion_rate == pytest.approx(plain.truth.conversion_rate)
    found, wanted = nothing.truth.stage_transitions, plain.truth.stage_transitions
    joined = found.join(wanted, on=["source", "target"], how="full")
    assert (joined["probability"] - joined["probability_right"]).abs().max() < 1e-12


def test_sessions_end_as_often_as_the_truth_says(painful):
    events = jk.read_events(painful.events, user="user", time="time", event="event")
    graph = events.sessionize("30m").measure(jk.Transitions())
    for name in PAINS:
        truth = painful.truth.event_transitions.filter(source=name, target="<END>")["probability"].item()
        found = graph.frame.filter(source=name, target="<END>")["probability"].item()
        visits = painful.events.filter(event=name).height
        assert abs(found - truth) < 4 * (truth * (1 - truth) / visits) ** 0.5
    plain = jk.datasets.simulate_shop(0, rng=5).truth
    assert painful.truth.conversion_rate < plain.conversion_rate


def test_what_is_said_is_said_after_an_event(painful):
    said = painful.ratings
    assert said.schema["value"] == pl.Int64
    assert said["value"].is_between(1, 5).all()
    assert said["time"].is_sorted()
    emotion = (
        jk.read_events(painful.events, user="user", time="time", event="event")
        .sessionize("30m")
        .measure(jk.Emotion(jk.Ratings("stars", said, touchpoint="touchpoint", max_lag="2m"), min_n=20))
    )
    assert emotion.overall["ratings"].item() == said.height
    felt = dict(emotion.frame.drop_nulls("score").select("touchpoint", "score").iter_rows())
    assert felt["checkout"] < felt["home"] < felt["product_view"]


def test_refused():
    with pytest.raises(UnknownNameError, match="no event 'chekout'"):
        jk.datasets.simulate_shop(1, rng=1, pains={"chekout": 0.1})
    with pytest.raises(ParameterError) as error:
        jk.datasets.simulate_shop(1, rng=1, pains={"checkout": 2})
    assert str(error.value) == "pains['checkout'] must be a probability from 0 to 1, not 2."
    with pytest.raises(ParameterError) as error:
        jk.datasets.simulate_shop(1, rng=1, pains=["checkout"])
    assert (
        str(error.value)
        == "pains cannot be ['checkout']. Give probabilities by event, such as {'checkout': 0.3}."
    )
