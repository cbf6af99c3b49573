"""The translation of the cases: conditions mean the same row by row and as expressions."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.conformance import posthog

pytestmark = pytest.mark.conformance

CASE = {
    "persons": [
        {"id": "a", "distinct_ids": ["a", "b"], "properties": {"age": 20}},
        {"id": "c", "distinct_ids": ["c"]},
    ],
    "events": [
        {
            "distinct_id": "b",
            "event": "x",
            "timestamp": "2020-01-01T00:00:01Z",
            "properties": {"url": "A.Com"},
        },
        {"distinct_id": "nobody", "event": "x", "timestamp": "2020-01-01T00:00:02Z"},
        {"distinct_id": "c", "event": "y", "timestamp": "2020-01-01T00:00:00Z"},
    ],
}
EVERY_OPERATOR = [
    ({"scope": "event", "key": "url", "op": "exact", "value": ["a.com", "A.Com"]}, [True, False]),
    ({"scope": "event", "key": "url", "op": "exact", "value": "a.com"}, [False, False]),
    ({"scope": "event", "key": "url", "op": "is_not", "value": "A.Com"}, [False, True]),
    ({"scope": "event", "key": "url", "op": "contains", "value": ".COM"}, [True, False]),
    ({"scope": "event", "key": "url", "op": "not_contains", "value": ".com"}, [False, True]),
    ({"scope": "event", "key": "url", "op": "is_set", "value": None}, [True, False]),
    ({"scope": "person", "key": "age", "op": "exact", "value": "20"}, [True, False]),
    ({"scope": "person", "key": "name", "op": "is_not", "value": "Ann"}, [True, True]),
]


def test_an_event_belongs_to_the_person_of_its_id_and_to_nobody_without_one():
    found = posthog.rows(CASE)
    assert [(row["user"], row["event"], row["distinct_id"]) for row in found] == [
        ("a", "x", "b"),
        ("c", "y", "c"),
    ]
    assert [(row["event:url"], row["person:age"]) for row in found] == [("A.Com", "20"), (None, None)]
    by_id = posthog.rows(CASE, {"query": {"unit": "distinct_id"}})
    assert [row["user"] for row in by_id] == ["b", "c"]
    by_age = posthog.rows(CASE, {"query": {"unit": {"scope": "person", "key": "age"}}})
    assert [row["user"] for row in by_age] == ["20"]


@pytest.mark.parametrize(("condition", "expected"), EVERY_OPERATOR, ids=str)
def test_a_condition_row_by_row_and_as_an_expression(condition, expected):
    rows = posthog.rows(CASE, {"query": {"where": [condition]}})
    assert [posthog.holds(condition, row) for row in rows] == expected
    table = posthog.frame(rows)
    assert table.select(posthog.expression(condition).alias("holds"))["holds"].to_list() == expected


def test_trees():
    one, two = EVERY_OPERATOR[0][0], EVERY_OPERATOR[2][0]
    either = posthog.conditions({"where": [], "where_tree": {"or": [{"and": [one, two]}, two]}})
    rows = posthog.rows(CASE)
    assert [posthog.holds(either, row) for row in rows] == [False, True]
    assert posthog.frame(rows).filter(posthog.expression(either))["user"].to_list() == ["c"]
    assert posthog.expression(posthog.conditions({})) is None


def test_a_last_day_is_whole_and_a_last_time_is_inside():
    end = posthog.span({"date_to": "2021-05-07"})[1]
    assert end == datetime(2021, 5, 8, tzinfo=UTC)
    assert posthog.span({"date_to": "2021-05-07 00:00:00"}) == (None, end)
    at = posthog.span({"date_from": "2021-05-01", "date_to": "2021-05-07T06:00:00+00:00"})
    assert at == (datetime(2021, 5, 1, tzinfo=UTC), datetime(2021, 5, 7, 6, 0, 0, 1, tzinfo=UTC))
    start, _ = posthog.span({"date_from": "2024-02-17", "timezone": "US/Pacific"})
    assert start == datetime(2024, 2, 17, 8, tzinfo=UTC)


def test_rows_become_journeys_even_if_there_are_none():
    made = posthog.journeys(posthog.rows(CASE), until=datetime(2020, 1, 9, tzinfo=UTC))
    assert (made.n_users, made.n_sessions, made.n_events) == (2, 2, 2)
    assert sorted(made.property("person:age"), key=str) == ["20", None]
    assert posthog.journeys([]).n_events == 0
