"""Process logs with published directly-follows counts, variants and durations; DuckDB as a second opinion."""

from __future__ import annotations

import json
from collections import Counter

import duckdb
import polars as pl
import pytest

import journeykit as jk

pytestmark = pytest.mark.conformance

CASES = ("A01_running_example_dfg", "A03_helpdesk", "A04_bpic2012", "A05_bpic2012_complete")


@pytest.fixture(scope="module")
def published(conformance):
    return {case["id"]: case for case in json.loads((conformance / "published.json").read_text())["cases"]}


def journeys_of(case, shared):
    path = shared / case["data_file"]
    log = pl.read_csv(path) if path.suffix == ".csv" else pl.read_parquet(path)
    if case["id"] == "A05_bpic2012_complete":
        log = log.filter(pl.col("lifecycle:transition") == "COMPLETE")
    events = jk.read_events(log, user="case:concept:name", time="time:timestamp", event="concept:name")
    return events.sessionize("30m")


@pytest.mark.parametrize("name", CASES)
def test_directly_follows(name, published, shared):
    case = published[name]
    expected = case["expected"]
    journeys = journeys_of(case, shared)
    assert (journeys.n_users, journeys.n_events) == (expected["cases"], expected["events"])
    assert len(journeys.names) == expected["activities"]
    frame = journeys.measure(jk.Transitions(unit="user")).frame
    inner = frame.filter((pl.col("source") != "<START>") & (pl.col("target") != "<END>"))
    assert inner.height == expected.get("edges", expected.get("dfg_edges"))
    if "dfg_total" in expected:
        assert inner["transitions"].sum() == expected["dfg_total"]
    counts = {(a, b): n for a, b, n in inner.select("source", "target", "transitions").iter_rows()}
    listed = expected.get("dfg", expected.get("top_dfg"))
    assert [counts[a, b] for a, b, _ in listed] == [n for *_, n in listed]
    assert inner["transitions"].head(len(listed)).to_list() == [n for *_, n in listed]
    starts = dict(frame.filter(pl.col("source") == "<START>").select("target", "transitions").iter_rows())
    ends = dict(frame.filter(pl.col("target") == "<END>").select("source", "transitions").iter_rows())
    assert {k: starts[k] for k in expected["start"]} == expected["start"]
    assert {k: ends[k] for k in expected["end"]} == expected["end"]
    assert sum(starts.values()) == sum(ends.values()) == expected["cases"]


@pytest.mark.parametrize("name", CASES)
def test_variants_and_durations(name, published, shared):
    case = published[name]
    expected = case["expected"]
    journeys = journeys_of(case, shared)
    answer = journeys.measure(jk.TopPaths(5, unit="user"))
    assert answer.distinct["variants"].item() == expected["variants"]
    for (path, count), (wanted, n) in zip(
        answer.frame.select("path", "count").iter_rows(), expected.get("top_variants", []), strict=False
    ):
        assert (path, count) == (wanted, n)
    if "case_duration_mean_s" in expected:
        times, offsets = journeys.times, journeys.user_offsets
        durations = pl.Series(times[offsets[1:] - 1] - times[offsets[:-1]]) / 1e6
        assert durations.mean() == pytest.approx(expected["case_duration_mean_s"], rel=1e-9)
        assert durations.median() == pytest.approx(expected["case_duration_median_s"], rel=1e-9)
        whole = journeys.measure(jk.TopPaths(None, unit="user")).frame
        total = (whole["duration_mean"] * whole["count"]).sum()
        assert total / journeys.n_users == pytest.approx(expected["case_duration_mean_s"], rel=1e-9)


def test_the_three_files_of_the_running_example_are_one_log(published, shared):
    log = pl.read_parquet(shared / "data" / "running_example" / "running-example.parquet")
    events = jk.read_events(log, user="case:concept:name", time="time:timestamp", event="concept:name")
    ours = journeys_of(published["A01_running_example_dfg"], shared)
    one, two = (j.measure(jk.Transitions(unit="user")).frame for j in (events.sessionize("30m"), ours))
    assert one.equals(two)


def test_helpdesk_in_sql(shared_data):
    log = pl.read_parquet(shared_data / "helpdesk" / "helpdesk.parquet")
    log = log.rename({"case:concept:name": "user", "concept:name": "event", "time:timestamp": "time"})
    journeys = jk.read_events(log, user="user", time="time", event="event").sessionize("1d")
    connection = duckdb.connect()
    connection.register("log", log.with_columns(pl.col("time").cast(pl.Datetime("us"))))
    connection.sql("""
        create table ordered as
        with gaps as (
            select *, row_number() over () as place from log
        ), earlier as (
            select *, lag(time) over (partition by "user" order by time, place) as before from gaps
        )
        select *, sum(case when before is null or time - before > interval 1 day then 1 else 0 end)
            over (partition by "user" order by time, place) as session
        from earlier
    """)
    paths = connection.sql("""
        select list(event order by time, place), count(*) over () from ordered group by "user", session
    """).fetchall()
    assert journeys.n_sessions == len(paths)
    answer = journeys.measure(jk.TopPaths(None))
    found = {tuple(path): count for path, count in answer.frame.select("path", "count").iter_rows()}
    assert found == Counter(tuple(path) for path, _ in paths)
    moves = Counter(
        (a, b) for path, _ in paths for a, b in zip(["<START>", *path], [*path, "<END>"], strict=True)
    )
    frame = journeys.measure(jk.Transitions()).frame
    assert {(a, b): n for a, b, n in frame.select("source", "target", "transitions").iter_rows()} == moves
    connection.close()
