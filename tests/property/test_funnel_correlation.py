"""What goes with conversion, against the slow twin: random funnels and logs. D7.11."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import journeykit as jk
from journeykit.mathematics.multiple_tests import benjamini_hochberg
from tests import logs, oracle
from tests.property.test_funnel import SECOND, dense_logs, questions, with_sessions

pytestmark = pytest.mark.property


@given(dense_logs(max_events=14), questions(), st.sampled_from(("events", "device")))
def test_counts_are_those_of_the_slow_twin(rows, asked_unit, of):
    asked, unit = asked_unit
    events = jk.read_events(
        logs.frame(rows), user="user", time="time", event="event", keep=["device", "amount"]
    )
    question = jk.FunnelCorrelation(replace(asked.funnel, value=None), of)
    frame = events.sessionize("5s").measure(question).frame
    units = oracle.funnel_units(with_sessions(rows, 5 * SECOND), asked.question, unit)
    expected = oracle.correlates(units, asked.question, of)
    found = {row["event" if of == "events" else "value"]: row for row in frame.to_dicts()}
    assert set(found) == set(expected)
    for name, wanted in expected.items():
        row = found[name]
        assert (row["success"], row["failure"], row["converted"], row["others"]) == tuple(wanted)
        assert row["odds_ratio"] == pytest.approx(wanted.odds_ratio)
        assert row["phi"] == (None if wanted.phi is None else pytest.approx(wanted.phi))
        assert row["weak"] == wanted.weak
    adjusted = oracle.benjamini_hochberg(frame["p_value"].to_list())
    assert frame["p_adjusted"].to_list() == pytest.approx(adjusted)


def test_adjusted_p_is_that_of_the_slow_twin():
    p = [0.3, None, 0.01, 0.04, 0.03, 0.2]
    ours = benjamini_hochberg(pl.Series(p).to_numpy())
    theirs = oracle.benjamini_hochberg(p)
    assert [None if np.isnan(one) else pytest.approx(one) for one in ours] == theirs
