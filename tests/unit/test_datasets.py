"""The logs that ship with the package, and the simulated shop against its planted truth."""

from __future__ import annotations

import gzip
import pickle
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from journeykit import datasets
from journeykit.datasets import planted
from journeykit.datasets.planted import DEVICE_SHARES, DEVICES, END, EVENTS, START
from journeykit.errors import ParameterError

SHARED = Path(__file__).parents[3] / "shared" / "data"
MINUTE, HOUR = pl.duration(minutes=1), pl.duration(hours=1)

SCHEMA = {
    "user": pl.String,
    "time": pl.Datetime("us", "UTC"),
    "event": pl.String,
    "device": pl.String,
    "channel": pl.String,
    "value": pl.Float64,
}


# Shipped logs


def test_access_log_is_the_original_packed_without_a_time_stamp() -> None:
    packed = datasets.access_log().read_bytes()
    lines = gzip.decompress(packed).splitlines()
    assert packed[4:8] == bytes(4)
    assert len(lines) == 10_000
    assert lines[0].startswith(b"83.149.9.216 - - [17/May/2015:10:05:03 +0000]")
    assert len({line.split(b" ", 1)[0] for line in lines}) == 1_753


def test_access_log_equals_the_shared_file() -> None:
    original = SHARED / "access_log" / "elastic_apache_logs.log"
    if not original.exists():
        pytest.skip("shared data not present: data/access_log")
    assert gzip.decompress(datasets.access_log().read_bytes()) == original.read_bytes()


def test_shop_log_has_the_documented_rows() -> None:
    frame = pl.read_csv(datasets.shop(), try_parse_dates=True)
    assert frame.height == 31_106
    assert frame["user_id"].n_unique() == 600
    assert frame["session_id"].n_unique() == 3_605


def test_shop_log_equals_the_shared_file() -> None:
    original = SHARED / "shop" / "ecom.csv.gz"
    if not original.exists():
        pytest.skip("shared data not present: data/shop")
    assert datasets.shop().read_bytes() == original.read_bytes()


def test_licence_and_notice_lie_beside_the_logs() -> None:
    folder = datasets.shop().parent
    assert "Version 2.0, January 2004" in (folder / "LICENSE-Apache-2.0.txt").read_text()
    assert (folder / "shop.NOTICE.txt").read_text().startswith("Retentioneering")
    credits_text = (folder / "CREDITS.md").read_text()
    assert "github.com/elastic/examples" in credits_text
    assert {path.name for path in folder.glob("*.gz")} == set(
        re.findall(r"`(\S+\.(?:csv|log)\.gz)` \|", credits_text)
    )


# The log of the simulated shop


@pytest.fixture(scope="module")
def small() -> datasets.SimulatedShop:
    return datasets.simulate_shop(3_000, rng=5)


@pytest.mark.parametrize("n_users", [0, 1, 2, 50])
def test_every_user_has_events(n_users: int) -> None:
    events = datasets.simulate_shop(n_users, rng=3).events
    assert events.schema == SCHEMA
    assert events["user"].n_unique() == n_users
    assert events.height >= n_users


def test_truth_does_not_depend_on_the_users() -> None:
    none, some = datasets.simulate_shop(0, rng=1).truth, datasets.simulate_shop(9, rng=2).truth
    assert_frame_equal(none.stage_transitions, some.stage_transitions)
    assert none.device_effect == some.device_effect


def test_same_seed_same_shop() -> None:
    first = datasets.simulate_shop(200, rng=11).events
    assert_frame_equal(first, datasets.simulate_shop(200, rng=11).events)
    assert_frame_equal(first, datasets.simulate_shop(200, rng=np.random.default_rng(11)).events)
    assert_frame_equal(first, datasets.simulate_shop(200, rng=np.int64(11)).events)  # type: ignore[arg-type]
    assert not first.equals(datasets.simulate_shop(200, rng=12).events)


def test_a_generator_moves_on() -> None:
    generator = np.random.default_rng(11)
    first = datasets.simulate_shop(20, rng=generator).events
    assert not first.equals(datasets.simulate_shop(20, rng=generator).events)


def test_rows_are_in_time_order_and_a_user_never_has_two_events_at_once(
    small: datasets.SimulatedShop,
) -> None:
    assert small.events["time"].is_sorted()
    assert not small.events.select("user", "time").is_duplicated().any()


def test_silences_leave_no_doubt_about_the_sessions(small: datasets.SimulatedShop) -> None:
    gap = pl.col("time").diff().over("user")
    gaps = small.events.select(gap.alias("gap")).drop_nulls()
    inside, between = gaps.filter(pl.col("gap") <= 25 * MINUTE), gaps.filter(pl.col("gap") > 2 * HOUR)
    assert inside.height + between.height == gaps.height
    assert inside["gap"].min() == timedelta(seconds=1)
    assert between.height > small.events["user"].n_unique()
    sessions = _with_sessions(small.events)
    assert sessions.group_by("session").agg(pl.col("channel").n_unique())["channel"].max() == 1
    per_user = sessions.group_by("user").agg(pl.col("session").n_unique())
    assert (per_user["session"] <= 12).all()


def test_the_log_lasts_twelve_weeks_from_a_monday(small: datasets.SimulatedShop) -> None:
    times = small.events["time"]
    assert str(times.min())[:10] == "2026-01-05"
    assert str(times.max())[:10] in {"2026-03-28", "2026-03-29"}


def test_nobody_arrives_in_the_last_two_weeks(small: datasets.SimulatedShop) -> None:
    arrivals = small.events.group_by("user").agg(pl.col("time").min())["time"]
    assert str(arrivals.max())[:10] == "2026-03-15"


def test_values_are_on_purchases_only(small: datasets.SimulatedShop) -> None:
    purchases = pl.col("event") == "purchase"
    assert small.events.filter(~purchases)["value"].null_count() == small.events.filter(~purchases).height
    assert (small.events.filter(purchases)["value"] > 0).all()


def test_a_user_has_one_device(small: datasets.SimulatedShop) -> None:
    assert small.events.group_by("user").agg(pl.col("device").n_unique())["device"].max() == 1


def test_every_event_has_one_stage(small: datasets.SimulatedShop) -> None:
    named = [event for events in small.stages.values() for event in events]
    assert list(small.stages) == ["awareness", "consideration", "purchase", "usage", "loyalty"]
    assert len(named) == len(set(named))
    assert set(small.events["event"]) == set(named)


def test_changing_the_stages_of_one_shop_leaves_the_next_alone(small: datasets.SimulatedShop) -> None:
    datasets.simulate_shop(1, rng=1).stages["awareness"].clear()
    assert datasets.simulate_shop(1, rng=1).stages == small.stages


def test_a_shop_goes_to_another_process(small: datasets.SimulatedShop) -> None:
    copy = pickle.loads(pickle.dumps(small))
    assert copy.truth.conversion_rate_by_device == small.truth.conversion_rate_by_device


# Arguments that cannot be used


@pytest.mark.parametrize("n_users", [-1, 1.0, True, None, "10", float("nan")])
def test_number_of_users_is_refused(n_users: Any) -> None:
    with pytest.raises(ParameterError) as caught:
        datasets.simulate_shop(n_users, rng=1)
    assert str(caught.value) == f"n_users cannot be {n_users!r}. Give a whole number of users, 0 or more."


@pytest.mark.parametrize("rng", [-1, 1.5, True, None, "1", np.random.RandomState(1)])
def test_randomness_is_refused(rng: Any) -> None:
    with pytest.raises(ParameterError) as caught:
        datasets.simulate_shop(1, rng=rng)
    assert str(caught.value) == (
        f"rng cannot be {rng!r}. Give a seed (a whole number, 0 or more) or a numpy.random.Generator."
    )


def test_the_seed_must_be_named() -> None:
    with pytest.raises(TypeError):
        datasets.simulate_shop(1, 1)  # type: ignore[call-arg]


# The truth against slow, obvious solutions


def _by_steps(device: str) -> tuple[float, float]:
    """Follow the distribution over (event, cart seen, bought after the cart) for many steps."""
    chain = planted.event_chain(device)
    cart, purchase = EVENTS.index("add_to_cart"), EVENTS.index("purchase")
    now = {(0, False, False, False): 1.0}
    ended: dict[tuple[bool, bool, bool], float] = {}
    for _ in range(150):
        after: dict[tuple[int, bool, bool, bool], float] = {}
        for (row, carted, bought, bought_after), mass in now.items():
            for column in np.flatnonzero(chain[row]):
                share = mass * chain[row, column]
                if column == len(EVENTS):
                    key = (carted, bought, bought_after)
                    ended[key] = ended.get(key, 0.0) + share
                    continue
                is_purchase = column == purchase
                state = (
                    int(column) + 1,
                    carted or column == cart,
                    bought or is_purchase,
                    bought_after or (carted and is_purchase),
                )
                after[state] = after.get(state, 0.0) + share
        now = after
    assert sum(ended.values()) == pytest.approx(1, abs=1e-9)
    with_cart = sum(mass for (carted, _, _), mass in ended.items() if carted)
    lost = sum(mass for (carted, _, after), mass in ended.items() if carted and not after)
    converted = sum(mass for (_, bought, _), mass in ended.items() if bought)
    return lost / with_cart, converted


@pytest.mark.parametrize("device", DEVICES)
def test_rates_equal_following_the_chain_step_by_step(device: str) -> None:
    truth = datasets.simulate_shop(0, rng=0).truth
    lost, converted = _by_steps(device)
    assert truth.cart_abandonment_rate_by_device[device] == pytest.approx(lost, abs=1e-8)
    assert truth.conversion_rate_by_device[device] == pytest.approx(converted, abs=1e-8)


def test_mobile_converts_less_and_abandons_more() -> None:
    truth = datasets.simulate_shop(0, rng=0).truth
    by_device = truth.conversion_rate_by_device
    assert truth.device_effect == by_device["mobile"] - by_device["desktop"]
    assert truth.device_effect < -0.05
    desktop, mobile = (truth.cart_abandonment_rate_by_device[device] for device in DEVICES)
    assert desktop < truth.cart_abandonment_rate < mobile
    assert truth.conversion_rate == pytest.approx(np.dot(DEVICE_SHARES, list(by_device.values())))


@pytest.mark.parametrize("table", ["event_transitions", "stage_transitions"])
def test_each_row_of_transitions_sums_to_one(table: str) -> None:
    truth = datasets.simulate_shop(0, rng=0).truth
    for frame, keys in [
        (getattr(truth, table), ["source"]),
        (getattr(truth, f"{table}_by_device"), ["device", "source"]),
    ]:
        sums = frame.group_by(keys).agg(pl.col("probability").sum())["probability"]
        assert np.allclose(sums, 1, atol=1e-12)
        assert frame["probability"].min() > 0


@pytest.mark.parametrize("device", DEVICES)
def test_chain_of_stages_is_the_chain_of_events_lumped(device: str) -> None:
    truth = datasets.simulate_shop(0, rng=0).truth
    stage = {START: START, END: END} | {name: key for key, names in planted.STAGES.items() for name in names}
    lumped = (
        truth.event_transitions_by_device.filter(pl.col("device") == device)
        .with_columns(pl.col("target").replace_strict(stage))
        .group_by("source", "target")
        .agg(pl.col("probability").sum())
        .with_columns(pl.col("source").replace_strict(stage).alias("stage"))
        .join(
            truth.stage_transitions_by_device.filter(pl.col("device") == device),
            left_on=["stage", "target"],
            right_on=["source", "target"],
            how="left",
        )
    )
    assert lumped["probability_right"].null_count() == 0
    assert np.allclose(lumped["probability"], lumped["probability_right"], atol=1e-12)


# The truth against a large simulation


@pytest.fixture(scope="module")
def large() -> datasets.SimulatedShop:
    return datasets.simulate_shop(200_000, rng=20_260_105)


@pytest.fixture(scope="module")
def large_sessions(large: datasets.SimulatedShop) -> pl.DataFrame:
    return _with_sessions(large.events)


def _with_sessions(events: pl.DataFrame) -> pl.DataFrame:
    ordered = events.sort("user", "time")
    cuts = (pl.col("time").diff() > 30 * MINUTE) | (pl.col("user") != pl.col("user").shift())
    return ordered.with_columns(cuts.fill_null(True).cast(pl.Int64).cum_sum().alias("session"))


def _errors(users: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """Estimate a ratio of sums over users (`hit` of `base`) and its standard error, by linearisation."""
    ratio = pl.col("hit").sum() / pl.col("base").sum()
    residual = pl.col("hit") - ratio * pl.col("base")
    error = residual.pow(2).sum().sqrt() / pl.col("base").sum()
    return users.group_by(keys).agg(
        ratio.alias("estimate"), error.alias("error"), pl.col("hit").sum().alias("hits")
    )


def _session_rates(sessions: pl.DataFrame) -> pl.DataFrame:
    bought = pl.col("event") == "purchase"
    carts = (pl.col("event") == "add_to_cart").cast(pl.Int64).cum_sum().over("session")
    per_session = (
        sessions.with_columns(bought=bought, carted=carts > 0)
        .group_by("session")
        .agg(
            pl.col("user", "device").first(),
            pl.col("bought").any(),
            pl.col("carted").any(),
            kept=(pl.col("bought") & pl.col("carted")).any(),
        )
    )
    lost = pl.col("carted") & ~pl.col("kept")
    frames = []
    for rate, hit, base in [
        ("conversion", pl.col("bought"), pl.lit(True)),
        ("abandonment", lost, pl.col("carted")),
    ]:
        users = per_session.group_by("user").agg(
            pl.col("device").first(),
            hit=hit.sum().cast(pl.Int64),
            base=(base & pl.col("bought").is_not_null()).sum(),
        )
        frames += [
            _errors(users.with_columns(device, rate=pl.lit(rate)), ["rate", "device"])
            for device in (pl.col("device"), pl.lit("all").alias("device"))
        ]
    return pl.concat(frames)


def test_rates_of_a_large_shop_are_near_the_truth(
    large: datasets.SimulatedShop, large_sessions: pl.DataFrame
) -> None:
    truth = large.truth
    planted_rates = {
        ("conversion", "all"): truth.conversion_rate,
        ("abandonment", "all"): truth.cart_abandonment_rate,
    }
    for device in DEVICES:
        planted_rates["conversion", device] = truth.conversion_rate_by_device[device]
        planted_rates["abandonment", device] = truth.cart_abandonment_rate_by_device[device]
    measured = _session_rates(large_sessions)
    assert measured.height == len(planted_rates)
    for row in measured.iter_rows(named=True):
        assert row["error"] < 0.003
        assert abs(row["estimate"] - planted_rates[row["rate"], row["device"]]) < 4 * row["error"], row


def test_shares_of_devices_are_as_planted(large: datasets.SimulatedShop) -> None:
    mobile = large.events.unique("user")["device"].eq("mobile").mean()
    assert abs(mobile - large.truth.device_shares["mobile"]) < 4 * np.sqrt(0.24 / 200_000)  # type: ignore[operator]


def _moves(sessions: pl.DataFrame, name: pl.Expr) -> pl.DataFrame:
    """Count per user how often each state follows each, START and END included (D4.1)."""
    states = sessions.select("user", "device", "session", name.alias("state"))
    inner = states.with_columns(
        pl.col("state").shift().over("session").fill_null(START).alias("source"),
        pl.col("state").alias("target"),
    )
    last = states.group_by("session").last().select(inner.columns[:4], source="state", target=pl.lit(END))
    moves = pl.concat([inner, last]).group_by("user", "device", "source", "target").len("hit")
    return moves.with_columns(pl.col("hit").cast(pl.Int64))


def _farthest(moves: pl.DataFrame, truth: pl.DataFrame, keys: list[str]) -> float:
    """Give the largest distance of an estimated probability from the planted one, in standard errors.

    Users who leave a source without taking the edge have a residual too: their squares are in `squares`.
    """
    base = moves.group_by("user", *keys).agg(pl.col("hit").sum().alias("base"))
    whole = base.group_by(keys).agg(
        pl.col("base").sum().alias("n"), pl.col("base").pow(2).sum().alias("squares")
    )
    seen = (
        moves.join(base, on=["user", *keys])
        .group_by(*keys, "target")
        .agg(
            pl.col("hit").sum().alias("x"),
            (pl.col("hit") ** 2).sum().alias("xx"),
            (pl.col("hit") * pl.col("base")).sum().alias("xn"),
        )
    )
    p = pl.col("x") / pl.col("n")
    variance = (pl.col("xx") - 2 * p * pl.col("xn") + p**2 * pl.col("squares")) / pl.col("n") ** 2
    joined = truth.join(seen, on=[*keys, "target"], how="full", coalesce=True).join(whole, on=keys)
    assert joined["probability"].null_count() == 0, "a transition that was not planted"
    assert joined["x"].null_count() == 0, "a planted transition that never happened"
    distance = joined.select((p - pl.col("probability")).abs() / variance.sqrt()).to_series().max()
    assert isinstance(distance, float)
    return distance


def test_stage_transitions_of_a_large_shop_are_near_the_truth(
    large: datasets.SimulatedShop, large_sessions: pl.DataFrame
) -> None:
    stage = {name: key for key, names in large.stages.items() for name in names}
    moves = _moves(large_sessions, pl.col("event").replace_strict(stage))
    assert _farthest(moves, large.truth.stage_transitions, ["source"]) < 4
    assert _farthest(moves, large.truth.stage_transitions_by_device, ["device", "source"]) < 4


def test_event_transitions_of_a_large_shop_are_near_the_truth(
    large: datasets.SimulatedShop, large_sessions: pl.DataFrame
) -> None:
    # Four standard errors hold for one number; the largest among 479 and 958 may be a little more.
    moves = _moves(large_sessions, pl.col("event"))
    assert _farthest(moves, large.truth.event_transitions, ["source"]) < 4.5
    assert _farthest(moves, large.truth.event_transitions_by_device, ["device", "source"]) < 4.5


# Simulated customers of several channels


@pytest.fixture(scope="module")
def omnichannel() -> datasets.SimulatedOmnichannel:
    return datasets.simulate_omnichannel(4_000, rng=5)


def test_the_customers_are_the_same_for_a_seed() -> None:
    one, other = (datasets.simulate_omnichannel(200, rng=3) for _ in range(2))
    for name in ("web", "app", "receipts", "tickets", "answers", "customers", "truth", "links"):
        assert_frame_equal(getattr(one, name), getattr(other, name))
    assert not datasets.simulate_omnichannel(200, rng=4).web.equals(one.web)


def test_nobody_leaves_no_trace() -> None:
    nobody = datasets.simulate_omnichannel(0, rng=1)
    for name in ("web", "app", "receipts", "tickets", "answers", "customers", "truth"):
        assert getattr(nobody, name).height == 0, name


def test_every_id_that_occurs_has_a_person(omnichannel: datasets.SimulatedOmnichannel) -> None:
    truth = dict(omnichannel.truth.select("id", "person").iter_rows())
    assert len(truth) == omnichannel.truth.height
    columns = {"web": ("cookie", "login"), "app": ("device", "login"), "receipts": ("loyalty_card",)}
    columns |= {"tickets": ("customer",), "answers": ("email",), "customers": ("login", "customer", "email")}
    for name, ids in columns.items():
        for column in ids:
            found = getattr(omnichannel, name)[column].drop_nulls()
            assert found.is_in([*truth]).all(), (name, column)
    login = omnichannel.web.drop_nulls("login").filter(pl.col("cookie").str.starts_with("cookie-"))
    assert login.height > 1_000
    assert all(truth[cookie] == truth[name] for cookie, name in login.select("cookie", "login").iter_rows())


def test_the_planted_pain_is_in_the_log(omnichannel: datasets.SimulatedOmnichannel) -> None:
    counts = dict(omnichannel.web["event"].value_counts().iter_rows())
    app = dict(omnichannel.app["event"].value_counts().iter_rows())
    assert counts["delivery_error"] / counts["login"] == pytest.approx(0.3, abs=0.03)
    assert app["delivery_error"] / app["login"] == pytest.approx(0.05, abs=0.03)
    assert counts["order"] / counts["login"] == pytest.approx(0.7 * 0.6 + 0.3 * 0.15, abs=0.03)
    assert omnichannel.tickets.filter(reason="delivery").height / counts["delivery_error"] == pytest.approx(
        0.5, abs=0.1
    )


@pytest.mark.parametrize(("n_users", "rng"), [(-1, 1), (1.5, 1), (True, 1), (1, -1), (1, "x")])
def test_customers_need_a_number_and_a_seed(n_users: Any, rng: Any) -> None:
    with pytest.raises(ParameterError, match=re.escape("n_users cannot be" if rng == 1 else "rng cannot be")):
        datasets.simulate_omnichannel(n_users, rng=rng)
