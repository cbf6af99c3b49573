"""The shop log: matrices, sessions and n-grams of another tool; DuckDB SQL as a second opinion."""

from __future__ import annotations

import duckdb
import numpy as np
import polars as pl
import pytest

import journeykit as jk

pytestmark = pytest.mark.conformance


@pytest.fixture(scope="module")
def log(shared_data):
    return pl.read_csv(shared_data / "shop" / "ecom.csv.gz", try_parse_dates=True)


@pytest.fixture(scope="module")
def events(log):
    return jk.read_events(log, user="user_id", time="timestamp", event="event", session="session_id",
                          keep=["platform"])  # fmt: skip


@pytest.fixture(scope="module")
def journeys(events):
    return events.sessionize("30m")


@pytest.fixture(scope="module")
def oracle(conformance):
    return conformance / "shop_oracle"


def square(path):
    """Read a matrix of the other tool under our names, in our order."""
    table = pl.read_csv(path)
    names = {"path_start": "<START>", "path_end": "<END>"}
    table = table.rename({old: names.get(old, old) for old in table.columns}).rename({"event": "source"})
    table = table.with_columns(pl.col("source").replace(names))
    order = ["<START>", *sorted(set(table["source"]) - {"<START>", "<END>"}), "<END>"]
    place = pl.col("source").replace_strict(order, range(len(order)))
    return table.sort(place).select("source", *order)


@pytest.mark.parametrize("column, name", [("transitions", "count"), ("users", "unique_paths")])
def test_counts_of_user_paths(journeys, oracle, column, name):
    graph = journeys.measure(jk.Transitions(unit="user"))
    wanted = square(oracle / f"transition__{name}__user_id.csv")
    assert graph.matrix(column).rows() == wanted.rows()


@pytest.mark.parametrize("unit", ["user", "session"])
def test_probabilities(journeys, oracle, unit):
    found = journeys.measure(jk.Transitions(unit=unit)).matrix("probability")
    wanted = square(oracle / f"transition__proba_out__{unit}_id.csv")
    assert found["source"].to_list() == wanted["source"].to_list()
    assert np.allclose(found.drop("source").to_numpy(), wanted.drop("source").to_numpy(), atol=1e-12)


def test_sessions_by_timeout(events, oracle):
    for timeout, sessions, most, mean in pl.read_csv(oracle / "split_sessions__summary.csv").iter_rows():
        journeys = events.sessionize(timeout)
        assert journeys.n_sessions == sessions, timeout
        assert np.diff(journeys.user_sessions).max() == most
        assert journeys.n_events / journeys.n_sessions == pytest.approx(mean, rel=1e-12)


def test_the_files_own_sessions_are_those_of_thirty_minutes(events, journeys):
    own = events.sessionize(jk.SessionRule.from_column())
    assert own.n_sessions == 3_605
    assert own.session_offsets.tolist() == journeys.session_offsets.tolist()
    assert own.rows.tolist() == journeys.rows.tolist()


def test_windows_of_one_to_three(journeys, oracle):
    wanted = pl.read_csv(oracle / "sequences__ngram_1_3.csv")
    found = {}
    total = 0
    for length in (1, 2, 3):
        answer = journeys.measure(jk.TopPaths(None, unit="user", length=length))
        total += answer.distinct["count"].item()
        for path, count, users, share in answer.frame.select("path", "count", "users", "share").iter_rows():
            found[" -> ".join(path)] = (users, share, count)
    assert len(found) == wanted.height
    for name, users, share, count, count_share, _ in wanted.iter_rows():
        assert (found[name][0], found[name][2]) == (users, count), name
        assert found[name][1] == pytest.approx(share, abs=1e-12)
        assert found[name][2] / total == pytest.approx(count_share, abs=1e-12)


def test_ngrams_and_their_kinds(journeys, oracle):
    wanted = pl.read_csv(oracle / "sequences__ngram_1_3.csv").drop("count_share")
    frame = journeys.measure(jk.NGrams((1, 3), None, unit="user")).frame
    found = {
        " -> ".join(row[0]): row[1:] for row in frame.select("path", "users", "share", "count", "type").rows()
    }
    assert len(found) == wanted.height
    for name, users, share, count, kind in wanted.iter_rows():
        assert found[name] == (users, pytest.approx(share, abs=1e-12), count, kind), name


def test_steps_of_user_paths(journeys, oracle, log):
    """The share of users whose k-th event is e, from paths cut after k events. D8.1."""
    wanted = pl.read_csv(oracle / "step_matrix__max10__user_id.csv")
    users = log["user_id"].n_unique()
    for k in (1, 4, 10):
        answer = journeys.measure(jk.TopPaths(None, unit="user", max_length=k, prefix=True))
        rows = answer.frame.filter(pl.col("length") == k).with_columns(last=pl.col("path").list.last())
        counts = dict(rows.group_by("last").agg(pl.sum("count")).iter_rows())
        for event, share in wanted.select("event", str(k)).iter_rows():
            if event not in ("path_start", "path_end"):
                assert counts.get(event, 0) / users == pytest.approx(share, abs=1e-12), (event, k)


# DuckDB: the same questions in SQL, from the same rows.

ORDERED = """
    with numbered as (
        select *, row_number() over () as place from log
    ), gaps as (
        select *, lag(timestamp) over (partition by user_id order by timestamp, place) as earlier from numbered
    )
    select *, sum(case when earlier is null or timestamp - earlier > interval 30 minute then 1 else 0 end)
        over (partition by user_id order by timestamp, place) as session
    from gaps
"""


@pytest.fixture(scope="module")
def sql(log):
    connection = duckdb.connect()
    connection.register("log", log)
    connection.sql(f"create table ordered as {ORDERED}")
    yield connection
    connection.close()


def test_sessions_of_sql(journeys, sql):
    found = pl.DataFrame({"user": journeys.users, "sessions": np.diff(journeys.user_sessions)})
    wanted = sql.sql("select user_id, max(session) from ordered group by user_id").fetchall()
    assert dict(found.iter_rows()) == {user: int(sessions) for user, sessions in wanted}


@pytest.mark.parametrize("unit", ["session", "user"])
def test_transitions_of_sql(journeys, sql, unit):
    parts = "user_id, session" if unit == "session" else "user_id"
    wanted = sql.sql(f"""
        with moves as (
            select user_id, event, timestamp,
                lead(event) over path as target, lead(timestamp) over path - timestamp as took
            from ordered window path as (partition by {parts} order by timestamp, place)
        )
        select event, coalesce(target, '<END>'), count(*), count(distinct user_id), sum(epoch(took)),
            median(epoch(took))
        from moves group by all
    """).fetchall()
    frame = journeys.measure(jk.Transitions(unit=unit, quantiles=(0.5,))).frame
    inner = frame.filter(pl.col("source") != "<START>")
    found = {
        (source, target): (n, users, mean, median)
        for source, target, n, users, mean, median in inner.select(
            "source", "target", "transitions", "users", "time_mean", "time_median"
        ).iter_rows()
    }
    assert found.keys() == {(source, target) for source, target, *_ in wanted}
    for source, target, n, users, took, median in wanted:
        assert found[source, target][:2] == (n, users)
        if target != "<END>":
            assert found[source, target][2:] == pytest.approx((took / n, median))


def test_paths_of_sql(journeys, sql):
    wanted = sql.sql("""
        with paths as (
            select user_id, session, list(event order by timestamp, place) as path,
                epoch(max(timestamp) - min(timestamp)) as took
            from ordered group by user_id, session
        )
        select path, count(*), count(distinct user_id), median(took) from paths group by path
    """).fetchall()
    answer = journeys.measure(jk.TopPaths(None, quantiles=(0.5,)))
    found = {
        tuple(p): rest
        for p, *rest in answer.frame.select("path", "count", "users", "duration_median").iter_rows()
    }
    assert found.keys() == {tuple(path) for path, *_ in wanted}
    for path, *rest in wanted:
        assert found[tuple(path)] == pytest.approx(rest)


def test_where_users_are_at_every_step(journeys, oracle):
    wanted = pl.read_csv(oracle / "step_matrix__max10__user_id.csv").rename({"event": "state"})
    names = {"path_start": "<START>", "path_end": "<END>"}
    wanted = {names.get(row[0], row[0]): row[1:] for row in wanted.iter_rows() if any(row[1:])}
    found = journeys.measure(jk.StepMatrix(10, unit="user")).matrix()
    assert set(found["state"]) == set(wanted)
    for state, *shares in found.iter_rows():
        assert shares == pytest.approx(wanted[state], abs=1e-12), state
