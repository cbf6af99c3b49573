"""Retention against its slow twin, on calendars with time zones and on a clock, and the laws it keeps."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import journeykit as jk
from journeykit.statistics.retention.retention import RULES
from tests import logs, oracle
from tests.measuring import journeys_of, many_users

pytestmark = pytest.mark.property

NAMES = ("view", "buy", "help")
ZONES = ("UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kolkata", "America/Havana")
ROWS = logs.logs(min_events=1, names=NAMES)
SOME = st.sampled_from((None, ("view",), ("buy", "help"), ("absent",)))


@st.composite
def questions(draw):
    brackets = draw(st.sampled_from((None, None, (1,), (2, 3), (7, 2, 30))))
    return oracle.RetentionQuestion(
        draw(SOME), draw(SOME), draw(st.sampled_from(("first_time", "recurring"))), draw(st.sampled_from(RULES)),
        brackets, draw(st.sampled_from((None, None, logs.DAY, 7 * logs.DAY))),
        draw(st.sampled_from(("1d", "1w", "1mo", "1q", "1y"))), draw(st.sampled_from(("monday", "sunday"))),
        draw(st.sampled_from((None, None, 1, 3))), draw(st.sampled_from((1, 1, 2))),
    )  # fmt: skip


def question(asked, **options):
    return jk.Retention(
        asked.starts, asked.returns, cohort=asked.cohort, rule=asked.rule, brackets=asked.brackets,
        clock="calendar" if asked.duration is None else timedelta(microseconds=asked.duration), period=asked.unit,
        week_start=asked.week_start, total_periods=asked.total_periods, min_occurrences=asked.minimum,
        missing="ignore", **options,
    )  # fmt: skip


def moment(micro):
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micro)


def measured(rows, until, tz, asked, **options):
    events = jk.read_events(
        logs.frame(rows), user="user", time="time", event="event", tz=tz, observed_until=moment(until)
    )
    return events.sessionize("30m").measure(question(asked, **options))


def cells_of(answer, asked):
    found = {}
    columns = ("cohort", "offset", "returned", "size", "rate", "complete")
    for cohort, offset, *cell in answer.frame.select(columns).iter_rows():
        day = oracle.floor_day(cohort.date(), asked.unit, asked.week_start)
        assert (day, offset) not in found
        found[day, offset] = oracle.Cell(*cell)
    return found


@given(ROWS, questions(), st.sampled_from(ZONES), st.integers(0, 40 * logs.DAY))
def test_a_table_is_that_of_the_slow_twin(rows, asked, tz, later):
    times = [row["time"] for row in rows]
    until = max(times) + later
    answer = measured(rows, until, tz, asked)
    assert cells_of(answer, asked) == oracle.retention_table(rows, asked, min(times), until, tz)
    grows = answer.frame["may_grow"] if asked.rule == "on_or_after" else ~answer.frame["may_grow"]
    assert (grows if asked.rule == "on_or_after" else grows == answer.frame["complete"]).all()


@given(ROWS, questions())
def test_averages_are_over_complete_cells_of_cohorts_with_users(rows, asked):
    answer = measured(rows, max(row["time"] for row in rows) + 9 * logs.DAY, "UTC", asked)
    for row in answer.average.iter_rows(named=True):
        own = answer.frame.filter(pl.col("offset") == row["offset"], pl.col("complete"), pl.col("size") > 0)
        assert (row["cohorts"], row["size"], row["returned"]) == (
            own.height, own["size"].sum(), own["returned"].sum(),
        )  # fmt: skip
        assert row["rate"] == pytest.approx(own["returned"].sum() / own["size"].sum() if own.height else None)
        assert row["simple"] == pytest.approx(own["rate"].mean())


@given(ROWS, questions())
def test_appearances_add_up_to_the_table(rows, asked):
    answer = measured(rows, max(row["time"] for row in rows), "Europe/Berlin", asked, appearances=True)
    counted = answer.appearances.group_by("cohort", "offset").len("returned").cast({"returned": pl.Int64})
    table = answer.frame.filter(pl.col("returned") > 0).select("cohort", "offset", "returned")
    assert counted.sort("cohort", "offset").rows() == table.sort("cohort", "offset").rows()


@pytest.mark.parametrize("vs", ["first", "previous"])
def test_the_interval_of_an_average_is_the_jackknife(vs):
    """By deleting the users of one group from the log, and asking again. D12.3."""
    rows = [{**row, "time": row["time"] * 40} for row in many_users(5, users=120, events=14)]
    first, last = min(row["time"] for row in rows), max(row["time"] for row in rows)
    users = sorted({row["user"] for row in rows})

    @cache
    def average(own):
        events = jk.read_events(
            logs.frame([row for row in rows if row["user"] in own]), user="user", time="time", event="event",
            observed_until=moment(last), observed_from=moment(first),
        )  # fmt: skip
        return events.sessionize("30m").measure(jk.Retention(cohort="recurring", period="1w", vs=vs)).average

    whole = average(frozenset(users))
    for offset, (name, stem) in itertools.product((1, 3), (("rate", ""), ("simple", "simple_"))):
        value_of = lambda own: average(frozenset(own)).filter(pl.col("offset") == offset)[name][0]  # noqa: B023, E731
        scale = "logit" if vs == "first" else "log"
        wanted = oracle.jackknife(users, value_of, scale, denominator_users=len(users))
        row = whole.filter(pl.col("offset") == offset).row(0, named=True)
        assert np.allclose((row[f"{stem}low"], row[f"{stem}high"]), wanted[:2], rtol=1e-9)


@given(ROWS, st.sampled_from(("first_time", "recurring")), st.sampled_from((None, "24h")))
def test_property_cohorts_are_those_users_alone(rows, cohort, clock):
    """A value's cells are the weighted averages of the table of the users who started with it."""
    device = {
        user: ("mobile", "desktop", None)[i % 3]
        for i, user in enumerate(dict.fromkeys(r["user"] for r in rows))
    }
    rows = [{**row, "device": device[row["user"]]} for row in rows]
    options = {"cohort": cohort, "clock": clock or "calendar", "missing": "ignore"}
    journeys = journeys_of(rows)
    found = journeys.measure(jk.Retention("view", cohort_by="device", **options)).frame
    for value in set(device.values()):
        part = found.filter(pl.col("cohort").eq_missing(value))
        alone = journeys.filter(pl.col("device").eq_missing(pl.lit(value, pl.String)), keep="users")
        wanted = alone.measure(jk.Retention("view", **options)).average
        if wanted["size"].sum() == 0 and part.height == 0:
            continue
        columns = ("offset", "size", "returned", "rate")
        assert part.select(columns).rows() == wanted.select(columns).rows()
