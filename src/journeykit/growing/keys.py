"""Questions as texts: equal questions have equal texts, in whatever process they are asked."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import date, time, timedelta
from enum import Enum
from io import BytesIO
from typing import Any

import polars as pl

PLAIN = (str, int, float, bool, bytes, type(None), date, time, timedelta)


def question_text(value: Any) -> str | None:
    """Write a value of this package as a text that tells it from any other; None if that cannot be done.

    Examples
    --------
    >>> question_text(("a", {"b", "c"}, None))
    "tuple['a', set['b', 'c'], None]"
    >>> question_text(print) is None
    True
    """
    try:
        return _text(value)
    except TypeError:
        return None


def _text(value: Any) -> str:
    if type(value) in PLAIN or (isinstance(value, PLAIN) and not isinstance(value, Enum)):
        return repr(value)
    if isinstance(value, pl.Expr):
        return f"Expr[{value.meta.serialize().hex()}]"
    if isinstance(value, pl.Series):
        return f"Series[{value.dtype!r}, {value.to_list()!r}]"
    if isinstance(value, pl.DataFrame):
        content = BytesIO()
        value.rechunk().write_ipc(content)
        return f"DataFrame[{hashlib.sha256(content.getvalue()).hexdigest()}]"
    if is_dataclass(value) and not isinstance(value, type):
        return _of_dataclass(value)
    if isinstance(value, Mapping):
        return f"mapping[{_joined(value.items())}]"
    if isinstance(value, AbstractSet):
        return f"set[{', '.join(sorted(_text(each) for each in value))}]"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__}[{_joined(value)}]"
    raise TypeError(type(value))


def _of_dataclass(value: Any) -> str:
    """Name the class and its fields. The code of other packages may change without the value changing."""
    kind = type(value)
    if kind.__module__.split(".")[0] != "journeykit":
        raise TypeError(kind)
    shown = ", ".join(f"{each.name}={_text(getattr(value, each.name))}" for each in fields(value))
    return f"{kind.__module__}.{kind.__qualname__}({shown})"


def _joined(values: Any) -> str:
    return ", ".join(_text(each) for each in values)
