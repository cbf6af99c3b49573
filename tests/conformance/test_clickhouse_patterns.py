"""ClickHouse's sequenceMatch, sequenceCount, sequenceMatchEvents, sequenceNextNode and retention. D8.10, D8.11."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

import journeykit as jk

CASES = Path(__file__).parents[3] / "shared" / "conformance" / "clickhouse.json"
FAMILIES = ("sequenceMatch", "sequenceCount", "sequenceMatchEvents", "sequenceNextNode", "retention")

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.skipif(not CASES.exists(), reason=f"the cases of ClickHouse are not at {CASES}"),
]


def cases():
    listed = json.loads(CASES.read_text()) if CASES.exists() else []
    return [pytest.param(case, id=case["id"]) for case in listed if case["function"] in FAMILIES]


def journeys_of_case(case):
    """Read the events of a case: times in seconds, the fourth field as a property, ties by name for the next node."""
    by_name = case["function"] == "sequenceNextNode"
    rows = [(*event, *[None] * (4 - len(event))) for event in case["events"]]
    log = pl.DataFrame(
        rows, orient="row", schema={"user": pl.Int64, "ts": pl.Int64, "label": pl.String, "of": pl.String}
    )
    log = log.with_columns(pl.col("label").rank("dense").alias("place"))
    events = jk.read_events(
        log, user="user", time="ts", event="label", unit="s", keep=["of"], order="place" if by_name else None
    )
    return events.sessionize(None)


def by_user(frame, column):
    return {str(user): value for user, value in frame.select("user", column).iter_rows()}


def answers(case):
    """Ask the question of a case; return the answer of every user."""
    journeys, asked = journeys_of_case(case), case["params"]
    conditions = asked["conditions"]
    if case["function"] == "retention":
        return by_user(jk.ConditionsMet(conditions, missing="ignore").per_unit(journeys), "met")
    if case["function"] == "sequenceNextNode":
        run = " -> ".join("[" + "|".join(map(jk.Pattern.quoted, one)) + "]" for one in conditions)
        where = asked["base_condition"]
        question = jk.NextEvent(
            jk.Pattern(run, unit="user", missing="ignore") if run else None,
            asked["direction"], asked["base"], where if where is None else pl.col("of") == where, unit="user",
        )  # fmt: skip
        return by_user(question.per_unit(journeys), "next")
    pattern = jk.Pattern.clickhouse(asked["pattern"], conditions, missing="ignore")
    if case["function"] == "sequenceMatchEvents":
        found = journeys.match(pattern, prefixes=True).frame.filter(pl.col("element") != ".")
        users = dict.fromkeys((str(user) for user in journeys.users), ())
        for user, time in found.select("user", pl.col("time").dt.epoch("s")).iter_rows():
            users[str(user)] += (time,)
        return {user: list(times) for user, times in users.items()}
    counts = by_user(journeys.match(pattern, "all").units, "matches")
    most = 1 if case["function"] == "sequenceMatch" else max(counts.values())
    return {user: min(count, most) for user, count in counts.items()}


@pytest.mark.parametrize("case", cases())
def test_clickhouse(case):
    expected = case["expected"]
    if "error" in expected:
        with pytest.raises(jk.errors.PatternError):
            answers(case)
        return
    found = answers(case)
    if "sums" in expected:
        assert [sum(each) for each in zip(*found.values(), strict=True)] == expected["sums"]
    else:
        assert found == expected
