"""Flows by hand. D3.4, D8.3, D8.4."""

from __future__ import annotations

import pytest

import journeykit as jk
from journeykit.errors import ParameterError, UnknownNameError
from tests.logs import SMALL_SHOP, STAGE_WALK, log
from tests.measuring import journeys_of

EDGE = ("step", "source", "target")

# ann  view view cart purchase | view;  bob  search view cart;  cid  view


def edges(answer, *more):
    return answer.frame.select(*EDGE, *more).rows()


def test_a_small_shop_in_sessions():
    answer = journeys_of(SMALL_SHOP).measure(jk.Flow(4, quantiles=[0.5]))
    assert edges(answer, "paths", "users", "source_paths", "time_mean", "time_median") == [
        (1, "search", "view", 1, 1, 1, 0.0, 0.0),
        (1, "view", "view", 1, 1, 3, 120.0, 120.0),
        (1, "view", "<END>", 2, 2, 3, None, None),
        (2, "view", "cart", 2, 2, 2, 210.0, 210.0),
        (3, "cart", "purchase", 1, 1, 2, 1800.0, 1800.0),
        (3, "cart", "<END>", 1, 1, 2, None, None),
    ]
    assert answer.nodes.select(
        "step", "state", "paths", "users", "continued", "dropped", "drop_off"
    ).rows() == [
        (1, "view", 3, 2, 1, 2, pytest.approx(2 / 3)),
        (1, "search", 1, 1, 1, 0, 0.0),
        (2, "view", 2, 2, 2, 0, 0.0),
        (3, "cart", 2, 2, 1, 1, 0.5),
        (4, "purchase", 1, 1, 0, 0, 0.0),
    ]
    assert answer.covered.row(0, named=True) == {
        "paths": 4, "users": 3, "paths_without_anchor": 0, "longer": 0, "open": 0, "moves": 8, "shown_share": 1.0,
    }  # fmt: skip


def test_anchors_cut_paths():
    journeys = journeys_of(
        log("u 0 a; u 1 x; u 2 b; u 3 x; u 4 c; u 5 y; v 0 y; v 1 b; v 2 y; v 3 c; w 0 c"), None
    )
    after = journeys.measure(jk.Flow(start="x"))
    assert edges(after, "paths") == [
        (1, "x", "b", 1), (2, "b", "x", 1), (3, "x", "c", 1), (4, "c", "y", 1),
    ]  # fmt: skip
    assert edges(journeys.measure(jk.Flow(start="x", occurrence=2))) == [
        (1, "x", "c"), (2, "c", "y"), (3, "y", "<END>"),
    ]  # fmt: skip
    before = journeys.measure(jk.Flow(3, end="c"))
    assert edges(before, "paths") == [
        (1, "b", "x", 1), (1, "b", "y", 1), (2, "x", "c", 1), (2, "y", "c", 1),
    ]  # fmt: skip
    assert before.covered.select("paths", "longer", "paths_without_anchor").row(0) == (3, 2, 0)
    assert before.notes == ("4 of 4 moves (100.0 %) are shown.", "2 paths are longer than max_steps=3.")
    assert after.notes[0] == "2 paths without the anchors are left out."


@pytest.mark.parametrize("steps", [4, 5])
def test_a_long_path_between_two_anchors_shows_its_ends(steps):
    rows = log("u 0 a; u 1 b; u 3 c; u 7 d; u 15 e; u 31 f; u 63 g; v 0 a; v 1 g")
    answer = journeys_of(rows, None).measure(jk.Flow(steps, start="a", end="g"))
    assert edges(answer, "time_mean") == [
        (1, "a", "b", 60.0), (1, "a", "g", 60.0), (2, "b", "<OTHER>", 120.0),
        (3, "<OTHER>", "f", 28 * 60.0), (4, "f", "g", 32 * 60.0),
    ]  # fmt: skip


def test_what_is_not_at_the_top_of_a_step_is_other_and_flows_on():
    rows = log("u 0 a; u 1 b; u 2 c; v 0 a; v 1 d; v 2 c; w 0 a; w 1 b; w 2 e; x 0 z; x 1 d; y 0 a")
    answer = journeys_of(rows).measure(jk.Flow(4, top=1))
    assert edges(answer, "paths") == [
        (1, "a", "b", 2), (1, "a", "<END>", 1), (1, "a", "<OTHER>", 1), (1, "<OTHER>", "<OTHER>", 1),
        (2, "b", "c", 1), (2, "<OTHER>", "c", 1), (2, "<OTHER>", "<END>", 1), (2, "b", "<OTHER>", 1),
        (3, "c", "<END>", 2), (3, "<OTHER>", "<END>", 1),
    ]  # fmt: skip
    assert answer.notes[0] == "<OTHER> holds 3 states of single steps."


def test_users_of_other_are_counted_once():
    rows = log("u 0 a; u 1 b; u 100 a; u 101 c; v 0 a; v 1 d; v 100 a; v 101 d")
    answer = journeys_of(rows).measure(jk.Flow(2, top=1))
    assert edges(answer, "paths", "users") == [(1, "a", "d", 2, 1), (1, "a", "<OTHER>", 2, 1)]


def test_edges_that_nothing_leads_to_are_left_out_with_a_limit():
    rows = log("u 0 a; u 1 m; u 2 n; v 0 b; v 1 m; v 2 n; w 0 c; w 1 m; w 2 n; x 0 d; x 1 m; x 2 n")
    journeys = journeys_of(rows)
    limited = journeys.measure(jk.Flow.posthog(edge_limit=1))
    assert edges(limited) == []
    assert limited.notes[-1] == "5 edges outside edge_limit, min_weight, max_weight are left out."
    assert edges(journeys.measure(jk.Flow.posthog(edge_limit=2))) == [(2, "m", "n"), (1, "a", "m")]
    assert edges(journeys.measure(jk.Flow.posthog(min_weight=2))) == [(2, "m", "n")]


def test_open_paths_have_no_end_if_censored():
    answer = journeys_of(SMALL_SHOP).measure(jk.Flow(open_paths="censor"))
    assert (1, "view", "<END>", 1) in edges(answer, "paths")
    assert answer.covered["open"].to_list() == [1]
    assert answer.notes[-1] == "1 paths are still open: they have no END."


def test_stages_and_segments():
    model = jk.StageModel([jk.Stage("two", "view"), jk.Stage("one", "ad"), jk.Stage("three", "buy")])
    staged = journeys_of(STAGE_WALK).assign_stages(model)
    flow = jk.Flow(of="stage", unit="user", collapse_repeats=True)
    assert edges(staged.measure(flow)) == [
        (1, "two", "one"), (2, "one", "three"), (3, "three", "two"), (4, "two", "three"),
    ]  # fmt: skip
    rows = [
        {**row, "device": "m" if row["user"] == "u" else None} for row in log("u 0 a; u 1 b; v 0 b; v 1 a")
    ]
    answer = journeys_of(rows).measure(jk.Flow(2, top=1), by="device")
    assert answer.frame.select("device", *EDGE).rows() == [("m", 1, "a", "b"), (None, 1, "b", "a")]


def test_a_flow_from_a_first_step_agrees_with_the_matrix_around_it():
    journeys = journeys_of(SMALL_SHOP)
    nodes = journeys.measure(jk.Flow(4, start="view")).nodes
    matrix = journeys.measure(jk.StepMatrix(anchor="view", before=0, after=3)).frame
    inner = [row for row in matrix.select("step", "state", "paths").rows() if row[1] != "<END>"]
    assert [
        (step - 1, state, paths) for step, state, paths in nodes.select("step", "state", "paths").rows()
    ] == inner


def test_an_empty_log():
    answer = (
        journeys_of(log("u 0 a"))
        .filter(events=["b"], missing="ignore")
        .measure(jk.Flow(top=2, quantiles=[0.5]))
    )
    assert answer.frame.is_empty()
    assert answer.covered["paths"].to_list() == [0]


def test_presets_are_values_that_can_be_changed():
    assert jk.Flow.posthog() == jk.Flow(
        5, collapse_repeats=True, keep="last", edge_limit=50, drop_off=False, sort="weight"
    )
    assert jk.Flow.posthog_v2(top=9) == jk.Flow(5, top=9, collapse_repeats=True)
    assert jk.Flow.mixpanel(unit="session") == jk.Flow(4, top=3, unit="session", weight="users")
    assert jk.Flow.amplitude().max_steps == 9
    assert (jk.Flow.ga4().top, jk.Flow.ga4().unit) == (5, "session")
    assert jk.Flow.adobe() == jk.Flow(5, top=10)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"max_steps": 1}, "max_steps must be a whole number from 2 on, not 1."),
        ({"top": 0}, "top must be a whole number from 1 on, not 0."),
        ({"edge_limit": 0}, "edge_limit must be a whole number from 1 on, not 0."),
        ({"min_weight": 3, "max_weight": 2}, "min_weight=3 is above max_weight=2: no edge could be shown."),
        ({"weight": "events"}, "weight cannot be 'events'. Choose one of: 'paths', 'users'."),
        ({"sort": "name"}, "sort cannot be 'name'. Choose one of: 'step', 'weight'."),
        ({"keep": "any"}, "keep cannot be 'any'. Choose one of: 'first', 'last'."),
        ({"open_paths": "drop"}, "open_paths cannot be 'drop'. Choose one of: 'end', 'censor'."),
        (
            {"start": []},
            "start cannot be []. Give a name, a list of names, a polars expression, a Pattern or a Match.",
        ),
        ({"occurrence": -1}, "occurrence cannot be -1. Choose 'first', 'last', or a whole number from 1 on."),
    ],
)
def test_refused_values(options, message):
    with pytest.raises(ParameterError) as error:
        jk.Flow(**options)
    assert str(error.value) == message


def test_refused_names():
    with pytest.raises(UnknownNameError, match="no event 'cat' in this log"):
        journeys_of(SMALL_SHOP).measure(jk.Flow(end="cat"))
