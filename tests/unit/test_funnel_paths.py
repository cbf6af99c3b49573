"""The events around the steps of a funnel, and funnels that agree with flows. D7.4, D8.3, D8.14."""

from __future__ import annotations

import re

import polars as pl
import pytest

import journeykit as jk
from journeykit.errors import ParameterError
from tests.logs import MINUTE
from tests.measuring import journeys_of, many_users

LOG = {"ann": "x a y b z c", "bob": "a y b w", "cat": "x a v", "dan": "x y"}


def rows_of(log):
    return [
        {"user": user, "time": place * MINUTE, "event": name}
        for user, text in log.items()
        for place, name in enumerate(text.split())
    ]


def kept(funnel, *where, log=LOG, **options):
    frame = funnel.around(journeys_of(rows_of(log)), *where, **options).frame
    names = frame.group_by("user", maintain_order=True).agg(pl.col("event").cast(pl.String))
    return {user: "".join(events) for user, events in names.rows()}


ABC = jk.Funnel(["a", "b", "c"], within="1h")


@pytest.mark.parametrize(
    "where, options, wanted",
    [
        ((1,), {}, {"ann": "aybzc", "bob": "aybw", "cat": "av"}),
        ((2,), {}, {"ann": "bzc", "bob": "bw"}),
        ((2, "before"), {}, {"ann": "xayb", "bob": "ayb"}),
        ((3, "between"), {}, {"ann": "bzc"}),
        ((2,), {"dropped": True}, {"cat": "av"}),
        ((3,), {"dropped": True}, {"bob": "bw"}),
        ((2, "before"), {"dropped": True}, {"cat": "xav"}),
    ],
)
def test_what_is_around_a_step(where, options, wanted):
    assert kept(ABC, *where, **options) == wanted
    assert kept(jk.Funnel(["a", "b", "c"], within="1h", unit="session"), *where, **options) == wanted


def test_before_a_drop_off_ends_a_window_after_the_step_reached_last():
    funnel = jk.Funnel(["a", "b"], within="2m")
    log = {"ann": "x a y z v", "bob": "a b"}
    assert kept(funnel, 2, "before", dropped=True, log=log) == {"ann": "xayz"}
    assert kept(jk.Funnel(["a", "b"]), 2, "before", dropped=True, log=log) == {"ann": "xayzv"}


def test_positions_decide_unless_ties_are_open():
    rows = [{"user": "a", "time": 0, "event": name} for name in ("x", "a", "y")]
    journeys = journeys_of(rows)
    for ties, wanted in (("input", ["a", "y"]), ("any", ["x", "a", "y"])):
        funnel = jk.Funnel(["a"], rules=jk.FunnelRules(ties=ties))
        assert funnel.around(journeys, 1).frame["event"].to_list() == wanted


def test_an_optional_step_is_no_step_to_drop_at():
    funnel = jk.Funnel(["a", jk.Step("y", optional=True), "b"], within="1h")
    assert kept(funnel, 3, "between") == {"ann": "ayb", "bob": "ayb"}
    assert kept(funnel, 3, dropped=True) == {"cat": "av"}
    with pytest.raises(
        ParameterError, match="^nobody drops at step 2, which is optional. Pass a required step.$"
    ):
        kept(funnel, 2, dropped=True)


def test_where_sessions_interleave():
    sessions = {"s1": "a b x", "s2": "y a z"}
    rows = [
        {"user": "u", "time": (2 * place + (name == "s2")) * MINUTE, "event": event, "session": name}
        for name, text in sessions.items()
        for place, event in enumerate(text.split())
    ]
    journeys = journeys_of(rows, jk.SessionRule.from_column())
    after = jk.Funnel(["a", "b"], within="1h").around(journeys, 2)
    assert sorted(after.times // MINUTE) == [2, 3, 4, 5]
    alone = jk.Funnel(["a", "b"], within="1h", unit="session").around(journeys, 2)
    assert sorted(alone.times // MINUTE) == [2, 4]


def test_what_was_left_out_is_noted():
    part = ABC.around(journeys_of(rows_of(LOG)), 2)
    assert part.provenance.notes[-1].startswith("around(step=2, 'after') left out 10 of 15 events")


@pytest.mark.parametrize(
    "ask, message",
    [
        (
            lambda made: ABC.around(made, 4),
            "step=4 is none of the 3 steps of this funnel. Count them from 1.",
        ),
        (
            lambda made: ABC.around(made, True),
            "step=True is none of the 3 steps of this funnel. Count them from 1.",
        ),
        (
            lambda made: ABC.around(made, 1, dropped=True),
            "no step lies before the first one: with dropped or 'between', pass step=2 or more.",
        ),
        (
            lambda made: ABC.around(made, 2, "between", dropped=True),
            "who dropped has no events between two steps that were reached. Pass part='before' or 'after'.",
        ),
        (
            lambda made: jk.Funnel(["a"], unit="totals").around(made, 1),
            (
                "around needs one run per user or session: it does not go with unit='totals', breakdown= and "
                "hold_unit='pair'."
            ),
        ),
    ],
)
def test_what_cannot_be_asked(ask, message):
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        ask(journeys_of(rows_of(LOG)))
    with pytest.raises(ParameterError, match="part"):
        ABC.around(journeys_of(rows_of(LOG)), 2, "beside")


@pytest.mark.property
@pytest.mark.parametrize("unit", ["session", "user"])
@pytest.mark.parametrize("seed", range(4))
def test_a_strict_funnel_and_a_flow_agree_at_every_step(seed, unit):
    """What flows from step k into step k + 1 has reached it; what flows elsewhere, END too, has dropped."""
    steps = ["view", "cart", "home", "view"]
    journeys = journeys_of(many_users(seed))
    funnel = jk.Funnel(steps, unit=unit, rules=jk.FunnelRules(order="strict"))
    reached = journeys.measure(funnel).frame["reached"].to_list()
    assert reached[1] > 0
    for k in range(1, len(steps)):
        after = funnel.around(journeys, k)
        edges = after.measure(jk.Flow(2, start=steps[k - 1], unit=unit)).frame
        onward = pl.col("target") == steps[k]
        assert edges.filter(onward)["paths"].sum() == reached[k]
        assert edges.filter(~onward)["paths"].sum() == reached[k - 1] - reached[k]


def test_a_plan_is_run_and_events_are_refused():
    log = pl.DataFrame({"user": [1, 1, 2], "time": [0, 9, 0], "event": ["a", "b", "a"]})
    roles = {"user": "user", "time": "time", "event": "event", "unit": "s"}
    funnel = jk.Funnel(["a", "b"], within="1m")
    plan = jk.scan_events(log, **roles).sessionize("30m")
    assert funnel.around(plan, 2).frame.equals(funnel.around(plan.collect(), 2).frame)
    with pytest.raises(jk.errors.ParameterError) as error:
        funnel.around(jk.read_events(log, **roles), 2)
    assert (
        str(error.value)
        == "around needs journeys, or a plan of them, not Events. Call sessionize(...) first."
    )
