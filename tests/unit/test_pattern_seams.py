"""A pattern as a filter, a step, an anchor, a segment, and in a plan. D8.11."""

from __future__ import annotations

import pickle
import re

import polars as pl
import pytest

import journeykit as jk
from journeykit.errors import ParameterError, PatternError, UnknownNameError
from journeykit.patterns.matchers import symbols_of
from tests.logs import MINUTE
from tests.measuring import journeys_of

LOG = {"ann": "view view cart help cart buy", "bob": "view cart help buy", "cat": "cart view"}


def rows_of(log=LOG):
    return [
        {"user": user, "time": place * MINUTE, "event": name}
        for user, text in log.items()
        for place, name in enumerate(text.split())
    ]


@pytest.fixture
def journeys():
    return journeys_of(rows_of())


def events_of(journeys):
    return {
        user: " ".join(names)
        for user, names in journeys.frame.group_by("user", maintain_order=True)
        .agg(pl.col("event").cast(pl.String))
        .sort("user")
        .rows()
    }


@pytest.mark.parametrize(
    "keep, wanted",
    [
        ("events", {"ann": "view buy", "bob": "view buy"}),
        ("sessions", {"ann": LOG["ann"], "bob": LOG["bob"]}),
        ("users", {"ann": LOG["ann"], "bob": LOG["bob"]}),
    ],
)
def test_as_a_filter(journeys, keep, wanted):
    assert events_of(journeys.filter(matching="view ~> buy", keep=keep)) == wanted
    found = journeys.match("view ~> buy", "all")
    assert events_of(journeys.filter(matching=found, keep=keep)) == wanted
    part = journeys.filter(matching=jk.Pattern("view ~> buy"), keep=keep, events="buy")
    assert part.n_users == 2


def test_a_filter_says_what_it_left_out(journeys):
    part = journeys.filter(matching="cart -> help", keep="users")
    assert part.provenance.notes[-1] == (
        "filter(matching='cart -> help', keep='users') left out 2 of 12 events, 1 of 3 sessions and 1 of 3 users."
    )


def test_as_a_step_of_a_funnel(journeys):
    steps = ["cart", jk.Pattern("help -> cart"), "buy"]
    answer = journeys.measure(jk.Funnel(steps, runs=True))
    assert answer.frame.select("name", "reached").rows() == [("cart", 3), ("help -> cart", 1), ("buy", 1)]
    captured = journeys.measure(jk.Funnel(["cart", jk.Pattern("x=help ~> buy"), "cart"]))
    assert captured.frame["reached"].to_list() == [3, 2, 1]
    named = jk.Step(jk.Pattern("help -> cart"), name="tried again")
    assert journeys.measure(jk.Funnel(["view", named])).frame["name"][1] == "tried again"


def test_as_an_exclusion(journeys):
    funnel = jk.Funnel(["view", "buy"], exclude=jk.Pattern("help -> cart"))
    assert journeys.measure(funnel).frame["reached"].to_list() == [2, 1]


def test_as_an_anchor_of_a_flow(journeys):
    flow = journeys.measure(jk.Flow(start=jk.Pattern("cart -> help"))).frame
    moves = flow.select("step", "source", "target", "paths").rows()
    assert moves == [
        (1, "help", "buy", 1),
        (1, "help", "cart", 1),
        (2, "cart", "buy", 1),
        (2, "buy", "<END>", 1),
        (3, "buy", "<END>", 1),
    ]
    end = journeys.measure(jk.Flow(end=jk.Pattern("x=cart -> help"))).frame
    assert end.select("step", "source", "target", "paths").rows() == [
        (1, "view", "cart", 1),
        (1, "view", "view", 1),
        (2, "view", "cart", 1),
    ]


def test_as_an_anchor_of_a_step_matrix(journeys):
    matrix = jk.StepMatrix(anchor=jk.Pattern("cart -> x=[help|view]"), before=0, after=1)
    answer = journeys.measure(matrix)
    assert answer.frame.filter(pl.col("step") == 0).select("state", "paths").rows() == [
        ("help", 2),
        ("view", 1),
    ]
    assert answer.frame.filter(pl.col("step") == 1).select("state", "paths").rows() == [
        ("buy", 1),
        ("cart", 1),
        ("<END>", 1),
    ]


def test_as_a_segment(journeys):
    marked = journeys.mark("asked", "cart -> help", of="unit")
    frame = marked.measure(jk.Conversion("buy", start="cart"), by="asked").frame
    assert frame.select("asked", "reached", "converted").rows() == [(False, 1, 0), (True, 2, 2)]


def test_inside_another_pattern(journeys):
    again = jk.Pattern("again ~> buy", where={"again": jk.Pattern("help -> cart")})
    assert journeys.match(again).frame.select("user", "row").rows() == [("ann", 4), ("ann", 5)]


def test_matches_do_not_overlap():
    journeys = journeys_of(rows_of({"ann": "a a a a a"}))
    answer = journeys.measure(jk.StepMatrix(anchor=jk.Pattern("a -> a"), occurrence=2, before=4, after=0))
    assert answer.matrix("paths").row(by_predicate=pl.col("state") == "<START>")[1:] == (1, 0, 0, 0, 0)


def test_only_the_first_time():
    """Of a user, across sessions."""
    rows = rows_of({"ann": "a b a b", "bob": "a b"})
    rows += [
        {"user": "bob", "time": (100 + place) * MINUTE, "event": name} for place, name in enumerate("aab")
    ]
    journeys = journeys_of(rows)
    pattern = jk.Pattern("a -> b")
    counts = []
    for first_time in (False, True, "filtered"):
        match = jk.Match(pattern=pattern, first_time=first_time)
        answer = journeys.measure(jk.Funnel([match], unit="totals", rules=jk.FunnelRules(entry="all")))
        counts.append(answer.frame["reached"].to_list())
    assert counts == [[4], [2], [2]]
    assert jk.Match(pattern=pattern, first_time=True).title == "first a -> b"
    assert journeys.measure(jk.Retention(pattern)).frame["size"].max() == 2


def test_where_sessions_interleave():
    sessions = {"s1": "cart help", "s2": "cart buy"}
    rows = [
        {"user": "a", "time": (2 * place + (session == "s2")) * MINUTE, "event": name, "session": session}
        for session, text in sessions.items()
        for place, name in enumerate(text.split())
    ]
    journeys = journeys_of(rows, jk.SessionRule.from_column())
    assert journeys.time_order is not None
    of_session, of_user = (jk.Pattern("cart -> [help|buy]", unit=unit) for unit in ("session", "user"))
    for unit in ("session", "user"):
        asked = (jk.Funnel([pattern], unit=unit, runs=True) for pattern in (of_session, of_user))
        assert [journeys.measure(funnel).runs.height for funnel in asked] == [2, 1]
    stored = [journeys.names[int(code)] for code in journeys.event_codes]
    in_order = {"session": stored, "user": [stored[place] for place in journeys.time_order]}
    for pattern, wanted in ((of_session, ["help", "buy"]), (of_user, ["help"])):
        for unit, names in in_order.items():
            symbols = symbols_of(journeys, [jk.Match(pattern=pattern)], "event", unit)
            fits = symbols.masks[symbols.codes].tolist()
            assert [name for name, fit in zip(names, fits, strict=True) if fit] == wanted


def test_of_stages():
    model = jk.StageModel([jk.Stage("want", "cart"), jk.Stage("own", "buy")])
    journeys = journeys_of(rows_of()).assign_stages(model)
    pattern = jk.Pattern("want -> own", of="stage")
    answer = journeys.measure(jk.Funnel(["want", pattern], of="stage"))
    assert answer.frame["reached"].to_list() == [3, 2]
    before_stages = journeys.measure(jk.Flow(start=jk.Pattern("view"), of="stage"))
    assert before_stages.frame.height == 0 or "view" not in before_stages.frame["source"].to_list()


def planned():
    log = pl.DataFrame(rows_of())
    return jk.scan_events(log, user="user", time="time", event="event", unit="us").sessionize("30m")


def test_in_a_plan(journeys):
    plan = planned()
    marked = plan.mark("asked", "cart -> help", of="unit").filter(matching="view ~> buy", keep="users")
    assert repr(marked).splitlines()[-2:] == [
        f"  mark(name='asked', matches={jk.Pattern('cart -> help')!r}, of='unit')",
        f"  filter(keep='users', matching={jk.Pattern('view ~> buy')!r})",
    ]
    assert marked == plan.mark("asked", "cart -> help", of="unit").filter(
        matching="view ~> buy", keep="users"
    )
    assert marked.measure(jk.Conversion("buy", start="cart"), by="asked").frame["converted"].to_list() == [2]
    assert plan.match("view ~> buy").frame.equals(journeys.match("view ~> buy").frame)


@pytest.mark.parametrize(
    "wrong, message",
    [
        (
            lambda made: jk.Match("a", pattern=jk.Pattern("b")),
            "a Match has names and conditions or a pattern, not both. Put them into the pattern, with its where=.",
        ),
        (
            lambda made: jk.Match(pattern="b"),
            "pattern must be a Pattern, such as jk.Pattern('view -> buy'), not 'b'.",
        ),
        (
            lambda made: jk.Flow(start=jk.Pattern("x=a -> y=b")),
            "the pattern 'x=a -> y=b' captures 'x', 'y', and only one event of a match can be meant. Keep one capture.",
        ),
        (
            lambda made: jk.Step(jk.Pattern("a"), where=pl.col("b") > 1),
            "a Match has names and conditions or a pattern, not both. Put them into the pattern, with its where=.",
        ),
        (
            lambda made: made.filter(matching=3),
            "matching must be a pattern, such as 'view ~> buy', or the matches of one, not 3.",
        ),
        (
            lambda made: made.filter(events="buy").filter(matching=made.match("buy")),
            "these matches are not of these journeys: positions in one are not those in another.",
        ),
        (
            lambda made: planned().mark("b", made.match("buy")),
            "a plan can mark where a pattern matches, and not what was matched elsewhere: Matches is no pattern.",
        ),
    ],
)
def test_what_cannot_be_asked(journeys, wrong, message):
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        wrong(journeys)


def test_mistakes_in_the_pattern_are_told(journeys):
    for wrong in (
        lambda: journeys.filter(matching="view ~> ["),
        lambda: jk.Flow(start=jk.Pattern("view ~>")),
    ):
        with pytest.raises(PatternError):
            wrong()
    for statistic in (jk.Flow(start=jk.Pattern("vew")), jk.Funnel([jk.Pattern("vew")])):
        with pytest.raises(UnknownNameError, match="Did you mean 'view'"):
            journeys.measure(statistic)
    assert journeys.measure(jk.Flow(start=jk.Pattern("vew", missing="ignore"))).frame.height == 0


def test_they_are_written_as_they_are_made():
    pattern = jk.Pattern("view -> buy", unit="user")
    assert repr(pattern) == "Pattern('view -> buy', unit='user')"
    assert repr(jk.Match(pattern=pattern)) == "Match(pattern=Pattern('view -> buy', unit='user'))"
    assert repr(jk.Step(pattern)) == "Step(Pattern('view -> buy', unit='user'))"
    assert repr(jk.Match("buy", first_time=True)) == "Match(('buy',), first_time=True)"
    assert repr(jk.Match()) == "Match()"


def test_a_matcher_of_a_pattern_travels():
    match = jk.Match(pattern=jk.Pattern("view -> buy"), label="bought")
    assert pickle.loads(pickle.dumps(match)) == match
    assert match.title == "bought"
    assert jk.Match(pattern=jk.Pattern("view -> buy")).title == "view -> buy"
