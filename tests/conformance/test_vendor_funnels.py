"""Worked examples of Mixpanel's and Amplitude's documentation: the facts of ``vendor_docs.json``. D7.13, D17.

Times of the file only order and space events; where the rule is not about seconds, one unit is a minute.
"""

from __future__ import annotations

import json

import pytest

import journeykit as jk
from tests.conformance import vendor_funnels
from tests.measuring import journeys_of
from tests.oracle.funnel_numbers import frequency

pytestmark = pytest.mark.conformance

MINUTE, SECOND = 60_000_000, 1_000_000


@pytest.fixture(scope="module")
def cases(conformance):
    found = json.loads((conformance / "vendor_docs.json").read_text())["cases"]
    return {case["id"]: case for case in found}


@pytest.fixture(params=["twin", "package"])
def ask(request):
    return getattr(vendor_funnels, f"ask_{request.param}")


def rows(events, unit=MINUTE):
    return [{"user": "u", "time": round(e["t"] * unit), "event": e["event"]} for e in events]


@pytest.mark.parametrize("name", ["mp-specific-order-1", "mp-specific-order-3"])
def test_other_events_may_come_between(cases, ask, name):
    case = cases[name]
    found = ask(rows(case["events"]), case["query"]["steps"], "mixpanel")
    assert case["expected"]["result"] == "converted"
    assert found.reached == [1] * 5


def test_the_first_entry_starts_the_window(cases, ask):
    case = cases["mp-window-not-reset"]
    assert (case["expected"]["furthest_step"], case["expected"]["converted"]) == ("B", False)
    log = [
        {"user": "u", "time": (60 * int(e["t"][:2]) + int(e["t"][3:])) * MINUTE, "event": e["event"]}
        for e in case["events"]
    ]
    steps, hour = case["query"]["steps"], 60 * MINUTE
    assert ask(log, steps, "mixpanel", within=hour).reached == [1, 1, 0]
    for other in ("posthog", "amplitude", "mixpanel_reentry"):
        assert ask(log, steps, other, within=hour).reached == [1, 1, 1]


def test_only_the_first_entry_counts_by_default(cases, ask):
    case = cases["mp-reentry-after-window"]
    assert case["expected"] == {"default": "not converted", "optimized_reentry": "converted"}
    day = 1_440 * MINUTE
    log = [
        {"user": "u", "time": t, "event": e} for t, e in ((0, "A"), (8 * day, "A"), (8 * day + MINUTE, "B"))
    ]
    assert ask(log, ["A", "B"], "mixpanel").reached == [1, 0]
    assert ask(log, ["A", "B"], "mixpanel_reentry").reached == [1, 1]


def test_which_entry_gives_the_time(cases, ask):
    case = cases["mp-ttc-entry"]
    assert case["expected"]["default_time_from"] == "first A (3 units)"
    assert case["expected"]["optimized_reentry_time_from"] == "third A (1 unit)"
    log = rows(case["events"])
    assert ask(log, ["A", "B"], "mixpanel").seconds == [180]
    assert ask(log, ["A", "B"], "mixpanel_reentry").seconds == [60]


def test_an_exclusion_ends_the_attempt_and_the_user_may_enter_again(cases, ask):
    case = cases["mp-exclusion-totals"]
    found = ask(rows(case["events"]), ["A", "B"], "mixpanel", exclude="A", unit="totals")
    assert found.reached == [case["expected"]["entries"], case["expected"]["conversions"]]
    assert ask(rows(case["events"][:2]), ["A", "B"], "posthog", exclude="A").reached == [1, 0]
    assert ask(
        rows([*case["events"][:2], case["events"][3]]), ["A", "B"], "mixpanel", exclude="A"
    ).reached == [1, 0]


def test_events_that_made_a_step_are_no_frequency(cases):
    case = cases["mp-frequency-between-steps"]
    name, steps = case["query"]["count_between"], case["query"]["steps"]
    for log, expected in ((case["events"], case["expected"]["frequency"]), (case["events"][1:], 0)):
        units, mine = vendor_funnels.twin(rows(log), steps, "mixpanel")
        assert frequency(units, mine, lambda row: row["event"] == name, 1, 2) == [expected]
        funnel = jk.Funnel(steps, rules=jk.rules.mixpanel())
        answer = journeys_of(rows(log)).measure(jk.FunnelFrequency(funnel, name))
        assert answer.distribution.rows() == [(expected, 1)]


def test_events_are_unique_per_conversion_path(cases, ask):
    case = cases["amp-repeat-first-step"]
    found = ask(rows(case["events"]), case["query"]["steps"], "amplitude")
    assert found.reached == [1, case["expected"]["conversions"]]


def test_hold_constant_counts_pairs(cases, ask):
    case = cases["amp-hold-item"]
    log = [
        {"user": "u", "time": (10 * k + item) * MINUTE, "event": step, "item_id": str(item)}
        for k, step in enumerate(("View", "Add", "Purchase"))
        for item in range(10)
    ]
    steps = ["View", "Add", "Purchase"]
    assert ask(log, steps, "amplitude", hold="item_id").reached == [case["expected"]["conversions"]] * 3
    assert ask(log, steps, "amplitude").reached == [case["expected"]["without_hold"]] * 3


def test_two_copies_in_one_second_are_one(cases, ask):
    case = cases["amp-same-event-same-second"]
    found = ask(rows(case["events"], SECOND), case["query"]["steps"], "amplitude")
    assert found.reached == [1, 0]
    assert sum(found.reached) == case["expected"]["furthest_step"]


def test_two_events_in_one_second_are_in_either_order(cases, ask):
    case = cases["amp-same-second"]
    log = rows(case["events"], SECOND)
    for steps in (["A", "B"], ["B", "A"]):
        assert ask(log, steps, "amplitude").reached == [1, 1]
        assert case["expected"]["->".join(steps)] == "converted"
        assert ask(log, steps, "mixpanel").reached == [1, 1]
    assert ask(log, ["A", "B"], "posthog").reached == [1, 0]
    equal = [{**row, "time": 0} for row in log]
    assert ask(equal, ["A", "B"], "posthog").reached == [1, 1]


@pytest.mark.parametrize("answer", ["twin", "package"])
def test_groups_are_of_the_first_entry(cases, answer):
    case = cases["amp-group-by-first-page"]
    assert case["expected"] == {"A": "converted", "B": "not counted"}
    log = [
        {
            "user": "u",
            "time": e["t"] * MINUTE,
            "event": e["event"][:17].strip(),
            "page": e["event"][19:-1] or None,
        }
        for e in case["events"][:2]
    ]
    last = {"user": "u", "time": 2 * MINUTE, "event": "complete registration", "page": None}
    steps = ["view landing page", "complete registration"]
    groups = getattr(vendor_funnels, f"groups_{answer}")
    assert groups([*log, last], steps, "amplitude", "page", "step:1") == {"A": [1, 1]}
    assert groups(log, steps, "amplitude", "page", "step:1") == {"A": [1, 0]}
