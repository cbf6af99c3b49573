"""Friction against its slow twin."""

from __future__ import annotations

from collections import Counter, defaultdict

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import journeykit as jk
from tests import logs, oracle
from tests.measuring import journeys_of
from tests.oracle import friction as twin
from tests.oracle.differences import benjamini_hochberg

pytestmark = pytest.mark.property

NAMES = ("view", "cart", "help", "purchase")
MODEL = jk.StageModel([jk.Stage("look", "view"), jk.Stage("want", "cart"), jk.Stage("own", "purchase")])
STAGE = {"view": 1, "cart": 2, "purchase": 3}
FEW = settings(max_examples=max(1, settings().max_examples // 2))


@st.composite
def clicks(draw):
    """Rows with short gaps, so that bursts occur, and targets and places, some of them unknown."""
    rows = draw(logs.logs(min_events=1, max_events=30, names=NAMES, max_users=3))
    squeezed = draw(st.sampled_from((1, 60, 600, 3600)))
    for row in rows:
        row["time"] = row["time"] // squeezed
        row["target"] = draw(st.sampled_from(("ok", "ok", "cancel", None)))
        row["x"] = draw(st.sampled_from((0.0, 3.0, 30.0, None)))
        row["y"] = draw(st.sampled_from((0.0, 4.0, 31.0)))
    return rows


RULES = st.one_of(
    st.none(),
    st.builds(
        twin.Rage,
        st.sampled_from((2, 3)),
        st.sampled_from((logs.SECOND, logs.MINUTE)),
        st.sampled_from((5.0, 30.0)),
        st.sampled_from((None, "target")),
        st.sampled_from((None, ("x", "y"))),
    ),
)


def rule_of(rage):
    if rage is None:
        return None
    x, y = rage.places or (None, None)
    return jk.RageRule(rage.repeats, f"{rage.within}us", rage.distance, rage.target, x, y)


class Tally:
    """Visits, sessions and users with something, by key."""

    def __init__(self):
        self.visits, self.sessions, self.users = Counter(), defaultdict(set), defaultdict(set)

    def add(self, key, path, session):
        self.visits[key] += 1
        self.sessions[key].add(session)
        self.users[key].add(path.user)

    def row(self, key):
        return self.visits[key], len(self.sessions[key]), len(self.users[key])


@FEW
@given(clicks(), st.sampled_from(((), ("help",), ("help", "cart"))), RULES, st.sampled_from((1, 10)),
       st.sampled_from((None, 0.5, 0.95)))  # fmt: skip
def test_flags_are_those_of_the_slow_twin(rows, trouble, rage, quick, share):
    paths = oracle.session_paths(rows)
    question = jk.Friction(trouble or None, rule_of(rage), f"{quick}s", share, missing="ignore")
    answer = journeys_of(rows).measure(question)
    limits = {} if share is None else twin.slow_limits(paths, share)
    counted, classes = Tally(), Counter()
    for session, path in enumerate(paths):
        for i, name in enumerate(path.names):
            found = twin.flags_of(path, i, trouble, rage, quick * logs.SECOND, limits)
            for flag in (*found, *(["any"] if found else []), "all"):
                counted.add((name, flag), path, session)
                counted.add((None, flag), path, session)
            classes[name, twin.class_of(found)] += 1
    assert set(answer.frame["event"]) == {name for path in paths for name in path.names}
    for row in answer.frame.to_dicts():
        key = (row["event"], row["flag"])
        assert (row["flagged_visits"], row["flagged_sessions"], row["flagged_users"]) == counted.row(key), key
        assert (row["visits"], row["sessions"], row["users"]) == counted.row((row["event"], "all"))
        assert row["visit_rate"] == pytest.approx(row["flagged_visits"] / row["visits"])
    for row in answer.overall.to_dicts():
        found = row["flagged_visits"], row["flagged_sessions"], row["flagged_users"]
        assert found == counted.row((None, row["flag"]))
        assert (row["visits"], row["sessions"]) == (sum(len(path.names) for path in paths), len(paths))
    found = {(r["event"], r["friction_class"]): r["class_visits"] for r in answer.classes.to_dicts()}
    assert {key: count for key, count in found.items() if count} == classes
    known = dict(answer.limits.select("event", "slow_after").iter_rows())
    assert known == pytest.approx({name: limit / 1e6 for name, limit in limits.items()})


@FEW
@given(clicks(), st.sampled_from((("help",), ("help", "view"))), st.booleans())
def test_detours_and_stages_are_those_of_the_slow_twin(rows, trouble, staged):
    journeys = journeys_of(rows)
    if staged:
        journeys = journeys.assign_stages(MODEL, missing="ignore")
    answer = journeys.measure(jk.Friction(trouble, missing="ignore"))
    paths, counted, by_stage = oracle.session_paths(rows), Tally(), Counter()
    limits = twin.slow_limits(paths, 0.95)
    for session, (path, stages) in enumerate(zip(paths, stages_of(paths, staged), strict=True)):
        for i in range(len(path.names)):
            flags = twin.flags_of(path, i, trouble, twin.Rage(), 10 * logs.SECOND, limits)
            by_stage.update((stages[i], flag) for flag in flags)
        for i, detour, back in twin.detours(path, trouble, stages):
            for kind, holds in (("plain", True), ("detour", detour), ("return", back)):
                if holds:
                    counted.add((path.names[i], kind), path, session)
    check_detours(answer, counted)
    number = {None: 0, "look": 1, "want": 2, "own": 3}
    found = {
        (number[row["stage"]], row["flag"]): row["flagged_visits"]
        for row in answer.stages.filter((pl.col("flagged_visits") > 0) & (pl.col("flag") != "any")).to_dicts()
    }
    assert found == (by_stage if staged else {})


def stages_of(paths, staged):
    """The current stage of every event of each session, by its place."""
    current = defaultdict(int)
    for path in paths:
        stages = {}
        for i, name in enumerate(path.names):
            current[path.user] = STAGE.get(name, current[path.user])
            stages[i] = current[path.user] if staged else 0
        yield stages


def check_detours(answer, counted):
    assert set(answer.detours["event"]) == {name for name, kind in counted.visits if kind == "plain"}
    for row in answer.detours.to_dicts():
        name = row["event"]
        assert (row["visits"], row["detours"], row["returns"]) == tuple(
            counted.visits[name, kind] for kind in ("plain", "detour", "return")
        )
        assert row["users"] == len(counted.users[name, "plain"])
        back = row["returns"] / row["detours"] if row["detours"] else None
        assert [row["return_rate"]] == pytest.approx([back])


@FEW
@given(
    clicks(), st.sampled_from(("user", "session")), st.sampled_from((None, ("view",), ("purchase", "cart"))),
    st.sampled_from((None, logs.MINUTE, logs.DAY)), st.sampled_from((logs.SECOND, logs.TIMEOUT, logs.DAY)),
    st.integers(0, logs.DAY),
)  # fmt: skip
def test_exposure_is_that_of_the_slow_twin(rows, unit, start, window, horizon, later):
    until = max(row["time"] for row in rows) + later
    sessions = oracle.session_paths(rows, until)
    limits = twin.slow_limits(sessions, 0.95)
    flags = {
        id(item.row): twin.flags_of(path, i, ("help",), twin.Rage(), 10 * logs.SECOND, limits)
        for path in sessions
        for i, item in enumerate(path.items)
    }
    paths = sessions if unit == "session" else oracle.user_paths(rows, until)
    quiet = logs.TIMEOUT + 1 if unit == "session" else horizon
    found = [twin.exposed(path, flags, start, ("purchase",), quiet, until, window) for path in paths]
    units = [each for each in found if each is not None]
    question = jk.FrictionBeforeAbandonment(
        "purchase", start, jk.Friction("help", missing="ignore"), unit,
        horizon=f"{horizon}us" if unit == "user" else None, within=window and f"{window}us", min_units=2,
        missing="ignore",
    )  # fmt: skip
    moment = pl.Series([until]).cast(pl.Datetime("us", "UTC"))[0]
    events = jk.read_events(logs.frame(rows), user="user", time="time", event="event", observed_until=moment)
    answer = events.sessionize("30m").measure(question)
    check_exposure(answer.frame, units, [None])
    names = {name for each in units for name in each.met}
    check_exposure(answer.events, units, names)
    pairs = {(name, flag) for each in units for name, met in each.met.items() for flag in met}
    assert {(row["event"], row["flag"]) for row in answer.events.to_dicts()} == pairs


def check_exposure(table, units, names):
    for row in table.to_dicts():
        assert row.get("event") in names
        wanted = twin.compared(units, row["flag"], row.get("event"))
        for side in ("with", "without"):
            columns = (f"{what}_{side}" for what in ("units", "converted", "abandoned", "open"))
            assert tuple(row[name] for name in columns) == wanted[side], (row["flag"], side)
            resolved = row[f"converted_{side}"] + row[f"abandoned_{side}"]
            assert row[f"resolved_{side}"] == resolved
            rate = row[f"abandoned_{side}"] / resolved if resolved else None
            assert [row[f"rate_{side}"]] == pytest.approx([rate])
        known = row["rate_with"] is not None and row["rate_without"] is not None
        difference = row["rate_with"] - row["rate_without"] if known else None
        assert [row["difference"]] == pytest.approx([difference])
        if row["resolved_with"] < 2:
            assert row["p_value"] is None
    values = table["p_value"].to_list()
    assert table["p_adjusted"].to_list() == pytest.approx(benjamini_hochberg(values))
