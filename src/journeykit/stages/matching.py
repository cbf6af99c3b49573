"""Which rule takes which event of a log, and the stages that follow from it. DEFINITIONS D6.1-D6.3."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import StageModelError, UnknownNameError
from journeykit.stages.rules import Rule, Stage
from journeykit.support.durations import microseconds
from journeykit.support.files import first_line
from journeykit.support.unknown_names import Missing, refuse_unknown

PARALLEL_FROM = 1_000_000

Flags = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.uint16]


class OrderedLog(Protocol):
    """What stages need of a log in journey order; the users' events cover it from the first to the last."""

    @property
    def names(self) -> pl.Series:
        """The vocabulary; an event code is a position in it."""

    @property
    def event_codes(self) -> npt.NDArray[Any]:
        """The event code of every event, unsigned."""

    @property
    def user_offsets(self) -> Ints:
        """Where each user's events start, and the end."""

    @property
    def times(self) -> Ints:
        """Microseconds since the epoch, UTC."""

    @property
    def users(self) -> pl.Series:
        """The id of every user."""

    @property
    def tz(self) -> str:
        """The zone in which expressions see the column ``time``."""

    @property
    def n_events(self) -> int:
        """The number of events."""

    def property(self, name: str) -> pl.Series:
        """Give a kept property in journey order."""


@dataclass(frozen=True, eq=False)
class StageAssignment:
    """The stages of every event. DEFINITIONS D6.3.

    Attributes
    ----------
    matched : uint8 array
        The stage that the event itself belongs to, from 1; 0 for none.
    current : uint8 array
        The stage that the user is in; 0 before the first match.
    furthest : uint8 array
        The highest stage that the user has been in so far; 0 before the first match.
    rule_counts : int64 array
        Events that each rule took, in the order of the model's stages and their rules.
    unmapped : polars.DataFrame
        The names of events in no stage: event, events, share (of all events), the most frequent first.
    """

    matched: Codes
    current: Codes
    furthest: Codes
    rule_counts: Ints
    unmapped: pl.DataFrame

    @property
    def unmapped_share(self) -> float | None:
        """Events in no stage / events; None of an empty log."""
        events = self.matched.size
        return (events - int(self.rule_counts.sum())) / events if events else None


@dataclass(frozen=True, eq=False)
class Claims:
    """The number of the rule that took each event (0 = none), and the events each rule matched."""

    rules: Numbers
    matched_events: Ints


def assign(stages: Sequence[Stage], log: OrderedLog) -> StageAssignment:
    """Find the stage of every event; rules on names alone are looked at per name, never per event."""
    stage_of_rule = np.array([0, *(number for number, _, _ in numbered(stages))], np.uint8)
    if not all(is_by_name(rule) for _, _, rule in numbered(stages)):
        claims = claim(stages, log)
        assigned, counts = _carried(log, claims.rules, stage_of_rule)
        return StageAssignment(*assigned, counts[1:], unmapped_names(log, claims.rules))
    rule_of_code = np.zeros(len(log.names), np.uint16)
    for _, rule_number, rule in in_order_tried(stages):
        rule_of_code[names_matched(rule, log.names) & (rule_of_code == 0)] = rule_number
    assigned, counts = _carried(log, log.event_codes, stage_of_rule[rule_of_code])
    rule_counts = np.zeros(stage_of_rule.size, np.int64)
    np.add.at(rule_counts, rule_of_code, counts)
    unmapped = _unmapped_table(log, np.where(rule_of_code == 0, counts, 0))
    return StageAssignment(*assigned, rule_counts[1:], unmapped)


def claim(stages: Sequence[Stage], log: OrderedLog) -> Claims:
    """Give every event to the first rule that matches it. DEFINITIONS D6.2."""
    from journeykit.kernels.stages.stages import claim_by_name, claim_matches

    taken = np.zeros(log.event_codes.size, np.uint16)
    matched_events = np.zeros(len(list(numbered(stages))), np.int64)
    by_name = np.zeros(len(log.names), np.uint16)
    name_counts = _name_counts(log)

    def take_names(start: int, stop: int) -> None:
        claim_by_name(log.event_codes, by_name, start, stop, taken)

    def take_matches(start: int, stop: int) -> None:
        claim_matches(matches, number, start, stop, taken)

    for _, number, rule in in_order_tried(stages):
        if is_by_name(rule):
            named = names_matched(rule, log.names)
            by_name[named & (by_name == 0)] = number
            matched_events[number - 1] = name_counts[named].sum()
            continue
        _over_events(log, take_names)
        matches = events_matched(rule, log)
        matched_events[number - 1] = np.count_nonzero(matches)
        _over_events(log, take_matches)
    _over_events(log, take_names)
    return Claims(taken, matched_events)


def numbered(stages: Sequence[Stage]) -> Iterator[tuple[int, int, Rule]]:
    """Go through the rules in the model's order: the stage's number and the rule's, from 1, and the rule."""
    number = 0
    for position, stage in enumerate(stages, start=1):
        for rule in stage.rules:
            number += 1
            yield position, number, rule


def in_order_tried(stages: Sequence[Stage]) -> list[tuple[int, int, Rule]]:
    """Give the rules by descending priority of their stage, equal ones in the model's order. D6.2."""
    return sorted(numbered(stages), key=lambda each: -stages[each[0] - 1].priority)


def is_by_name(rule: Rule) -> bool:
    """Whether an event's name alone decides."""
    return not rule.is_sequential and _needed(rule) <= {"event"}


def names_matched(rule: Rule, names: pl.Series) -> Flags:
    """Say of every name of the vocabulary whether the rule may match such an event."""
    if rule.names:
        matches = names.is_in(list(rule.names))
    elif rule.glob is not None:
        fits = re.compile(fnmatch.translate(rule.glob)).match
        matches = pl.Series([fits(name) is not None for name in names], dtype=pl.Boolean)
    elif rule.pattern is not None:
        matches = names.str.contains(rule.pattern)
    else:
        matches = pl.repeat(True, len(names), dtype=pl.Boolean, eager=True)
    found: Flags = matches.to_numpy().copy()
    if _needed(rule) == {"event"}:
        found &= _evaluated(rule, pl.DataFrame({"event": names}))
    return found


def events_matched(rule: Rule, log: OrderedLog) -> Flags:
    """Say of every event whether the rule matches it. DEFINITIONS D6.1."""
    matches: Flags = names_matched(rule, log.names)[log.event_codes]
    if not _needed(rule) <= {"event"}:
        matches &= _evaluated(rule, _columns(log, _needed(rule)))
    if rule.is_sequential:
        _keep_sequence(rule, log, matches)
    return matches


def exact_names(rule: Rule) -> Iterator[str]:
    """List every event that the rule names exactly, also those it must come after."""
    yield from rule.names
    if isinstance(rule.after, Rule):
        yield from exact_names(rule.after)


def refuse_missing(stages: Sequence[Stage], names: pl.Series, missing: Missing) -> None:
    """Refuse rules that name an event absent from the log, or warn of them. DEFINITIONS D0.9."""
    known = set(names)
    asked = dict.fromkeys(name for _, _, rule in numbered(stages) for name in exact_names(rule))
    if unknown := [name for name in asked if name not in known]:
        refuse_unknown(UnknownNameError("event", unknown, names), missing, stacklevel=5)


def unmapped_names(log: OrderedLog, rules: Numbers) -> pl.DataFrame:
    """Count the events that no rule took, by name."""
    from journeykit.kernels.stages.stages import count_where

    counts = np.zeros(len(log.names), np.int64)
    count_where(log.event_codes, rules, 0, counts)
    return _unmapped_table(log, counts)


def _unmapped_table(log: OrderedLog, counts: Ints) -> pl.DataFrame:
    total = log.n_events or 1
    frame = pl.DataFrame({"event": log.names.alias("event"), "events": pl.Series(counts, dtype=pl.Int64)})
    return (
        frame.filter(pl.col("events") > 0)
        .with_columns(share=pl.col("events") / total)
        .sort("events", "event", descending=[True, False])
    )


def _carried(
    log: OrderedLog, codes: npt.NDArray[Any], stage_of_code: Codes
) -> tuple[tuple[Codes, Codes, Codes], Ints]:
    from journeykit.kernels.stages.stages import carry

    size = log.event_codes.size
    arrays = (np.empty(size, np.uint8), np.empty(size, np.uint8), np.empty(size, np.uint8))

    def part(first: int, last: int) -> Ints:
        counts = np.zeros(stage_of_code.size, np.int64)
        carry(codes, stage_of_code, log.user_offsets, first, last, *arrays, counts)
        return counts

    parts = over_users(log.user_offsets, part)
    return arrays, np.sum(parts, axis=0, dtype=np.int64)


def _keep_sequence(rule: Rule, log: OrderedLog, matches: Flags) -> None:
    from journeykit.kernels.stages.stages import keep_sequence

    nothing = np.zeros(0, np.bool_)
    earlier = events_matched(rule.after, log) if isinstance(rule.after, Rule) else nothing
    within = -1 if rule.within is None else microseconds(rule.within)
    min_gap = 0 if rule.min_gap is None else microseconds(rule.min_gap)
    conditions = (earlier, rule.nth or 0, rule.nth_exact, within, min_gap)
    over_users(
        log.user_offsets,
        lambda first, last: keep_sequence(log.user_offsets, first, last, log.times, matches, *conditions),
    )


def _needed(rule: Rule) -> set[str]:
    return set() if rule.where is None else set(rule.predicate().meta.root_names())


def _columns(log: OrderedLog, columns: Iterable[str]) -> pl.DataFrame:
    made = []
    for column in sorted(columns):
        if column == "event":
            values = log.names.gather(log.event_codes)
        elif column == "time":
            utc = pl.Series(log.times, dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))
            values = utc.dt.convert_time_zone(log.tz)
        elif column == "user":
            counts = np.diff(log.user_offsets)
            values = log.users.gather(np.repeat(np.arange(counts.size), counts))
        else:
            values = log.property(column)
        made.append(values.alias(column))
    return pl.DataFrame(made)


def _evaluated(rule: Rule, frame: pl.DataFrame) -> Flags:
    """Evaluate the rule's expression row by row; null is no match (D0.3)."""
    try:
        answer = frame.select(rule.predicate().alias("match")).get_column("match")
    except pl.exceptions.PolarsError as error:
        raise StageModelError(
            [f"the rule {rule!r} does not fit the log's columns: {first_line(error)}"]
        ) from error
    if answer.dtype not in (pl.Boolean, pl.Null):
        raise StageModelError(
            [f"the rule {rule!r} must be true or false of an event, but gives {answer.dtype}"]
        )
    if len(answer) != frame.height:
        raise StageModelError(
            [f"the rule {rule!r} must give one value per event: {frame.height:,}, not {len(answer):,}"]
        )
    found: Flags = answer.cast(pl.Boolean).fill_null(False).to_numpy()
    return found


def _name_counts(log: OrderedLog) -> Ints:
    from journeykit.kernels.stages.stages import count_where

    counts = np.zeros(len(log.names), np.int64)
    count_where(log.event_codes, np.zeros(log.event_codes.size, np.uint8), 0, counts)
    return counts


def over_users(user_offsets: Ints, work: Callable[[int, int], Any]) -> list[Any]:
    """Run `work(first user, last user)` over contiguous users, on all threads if there are many events."""
    users, events = user_offsets.size - 1, int(user_offsets[-1] - user_offsets[0])
    threads = pl.thread_pool_size() if events > PARALLEL_FROM else 1
    if threads == 1:
        return [work(0, users)]
    cuts = user_offsets[0] + np.arange(1, threads) * events // threads
    bounds = [0, *np.searchsorted(user_offsets, cuts).tolist(), users]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, bounds[:-1], bounds[1:]))


def _over_events(log: OrderedLog, work: Callable[[int, int], None]) -> None:
    offsets = log.user_offsets
    over_users(offsets, lambda first, last: work(int(offsets[first]), int(offsets[last])))
