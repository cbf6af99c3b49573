"""From rows of `tests.logs` to journeys and answers, and from answers to plain values."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

import journeykit as jk
from journeykit.sources.canonical import InvalidCounts, OnInvalid, Validity
from tests import oracle
from tests.logs import MINUTE, Row, frame
from tests.oracle import Path

PROPERTIES = ("device", "value", "campaign")


def journeys_of(
    rows: Sequence[Row], timeout: Any = "30m", *, tz: str | None = None, **options: Any
) -> jk.Journeys:
    """Read rows with whatever columns they have, and cut them into sessions."""
    columns = {key for row in rows for key in row}
    events = jk.read_events(
        frame(rows),
        user="user",
        time="time",
        event="event",
        order="order" if "order" in columns else None,
        session="session" if "session" in columns else None,
        value="value" if "value" in columns else None,
        keep=sorted(columns - {"user", "time", "event", "order", "session", "value"}),
        tz=tz,
    )
    return events.sessionize(timeout, **options)


def resolve_invalid(
    frame: pl.DataFrame, on_invalid: OnInvalid = "raise"
) -> tuple[pl.DataFrame, InvalidCounts]:
    """Refuse or drop the invalid rows of a canonical log that came in one piece."""
    validity = Validity()
    valid = validity.keep(frame)
    return valid, validity.counts(on_invalid)


def paths_of(rows: Sequence[Row], unit: str = "session", **options: Any) -> list[Path]:
    """Return the slow twin's paths."""
    return oracle.session_paths(rows, **options) if unit == "session" else oracle.user_paths(rows, **options)


def many_users(
    seed: int, users: int = 60, events: int = 12, names: Sequence[str] = ("home", "view", "cart", "buy")
) -> list[Row]:
    """Rows of many users, so that intervals have their groups: up to `events` events each, with ties and pauses."""
    draw = random.Random(seed)
    rows = []
    for user in range(users):
        clock = draw.randrange(10_000) * MINUTE
        for _ in range(draw.randint(1, events)):
            clock += draw.choice((0, MINUTE, 5 * MINUTE, 30 * MINUTE, 31 * MINUTE, 300 * MINUTE))
            rows.append({"user": f"u{user}", "time": clock, "event": draw.choice(names)})
    draw.shuffle(rows)
    return rows


def table(frame: pl.DataFrame, keys: Sequence[str], values: Sequence[str]) -> dict[Any, dict[str, Any]]:
    """Return a frame as a dictionary from its keys (a single one bare, several as a tuple) to its values."""
    found: dict[Any, dict[str, Any]] = {}
    for row in frame.iter_rows(named=True):
        key = tuple(tuple(row[key]) if isinstance(row[key], list) else row[key] for key in keys)
        one = key[0] if len(keys) == 1 else key
        assert one not in found, f"{one} is in two rows"
        found[one] = {value: row[value] for value in values}
    return found


def assert_close(found: Mapping[Any, Any], expected: Mapping[Any, Any], tolerance: float = 1e-12) -> None:
    """Compare two dictionaries, numbers to a relative and absolute tolerance, null only with null."""
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        if isinstance(value, Mapping):
            assert_close(found[key], value, tolerance)
        elif isinstance(value, float) and found[key] is not None:
            assert np.isclose(found[key], value, rtol=tolerance, atol=tolerance), (key, found[key], value)
        else:
            assert found[key] == value, (key, found[key], value)


def answer_of(
    journeys: jk.Journeys, statistic: Any, parts: Sequence[Any] | None = None, **options: Any
) -> Any:
    """Answer from the tallies of `parts` (shards) added up, in place of the engine's."""
    from journeykit.cells import make_cells
    from journeykit.protocol import add

    cells = make_cells(journeys, options.get("by"), options.get("every"))
    context = journeys.context(cells.labels, every=options.get("every"))
    shards = journeys.shards() if parts is None else parts
    counted = [(shard, cells.by_group(shard.groups)) for shard in shards]

    def run(question: Any) -> Any:
        return add([(own, question.tally(shard, own)) for shard, own in counted], question.tables)

    tables = run(statistic)
    while (following := statistic.follow_up(tables, context)) is not None:
        statistic, tables = following, {**tables, **run(following)}
    return statistic.answer(tables, context)
