"""What a hurried user passes: each is refused in our words, and says what to pass instead."""

import polars as pl
import pytest

import journeykit as jk
from journeykit.errors import ColumnTypeError, NotAStatisticError, ParameterError


@pytest.fixture(scope="module")
def journeys():
    log = pl.DataFrame(
        {"user": [1, 1, 2], "time": [0, 60, 5], "event": ["see", "buy", "see"], "device": ["tv", "tv", "pc"]}
    )
    return jk.read_events(log, user="user", time="time", event="event", unit="s", keep=["device"]).sessionize(
        "30m"
    )


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            lambda journeys: jk.TimeBetween("see", "buy", quantiles=0.5),
            "quantiles must be a list of numbers from 0 to 1, such as [0.5], not 0.5.",
        ),
        (
            lambda journeys: jk.NGrams(2.5),
            "sizes must be a whole number from 1 on, or the smallest and the largest, not 2.5.",
        ),
        (
            lambda journeys: journeys.measure(jk.Overview(), by=3),
            "by cannot be 3. Give the name of a kept property, a Segment, or a list of these.",
        ),
        (
            lambda journeys: journeys.measure(jk.Overview(), by=["device", None]),
            "by cannot be ['device', None]. Give the name of a kept property, a Segment, or a list of these.",
        ),
        (
            lambda journeys: jk.Pattern("see -> big", where={"bgi": "buy"}),
            (
                "where binds 'bgi', and neither the text nor the alphabet names it. Did you mean 'big'? "
                "Available: 'big', 'see'."
            ),
        ),
        (
            lambda journeys: jk.explain_difference(
                journeys, jk.Funnel(["see", "buy"]), jk.Funnel(["see", "buy"])
            ),
            "two funnels can be compared, not Journeys and Funnel.",
        ),
    ],
)
def test_parameters_of_another_kind_are_refused(journeys, asked, message):
    with pytest.raises(ParameterError) as error:
        asked(journeys)
    assert str(error.value) == message


def test_a_list_of_statistics_is_told_to_be_unpacked(journeys):
    with pytest.raises(NotAStatisticError) as error:
        journeys.measure([jk.Overview(), jk.Transitions()])
    assert str(error.value) == (
        "measure takes statistics, such as jk.Transitions(), and was given a list of 2: pass them one by one, as in "
        "measure(*statistics)."
    )


def test_texts_cannot_be_added_up_in_a_funnel(journeys):
    with pytest.raises(ColumnTypeError) as error:
        journeys.measure(jk.Funnel(["see", "buy"], within="1d", value="device"))
    assert str(error.value) == (
        "column 'device' for the role 'value' holds String, not numbers. Pass value=<a numeric property>."
    )


def test_a_property_without_any_value_adds_up_to_nothing():
    """Readers call such a column text, since nothing in it tells its type."""
    log = pl.DataFrame({"user": [1, 1], "time": [0, 1], "event": ["see", "buy"], "amount": [None, None]})
    log = log.with_columns(pl.col("amount").cast(pl.String))
    events = jk.read_events(log, user="user", time="time", event="event", unit="s", keep=["amount"])
    frame = events.sessionize("30m").measure(jk.Funnel(["see", "buy"], within="1d", value="amount")).frame
    assert frame.select("value", "value_nulls").rows() == [(0.0, 1), (0.0, 1)]


def test_a_pattern_may_bind_what_only_its_alphabet_names(journeys):
    pattern = jk.Pattern("see -> buy", alphabet=["see", "buy", "big"], where={"big": "buy"})
    assert len(journeys.match(pattern)) == 1


def test_one_column_that_is_not_printed_is_one_column(journeys):
    shown = repr(journeys.measure(jk.StepMatrix(anchor="buy", before=1, after=1)))
    assert "\n1 more column in .frame." in shown
