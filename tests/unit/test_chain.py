"""Chain on small logs worked out by hand: which paths are over, what a conversion is worth, what it may be called."""

from __future__ import annotations

import pytest

import journeykit as jk
from tests.logs import MINUTE, SECOND
from tests.measuring import journeys_of


def visits(*rows):
    """Rows of user, minute, event and worth."""
    return [
        {"user": user, "time": int(minute * MINUTE), "event": event, "worth": worth}
        for user, minute, event, worth in rows
    ]


def test_a_session_is_open_until_its_timeout_has_passed():
    """A silence of exactly half an hour does not cut (D2.1): such a session may still go on."""
    log = visits(("a", 0, "view", 0), ("a", 1, "buy", 0), ("b", 10, "view", 0), ("c", 40, "view", 0))
    outcomes = journeys_of(log).measure(jk.Chain("buy")).outcomes
    assert outcomes.select("converted", "abandoned", "open").rows() == [(1, 0, 2)]
    log[-1]["time"] += SECOND
    outcomes = journeys_of(log).measure(jk.Chain("buy")).outcomes
    assert outcomes.select("converted", "abandoned", "open").rows() == [(1, 1, 1)]


def test_mean_moves_are_those_of_paths_that_are_over():
    log = visits(
        ("a", 0, "view", 0), ("a", 1, "buy", 0), ("b", 0, "view", 0), ("b", 1, "view", 0), ("b", 2, "cart", 0),
        ("c", 60, "view", 0), ("c", 61, "view", 0), ("c", 62, "view", 0), ("c", 63, "view", 0),
    )  # fmt: skip
    outcomes = journeys_of(log).measure(jk.Chain("buy")).outcomes.row(0, named=True)
    assert (outcomes["abandoned"], outcomes["open"]) == (1, 1)
    assert (outcomes["steps_observed"], outcomes["steps_converted_observed"]) == (3.0, 2.0)


@pytest.mark.parametrize("goal_state", ["absorb", "keep"])
@pytest.mark.parametrize("unit", ["session", "user"])
def test_a_conversion_is_worth_what_its_goal_event_says(goal_state, unit):
    log = visits(
        ("a", 0, "view", 1.0), ("a", 1, "buy", 20.0), ("a", 2, "view", 300.0), ("b", 0, "buy", 4_000.0)
    )
    chain = jk.Chain("buy", unit=unit, goal_state=goal_state, value="worth", open_paths="end")
    outcomes = journeys_of(log).measure(chain).outcomes.row(0, named=True)
    assert (outcomes["value"], outcomes["value_per_conversion"]) == (4_020.0, 2_010.0)


def test_a_goal_that_stays_a_state_needs_another_name():
    journeys = journeys_of(visits(("a", 0, "view", 0), ("a", 1, "buy", 0)))
    named = {"buy": "buy"}
    assert journeys.measure(jk.Chain(named)).absorption["end"].unique().sort().to_list() == [
        "<ABANDON>",
        "buy",
    ]
    with pytest.raises(jk.errors.ParameterError) as caught:
        journeys.measure(jk.Chain(named, goal_state="keep"))
    assert str(caught.value) == "the goal 'buy' has the name of a state. Give it another name."
