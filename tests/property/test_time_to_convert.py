"""TimeToConvert against slow twins of its curves, variances and tests; its times against those of Abandonment."""

from __future__ import annotations

import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import journeykit as jk
from tests import logs, oracle
from tests.measuring import journeys_of, many_users

pytestmark = pytest.mark.property

NAMES = ("view", "cart", "buy")
ROWS = logs.logs(min_events=1, names=NAMES)
WINDOWS = st.sampled_from((None, logs.SECOND, logs.TIMEOUT, logs.DAY))
UNITS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2)), min_size=1, max_size=30)


@given(ROWS, st.sampled_from((logs.TIMEOUT, logs.DAY)), WINDOWS)
def test_times_are_those_of_abandonment(rows, horizon, within):
    options = {
        "goal": "buy", "start": "view", "horizon": f"{horizon}us", "missing": "ignore",
        "within": None if within is None else f"{within}us",
    }  # fmt: skip
    journeys = journeys_of(rows)
    found, wanted = journeys.measure(jk.TimeToConvert(**options)), journeys.measure(jk.Abandonment(**options))
    keys = ["group", "outcome", "time"]
    assert_frame_equal(found.times.sort(keys), wanted.times.sort(keys), check_column_order=False)
    assert found.frame["reached"].to_list() == wanted.frame["reached"].to_list()


@given(ROWS, WINDOWS)
def test_steps_are_events_after_the_start(rows, within):
    """Without a horizon: to the goal, or to the last event, or to the last one in the window."""
    question = jk.TimeToConvert(
        "buy", "view", by="step", within=None if within is None else f"{within}us", missing="ignore"
    )
    found = journeys_of(rows).measure(question).times
    wanted = []
    for own in oracle.order(rows).values():
        names = [row["event"] for row in own]
        if "view" not in names:
            continue
        s = names.index("view")
        kept = [row for row in own[s:] if within is None or row["time"] - own[s]["time"] <= within]
        later = [row["event"] for row in kept[1:]]
        wanted.append((1, later.index("buy") + 1) if "buy" in later else (0, len(later)))
    listed = [pair for *pair, n in found.select("outcome", "time", "count").iter_rows() for _ in range(n)]
    assert sorted(map(tuple, listed)) == sorted(wanted)


def variances(units, tau):
    """Greenwood's variance of S, and that of F_1 as a double sum. Putter, Fiocco & Geskus 2007."""
    greenwood = of_share = 0.0
    share = oracle.aalen_johansen(units, 1, tau)
    survival = 1.0
    for time in sorted({t for t, _ in units if t <= tau}):
        n = sum(t >= time for t, _ in units)
        own = sum(t == time and k == 1 for t, k in units)
        every = sum(t == time and k > 0 for t, k in units)
        rest = share - oracle.aalen_johansen(units, 1, time)
        if n > every:
            greenwood += every / (n * (n - every))
            of_share += rest**2 * every / (n * (n - every))
        of_share += survival**2 * (n - own) * own / n**3 - 2 * rest * survival * own / n**2
        survival *= 1 - every / n
    return survival**2 * greenwood, of_share


def log_log(share, variance):
    if not 0 < share < 1:
        return share, share
    rest = 1 - share
    reach = 1.959963984540054 * math.sqrt(max(variance, 0)) / abs(rest * math.log(rest))
    return 1 - rest ** math.exp(-reach), 1 - rest ** math.exp(reach)


@given(UNITS)
def test_curves_are_those_of_the_slow_twin(units):
    table = pl.DataFrame(units, schema=["duration", "outcome"], orient="row")
    answer = jk.TimeToConvert.of_durations(table, quantiles=(0.25, 0.5))
    for row in answer.curve.iter_rows(named=True):
        time = row["time"]
        assert row["at_risk"] == sum(t >= time for t, _ in units)
        share = oracle.aalen_johansen(units, 1, time)
        assert row["converted_by"] == pytest.approx(share)
        assert row["abandoned_by"] == pytest.approx(oracle.aalen_johansen(units, 2, time))
        assert row["converted_by"] + row["abandoned_by"] + row["unresolved"] == pytest.approx(1)
        greenwood, of_share = variances(units, time)
        low, high = log_log(share, of_share)
        assert (row["converted_by_low"], row["converted_by_high"]) == pytest.approx((low, high), abs=1e-6)
        low, high = log_log(1 - row["unresolved"], greenwood)
        assert (1 - row["unresolved_high"], 1 - row["unresolved_low"]) == pytest.approx((low, high), abs=1e-9)
    times = answer.curve["time"].to_list()
    for q, name in ((0.25, "time_p25"), (0.5, "time_median")):
        reached = [time for time in times if oracle.aalen_johansen(units, 1, time) >= q - 1e-12]
        assert answer.frame[name][0] == min(reached, default=math.inf)
    tau = 4
    survival = {
        t: 1 - oracle.aalen_johansen(units, 1, t) - oracle.aalen_johansen(units, 2, t) for t in range(tau)
    }
    known = max(times) >= tau or answer.curve["unresolved"][-1] < 1e-12
    mean = answer.restricted_mean(tau)["restricted_mean"][0]
    assert mean == (pytest.approx(sum(survival.values())) if known else None)
    hazard = answer.hazard(2)
    for row in hazard.iter_rows(named=True):
        inside = [
            t for t, k in units if k == 1 and (row["above"] < t or row["above"] == 0) and t <= row["up_to"]
        ]
        assert row["converted"] == len(inside)
        assert row["at_risk"] == sum(t > row["above"] or row["above"] == 0 for t, _ in units)


@given(UNITS, UNITS)
def test_log_rank_of_two_is_observed_minus_expected(one, two):
    rows = [(*unit, "a") for unit in one] + [(*unit, "b") for unit in two]
    table = pl.DataFrame(rows, schema=["duration", "outcome", "arm"], orient="row")
    found = jk.TimeToConvert.of_durations(table, by="arm").log_rank().row(0, named=True)
    excess = variance = 0.0
    for time in sorted({t for t, k, _ in rows if k == 1}):
        n, n1 = sum(t >= time for t, _, _ in rows), sum(t >= time for t, _ in one)
        d = sum(t == time and k == 1 for t, k, _ in rows)
        excess += sum(t == time and k == 1 for t, k in one) - d * n1 / n
        variance += d * (n1 / n) * (1 - n1 / n) * (n - d) / max(n - 1, 1)
    if not any(k == 1 for _, k, _ in rows):
        assert found["chi_square"] is None
    elif variance > 1e-9:
        assert found["chi_square"] == pytest.approx(excess**2 / variance)
        assert found["p_value"] == pytest.approx(math.erfc(math.sqrt(found["chi_square"] / 2)), abs=1e-12)


def test_hazards_of_sessions_have_the_jackknife():
    rows = many_users(5, users=90)
    journeys = journeys_of(rows)
    found = journeys.measure(jk.TimeToConvert("buy", "view", unit="session")).hazard("10m")
    row = found.row(0, named=True)
    times = {user: [] for user in {each["user"] for each in rows}}
    for user, own in oracle.order(rows).items():
        for session in oracle.sessions(own).sessions:
            names = [each["event"] for each in session]
            if "view" not in names:
                continue
            s = names.index("view")
            goals = [
                each["time"]
                for each, name in zip(session[s + 1 :], names[s + 1 :], strict=True)
                if name == "buy"
            ]
            times[user].append(bool(goals) and goals[0] - session[s]["time"] <= 10 * logs.MINUTE)
    with_view = [user for user, own in times.items() if own]

    def share(users):
        own = [each for user in users for each in times[user]]
        return sum(own) / len(own)

    wanted = oracle.jackknife(with_view, share, "logit")
    assert row["converted_hazard"] == pytest.approx(share(with_view))
    assert (row["converted_low"], row["converted_high"]) == pytest.approx((wanted.low, wanted.high))
