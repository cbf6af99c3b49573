"""Groups of users, and ids that are too long. D12.1."""

from __future__ import annotations

import polars as pl
import pytest

from journeykit.errors import InputError
from journeykit.ordering import group_of, order_events


def test_groups_of_the_definitions():
    assert group_of(pl.Series(["1", "42", "u1", "user_1", "a"])).tolist() == [31, 2, 31, 47, 56]
    assert group_of(pl.Series([1, 42])).tolist() == [31, 2]


def order(users):
    count = len(users)
    return order_events(
        pl.Series(users), pl.Series(range(count), dtype=pl.Int64), pl.Series([0] * count, dtype=pl.UInt8)
    )


def test_longest_id():
    found = order(["x" * 65_534, "y", "x" * 65_534])
    assert sorted(found.users.str.len_bytes().to_list()) == [1, 65_534]
    with pytest.raises(InputError) as raised:
        order(["x" * 65_535])
    assert str(raised.value) == (
        "a user id of 65,535 bytes is longer than the 65,534 that journeykit takes. "
        "Check that user= names the column of ids."
    )


def test_nobody():
    found = order_events(
        pl.Series([], dtype=pl.String), pl.Series([], dtype=pl.Int64), pl.Series([], dtype=pl.UInt8)
    )
    assert (len(found.users), found.user_offsets.tolist(), found.group_offsets.tolist()) == (0, [0], [0] * 65)


def test_giving_memory_back_changes_nothing(monkeypatch):
    """A log too large to keep its scattered rows is ordered like any other."""
    users = pl.Series([f"user {i % 97}" for i in range(20_000)])
    times, codes = (
        pl.int_range(20_000, eager=True) % 1_000,
        pl.Series([i % 5 for i in range(20_000)], dtype=pl.UInt8),
    )
    monkeypatch.setattr("journeykit.ordering.ROWS_PER_PARTITION", 1_000)
    kept = order_events(users, times, codes)
    monkeypatch.setattr("journeykit.ordering.GIVE_BACK_FROM", 1)
    given = order_events(users, times, codes)
    assert given.users.equals(kept.users)
    assert (given.times == kept.times).all()
    assert (given.rows == kept.rows).all()
    assert (given.event_codes == kept.event_codes).all()
