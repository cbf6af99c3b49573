"""The step matrix by hand. D8.1, D8.2."""

from __future__ import annotations

import polars as pl
import pytest

import journeykit as jk
from journeykit.errors import JourneykitWarning, ParameterError, UnknownNameError
from tests.logs import SMALL_SHOP, STAGE_WALK, log
from tests.measuring import journeys_of

# ann  view view cart purchase | view;  bob  search view cart;  cid  view


def test_a_small_shop_in_sessions():
    answer = journeys_of(SMALL_SHOP).measure(jk.StepMatrix(3))
    assert answer.frame.select("step", "state", "paths", "paths_total").rows() == [
        (0, "<START>", 4, 4),
        (1, "view", 3, 4), (1, "search", 1, 4),
        (2, "view", 2, 4), (2, "<END>", 2, 4),
        (3, "cart", 2, 4), (3, "<END>", 2, 4),
    ]  # fmt: skip
    assert answer.matrix("paths").rows() == [
        ("<START>", 4, 0, 0, 0),
        ("cart", 0, 0, 0, 2),
        ("search", 0, 1, 0, 0),
        ("view", 0, 3, 2, 0),
        ("<END>", 0, 0, 2, 2),
    ]
    assert answer.matrix().row(3) == ("view", 0.0, 0.75, 0.5, 0.0)


def test_around_an_anchor_of_users():
    answer = journeys_of(SMALL_SHOP).measure(jk.StepMatrix(unit="user", anchor="cart", before=3, after=2))
    matrix = answer.matrix("paths")
    assert matrix.columns == ["state", "-3", "-2", "-1", "0", "1", "2"]
    assert matrix.rows() == [
        ("<START>", 2, 0, 0, 0, 0, 0),
        ("cart", 0, 0, 0, 2, 0, 0),
        ("purchase", 0, 0, 0, 0, 1, 0),
        ("search", 0, 1, 0, 0, 0, 0),
        ("view", 0, 1, 2, 0, 0, 1),
        ("<END>", 0, 0, 0, 0, 1, 1),
    ]
    assert answer.notes[-1] == "1 paths without the anchor are left out."
    row = answer.frame.row(by_predicate=pl.col("state") == "purchase", named=True)
    assert (row["share"], row["low"], row["high"]) == pytest.approx((0.5, 0.0945, 0.9055), abs=1e-4)


def test_an_anchor_may_look_at_properties():
    rows = [{**row, "value": float(i)} for i, row in enumerate(log("u 0 a; u 1 b; u 2 a; u 3 c; v 0 a"))]
    rows = [{**row, "price": row.pop("value")} for row in rows]
    anchor = jk.Match("a", where=pl.col("price") > 1)
    answer = journeys_of(rows).measure(jk.StepMatrix(anchor=anchor, before=1, after=1))
    assert answer.frame.select("step", "state", "paths").rows() == [
        (-1, "<START>", 1), (-1, "b", 1), (0, "a", 2), (1, "c", 1), (1, "<END>", 1),
    ]  # fmt: skip


def test_rare_states_are_merged_into_other():
    journeys = journeys_of(log("u 0 a; u 1 b; v 0 a; v 1 c; w 0 a; w 1 b; x 0 d; x 1 b"))
    top = journeys.measure(jk.StepMatrix(2, top=2))
    assert top.matrix("paths").rows() == [
        ("<START>", 4, 0, 0), ("a", 0, 3, 0), ("b", 0, 0, 3), ("<OTHER>", 0, 1, 1),
    ]  # fmt: skip
    assert top.notes[-1] == "<OTHER> holds the states below top=2, threshold=None."
    rare = journeys.measure(jk.StepMatrix(2, threshold=0.25))
    assert "<OTHER>" not in rare.matrix()["state"]
    assert (
        journeys.measure(jk.StepMatrix(2, threshold=0.26)).matrix("paths").rows()
        == top.matrix("paths").rows()
    )


def test_stages():
    model = jk.StageModel([jk.Stage("two", "view"), jk.Stage("one", "ad"), jk.Stage("three", "buy")])
    staged = journeys_of(STAGE_WALK).assign_stages(model)
    answer = staged.measure(jk.StepMatrix(4, of="stage", unit="user", collapse_repeats=True))
    assert answer.frame["state"].to_list() == ["<START>", "two", "one", "three", "two"]
    with pytest.raises(ParameterError, match='of="stage" needs stages'):
        journeys_of(STAGE_WALK).measure(jk.StepMatrix(of="stage"))


def test_segments_have_their_own_totals():
    rows = [
        {**row, "device": "m" if row["user"] == "u" else None} for row in log("u 0 a; v 0 a; v 1 b; w 0 b")
    ]
    answer = journeys_of(rows).measure(jk.StepMatrix(2, top=1), by="device")
    assert answer.matrix("paths").rows() == [
        ("m", "<START>", 1, 0, 0),
        ("m", "a", 0, 1, 0),
        ("m", "<END>", 0, 0, 1),
        (None, "<START>", 2, 0, 0),
        (None, "a", 0, 1, 0),
        (None, "<OTHER>", 0, 1, 1),
        (None, "<END>", 0, 0, 1),
    ]


def test_an_empty_log():
    answer = journeys_of(log("u 0 a")).filter(events=["b"], missing="ignore").measure(jk.StepMatrix())
    assert answer.frame.is_empty()
    assert answer.matrix().is_empty()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"max_steps": 0}, "max_steps must be a whole number from 1 on, not 0."),
        ({"before": -1}, "before must be a whole number from 0 on, not -1."),
        ({"after": 1.5}, "after must be a whole number from 0 on, not 1.5."),
        ({"top": True}, "top must be a whole number from 1 on, not True."),
        ({"threshold": 2}, "threshold is a share between 0 and 1, not 2."),
        ({"occurrence": 0}, "occurrence cannot be 0. Choose 'first', 'last', or a whole number from 1 on."),
        ({"of": "page"}, "of cannot be 'page'. Choose one of: 'event', 'stage'."),
        ({"unit": "visit"}, "unit cannot be 'visit'. Choose one of: 'session', 'user'."),
        ({"missing": "drop"}, "missing cannot be 'drop'. Choose one of: 'raise', 'ignore', 'warn'."),
    ],
)
def test_refused_values(options, message):
    with pytest.raises(ParameterError) as error:
        jk.StepMatrix(**options)
    assert str(error.value) == message


def test_refused_names_and_columns():
    journeys = journeys_of(SMALL_SHOP)
    with pytest.raises(UnknownNameError, match="no event 'cat' in this log"):
        journeys.measure(jk.StepMatrix(anchor="cat"))
    with pytest.warns(JourneykitWarning, match="no event 'cat'"):
        journeys.measure(jk.StepMatrix(anchor="cat", missing="warn"))
    with pytest.raises(ParameterError, match="value cannot be 'users'"):
        journeys.measure(jk.StepMatrix()).matrix("users")
