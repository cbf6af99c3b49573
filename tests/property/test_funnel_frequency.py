"""How often something happens between steps, against the slow twin: random funnels and logs. D7.11."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import journeykit as jk
from tests import logs
from tests.oracle import funnel_units
from tests.oracle.funnel_numbers import frequency
from tests.property.test_funnel import SECOND, dense_logs, questions, with_sessions

pytestmark = pytest.mark.property


@settings(deadline=None)
@given(dense_logs(max_events=14), questions(), st.sampled_from((("x",), ("a", "x"), ("b",))), st.data())
def test_numbers_are_those_of_the_slow_twin(rows, asked_unit, names, data):
    asked, unit = asked_unit
    assume(len(asked.question.steps) > 1)
    steps = st.integers(1, len(asked.question.steps))
    a, b = sorted(data.draw(st.lists(steps, min_size=2, max_size=2, unique=True)))
    events = jk.read_events(
        logs.frame(rows), user="user", time="time", event="event", keep=["device", "amount"]
    )
    asking = jk.FunnelFrequency(replace(asked.funnel, value=None), names, after=a, before=b)
    answer = events.sessionize("5s").measure(asking)
    units = funnel_units(with_sessions(rows, 5 * SECOND), asked.question, unit)
    entry = "all" if unit == "totals" else asked.question.rules.entry
    question = replace(asked.question, rules=replace(asked.question.rules, entry=entry))
    expected = frequency(units, question, lambda row: row["event"] in names, a, b)
    assert dict(answer.distribution.rows()) == Counter(expected)
    (row,) = answer.frame.to_dicts()
    assert (row["units"], row["occurrences"]) == (len(expected), sum(expected))
    assert row["units_with"] == sum(number > 0 for number in expected)
    assert row["mean"] == (pytest.approx(sum(expected) / len(expected)) if expected else None)
    assert (row["min"], row["max"]) == (min(expected, default=None), max(expected, default=None))
