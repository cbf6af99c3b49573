"""Lifecycle, Stickiness and ActiveUsers against their slow twins, and the laws they keep."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import journeykit as jk
from journeykit.statistics.periods import bounds_of, covering
from tests import logs, oracle
from tests.measuring import journeys_of, many_users
from tests.oracle.activity import active_users, lifecycle, stickiness

pytestmark = pytest.mark.property

NAMES = ("view", "buy", "help")
ZONES = ("UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kolkata", "America/Havana")
ROWS = logs.logs(min_events=1, names=NAMES)
SOME = st.sampled_from((None, ("view",), ("buy", "help"), ("absent",)))
PERIODS = st.sampled_from(("1d", "1w", "1mo", "2d", "3w", "6h"))
SUNDAYS = st.sampled_from(("monday", "sunday"))


def span_of(rows, before, period, week_start, tz):
    times = [row["time"] for row in rows]
    return covering(min(times), max(times), period, week_start, tz, before).edges.tolist()


@pytest.mark.parametrize("tz", [*ZONES, "America/New_York", "Africa/Cairo", "Asia/Beirut", "Pacific/Apia"])
@pytest.mark.parametrize("period", ["1d", "1w", "1mo", "1q", "1y"])
@pytest.mark.parametrize("week_start", ["monday", "sunday"])
def test_calendar_periods_are_those_of_the_slow_twin(tz, period, week_start):
    """Two years with every change of the clocks, midnights that do not exist, and a day that was left out."""
    for year in (2010, 2018):
        first = round(datetime(year, 12, 30, 13, tzinfo=UTC).timestamp()) * logs.SECOND
        last = first + 800 * logs.DAY
        days = oracle.calendar(first, last, period, week_start, tz)
        edges = covering(first, last, period, week_start, tz).edges
        assert edges[:-1].tolist() == [oracle.day_start(day, tz) for day in days]
        assert edges[0] <= first < edges[1]
        assert edges[-2] <= last < edges[-1]


@given(ROWS, SOME, PERIODS, SUNDAYS, st.sampled_from(ZONES), st.sampled_from(("any", "activity")))
def test_lifecycle_is_that_of_the_slow_twin(rows, names, period, week_start, tz, new_by):
    question = jk.Lifecycle(names, period=period, week_start=week_start, new_by=new_by, missing="ignore")
    frame = journeys_of(rows, tz=tz).measure(question).frame
    edges = span_of(rows, 1, period, week_start, tz)
    assert frame.select("new", "returning", "resurrecting", "dormant").rows() == lifecycle(
        rows, edges, names, new_by
    )
    added = frame.select(pl.col("new") + pl.col("returning") + pl.col("resurrecting"))
    assert added.to_series().to_list() == frame["active"].to_list()
    before = frame["active"].to_numpy()[:-1] - frame["returning"].to_numpy()[1:]
    assert (before == -frame["dormant"].to_numpy()[1:]).all()
    with_dormant = frame.filter(pl.col("dormant") < 0)
    wanted = (with_dormant["new"] + with_dormant["resurrecting"]) / -with_dormant["dormant"]
    assert with_dormant["pulse"].to_list() == pytest.approx(wanted.to_list())
    assert frame.filter(pl.col("dormant") == 0)["pulse"].is_null().all()


@given(ROWS, SOME, PERIODS, SUNDAYS, st.sampled_from(ZONES))
def test_stickiness_is_that_of_the_slow_twin(rows, names, period, week_start, tz):
    question = jk.Stickiness(names, period=period, week_start=week_start, missing="ignore")
    frame = journeys_of(rows, tz=tz).measure(question).frame
    wanted = stickiness(rows, span_of(rows, 0, period, week_start, tz), names)
    assert frame["users"].to_list() == wanted
    assert frame["cumulative"].to_list() == np.cumsum(wanted[::-1])[::-1].tolist()


@given(ROWS, st.integers(0, 60), st.integers(1, 40), st.sampled_from(ZONES))
def test_stickiness_of_a_range_leaves_other_events_out(rows, skipped, length, tz):
    first = datetime.fromtimestamp(min(row["time"] for row in rows) // logs.SECOND, tz=UTC)
    between = (first + timedelta(hours=7 * skipped), first + timedelta(hours=7 * (skipped + length)))
    low, high = bounds_of(between, 0, 0, tz)
    inside = [row for row in rows if low <= row["time"] <= high]
    before = [row for row in rows if 2 * low - high - 1 <= row["time"] < low]
    question = jk.Stickiness(period="1w", between=between, compare_previous=True)
    frame = journeys_of(rows, tz=tz).measure(question).frame
    assert frame["users"].to_list() == stickiness(
        inside, covering(low, high, "1w", "monday", tz).edges.tolist()
    )
    edges = covering(2 * low - high - 1, low - 1, "1w", "monday", tz).edges.tolist()
    wanted = stickiness(before, edges)[: frame.height]
    assert frame["previous_users"].to_list() == wanted + [0] * (frame.height - len(wanted))


@given(ROWS, SOME, PERIODS, SUNDAYS, st.sampled_from(ZONES), st.sampled_from((1, 2, 7)))
def test_active_users_are_those_of_the_slow_twin(rows, names, period, week_start, tz, window):
    question = jk.ActiveUsers(names, period=period, window=window, week_start=week_start, missing="ignore")
    answer = journeys_of(rows, tz=tz).measure(question)
    edges = span_of(rows, window - 1, period, week_start, tz)
    assert answer.frame.select("active", "rolling").rows() == active_users(rows, edges, window, names)
    over = [edge <= max(row["time"] for row in rows) for edge in edges[window:]]
    known = [edge >= min(row["time"] for row in rows) for edge in edges[: len(over)]]
    assert answer.frame["complete"].to_list() == [a and b for a, b in zip(over, known, strict=True)]
    complete = answer.frame.filter(pl.col("complete"))
    assert answer.average["rate"][0] == pytest.approx(complete["rate"].mean())
    assert answer.average["active"][0] == pytest.approx(complete["active"].mean())


def test_intervals_are_the_jackknife():
    """By deleting the users of one group from the log, and asking again. D12.3."""
    rows = [{**row, "time": row["time"] * 3} for row in many_users(3, users=150, events=14)]
    span = {
        "observed_from": moment(min(r["time"] for r in rows)),
        "observed_until": moment(max(r["time"] for r in rows)),
    }
    users = sorted({row["user"] for row in rows})

    def journeys(own):
        table = logs.frame([row for row in rows if row["user"] in set(own)])
        return jk.read_events(table, user="user", time="time", event="event", **span).sessionize("30m")

    def check(question, value_of, scale, row_of, names):
        found = row_of(journeys(users).measure(question))
        value = lambda own: value_of(journeys(own).measure(question))  # noqa: E731
        wanted = oracle.jackknife(users, value, scale, denominator_users=len(users))
        assert np.allclose([found[name] for name in names], wanted[:2], rtol=1e-9)

    mean = lambda answer: answer.average.row(0, named=True)  # noqa: E731
    fifth = lambda answer: answer.frame.row(5, named=True)  # noqa: E731
    check(jk.ActiveUsers(window=3), lambda answer: mean(answer)["rate"], "logit", mean, ("low", "high"))
    check(jk.Lifecycle(), lambda answer: fifth(answer)["pulse"], "log", fifth, ("pulse_low", "pulse_high"))


def moment(micro):
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micro)
