"""TimeToConvert on a small log worked out by hand, and what it refuses."""

from __future__ import annotations

import math

import polars as pl
import pytest

import journeykit as jk
from tests import logs
from tests.measuring import journeys_of, many_users

# Horizon 100 minutes: a converts after 50, b gives up at 110, c at 100 (it came back), d is open after 50, e gives up
# at 120, f has no cart. See `tests.logs`.
MINUTE = 60.0


@pytest.fixture(scope="module")
def answer():
    return journeys_of(logs.ABANDONED_CARTS).measure(jk.TimeToConvert("purchase", "cart", horizon="100m"))


def test_what_became_of_carts(answer):
    row = answer.frame.row(0, named=True)
    assert [row[name] for name in ("reached", "users", "converted", "abandoned", "censored")] == [
        5,
        5,
        1,
        3,
        1,
    ]
    assert answer.curve.select("time", "at_risk", "converted", "abandoned", "censored").rows() == [
        (50 * MINUTE, 5, 1, 0, 1), (100 * MINUTE, 3, 0, 1, 0), (110 * MINUTE, 2, 0, 1, 0), (120 * MINUTE, 1, 0, 1, 0),
    ]  # fmt: skip
    assert answer.curve["converted_by"].to_list() == pytest.approx([0.2] * 4)
    assert answer.curve["unresolved"].to_list() == pytest.approx([0.8, 1.6 / 3, 0.8 / 3, 0])
    assert row["time_median"] == math.inf


def test_means_and_hazards(answer):
    mean = answer.restricted_mean("2h")["restricted_mean"][0]
    assert mean == pytest.approx(MINUTE * (50 + 50 * 0.8 + 10 * 1.6 / 3 + 10 * 0.8 / 3))
    hazard = answer.hazard("1h").select(
        "above", "up_to", "at_risk", "converted", "abandoned", "abandoned_hazard"
    )
    assert hazard.rows() == [(0, 3600, 5, 1, 0, 0), (3600, 7200, 3, 0, 3, 1)]


def test_without_a_horizon_nobody_gives_up():
    answer = journeys_of(logs.ABANDONED_CARTS).measure(jk.TimeToConvert("purchase", "cart"))
    assert answer.frame.select("converted", "abandoned", "censored").rows() == [(2, 0, 3)]
    assert answer.notes == ("Without a horizon nobody gives up: who has not converted is censored.",)


def test_segments_are_tested_against_each_other():
    rows = [{**row, "device": f"d{int(row['user'][1:]) % 2}"} for row in many_users(3, users=80)]
    answer = journeys_of(rows).measure(jk.TimeToConvert("buy", "view"), by="device")
    assert answer.frame["device"].to_list() == ["d0", "d1"]
    row = answer.log_rank().row(0, named=True)
    assert (row["segments"], row["degrees"]) == (2, 1)
    assert 0 < row["p_value"] < 1
    median = answer.frame.row(0, named=True)
    assert median["time_median_low"] <= median["time_median"] <= median["time_median_high"]
    assert answer.converted_by("5h").columns == ["device", "at_risk", "converted_by", "low", "high"]


def test_what_it_refuses(answer):
    with pytest.raises(jk.errors.ParameterError) as caught:
        jk.TimeToConvert("buy", unit="session", horizon="1h")
    assert str(caught.value) == (
        'horizon is for unit="user": a session has ended when its own timeout has passed. Leave horizon out, or pass '
        'unit="user".'
    )
    with pytest.raises(jk.errors.ParameterError) as caught:
        jk.TimeToConvert("buy", by="steps")
    assert str(caught.value) == "by cannot be 'steps'. Choose one of: 'time', 'step'."
    with pytest.raises(jk.errors.ParameterError) as caught:
        answer.converted_by(5)
    assert str(caught.value) == (
        "tau cannot be 5. Give a duration with its unit, such as '30m', '36h' or '7d' (us, ms, s, m, h, d, w), or a "
        "datetime.timedelta."
    )
    with pytest.raises(jk.errors.ParameterError) as caught:
        answer.hazard("0s")
    assert str(caught.value) == "every must be greater than zero, not '0s'."
    steps = journeys_of(logs.ABANDONED_CARTS).measure(jk.TimeToConvert("purchase", unit="session", by="step"))
    with pytest.raises(jk.errors.ParameterError) as caught:
        steps.restricted_mean("1h")
    assert str(caught.value) == "the clock counts plain numbers here: give one from 0 on, not '1h'."
    with pytest.raises(jk.errors.ParameterError) as caught:
        steps.hazard(0)
    assert str(caught.value) == "every must be greater than zero, not 0."
    with pytest.raises(jk.errors.ParameterError) as caught:
        steps.log_rank()
    assert str(caught.value) == (
        "the log-rank test takes users, who are independent; sessions are not. "
        "Compare converted_by of the segments instead."
    )


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"duration": [1], "outcomes": [1]}, ("no column 'outcome' in the table of durations. Did you mean 'outcomes'? "
         "Available: 'outcomes', 'duration'.")),
        ({"duration": [-1], "outcome": [1]}, "the column 'duration' must hold numbers from 0 on, without nulls."),
        ({"duration": [1], "outcome": [3]}, ("the column 'outcome' must hold 0 (censored), 1 (converted) or 2 "
         "(abandoned), without nulls.")),
    ],
)  # fmt: skip
def test_bad_tables(table, message):
    with pytest.raises(jk.errors.ParameterError) as caught:
        jk.TimeToConvert.of_durations(pl.DataFrame(table))
    assert str(caught.value) == message
