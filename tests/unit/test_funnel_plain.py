"""Plain funnels, whose runs are all made in one look at every event. D7.3, D7.4, D7.8, D7.11."""

from __future__ import annotations

import polars as pl
import pytest

import journeykit as jk


def counted(events, within="3s", steps=("a", "b"), until=None, **rules):
    """Return how many reach each step, are open at the first, have matured, and convert of these."""
    log = pl.DataFrame({"time": [time for time, _ in events], "event": [name for _, name in events]})
    log = log.with_columns(pl.lit("u").alias("user"), pl.col("time").cast(pl.Datetime("us", "UTC")))
    end = None if until is None else pl.Series([until]).cast(pl.Datetime("us", "UTC"))[0]
    journeys = jk.read_events(log, user="user", time="time", event="event", observed_until=end)
    funnel = jk.Funnel(list(steps), within=within, rules=jk.FunnelRules(**rules), missing="ignore")
    frame = journeys.sessionize("5s").measure(funnel).frame
    return (
        frame["reached"].to_list(), frame["open"][0], frame["matured"][0], frame["matured_converted"][-1]
    )  # fmt: skip


S = 1_000_000


@pytest.mark.parametrize(
    ("events", "until", "expected"),
    [
        pytest.param([(0, "a"), (3 * S, "b")], 9 * S, ([1, 1], 0, 1, 1), id="at the deadline"),
        pytest.param([(0, "a"), (3 * S + 1, "b")], 9 * S, ([1, 0], 0, 1, 0), id="after it"),
        pytest.param([(0, "a"), (5 * S, "a"), (6 * S, "b")], 9 * S, ([1, 1], 0, 1, 1), id="a later run"),
        pytest.param([(0, "a"), (5 * S, "a")], 6 * S, ([1, 0], 1, 1, 0), id="only a later run is open"),
        pytest.param([(0, "a"), (5 * S, "a")], 8 * S, ([1, 0], 0, 1, 0), id="closed at the end"),
        pytest.param([(0, "a"), (1 * S, "b")], 2 * S, ([1, 1], 0, 0, 0), id="made, not matured"),
        pytest.param([(0, "b"), (1 * S, "x")], 9 * S, ([0, 0], 0, 0, 0), id="no run"),
    ],
)
def test_which_run_counts(events, until, expected):
    assert counted(events, until=until) == expected


def test_only_the_first_run_counts_where_that_is_the_rule():
    events = [(0, "a"), (5 * S, "a"), (6 * S, "b")]
    assert counted(events, until=7 * S, entry="first") == ([1, 0], 0, 1, 0)
    assert counted([(0, "a"), (3 * S, "b")], until=7 * S, entry="first") == ([1, 1], 0, 1, 1)


def test_an_event_within_the_grace_follows_what_it_precedes():
    events = [(1 * S, "b"), (3 * S, "a")]
    assert counted(events, until=9 * S, ties="any", grace="2s")[0] == [1, 1]
    assert counted([(1 * S - 1, "b"), (3 * S, "a")], until=9 * S, ties="any", grace="2s")[0] == [1, 0]


def test_events_of_one_tick_follow_each_other_in_any_order():
    events = [(2 * S + 1, "b"), (3 * S - 1, "a"), (6 * S, "c")]
    assert counted(events, steps=("a", "b", "c"), ties="any", until=9 * S)[0] == [1, 0, 0]
    assert counted(events, steps=("a", "b"), ties="any", resolution="1s", until=9 * S)[0] == [1, 1]


def test_times_are_floored_to_ticks():
    events = [(1 * S + 900_000, "a"), (4 * S + 950_000, "b")]
    assert counted(events, until=9 * S)[0] == [1, 0]
    for entry in ("any", "first"):
        assert counted(events, until=9 * S, ties="any", resolution="1s", entry=entry)[0] == [1, 1]


def test_ties_after_a_complete_run_change_nothing_and_others_are_told():
    log = pl.DataFrame({
        "user": ["u"] * 4 + ["v"] * 3, "time": [0, 1, 2, 2, 0, 1, 1], "event": ["a", "b", "b", "a", "x", "b", "a"],
    })  # fmt: skip
    journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("5s")
    answer = journeys.measure(jk.Funnel(["a", "b"], within="3s"))
    assert answer.frame["reached"].to_list() == [2, 1]
    assert answer.tie_sensitive == 1


def test_a_name_that_comes_back_in_a_tick_makes_no_second_step():
    """It is dropped before anything is counted, though nothing ties."""
    events = [(100, "a"), (200, "a")]
    assert counted(events, steps=("a", "a"), until=9 * S)[0] == [1, 1]
    assert counted(events, steps=("a", "a"), resolution="1s", until=9 * S)[0] == [1, 0]


def test_the_best_of_later_runs_is_the_earliest_and_matures_by_itself():
    """The first run makes one step; one that has passed makes two, an open one three."""
    events = [(0, "a"), (4 * S, "a"), (6 * S, "b"), (9 * S, "a"), (10 * S, "b"), (11 * S, "c")]
    steps = ("a", "b", "c")
    assert counted(events, steps=steps, until=11 * S) == ([1, 1, 1], 0, 1, 0)
    assert counted(events, steps=steps, until=12 * S) == ([1, 1, 1], 0, 1, 1)
    assert counted(events[:-1], steps=steps, until=11 * S) == ([1, 1, 0], 0, 1, 0)


def test_several_steps_are_made_by_events_within_the_grace_before_the_start():
    rules = {"ties": "any", "grace": "2s", "until": 9 * S}
    steps = ("a", "b", "c")
    assert counted([(0, "c"), (2 * S, "b"), (4 * S, "a")], steps=steps, **rules)[0] == [1, 1, 1]
    assert counted([(0, "c"), (2 * S + 1, "b"), (4 * S, "a")], steps=steps, **rules)[0] == [1, 1, 0]


def measured(events, **options):
    log = pl.DataFrame({"time": [time for time, _ in events], "event": [name for _, name in events]})
    journeys = jk.read_events(log.with_columns(user=1), user="user", time="time", event="event", unit="s")
    return journeys.sessionize("1m").measure(jk.Funnel(["a", "b", "c"], missing="ignore", **options))


def test_ties_behind_a_run_that_grace_completed_are_told():
    """Without grace, by position, the last c comes too early for the last b."""
    events = [(1, "c"), (2, "b"), (3, "a"), (5, "c"), (5, "b")]
    answer = measured(events, within="1m", rules=jk.FunnelRules(ties="any", grace="2s"))
    assert answer.frame["reached"].to_list() == [1, 1, 1]
    assert answer.tie_sensitive == 1


def test_the_latest_of_equal_runs_is_the_last_that_has_time():
    events = [(0, "a"), (1, "a"), (2, "b"), (9, "a")]
    earliest, latest = (
        measured(events, within="5s", rules=jk.FunnelRules(pick=pick)).frame["time_median"][1]
        for pick in ("earliest", "latest")
    )
    assert (earliest, latest) == (2.0, 1.0)


def test_means_are_over_the_runs_of_most_steps():
    """Four runs reach b, after 9, 6, 2 and 1 seconds; of one that comes later nothing is seen."""
    events = [(0, "a"), (3, "a"), (7, "a"), (8, "a"), (9, "b"), (20, "a")]
    frame = measured(events, within="10s", rules=jk.FunnelRules(times="mean_of_runs")).frame
    assert frame["time_mean"][1] == 4.5
    assert frame["time_median"][1] == 4.0
    assert (frame["time_min"][1], frame["time_max"][1]) == (4.5, 4.5)


@pytest.mark.parametrize(
    ("exclusion", "ties", "reached"),
    [
        ("per_run", "input", [4, 4, 2]), ("per_run", "any", [5, 5, 4]), ("per_run", "strict", [4, 4, 2]),
        ("furthest_run", "input", [4, 4, 2]), ("furthest_run", "any", [5, 5, 4]),
        ("dropoff", "input", [6, 5, 2]), ("dropoff", "any", [6, 5, 4]), ("dropoff", "strict", [6, 5, 2]),
    ],
)  # fmt: skip
def test_paths_with_and_without_an_excluding_event_are_counted_together(exclusion, ties, reached):
    """Only the former are looked at run by run; with ``runs=True`` all are."""
    paths = {
        "without": [(0, "s"), (1, "a"), (2, "b")],
        "open": [(3, "s"), (8, "a")],
        "excluded": [(0, "s"), (1, "x"), (2, "a"), (3, "b")],
        "outside": [(0, "x"), (1, "s"), (2, "a"), (3, "b")],
        "tied": [(0, "s"), (1, "b"), (1, "a")],
        "tied, excluded later": [(0, "s"), (1, "b"), (1, "a"), (2, "x"), (3, "b")],
    }
    rows = [(user, time, name) for user, path in paths.items() for time, name in path]
    log = pl.DataFrame(rows, schema=["user", "time", "event"], orient="row")
    journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("1h")
    rules = jk.FunnelRules(exclusion=exclusion, ties=ties)
    at_once, by_run = (
        journeys.measure(
            jk.Funnel(["s", "a", "b"], within="9s", exclude=[jk.Exclusion("x")], rules=rules, runs=runs)
        )
        for runs in (False, True)
    )
    assert at_once.frame.equals(by_run.frame)
    assert at_once.tie_sensitive == by_run.tie_sensitive == 2
    assert at_once.frame["reached"].to_list() == reached
