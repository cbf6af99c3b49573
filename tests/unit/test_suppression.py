"""Small cells worked out by hand."""

from __future__ import annotations

import polars as pl
import pytest

from journeykit.errors import ParameterError
from journeykit.privacy.suppression import Sensitive, check_k, check_users, protect, suppress


def test_the_next_smallest_joins_a_lonely_cell():
    """Row and column totals are shown: one withheld cell takes three more with it."""
    values = {("a", 0): 3, ("b", 0): 20, ("a", 1): 30, ("b", 1): 10, ("a", 2): 40, ("b", 2): 50}
    rows = [[("a", i), ("b", i), ("sum", i)] for i in range(3)]
    columns = [[(name, i) for i in range(3)] for name in ("a", "b")]
    values |= {("sum", i): 1_000 for i in range(3)}
    assert protect(values, [("a", 0)], rows + columns) == {("a", 0), ("b", 0), ("a", 1), ("b", 1)}


def test_zeros_are_shown_and_never_partners():
    values = {("a", 0): 3, ("a", 1): 0, ("a", 2): 9}
    assert protect(values, [("a", 0)], [[("a", i) for i in range(3)]]) == {("a", 0), ("a", 2)}


def test_rates_go_with_what_they_are_made_of():
    frame = pl.DataFrame({
        "n": [100, 100, 4, 0, 100],
        "x": [50, 98, 2, 0, 0],
        "rate": [0.5, 0.98, 0.5, None, 0.0],
        "rate_low": [0.4, 0.9, 0.1, None, 0.0],
        "rate_high": [0.6, 1.0, 0.9, None, 0.1],
    })  # fmt: skip
    found = suppress(frame, Sensitive({"n": "n", "x": "x"}, rates={"rate": ("x", "n")}))
    assert found.frame.rows() == [
        (100, 50, 0.5, 0.4, 0.6, False),
        (100, None, None, None, None, True),
        (None, None, None, None, None, True),
        (0, 0, None, None, None, False),
        (100, 0, 0.0, 0.0, 0.1, False),
    ]
    assert found.cells == 9
    assert found.withheld.row(3) == (False,) * 5


@pytest.mark.parametrize(("x", "shown"), [(4, False), (5, True), (95, True), (96, False)])
def test_the_limit_of_a_rate(x, shown):
    """With k = 5, four are too few, in the numerator and in what is left; five are not."""
    frame = pl.DataFrame({"n": [100], "x": [x], "rate": [x / 100]})
    found = suppress(frame, Sensitive({"n": "n", "x": "x"}, rates={"rate": ("x", "n")})).frame
    assert [found[name][0] is not None for name in ("x", "rate")] == [shown, shown]


@pytest.mark.parametrize(("users", "shown"), [(4, False), (5, True)])
def test_the_limit_of_a_denominator_and_of_a_median(users, shown):
    frame = pl.DataFrame({"n": [users], "x": [0], "rate": [0.0], "median": [1.5]})
    told = Sensitive({"n": "n", "x": "x"}, rates={"rate": ("x", "n")}, values={"median": "n"})
    found = suppress(frame, told).frame
    assert [found[name][0] is not None for name in ("n", "rate", "median")] == [shown] * 3


def test_of_equal_partners_the_first_in_the_line_joins():
    values = {("a", 0): 3, ("a", 1): 9, ("a", 2): 9, ("a", 3): 20}
    for line in ([0, 1, 2, 3], [3, 2, 1, 0]):
        found = protect(values, [("a", 0)], [[("a", row) for row in line]])
        assert found == {("a", 0), ("a", next(row for row in line if row in (1, 2)))}


def test_as_many_users_as_a_number_may_be_about_are_enough():
    check_users(5, 5)
    check_users(0, 0)
    with pytest.raises(ParameterError, match=r"^these journeys are of 4 users, and suppress=5 "):
        check_users(4, 5)


def test_times_and_counts_by_the_users_behind_them():
    frame = pl.DataFrame({"users": [2, 9], "events": [50, 60], "median": [1.5, 2.5], "name": ["a", "b"]})
    found = suppress(frame, Sensitive({"users": "users", "events": "users"}, values={"median": "users"}))
    assert found.frame.rows() == [(None, None, None, "a", True), (9, 60, 2.5, "b", False)]


def test_nobody_and_nothing():
    empty = pl.DataFrame(schema={"users": pl.Int64, "share": pl.Float64})
    found = suppress(empty, Sensitive({"users": "users"}, values={"share": "users"}))
    assert (found.frame.columns, found.cells) == (["users", "share", "suppressed"], 0)


@pytest.mark.parametrize("k", [-1, 1, 2.5, "5", True, None])
def test_a_k_that_cannot_be(k):
    with pytest.raises(ParameterError) as raised:
        check_k(k)
    assert str(raised.value) == (
        f"suppress must be 0 (nothing is withheld) or a number of users above 1, such as 5, not {k!r}."
    )
