"""What-if against exact fractions, the formula of D10.3, and the definition of the jackknife."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import journeykit as jk
from tests import oracle
from tests.logs import PLAIN_NAMES, logs
from tests.measuring import journeys_of, many_users, paths_of
from tests.oracle.chains import ABANDON, ExactChain, chain_moves
from tests.oracle.intervals import interval, standard_error

pytestmark = pytest.mark.property
CONVERT, START = "<CONVERT>", "<START>"
SIXTEENTHS = st.integers(0, 16).map(lambda n: Fraction(n, 16))


@st.composite
def questions(draw):
    rows = draw(logs(min_events=2, names=PLAIN_NAMES[:4]))
    goal = draw(st.sampled_from(sorted({row["event"] for row in rows})))
    unit = draw(st.sampled_from(("session", "user")))
    exact = ExactChain(chain_moves(paths_of(rows, unit), {CONVERT: {goal}}), [CONVERT, ABANDON])
    source, target = draw(st.sampled_from(sorted(exact.p)))
    assume(exact.p[source, target] < 1)
    return rows, goal, unit, exact, source, target


def measured(question, change):
    rows, goal, unit, *_ = question
    return journeys_of(rows).measure(jk.WhatIf(jk.Chain(goal, unit=unit, open_paths="end"), change))


@given(question=questions(), to=SIXTEENTHS)
def test_the_rest_in_proportion(question, to):
    rows, _, unit, exact, source, target = question
    assume(not (to == 1 and source == target))
    answer = measured(question, jk.Change(source, target, to=float(to)))
    wanted, n = exact.changed(source, target, to), len(paths_of(rows, unit))
    before, after = exact.absorbed(CONVERT)[START], wanted.absorbed(CONVERT)[START]
    row = answer.frame.row(0, named=True)
    assert row["conversion_changed"] == pytest.approx(float(after), abs=1e-9)
    assert row["change_in_conversions"] == pytest.approx(float(n * (after - before)), abs=1e-7)
    assert row["expected_conversions"] == pytest.approx(row["converted"], abs=1e-7)
    assert answer.changes["probability_changed"][0] == pytest.approx(float(to), abs=1e-12)
    assert answer.changes["change_in_conversions"][0] == pytest.approx(row["change_in_conversions"])
    visits = dict(answer.states.select("state", "visits_changed").iter_rows())
    for state in exact.states:
        assert visits[state] == pytest.approx(float(n * wanted.visits(START, state)), abs=1e-7)
    assert visits.get(CONVERT, 0.0) == pytest.approx(float(n * after), abs=1e-7)


@given(question=questions(), share=SIXTEENTHS, other=st.sampled_from((ABANDON, CONVERT, *PLAIN_NAMES[:4])))
def test_instead(question, share, other):
    """Also where the other move was never seen."""
    *_, exact, source, target = question
    known = {*exact.states, ABANDON, CONVERT} - {target, START}
    assume(other in known)
    to = exact.p[source, target] * share
    wanted = exact.changed(source, target, to, other)
    assume(not (source == other and wanted.p[source, other] == 1))
    answer = measured(question, jk.Change(source, target, relative=float(share) - 1, instead=other))
    assume(_ends(wanted))
    found = answer.frame["conversion_changed"][0]
    assert found == pytest.approx(float(wanted.absorbed(CONVERT)[START]), abs=1e-9)


def _ends(chain):
    reached = {CONVERT, ABANDON}
    for _ in chain.states:
        reached |= {a for (a, b), p in chain.p.items() if p > 0 and b in reached}
    return reached >= set(chain.states)


@given(question=questions(), share=SIXTEENTHS)
def test_the_formula(question, share):
    """N[START, i] (dp . b) / (1 - dp . N[., i]). D10.3."""
    *_, exact, source, target = question
    to = exact.p[source, target] * share
    after, b = exact.changed(source, target, to), exact.absorbed(CONVERT)
    b |= {CONVERT: Fraction(1), ABANDON: Fraction(0)}
    dp = {j: after.p[source, j] - exact.p[source, j] for (i, j) in exact.p if i == source}
    into = {j: exact.visits(j, source) if j in exact.states else Fraction(0) for j in dp}
    top = exact.visits(START, source) * sum(dp[j] * b[j] for j in dp)
    change = top / (1 - sum(dp[j] * into[j] for j in dp))
    found = measured(question, jk.Change(source, target, relative=float(share) - 1)).frame["difference"][0]
    assert found == pytest.approx(float(change), abs=1e-9)


@pytest.mark.parametrize("unit", ["session", "user"])
def test_intervals(unit):
    """Chain, paths and value are those of the other users, brought up to all. D12.3."""
    rows = [{**row, "value": 3.0 + len(row["event"]) + row["time"] % 7} for row in many_users(3)]
    changes = (("cart", ABANDON, Fraction(-1, 4)), ("view", "cart", Fraction(1, 8)))
    statistic = jk.WhatIf(
        jk.Chain("buy", unit=unit, open_paths="end", value="value"),
        [jk.Change(a, b, relative=float(by)) for a, b, by in changes],
    )
    answer = journeys_of(rows).measure(statistic)
    paths, users = paths_of(rows, unit), sorted({row["user"] for row in rows})
    groups = {user: oracle.group(user) for user in users}
    present = sorted(set(groups.values()))

    def numbers(kept, scale):
        own = [path for path in paths if path.user in kept]
        exact = ExactChain(chain_moves(own, {CONVERT: {"buy"}}), [])
        before, after = exact.absorbed(CONVERT)[START], exact
        for a, b, by in changes:
            after = after.changed(a, b, after.p[a, b] * (1 + by))
        gained = len(own) * scale * (after.absorbed(CONVERT)[START] - before)
        return float(gained)

    theta = numbers(set(users), 1)
    scale = Fraction(len(present), len(present) - 1)
    without = [numbers({u for u in users if groups[u] != gone}, scale) for gone in present]
    ends = interval(theta, standard_error(theta, without, len(present)), len(present), "identity")
    row = answer.frame.row(0, named=True)
    assert row["change_in_conversions"] == pytest.approx(theta)
    assert row["change_in_conversions_low"] == pytest.approx(ends.low)
    assert row["change_in_conversions_high"] == pytest.approx(ends.high)
    assert row["change_in_value"] == pytest.approx(theta * row["value_per_conversion"])
    assert row["value_per_conversion_low"] < row["value_per_conversion"] < row["value_per_conversion_high"]
    assert row["change_in_value_low"] < row["change_in_value"] < row["change_in_value_high"]


def test_small_changes_are_the_leverage():
    rows = many_users(5)
    journeys, chain = journeys_of(rows), jk.Chain("buy", open_paths="end")
    model = journeys.measure(chain).model()
    small = 1e-6
    leverage = {(a, b): v for a, b, v in model.leverage().select("source", "target", "leverage").iter_rows()}
    for source, target in (("view", "cart"), ("home", "view"), ("cart", CONVERT)):
        change = jk.Change(source, target, absolute=small, instead=ABANDON)
        found = journeys.measure(jk.WhatIf(chain, change)).frame["difference"][0]
        assert found / small == pytest.approx(leverage[source, target], rel=1e-4)
        changed = model.changed(change).conversion()["probability"][0]
        assert changed - model.conversion()["probability"][0] == pytest.approx(found, rel=1e-5)


def test_longer_states():
    """A single state stands for all that end in it; what follows is the next state of the chain."""
    rows = many_users(7)
    paths = paths_of(rows, "session")
    exact = ExactChain(chain_moves(paths, {CONVERT: {"buy"}}, order=2), [])
    after = exact
    for state in exact.states:
        if state.split(" > ")[-1] == "cart" and (state, ABANDON) in exact.p:
            after = after.changed(state, ABANDON, after.p[state, ABANDON] * Fraction(1, 2))
    chain = jk.Chain("buy", order=2, open_paths="end")
    answer = journeys_of(rows).measure(jk.WhatIf(chain, jk.Change("cart", relative=-0.5)))
    assert answer.frame["conversion_changed"][0] == pytest.approx(float(after.absorbed(CONVERT)[START]))
    p = exact.p["view > cart", "cart > view"]
    one = exact.changed("view > cart", "cart > view", p + Fraction(1, 20))
    for target in ("view", "cart > view"):
        answer = journeys_of(rows).measure(jk.WhatIf(chain, jk.Change("view > cart", target, absolute=0.05)))
        assert answer.frame["conversion_changed"][0] == pytest.approx(float(one.absorbed(CONVERT)[START]))
        assert np.isclose(answer.changes["probability_changed"][0], float(p) + 0.05)
