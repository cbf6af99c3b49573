"""The log's own sessions beside those of a rule, against a count by hand."""

from __future__ import annotations

from collections import defaultdict

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import journeykit as jk
from journeykit.errors import ParameterError
from tests import exports


def by_hand(rows, timeout):
    """Count sessions as sets of rows."""
    cut, own = defaultdict(set), defaultdict(set)
    last, number = {}, 0
    for place, (user, time, session) in sorted(
        enumerate(rows), key=lambda each: (each[1][0], each[1][1], each[0])
    ):
        if user not in last or time - last[user] > timeout:
            number += 1
        last[user] = time
        cut[number].add(place)
        if session is not None:
            own[user, session].add(place)
    sets = list(cut.values())
    return {
        "own": len(own),
        "cut": len(cut),
        "same": sum(each in sets for each in own.values()),
        "split": sum(sum(bool(each & one) for one in sets) > 1 for each in own.values()),
        "joined": sum(sum(bool(each & one) for each in own.values()) > 1 for one in sets),
        "events_without": sum(session is None for _, _, session in rows),
    }


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 40), st.sampled_from([None, "1", "2"])), min_size=1
    )
)
def test_counts_are_those_of_sets_of_rows(rows):
    log = pl.DataFrame(rows, schema={"u": pl.String, "t": pl.Int64, "s": pl.String}, orient="row")
    events = jk.read_events(
        log.with_columns(e=pl.lit("x")), user="u", time="t", event="e", session="s", unit="s"
    )
    found = events.compare_sessions("5s")
    wanted = by_hand(rows, 5)
    assert {name: getattr(found, name) for name in wanted} == wanted
    assert found.same_share == (wanted["same"] / wanted["own"] if wanted["own"] else None)
    assert found.frame.height == 1


def test_a_log_without_sessions_has_nothing_to_compare():
    log = pl.DataFrame({"u": ["a"], "t": [0], "e": ["x"]})
    events = jk.read_events(log, user="u", time="t", event="e", unit="s")
    with pytest.raises(ParameterError) as caught:
        events.compare_sessions()
    assert str(caught.value) == (
        "the log has no session of its own to compare with. Pass session=<column name> when you read it."
    )


def test_an_export_that_goes_to_read_events_is_recognised():
    ga4 = pl.DataFrame(exports.GA4.rows, infer_schema_length=None)
    remark = " This looks like an export that jk.read_ga4 reads as it is."
    for roles in ({}, {"user": "visitor", "time": "event_timestamp", "event": "event_name"},
                  {"user": "user_pseudo_id", "time": "event_timestamp", "event": "event_name"}):  # fmt: skip
        with pytest.raises(jk.JourneykitError) as caught:
            jk.read_events(ga4, **roles)
        assert str(caught.value).endswith(remark)
    whole = {"user": "user_pseudo_id", "time": "event_timestamp", "event": "event_name", "unit": "us"}
    assert jk.read_events(ga4, **whole).columns.height == 3
    for export in exports.EXPORTS:
        frame = pl.DataFrame(export.rows, infer_schema_length=None)
        with pytest.raises(ParameterError) as caught:
            jk.read_events(frame)
        assert f"jk.read_{export.name} reads" in str(caught.value)
    with pytest.raises(ParameterError) as caught:
        jk.read_events(pl.DataFrame({"a": [1]}))
    assert "looks like" not in str(caught.value)
