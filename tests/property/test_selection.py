"""Filters, frames and stores against plain polars and the slow twins."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import journeykit as jk
from journeykit.ordering.user_ids import group_of
from tests import logs, oracle
from tests.logs import Row

pytestmark = pytest.mark.property

MODEL = jk.StageModel([jk.Stage("look", jk.stages.glob("*e*")), jk.Stage("own", jk.stages.glob("*a*"))])
KINDS = ("plain", "staged", "interleaved", "interleaved_staged", "passive")


def journeys_of(rows: list[Row], kind: str) -> jk.Journeys:
    columns = ["session", "device", "value", "campaign", "order"]
    frame = logs.frame(rows, columns).with_columns(pl.col("session").cast(pl.String))
    events = jk.read_events(
        frame,
        user="user",
        time="time",
        event="event",
        session="session",
        order="order",
        keep=["device", "campaign"],
        value="value",
    )
    if kind == "passive":
        return events.sessionize("30m", passive=["view"], missing="ignore")
    interleaved = kind.startswith("interleaved")
    made = events.sessionize(jk.SessionRule.from_column("outside") if interleaved else "30m")
    return made.assign_stages(MODEL) if kind.endswith("staged") else made


@st.composite
def journeys(draw: st.DrawFn, kinds: tuple[str, ...] = KINDS) -> tuple[jk.Journeys, list[Row], str]:
    rows = draw(logs.logs(min_events=1, with_order=True, with_session=True, with_properties=True))
    kind = draw(st.sampled_from(kinds))
    return journeys_of(rows, kind), rows, kind


def assert_sound(made: jk.Journeys) -> None:
    """The three levels fit together."""
    assert made.user_offsets[0] == made.session_offsets[0] == made.user_sessions[0] == 0
    assert made.user_offsets[-1] == made.session_offsets[-1] == made.event_codes.size == made.times.size
    assert made.user_sessions[-1] == made.session_offsets.size - 1
    assert made.session_offsets[made.user_sessions].tolist() == made.user_offsets.tolist()
    assert (np.diff(made.session_offsets) > 0).all()
    assert (np.diff(made.user_offsets) > 0).all()
    assert made.group_offsets.size == 65
    assert made.group_offsets[-1] == len(made.users) == made.n_users
    assert np.repeat(np.arange(64), np.diff(made.group_offsets)).tolist() == group_of(made.users).tolist()
    assert made.rows.size == made.n_events
    assert made.session_causes is not None
    assert made.session_causes.size == made.session_offsets.size - 1
    if made.time_order is not None:
        assert sorted(made.time_order.tolist()) == list(range(made.n_events))
    assert made.observed_from <= made.observed_until


def renumbered(frame: pl.DataFrame) -> pl.DataFrame:
    """Number the sessions that are left from 1, by the first event that is left."""
    first = pl.when(pl.col("session").is_not_null()).then(pl.col("row").min().over("user", "session"))
    numbers = frame.with_row_index("row").select(first.rank("dense").over("user").cast(pl.Int32))
    return frame.with_columns(numbers.to_series().alias("session"))


@given(journeys())
def test_frame_is_the_log_sorted_by_user_time_order_and_row(
    drawn: tuple[jk.Journeys, list[Row], str],
) -> None:
    made, rows, _ = drawn
    expected = logs.frame(rows, ["device", "campaign", "value", "order"]).with_row_index("row")
    place = pl.DataFrame({"user": made.users}).with_row_index("place")
    expected = expected.join(place, on="user", how="left", maintain_order="left")
    expected = expected.sort("place", "time", "order", "row", nulls_last=True)
    columns = ["user", "time", "event", "device", "campaign", "value"]
    shown = made.frame.with_columns(pl.col("event").cast(pl.String)).select(columns)
    assert_frame_equal(shown, expected.select(columns))


@given(journeys(("plain", "interleaved", "passive")))
def test_frame_numbers_the_sessions_as_the_oracle(drawn: tuple[jk.Journeys, list[Row], str]) -> None:
    made, rows, kind = drawn
    for user in made.users:
        own = oracle.order(rows)[user]
        if kind == "interleaved":
            cut = oracle.column_sessions(own, "outside")
        else:
            cut = oracle.sessions(own, passive=["view"] if kind == "passive" else [])
        numbers = {id(row): number for number, one in enumerate(cut.sessions, 1) for row in one}
        expected = [numbers.get(id(row)) for row in own]
        assert made.frame.filter(pl.col("user") == user)["session"].to_list() == expected


@given(journeys(), st.data())
def test_filter_keeps_the_rows_that_polars_keeps(
    drawn: tuple[jk.Journeys, list[Row], str], data: Any
) -> None:
    made, _, _ = drawn
    names = data.draw(st.lists(st.sampled_from(made.names.to_list()), unique=True))
    moments = made.frame["time"].to_list()
    end = data.draw(st.sampled_from(moments))
    expressions = [
        pl.col("device") == "mobile",
        pl.col("campaign").is_null(),
        pl.col("value") > 0,
        pl.lit(True),
    ]
    staged = [pl.col("stage") == "look", pl.col("furthest_stage").is_null()] if made.stage_names else []
    expression = data.draw(st.sampled_from([*expressions, *staged]))
    keep = data.draw(st.sampled_from(["events", "sessions", "users"]))
    before = made.frame.clone()
    found = made.filter(expression, events=names, end=end, keep=keep)
    match = expression & pl.col("event").cast(pl.String).is_in(names) & (pl.col("time") < end)
    marked = made.frame.with_columns(match=match.fill_null(False))
    if keep == "sessions":
        marked = marked.with_columns(
            match=pl.col("match").any().over("user", "session") & pl.col("session").is_not_null()
        )
    elif keep == "users":
        marked = marked.with_columns(match=pl.col("match").any().over("user"))
    assert_frame_equal(found.frame, renumbered(marked.filter("match").drop("match")))
    assert_sound(found)
    assert_frame_equal(made.frame, before)


@given(journeys(), st.data())
def test_two_halves_of_the_users_add_up(drawn: tuple[jk.Journeys, list[Row], str], data: Any) -> None:
    made, _, kind = drawn
    ids = made.users.to_list()
    one = data.draw(st.lists(st.sampled_from(ids), unique=True))
    other = [user for user in ids if user not in one]
    halves = [made.filter(users=one), made.filter(users=other)]
    for number in ("n_users", "n_sessions", "n_events"):
        assert sum(getattr(half, number) for half in halves) == getattr(made, number)
    assert all(half.names.equals(made.names) for half in halves)
    assert {half.observed_until for half in halves} == {made.observed_until}
    both = pl.concat([half.frame for half in halves])
    assert_frame_equal(both, made.frame, check_row_order=False)
    question = jk.Transitions(of="stage" if kind.endswith("staged") else "event", unit="session")
    parts = [half.measure(question).frame.select("source", "target", "transitions") for half in halves]
    added = pl.concat(parts).group_by("source", "target").agg(pl.col("transitions").sum())
    whole = made.measure(question).frame.select("source", "target", "transitions")
    assert_frame_equal(added, whole, check_row_order=False)


@given(journeys(), st.integers(0, 6), st.integers(0, 3))
def test_head_and_sample_do_not_depend_on_the_order_of_the_log(
    drawn: tuple[jk.Journeys, list[Row], str], count: int, seed: int
) -> None:
    made, rows, kind = drawn
    shuffled = journeys_of(rows[::-1], kind)
    for verb in (lambda it: it.head(count), lambda it: it.sample(count, rng=seed)):
        found = verb(made)
        assert_sound(found)
        assert found.n_users == min(count, made.n_users)
        assert sorted(map(str, found.users)) == sorted(map(str, verb(shuffled).users))


@given(journeys())
def test_a_store_gives_back_the_same_journeys(drawn: tuple[jk.Journeys, list[Row], str]) -> None:
    made, _, _ = drawn
    with tempfile.TemporaryDirectory() as folder:
        path = made.write(Path(folder) / "store")
        again = jk.open_journeys(path, verify=True)
        assert_sound(again)
        assert_frame_equal(again.frame, made.frame)
        for part in (
            "user_offsets",
            "session_offsets",
            "user_sessions",
            "group_offsets",
            "event_codes",
            "times",
            "session_causes",
            "sessions_inside",
            "time_order",
            "stage_codes",
            "furthest_stage_codes",
        ):
            mine, theirs = getattr(made, part), getattr(again, part)
            assert (mine is None) == (theirs is None), part
            if mine is not None:
                assert mine.dtype == theirs.dtype, part
                assert mine.tolist() == theirs.tolist(), part
        for name in made.kept:
            assert again.property(name).equals(made.property(name), check_dtypes=True, check_names=True), name
        assert (again.session_rule, again.provenance) == (made.session_rule, made.provenance)
        assert (again.observed_from, again.observed_until, again.tz) == (
            made.observed_from,
            made.observed_until,
            made.tz,
        )
        assert again.stage_names == made.stage_names
