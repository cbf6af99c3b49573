"""The weekly triangle: first-time cohorts, calendar weeks, rule "on". D9.1 to D9.6."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from tests.oracle.numbers import Row, Rows, rate
from tests.oracle.sessions import EPOCH, local_day


class Cell(NamedTuple):
    """Users of a cohort who came back k weeks later."""

    returned: int
    size: int
    rate: float | None
    complete: bool


def week_of(row: Row, tz: str) -> date:
    """Monday of the row's local week. D1.7."""
    day = local_day(row, tz)
    return day - timedelta(days=day.weekday())


def week_start(monday: date, tz: str) -> int:
    """Microseconds at which a local week starts."""
    local = datetime(monday.year, monday.month, monday.day, tzinfo=ZoneInfo(tz))
    return (local.astimezone(UTC) - EPOCH) // timedelta(microseconds=1)


def retention(
    rows: Rows,
    starts: Collection[str] | None = None,
    returns: Collection[str] | None = None,
    until: int | None = None,
    tz: str = "UTC",
) -> dict[tuple[date, int], Cell]:
    """Cells (Monday of the cohort, weeks later) of cohorts with users; names of None are any event."""
    if not rows:
        return {}
    last = until if until is not None else max(row["time"] for row in rows)
    cohort: dict[Any, date] = {}
    for row in sorted(rows, key=lambda one: one["time"]):
        if starts is None or row["event"] in starts:
            cohort.setdefault(row["user"], week_of(row, tz))
    active = {(row["user"], week_of(row, tz)) for row in rows if returns is None or row["event"] in returns}
    cells = {}
    for monday in sorted(set(cohort.values())):
        own = [user for user, first in cohort.items() if first == monday]
        later, week = 0, monday
        while week_start(week, tz) <= last:
            back = len(own) if later == 0 else sum((user, week) in active for user in own)
            complete = week_start(week + timedelta(weeks=1), tz) <= last
            cells[monday, later] = Cell(back, len(own), rate(back, len(own)), complete)
            later, week = later + 1, week + timedelta(weeks=1)
    return cells
