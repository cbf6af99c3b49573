"""StageFlow and Overview against their slow twins, and the laws they keep."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import journeykit as jk
from journeykit.kernels.outcomes.waiting import replicates_at
from tests import logs, oracle
from tests.measuring import answer_of

pytestmark = pytest.mark.property

NAMES = ("view", "cart", "purchase", "help", "ping")
MODEL = jk.StageModel(
    [
        jk.Stage("look", "view", "help"),
        jk.Stage("want", "cart"),
        jk.Stage("own", "purchase"),
        jk.Stage("love", jk.stages.event("purchase", nth=2), priority=1),
    ],
    planned_moves=[("look", "want"), ("want", "own"), ("own", "love")],
    loops=[("love", "want")],
)
ORACLE_MODEL = [
    oracle.Stage("look", [oracle.Rule(names=("view", "help"))]),
    oracle.Stage("want", [oracle.Rule(names=("cart",))]),
    oracle.Stage("own", [oracle.Rule(names=("purchase",))]),
    oracle.Stage("love", [oracle.Rule(names=("purchase",), nth=2)], priority=1),
]
LOOPS = [(4, 2)]
UNITS = st.sampled_from(("user", "session"))
ROWS = logs.logs(min_events=1, names=NAMES)
WITH_SESSIONS = logs.logs(min_events=1, names=NAMES, with_session=True)


def staged(rows, rule="30m", **roles):
    events = jk.read_events(logs.frame(rows), user="user", time="time", event="event", **roles)
    return events.sessionize(rule).assign_stages(MODEL, missing="ignore")


def staged_units(rows, unit, cut):
    """Give the oracle's units: of a session with the stages of its user, the furthest its own."""
    found = []
    for own in oracle.order(rows).values():
        sessions = cut(own).sessions
        number = {id(row): i for i, session in enumerate(sessions) for row in session}
        stages = oracle.assign(own, ORACLE_MODEL)
        if unit == "user":
            found.append(
                oracle.StagedUnit([row["time"] for row in own], stages, [number.get(id(row)) for row in own])
            )
            continue
        of_row = {id(row): stage for row, stage in zip(own, stages, strict=True)}
        for i, session in enumerate(sessions):
            high, own_stages = None, []
            for stage in (of_row[id(row)] for row in session):
                high = max(stage.current or 0, high or 0) or None
                own_stages.append(stage._replace(furthest=high))
            found.append(oracle.StagedUnit([row["time"] for row in session], own_stages, [i] * len(session)))
    return found


def exact_median(waits):
    """Kaplan-Meier in whole fractions: the twin's floats may miss S = 1/2 by a rounding."""
    survival = Fraction(1)
    for time in sorted({wait for wait, closed in waits if closed}):
        at_risk = sum(wait >= time for wait, _ in waits)
        survival *= 1 - Fraction(sum(closed for wait, closed in waits if wait == time), at_risk)
        if survival <= Fraction(1, 2):
            return time
    return math.inf if waits else None


def dwells(units, k, until):
    found = []
    for unit in units:
        walk = oracle.visits([one.current for one in unit.staged])
        for i, visit in enumerate(walk):
            if visit.stage == k:
                closed = i + 1 < len(walk)
                end = unit.times[walk[i + 1].first] if closed else until
                found.append(((end - unit.times[visit.first]) / 1e6, closed))
    return found


def close(value, expected):
    return value is None if expected is None else value == pytest.approx(expected, rel=1e-12)


def check(frame, units, until):
    expected = oracle.stage_numbers(units, 4, until, LOOPS)
    renamed = {
        "advance": "advances",
        "skip": "skips",
        "regress": "regresses",
        "loop_move": "loop_moves",
        "dwell_mean_closed": "dwell_mean",
    }
    assert frame["stage"].to_list() == list(MODEL.names)
    for k, row in enumerate(frame.iter_rows(named=True), start=1):
        numbers = {renamed.get(name, name): value for name, value in expected[k].items()}
        numbers["dwell_median"] = exact_median(dwells(units, k, until))
        if k == 4:
            numbers["bypass_rate"] = None
        for name, value in numbers.items():
            assert close(row[name], value), (name, k)


@given(rows=ROWS, unit=UNITS)
def test_stage_numbers_are_those_of_the_twin(rows, unit):
    journeys = staged(rows)
    frame = journeys.measure(jk.StageFlow(unit=unit)).frame
    check(frame, staged_units(rows, unit, oracle.sessions), journeys.observed_until)


@given(rows=WITH_SESSIONS, unit=UNITS, null_session=st.sampled_from(("own", "outside")))
def test_stages_follow_time_where_sessions_interleave(rows, unit, null_session):
    rule = jk.SessionRule.from_column(null_session)
    journeys = staged(rows, rule, session="session")
    units = staged_units(rows, unit, lambda own: oracle.column_sessions(own, null_session))
    if not units:
        return
    check(journeys.measure(jk.StageFlow(unit=unit)).frame, units, journeys.observed_until)


@given(rows=ROWS, unit=UNITS)
def test_moves_are_those_of_the_twin(rows, unit):
    answer = staged(rows).measure(jk.StageFlow(unit=unit))
    made, planned, away = {}, [], []
    for one in staged_units(rows, unit, oracle.sessions):
        walk = oracle.visits([stage.current for stage in one.staged])
        moves = oracle.moves(walk, LOOPS)
        if walk:
            edges = (
                [(0, walk[0].stage, "entry", False)]
                + [(move.source, move.target, move.kind, move.re_entry) for move in moves]
                + [(walk[-1].stage, 5, "exit", False)]
            )
            for edge in edges:
                made.setdefault(edge[:3], []).append((id(one), edge[3]))
            planned += [move.target == move.source + 1 for move in moves]
            path = [visit.stage for visit in walk]
            away.append((levenshtein(path, [1, 2, 3, 4]), max(len(path), 4)))
    names = ["<START>", *MODEL.names, "<END>"]
    expected = {
        (
            names[a],
            names[b],
            kind,
            len(each),
            len({unit for unit, _ in each}),
            sum(again for _, again in each),
        )
        for (a, b, kind), each in made.items()
    }
    columns = ("source", "target", "kind", "moves", "units", "re_entries")
    assert set(answer.moves.select(columns).iter_rows()) == expected
    if away:
        plan = answer.plan.row(0, named=True)
        assert (plan["moves"], plan["planned_moves"]) == (len(planned), sum(planned))
        assert plan["deviation_mean"] == pytest.approx(sum(d for d, _ in away) / len(away))
        assert plan["relative_deviation_mean"] == pytest.approx(sum(d / n for d, n in away) / len(away))


def levenshtein(a, b):
    table = np.zeros((len(a) + 1, len(b) + 1), int)
    table[:, 0], table[0] = range(len(a) + 1), range(len(b) + 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1, j + 1] = min(table[i, j] + (x != y), table[i, j + 1] + 1, table[i + 1, j] + 1)
    return int(table[-1, -1])


@given(rows=ROWS, unit=UNITS, horizon=st.sampled_from((1, logs.SECOND, logs.TIMEOUT, logs.DAY, None)))
def test_identities(rows, unit, horizon):
    journeys = staged(rows)
    answer = journeys.measure(jk.StageFlow(unit=unit, horizon=None if horizon is None else f"{horizon}us"))
    frame, moves = answer.frame, answer.moves
    reached, staged_count = frame["reached"].to_list(), frame["staged_units"][0]
    assert reached[0] == staged_count
    assert all(a >= b for a, b in pairwise(reached))
    assert frame["furthest"].sum() == frame["current"].sum() == frame["entries"].sum() == staged_count
    assert frame["closed_visits"].sum() + staged_count == frame["visits"].sum()
    leaving = sum(frame[name] for name in ("advances", "skips", "regresses", "loop_moves"))
    assert leaving.to_list() == frame["closed_visits"].to_list()
    arriving = {row[0]: row[1] for row in moves.group_by("target").agg(pl.col("moves").sum()).iter_rows()}
    assert [arriving.get(name, 0) for name in frame["stage"]] == frame["visits"].to_list()
    assert arriving.get("<END>", 0) == frame["exits"].sum()
    if horizon is None:
        assert frame["exits"].sum() == staged_count
    else:
        assert frame["exits"].sum() + frame["open"].sum() == staged_count
    if moves.height:
        assert moves["share"].sum() == pytest.approx(1)
        for total in moves.group_by("source").agg(pl.col("probability").sum())["probability"]:
            assert total == pytest.approx(1)
    for name in [name for name in frame.columns if name.endswith("_low")]:
        low, value, high = (frame[name[:-4] + end].to_list() for end in ("_low", "", "_high"))
        for a, b, c in zip(low, value, high, strict=True):
            assert a is None or a <= b + 1e-9 <= c + 2e-9


@given(rows=ROWS)
def test_the_overview_is_that_of_the_twin(rows):
    answer = staged(rows).measure(jk.Overview(goal="purchase", missing="ignore"))
    expected = oracle.overview(rows, timeout=logs.TIMEOUT)
    for name in (
        "users",
        "sessions",
        "events",
        "sessions_per_user",
        "events_per_session",
        "bounce_rate",
        "single_event_users",
    ):
        assert close(answer.value(name), expected[name]), name
    assert close(answer.value("session_duration_mean"), expected["duration_mean"])
    for cause, count in expected["splits"].items():
        assert answer.value(f"opened_by_{cause}") == count
    sessions = [oracle.sessions(own).sessions for own in oracle.order(rows).values()]
    until = max(row["time"] for row in rows)
    lengths = [(each[-1]["time"] - each[0]["time"]) / 1e6 for own in sessions for each in own]
    assert close(answer.value("session_duration_median"), oracle.percentile(lengths, 0.5))
    gaps = [gap for own in sessions for gap in oracle.return_gaps(own, until)]
    closed = [length for length, came in gaps if came]
    assert close(answer.value("return_gap_median"), oracle.percentile(closed, 0.5))
    assert close(answer.value("return_gap_median_censored"), exact_median(gaps))
    assert answer.value("event_names") == len({row["event"] for row in rows})
    bought = [[any(row["event"] == "purchase" for row in each) for each in own] for own in sessions]
    assert close(answer.value("user_conversion_rate"), sum(map(any, bought)) / len(bought))
    assert close(answer.value("session_conversion_rate"), sum(map(sum, bought)) / len(lengths))


RULE = jk.SessionRule(
    "30m", passive=["ping"], bounce="ga4", views=["view"], key_events=["purchase"], missing="ignore"
)


@given(rows=ROWS)
def test_passive_events_and_engaged_sessions(rows):
    answer = staged(rows, RULE).measure(jk.Overview())
    cut = [oracle.sessions(own, passive=("ping",)) for own in oracle.order(rows).values()]
    found = [[row for row in each if row["event"] != "ping"] for own in cut for each in own.sessions]
    engaged = oracle.engaged_rate(found, views=("view",), keys=("purchase",))
    assert close(answer.value("engaged_rate"), engaged)
    assert close(answer.value("bounce_rate"), None if engaged is None else 1 - engaged)
    assert close(
        answer.value("events_per_session"), oracle.overview(rows, passive=("ping",))["events_per_session"]
    )
    outside = sum(len(own.outside) for own in cut)
    if outside:
        assert answer.value("events_outside") == outside
    assert answer.value("events") == len(rows)


STATISTICS = st.sampled_from(
    (
        jk.StageFlow(),
        jk.StageFlow(unit="session", horizon="1d"),
        jk.Overview(),
        jk.Overview("cart", missing="ignore"),
    )
)


def same(one, other):
    for name in ("frame", "moves", "plan"):
        if hasattr(one, name):
            assert_frame_equal(getattr(one, name), getattr(other, name), rel_tol=1e-12)


@given(rows=ROWS, statistic=STATISTICS)
def test_tallies_add(rows, statistic):
    journeys = staged(rows)
    same(answer_of(journeys, statistic, [journeys]), answer_of(journeys, statistic, journeys.shards(9)))


@given(rows=logs.logs(min_events=1, names=NAMES, max_users=4), statistic=STATISTICS, data=st.data())
def test_neither_row_order_nor_user_names_matter(rows, statistic, data):
    by_time = sorted(rows, key=lambda row: row["time"])
    apart = [{**row, "time": row["time"] + i} for i, row in enumerate(by_time)]
    other = [{**row, "user": f"other {row['user']}"} for row in data.draw(st.permutations(apart))]
    same(staged(apart).measure(statistic), staged(other).measure(statistic))


@given(rows=logs.logs(min_events=1, names=NAMES, with_properties=True), statistic=STATISTICS)
def test_segments_are_logs_of_their_own(rows, statistic):
    """Of a property of users: the numbers of a segment are those of its users alone."""
    device = {}
    for row in rows:
        row["device"] = device.setdefault(row["user"], row["device"])
    until = max(row["time"] for row in rows)
    journeys = staged(rows, keep=["device"])
    answer = journeys.measure(statistic, by="device")
    for value in {row["device"] for row in rows}:
        own = [row for row in rows if row["device"] == value]
        moment = pl.Series([until]).cast(pl.Datetime("us", "UTC"))[0]
        alone = staged(own, observed_until=moment).measure(statistic)
        for name in ("frame", "moves"):
            if hasattr(alone, name):
                mine = getattr(answer, name).filter(pl.col("device").eq_missing(value)).drop("device")
                expected = getattr(alone, name)
                if name == "frame" and "number" in mine.columns:
                    mine = mine.join(
                        expected.select("number"), on="number", how="semi", maintain_order="left"
                    )
                assert_frame_equal(mine, expected, rel_tol=1e-12)


WAITS = st.lists(st.tuples(st.integers(0, 30), st.booleans(), st.integers(0, 5)), min_size=1, max_size=40)


@given(waits=WAITS, until=st.integers(0, 30))
def test_survival_without_each_group(waits, until):
    packed = np.sort(np.array([time << 7 | (not closed) << 6 | group for time, closed, group in waits]))
    found = np.empty(6)
    replicates_at(packed, until, found)
    for group in range(6):
        left = [(time, closed) for time, closed, own in waits if own != group]
        points = [point for point in oracle.kaplan_meier(left) if point.time <= until]
        expected = points[-1].survival if points else 1.0
        assert found[group] == pytest.approx(expected if left else math.nan, nan_ok=True)
