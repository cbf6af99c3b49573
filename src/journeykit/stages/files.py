"""Stage models as TOML: written exactly, read with every problem listed at once, nothing evaluated."""

from __future__ import annotations

import secrets
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import date, datetime
from pathlib import Path
from typing import Any

from journeykit.errors import StageModelError, suggestion
from journeykit.stages.conditions import GRAMMAR, OPERATORS, Condition, Expression
from journeykit.stages.rules import Rule, Stage
from journeykit.stages.validation import Moves, named_twice, structure_problems
from journeykit.support.escaping import toml

MODEL_KEYS = ("stages", "planned_moves", "loops")
STAGE_KEYS = ("name", "priority", "rules")
RULE_KEYS = tuple(field.name for field in fields(Rule))
CONDITION_KEYS = tuple(field.name for field in fields(Condition))

Parts = tuple[tuple[Stage, ...], Moves | None, Moves]


def read_text(path: Path) -> str:
    """Read a TOML file.

    Raises
    ------
    StageModelError
        If there is no such file, or it is not text in UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise StageModelError([f"it is not text in UTF-8 (byte {error.start:,})"], str(path)) from error
    except FileNotFoundError as error:
        beside = [each.name for each in path.parent.glob("*.toml")] if path.parent.is_dir() else []
        said = suggestion(path.name, beside) if beside else "Its folder holds no .toml file."
        raise StageModelError([f"there is no such file. {said}"], str(path)) from error
    except OSError as error:
        raise StageModelError([f"it cannot be read: {error.strerror}"], str(path)) from error


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all: under a temporary name, then moved.

    Raises
    ------
    StageModelError
        If it cannot be written there.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8", newline="\n")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StageModelError([f"it cannot be written: {error.strerror}"], str(path)) from error


def parse(text: str, source: str | None) -> Parts:
    """Read a model from TOML.

    Raises
    ------
    StageModelError
        With every problem of the text.
    """
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise StageModelError([f"it is not TOML: {error}"], source) from error
    problems = _unknown_keys("", document, MODEL_KEYS)
    planned = _moves(document, "planned_moves", problems)
    loops = _moves(document, "loops", problems)
    tables = document.get("stages", [])
    if not _is_tables(tables):
        raise StageModelError([*problems, "stages must be tables: write [[stages]] above each"], source)
    stages: list[Stage] = []
    for number, table in enumerate(tables, start=1):
        problems += _stage_problems(number, table, stages)
    names = [table["name"] for table in tables if isinstance(table.get("name"), str)]
    rules = sum(
        len(table["rules"]) if isinstance(table.get("rules"), list) else "rules" in table for table in tables
    )
    if names or not tables:
        problems += structure_problems(names, rules, planned, loops or ())
    problems += named_twice(stages)
    if problems:
        raise StageModelError(problems, source)
    return tuple(stages), planned, loops or ()


def write(stages: Sequence[Stage], planned_moves: Moves | None, loops: Moves) -> str:
    """Write a model as TOML that `parse` reads back as an equal model.

    Raises
    ------
    StageModelError
        If a rule's expression is none of the conditions that can be written, or two stages of equal priority
        name the same event, which `parse` refuses.
    """
    problems = named_twice(stages)
    lines = []
    if planned_moves is not None:
        lines.append(f"planned_moves = {_value(planned_moves)}")
    if loops:
        lines.append(f"loops = {_value(loops)}")
    for stage in stages:
        lines += ["", "[[stages]]", f"name = {_value(stage.name)}"]
        if stage.priority:
            lines.append(f"priority = {stage.priority}")
        if stage.rules:
            lines += [
                "rules = [",
                *(f"    {_rule_text(stage, rule, problems)}," for rule in stage.rules),
                "]",
            ]
    if problems:
        raise StageModelError(problems)
    return "\n".join(lines).lstrip("\n") + "\n"


def _stage_problems(number: int, table: Mapping[str, Any], stages: list[Stage]) -> list[str]:
    """Add the stage to `stages` if nothing is wrong with it."""
    name = table.get("name")
    place = f"stage {number} ({name!r})" if isinstance(name, str) else f"stage {number}"
    problems = _unknown_keys(place, table, STAGE_KEYS)
    if name is None:
        problems.append(f"{place}: it has no name")
    given = table.get("rules", [])
    if not isinstance(given, list):
        problems.append(f"{place}: rules must be a list of event names and rules, not {given!r}")
        given = []
    rules = [
        _rule(f"{place}, rule {position}", each, problems) for position, each in enumerate(given, start=1)
    ]
    sound = [rule for rule in rules if rule is not None]
    try:
        stage = Stage("?" if name is None else name, *sound, priority=table.get("priority", 0))
    except StageModelError as error:
        problems += [f"{place}: {problem}" for problem in error.problems]
    else:
        stages += [] if problems else [stage]
    return problems


def _rule(place: str, given: object, problems: list[str]) -> Rule | None:
    if isinstance(given, str):
        return Rule(names=given)
    if isinstance(given, list):
        given = {"names": given}
    if not isinstance(given, Mapping):
        problems.append(f"{place}: {given!r} cannot be a rule: give an event name or a table")
        return None
    found = _unknown_keys(place, given, RULE_KEYS)
    parts = {key: value for key, value in given.items() if key in RULE_KEYS}
    if "after" in parts:
        parts["after"] = _rule(f"{place}, after", parts["after"], found)
    if "where" in parts:
        parts["where"] = _where(f"{place}, where", parts["where"], found)
    broken = {key for key in ("after", "where") if key in parts and parts[key] is None}
    try:
        made = Rule(
            **{key: value for key, value in parts.items() if not (key == "within" and "after" in broken)}
        )
    except StageModelError as error:
        only_where = "where" in broken and not {"names", "glob", "regex"} & set(parts)
        found += [
            f"{place}: {each}"
            for each in error.problems
            if not (only_where and each.startswith("a rule needs"))
        ]
        made = None
    problems += found
    return None if found else made


def _where(place: str, given: object, problems: list[str]) -> tuple[Condition, ...] | None:
    tables = [given] if isinstance(given, Mapping) else given
    if not isinstance(tables, list) or not tables or not _is_tables(tables):
        problems.append(f"{place}: {given!r} cannot be a condition: give a table of {GRAMMAR}")
        return None
    made = []
    before = len(problems)
    for table in tables:
        problems += _unknown_keys(place, table, CONDITION_KEYS)
        lacking = [key for key in CONDITION_KEYS if key not in table and not _may_lack(key, table)]
        if lacking:
            problems.append(f"{place}: a condition needs {' and '.join(lacking)}")
            continue
        try:
            made.append(Condition(**{key: value for key, value in table.items() if key in CONDITION_KEYS}))
        except StageModelError as error:
            problems += [f"{place}: {problem}" for problem in error.problems]
    return tuple(made) if len(problems) == before else None


def _may_lack(key: str, table: Mapping[str, Any]) -> bool:
    return key == "value" and table.get("op") == "is_null"


def _moves(document: Mapping[str, Any], part: str, problems: list[str]) -> Moves | None:
    given = document.get(part)
    if given is None:
        return None
    try:
        return as_moves(given, part)
    except StageModelError as error:
        problems += error.problems
        return None


def is_stage(value: object) -> bool:
    """Whether the value is a stage, whatever its annotation says."""
    return isinstance(value, Stage)


def as_moves(given: object, part: str) -> Moves:
    """Bring pairs of stage names into one form.

    Raises
    ------
    StageModelError
        If it is anything else.
    """
    is_one = isinstance(given, str | Mapping) or not isinstance(given, Iterable)
    pairs: list[Any] = [given] if is_one else list(given)  # type: ignore[call-overload]
    for pair in pairs:
        is_pair = isinstance(pair, Sequence) and not isinstance(pair, str) and len(pair) == 2
        if not is_pair or not all(isinstance(name, str) for name in pair):
            raise StageModelError(
                [f"{part} must be pairs of stage names such as ('bond', 'buy'), not {pair!r}"]
            )
    return tuple((source, target) for source, target in pairs)


def _unknown_keys(place: str, table: Mapping[str, Any], known: Sequence[str]) -> list[str]:
    start = f"{place}: " if place else ""
    return [f"{start}no key {key!r}. {suggestion(key, known)}" for key in table if key not in known]


def _is_tables(given: object) -> bool:
    return isinstance(given, list) and all(isinstance(each, Mapping) for each in given)


def _rule_text(stage: Stage, rule: Rule, problems: list[str]) -> str:
    parts = []
    for key, value in rule.parts().items():
        if isinstance(value, Expression):
            problems.append(
                f"stage {stage.name!r}: the expression {value} cannot be written to TOML; only conditions "
                f"joined with & can: a column, one of {', '.join(OPERATORS)}, and a value"
            )
        elif isinstance(value, Rule):
            parts.append(f"{key} = {_rule_text(stage, value, problems)}")
        else:
            parts.append(f"{key} = {_value(value)}")
    return "{" + ", ".join(parts) + "}"


def _value(value: object) -> str:
    """Write one value as TOML."""
    if isinstance(value, Condition):
        return f"{{column = {_value(value.column)}, op = {_value(value.op)}, value = {_value(value.value)}}}"
    if isinstance(value, tuple):
        return "[" + ", ".join(_value(each) for each in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return toml(value)
    return value.isoformat() if isinstance(value, date | datetime) else repr(value)
