"""A log appended in parts gives the journeys and the answers of the whole log."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import journeykit as jk
from journeykit.sessions import SessionRule
from tests import logs

pytestmark = pytest.mark.property

MODEL = jk.StageModel(
    [
        jk.Stage("look", "view"),
        jk.Stage("choose", jk.stages.event("cart", after="view", within="2d")),
        jk.Stage("buy", "purchase"),
        jk.Stage("again", jk.stages.event("purchase", nth=2), priority=1),
    ]
)
RULES = (
    SessionRule("30m"),
    SessionRule("2h", split_at="day", max_events=3),
    SessionRule(None, end_events=["purchase"], missing="ignore"),
    SessionRule("30m", passive=["help"], split_on=["campaign"], missing="ignore"),
    SessionRule.from_column("own"),
    SessionRule.from_column("rule"),
    SessionRule.from_column("outside"),
)
QUESTIONS: tuple[Any, ...] = (
    jk.Transitions(),
    jk.Overview(),
    jk.Abandonment("view", "purchase", horizon="3d", missing="ignore"),
)


def read(rows: list[logs.Row], like: pl.DataType) -> jk.Events:
    columns = ["order", "session", "device", "value", "campaign"]
    return jk.read_events(
        logs.frame(rows, columns, user=like),
        user="user",
        time="time",
        event="event",
        order="order",
        session="session",
        value="value",
        keep=["device", "campaign"],
        tz="Europe/Berlin",
    )


@st.composite
def parts(draw: st.DrawFn) -> tuple[list[logs.Row], list[list[logs.Row]]]:
    """A log, and the same cut at random places: late events, ties and new names fall where they will."""
    rows = draw(
        logs.logs(1, 30, names=logs.PLAIN_NAMES, with_order=True, with_session=True, with_properties=True)
    )
    cuts = sorted(draw(st.lists(st.integers(1, len(rows)), max_size=3)))
    bounds = [0, *cuts, len(rows)]
    return rows, [rows[a:b] for a, b in pairwise(bounds) if a < b]


def by_user(journeys: jk.Journeys) -> pl.DataFrame:
    return journeys.frame.sort("user", maintain_order=True)


@given(log=parts(), rule=st.sampled_from(RULES), shards=st.sampled_from((1, 3, 64)), staged=st.booleans())
def test_appending_gives_the_journeys_of_the_whole_log(
    log: tuple[list[logs.Row], list[list[logs.Row]]], rule: SessionRule, shards: int, staged: bool
) -> None:
    rows, pieces = log
    like = logs.own_type(rows, "user")

    def made(some: list[logs.Row]) -> jk.Journeys:
        journeys = read(some, like).sessionize(rule)
        return journeys.assign_stages(MODEL, missing="ignore") if staged else journeys

    whole = made(rows)
    with tempfile.TemporaryDirectory() as folder:
        store = jk.open_store(made(pieces[0]).write(Path(folder) / "store", shards=shards))
        for piece in pieces[1:]:
            store.measure(*QUESTIONS, by="device", every="1w")
            store.measure(*QUESTIONS)
            store.append(read(piece, like))
        found = store.journeys(verify=True)
        assert_frame_equal(by_user(found), by_user(whole))
        assert replace(found.provenance, out_of_order=0) == replace(whole.provenance, out_of_order=0)
        assert found.names.equals(whole.names)
        assert (found.observed_from, found.observed_until) == (whole.observed_from, whole.observed_until)
        assert found.n_sessions == whole.n_sessions
        assert causes(found).equals(causes(whole))
        for options in ({}, {"by": "device", "every": "1w"}):
            expected = whole.measure(*QUESTIONS, **options)
            for _ in range(2):
                for answer, wanted in zip(store.measure(*QUESTIONS, **options), expected, strict=True):
                    assert_frame_equal(answer.frame, wanted.frame, check_exact=True)
                    assert answer.notes == wanted.notes


def causes(journeys: jk.Journeys) -> pl.DataFrame:
    """What opened each session of each user."""
    sizes = pl.Series(journeys.user_sessions).diff().drop_nulls()
    owners = journeys.users.gather(pl.Series(range(len(sizes))).repeat_by(sizes).explode(empty_as_null=False))
    assert journeys.session_causes is not None
    return pl.DataFrame({"user": owners, "cause": journeys.session_causes}).sort("user", maintain_order=True)
