"""All runs of a plain funnel at once, counted straight from the events. DEFINITIONS D7.4, D7.8, D7.11.

Where a step only has to come after the one before it, by position or by time, runs of one unit that have made equally
many steps go on alike, and none overtakes an earlier one: so those of one level lie side by side in the order of their
starts, an event moves all of them that have time left, and every event and every step of a run is looked at once.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from journeykit.kernels.compiling import inlined, kernel
from journeykit.kernels.funnels.counts import (
    COUNT,
    LEAST,
    MILLION,
    MOST,
    PREVIOUS,
    SECONDS,
    Times,
    add_times,
)
from journeykit.kernels.funnels.lists import START, is_repeat

Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.unsignedinteger[Any]]
Span = tuple[int, int]
Columns = tuple[Codes, Codes, Int64s, Int64s]
"""The symbols, states and times of events, and the marks of each symbol."""
Runs = tuple[Int64s, Int64s, Int64s, Int64s]
"""When each run made each step, and how many it made; of each step, the first run that made it, and the one after the
last."""
Coming = tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8], Int64s]
"""What a later end changes: whose it is; twice the step, plus 1 for a run that closes behind it, else for one that has
made it with its window observed; and when."""
LONG_AGO = -(1 << 62)


class Plain(NamedTuple):
    """The rules of a plain funnel.

    Attributes
    ----------
    by_position : bool
        A later position follows, whatever the times; else times alone decide.
    least : int
        Where times decide: the least time from step to step, below 0 with grace, in microseconds.
    tick : int
        Ticks of time in microseconds, 1 for none: times are floored to them, and a name that comes back in one is
        dropped.
    window : int
        The longest time from the start.
    only_first : bool
        Only first runs count.
    latest : bool
        Of equal runs the one that starts last.
    until : int
        The end of the observation.
    """

    by_position: bool
    least: int
    tick: int
    window: int
    only_first: bool
    latest: bool
    until: int


@inlined
def floored(time: int, tick: int) -> int:
    """Return the tick of a time. To divide takes longer than all else that is done with most events."""
    return time if tick == 1 else time - time % tick


@inlined
def list_marked(span: Span, columns: Columns, tick: int, at: Int64s) -> tuple[int, int]:
    """List the events of one path that have marks; return how many, and all marks met. Without a branch per event."""
    codes, states, times, masks = columns
    n, met = np.uint64(0), np.int64(0)
    for i in range(np.uint64(span[0]), np.uint64(span[1])):
        mask = masks[codes[i]]
        at[n] = np.int64(i)
        n += np.uint64(mask != 0)
        met |= mask
    if tick == 1:
        return int(np.int64(n)), int(met)
    kept = 0
    for place in range(np.int64(n)):
        i = at[place]
        at[kept] = i
        near = i > span[0] and times[i - 1] >= floored(times[i], tick)
        kept += not (near and is_repeat(states, times, tick, span[0], i))
    return kept, int(met)


@inlined
def move(first: int, last: int, step: int, time: int, runs: Runs, level: int) -> int:
    """Let runs side by side make a step; return how many steps the furthest run of all has made."""
    made, lengths, firsts, ends = runs
    for run in range(first, last):
        made[run, step] = time
        lengths[run] = step + 1
    if step == level:
        firsts[step] = first
        level += 1
    ends[step] = last
    return level


@kernel
def earliest_behind(
    place: int, since: int, wanted: int, at: Int64s, columns: Columns, tick: int
) -> tuple[bool, int]:
    """Tell whether a wanted event since a time comes before a place in the list, and the time of the first one."""
    codes, _, times, masks = columns
    found, when = False, since
    while place > 0:
        time = floored(times[at[place - 1]], tick)
        if time < since:
            break
        place -= 1
        if masks[codes[at[place]]] & wanted:
            found, when = True, time
    return found, when


@inlined
def make_steps_behind(
    first: int, last: int, step: int, time: int, place: int, at: Int64s, columns: Columns, wanted: Int64s, rule: Plain,
    runs: Runs, level: int,
) -> int:  # fmt: skip
    """Let runs that make a step now make the next ones by events before it that may follow it all the same."""
    near = True
    while near and step + 1 < wanted.size:
        step += 1
        near, time = earliest_behind(place, time + rule.least, wanted[step], at, columns, rule.tick)
        if near:
            level = move(first, last, step, time, runs, level)
    return level


@inlined
def runs_to_move(step: int, time: int, oldest: int, n: int, rule: Plain, runs: Runs) -> tuple[int, int, int]:
    """Return which of n runs make a step now, from the one up to the other, and the first run that has time left."""
    made, _, _, ends = runs
    while oldest < n and made[oldest, 0] + rule.window < time:
        oldest += 1
    first, last = max(oldest, ends[step]), ends[step - 1]
    while rule.least > 0 and first < last and made[last - 1, step - 1] + rule.least > time:
        last -= 1
    return first, last, oldest


@inlined
def make_runs(
    size: int, at: Int64s, columns: Columns, wanted: Int64s, rule: Plain, exhaustive: bool, runs: Runs
) -> tuple[int, bool]:
    """Make the runs of one path; return how many steps the best one makes, and whether events tie.

    ``wanted[k]`` are the bits that step k asks for, up to the last step that the path can make. Unless it is
    exhaustive, it ends with a run that makes all of them: ties behind it change nothing, but where grace completed it.
    """
    (codes, _, times, masks), made = columns, runs[0]
    level, n, oldest = 0, 0, 0
    before, kind, ties = LONG_AGO, 0, False
    runs[3][:] = 0
    for place in range(size):
        mask, time = masks[codes[at[place]]], floored(times[at[place]], rule.tick)
        ties |= (time == before) & (mask != kind)
        if rule.only_first and n > 0 and time > made[0, 0] + rule.window:
            break
        near = not rule.by_position and time + rule.least <= before
        before, kind = time, mask
        for step in range(min(level, wanted.size - 1), -1, -1):
            if not mask & wanted[step]:
                continue
            if step > 0:
                first, last, oldest = runs_to_move(step, time, oldest, n, rule, runs)
            else:
                first, last = n, n + (n == 0 or not rule.only_first)
                n = last
            if first < last:
                level = move(first, last, step, time, runs, level)
                if near:
                    level = make_steps_behind(
                        first, last, step, time, place, at, columns, wanted, rule, runs, level
                    )
        if level == wanted.size and not exhaustive:
            break
    return level, ties


@inlined
def last_start(size: int, at: Int64s, columns: Columns, rule: Plain, runs: Runs) -> int:
    """Return when the last run of one path starts that counts."""
    codes, _, times, masks = columns
    if rule.only_first:
        return int(runs[0][0, 0])
    place = size - 1
    while not masks[codes[at[place]]] & START:
        place -= 1
    return int(floored(times[at[place]], rule.tick))


@inlined
def sort(values: Int64s, n: int) -> None:
    """Sort the first n values, most often one or two, by Shell's method with the steps of Knuth."""
    step = 1
    while 3 * step < n:
        step = 3 * step + 1
    while step > 0:
        for i in range(step, n):
            value, j = values[i], i
            while j >= step and values[j - step] > value:
                values[j] = values[j - step]
                j -= step
            values[j] = value
        step //= 3


@inlined
def add_averages(
    first: int, last: int, level: int, own: int, runs: Runs, gaps: Int64s, sums: Int64s, rests: Floats, times: Times,
    n: int,
) -> int:  # fmt: skip
    """Add the means of times over the runs of a unit that make `level` steps, and keep their medians. D7.11.

    As `add_times` does, to whole seconds in `sums` and the rest in `rests`; return the row of times after them.
    """
    made, lengths = runs[0], runs[1]
    whose, which, kept = times
    cells = sums.shape[1] // (2 * made.shape[1])
    for step in range(1, level):
        for since in range(1 if step == 1 else 2):
            some, total = np.int64(0), np.int64(0)
            for run in range(first, last):
                if lengths[run] == level:
                    gaps[some] = made[run, step] - made[run, step - 1 if since == PREVIOUS else 0]
                    total += gaps[some]
                    some += 1
            sort(gaps, some)
            mean, place = total / some, (since * cells + own) * made.shape[1] + step
            sums[COUNT, place] += 1
            sums[SECONDS, place] += np.int64(mean // MILLION)
            rests[place] += mean % MILLION
            sums[LEAST, place] = min(sums[LEAST, place], np.int64(np.rint(mean)))
            sums[MOST, place] = max(sums[MOST, place], np.int64(np.rint(mean)))
            if kept.size > 0:
                middle = np.rint((gaps[(some - 1) // 2] + gaps[some // 2]) / 2)
                whose[n], which[n], kept[n] = own, 2 * step + since, np.int64(middle)
                n += 1
    return n


@inlined
def list_coming(
    own: int, complete: int, level: int, last: int, rule: Plain, runs: Runs, coming: Coming, n: int
) -> int:
    """List when the runs of a path have made each step with their window observed, and when the last one closes."""
    whose, which, moments = coming
    for step in range(complete + 1, level + 1):
        whose[n], which[n] = own, 2 * step
        moments[n] = runs[0][runs[2][step - 1], 0] + rule.window
        n += 1
    if last + rule.window > rule.until:
        whose[n], which[n], moments[n] = own, 2 * level + 1, last + rule.window
        n += 1
    return n


@kernel
def count_plain(
    ragged: tuple[Int64s, Int64s], columns: Columns, cells: Int64s, wanted: Int64s, given: tuple[Any, ...],
    counts: tuple[Int64s, ...], rests: tuple[Floats, ...], times: Times, room: tuple[Int64s, ...],
    coming: Coming, levels: npt.NDArray[np.uint8], tied: Int64s,
) -> tuple[int, int, int]:  # fmt: skip
    """Count the units of a plain funnel; write how many steps each makes, and list those that have ties.

    `ragged` = (starts, ends) of paths; `given` are the values of `Plain`; with one array of `rests`, times are means
    over the runs of a unit; `room`, for the events of any path: their places, when a run from each made each step,
    and how many. Return how many times were kept, how many paths were listed, and how many changes to come, which
    are listed if there is room.
    """
    (starts, ends), rule, at, runs = ragged, Plain(*given), room[0], room[1:]
    n_steps, closed = wanted.size, rule.until - rule.window
    exhaustive = rule.latest or rule.least < 0 or len(rests) > 0
    made = runs[0]
    of_levels, matured, sums = counts[0], counts[1], counts[4]
    n, n_tied, n_coming = np.int64(0), np.int64(0), np.int64(0)
    for path in range(starts.size):
        levels[path] = 0
        size, met = list_marked((starts[path], ends[path]), columns, rule.tick, at)
        if not met & START:
            continue
        most = 1
        while most < n_steps and met & wanted[most]:
            most += 1
        level, ties = make_runs(size, at, columns, wanted[:most], rule, exhaustive, runs)
        levels[path] = level
        tied[n_tied] = path
        n_tied += ties
        own, complete = cells[path], level
        while complete > 0 and made[runs[2][complete - 1], 0] > closed:
            complete -= 1
        last = last_start(size, at, columns, rule, runs) if level < n_steps else closed
        if coming[2].size > 0 and (last > closed or complete < level):
            n_coming = list_coming(own, complete, level, last, rule, runs, coming, n_coming)
        of_levels[own, 0, level, 1 if last > closed else 0] += 1
        matured[own, complete] += 1
        if level > 1 and len(rests) > 0:
            n = add_averages(
                runs[2][level - 1], runs[3][level - 1], level, own, runs, at, sums, rests[0], times, n
            )
        elif level > 1:
            best = runs[3][level - 1] - 1 if rule.latest else runs[2][level - 1]
            n = add_times(made[best], np.int64(0), level, own, sums, times, n)
    return int(n), int(n_tied), int(n_coming)
