"""`jk.FunnelCorrelation` on small logs, and what it refuses."""

from __future__ import annotations

from math import sqrt

import polars as pl
import pytest

import journeykit as jk
from tests.logs import log
from tests.measuring import journeys_of, many_users

# a > c. Converted: p (tour, help between), q (tour). Not: r (help, at the deadline of 10 minutes), s, t (tour too
# late).
# The second a of q is an event of a step; x comes before a, or after c.
ROWS = log(
    "p 0 a; p 1 tour; p 2 help; p 3 c; p 4 x; q 0 x; q 1 a; q 2 a; q 3 tour; q 3 tour; q 4 c; "
    "r 0 a; r 10 help; s 5 a; t 0 a; t 11 tour"
)
FUNNEL = jk.Funnel(["a", "c"], within="10m")


def frame_of(rows=ROWS, funnel=FUNNEL, of="events", **options):
    return journeys_of(rows).measure(jk.FunnelCorrelation(funnel, of), **options).frame


def test_events_between_the_steps():
    frame = frame_of()
    columns = ("event", "success", "failure", "units", "converted", "others", "rate_with", "rate_without")
    assert frame.select(columns).rows() == [
        ("tour", 2, 0, 2, 2, 3, 1.0, 0.0),
        ("help", 1, 1, 2, 2, 3, 0.5, 1 / 3),
    ]
    assert frame["odds_ratio"].to_list() == [3 * 4 / (1 * 1), 2 * 3 / (2 * 2)]
    assert frame["correlates_with"].to_list() == ["success", "success"]
    assert frame["phi"].to_list() == [pytest.approx(1), pytest.approx((1 * 2 - 1 * 1) / sqrt(2 * 3 * 2 * 3))]
    # Fisher: 1 of 10 ways to choose the two that convert; and 7 of 10 as unlikely as one each, which is all.
    assert frame["p_value"].to_list() == [pytest.approx(0.1), pytest.approx(1)]
    assert frame["p_adjusted"].to_list() == [pytest.approx(0.2), pytest.approx(1)]
    assert frame["weak"].to_list() == [False, False]


def test_an_event_at_the_time_of_a_step_is_between_by_position_alone():
    rows = log("u 0 a; u 0 x; u 1 y; u 1 c")
    assert sorted(frame_of(rows)["event"]) == ["x", "y"]
    assert frame_of(rows, jk.Funnel(["a", "c"], within="10m", rules=jk.rules.posthog())).height == 0


def test_values_of_a_property():
    rows = [
        {**row, "plan": {"p": "pro", "q": "pro", "r": "free", "s": "pro"}.get(row["user"])} for row in ROWS
    ]
    frame = frame_of(rows, of="plan")
    assert frame.select("value", "success", "failure", "others", "odds_ratio").rows() == [
        ("pro", 2, 1, 3, 3 * 3 / (2 * 1)),
        ("free", 0, 1, 3, 1 * 3 / (2 * 3)),
    ]
    assert frame["correlates_with"].to_list() == ["success", "failure"]


def test_segments_and_periods():
    rows = [{**row, "device": "web" if row["user"] in "pq" else "app"} for row in ROWS]
    frame = frame_of(rows, by="device", every="1d")
    assert frame.select("device", "event", "success", "failure", "converted", "others").rows() == [
        ("app", "help", 0, 1, 0, 3),
        ("web", "tour", 2, 0, 2, 0),
        ("web", "help", 1, 0, 2, 0),
    ]


def test_rare_things_are_weak():
    rows = log(
        "; ".join(f"u{i} 0 a; u{i} {1 if i % 2 else 2} {'rare' if i < 9 else 'often'}" for i in range(500))
    )
    frame = frame_of([*rows, *log("v 0 a; v 1 c")])
    assert dict(frame.select("event", "weak").rows()) == {"often": False, "rare": True}


def test_runs_and_sessions_have_jackknife_intervals():
    made = journeys_of(many_users(5, users=300, events=20))
    funnel = jk.Funnel(["home", "cart"], within="5h", unit="totals")
    frame = made.measure(jk.FunnelCorrelation(funnel)).frame.drop_nulls("odds_ratio_low")
    assert frame.height == 2
    for name in ("rate_with", "rate_without", "odds_ratio"):
        assert (frame[f"{name}_low"] < frame[name]).all()
        assert (frame[name] < frame[f"{name}_high"]).all()
    assert frame["p_value"].is_between(0, 1).all()
    assert not frame["p_value"].is_null().any()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((3,), "funnel must be a Funnel, not 3."),
        (
            (jk.Funnel(["a"], breakdown="plan"),),
            (
                "the funnel has breakdown='plan', which a correlation does not know. Leave it out, and ask by segment: "
                "measure(..., by='plan')."
            ),
        ),
        ((FUNNEL, ""), "of must be 'events' or the name of a property, not ''."),
    ],
)
def test_what_is_refused(args, message):
    with pytest.raises(jk.errors.ParameterError) as error:
        jk.FunnelCorrelation(*args)
    assert str(error.value) == message


def test_unknown_names_and_properties_are_refused_before_any_work():
    with pytest.raises(jk.errors.UnknownPropertyError, match="plan"):
        frame_of(of="plan")
    with pytest.raises(jk.errors.UnknownNameError, match="aa"):
        frame_of(funnel=jk.Funnel(["aa", "c"]))


def test_hostile_names_are_only_names():
    rows = [
        {**row, "event": {"tour": "<script>", "help": "a > b\n'\"🛒"}.get(row["event"], row["event"])}
        for row in ROWS
    ]
    answer = journeys_of(rows).measure(jk.FunnelCorrelation(FUNNEL))
    assert set(answer.frame["event"]) == {"<script>", "a > b\n'\"🛒"}
    assert "<script>" not in answer._repr_html_()
    assert isinstance(answer.frame, pl.DataFrame)
