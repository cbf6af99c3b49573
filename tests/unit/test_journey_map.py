"""The measured journey map: its frames, its files, and what it refuses."""

from __future__ import annotations

import json

import polars as pl
import pytest

import journeykit as jk
from journeykit.errors import ParameterError, UnknownNameError
from tests.logs import MINUTE, SECOND
from tests.measuring import journeys_of

HOSTILE = "<script>alert(1)</script> | =1+1"
PATHS = ["view cart buy"] * 6 + ["view cart"] * 2 + ["view view", HOSTILE.replace(" ", "_")]
ROWS = [
    {
        "user": f"u{n}",
        "time": n * 1000 * MINUTE + i * SECOND,
        "event": event.replace("_", " "),
        "channel": ("web", "app")[n % 2],
    }
    for n, path in enumerate(PATHS)
    for i, event in enumerate(path.split())
]
MODEL = jk.StageModel(
    [jk.Stage("look", ["view", HOSTILE]), jk.Stage("want", ["cart"]), jk.Stage("own", "buy")]
)
SAID = pl.DataFrame(
    {
        "user": ["u0", "u0", "u9"],
        "time": [1, 2, 9 * 60_000],
        "value": [2, 9, 0],
        "text": ["meh", "great", "=cmd()|\n**x**"],
    }
)
RATINGS = jk.Ratings("nps", SAID, unit="s", comment="text")
QUESTION = jk.JourneyMap(
    "buy",
    ratings=RATINGS,
    channel="channel",
    min_n=1,
    quotes=2,
    examples=1,
    goals={"look": "Find | a gift"},
    top=1,
)


@pytest.fixture(scope="module")
def journeys():
    return journeys_of(ROWS).assign_stages(MODEL)


@pytest.fixture(scope="module")
def drawn(journeys):
    return journeys.measure(QUESTION)


def test_stages(drawn):
    columns = [
        "stage",
        "visits",
        "users",
        "visited",
        "reached",
        "converted",
        "conversion_rate",
        "ratings",
        "emotion",
    ]
    assert drawn.stages.select(columns).rows() == [
        ("look", 11, 10, 10, 10, 6, 0.6, 1, -1.0),
        ("want", 8, 8, 8, 8, 6, 0.75, 1, -1.0),
        ("own", 6, 6, 6, 6, 0, 0.0, 1, 1.0),
    ]
    assert drawn.stage_names == ("look", "want", "own")


def test_touchpoints_are_ranked_in_their_stage(drawn):
    assert drawn.touchpoints.select(
        "stage", "rank", "touchpoint", "visits", "journeys", "main_channel"
    ).rows() == [
        ("look", 1, "view", 10, 9, "web"),
        ("look", 2, "<OTHER>", 1, None, None),
        ("want", 1, "cart", 8, 8, "app"),
        ("own", 1, "buy", 6, 6, "app"),
    ]
    assert drawn.touchpoints["visit_share"].sum() == pytest.approx(1.0)


def test_the_parts_are_those_of_the_statistics(journeys, drawn):
    pains = journeys.measure(
        jk.PainPoints(jk.Chain("buy", unit="user"), jk.Friction(ratings=RATINGS), examples=1)
    )
    assert drawn.pain_points.equals(pains.frame)
    assert drawn.pain_parts.equals(pains.parts)
    assert drawn.pain_outcomes.equals(pains.outcomes)
    assert drawn.examples.equals(pains.examples)
    emotion = journeys.measure(jk.Emotion(RATINGS, min_n=1, quotes=2))
    assert drawn.quotes.equals(emotion.quotes)
    touchpoints = journeys.measure(jk.Touchpoints("buy", channel="channel"))
    assert drawn.channels.equals(touchpoints.channels)
    assert set(drawn.notes) == {
        *pains.notes,
        *emotion.notes,
        *touchpoints.notes,
        *drawn.answers["stages"].notes,
    }


def test_opportunities_win_something():
    """Cart and pay are peers, and the cart is left more often."""
    paths = ["cart pay buy"] * 6 + ["cart"] * 3 + ["cart pay"]
    rows = [
        {"user": f"u{n}", "time": n * 1000 * MINUTE + i * SECOND, "event": event}
        for n, path in enumerate(paths)
        for i, event in enumerate(path.split())
    ]
    model = jk.StageModel([jk.Stage("want", ["cart", "pay"]), jk.Stage("own", "buy")])
    drawn = journeys_of(rows).assign_stages(model).measure(jk.JourneyMap("buy"))
    assert drawn.opportunities.select("touchpoint", "stage").rows() == [("cart", "want")]
    won = drawn.opportunities["regained_conversions"].item()
    assert won == pytest.approx((10 * (1 - 1 / 7) - 7) * 6 / 7)
    found = (
        drawn.frame.filter(pl.col("row").is_in(["pain", "opportunity"]))
        .select("row", "item", "text", "n")
        .rows()
    )
    assert found == [("pain", "cart", "base", 10), ("opportunity", "cart", None, 10)]


def test_the_map_is_tidy(drawn):
    assert drawn.frame.columns == ["stage", "row", "item", "value", "low", "high", "n", "text"]
    look = drawn.frame.filter(stage="look")
    assert look["row"].unique(maintain_order=True).to_list() == [
        "goal", "users", "visits", "reached", "time", "conversion", "abandonment", "emotion", "response", "touchpoint",
        "channel", "pain", "quote",
    ]  # fmt: skip
    assert look.filter(row="goal")["text"].item() == "Find | a gift"
    assert look.filter(row="conversion").select("value", "n").rows() == [(0.6, 10)]
    assert look.filter(row="touchpoint").select("item", "n", "text").rows() == [("view", 9, "web")]
    assert look.filter(row="quote").select("item", "text").rows() == [(HOSTILE, "=cmd()|\n**x**")]
    own = drawn.frame.filter(stage="own", row="time")
    assert own.select("value", "text").rows() == [(None, "fewer than half have left")]


def test_without_ratings_and_channel(journeys):
    drawn = journeys.measure(jk.JourneyMap("buy"))
    assert drawn.stages["emotion"].to_list() == [None] * 3
    assert drawn.quotes.height == 0
    assert drawn.channels.height == 0
    assert drawn.frame.filter(row="response")["value"].to_list() == [None] * 3


def test_a_map_per_segment(journeys):
    drawn = journeys.measure(QUESTION, by="channel")
    for frame in (
        drawn.frame,
        drawn.stages,
        drawn.touchpoints,
        drawn.pain_points,
        drawn.opportunities,
        drawn.quotes,
    ):
        assert frame.columns[0] == "channel"
    assert drawn.stages.select("channel", "stage", "reached").rows()[:4] == [
        ("app", "look", 5), ("app", "want", 4), ("app", "own", 3), ("web", "look", 5),
    ]  # fmt: skip
    assert drawn.frame["channel"].unique(maintain_order=True).to_list() == ["app", "web"]


def test_rating_events_are_no_touchpoints():
    rows = [{**row, "score": None} for row in ROWS]
    rows.append({**ROWS[0], "time": 10 * SECOND, "event": "rate", "score": 10.0})
    ratings = jk.Ratings("nps", event="rate", value="score")
    drawn = journeys_of(rows).assign_stages(MODEL).measure(jk.JourneyMap("buy", ratings=ratings))
    assert "rate" not in drawn.touchpoints["touchpoint"].to_list()


def test_plans_and_stores_draw_it_too(journeys, drawn, tmp_path):
    store = jk.open_store(journeys.write(tmp_path / "store"))
    assert store.measure(QUESTION).frame.equals(drawn.frame)


def test_files(drawn, tmp_path):
    records = json.loads(drawn.write(tmp_path / "map.json").read_text())
    assert records[0] == {
        "stage": "look", "row": "goal", "item": None, "value": None, "low": None, "high": None, "n": None,
        "text": "Find | a gift",
    }  # fmt: skip
    text = drawn.write(tmp_path / "map.md").read_text()
    lines = text.splitlines()
    assert lines[:3] == [
        "| | look | want | own |",
        "|---|---|---|---|",
        "| **goal** | Find \\| a gift |  |  |",
    ]
    assert "| **conversion** | 60.0 % (31.3 % to 83.2 %) |" in text
    assert "<script>" not in text
    assert "**x**" not in text
    assert all(line.count(" | ") <= 4 for line in lines if line.startswith("| **"))
    assert "- Lost conversions are associations\\: " in text
    cells = drawn.write(tmp_path / "map.csv").read_text()
    assert "'=cmd()" in cells
    pytest.importorskip("xlsxwriter")
    assert drawn.write(tmp_path / "map.xlsx").stat().st_size > 0


def test_markdown_has_a_table_per_segment(journeys, tmp_path):
    drawn = journeys.measure(jk.JourneyMap("buy"), by="channel")
    text = drawn.write(tmp_path / "map.md").read_text()
    assert [line for line in text.splitlines() if line.startswith("##")] == [
        "## channel\\: app",
        "## channel\\: web",
    ]


def test_refused(journeys):
    with pytest.raises(ParameterError) as error:
        jk.JourneyMap("buy", top=0)
    assert str(error.value) == "top must be a whole number from 1 on, not 0."
    with pytest.raises(ParameterError) as error:
        jk.JourneyMap("buy", goals=["look"])
    assert (
        str(error.value) == "goals cannot be ['look']. Give a text by stage, such as {'look': 'Find a gift'}."
    )
    with pytest.raises(ParameterError) as error:
        journeys_of(ROWS).measure(jk.JourneyMap("buy"))
    assert str(error.value) == "JourneyMap needs stages. Call assign_stages(model) first."
    with pytest.raises(UnknownNameError, match="no stage 'lok'"):
        journeys.measure(jk.JourneyMap("buy", goals={"lok": "x"}))
    with pytest.raises(UnknownNameError, match="no event 'by'"):
        journeys.measure(jk.JourneyMap("by"))
