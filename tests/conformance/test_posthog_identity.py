"""Persons of several ids: the logs of PostHog's own tests, stitched by an identity made of the persons."""

from __future__ import annotations

import polars as pl
import pytest

import journeykit as jk
from tests.conformance import posthog

pytestmark = pytest.mark.conformance

SEVERAL = [
    case for case in posthog.cases() if any(len(person["distinct_ids"]) > 1 for person in case["persons"])
]


def identity_of(case):
    """Every id of a person beside the first of them."""
    rows = [
        {"one": person["distinct_ids"][0], "other": name}
        for person in case["persons"]
        for name in person["distinct_ids"]
    ]
    return jk.Identity.of(pl.DataFrame(rows), {"one": "distinct_id", "other": "distinct_id"})


@pytest.mark.skipif(
    not posthog.cases(), reason=f"needs {posthog.FILE}; set JOURNEYKIT_SHARED to where the folder is"
)
def test_there_are_such_cases():
    assert len(SEVERAL) > 10


@pytest.mark.parametrize("case", SEVERAL, ids=lambda case: case["id"])
def test_events_are_those_of_the_persons(case):
    log = pl.DataFrame(
        [
            {
                "user": event["distinct_id"],
                "time": posthog.microseconds(posthog.moment(event["timestamp"])),
                "event": event["event"],
            }
            for event in case["events"]
        ]
    )
    identity = identity_of(case)
    events = jk.read_events(log, user="user", time="time", event="event", unit="us").stitch(
        identity, unmapped="drop"
    )
    owner = {name: person["id"] for person in case["persons"] for name in person["distinct_ids"]}
    wanted = [(owner[row["user"]], row["event"]) for row in log.iter_rows(named=True) if row["user"] in owner]
    # A person may be called differently here: by the first of the person's ids in the order of their bytes.
    named = {min(person["distinct_ids"], key=str.encode): person["id"] for person in case["persons"]}
    assert [
        (named[user], event) for user, event in events.frame.select("user", "event").iter_rows()
    ] == wanted


@pytest.mark.parametrize(
    "case", [case for case in SEVERAL if case["id"] == "funnel-basic-identity-wrong-order"]
)
def test_the_funnel_of_merged_ids(case):
    log = pl.DataFrame(
        [
            {"user": event["distinct_id"], "time": number, "event": event["event"]}
            for number, event in enumerate(case["events"])
        ]
    )
    plan = jk.scan_events(log, user="user", time="time", event="event", unit="s").stitch(
        identity_of(case), unmapped="drop"
    )
    check = case["checks"][0]
    steps = [step["event"] for step in check["query"]["steps"]]
    answer = plan.sessionize("30m").measure(jk.Funnel(steps, within="14d"))
    assert answer.frame["reached"].to_list() == check["expected"]["step_counts"]
