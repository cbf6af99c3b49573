"""The way of the data, written as a user writes it: the whole chain on a log that ships with the package."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import polars as pl
import pytest

import journeykit as jk

STAGES = """
[[stages]]
name = "awareness"
rules = [["home", "promo_page"]]

[[stages]]
name = "consideration"
rules = [["catalog", "search", "filter_results", "compare", "wishlist_add"], { glob = "product_*" }]

[[stages]]
name = "purchase"
rules = [["add_to_cart", "cart", "shipping_details", "payment_details", "purchase"]]

[[stages]]
name = "loyalty"
priority = 1
rules = [{ names = ["purchase"], nth = 2, min_gap = "1d" }]
"""
FLOW = ["source", "target", "transitions", "sessions", "users", "probability", "low", "high"]


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "stages.toml"
    path.write_text(STAGES, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("logs") / "log.parquet"
    pl.read_csv(jk.datasets.shop(), try_parse_dates=True).write_parquet(path)
    return path


@pytest.fixture(scope="module")
def journeys(log: Path, stages: Path) -> jk.Journeys:
    return (
        jk.read_events(
            log,
            user="user_id",
            time="timestamp",
            event="event",
            keep=["platform", "acquisition_channel"],
        )
        .sessionize(timeout="30m")
        .assign_stages(jk.StageModel.load(stages))
    )


def test_the_chain_makes_staged_journeys(journeys: jk.Journeys) -> None:
    assert (journeys.n_users, journeys.n_sessions, journeys.n_events) == (600, 3_605, 31_106)
    assert journeys.stage_names == ("awareness", "consideration", "purchase", "loyalty")
    assert journeys.kept == ("platform", "acquisition_channel")


def test_transitions_are_a_frame_a_graph_and_chances(journeys: jk.Journeys) -> None:
    flow = journeys.measure(jk.Transitions(of="event", unit="session"))
    assert set(FLOW) <= set(flow.frame.columns)
    graph = flow.to_networkx()
    assert isinstance(graph, nx.DiGraph)
    row = flow.frame.row(0, named=True)
    assert graph.edges[row["source"], row["target"]]["transitions"] == row["transitions"]
    chances = flow.conversion("purchase")
    assert chances.columns == ["state", "visits", "probability", "low", "high"]
    assert chances["state"].n_unique() == chances.height == len(journeys.names)


def test_an_exit_rate_has_the_interval_of_its_transition(journeys: jk.Journeys) -> None:
    flow = journeys.measure(jk.Transitions())
    exits = flow.frame.filter(target="<END>").select("source", "probability", "low", "high").sort("source")
    names = ("exit_rate", "exit_rate_low", "exit_rate_high")
    of_states = flow.states.select(
        source="state", **dict(zip(("probability", "low", "high"), names, strict=True))
    )
    found = of_states.join(exits.select("source"), on="source", how="semi").sort("source")
    assert [row[:2] for row in found.rows()] == [row[:2] for row in exits.rows()]
    for end in ("low", "high"):
        assert found[end].to_list() == pytest.approx(exits[end].to_list())


def test_several_questions_by_segment(journeys: jk.Journeys) -> None:
    conversion, paths = journeys.measure(jk.Conversion("purchase"), jk.TopPaths(20), by="platform")
    for answer in (conversion, paths):
        assert answer.frame["platform"].unique().sort().to_list() == ["desktop", "mobile", "tablet"]
    assert paths.frame.group_by("platform").len()["len"].to_list() == [20, 20, 20]


def test_every_statistic_answers_and_is_written(journeys: jk.Journeys, tmp_path: Path) -> None:
    questions = {
        "overview": jk.Overview(goal="purchase"),
        "transitions": jk.Transitions(of="stage"),
        "top_paths": jk.TopPaths(20),
        "conversion": jk.Conversion("purchase"),
        "abandonment": jk.Abandonment("purchase", "add_to_cart", unit="session"),
        "stage_flow": jk.StageFlow(),
    }
    for options in ({}, {"by": "platform", "every": "1mo"}):
        answers = journeys.measure(*questions.values(), **options)
        for name, answer in zip(questions, answers, strict=True):
            assert answer.frame.height, name
            assert answer.frame.columns[: len(options)] == (["platform", "period"] if options else [])
            assert name.replace("_", "").lower() in repr(answer).replace("_", "").lower()
            assert "<table" in answer._repr_html_()
        answered = dict(zip(questions, answers, strict=True))
        for name in ("overview", "conversion", "abandonment", "stage_flow"):
            path = answered[name].write(tmp_path / f"{name}.parquet")
            assert pl.read_parquet(path).equals(answered[name].frame)


def test_the_same_verbs_on_a_plan(log: Path, stages: Path, journeys: jk.Journeys) -> None:
    plan = (
        jk.scan_events(
            log, user="user_id", time="timestamp", event="event", keep=["platform", "acquisition_channel"]
        )
        .sessionize("30m")
        .assign_stages(jk.StageModel.load(stages))
    )
    asked = jk.Transitions()
    assert plan.measure(asked, engine=jk.InMemory()).frame.equals(journeys.measure(asked).frame)
