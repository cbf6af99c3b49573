"""The trivago log, ordered by its own step: published edges and variants; DuckDB as a second opinion."""

from __future__ import annotations

import json

import duckdb
import polars as pl
import pytest

import journeykit as jk

pytestmark = pytest.mark.conformance


@pytest.fixture(scope="module")
def log(shared_data):
    return pl.read_parquet(shared_data / "trivago" / "trivago_val_100k.parquet")


@pytest.fixture(scope="module")
def expected(conformance):
    cases = json.loads((conformance / "published.json").read_text())["cases"]
    return next(case["expected"] for case in cases if case["id"] == "I03_trivago")


@pytest.fixture(scope="module")
def journeys(log):
    events = jk.read_events(
        log,
        user="session_id",
        time="timestamp",
        event="action_type",
        order="step",
        session="session_id",
        unit="s",
    )
    return events.sessionize(jk.SessionRule.from_column())


@pytest.fixture(scope="module")
def by_step(log):
    """By session and step alone, as published: one session has steps whose times say another order."""
    events = jk.read_events(log, user="session_id", time="step", event="action_type", unit="s")
    return events.sessionize(None)


@pytest.fixture(scope="module")
def sql(log):
    connection = duckdb.connect()
    connection.register("log", log)
    connection.sql("create table ordered as select *, row_number() over () as place from log")
    yield connection
    connection.close()


def test_size(by_step, expected):
    assert (by_step.n_sessions, by_step.n_events) == (expected["sessions"], expected["events"])


def test_edges(by_step, expected):
    frame = by_step.measure(jk.Transitions()).frame
    start, end = pl.col("source") == "<START>", pl.col("target") == "<END>"
    inner = frame.filter(~start & ~end)
    assert inner.height == expected["n_dfg"]
    found = inner.select("source", "target", "transitions").rows()[: len(expected["dfg"])]
    assert [list(row) for row in found] == expected["dfg"]
    for name, edge, side in (("start", start, "target"), ("end", end, "source")):
        own = dict(frame.filter(edge).select(side, "transitions").iter_rows())
        assert all(own[event] == n for event, n in expected[name])


@pytest.mark.parametrize("collapse, suffix", [(False, ""), (True, "_dedup")])
def test_variants(by_step, expected, collapse, suffix):
    answer = by_step.measure(jk.TopPaths(5, collapse_repeats=collapse))
    assert answer.distinct["variants"].item() == expected[f"variants{suffix}"]
    rows = answer.frame.select("path", "count").rows()
    assert [list(row) for row in rows] == expected[f"top_variants{suffix}"]


def test_first_clickout(by_step, expected):
    """Sessions up to their first click-out, from any state before it."""
    paths = by_step.measure(jk.TopPaths(None, end="clickout item")).distinct
    assert paths["paths"].item() == expected["clickout_sessions"]
    assert paths["paths_without_anchor"].item() == expected["sessions"] - expected["clickout_sessions"]


def test_edges_in_sql(journeys, sql):
    wanted = sql.sql("""
        select action_type, coalesce(lead(action_type) over path, '<END>') as target, session_id
        from ordered window path as (partition by session_id order by timestamp, step, place)
    """)
    wanted = sql.sql("""
        select action_type, target, count(*), count(distinct session_id) from wanted group by all
    """).fetchall()
    frame = journeys.measure(jk.Transitions()).frame.filter(pl.col("source") != "<START>")
    found = frame.select("source", "target", "transitions", "sessions").rows()
    assert sorted(found) == sorted(wanted)


def test_sessions_of_users_in_sql(log, sql):
    """Users, cut at thirty minutes: the number of sessions of each."""
    events = jk.read_events(
        log, user="user_id", time="timestamp", event="action_type", order="step", unit="s"
    )
    journeys = events.sessionize("30m")
    wanted = sql.sql("""
        with gaps as (
            select user_id, timestamp - lag(timestamp) over (partition by user_id order by timestamp) as gap
            from ordered
        )
        select user_id, count(*) filter (gap is null or gap > 1800) from gaps group by user_id
    """).fetchall()
    found = zip(
        journeys.users.to_list(),
        (journeys.user_sessions[1:] - journeys.user_sessions[:-1]).tolist(),
        strict=True,
    )
    assert dict(found) == dict(wanted)


def test_paths_in_sql(journeys, sql):
    wanted = sql.sql("""
        with paths as (
            select session_id, list(action_type order by timestamp, step, place) as path
            from ordered group by session_id
        )
        select path, count(*) from paths group by path
    """).fetchall()
    answer = journeys.measure(jk.TopPaths(None))
    found = {tuple(path): count for path, count in answer.frame.select("path", "count").iter_rows()}
    assert found == {tuple(path): count for path, count in wanted}
