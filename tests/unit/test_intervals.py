"""Wilson and the delete-a-group jackknife against the slow twin. D12."""

from __future__ import annotations

import random

import numpy as np
import pytest

from journeykit.mathematics.intervals import GroupSums, jackknife, ratio_bounds, t_quantile, wilson
from tests import oracle
from tests.oracle.intervals import interval, standard_error


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999])
@pytest.mark.parametrize(("x", "n"), [(0, 1), (1, 1), (0, 50), (50, 50), (8, 10), (1, 10_000)])
def test_wilson(x, n, level):
    found, wanted = wilson([x], [n], level), oracle.wilson(x / n, n, level)
    assert found.low[0] == pytest.approx(max(0, wanted.low), abs=1e-12)
    assert found.high[0] == pytest.approx(min(1, wanted.high), abs=1e-12)


def test_wilson_of_nobody():
    found = wilson([0], [0])
    assert np.isnan(found.low[0])
    assert np.isnan(found.high[0])


def test_quantiles_of_t():
    assert t_quantile(0.95, 63) == pytest.approx(1.9983405)
    assert t_quantile(0.95, 9) == pytest.approx(2.2621572)


@pytest.mark.parametrize("scale", ["identity", "log", "logit"])
@pytest.mark.parametrize("groups", [10, 30, 64])
def test_jackknife_of_ratios(scale, groups):
    draw = random.Random(groups)
    tops = [draw.randint(0, 5) for _ in range(groups)]
    bottoms = [top + draw.randint(1, 9) for top in tops]
    theta = sum(tops) / sum(bottoms)
    replicates = [(sum(tops) - a) / (sum(bottoms) - b) for a, b in zip(tops, bottoms, strict=True)]
    wanted = interval(theta, standard_error(theta, replicates, groups), groups, scale)
    rows, group = np.zeros(groups, np.int64), np.arange(groups)
    sums = [GroupSums.of(1, rows, group, np.array(values)) for values in (tops, bottoms)]
    found = ratio_bounds(*sums, np.zeros(1, np.int64), np.array([groups]), [99], scale=scale)
    assert found.low[0] == pytest.approx(wanted.low)
    assert found.high[0] == pytest.approx(wanted.high)


def bounds(estimate, replicates, groups, scale="logit", users=20):
    return jackknife(np.array([estimate]), np.array([replicates]), np.array([groups]), [users], scale=scale)


def test_fewer_than_ten_groups():
    assert np.isnan(bounds(0.5, [0.4, 0.6] * 32, 9).low[0])
    assert not np.isnan(bounds(0.5, [0.4, 0.6] * 32, 10).low[0])


def test_undefined_replicates_are_left_out_up_to_a_quarter():
    replicates = [0.45, 0.55] * 20
    few = [*replicates[:30], *[np.nan] * 10]
    many = [*replicates[:29], *[np.nan] * 11]
    wanted = interval(0.5, standard_error(0.5, few[:30], 40), 40, "logit")
    assert bounds(0.5, few, 40).low[0] == pytest.approx(wanted.low)
    assert np.isnan(bounds(0.5, many, 40).low[0])


@pytest.mark.parametrize("rate", [0.0, 1.0, 0.25])
def test_rates_that_do_not_move_have_wilsons(rate):
    found, wanted = bounds(rate, [rate] * 64, 64), oracle.wilson(rate, 20)
    assert found.low[0] == pytest.approx(max(0, wanted.low), abs=1e-12)
    assert found.high[0] == pytest.approx(min(1, wanted.high), abs=1e-12)


def test_means_that_do_not_move_have_no_width():
    found = bounds(7.0, [7.0] * 64, 64, "identity")
    assert (found.low[0], found.high[0]) == (7.0, 7.0)


def test_no_logarithm_of_nothing():
    found = bounds(0.0, [0.0, 0.1] * 32, 64, "log")
    assert np.isnan(found.low[0])
    assert np.isnan(found.high[0])


def test_rows_share_denominators_in_any_order():
    """Each ratio finds its own denominator, also across the blocks in which they are computed."""
    draw = np.random.default_rng(1)
    size = 20_000
    parts = draw.integers(1, 5, (3, 64))
    rows = np.repeat(np.arange(3), 64)
    denominator = GroupSums.of(3, rows, np.tile(np.arange(64), 3), parts.ravel())
    tops = np.ones(size * 64)
    numerator = GroupSums.of(size, np.repeat(np.arange(size), 64), np.tile(np.arange(64), size), tops)
    which = draw.integers(0, 3, size)
    found = ratio_bounds(numerator, denominator, which, np.full(size, 64), np.full(size, 99))
    for kind in range(3):
        theta = 64 / parts[kind].sum()
        replicates = [63 / (parts[kind].sum() - part) for part in parts[kind]]
        wanted = interval(theta, standard_error(theta, replicates, 64), 64, "logit")
        assert np.allclose(found.low[which == kind], wanted.low)
        assert np.allclose(found.high[which == kind], wanted.high)
