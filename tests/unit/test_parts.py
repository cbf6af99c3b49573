"""Parquet read part by part gives the events and journeys of the whole log in one piece."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime, timedelta

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import journeykit as jk
from journeykit.errors import InputError, InvalidRowsError, UnreadableFileError
from journeykit.ordering import user_ids
from journeykit.sources import source_parts

ROLES = {"user": "who", "time": "when", "event": "what"}
START = datetime(2026, 1, 5, tzinfo=UTC)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr("journeykit.sources.ROWS_PER_PART", 100)
    monkeypatch.setattr("journeykit.ordering.user_ids.ROWS_PER_PIECE", 37)


def log(size=1_000, seed=1, *, users=40, names="abcdef"):
    draw = random.Random(seed)
    return pl.DataFrame(
        {
            "who": [f"somebody with the number {draw.randrange(users)}" for _ in range(size)],
            "when": [START + timedelta(minutes=draw.randrange(5_000)) for _ in range(size)],
            "what": [draw.choice(names) for _ in range(size)],
            "device": [draw.choice(["phone", "desk", None]) for _ in range(size)],
        }
    )


def written(path, frame, **options):
    pq.write_table(frame.to_arrow(), path, row_group_size=60, **options)
    return path


def same(source, frame, **options):
    found = jk.read_events(source, **ROLES, keep=["device"], **options)
    wanted = jk.read_events(frame, **ROLES, keep=["device"], **options)
    assert found.frame.equals(wanted.frame)
    assert (found.counts, found.duplicates_dropped) == (wanted.counts, wanted.duplicates_dropped)
    assert (found.observed_from, found.observed_until) == (wanted.observed_from, wanted.observed_until)
    assert repr(found) == repr(wanted)
    one, other = found.sessionize("30m"), wanted.sessionize("30m")
    assert one.frame.equals(other.frame)
    assert one.users.equals(other.users)
    assert (one.rows == other.rows).all()
    assert one.provenance == other.provenance
    assert found.quality.frame.equals(wanted.quality.frame)
    return found


def test_parts_are_neighbours(tmp_path):
    path = written(tmp_path / "log.parquet", log(250))
    assert source_parts(path) == [(0, 100), (100, 100), (200, None)]
    assert source_parts([path, path]) == [(i, 100) for i in range(0, 400, 100)] + [(400, None)]
    for size, parts in {0: 1, 1: 1, 100: 1, 101: 2, 200: 2}.items():
        assert len(source_parts(written(tmp_path / "other.parquet", log(size)))) == parts
    assert source_parts(log(250)) == [(0, None)]
    log(250).write_csv(tmp_path / "log.csv")
    assert source_parts(tmp_path / "log.csv") == [(0, None)]


def test_many_parts_are_joined(tmp_path, monkeypatch):
    path = written(tmp_path / "log.parquet", log(601))
    monkeypatch.setattr("journeykit.sources.MOST_PARTS", 2)
    assert source_parts(path) == [(0, 301), (301, None)]


@pytest.mark.parametrize(
    "options",
    [
        {"use_dictionary": False},
        {"use_dictionary": True},
        {"use_dictionary": ["what"]},
        # The dictionary is full after some pages: the others are plain.
        {"use_dictionary": True, "dictionary_pagesize_limit": 64, "data_page_size": 128},
    ],
)
def test_pages_with_and_without_dictionary(tmp_path, options):
    frame = log()
    same(written(tmp_path / "log.parquet", frame, **options), frame)


def test_files_with_different_names_and_users(tmp_path):
    frames = [log(seed=1, names="abc"), log(seed=2, names="zc", users=90), log(size=7, seed=3, names="q")]
    for number, frame in enumerate(frames):
        written(tmp_path / f"{number}.parquet", frame)
    events = same(tmp_path, pl.concat(frames))
    assert events.columns["event"].dtype.categories.to_list() == ["a", "b", "c", "q", "z"]


@pytest.mark.parametrize("dtype", [pl.Categorical, pl.Enum(list("abcdef"))])
def test_names_that_come_encoded(tmp_path, dtype):
    frame = log().with_columns(pl.col("what", "device").cast(pl.String))
    encoded = frame.with_columns(pl.col("what").cast(dtype))
    encoded.write_parquet(tmp_path / "log.parquet", row_group_size=60)
    same(tmp_path / "log.parquet", frame)


@pytest.mark.parametrize("dtype", [pl.Int64, pl.Int16, pl.UInt32])
def test_numbers_as_ids(tmp_path, dtype):
    frame = log().with_columns(pl.col("who").str.extract(r"(\d+)").cast(dtype))
    same(written(tmp_path / "log.parquet", frame), frame)


def test_folders_with_values(tmp_path):
    frames = [log(seed=1), log(seed=2)]
    for day, frame in enumerate(frames):
        (tmp_path / f"day={day}").mkdir()
        written(tmp_path / f"day={day}" / "log.parquet", frame)
    found = jk.read_events(tmp_path, **ROLES, keep=["day"]).frame
    assert found["day"].to_list() == [0] * 1_000 + [1] * 1_000


def test_texts_as_times(tmp_path):
    frame = log().with_columns(pl.col("when").dt.to_string("%Y-%m-%d %H:%M:%S"))
    same(written(tmp_path / "log.parquet", frame), frame)


def with_nulls():
    frame = log().with_row_index("row")
    for column, rows in {"who": [5, 130], "when": [130, 131, 999], "what": [500, 501, 502]}.items():
        frame = frame.with_columns(pl.when(~pl.col("row").is_in(rows)).then(pl.col(column)).alias(column))
    return frame.drop("row")


def test_invalid_rows_are_dropped_part_by_part(tmp_path):
    frame = with_nulls()
    events = same(written(tmp_path / "log.parquet", frame), frame, on_invalid="drop")
    counts = events.counts
    assert (counts.rows_in, counts.rows_kept) == (1_000, 993)
    assert (counts.user, counts.time, counts.event) == (2, 3, 3)


def test_a_part_without_a_valid_row(tmp_path):
    frame = log().with_row_index("row")
    frame = frame.with_columns(pl.when(pl.col("row") >= 360).then("who").alias("who")).drop("row")
    same(written(tmp_path / "log.parquet", frame), frame, on_invalid="drop")


def test_invalid_rows_of_all_parts_are_told_at_once(tmp_path):
    path = written(tmp_path / "log.parquet", with_nulls())
    found = []
    for source in (path, with_nulls()):
        with pytest.raises(InvalidRowsError) as raised:
            jk.read_events(source, **ROLES)
        found.append(str(raised.value))
    assert found[0] == found[1]
    assert found[0].startswith("7 of 1,000 rows have no valid user, time or event (user 2, time 3, event 3).")
    assert [int(row) for row in re.findall(r"row (\d+):", found[0])] == [5, 130, 131, 500, 501]


def test_duplicates_in_different_parts(tmp_path):
    frame = pl.concat([log(300), log(300)])
    events = same(written(tmp_path / "log.parquet", frame), frame, duplicates="drop")
    assert events.duplicates_dropped >= 300


@pytest.mark.parametrize("bits", [0, 1, 1 << 45])
def test_colliding_hashes(tmp_path, monkeypatch, bits):
    frame = log()
    wanted = jk.read_events(frame, **ROLES).sessionize().frame
    made = user_ids.quick_hashes

    def colliding(identities, hashes, *, text):
        hashes[:] = made(identities, hashes, text=text) & bits
        return hashes

    monkeypatch.setattr(user_ids, "quick_hashes", colliding)
    found = jk.read_events(written(tmp_path / "log.parquet", frame), **ROLES).sessionize().frame
    keys = ["user", "time", "event"]
    assert found.select(keys).sort(keys).equals(wanted.select(keys).sort(keys))
    assert found["user"].rle_id().n_unique() == wanted["user"].n_unique()


def test_an_id_that_is_too_long(tmp_path):
    frame = pl.concat([log(), log(1).with_columns(who=pl.lit("x" * 65_535))])
    with pytest.raises(InputError, match="a user id of 65,535 bytes"):
        jk.read_events(written(tmp_path / "log.parquet", frame), **ROLES)


def test_broken_in_the_middle(tmp_path):
    path = written(tmp_path / "log.parquet", log())
    content = bytearray(path.read_bytes())
    middle = pq.read_metadata(path).row_group(8).column(0).data_page_offset
    content[middle : middle + 40] = b"\xff" * 40
    path.write_bytes(content)
    with pytest.raises(UnreadableFileError):
        jk.read_events(path, **ROLES)


def test_a_stream_is_read_once():
    reader = pa.Table.to_reader(log().to_arrow())
    same(reader, log())
