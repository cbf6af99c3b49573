"""Touchpoints by hand, and what they refuse."""

from __future__ import annotations

import polars as pl
import pytest

import journeykit as jk
from journeykit.errors import ParameterError, UnknownNameError, UnknownPropertyError
from tests.logs import MINUTE
from tests.measuring import journeys_of

# ann: looks on the web, tries in the shop, buys on the phone; bob: looks on the web twice; cid: walks into the shop.
VISITS = [
    ("ann", 0, "look", "web"), ("ann", 10, "try", "shop"), ("ann", 90, "buy", "phone"), ("bob", 0, "look", "web"),
    ("bob", 1, "look", None), ("bob", 2, "look", "web"), ("cid", 5, "try", "shop"),
]  # fmt: skip
ROWS = [
    {"user": user, "time": minute * MINUTE, "event": event, "channel": channel}
    for user, minute, event, channel in VISITS
]
QUESTION = jk.Touchpoints("buy", channel="channel", offline=["shop", "phone"])


def test_omnichannel_journeys_are_one():
    answer = journeys_of(ROWS).measure(QUESTION)
    assert answer.frame.select(
        "touchpoint", "visits", "journeys", "converted", "channels", "main_channel"
    ).rows() == [
        ("look", 4, 2, 1, 1, "web"),
        ("try", 2, 2, 1, 1, "shop"),
        ("buy", 1, 1, 0, 1, "phone"),
    ]
    assert answer.channels.select("channel", "side", "visits", "journeys").rows() == [
        ("shop", "offline", 2, 2), ("web", "online", 3, 2), ("phone", "offline", 1, 1), (None, None, 1, 1),
    ]  # fmt: skip
    assert answer.switches.select("source", "target", "switches", "probability").rows() == [
        ("shop", "phone", 1, 1.0), ("web", "shop", 1, 1.0),
    ]  # fmt: skip
    assert answer.sides.select("kind", "journeys", "converted").rows() == [
        ("online only", 1, 0), ("offline only", 1, 0), ("online and offline", 1, 1),
    ]  # fmt: skip
    assert answer.reach.select("channels_used", "journeys", "conversion_rate").rows() == [
        (1, 2, 0.0),
        (3, 1, 1.0),
    ]
    assert answer.notes[-1] == (
        "Conversion after a touchpoint says who converts after it, not who converts because of it."
    )


def test_sessions_see_less():
    """In the session that ends before the phone call nobody buys."""
    answer = journeys_of(ROWS).measure(jk.Touchpoints("buy", channel="channel", unit="session"))
    assert answer.frame.filter(touchpoint="try").select("journeys", "converted").rows() == [(2, 0)]


def test_without_goal_stages_and_channels():
    answer = journeys_of(ROWS).measure(jk.Touchpoints())
    first = answer.frame.row(0, named=True)
    assert [
        first[name] for name in ("stage", "converted", "conversion_rate", "channels", "main_channel")
    ] == [None] * 5
    others = ("stages", "channels", "by_channel", "stage_channels", "switches", "sides", "reach")
    assert [getattr(answer, name).height for name in others] == [0] * 7
    assert answer.notes == ()


def test_channels_of_a_stage():
    model = jk.StageModel([jk.Stage("look", "look"), jk.Stage("want", ["try", "buy"])])
    answer = journeys_of(ROWS).assign_stages(model).measure(QUESTION)
    assert answer.stage_channels.rows() == [
        ("look", "web", "online", 3, 0.75), ("look", None, None, 1, 0.25),
        ("want", "shop", "offline", 2, 2 / 3), ("want", "phone", "offline", 1, 1 / 3),
    ]  # fmt: skip
    assert answer.frame["stage"].to_list() == ["look", "want", "want"]


def test_sessions_that_interleave_are_one_journey_in_time():
    rows = [
        {"user": "u", "time": minute * MINUTE, "event": "e", "session": session, "channel": channel}
        for minute, channel, session in ((0, "a", "s1"), (1, "b", "s2"), (2, "c", "s1"))
    ]
    journeys = journeys_of(rows, jk.SessionRule.from_column())
    answer = journeys.measure(jk.Touchpoints(channel="channel"))
    assert answer.switches.select("source", "target").rows() == [("a", "b"), ("b", "c")]
    by_session = journeys.measure(jk.Touchpoints(channel="channel", unit="session"))
    assert by_session.switches.select("source", "target").rows() == [("a", "c")]


def test_channels_that_are_numbers_and_segments():
    rows = [{**row, "channel": len(row["channel"] or ""), "device": row["user"]} for row in ROWS]
    answer = journeys_of(rows).measure(jk.Touchpoints(channel="channel"), by="device")
    assert answer.channels.filter(device="cid").select("channel", "journey_share").rows() == [("4", 1.0)]


def test_offline_channels_that_never_come():
    answer = journeys_of(ROWS).measure(jk.Touchpoints(channel="channel", offline=["store", "shop"]))
    assert answer.notes == ("No event came through 'store', which offline= names.",)


def test_refused():
    with pytest.raises(ParameterError) as error:
        jk.Touchpoints(offline="shop")
    assert str(error.value) == "offline names channels, and there are none. Pass channel=, a kept property."
    with pytest.raises(ParameterError) as error:
        jk.Touchpoints(groups={"a": "x", "b": ["y", "x"]})
    assert str(error.value) == "'x' is in two groups. Leave it in one of them."
    with pytest.raises(ParameterError) as error:
        jk.Touchpoints(groups={"a": 3})
    assert str(error.value) == "groups['a'] cannot be 3. Give a name or a list of names."
    with pytest.raises(UnknownNameError, match="no event 'luck'"):
        journeys_of(ROWS).measure(jk.Touchpoints(groups={"a": "luck"}))
    with pytest.raises(UnknownNameError, match="no event 'bye'"):
        journeys_of(ROWS).measure(jk.Touchpoints("bye"))
    with pytest.raises(UnknownPropertyError, match="no property 'chanel'"):
        journeys_of(ROWS).measure(jk.Touchpoints(channel="chanel"))
    assert isinstance(journeys_of(ROWS).measure(jk.Touchpoints("bye", missing="ignore")).frame, pl.DataFrame)
