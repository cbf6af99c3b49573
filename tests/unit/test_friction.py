"""Friction by hand."""

from __future__ import annotations

import polars as pl
import pytest

import journeykit as jk
from tests.logs import frame, log
from tests.measuring import journeys_of

# Two users, three sessions; minutes.
#   ann  1: list 0, item 1, list 3, item 3.1, help 4, item 9, item 10      2: item 60, list 61
#   bob  1: help 0, cart 2, list 5
# With trouble help:
#   ann 1: item 1 clean; list 3 backtrack (3 min, not quick); item 3.1 backtrack (2.1 min);
#          help 4 error; item 9 error (after help) and backtrack, not a loop; item 10 repeat.
#   bob 1: help 0 error, cart 2 error, list 5 clean.
SHOP = log(
    """
    ann 0 list; ann 1 item; ann 3 list; ann 3.1 item; ann 4 help; ann 9 item; ann 10 item; ann 60 item; ann 61 list
    bob 0 help; bob 2 cart; bob 5 list
    """
)


def flagged(answer, *columns):
    found = answer.frame.filter(pl.col("flagged_visits") > 0, pl.col("flag") != "any")
    return found.select("event", "flag", *(columns or ("flagged_visits", "visits"))).rows()


def test_flags_by_hand():
    answer = journeys_of(SHOP).measure(jk.Friction("help", slow=None))
    assert flagged(answer) == [
        ("help", "error", 2, 2),
        ("item", "backtrack", 2, 5),
        ("cart", "error", 1, 1),
        ("item", "error", 1, 5),
        ("item", "repeat", 1, 5),
        ("list", "backtrack", 1, 4),
    ]
    item = answer.frame.filter(event="item", flag="any").to_dicts()[0]
    assert [item[name] for name in ("flagged_visits", "visits", "flagged_sessions", "sessions", "users")] == [
        3, 5, 1, 2, 1,
    ]  # fmt: skip
    assert (item["visit_rate"], item["session_rate"], item["user_rate"]) == (0.6, 0.5, 1.0)


def test_classes_are_the_first_flag():
    answer = journeys_of(SHOP).measure(jk.Friction("help", slow=None))
    found = answer.classes.filter(event="item").select("friction_class", "class_visits", "class_rate").rows()
    assert found == [
        ("error", 1, 0.2), ("rage", 0, 0.0), ("backtrack", 1, 0.2), ("repeat", 1, 0.2), ("loop", 0, 0.0),
        ("clean", 2, 0.4),
    ]  # fmt: skip


def test_detours_by_hand():
    """Item 3.1 > help comes back to an item; nothing else goes to help, and help itself is no visit."""
    answer = journeys_of(SHOP).measure(jk.Friction("help", slow=None))
    assert answer.detours.select(
        "event", "visits", "detours", "detour_rate", "returns", "return_rate"
    ).rows() == [
        ("item", 5, 1, 0.2, 1, 1.0),
        ("cart", 1, 0, 0.0, 0, None),
        ("list", 4, 0, 0.0, 0, None),
    ]


def test_a_detour_comes_back_to_its_stage_or_a_later_one():
    """ann comes back further, bob to an earlier stage only, cid not at all."""
    rows = log(
        "ann 0 item; ann 1 help; ann 2 cart; bob 0 cart; bob 1 help; bob 2 item; cid 0 item; cid 1 help"
    )
    model = jk.StageModel([jk.Stage("look", "item"), jk.Stage("want", "cart")])
    answer = journeys_of(rows).assign_stages(model).measure(jk.Friction("help", slow=None))
    assert answer.detours.select("event", "detours", "returns").rows() == [("item", 2, 1), ("cart", 1, 0)]
    assert answer.stages.filter(flag="error").select("stage", "flagged_visits", "visits").rows() == [
        ("look", 3, 5),
        ("want", 2, 3),
    ]


def test_a_gap_of_exactly_the_limit_is_not_slow():
    """Gaps into b: 1, 2, 3 minutes: the median is 2, and only 3 is above it."""
    rows = log("u 0 a; u 1 b; v 0 a; v 2 b; w 0 a; w 3 b")
    answer = journeys_of(rows).measure(jk.Friction(slow=0.5))
    assert flagged(answer) == [("b", "slow", 1, 3)]
    assert answer.limits.rows() == [("b", 3, 120.0)]


def test_what_is_slow_is_the_same_in_every_segment():
    rows = log("u 0 a; u 1 b; v 0 a; v 2 b; w 0 a; w 3 b")
    for row in rows:
        row["device"] = "phone" if row["user"] == "w" else "desk"
    answer = journeys_of(rows).measure(jk.Friction(slow=0.5), by="device")
    found = answer.frame.filter(event="b", flag="slow").select("device", "flagged_visits", "visits").rows()
    assert found == [("desk", 0, 2), ("phone", 1, 1)]


@pytest.mark.parametrize(
    "rule, seconds, expected",
    [
        (jk.RageRule.posthog(), (0, 0.5, 1.0), 1),
        (jk.RageRule.posthog(), (0, 0.5, 1.01), 0),
        (jk.RageRule.posthog(), (0, 0.5, 1.0, 1.2), 2),
        (jk.RageRule.mixpanel(), (0, 0.5, 1.0), 0),
        (jk.RageRule.mixpanel(), (0, 0.5, 0.9, 1.0), 1),
        (jk.RageRule(2, "10s"), (0, 11, 20, 31), 1),
    ],
)
def test_rage_by_hand(rule, seconds, expected):
    rows = [{"user": "u", "time": round(second * 1e6), "event": "click"} for second in seconds]
    answer = journeys_of(rows).measure(jk.Friction(rage=rule))
    assert answer.frame.filter(flag="rage")["flagged_visits"].to_list() == [expected]


def test_other_events_may_lie_between_those_of_a_burst():
    rows = [
        {"user": "u", "time": i * 200_000, "event": "click" if i % 2 == 0 else "render"} for i in range(5)
    ]
    answer = journeys_of(rows).measure(jk.Friction(slow=None))
    assert answer.frame.filter(flag="rage").select("event", "flagged_visits").rows() == [
        ("click", 1),
        ("render", 0),
    ]


def clicks(*places):
    return [
        {"user": "u", "time": i * 100_000, "event": "click", "target": target, "x": x, "y": y}
        for i, (target, x, y) in enumerate(places)
    ]


@pytest.mark.parametrize(
    "rows, expected",
    [
        (clicks(("ok", 0.0, 0.0), ("ok", 18.0, 24.0), ("ok", 18.0, 24.0)), 1),
        (clicks(("ok", 0.0, 0.0), ("ok", 18.0, 24.1), ("ok", 18.0, 24.1)), 0),
        (clicks(("ok", 0.0, 0.0), ("no", 0.0, 0.0), ("ok", 0.0, 0.0), ("ok", 0.0, 0.0)), 1),
        (clicks(("ok", 0.0, 0.0), (None, 0.0, 0.0), ("ok", 0.0, 0.0)), 0),
        (clicks((None, 0.0, 0.0), (None, 0.0, 0.0), (None, 0.0, 0.0)), 0),
        (clicks(("ok", 0.0, 0.0), ("ok", None, 0.0), ("ok", 0.0, 0.0)), 0),
    ],
)
def test_rage_is_on_one_target_and_in_one_place(rows, expected):
    """Places are 30 apart, itself included; what is not known is no burst."""
    answer = journeys_of(rows).measure(jk.Friction(rage=jk.RageRule.posthog("target", "x", "y"), slow=None))
    assert answer.frame.filter(flag="rage")["flagged_visits"].to_list() == [expected]


def test_a_quick_backtrack_takes_ten_seconds_at_most():
    rows = [{"user": u, "time": t * 1_000_000, "event": e} for u, times in (("a", (0, 5, 10)), ("b", (0, 5, 11)))
            for t, e in zip(times, ("list", "item", "list"), strict=True)]  # fmt: skip
    answer = journeys_of(rows).measure(jk.Friction(slow=None))
    assert flagged(answer) == [("list", "backtrack", 2, 4), ("list", "quick_backtrack", 1, 4)]


def test_flags_look_back_in_the_session_of_the_log():
    """Sessions s and t take turns: neither has a backtrack; both repeat."""
    rows = log("u 0 a; u 1 b; u 2 a; u 3 b; u 4 a")
    for row, session in zip(rows, ("s", "t", "s", "t", "s"), strict=True):
        row["session"] = session
    events = jk.read_events(frame(rows), user="user", time="time", event="event", session="session")
    answer = events.sessionize(jk.SessionRule.from_column()).measure(jk.Friction(slow=None, rage=None))
    assert flagged(answer) == [("a", "repeat", 2, 3), ("b", "repeat", 1, 2)]


def test_events_outside_any_session_are_no_visits():
    events = jk.read_events(frame(log("u 0 ping; u 9 a; u 10 a")), user="user", time="time", event="event")
    answer = events.sessionize(jk.SessionRule("5m", passive=["ping"])).measure(jk.Friction(slow=None))
    assert answer.frame.filter(flag="any").select("event", "flagged_visits", "visits").rows() == [("a", 1, 2)]


def test_trouble_may_be_a_condition_on_properties():
    rows = log("u 0 page; u 1 page; u 2 cart; v 0 page")
    for row, status in zip(rows, (200, 500, 200, 200), strict=True):
        row["status"] = status
    answer = journeys_of(rows).measure(jk.Friction(pl.col("status") >= 500, slow=None))
    assert flagged(answer) == [("cart", "error", 1, 1), ("page", "error", 1, 3), ("page", "repeat", 1, 3)]
    assert answer.detours.select("event", "visits", "detours", "returns").rows() == [
        ("page", 2, 1, 1),
        ("cart", 1, 0, 0),
    ]


def test_what_was_not_looked_for_has_no_rows_and_a_note():
    answer = journeys_of(SHOP).measure(jk.Friction(rage=None, slow=None))
    assert answer.frame["flag"].unique().sort().to_list() == [
        "any", "backtrack", "loop", "quick_backtrack", "repeat",
    ]  # fmt: skip
    assert answer.detours.height == 0
    assert answer.notes[-3:] == (
        "Errors and detours were not looked for: trouble= names no event.",
        "Rage was not looked for.",
        "Slow visits were not looked for.",
    )


def tap(**options):
    return lambda: journeys_of(clicks(("ok", 0.0, 0.0))).measure(jk.Friction(rage=jk.RageRule(**options)))


REFUSED = {
    "trouble cannot be []. Give a name, a list of names, a polars expression, a Pattern or a Match.": lambda: (
        jk.Friction([])
    ),
    "rage cannot be 3. Give a RageRule, such as RageRule.mixpanel(), or None.": lambda: jk.Friction(rage=3),
    "slow must be a number between 0 and 1, or None, not 95.": lambda: jk.Friction(slow=95),
    "quick must be greater than zero, not '0s'.": lambda: jk.Friction(quick="0s"),
    "missing cannot be 'no'. Choose one of: 'raise', 'ignore', 'warn'.": lambda: jk.Friction(missing="no"),
    "repeats must be a whole number from 2 on, not 1.": lambda: jk.RageRule(1),
    "distance must be a number from 0 on, not -1.": lambda: jk.RageRule(distance=-1),
    "x and y say together where an event was. Name both of them, or neither.": lambda: jk.RageRule(x="x"),
    "no event 'halp' in this log. Did you mean 'help'? Available: 'help', 'cart', 'list', 'item'. Pass "
    'missing="ignore" to count such names as never seen.': lambda: journeys_of(SHOP).measure(
        jk.Friction("halp")
    ),
    "no property 'tarket' in these journeys. Did you mean 'target'? Available: 'target', 'x', 'y'. Pass "
    "keep=[..., 'tarket'] to read_events.": tap(target="tarket"),
    "the property 'target' cannot say where: it holds String, not numbers.": tap(x="target", y="y"),
}


@pytest.mark.parametrize("expected", REFUSED)
def test_what_is_refused(expected):
    with pytest.raises(jk.JourneykitError) as caught:
        REFUSED[expected]()
    assert str(caught.value) == expected


def test_slow_visits_of_a_large_vocabulary_are_the_same():
    """More events than fit a table of bins: gaps into every name are 1, 2, ... 20 minutes; only the last is slow."""
    names = [f"page {i}" for i in range(600)]
    rows = [
        {"user": f"{name} {minutes}", "time": at * 60_000_000, "event": each}
        for name in names
        for minutes in range(1, 21)
        for at, each in ((0, "home"), (minutes, name))
    ]
    answer = journeys_of(rows).measure(jk.Friction(rage=None))
    slow = answer.frame.filter(pl.col("flag") == "slow", pl.col("event") != "home")
    assert slow["flagged_visits"].unique().to_list() == [1]
    assert answer.limits.select("gaps", "slow_after").unique().rows() == [(20, pytest.approx(19.05 * 60))]
