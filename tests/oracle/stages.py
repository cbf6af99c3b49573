"""Stages: which event belongs to which, visits, moves, and the numbers of D6.5."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from tests.oracle.numbers import Row, Rows, mean, rate, seconds
from tests.oracle.survival import kaplan_meier, median_survival


@dataclass(frozen=True)
class Rule:
    """One rule of D6.1.

    Choices: names, glob, regex and predicate given together must all hold; nth, after and min_gap are
    judged each by itself on the events that satisfy these four; a first match has no previous one, so
    min_gap fails.
    """

    names: Sequence[str] = ()
    glob: str | None = None
    regex: str | None = None
    fullmatch: bool = False
    predicate: Callable[[Row], bool | None] | None = None
    nth: int | None = None
    nth_exact: bool = False
    after: Rule | None = None
    within: int | None = None
    min_gap: int | None = None

    def names_it(self, row: Row) -> bool:
        """Whether the row alone satisfies the rule."""
        name = row["event"]
        search = re.fullmatch if self.fullmatch else re.search
        return (
            (not self.names or name in self.names)
            and (self.glob is None or fnmatchcase(name, self.glob))
            and (self.regex is None or search(self.regex, name) is not None)
            and (self.predicate is None or self.predicate(row) is True)
        )

    def matches(self, rows: Rows, position: int) -> bool:
        """Whether the rule matches the event at this position of the user."""
        if not self.names_it(rows[position]):
            return False
        time = rows[position]["time"]
        previous = [row["time"] for row in rows[:position] if self.names_it(row)]
        occurrence = len(previous) + 1
        if self.nth is not None and (occurrence != self.nth if self.nth_exact else occurrence < self.nth):
            return False
        if self.after is not None and not self._comes_after(rows, position):
            return False
        return self.min_gap is None or (bool(previous) and time - previous[-1] >= self.min_gap)

    def _comes_after(self, rows: Rows, position: int) -> bool:
        time = rows[position]["time"]
        earlier = [
            rows[i]["time"] for i in range(position) if self.after is not None and self.after.matches(rows, i)
        ]
        return any(self.within is None or time - match <= self.within for match in earlier)


@dataclass(frozen=True)
class Stage:
    """A name, its rules and its priority. D6.1, D6.2."""

    name: str
    rules: Sequence[Rule]
    priority: int = 0


class Staged(NamedTuple):
    """Stage numbers from 1 of one event, None before the first match. D6.3."""

    matched: int | None
    current: int | None
    furthest: int | None


def assign(user_rows: Rows, model: Sequence[Stage]) -> list[Staged]:
    """Matched, current and furthest stage of each of a user's ordered rows. D6.1 to D6.3."""
    tried = sorted(enumerate(model, 1), key=lambda stage: -stage[1].priority)
    staged: list[Staged] = []
    current = furthest = None
    for position in range(len(user_rows)):
        matched = next(
            (
                index
                for index, stage in tried
                if any(rule.matches(user_rows, position) for rule in stage.rules)
            ),
            None,
        )
        if matched is not None:
            current, furthest = matched, max(matched, furthest or 0)
        staged.append(Staged(matched, current, furthest))
    return staged


class Visit(NamedTuple):
    """A maximal run of events of one unit in one current stage: positions first to last. D6.4."""

    stage: int
    first: int
    last: int


def visits(current: Sequence[int | None]) -> list[Visit]:
    """Runs of equal current stages; events before the first stage are in none. D6.4."""
    found: list[Visit] = []
    for position, stage in enumerate(current):
        if stage is None:
            continue
        if found and found[-1].stage == stage:
            found[-1] = found[-1]._replace(last=position)
        else:
            found.append(Visit(stage, position, position))
    return found


class Move(NamedTuple):
    """What leads from one visit to the next. D6.4."""

    source: int
    target: int
    kind: str
    re_entry: bool
    skipped: tuple[int, ...]


def moves(found: Sequence[Visit], loop_edges: Sequence[tuple[int, int]] = ()) -> list[Move]:
    """Moves between consecutive visits: advance, skip, regress or loop_move. D6.4."""
    result = []
    for position in range(1, len(found)):
        a, b = found[position - 1].stage, found[position].stage
        kind = "advance" if b == a + 1 else "skip" if b > a else "regress"
        if (a, b) in loop_edges:
            kind = "loop_move"
        seen = any(visit.stage == b for visit in found[:position])
        result.append(Move(a, b, kind, seen, tuple(range(a + 1, b))))
    return result


class StagedUnit(NamedTuple):
    """One unit: its times, its stages, and the session number of each event (None outside)."""

    times: Sequence[int]
    staged: Sequence[Staged]
    sessions: Sequence[int | None]


def stage_numbers(
    units: Sequence[StagedUnit], stages: int, until: int, loop_edges: Sequence[tuple[int, int]] = ()
) -> dict[int, dict[str, Any]]:
    """Every number of D6.5 for stages 1..M; counts beside each rate."""
    walks = [(unit, visits([one.current for one in unit.staged])) for unit in units]
    furthest = [unit.staged[-1].furthest or 0 for unit, _ in walks if unit.staged]
    last = [unit.staged[-1].current for unit, _ in walks if unit.staged]
    reached = {k: sum(one >= k for one in furthest) for k in range(1, stages + 2)}
    table = {}
    for k in range(1, stages + 1):
        beyond = [w for u, w in walks if u.staged and (u.staged[-1].furthest or 0) > k]
        bypassed = sum(all(visit.stage != k for visit in walk) for walk in beyond)
        table[k] = {
            "units": len(units),
            "staged_units": sum(bool(walk) for _, walk in walks),
            "visited": sum(any(visit.stage == k for visit in walk) for _, walk in walks),
            "reached": reached[k],
            "current": sum(one == k for one in last),
            "furthest": sum(one == k for one in furthest),
            "bypassed": bypassed,
            "bypass_rate": rate(bypassed, len(beyond)),
            "step_through": rate(reached[k + 1], reached[k]) if k < stages else None,
            **visit_numbers(walks, k, loop_edges),
            **dwell_numbers(walks, k, until),
        }
    return table


def visit_numbers(
    walks: Sequence[tuple[StagedUnit, list[Visit]]], k: int, loop_edges: Sequence[tuple[int, int]]
) -> dict[str, Any]:
    """Visits to stage k, how they ended and how they began. D6.4, D6.5."""
    total = sum(visit.stage == k for _, walk in walks for visit in walk)
    made = [move for _, walk in walks for move in moves(walk, loop_edges)]
    leaving = [move.kind for move in made if move.source == k]
    entered_again = sum(move.target == k and move.re_entry for move in made)
    return {
        "visits": total,
        "entries": sum(walk[0].stage == k for _, walk in walks if walk),
        "advance": leaving.count("advance"),
        "skip": leaving.count("skip"),
        "regress": leaving.count("regress"),
        "loop_move": leaving.count("loop_move"),
        "skipped": sum(k in move.skipped for move in made),
        "re_entries": entered_again,
        "regress_rate": rate(leaving.count("regress"), total),
        "re_entry_rate": rate(entered_again, total),
    }


def dwell_numbers(walks: Sequence[tuple[StagedUnit, list[Visit]]], k: int, until: int) -> dict[str, Any]:
    """Seconds in stage k per visit: closed mean, censored median, active. D6.5."""
    dwells: list[tuple[float, bool]] = []
    active: list[float] = []
    for unit, walk in walks:
        for position, visit in enumerate(walk):
            if visit.stage != k:
                continue
            closed = position + 1 < len(walk)
            end = unit.times[walk[position + 1].first] if closed else until
            dwells.append((seconds(end - unit.times[visit.first]), closed))
            active.append(active_dwell(unit, visit))
    return {
        "dwell_mean_closed": mean([length for length, closed in dwells if closed]),
        "dwell_median": median_survival(kaplan_meier(dwells)) if dwells else None,
        "active_dwell_mean": mean(active),
    }


def active_dwell(unit: StagedUnit, visit: Visit) -> float:
    """Sum over the visit's events of the gap to the next event of the same session. D6.5."""
    total = 0
    for position in range(visit.first, visit.last + 1):
        session = unit.sessions[position]
        later = [i for i in range(position + 1, len(unit.times)) if unit.sessions[i] == session]
        if session is not None and later:
            total += unit.times[later[0]] - unit.times[position]
    return seconds(total)


def stage_hazards(
    units: Sequence[Sequence[int | None]],
    still_open: Sequence[bool],
    loop_edges: Sequence[tuple[int, int]] = (),
) -> dict[tuple[int, int], dict[str, int]]:
    """Units at risk and leaving by stage and number of their event in it, from current stages. D14.5.

    Choice: events of all visits of a unit to a stage are numbered through; loop moves are an outcome of their own.
    """
    table: dict[tuple[int, int], dict[str, int]] = {}
    for current, is_open in zip(units, still_open, strict=True):
        for position, stage in enumerate(current):
            if stage is None:
                continue
            number = sum(each == stage for each in current[: position + 1])
            row = table.setdefault(
                (stage, number), dict.fromkeys(("at_risk", "advanced", "regressed", "looped", "abandoned"), 0)
            )
            row["at_risk"] += 1
            if position + 1 == len(current):
                row["abandoned"] += not is_open
                continue
            following = current[position + 1]
            assert following is not None
            if (stage, following) in loop_edges:
                row["looped"] += 1
            else:
                row["advanced"] += following > stage
                row["regressed"] += following < stage
    return table
