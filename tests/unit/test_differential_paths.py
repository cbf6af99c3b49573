"""What DifferentialPaths refuses and says, and a case by hand."""

from __future__ import annotations

import polars as pl
import pytest

import journeykit as jk
from journeykit.statistics.differential.differential_paths import quantile_cuts
from tests.logs import log
from tests.measuring import journeys_of

# Converted: a (see help buy), b (see buy). Gave up: c (see help help), d (help). Open: e, whose session may go on.
FIVE = log(
    """
    a 0 see; a 1 help; a 2 buy; a 3 help
    b 0 see; b 1 buy
    c 0 see; c 1 help; c 2 help
    d 0 help
    e 200 see; z 210 see
    """
)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"longest": 0}, "longest must be a whole number from 1 on, not 0."),
        ({"strata": 21}, "strata must be at most 20, not 21."),
        ({"min_count": 2.5}, "min_count must be a whole number from 1 on, not 2.5."),
        (
            {"unit": "user"},
            (
                "horizon goes with users, and they need it: how long a silence means that a user is gone has no "
                'default. Pass unit="user", horizon="30d", or neither; a session has ended when its own timeout has '
                "passed."
            ),
        ),
        (
            {"patterns": [jk.Pattern("see -> help", unit="user")]},
            "the pattern 'see -> help' is not one of events of a session. Pass unit='session' to it.",
        ),
        (
            {"goal": []},
            "goal cannot be []. Give a name, a list of names, a polars expression, a Pattern or a Match.",
        ),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(options, message):
    with pytest.raises(jk.errors.ParameterError) as caught:
        jk.DifferentialPaths(**{"goal": "buy", **options})
    assert str(caught.value) == message


def test_runs_that_are_too_long_for_the_names_are_refused():
    with pytest.raises(jk.errors.ParameterError) as caught:
        journeys_of(FIVE).measure(jk.DifferentialPaths("buy", longest=40))
    assert str(caught.value).startswith("longest=40 is too long for 3 event names and ")


def test_an_unknown_goal_is_refused():
    with pytest.raises(jk.errors.UnknownNameError):
        journeys_of(FIVE).measure(jk.DifferentialPaths("by"))


def test_by_hand():
    """Prefixes: see help | see of the converted, see help help | help of those who gave up; help after buy is cut."""
    answer = journeys_of(FIVE).measure(jk.DifferentialPaths("buy", longest=2, strata=1, min_count=1))
    columns = ("converted_with", "converted", "abandoned_with", "abandoned", "difference", "phi")
    rows = {
        tuple(row["path"]): tuple(row[name] for name in columns) for row in answer.frame.iter_rows(named=True)
    }
    assert rows == {
        ("see",): (2, 2, 1, 2, 0.5, pytest.approx(1 / 3**0.5)),
        ("help",): (1, 2, 2, 2, -0.5, pytest.approx(-1 / 3**0.5)),
        ("see", "help"): (1, 2, 1, 2, 0.0, 0.0),
        ("help", "help"): (0, 2, 1, 2, -0.5, pytest.approx(-1 / 3**0.5)),
    }
    assert answer.notes[0] == "2 sessions converted and 2 gave up; 2 that are still open are left out."
    moves = {
        (row["source"], row["target"]): (row["converted_probability"], row["abandoned_probability"])
        for row in answer.transitions.iter_rows(named=True)
    }
    assert moves == {
        ("<START>", "see"): (1.0, 0.5), ("<START>", "help"): (0.0, 0.5), ("see", "help"): (1.0, 1.0),
    }  # fmt: skip


def test_one_kind_alone_is_said_to_be_nothing_to_compare():
    answer = journeys_of(log("a 0 see; b 500 see")).measure(
        jk.DifferentialPaths("buy", min_count=1, missing="ignore")
    )
    assert "There is nothing to compare: no session converted." in answer.notes
    assert answer.frame["difference"].to_list() == [None]


def test_hostile_names_are_names():
    rows = [
        {**row, "event": {"see": "<script>", "help": "a > b"}.get(row["event"], row["event"])} for row in FIVE
    ]
    answer = journeys_of(rows).measure(jk.DifferentialPaths("buy", longest=2, strata=1, min_count=1))
    assert ["<script>", "a > b"] in answer.frame["path"].to_list()
    assert "<script>" not in answer._repr_html_()


def test_classes_of_length():
    assert quantile_cuts([1, 2, 3, 9], [5, 2, 2, 1], 5) == (1, 2, 3)
    assert quantile_cuts([4], [10], 5) == ()
    assert quantile_cuts([], [], 5) == ()
    assert quantile_cuts([0, 1], [1, 1], 2) == (0,)


def test_like_is_compared_with_like():
    """Long prefixes have more of everything: within a class of length nothing differs."""
    rows = []
    for i in range(60):
        steps = 4 if i % 3 else 1
        text = "; ".join(f"u{i} {minute} {'help' if minute == 1 else 'see'}" for minute in range(steps))
        goal = f"; u{i} {steps} buy" if i % 3 and i % 2 else ""
        rows += log(text + goal)
    rows += log("z 900 see")
    journeys = journeys_of(rows)
    apart, together = (
        journeys.measure(jk.DifferentialPaths("buy", longest=1, strata=strata)).frame.filter(
            pl.col("path").list.first() == "help"
        )["difference"][0]
        for strata in (3, 1)
    )
    assert apart == pytest.approx(0.0)
    assert together > 0.4
