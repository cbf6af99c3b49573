"""The cases of ``posthog.json``: their logs as rows and journeys, their conditions as functions and expressions.

One row per event in insertion order: ``user`` (the person), ``time`` (int microseconds), ``event``,
``distinct_id``, ``event:KEY`` for every property of an event and ``person:KEY`` for every property of a person,
all of them texts, null where there is none.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache, reduce
from operator import and_, or_
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import polars as pl
import pytest

import journeykit as jk
from tests.conftest import SHARED

Row: TypeAlias = dict[str, Any]
Case: TypeAlias = Mapping[str, Any]

FILE = SHARED / "conformance" / "posthog.json"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
UNITS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400, "week": 604_800, "month": 2_678_400}


@cache
def cases() -> tuple[Case, ...]:
    """Return all cases; none where the file is absent."""
    return tuple(json.loads(FILE.read_text())["cases"]) if FILE.exists() else ()


def checks(*families: str, reasons: Mapping[str, str] | None = None) -> list[Any]:
    """Return a pytest parameter (case, check) per check of some families.

    `reasons` names checks whose source is inconsistent; they are expected to fail.
    """
    if not cases():
        absent = pytest.mark.skip(reason=f"needs {FILE}; set JOURNEYKIT_SHARED to where the folder is")
        return [pytest.param({}, {}, id="absent", marks=absent)]
    found = []
    for case in cases():
        for i, check in enumerate(case["checks"]):
            name = f"{case['id']}-{i}"
            reason = (reasons or {}).get(name)
            marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
            if case["family"] in families:
                found.append(pytest.param(case, check, id=name, marks=marks))
    return found


def moment(text: str, tz: str = "UTC") -> datetime:
    """Read a time; one without a zone is in `tz`."""
    read = datetime.fromisoformat(text)
    return read if read.tzinfo else read.replace(tzinfo=ZoneInfo(tz))


def microseconds(when: datetime) -> int:
    """Microseconds since the epoch."""
    return (when - EPOCH) // MICROSECOND


def span(query: Mapping[str, Any]) -> tuple[datetime | None, datetime | None]:
    """Return ``[start, end)`` of a query; a date or a midnight as ``date_to`` includes that whole day.

    By the hour it includes the hour that begins there.
    """
    tz = query.get("timezone") or "UTC"
    start, end = query.get("date_from"), query.get("date_to")
    first = None if start is None else moment(start, tz)
    if end is None:
        return first, None
    last = moment(end, tz)
    midnight = (last.hour, last.minute, last.second, last.microsecond) == (0, 0, 0, 0)
    whole = timedelta(hours=1) if query.get("interval") == "hour" else timedelta(days=1)
    return first, last + (whole if midnight else MICROSECOND)


def duration(window: Mapping[str, Any]) -> timedelta:
    """Return a conversion window as elapsed time."""
    return timedelta(seconds=window["value"] * UNITS[window["unit"]])


def rows(case: Case, check: Mapping[str, Any] | None = None) -> list[Row]:
    """Return the events of known persons, as many of them as the check sees."""
    check = check or {}
    owner = {alias: person for person in case["persons"] for alias in person["distinct_ids"]}
    seen = case["events"][: check.get("uses_first_n_events")]
    columns = dict.fromkeys(asked_columns(check.get("query", {})))
    found = []
    for event in seen:
        person = owner.get(event["distinct_id"])
        if person is None:
            continue
        row = {
            "user": counted_unit(check, person, event),
            "time": microseconds(moment(event["timestamp"])),
            "event": event["event"],
            "distinct_id": event["distinct_id"],
            **labelled("event", event.get("properties")),
            **labelled("person", person.get("properties")),
        }
        columns |= dict.fromkeys(row)
        found.append(row)
    return [{name: row.get(name) for name in columns} for row in found if row["user"] is not None]


def counted_unit(check: Mapping[str, Any], person: Mapping[str, Any], event: Mapping[str, Any]) -> str | None:
    """Return whose event it is: the person's, by default; a distinct id's, or a property value's."""
    unit = check.get("query", {}).get("unit", "person")
    if unit == "person":
        return str(person["id"])
    if unit == "distinct_id":
        return str(event["distinct_id"])
    holder = event if unit["scope"] == "event" else person
    return text((holder.get("properties") or {}).get(unit["key"]))


def labelled(scope: str, properties: Mapping[str, Any] | None) -> dict[str, str | None]:
    """Name properties by their scope, their values as texts."""
    return {f"{scope}:{key}": text(value) for key, value in (properties or {}).items()}


def text(value: Any) -> str | None:
    """Return a property's value as a text: 20 and "20" are one value."""
    return value if value is None or isinstance(value, str) else json.dumps(value)


def asked_columns(asked: Any) -> Iterator[str]:
    """Yield the property columns that a query names, wherever it names them."""
    if isinstance(asked, Mapping):
        if "scope" in asked and "key" in asked:
            yield f"{asked['scope']}:{asked['key']}"
        for one in asked.values():
            yield from asked_columns(one)
    elif isinstance(asked, list | tuple):
        for one in asked:
            yield from asked_columns(one)


def conditions(query: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return ``where`` and ``where_tree`` of a query or a step as one tree."""
    tree = query.get("where_tree")
    return {"and": [*(query.get("where") or ()), *([tree] if tree else ())]}


def holds(tree: Mapping[str, Any], row: Row) -> bool:
    """Whether an event fulfils a tree of conditions."""
    if "and" in tree:
        return all(holds(one, row) for one in tree["and"])
    if "or" in tree:
        return any(holds(one, row) for one in tree["or"])
    value = row.get(f"{tree['scope']}:{tree['key']}")
    if tree["op"] in {"is_not", "not_contains"}:
        return not holds({**tree, "op": POSITIVE[tree["op"]]}, row)
    if value is None or tree["op"] == "is_set":
        return value is not None
    if tree["op"] == "exact":
        return value in wanted(tree)
    return any(part.lower() in value.lower() for part in wanted(tree))


POSITIVE = {"is_not": "exact", "not_contains": "contains"}


def wanted(condition: Mapping[str, Any]) -> list[str]:
    """Return the values of a condition: any of them is meant."""
    value = condition["value"]
    return [text(one) or "" for one in (value if isinstance(value, list) else [value])]


def expression(tree: Mapping[str, Any]) -> pl.Expr | None:
    """Return a tree of conditions as a polars expression that is never null; None for no condition."""
    for operator, combine in (("and", and_), ("or", or_)):
        if operator in tree:
            parts = [part for part in map(expression, tree[operator]) if part is not None]
            return reduce(combine, parts) if parts else None
    return of_property(pl.col(f"{tree['scope']}:{tree['key']}"), tree)


def of_property(column: pl.Expr, condition: Mapping[str, Any]) -> pl.Expr:
    """Return one condition as an expression; a missing property passes only what is negative."""
    if condition["op"] in POSITIVE:
        return ~of_property(column, {**condition, "op": POSITIVE[condition["op"]]})
    if condition["op"] == "is_set":
        return column.is_not_null()
    if condition["op"] == "exact":
        return column.is_in(wanted(condition)).fill_null(False)
    lower = column.str.to_lowercase()
    parts = [lower.str.contains(part.lower(), literal=True) for part in wanted(condition)]
    return reduce(or_, parts).fill_null(False)


def frame(rows: Sequence[Row]) -> pl.DataFrame:
    """Return rows as polars, times in UTC, all else texts."""
    names = ["user", "time", "event", *dict.fromkeys(name for row in rows for name in row)]
    schema = {name: pl.Int64 if name == "time" else pl.String for name in names}
    made = pl.DataFrame({name: [row.get(name) for row in rows] for name in schema}, schema=schema)
    return made.with_columns(pl.col("time").cast(pl.Datetime("us", "UTC")))


def journeys(
    rows: Sequence[Row], *, timeout: Any = None, tz: str | None = None, until: datetime | None = None
) -> jk.Journeys:
    """Read rows with all their properties; without a timeout a user has one session."""
    if not rows:
        nobody = {"user": "", "time": 0, "event": ""}
        return journeys([nobody], timeout=timeout, tz=tz, until=until).filter(users=[], missing="ignore")
    table = frame(rows)
    kept = [name for name in table.columns if name not in {"user", "time", "event"}]
    last = None if until is None else max([until, *table["time"].to_list()])
    events = jk.read_events(
        table, user="user", time="time", event="event", keep=kept, tz=tz, observed_until=last
    )
    return events.sessionize(timeout)


def within(rows: Iterable[Row], start: datetime | None, end: datetime | None) -> list[Row]:
    """Keep the rows in ``[start, end)``."""
    first = None if start is None else microseconds(start)
    last = None if end is None else microseconds(end)
    return [
        row
        for row in rows
        if (first is None or row["time"] >= first) and (last is None or row["time"] < last)
    ]
