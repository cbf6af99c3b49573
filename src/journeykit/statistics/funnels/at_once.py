"""Counting a funnel in one pass over the paths, where nothing needs a row for every run. DEFINITIONS D7.11."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from journeykit.statistics.funnels.machine import START, Machine
from journeykit.statistics.funnels.runs import Runner
from journeykit.statistics.goals import NEVER, Int64s

if TYPE_CHECKING:
    from journeykit.kernels.funnel_counts import Times
    from journeykit.kernels.funnel_pass import Block, Counts, State
    from journeykit.kernels.funnel_rules import Rules

MOST_PLACES = 1 << 18
"""Of cells x steps, whose counts are all held."""
BLOCK_EVENTS = 1 << 11
"""Of the paths whose events are listed together: few enough for the fastest cache."""


@dataclass(frozen=True)
class Counted:
    """What one pass counts in a shard.

    Attributes
    ----------
    levels : numpy.ndarray of int64, cells x (steps + 1) x (steps + 1) x 2
        Runs by their first step, the step after their last one, and whether they are open.
    matured : numpy.ndarray of int64, cells x (steps + 1)
        Runs by how many steps were made by those whose whole window was observed.
    users : numpy.ndarray of int64, cells x steps
        Distinct users per step; empty if each run is another user's.
    sums : numpy.ndarray of int64, 5 x 2 x cells x steps
        Of the times from the step before, and from the first one.
    whose, which, gaps : numpy.ndarray
        Of each time that is kept: its cell, twice its step plus what it is since, its microseconds.
    tied : numpy.ndarray of int64
        The paths in which different kinds of events have one time.
    """

    levels: Int64s
    matured: Int64s
    users: Int64s
    sums: Int64s
    whose: npt.NDArray[np.int32]
    which: npt.NDArray[np.uint8]
    gaps: Int64s
    tied: Int64s

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


def is_enough(machine: Machine, cells: int) -> bool:
    """Tell whether one pass counts all that is asked for: no step is optional, no run is looked at again."""
    funnel = machine.funnel
    again = funnel.runs or funnel.pairs or funnel.value or funnel.rules.times == "mean_of_runs"
    cut = funnel.hold or funnel.breakdown or machine.in_session or machine.optional.size
    return not (again or cut) and cells * len(funnel.made) <= MOST_PLACES


def is_plain(machine: Machine, runner: Runner) -> bool:
    """Tell whether a step only has to come later than the one before it, unless events are near to each other."""
    from journeykit.kernels.funnel_rules import GREEDY, LINEAR

    funnel, method = machine.funnel, machine.method(runner.overlap)
    plain = method == LINEAR or (method == GREEDY and not runner.overlap)
    dropped = runner.overlap and machine.tick > 1
    asks = funnel.excluded or funnel.rules.open_entry or any(step.min_gap is not None for step in funnel.made)
    chosen = funnel.rules.pick == "latest" or funnel.entry_between is not None or runner.periods.size
    counted_again = funnel.rules.entry == "all" or not funnel.counts_users_once
    return plain and not (asks or chosen or counted_again or dropped or runner.walk.by_run)


def count_at_once(runner: Runner, segments: Int64s, cells: int) -> Counted:
    """Count the runs of a shard; `segments` is the cell of the first period of every path."""
    from journeykit.kernels.funnel_rules import ALL

    walk, machine, funnel = runner.walk, runner.machine, runner.machine.funnel
    paths, k, method = walk.paths, len(funnel.made), machine.method(runner.overlap)
    rules = machine.rules(method, runner.shard.observed_until, every_run=False)
    counts = room_for_counts(cells, k, counts_users=rules.entry == ALL or not funnel.counts_users_once)
    most = walk.n_events if rules.entry == ALL or runner.periods.size else paths.n_paths
    times = room_for_times((2 * k - 3) * most if funnel.keeps_times and k > 1 else 0)
    whose, which, gaps = times
    if not is_plain(machine, runner):
        n, tied = count_runs(runner, segments, rules, counts, times, None)
    else:
        n, rest, tied = count_first_runs(runner, segments, rules, counts, times)
        if rest.size:
            left = (whose[n:], which[n:], gaps[n:])
            n_left, more = count_runs(runner, segments, rules, counts, left, rest)
            n, tied = n + n_left, np.concatenate([tied, more])
    sums = counts[4].reshape(5, 2, cells, k)
    sums[:, 1, :, 1:2] = sums[:, 0, :, 1:2]
    levels, matured, users, _, _ = counts
    return Counted(levels, matured, users, sums, whose[:n], which[:n], gaps[:n], tied)


def count_first_runs(
    runner: Runner, segments: Int64s, rules: Rules, counts: Counts, times: Times
) -> tuple[int, Int64s, Int64s]:
    """Count the paths in which ties do not decide.

    Return how many times were kept, which paths are left, and which of the others have ties.
    """
    from journeykit.kernels.funnel_first import Plain
    from journeykit.kernels.funnel_first import count_first_runs as count
    from journeykit.kernels.funnel_rules import FIRST

    paths, machine = runner.walk.paths, runner.machine
    wanted = machine.steps(rules.method)[:, 0].copy()
    wanted[0] = START
    rest, tied = np.empty(paths.n_paths, np.int64), np.empty(paths.n_paths, np.int64)
    rule = Plain(
        near=max(machine.grace, machine.tick - 1),
        by_position=machine.ties == "input" and machine.tick == 1,
        tick=machine.tick,
        window=machine.window,
        only_first=rules.entry == FIRST,
        until=rules.until,
    )
    longest = int((paths.ends - paths.starts).max(initial=0)) + 1
    room = (np.empty(longest, np.int64), np.empty(longest, np.int64))
    n, n_rest, n_tied = count(
        (paths.starts, paths.ends), (runner.symbols.codes, paths.times, runner.masks), segments, wanted, tuple(rule),
        counts, times, room, rest, tied,
    )  # fmt: skip
    return n, rest[:n_rest], tied[:n_tied]


def count_runs(
    runner: Runner, segments: Int64s, rules: Rules, counts: Counts, times: Times, chosen: Int64s | None
) -> tuple[int, Int64s]:
    """Count the runs of some paths, or of all; return how many times were kept, and the paths that have ties."""
    from journeykit.kernels.funnel_pass import count_paths
    from journeykit.kernels.funnel_rules import ANY

    walk, machine, periods, method = runner.walk, runner.machine, runner.periods, rules.method
    paths = walk.paths
    owners, starts, ends = walk.owners, paths.starts, paths.ends
    if chosen is not None:
        owners, starts, ends, segments = owners[chosen], starts[chosen], ends[chosen], segments[chosen]
    tied = np.empty(starts.size, np.int64)
    given = (machine.listing(method, walk.by_run), machine.how(method, runner.overlap), rules)
    n, n_tied = count_paths(
        (owners, starts, ends), (runner.symbols.codes, walk.states, paths.times), runner.masks,
        (segments, periods, periods[: None if rules.entry == ANY else 0]), machine.steps(method), machine.exclusions,
        (0,) * method, tuple(tuple(one) for one in given),
        *room_for_paths(int((ends - starts).max(initial=0)), len(machine.funnel.made), method), counts, times, tied,
    )  # fmt: skip
    return n, tied[:n_tied] if chosen is None else chosen[tied[:n_tied]]


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
    from journeykit.kernels.funnel_lists import COLUMNS as OF_EVENT
    from journeykit.kernels.funnel_rules import COLUMNS, EXACT

    most = max(longest, BLOCK_EVENTS)
    offsets, at = np.empty(most + 1, np.int64), np.empty(most + 1, np.int64)
    events, spare = np.zeros((most + 1, OF_EVENT), np.int64), np.zeros((most + 1, OF_EVENT), np.int64)
    reach, chain, scratch = (np.empty(size, np.int64) for size in (most if method == EXACT else k, k, k))
    return (offsets, at, events, spare), (reach, chain, scratch, np.zeros((3, COLUMNS), np.int64))
