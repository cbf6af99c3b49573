"""Texts and lists from numpy to polars and back, without pyarrow."""

from __future__ import annotations

import ctypes

import numpy as np
import polars as pl
import pytest

from journeykit.errors import InputError
from journeykit.kernels.memory import ADDRESS_MASK
from journeykit.kernels.ordering.user_ids import note_texts, text_offsets
from journeykit.ordering.user_ids import LONGEST_ID, identities_of
from journeykit.support.exchange import cut_bytes, cut_list, text_addresses

LONG = "longer than the twelve bytes of a view"


def bytes_at(texts: pl.Series) -> list[bytes]:
    """Read texts where they lie, from the identities that the kernel makes."""
    found = []
    for length, views, buffers in text_addresses(texts):
        identities = np.empty(length, np.uint64)
        note_texts(views, buffers, identities)
        offsets = np.empty(length + 1, np.int64)
        text_offsets(identities, offsets)
        addresses = [int(identity & ADDRESS_MASK) for identity in identities]
        found += [ctypes.string_at(a, int(n)) for a, n in zip(addresses, np.diff(offsets), strict=True)]
    return found


@pytest.mark.parametrize(
    "texts",
    [
        ["a", LONG, "", "twelve bytes", "thirteen byte", "\N{GRINNING FACE}" * 9],
        [LONG + str(i) for i in range(300)],
        [""],
    ],
)
def test_texts_are_read_where_they_lie(texts: list[str]) -> None:
    assert bytes_at(pl.Series(texts)) == [text.encode() for text in texts]


def test_every_chunk_and_slice_begins_at_its_own_view() -> None:
    whole = pl.Series([LONG, "b", "c"]).append(pl.Series(["d", LONG[::-1]]))
    assert [chunk.length for chunk in text_addresses(whole)] == [3, 2]
    assert bytes_at(whole[1:]) == [b"b", b"c", b"d", LONG[::-1].encode()]
    assert bytes_at(whole[4:]) == [LONG[::-1].encode()]


def test_a_series_without_texts_has_none() -> None:
    assert bytes_at(pl.Series(dtype=pl.String)) == []


def test_an_id_that_is_too_long_is_found_in_any_chunk() -> None:
    whole = pl.Series(["x" * LONGEST_ID, "a"]).append(pl.Series(["b"]))
    with pytest.raises(InputError, match="a user id of 65,535 bytes"):
        identities_of(whole, np.empty(3, np.uint64))


def test_other_types_are_refused() -> None:
    with pytest.raises(TypeError, match="that of Int64 has b'l'"):
        list(text_addresses(pl.Series([1])))


def test_bytes_are_cut_at_offsets() -> None:
    assert cut_bytes(b"abc", np.array([0, 0, 2, 3])).to_list() == [b"", b"ab", b"c"]
    assert cut_bytes(b"", np.array([0])).to_list() == []
    assert cut_bytes(LONG.encode(), np.array([0, 20, 38])).to_list() == [
        LONG[:20].encode(),
        LONG[20:].encode(),
    ]


def test_lists_are_cut_at_offsets() -> None:
    codes = pl.Series([5, 6, 7], dtype=pl.UInt32)
    lists = cut_list(codes, np.array([0, 2, 2, 3]))
    assert lists.to_list() == [[5, 6], [], [7]]
    assert lists.dtype == pl.List(pl.UInt32)
    assert cut_list(codes[:0], np.array([0])).to_list() == []
    assert cut_list(codes[:0], np.array([0, 0])).to_list() == [[]]
