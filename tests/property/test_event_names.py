"""Event names numbered part by part, against a dictionary of Python. D3.2."""

import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl
import pytest

from journeykit.errors import ReservedNameError
from journeykit.kernels.ordering.event_names import fill_slots
from journeykit.ordering import vocabulary
from journeykit.ordering.vocabulary import EventNames, encode_events, recoded
from journeykit.support.exchange import text_addresses


def names_of(draw, count):
    """Names of 0 to 90,000 bytes: short ones, ones that differ in the last byte, ones with zero bytes, emoji."""
    stems = ["", "a", "twelve bytes", "twelve byteS", "thirteen byte", "x" * 70_000, "\0", "🙂" * 9]
    return [draw.choice(stems) + "".join(draw.choices("ab\0é<>", k=draw.randint(0, 6))) for _ in range(count)]


def numbered(names, series):
    """The names behind the numbers of a series."""
    known = names.number(series)
    assert known.dtype == pl.UInt32
    return [None if number is None else names.numbered[number] for number in known]


@pytest.mark.parametrize("seed", range(4))
def test_names_of_every_shape_part_by_part(seed):
    draw, names, seen = random.Random(seed), EventNames(), {}
    for _ in range(5):
        few = names_of(draw, 40)
        part = [draw.choice(few) for _ in range(500)]
        pieces = pl.concat([pl.Series(part[:100]), pl.Series(part[100:]).slice(0)], rechunk=False)
        assert numbered(names, pieces) == part
        seen |= dict.fromkeys(part)
    assert sorted(names.numbered) == sorted(seen)
    assert names.vocabulary() == sorted(seen)


def test_more_names_than_there_was_room_for():
    draw = random.Random(1)
    part = [f"a page with number {draw.randrange(30_000)}" for _ in range(40_000)]
    names = EventNames()
    assert numbered(names, pl.Series(part)) == part
    assert len(names.numbered) > 20 * vocabulary.FIRST_ROOM


def test_only_equal_texts_are_one_name_where_hashes_collide():
    hashes = []
    for text in ("first", "other"):
        table = vocabulary._Table(4)
        (chunk,) = text_addresses(pl.Series([text]))
        table.number(chunk, 0, np.empty(1, np.uint32))
        hashes.append(table.hashes[0])
    texts = pl.Series(["first", "other", "first", "other"])
    (chunk,) = text_addresses(texts)
    table, numbers = vocabulary._Table(4), np.empty(4, np.uint32)
    (only_first,) = text_addresses(texts[:1])
    table.number(only_first, 0, numbers[:1])
    # The first name now has the hash of the other.
    table.hashes[0] = hashes[1]
    table.slots[:] = -1
    fill_slots(table.hashes[:1], table.slots)
    table.number(chunk, 0, numbers)
    first, other = numbers[0], numbers[1]
    assert numbers.tolist() == [first, other, first, other]
    assert first != other
    assert texts[int(table.firsts[other])] == "other"


@pytest.mark.parametrize("dtype", [pl.Categorical, pl.Enum(["unused", "b", "a", "c", "d"])])
def test_dictionaries_number_alike_and_name_only_what_occurs(dtype):
    names = EventNames()
    assert numbered(names, pl.Series(["a", "b", "a"])) == ["a", "b", "a"]
    assert numbered(names, pl.Series(["c", None, "b"], dtype=dtype)) == ["c", None, "b"]
    assert numbered(names, pl.Series(["d"], dtype=pl.String)) == ["d"]
    assert names.vocabulary() == ["a", "b", "c", "d"]


def test_nulls_are_no_name():
    names = EventNames()
    assert names.number(pl.Series([None, "a", None, "b", "a"])).to_list() == [None, 0, None, 1, 0]
    assert names.number(pl.Series([None, None], dtype=pl.String)).to_list() == [None, None]
    assert names.number(pl.Series([], dtype=pl.String)).to_list() == []
    assert names.vocabulary() == ["a", "b"]
    encoded = encode_events(pl.DataFrame({"event": ["b", None, "a"]}))["event"]
    assert encoded.to_list() == ["b", None, "a"]
    assert encoded.dtype == pl.Enum(["a", "b"])


def test_threads_number_alike():
    draw, names = random.Random(2), EventNames()
    parts = [[f"name {draw.randrange(3_000)}" for _ in range(4_000)] for _ in range(12)]
    with ThreadPoolExecutor(4) as pool:
        numbers = list(pool.map(lambda part: names.number(pl.Series(part)), parts))
    found = [[names.numbered[number] for number in part] for part in numbers]
    assert found == parts
    assert len(set(names.numbered)) == len(names.numbered)


def test_recoded_keeps_chunks_and_takes_a_wider_vocabulary():
    numbers = pl.concat([pl.Series([1, 0], dtype=pl.UInt32), pl.Series([1], dtype=pl.UInt32)], rechunk=False)
    found = recoded(numbers, ["z", "b"], ["a", "b", "z"])
    assert found.to_list() == ["b", "z", "b"]
    assert found.to_physical().to_list() == [1, 2, 1]
    assert found.n_chunks() == 2


def test_reserved_names_are_refused_in_their_order():
    names = EventNames()
    names.number(pl.Series(["<Z>", "fine", "<A>", "<a>"]))
    with pytest.raises(ReservedNameError) as error:
        names.vocabulary()
    assert error.value.names == ("<A>", "<Z>")
