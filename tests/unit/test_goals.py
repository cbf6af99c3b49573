"""Goals by what `jk.Match` takes: names, lists, conditions on properties, patterns; by one way for all. D5.1."""

from __future__ import annotations

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import journeykit as jk
from journeykit.errors import UnknownNameError, UnknownPropertyError
from tests.logs import log
from tests.measuring import journeys_of, many_users

PRICES = {"u": 5, "v": 20, "w": None}
ROWS = [
    {**row, "price": PRICES[row["user"]]}
    for row in log(
        "u 0 view; u 1 cart; u 2 buy; u 3 view; v 0 view; v 1 buy; v 9 cart; v 10 buy; w 0 cart; w 5 buy"
    )
]
DEAR = jk.Match("buy", where=pl.col("price") > 9)


def renamed(name, new, when):
    """The same log, with the events that a condition means under a name of their own."""
    return [{**row, "event": new if row["event"] == name and when(row) else row["event"]} for row in ROWS]


BY_NAME = renamed("buy", "buy dear", lambda row: (row["price"] or 0) > 9)
ASKING = {
    "conversion of sessions": lambda goal: jk.Conversion(goal, "view", quantiles=(0.5,)),
    "conversion of users": lambda goal: jk.Conversion(goal, "cart", unit="user", horizon="5m", within="8m"),
    "abandonment": lambda goal: jk.Abandonment(goal, "view", horizon="1m", episodes="all"),
    "carts": lambda goal: jk.Abandonment(goal, "cart", unit="session", after=False),
    "overview": jk.Overview,
}


@pytest.mark.parametrize("asking", ASKING)
def test_a_condition_is_as_good_as_a_name_of_its_own(asking):
    ask = ASKING[asking]
    found, expected = journeys_of(ROWS).measure(ask(DEAR)), journeys_of(BY_NAME).measure(ask("buy dear"))
    kept = pl.lit(True) if asking != "overview" else pl.first().str.contains("conver")
    assert_frame_equal(found.frame.filter(kept), expected.frame.filter(kept))
    assert found.frame.filter(kept).height > 0


@pytest.mark.parametrize(
    "goal", ["buy", ["buy"], jk.Match("buy"), pl.col("event") == "buy", jk.Pattern("buy")]
)
@pytest.mark.parametrize("asking", ASKING)
def test_all_ways_to_name_an_event_are_one(asking, goal):
    ask, made = ASKING[asking], journeys_of(many_users(3))
    assert_frame_equal(made.measure(ask(goal)).frame, made.measure(ask("buy")).frame)


def test_names_stay_as_they_were_asked():
    assert jk.Conversion("buy") == jk.Conversion(jk.Match(["buy"]))
    assert "goal=('buy',)" in repr(journeys_of(ROWS).measure(jk.Conversion(jk.Match("buy"))))
    labelled = jk.Match("buy", label="success")
    assert jk.Abandonment("buy", labelled, horizon="1d").start == labelled


def test_a_condition_on_the_start():
    start = jk.Match("cart", where=pl.col("price") < 9)
    (row,) = journeys_of(ROWS).measure(jk.Abandonment("buy", start, horizon="1m")).frame.to_dicts()
    assert (row["reached"], row["converted"]) == (1, 1)


def test_a_condition_on_a_stage_is_asked_of_the_first_event_of_a_visit():
    model = jk.StageModel([jk.Stage("look", "view"), jk.Stage("own", "buy")])
    rows = [
        {**row, "price": price}
        for row, price in zip(log("u 0 view; u 1 buy; u 2 buy"), (1, 2, 30), strict=True)
    ]
    made = journeys_of(rows).assign_stages(model)
    for least, expected in ((1, 1), (9, 0)):
        goal = jk.Match("own", where=pl.col("price") > least)
        frame = made.measure(jk.Conversion(goal, "look", of="stage")).frame
        assert frame["converted"].to_list() == [expected]


@pytest.mark.parametrize("asking", ASKING)
def test_unknown_names_and_properties_are_refused_before_any_work(asking):
    ask, made = ASKING[asking], journeys_of(ROWS)
    with pytest.raises(UnknownNameError, match="no event 'by' in this log. Did you mean 'buy'?"):
        made.measure(ask("by"))
    with pytest.raises(UnknownPropertyError, match="'prise'"):
        made.measure(ask(jk.Match("buy", where=pl.col("prise") > 1)))


def test_passive_events_views_and_a_goal_with_a_condition_go_together():
    rule = jk.SessionRule("30m", passive=["cart"], views={"view"}, key_events=["buy"])
    overview = journeys_of(ROWS, rule).measure(jk.Overview(DEAR))
    assert overview.value("session_conversion_rate") == 1 / 3
    assert overview.value("events") == 10
