"""Segments and periods. D1.7, D0.3."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import polars as pl
import pytest

import journeykit as jk
from journeykit.errors import ParameterError, UnknownPropertyError


def journeys_at(times, tz="UTC", **columns):
    log = pl.DataFrame(
        {"user": list(range(len(times))), "time": times, "event": ["a"] * len(times), **columns}
    )
    return jk.read_events(log, user="user", time="time", event="event", tz=tz, keep=list(columns)).sessionize(
        "30m"
    )


def starts(journeys, **options):
    frame = journeys.measure(jk.Transitions(), **options).frame.filter(pl.col("source") == "<START>")
    return frame.select(
        pl.exclude("^(target|sessions|users|prob.*|low|high|share|user_share|lift|time_.*|source)$")
    ).rows()


def test_days_where_the_clocks_change():
    """In Berlin the 31st of March 2024 has 23 hours, and each event is in the day of its wall clock."""
    zone = ZoneInfo("Europe/Berlin")
    times = ["2024-03-30 22:59:59", "2024-03-30 23:00:00", "2024-03-31 21:59:59", "2024-03-31 22:00:00"]
    journeys = journeys_at(
        [datetime.fromisoformat(t).replace(tzinfo=ZoneInfo("UTC")) for t in times], "Europe/Berlin"
    )
    assert starts(journeys, every="1d") == [
        (datetime(2024, 3, 30, tzinfo=zone), 1),
        (datetime(2024, 3, 31, tzinfo=zone), 2),
        (datetime(2024, 4, 1, tzinfo=zone), 1),
    ]


def test_a_day_whose_midnight_does_not_exist():
    """In São Paulo the 15th of October 2017 began at one o'clock."""
    zone = ZoneInfo("America/Sao_Paulo")
    times = [datetime(2017, 10, 15, hour, tzinfo=ZoneInfo("UTC")) for hour in (2, 3, 12)]
    found = starts(journeys_at(times, "America/Sao_Paulo"), every="1d")
    assert [(day.astimezone(zone).date().day, count) for day, count in found] == [(14, 1), (15, 2)]


def test_segments_are_sorted_with_null_last():
    journeys = journeys_at([datetime(2024, 1, 1)] * 5, device=["web", None, "app", "web", None])
    assert starts(journeys, by="device") == [("app", 1), ("web", 2), (None, 2)]


def test_segments_of_numbers_and_of_several_columns():
    journeys = journeys_at([datetime(2024, 1, 1)] * 3, age=[10, 9, None], paid=[True, False, True])
    assert starts(journeys, by="age") == [(9, 1), (10, 1), (None, 1)]
    assert starts(journeys, by=["paid", jk.Segment("age", at="last")]) == [
        (False, 9, 1), (True, 10, 1), (True, None, 1),
    ]  # fmt: skip


def refused(journeys, kind=ParameterError, **options):
    with pytest.raises(kind) as raised:
        journeys.measure(jk.Transitions(), **options)
    return str(raised.value)


def test_messages():
    journeys = journeys_at([datetime(2024, 1, 1)], device=["web"])
    assert refused(journeys, every="2d") == (
        "every cannot be '2d'. Choose one of: '1d', '1w', '1mo', '1q', '1y'."
    )
    assert refused(journeys, by=["device", "device"]) == "by= names a property twice: ['device', 'device']."
    assert refused(journeys, UnknownPropertyError, by="devise") == (
        "no property 'devise' in these journeys. Did you mean 'device'? Available: 'device'. "
        "Pass keep=[..., 'devise'] to read_events."
    )
    with pytest.raises(ParameterError) as raised:
        jk.Segment("device", at="middle")
    assert str(raised.value) == "at cannot be 'middle'. Choose one of: 'first', 'last'."
