"""Navigation games that were given up: reasons and back clicks. Published case I06."""

from __future__ import annotations

import json

import polars as pl
import pytest

import journeykit as jk

pytestmark = pytest.mark.conformance


def test_unfinished_games(shared_data, conformance):
    """Each game is a user; a click is an event, and how the game ended is the last one."""
    cases = json.loads((conformance / "published.json").read_text())["cases"]
    expected = next(case["expected"] for case in cases if case["id"] == "I06_wikispeedia")
    lines = (shared_data / "wikispeedia" / "paths_unfinished.tsv").read_text("utf-8").splitlines()
    rows = [line.split("\t") for line in lines if line and not line.startswith("#")]
    assert len(rows) == expected["unfinished"]
    games = pl.DataFrame({
        "game": range(len(rows)),
        "time": [int(row[1]) for row in rows],
        "event": [[*("back" if click == "<" else "page" for click in row[3].split(";")), row[5]] for row in rows],
    })  # fmt: skip
    order = games.with_columns(place=pl.int_ranges(pl.col("event").list.len())).explode("event", "place")
    journeys = jk.read_events(
        order, user="game", time="time", event="event", order="place", unit="s"
    ).sessionize("30m")
    graph = journeys.measure(jk.Transitions(unit="user"))
    ends = dict(graph.frame.filter(pl.col("target") == "<END>").select("source", "transitions").iter_rows())
    assert ends == {"restart": expected["restart"], "timeout": expected["timeout"]}
    back = graph.states.filter(pl.col("state") == "back")
    assert back["visits"].item() == expected["unfinished_backclicks"]
    assert back["users"].item() == expected["unfinished_paths_with_backclick"]
    finished = (shared_data / "wikispeedia" / "wikipedia_clickstreams.ngram").read_text("utf-8").splitlines()
    assert len(finished) == expected["finished"]
    rate = len(finished) / (len(finished) + journeys.n_users)
    assert rate == pytest.approx(expected["finish_rate"], abs=1e-12)
