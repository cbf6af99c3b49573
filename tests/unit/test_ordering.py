"""Groups of users, and ids that are too long. D12.1."""

from __future__ import annotations

import pickle

import polars as pl
import pytest

from journeykit.errors import InputError
from journeykit.ordering.order import order_events
from journeykit.ordering.user_ids import UserIds, group_of


def test_groups_of_the_definitions():
    assert group_of(pl.Series(["1", "42", "u1", "user_1", "a"])).tolist() == [31, 2, 31, 47, 56]
    assert group_of(pl.Series([1, 42])).tolist() == [31, 2]


def order(users):
    count = len(users)
    return order_events(
        UserIds.of(pl.Series(users)),
        pl.Series(range(count), dtype=pl.Int64),
        pl.Series([0] * count, dtype=pl.UInt8),
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
        UserIds.of(pl.Series([], dtype=pl.String)),
        pl.Series([], dtype=pl.Int64),
        pl.Series([], dtype=pl.UInt8),
    )
    assert (len(found.users), found.user_offsets.tolist(), found.group_offsets.tolist()) == (0, [0], [0] * 65)


@pytest.mark.parametrize("ids", [["b", "a", "b", "", "a longer id than a view holds"], [5, -1, 5, 2**62]])
def test_ids_are_kept_and_given_back(ids, monkeypatch):
    monkeypatch.setattr("journeykit.ordering.user_ids.ROWS_PER_PIECE", 2)
    column = pl.Series("user", ids)
    users = UserIds.of(column)
    assert len(users) == len(ids)
    assert len(users.pieces) > 1
    assert users.series().equals(column)
    assert [users.series(n).to_list() for n in (0, 3)] == [[], ids[:3]]
    assert pickle.loads(pickle.dumps(users)).series().equals(column)


def test_ids_outlive_their_column():
    """Neither the column nor its copy is needed once the ids are encoded."""
    column = pl.Series("user", [f"a user with number {i % 1000}" for i in range(100_000)])
    users = UserIds.of(column)
    del column
    noise = [pl.Series([f"noise {i}" for i in range(100_000)]) for _ in range(3)]
    assert users.series().to_list() == [f"a user with number {i % 1000}" for i in range(100_000)]
    assert len(noise) == 3
