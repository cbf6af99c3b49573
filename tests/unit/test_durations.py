"""Durations: with a unit or not at all."""

from __future__ import annotations

from datetime import timedelta

import pytest

from journeykit.errors import ParameterError
from journeykit.support.durations import microseconds, readable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1us", 1), ("1ms", 1_000), ("1s", 10**6), ("30m", 1_800 * 10**6), ("1h", 3_600 * 10**6),
        ("1d", 86_400 * 10**6), ("1w", 604_800 * 10**6), ("1d12h", 129_600 * 10**6), ("1.5h", 5_400 * 10**6),
        (" 30m ", 1_800 * 10**6), ("0.5s", 500_000),
    ],
)  # fmt: skip
def test_texts(text, expected):
    assert microseconds(text) == expected


def test_timedelta():
    assert microseconds(timedelta(minutes=30)) == 1_800 * 10**6
    assert microseconds(timedelta(days=400_000)) == 400_000 * 86_400 * 10**6


@pytest.mark.parametrize(
    "value", [30, 30.0, True, None, "30", "", "m", "30 minutes", "-30m", "1mo", "30M", "30m x"]
)
def test_anything_else_is_refused(value):
    with pytest.raises(ParameterError) as raised:
        microseconds(value, "timeout")
    assert str(raised.value) == (
        f"timeout cannot be {value!r}. Give a duration with its unit, such as '30m', '36h' or '7d' "
        f"(us, ms, s, m, h, d, w), or a datetime.timedelta."
    )


@pytest.mark.parametrize("value", ["0s", "0m0s", "0.1us", timedelta(0), timedelta(seconds=-1)])
def test_nothing_and_less_are_refused(value):
    with pytest.raises(ParameterError) as raised:
        microseconds(value, "horizon")
    assert str(raised.value) == f"horizon must be greater than zero, not {value!r}."


@pytest.mark.parametrize(
    ("us", "text"),
    [(604_800 * 10**6, "7d"), (129_600 * 10**6, "36h"), (90 * 10**6, "90s"), (1_800 * 10**6, "30m"),
     (2_000, "2ms"), (1_500, "0.0015s"), (0, "0s")],
)  # fmt: skip
def test_readable(us, text):
    assert readable(us) == text
