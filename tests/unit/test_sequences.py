"""N-grams, variants and what follows later, by hand. D8.6 to D8.8."""

from __future__ import annotations

import pytest

import journeykit as jk
from journeykit.errors import ParameterError, UnknownNameError
from tests.logs import SMALL_SHOP, STAGE_WALK, log
from tests.measuring import journeys_of

# ann  view view cart purchase | view;  bob  search view cart;  cid  view


def test_ngrams_of_a_small_shop():
    answer = journeys_of(SMALL_SHOP).measure(jk.NGrams((2, 3), 2))
    # cart follows view twice, of 5 views; view follows view once: 1 x 1/1 x 2/5 = 0.4 expected search view cart.
    assert answer.frame.select("path", "count", "paths", "users", "expected", "lift", "type").rows() == [
        (["view", "cart"], 2, 2, 2, 2.0, 1.0, "other"),
        (["cart", "purchase"], 1, 1, 1, 1.0, 1.0, "other"),
        (["search", "view", "cart"], 1, 1, 1, 0.4, 2.5, "other"),
        (["view", "cart", "purchase"], 1, 1, 1, 1.0, 1.0, "other"),
    ]
    assert answer.frame["share"].to_list() == [0.5, 0.25, 0.25, 0.25]
    assert answer.frame["duration_mean"].to_list() == [210.0, 1800.0, 240.0, 33 * 60.0]
    assert answer.distinct.select("length", "variants", "count", "paths").rows() == [
        (2, 4, 5, 4),
        (3, 3, 3, 4),
    ]
    assert answer.notes[-2:] == (
        "60.0 % of 5 windows of 2 (4 distinct) are shown.",
        "66.7 % of 3 windows of 3 (3 distinct) are shown.",
    )


def test_kinds_of_ngrams_overlap_and_count_every_occurrence():
    frame = journeys_of(log("u 0 a; u 1 a; u 2 a; u 3 b; u 4 a")).measure(jk.NGrams((1, 3))).frame
    assert frame.select("path", "count", "paths", "type").rows() == [
        (["a"], 4, 1, "other"),
        (["a", "a"], 2, 1, "loop"),
        (["a", "a", "a"], 1, 1, "loop"),
        (["a", "a", "b"], 1, 1, "other"),
        (["a", "b"], 1, 1, "other"),
        (["a", "b", "a"], 1, 1, "cycle"),
        (["b"], 1, 1, "other"),
        (["b", "a"], 1, 1, "other"),
    ]


def test_ngrams_of_stages_and_segments():
    model = jk.StageModel([jk.Stage("two", "view"), jk.Stage("one", "ad"), jk.Stage("three", "buy")])
    staged = journeys_of(STAGE_WALK).assign_stages(model)
    frame = staged.measure(jk.NGrams(3, of="stage", unit="user", collapse_repeats=True)).frame
    assert frame["path"].to_list() == [
        ["one", "three", "two"],
        ["three", "two", "three"],
        ["two", "one", "three"],
    ]
    rows = [
        {**row, "device": "m" if row["user"] == "u" else None}
        for row in log("u 0 a; u 1 b; v 0 b; v 1 a; v 2 b")
    ]
    by_device = journeys_of(rows).measure(jk.NGrams((2, 3)), by="device")
    assert by_device.frame.select("device", "path", "expected").rows() == [
        ("m", ["a", "b"], 1.0), (None, ["a", "b"], 1.0), (None, ["b", "a"], 1.0), (None, ["b", "a", "b"], 1.0),
    ]  # fmt: skip


def test_every_segment_expects_by_its_own_moves():
    rows = log("u 0 a; u 1 b; u 2 c; u 100 a; u 101 c; v 0 a; v 1 b; v 2 c; w 0 b; w 1 b")
    rows = [{**row, "device": "m" if row["user"] == "u" else "d"} for row in rows]
    frame = journeys_of(rows).measure(jk.NGrams(3), by="device").frame
    # m: 2 a, of which 1 goes on to b, which always goes on to c. d: 1 a goes on to b; of 3 b 1 goes on to c.
    assert frame.select("device", "path", "expected").rows() == [
        ("d", ["a", "b", "c"], pytest.approx(1 / 3)), ("m", ["a", "b", "c"], 1.0),
    ]  # fmt: skip


def test_many_names_need_longer_keys():
    rows = [{"user": 1, "time": i, "event": f"/p/{i % 700}"} for i in range(2_000)]
    frame = journeys_of(rows, None).measure(jk.NGrams((2, 8), 1)).frame
    assert frame["count"].to_list() == [3, 3, 3, 3, 3, 3, 3]
    assert frame["lift"].to_list() == pytest.approx([1.0] * 7, rel=0.01)


def test_variants_cover():
    journeys = journeys_of(SMALL_SHOP)
    variants = journeys.measure(jk.Variants(goal="purchase"))
    assert variants.frame.select("path", "count", "conversion_rate").rows() == [
        (["view"], 2, 0.0), (["search", "view", "cart"], 1, 0.0), (["view", "view", "cart", "purchase"], 1, 1.0),
    ]  # fmt: skip
    assert variants.coverage(1).row(0) == (1, 2, 4, 0.5)
    assert variants.coverage(9).row(0) == (3, 4, 4, 1.0)
    by_day = journeys.measure(jk.Variants(), every="1d").coverage(2)
    assert by_day.select("variants", "coverage").row(0) == (2, 0.75)
    with pytest.raises(ParameterError, match="coverage\\(3\\) needs more variants than the n=2 asked for."):
        journeys.measure(jk.Variants(2)).coverage(3)
    with pytest.raises(ParameterError, match="m must be a whole number from 1 on, not 0."):
        variants.coverage(0)
    with pytest.raises(UnknownNameError, match="no event 'buy'"):
        journeys.measure(jk.Variants(goal="buy"))


def test_what_follows_later_in_a_small_shop():
    answer = journeys_of(SMALL_SHOP).measure(jk.EventuallyFollows("pair"))
    assert answer.frame.select("source", "target", "paths", "pairs", "source_paths", "share").rows() == [
        ("view", "cart", 2, 3, 4, 0.5),
        ("view", "purchase", 1, 2, 4, 0.25),
        ("cart", "purchase", 1, 1, 2, 0.5),
        ("search", "cart", 1, 1, 1, 1.0),
        ("search", "view", 1, 1, 1, 1.0),
        ("view", "view", 1, 1, 4, 0.25),
    ]
    assert answer.matrix("paths").rows() == [
        ("cart", 0, 1, 0, 0), ("purchase", 0, 0, 0, 0), ("search", 1, 0, 0, 1), ("view", 2, 1, 0, 1),
    ]  # fmt: skip
    assert answer.matrix("paths").columns == ["source", "cart", "purchase", "search", "view"]
    assert "pairs" not in journeys_of(SMALL_SHOP).measure(jk.EventuallyFollows()).frame.columns
    with pytest.raises(ParameterError, match="value cannot be 'lift'"):
        answer.matrix("lift")
    with pytest.raises(ParameterError, match="matrix takes one segment."):
        journeys_of(SMALL_SHOP).measure(jk.EventuallyFollows(), every="1d").matrix()


def test_a_pair_counts_once_per_path_however_often_it_is_there():
    journeys = journeys_of(log("u 0 a; u 1 b; u 2 b; u 3 a; u 4 b; v 0 b; v 1 b; v 2 b"))
    frame = journeys.measure(jk.EventuallyFollows("pair")).frame
    assert frame.select("source", "target", "paths", "users", "pairs", "source_paths").rows() == [
        ("b", "b", 2, 2, 6, 2), ("a", "b", 1, 1, 4, 1), ("b", "a", 1, 1, 2, 2), ("a", "a", 1, 1, 1, 1),
    ]  # fmt: skip


def test_empty_logs():
    nobody = journeys_of(log("u 0 a")).filter(events=["b"], missing="ignore")
    for statistic in (jk.NGrams(), jk.Variants(), jk.EventuallyFollows()):
        assert nobody.measure(statistic).frame.is_empty()
    assert nobody.measure(jk.EventuallyFollows()).matrix().is_empty()
    assert nobody.measure(jk.Variants()).coverage(1).row(0) == (0, 0, 0, None)
    single = journeys_of(log("u 0 a")).measure(jk.NGrams())
    assert single.frame.is_empty()
    assert single.distinct["variants"].to_list() == [0, 0, 0]


@pytest.mark.parametrize("sizes", [0, (3, 2), (1, 2, 3), "23", (1.0, 2)])
def test_refused_sizes(sizes):
    with pytest.raises(ParameterError) as error:
        jk.NGrams(sizes)
    assert str(error.value) == (
        f"sizes must be a whole number from 1 on, or the smallest and the largest, not {sizes!r}."
    )


def test_refused_values():
    with pytest.raises(ParameterError, match="per cannot be 'user'. Choose one of: 'path', 'pair'."):
        jk.EventuallyFollows("user")
    with pytest.raises(ParameterError, match="n must be a whole number from 1 on, not 0."):
        jk.NGrams(n=0)
    with pytest.raises(ParameterError, match='of="stage" needs stages'):
        journeys_of(SMALL_SHOP).measure(jk.NGrams(of="stage"))
