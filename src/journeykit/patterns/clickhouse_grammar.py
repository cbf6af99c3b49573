"""ClickHouse's grammar for sequences of events, in ours. DEFINITIONS D8.11."""

from __future__ import annotations

import re

from journeykit.errors import PatternError

CONDITION = re.compile(r"\(\?\+?(\d+)\)")
TIME = re.compile(r"\(\?t(<=|>=|==|<|>)\+?(\d+)\)")
EXPECTED = "'(?N)', '(?t<=n)' (or <, >, >=, ==), '.' or '.*'"
BETWEEN = "a time between two events: '(?1)(?t<=10)(?2)'"


def translated(text: str, conditions: int, time_unit: str) -> str:
    """Write a pattern of ClickHouse in our language; one that matches nothing as ``.``.

    Raises
    ------
    PatternError
        If the text is not of this grammar, or asks for a condition that there is not.

    Examples
    --------
    >>> print(translated("(?1).*(?2)(?t<5).", 2, "s"))
    "(?1)" ~> "(?2)" ~>(<5s) .
    """
    parts, connector = list[str](), ""
    at = start = 0
    while at < len(text):
        start = at
        if text.startswith(".*", at):
            if connector.startswith("~>("):
                raise PatternError(text, at, BETWEEN)
            connector, at = "~>", at + 2
            continue
        if found := TIME.match(text, at):
            if not parts or connector:
                raise PatternError(text, at, BETWEEN)
            connector, at = f"~>({found[1]}{found[2]}{time_unit})", found.end()
            continue
        element, at = _element(text, at, conditions)
        parts += [connector or "->", element] if parts else [element]
        connector = ""
    if connector.startswith("~>("):
        raise PatternError(text, start, BETWEEN)
    return " ".join(parts) or "."


def _element(text: str, at: int, conditions: int) -> tuple[str, int]:
    """Read a condition or any event; return where the rest begins."""
    if text.startswith(".", at):
        return ".", at + 1
    found = CONDITION.match(text, at)
    if found is None:
        raise PatternError(text, at, EXPECTED)
    if not 1 <= int(found[1]) <= conditions:
        raise PatternError(text, at, f"a condition from 1 to {conditions}" if conditions else "conditions")
    return f'"(?{int(found[1])})"', found.end()
