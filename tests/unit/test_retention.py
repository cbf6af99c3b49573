"""Retention and the other calendar statistics: worked out by hand, presets, and what is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest

import journeykit as jk
from journeykit.errors import ParameterError, UnknownNameError, UnknownPropertyError
from tests.logs import DAY, HOUR, THREE_WEEKS, log
from tests.measuring import journeys_of


def cells(answer):
    return answer.frame.select("cohort", "offset", "size", "returned", "complete").rows()


def test_three_weeks():
    answer = journeys_of(THREE_WEEKS).measure(jk.Retention(period="1w"))
    first, second, third = (datetime(2024, 1, day, tzinfo=UTC) for day in (1, 8, 15))
    assert [(cohort.day, *rest) for cohort, *rest in cells(answer)] == [
        (first.day, 0, 2, 2, True),
        (first.day, 1, 2, 1, True),
        (first.day, 2, 2, 2, False),
        (second.day, 0, 1, 1, True),
        (second.day, 1, 1, 0, False),
        (third.day, 0, 0, 0, False),
    ]
    assert answer.average.select("offset", "cohorts", "size", "returned", "rate", "simple").rows() == [
        (0, 2, 3, 3, 1.0, 1.0), (1, 1, 2, 1, 0.5, 0.5), (2, 0, 0, 0, None, None),
    ]  # fmt: skip
    assert answer.notes[-1] == (
        "3 of 6 cells are not complete: their counts are lower bounds, and averages leave them out."
    )
    assert answer.matrix("returned").rows() == [
        (first, 2, 2, 1, 2), (second, 1, 1, 0, None), (third, 0, 0, None, None),
    ]  # fmt: skip


RETURNS = log(
    "a 0 s; a 1440 r; a 4320 r; a 5760 r; b 0 s; b 2880 r; b 2881 r; c 0 s; d 0 s; d 1440 r; d 2880 r; d 4320 r"
)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"rule": "on"}, [4, 2, 2, 2, 1]),
        ({"rule": "on_or_after"}, [4, 3, 3, 2, 1]),
        ({"rule": "on_or_before"}, [4, 2, 3, 3, 3]),
        ({"rule": "streak"}, [4, 2, 1, 1, 0]),
        ({"rule": "on", "min_occurrences": 2}, [4, 0, 1, 0, 0]),
        ({"rule": "on", "brackets": (2, 2)}, [4, 3, 2]),
        ({"rule": "on_or_after", "brackets": (2, 2)}, [4, 3, 2]),
        ({"rule": "on_or_after", "total_periods": 3}, [4, 3, 3]),
    ],
)
def test_rules(options, wanted):
    question = jk.Retention("s", "r", cohort="recurring", **options)
    frame = journeys_of(RETURNS).measure(question).frame
    assert frame.filter(pl.col("cohort") == pl.col("cohort").min())["returned"].to_list() == wanted


def test_a_clock_starts_at_the_first_start_of_the_period():
    """From 20:00: the next day at 19:00 is day 0, at 20:00 day 1; what came before the start does not count."""
    rows = [
        {"user": "u", "time": at, "event": event}
        for at, event in ((5 * HOUR, "r"), (20 * HOUR, "s"), (22 * HOUR, "s"), (DAY + 19 * HOUR, "r"))
    ]
    after = [*rows, {"user": "u", "time": DAY + 20 * HOUR, "event": "r"}]
    for log_, wanted in ((rows, [1]), (after, [1, 1])):
        frame = journeys_of(log_).measure(jk.Retention("s", "r", clock="24h")).frame
        assert frame.filter(pl.col("size") > 0)["returned"].to_list() == wanted
    calendar = journeys_of(rows).measure(jk.Retention("s", "r")).frame
    assert calendar.filter(pl.col("size") > 0)["returned"].to_list() == [1, 1]


def test_who_started_before_the_range_is_in_no_cohort_of_a_first_time():
    rows = log("a 0 s; a 1440 s; b 1440 s; b 2880 s")
    asked = {"between": (date(2024, 1, 2), None)}
    first = journeys_of(rows).measure(jk.Retention("s", **asked)).frame
    again = journeys_of(rows).measure(jk.Retention("s", cohort="recurring", **asked)).frame
    assert (first["size"].to_list(), again["size"].to_list()) == ([1, 1, 0], [2, 2, 1])


def test_a_first_time_with_a_condition():
    rows = [{**row, "plan": plan} for row, plan in zip(log("a 0 s; a 1440 s; b 1440 s"), "fpp", strict=True)]
    start = jk.Match("s", where=pl.col("plan") == "p")
    sizes = {}
    for cohort in ("first_time", "first_time_filtered"):
        frame = journeys_of(rows).measure(jk.Retention(start, cohort=cohort)).frame
        sizes[cohort] = frame.filter(pl.col("offset") == 0)["size"].to_list()
    assert sizes == {"first_time": [0, 1], "first_time_filtered": [0, 2]}


def test_against_the_column_before():
    frame = journeys_of(RETURNS).measure(jk.Retention("s", "r", cohort="recurring", vs="previous")).frame
    first = frame.filter(pl.col("cohort") == pl.col("cohort").min())
    assert first.select("returned", "previous", "rate").rows() == [
        (4, 4, 1.0), (2, 4, 0.5), (2, 2, 1.0), (2, 2, 1.0), (1, 2, 0.5),
    ]  # fmt: skip


def test_a_day_of_changing_clocks_is_one_day():
    """In Berlin 2024-03-31 has 23 hours: 23:30 on the 30th and 00:30 on the 1st are two days apart, 24 hours later."""
    rows = [
        {"user": "u", "time": round(datetime(2024, 3, *at, tzinfo=UTC).timestamp()) * 1_000_000, "event": "x"}
        for at in ((30, 22, 30), (31, 22, 30))
    ]
    frame = journeys_of(rows, tz="Europe/Berlin").measure(jk.Retention()).frame
    first = frame.filter(pl.col("size") > 0)
    assert first.select("offset", "returned").rows() == [(0, 1), (1, 0), (2, 1)]


def test_hostile_property_values_are_cohorts():
    values = ("<script>", None, "a\nb", "🛒")
    rows = [
        {**row, "from": value} for row, value in zip(log("a 0 s; b 1 s; c 2 s; d 3 s"), values, strict=True)
    ]
    answer = journeys_of(rows).measure(jk.Retention("s", cohort_by="from", period="1w"))
    assert answer.frame["cohort"].to_list() == ["<script>", "a\nb", "🛒", None]
    assert "<script>" not in answer._repr_html_()


def test_presets():
    assert jk.rules.retention_mixpanel("s", "r", "1w").clock == "7d"
    assert jk.rules.retention_mixpanel("s", "r", calendar=True).clock == "calendar"
    assert jk.rules.retention_amplitude(rule="on", brackets=(3, 4)).brackets == (3, 4)
    assert jk.rules.retention_ga4(period="1mo").period == "30d"
    assert jk.rules.retention_adobe("s").vs == "previous"
    assert jk.rules.retention_posthog(first_time=True).cohort == "first_time_filtered"
    with pytest.raises(ParameterError, match="period cannot be '1y'. Choose one of: '1d', '1w', '1mo'."):
        jk.rules.retention_mixpanel(period="1y")


def test_lengths_of_sessions_leave_passive_events_out():
    rows = log("a 0 x; a 1 x; a 9 ping; b 0 x; b 3 ping; c 0 x; c 20 x")
    frame = journeys_of(rows, passive=["ping"]).measure(jk.SessionLengths(("1m", "10m"))).frame
    assert frame.select("above", "up_to", "sessions").rows() == [
        (0.0, 0.0, 1), (0.0, 60.0, 1), (60.0, 600.0, 0), (600.0, None, 1),
    ]  # fmt: skip


REFUSED = [
    (lambda: jk.Retention(cohort="weekly"),
     "cohort cannot be 'weekly'. Choose one of: 'first_time', 'recurring', 'first_time_filtered'."),
    (lambda: jk.Retention(rule="rolling"),
     "rule cannot be 'rolling'. Choose one of: 'on', 'on_or_after', 'on_or_before', 'streak'."),
    (lambda: jk.Retention(period="week"),
     "period cannot be 'week'. Give a number of units, such as '1d', '2w' or '1mo' (s, m, h, d, w, mo, q, y)."),
    (lambda: jk.Retention(week_start="saturday"),
     "week_start cannot be 'saturday'. Choose one of: 'monday', 'sunday'."),
    (lambda: jk.Retention(clock=24),
     str(ParameterError.duration("clock", 24))),
    (lambda: jk.Retention(brackets=()),
     "brackets cannot be (). Give how many periods each column takes together, such as (7, 7, 14)."),
    (lambda: jk.Retention(min_occurrences=0), "min_occurrences cannot be 0. Give a whole number, 1 or more."),
    (lambda: jk.Retention(total_periods=1.5), "total_periods cannot be 1.5. Give a whole number, 1 or more."),
    (lambda: jk.Retention(appearances=True, cohort_by="x"),
     ("appearances= lists members by the period of their cohort: it does not go with cohort_by=. "
      "Leave one of them out.")),
    (lambda: jk.Lifecycle(between=("2024-01-01", None)),
     "between cannot hold '2024-01-01'. Give a date, or a datetime with a time zone."),
    (lambda: jk.Lifecycle(between=date(2024, 1, 1)),
     "between cannot be datetime.date(2024, 1, 1). Give two dates or datetimes, from and to; None is open."),
    (lambda: jk.Stickiness(between=(datetime(2024, 1, 1), None)),
     "between needs a time zone. Pass datetime(..., tzinfo=UTC), for example, or a date."),
    (lambda: jk.Stickiness(between=(date(2024, 1, 2), date(2024, 1, 1))),
     "between must start before it ends, unlike 2024-01-02 and 2024-01-01."),
    (lambda: jk.ActiveUsers(window=0),
     "window cannot be 0. Give how many periods it has, from 1 to 10,000, such as 30."),
    (lambda: jk.TimeBetween("a", "b", pairing="all"), "pairing cannot be 'all'. Choose one of: 'first', 'each'."),
    (lambda: jk.TimeBetween("a", []),
     "end cannot be []. Give a name, a list of names, a polars expression, a Pattern or a Match."),
    (lambda: jk.SessionLengths(("1h", "1m")),
     "bounds cannot be ('1h', '1m'). Give durations, each longer than the one before."),
    (lambda: jk.SessionLengths("1h"), "bounds cannot be '1h'. Give a list of durations, such as ('1m', '1h')."),
]  # fmt: skip


@pytest.mark.parametrize(("make", "message"), REFUSED, ids=[message[:40] for _, message in REFUSED])
def test_what_is_refused_when_it_is_made(make, message):
    with pytest.raises(ParameterError) as refused:
        make()
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("question", "error", "message"),
    [
        (jk.Retention("vew"), UnknownNameError, "Did you mean 'view'?"),
        (jk.Lifecycle("vew"), UnknownNameError, "Did you mean 'view'?"),
        (jk.TimeBetween("view", "vew"), UnknownNameError, "Did you mean 'view'?"),
        (jk.Retention(cohort_by="device"), UnknownPropertyError, "'device'"),
        (jk.TimeBetween("a", "b", of="stage"), ParameterError, "Call assign_stages(model) first."),
        (
            jk.Stickiness(period="1s"),
            ParameterError,
            "1,260,001 periods are more than the 10,000 that an answer can",
        ),
        (
            jk.Retention(clock="1s"),
            ParameterError,
            "1,260,001 periods are more than the 5,000 that an answer can",
        ),
    ],
)
def test_what_is_refused_before_any_work(question, error, message):
    with pytest.raises(error) as refused:
        journeys_of(THREE_WEEKS).measure(question)
    assert message in str(refused.value)


def test_unknown_names_can_be_nobody():
    with pytest.warns(jk.JourneykitWarning, match="vew"):
        warned = journeys_of(THREE_WEEKS).measure(jk.Retention("vew", period="1w", missing="warn"))
    assert warned.frame["size"].sum() == 0
    assert warned.frame["rate"].is_null().all()


def test_a_period_starts_with_its_first_microsecond():
    """Months of different lengths: the first guess at the period of an event lies beside it, on both sides."""
    starts = [datetime(2024, month, 1, tzinfo=UTC) for month in range(1, 13)]
    first = [round(start.timestamp()) * 1_000_000 for start in starts]
    for shift, offsets in ((0, range(12)), (-1, range(-1, 11))):
        rows = [
            {"user": "u", "time": first[0] - 1, "event": "s"},
            {"user": "v", "time": first[11] + DAY, "event": "r"},
        ]
        rows += [{"user": month, "time": first[0], "event": "s"} for month in map(str, range(12))]
        rows += [
            {"user": str(month), "time": max(first[0], time + shift), "event": "r"}
            for month, time in enumerate(first)
        ]
        frame = (
            journeys_of(rows)
            .measure(jk.Retention("s", "r", period="1mo", between=(starts[0].date(), None)))
            .frame
        )
        table = frame.filter(pl.col("cohort") == starts[0]).select("offset", "returned")
        wanted = [sum(max(0, offset) == k for offset in offsets) for k in range(12)]
        assert table["returned"].to_list() == [12, *wanted[1:]]
