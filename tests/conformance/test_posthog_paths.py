"""Paths of PostHog, both versions. D3.3, D3.4, D8.3, D8.4, D8.14."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import polars as pl
import pytest

import journeykit as jk
from tests.conformance import posthog, posthog_funnels
from tests.conformance.posthog_funnels import Asked, funnel

pytestmark = pytest.mark.conformance

SLASH = jk.PathCleaning(strip_trailing_slash=True)
NAMED_BY = {"$pageview": "event:$current_url", "$screen": "event:$screen_name"}
EDGE = ("step", "source", "target")
SPECIAL = {"<END>": "<dropoff>", "<OTHER>": "<other>"}
FORTNIGHT = 14 * 86_400


def item(row: posthog.Row) -> str:
    """Return what a path item is called: a page by its address, a screen by its name."""
    if row["event"] not in NAMED_BY:
        return str(row["event"])
    named = row.get(NAMED_BY[row["event"]]) or ""
    return SLASH.renamed([named])[0] if row["event"] == "$pageview" else named


def included(row: posthog.Row, include: Any) -> bool:
    """Whether a kind of event was asked for: pages, screens, all others."""
    event = row["event"]
    kind = event if event.startswith("$") else "custom_event"
    return not include or kind in include


def path_rows(case: posthog.Case, check: Mapping[str, Any]) -> list[posthog.Row]:
    """Return the events that paths are made of, under the names of path items."""
    query = check["query"]
    rows = posthog.rows(case, check)
    if query.get("funnel"):
        places = places_around_funnel(case, check)
        rows = [row for place, row in enumerate(rows) if place in places]
    rows = posthog.within(rows, *posthog.span(query))
    rows = [row for row in rows if posthog.holds(posthog.conditions(query), row)]
    kept = [row for row in rows if included(row, query.get("include"))]
    return [{**row, "event": item(row), "person": row["user"]} for row in kept]


def cleaning(query: Mapping[str, Any]) -> jk.PathCleaning:
    """Return the names that a query makes alike, and those that it leaves out."""
    return jk.PathCleaning(
        rules=[(rule["regex"], rule["alias"]) for rule in query.get("regex_cleaning") or ()],
        groups=query.get("wildcard_groups") or (),
        exclude=query.get("exclude") or (),
    )


def journeys_of(case: posthog.Case, check: Mapping[str, Any]) -> jk.Journeys:
    query = check["query"]
    default = FORTNIGHT if query.get("dropoff_node") else 1_800
    gap = timedelta(seconds=query.get("session_gap_seconds") or default)
    if query.get("funnel"):
        gap = posthog.duration(conversion_window(query["funnel"]))
    rule = jk.SessionRule(gap, timeout_inclusive=True)
    return posthog.journeys(path_rows(case, check), timeout=rule).clean(cleaning(query), missing="ignore")


def anchors(query: Mapping[str, Any]) -> dict[str, str]:
    """Return the ends of the paths, without a slash behind them."""
    return {role: SLASH.renamed([query[role]])[0] for role in ("start", "end") if query.get(role)}


def flow_of(query: Mapping[str, Any]) -> jk.Flow:
    if query.get("dropoff_node"):
        asked = {
            "max_steps": "max_steps",
            "max_nodes_per_step": "top",
            "collapse_repeats": "collapse_repeats",
        }
        given = {name: query[key] for key, name in asked.items() if query.get(key) is not None}
        return jk.Flow.posthog_v2(**given)
    asked = {
        "step_limit": "max_steps",
        "edge_limit": "edge_limit",
        "min_edge_weight": "min_weight",
        "max_edge_weight": "max_weight",
    }
    given = {name: query[key] for key, name in asked.items() if query.get(key) is not None}
    return jk.Flow.posthog(**given, **anchors(query), missing="ignore")


def edges_of(frame: pl.DataFrame, expected: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return edges as the cases write them, with the time only where it is expected."""
    timed = any("avg_ms" in edge for edge in expected.get("edges", ()))
    found = []
    for row in frame.iter_rows(named=True):
        edge = {name: SPECIAL.get(row[name], row[name]) for name in EDGE} | {"count": row["paths"]}
        found.append(edge | ({"avg_ms": pytest.approx(row["time_mean"] * 1_000)} if timed else {}))
    return found


@pytest.mark.parametrize("case, check", posthog.checks("paths", "flow"))
def test_edges(case, check):
    query, expected = check["query"], check["expected"]
    journeys = journeys_of(case, check)
    frame = journeys.measure(flow_of(query)).frame
    if query.get("only_step"):
        frame = frame.filter(pl.col("step") == query["only_step"])
    found = edges_of(frame, expected)
    if "n_edges" in expected:
        assert len(found) == expected["n_edges"]
    assert_edges(found, expected, by_weight=not query.get("dropoff_node"))
    assert_persons(journeys, flow_of(query), expected)


def assert_edges(found, expected, *, by_weight):
    """Compare all edges, and their order where it is decided."""
    wanted = expected.get("edges")
    if wanted is None:
        return
    if expected.get("edges_complete", True):
        assert len(found) == len(wanted)
    for edge in wanted:
        assert edge in found
    if by_weight and expected.get("edges_order_asserted", True) and len(found) == len(wanted):
        assert found == wanted
    if not by_weight:
        assert [rank(edge) for edge in found] == sorted(rank(edge) for edge in found)
        assert [rank(edge) for edge in found] == [rank(edge) for edge in wanted]


def rank(edge):
    """The order of version 2: by step, named targets first, the heaviest first. It leaves ties open."""
    kinds = {"<dropoff>": 1, "<other>": 2}
    return edge["step"], kinds.get(edge["target"], 0), -edge["count"]


def assert_persons(journeys, flow, expected):
    """Compare who is on an edge."""
    asked = [*expected.get("edge_persons", ()), *expected.get("edge_person_counts", ())]
    if not asked:
        return
    of_person = journeys.measure(flow, by="person").frame
    for edge in asked:
        on_it = of_person.filter(
            pl.col("step") == edge["source_step"],
            pl.col("source") == edge["source"],
            pl.col("target") == edge["target"],
            pl.lit(edge["target_step"]) == edge["source_step"] + 1,
        )
        assert on_it["person"].n_unique() == edge.get("n_persons", len(edge.get("persons", ())))
        if "persons" in edge:
            assert sorted(on_it["person"]) == sorted(edge["persons"])


def places_around_funnel(case: posthog.Case, check: Mapping[str, Any]) -> set[int]:
    """Return which rows are around a step of a funnel: k, who reached it (from 1); -k, who dropped before it."""
    query = check["query"]
    dates = {name: query.get(name) for name in ("date_from", "date_to")}
    given = {"order": "ordered", "window": conversion_window(query["funnel"]), **query["funnel"], **dates}
    asked = Asked(case, {**check, "query": given})
    step, part = query["funnel"]["funnel_step"], query["funnel"]["mode"].partition("_")[0]
    kept = funnel(asked).around(posthog_funnels.journeys_of(asked), abs(step), part, dropped=step < 0)
    return {*kept.rows.tolist()}


def conversion_window(funnel: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the window of a funnel, 14 days by default."""
    return funnel.get("window") or {"value": 14, "unit": "day"}
