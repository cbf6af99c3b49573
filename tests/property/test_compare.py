"""Comparisons of any statistic against their slow twins."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import ClassVar

import polars as pl
import pytest

import journeykit as jk
from journeykit.statistics.units import count_units
from tests import oracle
from tests.measuring import journeys_of, many_users
from tests.oracle import differences
from tests.oracle.comparing import compared
from tests.oracle.conversion import conversion

pytestmark = pytest.mark.property

DAY = 86_400_000_000


@dataclass(frozen=True)
class MeanLength(jk.Statistic[jk.Answer]):
    """A statistic of one's own, without intervals: events per session."""

    tables: ClassVar = {"units": ()}

    def tally(self, shard, cells):
        paths = shard.paths("session")
        cell = cells.of(paths, "session")
        counts = count_units(paths, cell, paths.lengths >= 1)
        events = pl.DataFrame({"cell": cell, "events": paths.lengths}).group_by("cell").sum()
        return {"units": counts.join(events, on="cell", how="left")}

    def answer(self, tables, context):
        counts = (
            tables["units"]
            .group_by("cell", maintain_order=True)
            .agg(pl.col("paths", "events").sum())
            .sort("cell")
        )
        frame = counts.with_columns((pl.col("events") / pl.col("paths")).alias("mean_length"))
        return jk.Answer(context.label(frame), self, context)


def rows_of(seed, users=90):
    draw = random.Random(seed)
    rows = many_users(seed, users=users, events=9)
    device = {row["user"]: draw.choice(("mobile", "desktop", None)) for row in rows}
    return [{**row, "device": device[row["user"]]} for row in rows]


def split(rows, unit="session"):
    device = {row["user"]: row["device"] for row in rows}
    paths = oracle.session_paths(rows) if unit == "session" else oracle.user_paths(rows)
    return tuple([path for path in paths if device[path.user] == one] for one in ("mobile", "desktop"))


def mean_length(paths):
    return sum(len(path.items) for path in paths) / len(paths) if paths else None


def rate_after(state):
    def rate(paths):
        found = conversion(paths, {"buy"}).get(state)
        return None if found is None or not found.reached else float(found.rate)

    return rate


def agrees(row, twin):
    names = ("difference", "difference_low", "difference_high", "p_value", "ratio_low", "ratio_high")
    expected = [None if value is None or math.isnan(value) else value for value in twin]
    assert [row[name] for name in names] == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_a_statistic_of_ones_own_is_compared_like_its_slow_twin(seed):
    rows = rows_of(seed)
    found = jk.compare(journeys_of(rows), MeanLength(), by="device", a="mobile", b="desktop").frame
    assert found["compared"].to_list() == ["mean_length"]
    agrees(found.row(0, named=True), compared(*split(rows), mean_length))


@pytest.mark.parametrize("seed", range(3))
def test_rates_of_sessions_are_compared_like_their_slow_twin(seed):
    rows = rows_of(seed)
    question = jk.Conversion("buy", start=["view", "cart"])
    found = jk.compare(
        journeys_of(rows), question, by="device", a="mobile", b="desktop", values="conversion_rate"
    ).frame
    assert set(found["state"]) == {"view", "cart"}
    for row in found.iter_rows(named=True):
        agrees(row, compared(*split(rows), rate_after(row["state"])))


@pytest.mark.parametrize("seed", range(3))
def test_proportions_of_users_are_compared_by_newcombe(seed):
    rows = rows_of(seed)
    found = jk.compare(
        journeys_of(rows), jk.Conversion("buy", unit="user"), by="device", a="mobile", b="desktop",
        values="conversion_rate",
    ).frame  # fmt: skip
    one, other = (conversion(side, {"buy"}) for side in split(rows, "user"))
    for row in found.iter_rows(named=True):
        counts = (*one[row["state"]][1::-1], *other[row["state"]][1::-1])
        assert row["method"] == "newcombe"
        assert (row["difference_low"], row["difference_high"]) == pytest.approx(differences.newcombe(*counts))
        assert row["p_value"] == pytest.approx(differences.p_value(*counts))
    p = found["p_value"].to_list()
    assert found["p_holm"].to_list() == pytest.approx(differences.holm(p))
    assert found["p_benjamini_hochberg"].to_list() == pytest.approx(differences.benjamini_hochberg(p))


def test_periods_are_compared_with_users_on_both_sides():
    rows = rows_of(5)
    days = sorted({path.items[0].time // DAY for path in oracle.session_paths(rows)})
    one, other = days[2], days[1]
    sides = [
        [path for path in oracle.session_paths(rows) if path.items[0].time // DAY == day]
        for day in (one, other)
    ]
    moment = pl.Series([one * DAY]).cast(pl.Datetime("us"))[0]
    found = jk.compare(journeys_of(rows), MeanLength(), every="1d", a=moment).frame
    row = found.row(0, named=True)
    assert (row["period_a"] - row["period_b"]).days == one - other
    agrees(row, compared(*sides, mean_length))


def test_the_sides_can_be_swapped():
    journeys = journeys_of(rows_of(7))
    forth = jk.compare(journeys, jk.Transitions(), by="device", a="mobile", b="desktop").frame
    back = jk.compare(journeys, jk.Transitions(), by="device", a="desktop", b="mobile").frame
    both = forth.join(back, on=["source", "target"], how="left", suffix="_back")
    assert both["difference"].to_list() == pytest.approx((-both["difference_back"]).to_list())
    assert both["p_value"].to_list() == pytest.approx(both["p_value_back"].to_list())
    assert both["difference_low"].to_list() == pytest.approx((-both["difference_high_back"]).to_list())
