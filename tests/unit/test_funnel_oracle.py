"""The slow twin of funnels, on logs worked out by hand. D7."""

from __future__ import annotations

import pytest

from tests import oracle
from tests.logs import MINUTE, RESTARTED_FUNNEL, log
from tests.oracle import Exclusion, Question, Rules, Step

ABC = [Step(("a",)), Step(("b",)), Step(("c",))]


def units(rows, steps=ABC, within=None, exclude=(), unit="user", until=None, hold=(), entry_between=(None, None),
          **rules):  # fmt: skip
    mine = Question(steps, within, exclude, hold, Rules(**rules), entry_between, until)
    return oracle.funnel_units(rows, mine, unit), mine


def levels(*args, **options):
    return {one.name: one.level for one in units(*args, **options)[0]}


def reached(*args, **options):
    found, mine = units(*args, **options)
    return [row.reached for row in oracle.funnel_steps(found, mine)]


def test_the_best_start_and_the_rule_for_ties():
    assert levels(RESTARTED_FUNNEL, within=10 * MINUTE) == {"u": 3, "v": 1, "w": 1}
    assert levels(RESTARTED_FUNNEL, within=10 * MINUTE, ties="any") == {"u": 3, "v": 3, "w": 1}
    assert levels(RESTARTED_FUNNEL, within=10 * MINUTE, ties="strict") == {"u": 3, "v": 1, "w": 1}
    assert levels(RESTARTED_FUNNEL, within=10 * MINUTE, entry="first") == {"u": 2, "v": 1, "w": 1}


def test_grace_lets_a_step_come_a_little_earlier():
    rows = log("u 0 b; u 1 a; u 5 c")
    assert levels(rows, ties="any")["u"] == 1
    assert levels(rows, ties="any", grace=MINUTE)["u"] == 3
    assert levels(rows, ties="any", grace=MINUTE - 1)["u"] == 1


def test_coarse_times_drop_repeats_of_a_name_in_one_tick():
    rows = log("u 0.1 a; u 0.2 a; u 0.9 b; u 1.5 a")
    assert levels(rows, [Step(("a",)), Step(("a",))], resolution=MINUTE)["u"] == 2
    assert levels(rows[:3], [Step(("a",)), Step(("a",))], resolution=MINUTE)["u"] == 1
    assert levels(rows[:3], [Step(("b",)), Step(("a",))], resolution=MINUTE, ties="any")["u"] == 2


def test_strict_order_and_direct_steps():
    rows = log("u 0 a; u 1 x; u 2 b; u 3 c; v 0 a; v 1 b; v 2 x; v 3 c")
    assert levels(rows, order="strict") == {"u": 1, "v": 2}
    assert levels(rows, [ABC[0], ABC[1], Step(("c",), direct=True)]) == {"u": 3, "v": 2}


def test_gaps_are_inclusive_and_the_longest_chain_is_found():
    rows = log("u 0 a; u 2 b; u 6 b; u 9 c")
    steps = [ABC[0], ABC[1], Step(("c",), max_gap=3 * MINUTE)]
    found, _ = units(rows, steps)
    assert found[0].chosen[0].positions == (0, 2, 3)
    assert levels(rows, [ABC[0], Step(("b",), min_gap=6 * MINUTE), ABC[2]])["u"] == 3
    assert levels(rows, [ABC[0], Step(("b",), min_gap=6 * MINUTE + 1), ABC[2]])["u"] == 1


def test_optional_steps_are_between_their_neighbours():
    steps = [Step(("a",)), Step(("x",), optional=True), Step(("b",)), Step(("y",), optional=True)]
    rows = log("u 0 a; u 1 y; u 2 x; u 3 b; u 20 y; v 0 x; v 1 a; v 2 b; v 3 x; w 0 a; w 5 x")
    assert reached(rows, steps) == [3, 2, 2, 1]
    assert reached(rows, steps, within=10 * MINUTE) == [3, 2, 2, 0]


def test_any_order_is_the_largest_matching():
    steps = [Step(("a", "b")), Step(("a",)), Step(("c",))]
    assert levels(log("u 0 a; u 1 b; u 2 c"), steps, order="unordered")["u"] == 3
    assert levels(log("u 0 b; u 1 b; u 2 c"), steps, order="unordered")["u"] == 2
    assert levels(log("u 0 c; u 8 a; u 12 b"), steps, order="unordered", within=10 * MINUTE)["u"] == 2


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("per_run", [1, 0, 0]), ("furthest_run", [0, 0, 0]), ("dropoff", [1, 1, 0])],
)
def test_the_three_rules_of_exclusion(rule, expected):
    rows = log("u 0 a; u 1 b; u 2 x; u 3 c; u 4 a")
    exclude = [Exclusion(("x",), after=2, before=3)]
    assert reached(rows, exclude=exclude, exclusion=rule) == expected


def test_an_exclusion_up_to_the_deadline():
    exclude = [Exclusion(("x",))]
    for minute, expected in ((10, 0), (10.001, 1)):
        rows = log(f"u 0 a; u {minute} x")
        assert levels(rows, within=10 * MINUTE, exclude=exclude)["u"] == expected
    rows = log("u 0 a; u 0 x; u 3 b; u 4 c")
    assert levels(rows, exclude=exclude)["u"] == 0
    assert levels(rows, exclude=exclude, ties="any")["u"] == 3


def test_totals_enter_again_after_the_run_before():
    rows = log("u 0 a; u 1 a; u 2 b; u 3 a; u 20 b; u 21 a")
    steps = ABC[:2]
    assert reached(rows, steps, within=10 * MINUTE, unit="totals") == [3, 1]
    assert reached(rows, steps, unit="totals") == [3, 2]


def test_open_entry_counts_the_steps_of_the_longest_chain():
    rows = log("u 0 b; u 1 c; u 2 a; v 0 a; w 0 c; w 1 b")
    found, mine = units(rows, open_entry=True)
    table = oracle.funnel_steps(found, mine)
    assert [row.reached for row in table] == [1, 1, 2]
    assert [row.entered for row in table] == [1, 1, 1]


def test_held_properties():
    rows = [
        {**row, "item": item}
        for row, item in zip(log("u 0 a; u 1 b; u 2 a; u 3 b; u 4 c"), "xyzzx", strict=True)
    ]
    assert levels(rows) == {"u": 3}
    assert levels(rows, hold=["item"]) == {"u": 2}
    assert levels(rows, hold=["item"], hold_unit="pair") == {
        ("u", ("x",)): 1,
        ("u", ("y",)): 0,
        ("u", ("z",)): 2,
    }
    assert levels(rows, hold=["item"], hold_unit="first_entry") == {"u": 1}


def test_open_dropped_and_matured():
    rows = log("u 0 a; v 5 a; v 6 b; w 0 a; w 1 b; w 2 c; z 1 a; z 9 a")
    found, mine = units(rows, within=10 * MINUTE, until=rows[0]["time"] + 11 * MINUTE)
    table = oracle.funnel_steps(found, mine)
    assert [(row.reached, row.open, row.dropped) for row in table] == [(4, 1, 1), (2, 1, 0), (1, None, None)]
    assert oracle.matured(found, mine) == (1, 3)
    assert table[2].step_rate == 1 / 2
    assert oracle.total_times(found, mine) == [120.0]


def test_only_starts_are_limited():
    rows = log("u 0 a; u 5 a; u 6 b; u 7 c")
    start = rows[1]["time"]
    assert levels(rows, entry_between=(start, start + 1)) == {"u": 3}
    assert levels(rows, entry_between=(None, start), within=6 * MINUTE) == {"u": 2}
    assert levels(rows, entry_between=(start + 1, None)) == {"u": 0}


def test_first_time():
    rows = [{**row, "p": p} for row, p in zip(log("u 0 a; u 1 a; u 2 b"), (None, 1, 1), strict=True)]

    def has(row):
        return row["p"] == 1

    for first_time, expected in ((True, 0), ("filtered", 2), (False, 2)):
        assert levels(rows, [Step(("a",), has, first_time), Step(("b",))])["u"] == expected


def test_adjusted_p():
    assert oracle.benjamini_hochberg([0.01, None, 0.04, 0.03]) == [pytest.approx(0.03), None, 0.04, 0.04]


def test_every_mode_of_the_scan():
    scan = oracle.window_funnel
    steps = [["a"], ["b"], ["c"]]
    assert scan([(0, "a"), (0, "b"), (10, "c")], steps, 10) == 3
    assert scan([(0, "a"), (0, "b"), (11, "c")], steps, 10) == 2
    assert scan([(0, "a"), (0, "b"), (1, "b"), (2, "c")], steps, 10, ["strict_increase"]) == 3
    assert scan([(0, "a"), (1, "b"), (2, "b"), (2, "c")], steps, 10, ["strict_increase"]) == 2
    assert scan([(0, "a"), (1, "b"), (2, "b"), (3, "c")], steps, 10, ["strict_deduplication"]) == 2
    assert scan([(0, "a"), (1, "x"), (2, "b")], steps, 10, ["strict_order"]) == 1
    assert scan([(0, "a"), (1, "c"), (2, "b")], steps, 10, ["strict_order"]) == 1
    assert scan([(0, "a"), (1, "c"), (2, "b")], steps, 10, ["strict_order", "allow_reentry"]) == 2
    assert scan([(0, "a")], [["a"], ["a"]], 10) == 2
    assert scan([(0, "a")], [["a"], ["a"]], 10, ["strict_once"]) == 1
