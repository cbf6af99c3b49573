"""What charts hold: the numbers of their answers, in the right places."""

from __future__ import annotations

import json
from datetime import datetime

import polars as pl
import pytest

import journeykit as jk
from journeykit.charts.layered import layered
from journeykit.errors import ParameterError, UnknownNameError
from tests.logs import ABANDONED_CARTS, SMALL_SHOP, THREE_WEEKS, log
from tests.measuring import journeys_of, many_users
from tests.property.test_law import MODEL, rows_of


@pytest.fixture(scope="module")
def shop():
    return journeys_of(SMALL_SHOP)


@pytest.fixture(scope="module")
def journeys():
    return journeys_of(rows_of(1)).assign_stages(MODEL)


def traces(chart, kind):
    return [each for each in chart.to_dict()["data"] if each["type"] == kind]


def plain(values):
    return [None if value is None else round(float(value), 6) for value in values]


def subtitle(chart):
    return chart.layout.title.subtitle.text.replace("<br>", " ")


# Funnel of SMALL_SHOP: view 3 (ann, bob, cid), cart 2 (ann, bob), purchase 1 (ann).


def test_a_funnel_says_who_went_on(shop):
    chart = shop.measure(jk.Funnel(["view", "cart", "purchase"], within="1h")).chart()
    on, still, off = traces(chart, "bar")
    assert [each["name"] for each in (on, still, off)] == ["went on", "still may", "did not"]
    reached = [sum(each) for each in zip(*(plain(trace["x"]) for trace in (on, still, off)), strict=True)]
    assert reached == pytest.approx([100, 200 / 3, 100 / 3])
    assert plain(on["x"]) == pytest.approx([200 / 3, 100 / 3, 100 / 3], abs=1e-5)
    heads = [each.text for each in chart.layout.annotations]
    assert heads[0].startswith("<b>view</b>: 3, 100 %")
    assert heads[1].startswith("<b>cart</b>: 2, 66.7 %, 66.7 % of step before")
    assert chart.layout.title.text == "Funnel from view to purchase within 1h"
    assert "Shares are of the 3 users at the first step." in subtitle(chart)


def test_who_still_may_go_on_has_not_dropped_out():
    """When the log ends at minute 70, w and x have had less than an hour; v has had more."""
    rows = log("u 0 view; u 5 cart; v 5 view; w 65 view; x 70 view")
    chart = journeys_of(rows).measure(jk.Funnel(["view", "cart"], within="1h")).chart()
    assert [plain(trace["x"]) for trace in traces(chart, "bar")] == [[25, 25], [50, 0], [25, 0]]


def test_funnels_of_segments_stand_beside_each_other(journeys):
    answer = journeys.measure(jk.Funnel(["view", "cart", "buy"], within="2h"), by="device")
    chart = answer.chart()
    bars = traces(chart, "bar")
    assert [each["name"] for each in bars] == ["desktop", "mobile", "(none)"]
    rates = answer.frame.filter(device="mobile")["total_rate"] * 100
    assert plain(bars[1]["x"]) == pytest.approx(rates.to_list())
    low = answer.frame.filter(device="mobile")
    below = ((low["total_rate"] - low["total_rate_low"]) * 100).to_list()
    assert plain(bars[1]["error_x"]["arrayminus"]) == pytest.approx(below)
    one = answer.chart(segment={"device": "mobile"})
    assert "Of mobile." in subtitle(one)
    assert len(traces(one, "bar")) == 3


def test_a_funnel_over_periods_shows_matured_rates(journeys):
    answer = journeys.measure(jk.Funnel(["view", "buy"], within="2h"), every="1d")
    (line,) = [each for each in traces(answer.chart(), "scatter") if each.get("hovertext")]
    last = answer.frame.filter(step=2)
    assert plain(line["y"]) == pytest.approx((last["matured_rate"] * 100).to_list(), nan_ok=True)
    assert len(line["x"]) == last.height


# Transitions of SMALL_SHOP are listed beside it: START>view 3, view>view 1, view>cart 2, view>END 2 and so on.


def arrows(chart):
    """Return what every edge says, by its ends."""
    told = [
        each["hovertext"]
        for each in traces(chart, "scatter")
        if each.get("marker", {}).get("symbol") == "arrow"
    ]
    found = {}
    for text in told:
        name, *rest = text.replace("<b>", "").replace("</b>", "").split("<br>")
        found[tuple(name.split(" to "))] = rest
    return found


def test_a_graph_has_every_edge_once(shop):
    edges = arrows(shop.measure(jk.Transitions()).chart())
    assert len(edges) == 9
    assert edges["view", "cart"][0] == "transitions: 2"
    assert edges["view", "cart"][1].startswith("probability: 40.0 %")
    assert edges["&lt;START&gt;", "view"][0] == "transitions: 3"


def test_a_graph_puts_rare_states_together(shop):
    chart = shop.measure(jk.Transitions()).chart(top=1)
    edges = arrows(chart)
    assert edges["view", "&lt;OTHER&gt;"][:2] == ["transitions: 2", "probability: 40.0 %"]
    # Of the four visits to search, cart (2) and purchase, one goes on to another of them.
    assert edges["&lt;OTHER&gt;", "&lt;OTHER&gt;"][:2] == ["transitions: 1", "probability: 25.0 %"]
    assert edges["&lt;OTHER&gt;", "&lt;END&gt;"][:2] == ["transitions: 2", "probability: 50.0 %"]
    assert "The 1 most visited states by themselves; 3 others are &lt;OTHER&gt;." in subtitle(chart)


def test_a_graph_is_thinned_and_focused(shop):
    graph = shop.measure(jk.Transitions())
    assert set(arrows(graph.chart(min_count=2))) == {
        ("&lt;START&gt;", "view"), ("view", "cart"), ("view", "&lt;END&gt;"),
    }  # fmt: skip
    assert "6 rarer edges are left out." in subtitle(graph.chart(min_count=2))
    assert len(arrows(graph.chart(edges=4))) == 4
    assert all("cart" in ends for ends in arrows(graph.chart(focus="cart")))
    assert len(arrows(graph.chart(focus="cart"))) == 3
    assert set(arrows(graph.chart(min_probability=0.9))) == {("search", "view"), ("purchase", "&lt;END&gt;")}


def test_a_graph_refuses_what_it_does_not_have(shop):
    graph = shop.measure(jk.Transitions())
    with pytest.raises(UnknownNameError, match="no state 'card'"):
        graph.chart(focus="card")
    with pytest.raises(ParameterError, match=r"^top and edges must be at least 1, not 0 and 32\.$"):
        graph.chart(top=0)


def test_layers_run_from_start_to_end():
    # start -> a -> b -> end, and back from b to a once.
    x, y = layered(4, [0, 1, 2, 2], [1, 2, 3, 1], [10, 10, 9, 1], first=0, last=3)
    assert x[0] == 0
    assert x[3] == 1
    assert x[0] < x[1] <= x[2] < x[3]
    assert ((y >= 0) & (y <= 1)).all()
    assert layered(0, [], [], [])[0].size == 0
    assert layered(1, [0], [0], [5])[0].tolist() == [0.0]


def test_a_comparison_of_transitions_is_a_graph_of_differences(journeys):
    found = jk.compare(
        journeys.filter(pl.col("device").is_not_null(), keep="users"), jk.Transitions(), by="device"
    )
    chart = found.chart(kind="graph")
    row = found.frame.filter(compared="probability", source="view", target="cart").row(0, named=True)
    told = arrows(chart)["view", "cart"]
    assert told[1] == f"{row['segment_a']}: {100 * row['a']:.1f} %"
    assert told[3].startswith(f"difference: {100 * row['difference']:.1f} %")
    other = jk.compare(journeys, jk.Conversion("buy"), by="device", split="path")
    with pytest.raises(ParameterError, match="kind='graph' draws a comparison of Transitions in the column"):
        other.chart(kind="graph")


def test_a_forest_shows_the_smallest_p_values_first(journeys):
    found = jk.compare(
        journeys, jk.Conversion("buy"), by="device", split="path", a="mobile", values="conversion_rate"
    )
    _, dots = traces(found.chart(top=2), "scatter")
    wanted = found.frame.sort("p_value", nulls_last=True).head(2)
    assert list(dots["x"]) == pytest.approx(wanted["difference"].to_list())
    high = (wanted["difference_high"] - wanted["difference"]).to_list()
    assert list(dots["error_x"]["array"]) == pytest.approx(high)
    assert found.chart().layout.title.text == "Conversion rate: mobile less &lt;REST&gt;"
    with pytest.raises(
        ParameterError, match=r"^value cannot be 'p'\. Choose one of: 'difference', 'ratio'\.$"
    ):
        found.chart(value="p")


def test_steps_add_up(journeys):
    answer = journeys.measure(jk.StepMatrix(4))
    (heat,) = traces(answer.chart(top=2), "heatmap")
    columns = list(zip(*heat["z"], strict=True))
    assert [sum(value or 0 for value in column) for column in columns] == pytest.approx([100.0] * 5)
    assert [len(row) for row in heat["z"]] == [5] * len(heat["z"])
    assert "are added up as &lt;OTHER&gt;." in subtitle(answer.chart(top=2))


def test_what_follows_has_the_event_in_its_row():
    """Of two paths with a, both have b later and one has a; of two with b, one has a."""
    answer = journeys_of(log("u 0 a; u 1 b; u 2 a; v 0 a; v 1 b")).measure(jk.EventuallyFollows())
    (heat,) = traces(answer.chart(), "heatmap")
    layout = answer.chart().layout
    assert list(layout.yaxis.ticktext) == list(layout.xaxis.ticktext) == ["a", "b"]
    assert (layout.yaxis.title.text, layout.xaxis.title.text) == ("event", "later event")
    assert [plain(row) for row in heat["z"]] == [[50, 100], [50, None]]


def test_retention_marks_what_is_not_over():
    answer = journeys_of(THREE_WEEKS).measure(jk.Retention(period="1w"))
    chart = answer.chart()
    (heat,) = traces(chart, "heatmap")
    # Cohort of the first week: p and q, then p, then both in a week that is not over. The second: r, then nobody yet.
    assert heat["z"] == [[100.0, 50.0, 100.0], [100.0, 0.0, None]]
    (dots,) = traces(chart, "scatter")
    assert [(round(x), round(y)) for x, y in zip(dots["x"], dots["y"], strict=True)] == [(2, 0), (1, 1)]
    assert chart.layout.yaxis.ticktext == ("2024-01-01 (2)", "2024-01-08 (1)")


def test_the_last_cohorts_are_shown_when_one_has_no_name():
    log = pl.DataFrame(
        {
            # The cohort a began a day before the others: only it has a second day after.
            "user": [*(f"u{i}" for i in range(6)), "u0"],
            "time": [datetime(2024, 1, day) for day in (1, 2, 2, 2, 2, 2, 4)],
            "event": ["view"] * 7,
            "plan": ["a", "b", None, "c", "d", "d", "a"],
        }
    )
    events = jk.read_events(log, user="user", time="time", event="event", keep=["plan"])
    answer = events.sessionize("30m").measure(jk.Retention(period="1d", cohort_by="plan"))
    chart = answer.chart(top=3)
    shown = answer.frame["cohort"].unique(maintain_order=True).to_list()[-3:]
    assert None in shown
    sizes = {"c": 1, "d": 2, None: 1}
    assert chart.layout.yaxis.ticktext == tuple(f"{each or '(none)'} ({sizes[each]})" for each in shown)
    assert chart.layout.xaxis.ticktext == ("0", "1")
    assert "The last 3 cohorts; 2 earlier ones are left out." in subtitle(chart)


def test_a_flow_has_the_widths_of_its_paths(journeys):
    answer = journeys.measure(jk.Flow(4))
    (sankey,) = traces(answer.chart(), "sankey")
    assert sorted(sankey["link"]["value"]) == sorted(answer.frame["paths"])
    (fewer,) = traces(answer.chart(top=1), "sankey")
    assert sum(fewer["link"]["value"]) == answer.frame["paths"].sum()
    assert set(fewer["node"]["label"]) <= {"&lt;OTHER&gt;", "&lt;END&gt;", *("view", "home", "cart", "buy")}
    assert len(set(fewer["node"]["label"])) == 3


def test_stages_flow_and_are_a_river_over_periods(journeys):
    answer = journeys.measure(jk.StageFlow())
    (sankey,) = traces(answer.chart(), "sankey")
    assert sorted(sankey["link"]["value"]) == sorted(answer.moves.filter(pl.col("moves") > 0)["moves"])
    over = journeys.measure(jk.StageFlow(), every="1d")
    areas = traces(over.chart(), "scatter")
    assert [each["name"] for each in areas] == ["look", "want", "own"]
    assert list(areas[1]["y"]) == over.frame.filter(stage="want").sort("period")["current"].to_list()
    with pytest.raises(ParameterError, match=r"^kind cannot be 'river'\. Choose one of: 'sankey'\.$"):
        answer.chart(kind="river")


def test_paths_share_their_beginnings():
    # a > b twice, a > c once, b once: of 4 paths 3 begin with a.
    rows = log("u 0 a; u 1 b; v 0 a; v 1 b; w 0 a; w 1 c; x 0 b")
    chart = journeys_of(rows).measure(jk.TopPaths(9)).chart()
    (tree,) = traces(chart, "icicle")
    found = dict(zip(zip(tree["labels"], tree["parents"], strict=True), tree["values"], strict=True))
    ids = dict(zip(tree["labels"], tree["ids"], strict=False))
    assert found["a", "0"] == 3
    assert found["b", ids["a"]] == 2
    assert found["c", ids["a"]] == 1
    assert found["b", "0"] == 1
    assert traces(journeys_of(rows).measure(jk.TopPaths(9)).chart(kind="sunburst"), "sunburst")
    few = journeys_of(rows).measure(jk.TopPaths(9)).chart(top=1)
    assert "2 of 4 paths are shown; shares are of all." in subtitle(few)


def test_curves_are_those_of_the_answer(journeys):
    answer = journeys.measure(jk.TimeToConvert("buy", "view", horizon="5h"))
    lines = [each for each in traces(answer.chart(), "scatter") if each.get("name")]
    assert [each["name"] for each in lines] == ["converted", "given up"]
    assert plain(lines[0]["y"]) == pytest.approx([0.0, *(100 * answer.curve["converted_by"])], abs=1e-6)
    assert plain(lines[0]["x"]) == pytest.approx([0.0, *(answer.curve["time"] / 3_600)], abs=1e-6)
    assert answer.chart().layout.xaxis.title.text == "time since the start (h)"
    low, high = traces(answer.chart(), "scatter")[:2]
    known = answer.curve["converted_by_low"].fill_nan(None).drop_nulls() * 100
    assert set(plain(known)) <= set(plain(low["y"]))
    assert max(plain(high["y"])) <= 100


def test_abandonment_has_intervals_at_some_times():
    answer = journeys_of(many_users(1, users=120)).measure(jk.Abandonment("buy", "cart", horizon="5h"))
    chart = answer.chart()
    dots = [each for each in traces(chart, "scatter") if each.get("mode") == "markers"]
    assert len(dots) == 1
    assert len(dots[0]["x"]) >= 3
    small = journeys_of(ABANDONED_CARTS).measure(jk.Abandonment("purchase", "cart", horizon="100m")).chart()
    assert "Of 5 units that started." in subtitle(small)


def test_attribution_has_a_bar_per_model_and_channel(journeys):
    answer = journeys.measure(jk.Attribution("buy", "device", ["first", "last"]))
    bars = traces(answer.chart(), "bar")
    assert [each["name"] for each in bars] == ["first", "last"]
    shares = sorted(answer.frame.filter(model="last")["share"] * 100)
    assert sorted(plain(bars[1]["x"])) == pytest.approx(shares)


def test_histograms_count_everybody(journeys):
    answer = journeys.measure(jk.Features())
    (bar,) = traces(answer.chart(), "bar")
    assert sum(bar["y"]) == answer.frame.height
    assert not [user for user in answer.frame["user"] if str(user) in json.dumps(bar["hovertext"])]
    with pytest.raises(ParameterError, match="value cannot be 'user'"):
        answer.chart(value="user")
    lengths = journeys.measure(jk.SessionLengths())
    (bar,) = traces(lengths.chart(), "bar")
    assert sum(bar["y"]) == pytest.approx(100)
    shares = lengths.frame.select(pl.selectors.starts_with("share") * 100)
    above, below = shares["share_high"] - shares["share"], shares["share"] - shares["share_low"]
    assert above.to_list() != pytest.approx(below.to_list())
    assert plain(bar["error_y"]["array"]) == pytest.approx(plain(above))
    assert plain(bar["error_y"]["arrayminus"]) == pytest.approx(plain(below))


def test_lifecycle_goes_up_and_down(journeys):
    answer = journeys.measure(jk.Lifecycle())
    bars = {each["name"]: each for each in traces(answer.chart(), "bar")}
    assert list(bars["dormant"]["y"]) == answer.frame["dormant"].to_list()
    assert list(bars["new"]["y"]) == answer.frame["new"].to_list()
    active = journeys.measure(jk.ActiveUsers(window=3)).chart()
    assert [each["name"] for each in traces(active, "scatter")] == ["active", "rolling"]


def test_sample_journeys_name_nobody(shop):
    chart = shop.chart()
    (heat,) = traces(chart, "heatmap")
    assert sorted(len([cell for cell in row if cell is not None]) for row in heat["z"]) == [1, 1, 3, 4]
    text = json.dumps(chart.to_dict()["data"])
    assert not any(name in text for name in ("ann", "bob", "cid"))
    assert chart.layout.title.text == "Sample of 4 sessions, event after event"
    (users,) = traces(shop.chart(unit="user", n=2, steps=3), "heatmap")
    assert len(users["z"]) == 2
    with pytest.raises(ParameterError, match="these journeys have no stages"):
        shop.chart(of="stage")


def test_an_answer_without_its_own_drawing_is_bars_or_lines(journeys):
    answer = journeys.measure(jk.Conversion("buy"), by="device")
    chart = answer.chart(top=2)
    assert len(traces(chart, "bar")) == 3
    assert "The first 2 of 5 rows are shown." in subtitle(chart)
    counts = journeys.measure(jk.Conversion("buy")).chart(value="reached")
    assert (
        list(traces(counts, "bar")[0]["x"])
        == journeys.measure(jk.Conversion("buy")).frame["reached"].to_list()
    )
    with pytest.raises(ParameterError, match=r"^value cannot be 'rate'\. Choose one of: 'reached', "):
        answer.chart(value="rate")
    with pytest.raises(ParameterError, match=r"^segment cannot be 'devise'\. Choose one of: 'device'\.$"):
        answer.chart(segment={"devise": "mobile"})
    with pytest.raises(ParameterError, match=r"^segment cannot be {'device': 'tv'}\. Choose one of: "):
        answer.chart(segment={"device": "tv"})
