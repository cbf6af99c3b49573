"""Emotion against its slow twin."""

from __future__ import annotations

import random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import journeykit as jk
from tests import logs, oracle
from tests.measuring import assert_close, journeys_of, many_users, table
from tests.oracle import emotion as twin
from tests.oracle.emotion import Rating

pytestmark = pytest.mark.property

NAMES = ("view", "cart", "<script>alert(1)</script>", "rate")
STAGE = {"view": 1, "cart": 2}
MODEL = jk.StageModel([jk.Stage("look", "view"), jk.Stage("want", "cart")])
VALUES = {
    "nps": (0, 6, 7, 8, 9, 10),
    "csat": (1, 2, 3, 4, 5),
    "ces": (1, 4, 5, 7),
    "stars": (1, 2.5, 4, 4.5, 5),
    "sentiment": (-1.0, -0.3, 0.0, 0.1, 1.0),
}
LAG = 6 * logs.HOUR
KEYS = (
    "visits", "visitors", "ratings", "raters", "rated_visits", "coverage", "emotion", "low_ratings", "low_share",
    "score",
)  # fmt: skip
ROWS = logs.logs(min_events=1, max_events=30, names=NAMES, max_users=4)
FEW = settings(max_examples=max(1, settings().max_examples // 2))


@st.composite
def rated(draw):
    """A log, ratings of its users at times about its events, some of them of a named event, and their kind."""
    rows, kind = draw(ROWS), draw(st.sampled_from(sorted(VALUES)))
    ratings = []
    for _ in range(draw(st.integers(0, 12))):
        row = draw(st.sampled_from(rows))
        lag = draw(st.sampled_from((0, 0, 1, -1, logs.MINUTE, LAG, LAG + 1)))
        named = draw(st.sampled_from((None, None, "view", "cart")))
        ratings.append(Rating(row["user"], row["time"] + lag, draw(st.sampled_from(VALUES[kind])), named))
    return rows, kind, ratings


def table_of(ratings, rows):
    dtype = logs.own_type(rows, "user")
    columns = list(zip(*ratings, strict=True)) or [()] * 4
    schema = {"user": dtype, "time": pl.Int64, "value": pl.Float64, "about": pl.String}
    return pl.DataFrame(dict(zip(schema, columns, strict=True)), schema=schema)


def stages_of(path):
    """The stage after every event of a path, 0 before the first."""
    found, now = [], 0
    for name in path.names:
        now = STAGE.get(name, now)
        found.append(now)
    return found


def expected(paths, found, skipped, **options):
    """Numbers by touchpoint, and by stage with 0 before the first."""
    visits, staged = {}, {}
    stage = {path.user: stages_of(path) for path in paths}
    for path in paths:
        for i, name in enumerate(path.names):
            if name not in skipped:
                visits.setdefault(name, []).append((path.user, i))
                staged.setdefault(stage[path.user][i], []).append((path.user, i))
    for one in found:
        if one.touchpoint is not None:
            visits.setdefault(one.touchpoint, [])
    by_touchpoint = {
        name: twin.numbers([one for one in found if one.touchpoint == name], own, **options)
        for name, own in visits.items()
    }
    by_stage = {
        number: twin.numbers(
            [one for one in found if one.place is not None and stage[one.rating.user][one.place] == number],
            own, **options,
        )
        for number, own in staged.items()
    }  # fmt: skip
    return by_touchpoint, by_stage


def assert_answer(answer, by_touchpoint, by_stage):
    assert_close(table(answer.frame, ["touchpoint"], KEYS), by_touchpoint)
    names = {0: None, 1: "look", 2: "want"}
    assert_close(table(answer.stages, ["stage"], KEYS), {names[n]: own for n, own in by_stage.items()})
    assert answer.overall["ratings"].item() == sum(own["ratings"] for own in by_touchpoint.values())


@given(rated(), st.booleans(), st.sampled_from((1, 3)), st.sampled_from(("rating", "user")))
def test_ratings_of_a_table(drawn, reverse, min_n, weight):
    rows, kind, given_ratings = drawn
    known = {row["event"] for row in rows}
    ratings = [
        one._replace(touchpoint=one.touchpoint if one.touchpoint in known else None) for one in given_ratings
    ]
    asked = jk.Ratings(
        kind, table_of(ratings, rows), unit="us", touchpoint="about", reverse=reverse, max_lag="6h"
    )
    journeys = journeys_of(rows).assign_stages(MODEL, missing="ignore")
    answer = journeys.measure(jk.Emotion(asked, min_n=min_n, weight=weight))
    paths = oracle.user_paths(rows)
    found = twin.joined(paths, ratings, LAG)
    assert_answer(answer, *expected(paths, found, (), kind=kind, reverse=reverse, min_n=min_n, weight=weight))
    lost = sum(one.touchpoint is None for one in found)
    assert [note for note in answer.notes if "speak of no visit" in note] == (
        [f"{lost:,} ratings speak of no visit: their users had no event in the 6h before them."]
        if lost
        else []
    )


@FEW
@given(ROWS, st.sampled_from(sorted(VALUES)), st.integers(0, 9))
def test_ratings_that_are_events(rows, kind, seed):
    draw = random.Random(seed)
    values = (None, *VALUES[kind])
    rows = [{**row, "score": draw.choice(values) if row["event"] == "rate" else None} for row in rows]
    rows = [{**row, "score": None if row["score"] is None else float(row["score"])} for row in rows]
    rows.append({"user": rows[0]["user"], "time": max(row["time"] for row in rows), "event": "rate",
                 "score": float(values[1])})  # fmt: skip
    paths = oracle.user_paths(rows)
    ratings = [
        Rating(path.user, item.time, item.row["score"])
        for path in paths
        for item in path.items
        if item.name == "rate" and item.row["score"] is not None
    ]
    asked = jk.Ratings(kind, event="rate", value="score", max_lag="6h")
    journeys = journeys_of(rows).assign_stages(MODEL, missing="ignore")
    answer = journeys.measure(jk.Emotion(asked, min_n=1))
    found = twin.joined(paths, ratings, LAG, ("rate",))
    assert_answer(
        answer, *expected(paths, found, ("rate",), kind=kind, reverse=False, min_n=1, weight="rating")
    )


@pytest.mark.parametrize("weight", ["rating", "user"])
@pytest.mark.parametrize("kind", sorted(VALUES))
def test_intervals_leave_out_one_group_after_the_other(kind, weight):
    draw = random.Random(kind)
    rows = many_users(5, users=40, names=("view", "cart"))
    ratings = [
        Rating(row["user"], row["time"], draw.choice(VALUES[kind])) for row in rows if draw.random() < 0.5
    ]
    asked = jk.Ratings(kind, table_of(ratings, rows), unit="us", max_lag="6h")
    answer = journeys_of(rows).measure(jk.Emotion(asked, min_n=1, weight=weight))
    found = table(answer.frame, ["touchpoint"], answer.frame.columns[1:])
    paths = oracle.user_paths(rows)

    def number(name, touchpoint):
        def of(users):
            own = [path for path in paths if path.user in set(users)]
            joined = [one for one in twin.joined(own, ratings, LAG) if one.touchpoint == touchpoint]
            places = [
                (path.user, i) for path in own for i, each in enumerate(path.names) if each == touchpoint
            ]
            return twin.numbers(joined, places, kind, False, 1, weight)[name]

        return of

    everybody = [path.user for path in paths]
    scales = {"emotion": "identity", "coverage": "logit", "low_share": "logit"}
    scales |= {"score": "logit" if kind == "csat" else "identity"}
    for touchpoint in ("view", "cart"):
        for name, scale in scales.items():
            users = found[touchpoint]["visitors" if name == "coverage" else "raters"]
            wanted = oracle.jackknife(everybody, number(name, touchpoint), scale, denominator_users=users)
            ends = [found[touchpoint][f"{name}_{end}"] for end in ("low", "high")]
            assert ends == pytest.approx(list(wanted[:2]), rel=1e-9, abs=1e-9)
