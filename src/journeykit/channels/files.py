"""Channel rules as TOML: nothing in it is evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from journeykit.channels.rules import FIELDS, ChannelRule, ChannelRules, settings
from journeykit.errors import ParameterError, suggestion
from journeykit.support.escaping import toml

RULE_KEYS = ("name", "when")


def written(rules: ChannelRules) -> str:
    """Return rules as TOML that `read` gives back."""
    lines = [f"{name} = {_value(value)}" for name, value in settings(rules).items()]
    if rules.lists:
        lines += [
            "",
            "[lists]",
            *(f"{_value(name)} = {_value(list(sites))}" for name, sites in rules.lists.items()),
        ]
    for rule in rules.rules:
        lines += ["", "[[rules]]", f"name = {_value(rule.name)}", "when = ["]
        for alternative in rule.alternatives:
            tests = ", ".join(f"{key} = {_value(value)}" for key, value in alternative.items())
            lines.append(f"    {{ {tests} }},")
        lines.append("]")
    return "\n".join(lines).lstrip("\n") + "\n"


def read(document: Mapping[str, Any]) -> ChannelRules:
    """Make rules of what TOML says; refuse keys that they do not have."""
    known = [each.name for each in fields(ChannelRules)]
    for key in document:
        if key not in known:
            raise ParameterError(f"channel rules have no {key!r}. {suggestion(key, known)}")
    given = dict(document)
    rules, found = given.pop("rules", []), []
    if not isinstance(rules, list):
        raise ParameterError(
            f"rules of channels are a list, and this is {rules!r}. Write [[rules]] before each."
        )
    for rule in rules:
        if not isinstance(rule, Mapping) or set(rule) != set(RULE_KEYS):
            raise ParameterError(f"a rule of channels has 'name' and 'when', and this one is {rule!r}.")
        found.append(ChannelRule(rule["name"], rule["when"]))
    absent = {name: None for name in FIELDS if given.get(name) == ""}
    return ChannelRules(found, **{**given, **absent})


def _value(value: Any) -> str:
    """Write a text, a truth or a list; None, which TOML does not have, as an empty text."""
    if value is None:
        return '""'
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return toml(value) if isinstance(value, str) else str(value).lower()
