"""Ordering against the slow twin: ties, order columns, collisions of hashes, ids of every shape. D1.3, D12.1."""

from __future__ import annotations

import random

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import journeykit as jk
from journeykit.ordering import order, user_ids
from journeykit.ordering.order import order_events
from journeykit.ordering.user_ids import UserIds, group_of
from tests import oracle
from tests.logs import MINUTE, frame, logs
from tests.measuring import journeys_of, paths_of

pytestmark = pytest.mark.property


def ordered(rows, **options):
    """Return every user's events as (time, event, input row), from the core."""
    journeys = journeys_of(rows, **options)
    names = journeys.names.to_list()
    found = {}
    for i, user in enumerate(journeys.users):
        own = slice(journeys.user_offsets[i], journeys.user_offsets[i + 1])
        found[user] = [
            (int(time), names[code], int(row))
            for time, code, row in zip(
                journeys.times[own], journeys.event_codes[own], journeys.rows[own], strict=True
            )
        ]
    return found


def expected(rows):
    place = {id(row): i for i, row in enumerate(rows)}
    return {
        user: [(row["time"], row["event"], place[id(row)]) for row in own]
        for user, own in oracle.order(rows).items()
    }


@given(rows=logs(min_events=1))
def test_time_then_input_row(rows):
    assert ordered(rows) == expected(rows)


@given(rows=logs(min_events=1, with_order=True, max_users=2))
def test_order_column_with_null_last(rows):
    assert ordered(rows) == expected(rows)


@given(rows=logs(min_events=1, with_order=True))
def test_counts_of_ties(rows):
    journeys = journeys_of(rows)
    wanted = oracle.quality(rows)
    found = journeys.provenance
    names = ("tied_pairs", "tied_pairs_distinct", "out_of_order")
    assert [getattr(found, name) for name in names] == [wanted[name] for name in names]


@given(rows=logs(min_events=1))
def test_users_are_stored_by_group(rows):
    journeys = journeys_of(rows)
    groups = [oracle.group(user) for user in journeys.users]
    assert groups == sorted(groups)
    counts = np.bincount(groups, minlength=64)
    assert journeys.group_offsets.tolist() == [0, *np.cumsum(counts).tolist()]


def session_lists(journeys):
    found = {}
    for i, user in enumerate(journeys.users):
        for s in range(journeys.user_sessions[i], journeys.user_sessions[i + 1]):
            own = slice(journeys.session_offsets[s], journeys.session_offsets[s + 1])
            found.setdefault(user, []).append(journeys.rows[own].tolist())
    return found


@given(rows=logs(min_events=1, with_order=True))
def test_sessions_of_the_ordered_events(rows):
    place = {id(row): i for i, row in enumerate(rows)}
    wanted = {}
    for path in paths_of(rows):
        wanted.setdefault(path.user, []).append([place[id(item.row)] for item in path.items])
    assert session_lists(journeys_of(rows)) == wanted


HASHES = {
    "one": np.zeros_like,
    "two": lambda hashes: hashes & np.uint64(1),
    "same group": lambda hashes: hashes & np.uint64(63),
    "same low bits": lambda hashes: hashes & ~np.uint64(63),
}


@pytest.mark.parametrize("kind", list(HASHES))
@given(rows=logs(min_events=1, with_order=True))
def test_colliding_hashes_change_nothing(kind, rows):
    """Users whose ids share a hash stay apart: their paths are those of before."""
    wanted = expected(rows)
    edges = (
        journeys_of(rows).measure(jk.Transitions()).frame.select("source", "target", "transitions", "users")
    )
    made = user_ids.quick_hashes

    def colliding(identities, hashes, *, text):
        hashes[:] = HASHES[kind](made(identities, hashes, text=text))
        return hashes

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(user_ids, "quick_hashes", colliding)
        assert ordered(rows) == wanted
        found = journeys_of(rows).measure(jk.Transitions())
    assert found.frame.select(edges.columns).equals(edges)


def text_ids(draw, count):
    """Ids of 0 to 200 bytes, many with the first twelve or hundred bytes in common, some not ASCII."""
    stems = ["", "twelve bytes", "twelve bytes and more", "x" * 100, "é" * 60, "🙂" * 45]
    ids = {draw.choice(stems) + "".join(draw.choices("ab\0é", k=draw.randint(0, 20))) for _ in range(count)}
    return [each for each in ids if len(each.encode()) <= 200]


def integer_ids(draw, count):
    near = [0, 1, -1, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 10**18, 99, 100]
    return list({*near, *(draw.randrange(-(2**63), 2**63) for _ in range(count))})


@pytest.mark.parametrize("kind", [text_ids, integer_ids])
@pytest.mark.parametrize("collide", [False, True])
def test_ids_of_every_shape(kind, collide, monkeypatch):
    draw = random.Random(7)
    users = kind(draw, 150)
    rows = [
        {"user": draw.choice(users), "time": draw.randrange(50) * MINUTE, "event": draw.choice("abc")}
        for _ in range(4_000)
    ]
    if collide:
        made = user_ids.quick_hashes

        def colliding(identities, hashes, *, text):
            hashes[:] = made(identities, hashes, text=text) & np.uint64(64)
            return hashes

        monkeypatch.setattr(user_ids, "quick_hashes", colliding)
    assert ordered(rows) == expected(rows)


@pytest.mark.parametrize("kind", [text_ids, integer_ids])
def test_groups_of_ids(kind):
    users = kind(random.Random(3), 300)
    assert group_of(pl.Series(users)).tolist() == [oracle.group(user) for user in users]


def test_chunks_slices_and_partitions_change_nothing(monkeypatch):
    """Pieces of an input, views into a longer one, and many small partitions give one order."""
    draw = random.Random(11)
    rows = [
        {
            "user": f"somebody with number {draw.randrange(300)}",
            "time": draw.randrange(99),
            "event": draw.choice("ab"),
        }
        for _ in range(5_000)
    ]
    log = frame(rows)
    users, times, codes = log["user"], log["time"].to_physical(), (log["event"] == "a").cast(pl.UInt8)

    def result(users, times, codes):
        found = order_events(UserIds.of(users), times, codes)
        paths = {}
        for i, user in enumerate(found.users):
            own = slice(found.user_offsets[i], found.user_offsets[i + 1])
            paths[user] = (
                found.times[own].tolist(),
                found.event_codes[own].tolist(),
                found.rows[own].tolist(),
            )
        return paths

    whole = result(users, times, codes)
    pieces = pl.concat([users[i : i + 700] for i in range(0, 5_000, 700)], rechunk=False)
    assert pieces.n_chunks() > 1
    assert result(pieces, times, codes) == whole
    longer = pl.concat([users[:13], users, users[:5]], rechunk=True)[13:5_013]
    assert result(longer, times, codes) == whole
    monkeypatch.setattr(order, "ROWS_PER_PARTITION", 5)
    monkeypatch.setattr(user_ids, "ROWS_PER_PIECE", 333)
    assert result(users, times, codes) == whole


def test_one_user_with_nearly_all_events():
    """More than thirty-two events out of order are merged, not inserted; ties keep their rows."""
    draw = random.Random(5)
    rows = [
        {"user": "bot" if i % 50 else f"u{i}", "time": draw.randrange(700) * MINUTE, "event": draw.choice("abc"),
         "order": draw.choice((None, 1, 2))}
        for i in range(6_000)
    ]  # fmt: skip
    assert ordered(rows) == expected(rows)


@given(rows=logs(min_events=1, max_events=20), order=st.randoms(use_true_random=False))
def test_only_ties_depend_on_the_order_of_the_input(rows, order):
    seen = set()
    apart = [
        row
        for row in rows
        if (row["user"], row["time"]) not in seen and not seen.add((row["user"], row["time"]))
    ]
    turned = list(apart)
    order.shuffle(turned)

    def without_rows(found):
        return {user: [event[:2] for event in own] for user, own in found.items()}

    assert without_rows(ordered(apart)) == without_rows(ordered(turned))
