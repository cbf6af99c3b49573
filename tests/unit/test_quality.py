"""The quality of a log, against a row-by-row count, on ties, disorder and broken clocks."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeykit.errors import EngineError
from journeykit.events.quality import Quality, quality
from journeykit.ordering.vocabulary import encode_events
from journeykit.sources.canonical import (
    InvalidCounts,
    Roles,
    canonicalise,
    drop_duplicates,
)
from tests.measuring import resolve_invalid

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
TIMES = pl.Datetime("us", "UTC")


def log(rows, **more) -> pl.DataFrame:
    """A canonical log of (user, seconds after noon, event)."""
    users, seconds, events = zip(*rows, strict=True)
    times = pl.Series([NOON + timedelta(seconds=s) for s in seconds], dtype=TIMES)
    return encode_events(pl.DataFrame({"user": users, "time": times, "event": events, **more}))


ROWS = [
    ("ann", 10, "view"),
    ("bob", 5, "view"),
    ("ann", 10, "cart"),
    ("ann", 10, "cart"),
    ("ann", 3, "home"),
    ("bob", 6, "view"),
    ("cyd", 0, "home"),
    ("bob", 6, "view"),
]


def test_all_numbers_of_a_small_log():
    found = quality(
        log(ROWS), InvalidCounts(11, 8, user=2, time=1, event=1, gap_times=1), now=NOW, time_format="%Y"
    )
    assert found == Quality(
        rows_in=11,
        rows_kept=8,
        invalid_user=2,
        invalid_time=1,
        invalid_event=1,
        gap_times=1,
        ambiguous_times=0,
        duplicates=2,
        duplicates_dropped=0,
        tied_pairs=3,
        tied_events=5,
        tied_pairs_distinct=1,
        out_of_order=1,
        users=3,
        events=8,
        event_names=3,
        single_event_users=1,
        max_events_per_user=4,
        first=NOON,
        last=NOON + timedelta(seconds=10),
        events_per_user={
            p: float(np.percentile([4, 3, 1], p)) for p in (0, 1, 5, 25, 50, 75, 90, 95, 99, 100)
        },
        heaviest_users=(("ann", 4), ("bob", 3), ("cyd", 1)),
        before_1990=0,
        in_future=0,
        now=NOW,
        time_format="%Y",
    )


def test_the_order_column_breaks_ties():
    # Equal order values tie, and so do two that are missing.
    rows = [("a", 0, "x"), ("a", 0, "y"), ("a", 0, "z"), ("a", 0, "w"), ("a", 0, "v")]
    found = quality(log(rows, order=[1, None, 2, 2, None]), now=NOW)
    assert (found.tied_pairs, found.tied_events, found.tied_pairs_distinct) == (2, 4, 2)
    assert found.duplicates == 0
    without = quality(log(rows), now=NOW)
    assert (without.tied_pairs, without.tied_events, without.tied_pairs_distinct) == (4, 5, 4)


def test_duplicates_look_at_every_column():
    rows = [("a", 0, "x")] * 3
    assert quality(log(rows), now=NOW).duplicates == 2
    differing = log(rows, device=["phone", "desk", "phone"])
    assert quality(differing, now=NOW).duplicates == 1
    kept, dropped = drop_duplicates(differing)
    found = quality(kept, duplicates_dropped=dropped, now=NOW)
    assert (found.rows_in, found.rows_kept, found.events) == (3, 2, 2)
    assert (found.duplicates, found.duplicates_dropped) == (1, 1)


def test_an_earlier_time_of_another_user_is_no_disorder():
    found = quality(log([("a", 9, "x"), ("b", 1, "x"), ("a", 10, "x"), ("b", 2, "x")]), now=NOW)
    assert found.out_of_order == 0
    assert found.tied_pairs == 0


def test_broken_clocks():
    frame = log([("a", 0, "x"), ("a", 1, "x"), ("a", 2, "x"), ("a", 3, "x")])
    odd = [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1990, 1, 1, tzinfo=UTC),
        NOW,
        NOW + timedelta(microseconds=1),
    ]
    found = quality(frame.with_columns(time=pl.Series(odd, dtype=TIMES)), now=NOW)
    assert (found.before_1990, found.in_future) == (1, 1)
    # Without a stated moment it is the present one.
    future = quality(frame.with_columns(time=pl.lit(datetime.now(UTC) + timedelta(days=1), dtype=TIMES)))
    assert future.in_future == 4


def test_years_beyond_pythons_calendar():
    far = pl.Series([2**62, 0]).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    found = quality(log([("a", 0, "x"), ("a", 1, "x")]).with_columns(time=far), now=NOW)
    assert found.last == datetime(9999, 12, 31, tzinfo=UTC)
    assert found.in_future == 1


def test_clock_changes_are_counted():
    local = [
        datetime(2026, 3, 29, 2, 30),
        datetime(2026, 10, 25, 2, 0),
        datetime(2026, 10, 25, 2, 59),
        datetime(2026, 10, 25, 3, 0),
    ]
    frame = pl.LazyFrame({"u": "a", "t": local, "e": "x"})
    read = canonicalise(frame, Roles("u", "t", "e", tz="Europe/Berlin"))
    assert read.local_zone == "Europe/Berlin"
    kept, counts = resolve_invalid(read.plan.collect(), "drop")
    found = quality(kept, counts, local_zone=read.local_zone, now=NOW)
    assert (found.invalid_time, found.gap_times, found.ambiguous_times) == (1, 1, 2)
    assert quality(kept, counts, local_zone=None, now=NOW).ambiguous_times == 0


def test_heaviest_users_tie_by_name():
    rows = [(user, i, "x") for user in "gfedcba" for i in range(2)] + [("z", 0, "x"), ("f", 9, "x")]
    found = quality(log(rows), now=NOW)
    assert found.heaviest_users == (("f", 3), ("a", 2), ("b", 2), ("c", 2), ("d", 2))
    numbers = quality(log([(10, 0, "x"), (9, 0, "x")]), now=NOW)
    assert numbers.heaviest_users == ((9, 1), (10, 1))


def test_it_reads_as_a_table():
    text = repr(quality(log([("a\nb", 0, "x")] * 2_000), now=NOW, time_format="%Y-%m-%d"))
    lines = text.splitlines()
    assert lines[0] == "Quality of the log"
    assert lines[1] == "  rows_in               2,000"
    assert "  first                 2026-01-01 12:00:00 UTC" in lines
    assert "  events_per_user_p50   2,000" in lines
    assert "  heaviest_user_1       a b: 2,000 events" in lines
    assert lines[-1] == "  time_format           %Y-%m-%d"


def test_html_is_escaped():
    html = quality(log([("<script>alert('x')</script>", 0, "x")]), now=NOW)._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;: 1 event" in html
    assert html.startswith("<table><caption>Quality of the log</caption>")


def test_the_frame_has_every_number():
    frame = quality(log(ROWS), now=NOW).frame
    assert frame.schema == {"number": pl.String, "value": pl.Float64, "text": pl.String}
    values = dict(frame.select("number", "value").rows())
    assert values["tied_pairs"] == 3.0
    assert values["events_per_user_p50"] == 3.0
    assert values["heaviest_user_2"] == 3.0
    assert values["first"] is None
    assert frame["number"].is_unique().all()


def test_errors_name_the_step():
    text = r"\Ameasuring the quality of the log failed: "
    with pytest.raises(EngineError, match=text):
        quality(log([("a", 0, "x")]).with_columns(order=pl.Series([object()], dtype=pl.Object)), now=NOW)


# ---------------------------------------------------------------- against a row-by-row count

LOGS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "ü", "", "<i>"]),
        st.integers(0, 4),
        st.sampled_from(["x", "y", "z"]),
        st.sampled_from([None, 0, 1]),
        st.sampled_from([None, "p", "q"]),
    ),
    min_size=1,
    max_size=40,
)


def by_hand(rows, *, with_order: bool) -> dict[str, int]:
    """Count row by row; `rows` are (user, second, event, order, device)."""
    previous: dict[str, int] = {}
    disorder = 0
    for user, second, *_ in rows:
        disorder += user in previous and second < previous[user]
        previous[user] = second

    def key(row):
        order = (row[3] is None, row[3] or 0) if with_order else 0
        return row[0], row[1], order

    in_order = sorted(rows, key=key)
    pairs = [(a, b) for a, b in pairwise(in_order) if key(a) == key(b)]
    shared = Counter(map(key, rows))
    return {
        "out_of_order": disorder,
        "tied_pairs": len(pairs),
        "tied_pairs_distinct": sum(a[2] != b[2] for a, b in pairs),
        "tied_events": sum(shared[key(row)] > 1 for row in rows),
        "duplicates": len(rows) - len(set(rows)),
        "users": len(previous),
        "single_event_users": list(Counter(row[0] for row in rows).values()).count(1),
    }


@pytest.mark.property
@given(LOGS, st.booleans())
def test_numbers_equal_those_counted_by_hand(rows, with_order):
    if not with_order:
        rows = [(*row[:3], None, row[4]) for row in rows]
    order = {"order": pl.Series([row[3] for row in rows], dtype=pl.Int64)} if with_order else {}
    device = pl.Series([row[4] for row in rows], dtype=pl.String)
    found = quality(log([row[:3] for row in rows], **order, device=device), now=NOW)
    expected = by_hand(rows, with_order=with_order)
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.conformance
def test_a_log_with_many_ties(shared_data):
    """As its description says, 73,816 rows share session and second; steps tell them apart."""
    plan = pl.scan_parquet(next((shared_data / "trivago").glob("*.parquet")))
    ties = {}
    for order in (None, "step"):
        roles = Roles("session_id", "timestamp", "action_type", unit="s", order=order)
        frame, counts = resolve_invalid(canonicalise(plan, roles).plan.collect())
        found = quality(encode_events(frame), counts, now=NOW)
        assert (found.events, found.users) == (100_003, 7_612)
        ties[order] = found.tied_events
    assert ties == {None: 73_816, "step": 0}
