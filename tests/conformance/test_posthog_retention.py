"""Retention, lifecycle, stickiness and sessions as the cases of ``posthog.json`` say. D9, D2.6, D17.

A range there is also where the log ends: what comes after ``date_to`` is left out, and the period that holds it is
the last one. Without it, nothing is cut off: the log ends when the last column of the last event is over.
"""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest

import journeykit as jk
from tests.conformance import posthog

pytestmark = pytest.mark.conformance

PERIODS = {
    "second": "1s", "minute": "1m", "hour": "1h", "day": "1d", "week": "1w", "month": "1mo", "quarter": "1q",
    "year": "1y",
}  # fmt: skip
LONGEST = {
    "second": timedelta(seconds=1), "minute": timedelta(minutes=1), "hour": timedelta(hours=1),
    "day": timedelta(days=1), "week": timedelta(weeks=1), "month": timedelta(days=31), "quarter": timedelta(days=92),
    "year": timedelta(days=366),
}  # fmt: skip
COHORTS = {"recurring": "recurring", "first_time": "first_time_filtered", "first_ever": "first_time"}


def truncated(moment, period):
    """Start of the period that holds a moment, weeks from Sunday."""
    local = pl.Series([moment.replace(tzinfo=None)])
    if period == "week":
        local = local.dt.offset_by("1d").dt.truncate("1w").dt.offset_by("-1d")
    else:
        local = local.dt.truncate(PERIODS[period])
    return local


def shifted(moment, period, count):
    """Start of the period so many later."""
    found = truncated(moment, period).dt.offset_by(f"{count}{PERIODS[period][1:]}")[0]
    return found.replace(tzinfo=moment.tzinfo)


def matcher(entity, query):
    """What an event of a query means: a name, or a name with its own conditions, and the query's conditions."""
    entity = entity if isinstance(entity, dict) else {"event": entity}
    trees = [posthog.conditions(entity), posthog.conditions(query)]
    names = entity.get("event") or ()
    return jk.Match(names, where=posthog.expression({"and": trees}))


def range_of(query, rows):
    """First moment of the cohorts and end of the log."""
    period, first = query["period"], posthog.span(query)[0]
    end = posthog.moment(query["date_to"], query.get("timezone") or "UTC") if query.get("date_to") else None
    columns = 1 + sum(query.get("brackets") or [query.get("total_periods") or 0])
    if end is None:
        last = max(row["time"] for row in rows)
        return first, posthog.EPOCH + timedelta(microseconds=last) + columns * LONGEST[period]
    until = shifted(end, period, 1)
    if first is None and query.get("total_periods"):
        first = shifted(end, period, 1 - query["total_periods"])
    return first, until


def retention(case, check, **options):
    query = check["query"]
    rows = posthog.rows(case, check)
    first, until = range_of(query, rows)
    journeys = posthog.journeys(
        posthog.within(rows, None, until), tz=query.get("timezone"), until=until - posthog.MICROSECOND
    )
    spans = timedelta(hours=24) if query["period"] == "day" else LONGEST[query["period"]]
    question = jk.Retention(
        matcher(query["start_event"], query), matcher(query["return_event"], query),
        cohort=COHORTS[query["mode"]], rule=query.get("return_rule", "on"), brackets=query.get("brackets"),
        clock=spans if query.get("window") == "rolling_24h" else "calendar", period=PERIODS[query["period"]],
        week_start="sunday", between=None if first is None else (first, None),
        min_occurrences=query.get("min_occurrences", 1), missing="ignore", **options,
    )  # fmt: skip
    return journeys.measure(question)


def table_of(answer):
    """Counts by the start of the cohort."""
    rows = {}
    for cohort, _, returned in answer.frame.select("cohort", "offset", "returned").iter_rows():
        rows.setdefault(cohort, []).append(returned)
    return rows


def holding(rows, start, tz="UTC"):
    """Row of the cohort that starts at a date or a moment."""
    return rows[posthog.moment(start, tz).astimezone(next(iter(rows)).tzinfo)]


@pytest.mark.parametrize("case, check", posthog.checks("retention"))
def test_retention(case, check):
    query, expected = check["query"], check["expected"]
    tz = query.get("timezone") or "UTC"
    if query["kind"] == "retention_people":
        return people(case, check)
    rows = table_of(retention(case, check))
    if "table" in expected:
        assert list(rows.values()) == expected["table"]
    for start, found in zip(expected.get("cohort_starts", ()), rows, strict="cohort_starts" in expected):
        assert found == posthog.moment(start, tz)
    if "first_cohort_start" in expected:
        assert min(rows) == posthog.moment(expected["first_cohort_start"], tz)
    for row in [*expected.get("rows", ()), *([expected["row"]] if "row" in expected else [])]:
        found = holding(rows, row["start"], tz)
        if "values" in row:
            assert found == row["values"]
        else:
            assert found[: len(row["values_prefix"])] == row["values_prefix"]
    return None


def people(case, check):
    query = check["query"]
    answer = retention(case, check, appearances=True)
    rows = table_of(answer)
    start = list(rows)[query["cohort_index"]]
    members = answer.appearances.filter(pl.col("cohort") == start)
    found = {
        user: [int(offset in part["offset"].to_list()) for offset in range(len(rows[start]))]
        for (user,), part in members.group_by("user")
    }
    assert found == check["expected"]["appearances"]


def lifecycle_frame(query, rows):
    first, last = posthog.span(query)
    until = shifted(last - posthog.MICROSECOND, query["interval"], 1)
    journeys = posthog.journeys(rows, tz=query.get("timezone"), until=until)
    question = jk.Lifecycle(
        matcher(query["event"], query), period=PERIODS[query["interval"]], week_start="sunday",
        between=(first, last), missing="ignore",
    )  # fmt: skip
    return journeys.measure(question).frame


@pytest.mark.parametrize("case, check", posthog.checks("lifecycle"))
def test_lifecycle(case, check):
    frame = lifecycle_frame(check["query"], posthog.rows(case, check))
    first = 1 if case["id"] == "lifecycle-week" else 0  # The source leaves a partial first week empty.
    for name, wanted in check["expected"].items():
        assert frame[name].to_list()[first:] == wanted[first:]


def previous_span(query):
    """The source moves both dates back by their difference, so that the day of ``date_from`` is in both spans."""
    first, last = (
        posthog.moment(query[name], query.get("timezone") or "UTC") for name in ("date_from", "date_to")
    )
    moved = {**query, "date_from": (first - (last - first)).isoformat(), "date_to": first.isoformat()}
    return posthog.span(moved)


@pytest.mark.parametrize("case, check", posthog.checks("stickiness"))
def test_stickiness(case, check):
    query, expected = check["query"], check["expected"]
    count, unit = query.get("interval_count", 1), PERIODS[query["interval"]][1:]
    journeys = posthog.journeys(posthog.rows(case, check), tz=query.get("timezone"))

    def frame_of(between):
        question = jk.Stickiness(
            matcher(query["event"], query), period=f"{count}{unit}", week_start="sunday", between=between,
            missing="ignore",
        )  # fmt: skip
        return journeys.measure(question).frame

    frame = frame_of(posthog.span(query))
    for name in ("data", "data_current"):
        if name in expected:
            assert frame["users"].to_list() == expected[name]
    if "data_previous" in expected:
        assert frame_of(previous_span(query))["users"].to_list() == expected["data_previous"]
    if "by_active_periods" in expected:
        found = dict(frame.select("active_periods", "users").iter_rows())
        assert {k: found.get(int(k), 0) for k in expected["by_active_periods"]} == expected[
            "by_active_periods"
        ]
    if "persons_total" in expected:
        assert frame["users"].sum() == expected["persons_total"]


@pytest.mark.parametrize("case, check", posthog.checks("sessions"))
def test_sessions(case, check):
    """Sessions of every distinct id; the previous days are those of the source, see `previous_span`."""
    query, expected = check["query"], check["expected"]
    rows = [{**row, "user": row["distinct_id"]} for row in posthog.rows(case, check)]
    gap = timedelta(seconds=query["gap_seconds"])
    if "counts" in expected:
        bounds = [timedelta(seconds=one) for one in query["bucket_upper_bounds_seconds"] if one]
        lengths = sessions_of(posthog.within(rows, *posthog.span(query)), gap).measure(
            jk.SessionLengths(bounds)
        )
        assert lengths.frame["sessions"].to_list() == expected["counts"]
    for name, span_of in (("by_day_minutes", posthog.span), ("previous_by_day_minutes", previous_span)):
        if name in expected:
            journeys = sessions_of(posthog.within(rows, *span_of(query)), gap)
            assert minutes_by_day(journeys) == expected[name]


def sessions_of(rows, gap):
    return posthog.journeys(rows, timeout=jk.SessionRule(timeout=gap, timeout_inclusive=True))


def minutes_by_day(journeys):
    """Mean length of the sessions of every day that has one of any length."""
    frame = journeys.measure(jk.Overview(), every="1d").frame.filter(
        pl.col("number") == "session_duration_mean"
    )
    return {
        day.strftime("%Y-%m-%d"): value / 60
        for day, value in frame.select("period", "value").iter_rows()
        if value
    }
