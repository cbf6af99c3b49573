"""Patterns: the language, its errors, which match is found, and what is made of matches."""

from __future__ import annotations

import pickle

import polars as pl
import pytest

import journeykit as jk
from journeykit.errors import ParameterError, PatternError, UnknownNameError, UnknownPropertyError
from journeykit.patterns.searching import Search
from tests.logs import HOSTILE_NAMES, MINUTE, log
from tests.measuring import journeys_of

#   ann  view 0, view 1, cart 3, help 4, cart 6, buy 9; a new session: view 60, buy 61
#   bob  view 0, cart 0 (a tie), buy 12
ROWS = log(
    "ann 0 view; ann 1 view; ann 3 cart; ann 4 help; ann 6 cart; ann 9 buy; ann 60 view; ann 61 buy;"
    "bob 0 view; bob 0 cart; bob 12 buy"
)
ROWS = [{**row, "device": "mobile" if i % 2 else None} for i, row in enumerate(ROWS)]


@pytest.fixture(scope="module")
def journeys():
    return journeys_of(ROWS)


def found(journeys, pattern, occurrence="all", **options):
    """Return the input rows of every match, by user and session."""
    frame = journeys.match(pattern, occurrence, **options).frame
    rows = {}
    for user, session, match, row in frame.select("user", "session", "match", "row").iter_rows():
        rows.setdefault((user, session, match), []).append(row)
    return rows


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("view -> cart", {("ann", 1, 1): [1, 2], ("bob", 1, 1): [8, 9]}),
        ("view ~> cart", {("ann", 1, 1): [0, 2], ("bob", 1, 1): [8, 9]}),
        ("cart ~>[^help] buy", {("ann", 1, 1): [4, 5], ("bob", 1, 1): [9, 10]}),
        ("cart ~>[cart|help] buy", {("ann", 1, 1): [2, 5], ("bob", 1, 1): [9, 10]}),
        ("view ~>(<=8m) buy", {("ann", 1, 1): [1, 5], ("ann", 2, 1): [6, 7]}),
        ("view ~>(<8m) buy", {("ann", 2, 1): [6, 7]}),
        ("view ~>(==12m) buy", {("bob", 1, 1): [8, 10]}),
        ("view ~>(>8m, <=9m) buy", {("ann", 1, 1): [0, 5]}),
        ("view ~>(>=3 events) buy", {("ann", 1, 1): [0, 5]}),
        ("view ~>(<=1 event) buy", {("ann", 2, 1): [6, 7], ("bob", 1, 1): [8, 10]}),
        ("view ~>(==0s) cart", {("bob", 1, 1): [8, 9]}),
        ("[help|buy] -> [^view]", {("ann", 1, 1): [3, 4]}),
        ("help -> . -> .", {("ann", 1, 1): [3, 4, 5]}),
        ("view{2}", {("ann", 1, 1): [0, 1]}),
        ("view+ -> cart", {("ann", 1, 1): [0, 1, 2], ("bob", 1, 1): [8, 9]}),
        ("view -> cart* -> buy", {("ann", 2, 1): [6, 7], ("bob", 1, 1): [8, 9, 10]}),
        ("view -> cart? ~> buy", {("ann", 1, 1): [0, 5], ("ann", 2, 1): [6, 7], ("bob", 1, 1): [8, 9, 10]}),
        ("^ view -> view", {("ann", 1, 1): [0, 1]}),
        ("^ -> view -> buy -> $", {("ann", 2, 1): [6, 7]}),
        ("cart $", {}),
        ('"help"', {("ann", 1, 1): [3]}),
    ],
)
def test_elements_connectors_and_tests(journeys, pattern, wanted):
    assert found(journeys, pattern) == wanted


def test_which_of_the_matches(journeys):
    assert found(journeys, "[view|cart]", "first") == {
        ("ann", 1, 1): [0],
        ("ann", 2, 1): [6],
        ("bob", 1, 1): [8],
    }
    assert found(journeys, "[view|cart]", "last") == {
        ("ann", 1, 4): [4],
        ("ann", 2, 1): [6],
        ("bob", 1, 2): [9],
    }
    assert found(journeys, "view ~> cart", overlapping=True) == {
        ("ann", 1, 1): [0, 2], ("ann", 1, 2): [1, 2], ("bob", 1, 1): [8, 9]
    }  # fmt: skip


def test_users_windows_and_an_alphabet(journeys):
    across = jk.Pattern("buy ~> buy", unit="user")
    assert found(journeys, across) == {("ann", 1, 1): [5], ("ann", 2, 1): [7]}
    frame = journeys.match(across).frame
    assert frame["user"].to_list() == ["ann", "ann"]
    assert found(journeys, jk.Pattern("view ~> cart ~> buy", within="8m")) == {("ann", 1, 1): [1, 2, 5]}
    assert found(journeys, jk.Pattern("view -> buy", alphabet=["view", "buy"])) == {
        ("ann", 1, 1): [1, 5], ("ann", 2, 1): [6, 7], ("bob", 1, 1): [8, 10]
    }  # fmt: skip


def test_the_longest_prefix_where_there_is_no_match(journeys):
    frame = journeys.match("view -> cart -> buy", prefixes=True).frame
    assert frame.select("user", "session", "match", "row").rows() == [
        ("ann", 1, 0, 1), ("ann", 1, 0, 2), ("ann", 2, 0, 6),
        ("bob", 1, 1, 8), ("bob", 1, 1, 9), ("bob", 1, 1, 10),
    ]  # fmt: skip
    matches = journeys.match("view -> cart -> buy", prefixes=True)
    assert matches.units["matches"].to_list() == [0, 0, 1]
    assert matches.users.to_list() == ["bob"]
    assert len(matches) == 1
    assert matches.marks().sum() == 3
    with pytest.raises(ParameterError, match="prefixes=True needs a pattern of fixed length"):
        journeys.match("view+ -> buy", prefixes=True)


def test_names_bound_to_conditions_and_captures(journeys):
    mobile = jk.Match("cart", where=pl.col("device") == "mobile")
    pattern = jk.Pattern("first=view ~> last=phone", where={"phone": mobile})
    matches = journeys.match(pattern)
    assert matches.at("last").select("user", "event", "row").rows() == [("bob", "cart", 9)]
    assert matches.frame["capture"].to_list() == ["first", "last"]
    assert matches.frame["element"].to_list() == ["view", "phone"]
    with pytest.raises(ParameterError) as error:
        matches.at("lst")
    assert str(error.value) == "capture cannot be 'lst'. Choose one of: 'first', 'last'."


def test_two_names_for_one_event(journeys):
    """As in ClickHouse, whose conditions may hold of the same events: (?1) and (?2) here."""
    both = {"see": "view", "look": "view"}
    for text, options in (("[see|look] ~> buy", {}), ("see ~> buy", {"alphabet": ["see", "look", "buy"]})):
        found = journeys.match(jk.Pattern(text, where=both, **options), "all")
        assert found.frame["row"].to_list() == journeys.match("view ~> buy", "all").frame["row"].to_list()
    twice = jk.Pattern.clickhouse("(?2)(?3)", ["view", "view", "cart"], unit="session")
    plain = jk.Pattern("view -> cart", alphabet=["view", "cart"])
    assert journeys.match(plain).frame.height > 0
    assert journeys.match(twice).frame["row"].to_list() == journeys.match(plain).frame["row"].to_list()


def test_stages(journeys):
    model = jk.StageModel([jk.Stage("look", "view"), jk.Stage("want", "cart"), jk.Stage("own", "buy")])
    staged = journeys.assign_stages(model)
    assert found(staged, jk.Pattern("want{3} -> own", of="stage")) == {("ann", 1, 1): [2, 3, 4, 5]}
    with pytest.raises(ParameterError, match='of="stage" needs stages'):
        journeys.match(jk.Pattern("look", of="stage"))


@pytest.mark.parametrize(
    "name", [*HOSTILE_NAMES, ".", "..", "a->b", "~>", "a{2}", 'q"', "\\", "x=y", "^", "$"]
)
def test_any_name_can_be_written(name):
    rows = [{"user": "u", "time": t, "event": e} for t, e in ((0, "other"), (1, name), (2, "other"))]
    journeys = journeys_of(rows)
    for text in (jk.Pattern.quoted(name), f"[{jk.Pattern.quoted(name)}|other] -> {jk.Pattern.quoted(name)}"):
        assert found(journeys, text)["u", 1, 1][-1] == 1
    matches = journeys.match(jk.Pattern.quoted(name))
    assert matches.frame["event"].to_list() == [name]
    assert "<script>alert" not in matches._repr_html_()


def test_matches_as_frames(journeys):
    matches = journeys.match("view ~> buy", "all")
    assert matches.spans.select("user", "session", "match", "seconds", "events").rows() == [
        ("ann", 1, 1, 540.0, 2), ("ann", 2, 1, 60.0, 2), ("bob", 1, 1, 720.0, 2)
    ]  # fmt: skip
    assert matches.units.rows() == [("ann", 1, 1), ("ann", 2, 1), ("bob", 1, 1)]
    assert journeys.match("help").units.rows() == [("ann", 1, 1), ("ann", 2, 0), ("bob", 1, 0)]
    assert journeys.match(jk.Pattern("help", unit="user")).units.rows() == [("ann", 1), ("bob", 0)]
    assert journeys.match("help").users.to_list() == ["ann"]
    assert len(matches) == 3
    assert repr(matches).startswith("3 matches of 'view ~> buy': 6 events\n")
    nothing = journeys.match("help -> help")
    assert nothing.frame.schema == matches.frame.schema
    assert nothing.frame.is_empty()
    assert nothing.spans.schema == matches.spans.schema


def test_marks_are_a_property_for_everything(journeys):
    marked = journeys.mark("asked", "cart -> help", of="unit").mark("again", "help -> x=cart", capture="x")
    assert marked.filter(pl.col("asked"), keep="sessions").n_events == 6
    assert marked.filter(pl.col("again")).frame.select("user", "event").rows() == [("ann", "cart")]
    by = marked.measure(jk.Conversion("buy", start="view"), by="asked").frame
    assert by.select("asked", "reached", "converted").rows() == [(False, 2, 2), (True, 1, 1)]
    step = jk.Match(where=pl.col("again"))
    assert (
        marked.measure(jk.PatternCount(jk.Pattern("view ~> it", where={"it": step}))).frame["matched"].item()
        == 1
    )
    with pytest.raises(ParameterError, match="a property cannot be called 'device'"):
        journeys.mark("device", "cart")
    with pytest.raises(ParameterError, match="not of these journeys"):
        marked.mark("other", journeys.match("cart"))
    with pytest.raises(ParameterError, match="of cannot be 'path'. Choose one of: 'event', 'unit'."):
        journeys.mark("x", "cart", of="path")


def test_marks_are_written_and_reopened(journeys, tmp_path):
    marked = journeys.mark("asked", "cart -> help")
    marked.write(tmp_path / "j")
    again = jk.open_journeys(tmp_path / "j")
    assert again.property("asked").to_list() == marked.property("asked").to_list()


def test_sessions_that_interleave():
    rows = [
        {"user": "a", "time": t * MINUTE, "event": e, "session": s}
        for t, e, s in ((0, "view", "s1"), (1, "help", "s2"), (2, "buy", "s1"), (3, "cart", "s2"))
    ]
    journeys = journeys_of(rows, jk.SessionRule.from_column())
    assert found(journeys, "view -> buy") == {("a", 1, 1): [0, 2]}
    assert found(journeys, jk.Pattern("view -> help -> buy -> cart", unit="user"))
    matches = journeys.match(jk.Pattern("help -> buy", unit="user"))
    assert matches.frame.select("session", "event", "row").rows() == [(2, "help", 1), (1, "buy", 2)]
    marked = journeys.mark("m", matches)
    assert marked.filter(pl.col("m")).frame["event"].to_list() == ["help", "buy"]


def test_a_shard_and_no_events(journeys):
    shard = journeys.shards(2)[-1]
    assert shard.match("view ~> buy").units.height == shard.paths("session").n_paths
    none = journeys.filter(users=[], missing="ignore")
    assert none.match("view ~>(>1m) buy+ -> view", "all").frame.is_empty()
    assert none.match("view", prefixes=True).units.is_empty()


def test_one_long_path_of_ties_is_linear():
    """A window that waits, over a path in which every event fits every element."""
    size = 200_000
    frame = pl.DataFrame({"user": [1] * size, "time": [0] * size, "event": ["a"] * size})
    journeys = jk.read_events(frame, user="user", time="time", event="event", unit="s").sessionize(None)
    for text, matches in (("a ~>(>=3 events) a -> a", size // 6), ("a{3,5} ~> a $", 1), ("a ~>(>0s) a", 0)):
        assert Search.of(journeys, jk.Pattern(text)).counts().tolist() == [matches], text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("view >> cart", ("column 6: there is '>', expected '->' (directly next), '~>' (later) or '$' (the end).\n"
                         "    view >> cart\n         ^")),
        ("view ->", ("column 8: the pattern ends, expected an element: a name, \"a quoted name\", '.', '[a|b]' or "
                    "'[^a|b]'.\n    view ->\n           ^")),
        ("", ("column 1: the pattern ends, expected an element: a name, \"a quoted name\", '.', '[a|b]' or '[^a|b]'.\n"
             "    \n    ^")),
        ("[a|b", "column 5: the pattern ends, expected '|' or ']'.\n    [a|b\n        ^"),
        ("[a|.]", ("column 4: there is '.', expected a name: \".\" means any event only outside of brackets.\n"
                  "    [a|.]\n       ^")),
        ("a ~>(<=10) b", ("column 8: there is '1', expected a duration with its unit, such as '10m', or a number of "
                         "events, such as '3 events'.\n    a ~>(<=10) b\n           ^")),
        ("a ~>(10m) b", ("column 6: there is '1', expected one of '<=', '>=', '==', '<', '>'.\n"
                        "    a ~>(10m) b\n         ^")),
        ("a ~>(<=10m b", "column 12: there is 'b', expected ',' or ')'.\n    a ~>(<=10m b\n               ^"),
        ("a ~>(<0s) b", ("column 7: there is '0', expected more than that: nothing is less than zero apart.\n"
                        "    a ~>(<0s) b\n          ^")),
        ("a ~>(<1s, >2s) b", ("column 3: there is '~', expected tests that two events can pass; these contradict each "
                             "other.\n    a ~>(<1s, >2s) b\n      ^")),
        ("a{3,1}", "column 2: there is '{', expected repeats from few to many, and at least one.\n    a{3,1}\n     ^"),
        ("a{x}", "column 2: there is '{', expected a number of repeats: '{2}', '{2,}' or '{2,5}'.\n    a{x}\n     ^"),
        ("a -> b? -> c*\n~> d?\n-> e $ f", ("line 3, column 8: there is 'f', expected nothing after '$'.\n"
                                          "    -> e $ f\n           ^")),
        ("a? ~> b*", ("column 1: there is 'a', expected an element that must be there: this pattern matches nothing, "
                     "too.\n    a? ~> b*\n    ^")),
        ("a ~>(<1m) b? -> c", ("column 11: there is 'b', expected plain '->' or '~>' beside an element that may be "
                              "absent: a test would have nothing to compare.\n"
                              "    a ~>(<1m) b? -> c\n              ^")),
        ("x=a -> x=b", ("column 8: there is 'x', expected another name than 'x', which is taken.\n"
                       "    x=a -> x=b\n           ^")),
        ('"a', "column 1: there is '\"', expected a closing '\"' for this one.\n    \"a\n    ^"),
        ('"\\q"', "column 3: there is 'q', expected one of \\\" \\\\ \\n \\t \\r.\n    \"\\q\"\n      ^"),
        ("..", ("column 1: there is '.', expected one '.', or '.{2}' for two events, or '~>' for any number "
                "of events.\n    ..\n    ^")),
    ],
)  # fmt: skip
def test_a_mistake_points_at_its_column(text, message):
    with pytest.raises(PatternError) as error:
        jk.Pattern(text)
    assert str(error.value) == f"the pattern cannot be read at {message}"
    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text": 3}, "a pattern is a text, such as 'view ~> buy', not 3."),
        ({"text": "a", "of": "evnt"}, "of cannot be 'evnt'. Choose one of: 'event', 'stage'."),
        ({"text": "a", "unit": "path"}, "unit cannot be 'path'. Choose one of: 'session', 'user'."),
        ({"text": "a", "missing": "no"}, "missing cannot be 'no'. Choose one of: 'raise', 'ignore', 'warn'."),
        ({"text": "a", "alphabet": []},
         "alphabet is empty: no event would be left. Leave it out to keep all events."),
        ({"text": "a", "within": "0s"}, "within must be greater than zero, not '0s'."),
        ({"text": "a", "where": {3: "b"}}, "where names 3, which is no text. Names in a pattern are texts."),
        ({"text": "a{65}"}, ("a pattern can have at most 64 events, each repeat counted, and this one has more. "
                            "Write fewer repeats, or '+' and '*' for any number.")),
    ],
)  # fmt: skip
def test_parameters_are_checked(options, message):
    with pytest.raises(ParameterError) as error:
        jk.Pattern(**options)
    assert str(error.value) == message


def test_names_and_properties_are_looked_up_before_any_work(journeys):
    with pytest.raises(UnknownNameError, match="no event 'buuy' in this log. Did you mean 'buy'?"):
        journeys.match("view ~> buuy")
    with pytest.raises(UnknownNameError):
        journeys.measure(jk.PatternCount("view ~>[^hlp] buy"))
    with pytest.raises(UnknownNameError):
        journeys.match(jk.Pattern("view", alphabet=["view", "vew"]))
    assert found(journeys, jk.Pattern("buuy", missing="ignore")) == {}
    with pytest.raises(UnknownPropertyError):
        journeys.match(jk.Pattern("x", where={"x": pl.col("browser") == "a"}))
    with pytest.raises(ParameterError, match="occurrence cannot be 'second'"):
        journeys.match("view", "second")


def test_patterns_are_values():
    one = jk.Pattern("a ~> b", where={"b": jk.Match("c")}, alphabet=["a", "b"])
    assert one == pickle.loads(pickle.dumps(one))
    assert hash(one) == hash(jk.Pattern("a ~> b", where={"b": "c"}, alphabet=["a", "b"]))
    assert one != jk.Pattern("a ~> b")


@pytest.mark.parametrize(
    ("text", "column"),
    [("(?0)", 1), ("(?1)(?4)", 5), ("(?1)(?t>+)(?2)", 5), ("(?1) (?2)", 5), ("(?1|2)", 1), ("(?1)+", 5),
     ("(?t<1)(?1)", 1), ("(?1)(?t<1)", 5), ("(?1)(?t<1)(?t<2)(?2)", 11), ("(?1)(?t<1).*(?2)", 11),
     ("(?1).*(?t<1)(?2)", 7), ("(?1)(?t=1)(?2)", 5)],
)  # fmt: skip
def test_what_clickhouse_or_we_refuse(text, column):
    with pytest.raises(PatternError) as error:
        jk.Pattern.clickhouse(text, ["view", "cart", "buy"])
    assert error.value.column == column - 1


def test_clickhouse_in_our_words():
    pattern = jk.Pattern.clickhouse(
        "(?1).(?t>=+5)(?2).*(?3)", ["view", ["cart", "help"], "buy"], time_unit="m"
    )
    assert pattern.text == '"(?1)" -> . ~>(>=5m) "(?2)" ~> "(?3)"'
    assert (pattern.unit, pattern.alphabet) == ("user", ("(?1)", "(?2)", "(?3)"))
    assert [jk.Pattern.clickhouse(text, ["view"]).text for text in ("", ".*", ".*.*")] == [".", ".", "."]
    with pytest.raises(ParameterError, match="time_unit cannot be 'sec'"):
        jk.Pattern.clickhouse("(?1)", ["view"], time_unit="sec")


def test_pattern_count(journeys):
    answer = journeys.measure(jk.PatternCount("view ~> buy", quantiles=(0.5,)), by="device")
    row = journeys.measure(jk.PatternCount("view ~> buy", quantiles=(0.5,))).frame.row(0, named=True)
    assert (row["units"], row["users"], row["matched"], row["matched_users"], row["matches"]) == (
        3,
        2,
        3,
        2,
        3,
    )
    assert row["time_median"] == 540.0
    assert answer.frame["matched"].sum() == 3
    many = journeys.measure(jk.PatternCount(jk.Pattern("cart", unit="user"))).frame.row(0, named=True)
    assert (many["units"], many["matched"], many["matches"], many["matches_per_unit"]) == (2, 2, 3, 1.5)
    assert 0 < many["match_rate_low"] < many["match_rate"] == many["match_rate_high"] == 1


def test_next_event(journeys):
    def rows(*arguments, **options):
        frame = journeys.measure(jk.NextEvent(*arguments, **options)).frame
        return frame.select("next", "units", "with_run", "all_units").rows()

    assert rows("view") == [("buy", 1, 3, 3), ("cart", 1, 3, 3), ("view", 1, 3, 3)]
    assert rows("view -> cart", base="last_match") == [("buy", 1, 2, 3), ("help", 1, 2, 3)]
    assert rows("buy", "backward", "tail") == [("cart", 2, 3, 3), ("view", 1, 3, 3)]
    assert rows("buy", base="last_match") == [("<END>", 3, 3, 3)]
    assert rows("view", "backward") == [("<START>", 3, 3, 3)]
    assert rows(base="head", unit="user") == [("view", 2, 2, 2)]
    assert rows("view", where=pl.col("device") == "mobile") == [("cart", 1, 1, 3)]
    frame = jk.NextEvent("view -> view", unit="user").per_unit(journeys)
    assert frame.rows() == [("ann", "cart", True), ("bob", None, False)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base": "tail"}, "nothing lies forward of the tail. Go forward from the head, or backward from the tail."),
        ({"direction": "up"}, "direction cannot be 'up'. Choose one of: 'forward', 'backward'."),
        ({"run": "a ~> b"}, ("the run 'a ~> b' must be single elements joined by '->', without repeats, tests, '^', "
                            "'$', alphabet= and within=. For what follows any pattern see journeys.match.")),
    ],
)  # fmt: skip
def test_runs_are_checked(options, message):
    with pytest.raises(ParameterError) as error:
        jk.NextEvent(**options)
    assert str(error.value) == message


def test_conditions_met(journeys):
    answer = journeys.measure(jk.ConditionsMet(["help", ["buy", "cart"], "view"], unit="session"))
    assert answer.frame.select("condition", "met", "first", "rate", "all_units").rows() == [
        ("help", 1, 1, 1.0, 3), ("buy | cart", 1, 1, 1.0, 3), ("view", 1, 1, 1.0, 3)
    ]  # fmt: skip
    assert jk.ConditionsMet(["view", "help"]).per_unit(journeys).rows() == [("ann", [1, 1]), ("bob", [1, 0])]
    assert jk.ConditionsMet(["help", "view"]).per_unit(journeys).rows() == [("ann", [1, 1]), ("bob", [0, 0])]
    with pytest.raises(ParameterError, match="conditions cannot be"):
        jk.ConditionsMet([])
