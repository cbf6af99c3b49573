"""Path cleaning by hand. D3.3."""

from __future__ import annotations

import pickle

import polars as pl
import pytest

import journeykit as jk
from journeykit.errors import ParameterError, ReservedNameError, UnknownNameError
from tests.logs import frame, log
from tests.measuring import journeys_of

ROWS = log("ann 0 /a/; ann 1 /a; ann 2 /a?x=1; ann 3 ping; ann 4 /a; ann 5 /b/7; bob 0 ping; bob 90 /b/8/")


def events(journeys):
    return journeys.frame["event"].to_list()


def test_names_are_cleaned_in_order():
    cleaning = jk.PathCleaning(
        strip_query=True,
        strip_trailing_slash=True,
        rules=[(r"/(\w)/\d+", r"\1:$id"), ("^b", "B")],
        groups=["B*d", "*a"],
    )
    names = ["/a/?q=/", "/", "//", "/b/7", "xa", "b/1", "", "?x"]
    assert cleaning.renamed(names) == ["*a", "/", "/", "B*d", "*a", "B/1", "", ""]
    assert cleaning.renamed([]) == []


@pytest.mark.parametrize(
    "alias, found", [(r"\0\0", "77"), (r"\\1", r"\1"), ("$1", "$1"), ("${1}$$", "${1}$$"), (r"\x", r"\x")]
)
def test_aliases_are_texts_but_for_groups(alias, found):
    assert jk.PathCleaning(rules=[(r"\d", alias)]).renamed(["7"]) == [found]


def test_wildcards_match_anywhere_and_the_first_wins():
    cleaning = jk.PathCleaning(groups=["/bar/*/foo", "a.b", "/1*"])
    assert cleaning.renamed(["/2/bar/1/foo", "xa.bx", "axb", "/bar/\n/foo", "0/1", "/bar/foo"]) == [
        "/bar/*/foo", "a.b", "axb", "/bar/*/foo", "/1*", "/bar/foo",
    ]  # fmt: skip


def test_runs_keep_their_first_or_their_last_event_and_their_length():
    cleaning = jk.PathCleaning(
        strip_query=True, strip_trailing_slash=True, exclude="ping", collapse_repeats=True
    )
    first = journeys_of(ROWS).clean(cleaning)
    last = journeys_of(ROWS).clean(jk.PathCleaning(**{**vars(cleaning), "keep": "last"}))
    columns = ["user", "session", "event", "run_length"]
    assert first.frame.select(columns).rows() == [
        ("ann", 1, "/a", 4), ("ann", 1, "/b/7", 1), ("bob", 1, "/b/8", 1),
    ]  # fmt: skip
    assert last.frame.select(columns).rows() == first.frame.select(columns).rows()
    minutes = [(j.frame["time"] - j.frame["time"].min()).dt.total_minutes().to_list() for j in (first, last)]
    assert minutes == [[0, 5, 90], [0, 1, 86]]
    note = (
        "PathCleaning(strip_query=True, strip_trailing_slash=True, exclude=('ping',), collapse_repeats=True) "
        "left out 5 of 8 events and 1 of 3 sessions."
    )
    assert first.provenance.notes == (note,)
    assert first.names.to_list() == ["/a", "/b/7", "/b/8"]


def test_run_lengths_add_up_and_survive_a_filter_and_the_disk(tmp_path):
    once = journeys_of(log("u 0 a; u 1 a; u 2 b; u 3 a")).clean(jk.PathCleaning(collapse_repeats=True))
    twice = once.clean(jk.PathCleaning(exclude="b", collapse_repeats=True))
    assert twice.frame["run_length"].to_list() == [3]
    assert once.filter(pl.col("run_length") > 1).frame["event"].to_list() == ["a"]
    once.write(tmp_path / "stored")
    assert jk.open_journeys(tmp_path / "stored").frame.equals(once.frame)


def test_sessions_are_not_joined_unless_asked():
    journeys = journeys_of(log("u 0 a; u 90 a; u 91 b"))
    assert events(journeys.clean(jk.PathCleaning(collapse_repeats=True))) == ["a", "a", "b"]
    joined = journeys.clean(jk.PathCleaning(collapse_repeats=True, unit="user"))
    assert events(joined) == ["a", "b"]
    assert joined.n_sessions == 2


def test_a_log_can_lose_all_its_events():
    journeys = journeys_of(log("u 0 a")).clean(jk.PathCleaning(exclude="a", collapse_repeats=True))
    assert (journeys.n_users, journeys.n_events, journeys.names.to_list()) == (0, 0, [])
    again = journeys.clean(jk.PathCleaning(collapse_repeats=True))
    assert again.measure(jk.Transitions()).frame.height == 0


def test_properties_stay_with_their_events_and_the_first_journeys_stay_as_they_were():
    rows = [{**row, "value": float(i)} for i, row in enumerate(ROWS)]
    journeys = journeys_of(rows)
    cleaned = journeys.clean(jk.PathCleaning(exclude="ping"))
    assert cleaned.frame["value"].to_list() == [0.0, 1.0, 2.0, 4.0, 5.0, 7.0]
    assert journeys.n_events == 8
    assert "ping" in journeys.names


def test_stages_stay_where_names_do_and_are_refused_where_not():
    model = jk.StageModel([jk.Stage("look", "see"), jk.Stage("own", "buy")])
    staged = journeys_of(log("u 0 see; u 1 ping; u 2 buy; u 3 buy; u 4 ping")).assign_stages(model)
    cleaned = staged.clean(jk.PathCleaning(exclude="see", collapse_repeats=True))
    assert cleaned.stage_codes.tolist() == [1, 2, 2]
    with pytest.raises(ParameterError) as error:
        staged.clean(jk.PathCleaning(rules=[("see", "look")]))
    assert str(error.value) == (
        "this cleaning renames events, and stages were assigned by their names. "
        "Call clean(...) first, then assign_stages(model)."
    )


def test_many_names_become_few_and_the_codes_smaller():
    rows = [{"user": 1, "time": i, "event": f"/p/{i}"} for i in range(70_000)]
    journeys = journeys_of(rows, None)
    cleaned = journeys.clean(jk.PathCleaning(rules=[(r"\d+", "<id>")]))
    assert (journeys.event_codes.itemsize, cleaned.event_codes.itemsize) == (4, 1)
    assert cleaned.names.to_list() == ["/p/<id>"]
    full = journeys.filter(pl.col("event").cast(pl.String).str.len_chars() <= 6).clean(
        jk.PathCleaning(rules=[(r"^/p/(\d\d\d\d+|[3-9]\d\d|2[6-9]\d|25[6-9])$", "/p/0")])
    )
    assert len(full.names) == 256
    assert full.frame["event"].n_unique() == 256


def test_a_plan_cleans_too():
    plan = jk.scan_events(frame(ROWS), user="user", time="time", event="event").sessionize("30m")
    cleaning = jk.PathCleaning(exclude="ping")
    assert plan.clean(cleaning).collect().frame.equals(journeys_of(ROWS).clean(cleaning).frame)
    assert repr(plan.clean(cleaning)).splitlines()[-1].strip().startswith("clean(cleaning=PathCleaning(")
    with pytest.raises(ParameterError, match="clean needs a PathCleaning, not 'ping'"):
        plan.clean("ping")
    with pytest.raises(ParameterError, match="missing cannot be 'no'"):
        plan.clean(cleaning, missing="no")


def test_it_is_a_value():
    cleaning = jk.PathCleaning(rules=[["a", "b"]], groups="*x", exclude=["y"])
    assert cleaning == jk.PathCleaning(rules=(("a", "b"),), groups=("*x",), exclude="y")
    assert pickle.loads(pickle.dumps(cleaning)) == cleaning
    assert hash(cleaning) == hash(jk.PathCleaning(rules=(("a", "b"),), groups=("*x",), exclude="y"))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"rules": [("(", "x")]}, "'(' is not a regular expression: unclosed group"),
        ({"rules": [("(?=a)", "x")]},
         "'(?=a)' is not a regular expression: look-around, including look-ahead and look-behind, is not supported"),
        ({"rules": [("a(b)", r"\2")]}, r"'\\2' asks for group 2, which 'a(b)' does not have."),
        ({"rules": "ab"}, "rules must be pairs of an expression and a name, not 'ab'."),
        ({"rules": ["ab"]}, "a rule is a pair of an expression and a name, not 'ab'."),
        ({"rules": [("a", 1)]}, "a rule is a pair of an expression and a name, not ('a', 1)."),
        ({"groups": [1]}, "groups cannot be [1]. Give a name or a list of names."),
        ({"exclude": 7}, "exclude cannot be 7. Give a name or a list of names."),
        ({"keep": "middle"}, "keep cannot be 'middle'. Choose one of: 'first', 'last'."),
        ({"unit": "visit"}, "unit cannot be 'visit'. Choose one of: 'session', 'user'."),
    ],
)  # fmt: skip
def test_refused_values(options, message):
    with pytest.raises(ParameterError) as error:
        jk.PathCleaning(**options)
    assert str(error.value) == message


def test_refused_names():
    journeys = journeys_of(ROWS)
    with pytest.raises(UnknownNameError) as error:
        journeys.clean(jk.PathCleaning(exclude="pign"))
    assert str(error.value).startswith("no event 'pign' in this log. Did you mean 'ping'?")
    assert journeys.clean(jk.PathCleaning(exclude="pign"), missing="ignore").n_events == 8
    with pytest.raises(ReservedNameError, match="kept for virtual states"):
        journeys.clean(jk.PathCleaning(rules=[("ping", "<END>")]))
    with pytest.raises(ReservedNameError, match="kept for virtual states"):
        jk.PathCleaning(groups=["<END>"])
    with pytest.raises(ParameterError, match="clean needs a PathCleaning, not 'ping'"):
        journeys.clean("ping")
    with pytest.raises(ParameterError, match="missing cannot be 'no'"):
        journeys.clean(jk.PathCleaning(), missing="no")
