"""TopPaths: order of rows, notes, every message. D8.5, D0.4, D0.5."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
import pytest

import journeykit as jk
from journeykit.errors import ParameterError, UnknownNameError
from journeykit.kernels.paths import path_parts
from journeykit.kernels.paths import paths as kernels
from journeykit.kernels.paths.ends import mark_ends
from journeykit.statistics.paths.table import unpacked
from tests.logs import SMALL_SHOP, log
from tests.measuring import journeys_of


@pytest.fixture(scope="module")
def journeys():
    return journeys_of(SMALL_SHOP)


def test_ties_go_by_name_and_the_shorter_path_first():
    rows = log("u 0 b; v 0 a; v 1 a; w 0 a; x 0 é; y 0 Z; z 0 b; z 1 a")
    found = journeys_of(rows).measure(jk.TopPaths(None)).frame["path"].to_list()
    assert found == [["Z"], ["a"], ["a", "a"], ["b"], ["b", "a"], ["é"]]


def test_notes_say_what_is_not_shown(journeys):
    answer = journeys.measure(jk.TopPaths(1))
    assert answer.notes[-1] == "50.0 % of 4 paths (3 distinct) are shown."
    assert answer.distinct.row(0, named=True)["shown_share"] == 0.5
    anchored = journeys.measure(jk.TopPaths(start="cart"))
    assert anchored.notes[-1] == "2 paths without the anchor are left out."
    assert (
        journeys.measure(jk.TopPaths(1, length=2)).notes[-1].endswith("windows of 2 (4 distinct) are shown.")
    )


def test_an_end_lies_behind_the_start():
    rows = log("u 0 a; v 0 a; v 1 b; v 2 a; v 3 b")
    found = journeys_of(rows).measure(jk.TopPaths(None, start="a", end="a"))
    assert found.frame.select("path", "count").rows() == [(["a", "b", "a"], 1)]
    assert found.distinct["paths_without_anchor"].item() == 1


def test_an_event_without_a_name_can_be_an_anchor():
    rows = [{"user": "u", "time": i, "event": name} for i, name in enumerate(["a", "", "b"])]
    assert journeys_of(rows).measure(jk.TopPaths(start="")).frame["path"].to_list() == [["", "b"]]


def test_a_pattern_is_an_anchor_or_a_goal_with_its_last_event():
    rows = log("u 0 view; u 1 cart; u 2 buy; v 0 cart; v 1 view; v 2 buy; w 0 view; w 1 help; w 2 cart")
    journeys = journeys_of(rows)
    direct = jk.Pattern("view -> cart")
    found = journeys.measure(jk.TopPaths(None, start=direct)).frame.select("path", "count").rows()
    assert found == [(["cart", "buy"], 1)]
    rates = journeys.measure(jk.TopPaths(None, goal=direct)).frame.select("path", "conversion_rate")
    assert dict(zip(map(tuple, rates["path"]), rates["conversion_rate"], strict=True)) == {
        ("view", "cart", "buy"): 1.0,
        ("cart", "view", "buy"): 0.0,
        ("view", "help", "cart"): 0.0,
    }


def test_variants_of_one_path_may_differ_in_a_goal_that_looks_at_properties():
    rows = [
        {"user": user, "time": time, "event": event, "price": price}
        for user, price in (("u", 5), ("v", 50), ("w", None))
        for time, event in enumerate(("view", "buy"))
    ]
    for goal, rate in ((pl.col("price") > 9, 1 / 3), (["buy", "view"], 1.0), ("none", 0.0)):
        answer = journeys_of(rows).measure(jk.Variants(goal=goal, missing="ignore"))
        assert answer.frame.select("path", "conversion_rate").rows() == [
            (["view", "buy"], pytest.approx(rate))
        ]


def test_stages_are_anchors_of_stage_paths():
    model = jk.StageModel([jk.Stage("look", "view"), jk.Stage("want", ["cart", "buy"])])
    rows = log("u 0 view; u 1 cart; u 2 buy; v 0 help; v 1 view")
    journeys = journeys_of(rows).assign_stages(model)
    answer = journeys.measure(jk.TopPaths(None, of="stage", start="want", goal="look"))
    assert answer.frame.select("path", "count", "conversion_rate").rows() == [(["want", "want"], 1, 1.0)]
    assert "1 paths without the anchor are left out." in answer.notes


def refused(make, kind=ParameterError):
    with pytest.raises(kind) as raised:
        make()
    return str(raised.value)


def test_messages(journeys):
    assert refused(lambda: jk.TopPaths(of="page")) == "of cannot be 'page'. Choose one of: 'event', 'stage'."
    assert refused(lambda: jk.TopPaths(occurrence="any")) == (
        "occurrence cannot be 'any'. Choose one of: 'first', 'last'."
    )
    for name in ("n", "length", "max_length"):
        assert (
            refused(lambda name=name: jk.TopPaths(**{name: 0}))
            == f"{name} must be a whole number from 1 on, not 0."
        )
    assert refused(lambda: jk.TopPaths(length=2, max_length=3)) == (
        "length counts windows and max_length cuts whole paths: pass one of them."
    )
    assert refused(lambda: jk.TopPaths(prefix=True)) == (
        "prefix counts equal beginnings of max_length events. Pass max_length too."
    )
    assert refused(lambda: journeys.measure(jk.TopPaths(start="crat")), UnknownNameError) == (
        "no event 'crat' in this log. Did you mean 'cart'? Available: 'cart', 'purchase', 'search', 'view'. "
        'Pass missing="ignore" to count such names as never seen.'
    )
    assert journeys.measure(jk.TopPaths(start="crat", missing="ignore")).frame.height == 0
    for make in (lambda: jk.TopPaths(end=[]), lambda: jk.TopPaths(end=3)):
        assert refused(make).startswith("end cannot be ")
        assert refused(make).endswith(
            ". Give a name, a list of names, a polars expression, a Pattern or a Match."
        )
    assert refused(lambda: jk.Variants(goal=())) == (
        "goal cannot be (). Give a name, a list of names, a polars expression, a Pattern or a Match."
    )
    assert refused(lambda: journeys.measure(jk.TopPaths(goal="want", of="stage"))) == (
        'of="stage" needs stages. Call assign_stages(model) first.'
    )


def test_stretches_with_one_key_are_told_apart_by_cell_length_and_codes():
    """Few places, so that they clash: rows differ if the cell, the length or the codes behind a hash do."""
    codes = np.array([1, 2, 3, 1, 2, 4, 1, 2, 3], np.uint8)
    key = kernels.HASHED | np.uint64(5)
    lengths, places, table = np.zeros(8, np.int32), np.zeros(9, np.int32), np.zeros((8, 8), np.int64)

    def row(start, length, cell, key=key):
        return int(kernels.find_stretch(codes, start, length, key, cell, lengths, places, table))

    assert [row(0, 3, 0), row(3, 3, 0), row(6, 3, 0), row(0, 2, 0)] == [0, 1, 0, 2]
    assert [row(0, 3, cell) for cell in (1, 2, 1, 0)] == [3, 4, 3, 0]
    packed = np.uint64(9)
    assert [row(0, 1, cell, packed) for cell in (0, 1, 0)] == [5, 6, 5]


def test_one_stretch_in_many_cells():
    """Seven cells in eight places: some must meet another cell's row of the same key on the way to their own."""
    lengths, codes = np.zeros(8, np.int32), np.zeros(1, np.uint8)
    places, table = np.zeros(9, np.int32), np.zeros((8, 8), np.int64)
    rows = [
        kernels.find_stretch(codes, 0, 1, np.uint64(9), cell, lengths, places, table) for cell in range(7)
    ]
    assert rows == list(range(7))


def test_paths_are_counted_by_key_cell_and_what_a_hash_hides():
    """Random short paths whose hashes clash with each other, empty ones among them, against a dictionary."""
    rng, n, size = np.random.default_rng(5), 400, 1200
    codes, times = rng.integers(0, 2, size).astype(np.uint8), rng.integers(0, 1 << 40, size).cumsum()
    firsts = rng.integers(0, size - 3, n)
    lasts = firsts + rng.integers(0, 4, n)
    user_paths = np.concatenate([[0], np.sort(rng.integers(0, n + 1, 60)), [n]])
    cells, won = rng.integers(0, 3, n).astype(np.int32), rng.random(n) < 0.5
    keys = rng.choice(np.array([7, 8, int(kernels.HASHED) | 7, int(kernels.HASHED) | 8], np.uint64), n)
    bounds, parted = np.empty(65, np.int64), np.empty((n, 4), np.int64)
    path_parts.part_paths(user_paths, (firsts, lasts), times, cells, keys, bounds, parted)
    assert bounds[-1] == np.count_nonzero(lasts > firsts) < n
    found = tuple(np.empty(n, kind) for kind in (np.uint64, np.int32, np.int64, np.int32, np.int32))
    sums = tuple(np.zeros(n, np.int64) for _ in range(4))
    rows = path_parts.count_parted(
        bounds, parted, (firsts, lasts), codes, won, np.empty(1024, np.int32), found, sums
    )
    wanted: dict[tuple[object, ...], list[int]] = {}
    for user, (begin, end) in enumerate(pairwise(user_paths.tolist())):
        for path in range(begin, end):
            first, last = int(firsts[path]), int(lasts[path])
            if first < last:
                text = tuple(codes[first:last].tolist()) if keys[path] >= kernels.HASHED else ()
                wanted.setdefault((int(keys[path]), int(cells[path]), text), []).append(path + n * user)
    expected = {
        row: (
            len(own), len({path // n for path in own}),
            sum(int(times[lasts[path % n] - 1] - times[firsts[path % n]]) for path in own),
            sum(bool(won[path % n]) for path in own),
        )
        for row, own in wanted.items()
    }  # fmt: skip
    counted = {}
    for row in range(rows):
        key, cell, start, length = (int(column[row]) for column in found[:4])
        text = tuple(codes[start : start + length].tolist()) if key >= int(kernels.HASHED) else ()
        counted[key, cell, text] = tuple(int(column[row]) for column in sums)
    assert counted == expected
    assert len(counted) == rows > 50


def test_keys_of_all_paths_at_once_are_those_of_each():
    """Lengths on both sides of what a key holds: 20 codes of three bits are packed, 21 are hashed."""
    lengths = np.array([1, 20, 21, 2, 22, 20, 1])
    ends = 4 + lengths.cumsum()
    codes = np.random.default_rng(3).integers(0, 8, ends[-1]).astype(np.uint8)
    marks, keys = np.zeros(lengths.sum(), np.uint8), np.empty(lengths.size + 1, np.uint64)
    mark_ends(np.array([0, 3, 3, 7]), ends, 4, marks)
    assert np.flatnonzero(marks == 1).tolist() == [0, 20, 43, 65, 85]
    assert np.flatnonzero(marks == 2).tolist() == [41, 86]
    kernels.key_whole_paths(marks, ends - lengths, ends, codes, 3, keys)
    each = [int(kernels.key_of(codes, end - n, end, 3)) for n, end in zip(lengths, ends, strict=True)]
    assert keys[:-1].tolist() == each
    assert [key >> 63 for key in each] == [0, 0, 1, 0, 1, 0, 0]
    packed = int("1" + "".join(f"{code:03b}" for code in codes[5:25]), 2)
    assert each[1] == packed
    texts = [None, None, codes[25:46], None, codes[48:70], None, None]
    texts = [None if text is None else text.astype(np.uint32).tobytes() for text in texts]
    rows = pl.DataFrame({"key": keys[:-1], "codes": texts})
    assert unpacked(rows, 3).to_list() == [
        codes[end - n : end].tolist() for n, end in zip(lengths, ends, strict=True)
    ]
    window = kernels.key_of(codes, 4, 9, 3)
    for start in range(5, 30):
        window = kernels.next_window(codes, start, 5, 3, np.uint64(window))
        assert window == kernels.key_of(codes, start, start + 5, 3)


def test_counts_are_added_by_key_and_cell():
    """Random rows with few keys, cells and parts, against a dictionary."""
    rng = np.random.default_rng(8)
    given = rng.integers(1, 40, 500).astype(np.uint64), rng.integers(0, 3, 500).astype(np.int32)
    counts, bounds = rng.integers(1, 9, 500), np.zeros(65, np.int64)
    keys, cells, sums, merged = (np.empty(500, kind) for kind in (np.uint64, np.int32, np.int64, np.int32))
    path_parts.part_keys(*given, counts, bounds, keys, cells, sums)
    assert bounds[-1] == 500
    wanted: dict[tuple[int, int], list[int]] = {}
    for key, cell, count in zip(*given, counts, strict=True):
        wanted.setdefault((int(key), int(cell)), []).append(int(count))
    found = {}
    for first, last in pairwise(bounds.tolist()):
        end = path_parts.add_keys(first, last, keys, cells, sums, merged, np.empty(1024, np.int32))
        for row in range(first, end):
            found[int(keys[row]), int(cells[row])] = (int(sums[row]), int(merged[row]))
    assert found == {pair: (sum(counts), len(counts)) for pair, counts in wanted.items()}
