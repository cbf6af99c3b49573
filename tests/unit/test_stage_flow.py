"""StageFlow on logs worked out by hand, and the verb assign_stages."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import journeykit as jk
from journeykit.errors import ParameterError, UnknownNameError
from tests import logs, oracle

WALK = jk.StageModel(
    [
        jk.Stage("awareness", "ad"),
        jk.Stage("consideration", "view"),
        jk.Stage("purchase", "buy"),
        jk.Stage("loyalty", jk.stages.event("buy", nth=2), priority=1),
    ]
)


def journeys(rows, model=WALK, rule="30m", **options):
    events = jk.read_events(logs.frame(rows), user="user", time="time", event="event", **options)
    return events.sessionize(rule).assign_stages(model)


def row(frame, stage):
    return frame.row(by_predicate=pl.col("stage") == stage, named=True)


def test_stages_are_carried_forward_in_the_users_time():
    staged = journeys(logs.STAGE_WALK)
    assert staged.stage_codes.tolist() == [0, 2, 2, 1, 3, 2, 4, 4]
    assert staged.furthest_stage_codes.tolist() == [0, 2, 2, 2, 3, 3, 4, 4]
    assert staged.stage_names == ("awareness", "consideration", "purchase", "loyalty")


def test_stages_are_stored_where_the_events_are_if_sessions_interleave():
    rows = [{**each, "session": name} for each, name in zip(logs.STAGE_WALK, "ababbaab", strict=True)]
    staged = journeys(rows, rule=jk.SessionRule.from_column(), session="session")
    names = staged.names.gather(pl.Series(staged.event_codes)).to_list()
    assert names == ["ping", "ping", "view", "buy", "view", "ad", "buy", "ping"]
    assert staged.stage_codes.tolist() == [0, 2, 2, 4, 2, 1, 3, 4]
    assert staged.furthest_stage_codes.tolist() == [0, 2, 3, 4, 2, 2, 3, 4]
    assert staged.states("stage", "user").tolist() == [0, 2, 2, 1, 3, 2, 4, 4]


def test_a_note_says_what_is_in_no_stage_once():
    staged = journeys(logs.STAGE_WALK)
    note = "In no stage: 3 of 8 events (37.5 %): 'ping' (3)."
    assert staged.provenance.notes == (note,)
    assert staged.assign_stages(WALK).provenance.notes == (note,)
    assert note in repr(staged.measure(jk.StageFlow()))
    everything = jk.StageModel([jk.Stage("all", "ad", "view", "buy", "ping")])
    assert staged.assign_stages(everything).provenance.notes == ()


def test_a_rule_about_an_event_that_is_not_there():
    model = jk.StageModel([jk.Stage("look", "veiw")])
    unstaged = jk.read_events(
        logs.frame(logs.STAGE_WALK), user="user", time="time", event="event"
    ).sessionize()
    with pytest.raises(UnknownNameError) as caught:
        unstaged.assign_stages(model)
    assert str(caught.value) == (
        "no event 'veiw' in this log. Did you mean 'view'? Available: 'view', 'ping', 'ad', 'buy'. "
        'Pass missing="ignore" to count such names as never seen.'
    )
    assert unstaged.assign_stages(model, missing="ignore").stage_codes.max() == 0
    assert unstaged.stage_codes is None


def test_every_number_of_a_walk():
    flow = journeys(logs.STAGE_WALK).measure(jk.StageFlow())
    second = row(flow.frame, "consideration")
    expected = {
        "units": 1,
        "staged_units": 1,
        "visited": 1,
        "reached": 1,
        "current": 0,
        "furthest": 0,
        "reached_next": 1,
        "step_through": 1.0,
        "open": None,
        "bypassed": 0,
        "entries": 1,
        "late_entries": 1,
        "visits": 2,
        "advances": 0,
        "skips": 1,
        "regresses": 1,
        "loop_moves": 0,
        "regress_rate": 0.5,
        "skipped": 1,
        "re_entries": 1,
        "re_entry_rate": 0.5,
        "exits": 0,
        "exit_share": 0.0,
        "closed_visits": 2,
        "dwell_mean": 270.0,
        "dwell_median": 180.0,
        "active_dwell_mean": 270.0,
    }
    assert {name: second[name] for name in expected} == expected
    last = row(flow.frame, "loyalty")
    assert (last["current"], last["furthest"], last["exits"], last["exit_share"]) == (1, 1, 1, 1.0)
    assert (last["step_through"], last["bypass_rate"], last["dwell_mean"]) == (None, None, None)
    assert (last["dwell_median"], last["active_dwell_mean"]) == (float("inf"), 0.0)
    assert flow.moves.select("source", "target", "kind", "moves", "re_entries").rows() == [
        ("<START>", "consideration", "entry", 1, 0),
        ("awareness", "purchase", "skip", 1, 0),
        ("consideration", "awareness", "regress", 1, 0),
        ("consideration", "loyalty", "skip", 1, 0),
        ("purchase", "consideration", "regress", 1, 1),
        ("loyalty", "<END>", "exit", 1, 0),
    ]
    assert flow.plan.height == 0


def test_bypassed_stages_and_users_without_a_stage():
    rows = logs.log("a 0 ad; a 1 buy; b 0 ad; b 1 view; b 2 buy; c 0 buy; d 0 ping; e 0 view")
    frame = journeys(rows, jk.StageModel(WALK.stages[:3])).measure(jk.StageFlow()).frame
    assert frame["visited"].to_list() == [2, 2, 3]
    assert frame["reached"].to_list() == [4, 4, 3]
    assert frame["bypassed"].to_list() == [2, 2, 0]
    assert frame["bypass_rate"].to_list() == [0.5, 2 / 3, None]
    assert frame["visited_share"].to_list() == [2 / 4, 2 / 4, 3 / 4]
    assert frame["visited_share_all"].to_list() == [2 / 5, 2 / 5, 3 / 5]
    interval = oracle.wilson(2 / 5, 5)
    assert frame["visited_share_all_low"][0] == pytest.approx(interval.low)
    assert frame["visited_share_all_high"][0] == pytest.approx(interval.high)
    assert frame["late_entries"].to_list() == [0, 1, 1]
    assert frame["skipped"].to_list() == [0, 1, 0]


def test_a_horizon_leaves_the_recent_open():
    rows = logs.log("a 0 ad; b 0 ad; b 900 view; c 895 ad; d 1000 buy")
    frame = journeys(rows, jk.StageModel(WALK.stages[:3])).measure(jk.StageFlow(horizon="100m")).frame
    assert frame["current"].to_list() == [2, 1, 1]
    assert frame["open"].to_list() == [0, 0, 1]
    assert frame["exits"].to_list() == [2, 1, 0]
    recent = journeys(rows, jk.StageModel(WALK.stages[:3])).measure(jk.StageFlow(horizon="101m"))
    assert recent.frame["open"].to_list() == [0, 1, 1]
    assert recent.frame["open_share"].to_list() == [0.0, 1 / 2, 1.0]
    assert recent.frame["exit_share"].to_list() == [2 / 3, 0.0, 0.0]
    assert recent.moves.filter(target="<END>").select("source", "moves").rows() == [("awareness", 2)]


def test_a_session_begins_in_the_stage_of_its_user():
    rows = logs.log("a 0 buy; a 60 ping; a 61 ad; b 0 ad")
    model = jk.StageModel([jk.Stage("awareness", "ad"), jk.Stage("purchase", "buy")])
    frame = journeys(rows, model).measure(jk.StageFlow(unit="session")).frame
    assert frame["units"].to_list() == [3, 3]
    assert frame["visited"].to_list() == [2, 2]
    assert frame["current"].to_list() == [2, 1]
    assert frame["regresses"].to_list() == [0, 1]


def test_planned_and_actual_moves():
    names = [jk.Stage(name, name) for name in ("ad", "view", "buy")]
    rows = logs.log("a 0 ad; a 1 view; a 2 buy; b 0 ad; b 1 buy; b 2 view; c 0 buy; d 0 ping")
    model = jk.StageModel(names, planned_moves=[("ad", "view"), ("view", "buy")])
    plan = journeys(rows, model).measure(jk.StageFlow()).plan.row(0, named=True)
    assert (plan["moves"], plan["planned_moves"], plan["allowed_move_share"]) == (4, 2, 0.5)
    assert plan["deviation_mean"] == pytest.approx((0 + 2 + 2) / 3)
    assert plan["relative_deviation_mean"] == pytest.approx((0 + 2 / 3 + 2 / 3) / 3)
    forked = jk.StageModel(names, planned_moves=[("ad", "view"), ("ad", "buy")])
    answer = journeys(rows, forked).measure(jk.StageFlow())
    assert answer.plan["allowed_move_share"].to_list() == [2 / 4]
    assert answer.plan["deviation_mean"].to_list() == [None]
    assert answer.notes[-1] == (
        "The planned moves are not one chain of stages: there is no distance from the planned path."
    )


def test_a_declared_loop_is_no_regress():
    model = jk.StageModel([jk.Stage("buy", "buy"), jk.Stage("bond", "bond")], loops=[("bond", "buy")])
    flow = journeys(logs.log("a 0 buy; a 1 bond; a 2 buy"), model).measure(jk.StageFlow())
    bond = row(flow.frame, "bond")
    assert (bond["loop_moves"], bond["regresses"]) == (1, 0)
    assert ("bond", "buy", "loop_move", 1, 1) in flow.moves.select(
        "source", "target", "kind", "moves", "re_entries"
    ).rows()


@pytest.fixture(scope="module")
def many():
    """Sixty users whose walks differ."""
    rng = np.random.default_rng(7)
    rows = [
        {
            "user": f"u{user}",
            "time": int(time) * logs.SECOND,
            "event": str(rng.choice(["ad", "view", "buy", "ping"])),
        }
        for user in range(60)
        for time in np.sort(rng.integers(0, 100_000, rng.integers(1, 12)))
    ]
    return rows, journeys(rows, jk.StageModel(WALK.stages[:3]))


def test_intervals_of_visits_are_those_of_the_jackknife(many):
    rows, staged = many
    frame = staged.measure(jk.StageFlow()).frame
    of_user = {user: oracle.visits(stages(own)) for user, own in oracle.order(rows).items()}

    def regress_rate(users):
        walks = [of_user[user] for user in users]
        moves = [move for walk in walks for move in oracle.moves(walk)]
        visits = sum(visit.stage == 2 for walk in walks for visit in walk)
        return oracle.rate(sum(move.source == 2 and move.kind == "regress" for move in moves), visits)

    expected = oracle.jackknife(list(of_user), regress_rate, "logit", denominator_users=1)
    second = row(frame, "consideration")
    assert second["regress_rate"] == pytest.approx(regress_rate(list(of_user)))
    assert second["regress_rate_low"] == pytest.approx(expected.low)
    assert second["regress_rate_high"] == pytest.approx(expected.high)
    assert second["dwell_median_low"] < second["dwell_median"] < second["dwell_median_high"]


def stages(own):
    number = {"ad": 1, "view": 2, "buy": 3}
    current, found = None, []
    for each in own:
        current = number.get(each["event"], current)
        found.append(current)
    return found


def test_shares_of_sessions_have_jackknife_intervals(many):
    _, staged = many
    user, session = (staged.measure(jk.StageFlow(unit=unit)).frame for unit in ("user", "session"))
    low, high = (session[f"visited_share_{end}"][1] for end in ("low", "high"))
    assert low < session["visited_share"][1] < high
    assert user["units"][0] == 60
    assert session["units"][0] == staged.n_sessions


def test_wrong_parameters():
    with pytest.raises(ParameterError) as caught:
        jk.StageFlow(unit="visit")
    assert str(caught.value) == "unit cannot be 'visit'. Choose one of: 'session', 'user'."
    with pytest.raises(ParameterError) as caught:
        jk.StageFlow(horizon="soon")
    assert str(caught.value).startswith("horizon cannot be 'soon'. Give a duration with its unit")
    unstaged = jk.read_events(
        logs.frame(logs.STAGE_WALK), user="user", time="time", event="event"
    ).sessionize()
    with pytest.raises(ParameterError) as caught:
        unstaged.measure(jk.StageFlow())
    assert str(caught.value) == "StageFlow needs stages. Call assign_stages(model) first."


def test_it_shows_itself(many):
    flow = many[1].measure(jk.StageFlow())
    assert "consideration" in repr(flow)
    assert "<table" in flow._repr_html_()


def test_nobody_is_left():
    nobody = journeys(logs.STAGE_WALK).filter(users=[])
    frame = nobody.measure(jk.StageFlow()).frame
    assert frame.select("stage", "units", "visits", "visited_share", "dwell_median").rows() == [
        (stage, 0, 0, None, None) for stage in WALK.names
    ]


@pytest.mark.conformance
def test_the_shop_against_polars(shared_data):
    path = shared_data / "shop" / "ecom.csv.gz"
    log = pl.read_csv(path, try_parse_dates=True)
    user, time, event = "user_id", "timestamp", "event"
    names = log[event].unique().sort().to_list()
    of_name = {name: min(i, 4) + 1 for i, name in enumerate(names)}
    model = jk.StageModel(
        [jk.Stage(f"stage {k}", [name for name in names if of_name[name] == k]) for k in range(1, 6)]
    )
    events = jk.read_events(log, user=user, time=time, event=event)
    frame = events.sessionize("30m").assign_stages(model).measure(jk.StageFlow()).frame
    steps = (
        log.with_row_index("row")
        .sort(user, time, "row")
        .with_columns(stage=pl.col(event).replace_strict(of_name, return_dtype=pl.Int64))
    )
    starts = pl.col("stage").ne_missing(pl.col("stage").shift().over(user))
    visits = steps.filter(starts).with_columns(
        after=pl.col("stage").shift(-1).over(user),
        dwell=(pl.col(time).shift(-1).over(user) - pl.col(time)).dt.total_microseconds() / 1e6,
    )
    users = steps.group_by(user).agg(
        furthest=pl.col("stage").max(), current=pl.col("stage").last(), seen=pl.col("stage").unique()
    )
    for k, one in enumerate(frame.iter_rows(named=True), start=1):
        own = visits.filter(stage=k)
        beyond = users.filter(pl.col("furthest") > k)
        assert one["visits"] == own.height
        assert one["visited"] == own[user].n_unique()
        assert one["reached"] == users.filter(pl.col("furthest") >= k).height
        assert one["current"] == users.filter(current=k).height
        assert one["bypassed"] == beyond.filter(~pl.col("seen").list.contains(k)).height
        assert one["advances"] == own.filter(after=k + 1).height
        assert one["regresses"] == own.filter(pl.col("after") < k).height
        assert one["dwell_mean"] == pytest.approx(own["dwell"].mean())
