"""Propensity: planted chances found again, calibrated on users left out; by hand; what is refused."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import journeykit as jk

DAY = 86_400
PLANTED = {"cart": 0.5, "view": 0.1}


def planted(users, seed):
    """Every user looks once; half of them fill a cart. Half of these buy within half a day, of the others a tenth."""
    draw = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        time, last = int(draw.integers(0, 20 * DAY)), str(draw.choice(["cart", "view"]))
        rows.append((f"u{user}", time, "view"))
        rows += [(f"u{user}", time + 60, "cart")] if last == "cart" else []
        if draw.random() < PLANTED[last]:
            rows.append((f"u{user}", time + 120 + int(draw.integers(0, DAY // 2)), "buy"))
    rows = [row for row in rows if row[1] <= 20 * DAY]
    return pl.DataFrame(rows, schema=["user", "time", "event"], orient="row").sort("time", "user")


def read(log):
    return jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")


@pytest.fixture(scope="module")
def found():
    return read(planted(4_000, 1)).measure(jk.Propensity("buy", "1d", snapshots=15))


def test_predictions_are_calibrated_on_users_left_out(found):
    assert found.calibration["users"].sum() == found.accuracy["users"][0]
    for row in found.calibration.filter(pl.col("users") >= 20).to_dicts():
        assert row["observed_low"] <= row["predicted"] <= row["observed_high"]
    (accuracy,) = found.accuracy.to_dicts()
    assert accuracy["brier"] < accuracy["brier_of_mean"]
    assert accuracy["auc"] > 0.8


def test_a_fresh_cart_is_worth_more_than_an_old_one(found):
    people = found.frame.filter(pl.col("state") == "cart").sort("silence")
    fresh, old = people.head(1).to_dicts()[0], people.tail(1).to_dicts()[0]
    assert fresh["conversion_probability"] > 0.1 > 5 * old["conversion_probability"]
    assert fresh["low"] < fresh["conversion_probability"] < fresh["high"]
    assert old["abandonment_risk"] > 0.95


def test_the_next_step_after_a_look_is_the_cart(found):
    steps = found.frame.select("state", "next_step", "next_step_conversion").unique().drop_nulls().rows()
    ((state, step, conversion),) = steps
    assert (state, step) == ("view", "cart")
    assert conversion == pytest.approx(0.5, abs=0.05)


def test_the_same_log_gives_the_same_table(found):
    log = planted(4_000, 1)
    again = read(log.reverse()).measure(jk.Propensity("buy", "1d", snapshots=15))
    assert again.frame.equals(found.frame)


def test_rates_lean_on_coarser_ones_by_hand():
    """Four users look two days before the end; two of them buy in the hour after the snapshot."""
    rows = [(user, 0, "view") for user in range(4)] + [
        (0, 3_700, "buy"),
        (1, 3_700, "buy"),
        (9, 7_200, "view"),
    ]
    log = pl.DataFrame(rows, schema=["user", "time", "event"], orient="row")
    frame = read(log).measure(jk.Propensity("buy", "1h", snapshots=1)).frame
    # Overall 2 of 4; every finer situation of user 2 (silent for two hours) was that of the same four.
    leaning = 0.5
    state = (2 + 10 * leaning) / 14
    row = frame.row(by_predicate=pl.col("user") == 2, named=True)
    quiet = (2 + 10 * state) / 14
    assert row["conversion_probability"] == pytest.approx((2 + 10 * quiet) / 14)
    assert row["abandonment_risk"] == pytest.approx(0.5)
    assert row["silence"] == 7_200.0


def test_the_last_moment_belongs_to_the_horizon():
    """Who buys at the very end of the log has bought within a day of a day before."""
    rows = [("a", 0, "view"), ("b", 0, "view"), ("a", DAY, "buy")]
    log = pl.DataFrame(rows, schema=["user", "time", "event"], orient="row")
    accuracy = read(log).measure(jk.Propensity("buy", "1d", snapshots=1)).accuracy
    tally = jk.Propensity("buy", "1d", snapshots=1)
    assert accuracy.height == 1
    found = read(log)
    from journeykit.cells import make_cells

    table = tally.tally(found, make_cells(found, None, None))["snapshots"]
    assert table.select("users", "converted", "silent").sum().row(0) == (2, 1, 1)


def test_a_step_that_few_took_is_no_advice():
    """Four took it: no. Five: yes."""
    for takers, advised in ((4, None), (5, "cart")):
        rows = [(f"u{i}", 10 * i, "view") for i in range(20)]
        rows += [(f"u{i}", 10 * i + 1, name) for i in range(takers) for name in ("cart", "buy")]
        rows += [("z", 5 * DAY, "view")]
        log = pl.DataFrame(rows, schema=["user", "time", "event"], orient="row").sort(
            "time", maintain_order=True
        )
        frame = read(log).measure(jk.Propensity("buy", "1d")).frame
        assert frame.filter(user="z")["next_step"].to_list() == [advised]


def test_a_log_no_longer_than_the_horizon_has_no_prediction():
    log = pl.DataFrame([("a", 0, "view"), ("b", 9, "buy")], schema=["user", "time", "event"], orient="row")
    answer = read(log).measure(jk.Propensity("buy", "1d"))
    assert answer.frame["conversion_probability"].to_list() == [None, None]
    assert (
        "The log is no longer than the horizon: there is nothing to learn from, and no prediction."
        in answer.notes
    )
    assert answer.accuracy.select("users", "brier", "brier_of_mean", "auc").row(0) == (0, None, None, None)


def test_where_nobody_converts_users_cannot_be_ranked():
    answer = read(planted(60, 3)).measure(jk.Propensity("bye", "1d", missing="ignore"))
    accuracy = answer.accuracy.row(0, named=True)
    assert (accuracy["converted"], accuracy["brier_of_mean"], accuracy["auc"]) == (0, 0.0, None)


def test_what_is_refused():
    with pytest.raises(jk.errors.ParameterError) as refused:
        jk.Propensity("buy", "1d", snapshots=0)
    assert str(refused.value) == "snapshots must be a whole number from 1 to 100, not 0."
    with pytest.raises(jk.errors.ParameterError):
        jk.Propensity("buy", 3)
    with pytest.raises(jk.errors.UnknownNameError):
        read(planted(10, 2)).measure(jk.Propensity("bye", "1d"))
