"""Times that are texts, read by the length that most have, against the format alone. D1.2."""

import random
from datetime import datetime, timedelta

import polars as pl
import pytest

from journeykit.sources.canonical import canonical
from journeykit.sources.roles import Roles
from journeykit.sources.times import FORMATS, _parsed, _quickly_parsed

DIGITS = {0: "", 3: "%f", 6: "%f", 9: "%f000"}


def written(draw, separator, digits, zone):
    moment = datetime(1000, 1, 1) + timedelta(
        days=draw.randrange(3_000_000), seconds=draw.randrange(86_400), microseconds=draw.randrange(10**6)
    )
    fraction = "." + moment.strftime(DIGITS[digits])[:digits] if digits else ""
    return moment.strftime(f"%Y-%m-%d{separator}%H:%M:%S") + fraction + zone


def broken(draw, text):
    """A text with a character replaced, put in or left out."""
    at, other = draw.randrange(len(text)), draw.choice("0123456789  -+:.TZé\t")
    return text[:at] + draw.choice([other, other + text[at], ""]) + text[at + 1 :]


@pytest.mark.parametrize("separator", "T ")
@pytest.mark.parametrize("digits", DIGITS)
@pytest.mark.parametrize("zone", ["", "Z", "+00:00", "+02:00"])
def test_by_length_or_by_format_is_the_same(separator, digits, zone):
    draw = random.Random(f"{separator}{digits}{zone}")
    usual = [written(draw, separator, digits, zone) for _ in range(300)]
    others = [written(draw, separator, draw.choice([*DIGITS]), zone) for _ in range(200)]
    texts = pl.Series(usual + others + [broken(draw, text) for text in usual * 5] + ["", "2024-02-30", None])
    for time_format in FORMATS:
        quick, slow = (
            pl.select(each).to_series()
            for each in (
                _quickly_parsed(pl.lit(texts), time_format, texts[:200]),
                _parsed(pl.lit(texts), time_format),
            )
        )
        assert quick.dtype == slow.dtype
        assert quick.equals(slow, null_equal=True), time_format


def test_python_leaves_out_a_fraction_of_zero():
    texts = ["2026-01-05T10:00:00.000001", "2026-01-05T10:00:00", "2026-01-05T10:00:00.25"] * 3
    log = pl.DataFrame({"u": "a", "t": texts, "e": "x"})
    times = canonical(log.lazy(), Roles("u", "t", "e")).collect()["time"]
    assert times.dt.microsecond().to_list() == [1, 0, 250_000] * 3
