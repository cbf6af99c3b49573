"""`jk.WindowFunnel` on small logs, and what it refuses."""

from __future__ import annotations

import polars as pl
import pytest

import journeykit as jk
from tests.logs import log
from tests.measuring import journeys_of

ROWS = log("u 0 a; u 1 b; u 2 x; u 3 c; v 0 a; v 50 c; w 0 b; w 0 a; z 5 x")


def frame_of(*args, **options):
    return journeys_of(ROWS).measure(jk.WindowFunnel(*args, **options)).frame


def test_levels_with_rates():
    frame = frame_of(["a", "b", "c"], "10m")
    assert frame.select("level", "condition", "units", "reached", "users", "all_units").rows() == [
        (0, None, 1, 4, 4, 4),
        (1, "a", 1, 3, 3, 4),
        (2, "b", 1, 2, 2, 4),
        (3, "c", 1, 1, 1, 4),
    ]
    assert frame["rate"].to_list() == [1, 0.75, 0.5, 0.25]
    assert frame["step_rate"].to_list() == [None, 0.75, 2 / 3, 0.5]
    assert frame["low"][3] == pytest.approx(0.045587, abs=1e-6)


@pytest.mark.parametrize(
    ("stream", "conditions", "modes", "level"),
    [
        ("u 0 a; u 10 b", ["a", "b"], [], 2),
        ("u 0 a; u 10.001 b", ["a", "b"], [], 1),
        ("u 0 a; u 0 b; u 10 c", ["a", ["a", "b"], ["a", "b"]], [], 3),
        ("u 0 a; u 0 b; u 10 c", ["a", ["a", "b"], ["a", "b"]], ["strict_once"], 2),
        ("u 0 b; u 0 a; u 0 c", [["a", "b"], ["a", "b"], ["a", "c"]], ["strict_once"], 3),
        ("u 0 b; u 0 a; u 0 c", [["a", "b"], ["a", "b"], ["a", "b"]], ["strict_once"], 2),
        ("u 0 a; u 1 b; u 2 b; u 2 c", ["a", "b", "c"], ["strict_increase"], 2),
        ("u 0 a; u 1 b; u 2 b; u 2 c", ["a", "b", "c"], ["strict_increase", "strict_once"], 3),
        ("u 0 x; u 1 a; u 2 x; u 3 b", ["a", "b"], ["strict_order"], 1),
        ("u 0 a; u 1 b; u 2 b; u 3 c", ["a", "b", "c"], ["strict_deduplication"], 2),
        ("u 0 a; u 1 c; u 2 b; u 3 c", ["a", "b", "c"], ["strict_order", "allow_reentry"], 3),
    ],
)
def test_the_level_of_a_stream(stream, conditions, modes, level):
    question = jk.WindowFunnel(conditions, "10m", modes, levels=True, missing="ignore")
    assert journeys_of(log(stream), timeout=None).measure(question).levels["level"].to_list() == [level]


def test_a_session_has_its_own_level_and_a_user_the_best():
    frame = frame_of(["a", "c"], "2h", unit="session")
    assert frame.select("units", "reached", "users").rows() == [(2, 5, 4), (2, 3, 3), (1, 1, 1)]


def test_segments_and_periods():
    rows = [{**row, "device": "web" if row["user"] in "uv" else None} for row in ROWS]
    answer = journeys_of(rows).measure(jk.WindowFunnel(["a", "b"], "10m"), by="device", every="1d")
    assert answer.frame.columns[:2] == ["device", "period"]
    assert answer.frame.filter(device="web")["reached"].to_list() == [2, 2, 1]
    assert answer.frame.filter(pl.col("device").is_null())["reached"].to_list() == [2, 1, 1]


def test_conditions_may_look_at_properties():
    rows = [{**row, "device": "web" if i % 2 else None} for i, row in enumerate(ROWS)]
    conditions = [jk.Match("a"), pl.col("device") == "web"]
    answer = journeys_of(rows).measure(jk.WindowFunnel(conditions, "10m", levels=True))
    assert answer.levels.rows() == [("u", None, 2), ("v", None, 1), ("w", None, 2), ("z", None, 0)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"conditions": []}, "conditions cannot be []. Give a list of at least one condition."),
        ({"conditions": "a"}, "conditions cannot be 'a'. Give a list of at least one condition."),
        ({"conditions": ["a"] * 33}, "33 conditions are more than the 32 there can be."),
        (
            {"conditions": [3]},
            "a condition cannot be 3. Give a name, a list of names, a polars expression, a Pattern or a Match.",
        ),
        ({"within": "0s"}, "within must be greater than zero, not '0s'."),
        (
            {"modes": ["strict"]},
            "modes cannot hold 'strict': the engine has renamed it. Write 'strict_deduplication'.",
        ),
        (
            {"modes": ["loose"]},
            (
                "modes cannot be 'loose'. Choose one of: 'strict_increase', 'strict_once', 'strict_deduplication', "
                "'strict_order', 'allow_reentry'."
            ),
        ),
        ({"modes": "strict_once"}, "modes cannot be 'strict_once'. Give a list, such as ['strict_order']."),
        (
            {"modes": ["allow_reentry"]},
            "'allow_reentry' needs 'strict_order', whose rule it loosens. Add it to modes.",
        ),
        ({"unit": "day"}, "unit cannot be 'day'. Choose one of: 'session', 'user'."),
        ({"missing": "no"}, "missing cannot be 'no'. Choose one of: 'raise', 'ignore', 'warn'."),
    ],
    ids=str,
)
def test_what_is_refused(options, message):
    with pytest.raises(jk.errors.ParameterError) as error:
        jk.WindowFunnel(**{"conditions": ["a"], "within": "1d", **options})
    assert str(error.value) == message


def test_unknown_names_are_refused_before_any_work():
    with pytest.raises(jk.errors.UnknownNameError, match="aa"):
        frame_of(["a", "aa"], "1d")
    assert frame_of(["a", "aa"], "1d", missing="ignore")["reached"].to_list() == [4, 3, 0]
