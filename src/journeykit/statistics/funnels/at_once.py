"""Counting a funnel in one pass over the paths, where nothing needs a row for every run. DEFINITIONS D7.11."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from journeykit.statistics.funnels.machine import START
from journeykit.statistics.funnels.runs import Runner
from journeykit.statistics.goals import NEVER, Floats, Int64s

if TYPE_CHECKING:
    from journeykit.kernels.funnels.counts import Times
    from journeykit.kernels.funnels.plain import Coming, Plain
    from journeykit.kernels.funnels.rules import Rules
    from journeykit.kernels.funnels.straight import Block, Counts, State

REST = 2
"""The row of the sums of times that has what is left of whole seconds."""
MOST_PLACES = 1 << 18
"""Of cells x steps, whose counts are all held."""
EVERY = slice(None)
Places: TypeAlias = slice | Int64s
"""Of paths: every one, or a list of them."""
BLOCK_EVENTS = 1 << 11
"""Of the paths whose events are listed together: few enough for the fastest cache."""


class Counted(NamedTuple):
    """What one pass counts in a shard.

    Attributes
    ----------
    levels : numpy.ndarray of int64, cells x (steps + 1) x (steps + 1) x 2
        Runs by their first step, the step after their last one, and whether they are open.
    matured : numpy.ndarray of int64, cells x (steps + 1)
        Runs by how many steps were made by those whose whole window was observed.
    users : numpy.ndarray of int64, cells x steps
        Distinct users per step; empty if each run is another user's.
    sums : tuple of numpy.ndarray of int64, each 2 x cells x steps
        How many times, their whole seconds, the rest in microseconds (of means floats), the least and the most: from
        the step before, and from the first one.
    whose, which, gaps : numpy.ndarray
        Of each time that is kept: its cell, twice its step plus what it is since, its microseconds.
    sensitive : numpy.ndarray of int64
        The paths whose level depends on the order of events at one time.
    coming : tuple of numpy.ndarray, optional
        What a later end of the observation changes: whose it is, twice the step plus 1 for a run that closes (else one
        whose window was observed made it), when. None if it is not known.
    """

    levels: Int64s
    matured: Int64s
    users: Int64s
    sums: tuple[npt.NDArray[Any], ...]
    whose: npt.NDArray[np.int32]
    which: npt.NDArray[np.uint8]
    gaps: Int64s
    sensitive: Int64s
    coming: Coming | None

    def by_step(self) -> dict[str, Int64s]:
        """Return what is counted per cell and step."""
        size = self.matured.shape[1]
        first, level = np.ogrid[:size, :size]
        step = np.arange(size - 1)
        runs = self.levels.sum(axis=3) * (level > first)
        reached = np.einsum("cfl,fls->cs", runs, (first[..., None] <= step) & (step < level[..., None]))
        matured = self.matured[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]
        return {
            "reached": reached,
            "users": self.users if self.users.size else reached,
            "open": (self.levels[..., 1] * (level > first)).sum(axis=1)[:, 1:],
            "entered": runs.sum(axis=2)[:, :-1],
            "matured": np.repeat(matured[:, :1], size - 1, axis=1),
            "matured_converted": matured,
        }


def is_enough(runner: Runner, cells: int) -> bool:
    """Tell whether one pass counts all that is asked for: no step is optional, no run is looked at again."""
    machine, funnel = runner.machine, runner.machine.funnel
    again = funnel.runs or funnel.pairs or funnel.value
    cut = funnel.hold or funnel.breakdown or machine.in_session or machine.optional.size
    averaged = funnel.rules.times == "mean_of_runs" and (funnel.excluded or not is_plain(runner))
    return not (again or cut or averaged) and cells * len(funnel.made) <= MOST_PLACES


def is_plain(runner: Runner) -> bool:
    """Tell whether a step only has to come after the one before it, by position or by time, but for exclusions."""
    from journeykit.kernels.funnels.rules import GREEDY, LINEAR

    machine, funnel = runner.machine, runner.machine.funnel
    method = machine.method(runner.overlap)
    plain = method == LINEAR or (method == GREEDY and not runner.overlap)
    asks = funnel.rules.open_entry or any(step.min_gap is not None for step in funnel.made)
    chosen = funnel.entry_between is not None or runner.periods.size
    counted_again = funnel.rules.entry == "all" or not funnel.counts_users_once
    return plain and not (asks or chosen or counted_again or runner.walk.by_run)


def count_at_once(runner: Runner, segments: Int64s, cells: int) -> Counted:
    """Count the runs of a shard; `segments` is the cell of the first period of every path."""
    from journeykit.kernels.funnels.rules import ALL

    walk, machine, funnel = runner.walk, runner.machine, runner.machine.funnel
    paths, k = walk.paths, len(funnel.made)
    rules = machine.rules(machine.method(runner.overlap), runner.shard.observed_until, every_run=False)
    counts = room_for_counts(cells, k, counts_users=rules.entry == ALL or not funnel.counts_users_once)
    most = walk.n_events if rules.entry == ALL or runner.periods.size else paths.n_paths
    times = room_for_times((2 * k - 3) * most if funnel.keeps_times and k > 1 else 0)
    means = (np.zeros(counts[4][REST].size),) if funnel.rules.times == "mean_of_runs" else ()
    rest = means[0] if means else counts[4][REST]
    coming = room_for_times((k + 1) * paths.n_paths if funnel.tells_open else 0)
    n, n_coming, plain, others = 0, 0, *parts_of(runner)
    sensitive = []
    if plain is not None:
        n, n_coming, decided = count_plain(runner, plain, segments, counts, means, times, coming)
        sensitive.append(decided)
    if others is not None:
        room = (times[0][n:], times[1][n:], times[2][n:])
        more, tied = count_runs(runner, others, segments, rules, counts, room)
        n += more
        sensitive.append(runner.sensitive_of(tied))
    sums = tuple(
        since_first(each.reshape(2, cells, k)) for each in (*counts[4][:REST], rest, *counts[4][REST + 1 :])
    )
    levels, matured, users, _, _ = counts
    whose, which, gaps = times
    later = None if others is not None else (coming[0][:n_coming], coming[1][:n_coming], coming[2][:n_coming])
    return Counted(
        levels, matured, users, sums, whose[:n], which[:n], gaps[:n], np.concatenate(sensitive), later
    )


def parts_of(runner: Runner) -> tuple[Places | None, Places | None]:
    """Return the paths that are counted as those of a plain funnel, and those whose runs are looked at one by one.

    An exclusion concerns only the paths that have such an event, most often few.
    """
    from journeykit.kernels.paths.paths import mark_paths

    if not is_plain(runner):
        return None, EVERY
    if not runner.machine.funnel.excluded:
        return EVERY, None
    paths, excluding = runner.walk.paths, np.bitwise_or.reduce(runner.machine.exclusions[:, 0])
    marked = np.empty(paths.n_paths, np.bool_)
    mark_paths(paths.starts, paths.ends, runner.symbols.codes, runner.masks & excluding > 0, marked)
    return np.flatnonzero(~marked), np.flatnonzero(marked)


def numbers_of(places: Int64s, some: Places) -> Int64s:
    """Return the numbers of paths, given by their places among some of them."""
    return places if isinstance(some, slice) else some[places]


def since_first(sums: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Write what is since the step before the second one as what is since the first: 2 x cells x steps."""
    sums[1, :, 1:2] = sums[0, :, 1:2]
    return sums


def count_plain(
    runner: Runner, some: Places, segments: Int64s, counts: Counts, means: tuple[Floats, ...], times: Times,
    coming: Coming,
) -> tuple[int, int, Int64s]:  # fmt: skip
    """Count some units of a plain funnel.

    Return how many times were kept, how many changes are to come, and the paths whose level ties decide.
    """
    from journeykit.kernels.funnels.plain import Plain

    machine, funnel, paths = runner.machine, runner.machine.funnel, runner.walk.paths
    rule = Plain(
        by_position=machine.ties == "input",
        least=1 if machine.ties == "strict" else -machine.grace,
        tick=machine.tick,
        window=machine.window,
        only_first=funnel.rules.entry == "first",
        latest=funnel.rules.pick == "latest",
        until=runner.shard.observed_until,
    )
    n, n_coming, _, tied = plain_levels(
        runner, paths.starts[some], paths.ends[some], segments[some], rule, counts, means, times, coming
    )
    tied = numbers_of(tied, some)
    if tied.size == 0 or runner.overlap:
        return n, n_coming, runner.sensitive_of(tied)
    starts, ends, nowhere = paths.starts[tied], paths.ends[tied], np.zeros(tied.size, np.int64)
    by_input, by_time = (
        plain_levels(
            runner, starts, ends, nowhere, rule._replace(by_position=by_position, least=0),
            room_for_counts(1, len(funnel.made), counts_users=False), (), room_for_times(0), room_for_times(0),
        )[2]
        for by_position in (True, False)
    )  # fmt: skip
    return n, n_coming, tied[by_input != by_time]


def plain_levels(
    runner: Runner, starts: Int64s, ends: Int64s, cells: Int64s, rule: Plain, counts: Counts,
    means: tuple[Floats, ...], times: Times, coming: Coming,
) -> tuple[int, int, npt.NDArray[np.uint8], Int64s]:  # fmt: skip
    """Count some paths.

    Return how many times were kept, how many changes are to come, how many steps each path makes, and which have ties.
    """
    from journeykit.kernels.funnels.plain import count_plain as count

    k, longest = len(runner.machine.funnel.made), int((ends - starts).max(initial=0)) + 1
    wanted = np.array([START, *(1 << step for step in range(1, k))], np.int64)
    room = (
        np.empty(longest, np.int64), np.empty((longest, k), np.int64), np.empty(longest, np.int64),
        np.empty(k, np.int64), np.empty(k, np.int64),
    )  # fmt: skip
    levels, tied = np.empty(starts.size, np.uint8), np.empty(starts.size, np.int64)
    columns = (runner.symbols.codes, runner.walk.states, runner.walk.paths.times, runner.masks)
    n, n_tied, n_coming = count(
        (starts, ends), columns, cells, wanted, tuple(rule), counts, means, times, room, coming, levels, tied
    )
    return n, n_coming, levels, tied[:n_tied]


def count_runs(
    runner: Runner, some: Places, segments: Int64s, rules: Rules, counts: Counts, times: Times
) -> tuple[int, Int64s]:
    """Count the runs of some paths; return how many times were kept, and the paths that have ties."""
    from journeykit.kernels.funnels.rules import ANY
    from journeykit.kernels.funnels.straight import count_paths

    walk, machine, periods, method = runner.walk, runner.machine, runner.periods, rules.method
    starts, ends = walk.paths.starts[some], walk.paths.ends[some]
    tied = np.empty(starts.size, np.int64)
    given = (machine.listing(method, walk.by_run), machine.how(method, runner.overlap), rules)
    n, n_tied = count_paths(
        (walk.owners[some], starts, ends), (runner.symbols.codes, walk.states, walk.paths.times), runner.masks,
        (segments[some], periods, periods[: None if rules.entry == ANY else 0]), machine.steps(method),
        machine.exclusions, (0,) * method, tuple(tuple(one) for one in given),
        *room_for_paths(int((ends - starts).max(initial=0)), len(machine.funnel.made), method), counts, times, tied,
    )  # fmt: skip
    return n, numbers_of(tied[:n_tied], some)


def room_for_counts(cells: int, k: int, *, counts_users: bool) -> Counts:
    """Return zeros to count in."""
    users = cells if counts_users else 0
    sums = np.zeros((5, 2 * cells * k), np.int64)
    sums[-2], sums[-1] = NEVER, -NEVER
    return (
        np.zeros((cells, k + 1, k + 1, 2), np.int64),
        np.zeros((cells, k + 1), np.int64),
        np.zeros((users, k), np.int64),
        np.full((users, k), -1, np.int64),
        sums,
    )


def room_for_times(most: int) -> Times:
    """Return where times are kept."""
    return np.empty(most, np.int32), np.empty(most, np.uint8), np.empty(most, np.int64)


def room_for_paths(longest: int, k: int, method: int) -> tuple[Block, State]:
    """Return where the events of a block of paths are listed, and what their machine works with."""
    from journeykit.kernels.funnels.lists import COLUMNS as OF_EVENT
    from journeykit.kernels.funnels.rules import COLUMNS, EXACT

    most = max(longest, BLOCK_EVENTS)
    offsets, at = np.empty(most + 1, np.int64), np.empty(most + 1, np.int64)
    events, spare = np.zeros((most + 1, OF_EVENT), np.int64), np.zeros((most + 1, OF_EVENT), np.int64)
    reach, chain, scratch = (np.empty(size, np.int64) for size in (most if method == EXACT else k, k, k))
    return (offsets, at, events, spare), (reach, chain, scratch, np.zeros((3, COLUMNS), np.int64))
