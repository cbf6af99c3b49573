"""Which references there are, and what is refused."""

from __future__ import annotations

import re
from datetime import date

import pytest

import journeykit as jk
from journeykit.errors import ParameterError
from tests.logs import MINUTE
from tests.measuring import journeys_of

DAY = 24 * 60 * MINUTE
CHAIN = jk.Chain("buy", open_paths="end")


def rows():
    paths = {
        "a": ("desktop", 0, ("view", "cart", "buy")),
        "b": ("desktop", 1, ("view", "cart")),
        "c": ("mobile", 0, ("view", "cart")),
        "d": ("mobile", 0, ("view", "help")),
        "e": ("mobile", 1, ("view", "cart", "cart", "buy")),
    }
    return [
        {"user": user, "time": day * DAY + i * MINUTE, "event": name, "device": device}
        for user, (device, day, names) in paths.items()
        for i, name in enumerate(names)
    ]


@pytest.fixture(scope="module")
def journeys():
    return journeys_of(rows())


def test_by_hand(journeys):
    """Mobile carts: 1 of 3 moves lost, 1 kept, 1 won: 0.5 from view; as on desktop, 0.5 lost and the others halved."""
    answer = journeys.measure(jk.Opportunities(CHAIN, {"device": "desktop"}), by="device")
    found = {
        (a, b): x for a, b, x in answer.frame.select("source", "target", "change_in_conversions").iter_rows()
    }
    assert found["cart", "<ABANDON>"] == pytest.approx(2 * (0.25 / 0.75 - 0.5))
    assert found["view", "cart"] == pytest.approx(1.5 - 1)
    assert found["view", "help"] == pytest.approx(1.5 - 1)
    assert found["cart", "cart"] == pytest.approx(0.0)
    assert found["help", "<ABANDON>"] is None
    assert answer.outcomes["change_in_conversions"].to_list() == pytest.approx([0.5])


def test_periods(journeys):
    for day in ("1970-01-01", date(1970, 1, 1)):
        answer = journeys.measure(jk.Opportunities(CHAIN, {"period": day}), every="1d")
        assert answer.outcomes["converted"].to_list() == [1]
    both = journeys.measure(jk.Opportunities(CHAIN, {"device": "desktop"}), by="device", every="1d")
    assert both.outcomes.select("device").unique().to_series().to_list() == ["mobile"]
    assert both.outcomes.height == 2


@pytest.mark.parametrize(
    ("reference", "options", "message"),
    [
        (
            {"device": "desktop"},
            {},
            (
                "reference= names a segment or a period, and there are none. Measure with by= or every=, or leave "
                "reference out."
            ),
        ),
        (
            {"devise": "desktop"},
            {"by": "device"},
            "the column of reference cannot be 'devise'. Choose one of: 'device'.",
        ),
        (
            {"device": "tablet"},
            {"by": "device"},
            "reference['device'] cannot be 'tablet'. Choose one of: 'desktop', 'mobile'.",
        ),
        (
            {"period": "1971"},
            {"every": "1d"},
            "reference['period'] cannot be '1971'. Choose one of: '1970-01-01 00:00', '1970-01-02 00:00'.",
        ),
        (
            {"period": "1970"},
            {"every": "1d"},
            "reference['period'] cannot be '1970'. Choose one of: '1970-01-01 00:00', '1970-01-02 00:00'.",
        ),
    ],
)
def test_references_that_are_none(journeys, reference, options, message):
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        journeys.measure(jk.Opportunities(CHAIN, reference), **options)


@pytest.mark.parametrize("reference", [{}, "desktop", [("device", "desktop")], {1: "desktop"}])
def test_what_is_no_reference(reference):
    message = f"reference cannot be {reference!r}. Name a segment or period, such as {{'device': 'desktop'}}."
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        jk.Opportunities(CHAIN, reference)


def test_a_chain_is_needed():
    message = "chain must be a Chain, such as Chain('purchase'), not 'buy'."
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        jk.Opportunities("buy")
