"""Opportunities against exact fractions, and against WhatIf."""

from __future__ import annotations

import random
from fractions import Fraction

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
GOAL = {CONVERT: {"buy"}}


def with_device(rows, seed=1):
    draw = random.Random(seed)
    device = {user: draw.choice(("mobile", "desktop")) for user in sorted({row["user"] for row in rows})}
    return [{**row, "device": device[row["user"]]} for row in rows]


def exact_of(rows, goals, unit="session"):
    return ExactChain(chain_moves(paths_of(rows, unit), goals), [CONVERT, ABANDON])


def filled(own, reference):
    """The own chain, with the reference's moves out of states that it was never in."""
    both = ExactChain({}, [CONVERT, ABANDON])
    both.states = sorted({*own.states, *reference.states})
    both.p = own.p | {(a, b): p for (a, b), p in reference.p.items() if a not in own.states}
    return both


def with_row(chain, row):
    after = ExactChain({}, chain.ends)
    after.states = chain.states
    after.p = {(a, b): p for (a, b), p in chain.p.items() if a not in {a for a, _ in row}} | row
    return after


def ends(chain):
    reached = {CONVERT, ABANDON}
    for _ in chain.states:
        reached |= {a for (a, b), p in chain.p.items() if p > 0 and b in reached}
    return reached >= set(chain.states)


@given(
    rows=logs(min_events=2, names=PLAIN_NAMES[:4]),
    goal=st.sampled_from(PLAIN_NAMES[:4]),
    seed=st.integers(0, 9),
)
def test_every_move_and_state(rows, goal, seed):
    rows = with_device(rows, seed)
    sides = [[row for row in rows if row["device"] == device] for device in ("mobile", "desktop")]
    assume(all(sides) and any(row["event"] == goal for row in rows))
    chain = jk.Chain(goal, open_paths="end")
    answer = journeys_of(rows).measure(jk.Opportunities(chain, {"device": "desktop"}), by="device")
    assert answer.frame["device"].unique().to_list() == ["mobile"]
    own, reference = (exact_of(side, {CONVERT: {goal}}) for side in sides)
    both, n = filled(own, reference), len(paths_of(sides[0], "session"))
    before = own.absorbed(CONVERT)[START]
    level_of = {state: {k: p for k, p in reference.p.items() if k[0] == state} for state in reference.states}
    found = {
        (a, b): x for a, b, x in answer.frame.select("source", "target", "change_in_conversions").iter_rows()
    }
    pairs = {*own.p, *reference.p}
    assert set(found) == {pair for pair in pairs if pair[0] in own.states}
    for (source, target), value in found.items():
        if source not in reference.states:
            assert value is None
            continue
        p, level = both.p.get((source, target), Fraction(0)), reference.p.get((source, target), Fraction(0))
        after = with_row(both, level_of[source]) if p == 1 else both.changed(source, target, level)
        if ends(after):
            wanted = n * (after.absorbed(CONVERT)[START] - before)
            assert value == pytest.approx(float(wanted), abs=1e-7), (source, target)
    for state, value in answer.states.select("state", "change_in_conversions").iter_rows():
        after = with_row(both, level_of[state]) if state in reference.states else None
        if after is None:
            assert value is None
        elif ends(after):
            assert value == pytest.approx(float(n * (after.absorbed(CONVERT)[START] - before)), abs=1e-7)
    values = [x for x in answer.frame["change_in_conversions"].to_list() if x is not None]
    assert values == pytest.approx(sorted(values, reverse=True), abs=1e-9)
    if set(own.states) <= set(reference.states):
        together = n * (reference.absorbed(CONVERT)[START] - before)
        assert answer.outcomes["change_in_conversions"][0] == pytest.approx(float(together), abs=1e-7)


def test_what_if_says_the_same():
    rows = with_device(many_users(4))
    journeys, chain = journeys_of(rows), jk.Chain("buy", open_paths="end")
    answer = journeys.measure(jk.Opportunities(chain, {"device": "desktop"}), by="device")
    for row in answer.frame.head(5).iter_rows(named=True):
        change = jk.Change(row["source"], row["target"], to=row["reference_probability"])
        found = journeys.measure(jk.WhatIf(chain, change), by="device").frame.filter(device="mobile")
        assert found["change_in_conversions"][0] == pytest.approx(row["change_in_conversions"])


def test_exits_at_the_level_of_all_others():
    """D15.6: the pooled exit rate of the other touchpoints; all rests scaled up."""
    rows = many_users(6)
    exact, paths = exact_of(rows, GOAL), paths_of(rows, "session")
    moves = chain_moves(paths, GOAL)
    answer = journeys_of(rows).measure(jk.Opportunities(jk.Chain("buy", open_paths="end")))
    assert set(answer.frame["target"]) == {ABANDON}
    for row in answer.frame.iter_rows(named=True):
        others = {k: n for k, n in moves.items() if k[0] not in (START, row["source"])}
        level = Fraction(sum(n for (_, b), n in others.items() if b == ABANDON), sum(others.values()))
        assert row["reference_probability"] == pytest.approx(float(level))
        after = exact.changed(row["source"], ABANDON, level).absorbed(CONVERT)[START]
        gained = len(paths) * (after - exact.absorbed(CONVERT)[START])
        assert row["change_in_conversions"] == pytest.approx(float(gained), abs=1e-9)
    assert answer.outcomes["change_in_conversions"].to_list() == [None]


def test_intervals_refit_both_segments():
    rows = with_device(many_users(8, users=90))
    users = sorted({row["user"] for row in rows})
    groups = {user: oracle.group(user) for user in users}
    present = sorted(set(groups.values()))
    chain = jk.Chain("buy", open_paths="end")
    answer = journeys_of(rows).measure(jk.Opportunities(chain, {"device": "desktop"}), by="device")
    own_groups = len({groups[row["user"]] for row in rows if row["device"] == "mobile"})

    def worth(gone):
        kept = [row for row in rows if groups[row["user"]] != gone]
        sides = [[row for row in kept if row["device"] == device] for device in ("mobile", "desktop")]
        own, reference = (exact_of(side, GOAL) for side in sides)
        n = Fraction(len(paths_of(sides[0], "session")))
        if gone in {groups[row["user"]] for row in rows if row["device"] == "mobile"}:
            n *= Fraction(own_groups, own_groups - 1)
        level = reference.p.get(("cart", ABANDON), Fraction(0))
        after = filled(own, reference).changed("cart", ABANDON, level)
        return float(n * (after.absorbed(CONVERT)[START] - own.absorbed(CONVERT)[START]))

    theta, without = worth(None), [worth(gone) for gone in present]
    wanted = interval(theta, standard_error(theta, without, len(present)), len(present), "identity")
    row = answer.frame.row(by_predicate=(_is("source", "cart") & _is("target", ABANDON)), named=True)
    assert row["change_in_conversions"] == pytest.approx(theta)
    assert row["change_in_conversions_low"] == pytest.approx(wanted.low)
    assert row["change_in_conversions_high"] == pytest.approx(wanted.high)
    assert answer.frame["in_top_10"].is_between(0, 1).all()
    assert answer.frame["in_top_10"].sum() == pytest.approx(10)


def _is(name, value):
    import polars as pl

    return pl.col(name) == value
