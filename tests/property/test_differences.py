"""Two rates side by side, and p-values of many tests, against their slow twins."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from journeykit.mathematics.differences import compare_proportions, compare_ratios
from journeykit.mathematics.intervals import GroupSums
from journeykit.mathematics.multiple_tests import benjamini_hochberg, holm
from tests.oracle import differences as oracle
from tests.oracle.intervals import group

pytestmark = pytest.mark.property

P_VALUES = st.lists(
    st.one_of(st.none(), st.floats(0, 1), st.sampled_from((0.0, 0.01, 0.04, 1.0))), max_size=12
)


@st.composite
def counts(draw):
    n1, n2 = draw(st.integers(0, 90)), draw(st.integers(0, 90))
    return draw(st.integers(0, n1)), n1, draw(st.integers(0, n2)), n2


def plain(values):
    return [None if math.isnan(value) else value for value in values]


@given(P_VALUES)
def test_corrections_are_those_of_the_slow_twin(values):
    given_values = [math.nan if value is None else value for value in values]
    assert plain(holm(given_values)) == pytest.approx(oracle.holm(values))
    assert plain(benjamini_hochberg(given_values)) == pytest.approx(oracle.benjamini_hochberg(values))


@given(P_VALUES)
def test_corrections_are_those_of_scipy(values):
    known = [value for value in values if value is not None]
    if known:
        assert benjamini_hochberg(known) == pytest.approx(stats.false_discovery_control(known))


@given(st.lists(counts(), min_size=1, max_size=4))
def test_proportions_are_compared_like_the_slow_twin(rows):
    found = compare_proportions(*zip(*rows, strict=True))
    for i, row in enumerate(rows):
        x1, n1, x2, n2 = row
        difference = None if 0 in (n1, n2) else x1 / n1 - x2 / n2
        assert plain([found.difference[i]]) == pytest.approx([difference])
        bounds = plain([found.difference_low[i], found.difference_high[i]])
        assert bounds == pytest.approx(list(oracle.newcombe(*row) or (None, None)), abs=1e-9)
        ratio = None if n1 == 0 or x2 == 0 else (x1 / n1) / (x2 / n2)
        assert plain([found.ratio[i]]) == pytest.approx([ratio])
        bounds = plain([found.ratio_low[i], found.ratio_high[i]])
        assert bounds == pytest.approx(list(oracle.ratio_interval(*row) or (None, None)))
        assert plain([found.p_value[i]]) == pytest.approx([oracle.p_value(*row)])


@given(st.lists(st.tuples(*[st.integers(0, 5)] * 4), min_size=8, max_size=40))
def test_ratios_are_compared_like_the_slow_twin(sums):
    users = {f"u{i}": row for i, row in enumerate(sums)}
    groups = np.array([group(user) for user in users])
    parts = [
        GroupSums.of(1, np.zeros(len(users), np.int64), groups, [row[i] for row in sums]) for i in range(4)
    ]
    present = np.array([len(set(groups))])
    found = compare_ratios((parts[0], parts[1]), (parts[2], parts[3]), present)

    def rates(chosen):
        x1, n1, x2, n2 = (sum(users[user][i] for user in chosen) for i in range(4))
        return (x1 / n1, x2 / n2) if n1 and n2 else None

    def difference(chosen):
        both = rates(chosen)
        return None if both is None else both[0] - both[1]

    def log_ratio(chosen):
        both = rates(chosen)
        return None if both is None or 0 in both else math.log(both[0] / both[1])

    assert plain(found.difference) == pytest.approx([difference(users)])
    expected = oracle.jackknifed(users, difference) or (math.nan,) * 3
    one = (found.difference_low[0], found.difference_high[0], found.p_value[0])
    assert one == pytest.approx(expected, rel=1e-6, abs=1e-9, nan_ok=True)
    expected = oracle.jackknifed(users, log_ratio) or (math.nan,) * 3
    one = (np.log(found.ratio_low[0]), np.log(found.ratio_high[0]))
    assert one == pytest.approx(expected[:2], rel=1e-6, abs=1e-9, nan_ok=True)


@given(st.lists(st.tuples(*[st.integers(0, 3)] * 4), min_size=20, max_size=60))
def test_shares_without_variance_are_compared_as_those_of_users(sums):
    """On the side of 0 or 1 the jackknife sees no variance: users take its place. D12.3."""
    sums = [(n1, n1, min(x2, n2), n2) for _, n1, x2, n2 in sums]
    groups = np.array([group(f"u{i}") for i in range(len(sums))])
    rows = np.zeros(len(sums), np.int64)
    parts = [GroupSums.of(1, rows, groups, [row[i] for row in sums]) for i in range(4)]
    n1, n2 = (sum(row[i] > 0 for row in sums) for i in (1, 3))
    present = np.array([len(set(groups))])
    found = compare_ratios((parts[0], parts[1]), (parts[2], parts[3]), present, ([n1], [n2]))
    x2, all2 = (sum(row[i] for row in sums) for i in (2, 3))
    plain_one = compare_ratios((parts[0], parts[1]), (parts[2], parts[3]), present)
    if np.isnan(plain_one.difference_low[0]):
        assert np.isnan(found.difference_low[0])
        return
    wanted = compare_proportions([n1], [n1], [x2 / all2 * n2], [n2])
    assert found.p_value == pytest.approx(wanted.p_value)
    assert found.difference_low == pytest.approx(wanted.difference_low)
    assert found.difference == pytest.approx(1 - x2 / all2)
