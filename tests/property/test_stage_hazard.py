"""StageHazard against its slow twin."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import journeykit as jk
from tests import logs, oracle
from tests.measuring import many_users, table
from tests.property.test_stage_flow import LOOPS, ROWS, UNITS, WITH_SESSIONS, staged, staged_units

pytestmark = pytest.mark.property

COUNTS = ("at_risk", "advanced", "regressed", "looped", "abandoned")
NUMBERS = {"look": 1, "want": 2, "own": 3, "love": 4}


def counts_of(frame):
    """The counts of a frame as those of the twin."""
    found = table(frame, ("stage", "event"), COUNTS)
    return {(NUMBERS[stage], event): counts for (stage, event), counts in found.items()}


@given(ROWS, UNITS, st.sampled_from((None, logs.MINUTE, logs.TIMEOUT, logs.DAY)), st.integers(1, 4))
def test_counts_are_those_of_the_twin(rows, unit, horizon, most):
    horizon = horizon if unit == "user" else None
    journeys = staged(rows)
    question = jk.StageHazard(unit, None if horizon is None else f"{horizon}us", max_events=most)
    answer = journeys.measure(question)
    units = staged_units(rows, unit, oracle.sessions)
    silence = [journeys.observed_until - each.times[-1] for each in units]
    if unit == "session":
        still_open = [each <= logs.TIMEOUT for each in silence]
    else:
        still_open = [horizon is not None and each < horizon for each in silence]
    expected = oracle.stage_hazards(
        [[one.current for one in each.staged] for each in units], still_open, LOOPS
    )
    shown = {key: counts for key, counts in expected.items() if key[1] <= most}
    assert counts_of(answer.frame) == shown
    beyond = sum(counts["at_risk"] for (_, event), counts in expected.items() if event == most + 1)
    noted = f"{beyond:,} times a {unit} has more events in a stage than max_events={most} shows."
    assert (noted in answer.notes) == (beyond > 0)


@given(WITH_SESSIONS, UNITS)
def test_stages_follow_time_where_sessions_interleave(rows, unit):
    journeys = staged(rows, jk.SessionRule.from_column("own"), session="session")
    units = staged_units(rows, unit, lambda own: oracle.column_sessions(own, "own"))
    answer = journeys.measure(jk.StageHazard(unit, max_events=1000))
    silence = [journeys.observed_until - each.times[-1] for each in units]
    still_open = [unit == "session" and each <= logs.TIMEOUT for each in silence]
    current = [[one.current for one in each.staged] for each in units]
    assert counts_of(answer.frame) == oracle.stage_hazards(current, still_open, LOOPS)


@pytest.mark.parametrize("unit", ["user", "session"])
def test_intervals_are_those_of_the_twin(unit):
    names = {"home": "view", "view": "help", "cart": "cart", "buy": "purchase"}
    rows = [{**row, "event": names[row["event"]]} for row in many_users(4, users=90)]
    answer = staged(rows).measure(jk.StageHazard(unit))
    row = answer.frame.row(0, named=True)
    assert (row["stage"], row["event"]) == ("look", 1)
    by_user = {}
    for user, own in oracle.order(rows).items():
        by_user[user] = [
            [one.current for one in each.staged] for each in staged_units(own, unit, oracle.sessions)
        ]
    reaching = [user for user, units in by_user.items() if any(1 in unit for unit in units)]
    assert row["users"] == len(reaching)

    def share(users):
        units = [unit for user in users for unit in by_user[user]]
        counts = oracle.stage_hazards(units, [False] * len(units), LOOPS)[1, 1]
        return counts["advanced"] / counts["at_risk"]

    if unit == "user":
        wanted = oracle.wilson(row["advanced_hazard"], len(reaching))
    else:
        wanted = oracle.jackknife(list(by_user), share, "logit")
    assert row["advanced_hazard"] == pytest.approx(share(by_user))
    assert (row["advanced_hazard_low"], row["advanced_hazard_high"]) == pytest.approx(
        (wanted.low, wanted.high)
    )
