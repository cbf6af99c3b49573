"""`jk.explain_difference`: which rule moves whom, on logs worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product

import polars as pl
import pytest

import journeykit as jk
from journeykit.statistics.funnels.difference import FunnelDifference
from tests.logs import log
from tests.measuring import answer_of, journeys_of, many_users

# Steps a > b in 10 minutes.
#   late   a 0, b 11                 in 20 minutes only
#   again  a 0, a 5, b 12            by the second entry; by the first in 20 minutes
#   far    a 0, a 15, b 24           by the second entry only, in 20 minutes too
#   tied   b 3, a 3                  at one time, b before a
#   hurt   a 0, x 1, b 2             with something in between
ROWS = log(
    "late 0 a; late 11 b; again 0 a; again 5 a; again 12 b; far 0 a; far 25 a; far 34 b; tied 3 b; tied 3 a; "
    "hurt 0 a; hurt 1 x; hurt 2 b"
)
FIRST = jk.Funnel(["a", "b"], within="10m", rules=jk.FunnelRules(entry="first"))


def rows_of(answer, step=2):
    frame = answer.frame.filter(step=step)
    return frame.select("rule", "from", "to", "reached_before", "gained", "lost", "reached_after").rows()


def test_every_rule_moves_its_users():
    other = jk.Funnel(["a", "b"], within="20m", exclude="x", rules=jk.FunnelRules(ties="any"))
    answer = jk.explain_difference(FIRST, other, journeys_of(ROWS))
    assert rows_of(answer) == [
        ("within", "10m", "20m", 1, 2, 0, 3),
        ("ties", "input", "any", 3, 1, 0, 4),
        ("entry", "first", "any", 4, 1, 0, 5),
        ("exclude", "none", "x (before=2)", 5, 0, 1, 4),
    ]
    assert rows_of(answer, step=1)[-1][3:] == (5, 0, 1, 4)
    assert answer.frame["difference"].to_list() == [0, 2, 0, 1, 0, 1, -1, -1]
    moved = answer.examples.group_by("rule", maintain_order=True).agg(pl.col("user").sort())
    assert dict(moved.rows()) == {
        "within": ["again", "late"], "ties": ["tied"], "entry": ["far"], "exclude": ["hurt"],
    }  # fmt: skip
    assert answer.examples.filter(rule="exclude").rows() == [(4, "exclude", "hurt", 2, 0)]
    assert answer.notes[-1].startswith(
        "Rules are changed one at a time, in this order: within, then ties, then entry"
    )


def test_rules_that_contradict_wait_for_each_other():
    grace = jk.Funnel(["a", "b"], rules=jk.FunnelRules(ties="any", grace="2s", pick="latest"), within="10m")
    there = jk.explain_difference(FIRST, grace, journeys_of(ROWS))
    assert there.frame["rule"].unique(maintain_order=True).to_list() == ["ties", "grace", "entry", "pick"]
    back = jk.explain_difference(grace, FIRST, journeys_of(ROWS))
    assert back.frame["rule"].unique(maintain_order=True).to_list() == ["grace", "ties", "pick", "entry"]


def test_the_same_rules_written_otherwise_are_no_difference():
    same = jk.Funnel(["a", "b"], within="600s", quantiles=(), rules=jk.FunnelRules(entry="first", at="last"))
    answer = jk.explain_difference(FIRST, same, journeys_of(ROWS))
    assert answer.frame.height == answer.examples.height == 0
    assert answer.notes[-1] == "The two funnels count by the same rules: nothing is to explain."
    of_rules = jk.Funnel(["a", "b"], rules=jk.FunnelRules(entry="first", within="10m"))
    assert jk.explain_difference(FIRST, of_rules, journeys_of(ROWS)).frame.height == 0


def test_steps_and_units_differ_too():
    other = jk.Funnel(["a", jk.Step("b", direct=True)], within="10m", unit="totals")
    answer = jk.explain_difference(FIRST, other, journeys_of(ROWS), examples=0)
    assert rows_of(answer)[0][:3] == ("steps", "a, b", "a, b (direct=True)")
    assert rows_of(answer, 1)[1] == ("unit", "user", "totals", 5, 1, 0, 6)
    assert answer.examples.height == 0


@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        ((FIRST, 3), {}, "two funnels can be compared, not Funnel and int."),
        (
            (FIRST, jk.Funnel(["a"])),
            {},
            ("the funnels have 2 and 1 steps: only funnels with as many steps can be compared step by step."),
        ),
        (
            (FIRST, replace(FIRST, of="stage")),
            {},
            "the steps of one funnel are of='event', those of the other of='stage'.",
        ),
        ((FIRST, FIRST), {"examples": -1}, "examples must be a whole number of 0 or more, not -1."),
    ],
)
def test_what_is_refused(args, options, message):
    with pytest.raises(jk.errors.ParameterError) as error:
        jk.explain_difference(*args, journeys_of(ROWS), **options)
    assert str(error.value) == message


def test_unknown_names_of_either_are_refused():
    with pytest.raises(jk.errors.UnknownNameError):
        jk.explain_difference(FIRST, jk.Funnel(["a", "bb"]), journeys_of(ROWS))


PRESETS = (
    jk.rules.default(), jk.rules.posthog(), jk.rules.posthog_2021("strict"), jk.rules.mixpanel(),
    jk.rules.mixpanel_reentry(), jk.rules.amplitude(), jk.rules.ga4(open_entry=True), jk.rules.posthog("unordered"),
)  # fmt: skip


@pytest.mark.parametrize(("one", "other"), list(product(range(len(PRESETS)), repeat=2)))
def test_differences_add_up(one, other):
    made = journeys_of(many_users(2, users=30))
    a, b = (
        jk.Funnel(["home", "view", "cart"], exclude="buy", within="2h", rules=PRESETS[i])
        for i in (one, other)
    )
    counts = [made.measure(funnel).frame["reached"].to_list() for funnel in (a, b)]
    frame = jk.explain_difference(a, b, made).frame
    for step, (before, after) in enumerate(zip(*counts, strict=True), 1):
        own = frame.filter(step=step)
        assert own["difference"].sum() == after - before
        chain = own.select("reached_before", "reached_after").rows()
        if chain:
            assert (chain[0][0], chain[-1][1]) == (before, after)
        assert all(x[1] == y[0] for x, y in pairwise(chain))
        assert (own["reached_before"] + own["gained"] - own["lost"]).equals(own["reached_after"])


@pytest.mark.parametrize("options", [{}, {"by": "device"}, {"every": "1d"}], ids=str)
def test_tallies_of_any_split_add_up(options):
    rows = [{**row, "device": "m" if row["user"] < "u3" else None} for row in many_users(3, users=40)]
    made = journeys_of(rows)
    a = jk.Funnel(["home", "view"], within="1h")
    question = FunnelDifference(a, replace(a, unit="session", rules=jk.FunnelRules(entry="first")))
    third = made.n_users // 3
    parts = [made._shard(first, last) for first, last in pairwise((0, third, third, third + 1, made.n_users))]
    wanted = made.measure(question, **options)
    found = answer_of(made, question, parts[::-1], **options)
    assert found.frame.equals(wanted.frame)
    assert found.examples.equals(wanted.examples)


def test_funnels_are_written_without_their_defaults():
    funnel = jk.Funnel(
        [
            "a",
            jk.Step(["b", "c"], where=pl.col("price") > 3, max_gap="1h"),
            jk.Match(),
            jk.Match("d", label="D"),
        ],
        exclude="x",
        rules=jk.FunnelRules(ties="any"),
    )
    assert repr(funnel) == (
        "Funnel(steps=(Step('a'), Step(['b', 'c'], where=price > 3, max_gap='1h'), Step(Match()), "
        "Step('d', label='D')), exclude=(Exclusion('x', before=4),), rules=FunnelRules(ties='any'))"
    )
    assert repr(jk.Funnel(["a"])) == "Funnel(steps=(Step('a'),))"
