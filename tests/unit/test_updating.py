"""Tallies from which users are taken away, and to which they are added as they are now."""

from __future__ import annotations

from typing import Any

import polars as pl

from journeykit.growing.updating import updated

KEYS = {"moves": ("source", "target")}
SCHEMA = {"cell": pl.Int32, "group": pl.UInt8, "source": pl.Int32, "target": pl.Int32, "count": pl.Int64}


def table(*rows: tuple[Any, ...], **more: Any) -> dict[str, pl.DataFrame]:
    return {"moves": pl.DataFrame(list(rows), schema={**SCHEMA, **more}, orient="row")}


def rows(found: Any) -> list[tuple[Any, ...]]:
    return sorted(found[0]["moves"].rows(), key=repr)


def test_counts_are_taken_away_and_added_by_cell_group_and_key() -> None:
    kept = table((0, 1, 2, 3, 7), (0, 1, 3, 2, 5), (0, 4, 2, 3, 9), (1, 1, 2, 3, 11), (0, 1, None, 3, 2))
    before = table((0, 1, 2, 3, 2), (0, 1, 3, 2, 5), (0, 1, None, 3, 1))
    after = table((0, 1, 2, 3, 3), (0, 1, 2, 2, 4), (0, 4, 2, 3, 1), (0, 1, None, 3, 1))
    found = updated(kept, before, after, KEYS)
    assert found is not None
    assert found[1] == set()
    assert rows(found) == sorted(
        [(0, 1, 2, 3, 8), (0, 4, 2, 3, 10), (1, 1, 2, 3, 11), (0, 1, None, 3, 2), (0, 1, 2, 2, 4)], key=repr
    )
    assert found[0]["moves"].schema == kept["moves"].schema


def test_a_row_without_counts_stays_where_the_users_still_have_it_or_it_had_none() -> None:
    kept = table((0, 1, 2, 3, 7), (0, 1, 2, 4, 7), (0, 1, 2, 5, 0), (0, 1, 2, 6, 0))
    before = table((0, 1, 2, 3, 7), (0, 1, 2, 4, 7), (0, 1, 2, 5, 0))
    after = table((0, 1, 2, 3, 0))
    assert rows(updated(kept, before, after, KEYS)) == [(0, 1, 2, 3, 0), (0, 1, 2, 5, 0), (0, 1, 2, 6, 0)]


def test_what_was_never_counted_cannot_be_taken_away() -> None:
    kept = table((0, 1, 2, 3, 7), (0, 2, 2, 3, 4))
    found = updated(kept, table((0, 1, 9, 9, 1)), table(), KEYS)
    assert found is not None
    assert found[1] == {1}
    found = updated(kept, table((0, 2, 2, 3, 5)), table((0, 2, 2, 3, 0)), KEYS)
    assert found is not None
    assert found[1] == {2}


def times(*given: tuple[int, int, int], count: int = 5) -> dict[str, pl.DataFrame]:
    return table(
        *((0, group, 2, 3, count, low, high) for group, low, high in given),
        time_min=pl.Int64,
        time_max=pl.Int64,
    )


def test_extremes_of_alike_users_and_of_users_who_all_changed_are_known() -> None:
    kept = times((1, 7, 7), (2, 7, 7), (4, 7, 7), count=9)["moves"].vstack(times((3, 10, 90))["moves"])
    before = times((1, 7, 7), (2, 7, 7), (3, 10, 90), (4, 7, 7))
    after = times((2, 7, 8), (3, 20, 80), (4, 8, 8))
    found = updated({"moves": kept}, before, after, KEYS)
    assert found is not None
    assert found[1] == set()
    told = found[0]["moves"].sort("group").select("group", "count", "time_min", "time_max")
    assert told.rows() == [(1, 4, 7, 7), (2, 9, 7, 8), (3, 5, 20, 80), (4, 9, 7, 8)]


def test_extremes_are_known_unless_the_one_that_was_went_away() -> None:
    kept = times((1, 10, 90), (2, 10, 90), (3, 10, 90), (4, 10, 90), (5, 10, 90), count=9)
    before = times((1, 20, 80), (2, 10, 80), (3, 10, 90), (4, 30, 90), (5, 10, 90))
    after = times((1, 30, 95), (2, 9, 70), (3, 11, 90), (4, 30, 89), (5, 10, 90))
    found = updated(kept, before, after, KEYS)
    assert found is not None
    assert found[1] == {3, 4}
    told = found[0]["moves"].filter(pl.col("group") < 3).sort("group")
    assert told.select("group", "time_min", "time_max").rows() == [(1, 10, 95), (2, 9, 90)]


def test_an_extreme_is_not_known_where_its_user_has_no_such_row_now() -> None:
    kept = times((1, 10, 90), (2, 10, 90), (3, 10, 90), count=9)
    found = updated(kept, times((1, 10, 80), (2, 20, 90), (3, 20, 80)), times(), KEYS)
    assert found is not None
    assert found[1] == {1, 2}


def test_other_numbers_than_whole_ones_are_not_told() -> None:
    kept = table((0, 1, 2, 3, 7, 0.1), share=pl.Float64)
    assert updated(kept, kept, kept, KEYS) is None
    only = {"moves": kept["moves"].select("cell", "group", "source", "target", time_min=pl.lit(1))}
    assert updated(only, only, only, KEYS) is None


def test_unsigned_counts_keep_their_type() -> None:
    kept = {"moves": table((0, 1, 2, 3, 7))["moves"].cast({"count": pl.UInt32})}
    after = {"moves": table((0, 1, 2, 3, 9))["moves"].cast({"count": pl.UInt32})}
    found = updated(kept, kept, after, KEYS)
    assert rows(found) == [(0, 1, 2, 3, 9)]
    assert found is not None
    assert found[0]["moves"].schema["count"] == pl.UInt32


def test_tables_of_many_rows_are_told() -> None:
    size = 400_000
    numbered = pl.DataFrame({"source": range(size)}).select(
        pl.lit(0, pl.Int32).alias("cell"), (pl.col("source") % 64).cast(pl.UInt8).alias("group"),
        pl.col("source").cast(pl.Int32), pl.lit(3, pl.Int32).alias("target"), count=pl.lit(2, pl.Int64),
    )  # fmt: skip
    found = updated({"moves": numbered}, {"moves": numbered}, {"moves": numbered[::2]}, KEYS)
    assert found is not None
    assert found[1] == set()
    assert found[0]["moves"].sort("source").equals(numbered[::2])


def test_a_key_may_have_the_name_of_a_count_and_an_ending() -> None:
    kept = table((0, 1, 2, 3, 7, 1), count_before=pl.Int32)
    users = table((0, 1, 2, 3, 2, 1), count_before=pl.Int32)
    found = updated(
        kept, users, table(count_before=pl.Int32), {"moves": ("source", "target", "count_before")}
    )
    assert rows(found) == [(0, 1, 2, 3, 5, 1)]
