"""Stages: rules, models, TOML, presets and the stage of every event, against slow twins. DEFINITIONS D6."""

from __future__ import annotations

import functools
import itertools
import operator
import pickle
import random
import warnings
from datetime import UTC, date, datetime, timedelta
from fnmatch import fnmatchcase

import numpy as np
import polars as pl
import pytest

from journeykit import stages as st
from journeykit.errors import (
    JourneykitWarning,
    ParameterError,
    StageModelError,
    UnknownNameError,
    UnknownPropertyError,
)
from journeykit.kernels.stages import stages as kernels
from journeykit.stages import Condition, Rule, Stage, StageModel, event, glob, matching, regex, where
from journeykit.support.durations import microseconds
from tests.oracle import stages as oracle

MINUTE = 60_000_000
HOSTILE = [
    '"; drop',
    "<script>",
    "a\nb",
    "tab\t",
    "back\\slash",
    "\x00",
    "\x7f",
    "ünïcödé",
    "😀",
    "'''",
    '"""',
    "",
    " ",
    "*",
    "[a]",
    "(",
    "{x}",
]


class Log:
    """A log of users given as lists of (name, minute) with properties per event."""

    def __init__(self, *users, tz="UTC", **properties):
        flat = [(name, minute) for events in users for name, minute in events]
        vocabulary = sorted({name for name, _ in flat})
        self.names = pl.Series("event", vocabulary, dtype=pl.String)
        self.event_codes = np.array([vocabulary.index(name) for name, _ in flat], np.uint8)
        self.times = np.array([round(minute * MINUTE) for _, minute in flat], np.int64)
        self.user_offsets = np.cumsum([0, *(len(events) for events in users)]).astype(np.int64)
        self.users = pl.Series("user", [f"u{k}" for k in range(len(users))], dtype=pl.String)
        self.tz = tz
        self.properties = {name: pl.Series(name, values) for name, values in properties.items()}

    @property
    def n_events(self):
        return self.event_codes.size

    def property(self, name):
        if name not in self.properties:
            raise UnknownPropertyError(name, list(self.properties))
        return self.properties[name]


def path(names):
    return [(name, minute) for minute, name in enumerate(names)]


def matched(rule, *users, **properties):
    """The positions that a rule matches."""
    return np.flatnonzero(matching.events_matched(rule, Log(*users, **properties))).tolist()


def problems(make):
    with pytest.raises(StageModelError) as caught:
        make()
    return list(caught.value.problems)


class TestRules:
    def test_names_are_exact(self):
        assert matched(event("buy"), path(["buy", "Buy", " buy", "buyer", "buy"])) == [0, 4]

    def test_several_names(self):
        assert matched(event("a", "b"), path("abcab")) == [0, 1, 3, 4]

    @pytest.mark.parametrize("pattern", ["cart*", "*", "c?rt", "[ab]*", "[!a]*", "cart", "a.b", "x\n*"])
    def test_glob_is_that_of_the_standard_library(self, pattern):
        names = ["cart", "cart_add", "curt", "Cart", "b", "a", "a.b", "axb", "x\ny", "xcart"]
        expected = [k for k, name in enumerate(names) if fnmatchcase(name, pattern)]
        assert matched(glob(pattern), path(names)) == expected

    def test_regex_is_searched_or_covers_the_name(self):
        names = ["view", "review", "view\n", "views", "x|view"]
        assert matched(regex("view"), path(names)) == [0, 1, 2, 3, 4]
        assert matched(regex("view", fullmatch=True), path(names)) == [0]
        assert matched(regex("view|views", fullmatch=True), path(names)) == [0, 3]

    def test_where_takes_any_name_and_null_is_no_match(self):
        rule = where(pl.col("value") > 100)
        assert matched(rule, path("abab"), value=[101.0, 100.0, None, 500.0]) == [0, 3]

    @pytest.mark.parametrize(
        ("expression", "expected"),
        [
            (pl.col("kind") == "x", [0]),
            (pl.col("kind") != "x", [1]),
            (pl.col("kind").is_null(), [2]),
            (pl.col("kind").is_not_null(), [0, 1]),
            (pl.col("kind").is_in(["x", "xy."]), [0, 1]),
            (pl.col("kind").str.contains("y.", literal=True), [1]),
            (~(pl.col("kind") == "x"), [1]),
        ],
    )
    def test_null_properties(self, expression, expected):
        assert matched(where(expression), path("aaa"), kind=["x", "xy.", None]) == expected

    def test_a_property_that_is_null_everywhere(self):
        assert (
            matched(where(pl.col("kind") == "x"), path("aa"), kind=pl.Series([None, None], dtype=pl.String))
            == []
        )
        assert matched(where(pl.col("flag")), path("aa"), flag=pl.Series([None, None])) == []

    def test_names_and_where_both(self):
        rule = event("buy", where=pl.col("value") >= 10)
        assert matched(rule, path(["buy", "see", "buy"]), value=[9, 10, 10]) == [2]

    def test_event_user_and_time_can_be_looked_at(self):
        log = Log([("a", 0), ("b", 60)], [("a", 120)], tz="Europe/Berlin")
        rule = where((pl.col("event") == "a") & (pl.col("user") == "u1") & (pl.col("time").dt.hour() == 3))
        assert matching.events_matched(rule, log).tolist() == [False, False, True]

    def test_an_expression_on_the_event_is_asked_of_the_vocabulary(self):
        rule = where(pl.col("event").str.starts_with("a"))
        assert matching.is_by_name(rule)
        assert matched(rule, path(["ab", "b", "ac"])) == [0, 2]

    def test_nth(self):
        log = [path("bxbb"), path("bb")]
        assert matched(event("b", nth=1), *log) == [0, 2, 3, 4, 5]
        assert matched(event("b", nth=2), *log) == [2, 3, 5]
        assert matched(event("b", nth=2, nth_exact=True), *log) == [2, 5]
        assert matched(event("b", nth=3, nth_exact=True), *log) == [3]

    def test_after_means_an_earlier_position_even_at_the_same_time(self):
        tied = [("b", 0), ("a", 0), ("b", 0), ("b", 9)]
        assert matched(event("b", after="a"), tied) == [2, 3]
        assert matched(event("b", after="b"), tied) == [2, 3]

    def test_after_is_per_user(self):
        assert matched(event("b", after="a"), path("ab"), path("b")) == [1]

    def test_within_is_inclusive_and_counts_from_the_latest(self):
        events = [("a", 0), ("b", 30), ("b", 30 + 1 / MINUTE), ("a", 100), ("b", 130)]
        assert matched(event("b", after="a", within="30m"), events) == [1, 4]

    def test_after_may_be_any_rule(self):
        rule = event("b", after=event("a", nth=2))
        assert matched(rule, path("abab")) == [3]
        assert matched(event("b", after=["x", "a"]), path("xb"), path("ab"), path("b")) == [1, 3]
        assert matched(event("b", after=pl.col("v") > 1), path("abb"), v=[1, 2, 0]) == [2]

    def test_min_gap_is_inclusive_and_from_the_previous_match(self):
        events = [("b", 0), ("b", 9.99), ("b", 19.99), ("x", 25), ("b", 29)]
        assert matched(event("b", min_gap="10m"), events, [("b", 99)]) == [2]

    def test_each_condition_is_asked_of_all_matches(self):
        events = [("b", 0), ("b", 1), ("a", 5), ("b", 11), ("b", 100)]
        assert matched(event("b", nth=3, after="a", within="10m", min_gap="10m"), events) == [3]

    def test_rules_are_values(self):
        rule = event("a", "b", nth=2, after="c", within="1w", min_gap=timedelta(hours=1))
        same = Rule(names=["a", "b", "a"], nth=2, after=event("c"), within="7d", min_gap="60m")
        assert rule == same
        assert hash(rule) == hash(same)
        assert rule != event("a", nth=2)
        assert pickle.loads(pickle.dumps(rule)) == rule
        with pytest.raises(AttributeError):
            rule.nth = 3

    def test_expressions_are_values(self):
        rule, same = where(pl.col("a") > pl.col("b")), where(pl.col("a") > pl.col("b"))
        assert rule == same
        assert hash(rule) == hash(same)
        assert rule != where(pl.col("a") > pl.col("c"))
        assert pickle.loads(pickle.dumps(rule)) == rule
        assert repr(rule) == 'where([(col("a")) > (col("b"))])'

    def test_repr_is_the_call(self):
        assert repr(event("b", nth=2, nth_exact=True)) == "event('b', nth=2, nth_exact=True)"
        assert repr(regex("x", fullmatch=True)) == "regex('x', fullmatch=True)"
        assert (
            repr(glob("a*", where=(pl.col("v") > 1) & pl.col("w").is_null()))
            == "glob('a*', where=v > 1 & w is null)"
        )
        assert repr(event("b", after="a", within="90s")) == "event('b', after=event('a'), within='90s')"
        assert repr(event("a\nb")) == r"event('a\nb')"


class TestConditions:
    @pytest.mark.parametrize(
        ("expression", "conditions"),
        [
            (pl.col("v") == 1, [Condition("v", "==", 1)]),
            (pl.col("v") != "x", [Condition("v", "!=", "x")]),
            (pl.col("v") < 1.5, [Condition("v", "<", 1.5)]),
            (pl.col("v") <= 1, [Condition("v", "<=", 1)]),
            (pl.col("v") > date(2024, 1, 2), [Condition("v", ">", date(2024, 1, 2))]),
            (pl.col("v") >= datetime(2024, 1, 2, 3), [Condition("v", ">=", datetime(2024, 1, 2, 3))]),
            (pl.col("v") == True, [Condition("v", "==", True)]),  # noqa: E712
            (pl.col("v").is_in([1, 2]), [Condition("v", "in", (1, 2))]),
            (pl.col("v").is_null(), [Condition("v", "is_null", True)]),
            (pl.col("v").is_not_null(), [Condition("v", "is_null", False)]),
            (pl.col("v").str.contains("a.", literal=True), [Condition("v", "contains", "a.")]),
            (
                (pl.col("v") > 1) & (pl.col("w") == "x") & pl.col("v").is_null(),
                [Condition("v", ">", 1), Condition("w", "==", "x"), Condition("v", "is_null")],
            ),
        ],
    )
    def test_expressions_become_conditions(self, expression, conditions):
        assert where(expression).where == tuple(conditions)

    @pytest.mark.parametrize(
        "expression",
        [
            pl.col("v").str.contains("a."),
            pl.col("v").abs() > 1,
            (pl.col("v") > 1) | (pl.col("w") > 1),
            pl.col("v") > pl.col("w"),
            pl.col("flag"),
            (pl.col("v") > 1) & (pl.col("v") > pl.col("w")),
        ],
    )
    def test_others_stay_expressions(self, expression):
        assert not isinstance(where(expression).where, tuple)

    def test_texts_of_problems(self):
        assert problems(lambda: Condition("", "==", 1)) == ["a condition's column must be a name, not ''"]
        assert problems(lambda: Condition("v", "=", 1)) == [
            "op cannot be '='. Choose one of: '==', '!=', '<', '<=', '>', '>=', 'in', 'is_null', 'contains'."
        ]
        shown = "the value {} of the condition on 'v'"
        assert problems(lambda: Condition("v", "in", 1)) == [
            shown.format(1) + " does not fit 'in': give a list of values"
        ]
        assert problems(lambda: Condition("v", "in", [])) == [
            shown.format("()") + " does not fit 'in': give a list of values"
        ]
        assert problems(lambda: Condition("v", "in", [1, "a"])) == [
            shown.format("(1, 'a')") + " mixes kinds: give values of one kind"
        ]
        assert problems(lambda: Condition("v", "is_null", 1)) == [
            shown.format(1) + " does not fit 'is_null': give true or false"
        ]
        assert problems(lambda: Condition("v", "contains", 1)) == [
            shown.format(1) + " does not fit 'contains': give a text"
        ]
        for value in (None, [1], float("nan")):
            assert problems(lambda value=value: Condition("v", ">", value)) == [
                shown.format(repr(value))
                + " cannot be compared: give a text, number, boolean, date or datetime"
            ]
        assert problems(lambda: Condition("*", ">", 1)) == [
            "the column '*' of a condition is a pattern for several: name one"
        ]
        assert problems(lambda: Condition("v", ">", 2**200)) == [
            shown.format(2**200) + " cannot be compared: it is out of range"
        ]


class TestRuleProblems:
    @pytest.mark.parametrize(
        ("make", "expected"),
        [
            (Rule, ["a rule needs event names, a glob, a regex or where"]),
            (event, ["a rule needs event names, a glob, a regex or where"]),
            (lambda: event(3), ["names must be event names, not 3"]),
            (lambda: event("a\ud800"), [r"names must be event names, not 'a\ud800'"]),
            (lambda: Rule(names=7), ["names must be event names, not 7"]),
            (lambda: Rule(names="a", glob="b"), ["give only one of names and glob, or one rule for each"]),
            (lambda: glob(3), ["glob must be a text, not 3"]),
            (lambda: regex(3), ["regex must be a text, not 3"]),
            (lambda: regex("a", fullmatch=1), ["fullmatch must be true or false, not 1"]),
            (lambda: Rule(names="a", fullmatch=True), ["fullmatch needs a regex"]),
            (lambda: regex("("), ["the regex '(' is not one that polars can run: unclosed group"]),
            (
                lambda: regex("(?=a)"),
                [
                    (
                        "the regex '(?=a)' is not one that polars can run: "
                        "look-around, including look-ahead and look-behind, is not supported"
                    )
                ],
            ),
            (lambda: event("a", nth=0), ["nth must be a whole number from 1, not 0"]),
            (lambda: event("a", nth=True), ["nth must be a whole number from 1, not True"]),
            (lambda: event("a", nth_exact=True), ["nth_exact needs nth"]),
            (lambda: event("a", nth=1, nth_exact=1), ["nth_exact must be true or false, not 1"]),
            (
                lambda: event("a", within="1d"),
                ["within needs after: the event since which the time is taken"],
            ),
            (
                lambda: event("a", min_gap=30),
                [
                    (
                        "min_gap cannot be 30. Give a duration with its unit, such as '30m', '36h' or '7d' "
                        "(us, ms, s, m, h, d, w), or a datetime.timedelta."
                    )
                ],
            ),
            (lambda: event("a", min_gap="0s"), ["min_gap must be greater than zero, not '0s'."]),
            (
                lambda: event("a", min_gap="9999999999d"),
                ["min_gap cannot be '9999999999d': it is longer than any log"],
            ),
            (
                lambda: event("a", after=3),
                ["in after: 3 cannot be a rule: give event names, a rule or a polars expression"],
            ),
            (lambda: event("a", after=[]), ["after must be one rule or a list of event names, not []"]),
            (lambda: where(3), ["where cannot be 3: give a polars expression or conditions"]),
            (lambda: where(pl.lit(True)), ["where=true looks at no column of the log"]),
            (
                lambda: where(pl.col("v") > pl.col("v").mean()),
                [
                    (
                        'where=[(col("v")) > (col("v").mean())] looks at other rows: a '
                        "rule looks at one event at a time. "
                        "Use nth=, after=, within= and min_gap= for what came before"
                    )
                ],
            ),
            (
                lambda: where(pl.col("v", "w") > 1),
                ["several"],
            ),
            (
                lambda: event("a", nth=0, min_gap=3, after=event, where=7, nth_exact=1),
                [
                    "where cannot be 7: give a polars expression or conditions",
                    f"in after: {event!r} cannot be a rule: give event names, a rule or a polars expression",
                    (
                        "min_gap cannot be 3. Give a duration with its unit, such as '30m', '36h' or '7d' "
                        "(us, ms, s, m, h, d, w), or a datetime.timedelta."
                    ),
                    "nth must be a whole number from 1, not 0",
                    "nth_exact must be true or false, not 1",
                ],
            ),
        ],
    )
    def test_texts(self, make, expected):
        found = problems(make)
        if expected == ["several"]:
            assert found[0].endswith("gives several columns: name one column, and join with & and |")
        else:
            assert found == expected

    @pytest.mark.parametrize(
        "expression",
        [
            pl.col("v").shift(1) > 1,
            pl.col("v").cum_sum() > 1,
            pl.col("v").is_duplicated(),
            (pl.col("v") > 1).over("w"),
            pl.len() > pl.col("v"),
        ],
    )
    def test_other_rows_are_refused(self, expression):
        assert "looks at other rows" in problems(lambda: where(expression))[0]


class TestModel:
    def test_full_text(self):
        with pytest.raises(StageModelError) as caught:
            StageModel(
                [Stage("a", "x"), Stage("a", "y"), Stage("b")],
                planned_moves=[("a", "c"), ("b", "b")],
                loops=[("a", "b")],
            )
        assert str(caught.value) == (
            "the stage model has 4 problems:\n"
            "- 2 stages are named 'a'\n"
            "- planned_moves names the stage 'c', which is not in the model. Available: 'a', 'b'.\n"
            "- planned_moves holds 'b' -> 'b': a move goes to another stage\n"
            "- the loop 'a' -> 'b' goes forward: a loop goes back to an earlier stage"
        )
        assert isinstance(caught.value, ValueError)
        again = pickle.loads(pickle.dumps(caught.value))
        assert (str(again), again.problems) == (str(caught.value), caught.value.problems)

    def test_other_problems(self):
        assert problems(lambda: StageModel([])) == ["a model needs at least one stage"]
        assert problems(lambda: StageModel([Stage("a")])) == [
            "no stage has a rule: say which events lead into a stage"
        ]
        assert problems(lambda: StageModel(["a"])) == ["stages must be Stage values, not 'a'"]
        for loops in ("ab", [("a",)], [("a", 3)], 3):
            assert problems(lambda loops=loops: StageModel([Stage("a", "x")], loops=loops))[0].startswith(
                "loops must be pairs of stage names such as ('bond', 'buy'), not "
            )
        assert problems(lambda: Stage("", "x")) == ["a stage's name must be a text, not ''"]
        assert problems(lambda: Stage("a", 3, regex, priority=1.5)) == [
            "the priority of stage 'a' must be a whole number, not 1.5",
            "stage 'a': 3 cannot be a rule: give event names, a rule or a polars expression",
            f"stage 'a': {regex!r} cannot be a rule: give event names, a rule or a polars expression",
        ]

    def test_at_most_254_stages(self):
        stages = [Stage(f"s{k}", f"e{k}") for k in range(255)]
        assert problems(lambda: StageModel(stages)) == ["255 stages are too many: a model holds at most 254"]
        log = Log([(f"e{k}", k) for k in range(254)])
        assigned = StageModel(stages[:254]).assign(log)
        assert assigned.furthest.tolist() == list(range(1, 255))

    def test_models_are_values(self):
        model, same = (StageModel([Stage("a", "x"), Stage("b", ["y"])], loops=[("b", "a")]) for _ in range(2))
        assert model == same
        assert hash(model) == hash(same)
        assert model != StageModel([Stage("a", "x"), Stage("b", "y")])
        assert pickle.loads(pickle.dumps(model)) == model
        with pytest.raises(AttributeError):
            model.stages = ()
        assert model.names == ("a", "b")
        assert model.index("b") == 2
        assert model.loop_moves.tolist() == [[False] * 3, [False] * 3, [False, True, False]]
        assert model.planned is None
        with pytest.raises(UnknownNameError):
            model.index("c")

    def test_repr(self):
        model = StageModel(
            [Stage("a", "x", priority=2), Stage("long\n", "y"), Stage("c")], [("a", "c")], [("c", "a")]
        )
        assert repr(model) == (
            "StageModel of 3 stages\n"
            "  1 a         event('x')  priority 2\n"
            "  2 'long\\n'  event('y')\n"
            "  3 c         (no rules)\n"
            "  planned moves: a -> c\n"
            "  loops: c -> a"
        )

    def test_lists_become_rules(self):
        stage = Stage("a", ["x", "y", glob("z*"), "w"], "v", pl.col("q") > 1)
        assert stage.rules == (event("x", "y"), glob("z*"), event("w"), event("v"), where(pl.col("q") > 1))


def slow_rule(rule):
    """The oracle's rule of a rule on names."""
    return oracle.Rule(
        names=rule.names,
        nth=rule.nth,
        nth_exact=rule.nth_exact,
        after=rule.after and slow_rule(rule.after),
        within=rule.within and microseconds(rule.within),
        min_gap=rule.min_gap and microseconds(rule.min_gap),
    )


def slow_users(log):
    events = zip(log.event_codes.tolist(), log.times.tolist(), strict=True)
    rows = [{"event": log.names[code], "time": time} for code, time in events]
    return [rows[a:b] for a, b in zip(log.user_offsets[:-1], log.user_offsets[1:], strict=True)]


def slow_matches(rule, log):
    twin = slow_rule(rule)
    return [twin.matches(rows, i) for rows in slow_users(log) for i in range(len(rows))]


def slow_assign(model, log):
    stages = [
        oracle.Stage(each.name, [slow_rule(rule) for rule in each.rules], each.priority)
        for each in model.stages
    ]
    found = [staged for rows in slow_users(log) for staged in oracle.assign(rows, stages)]
    return [tuple(stage or 0 for stage in staged) for staged in found]


def rows(assigned):
    return list(
        zip(assigned.matched.tolist(), assigned.current.tolist(), assigned.furthest.tolist(), strict=True)
    )


class TestAssign:
    def test_carried_forward(self):
        model = StageModel([Stage("one", "a"), Stage("two", "b"), Stage("three", "c")])
        assigned = model.assign(Log(path("xacxb"), path("xx"), path("b")))
        assert rows(assigned) == [
            (0, 0, 0),
            (1, 1, 1),
            (3, 3, 3),
            (0, 3, 3),
            (2, 2, 3),
            (0, 0, 0),
            (0, 0, 0),
            (2, 2, 2),
        ]
        assert assigned.matched.dtype == assigned.current.dtype == assigned.furthest.dtype == np.uint8
        assert assigned.rule_counts.tolist() == [1, 2, 1]
        assert assigned.unmapped.to_dict(as_series=False) == {"event": ["x"], "events": [4], "share": [0.5]}
        assert assigned.unmapped_share == 0.5

    def test_second_purchase_is_loyalty(self):
        model = st.five_stage(awareness="home", purchase="buy", loyalty=event("buy", nth=2))
        log = Log(path(["home", "buy", "home", "buy", "buy"]), path(["buy"]))
        assert model.assign(log).matched.tolist() == [1, 3, 1, 5, 5, 3]

    def test_equal_priorities_in_model_order(self):
        log = Log(path("ab"))
        first = StageModel([Stage("one", glob("*")), Stage("two", "a")])
        assert first.assign(log).matched.tolist() == [1, 1]
        higher = StageModel(
            [Stage("one", glob("*")), Stage("two", "a", priority=1), Stage("three", "b", priority=-1)]
        )
        assert higher.assign(log).matched.tolist() == [2, 1]
        exact = StageModel([Stage("one", "a"), Stage("two", "a", "b")])
        assert exact.assign(log).matched.tolist() == [1, 2]

    def test_ties_between_sequential_and_named_rules(self):
        log = Log(path("aab"))
        later = StageModel([Stage("one", "a"), Stage("two", event("a", nth=2), "b")])
        assert later.assign(log).matched.tolist() == [1, 1, 2]
        before = StageModel([Stage("two", event("a", nth=2), "b"), Stage("one", "a")])
        assert before.assign(log).matched.tolist() == [2, 1, 1]
        assert before.assign(log).rule_counts.tolist() == [1, 1, 1]

    def test_nth_counts_all_matches_also_those_another_stage_takes(self):
        model = StageModel(
            [Stage("one", event("a", nth=1, nth_exact=True), priority=1), Stage("two", event("a", nth=2))]
        )
        assert model.assign(Log(path("aaa"))).matched.tolist() == [1, 2, 2]

    @pytest.mark.parametrize("rule", ["a", event("a", nth=2), where(pl.col("v") > 1)])
    def test_empty_log(self, rule):
        model = StageModel([Stage("one", rule)])
        assigned = model.assign(Log(v=pl.Series([], dtype=pl.Int64)), missing="ignore")
        assert rows(assigned) == []
        assert assigned.rule_counts.tolist() == [0]
        assert assigned.unmapped.schema == {"event": pl.String, "events": pl.Int64, "share": pl.Float64}
        assert assigned.unmapped_share is None
        log = Log(v=pl.Series([], dtype=pl.Int64))
        assert model.explain(log)["share"].to_list() == [None]

    def test_hostile_names(self):
        model = StageModel([Stage(name or "empty", event(name)) for name in HOSTILE])
        assigned = model.assign(Log(path(HOSTILE)))
        assert assigned.matched.tolist() == list(range(1, len(HOSTILE) + 1))

    def test_missing_names(self):
        model = StageModel([Stage("one", event("by", after="loook")), Stage("two", "buy")])
        with pytest.raises(UnknownNameError) as caught:
            model.assign(Log(path(["buy", "look"])))
        assert str(caught.value) == (
            "no event 'by' in this log. Did you mean 'buy'? Available: 'buy', 'look'. "
            "no event 'loook' in this log. Did you mean 'look'? Available: 'look', 'buy'. "
            'Pass missing="ignore" to count such names as never seen.'
        )
        assert model.assign(Log(path(["buy", "look"])), missing="ignore").matched.tolist() == [2, 0]
        with pytest.warns(JourneykitWarning) as warned:
            assert model.assign(Log(path(["buy", "look"])), missing="warn").matched.tolist() == [2, 0]
        assert str(warned[0].message) == str(caught.value)
        with pytest.raises(ParameterError) as refused:
            model.assign(Log(path("a")), missing="no")
        assert str(refused.value) == "missing cannot be 'no'. Choose one of: 'raise', 'ignore', 'warn'."

    def test_expressions_that_do_not_fit(self):
        log = Log(path("ab"), kind=["x", "y"])
        with pytest.raises(UnknownPropertyError):
            StageModel([Stage("one", where(pl.col("knd") == "x"))]).assign(log)
        assert problems(lambda: StageModel([Stage("one", where(pl.col("kind") > 3))]).assign(log))[
            0
        ].startswith("the rule where(kind > 3) does not fit the log's columns: ")
        assert problems(lambda: StageModel([Stage("one", where(pl.col("kind") + "a"))]).assign(log)) == [
            'the rule where([(col("kind")) + ("a")]) must be true or false of an event, but gives String'
        ]

    def test_equals_the_slow_twin(self):
        chance = random.Random(7)
        for _ in range(60):
            users = []
            for _ in range(chance.randint(0, 6)):
                times = sorted(chance.randint(0, 30) for _ in range(chance.randint(1, 12)))
                users.append([(chance.choice("abcd"), minute) for minute in times])
            log = Log(*users)
            stages = []
            for k in range(chance.randint(1, 4)):
                rules = [random_rule(chance) for _ in range(chance.randint(1, 3))]
                stages.append(Stage(f"s{k}", *rules, priority=chance.randint(0, 1)))
            model = StageModel(stages)
            assigned = model.assign(log, missing="ignore")
            assert rows(assigned) == slow_assign(model, log), model
            explained = model.explain(log)
            assert explained["caught_events"].to_list() == assigned.rule_counts.tolist()
            matches = [sum(slow_matches(rule, log)) for stage in stages for rule in stage.rules]
            assert explained["matched_events"].to_list() == matches
            assert model.unmapped(log).equals(assigned.unmapped)

    def test_threads_change_nothing(self, monkeypatch):
        chance = random.Random(3)
        log = Log(
            *(path(chance.choices("abcd", k=chance.randint(1, 40))) for _ in range(50)), path("abcd" * 200)
        )
        for rules in (["a", "b"], [event("a", nth=2), event("b", after="c", within="5m")]):
            model = StageModel([Stage("one", rules[0]), Stage("two", rules[1]), Stage("three", "d")])
            alone = model.assign(log)
            monkeypatch.setattr(matching, "PARALLEL_FROM", 0)
            monkeypatch.setattr(pl, "thread_pool_size", lambda: 7)
            threaded = model.assign(log)
            monkeypatch.undo()
            assert rows(alone) == rows(threaded)
            assert alone.rule_counts.tolist() == threaded.rule_counts.tolist()
            assert alone.unmapped.equals(threaded.unmapped)

    def test_nothing_of_the_log_is_changed(self):
        log = Log(path("aab"), v=[1, 2, 3])
        for array in (log.event_codes, log.times, log.user_offsets):
            array.flags.writeable = False
        StageModel([Stage("one", event("a", nth=2), where(pl.col("v") > 1)), Stage("two", "a")]).assign(log)


def random_rule(chance, nested=True):
    parts = {"names": tuple(chance.sample("abcde", chance.randint(1, 2)))}
    if chance.random() < 0.4:
        parts |= {"nth": chance.randint(1, 3), "nth_exact": chance.random() < 0.5}
    if nested and chance.random() < 0.4:
        parts["after"] = random_rule(chance, nested=False)
        if chance.random() < 0.5:
            parts["within"] = chance.choice(["5m", "1m"])
    if chance.random() < 0.3:
        parts["min_gap"] = "5m"
    return Rule(**parts)


class TestExplain:
    def test_rules_and_what_they_took(self):
        model = StageModel(
            [Stage("one", "a", glob("?")), Stage("two", event("b", nth=2), priority=1), Stage("three")]
        )
        explained = model.explain(Log(path("abb"), path("ba"), path(["xy"])))
        assert explained.to_dict(as_series=False) == {
            "stage": ["one", "one", "two"],
            "rule": ["event('a')", "glob('?')", "event('b', nth=2)"],
            "matched_events": [2, 5, 1],
            "caught_events": [2, 2, 1],
            "users": [2, 2, 1],
            "share": [2 / 6, 2 / 6, 1 / 6],
        }
        assert explained.schema["users"] == explained.schema["caught_events"] == pl.Int64

    def test_unmapped_by_count_then_name(self):
        log = Log(path("zzyyax"))
        unmapped = StageModel([Stage("one", "a")]).unmapped(log)
        assert unmapped["event"].to_list() == ["y", "z", "x"]
        assert unmapped["events"].to_list() == [2, 2, 1]


class TestCheck:
    MODEL = StageModel(
        [
            Stage("look", "view", "veiw"),
            Stage("buy", "cart", glob("c*")),
            Stage("stay", event("cart", nth=2), regex("^z")),
            Stage("end"),
        ]
    )
    PROBLEMS = (
        (
            "stage 'look' names the event 'veiw', which is not in this log. Did you mean 'view'? "
            "Available: 'view', 'help', 'home', 'cart'."
        ),
        (
            "the event 'cart' of stage 'buy' also fits stage 'stay' of equal priority 0, "
            "which is tried later and never "
            "gets it: keep it in one stage, or give one of the two a higher priority"
        ),
    )

    def test_validate_lists_every_problem(self):
        found = problems(lambda: self.MODEL.validate(["view", "cart", "home", "help"]))
        assert found == [
            *self.PROBLEMS,
            (
                "2 event names are in no stage: 'help', 'home'. "
                "Add rules for them, or pass unmapped='warn' or 'ignore'"
            ),
        ]

    def test_check_lists_every_problem_with_counts(self):
        log = Log(path(["view", "cart", "cart", "home", "home", "help"]))
        found = problems(lambda: self.MODEL.check(log))
        assert found == [
            *self.PROBLEMS,
            (
                "2 event names are in no stage: 'home' (2), 'help' (1). "
                "Add rules for them, or pass unmapped='warn' or 'ignore'"
            ),
        ]

    def test_warnings(self):
        model = StageModel(
            [
                Stage("look", "view", "veiw"),
                Stage("buy", glob("c*"), regex("^c")),
                Stage("stay", event("cart", nth=3), regex("^z"), priority=1),
                Stage("end"),
            ]
        )
        with pytest.warns(JourneykitWarning) as caught:
            model.check(Log(path(["view", "cart", "cart", "home"])), unmapped="warn", missing="ignore")
        assert [str(each.message) for each in caught] == [
            "stage 'end' has no rules, so no event leads into it",
            "the rule event('veiw') of stage 'look' matches no event of this log",
            "the rule regex('^c') of stage 'buy' matches 2 events, all taken by rules tried before it",
            "the rule event('cart', nth=3) of stage 'stay' matches no event of this log",
            "the rule regex('^z') of stage 'stay' matches no event of this log",
            (
                "1 event name is in no stage: 'home' (1). Add rules for them, or pass "
                "unmapped='warn' or 'ignore'"
            ),
        ]
        with pytest.warns(JourneykitWarning) as caught:
            model.validate(["view", "cart", "home"], unmapped="ignore", missing="ignore")
        assert [str(each.message) for each in caught] == [
            "stage 'end' has no rules, so no event leads into it",
            "the rule event('veiw') of stage 'look' matches no event of this log",
            "the rule regex('^z') of stage 'stay' matches no event of this log",
        ]

    def test_missing_names_can_be_warned_of(self):
        model = StageModel([Stage("look", "view", "veiw")])
        for hold in (model.validate, lambda names, **options: model.check(Log(path(names)), **options)):
            with pytest.warns(JourneykitWarning) as caught:
                hold(["view"], missing="warn")
            assert [str(each.message) for each in caught] == [
                (
                    "stage 'look' names the event 'veiw', which is not in this log. Did you mean 'view'? "
                    "Available: 'view'."
                ),
                "the rule event('veiw') of stage 'look' matches no event of this log",
            ]

    def test_a_sound_model_is_silent(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model = StageModel(
                [
                    Stage("look", "view"),
                    Stage("buy", event("cart", nth=2)),
                    Stage("rest", glob("*"), priority=-1),
                ]
            )
            model.check(Log(path(["view", "cart", "cart"])))
            model.validate(["view", "cart"])

    def test_choices(self):
        with pytest.raises(ParameterError) as caught:
            self.MODEL.validate([], unmapped="no")
        assert str(caught.value) == "unmapped cannot be 'no'. Choose one of: 'raise', 'warn', 'ignore'."


def full_model():
    return StageModel(
        [
            Stage("look", "view", ["a", "b"], glob("c*"), regex("^x", fullmatch=True)),
            Stage(
                "buy",
                event(
                    "buy", nth=2, nth_exact=True, after=event("view", nth=3), within="90s", min_gap="1500us"
                ),
            ),
            Stage(
                "stay ü",
                where((pl.col("v") > 100) & pl.col("w").is_in(["x", "y"]) & pl.col("z").is_null()),
                where(pl.col("d") >= date(2024, 2, 3)),
                where(pl.col("t") < datetime(2024, 2, 3, 4, 5, 6, 7)),
                where(Condition("t", "<", datetime(2024, 2, 3, tzinfo=UTC))),
                where(
                    [
                        Condition("f", "==", 1e16),
                        Condition("f", "<", float("inf")),
                        Condition("b", "==", True),
                    ]
                ),
                where(pl.col("s").str.contains('"q"\\', literal=True)),
                priority=-3,
            ),
            Stage("empty"),
        ],
        planned_moves=[("look", "buy")],
        loops=[("stay ü", "buy")],
    )


class TestFiles:
    def test_round_trip(self, tmp_path):
        model = full_model()
        assert StageModel.loads(model.dumps()) == model
        target = tmp_path / "ü stages.toml"
        target.write_text("old")
        model.save(target)
        assert StageModel.load(target) == StageModel.load(str(target)) == model
        assert [each.name for each in tmp_path.iterdir()] == ["ü stages.toml"]
        assert StageModel.loads(StageModel([Stage("a", "x")], planned_moves=[]).dumps()).planned_moves == ()

    def test_round_trip_of_hostile_names(self):
        model = StageModel(
            [
                Stage(name or "empty", event(name, after=name), where(pl.col(f"p{name}") == name))
                for name in HOSTILE
            ],
            loops=[(HOSTILE[1], HOSTILE[0])],
        )
        assert StageModel.loads(model.dumps()) == model

    def test_round_trip_of_random_models(self):
        chance = random.Random(11)
        for _ in range(30):
            stages = [Stage(f"s{k}", *(random_rule(chance) for _ in range(2)), priority=k) for k in range(3)]
            assert StageModel.loads(StageModel(stages).dumps()) == StageModel(stages)

    def test_text(self):
        model = StageModel(
            [Stage("a", ["x", "y"], event("z", after="x", within="7d")), Stage("b", "w", priority=1)],
            loops=[("b", "a")],
        )
        assert model.dumps() == (
            'loops = [["b", "a"]]\n'
            "\n"
            "[[stages]]\n"
            'name = "a"\n'
            "rules = [\n"
            '    {names = ["x", "y"]},\n'
            '    {names = ["z"], after = {names = ["x"]}, within = "7d"},\n'
            "]\n"
            "\n"
            "[[stages]]\n"
            'name = "b"\n'
            "priority = 1\n"
            "rules = [\n"
            '    {names = ["w"]},\n'
            "]\n"
        )

    def test_short_forms(self):
        text = """
        [[stages]]
        name = "a"
        rules = ["x", ["y", "z"], {names = "q", after = "x"}, {where = {column = "v", op = "is_null"}}]
        """
        expected = Stage(
            "a", event("x"), event("y", "z"), event("q", after="x"), where(pl.col("v").is_null())
        )
        assert StageModel.loads(text) == StageModel([expected])

    def test_every_problem_at_once(self):
        text = """
        stagse = 1
        planned_moves = [["look", "buy"], ["look"]]
        loops = [["look", "stay"]]
        [[stages]]
        name = "look"
        priorty = 1
        rules = ["view", {regex = "("}, {names = ["x"], nht = 2, nth = 0}, 7,
            {glob = "a", after = {}, within = "1d"}]
        [[stages]]
        rules = "cart"
        [[stages]]
        name = "look"
        rules = [{where = {column = "v", op = "=", value = 1}}, {where = [{column = "v"}]}, {where = 3},
            {names = ["a"], min_gap = 5}]
        [[stages]]
        name = "b"
        priority = "x"
        rules = [{}, {names = ["x"], where = {column = "v", op = "==", valeu = 1}}]
        """
        assert problems(lambda: StageModel.loads(text)) == [
            "no key 'stagse'. Did you mean 'stages'? Available: 'stages', 'loops', 'planned_moves'.",
            "planned_moves must be pairs of stage names such as ('bond', 'buy'), not ['look']",
            (
                "stage 1 ('look'): no key 'priorty'. Did you mean 'priority'? Available: "
                "'priority', 'rules', 'name'."
            ),
            "stage 1 ('look'), rule 2: the regex '(' is not one that polars can run: unclosed group",
            (
                "stage 1 ('look'), rule 3: no key 'nht'. Did you mean 'nth'? Available: "
                "'nth', 'nth_exact', 'after', "
                "'names', 'where', 'within', 'min_gap', 'fullmatch' and 2 more."
            ),
            "stage 1 ('look'), rule 3: nth must be a whole number from 1, not 0",
            "stage 1 ('look'), rule 4: 7 cannot be a rule: give an event name or a table",
            "stage 1 ('look'), rule 5, after: a rule needs event names, a glob, a regex or where",
            "stage 2: it has no name",
            "stage 2: rules must be a list of event names and rules, not 'cart'",
            (
                "stage 3 ('look'), rule 1, where: op cannot be '='. "
                "Choose one of: '==', '!=', '<', '<=', '>', '>=', 'in', 'is_null', 'contains'."
            ),
            "stage 3 ('look'), rule 2, where: a condition needs op and value",
            (
                "stage 3 ('look'), rule 3, where: 3 cannot be a condition: give a table of column, "
                "op (one of ==, !=, <, <=, >, >=, in, is_null, contains) and value"
            ),
            (
                "stage 3 ('look'), rule 4: min_gap cannot be 5. Give a duration with its "
                "unit, such as '30m', '36h' or '7d' "
                "(us, ms, s, m, h, d, w), or a datetime.timedelta."
            ),
            "stage 4 ('b'), rule 1: a rule needs event names, a glob, a regex or where",
            (
                "stage 4 ('b'), rule 2, where: no key 'valeu'. Did you mean 'value'? "
                "Available: 'value', 'column', 'op'."
            ),
            "stage 4 ('b'), rule 2, where: a condition needs value",
            "stage 4 ('b'): the priority of stage 'b' must be a whole number, not 'x'",
            "2 stages are named 'look'",
            "loops names the stage 'stay', which is not in the model. Available: 'b', 'look'.",
        ]

    def test_overlaps_are_refused_both_ways(self):
        model = StageModel(
            [Stage("a", "x", "y", "z"), Stage("b", event("y", nth=2), "z"), Stage("c", "x", priority=1)]
        )
        overlap = (
            "the events 'y', 'z' of stage 'a' also fit stage 'b' of equal priority 0, "
            "which is tried later and never "
            "gets them: keep them in one stage, or give one of the two a higher priority"
        )
        assert problems(model.dumps) == [overlap]
        text = """
        [[stages]]
        name = "a"
        rules = ["x", "y", "z"]
        [[stages]]
        name = "b"
        rules = [{names = ["y"], nth = 2}, "z"]
        """
        assert problems(lambda: StageModel.loads(text)) == [overlap]

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", "a model needs at least one stage"),
            ("stages = 3", "stages must be tables: write [[stages]] above each"),
            ('[[stages]]\nname = "a"', "no stage has a rule: say which events lead into a stage"),
            ('[[stages]]\nname = 3\nrules = ["x"]', "stage 1: a stage's name must be a text, not 3"),
        ],
    )
    def test_other_problems(self, text, expected):
        assert problems(lambda: StageModel.loads(text)) == [expected]

    def test_not_toml(self, tmp_path):
        assert problems(lambda: StageModel.loads("a = ["))[0].startswith("it is not TOML: ")
        assert problems(lambda: StageModel.loads("a = " + "[" * 100_000))[0].startswith("it is not TOML: ")
        (tmp_path / "stage.toml").write_bytes(b"a = '\xff'")
        with pytest.raises(StageModelError) as caught:
            StageModel.load(tmp_path / "stage.toml")
        named = f"the stage model {str(tmp_path / 'stage.toml')!r} has 1 problem:\n- "
        assert str(caught.value) == named + "it is not text in UTF-8 (byte 5)"

    def test_files_that_are_not_there(self, tmp_path):
        (tmp_path / "stages.toml").write_text("")
        assert problems(lambda: StageModel.load(tmp_path / "stagse.toml")) == [
            "there is no such file. Did you mean 'stages.toml'? Available: 'stages.toml'."
        ]
        assert problems(lambda: StageModel.load(tmp_path)) == ["it cannot be read: Is a directory"]
        assert problems(lambda: full_model().save(tmp_path / "no" / "x.toml")) == [
            "it cannot be written: No such file or directory"
        ]
        assert problems(lambda: full_model().save(tmp_path)) == ["it cannot be written: Is a directory"]
        assert [each.name for each in tmp_path.iterdir()] == ["stages.toml"]

    def test_expressions_that_cannot_be_saved(self, tmp_path):
        model = StageModel(
            [Stage("a", where(pl.col("v").abs() > 1), event("x", after=pl.col("v") > pl.col("w")))]
        )
        rest = (
            " cannot be written to TOML; only conditions joined with & can: a column, "
            "one of ==, !=, <, <=, >, >=, in, is_null, contains, and a value"
        )
        assert problems(lambda: model.save(tmp_path / "x.toml")) == [
            "stage 'a': the expression [(col(\"v\").abs()) > (dyn int: 1)]" + rest,
            'stage \'a\': the expression [(col("v")) > (col("w"))]' + rest,
        ]
        assert list(tmp_path.iterdir()) == []


class TestPresets:
    @pytest.mark.parametrize(
        ("preset", "names"),
        [
            (st.five_stage, "awareness, consideration, purchase, usage, loyalty"),
            (st.four_stage, "awareness, consideration, decision, loyalty"),
            (
                st.seven_stage,
                (
                    "need awareness, option analysis, product introduction, transaction, use, "
                    "after-sales service, loyalty"
                ),
            ),
            (st.aida, "attention, interest, desire, action"),
            (
                st.purchase_decision,
                "need recognition, information search, evaluation, purchase, post-purchase",
            ),
            (st.aarrr, "acquisition, activation, retention, referral, revenue"),
            (st.race, "reach, act, convert, engage"),
            (st.five_a, "aware, appeal, ask, act, advocate"),
            (st.mckinsey_loop, "consider, evaluate, buy, enjoy, advocate, bond"),
        ],
    )
    def test_order(self, preset, names):
        names = names.split(", ")
        keywords = [name.replace(" ", "_").replace("-", "_") for name in names]
        model = preset(**{keyword: f"e{k}" for k, keyword in enumerate(keywords)})
        assert list(model.names) == names
        assert [stage.rules for stage in model.stages] == [(event(f"e{k}"),) for k in range(len(names))]
        assert [stage.priority for stage in model.stages] == [int(name == "loyalty") for name in names]
        assert model.loops == ((("bond", "buy"),) if preset is st.mckinsey_loop else ())

    def test_problems(self):
        assert problems(lambda: st.four_stage(awarenes="x", decision=3)) == [
            (
                "four_stage has no stage 'awarenes'. Did you mean 'awareness'? "
                "Available: 'awareness', 'decision', 'consideration', 'loyalty'."
            ),
            "stage 'decision': 3 cannot be a rule: give event names, a rule or a polars expression",
        ]
        assert problems(st.aida) == ["no stage has a rule: say which events lead into a stage"]


class TestVisits:
    def test_visits_and_moves(self):
        current = np.array([0, 2, 2, 1, 3, 3, 1, 3, 0, 0, 1, 2, 1], np.uint8)
        offsets = np.array([0, 8, 10, 10, 13], np.int64)
        visits = kernels.visits(offsets[:-1], offsets[1:], current)
        assert visits.first.tolist() == [0, 5, 5, 5, 8]
        assert visits.path.tolist() == [0, 0, 0, 0, 0, 3, 3, 3]
        assert visits.starts.tolist() == [1, 3, 4, 6, 7, 10, 11, 12]
        assert visits.ends.tolist() == [3, 4, 6, 7, 8, 11, 12, 13]
        assert visits.stages.tolist() == [2, 1, 3, 1, 3, 1, 2, 1]
        assert visits.previous.tolist() == [0, 2, 1, 3, 1, 0, 1, 2]
        assert visits.again.tolist() == [False, False, False, True, True, False, False, True]
        model = StageModel([Stage("a", "a"), Stage("b", "b"), Stage("c", "c")], loops=[("c", "a")])
        moves = np.empty(8, np.uint8)
        kernels.classify_moves(visits.stages, visits.previous, model.loop_moves, moves)
        assert [kernels.MOVES[move] for move in moves] == [
            "entry", "regress", "skip", "loop_move", "skip", "entry", "advance", "regress",
        ]  # fmt: skip

    def test_equals_the_slow_twin(self):
        chance = random.Random(5)
        loops = np.zeros((255, 255), np.bool_)
        loops[254, 2] = True
        for _ in range(40):
            lengths = [chance.randint(0, 8) for _ in range(5)]
            offsets = np.cumsum([0, *lengths]).astype(np.int64)
            current = np.array(
                functools.reduce(
                    operator.iadd,
                    ([0] * min(n, 1) + chance.choices([1, 2, 254], k=max(n - 1, 0)) for n in lengths),
                    [],
                ),
                np.uint8,
            )
            visits = kernels.visits(offsets[:-1], offsets[1:], current)
            found = list(zip(*(array.tolist() for array in visits[1:]), strict=True))
            assert found == slow_visits(offsets, current.tolist())
            moves = np.empty(visits.stages.size, np.uint8)
            kernels.classify_moves(visits.stages, visits.previous, loops, moves)
            assert [kernels.MOVES[move] for move in moves] == slow_moves(
                offsets, current.tolist(), [(254, 2)]
            )


def slow_visits(offsets, current):
    found = []
    for user, (first, last) in enumerate(itertools.pairwise(offsets)):
        been = []
        for visit in oracle.visits([stage or None for stage in current[first:last]]):
            ends = (first + visit.first, first + visit.last + 1)
            found.append((user, *ends, visit.stage, been[-1] if been else 0, visit.stage in been))
            been.append(visit.stage)
    return found


def slow_moves(offsets, current, loops):
    found = []
    for first, last in itertools.pairwise(offsets):
        visits = oracle.visits([stage or None for stage in current[first:last]])
        found += ["entry"][: len(visits)] + [move.kind for move in oracle.moves(visits, loops)]
    return found
