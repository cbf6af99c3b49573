"""DuckDB's answers to the questions of the yardstick on a log larger than memory: part by part of the users, added.

Users never share a path, so the answers of parts add. A path that is not among the most frequent of a part has at most
the count of the last that is; the script refuses to name the most frequent of all where that bound leaves a doubt.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any

from logs import say

DAY_US = 86_400_000_000
EVENTS_PER_PART = 12_500_000
MEMORY = "4GB"
SHOWN, KEPT_PATHS = 20, 2_000
Answers = dict[str, Any]


def answers(log: Sequence[Path], events: int, yardstick: Path) -> Answers:
    """Return the digests of the questions a to e, as the yardstick's ``peers.py`` writes them."""
    sys.path.insert(0, str(yardstick))
    import peers

    rows, bound = _added(log, -(-events // EVENTS_PER_PART))
    top = sorted(rows["d"], key=lambda row: (-row[-1], row[:-1]))[:SHOWN]
    if top[-1][-1] <= bound:
        raise SystemExit(
            f"{KEPT_PATHS:,} paths per part are too few to name the {SHOWN} most frequent of all."
        )
    return {question: peers.digest(question, found) for question, found in {**rows, "d": top}.items()}


def _added(log: Sequence[Path], parts: int) -> tuple[Answers, int]:
    """Add the rows of all parts; return also how often a path can occur that is in no part's rows."""
    sums = {question: Counter[Hashable]() for question in ("a", "b7", "b1", "c", "d", "e")}
    bound = 0
    for part in range(parts):
        say(f"DuckDB: users {part + 1} of {parts}")
        peer = _peer(log, part, parts)
        for question, rows in _rows(peer):
            sums[question].update({tuple(key): count for *key, count in rows})
            bound += min(count for *_, count in rows) if question == "d" else 0
    rows = {question: [[*key, count] for key, count in found.items()] for question, found in sums.items()}
    numbers = {name: [count for *_, count in sorted(rows[name])] for name in ("b7", "b1")}
    return {**rows, **numbers, "a": rows["a"][0][-1]}, bound


def _rows(peer: Any) -> Iterable[tuple[str, list[list[Any]]]]:
    """Ask everything of one part, each answer as rows of a key and a count."""
    yield "a", [["sessions", peer.sessions()]]
    for name, days in (("b7", 7), ("b1", 1)):
        yield name, [[level, users] for level, users in enumerate(peer.funnel(days * DAY_US))]
    yield "c", peer.transitions()
    yield "d", peer.top_paths()
    yield "e", peer.retention()


def _peer(log: Sequence[Path], part: int, parts: int) -> Any:
    """Return the yardstick's DuckDB with the users of one part, ordered."""
    from peer_duckdb import Peer

    class Part(Peer):  # type: ignore[misc]
        def all(self, sql: str) -> list[Any]:
            found: list[Any] = super().all(sql.replace(f"LIMIT {SHOWN}", f"LIMIT {KEPT_PATHS}"))
            return found

    peer = Part(log[0], 2)
    peer.c.execute(f"SET memory_limit='{MEMORY}'")
    names = ", ".join(f"'{file}'" for file in log)
    peer.log = f"(SELECT * FROM read_parquet([{names}]) WHERE hash(user_id) % {parts} = {part})"
    peer.prepare("once")
    return peer
