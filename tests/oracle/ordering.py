"""The order of the events, and what is odd about it. D1.3, D1.9."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

from tests.oracle.numbers import Row, Rows


def order(rows: Rows) -> dict[Any, list[Row]]:
    """Rows per user by (time, order column with null last, input row). D1.3."""

    def key(numbered: tuple[int, Row]) -> tuple[int, bool, Any, int]:
        position, row = numbered
        tie_break = row.get("order")
        return row["time"], tie_break is None, 0 if tie_break is None else tie_break, position

    ordered: dict[Any, list[Row]] = {user: [] for user in sorted({row["user"] for row in rows})}
    for _, row in sorted(enumerate(rows), key=key):
        ordered[row["user"]].append(row)
    return ordered


def quality(rows: Rows) -> dict[str, Any]:
    """The numbers of D1.9 that a log of valid rows can have."""
    per_user = order(rows)
    place = Counter((row["user"], row["time"], row.get("order")) for row in rows)
    pairs = [pair for own in per_user.values() for pair in itertools.pairwise(own)]
    tied = [(a, b) for a, b in pairs if (a["time"], a.get("order")) == (b["time"], b.get("order"))]
    copies = Counter(tuple(sorted(row.items(), key=lambda item: item[0])) for row in rows)
    times = [row["time"] for row in rows]
    return {
        "events": len(rows),
        "users": len(per_user),
        "event_names": len({row["event"] for row in rows}),
        "tied_pairs": len(tied),
        "tied_pairs_distinct": sum(a["event"] != b["event"] for a, b in tied),
        "tied_events": sum(count for count in place.values() if count > 1),
        "out_of_order": out_of_order(rows),
        "duplicates": len(rows) - len(copies),
        "single_event_users": sum(len(own) == 1 for own in per_user.values()),
        "max_events_per_user": max((len(own) for own in per_user.values()), default=0),
        "first": min(times, default=None),
        "last": max(times, default=None),
    }


def out_of_order(rows: Rows) -> int:
    """Input rows whose time is below the previous row of the same user. D1.9."""
    before: dict[Any, int] = {}
    found = 0
    for row in rows:
        found += row["time"] < before.get(row["user"], row["time"])
        before[row["user"]] = row["time"]
    return found
