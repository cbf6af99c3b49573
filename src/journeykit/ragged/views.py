"""How journeys look from outside: one polars frame, an Arrow table, a few lines of text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from journeykit.errors import UnknownPropertyError
from journeykit.paths import Unit
from journeykit.ragged.array import Int64s, Ragged
from journeykit.support.slices import offsets

if TYPE_CHECKING:
    import pyarrow as pa

SHOWN_NAMES = 8
SHOWN_NOTES = 5


def frame(journeys: Ragged) -> pl.DataFrame:
    """All events as one polars frame, users as they are stored, each user's events in order (D1.3).

    Columns: ``user``; ``session``, the number of the session within the user from 1 (D2.4), null outside any;
    ``time`` in UTC; ``event`` (Enum); with stages ``stage`` and ``furthest_stage`` (Enum, null before the
    first); then the properties. A property whose name is one of these is called ``<name>_property``.
    Times and events are shared with the journeys unless sessions interleave, the other columns made anew.
    """
    return columns_of(journeys, column_names(journeys))


def column_names(journeys: Ragged) -> list[str]:
    """List the columns of `frame`."""
    return [*_built_in(journeys), *property_columns(journeys).values()]


def property_columns(journeys: Ragged) -> dict[str, str]:
    """Give the column of every property."""
    taken = {*_built_in(journeys)}
    columns = {}
    for name in journeys.kept:
        column = name
        while column in taken or (column != name and column in journeys.kept):
            column += "_property"
        taken.add(column)
        columns[name] = column
    return columns


def columns_of(journeys: Ragged, names: Iterable[str]) -> pl.DataFrame:
    """Make some columns of `frame`.

    Raises
    ------
    UnknownPropertyError
        If there is no such column.
    """
    events, users = _events(journeys), _users(journeys)
    built_in = {
        "user": lambda: _repeated_users(journeys, users),
        "session": lambda: _in_order(journeys, _session_numbers(journeys), events),
        "time": lambda: _in_order(journeys, pl.Series(journeys.times), events).cast(pl.Datetime("us", "UTC")),
        "event": lambda: _in_order(journeys, pl.Series(journeys.event_codes), events).cat.to(
            pl.Enum(journeys.names)
        ),
        "stage": lambda: _stages(journeys, _in_order(journeys, pl.Series(journeys.stage_codes), events)),
        "furthest_stage": lambda: _stages(
            journeys, _in_order(journeys, pl.Series(journeys.furthest_stage_codes), events)
        ),
    }
    properties = {column: name for name, column in property_columns(journeys).items()}
    available, made = _built_in(journeys), []
    for name in names:
        if name in available:
            made.append(built_in[name]().alias(name))
        elif name in properties:
            made.append(_in_order(journeys, journeys.property(properties[name]), events).alias(name))
        else:
            raise UnknownPropertyError(name, column_names(journeys))
    return pl.DataFrame(made)


def session_numbers(journeys: Ragged) -> Int64s:
    """Count up the sessions of every user from 1; 0 for a run of events outside any session. D2.4."""
    inside = journeys.sessions_inside
    if inside is None:
        inside = np.ones(journeys.session_offsets.size - 1, np.bool_)
    before = offsets(inside)
    of_user = np.repeat(before[journeys.user_sessions[:-1]], np.diff(journeys.user_sessions))
    return np.where(inside, before[1:] - of_user, 0).astype(np.int64)


def users_at(journeys: Ragged, stored: Int64s) -> pl.Series:
    """Return the user of events, by where they are stored."""
    number = np.searchsorted(journeys.user_offsets, stored, side="right") - 1
    return journeys.users.gather(pl.Series(number, dtype=pl.Int64)).alias("user")


def sessions_at(journeys: Ragged, stored: Int64s) -> pl.Series:
    """Return the number within its user of the session of events, by where they are stored; null outside any."""
    numbers = session_numbers(journeys)
    each = np.searchsorted(journeys.session_offsets, stored, side="right") - 1
    found = pl.DataFrame({"session": numbers[each] if each.size else np.empty(0, np.int64)})
    return found.select(pl.when(pl.col("session") > 0).then("session").alias("session")).to_series()


def units_of(journeys: Ragged, unit: Unit) -> pl.DataFrame:
    """Return one row per path: its user, and for sessions their number within the user."""
    starts = journeys.paths(unit).starts
    columns = [users_at(journeys, starts)]
    return pl.DataFrame(columns if unit == "user" else [*columns, sessions_at(journeys, starts)])


def to_arrow(journeys: Ragged) -> pa.Table:
    """Return `frame` as a pyarrow table, which DuckDB can query by the name of its variable.

    Returns
    -------
    pyarrow.Table
        Enums as dictionaries, texts as large strings. Times share their memory with the journeys.
    """
    return columns_of(journeys, column_names(journeys)).to_arrow()


def text(journeys: Ragged) -> str:
    """Say how large the journeys are, which time they span, and how they were cut."""
    first, *others = _summary(journeys)
    width = max(len(label) for label, _ in others)
    return "\n".join([f"{first[0]}: {first[1]}", *(f"  {label:<{width}}  {line}" for label, line in others)])


def html(journeys: Ragged) -> str:
    """Say the same as a table for notebooks."""
    from html import escape

    first, *others = _summary(journeys)
    left = 'style="text-align:left"'
    rows = "".join(
        f"<tr><th {left}>{escape(label)}</th><td {left}>{escape(line)}</td></tr>" for label, line in others
    )
    return f"<p><b>{escape(first[0])}</b>: {escape(first[1])}</p><table>{rows}</table>"


def _built_in(journeys: Ragged) -> list[str]:
    stages = ["stage", "furthest_stage"] if journeys.stage_codes is not None else []
    return ["user", "session", "time", "event", *stages]


def _users(journeys: Ragged) -> slice:
    return slice(*(journeys.user_range or (0, journeys.user_offsets.size - 1)))


def _events(journeys: Ragged) -> slice:
    users = _users(journeys)
    return slice(int(journeys.user_offsets[users.start]), int(journeys.user_offsets[users.stop]))


def _in_order(journeys: Ragged, stored: pl.Series, events: slice) -> pl.Series:
    """Bring a column from the stored order into that of time; most often they are the same."""
    if journeys.time_order is None:
        return stored[events]
    return stored.gather(pl.Series(journeys.time_order[events]))


def _repeated_users(journeys: Ragged, users: slice) -> pl.Series:
    counts = np.diff(journeys.user_offsets)[users]
    return journeys.users.gather(pl.Series(np.repeat(np.arange(users.start, users.stop), counts)))


def _session_numbers(journeys: Ragged) -> pl.Series:
    numbers, sizes = session_numbers(journeys).astype(np.int32), np.diff(journeys.session_offsets)
    if journeys.sessions_inside is None:
        return pl.Series(np.repeat(numbers, sizes))
    known = pl.DataFrame({"number": numbers}).select(pl.when(pl.col("number") > 0).then("number")).to_series()
    return known.gather(pl.Series(np.repeat(np.arange(sizes.size), sizes)))


def _stages(journeys: Ragged, codes: pl.Series) -> pl.Series:
    names = journeys.stage_names
    return pl.Series([None, *names], dtype=pl.Enum(names)).gather(codes)


def _summary(journeys: Ragged) -> list[tuple[str, str]]:
    """Give labels and lines; names as Python writes them, so that no line breaks out of its place."""
    counts = (("user", journeys.n_users), ("session", journeys.n_sessions), ("event", journeys.n_events))
    size = ", ".join(f"{count:,} {kind}{'s' * (count != 1)}" for kind, count in counts)
    if journeys.user_range is not None:
        size = f"a shard of {journeys.user_range[1] - journeys.user_range[0]:,} of {size}"
    lines = [
        ("Journeys", size),
        ("span", _span(journeys)),
        ("events", _listed(journeys.names.head(SHOWN_NAMES), len(journeys.names))),
        ("sessions", repr(journeys.session_rule)),
        ("stages", " > ".join(map(_printable, journeys.stage_names)) or "none; see assign_stages"),
        ("properties", _listed(journeys.kept[:SHOWN_NAMES], len(journeys.kept))),
    ]
    notes = journeys.provenance.notes
    lines += [("note", _printable(note)) for note in notes[:SHOWN_NOTES]]
    if len(notes) > SHOWN_NOTES:
        lines.append(("note", f"and {len(notes) - SHOWN_NOTES:,} more in provenance.notes"))
    return lines


def _span(journeys: Ragged) -> str:
    ends = pl.Series([journeys.observed_from, journeys.observed_until]).cast(pl.Datetime("us", "UTC"))
    first, last = ends.dt.convert_time_zone(journeys.tz).dt.to_string("%Y-%m-%d %H:%M:%S")
    return f"{first} .. {last} ({journeys.tz})"


def _listed(names: Iterable[str], total: int) -> str:
    shown = [repr(name) for name in names]
    more = f" and {total - len(shown):,} more" if total > len(shown) else ""
    return (", ".join(shown) + more) or "none"


def _printable(text: str) -> str:
    return text if text.isprintable() else repr(text)
