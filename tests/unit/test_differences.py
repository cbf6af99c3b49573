"""Comparisons of two rates and corrections for many tests, by hand."""

from __future__ import annotations

import numpy as np
import pytest

import journeykit as jk
from journeykit.mathematics.differences import compare_proportions, fisher
from journeykit.mathematics.multiple_tests import benjamini_hochberg, holm


def test_a_correction_refuses_what_is_no_probability():
    with pytest.raises(jk.errors.ParameterError) as caught:
        holm([0.2, 1.5])
    assert str(caught.value) == "p_values must be from 0 to 1, or NaN for no test; 1.5 is not."


def test_no_test_is_no_test():
    assert holm([]).size == 0
    assert np.isnan(benjamini_hochberg([np.nan, np.nan])).all()


def test_equal_values_and_nulls_between():
    """m = 3: 3 x 0.01, then twice min(3 x 0.04 / 2, 3 x 0.04 / 3)."""
    assert benjamini_hochberg([0.04, np.nan, 0.01, 0.04]) == pytest.approx(
        [0.04, np.nan, 0.03, 0.04], nan_ok=True
    )
    assert holm([0.04, np.nan, 0.01, 0.04]) == pytest.approx([0.08, np.nan, 0.03, 0.08], nan_ok=True)


def test_fisher_takes_both_tails_and_equal_chances():
    """Of C(8, 4) = 70 tables those with 3, 1, 4 or 0 on one side: 16 + 16 + 1 + 1."""
    assert fisher(3, 4, 1, 4) == pytest.approx(34 / 70)


def test_few_expected_take_the_exact_test():
    """Expected 4.5 of 10: exact; one more on both sides and the score test takes over."""
    exact = compare_proportions([9], [20], [0], [20])
    assert exact.p_value[0] == pytest.approx(fisher(9, 20, 0, 20))
    score = compare_proportions([10], [20], [0], [20])
    z = 0.5 / np.sqrt(0.25 * 0.75 * 2 / 20)
    assert score.p_value[0] == pytest.approx(2 * (1 - 0.999870), abs=2e-6)
    assert z == pytest.approx(3.6515, abs=1e-4)


def test_a_rate_of_nothing_is_compared_with_nothing():
    found = compare_proportions([0, 3], [0, 5], [1, 0], [4, 5])
    assert np.isnan(found.difference).tolist() == [True, False]
    assert np.isnan(found.ratio).tolist() == [True, True]
    assert np.isnan(found.p_value).tolist() == [True, False]
