"""Places in nested exports: from ``"properties.$insert_id"`` to an expression on the columns that are there.

A place is the name of a column and the way below it: ``.field`` of a struct or of an object written as JSON text,
``[key]`` of a list of key and value such as GA4's ``event_params``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

Nested = dict[str, Any]
_STEP = re.compile(r"\[(?P<key>[^\]]*)\]|\.(?P<field>[^.\[]+)")
VALUES = ("string_value", "int_value", "float_value", "double_value")
PARAMETER = pl.Struct({"key": pl.String, "value": pl.Struct(dict.fromkeys(VALUES, pl.String))})
"""One element of a list of parameters, every value as text."""


def steps(place: str) -> tuple[str, list[tuple[str, bool]]]:
    """Divide a place into the name of its column, and names below; True marks the key of a parameter.

    Examples
    --------
    >>> steps("event_params[ga_session_id]")
    ('event_params', [('ga_session_id', True)])
    >>> steps("properties.$insert_id")
    ('properties', [('$insert_id', False)])
    """
    first = re.split(r"[.\[]", place, maxsplit=1)[0]
    found = [
        (match["field"], False) if match["key"] is None else (match["key"], True)
        for match in _STEP.finditer(place[len(first) :])
    ]
    return first, found


def find(schema: Mapping[str, pl.DataType], place: str) -> tuple[pl.Expr, pl.DataType] | None:
    """Say how to get at a place in a frame, and the type of what stands there; None if there is no such place."""
    if place in schema:
        return pl.col(place), schema[place]
    name, below = steps(place)
    if name not in schema:
        return None
    value, dtype = pl.col(name), schema[name]
    for number, (key, parameter) in enumerate(below):
        if dtype == pl.String and not parameter:
            way = "".join(_quoted(each) for each, _ in below[number:])
            return value.str.json_path_match("$" + way), pl.String()
        found = _parameter(value, dtype, key) if parameter else _field(value, dtype, key)
        if found is None:
            return None
        value, dtype = found
    return value, dtype


def _quoted(key: str) -> str:
    mark = "'" if '"' in key else '"'
    return f"[{mark}{key}{mark}]"


def _field(value: pl.Expr, dtype: pl.DataType, name: str) -> tuple[pl.Expr, pl.DataType] | None:
    if isinstance(dtype, pl.Struct):
        for each in dtype.fields:
            if each.name == name:
                return value.struct.field(name), _instance(each.dtype)
    return None


def _parameter(value: pl.Expr, dtype: pl.DataType, key: str) -> tuple[pl.Expr, pl.DataType] | None:
    """Get the value of a parameter by its key: what is not null of its kinds of values, as text if they are several."""
    value, dtype = _plain_list(value, dtype)
    element = _instance(dtype.inner) if isinstance(dtype, pl.List) else None
    if not isinstance(element, pl.Struct):
        return None
    fields = {each.name: each.dtype for each in element.fields}
    kinds = fields.get("value")
    if "key" not in fields or not isinstance(kinds, pl.Struct):
        return None
    hits = value.list.eval(pl.element().struct.field("key") == key)
    position = pl.when(hits.list.any()).then(hits.list.arg_max())
    found = value.list.get(position, null_on_oob=True).struct.field("value")
    texts = [found.struct.field(each.name).cast(pl.String) for each in kinds.fields if each.name in VALUES]
    return (pl.coalesce(texts), pl.String()) if texts else None


def _plain_list(value: pl.Expr, dtype: pl.DataType) -> tuple[pl.Expr, pl.DataType]:
    """Undo the two layers, "list" and "element", that some writers of Parquet show."""
    if isinstance(dtype, pl.Struct) and [each.name for each in dtype.fields] == ["list"]:
        value, dtype = value.struct.field("list"), _instance(dtype.fields[0].dtype)
    inner = _instance(dtype.inner) if isinstance(dtype, pl.List) else None
    if isinstance(inner, pl.Struct) and [each.name for each in inner.fields] == ["element"]:
        return value.list.eval(pl.element().struct.field("element")), pl.List(inner.fields[0].dtype)
    return value, dtype


def _instance(dtype: Any) -> pl.DataType:
    found: pl.DataType = dtype() if isinstance(dtype, type) else dtype
    return found


def text_schema(places: Iterable[str], rows: str | None = None) -> dict[str, pl.DataType]:
    """Make the schema that reads these places of JSON, every value as text whatever it is.

    Parameters
    ----------
    places : iterable of str
        What is wanted; other keys are skipped.
    rows : str, optional
        The column that is a list of objects.

    Examples
    --------
    >>> text_schema(["event", "properties.time"])
    {'event': String, 'properties': Struct({'time': String})}
    """
    tree: Nested = {}
    for place in places:
        name, below = steps(place)
        _grow(tree, [(name, False), *below])
    schema = {name: _dtype(branch) for name, branch in tree.items()}
    return {name: pl.List(dtype) if name == rows else dtype for name, dtype in schema.items()}


def _grow(tree: Nested, way: list[tuple[str, bool]]) -> None:
    """Add a place; one that is wanted as a whole is text, and what is below is looked up in the text."""
    (name, _), *below = way
    if not below or tree.get(name, {}) is None:
        tree[name] = None
    elif below[0][1]:
        tree[name] = PARAMETER
    else:
        branch = tree.setdefault(name, {})
        if isinstance(branch, dict):
            _grow(branch, below)


def _dtype(branch: Any) -> pl.DataType:
    if branch is None:
        return pl.String()
    if isinstance(branch, dict):
        return pl.Struct({name: _dtype(below) for name, below in branch.items()})
    return pl.List(branch)
