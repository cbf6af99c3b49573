"""Personas: numbers by hand, the medoid, differences to the rest."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

import journeykit as jk
from journeykit.kernels.paths.distances import edit_distances
from journeykit.models.people.traits import Trait

KINDS = {"looker": "vvvvs", "buyer": "vcvcb"}


def journeys():
    """Forty lookers and twenty buyers; one in four buyers leaves the cart, one looker has an odd path."""
    rows = []
    for user in range(60):
        path = KINDS["buyer" if user % 3 == 0 else "looker"]
        if user % 12 == 0:
            path = "vcvc"
        if user == 1:
            path = "vvvvvvss"
        channel = "mail" if user % 3 == 0 else "search"
        rows += [(user, 10 * t, name, channel) for t, name in enumerate(path)]
    log = pl.DataFrame(rows, schema=["user", "time", "event", "channel"], orient="row")
    return jk.read_events(
        log, user="user", time="time", event="event", unit="s", keep=["channel"]
    ).sessionize("30m")


@pytest.fixture(scope="module")
def found():
    return journeys().measure(jk.Personas("b", jk.Clusters(2, resamples=0, rng=1), channel="channel"))


def test_sizes_conversion_and_typical_paths(found):
    shown = found.frame.select(
        "persona", "users", "all_users", "converted", "conversion_rate", "typical_path"
    )
    assert shown.rows() == [(1, 40, 60, 0, 0.0, [*"vvvvs"]), (2, 20, 60, 15, 0.75, [*"vcvcb"])]


def test_what_differs_from_the_rest(found):
    traits = {(p, kind, name): row for p, kind, name, *row in found.traits.select(
        "persona", "kind", "trait", "numerator", "denominator", "value", "rest", "difference", "excess"
    ).rows()}  # fmt: skip
    assert traits[2, "conversion", "converted"] == [15.0, 20.0, 0.75, 0.0, 0.75, 15.0]
    assert traits[1, "channel", "search"] == [40.0, 40.0, 1.0, 0.0, 1.0, 40.0]
    # Of 40 moves out of c, 5 end the path; lookers are never there.
    assert traits[2, "pain", "c"] == [5.0, 40.0, 0.125, None, None, None]
    assert traits[1, "time", "seconds per session"][:2] == [39 * 40.0 + 70.0, 40.0]
    bounds = found.traits.filter(kind="conversion").select("difference_low", "difference_high").rows()
    assert all(low < difference < high for (low, high), difference in zip(bounds, (-0.75, 0.75), strict=True))


def test_representatives_have_no_ids(found):
    people = found.representatives
    assert people["pseudonym"].to_list() == [
        "persona 1, user 1", "persona 1, user 2", "persona 2, user 1", "persona 2, user 2"
    ]  # fmt: skip
    assert "user" not in people.columns
    assert people["path"].to_list()[1] == [*"vvvvvvss"]


def slow_distance(one, two):
    table = [[i + j if i * j == 0 else 0 for j in range(len(two) + 1)] for i in range(len(one) + 1)]
    for i in range(1, len(one) + 1):
        for j in range(1, len(two) + 1):
            changed = table[i - 1][j - 1] + (one[i - 1] != two[j - 1])
            table[i][j] = min(changed, table[i - 1][j] + 1, table[i][j - 1] + 1)
    return table[-1][-1] / max(len(one), len(two))


def test_edit_distances_are_those_of_the_whole_table():
    draw = np.random.default_rng(5)
    paths = [draw.integers(0, 3, draw.integers(1, 9)).tolist() for _ in range(12)]
    offsets = np.append(0, np.cumsum([len(path) for path in paths]))
    found = np.empty((12, 12))
    edit_distances(
        offsets, np.array([state for path in paths for state in path]), np.empty(101, np.int64), found
    )
    wanted = [[slow_distance(one, two) for two in paths] for one in paths]
    np.testing.assert_allclose(found, wanted, rtol=1e-15)
    assert math.isclose(found[0, 0], 0.0)


def test_the_typical_path_counts_all_who_moved_alike():
    paths = ["ab"] * 10 + ["xyz", "xyzz", "xxyz", "xyyz"]
    rows = [(user, t, name) for user, path in enumerate(paths) for t, name in enumerate(path)]
    log = pl.DataFrame(rows, schema=["user", "time", "event"], orient="row")
    journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    found = journeys.measure(jk.Personas("b", jk.Clusters(1, resamples=0, rng=1)))
    assert found.frame["typical_path"].to_list() == [["a", "b"]]


def test_the_interval_of_a_mean_is_the_jackknife_of_the_difference():
    """Each user a group of their own: the interval is that of leaving out one after the other."""
    draw = np.random.default_rng(3)
    seconds, cluster = draw.random(24) * 9, draw.integers(0, 2, 24)
    trait = Trait("time", "seconds", np.arange(24), seconds, np.ones(24))
    row = trait.compared(cluster, np.arange(24), 2, 0.95).row(0, named=True)

    def difference(kept):
        return seconds[kept & (cluster == 0)].mean() - seconds[kept & (cluster == 1)].mean()

    estimate = difference(np.ones(24, bool))
    spread = sum((difference(np.arange(24) != left_out) - estimate) ** 2 for left_out in range(24))
    reach = 2.068658 * math.sqrt(23 / 24 * spread)  # Student's t with 23 degrees of freedom
    assert row["difference"] == pytest.approx(estimate)
    assert row["difference_low"] == pytest.approx(estimate - reach, rel=1e-6)
    assert row["difference_high"] == pytest.approx(estimate + reach, rel=1e-6)


def test_what_is_refused():
    with pytest.raises(jk.errors.ParameterError) as refused:
        jk.Personas("b", 3)
    assert str(refused.value) == "clusters must be Clusters, such as jk.Clusters([2, 3, 4], rng=1), not 3."
    with pytest.raises(jk.errors.UnknownPropertyError) as unknown:
        journeys().measure(jk.Personas("b", jk.Clusters(2, rng=1), channel="chanel"))
    assert str(unknown.value) == (
        "no property 'chanel' in these journeys. Did you mean 'channel'? Available: 'channel'. Pass "
        "keep=[..., 'chanel'] to read_events."
    )
