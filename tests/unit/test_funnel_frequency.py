"""`jk.FunnelFrequency` on small logs, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

import journeykit as jk
from tests.logs import log
from tests.measuring import journeys_of, many_users

# p: x, y, x between a and c, one x before and one after. q: nothing but y. r never gets to c. s: one x, the next day.
ROWS = log(
    "p 0 x; p 1 a; p 2 x; p 3 y; p 4 x; p 5 c; p 6 x; q 0 a; q 1 y; q 2 c; r 0 a; r 1 x; r 2 x; "
    "s 1500 a; s 1501 x; s 1502 c"
)
FUNNEL = jk.Funnel(["a", "c"], within="10m")


def frame_of(question, rows=ROWS, **options):
    return journeys_of(rows).measure(question, **options).frame


def test_occurrences_between_the_steps_of_those_who_made_both():
    answer = journeys_of(ROWS).measure(jk.FunnelFrequency(FUNNEL, "x", quantiles=(0.5, 0.75)))
    columns = (
        "event",
        "from_step",
        "to_step",
        "from_name",
        "to_name",
        "units",
        "users",
        "occurrences",
        "units_with",
    )
    assert answer.frame.select(columns).rows() == [("x", 1, 2, "a", "c", 3, 3, 3, 2)]
    assert answer.frame.select("share_with", "mean", "median", "p75", "min", "max").rows() == [
        (2 / 3, 1.0, 1.0, 1.5, 0, 2)
    ]
    assert answer.distribution.rows() == [(0, 1), (1, 1), (2, 1)]


def test_several_names_and_a_condition():
    rows = [{**row, "device": "web" if row["user"] == "q" else "app"} for row in ROWS]
    assert frame_of(jk.FunnelFrequency(FUNNEL, ["x", "y"]), rows)["occurrences"].to_list() == [5]
    web = jk.Match("y", where=pl.col("device") == "web")
    assert frame_of(jk.FunnelFrequency(FUNNEL, web), rows).select("event", "occurrences").rows() == [
        ("y where device == 'web'", 1)
    ]


def test_segments_and_periods_of_the_first_step():
    rows = [{**row, "device": "web" if row["user"] in "pr" else "app"} for row in ROWS]
    frame = frame_of(jk.FunnelFrequency(FUNNEL, "x"), rows, by="device", every="1d")
    assert frame.select("device", frame["period"].dt.day(), "units", "users", "occurrences").rows() == [
        ("app", 1, 1, 1, 0),
        ("app", 2, 1, 1, 1),
        ("web", 1, 1, 1, 2),
    ]


def test_an_event_at_the_time_of_a_step_is_inside_if_it_may_follow_it():
    rows = log("u 0 x; u 0 a; u 1 c; u 1 x")
    for ties, expected in (("input", 0), ("any", 2), ("strict", 0)):
        funnel = jk.Funnel(["a", "c"], within="10m", rules=jk.FunnelRules(ties=ties))
        assert frame_of(jk.FunnelFrequency(funnel, "x"), rows)["occurrences"].to_list() == [expected]


def test_events_that_made_a_step_between_do_not_count():
    rows = log("u 0 a; u 1 b; u 2 b; u 3 b; u 4 c")
    funnel = jk.Funnel(["a", "b", "c"], within="10m")
    assert frame_of(jk.FunnelFrequency(funnel, "b"), rows)["occurrences"].to_list() == [2]
    assert frame_of(jk.FunnelFrequency(funnel, "b", 1, 2), rows)["occurrences"].to_list() == [0]
    optional = jk.Funnel(["a", jk.Step("b", optional=True), "c"], within="10m")
    assert frame_of(jk.FunnelFrequency(optional, "b"), rows)["occurrences"].to_list() == [2]


def test_a_name_that_comes_back_in_a_tick_counts_once():
    rules = jk.FunnelRules(ties="any", resolution="5m")
    funnel = jk.Funnel(["a", "c"], within="1h", rules=rules)
    rows = log("u 0 x; u 1 x; u 2 a; u 5 x; u 9 x; u 10 x; u 11 c")
    assert frame_of(jk.FunnelFrequency(funnel, "x"), rows)["occurrences"].to_list() == [3]


def test_every_run_of_totals_counts_and_its_user_once():
    rows = log("u 0 a; u 1 x; u 2 c; u 3 a; u 4 c; v 0 a; v 1 c; w 0 c")
    frame = frame_of(jk.FunnelFrequency(jk.Funnel(["a", "c"], within="1h", unit="totals"), "x"), rows)
    assert frame.select("units", "users", "occurrences", "units_with").rows() == [(3, 2, 1, 1)]


def test_with_stages_a_visit_counts_once():
    model = jk.StageModel([jk.Stage("one", "a"), jk.Stage("two", "x"), jk.Stage("three", "c")])
    rows = log("u 0 a; u 1 x; u 2 x; u 3 a; u 4 x; u 5 c")
    asked = jk.FunnelFrequency(jk.Funnel(["one", "three"], of="stage", within="1h"), "two")
    assert journeys_of(rows).assign_stages(model).measure(asked).frame["occurrences"].to_list() == [2]


def test_nobody_made_both_steps():
    frame = frame_of(jk.FunnelFrequency(jk.Funnel(["c", "a"], within="1m"), "x"))
    assert frame.select("units", "users", "occurrences", "units_with").rows() == [(0, 0, 0, 0)]
    assert frame.select("share_with", "mean", "mean_low", "median", "median_high", "min", "max").rows() == [
        (None,) * 7
    ]


def test_intervals():
    made = journeys_of(many_users(5, users=300, events=20))
    for unit in ("user", "session", "totals"):
        funnel = jk.Funnel(["home", "cart"], within="5h", unit=unit)
        (row,) = made.measure(jk.FunnelFrequency(funnel, "view")).frame.to_dicts()
        runs = made.measure(replace(funnel, runs=True)).runs.filter("counts", step=2)
        assert (row["units"], row["users"]) == (runs.height, runs["user"].n_unique())
        assert row["mean_low"] < row["mean"] < row["mean_high"]
        assert row["share_with_low"] < row["share_with"] < row["share_with_high"]
        assert row["median_low"] <= row["median"] <= row["median_high"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((3, "x"), "funnel must be a Funnel, not 3."),
        (
            (jk.Funnel(["a", "c"], breakdown="plan"), "x"),
            (
                "the funnel has breakdown='plan', which a frequency does not know. Leave it out, and ask by segment: "
                "measure(..., by='plan')."
            ),
        ),
        (
            (FUNNEL, []),
            "event cannot be []. Give a name, a list of names, a polars expression, a Pattern or a Match.",
        ),
        (
            (FUNNEL, "x", 2, 1),
            (
                "a frequency is counted between two steps from 1 to 2, the first before the second: after=2, before=1 "
                "are none."
            ),
        ),
        (
            (FUNNEL, "x", True),
            (
                "a frequency is counted between two steps from 1 to 2, the first before the second: after=True, "
                "before=2 are none."
            ),
        ),
        (
            (jk.Funnel(["a"]), "x"),
            (
                "a frequency is counted between two steps from 1 to 1, the first before the second: after=1, before=1 "
                "are none."
            ),
        ),
        ((FUNNEL, "x", 1, 2, (2,)), "quantiles must be numbers from 0 to 1, not (2,)."),
    ],
)
def test_what_is_refused(args, message):
    with pytest.raises(jk.errors.ParameterError) as error:
        jk.FunnelFrequency(*args)
    assert str(error.value) == message


def test_an_unknown_event_is_refused_unless_missing_says_otherwise():
    with pytest.raises(jk.errors.UnknownNameError, match="'zz'"):
        frame_of(jk.FunnelFrequency(FUNNEL, "zz"))
    with pytest.raises(jk.errors.UnknownNameError, match="'aa'"):
        frame_of(jk.FunnelFrequency(jk.Funnel(["aa", "c"]), "x"))
    ignoring = jk.Funnel(["a", "c"], within="10m", missing="ignore")
    assert frame_of(jk.FunnelFrequency(ignoring, "zz"))["occurrences"].to_list() == [0]


def test_hostile_names_are_only_names():
    rows = [{**row, "event": {"x": "<script>"}.get(row["event"], row["event"])} for row in ROWS]
    answer = journeys_of(rows).measure(jk.FunnelFrequency(FUNNEL, "<script>"))
    assert answer.frame["event"].to_list() == ["<script>"]
    assert "<script>" not in answer._repr_html_()
