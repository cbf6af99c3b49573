"""Whole paths, beginnings, anchors and windows against the slow twin. D8.5 to D8.7, D3.4, D0.4."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import journeykit as jk
from journeykit.statistics.paths.stretches import Stretches
from journeykit.statistics.paths.table import HASHED
from tests import oracle
from tests.logs import MINUTE, logs
from tests.measuring import assert_close, journeys_of, many_users, paths_of, table
from tests.oracle import Path
from tests.oracle.whole_paths import duration

pytestmark = pytest.mark.property

UNITS = ("session", "user")
NAMES = ("view", "cart", "help")
WHOLE = ("count", "share", "cumulative_share", "users", "duration_median", "duration_mean")


def anchored(paths, start=None, end=None, occurrence="first", collapse=None):
    """Return the paths cut to the anchors; those without are gone."""
    kept = []
    for path in paths:
        items = oracle.collapse(path.items) if collapse else list(path.items)
        items = oracle.anchor(items, start, end, occurrence)
        if items:
            kept.append(path._replace(items=tuple(items)))
    return kept


def means(paths):
    """Return the mean duration of each distinct path."""
    found = {}
    for path in paths:
        found.setdefault(path.names, []).append(duration(path))
    return {names: sum(own) / len(own) for names, own in found.items()}


def expected_rows(paths, **options):
    """Return what the slow twin says, in its order."""
    rows = oracle.top_paths(paths, **options)
    mean = means(paths)
    return {
        row.names: {
            **{name: getattr(row, name) for name in ("count", "share", "cumulative_share", "users")},
            "duration_median": row.median_duration,
            "duration_mean": mean[row.names],
        }
        for row in rows
    }


def assert_rows(answer, expected):
    found = table(answer.frame, ("path",), WHOLE)
    assert list(found) == list(expected)
    assert_close(found, expected)


@pytest.mark.parametrize("unit", UNITS)
@given(rows=logs(min_events=1, with_order=True), collapse=st.booleans())
def test_whole_paths(unit, rows, collapse):
    statistic = jk.TopPaths(None, unit=unit, quantiles=(0.5,), collapse_repeats=collapse)
    answer = journeys_of(rows).measure(statistic)
    paths = anchored(paths_of(rows, unit), collapse=collapse)
    expected = expected_rows(paths)
    assert_rows(answer, expected)
    assert answer.distinct.select("paths", "variants", "count", "shown_share").row(0) == (
        len(paths), len(expected), len(paths), 1.0,
    )  # fmt: skip
    assert answer.frame["length"].to_list() == [len(names) for names in expected]


@pytest.mark.parametrize("unit", UNITS)
@given(rows=logs(min_events=1, names=NAMES), n=st.integers(1, 4))
def test_the_first_n_rows_are_the_head_of_all(unit, rows, n):
    journeys = journeys_of(rows)
    some, every = (journeys.measure(jk.TopPaths(k, unit=unit, quantiles=(0.5,))) for k in (n, None))
    assert_frame_equal(some.frame, every.frame.head(n), check_exact=True)
    assert some.distinct["variants"].item() == every.frame.height
    paths = every.frame["count"].sum()
    assert np.isclose(some.distinct["shown_share"].item(), some.frame["count"].sum() / paths)


@pytest.mark.parametrize("unit", UNITS)
@given(
    rows=logs(min_events=1, names=NAMES),
    start=st.sampled_from((None, "view")),
    end=st.sampled_from((None, "cart", "view")),
    occurrence=st.sampled_from(("first", "last")),
    collapse=st.booleans(),
)
def test_anchors(unit, rows, start, end, occurrence, collapse):
    """The end is searched behind the start; a path without an anchor is left out and counted. D3.4."""
    statistic = jk.TopPaths(
        None, unit=unit, start=start, end=end, occurrence=occurrence, collapse_repeats=collapse,
        missing="ignore", quantiles=(0.5,),
    )  # fmt: skip
    answer = journeys_of(rows).measure(statistic)
    every = paths_of(rows, unit)
    paths = anchored(every, start, end, occurrence, collapse)
    assert_rows(answer, expected_rows(paths))
    assert answer.distinct["paths"].sum() == len(paths)
    lost = len(every) - len(paths)
    assert answer.distinct["paths_without_anchor"].sum() == lost
    assert any("without the anchor" in note for note in answer.notes) == (lost > 0)


MOBILE = pl.col("device") == "mobile"
GIVEN = {
    "names": (["cart", "view"], lambda item: item.name in ("cart", "view")),
    "condition": (MOBILE, lambda item: item.row["device"] == "mobile"),
    "both": (
        jk.Match("view", where=MOBILE),
        lambda item: item.name == "view" and item.row["device"] == "mobile",
    ),
    "pattern": (jk.Pattern("[view|cart]", missing="ignore"), lambda item: item.name in ("view", "cart")),
}
"""What an anchor or a goal may be, and whether an item is it."""


@pytest.mark.parametrize("unit", UNITS)
@given(
    rows=logs(min_events=1, names=NAMES, with_properties=True),
    start=st.sampled_from((None, *GIVEN)),
    end=st.sampled_from((None, *GIVEN)),
    goal=st.sampled_from(tuple(GIVEN)),
    occurrence=st.sampled_from(("first", "last")),
    collapse=st.booleans(),
)
def test_anchors_and_goals_are_whatever_a_match_can_be(unit, rows, start, end, goal, occurrence, collapse):
    """Of a run that is one event, the first is the anchor; the goal may be any of them."""
    given = {"start": GIVEN.get(start, (None, None)), "end": GIVEN.get(end, (None, None))}
    asked = {name: pair[0] for name, pair in given.items()} | {"goal": GIVEN[goal][0]}
    statistic = jk.TopPaths(
        None, unit=unit, occurrence=occurrence, collapse_repeats=collapse, missing="ignore", quantiles=(0.5,),
        **asked,
    )  # fmt: skip
    answer = journeys_of(rows).measure(statistic)
    every = paths_of(rows, unit)
    paths = anchored(every, given["start"][1], given["end"][1], occurrence, collapse)
    assert_rows(answer, expected_rows(paths))
    converted = Counter()
    for path in every:
        for cut in anchored([path], given["start"][1], given["end"][1], occurrence, collapse):
            converted[cut.names] += any(GIVEN[goal][1](item) for item in path.items)
    rates = {names: converted[names] / row["count"] for names, row in expected_rows(paths).items()}
    assert {
        tuple(path): rate for path, rate in answer.frame.select("path", "conversion_rate").iter_rows()
    } == pytest.approx(rates)


@pytest.mark.parametrize("unit", UNITS)
@given(rows=logs(min_events=1, names=NAMES), longest=st.integers(1, 4))
def test_longest_paths_are_cut_and_marked(unit, rows, longest):
    """A cut path is another row than a whole one of the same names; its times are those of what is shown."""
    answer = journeys_of(rows).measure(jk.TopPaths(None, unit=unit, max_length=longest, quantiles=(0.5,)))
    expected = {}
    for row in oracle.top_paths(paths_of(rows, unit), max_length=longest):
        expected[(*row.names, *(("...",) if row.cut else ()))] = row
    found = table(answer.frame, ("path",), ("count", "users", "share", "cumulative_share", "length"))
    assert_close(
        found,
        {
            names: {
                "count": row.count, "users": row.users, "share": row.share,
                "cumulative_share": row.cumulative_share, "length": len(row.names),
            }
            for names, row in expected.items()
        },
    )  # fmt: skip
    assert list(found) == list(expected)
    cut = [path._replace(items=path.items[:longest]) for path in paths_of(rows, unit)]
    sums = Counter()
    for path in cut:
        sums[path.names] += duration(path)
    shown = answer.frame.with_columns(total=pl.col("duration_mean") * pl.col("count"))
    by_names = Counter()
    for names, total in shown.select("path", "total").iter_rows():
        by_names[tuple(names[:longest])] += total
    assert all(np.isclose(by_names[names], sums[names]) for names in sums)


@given(rows=logs(min_events=1, names=NAMES), longest=st.integers(1, 4))
def test_equal_beginnings(rows, longest):
    """With prefix, a path counts by its beginning, whether it goes on or not."""
    answer = journeys_of(rows).measure(jk.TopPaths(None, max_length=longest, prefix=True, quantiles=(0.5,)))
    cut = [path._replace(items=path.items[:longest]) for path in paths_of(rows)]
    assert_rows(answer, expected_rows(cut))


def expected_windows(paths, length):
    """Return count, paths, share, users and times of every window."""
    found = {}
    for path in paths:
        for i in range(len(path.items) - length + 1):
            window = path.items[i : i + length]
            took = (window[-1].time - window[0].time) / 1e6
            found.setdefault(path.names[i : i + length], []).append((path.user, took))
    table = oracle.ngrams(paths, length)
    return {
        names: {
            "count": table[names].count,
            "paths": table[names].paths,
            "share": table[names].share,
            "users": len({user for user, _ in own}),
            "duration_mean": sum(took for _, took in own) / len(own),
            "duration_p90": oracle.percentile([took for _, took in own], 0.9),
        }
        for names, own in sorted(found.items(), key=lambda one: (-len(one[1]), one[0]))
    }


@pytest.mark.parametrize("unit", UNITS)
@given(rows=logs(min_events=1, names=NAMES), length=st.integers(1, 4))
def test_windows(unit, rows, length):
    answer = journeys_of(rows).measure(jk.TopPaths(None, unit=unit, length=length, quantiles=(0.9,)))
    expected = expected_windows(paths_of(rows, unit), length)
    names = ("count", "paths", "share", "users", "duration_mean", "duration_p90")
    found = table(answer.frame, ("path",), names)
    assert list(found) == list(expected)
    assert_close(found, expected)
    assert "cumulative_share" not in answer.frame.columns


@pytest.mark.parametrize("unit", UNITS)
@given(rows=logs(min_events=1, names=NAMES), goals=st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
def test_conversion_rate_of_paths(unit, rows, goals):
    journeys = journeys_of(rows)
    answer = journeys.measure(jk.TopPaths(None, unit=unit, goal=goals, missing="ignore"))
    paths = paths_of(rows, unit)
    expected = {row.names: row.conversion_rate for row in oracle.top_paths(paths, goals=goals)}
    assert {
        tuple(p): rate for p, rate in answer.frame.select("path", "conversion_rate").iter_rows()
    } == expected
    windows = journeys.measure(jk.TopPaths(None, unit=unit, length=2, goal=goals, missing="ignore"))
    for names, converted, having in windows.frame.select("path", "converted", "paths").iter_rows():
        own = [p for p in paths if any(p.names[i : i + 2] == tuple(names) for i in range(len(p.names)))]
        assert (converted, having) == (sum(any(name in goals for name in p.names) for p in own), len(own))


@pytest.mark.parametrize("unit", UNITS)
@given(rows=logs(min_events=1, names=NAMES, with_properties=True))
def test_segments(unit, rows):
    journeys = journeys_of(rows)
    for statistic in (
        jk.TopPaths(2, unit=unit, quantiles=(0.5,)),
        jk.TopPaths(2, unit=unit, max_length=2, quantiles=(0.5,)),
    ):
        answer = journeys.measure(statistic, by="device")
        cells = {}
        for path in paths_of(rows, unit):
            known = (item.row["device"] for item in path.items if item.row["device"] is not None)
            cells.setdefault(next(known, None), []).append(path)
        assert set(answer.distinct.filter(pl.col("paths") > 0)["device"]) == set(cells)
        for device, paths in cells.items():
            own = answer.frame.filter(pl.col("device").eq_missing(device))
            wanted = oracle.top_paths(paths, max_length=statistic.max_length)[:2]
            assert own["count"].to_list() == [row.count for row in wanted]
            assert own["share"].to_list() == pytest.approx([row.share for row in wanted])
            if statistic.max_length is None:
                assert own["duration_median"].to_list() == pytest.approx(
                    [row.median_duration for row in wanted]
                )


# Keys: a path of up to 63 bits of codes is its own key, a longer one is hashed and told apart by its codes.


def long_rows(seed, names, users=40, longest=30):
    draw = random.Random(seed)
    rows = []
    base = [draw.choice(names) for _ in range(longest)]
    for user in range(users):
        for i, name in enumerate(base[: draw.choice((3, 5, 8, 9, 20, longest))]):
            other = draw.random() < 0.02
            rows.append({"user": user, "time": i * MINUTE, "event": draw.choice(names) if other else name})
    draw.shuffle(rows)
    return rows


@pytest.mark.parametrize("vocabulary", [3, 254, 255, 256, 300, 70_000])
@pytest.mark.parametrize("unit", UNITS)
def test_long_paths_and_large_vocabularies(unit, vocabulary):
    """Codes of one, two and four bytes; keys that hold the codes and keys that do not."""
    names = [f"event {i}" for i in range(vocabulary)]
    rows = long_rows(vocabulary, names)
    filler = [{"user": -1, "time": i * MINUTE, "event": name} for i, name in enumerate(names)]
    rows += filler
    journeys = journeys_of(rows)
    paths = paths_of(rows, unit)
    answer = journeys.measure(jk.TopPaths(None, unit=unit, quantiles=(0.5,)))
    assert_rows(answer, expected_rows(paths))
    for length in (2, 7, 12):
        windows = journeys.measure(jk.TopPaths(50, unit=unit, length=length))
        every = [path.names for path in paths]
        counts = Counter(own[i : i + length] for own in every for i in range(len(own) - length + 1))
        assert [(tuple(p), n) for p, n in windows.frame.select("path", "count").iter_rows()] == sorted(
            counts.items(), key=lambda one: (-one[1], one[0])
        )[:50]
        assert windows.distinct["variants"].item() == len(counts)


@pytest.mark.parametrize("n", [1, 3, None])
def test_colliding_keys_are_told_apart(monkeypatch, n):
    """Every long path has the same key here, and the answer stays what it was."""
    rows = long_rows(1, [f"event {i}" for i in range(300)])
    journeys = journeys_of(rows)
    statistic = jk.TopPaths(n, quantiles=(0.5,))
    wanted = journeys.measure(statistic)
    made = Stretches._frame

    def collided(self, counted):
        keys = np.where(counted.keys >= HASHED, np.uint64(HASHED), counted.keys)
        return made(self, counted._replace(keys=keys))

    monkeypatch.setattr(Stretches, "_frame", collided)
    # The second pass looks keys up by their hash, which stays what it is: only the first can be made to collide.
    found = journeys.measure(jk.TopPaths(n))
    assert found.frame.equals(wanted.frame.select(found.frame.columns))
    assert found.distinct.equals(wanted.distinct)


def test_intervals_of_shares():
    """Sessions by the jackknife over groups of users (D12.3), users by Wilson (D12.2)."""
    rows = many_users(4, users=80, events=3)
    users = sorted({row["user"] for row in rows})
    for unit in UNITS:
        paths: list[Path] = paths_of(rows, unit)
        answer = journeys_of(rows).measure(jk.TopPaths(8, unit=unit, goal="buy"))
        checked = 0
        for row in answer.frame.iter_rows(named=True):
            names = tuple(row["path"])
            if unit == "user":
                wanted = oracle.wilson(row["share"], len(paths))
            else:

                def share(kept, names=names, paths=paths):
                    own = [path for path in paths if path.user in set(kept)]
                    return oracle.rate(sum(path.names == names for path in own), len(own))

                wanted = oracle.jackknife(users, share, "logit", denominator_users=len(users))
            assert np.isclose(row["low"], wanted.low)
            assert np.isclose(row["high"], wanted.high)
            rate = row["conversion_rate"]
            wilson = oracle.wilson(rate, row["users"])
            assert rate in (0, 1)
            assert np.isclose(row["conversion_rate_low"], max(wilson.low, 0))
            assert np.isclose(row["conversion_rate_high"], min(wilson.high, 1))
            checked += 1
        assert checked == 8


@given(rows=logs(min_events=1, names=("view", "cart", "purchase", "ping")))
def test_paths_of_stages(rows):
    model = jk.StageModel([jk.Stage("look", "view"), jk.Stage("want", "cart"), jk.Stage("own", "purchase")])
    answer = (
        journeys_of(rows)
        .assign_stages(model, missing="ignore")
        .measure(jk.TopPaths(None, of="stage", unit="user", quantiles=(0.5,), collapse_repeats=True))
    )
    stage_of = {"view": "look", "cart": "want", "purchase": "own"}
    paths = []
    for path in paths_of(rows, "user"):
        stage, items = None, []
        for item in path.items:
            stage = stage_of.get(item.name, stage)
            if stage:
                items.append(item._replace(name=stage))
        if items:
            paths.append(path._replace(items=tuple(oracle.collapse(items))))
    assert_rows(answer, expected_rows(paths))


@given(rows=logs(min_events=1, names=NAMES, with_properties=True), longest=st.sampled_from((None, 2)))
def test_lost_paths_count_in_their_segment(rows, longest):
    answer = journeys_of(rows).measure(
        jk.TopPaths(start="view", end="cart", max_length=longest, missing="ignore"), by="device"
    )
    every, lost = Counter(), Counter()
    for path in paths_of(rows):
        known = (item.row["device"] for item in path.items if item.row["device"] is not None)
        device = next(known, None)
        kept = bool(anchored([path], "view", "cart"))
        every[device] += kept
        lost[device] += not kept
    found = answer.distinct.select("device", "paths", "paths_without_anchor").rows()
    assert sorted(map(str, found)) == sorted(str((device, every[device], lost[device])) for device in every)
