"""Events: the span of observation, options of sessionize, notes, every message. D1."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import polars as pl
import pytest

import journeykit as jk
from journeykit.errors import ParameterError

LOG = pl.DataFrame({
    "who": ["a", "a", "b", "b"],
    "at": [datetime(2024, 1, 1, 10), datetime(2024, 1, 1, 11), datetime(2024, 1, 1, 12), datetime(2024, 1, 1, 12)],
    "what": ["view", "buy", "view", "buy"],
})  # fmt: skip


def read(**options):
    return jk.read_events(LOG, user="who", time="at", event="what", **options)


def refused(make):
    with pytest.raises(ParameterError) as raised:
        make()
    return str(raised.value)


def test_roles_that_are_missing():
    assert refused(lambda: jk.read_events(LOG, user="who")) == (
        "read_events needs to know which columns play the roles ['time', 'event']. "
        "Pass time=<column name>, event=<column name>."
    )


def test_span():
    events = read()
    assert (events.observed_from, events.observed_until) == (
        datetime(2024, 1, 1, 10, tzinfo=UTC), datetime(2024, 1, 1, 12, tzinfo=UTC),
    )  # fmt: skip
    later = datetime(2024, 1, 2, 2, tzinfo=timezone(timedelta(hours=2)))
    journeys = read(observed_until=later).sessionize()
    assert journeys.observed_until == int(datetime(2024, 1, 2, tzinfo=UTC).timestamp()) * 10**6


def test_span_that_cannot_be():
    assert refused(lambda: read(observed_until=datetime(2025, 1, 1))) == (
        "observed_until needs a time zone. Pass datetime(..., tzinfo=UTC), for example."
    )
    for given in ("2025-01-01", date(2025, 1, 1), 5):
        text = f"observed_from cannot be {given!r}. Pass datetime(..., tzinfo=UTC), for example."
        assert refused(lambda given=given: read(observed_from=given)) == text
        with pytest.raises(ParameterError) as error:
            jk.scan_events("no file", user="u", time="t", event="e", observed_from=given)
        assert str(error.value) == text
    assert refused(lambda: read(observed_until=datetime(2024, 1, 1, 11, tzinfo=UTC))) == (
        "observed_until is 2024-01-01T11:00:00+00:00, and the log has events until 2024-01-01T12:00:00+00:00. "
        "Give a later time, or filter the log first."
    )
    assert refused(lambda: read(observed_from=datetime(2024, 1, 1, 11, tzinfo=UTC))) == (
        "observed_from is 2024-01-01T11:00:00+00:00, and the log has events from 2024-01-01T10:00:00+00:00 on. "
        "Give an earlier time, or filter the log first."
    )


def test_options_of_sessionize():
    events = read()
    assert events.sessionize("1h").n_sessions == 2
    assert events.sessionize(jk.SessionRule("30m")).n_sessions == 3
    assert events.sessionize(None, max_events=1).n_sessions == 4
    assert refused(lambda: events.sessionize(jk.SessionRule(), max_events=3)) == (
        "sessionize takes a SessionRule or options, not both. Put ['max_events'] into the rule."
    )
    assert refused(lambda: events.sessionize("30m", max_event=3)).startswith(
        "sessionize has no parameter 'max_event'. Did you mean 'max_events'? Available: 'max_events', "
    )


def test_notes():
    notes = read().sessionize().provenance.notes
    assert notes == ("1 pairs of different events share user and time: their order is that of the log.",)
    log = pl.concat([LOG, LOG.tail(1), LOG.head(1).with_columns(who=pl.lit(None, pl.String))])
    events = jk.read_events(log, user="who", time="at", event="what", on_invalid="drop", duplicates="drop")
    assert events.sessionize().provenance.notes[:2] == (
        "1 rows without a valid user, time or event were dropped.",
        "1 duplicate rows were dropped.",
    )


def test_looks():
    events = read()
    assert repr(events).startswith("Events: 4 rows, 2024-01-01 10:00:00 .. 2024-01-01 12:00:00 UTC\n")
    assert events._repr_html_().startswith("<p>Events: 4 rows</p>")
