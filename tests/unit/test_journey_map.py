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
ENTRY = jk.Segment("channel", name="entry")
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
    assert look.filter(row="channel").select("item", "n").rows() == [("web", 6)]
    assert look.filter(row="pain").select("item", "text").rows() == [(HOSTILE, "base")]
    own = drawn.frame.filter(stage="own", row="time")
    assert own.select("value", "text").rows() == [(None, "fewer than half have left")]


def test_what_costs_nothing_is_no_pain_and_no_opportunity():
    paths = ["view cart help buy"] * 4
    rows = [
        {"user": f"u{n}", "time": n * 1000 * MINUTE + i * SECOND, "event": event}
        for n, path in enumerate(paths)
        for i, event in enumerate(path.split())
    ]
    model = jk.StageModel([jk.Stage("look", ["view", "cart", "help"]), jk.Stage("own", "buy")])
    drawn = journeys_of(rows).assign_stages(model).measure(jk.JourneyMap("buy"))
    look = drawn.pain_points.filter(stage="look")
    assert look["lost_conversions"].to_list() == look["regained_conversions"].to_list() == [0.0] * 3
    assert drawn.opportunities.is_empty()
    assert not {"pain", "opportunity"} & set(drawn.frame["row"])


def test_without_ratings_and_channel(journeys):
    drawn = journeys.measure(jk.JourneyMap("buy"))
    assert drawn.stages["emotion"].to_list() == [None] * 3
    assert drawn.quotes.height == 0
    assert drawn.channels.height == 0
    assert drawn.frame.filter(row="response")["value"].to_list() == [None] * 3


def test_a_map_per_segment(journeys):
    drawn = journeys.measure(QUESTION, by=ENTRY)
    for frame in (
        drawn.frame,
        drawn.stages,
        drawn.touchpoints,
        drawn.pain_points,
        drawn.opportunities,
        drawn.quotes,
    ):
        assert frame.columns[0] == "entry"
    assert drawn.stages.select("entry", "stage", "reached").rows()[:4] == [
        ("app", "look", 5), ("app", "want", 4), ("app", "own", 3), ("web", "look", 5),
    ]  # fmt: skip
    assert drawn.frame["entry"].unique(maintain_order=True).to_list() == ["app", "web"]


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
    records = json.loads(drawn.write(tmp_path / "map.json", suppress=0).read_text())
    assert records[0] == {
        "stage": "look", "row": "goal", "item": None, "value": None, "low": None, "high": None, "n": None,
        "text": "Find | a gift",
    }  # fmt: skip
    text = drawn.write(tmp_path / "map.md", suppress=0).read_text()
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
    cells = drawn.write(tmp_path / "map.csv", suppress=0).read_text()
    assert "'=cmd()" in cells
    pytest.importorskip("xlsxwriter")
    assert drawn.write(tmp_path / "map.xlsx", suppress=0).stat().st_size > 0


def test_markdown_has_a_table_per_segment(journeys, tmp_path):
    drawn = journeys.measure(jk.JourneyMap("buy"), by=ENTRY)
    text = drawn.write(tmp_path / "map.md").read_text()
    assert [line for line in text.splitlines() if line.startswith("##")] == [
        "## entry\\: app",
        "## entry\\: web",
    ]


def written(drawn, folder, **options):
    return pl.read_parquet(drawn.write(folder / "map.parquet", **options))


def test_numbers_about_few_users_are_in_no_file(drawn, tmp_path):
    """Of ten users eight reach the cart and six buy: two stop at each stage before, and all but four are few."""
    shown, whole = written(drawn, tmp_path), written(drawn, tmp_path, suppress=0)
    assert (
        shown.drop("suppressed").select("stage", "row", "item").equals(whole.select("stage", "row", "item"))
    )
    # What stays is as it was.
    for name in ("value", "low", "high", "n"):
        kept = shown[name].is_not_null()
        assert shown[name].filter(kept).equals(whole[name].filter(kept))
        gone = shown[name].is_null() & whole[name].is_not_null()
        assert not (gone & ~shown["suppressed"]).any()
    told = {(row["stage"], row["row"]): row for row in shown.iter_rows(named=True) if row["item"] is None}
    # All ten looked. Six bought, and four of those who looked did not: 6 = 10 - 4 would give the four away.
    assert (told["look", "users"]["value"], told["look", "users"]["suppressed"]) == (10, False)
    assert (told["look", "conversion"]["value"], told["look", "conversion"]["suppressed"]) == (None, True)
    assert told["want", "reached"] | {"text": None} == {
        "stage": "want", "row": "reached", "item": None, "value": None, "low": None, "high": None, "n": None,
        "text": None, "suppressed": True,
    }  # fmt: skip
    # Both raters are few; what they said was asked for, what they marked was not.
    assert told["look", "emotion"]["value"] is None
    assert told["look", "response"]["value"] is None
    quotes = shown.filter(row="quote")
    assert quotes["value"].to_list() == [None] * quotes.height
    assert quotes["text"].null_count() == 0
    # The one visit to it, what it costs and what most of that goes with are one user's.
    assert whole.filter(row="pain", item=HOSTILE).select("n", "text").rows() == [(1, "base")]
    hostile = shown.filter(row="pain", item=HOSTILE)
    assert hostile.drop("stage", "row", "item").rows() == [(None, None, None, None, None, True)]
    assert written(drawn, tmp_path, suppress=2)["suppressed"].sum() < shown["suppressed"].sum()


def test_many_visits_of_few_users_are_withheld(tmp_path):
    """Two of twelve users make all eight visits to one event, all through one channel, and give up there."""
    paths = [("view cart buy", "web")] * 10 + [("odd odd odd odd", "till")] * 2
    rows = [
        {"user": f"u{n}", "time": n * 1000 * MINUTE + i * SECOND, "event": event, "channel": channel}
        for n, (path, channel) in enumerate(paths)
        for i, event in enumerate(path.split())
    ]
    model = jk.StageModel(
        [jk.Stage("look", ["view", "odd"]), jk.Stage("want", ["cart"]), jk.Stage("own", "buy")]
    )
    drawn = journeys_of(rows).assign_stages(model).measure(jk.JourneyMap("buy", channel="channel"))
    shown, whole = written(drawn, tmp_path), written(drawn, tmp_path, suppress=0)
    for row, item in (("channel", "till"), ("pain", "odd")):
        (found,) = whole.filter(row=row, item=item).select("value", "n").rows()
        assert found[0] > 0
        assert found[1] == 8
        told = (
            shown.filter(row=row, item=item).select("value", "low", "high", "n", "text", "suppressed").rows()
        )
        assert told == [(None, None, None, None, None, True)]


def test_no_shown_number_gives_a_withheld_one_away(tmp_path):
    """Who stopped at a stage is who reached it less who reached the next: never one to four."""
    made = jk.datasets.simulate_shop(60, rng=1)
    events = jk.read_events(made.events, user="user", time="time", event="event", keep=["channel", "device"])
    journeys = events.sessionize("30m").assign_stages(jk.stages.five_stage(**made.stages), missing="ignore")
    for options in ({}, {"by": "device"}, {"by": ENTRY}):
        drawn = journeys.measure(jk.JourneyMap("purchase", channel="channel"), **options)
        shown = written(drawn, tmp_path)
        assert shown["suppressed"].any()
        assert not shown["suppressed"].all()
        assert shown.filter(pl.col("row").is_in(["users", "reached"]), pl.col("value") > 0)["n"].min() >= 5
        touchpoints = shown.filter(row="touchpoint", suppressed=False)
        assert touchpoints.filter(
            (pl.col("n") / pl.col("value") - pl.col("n")).is_between(0.5, 4.5)
        ).is_empty()
        labels = drawn.context.labels.columns
        by_segment = (
            shown.filter(row="reached").partition_by(labels) if labels else [shown.filter(row="reached")]
        )
        for reached in by_segment:
            stopped = reached["n"].diff(-1).drop_nulls()
            assert not stopped.is_between(1, 4).any()
        channels = shown.filter(row="channel")
        few = channels.group_by(*labels, "stage").agg(pl.col("suppressed").sum())
        assert 1 not in few["suppressed"].to_list() or options == {"by": ENTRY}


def test_visits_of_pains_are_not_the_rest_of_those_of_the_stage(tmp_path):
    """Of 89 visits to a stage 49 are of one touchpoint and 38 of another, so that the third has two."""
    paths = [["view", "read", "buy"]] * 20 + [["view", "read"]] * 18 + [["view", "odd"]] * 2 + [["view"]] * 9
    rows = [(user, step, event) for user, path in enumerate(paths) for step, event in enumerate(path)]
    log = pl.DataFrame(rows, schema=["user", "time", "event"], orient="row")
    events = jk.read_events(log, user="user", time="time", event="event", unit="s")
    model = jk.StageModel([jk.Stage("look", ["view", "read", "odd"]), jk.Stage("own", "buy")])
    drawn = events.sessionize("30m").assign_stages(model).measure(jk.JourneyMap("buy"))
    counts = {"suppress": 0}, {}
    whole, shown = (written(drawn, tmp_path, **options).filter(stage="look") for options in counts)
    assert whole.filter(row="visits")["value"].to_list() == [89]
    assert whole.filter(row="pain").sort("n").select("item", "n").rows() == [("odd", 2), ("read", 38)]
    assert shown.filter(row="pain")["n"].to_list() == [None, None]
    assert shown.filter(row="opportunity", item="read").select("n", "suppressed").rows() == [(None, True)]


def test_what_is_withheld_is_said(drawn, tmp_path):
    text = drawn.write(tmp_path / "map.md").read_text()
    assert "| **conversion** | &lt;5 | &lt;5 | &lt;5 |" in text
    assert "rows numbers are withheld\\: they are about fewer than 5 users" in text
    few = journeys_of(ROWS[:3]).assign_stages(MODEL, missing="ignore").measure(jk.JourneyMap("buy"))
    with pytest.raises(ParameterError) as error:
        few.write(tmp_path / "few.md")
    assert str(error.value) == (
        "these journeys are of 1 users, and suppress=5 withholds numbers of fewer than 5: nothing is left to report. "
        "Take more users, or pass suppress=0 if nobody else will see it."
    )


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
