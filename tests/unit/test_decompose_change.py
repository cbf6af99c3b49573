"""What a change is made of, by hand, and what is refused."""

from __future__ import annotations

import polars as pl
import pytest

import journeykit as jk
from tests.logs import log
from tests.measuring import journeys_of

# Day 1: tv 2 of 2 buy, pc 0 of 2: R0 = 1/2. Day 2: tv 1 of 1, pc 1 of 3: R1 = 1/2.
TWO_DAYS = [
    {**row, "device": device}
    for device, text in (
        ("tv", "a 0 see; a 1 buy; b 2 buy; e 1500 see; e 1501 buy"),
        ("pc", "c 0 see; d 1 see; f 1500 buy; g 1501 see; h 1502 see; h 1503 help"),
        (None, "z 2900 see"),
    )
    for row in log(text)
]
DAYS = {"every": "1d", "before": "2024-01-01", "after": "2024-01-02"}


def test_mix_and_rate_by_hand():
    """Shares of tv go from 1/2 to 1/4 at a rate of 1; those of pc from 1/2 to 3/4, its rate from 0 to 1/3."""
    found = jk.decompose_change(journeys_of(TWO_DAYS), "buy", by="device", **DAYS)
    rows = {row["device"]: (row["mix"], row["rate"]) for row in found.frame.iter_rows(named=True)}
    assert rows == {
        "tv": (pytest.approx(-1 / 4 * (1 - 1 / 2)), 0.0),
        "pc": (pytest.approx(1 / 4 * (1 / 6 - 1 / 2)), pytest.approx(1 / 3 * 5 / 8)),
    }
    total = found.total.row(0, named=True)
    assert (total["rate_before"], total["rate_after"], total["change"]) == (0.5, 0.5, pytest.approx(0.0))


def test_moves_by_hand():
    """Day 1: 3 of 4 begin with see, from where 1 of 3 buys. Day 2: 3 of 4, 1 of 3, and one gets help."""
    found = jk.decompose_change(journeys_of(TWO_DAYS), "buy", **DAYS)
    rows = {(row["source"], row["target"]): row for row in found.frame.iter_rows(named=True)}
    assert (rows["see", "<CONVERT>"]["probability_before"], rows["see", "<CONVERT>"]["probability_after"]) == (
        pytest.approx(1 / 3), pytest.approx(1 / 3),
    )  # fmt: skip
    assert rows["see", "help"]["moves_after"] == 1
    assert found.total["change"][0] == pytest.approx(0.0)
    assert found.frame["effect"].sum() == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"every": "1d", "after": "2024-01-01"},
            "after='2024-01-01' is in the first period of these journeys; no period is before it.",
        ),
        (
            {"every": "fortnight"},
            "every cannot be 'fortnight'. Choose one of: '1h', '1d', '1w', '1w-sunday', '1mo', '1q', '1y'.",
        ),
        (
            {"every": "1d", "after": "2024-01-02", "before": "2024-01-02T12:00"},
            "after='2024-01-02' and before='2024-01-02T12:00' are in the same period. Give two different ones.",
        ),
        (
            {"every": "1d", "before": "2024-01-02"},
            "before= says what after= is compared with; give both, or after= alone.",
        ),
        (
            {"every": "1d", "after": "2024-02-02"},
            (
                "after='2024-02-02' is in a period without events. They are from 2024-01-01 00:00:00+00:00 to "
                "2024-01-03 00:00:00+00:00."
            ),
        ),
        ({**DAYS, "level": 5}, "level must lie between 0 and 1, not 5."),
        ({**DAYS, "unit": "visit"}, "unit cannot be 'visit'. Choose one of: 'session', 'user'."),
    ],
)
def test_what_cannot_be_decomposed_is_refused(options, message):
    with pytest.raises(jk.errors.ParameterError) as caught:
        jk.decompose_change(journeys_of(TWO_DAYS), "buy", **options)
    assert str(caught.value) == message


def test_an_unknown_goal_is_refused():
    with pytest.raises(jk.errors.UnknownNameError) as caught:
        jk.decompose_change(journeys_of(TWO_DAYS), "by", **DAYS)
    assert (
        str(caught.value) == "no event 'by' in this log. Did you mean 'buy'? Available: 'buy', 'help', 'see'."
    )


def test_a_state_that_no_path_ends_from_is_named():
    """Silent users whose horizon is not over have no end."""
    rows = log("a 0 see; a 1 buy; b 1500 lost; c 1500 see; c 1501 buy")
    with pytest.raises(jk.errors.UndefinedError) as caught:
        jk.decompose_change(journeys_of(rows), "buy", every="1d", unit="user", horizon="30d")
    assert str(caught.value) == (
        "no path from 'lost' ends: the chance to convert is not defined there. With users, leave horizon= out or take "
        "a shorter one."
    )


def test_a_period_where_only_users_begin_elsewhere_has_no_rate():
    rows = log("a 0 see; a 1500 buy")
    with pytest.raises(jk.errors.UndefinedError) as caught:
        jk.decompose_change(journeys_of(rows), "buy", every="1d", unit="user")
    assert str(caught.value) == (
        "no path starts in the period from 2024-01-02 00:00:00+00:00: there is no rate to decompose."
    )


def test_few_groups_have_no_interval():
    found = jk.decompose_change(journeys_of(TWO_DAYS), "buy", by="device", **DAYS)
    assert found.frame.select(pl.col("mix_low", "rate_high").is_null().all()).row(0) == (True, True)
