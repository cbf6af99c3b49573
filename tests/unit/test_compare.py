"""What compare refuses and says, and small cases by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import journeykit as jk
from journeykit.errors import ParameterError
from tests.logs import frame, log
from tests.measuring import journeys_of, many_users

CART = jk.Conversion("buy", unit="user")


def shop(**devices):
    """Every user looks, those whose name starts with b buy too."""
    rows = []
    for i, (user, device) in enumerate(devices.items()):
        text = f"{user} {i} see" + (f"; {user} {i + 1} buy" if user.startswith("b") else "")
        rows += [{**row, "device": device} for row in log(text)]
    return journeys_of(rows)


FOUR = {"b1": "tv", "b2": "tv", "a1": "pc", "b3": "pc"}


def test_a_number_is_not_its_text():
    log = pl.DataFrame({"u": [1, 2], "t": [0, 0], "e": ["x", "x"], "age": [30, 40]})
    journeys = jk.read_events(log, user="u", time="t", event="e", unit="s", keep=["age"]).sessionize("30m")
    with pytest.raises(ParameterError) as raised:
        jk.compare(journeys, jk.Conversion("x"), by="age", a="30")
    assert str(raised.value) == "a='30' is no value of 'age' in these journeys. Did you mean 30?"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {},
            (
                'compare needs by= (the property that makes the segments) or every= (a calendar period such as "1mo"), '
                "and not both. To compare periods of one segment, filter the journeys first."
            ),
        ),
        (
            {"by": ["device", "user"]},
            "compare takes one property, and by is ['device', 'user']. Give the name of a kept property, or a Segment.",
        ),
        (
            {"by": "device", "a": "tvs"},
            "a='tvs' is no value of 'device' in these journeys. Did you mean 'tv'? Available: 'tv', 'pc'.",
        ),
        (
            {"by": "device", "a": "tv", "b": "tv"},
            "a and b are the same segment, 'tv'. Give two different ones.",
        ),
        ({"by": "device", "b": "tv"}, "b= says what a= is compared with; give both, or a= alone."),
        ({"by": "device", "split": "users"}, "split cannot be 'users'. Choose one of: 'user', 'path'."),
        ({"by": "device", "power": 80}, "power must lie between 0.5 and 1, not 80."),
        ({"by": "device", "level": 95}, "level must lie between 0 and 1, not 95."),
        (
            {"by": "device", "values": "rate"},
            (
                "values cannot be 'rate'. Choose one of: 'reached', 'users', 'converted', 'conversion_rate', 'low', "
                "'high', 'visits', 'converting_visits', 'visit_rate', 'visit_rate_low', 'visit_rate_high'."
            ),
        ),
        (
            {"by": "device", "min_count": {"views": 3}},
            (
                "min_count cannot be 'views'. Choose one of: 'reached', 'users', 'converted', 'visits', "
                "'converting_visits'."
            ),
        ),
        (
            {"every": "1d"},
            "there is nothing to compare: all events are in one period. Take a shorter every=.",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(options, message):
    with pytest.raises(jk.errors.ParameterError) as caught:
        jk.compare(shop(**FOUR), CART, **options)
    assert str(caught.value) == message


def test_one_segment_alone_is_refused():
    with pytest.raises(jk.errors.ParameterError) as caught:
        jk.compare(shop(a="tv", b="tv"), CART, by="device")
    assert str(caught.value) == (
        "there is nothing to compare: the property 'device' has one value in these journeys ('tv'). Compare another "
        "property, or periods with every=."
    )


def test_a_user_in_two_segments_is_refused_and_named():
    rows = [
        {**row, "device": device}
        for row, device in zip(log("z 0 see; z 1 see; y 2 see"), ("tv", "pc", None), strict=True)
    ]
    with pytest.raises(jk.errors.ParameterError) as caught:
        jk.compare(journeys_of(rows), CART, by="device")
    assert str(caught.value) == (
        "1 of 2 users is in more than one segment of 'device', such as 'z'. Pass split=\"path\" to compare their "
        "sessions or paths, each by its own value, or filter these users out."
    )


def test_a_class_is_no_statistic():
    with pytest.raises(jk.errors.NotAStatisticError):
        jk.compare(shop(**FOUR), jk.Conversion, by="device")


class Twice(jk.Conversion):
    """Has every row twice."""

    def answer(self, tables, context):
        answer = super().answer(tables, context)
        return replace(answer, frame=pl.concat([answer.frame, answer.frame]))


class Names(jk.Conversion):
    """Has no numbers."""

    def answer(self, tables, context):
        answer = super().answer(tables, context)
        return replace(answer, frame=answer.frame.select(pl.col(pl.String)))


@pytest.mark.parametrize(
    ("statistic", "message"),
    [
        (
            Twice("buy", unit="user"),
            (
                "the rows of this answer cannot be told apart by their first columns, ['state', 'reached', 'users']: "
                "compare does not know which row of one segment belongs to which of the other. Put the columns that "
                "name a row first."
            ),
        ),
        (Names("buy", unit="user"), "this answer has no numbers to compare."),
    ],
)
def test_answers_that_cannot_be_compared_are_refused(statistic, message):
    with pytest.raises(jk.errors.ParameterError) as caught:
        jk.compare(shop(**FOUR), statistic, by="device", a="tv", b="pc")
    assert str(caught.value) == message


def test_plans_and_stores_are_compared_as_journeys_are(tmp_path):
    rows = [{**row, "device": f"d{int(row['user'][1:]) % 2}"} for row in many_users(8, users=60)]
    journeys = journeys_of(rows)
    frame(rows).write_parquet(tmp_path / "log.parquet")
    scanned = jk.scan_events(
        tmp_path / "log.parquet", user="user", time="time", event="event", keep=["device"]
    )
    journeys.write(tmp_path / "store")
    plan, store = scanned.sessionize("30m"), jk.open_store(tmp_path / "store")
    wanted = jk.compare(journeys, CART, by="device").frame
    change = jk.decompose_change(journeys, "buy", every="1d", by="device").frame
    for given in (plan, store):
        assert_frame_equal(jk.compare(given, CART, by="device").frame, wanted)
        assert_frame_equal(jk.decompose_change(given, "buy", every="1d", by="device").frame, change)
    with pytest.raises(jk.errors.ParameterError) as caught:
        jk.compare(scanned, CART, by="device")
    assert str(caught.value) == (
        "journeys, a plan of them or a store can be compared, and not EventsPlan. Call sessionize() on events first."
    )


@pytest.mark.parametrize(
    ("a", "message"),
    [
        ("soon", "a='soon' is no date. Give a day in the period, such as '2026-02-01'."),
        (7, "a=7 is no date. Give a day in the period, such as '2026-02-01'."),
        (
            "2024-02-01",
            (
                "a='2024-02-01' is in a period without events. They are from 2024-01-01 00:00:00+00:00 to "
                "2024-01-02 00:00:00+00:00."
            ),
        ),
        (
            date(2024, 1, 1),
            "a=datetime.date(2024, 1, 1) is in the first period of these journeys; no period is before it.",
        ),
    ],
)
def test_a_period_that_is_none_is_refused(a, message):
    journeys = journeys_of(log("z 0 see; z 1500 see"))
    with pytest.raises(jk.errors.ParameterError) as caught:
        jk.compare(journeys, jk.Conversion("see"), every="1d", a=a)
    assert str(caught.value) == message


def test_shares_by_hand():
    """Of two tv users two buy, of two pc users one: 1 - 1/2; Fisher of [2, 2; 1, 2] has p = 1."""
    found = jk.compare(shop(**FOUR), CART, by="device", a="tv", b="pc", values="conversion_rate").frame
    row = found.filter(pl.col("state") == "see").row(0, named=True)
    assert (row["segment_a"], row["segment_b"]) == ("tv", "pc")
    assert (row["a"], row["b"], row["difference"], row["ratio"], row["p_value"]) == (1.0, 0.5, 0.5, 2.0, 1.0)


def test_a_row_that_one_side_lacks_is_null_there():
    found = jk.compare(shop(b1="tv", a1="pc"), jk.Transitions(), by="device", a="tv", b="pc").frame
    row = found.filter(pl.col("target") == "buy").row(0, named=True)
    assert (row["a"], row["b"], row["difference"], row["p_value"], row["method"]) == (
        1.0,
        None,
        None,
        None,
        None,
    )


def test_without_groups_there_is_no_interval_and_it_is_said():
    found = jk.compare(shop(**FOUR), jk.Conversion("buy"), by="device")
    assert found.frame["difference_low"].is_null().all()
    assert "Fewer than 10 groups of users have data: some rows have no interval and no test." in found.notes


def test_each_against_the_rest_or_every_pair():
    three = shop(b1="tv", a1="pc", b2="car", a2=None)
    rest = jk.compare(three, CART, by="device", values="conversion_rate")
    assert rest.frame.select("segment_a", "segment_b").unique(maintain_order=True).rows() == [
        ("car", "<REST>"), ("pc", "<REST>"), ("tv", "<REST>"), (None, "<REST>"),
    ]  # fmt: skip
    pairs = jk.compare(three, CART, by="device", pairs=True, values="conversion_rate")
    assert pairs.frame.select("segment_a", "segment_b").unique().height == 6
    see = pairs.homogeneity.filter(pl.col("state") == "see").row(0, named=True)
    assert (see["chi_square"], see["degrees"]) == (pytest.approx(4.0), 3)


def test_the_rest_is_what_the_others_are_together():
    three = shop(b1="tv", a1="pc", b2="car", a2=None)
    found = jk.compare(three, CART, by="device", a="tv", values="conversion_rate").frame
    assert found.filter(pl.col("state") == "see").select("a", "b").row(0) == (1.0, pytest.approx(1 / 3))


def test_sessions_are_split_by_their_own_value():
    rows = [
        {**row, "device": device}
        for row, device in zip(log("z 0 see; z 90 see; z 91 buy"), ("tv", "pc", "pc"), strict=True)
    ]
    found = jk.compare(
        journeys_of(rows),
        jk.Conversion("buy"),
        by="device",
        a="tv",
        b="pc",
        split="path",
        values="conversion_rate",
    ).frame
    assert found.filter(pl.col("state") == "see").select("a", "b").row(0) == (0.0, 1.0)


def test_rows_with_few_are_not_tested():
    journeys = shop(**{f"{'ab'[i % 2]}{i}": ("tv", "pc")[i % 3 > 0] for i in range(40)})
    found = jk.compare(journeys, jk.Transitions(), by="device", min_count={"transitions": 40}).frame
    tested = dict(found.select(pl.concat_str("source", "target", separator=">"), "p_value").rows())
    assert tested["see>buy"] is None
    assert found["a"].null_count() == 0
