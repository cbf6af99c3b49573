"""Clusters of users who move alike: planted ones found again, sums by hand, what is refused."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

import journeykit as jk
from journeykit.cells import Cells
from journeykit.datasets import planted
from journeykit.models.people.profiles import Profiles, adjusted_rand
from tests.oracle.mixtures import adjusted_rand as slow_adjusted_rand
from tests.oracle.mixtures import expectation

KINDS = {
    "researchers": dict.fromkeys(planted.STAGES["consideration"], 6.0),
    "buyers": dict.fromkeys(planted.STAGES["purchase"], 8.0),
    "owners": dict.fromkeys(planted.STAGES["usage"], 10.0),
}


def planted_shop(users, seed, strength=1.0):
    """The shop's chain with one stage more likely for each kind of user; the kind of each user too."""
    draw = np.random.default_rng(seed)
    names, base = planted.EVENTS, planted.event_chain("desktop")
    chains = []
    for likelier in KINDS.values():
        chain = base * np.array([*(1 + strength * (likelier.get(name, 1.0) - 1) for name in names), 1.0])
        chains.append((chain / chain.sum(axis=1, keepdims=True)).cumsum(axis=1))
    kind = draw.choice(3, users, p=[0.5, 0.3, 0.2])
    rows = []
    for user in range(users):
        for session in range(2 + draw.geometric(0.5)):
            time, state = session * 86_400, 0
            while (state := 1 + int(np.searchsorted(chains[kind[user]][state], draw.random()))) <= len(names):
                rows.append((f"u{user:04d}", time, names[state - 1]))
                time += 30
    return pl.DataFrame(rows, schema=["user", "time", "event"], orient="row"), kind


def read(log, **options):
    return jk.read_events(log, user="user", time="time", event="event", unit="s", **options).sessionize("30m")


@pytest.fixture(scope="module")
def shop():
    return planted_shop(600, 3)


@pytest.mark.parametrize("method", ["markov", "ngrams"])
def test_planted_clusters_are_found(shop, method):
    if method == "ngrams":
        pytest.importorskip("sklearn")
    log, kind = shop
    found = read(log).measure(jk.Clusters(3, method=method, resamples=3, rng=7))
    truth = kind[found.assignments["user"].str.slice(1).cast(pl.Int64).to_numpy()]
    assert adjusted_rand(found.assignments["cluster"].to_numpy(), truth) >= 0.9
    assert found.frame["users"].sum() == 600
    assert found.frame["users"].is_sorted(descending=True)
    assert (found.frame["stability"] > 0.75).all()
    assert found.frame["certainty"].is_null().all() == (method == "ngrams")


def test_kinds_half_as_strong_are_found_nearly_as_well_as_can_be():
    """Who knew the three chains would reach an adjusted Rand index of 0.936 for these users."""
    log, kind = planted_shop(3_000, 3, strength=0.5)
    found = read(log).measure(jk.Clusters(3, resamples=0, rng=7)).assignments
    truth = kind[found["user"].str.slice(1).cast(pl.Int64).to_numpy()]
    assert adjusted_rand(found["cluster"].to_numpy(), truth) >= 0.92


def test_the_number_of_clusters_is_found(shop):
    log, _ = shop
    selection = read(log).measure(jk.Clusters([1, 2, 3, 4, 5], resamples=0, rng=7)).selection
    assert selection["clusters"].to_list() == [1, 2, 3, 4, 5]
    assert selection.filter("chosen")["clusters"].to_list() == [3]
    assert selection["bic"].arg_min() == 2


def test_one_cluster_has_no_silhouette(shop):
    pytest.importorskip("sklearn")
    log, _ = shop
    selection = read(log).measure(jk.Clusters([1, 3], method="ngrams", resamples=0, rng=7)).selection
    assert selection["silhouette"].is_null().to_list() == [True, False]
    assert selection.filter("chosen")["clusters"].to_list() == [3]


def test_the_seed_decides_and_the_order_of_rows_does_not(shop):
    log, _ = shop
    asked = jk.Clusters([2, 3], resamples=2, starts=3, rng=5)
    one = read(log).measure(asked)
    two = read(log.sample(fraction=1.0, shuffle=True, seed=9).sort("time")).measure(asked)
    assert one.selection.equals(read(log).measure(asked).selection)
    assert two.frame["users"].to_list() == one.frame["users"].to_list()
    again = jk.Clusters([2, 3], resamples=2, starts=3, rng=np.random.default_rng(1))
    assert again == jk.Clusters([2, 3], resamples=2, starts=3, rng=np.random.default_rng(1))


def small():
    paths = {"a": "xyxy", "b": "xyx", "c": "xxxx", "d": "xxx", "e": "yyx"}
    rows = [(user, t, name) for user, path in paths.items() for t, name in enumerate(path)]
    return pl.DataFrame(rows, schema=["user", "time", "event"], orient="row"), paths


def test_one_cluster_is_the_chain_of_all():
    log, paths = small()
    found = read(log).measure(jk.Clusters(1, resamples=0, rng=0))
    counts: dict[tuple[str, str], int] = {}
    for path in paths.values():
        for move in zip(["<START>", *path], [*path, "<END>"], strict=True):
            counts[move] = counts.get(move, 0) + 1
    leaving: dict[str, int] = {}
    for (source, _), n in counts.items():
        leaving[source] = leaving.get(source, 0) + n
    likelihood = sum(n * math.log(n / leaving[source]) for (source, _), n in counts.items())
    (row,) = found.selection.to_dicts()
    assert row["log_likelihood"] == pytest.approx(likelihood, rel=1e-12)
    assert row["parameters"] == len(counts) - len(leaving)
    assert row["bic"] == pytest.approx(-2 * likelihood + row["parameters"] * math.log(5), rel=1e-12)
    moves = {
        (s, t): (m, p) for s, t, m, p in found.moves.select("source", "target", "moves", "probability").rows()
    }
    assert moves == {move: (n, n / leaving[move[0]]) for move, n in counts.items()}


def test_a_step_of_em_is_that_of_the_oracle():
    from journeykit.kernels.models.mixtures import expect

    draw = np.random.default_rng(4)
    offsets = np.array([0, 2, 5, 6])
    edges, counts = np.array([0, 2, 1, 2, 3, 0]), np.array([1.0, 2.0, 3.0, 1.0, 1.0, 4.0])
    weights, chances, sizes = np.array([1.0, 2.0, 5.0]), draw.random((4, 3)), np.array([0.2, 0.3, 0.5])
    chances[3, 1] = 0.0
    moves, shares = np.zeros((4, 3)), np.zeros(3)
    with np.errstate(divide="ignore"):
        found = expect(
            offsets, edges, counts, weights, np.log(chances), np.log(sizes), np.empty(3), moves, shares
        )
    rows = [
        ({int(edges[i]): float(counts[i]) for i in range(offsets[r], offsets[r + 1])}, float(weights[r]))
        for r in range(3)
    ]
    likelihood, expected, people = expectation(rows, chances.tolist(), sizes.tolist())
    assert found == pytest.approx(likelihood, rel=1e-12)
    np.testing.assert_allclose(moves, expected, rtol=1e-12)
    np.testing.assert_allclose(shares, people, rtol=1e-12)


def test_adjusted_rand_is_that_of_all_pairs():
    draw = np.random.default_rng(2)
    for _ in range(20):
        one, two = draw.integers(0, 3, 15), draw.integers(0, 4, 15)
        assert adjusted_rand(one, two) == pytest.approx(
            slow_adjusted_rand(one.tolist(), two.tolist()), abs=1e-12
        )


def test_users_who_moved_alike_are_one_profile_also_if_hashes_meet(monkeypatch):
    log, _ = small()
    more = pl.concat([log, log.filter(pl.col("user") == "a").with_columns(pl.lit("z").alias("user"))])
    tables = jk.Clusters(1, rng=0).tally(read(more).shards(1)[0], Cells())
    moves = tables["moves"].with_columns(pl.lit(0, pl.UInt8).alias("group"))
    plain = Profiles.of(moves, pl.Series(["x", "y"]))
    monkeypatch.setattr(
        "journeykit.models.people.profiles._hashes", lambda edges: np.zeros(edges.height, np.uint64)
    )
    meeting = Profiles.of(moves, pl.Series(["x", "y"]))
    for profiles in (plain, meeting):
        assert profiles.n_users == 6
        by_profile = profiles.users.group_by("profile").agg(pl.col("user").sort())["user"].to_list()
        assert all(users in (["a", "z"], *([user] for user in "abcdez")) for users in by_profile)
    assert plain.size == 5


def test_users_without_a_state_are_noted():
    log, _ = small()
    staged = read(log).assign_stages(jk.StageModel([jk.Stage("why", "y")]))
    found = staged.measure(jk.Clusters([1, 2, 3], of="stage", resamples=0, rng=0))
    assert found.assignments["user"].to_list() == ["a", "b", "e"]
    assert "2 of 5 users have no stage and are in no cluster." in found.notes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clusters": 0}, "clusters cannot be 0. Give a whole number from 1 to 50, or several to choose from."),
        ({"clusters": []}, "clusters cannot be []. Give a whole number from 1 to 50, or several to choose from."),
        ({"clusters": [2, True]},
         "clusters cannot be [2, True]. Give a whole number from 1 to 50, or several to choose from."),
        ({"starts": 0}, "starts must be a whole number from 1 on, not 0."),
        ({"resamples": -1}, "resamples must be a whole number from 0 on, not -1."),
        ({"method": "kmeans"}, "method cannot be 'kmeans'. Choose one of: 'markov', 'ngrams'."),
        ({"rng": None}, "rng must be a seed (a whole number, 0 or more) or a numpy.random.Generator, not None."),
        ({"rng": -1}, "rng must be a seed (a whole number, 0 or more) or a numpy.random.Generator, not -1."),
    ],
)  # fmt: skip
def test_what_is_refused(options, message):
    with pytest.raises(jk.errors.ParameterError) as refused:
        jk.Clusters(**{"rng": 1, **options})
    assert str(refused.value) == message


def test_ngrams_without_scikit_learn_are_refused(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sklearn", None)
    log, _ = small()
    with pytest.raises(jk.errors.MissingPackageError) as refused:
        read(log).measure(jk.Clusters(2, method="ngrams", rng=1))
    assert str(refused.value) == (
        "Clusters(method='ngrams') needs scikit-learn, which is not installed. Install it with journeykit[clusters]."
    )
