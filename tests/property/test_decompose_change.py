"""What changes are made of: against the slow twins, and their identities."""

from __future__ import annotations

import random

import pytest

import journeykit as jk
from tests import oracle
from tests.measuring import journeys_of, many_users
from tests.oracle import changes

pytestmark = pytest.mark.property

DAY = 86_400_000_000


def logs_of(seed, users=90):
    draw = random.Random(seed)
    rows = many_users(seed, users=users, events=12)
    device = {row["user"]: draw.choice(("mobile", "desktop", None)) for row in rows}
    rows = [{**row, "device": device[row["user"]]} for row in rows]
    by_day = {}
    for path in oracle.session_paths(rows):
        by_day.setdefault(path.items[0].time // DAY, []).append(path)
    after = sorted(by_day)[-3]
    before = max(day for day in by_day if day < after)
    return journeys_of(rows), by_day[before], by_day[after], (before, after)


def days(both):
    return {
        name: f"1970-01-{day + 1:02}" for name, day in zip(("before", "after"), both, strict=True)
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_mix_and_rates_are_those_of_the_slow_twin_and_add_up(seed):
    journeys, before, after, both = logs_of(seed)
    found = jk.decompose_change(journeys, "buy", every="1d", by="device", **days(both))
    expected = changes.by_segment(before, after, "buy", lambda path: path.items[0].row["device"])
    rows = {row["device"]: (row["mix"], row["rate"]) for row in found.frame.iter_rows(named=True)}
    assert rows == {
        name: pytest.approx(tuple(map(float, parts)), abs=1e-12) for name, parts in expected.items()
    }
    total = found.total.row(0, named=True)
    assert total["change"] == pytest.approx(total["rate_after"] - total["rate_before"], abs=1e-12)
    assert total["change"] == pytest.approx(found.frame["effect"].sum(), abs=1e-12)
    assert total["change"] == pytest.approx(total["mix"] + total["rate"], abs=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_moves_are_those_of_the_slow_twin_and_add_up(seed):
    journeys, before, after, both = logs_of(seed)
    found = jk.decompose_change(journeys, "buy", every="1d", **days(both))
    expected, change = changes.by_move(before, after, "buy")
    rows = {(row["source"], row["target"]): row["effect"] for row in found.frame.iter_rows(named=True)}
    assert rows == {edge: pytest.approx(effect, abs=1e-10) for edge, effect in expected.items()}
    total = found.total.row(0, named=True)
    assert total["change"] == pytest.approx(change, abs=1e-10)
    assert total["change"] == pytest.approx(found.frame["effect"].sum(), abs=1e-10)


def test_the_periods_swapped_are_the_change_reversed():
    journeys, _, _, both = logs_of(8)
    forth = jk.decompose_change(journeys, "buy", every="1d", **days(both)).frame
    back = jk.decompose_change(journeys, "buy", every="1d", **days(both[::-1])).frame
    joined = forth.join(back, on=["source", "target"], suffix="_back")
    assert joined["effect"].to_list() == pytest.approx((-joined["effect_back"]).to_list(), abs=1e-12)
    assert joined["effect_low"].to_list() == pytest.approx((-joined["effect_high_back"]).to_list(), abs=1e-12)
