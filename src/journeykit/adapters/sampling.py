"""The first lines of files of JSON, looked at to tell which places they have, and of what kinds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from journeykit.adapters.places import VALUES, steps
from journeykit.sources.texts import open_text

FILES, LINES, SHOWN = 24, 1_000, 50
NESTED = "nested"
KINDS = {bool: "Boolean", int: "Int64", float: "Float64", str: "String", dict: NESTED, list: NESTED}


def some(names: Sequence[str]) -> Sequence[str]:
    """Choose a few of many files, evenly."""
    return names[:: -(-len(names) // FILES)] if names else names


def kinds(name: str, places: Iterable[str], rows: str | None) -> dict[str, str]:
    """Say of what kind the places are that the first lines of a file have.

    Parameters
    ----------
    name : str
        The file. Lines that are no objects are left to those who read it.
    places : iterable of str
        What to look for.
    rows : str, optional
        The list of which every element is an event.

    Returns
    -------
    dict of str to str
        The kind of the first value that is not null, ``"Null"`` if all are; places that no line has are missing.
    """
    found: dict[str, str] = {}
    wanted = [(place, steps(place)) for place in places]
    for row in _objects(name, rows):
        for place, (first, below) in wanted:
            if found.get(place, "Null") == "Null" and (value := _at(row, first, below)) is not _NOWHERE:
                found[place] = KINDS.get(type(value), "Null")
    return found


def names(name: str, rows: str | None) -> list[str]:
    """List the places in the first lines of a file, one step into objects, for a message."""
    found: dict[str, None] = {}
    for row in islice(_objects(name, rows), SHOWN):
        for key, value in row.items():
            found |= dict.fromkeys(
                [f"{key}.{inner}" for inner in value] if isinstance(value, dict) else [key]
            )
    return list(found)


_NOWHERE = object()


def _objects(name: str, rows: str | None) -> Iterator[dict[str, Any]]:
    with open_text(name) as lines:
        for line in islice(lines, LINES):
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if not isinstance(row, dict):
                continue
            if rows is None:
                yield row
            else:
                within = row.get(rows)
                yield from ({**row, rows: each} for each in (within if isinstance(within, list) else [None]))


def _at(value: Any, first: str, below: list[tuple[str, bool]]) -> Any:
    for key, parameter in [(first, False), *below]:
        if isinstance(value, str):
            value = _unwritten(value)
        value = _parameter(value, key) if parameter else _field(value, key)
    return value


def _unwritten(text: str) -> Any:
    """Read an object that is written as JSON text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _field(value: Any, key: str) -> Any:
    return value.get(key, _NOWHERE) if isinstance(value, dict) else _NOWHERE


def _parameter(value: Any, key: str) -> Any:
    for each in value if isinstance(value, list) else ():
        if isinstance(each, dict) and each.get("key") == key and isinstance(each.get("value"), dict):
            given = (each["value"].get(kind) for kind in VALUES)
            # Whole numbers are texts in BigQuery's JSON, so the kind of a parameter says nothing.
            return [key] if any(one is not None for one in given) else None
    return _NOWHERE
