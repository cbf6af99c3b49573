"""Absorbing chains: large ones are iterated to the digits of a factorisation; what is certain is exact. D10.2."""

from __future__ import annotations

import numpy as np
import pytest

from journeykit.mathematics import linear_systems
from journeykit.mathematics.absorption import AbsorbingChain
from journeykit.mathematics.linear_systems import FEW_STATES, LinearSystem, iterated

SIZE = FEW_STATES + 100


def moves(seed: int, states: int = SIZE, each: int = 12, stay: float = 0.95):
    """Return moves between states, each to so many others."""
    rng = np.random.default_rng(seed)
    source = np.repeat(np.arange(states), each)
    weight = rng.random(source.size)
    share = stay * weight / np.bincount(source, weight)[source]
    return source, rng.integers(0, states, source.size), share


def dense(source, target, share, states):
    matrix = np.eye(states)
    np.subtract.at(matrix, (source, target), share)
    return matrix


@pytest.mark.parametrize("stay", [0.5, 0.95, 0.999])
@pytest.mark.parametrize("transposed", [False, True])
def test_many_states_are_solved_as_few_are(stay, transposed, monkeypatch):
    monkeypatch.setattr(linear_systems, "COLUMNS", 2 * SIZE)
    monkeypatch.setattr(LinearSystem, "_factors", property(lambda _: pytest.fail("it was factorised")))
    given = moves(1, stay=stay)
    matrix = dense(*given, SIZE)
    right = np.random.default_rng(2).random((SIZE, 5))
    right[:, 3] = 0.0
    right[:, 4] *= 1e-9
    found = LinearSystem(*given, SIZE).solve(right, transposed=transposed)
    wanted = np.linalg.solve(matrix.T if transposed else matrix, right)
    assert np.abs(found / np.where(right.any(axis=0), wanted, 1.0) - right.any(axis=0)).max() < 1e-11
    assert not found[:, 3].any()
    one = LinearSystem(*given, SIZE).solve(right[:, 0], transposed=transposed)
    assert one.shape == (SIZE,)
    assert np.allclose(one, found[:, 0], rtol=1e-12, atol=0)


def test_a_long_chain_is_factorised():
    """Each of 500 states leads to the next one: 60 steps do not get through."""
    source = np.arange(SIZE - 1)
    system = LinearSystem(source, source + 1, np.full(SIZE - 1, 0.99), SIZE)
    assert iterated(system._matrix, np.ones((SIZE, 1))) is None
    found = system.solve(np.ones(SIZE))
    assert found[0] == pytest.approx((1 - 0.99**SIZE) / 0.01, rel=1e-12)
    assert "_factors" in vars(system)


def test_what_is_not_reached_is_zero():
    source, target, share = moves(3)
    half = SIZE // 2
    target = np.where(source < half, target % half, target)
    start = np.zeros(SIZE)
    start[5] = 1.0
    visits = LinearSystem(source, target, share, SIZE).solve(start, transposed=True)
    assert not visits[half:].any()
    assert (visits[:half] != 0).sum() > half // 2


@pytest.mark.parametrize("states", [60, SIZE])
def test_what_is_certain_is_exactly_one(states):
    """The first states lead to the first end only, the last ten to both."""
    source, target, share = moves(4, states)
    certain = states - 10
    target = np.where(source < certain, target % certain, target)
    every = np.arange(states)
    out, rest = np.tile(every, 2), 1 - np.bincount(source, share, states)
    first = np.where(every < certain, 1.0, 0.5)
    chain = AbsorbingChain(
        np.append(source, out),
        np.append(target, np.repeat([states, states + 1], states)),
        np.append(share, np.append(rest * first, rest * (1 - first))),
        states,
        2,
    )
    assert (chain.absorbed[:certain] == [1.0, 0.0]).all()
    assert (chain.absorbed[certain:] > 0).all()
    assert chain.surely([0]).tolist() == [True] * certain + [False] * 10
    assert chain.surely([0, 1]).all()
    assert chain.absorbed.sum(axis=1) == pytest.approx(np.ones(states))
    chance = chain.absorbed[:, 1]
    walks = chain.given(np.append(chance, [0.0, 1.0])).steps
    assert chain.steps_given(chance) == pytest.approx(np.where(chance > 0, walks, np.nan), nan_ok=True)
