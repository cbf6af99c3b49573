"""What can be wrong with a stage model, by itself and for a log; everything is listed at once."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

import numpy as np
import polars as pl

from journeykit.errors import SHOWN_NAMES, JourneykitWarning, ParameterError, StageModelError, suggestion
from journeykit.stages.matching import (
    Flags,
    OrderedLog,
    claim,
    exact_names,
    is_by_name,
    names_matched,
    numbered,
    unmapped_names,
)
from journeykit.stages.rules import Rule, Stage
from journeykit.support.unknown_names import Missing, check_missing

MOST_STAGES = 254
MOST_RULES = 65_535

Moves: TypeAlias = tuple[tuple[str, str], ...]
Unmapped: TypeAlias = Literal["raise", "warn", "ignore"]


def structure_problems(
    names: Sequence[str], rules: int, planned_moves: Moves | None, loops: Moves
) -> list[str]:
    """List what is wrong with the stages' names, the number of rules and the moves, whatever the log is."""
    problems = [f"{times} stages are named {name!r}" for name, times in Counter(names).items() if times > 1]
    if not names:
        problems.append("a model needs at least one stage")
    elif rules == 0:
        problems.append("no stage has a rule: say which events lead into a stage")
    if len(names) > MOST_STAGES:
        problems.append(f"{len(names):,} stages are too many: a model holds at most {MOST_STAGES}")
    if rules > MOST_RULES:
        problems.append(f"{rules:,} rules are too many: a model holds at most {MOST_RULES:,}")
    problems += _move_problems("planned_moves", planned_moves or (), names)
    problems += _move_problems("loops", loops, names)
    for source, target in loops:
        if source in names and target in names and names.index(target) > names.index(source):
            problems.append(
                f"the loop {source!r} -> {target!r} goes forward: a loop goes back to an earlier stage"
            )
    return problems


def named_twice(stages: Sequence[Stage]) -> list[str]:
    """List the events that two stages of equal priority name exactly."""
    named = [(number, rule) for number, _, rule in numbered(stages) if rule.names]
    vocabulary = pl.Series(sorted({name for _, rule in named for name in rule.names}), dtype=pl.String)
    return _overlaps(stages, named, vocabulary)


def validate(stages: Sequence[Stage], names: pl.Series, unmapped: Unmapped, missing: Missing) -> None:
    """Hold the rules against the names of a log, without its events."""
    _check_choices(unmapped, missing)
    reach = [names_matched(rule, names) for _, _, rule in numbered(stages)]
    reached = np.any(reach, axis=0) if reach else np.zeros(len(names), np.bool_)
    problems, notes = _missing_names(stages, names, missing)
    problems += _overlaps(stages, [(number, rule) for number, _, rule in numbered(stages)], names)
    left = names.filter(pl.Series(~reached, dtype=pl.Boolean)).sort().to_list()
    notes += _empty_stages(stages)
    notes += [
        f"{_place(stages, number, rule)} matches no event of this log"
        for number, rule in _silent(stages, reach)
    ]
    _finish(problems, notes, _unmapped_problem([repr(name) for name in left]), unmapped)


def check(stages: Sequence[Stage], log: OrderedLog, unmapped: Unmapped, missing: Missing) -> None:
    """Hold the rules against every event of a log."""
    _check_choices(unmapped, missing)
    claims = claim(stages, log)
    counts = np.bincount(claims.rules, minlength=claims.matched_events.size + 1)[1:]
    problems, notes = _missing_names(stages, log.names, missing)
    problems += _overlaps(stages, [(number, rule) for number, _, rule in numbered(stages)], log.names)
    notes += _empty_stages(stages)
    for number, position, rule in numbered(stages):
        matched, taken = int(claims.matched_events[position - 1]), int(counts[position - 1])
        if matched == 0:
            notes.append(f"{_place(stages, number, rule)} matches no event of this log")
        elif taken == 0:
            notes.append(
                f"{_place(stages, number, rule)} matches {matched:,} events, "
                "all taken by rules tried before it"
            )
    left = unmapped_names(log, claims.rules)
    shown = [f"{name!r} ({events:,})" for name, events in left.select("event", "events").iter_rows()]
    _finish(problems, notes, _unmapped_problem(shown), unmapped)


def _check_choices(unmapped: Unmapped, missing: Missing) -> None:
    if unmapped not in ("raise", "warn", "ignore"):
        raise ParameterError.choice("unmapped", unmapped, ("raise", "warn", "ignore"))
    check_missing(missing)


def _finish(problems: list[str], notes: list[str], left: list[str], unmapped: Unmapped) -> None:
    if unmapped == "raise":
        problems = problems + left
    if problems:
        raise StageModelError(problems)
    for note in notes + (left if unmapped == "warn" else []):
        warnings.warn(note, JourneykitWarning, stacklevel=4)


def _move_problems(part: str, moves: Moves, names: Sequence[str]) -> Iterator[str]:
    for source, target in moves:
        for name in dict.fromkeys((source, target)):
            if name not in names:
                exist = suggestion(name, dict.fromkeys(names))
                yield f"{part} names the stage {name!r}, which is not in the model. {exist}"
        if source == target:
            yield f"{part} holds {source!r} -> {target!r}: a move goes to another stage"


def _overlaps(stages: Sequence[Stage], rules: Sequence[tuple[int, Rule]], names: pl.Series) -> list[str]:
    """Find names that a rule takes whole, and that a later stage of equal priority also asks for."""
    problems = []
    for priority in dict.fromkeys(stage.priority for stage in stages):
        owner = np.zeros(len(names), np.int64)
        for number, stage in enumerate(stages, start=1):
            if stage.priority != priority:
                continue
            own = [rule for position, rule in rules if position == number]
            asked = _any_of([rule for rule in own if _asks_for_names(rule)], names)
            for first in np.unique(owner[asked & (owner > 0)]).tolist():
                shared = names.filter(pl.Series(asked & (owner == first))).sort().to_list()
                problems.append(_overlap(stages[first - 1].name, stage, shared))
            owner[_any_of([rule for rule in own if is_by_name(rule)], names) & (owner == 0)] = number
    return problems


def _overlap(first: str, second: Stage, shared: Sequence[str]) -> str:
    events, fit, them = ("the event", "fits", "it") if len(shared) == 1 else ("the events", "fit", "them")
    return (
        f"{events} {_shortened([repr(name) for name in shared])} of stage {first!r} also {fit} stage "
        f"{second.name!r} of equal priority {second.priority}, which is tried later and never gets {them}: "
        f"keep {them} in one stage, or give one of the two a higher priority"
    )


def _any_of(rules: Sequence[Rule], names: pl.Series) -> Flags:
    found = np.zeros(len(names), np.bool_)
    for rule in rules:
        found |= names_matched(rule, names)
    return found


def _asks_for_names(rule: Rule) -> bool:
    return bool(rule.names) or rule.glob is not None or rule.regex is not None or is_by_name(rule)


def _silent(stages: Sequence[Stage], reach: Sequence[Flags]) -> list[tuple[int, Rule]]:
    return [
        (number, rule)
        for (number, _, rule), found in zip(numbered(stages), reach, strict=True)
        if not found.any()
    ]


def _missing_names(
    stages: Sequence[Stage], names: pl.Series, missing: Missing
) -> tuple[list[str], list[str]]:
    """Say which names the log does not have: as problems, or as notes where they are to be warned of. D0.9."""
    if missing == "ignore":
        return [], []
    known = set(names)
    problems: dict[str, None] = {}
    for number, _, rule in numbered(stages):
        for name in exact_names(rule):
            if name not in known:
                stage = stages[number - 1].name
                problems[
                    f"stage {stage!r} names the event {name!r}, which is not in this log. "
                    f"{suggestion(name, names)}"
                ] = None
    return (list(problems), []) if missing == "raise" else ([], list(problems))


def _empty_stages(stages: Sequence[Stage]) -> list[str]:
    return [
        f"stage {stage.name!r} has no rules, so no event leads into it" for stage in stages if not stage.rules
    ]


def _place(stages: Sequence[Stage], number: int, rule: Rule) -> str:
    return f"the rule {rule!r} of stage {stages[number - 1].name!r}"


def _unmapped_problem(left: Sequence[str]) -> list[str]:
    if not left:
        return []
    events = "1 event name is" if len(left) == 1 else f"{len(left):,} event names are"
    return [
        f"{events} in no stage: {_shortened(left)}. Add rules for them, or pass unmapped='warn' or 'ignore'"
    ]


def _shortened(names: Sequence[str]) -> str:
    rest = f" and {len(names) - SHOWN_NAMES:,} more" if len(names) > SHOWN_NAMES else ""
    return ", ".join(names[:SHOWN_NAMES]) + rest
