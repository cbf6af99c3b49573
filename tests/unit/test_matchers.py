"""Matchers, and the symbols that state machines read."""

from __future__ import annotations

import pickle

import polars as pl
import pytest

import journeykit as jk
from journeykit.errors import ParameterError, UnknownNameError, UnknownPropertyError
from journeykit.patterns.matchers import Match, as_match, check_matches, symbols_of
from journeykit.stages import Condition
from tests.logs import MINUTE
from tests.measuring import journeys_of

ROWS = [
    {"user": "a", "time": 0, "event": "view", "value": 1.0, "session": "s1"},
    {"user": "a", "time": 1 * MINUTE, "event": "buy", "value": 9.0, "session": "s2"},
    {"user": "a", "time": 2 * MINUTE, "event": "buy", "value": 20.0, "session": "s1"},
    {"user": "b", "time": 0, "event": "buy", "value": None, "session": "s1"},
    {"user": "b", "time": 1 * MINUTE, "event": "view", "value": 30.0, "session": "s1"},
]
MATCHES = [
    Match("buy"),
    Match("buy", where=pl.col("value") > 10),
    Match("buy", where=pl.col("value") > 10, first_time=True),
    Match("buy", where=pl.col("value") > 10, first_time="filtered"),
    Match(),
    Match(first_time=True),
]


def fitting(journeys, matches, unit, of="event"):
    """Return the numbers of the matchers that each event fits, by (user, time)."""
    symbols = symbols_of(journeys, matches, of, unit)
    paths = journeys.paths(unit)
    found = {}
    for path in range(paths.starts.size):
        for i in range(paths.starts[path], paths.ends[path]):
            mask = int(symbols.masks[symbols.codes[i]])
            found[path, int(paths.times[i])] = [k for k in range(len(matches)) if mask >> k & 1]
    return found


def journeys_without_sessions():
    return journeys_of([{key: row[key] for key in row if key != "session"} for row in ROWS])


def test_every_kind_of_matcher():
    journeys = journeys_without_sessions()
    assert journeys.users.to_list() == ["b", "a"]
    assert fitting(journeys, MATCHES, "user") == {
        (0, 0): [0, 4, 5],
        (0, MINUTE): [4],
        (1, 0): [4, 5],
        (1, MINUTE): [0, 4],
        (1, 2 * MINUTE): [0, 1, 3, 4],
    }


def test_the_first_time_is_by_time_where_sessions_interleave():
    journeys = journeys_of(ROWS, jk.SessionRule.from_column())
    assert journeys.time_order is not None
    first = Match("buy", first_time=True)
    by_user = fitting(journeys, [first], "user")
    assert [key for key, fits in by_user.items() if fits] == [(0, 0), (1, MINUTE)]
    by_session = fitting(journeys, [first], "session")
    assert [key[1] for key, fits in by_session.items() if fits] == [0, MINUTE]


def test_names_alone_cost_nothing_per_event():
    journeys = journeys_without_sessions()
    assert (
        symbols_of(journeys, [Match("buy"), Match(["view", "nothing"])], "event", "user").codes
        is journeys.event_codes
    )


def test_conditions_are_looked_at_once_for_all_shards():
    journeys = journeys_without_sessions()
    shards = journeys.shards(64)
    made = [symbols_of(shard, MATCHES, "event", "session").codes for shard in shards]
    assert all(codes is made[0] for codes in made)


def test_stages_before_the_first_fit_nothing():
    model = jk.StageModel([jk.Stage("own", "buy")])
    journeys = journeys_without_sessions().assign_stages(model)
    assert fitting(journeys, [Match("own"), Match()], "user", "stage") == {
        (0, 0): [0, 1],
        (0, MINUTE): [0, 1],
        (1, 0): [],
        (1, MINUTE): [0, 1],
        (1, 2 * MINUTE): [0, 1],
    }
    assert fitting(journeys, [Match("own", where=pl.col("value") > 15)], "user", "stage")[0, MINUTE] == [0]
    with pytest.raises(ParameterError, match="does not go with of"):
        symbols_of(journeys, [Match("own", first_time=True)], "stage", "user")


def test_more_than_eight_conditions_keep_apart():
    journeys = journeys_without_sessions()
    matches = [Match(where=pl.col("value") > k) for k in range(40)]
    assert fitting(journeys, matches, "user")[1, 2 * MINUTE] == list(range(20))


@pytest.mark.parametrize(
    "match, title",
    [
        (Match("buy"), "buy"),
        (Match(["buy", "pay", "buy"]), "buy | pay"),
        (Match(), "any event"),
        (Match("buy", where=Condition("value", ">", 3)), "buy where value > 3"),
        (Match("buy", first_time=True), "first buy"),
        (Match("buy", label="sale"), "sale"),
    ],
)
def test_titles(match, title):
    assert match.title == title
    assert pickle.loads(pickle.dumps(match)) == match


def test_what_can_be_given():
    assert as_match("a", "step") == Match("a")
    assert as_match(["a", "b"], "step") == Match(("a", "b"))
    assert as_match(pl.col("value") > 1, "step") == Match(where=Condition("value", ">", 1))
    for wrong in ([], 3, None):
        with pytest.raises(
            ParameterError, match="Give a name, a list of names, a polars expression, a Pattern or a Match."
        ):
            as_match(wrong, "step")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"names": 3}, "an event cannot be named 3. Give a name or a list of names."),
        ({"where": ()}, "where is empty. Leave it out, or give a condition."),
        ({"where": pl.col("a").shift()}, "looks at other rows"),
        ({"first_time": "no"}, "first_time"),
    ],
)
def test_what_cannot_be(options, message):
    with pytest.raises(ParameterError) as caught:
        Match(**options)
    assert message in str(caught.value)
    assert "stage model" not in str(caught.value)


def test_unknown_names_and_properties_are_refused():
    journeys = journeys_without_sessions()
    context = journeys.context(pl.DataFrame([{}]))
    with pytest.raises(UnknownNameError, match="Did you mean 'buy'"):
        check_matches([Match("bye")], "event", "raise", context)
    with pytest.warns(jk.JourneykitWarning, match="Did you mean 'buy'"):
        check_matches([Match("bye")], "event", "warn", context)
    check_matches([Match("bye")], "event", "ignore", context)
    with pytest.raises(UnknownPropertyError, match="no property 'valu'"):
        check_matches([Match(where=pl.col("valu") > 1)], "event", "ignore", context)
    with pytest.raises(ParameterError, match="assign_stages"):
        check_matches([Match("own")], "stage", "raise", context)


def test_a_condition_that_does_not_fit_the_column():
    with pytest.raises(ParameterError, match="does not fit the log's columns"):
        symbols_of(
            journeys_without_sessions(), [Match(where=pl.col("value").str.contains("x"))], "event", "user"
        )


def test_too_many_matchers():
    with pytest.raises(ParameterError, match="65 different matchers are more than the 64"):
        symbols_of(journeys_without_sessions(), [Match("buy")] * 65, "event", "user")
