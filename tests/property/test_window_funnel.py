"""The kernel of `jk.WindowFunnel` against the scan that keeps every chain. D7.14."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import journeykit as jk
from journeykit.statistics.funnels.window_funnel import MODES
from tests import logs, oracle

pytestmark = pytest.mark.property

LABELS = "abcd"
# Streams are short and each example is cheap.
many = settings(max_examples=15 * settings().max_examples)
MODE_SETS = st.sets(st.sampled_from(MODES)).map(
    lambda modes: modes - ({"allow_reentry"} if "strict_order" not in modes else set())
)
CONDITIONS = st.lists(
    st.lists(st.sampled_from(LABELS), min_size=1, max_size=3, unique=True), min_size=1, max_size=4
)


@st.composite
def streams(draw):
    """Draw short streams with many ties."""
    clock, found = 0, []
    for _ in range(draw(st.integers(1, 14))):
        clock += draw(st.sampled_from((0, 0, 0, 1, 2, 5)))
        found.append((clock, draw(st.sampled_from(LABELS + "x"))))
    return found


@many
@given(st.lists(streams(), min_size=1, max_size=4), CONDITIONS, st.integers(1, 12), MODE_SETS)
def test_levels_are_those_of_the_slow_twin(users, conditions, window, modes):
    rows = [(user, time, label) for user, stream in enumerate(users) for time, label in stream]
    log = pl.DataFrame(rows, schema=["user", "time", "event"], orient="row")
    journeys = jk.read_events(log, user="user", time="time", event="event", unit="us").sessionize(None)
    question = jk.WindowFunnel(conditions, f"{window}us", list(modes), levels=True, missing="ignore")
    answer = journeys.measure(question)
    expected = {
        user: oracle.window_funnel(stream, conditions, window, modes) for user, stream in enumerate(users)
    }
    assert {user: level for user, _, level in answer.levels.rows()} == expected
    assert dict(answer.frame.select("level", "reached").rows()) == {
        k: sum(level >= k for level in expected.values()) for k in range(len(conditions) + 1)
    }


@given(streams(), CONDITIONS, st.integers(1, 12), MODE_SETS, st.randoms())
def test_the_order_of_rows_does_not_matter(stream, conditions, window, modes, random):
    turned = random.sample(stream, len(stream))
    one, other = (oracle.window_funnel(each, conditions, window, modes) for each in (stream, turned))
    assert one == other


@given(logs.logs(min_events=1, names=("a", "b", "c")), MODE_SETS)
def test_sessions_have_levels_of_their_own(rows, modes):
    conditions = [["a"], ["b"], ["a", "c"]]
    made = jk.read_events(logs.frame(rows), user="user", time="time", event="event").sessionize("30m")
    question = jk.WindowFunnel(conditions, "1h", list(modes), unit="session", levels=True, missing="ignore")
    answer = made.measure(question)
    found = {(user, session): level for user, session, level in answer.levels.rows()}
    expected = {}
    for user, own in oracle.order(rows).items():
        for number, session in enumerate(oracle.sessions(own).sessions, 1):
            events = [(row["time"], row["event"]) for row in session]
            expected[user, number] = oracle.window_funnel(events, conditions, logs.HOUR, modes)
    assert found == expected
    best = {}
    for (user, _), level in expected.items():
        best[user] = max(level, best.get(user, 0))
    assert answer.frame["users"].to_list() == [sum(level >= k for level in best.values()) for k in range(4)]
