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


def floor_day(day: date, unit: str, week_start: str = "monday") -> date:
    """First day of the period that holds a day. D1.7."""
    if unit == "1w":
        return day - timedelta(days=(day.weekday() + (week_start == "sunday")) % 7)
    if unit == "1d":
        return day
    month = {"1mo": day.month, "1q": day.month - (day.month - 1) % 3, "1y": 1}[unit]
    return date(day.year, month, 1)


def next_day(day: date, unit: str, week_start: str = "monday") -> date:
    """First day of the next period."""
    return floor_day(
        day + timedelta(days={"1d": 1, "1w": 7, "1mo": 31, "1q": 92, "1y": 366}[unit]), unit, week_start
    )


def day_start(day: date, tz: str) -> int:
    """Microseconds at which a local day starts; one without midnight when the clocks skip it."""
    local = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(tz))
    return (local.astimezone(UTC) - EPOCH) // timedelta(microseconds=1)


def calendar(first: int, last: int, unit: str, week_start: str = "monday", tz: str = "UTC") -> list[date]:
    """First days of all periods from one moment to another."""
    day = floor_day(local_day({"time": first}, tz), unit, week_start)
    days = [day]
    while day_start(next_day(days[-1], unit, week_start), tz) <= last:
        days.append(next_day(days[-1], unit, week_start))
    return days


class RetentionQuestion(NamedTuple):
    """What a retention table asks; `starts` and `returns` are names, None for any event."""

    starts: Collection[str] | None = None
    returns: Collection[str] | None = None
    cohort: str = "first_time"
    rule: str = "on"
    brackets: tuple[int, ...] | None = None
    duration: int | None = None
    unit: str = "1d"
    week_start: str = "monday"
    total_periods: int | None = None
    minimum: int = 1


def retention_table(
    rows: Rows, asked: RetentionQuestion, since: int, until: int, tz: str = "UTC"
) -> dict[tuple[date, int], Cell]:
    """Every cell (first day of the cohort, column) that has started by `until`. D9.1 to D9.6."""
    days = calendar(since, until, asked.unit, asked.week_start, tz)
    edges = [day_start(day, tz) for day in [*days, next_day(days[-1], asked.unit, asked.week_start)]]
    members: dict[int, list[Member]] = {i: [] for i in range(len(days))}
    for user in {row["user"] for row in rows}:
        own = sorted((row for row in rows if row["user"] == user), key=lambda row: row["time"])
        for cohort, member in members_of(own, asked, days, tz):
            members[cohort].append(member)
    cells = {}
    for cohort, own_members in members.items():
        for column, span in enumerate(spans_of(asked, until - edges[0], len(days))):
            exists, complete = state_of(asked, cohort, span, edges, own_members, until)
            size = len(own_members)
            returned = size if column == 0 else sum(counts(asked, one.offsets, column) for one in own_members)
            if exists:
                cells[days[cohort], column] = Cell(returned, size, rate(returned, size), complete)
    return cells


class Member(NamedTuple):
    """When a user started, and how long after the user came back, in offsets."""

    anchor: int
    offsets: list[int]


def members_of(own: Rows, asked: RetentionQuestion, days: list[date], tz: str) -> list[tuple[int, Member]]:
    """Cohorts of one user's rows in order, each with what counts there. D9.1, D9.2."""
    when = lambda row: days.index(floor_day(local_day(row, tz), asked.unit, asked.week_start))  # noqa: E731
    started = [row for row in own if asked.starts is None or row["event"] in asked.starts]
    back = [row for row in own if asked.returns is None or row["event"] in asked.returns]
    anchors: dict[int, int] = {}
    for row in started if asked.cohort == "recurring" else started[:1]:
        anchors.setdefault(when(row), row["time"])
    found = []
    for cohort, anchor in anchors.items():
        if asked.duration is None:
            offsets = [when(row) - cohort for row in back]
        else:
            offsets = [(row["time"] - anchor) // asked.duration for row in back if row["time"] >= anchor]
        found.append((cohort, Member(anchor, offsets)))
    return found


def state_of(
    asked: RetentionQuestion,
    cohort: int,
    span: tuple[int, int],
    edges: list[int],
    members: list[Member],
    until: int,
) -> tuple[bool, bool]:
    """Whether a column of a cohort has started, and whether it is over for all members. D9.5."""
    first, last = span
    if asked.duration is None:
        over = cohort + last + 1 < len(edges) and edges[cohort + last + 1] <= until
        return cohort + first < len(edges) - 1, over
    anchors = [member.anchor for member in members] or [edges[cohort]]
    started = first == 0 or min(anchors) + first * asked.duration <= until
    return started, max(anchors) + (last + 1) * asked.duration <= until and edges[cohort + 1] <= until


def spans_of(asked: RetentionQuestion, observed: int, periods: int) -> list[tuple[int, int]]:
    """First and last offset of every column that could exist."""
    offsets = periods if asked.duration is None else max(0, observed) // asked.duration + 1
    spans = [(i, i) for i in range(offsets)]
    if asked.brackets is not None:
        spans = [(0, 0)]
        for size in asked.brackets:
            spans.append((spans[-1][1] + 1, spans[-1][1] + size))
    shown = offsets if asked.total_periods is None else min(offsets, asked.total_periods)
    return [span for span in spans if span[0] < shown]


def counts(asked: RetentionQuestion, offsets: Collection[int], column: int) -> bool:
    """Whether a member with returns at these offsets counts in a column after 0. D9.4."""
    sizes = asked.brackets or (1,) * (max(offsets, default=0) + column + 1)
    came = []
    for k in range(1, len(sizes) + 1):
        low, high = 1 + sum(sizes[: k - 1]), sum(sizes[:k])
        came.append(sum(low <= offset <= high for offset in offsets) >= asked.minimum)
    rules = {
        "on": came[column - 1 : column],
        "on_or_after": [any(came[column - 1 :])],
        "on_or_before": [any(came[:column])],
        "streak": [all(came[:column])],
    }
    return rules[asked.rule] == [True]
