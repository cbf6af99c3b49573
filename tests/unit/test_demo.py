"""The demo: what is a page view, and what stands beside the truth."""

from __future__ import annotations

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import journeykit as jk
from journeykit import demo
from journeykit.datasets import access_log, simulate_shop


@pytest.fixture(scope="module")
def parts() -> dict[str, demo.Part]:
    return {part.name: part for part in demo.parts(300)}


def test_page_views_are_what_a_plain_reading_of_the_log_finds():
    events, _ = demo.page_views()
    requests = jk.read_events(access_log(), keep=["path", "status"], on_invalid="drop").frame
    expected = []
    for path, status in requests.select("path", "status").iter_rows():
        page, _, query = path.partition("?")
        suffix = page.rsplit(".", 1)[-1].lower() if "." in page.rsplit("/", 1)[-1] else ""
        asset = suffix in {
            "css", "js", "png", "jpg", "jpeg", "gif", "ico", "svg", "ttf", "woff", "swf", "xsl"
        }  # fmt: skip
        if status not in (200, 206, 304) or asset or page == "/robots.txt":
            continue
        area = "feed" if "flav=" in query else page.split("/")[1] or "home"
        expected.append(area)
    names = pl.Series("event", expected)
    frequent = names.value_counts().filter(pl.col("count") >= 10)["event"].to_list()
    expected = [name if name in frequent else "(other)" for name in expected]
    assert events.frame["event"].cast(pl.String).to_list() == expected


def test_the_remarks_say_what_was_left_out_and_what_was_not():
    events, remarks = demo.page_views()
    assert remarks == (
        (
            f"Of 9,999 readable requests {events.frame.height:,} are page views: answered (status 200, 206, 304), and "
            "neither an asset (style, script, picture, font) nor robots.txt."
        ),
        (
            "An event is the first folder of the path; a news feed is 'feed', '/' is 'home', folders with fewer than "
            "10 views are '(other)'. A user is an address."
        ),
        "Robots are not removed: feed readers and crawlers are among the users.",
    )


def test_there_is_a_real_log_and_a_simulated_one(parts):
    assert list(parts) == ["access_log", "shop"]
    assert parts["access_log"].truth.is_empty()
    assert parts["shop"].journeys.n_users == 300


def test_the_number_of_questions_is_that_of_the_progress_bar(parts):
    assert sum(len(part.answers) for part in parts.values()) == demo.QUESTIONS_ASKED


def test_answers_are_those_of_the_library(parts):
    shop = parts["shop"]
    assert_frame_equal(
        shop.answers["abandonment"].frame,
        shop.journeys.measure(jk.Abandonment("purchase", "add_to_cart", unit="session")).frame,
    )


def test_the_truth_table_holds_planted_and_measured_numbers(parts):
    table, truth = parts["shop"].truth, simulate_shop(0, rng=1).truth
    assert table.columns == ["number", "planted", "measured", "low", "high", "inside"]
    assert table.height == 6 + truth.stage_transitions.height
    answers = parts["shop"].answers
    rate = answers["abandonment_by_device"].frame.filter(pl.col("device") == "mobile").row(0, named=True)
    shown = table.filter(pl.col("number") == "cart abandonment rate, mobile").row(0, named=True)
    assert shown["planted"] == truth.cart_abandonment_rate_by_device["mobile"]
    assert shown["measured"] == rate["abandonment_rate"]
    assert (shown["low"], shown["high"]) == (rate["abandonment_rate_low"], rate["abandonment_rate_high"])
    assert shown["inside"] == (shown["low"] <= shown["planted"] <= shown["high"])


def test_a_conversion_rate_is_that_of_the_sessions(parts):
    shop = parts["shop"]
    paths = shop.journeys.paths("session")
    purchase = shop.journeys.names.to_list().index("purchase")
    bought = sum(
        purchase in paths.codes[start:end] for start, end in zip(paths.starts, paths.ends, strict=True)
    )
    measured = shop.truth.filter(pl.col("number") == "conversion rate")["measured"].item()
    assert measured == bought / paths.n_paths


def test_a_move_is_that_of_the_stages(parts):
    edge = parts["shop"].answers["stage_transitions"].frame.filter(source="usage", target="loyalty")
    shown = parts["shop"].truth.filter(pl.col("number") == "P(usage -> loyalty)")
    assert shown.select("measured", "low", "high").row(0) == edge.select("probability", "low", "high").row(0)


def test_most_intervals_hold_the_truth():
    inside = demo.shop(4_000).truth["inside"]
    assert inside.null_count() == 0
    assert inside.sum() >= 34


def test_a_tiny_shop_has_nulls_where_nothing_was_measured():
    table = demo.shop(1).truth
    assert table.height == 40
    unseen = table.filter(pl.col("measured").is_null())
    assert unseen.height
    assert unseen["inside"].null_count() == unseen.height
