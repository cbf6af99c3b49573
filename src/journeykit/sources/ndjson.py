"""Newline-delimited JSON, also compressed."""

from __future__ import annotations

import glob
import json
from collections.abc import Sequence

import polars as pl

from journeykit.errors import BrokenRowError, EmptyInputError
from journeykit.sources.paths import is_remote
from journeykit.sources.texts import first_undecodable, open_text

INFERRED_FROM = 10_000
ADVICE = "Correct or remove the line."


def scan(names: Sequence[str], columns: Sequence[str] | None) -> pl.LazyFrame:
    """Plan to read files with one JSON object per line; a missing key is null.

    Keys and types come from the first 10,000 lines, or from all if one of `columns` is not among them.
    """
    for name in names:
        _refuse_empty(name)
    paths = [name if is_remote(name) else glob.escape(name) for name in names]
    plan = pl.scan_ndjson(paths, infer_schema_length=INFERRED_FROM)
    known = plan.collect_schema()
    if all(column in known for column in columns or ()):
        return plan
    return pl.scan_ndjson(paths, infer_schema_length=None)


def _refuse_empty(name: str) -> None:
    if is_remote(name):
        return
    with open_text(name) as lines:
        if not lines.read(1):
            raise EmptyInputError.source(f"the file {name!r}")


def diagnose(names: Sequence[str]) -> BrokenRowError | None:
    """Find the first line that is no JSON object, by a slow pass in Python."""
    for name in names:
        undecodable = first_undecodable(name)
        if undecodable is not None:
            advice = "Convert the file to UTF-8, for example with iconv."
            return BrokenRowError(name, "ndjson", undecodable, "is not UTF-8", advice)
        with open_text(name) as lines:
            for number, line in enumerate(lines, 1):
                reason = _fault(line)
                if reason:
                    return BrokenRowError(name, "ndjson", number, reason, ADVICE)
    return None


def _fault(line: str) -> str | None:
    if not line.strip():
        return None
    try:
        value = json.loads(line)
    except ValueError as error:
        return f"is not JSON: {error}"
    return None if isinstance(value, dict) else f"is a JSON {type(value).__name__}, not an object"
