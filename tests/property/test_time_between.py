"""TimeBetween against a slow twin: pairs of every path, percentiles, and survival under censoring."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import journeykit as jk
from tests import logs, oracle
from tests.measuring import journeys_of, many_users, paths_of

pytestmark = pytest.mark.property

NAMES = ("view", "cart", "buy")
ROWS = logs.logs(min_events=1, names=NAMES)
SOME = st.sampled_from((("view",), ("cart", "buy"), ("buy",), ("absent",)))
WINDOWS = st.sampled_from((None, 1, logs.SECOND, logs.TIMEOUT, logs.DAY, 40 * logs.DAY))


def waits_of(path, starts, ends, pairing, within, until):
    """Every wait of one path: (seconds, whether an end was reached)."""
    items = path.items
    stop = items[-1].time if path.open is False else until
    found = []
    for i, item in enumerate(items):
        if item.name not in starts or (pairing == "first" and found):
            continue
        later = [other.time for other in items[i + 1 :] if other.name in ends][:1]
        took = later[0] - item.time if later else math.inf
        limit = math.inf if within is None else within
        ended = took < math.inf and took <= limit
        found.append((took, True) if ended else (min(stop - item.time, limit), False))
    return found


@given(
    ROWS, SOME, SOME, st.sampled_from(("user", "session")), st.sampled_from(("first", "each")), WINDOWS,
)  # fmt: skip
def test_waits_are_those_of_the_slow_twin(rows, starts, ends, unit, pairing, within):
    until = max(row["time"] for row in rows)
    question = jk.TimeBetween(
        starts, ends, unit=unit, pairing=pairing, within=None if within is None else f"{within}us",
        quantiles=(0.25, 0.5), missing="ignore",
    )  # fmt: skip
    answer = journeys_of(rows).measure(question)
    observed = []
    for path in paths_of(rows, unit):
        watched = path if unit == "session" else path._replace(open=True)
        observed += waits_of(watched, starts, ends, pairing, within, until)
    row = answer.frame.row(0, named=True)
    ended = [took for took, reached in observed if reached]
    assert (row["started"], row["ended"], row["censored"]) == (
        len(observed), len(ended), len(observed) - len(ended),
    )  # fmt: skip
    found = [
        (wait, bool(closed))
        for closed, wait, count in answer.waits.select("closed", "wait", "count").iter_rows()
        for _ in range(count)
    ]
    assert sorted(found) == sorted(observed)
    for name, q in (("time_p25", 0.25), ("time_median", 0.5)):
        wanted = np.quantile(ended, q) / 1e6 if ended else None
        assert row[name] == (None if wanted is None else pytest.approx(wanted))
    points = oracle.kaplan_meier(observed)
    assert answer.curve.filter(pl.col("ended") > 0).select("at_risk", "ended").rows() == [
        (point.at_risk, point.events) for point in points
    ]
    survival = answer.curve.filter(pl.col("ended") > 0)["survival"].to_list()
    assert survival == pytest.approx([point.survival for point in points])
    median = oracle.median_survival(points) / 1e6 if observed else None
    assert row["survival_median"] == (median if median in (None, math.inf) else pytest.approx(median))
    bins = answer.histogram(("1s", "30m", "1d"))
    edges = [0, logs.SECOND, logs.TIMEOUT, logs.DAY, math.inf]
    wanted = [
        sum((low < took or low == 0) and took <= high for took in ended) for low, high in pairwise(edges)
    ]
    assert bins["ended"].to_list() == wanted


def test_stages_are_visits():
    """A run of events in a stage is one visit; the end is the next visit. D6.4."""
    model = jk.StageModel([jk.Stage("look", "view"), jk.Stage("own", "buy")])
    log = logs.log("a 0 view; a 1 view; a 5 buy; a 6 buy; a 9 view; a 20 buy")
    journeys = journeys_of(log).assign_stages(model)
    waits = journeys.measure(jk.TimeBetween("look", "own", of="stage", pairing="each")).waits
    assert waits.select("wait", "closed").rows() == [(5 * logs.MINUTE, 1), (11 * logs.MINUTE, 1)]
    again = journeys.measure(jk.TimeBetween("look", "look", of="stage")).waits
    assert again.select("wait", "closed").rows() == [(9 * logs.MINUTE, 1)]


def test_a_period_is_that_of_the_start():
    day = 24 * 60
    log = logs.log(f"a 0 view; a {day} cart; a {day + 5} buy; a {2 * day} cart")
    frame = journeys_of(log).measure(jk.TimeBetween("cart", "buy", pairing="each"), every="1d").frame
    assert [(start.day, ended) for start, ended in frame.select("period", "ended").iter_rows()] == [
        (2, 1),
        (3, 0),
    ]


def test_by_segment_is_the_log_of_that_segment():
    rows = [{**row, "device": f"d{int(row['user'][1:]) % 3}"} for row in many_users(3)]
    question = jk.TimeBetween("view", "buy", pairing="each", within="3h")
    whole = journeys_of(rows).measure(question, by="device")
    for device in ("d0", "d1", "d2"):
        part = whole.frame.filter(pl.col("device") == device).drop("device")
        alone = journeys_of(rows).filter(pl.col("device") == device).measure(question).frame
        assert_frame_equal(part, alone)
