"""Rows of a log by bucket of users, as bytes and back: every row once, in the order of the log."""

from __future__ import annotations

import random

import numpy as np
import polars as pl
import pytest

from journeykit.ordering.user_ids import UserIds, hash_ids
from journeykit.sharding.bucket_files import chunks_of
from journeykit.sharding.partition import _joined, rows_apart

N_BUCKETS = 128


def log(ids, names):
    draw = random.Random(3)
    rows = 1_001
    return pl.DataFrame(
        {
            "user": [draw.choice(ids) for _ in range(rows)],
            "time": [draw.randrange(1 << 40) for _ in range(rows)],
            "event": pl.Series([draw.randrange(names) for _ in range(rows)], dtype=pl.UInt32),
            "row": range(rows),
        }
    )


@pytest.fixture(params=["few entries", "many entries"], autouse=True)
def small_pieces(request, monkeypatch):
    monkeypatch.setattr("journeykit.ordering.user_ids.ROWS_PER_PIECE", 37)
    if request.param == "many entries":
        monkeypatch.setattr("journeykit.sharding.partition.MOST_ENTRIES", 5)


@pytest.mark.parametrize(("names", "width"), [(200, 1), (60_000, 2), (1 << 20, 4)])
@pytest.mark.parametrize(
    "ids", [[f"{'x' * length}é" for length in range(40)], [-(1 << 63), -7, 0, 42, (1 << 63) - 1]]
)
def test_rows_come_back_from_their_buckets(ids, names, width):
    frame = log(ids, names)
    text = isinstance(ids[0], str)
    chunks, further = rows_apart(frame, N_BUCKETS)
    written = [(bucket, b"".join(chunk.buffers())) for bucket, chunk in chunks]
    del chunks
    hashes = hash_ids(frame["user"])
    buckets = 2 * (hashes % 64) + (hashes // 64) % 2
    assert [bucket for bucket, _ in written] == [bucket for bucket, _ in further]
    assert {*buckets.tolist()} == {bucket for bucket, _ in written}
    for bucket in sorted({*buckets.tolist()}):
        content = b"".join(raw for number, raw in written if number == bucket)
        found = [*chunks_of(np.frombuffer(bytearray(content), np.uint8), text=text)]
        wanted = frame.filter(pl.Series(buckets) == bucket)
        users = UserIds(tuple(chunk.users for chunk in found), text).series()
        assert users.to_list() == wanted["user"].to_list()
        assert np.concatenate([chunk.times for chunk in found]).tolist() == wanted["time"].to_list()
        assert np.concatenate([chunk.codes for chunk in found]).tolist() == wanted["event"].to_list()
        rows = pl.concat([other["row"] for number, other in further if number == bucket])
        assert rows.to_list() == wanted["row"].to_list()
        for chunk in found:
            assert all(each.flags.aligned for each in (*chunk.users, chunk.times, chunk.codes))
            assert chunk.codes.itemsize <= width


def test_parts_are_joined_as_they_follow_each_other():
    assert [*_joined([(0, 5), (5, 5), (10, 5), (15, None)], 2)] == [(0, 10), (10, None)]
    assert [*_joined([(0, 5), (5, 5), (10, None)], 2)] == [(0, 10), (10, None)]
    assert [*_joined([(0, 5), (5, None)], 0)] == [(0, 5), (5, None)]
