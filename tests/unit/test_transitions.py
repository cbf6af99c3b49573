"""Transitions: a log worked out by hand, the views of the answer, every message. D4."""

from __future__ import annotations

import polars as pl
import pytest

import journeykit as jk
from journeykit.errors import ParameterError, UndefinedError, UnknownNameError
from tests.logs import SMALL_SHOP, log
from tests.measuring import journeys_of


@pytest.fixture(scope="module")
def journeys():
    return journeys_of(SMALL_SHOP)


@pytest.fixture(scope="module")
def graph(journeys):
    return journeys.measure(jk.Transitions(quantiles=[0.5]))


def row(graph, source, target):
    return graph.frame.filter((pl.col("source") == source) & (pl.col("target") == target)).row(0, named=True)


def test_worked_out_by_hand(graph):
    counts = {(a, b): n for a, b, n in graph.frame.select("source", "target", "transitions").iter_rows()}
    assert counts == {
        ("<START>", "view"): 3, ("<START>", "search"): 1, ("view", "view"): 1, ("view", "cart"): 2,
        ("cart", "purchase"): 1, ("search", "view"): 1, ("purchase", "<END>"): 1, ("view", "<END>"): 2,
        ("cart", "<END>"): 1,
    }  # fmt: skip
    edge = row(graph, "view", "cart")
    assert (edge["probability"], edge["time_mean"], edge["time_median"]) == (2 / 5, 210, 210)
    assert (edge["time_min"], edge["time_max"], edge["users"], edge["sessions"]) == (180, 240, 2, 2)
    assert edge["lift"] == pytest.approx((2 / 5) / (2 / 9))
    assert edge["user_share"] == 2 / 3
    view = graph.states.filter(pl.col("state") == "view").row(0, named=True)
    assert (view["visits"], view["exit_rate"], view["entry_share"]) == (5, 2 / 5, 3 / 4)


def test_edges_to_and_from_virtual_states_have_no_time(graph):
    for edge in (row(graph, "<START>", "view"), row(graph, "view", "<END>")):
        assert {edge[name] for name in edge if name.startswith("time")} == {None}


def test_users_go_from_one_session_to_the_next(journeys):
    graph = journeys.measure(jk.Transitions(unit="user"))
    assert row(graph, "purchase", "view")["transitions"] == 1
    assert graph.frame["transitions"].sum() == 12


def test_matrix(graph):
    matrix = graph.matrix("transitions")
    assert matrix["source"].to_list() == ["<START>", "cart", "purchase", "search", "view", "<END>"]
    assert matrix.row(4) == ("view", 0, 2, 0, 0, 1, 2)
    assert matrix.row(1) == ("cart", 0, 0, 1, 0, 0, 1)
    assert graph.matrix().row(1)[3] == 0.5


def test_network(graph):
    network = graph.to_networkx()
    assert set(network.successors("cart")) == {"purchase", "<END>"}
    assert network.edges["view", "cart"]["transitions"] == 2
    assert not network.has_edge("cart", "view")
    assert network.nodes["view"]["exit_rate"] == 2 / 5


def test_top_and_filter_keep_probabilities_and_say_what_they_leave_out(graph):
    for some in (graph.top(3), graph.filter(min_count=2)):
        assert some.frame.equals(graph.frame.head(3))
        assert some.notes[-1] == "7 of 13 transitions are shown."
    assert graph.frame.height == 9


def test_top_of_every_segment():
    rows = [{**each, "device": each["user"]} for each in SMALL_SHOP]
    some = journeys_of(rows).measure(jk.Transitions(), by="device").top(1)
    assert some.frame["device"].to_list() == ["ann", "bob", "cid"]


def test_without_end_only_the_probability_changes(journeys, graph):
    without = journeys.measure(jk.Transitions(include_end=False))
    assert "<END>" not in without.frame["target"]
    assert row(without, "view", "cart")["probability"] == 2 / 3
    assert row(without, "view", "cart")["share"] == row(graph, "view", "cart")["share"] == 2 / 13
    assert without.states.equals(graph.states)
    assert without.conversion("purchase").equals(graph.conversion("purchase"))


def test_conversion_by_hand():
    """From a: half of b's visits go to c, the others end; a always goes to b."""
    graph = journeys_of(log("u 0 a; u 1 b; u 2 c; v 0 a; v 1 b")).measure(jk.Transitions())
    found = graph.conversion("c")
    assert found.select("state", "probability").rows() == [("<START>", 0.5), ("a", 0.5), ("b", 0.5)]
    assert graph.conversion(["b", "c"])["probability"].to_list() == [1.0, 1.0]


def refused(make, kind=ParameterError):
    with pytest.raises(kind) as raised:
        make()
    return str(raised.value)


def test_messages(journeys, graph):
    assert (
        refused(lambda: jk.Transitions(of="page")) == "of cannot be 'page'. Choose one of: 'event', 'stage'."
    )
    assert (
        refused(lambda: jk.Transitions(unit="day"))
        == "unit cannot be 'day'. Choose one of: 'session', 'user'."
    )
    assert refused(lambda: jk.Transitions(open_paths="cut")) == (
        "open_paths cannot be 'cut'. Choose one of: 'end', 'censor'."
    )
    for order in (0, -1, 1.5, "2"):
        assert refused(lambda order=order: jk.Transitions(order=order)) == (
            f"order must be a whole number from 1 on, not {order!r}."
        )
    for bad in ((1.1,), (-0.1,), (float("nan"),), ("0.5",)):
        assert refused(lambda bad=bad: jk.Transitions(quantiles=bad)) == (
            f"quantiles must be numbers from 0 to 1, not {bad!r}."
        )
    assert "horizon cannot be 30" in refused(lambda: jk.Transitions(horizon=30))
    assert refused(lambda: graph.matrix("count")).startswith(
        "value cannot be 'count'. Choose one of: 'transitions', "
    )
    assert refused(lambda: graph.conversion("buy"), UnknownNameError) == (
        "no state 'buy' in this log. Available: 'purchase', 'cart', 'search', 'view'."
    )
    assert refused(lambda: journeys.measure(jk.Transitions(of="stage"))) == (
        'of="stage" needs stages. Call assign_stages(model) first.'
    )
    every = journeys.measure(jk.Transitions(), every="1d")
    for name in ("matrix", "to_networkx"):
        assert refused(getattr(every, name)) == (
            f"{name} takes one segment, and this answer has 1. "
            f"Filter the journeys first, or measure without by= and every=."
        )
    assert refused(journeys.measure) == "measure needs at least one statistic, such as Transitions()."
    assert (
        refused(lambda: journeys.measure(jk.Transitions(), level=95))
        == "level must lie between 0 and 1, not 95."
    )


def test_a_chain_that_never_ends_is_refused():
    """A censored path adds no end: nothing is known of the state it stops in (D10.2)."""
    rows = [("a", 0, "home"), ("a", 60, "cart"), ("b", 0, "home"), ("b", 60, "buy")]
    log = pl.DataFrame(rows, schema=["user", "time", "event"], orient="row")
    journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    graph = journeys.measure(jk.Transitions(open_paths="censor"))
    with pytest.raises(UndefinedError) as caught:
        graph.conversion("buy")
    assert str(caught.value) == (
        "no path from 'cart' ends: the chance of a goal is not defined there. Count open paths as "
        'ended (open_paths="end"), or leave these states out.'
    )
