"""PainPoints by hand, a planted pain, and what they refuse."""

from __future__ import annotations

import polars as pl
import pytest

import journeykit as jk
from journeykit.errors import ParameterError, UnknownNameError
from tests.logs import MINUTE, SECOND, log
from tests.measuring import journeys_of

# Ten sessions: six view > cart > buy, two view > cart, one view > view, one help.
# a(cart) = 2/8, a(view) = 1/10 (ten visits of 9 sessions, one after view), a(help) = 1.
PATHS = ["view cart buy"] * 6 + ["view cart"] * 2 + ["view view", "help"]
ROWS = [
    {"user": f"u{n}", "time": n * 1000 * MINUTE + i * SECOND, "event": event}
    for n, path in enumerate(PATHS)
    for i, event in enumerate(path.split())
]
CHAIN = jk.Chain("buy", open_paths="end")
NO_FRICTION = jk.Friction(rage=None, slow=None)
MODEL = jk.StageModel([jk.Stage("look", ["view", "help"]), jk.Stage("want", ["cart", "buy"])])


def measured(rows=ROWS, chain=CHAIN, friction=NO_FRICTION, **options):
    return journeys_of(rows).measure(jk.PainPoints(chain, friction, **options))


def test_by_hand():
    """Of 10 paths 8 come to the cart; c = 1; others give up after 2 of 11 visits: 8 (2/8 - 2/11)."""
    row = measured().frame.filter(touchpoint="cart").row(0, named=True)
    assert (row["visits"], row["exits"], row["users"]) == (8, 2, 8)
    assert row["exit_rate"] == 0.25
    assert row["reference_exit_rate"] == pytest.approx(2 / 11)
    assert row["conversion_if_staying"] == pytest.approx(1.0)
    assert row["lost_conversions"] == pytest.approx(8 * (0.25 - 2 / 11))
    assert row["regained_conversions"] == pytest.approx(8 * (1 - 2 / 11) - 6)
    assert (row["lost_conversions_low"], row["in_top_10"]) == (None, None), "four groups are too few"
    assert not row["from_peers"]


def test_nobody_stays_or_converts():
    """Everybody leaves after help: the chance is that of its peers, and there is no what-if."""
    row = measured().frame.filter(touchpoint="help").row(0, named=True)
    assert (row["exit_rate"], row["from_peers"], row["regained_conversions"]) == (1.0, True, None)
    view, cart = 0.8 * 6 / 8 / 0.9, 6 / 8
    assert row["conversion_if_staying"] == pytest.approx((10 * view + 8 * cart) / 18)


def test_peers_are_of_the_same_stage():
    answer = journeys_of(ROWS).assign_stages(MODEL).measure(jk.PainPoints(CHAIN, NO_FRICTION))
    found = {row["touchpoint"]: row for row in answer.frame.iter_rows(named=True)}
    assert found["view"]["reference_exit_rate"] == 1.0
    assert found["help"]["reference_exit_rate"] == pytest.approx(0.1)
    assert (found["cart"]["stage"], found["cart"]["reference_exit_rate"]) == ("want", None)
    assert found["cart"]["lost_conversions"] is None, "it is alone in its stage"
    assert answer.stages.select("stage", "visits", "exits", "exit_rate").rows() == [
        ("look", 11, 2, 2 / 11), ("want", 8, 2, 0.25),
    ]  # fmt: skip
    assert answer.frame["touchpoint"][-1] == "cart"


def test_parts_by_hand():
    """The view that repeats is left, those that are clean are not: all of the pain of view is friction.

    Who is at the view goes on to the cart (8 of 10) or sees it again: b = 0.8 * 6/8 / 0.9 = 2/3.
    """
    answer = measured(targets={"view": 0.0})
    parts = (
        answer.parts.filter(touchpoint="view").select("part", "visits", "exits", "lost_conversions").rows()
    )
    assert parts[0] == ("base", 9, 0, 0.0)
    assert parts[1][:3] == ("repeat", 1, 1)
    lost = answer.frame.filter(touchpoint="view")["lost_conversions"].item()
    assert parts[1][3] == pytest.approx(lost)
    assert lost == pytest.approx(10 * (2 / 3 / 0.9) * 0.1)


def test_targets_and_value():
    rows = [{**row, "value": 20.0 if row["event"] == "buy" else None} for row in ROWS]
    answer = measured(rows, jk.Chain("buy", open_paths="end", value="value"), targets={"cart": 0.0})
    row = answer.frame.filter(touchpoint="cart").row(0, named=True)
    assert row["lost_conversions"] == pytest.approx(2.0)
    assert (row["lost_value"], row["regained_value"]) == pytest.approx((40.0, 40.0))
    assert "lost_value" in answer.parts.columns
    assert "lost_value" not in measured().frame.columns


def test_examples_end_at_the_touchpoint():
    answer = measured(examples=1)
    assert answer.examples.columns == ["touchpoint", "friction_class", "path"]
    found = {row["touchpoint"]: row for row in answer.examples.iter_rows(named=True)}
    assert found["cart"] == {"touchpoint": "cart", "friction_class": "clean", "path": ["view", "cart"]}
    assert measured(examples=5).examples.filter(touchpoint="cart").height == 2
    named = measured(examples=1, show_users=True).examples.filter(touchpoint="cart")
    assert named["user"].item() in {"u6", "u7"}
    assert measured().examples.height == 0


def test_paths_that_may_go_on_count_in_no_rate():
    """With a horizon, the last visit of the user of the last hour is left out."""
    chain = jk.Chain("buy", unit="user", horizon="1h")
    row = measured(chain=chain).frame.filter(touchpoint="help").row(0, named=True)
    assert (row["visits"], row["exits"], row["exit_rate"], row["lost_conversions"]) == (0, 0, None, None)


def test_a_planted_pain_is_found_on_top():
    shop = jk.datasets.simulate_shop(4_000, rng=5, pains={"checkout": 0.3})
    events = jk.read_events(shop.events, user="user", time="time", event="event")
    model = jk.StageModel([jk.Stage(name, names) for name, names in shop.stages.items()])
    answer = events.sessionize("30m").assign_stages(model).measure(jk.PainPoints(jk.Chain("purchase")))
    worst = answer.frame.row(0, named=True)
    assert (worst["touchpoint"], worst["stage"], worst["in_top_10"]) == ("checkout", "purchase", 1.0)
    assert worst["lost_conversions_low"] > 0
    parts = answer.parts.filter(touchpoint="checkout")
    assert parts.sort("lost_conversions", descending=True)["part"][0] == "base"
    truth = shop.truth.event_transitions.filter(source="checkout", target="<END>")["probability"].item()
    assert worst["exit_rate_low"] < truth < worst["exit_rate_high"]


def test_without_a_pain_it_is_not():
    shop = jk.datasets.simulate_shop(4_000, rng=5)
    events = jk.read_events(shop.events, user="user", time="time", event="event")
    model = jk.StageModel([jk.Stage(name, names) for name, names in shop.stages.items()])
    answer = events.sessionize("30m").assign_stages(model).measure(jk.PainPoints(jk.Chain("purchase")))
    row = answer.frame.filter(touchpoint="checkout").row(0, named=True)
    assert row["lost_conversions_low"] < 0 < row["lost_conversions_high"]


def test_low_ratings_are_a_class():
    rows = log("ann 0 view; ann 1 cart; ann 2 view; bob 0 view")
    said = pl.DataFrame({"user": ["ann"], "time": [1_704_067_200 + 30], "value": [1]})
    friction = jk.Friction(rage=None, slow=None, ratings=jk.Ratings("csat", said, unit="s"))
    answer = journeys_of(rows).measure(friction)
    found = answer.frame.filter(flag="low").select("event", "flagged_visits", "visits").rows()
    assert sorted(found) == [("cart", 1, 1), ("view", 1, 3)]
    model = jk.StageModel([jk.Stage("look", "view"), jk.Stage("want", "cart")])
    staged = journeys_of(rows).assign_stages(model).measure(friction)
    found = staged.frame.filter(flag="low").select("event", "flagged_visits").rows()
    assert sorted(found) == [("cart", 0), ("view", 1)], "the rating was at the stage look"


def test_notes_say_what_it_is_not():
    assert measured().notes[-1] == (
        "Lost conversions are associations: they say where paths give up more than elsewhere, and with which friction, "
        "not why. Only an experiment proves what a change would win."
    )


REFUSED = {
    "PainPoints need a chain of events of order 1, without smoothing or collapse_repeats: the visits of a touchpoint "
    f"must be its moves. Leave these out of {jk.Chain('buy', order=2)!r}.": lambda: jk.PainPoints(
        jk.Chain("buy", order=2)
    ),
    "chain must be a Chain, such as Chain('purchase'), not 'buy'.": lambda: jk.PainPoints("buy"),
    "friction cannot be 'help'. Give a Friction, such as Friction('help').": lambda: jk.PainPoints(
        CHAIN, "help"
    ),
    "targets cannot hold 'cart': 2. Give exit rates from 0 to 1 by touchpoint, such as {'cart': 0.2}.": (
        lambda: jk.PainPoints(CHAIN, targets={"cart": 2})
    ),
    "examples must be a whole number from 0 on, not -1.": lambda: jk.PainPoints(CHAIN, examples=-1),
    "reference cannot be 'desktop'. Name a segment or period, such as {'device': 'desktop'}.": (
        lambda: jk.PainPoints(CHAIN, reference="desktop")
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_refused_at_once(message):
    with pytest.raises(ParameterError) as error:
        REFUSED[message]()
    assert str(error.value) == message


def test_names_that_are_not_there():
    with pytest.raises(UnknownNameError, match="no event 'crat'"):
        measured(targets={"crat": 0.1})
    with pytest.raises(UnknownNameError, match="no event 'hlep'"):
        measured(friction=jk.Friction("hlep"))
    with pytest.raises(ParameterError, match="reference= names a segment or a period, and there are none"):
        measured(reference={"device": "desktop"})
