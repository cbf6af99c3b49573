"""Sessions. D2.1 to D2.3."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from tests.oracle.numbers import Row, Rows

MINUTE = 60_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Sessions(NamedTuple):
    """The sessions of one user, why each was opened, and the rows in none of them."""

    sessions: list[list[Row]]
    causes: list[str]
    outside: list[Row]


@dataclass(frozen=True)
class _Options:
    timeout: int | None = 30 * MINUTE
    timeout_inclusive: bool = False
    max_duration: int | None = None
    max_events: int | None = None
    burst: tuple[int, int] | None = None
    split_at: str | None = None
    tz: str = "UTC"
    split_on: Sequence[str] = ()
    start_events: Collection[str] = ()
    end_events: Collection[str] = ()
    passive: Collection[str] = ()


def sessions(user_rows: Rows, **options: Any) -> Sessions:
    """Cut one user's ordered rows by D2.1 and D2.2; the causes are the names of the options, or "first".

    Choice: whether a session is open to a passive event is for the timeout alone to say, as for "open" in
    D2.5, and passive events count in no other rule.
    """
    rule = _Options(**options)
    found: list[list[Row]] = []
    causes: list[str] = []
    outside: list[Row] = []
    active: list[Row] = []
    for row in user_rows:
        if row["event"] in rule.passive:
            is_open = bool(active) and not silent(active[-1], row, rule)
            (found[-1] if is_open else outside).append(row)
            continue
        cause = opening(active, row, rule)
        if cause:
            found.append([])
            causes.append(cause)
            active = []
        found[-1].append(row)
        active.append(row)
    return Sessions(found, causes, outside)


def silent(before: Row, row: Row, rule: _Options) -> bool:
    """Whether the timeout of D2.1 lies between two rows."""
    if rule.timeout is None:
        return False
    gap = row["time"] - before["time"]
    return bool(gap >= rule.timeout if rule.timeout_inclusive else gap > rule.timeout)


def opening(session: list[Row], row: Row, rule: _Options) -> str | None:
    """Return the first rule of D2.1, in its order, that starts a new session at this row."""
    if not session:
        return "first"
    first, before = session[0], session[-1]
    fires = {
        "timeout": silent(before, row, rule),
        "max_duration": rule.max_duration is not None and row["time"] - first["time"] > rule.max_duration,
        "max_events": rule.max_events is not None and len(session) >= rule.max_events,
        "burst": rule.burst is not None
        and len(session) == rule.burst[0]
        and before["time"] - first["time"] <= rule.burst[1],
        "split_at": rule.split_at == "day" and local_day(row, rule.tz) != local_day(before, rule.tz),
        "split_on": any(changed(session, row, column) for column in rule.split_on),
        "start_events": row["event"] in rule.start_events,
        "end_events": before["event"] in rule.end_events,
    }
    return next((name for name, fired in fires.items() if fired), None)


def local_day(row: Row, tz: str) -> date:
    """Date of the row on the wall calendar of the zone. D1.7."""
    return (EPOCH + timedelta(microseconds=row["time"])).astimezone(ZoneInfo(tz)).date()


def changed(session: list[Row], row: Row, column: str) -> bool:
    """Whether a column is non-null and differs from its last non-null value in the session. D2.1."""
    seen = [earlier[column] for earlier in session if earlier.get(column) is not None]
    value = row.get(column)
    return value is not None and bool(seen) and value != seen[-1]


def column_sessions(
    user_rows: Rows, null_session: str = "raise", column: str = "session", **options: Any
) -> Sessions:
    """Sessions that the log brings with it, in order of their first event. D2.3, D2.4."""
    numbered = list(enumerate(user_rows))
    named: dict[Any, list[tuple[int, Row]]] = {}
    for position, row in numbered:
        if row.get(column) is not None:
            named.setdefault(row[column], []).append((position, row))
    null_rows = [row for row in user_rows if row.get(column) is None]
    if null_rows and null_session == "raise":
        raise ValueError(f"{len(null_rows)} rows without a session")
    rest = Sessions([], [], null_rows)
    if null_session == "own":
        rest = Sessions([[row] for row in null_rows], ["own"] * len(null_rows), [])
    if null_session == "rule":
        rest = sessions(null_rows, **options)
    position_of = {id(row): position for position, row in numbered}
    found = [([row for _, row in own], "column") for own in named.values()]
    found += list(zip(rest.sessions, rest.causes, strict=True))
    found.sort(key=lambda session: position_of[id(session[0][0])])
    return Sessions([rows for rows, _ in found], [cause for _, cause in found], rest.outside)
