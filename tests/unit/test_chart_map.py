"""What the charts of the map, of emotion, touchpoints, pains and of the quality of a log hold."""

from __future__ import annotations

import math

import polars as pl
import pytest

import journeykit as jk
from journeykit.errors import ParameterError
from tests.logs import MINUTE, SECOND
from tests.measuring import journeys_of
from tests.unit.test_charts import assert_drawn

PATHS = ["view cart buy"] * 6 + ["view cart"] * 3 + ["view help"] * 2 + ["view"]
ROWS = [
    {
        "user": f"u{n:02}",
        "time": n * 1000 * MINUTE + i * (i + 1) * SECOND,
        "event": event,
        "channel": ("web", "app", "shop", None)[n % 4],
    }
    for n, path in enumerate(PATHS)
    for i, event in enumerate(path.split())
]
STAGES = [jk.Stage("look", ["view", "help"]), jk.Stage("want", "cart"), jk.Stage("own", "buy")]
SAID = pl.DataFrame(
    {
        "user": [f"u{n:02}" for n in (0, 1, 2, 3, 9)],
        "time": [n * 1000 * 60 + 1 for n in (0, 1, 2)] + [3 * 1000 * 60 + 3, 9 * 1000 * 60 + 1],
        "value": [10, 9, 0, 2, 0],
    }
)
RATINGS = jk.Ratings("nps", SAID, unit="s")


@pytest.fixture(scope="module")
def journeys():
    return journeys_of(ROWS).assign_stages(jk.StageModel(STAGES))


@pytest.fixture(scope="module")
def unstaged():
    return journeys_of(ROWS)


@pytest.fixture(scope="module")
def answer(journeys):
    return journeys.measure(jk.PainPoints(jk.Chain("buy", unit="user"), jk.Friction(ratings=RATINGS)))


@pytest.fixture(scope="module")
def drawn(journeys):
    words = {"look": "Find a gift"}
    return journeys.measure(jk.JourneyMap("buy", ratings=RATINGS, channel="channel", min_n=1, goals=words))


def figure(chart):
    assert_drawn(chart)
    return chart.to_dict()


def of(chart, kind, axis=None):
    return [
        each
        for each in figure(chart)["data"]
        if each["type"] == kind and (axis is None or each.get("yaxis", "y") == axis)
    ]


def subtitle(chart):
    return chart.layout.title.subtitle.text.replace("<br>", " ")


class TestEmotion:
    def test_the_curve_is_that_of_the_stages(self, journeys):
        answer = journeys.measure(jk.Emotion(RATINGS, min_n=2))
        chart = answer.chart()
        (line,) = (each for each in of(chart, "scatter") if each.get("name") == "emotion")
        assert list(line["x"]) == [0, 1, 2]
        assert list(line["y"]) == [0.0, None, None]
        low, high = (each["y"][0] for each in of(chart, "scatter") if each["hoverinfo"] == "skip")
        assert (low, high) == answer.stages.select("emotion_low", "emotion_high").row(0)
        (bars,) = of(chart, "bar")
        assert list(bars["y"]) == [4, 1, 0]
        assert "Means of 5 ratings; 17.2 &#37; of 29 visits were rated." in subtitle(chart)
        assert "Nothing is drawn of fewer than 2 ratings." in subtitle(chart)
        assert "Ratings are from those who answered only" in subtitle(chart)

    def test_touchpoints_are_rows_where_there_are_no_stages(self, unstaged):
        chart = unstaged.measure(jk.Emotion(RATINGS, min_n=1)).chart(top=1)
        (dots,) = of(chart, "scatter")
        assert list(dots["x"]) == [0.0]
        assert chart.layout.yaxis.ticktext == ("view (4)",)
        assert "Shown: 1 touchpoints with most ratings; 1 more have 1 together." in subtitle(chart)

    def test_segments_are_lines(self, journeys):
        chart = journeys.measure(jk.Emotion(RATINGS, min_n=1), by="channel").chart()
        names = {each["name"] for each in of(chart, "bar")}
        assert names == {"app", "shop", "web"}

    def test_it_refuses_what_it_cannot_draw(self, journeys, unstaged):
        answer = journeys.measure(jk.Emotion(RATINGS))
        with pytest.raises(
            ParameterError, match=r"of cannot be 'event'\. Choose one of: 'stage', 'touchpoint'"
        ):
            answer.chart(of="event")
        with pytest.raises(ParameterError, match="top must be at least 1, not 0"):
            answer.chart(top=0)
        empty = unstaged.measure(jk.Emotion(RATINGS)).chart(of="stage")
        assert empty.layout.annotations[0].text == "There are no ratings."


class TestTouchpoints:
    def test_channels_are_shares_of_every_touchpoint(self, journeys):
        answer = journeys.measure(jk.Touchpoints("buy", channel="channel", offline="shop"))
        chart = answer.chart()
        (heat,) = of(chart, "heatmap")
        rows = list(chart.layout.yaxis2.ticktext)
        assert rows == [
            "<b>look</b>",
            "view (12)",
            "help (2)",
            "<b>want</b>",
            "cart (9)",
            "<b>own</b>",
            "buy (6)",
        ]
        columns = list(chart.layout.xaxis2.ticktext)
        assert columns == ["app", "web", "shop<br>(offline)", "(unknown)"]
        at = rows.index("cart (9)")
        # Of the nine carts u00 to u08: web 0 4 8, app 1 5, shop 2 6, unknown 3 7.
        assert list(heat["z"][at]) == pytest.approx([200 / 9, 300 / 9, 200 / 9, 200 / 9])
        assert all(value is None or math.isnan(value) for value in heat["z"][0])

    def test_stages_are_divided_by_channel_and_offline_is_hatched(self, journeys):
        chart = journeys.measure(jk.Touchpoints("buy", channel="channel", offline="shop")).chart()
        bars = {each["name"]: each for each in of(chart, "bar")}
        assert list(bars) == ["app", "web", "shop (offline)", "(unknown)"]
        assert dict(zip(bars["web"]["y"], bars["web"]["x"], strict=True)) == {0: 3, 1: 3, 2: 2}
        # Of the 14 visits to look, of the 9 to want, of the 6 to own.
        shares = [told.split("share: ")[1] for told in bars["web"]["hovertext"]]
        assert shares == ["21.4 %", "33.3 %", "33.3 %"]
        assert [name for name, each in bars.items() if "pattern" in each["marker"]] == ["shop (offline)"]
        assert sum(sum(each["x"]) for each in bars.values()) == len(ROWS)
        assert "Hatched and marked: offline channels." in subtitle(chart)

    def test_rare_channels_are_added_up(self, journeys):
        chart = journeys.measure(jk.Touchpoints(channel="channel")).chart(channels=1, top=2)
        names = [each["name"] for each in of(chart, "bar")]
        assert names == ["app", "&lt;OTHER&gt;", "(unknown)"]
        assert sum(sum(each["x"]) for each in of(chart, "bar")) == len(ROWS)
        assert "2 channels with fewer visits are added up as &lt;OTHER&gt;." in subtitle(chart)
        assert "The 2 touchpoints of most journeys; 2 others are left out." in subtitle(chart)

    def test_without_channels_it_counts_visits(self, unstaged):
        chart = unstaged.measure(jk.Touchpoints()).chart()
        (bars,) = of(chart, "bar")
        assert list(bars["x"]) == [12, 9, 6, 2]
        assert chart.layout.title.text == "Touchpoints: visits"
        with pytest.raises(ParameterError, match="top and channels must be at least 1, not 0 and 7"):
            unstaged.measure(jk.Touchpoints()).chart(top=0)


class TestPains:
    def test_parts_add_up_to_the_total(self, answer):
        chart = answer.chart()
        (total,) = of(chart, "scatter")
        ranked = answer.frame.drop_nulls("lost_conversions").sort("lost_conversions", descending=True)
        assert list(chart.layout.yaxis.ticktext) == ranked["touchpoint"].to_list()
        assert list(total["x"]) == pytest.approx(ranked["lost_conversions"].to_list())
        summed = dict.fromkeys(total["y"], 0.0)
        for bar in of(chart, "bar"):
            for row, value in zip(bar["y"], bar["x"], strict=True):
                summed[row] += value
        assert list(summed.values()) == pytest.approx(list(total["x"]))
        high = ranked["lost_conversions_high"] - ranked["lost_conversions"]
        assert list(total["error_x"]["array"]) == pytest.approx(high.fill_null(0.0).to_list())
        assert "Of 12 paths, 6 converted." in subtitle(chart)
        assert "Only an experiment proves" in subtitle(chart)

    def test_it_says_what_is_left_out(self, answer):
        chart = answer.chart(top=1)
        left = answer.frame.drop_nulls("lost_conversions").height - 1
        assert f"The 1 that lose most; {left} others are left out" in subtitle(chart)

    def test_it_refuses_what_it_cannot_draw(self, answer):
        with pytest.raises(ParameterError) as caught:
            answer.chart(value="value")
        assert str(caught.value) == (
            "value cannot be 'value': the conversions of this answer have none. Pass value= to Chain."
        )
        with pytest.raises(ParameterError, match="value cannot be 'money'"):
            answer.chart(value="money")


class TestMap:
    def test_its_rows_are_those_of_the_map(self, drawn):
        chart = drawn.chart()
        heads = [each.text for each in chart.layout.annotations if each.xref == "paper"]
        assert heads == [
            "<b>Journeys that were there</b>",
            "<b>Median time in the stage</b>",
            "<b>Touchpoints: share of the journeys</b>",
            "<b>Emotion, from -1 to 1, and how many ratings</b>",
            "<b>Pain points: lost conversions</b>",
        ]
        said = [each.text for each in chart.layout.annotations if each.xref != "paper"]
        assert said[:3] == ["<b>look</b><br>Find a gift", "<b>want</b>", "<b>own</b>"]
        assert said[3:6] == ["12 (100 %)", "9 (75.0 %)", "6 (50.0 %)"]
        assert "Of 12 journeys, 12 of them with a stage." in subtitle(chart)

    def test_bars_and_curve_are_the_numbers_of_the_stages(self, drawn):
        chart = drawn.chart()
        _, visited, *items = of(chart, "bar")
        assert list(visited["y"]) == drawn.stages["visited"].to_list()
        (time,) = (each for each in of(chart, "scatter", "y3") if each["mode"] == "markers")
        medians = [None if each == math.inf else each for each in drawn.stages["dwell_median"]]
        drawn_at = [None if y is None or math.isnan(y) else 10**y - 1 for y in time["y"]]
        assert drawn_at == [None if each is None else pytest.approx(each) for each in medians]
        (curve,) = (each for each in of(chart, "scatter") if each.get("name") == "emotion")
        assert list(curve["y"]) == drawn.stages["emotion"].to_list()
        assert len(items) == 2  # Nothing is to be won: help has no peers.

    def test_things_stand_in_their_stage_the_largest_first(self, drawn):
        chart = drawn.chart(top=1)
        shown = [each["text"] for each in of(chart, "scatter") if each["mode"] == "text"]
        assert [text.split("<br>")[0] for text in shown[0]] == ["view", "cart", "buy"]
        bars = of(chart, "bar")[2]
        assert list(bars["base"]) == pytest.approx([i - 0.46 for i in range(3)])
        assert list(bars["x"]) == pytest.approx([0.92, 0.92 * 9 / 12, 0.92 * 6 / 12])
        left = drawn.pain_points.filter(pl.col("lost_conversions") > 0).height - len(shown[1])
        assert "touchpoints (1)" in subtitle(chart)
        assert (f"pains ({left})" in subtitle(chart)) == (left > 0)

    def test_opportunities_are_shown_where_there_are_some(self):
        """Cart and pay are peers, and the cart is left more often."""
        paths = ["cart pay buy"] * 6 + ["cart"] * 3 + ["cart pay"]
        rows = [
            {"user": f"u{n}", "time": n * 1000 * MINUTE + i * SECOND, "event": event}
            for n, path in enumerate(paths)
            for i, event in enumerate(path.split())
        ]
        model = jk.StageModel([jk.Stage("want", ["cart", "pay"]), jk.Stage("own", "buy")])
        answer = journeys_of(rows).assign_stages(model).measure(jk.JourneyMap("buy"))
        chart = answer.chart()
        texts = [each for each in of(chart, "scatter") if each["mode"] == "text"][-1]
        won = answer.opportunities["regained_conversions"].to_list()
        assert [text.split(" [")[0] for text in texts["text"]] == [f"cart<br>{won[0]:.3g}"]
        assert chart.layout.annotations[-1].text.startswith("<b>Opportunities")

    def test_a_segment_is_shown_at_a_time(self, journeys):
        answer = journeys.measure(jk.JourneyMap("buy"), by=jk.Segment("channel", name="entry"))
        chart = answer.chart(segment={"entry": "web"})
        assert chart.layout.title.text == "Customer journey map: web"
        assert "Of 3 journeys" in subtitle(chart)
        assert "There are no ratings to draw an emotion of." in subtitle(chart)
        assert "1 of 4 segments and periods are shown" in subtitle(answer.chart())

    def test_many_stages_are_left_out_and_hostile_names_shown(self):
        names = [f"<i>{i}$%" for i in range(12)]
        rows = [
            {"user": f"u{user}", "time": user * 9 * MINUTE + i, "event": name}
            for user in range(3)
            for i, name in enumerate(names)
        ]
        model = jk.StageModel([jk.Stage(name, [name]) for name in names])
        chart = journeys_of(rows).assign_stages(model).measure(jk.JourneyMap(names[-1])).chart(theme="dark")
        assert "The last 2 stages are left out." in subtitle(chart)
        heads = [each.text for each in chart.layout.annotations if each.xref != "paper"][:10]
        assert heads[3] == "<b>&lt;i&gt;3&#36;&#37;</b>"

    def test_it_refuses_a_top_of_nothing(self, drawn):
        with pytest.raises(ParameterError, match="top must be at least 1, not 0"):
            drawn.chart(top=0)


class TestQuality:
    def test_findings_and_odd_rows_are_counted(self):
        log = pl.DataFrame(
            {"user": ["ada", "ada", "qa-1", None], "time": [0, 0, 7200, 7300], "event": ["view"] * 4}
        )
        events = jk.read_events(log, user="user", time="time", event="event", unit="s", on_invalid="drop")
        report = events.check()
        chart = report.chart()
        found, odd, users = of(chart, "bar")
        rules = report.failed()
        assert list(chart.layout.yaxis.ticktext) == [rule.replace("_", " ") for rule in rules]
        assert list(found["x"]) == [report.frame.filter(rule=rule).height for rule in rules]
        shares = dict(zip(chart.layout.yaxis2.ticktext, odd["x"], strict=True))
        assert shares["invalid user"] == pytest.approx(25.0)
        assert shares["duplicates"] == pytest.approx(25.0)
        assert shares["before 1990"] == pytest.approx(100.0)
        assert list(users["x"]) == [
            events.quality.events_per_user[p] for p in (0, 25, 50, 75, 90, 95, 99, 100)
        ]
        assert f"{report.frame.height} findings of {len(rules)} of 14 rules." in subtitle(chart)
        assert len(of(events.quality.chart(theme="dark"), "bar")) == 2
        with pytest.raises(ParameterError, match="top must be at least 1, not 0"):
            report.chart(top=0)
        with pytest.raises(ParameterError, match="the chart of a Quality has no option 'top'"):
            events.quality.chart(top=3)

    def test_a_log_without_findings_says_so(self):
        log = pl.DataFrame({"user": ["ada"], "time": [1_767_225_600], "event": ["view"]})
        events = jk.read_events(log, user="user", time="time", event="event", unit="s")
        chart = events.check().chart()
        assert "Nothing odd was found." in subtitle(chart)
        assert len(of(chart, "bar")) == 2
