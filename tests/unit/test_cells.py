"""Segments and periods. D1.7, D0.3."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

import journeykit as jk
from journeykit.cells import make_cells
from journeykit.errors import ParameterError, UnknownPropertyError
from journeykit.protocol import Cells, Groups, add


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


def test_hours_where_the_clocks_change():
    """In Berlin it was two o'clock twice on the 27th of October 2024, and never on the 31st of March."""
    utc = ZoneInfo("UTC")
    autumn = [datetime(2024, 10, 27, 0, minute, tzinfo=utc) for minute in (0, 59)]
    autumn += [datetime(2024, 10, 27, 1, 0, tzinfo=utc), datetime(2024, 10, 27, 2, 0, tzinfo=utc)]
    found = starts(journeys_at(autumn, "Europe/Berlin"), every="1h")
    assert [(start.isoformat(), count) for start, count in found] == [
        ("2024-10-27T02:00:00+02:00", 2), ("2024-10-27T02:00:00+01:00", 1), ("2024-10-27T03:00:00+01:00", 1),
    ]  # fmt: skip
    spring = [datetime(2024, 3, 31, hour, 30, tzinfo=utc) for hour in (0, 1)]
    found = starts(journeys_at(spring, "Europe/Berlin"), every="1h")
    assert [start.isoformat() for start, _ in found] == [
        "2024-03-31T01:00:00+01:00",
        "2024-03-31T03:00:00+02:00",
    ]


@pytest.mark.parametrize(
    ("tz", "expected"),
    [
        (
            "Asia/Kolkata",
            ["2024-04-06T19:00:00+05:30", "2024-04-06T20:00:00+05:30", "2024-04-06T21:00:00+05:30"],
        ),
        # Its clocks go back half an hour at two: hours begin with those of the standard time, all year.
        (
            "Australia/Lord_Howe",
            ["2024-04-07T00:30:00+11:00", "2024-04-07T01:30:00+11:00", "2024-04-07T02:00:00+10:30"],
        ),
        ("Asia/Kathmandu", ["2024-04-06T20:00:00+05:45", "2024-04-06T21:00:00+05:45"]),
    ],
)
def test_hours_begin_with_those_of_the_zone(tz, expected):
    times = [datetime(2024, 4, 6, 14, minute, tzinfo=ZoneInfo("UTC")) for minute in (29, 31)]
    times += [datetime(2024, 4, 6, 15, minute, tzinfo=ZoneInfo("UTC")) for minute in (0, 29, 31)]
    found = starts(journeys_at(times, tz), every="1h")
    assert [start.isoformat() for start, _ in found] == expected


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


def test_segments_of_one_property_twice_and_named():
    journeys = journeys_at([datetime(2024, 1, 1)] * 3, age=[10, 9, None])
    both = [jk.Segment("age"), jk.Segment("age", at="last", name="last age")]
    found = journeys.measure(jk.Overview(), by=both).frame
    assert found.columns[:2] == ["age", "last age"]
    named = journeys.measure(jk.Overview(), by=jk.Segment("age", name="years")).frame
    assert named.rename({"years": "age"}).equals(journeys.measure(jk.Overview(), by="age").frame)


@pytest.mark.parametrize(
    "question, column",
    [
        (jk.Transitions(), "source"),
        (jk.Transitions(), "low"),
        (jk.TopPaths(), "path"),
        (jk.Touchpoints(), "touchpoint"),
        (jk.Overview(), "number"),
        (jk.Retention(), "cohort"),
    ],
)
def test_segments_named_like_a_column_of_the_answer(question, column):
    journeys = journeys_at([datetime(2024, 1, 1)] * 2, **{column: ["web", "app"], "other": ["web", "app"]})
    with pytest.raises(ParameterError) as raised:
        journeys.measure(question, by=column)
    assert str(raised.value) == (
        f"this answer has a column {column!r} itself, so that its segments need another name. "
        f"Pass by=jk.Segment({column!r}, name=<another name>)."
    )
    named = journeys.measure(question, by=jk.Segment(column, name="other"))
    assert named.frame.equals(journeys.measure(question, by="other").frame)


def test_a_property_named_like_the_periods():
    journeys = journeys_at([datetime(2024, 1, 1)], period=["q1"])
    for every in ({"every": "1d"}, {}):
        assert refused(journeys, by="period", **every) == (
            "no segments can be called 'period', as the column of every= is. "
            "Pass by=jk.Segment('period', name=<another name>)."
        )
    assert "Pass by=jk.Segment('device', name=" in refused(journeys, by=jk.Segment("device", name="period"))
    asked = {"by": jk.Segment("period", name="quarter"), "every": "1d"}
    assert journeys.measure(jk.Transitions(), **asked).frame.columns[:2] == ["quarter", "period"]


def refused(journeys, kind=ParameterError, **options):
    with pytest.raises(kind) as raised:
        journeys.measure(jk.Transitions(), **options)
    return str(raised.value)


def test_messages():
    journeys = journeys_at([datetime(2024, 1, 1)], device=["web"])
    assert refused(journeys, every="2d") == (
        "every cannot be '2d'. Choose one of: '1h', '1d', '1w', '1w-sunday', '1mo', '1q', '1y'."
    )
    assert refused(journeys, by=["device", "device"]) == (
        "by= makes two columns of the name 'device'. Name a property once. "
        "Pass by=jk.Segment('device', name=<another name>)."
    )
    assert refused(journeys, UnknownPropertyError, by="devise") == (
        "no property 'devise' in these journeys. Did you mean 'device'? Available: 'device'. "
        "Pass keep=[..., 'devise'] to read_events."
    )
    assert refused(journeys, UnknownPropertyError, by="user") == (
        "no property 'user' in these journeys. It is a role of the log: keep a copy of its column under another name."
    )
    with pytest.raises(ParameterError) as raised:
        jk.Segment("device", at="middle")
    assert str(raised.value) == "at cannot be 'middle'. Choose one of: 'first', 'last'."
    for wrong, said in (({"property": 5}, "property"), ({"property": "device", "name": None}, "name")):
        with pytest.raises(ParameterError) as raised:
            jk.Segment(**wrong)
        assert str(raised.value) == f"{said} of a Segment must be a text, not {wrong[said]!r}."


def folded(journeys, **options):
    """The cells of all journeys as one shard, and of every path as (group, segment and period)."""
    cells = make_cells(journeys, options.get("by"), options.get("every")).by_group(journeys.groups)
    return cells, [divmod(int(cell), cells.per_group) for cell in cells.of(journeys.paths(), "session")]


def test_a_cell_tells_the_group_the_segment_and_the_period():
    journeys = journeys_at(
        [datetime(2024, 1, 31), datetime(2024, 2, 1), datetime(2024, 2, 1), datetime(2024, 4, 1)],
        device=["web", "app", "web", None],
    )
    cells, found = folded(journeys, by="device", every="1mo")
    frame = journeys.frame
    assert cells.count == 3 * 3 * cells.groups.numbers.size
    groups = np.repeat(np.arange(64), np.diff(journeys.group_offsets))
    assert [int(cells.groups.numbers[group]) for group, _ in found] == groups.tolist()
    wanted = {0: ("web", 1), 1: ("app", 2), 2: ("web", 2), 3: (None, 4)}
    labels = cells.labels.rows()
    assert [(labels[cell][0], labels[cell][1].month) for _, cell in found] == [
        wanted[user] for user in frame["user"]
    ]


def test_periods_follow_the_first_cell_of_a_segment():
    """For statistics whose period is not that of the path's first event."""
    times = [datetime(2024, 1, 1), datetime(2024, 1, 9), datetime(2024, 1, 22)]
    journeys = journeys_at(times, device=["web", "app", "web"])
    cells, _ = folded(journeys, by="device", every="1w")
    assert cells.period_starts.tolist() == [
        int(datetime(2024, 1, day, tzinfo=ZoneInfo("UTC")).timestamp() * 1e6) for day in (1, 8, 22)
    ]
    paths = journeys.paths()
    first = cells.segments(paths, "session")
    assert (first % 3 == 0).all()
    period = np.searchsorted(cells.period_starts, paths.times[paths.starts], side="right") - 1
    assert (first + period).tolist() == cells.of(paths, "session").tolist()
    assert make_cells(journeys, "device", None).period_starts is None


def test_periods_are_cut_where_the_zone_cuts_them():
    """Every hour of 2017 in zones whose clocks change at midnight or by half an hour, against each event alone."""
    hours = pl.datetime_range(
        datetime(2017, 1, 1), datetime(2017, 12, 31, 23), "1h", time_zone="UTC", eager=True
    )
    for zone in ("America/Sao_Paulo", "America/Havana", "Australia/Lord_Howe", "Asia/Beirut", "UTC"):
        journeys = journeys_at(hours, zone)
        for every in ("1d", "1w", "1mo"):
            cells = make_cells(journeys, None, every)
            paths = journeys.paths()
            labels = cells.labels["period"].gather(cells.of(paths, "session"))
            local = pl.Series(paths.times[paths.starts]).cast(pl.Datetime("us", "UTC"))
            truncated = local.dt.convert_time_zone(zone).dt.truncate(every)
            assert labels.equals(truncated), (zone, every)


def test_one_cell_is_an_array_too():
    cells = Cells()
    journeys = journeys_at([datetime(2024, 1, 1)] * 3)
    assert cells.of(journeys.paths(), "session").tolist() == [0, 0, 0]
    assert cells.count == 1


def test_cells_without_units_are_shown_only_where_nothing_is_cut():
    assert Cells().present(np.array([0])).tolist() == [0]
    cut = Cells(pl.DataFrame({"device": ["app", "web"]}))
    assert cut.present(np.array([0, 3])).tolist() == [1]
    assert cut.present(np.array([0, 0])).tolist() == []


def test_shards_hold_whole_groups_and_about_as_many_events():
    journeys = journeys_at([datetime(2024, 1, 1)] * 999)
    shards = journeys.shards(5)
    assert len(shards) == 5
    ends = [shard.user_range for shard in shards]
    assert [first for first, _ in ends] == [0, *(last for _, last in ends[:-1])]
    assert {last for _, last in ends} <= {*journeys.group_offsets.tolist()}
    assert all(150 < last - first < 250 for first, last in ends)
    numbers = [number for shard in shards for number in shard.groups.numbers.tolist()]
    assert numbers == sorted(set(numbers)) == np.flatnonzero(np.diff(journeys.group_offsets)).tolist()
    assert len(journeys.shards(1)) == len(journeys.shards()) == 1
    assert len(journeys.shards(1000)) == 64


def test_adding_keeps_groups_apart_and_extremes_extreme():
    parts = []
    for first in (1, 0):
        groups = Groups(np.array([first, 5], np.uint8), np.array([0, 1, 2]))
        cells = Cells(pl.DataFrame({"device": ["app", "web"]})).by_group(groups)
        columns = {"cell": [0, 1, 3], "key": [7, 7, 7], "n": [1, 2, 3], "t_min": [4, 5, 6 + first]}
        parts.append((cells, {"a": pl.DataFrame(columns, schema_overrides={"cell": pl.Int32})}))
    assert add(parts, {"a": ("key",)})["a"].sort("cell", "group").rows() == [
        (0, 0, 7, 1, 4), (0, 1, 7, 1, 4), (1, 0, 7, 2, 5), (1, 1, 7, 2, 5), (1, 5, 7, 6, 6),
    ]  # fmt: skip


def test_a_table_without_keys_has_a_row_of_zeros_unless_something_is_cut():
    nothing = pl.DataFrame(schema={"cell": pl.Int32, "paths": pl.Int64})
    assert add([(Cells(), {"units": nothing})], {"units": ()})["units"].rows() == [(0, 0, 0)]
    assert add([(Cells(), {"units": nothing})], {"units": ("state",)})["units"].is_empty()
    cut = Cells(pl.DataFrame({"device": ["app", "web"]}))
    assert add([(cut, {"units": nothing})], {"units": ()})["units"].is_empty()
