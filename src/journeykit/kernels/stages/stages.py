"""The linear passes of stages: sequential rules, stages carried forward, visits, moves. DEFINITIONS D6."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from journeykit.kernels.compiling import kernel

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

ENTRY, ADVANCE, SKIP, REGRESS, LOOP_MOVE = 0, 1, 2, 3, 4
MOVES = ("entry", "advance", "skip", "regress", "loop_move")


@kernel
def carry(
    codes: npt.NDArray[np.unsignedinteger],
    stage_of_code: Codes,
    user_offsets: Ints,
    first: int,
    last: int,
    matched: Codes,
    current: Codes,
    furthest: Codes,
    counts: Ints,
) -> None:
    """Write matched, current and furthest stage of the users first..last-1; count the codes. D6.3."""
    for user in range(first, last):
        now = np.uint8(0)
        high = np.uint8(0)
        for i in range(user_offsets[user], user_offsets[user + 1]):
            code = codes[i]
            counts[code] += 1
            stage = stage_of_code[code]
            now = stage if stage != 0 else now
            high = stage if stage > high else high
            matched[i] = stage
            current[i] = now
            furthest[i] = high


@kernel
def keep_sequence(
    user_offsets: Ints,
    first: int,
    last: int,
    times: Ints,
    matches: Flags,
    earlier: Flags,
    nth: int,
    exact: bool,
    within: int,
    min_gap: int,
) -> None:
    """Keep in `matches` what nth, after (if `earlier` is not empty), within and min_gap allow. D6.1."""
    for user in range(first, last):
        seen = 0
        previous = np.int64(0)
        anchored = earlier.size == 0
        anchor = np.int64(0)
        for i in range(user_offsets[user], user_offsets[user + 1]):
            if matches[i]:
                seen += 1
                keep = anchored and (seen == nth if exact else seen >= nth)
                if within >= 0 and times[i] - anchor > within:
                    keep = False
                if min_gap > 0 and (seen == 1 or times[i] - previous < min_gap):
                    keep = False
                previous = times[i]
                matches[i] = keep
            if earlier.size > 0 and earlier[i]:
                anchored = True
                anchor = times[i]


@kernel
def claim_by_name(
    event_codes: npt.NDArray[np.unsignedinteger],
    rule_of_code: npt.NDArray[np.uint16],
    start: int,
    stop: int,
    rules: npt.NDArray[np.uint16],
) -> None:
    """Give every event that no rule has taken yet to the rule of its name."""
    for i in range(start, stop):
        if rules[i] == 0:
            rules[i] = rule_of_code[event_codes[i]]


@kernel
def claim_matches(matches: Flags, rule: int, start: int, stop: int, rules: npt.NDArray[np.uint16]) -> None:
    """Give every match that no rule has taken yet to this rule."""
    for i in range(start, stop):
        if matches[i] and rules[i] == 0:
            rules[i] = rule


@kernel
def count_where(
    event_codes: npt.NDArray[np.unsignedinteger],
    stages: npt.NDArray[np.unsignedinteger],
    wanted: int,
    counts: Ints,
) -> None:
    """Count event codes where `stages` has the wanted value."""
    for i in range(event_codes.size):
        if stages[i] == wanted:
            counts[event_codes[i]] += 1


@kernel
def users_per_rule(user_offsets: Ints, rules: npt.NDArray[np.uint16], last_user: Ints, counts: Ints) -> None:
    """Count the users of whom each rule took an event; `last_user` starts at -1."""
    for user in range(user_offsets.size - 1):
        for i in range(user_offsets[user], user_offsets[user + 1]):
            rule = rules[i]
            if last_user[rule] != user:
                last_user[rule] = user
                counts[rule] += 1


@kernel
def visits_per_path(starts: Ints, ends: Ints, current: Codes, first_visit: Ints) -> None:
    """Write where each path's visits start in the list of all; events before the first stage are in none."""
    for path in range(starts.size):
        before = np.uint8(0)
        number = 0
        for i in range(starts[path], ends[path]):
            if current[i] != before:
                number += current[i] != 0
                before = current[i]
        first_visit[path + 1] = first_visit[path] + number


@kernel
def fill_visits(
    starts: Ints,
    ends: Ints,
    current: Codes,
    first_visit: Ints,
    path_of: Ints,
    visit_starts: Ints,
    visit_ends: Ints,
    stages: Codes,
    previous: Codes,
    again: Flags,
) -> None:
    """Write every visit: path, events, stage, the stage before (0 = none), whether it is a re-entry. D6.4."""
    last_path = np.full(256, -1, np.int64)
    for path in range(starts.size):
        visit = first_visit[path] - 1
        before = np.uint8(0)
        for i in range(starts[path], ends[path]):
            stage = current[i]
            if stage == 0:
                continue
            if stage != before:
                visit += 1
                path_of[visit], visit_starts[visit] = path, i
                stages[visit], previous[visit] = stage, before
                again[visit] = last_path[stage] == path
                last_path[stage] = path
                before = stage
            visit_ends[visit] = i + 1


@kernel
def classify_moves(stages: Codes, previous: Codes, loops: Flags, moves: Codes) -> None:
    """Write how each visit was come to: entry, advance, skip, regress or a declared loop. D6.4."""
    for i in range(stages.size):
        if previous[i] == 0:
            moves[i] = ENTRY
        elif loops[previous[i], stages[i]]:
            moves[i] = LOOP_MOVE
        elif stages[i] < previous[i]:
            moves[i] = REGRESS
        elif stages[i] == previous[i] + 1:
            moves[i] = ADVANCE
        else:
            moves[i] = SKIP


class Visits(NamedTuple):
    """Maximal runs of events in one stage; `first[p]:first[p + 1]` are those of path p. D6.4."""

    first: Ints
    path: Ints
    starts: Ints
    ends: Ints
    stages: Codes
    previous: Codes
    again: Flags


def visits(starts: Ints, ends: Ints, current: Codes) -> Visits:
    """List the visits of every path.

    Parameters
    ----------
    starts, ends : int64 arrays
        Where each path starts and ends; of whole users ``user_offsets[:-1]`` and ``user_offsets[1:]``.
    current : uint8 array
        The current stage per event, 0 before the first.

    Returns
    -------
    Visits
        Per visit its path, first event, end, stage, the stage of the visit before (0 = the first visit of
        the path, a late entry if its stage is above 1) and whether the path was in it before (re-entry).
    """
    first = np.zeros(starts.size + 1, np.int64)
    visits_per_path(starts, ends, current, first)
    number = int(first[-1])
    path, visit_starts, visit_ends = (np.empty(number, np.int64) for _ in range(3))
    stages, previous = (np.empty(number, np.uint8) for _ in range(2))
    found = Visits(first, path, visit_starts, visit_ends, stages, previous, np.empty(number, np.bool_))
    fill_visits(starts, ends, current, *found)
    return found
