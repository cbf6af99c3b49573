"""Conversion and Abandonment against their slow twins, and the laws they keep."""

from __future__ import annotations

from itertools import groupby, pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import journeykit as jk
from tests import logs, oracle
from tests.measuring import answer_of
from tests.oracle.episodes import episodes

pytestmark = pytest.mark.property

NAMES = ("view", "cart", "purchase", "help", "a > b")
STAGES = {"look": ("view", "help"), "buy": ("cart",), "own": ("purchase",)}
WINDOWS = st.sampled_from((None, 1, logs.SECOND, logs.TIMEOUT, logs.DAY, 40 * logs.DAY))
HORIZONS = st.sampled_from((1, logs.SECOND, logs.TIMEOUT, logs.DAY, 7 * logs.DAY))
ROWS = logs.logs(min_events=1, names=NAMES)
MODEL = jk.StageModel([jk.Stage(name, list(events)) for name, events in STAGES.items()])


def journeys(rows, staged=False, **options):
    events = jk.read_events(logs.frame(rows), user="user", time="time", event="event", **options)
    made = events.sessionize("30m")
    return made.assign_stages(MODEL, missing="ignore") if staged else made


def us(duration):
    return None if duration is None else f"{duration}us"


def paths_of(rows, unit, until):
    return oracle.session_paths(rows, until) if unit == "session" else oracle.user_paths(rows, until)


def staged_paths(rows, unit, until):
    """Paths whose items are visits to stages; the item of no stage is a first event before the first stage."""
    stage_of = {event: stage for stage, events in STAGES.items() for event in events}
    found, current = [], {}
    for path in paths_of(rows, unit, until):
        visits = []
        for item in path.items:
            current[path.user] = stage_of.get(item.name, current.get(path.user))
            visits.append(item._replace(name=current[path.user]))
        firsts = [next(run) for _, run in groupby(visits, key=lambda item: item.name)]
        found.append(path._replace(items=tuple(firsts)))
    return found


def unit_of(path, origin, goals, labels=()):
    """Give the unit of a path; the origin None is START, before the first event."""
    times = [item.time for item in path.items]
    starts, goal = [item.name == origin for item in path.items], [name in goals for name in path.names]
    if origin is None:
        return oracle.Unit([times[0], *times], [True] + [False] * len(times), [False, *goal])
    return oracle.Unit(times, starts, goal, labels)


@given(ROWS, st.sampled_from(("session", "user")), st.booleans(), WINDOWS, HORIZONS, st.integers(0, logs.DAY))
def test_conversion_is_that_of_the_slow_twin(rows, unit, staged, window, horizon, later):
    until = max(row["time"] for row in rows) + later
    goals = ("own", "buy") if staged else ("purchase", "help")
    paths = (staged_paths if staged else paths_of)(rows, unit, until)
    last_event = {
        id(path): whole.items[-1].time for path, whole in zip(paths, paths_of(rows, unit, until), strict=True)
    }
    quiet = logs.TIMEOUT + 1 if unit == "session" else horizon
    question = jk.Conversion(
        goals, of="stage" if staged else "event", unit=unit, within=us(window),
        horizon=us(horizon) if unit == "user" else None, quantiles=(0.5, 0.9), missing="ignore",
    )  # fmt: skip
    answer = journeys(rows, staged, observed_until=moment(until)).measure(question)
    found = {row["state"]: row for row in answer.frame.to_dicts()}
    states = {name for path in paths for name in path.names} - {None}
    assert set(found) == states | {"<START>"}
    for state in [None, *states]:
        units = [unit_of(path, state, goals) for path in paths]
        # The silence is counted from the unit's last event, which need not begin a visit.
        silent = [oracle.Unit([*one.times, last_event[id(path)]], [*one.origin, False], [*one.goal, False])
                  for one, path in zip(units, paths, strict=True)]  # fmt: skip
        expected = oracle.abandonment(silent, quiet, until, window)
        row = found[state or "<START>"]
        assert {key: row[key] for key in ("reached", "converted", "abandoned", "open")} == {
            key: expected[key] for key in ("reached", "converted", "abandoned", "open")
        }
        assert row["converted"] + row["abandoned"] + row["open"] == row["reached"]
        assert row["conversion_rate"] == expected["conversion_share"]
        assert row["users"] == len(
            {path.user for path, one in zip(paths, units, strict=True) if True in one.origin}
        )
        took = [one.times[s.goal] - one.times[s.origin] for one in units
                if (s := oracle.status(one, quiet, until, window)) is not None and s.goal is not None]  # fmt: skip
        for share, column in ((0.5, "time_median"), (0.9, "time_p90")):
            wanted = oracle.percentile(took, share)
            assert row[column] == (
                None if wanted is None else pytest.approx(wanted / 1e6, rel=1e-9, abs=1e-9)
            )


@given(ROWS, st.sampled_from(("session", "user")), st.booleans())
def test_visits_are_those_of_the_slow_twin(rows, unit, staged):
    paths = (staged_paths if staged else paths_of)(rows, unit, None)
    question = jk.Conversion("own" if staged else "purchase", of="stage" if staged else "event", unit=unit,
                             missing="ignore")  # fmt: skip
    answer = journeys(rows, staged).measure(question)
    expected = oracle.conversion_per_visit(paths, (question.goal[0],))
    expected.pop(None, None)
    found = answer.frame.filter(pl.col("state") != "<START>").select(
        "state", "visits", "converting_visits", "visit_rate"
    )
    assert {row[0]: row[1:] for row in found.iter_rows()} == {
        state: tuple(row) for state, row in expected.items()
    }


@given(
    ROWS, st.sampled_from(("session", "user")), st.sampled_from((None, ("view",), ("purchase", "cart"))),
    WINDOWS, HORIZONS, st.integers(0, 2 * logs.DAY),
)  # fmt: skip
def test_abandonment_is_that_of_the_slow_twin(rows, unit, start, window, horizon, later):
    until = max(row["time"] for row in rows) + later
    paths = paths_of(rows, unit, until)
    quiet = logs.TIMEOUT + 1 if unit == "session" else horizon
    units = [
        oracle.Unit([i.time for i in path.items], [start is None or n in start for n in path.names],
                    [n == "purchase" for n in path.names], path.names)
        for path in paths
    ]  # fmt: skip
    question = jk.Abandonment(
        "purchase", start, unit=unit, horizon=us(horizon) if unit == "user" else None, within=us(window),
        open_paths="censor", resolution="1us", missing="ignore",
    )  # fmt: skip
    answer = journeys(rows, observed_until=moment(until)).measure(question)
    expected = oracle.abandonment(units, quiet, until, window)
    row = answer.frame.to_dicts()[0]
    assert {key: row[key] for key in expected} == expected
    assert row["converted"] + row["abandoned"] + row["open"] == row["reached"]
    assert row["users"] == len(
        {path.user for path, one in zip(paths, units, strict=True) if True in one.origin}
    )
    lost = answer.where.filter(pl.col("abandoned") > 0)
    wanted = oracle.where_abandoned(units, quiet, until, window)
    assert {r["state"]: (r["abandoned"], r["share"], r["reached"], r["rate"]) for r in lost.to_dicts()} == {
        state: tuple(values.values()) for state, values in wanted.items()
    }
    if unit == "user":
        rates = oracle.horizon_sensitivity(units, horizon, until, window)
        assert answer.sensitivity.select("horizon", "abandonment_rate").rows() == [
            (pytest.approx(one / 1e6), rate) for one, rate in rates
        ]
    observed = [one for one in (oracle.time_and_outcome(each, quiet, until, window) for each in units) if one]
    check_curve(answer, observed)


def check_curve(answer, observed):
    """Hold every row of the curve against the formulas."""
    assert answer.curve.height == len({time for time, _ in observed})
    for point in answer.curve.to_dicts():
        time = min((time for time, _ in observed), key=lambda each: abs(each - point["time"]))
        assert point["at_risk"] == sum(each >= time for each, _ in observed)
        for outcome, name in enumerate(("censored", "converted", "abandoned")):
            assert point[name] == observed.count((time, outcome))
        for cause, name in ((1, "converted_by"), (2, "abandoned_by")):
            assert point[name] == pytest.approx(oracle.aalen_johansen(observed, cause, time))
        assert point["converted_by"] + point["abandoned_by"] + point["unresolved"] == pytest.approx(1)


@given(ROWS, st.sampled_from((None, ("view",))), WINDOWS, HORIZONS)
def test_every_episode_is_that_of_the_slow_twin(rows, start, window, horizon):
    until = max(row["time"] for row in rows)
    question = jk.Abandonment("purchase", start, horizon=us(horizon), within=us(window), episodes="all",
                              resolution="1us", missing="ignore")  # fmt: skip
    units = [oracle.Unit([i.time for i in path.items], [start is None or n in start for n in path.names],
                         [n == "purchase" for n in path.names])
             for path in oracle.user_paths(rows)]  # fmt: skip
    observed = [one for unit in units for one in episodes(unit, horizon, until, window)]
    check_curve(journeys(rows).measure(question), observed)


@given(ROWS, st.booleans())
def test_classic_abandonment_is_that_of_the_slow_twin(rows, after):
    paths = oracle.session_paths(rows)
    answer = journeys(rows).measure(
        jk.Abandonment("purchase", "cart", unit="session", after=after, missing="ignore")
    )
    expected = oracle.classic_abandonment(paths, ("cart",), ("purchase",), after)
    row = answer.frame.to_dicts()[0]
    assert (row["reached"], row["converted"]) == (expected["carts"], expected["purchased"])
    assert row["abandonment_rate"] == (None if expected["rate"] is None else pytest.approx(expected["rate"]))
    assert row["open"] == 0


@given(ROWS, HORIZONS)
def test_furthest_stages_are_those_of_the_slow_twin(rows, horizon):
    until = max(row["time"] for row in rows)
    stages = {event: k for k, events in enumerate(STAGES.values(), 1) for event in events}
    units = []
    for path in oracle.user_paths(rows):
        furthest = np.maximum.accumulate([stages.get(name, 0) for name in path.names]).tolist()
        units.append(oracle.Unit([i.time for i in path.items], [True] * len(furthest),
                                 [n == "purchase" for n in path.names], furthest))  # fmt: skip
    answer = journeys(rows, staged=True).measure(
        jk.Abandonment("purchase", horizon=us(horizon), missing="ignore")
    )
    lost = answer.where.filter(kind="furthest_stage").filter(pl.col("abandoned") > 0)
    number = {None: 0} | {name: k for k, name in enumerate(STAGES, 1)}
    expected = oracle.where_abandoned(units, horizon, until, at_least=True)
    assert {number[r["state"]]: (r["abandoned"], r["reached"]) for r in lost.to_dicts()} == {
        label: (values["abandoned"], values["reached"]) for label, values in expected.items()
    }


# Each example of these asks several times.
few = settings(max_examples=max(1, settings().max_examples // 3))

QUESTIONS = (
    jk.Conversion("purchase", quantiles=(0.5,), missing="ignore"),
    jk.Conversion("purchase", unit="user", horizon="1d", within="7d", start="view", missing="ignore"),
    jk.Conversion("own", of="stage", missing="ignore"),
    jk.Abandonment("purchase", "cart", horizon="1d", missing="ignore"),
    jk.Abandonment("own", of="stage", unit="session", missing="ignore"),
    jk.Abandonment("purchase", horizon="30m", episodes="all", missing="ignore"),
)


@few
@given(logs.logs(min_events=1, names=NAMES, with_properties=True), st.sampled_from(QUESTIONS), st.data())
def test_the_answer_of_added_tallies_is_that_of_all_users(rows, question, data):
    made = journeys(rows, staged=True)
    cuts = sorted({0, made.n_users, *data.draw(st.sets(st.integers(0, made.n_users), max_size=9))})
    pieces = [made._shard(a, b) for a, b in pairwise(cuts)]
    same_answers(answer_of(made, question, [made]), answer_of(made, question, pieces))


@few
@given(logs.logs(min_events=1, names=NAMES, with_order=True, with_properties=True), st.sampled_from(QUESTIONS),
       st.randoms())  # fmt: skip
def test_neither_input_order_nor_the_names_of_users_matter(rows, question, random):
    rows = [{**row, "order": place} for place, row in enumerate(rows)]
    shuffled = random.sample(rows, len(rows))
    renamed = [{**row, "user": f"user {row['user']}"} for row in rows]
    answers = []
    for each in (rows, shuffled, renamed):
        events = jk.read_events(
            logs.frame(each), user="user", time="time", event="event", order="order", keep=["device"]
        )
        made = events.sessionize("30m").assign_stages(MODEL, missing="ignore")
        answers.append(made.measure(question, by="device"))
    same_answers(answers[0], answers[1])
    same_answers(answers[0], answers[2])


def same_answers(one, other):
    assert_frame_equal(one.frame, other.frame)
    for name in ("where", "sensitivity", "curve"):
        if hasattr(one, name):
            assert_frame_equal(getattr(one, name), getattr(other, name))


@few
@given(logs.logs(min_events=1, names=NAMES, with_properties=True), st.sampled_from(QUESTIONS))
def test_segments_of_users_are_those_of_the_filtered_log(rows, question):
    device = {}
    for row in rows:
        row["device"] = device.setdefault(row["user"], row["device"])
    assume(len(set(device.values())) > 1)
    until = moment(max(row["time"] for row in rows))
    read = {"user": "user", "time": "time", "event": "event", "observed_until": until}
    made = jk.read_events(logs.frame(rows), keep=["device"], **read).sessionize("30m")
    made = made.assign_stages(MODEL, missing="ignore")
    together = made.measure(question, by="device")
    for value in set(device.values()):
        own = jk.read_events(logs.frame([row for row in rows if row["device"] == value]), **read).sessionize(
            "30m"
        )
        alone = own.assign_stages(MODEL, missing="ignore").measure(question)
        for name in ("frame", "where", "sensitivity"):
            if hasattr(alone, name):
                part = getattr(together, name).filter(pl.col("device").eq_missing(pl.lit(value)))
                assert_frame_equal(part.drop("device"), getattr(alone, name))


def moment(us):
    return pl.Series([us]).cast(pl.Datetime("us", "UTC"))[0]
