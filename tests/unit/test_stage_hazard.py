"""StageHazard on a log worked out by hand, and what it refuses."""

from __future__ import annotations

import pytest

import journeykit as jk
from tests import logs
from tests.measuring import journeys_of

MODEL = jk.StageModel(
    [jk.Stage("look", "view"), jk.Stage("want", "cart"), jk.Stage("own", "buy")], loops=[("own", "look")]
)

# Number of the event in its stage, and what follows:
#   a: view 1, view 2 > cart 1 < view 3 > cart 2, gone     (view: stays, advances, advances; cart: regresses, abandons)
#   b: view 1, ping (no stage: look, 2), gone
#   c: buy 1 loops to view 1, view 2, still open with a horizon of 10 minutes
LOG = logs.log(
    "a 0 view; a 1 view; a 2 cart; a 3 view; a 4 cart; b 5 view; b 6 ping; c 90 buy; c 91 view; c 99 view"
)
COLUMNS = ("stage", "event", "at_risk", "advanced", "regressed", "looped", "abandoned")


def staged(rows=LOG):
    return journeys_of(rows).assign_stages(MODEL, missing="ignore")


def test_every_count_of_a_log():
    answer = staged().measure(jk.StageHazard(horizon="10m"))
    assert answer.frame.select(COLUMNS).rows() == [
        ("look", 1, 3, 0, 0, 0, 0),
        ("look", 2, 3, 1, 0, 0, 1),
        ("look", 3, 1, 1, 0, 0, 0),
        ("want", 1, 1, 0, 1, 0, 0),
        ("want", 2, 1, 0, 0, 0, 1),
        ("own", 1, 1, 0, 0, 1, 0),
    ]
    second = answer.frame.row(1, named=True)
    assert (second["advanced_hazard"], second["abandoned_hazard"]) == (1 / 3, 1 / 3)
    # Wilson's interval of 1 of 3.
    assert (second["advanced_hazard_low"], second["advanced_hazard_high"]) == pytest.approx(
        (0.0614919, 0.7923404), abs=1e-7
    )


def test_without_a_horizon_everyone_has_left():
    frame = staged().measure(jk.StageHazard()).frame
    assert frame.select(COLUMNS).row(1) == ("look", 2, 3, 1, 0, 0, 2)


def test_what_is_not_shown_is_told():
    answer = staged().measure(jk.StageHazard(max_events=1))
    assert answer.frame["event"].to_list() == [1, 1, 1]
    assert answer.notes[-1] == "4 times a user has more events in a stage than max_events=1 shows."
    assert answer.frame["abandoned"].sum() == 0


def test_segments_and_nobody():
    rows = [{**row, "device": "<b>" if row["user"] == "a" else "🛒"} for row in LOG]
    frame = staged(rows).measure(jk.StageHazard(), by="device").frame
    assert frame.columns[:3] == ["device", "stage", "event"]
    assert frame.filter(device="<b>")["at_risk"].to_list() == [1, 1, 1, 1, 1]
    nobody = staged().filter(users=[])
    assert nobody.measure(jk.StageHazard()).frame.height == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unit": "visit"}, "unit cannot be 'visit'. Choose one of: 'session', 'user'."),
        ({"max_events": 0}, "max_events must be a whole number from 1 to 1000, not 0."),
        ({"max_events": 2.0}, "max_events must be a whole number from 1 to 1000, not 2.0."),
        (
            {"unit": "session", "horizon": "1h"},
            (
                'horizon is for unit="user": a session has ended when its own timeout has passed. Leave horizon out, '
                'or pass unit="user".'
            ),
        ),
    ],
)
def test_what_it_refuses(options, message):
    with pytest.raises(jk.errors.ParameterError) as caught:
        jk.StageHazard(**options)
    assert str(caught.value) == message


def test_it_needs_stages():
    with pytest.raises(jk.errors.ParameterError) as caught:
        journeys_of(LOG).measure(jk.StageHazard())
    assert str(caught.value) == "StageHazard needs stages. Call assign_stages(model) first."
