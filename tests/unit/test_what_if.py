"""What a change may be, and what is said where it cannot be made."""

from __future__ import annotations

import re

import polars as pl
import pytest

import journeykit as jk
from journeykit.errors import ParameterError, UndefinedError, UnknownNameError
from tests.logs import MINUTE
from tests.measuring import journeys_of

PATHS = {
    "a": ("home", "cart", "buy"),
    "b": ("home", "cart"),
    "c": ("home", "search", "cart", "pay", "buy"),
    "d": ("search",),
    "e": ("home", "home", "cart", "pay"),
}
CHAIN = jk.Chain("buy", open_paths="end")


def rows(paths):
    return [
        {"user": user, "time": i * MINUTE, "event": name, "device": "mobile" if user in "ab" else "desktop"}
        for user, names in paths.items()
        for i, name in enumerate(names)
    ]


@pytest.fixture(scope="module")
def journeys():
    return journeys_of(rows(PATHS))


def what_if(journeys, *changes, chain=CHAIN, **options):
    return journeys.measure(jk.WhatIf(chain, changes), **options)


def refused(error, message, action, *args, **options):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        action(*args, **options)


def test_by_hand(journeys):
    """Cart: 4 visits, 1 bought, 1 left, 2 paid, of whom 1 bought: 0.25 + 0.5 / 2 = 0.5; reached by 4 of 5."""
    row = what_if(journeys, jk.Change("cart", relative=-0.5)).frame.row(0, named=True)
    assert row["conversion"] == pytest.approx(0.4)
    assert row["conversion_changed"] == pytest.approx(0.8 * 0.5 * 0.875 / 0.75)
    assert row["change_in_conversions"] == pytest.approx(5 * 0.8 * 0.5 * (0.875 / 0.75 - 1))
    assert row["change_in_conversions_low"] is None


def test_a_change_may_be_possible_alone_and_not_after_another(journeys):
    """Half of the mobile carts are bought; 0.3 more can be, and 0.3 more once again cannot."""
    changes = jk.Change("cart", "<CONVERT>", absolute=0.3), jk.Change("cart", "<CONVERT>", absolute=0.3)
    answer = what_if(journeys, *changes, by="device")
    together = dict(answer.frame.select("device", pl.col("difference").is_null()).iter_rows())
    assert together == {"desktop": False, "mobile": True}
    columns = ("device", pl.col("probability", "probability_changed").round(12))
    assert answer.changes.select(columns).rows() == [("desktop", 0.0, 0.3)] * 2 + [("mobile", 0.5, 0.8)] * 2


def test_the_probability_of_several_states_is_the_mean_over_their_visits():
    """Of three who come to the cart from home none pays, the one from search does: 1 of 4, and then 1 of 2 of 4."""
    paths = {
        "a": ("home", "cart"),
        "b": ("home", "cart"),
        "c": ("home", "cart"),
        "d": ("search", "cart", "pay"),
    }
    chain = jk.Chain("buy", order=2, open_paths="end", missing="ignore")
    change = jk.Change("cart", "pay", relative=-0.5, instead="<ABANDON>")
    row = what_if(journeys_of(rows(paths)), change, chain=chain).changes.row(0, named=True)
    assert (row["probability"], row["probability_changed"]) == (0.25, 0.125)


def test_changes_alone_and_together(journeys):
    changes = jk.Change("cart", to=0.0), jk.Change("pay", to=0.0)
    answer = what_if(journeys, *changes)
    alone = answer.changes["change_in_conversions"].to_list()
    assert alone == pytest.approx([5 * 0.8 * (0.5 / 0.75 - 0.5), 5 * 0.8 * (0.75 - 0.5)])
    assert answer.frame["change_in_conversions"][0] == pytest.approx(5 * 0.8 * 0.5)
    assert answer.changes["change"].to_list() == ["cart to <ABANDON>, at 0", "pay to <ABANDON>, at 0"]
    assert answer.changes["probability"].to_list() == pytest.approx([0.25, 0.5])


def test_where_the_others_go(journeys):
    """All of search's next states in proportion, or one of them."""
    half = what_if(journeys, jk.Change("search", "cart", absolute=0.5)).states
    gone = what_if(journeys, jk.Change("search", "pay", absolute=0.5, instead="<ABANDON>")).states
    assert dict(half.select("state", "change_in_visits").iter_rows())["cart"] == pytest.approx(1.0)
    assert dict(gone.select("state", "change_in_visits").iter_rows())["pay"] == pytest.approx(1.0)


def test_segments_that_cannot_change_so_are_null(journeys):
    answer = what_if(journeys, jk.Change("pay", relative=-0.5), by="device")
    found = dict(answer.frame.select("device", "change_in_conversions").iter_rows())
    assert found["mobile"] is None
    assert found["desktop"] == pytest.approx(0.5)
    assert "Null in mobile: nobody was in 'pay' before the goal." in answer.notes
    answer = what_if(journeys, jk.Change("home", "home", absolute=0.9), by="device")
    assert answer.frame.filter(device="desktop")["difference"][0] is None
    assert (
        "Null in desktop: Change(home to home, 0.9 up) would make the probability from 'home' to 'home' 1.233; it is "
        "0.3333, and must stay from 0 to 1. Change it less."
    ) in answer.notes


def test_a_share_of_what_was_never_seen(journeys):
    answer = what_if(journeys, jk.Change("search", "pay", relative=0.5))
    assert answer.frame["difference"].to_list() == [None]
    message = (
        "no move from 'search' to 'pay' was seen: a share of it is nothing. Change it with absolute= or to=."
    )
    assert f"Null: {message}" in answer.notes
    model = journeys.measure(CHAIN).model()
    refused(UndefinedError, message, model.changed, jk.Change("search", "pay", relative=0.5))


def test_impossible(journeys):
    change = jk.Change("cart", "pay", absolute=0.75)
    message = (
        "Change(cart to pay, 0.75 up) would make the probability from 'cart' to 'pay' 1.25; it is 0.5, and must stay "
        "from 0 to 1. Change it less."
    )
    refused(ParameterError, message, what_if, journeys, change)
    refused(ParameterError, message, journeys.measure(CHAIN).model().changed, change)
    message = (
        "Change(cart to pay, 0.5 up, instead of <ABANDON>) takes 0.5 from the moves to '<ABANDON>', which have 0.25 of "
        "'cart'. Change it less, or leave instead= out to take from all."
    )
    refused(
        ParameterError,
        message,
        what_if,
        journeys,
        jk.Change("cart", "pay", absolute=0.5, instead="<ABANDON>"),
    )
    alone = journeys_of(rows({"x": ("cart", "buy"), "y": ("cart", "buy")}))
    message = (
        "Change(cart to <CONVERT>, 50 % down) leaves open where the others go: every move from 'cart' goes to "
        "'<CONVERT>'. Say where with instead=."
    )
    refused(ParameterError, message, what_if, alone, jk.Change("cart", "<CONVERT>", relative=-0.5))
    found = what_if(alone, jk.Change("cart", "<CONVERT>", relative=-0.5, instead="<ABANDON>"))
    assert found.frame["change_in_conversions"].to_list() == [-1.0]


def test_a_walk_that_would_never_end(journeys):
    answer = what_if(journeys, jk.Change("home", "home", to=1.0))
    assert answer.frame["conversion_changed"].to_list() == [None]
    assert "Null: after the changes a path need not end." in answer.notes


def test_unknown_names(journeys):
    message = (
        "no state 'cert' in this log. Did you mean 'cart'? Available: 'cart', '<CONVERT>', '<START>', 'home', "
        "'search', '<ABANDON>', 'buy', 'pay'."
    )
    for change in (
        jk.Change("cert", to=0.5),
        jk.Change("cart", "cert", to=0.5),
        jk.Change("cart", to=0, instead="cert"),
    ):
        refused(UnknownNameError, message, what_if, journeys, change)
    refused(
        UnknownNameError,
        message,
        what_if,
        journeys,
        jk.Change("cert > home", to=0.5),
        chain=jk.Chain("buy", order=2),
    )
    loose = jk.Chain("buy", open_paths="end", missing="ignore")
    assert what_if(journeys, jk.Change("cert", to=0.5), chain=loose).frame["difference"].to_list() == [None]


def test_states_that_do_not_follow(journeys):
    chain = jk.Chain("buy", order=2, open_paths="end")
    answer = what_if(journeys, jk.Change("home > search", "home", to=0.5), chain=chain)
    assert (
        "Null: no state 'search > home' was seen, to which a move from 'home > search' to 'home' would lead. Name a "
        "state that has this move as source, or fit a chain of order 1."
    ) in answer.notes


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {},
            (
                "a change takes one of relative=, absolute= and to=, and was given 0. For 10 % down write "
                "relative=-0.1, for 10 more of every 100 absolute=0.1."
            ),
        ),
        (
            {"relative": 0.1, "to": 0.1},
            (
                "a change takes one of relative=, absolute= and to=, and was given 2. For 10 % down write "
                "relative=-0.1, for 10 more of every 100 absolute=0.1."
            ),
        ),
        ({"relative": -1.5}, "relative must be from -1 on, not -1.5."),
        ({"absolute": 10}, "absolute must be from -1 to 1, not 10."),
        ({"to": -0.1}, "to must be from 0 to 1, not -0.1."),
        ({"to": 1.5}, "to must be from 0 to 1, not 1.5."),
        ({"relative": float("nan")}, "relative must be a finite number, not nan."),
        ({"relative": "10 %"}, "relative must be a finite number, not '10 %'."),
        ({"to": True}, "to must be a finite number, not True."),
        ({"to": 0.1, "target": 3}, "target must be the name of a state, not 3."),
        ({"to": 0.1, "instead": "<ABANDON>"}, "instead cannot be '<ABANDON>', the target itself."),
    ],
)
def test_changes_that_are_none(given, message):
    refused(ParameterError, message, jk.Change, "cart", **given)


def test_what_is_no_question():
    refused(
        ParameterError,
        "changes cannot be 'cart'. Give a Change, or a list of them, such as Change('cart', relative=-0.1).",
        jk.WhatIf,
        CHAIN,
        "cart",
    )
    refused(
        ParameterError,
        "changes cannot be []. Give a Change, or a list of them, such as Change('cart', relative=-0.1).",
        jk.WhatIf,
        CHAIN,
        [],
    )
    refused(
        ParameterError,
        "chain must be a Chain, such as Chain('purchase'), not 'buy'.",
        jk.WhatIf,
        "buy",
        jk.Change("cart", to=0.1),
    )


def test_hostile_names():
    names = ("<script>", "a > b", 'it\'s\n"so" ☃')
    log = journeys_of(rows({"a": (*names, "buy"), "b": names, "c": names[:2]}))
    answer = what_if(log, jk.Change("a > b", to=0.0), jk.Change(names[2], names[0], absolute=0.1))
    assert answer.changes["probability"].to_list() == pytest.approx([1 / 3, 0.0])
    assert "<script>" not in answer._repr_html_()


def test_the_assumption_is_said(journeys):
    answer = what_if(journeys, jk.Change("cart", relative=-0.5))
    assert answer.notes[-1].startswith("Assumes that who is moved goes on like those who are there now")
    late = journeys_of(rows(PATHS))
    open_paths = what_if(late, jk.Change("home", "cart", relative=-0.5), chain=jk.Chain("buy"))
    assert "Conversions are P(convert) times paths, those that may still go on included." in open_paths.notes
