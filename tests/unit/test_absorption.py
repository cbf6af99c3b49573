"""Absorbing chains: large ones are iterated to the digits of a factorisation; what is certain is exact. D10.2."""

from __future__ import annotations

import numpy as np
import pytest

from journeykit.mathematics import linear_systems
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
