"""What chains and comparisons refuse: the class and the full text of every message."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import journeykit as jk
from journeykit.errors import (
    MissingColumnError,
    NotAStatisticError,
    ParameterError,
    UndefinedError,
    UnknownNameError,
    UnknownPropertyError,
)
from journeykit.models.chains.hypotheses import homogeneity
from tests.measuring import journeys_of, many_users

PATHS = [["view", "cart", "buy"], ["view"]]
MATRIX = [[0.5, 0.5], [0.0, 1.0]]
ROWS = [{**row, "device": f"d{int(row['user'][1:]) % 2}"} for row in many_users(6, users=40)]
CHAIN = jk.MarkovChain.fit(PATHS, goal="buy")
WEATHER = jk.MarkovChain.from_matrix([[0.9, 0.1], [0.5, 0.5]], ["sun", "rain"])
COUNTS = pl.DataFrame({"source": ["a", "b"], "target": ["b", "a"], "count": [1.0, 2.0]})


@pytest.fixture(scope="module")
def journeys():
    return journeys_of(ROWS)


def counted(**columns):
    return jk.MarkovChain.from_counts(COUNTS.with_columns(**columns))


FITTING = [
    (
        lambda: jk.MarkovChain.fit("view"),
        ParameterError,
        "paths must be lists of names: a single path is a list with one list in it.",
    ),
    (
        lambda: jk.MarkovChain.fit([["a", 2]]),
        ParameterError,
        "paths must be lists of names, and 2 is no text.",
    ),
    (lambda: jk.MarkovChain.fit([["a"], 7]), ParameterError, "paths must be lists of names, and 7 is none."),
    (
        lambda: jk.MarkovChain.fit(pl.DataFrame({"path": [1]})),
        ParameterError,
        "paths must be lists of names, not Int64.",
    ),
    (
        lambda: jk.MarkovChain.fit(pl.DataFrame({"paths": [["a"]]})),
        MissingColumnError,
        (
            "no column 'path' for the role 'path'. Did you mean 'paths'? Available: 'paths'. Rename the "
            "column that holds it."
        ),
    ),
    (
        lambda: jk.MarkovChain.fit(PATHS, counts=[1.0, -2.0]),
        ParameterError,
        "counts must be finite and not negative; -2.0 is not.",
    ),
    (lambda: jk.MarkovChain.fit(PATHS, counts=[1.0]), ParameterError, "there are 2 paths and 1 counts."),
    (
        lambda: jk.MarkovChain.fit(PATHS, goal={}),
        ParameterError,
        "goal is empty. Give a name, a list of names, or several by name.",
    ),
    (
        lambda: jk.MarkovChain.fit(PATHS, goal=[]),
        ParameterError,
        "goal cannot be []. Give a name or a list of names.",
    ),
    (
        lambda: jk.MarkovChain.fit(PATHS, goal={"won": "buy", "kept": ["cart", "buy"]}),
        ParameterError,
        "'buy' is in two goals. Give each state to one of them.",
    ),
    (
        lambda: jk.MarkovChain.fit(PATHS, goal={"view": "buy"}),
        ParameterError,
        "'view' is a state and an end. Give the goal another name.",
    ),
    (
        lambda: jk.MarkovChain.fit(PATHS, goal="bye"),
        UnknownNameError,
        "no state 'bye' in this log. Did you mean 'buy'? Available: 'buy', 'view', 'cart'.",
    ),
    (
        lambda: jk.MarkovChain.fit(PATHS, order=0),
        ParameterError,
        "order must be a whole number from 1 on, not 0.",
    ),
    (
        lambda: jk.MarkovChain.fit([["a > b", "c"], ["a", "b", "c"]], order=2),
        ParameterError,
        (
            "order=2 cannot tell 2 states apart, such as 'a > b': names in them hold ' > '. Rename these "
            "events, or pass order=1."
        ),
    ),
    (
        lambda: jk.MarkovChain.fit(PATHS, smoothing=-1.0),
        ParameterError,
        "smoothing must be finite and not negative, not -1.0.",
    ),
    (
        lambda: jk.MarkovChain.fit(PATHS, smoothing=1.0, order=2),
        ParameterError,
        "smoothing is for order 1, not 2: of longer states most moves never happen. Leave it out.",
    ),
    (
        lambda: jk.MarkovChain.fit([[f"s{i}" for i in range(2_001)]], smoothing=1.0),
        ParameterError,
        (
            "smoothing makes every pair of states an edge, and 2,001 states have too many: it takes at most "
            "2,000. Leave smoothing out."
        ),
    ),
    (
        lambda: jk.MarkovChain.from_counts(COUNTS.drop("count")),
        MissingColumnError,
        (
            "no column 'count' for the role 'count'. Available: 'source', 'target'. Rename the column that "
            "holds it."
        ),
    ),
    (
        lambda: counted(count=pl.Series([1.0, float("nan")])),
        ParameterError,
        "counts must be finite and not negative; nan is not.",
    ),
    (lambda: counted(group=pl.Series([0, 64])), ParameterError, "group must be from 0 to 63; 64 is not."),
    (
        lambda: jk.MarkovChain.from_counts(COUNTS, ["a"]),
        UnknownNameError,
        "no state 'b' in this log. Available: 'a'.",
    ),
    (
        lambda: jk.MarkovChain.from_counts(COUNTS, absorbing=["c"]),
        UnknownNameError,
        "no state 'c' in this log. Available: 'a', 'b'.",
    ),
    (
        lambda: jk.MarkovChain.from_counts(COUNTS, goals=["a"]),
        ParameterError,
        "goals must be absorbing states, and 'a' is not.",
    ),
    (
        lambda: jk.MarkovChain.from_counts(COUNTS.head(1)),
        UndefinedError,
        "nothing was seen to leave 'b'. Name what walks end in with absorbing=, or leave it out.",
    ),
    (
        lambda: jk.MarkovChain.from_counts([[0, 1], [1, 0]]),
        ParameterError,
        "states= is needed with an array: the names of its rows and columns.",
    ),
    (
        lambda: jk.MarkovChain.from_counts([[0, 1], [1, 0]], ["a", "a"]),
        ParameterError,
        "states must be different texts, not ['a', 'a'].",
    ),
    (
        lambda: jk.MarkovChain.from_counts([[0, 1], [1, 0]], ["a", "b", "c"]),
        ParameterError,
        "there are 3 states, and the array has the shape (2, 2).",
    ),
    (
        lambda: jk.MarkovChain.from_matrix([[1.5, -0.5], [0, 1]], ["a", "b"]),
        ParameterError,
        "probabilities must be from 0 to 1; 1.5 is not.",
    ),
    (
        lambda: jk.MarkovChain.from_matrix([[0.5, 0.4], [0, 1]], ["a", "<b>"]),
        ParameterError,
        "the probabilities out of 'a' sum to 0.9, not to 1.",
    ),
]

ASKING = [
    (lambda: CHAIN.resampled(1, draws=0), ParameterError, "draws must be a whole number from 1 on, not 0."),
    (
        lambda: CHAIN.resampled("chance"),
        ParameterError,
        "rng must be a whole number or a numpy Generator, not 'chance'.",
    ),
    (
        lambda: CHAIN.next_states("vew"),
        UnknownNameError,
        "no state 'vew' in this log. Did you mean 'view'? Available: 'view', '<START>', 'cart'.",
    ),
    (
        lambda: CHAIN.first_passage("vew"),
        UnknownNameError,
        (
            "no state 'vew' in this log. Did you mean 'view'? Available: 'view', '<CONVERT>', '<ABANDON>', "
            "'<START>', 'cart'."
        ),
    ),
    (
        lambda: CHAIN.conditioned("view"),
        UnknownNameError,
        "no end 'view' in this log. Available: '<CONVERT>', '<ABANDON>'.",
    ),
    (lambda: CHAIN.after(-1), ParameterError, "steps must be a whole number from 0 on, not -1."),
    (
        lambda: CHAIN.centrality("degree"),
        ParameterError,
        "kind cannot be 'degree'. Choose one of: 'betweenness', 'closeness', 'pagerank'.",
    ),
    (
        lambda: CHAIN.changed(jk.Change("vew", relative=0.1)),
        UnknownNameError,
        "no state 'vew' in this log. Did you mean 'view'? Available: 'view', '<START>', 'cart'.",
    ),
    (
        lambda: CHAIN.changed(jk.Change("view", "crt", absolute=0.1)),
        UnknownNameError,
        (
            "no state 'crt' in this log. Did you mean 'cart'? Available: 'cart', '<CONVERT>', '<START>', "
            "'<ABANDON>', 'view'."
        ),
    ),
    (WEATHER.absorption, UndefinedError, "this chain has no absorbing state: no walk in it ends."),
    (WEATHER.visits, UndefinedError, "this chain has no absorbing state: no walk in it ends."),
    (lambda: WEATHER.after(2), ParameterError, "this chain has no start. Pass start= one of 'sun', 'rain'."),
    (
        lambda: WEATHER.bottleneck("sun"),
        ParameterError,
        "a bottleneck needs a chain with a start and ends: fit it with a goal.",
    ),
    (
        lambda: jk.MarkovChain.from_matrix(MATRIX, ["a", "b"], start="a", goals=[]).leverage("b"),
        UndefinedError,
        "this chain has no goal among its ends 'b'.",
    ),
    (
        lambda: jk.MarkovChain.from_matrix(
            [[0.5, 0.0, 0.5], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], ["a", "b", "c"], start="a", goals=["b"]
        ).conditioned(),
        UndefinedError,
        "no walk ends in 'b': there is nothing to look at.",
    ),
    (
        lambda: jk.MarkovChain.from_matrix(
            [[0.5, 0.0, 0.5], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], ["a", "b", "c"], start="a", goals=["b"]
        ).bottleneck(),
        UndefinedError,
        "no path leads from 'a' to 'b': there is nothing to cut.",
    ),
    (
        lambda: jk.MarkovChain.from_matrix(
            [[0, 0.5, 0.5, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]], ["a", "b", "c", "d"], start="a"
        ).conversion(),
        UndefinedError,
        (
            "a walk in 'a', 'b', 'c' never ends: no path leads from there to an end. Count open paths as "
            'ended (open_paths="end"), name an absorbing state, or leave these states out.'
        ),
    ),
    (
        lambda: jk.MarkovChain.from_matrix(np.eye(2_001)[:, ::-1], [f"s{i}" for i in range(2_001)]).matrix(),
        ParameterError,
        "a matrix of 2,001 states is larger than 2,000. Use .edges().",
    ),
    (
        lambda: homogeneity([CHAIN]),
        ParameterError,
        "homogeneity compares at least two chains, and was given 1.",
    ),
]

QUESTIONS = [
    (
        lambda: jk.Chain({}),
        ParameterError,
        "goal is empty. Give a name, a list of names, or several by name.",
    ),
    (
        lambda: jk.Chain({"<ABANDON>": "buy"}),
        ParameterError,
        "a goal cannot be named '<ABANDON>'. Give it another name.",
    ),
    (lambda: jk.Chain("buy", order=0), ParameterError, "order must be a whole number from 1 on, not 0."),
    (
        lambda: jk.Chain("buy", unit="session", horizon="1d"),
        ParameterError,
        (
            'horizon is for unit="user": a session is open until its own timeout has passed. Leave horizon '
            'out, or pass unit="user".'
        ),
    ),
    (lambda: jk.OrderSelection(7), ParameterError, "max_order must be a whole number from 1 to 6, not 7."),
    (lambda: jk.OrderSelection(2, top=0), ParameterError, "top must be whole numbers from 1 on, not 0."),
    (
        lambda: jk.OrderSelection(1).of_paths(["view"]),
        ParameterError,
        "paths must be lists of names: a single path is a list with one list in it.",
    ),
]

MEASURING = [
    (
        lambda j: j.measure(jk.Chain({"view": "buy"})),
        ParameterError,
        "the goal 'view' has the name of a state. Give it another name.",
    ),
    (
        lambda j: j.measure(jk.Chain("buy", value="price")),
        UnknownPropertyError,
        (
            "no property 'price' in these journeys. Available: 'device'. Pass keep=[..., 'price'] to "
            "read_events."
        ),
    ),
    (
        lambda j: j.measure(jk.Personas("buy", jk.Clusters(2, rng=1), channel="chanel")),
        UnknownPropertyError,
        (
            "no property 'chanel' in these journeys. Available: 'device'. Pass keep=[..., 'chanel'] to "
            "read_events."
        ),
    ),
    (
        lambda j: j.measure(jk.WhatIf(jk.Chain("buy"), jk.Change("crt", relative=0.1))),
        UnknownNameError,
        (
            "no state 'crt' in this log. Did you mean 'cart'? Available: 'cart', '<CONVERT>', '<START>', "
            "'<ABANDON>', 'buy', 'home', 'view'."
        ),
    ),
    (
        lambda j: j.measure(jk.WhatIf(jk.Chain("buy"), jk.Change("cart", "view", absolute=0.99))),
        ParameterError,
        (
            "Change(cart to view, 0.99 up) would make the probability from 'cart' to 'view' 1.165; it is "
            "0.175, and must stay from 0 to 1. Change it less."
        ),
    ),
    (
        lambda j: j.measure(jk.Chain("buy"), by="device").model(),
        ParameterError,
        ("model takes one segment, and 2 of 2 fit {}. Available: {'device': 'd0'}, {'device': 'd1'}."),
    ),
    (
        lambda j: j.measure(jk.Chain("buy"), by="device").model(device="d3"),
        ParameterError,
        (
            "model takes one segment, and 0 of 2 fit {'device': 'd3'}. Available: {'device': 'd0'}, "
            "{'device': 'd1'}."
        ),
    ),
    (
        lambda j: j.measure(jk.Chain("buy"), by="device").model(devise="d1"),
        ParameterError,
        "segment cannot be 'devise'. Choose one of: 'device'.",
    ),
    (
        lambda j: j.measure(jk.Chain("buy")).model(device="d1"),
        ParameterError,
        "segment cannot be 'device'. Choose one of: 'no segment'.",
    ),
    (
        lambda j: jk.MarkovChain.fit(j.measure(jk.Transitions(), by="device")),
        ParameterError,
        (
            "a chain takes one segment, and this answer has 2. Filter the journeys first, or measure "
            "without by= and every=."
        ),
    ),
    (
        lambda j: jk.MarkovChain.fit(j.measure(jk.Transitions()), goal="bye"),
        UnknownNameError,
        ("no state 'bye' in this log. Did you mean 'buy'? Available: 'buy', 'home', 'view', 'cart'."),
    ),
    (
        lambda j: jk.compare(j, "buy", by="device"),
        NotAStatisticError,
        "measure takes statistics, such as jk.Transitions(), and was given 'buy'.",
    ),
    (
        lambda j: jk.compare(j, jk.Conversion("buy"), every="1d", a="1970-01-02", b="1970-01-02T12:00"),
        ParameterError,
        "a='1970-01-02' and b='1970-01-02T12:00' are in the same period. Give two different ones.",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), [*FITTING, *ASKING, *QUESTIONS])
def test_what_chains_refuse(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message


@pytest.mark.parametrize(("call", "error", "message"), MEASURING)
def test_what_is_refused_when_measured(journeys, call, error, message):
    with pytest.raises(error) as caught:
        call(journeys)
    assert str(caught.value) == message
