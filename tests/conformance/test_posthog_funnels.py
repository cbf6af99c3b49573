"""The funnels of ``posthog.json``: of the slow twin and of the package, by the same reading of a case. D7, D17."""

from __future__ import annotations

import pytest

from tests import oracle
from tests.conformance import posthog, posthog_funnels
from tests.conformance.posthog_funnels import Asked

pytestmark = pytest.mark.conformance

answerers = pytest.mark.parametrize("answer", ["twin", "package"])


def of(name, answer):
    return getattr(posthog_funnels, f"{name}_of_{answer}" if name else f"of_{answer}")


def agree(found, expected):
    """Compare lists; null in the expected one is not asserted."""
    for own, wanted in zip(found, expected, strict=True):
        if wanted is not None:
            assert own == pytest.approx(wanted), (found, expected)


@answerers
@pytest.mark.parametrize(("case", "check"), posthog.checks("funnel"))
def test_funnel(case, check, answer):
    asked, expected = Asked(case, check), check["expected"]
    found = of("", answer)(asked)
    if expected.get("step_counts"):
        agree(found.counts, expected["step_counts"])
    for step, persons in (expected.get("reached") or {}).items():
        assert found.reached[int(step)] == sorted(persons)
    for step, persons in (expected.get("dropped_before") or {}).items():
        k = int(step)
        assert sorted(set(found.reached[k - 1]) - set(found.reached[k])) == sorted(persons)
    for name, own in (("avg", found.average), ("median", found.median)):
        wanted = expected.get(f"{name}_seconds_from_previous")
        if wanted and not case["timestamps_synthetic"]:
            agree(own, wanted)
    if "groups" in expected or "n_groups" in expected:
        check_groups(of("groups", answer)(asked), expected)


@answerers
@pytest.mark.parametrize(("case", "check"), posthog.checks("funnel_breakdown"))
def test_breakdown(case, check, answer):
    check_groups(of("groups", answer)(Asked(case, check)), check["expected"])


def check_groups(found, expected):
    if "n_groups" in expected:
        assert len(found) == expected["n_groups"]
    for name, wanted in (expected.get("groups") or {}).items():
        agree(found[name].counts, wanted)
    if "groups" in expected:
        assert set(found) == set(expected["groups"])
    for name, persons in (expected.get("group_persons") or {}).items():
        assert found[name].reached[0] == sorted(persons)
    for name, seconds in (expected.get("group_avg_seconds") or {}).items():
        agree(found[name].average[-1:], [seconds])


@answerers
@pytest.mark.parametrize(("case", "check"), posthog.checks("funnel_trend"))
def test_trend(case, check, answer):
    asked, expected = Asked(case, check), check["expected"]
    found = of("trend", answer)(asked)
    starts = sorted(found)
    if "n_periods" in expected:
        assert len(starts) == expected["n_periods"]
    # A period is named by its day, one of an hour by its hour too: "2021-05-01" or "2021-05-01 02:00".
    width = 13 if asked.query["interval"] == "hour" else 10
    by_name = {start.isoformat(" ")[:width]: start for start in starts}
    for row in expected.get("rows") or ():
        start = starts[row["index"]] if "index" in row else by_name[row["period"].replace("T", " ")[:width]]
        check_period(found[start], row, start)
        if "is_period_final" in row:
            assert found[start].final == bool(row["is_period_final"])
    for row in expected.get("actors") or ():
        came = found[by_name[row["period"].replace("T", " ")[:width]]].units
        assert sorted(unit for unit, reached in came.items() if reached != row["dropped_off"]) == sorted(
            row["persons"]
        )


@answerers
def test_a_trend_by_the_hour_has_a_row_for_each(answer):
    """From midnight of one day to that of the sixth day after it, included, are 145 hours."""
    case = {"source": {"engine": "classic-2021"}, "persons": [{"id": "one", "distinct_ids": ["one"]}], "events": [
        {"distinct_id": "one", "event": name, "timestamp": f"2021-05-01T{hour}:00Z"}
        for name, hour in (("step one", "00:00"), ("step two", "01:20"), ("step one", "02:10"))
    ]}  # fmt: skip
    query = {
        "kind": "funnel_trend", "order": "ordered", "steps": [{"event": "step one"}, {"event": "step two"}],
        "window": {"value": 7, "unit": "day"}, "date_from": "2021-05-01 00:00:00", "date_to": "2021-05-07 00:00:00",
        "interval": "hour",
    }  # fmt: skip
    found = of("trend", answer)(Asked(case, {"query": query, "expected": {}}))
    came = {start.isoformat(" ")[:16]: (row.reached_from, row.reached_to) for start, row in found.items()}
    assert len(came) == 145
    assert {start: row for start, row in came.items() if any(row)} == {
        "2021-05-01 00:00": (1, 1), "2021-05-01 02:00": (1, 0),
    }  # fmt: skip


def check_period(found, row, start):
    """Compare one period; its rate is in percent, 2 decimals, and a rate of nothing is printed as 0."""
    if "period" in row:
        assert start.date().isoformat() == row["period"][:10]
    for name, own in (("from", found.reached_from), ("to", found.reached_to)):
        if row.get(f"reached_{name}_step_count") is not None:
            assert own == row[f"reached_{name}_step_count"]
    if row.get("conversion_rate") is not None:
        assert round(100 * (found.rate or 0), 2) == row["conversion_rate"]


@answerers
@pytest.mark.parametrize(("case", "check"), posthog.checks("funnel_time_to_convert"))
def test_time_to_convert(case, check, answer):
    asked, expected = Asked(case, check), check["expected"]
    seconds = of("seconds", answer)(asked)
    least = 3 if asked.classic else 1
    bins = oracle.histogram(seconds, asked.query.get("bin_count"), least)
    if "bins" in expected:
        assert [list(row) for row in bins] == expected["bins"]
    if expected.get("average_seconds") is not None:
        assert sum(seconds) / len(seconds) == pytest.approx(expected["average_seconds"])


@answerers
@pytest.mark.parametrize(("case", "check"), posthog.checks("funnel_correlation"))
def test_correlation(case, check, answer):
    found = of("correlates", answer)(Asked(case, check))
    wanted = {row.get("event", row.get("value")): row for row in check["expected"]["rows"]}
    assert set(found) == set(wanted)
    for name, row in wanted.items():
        own = found[name]
        assert (own.success, own.failure) == (row["success_count"], row["failure_count"])
        assert own.odds_ratio == pytest.approx(row["odds_ratio"])
        assert ("success" if own.odds_ratio > 1 else "failure") == row["correlates_with"]
