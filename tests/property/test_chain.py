"""Chains against exact fractions, and the checks that come for free. DEFINITIONS D10."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import journeykit as jk
from tests import oracle
from tests.logs import PLAIN_NAMES, logs
from tests.measuring import assert_close, journeys_of, many_users, paths_of, table
from tests.oracle.chains import ABANDON, ExactChain, chain_moves, walk
from tests.oracle.intervals import interval, standard_error

pytestmark = pytest.mark.property
UNITS = ("session", "user")
CONVERT, START = "<CONVERT>", "<START>"


def counted(answer):
    return {(a, b): n for a, b, n in answer.frame.select("source", "target", "transitions").iter_rows()}


@st.composite
def questions(draw):
    rows = draw(logs(min_events=1, names=PLAIN_NAMES[:4]))
    goal = draw(st.sampled_from(sorted({row["event"] for row in rows})))
    return rows, goal, draw(st.sampled_from(UNITS))


@given(question=questions(), order=st.integers(1, 3), keep=st.booleans(), collapse=st.booleans())
def test_moves(question, order, keep, collapse):
    rows, goal, unit = question
    statistic = jk.Chain(
        goal, unit=unit, order=order, goal_state="keep" if keep else "absorb", collapse_repeats=collapse
    )
    options = {"order": order, "keep": keep, "censor": unit == "session", "collapse": collapse}
    paths = paths_of(rows, unit)
    answer = journeys_of(rows).measure(statistic)
    assert counted(answer) == chain_moves(paths, {CONVERT: {goal}}, **options)
    walks = [walk(path, {CONVERT: {goal}}, **options) for path in paths]
    visits = Counter(state for states in walks for state in states)
    found = dict(answer.states.select("state", "visits").iter_rows())
    assert found == {state: n for state, n in visits.items() if state not in (CONVERT, ABANDON)}
    outcome = answer.outcomes.row(0, named=True)
    ends = Counter(states[-1] if states[-1] in (CONVERT, ABANDON) else "open" for states in walks)
    assert (outcome["converted"], outcome["abandoned"]) == (ends[CONVERT], ends[ABANDON])
    assert outcome["open"] == ends["open"]


@given(question=questions(), order=st.integers(1, 2))
def test_numbers(question, order):
    """Every state's number is the exact one; START's are what was observed."""
    rows, goal, unit = question
    paths = paths_of(rows, unit)
    moves = chain_moves(paths, {CONVERT: {goal}}, order=order)
    exact = ExactChain(moves, [CONVERT, ABANDON])
    answer = journeys_of(rows).measure(jk.Chain(goal, unit=unit, order=order, open_paths="end"))
    won, steps, variance = exact.absorbed(CONVERT), exact.steps(), exact.variance()
    found = table(
        answer.states, ["state"], ["conversion", "abandonment", "steps", "steps_variance", "expected_visits"]
    )
    assert_close(
        found,
        {
            state: {
                "conversion": float(won[state]),
                "abandonment": float(1 - won[state]),
                "steps": float(steps[state]),
                "steps_variance": float(variance[state]),
                "expected_visits": float(exact.visits(START, state)),
            }
            for state in exact.states
        },
        1e-9,
    )
    walks = [walk(path, {CONVERT: {goal}}, order) for path in paths]
    share = sum(states[-1] == CONVERT for states in walks) / len(walks)
    assert found[START]["conversion"] == pytest.approx(share, abs=1e-12)
    assert found[START]["steps"] == pytest.approx(np.mean([len(states) - 1 for states in walks]), rel=1e-9)
    for state, visits in answer.states.select("state", "visits").iter_rows():
        assert found[state]["expected_visits"] * len(walks) == pytest.approx(visits, rel=1e-9)
    outcome = answer.outcomes.row(0, named=True)
    assert outcome["conversion"] == pytest.approx(outcome["observed"], abs=1e-12)
    assert outcome["steps"] == pytest.approx(outcome["steps_observed"], rel=1e-9)


def reached(chain, end):
    """P(there | START), also where a probability was moved beyond 1."""
    into = chain.target == end
    return chain.solve(np.bincount(chain.source[into], chain.probability[into], chain.states))[0]


@given(question=questions())
def test_leverage_is_the_finite_difference(question):
    rows, goal, unit = question
    answer = journeys_of(rows).measure(jk.Chain(goal, unit=unit, open_paths="end"))
    chain, small = answer.model(), 1e-6
    before = chain.fitted.chain
    goal_place = chain.names.index(CONVERT)
    lost = chain.names.index(ABANDON)
    value = {(a, b): v for a, b, v in chain.leverage().select("source", "target", "leverage").iter_rows()}
    for source, target in zip(before.source.tolist(), before.target.tolist(), strict=True):
        after = []
        for step in (small, -small):
            row = before.row(source)
            row[target] += step
            row[lost] -= step
            after.append(reached(before.with_row(source, row), goal_place))
        slope = (after[0] - after[1]) / (2 * small)
        assert value[chain.names[source], chain.names[target]] == pytest.approx(slope, rel=1e-4, abs=1e-6)


@given(question=questions())
def test_converting_journeys(question):
    """Doob's chain is that of the exact conditional probabilities, and every walk in it converts."""
    rows, goal, unit = question
    answer = journeys_of(rows).measure(jk.Chain(goal, unit=unit, open_paths="end"))
    exact = ExactChain(chain_moves(paths_of(rows, unit), {CONVERT: {goal}}), [CONVERT, ABANDON])
    chance = exact.absorbed(CONVERT) | {CONVERT: Fraction(1), ABANDON: Fraction(0)}
    given_goal = answer.model().conditioned()
    for source, target, p in given_goal.edges().select("source", "target", "probability").iter_rows():
        wanted = exact.p[source, target] * chance[target] / chance[source] if chance[source] else None
        assert p == (None if wanted is None else pytest.approx(float(wanted), abs=1e-9))
    assert given_goal.conversion()["probability"][0] == pytest.approx(1.0)


@pytest.mark.parametrize("unit", UNITS)
def test_intervals(unit):
    """Every number is computed again without each group. D12.3, D12.4."""
    rows = many_users(3)
    paths, users = paths_of(rows, unit), sorted({row["user"] for row in rows})
    groups = {user: oracle.group(user) for user in users}
    answer = journeys_of(rows).measure(jk.Chain("buy", unit=unit, open_paths="end"))

    def numbers(kept):
        exact = ExactChain(chain_moves([p for p in paths if p.user in kept], {CONVERT: {"buy"}}), [])
        won, steps = exact.absorbed(CONVERT), exact.steps()
        worth = {
            pair: exact.visits(START, pair[0]) * (won | {CONVERT: Fraction(1), ABANDON: Fraction(0)})[pair[1]]
            for pair in exact.p
        }
        return won, steps, worth, exact.p

    whole = numbers(set(users))
    present = sorted(set(groups.values()))
    without = [numbers({user for user in users if groups[user] != gone}) for gone in present]

    def wanted(which, key, scale):
        theta = float(whole[which][key])
        se = standard_error(theta, [float(one[which].get(key, 0)) for one in without], len(present))
        return interval(theta, se, len(present), scale)

    for row in answer.states.iter_rows(named=True):
        for which, name, scale in ((0, "conversion", "logit"), (1, "steps", "log")):
            ends = wanted(which, row["state"], scale)
            assert row[f"{name}_low"] == pytest.approx(ends.low)
            assert row[f"{name}_high"] == pytest.approx(ends.high)
    for row in answer.frame.iter_rows(named=True):
        pair = row["source"], row["target"]
        worth, chance = wanted(2, pair, "identity"), wanted(3, pair, "logit")
        assert row["leverage_low"] == pytest.approx(worth.low, abs=1e-12)
        assert row["leverage_high"] == pytest.approx(worth.high, abs=1e-12)
        assert row["low"] == pytest.approx(chance.low)
        assert row["high"] == pytest.approx(chance.high)


@given(rows=logs(min_events=1, names=PLAIN_NAMES[:4]))
def test_paths_as_lists_are_the_same_chain(rows):
    paths = [list(path.names) for path in paths_of(rows, "user")]
    goal = paths[0][0]
    listed = jk.MarkovChain.fit(paths, goal=goal)
    answer = journeys_of(rows).measure(jk.Chain(goal, unit="user"))
    assert listed.states == answer.model().states
    found = listed.conversion()["probability"].to_numpy()
    assert found == pytest.approx(answer.states["conversion"].to_numpy(), abs=1e-12)
    graph = journeys_of(rows).measure(jk.Transitions(unit="user"))
    loose = jk.MarkovChain.fit(graph, goal=goal).conversion()
    both = loose.join(graph.conversion(goal), on="state", suffix="_graph")
    assert both["probability"].to_list() == pytest.approx(both["probability_graph"].to_list(), abs=1e-12)


def test_segments_are_chains_of_their_own():
    rows = [{**row, "device": row["user"][-1]} for row in many_users(5, users=30)]
    journeys = journeys_of(rows)
    answer = journeys.measure(jk.Chain("buy", open_paths="end"), by="device")
    for device in sorted({row["device"] for row in rows}):
        own = journeys_of([row for row in rows if row["device"] == device])
        alone = own.measure(jk.Chain("buy", open_paths="end"))
        found = answer.states.filter(device=device).drop("device")
        wanted = alone.states
        assert found.select("state", "visits", "users").equals(wanted.select("state", "visits", "users"))
        numbers = [name for name, dtype in wanted.schema.items() if dtype == pl.Float64]
        for name in numbers:
            if not name.endswith(("_low", "_high")):
                assert found[name].to_list() == pytest.approx(wanted[name].to_list(), abs=1e-9)
        model = answer.model(device=device)
        assert model.conversion()["probability"].to_list() == pytest.approx(wanted["conversion"].to_list())
