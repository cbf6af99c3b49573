"""The runs of a funnel: from one shard's paths to the runs that count, a block of paths at a time. D7.4 to D7.12."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.journeys import Journeys
from journeykit.matchers import symbols_of
from journeykit.statistics.funnel_machine import START, Machine
from journeykit.statistics.goals import NEVER, Int64s, Walk

if TYPE_CHECKING:
    from journeykit.kernels.funnel_lists import Listed

BLOCK_EVENTS = 1 << 18
"""Of a block of paths, unless one path has more: what is made of them stays in the cache."""


@dataclass(frozen=True)
class Units:
    """Who runs: the relevant events of a block, by unit.

    Attributes
    ----------
    listed : Listed
        The events, unit after unit.
    path : numpy.ndarray of int64, units
        Whose each unit is.
    value : numpy.ndarray of int64, units
        The number of its breakdown value; empty without one.
    """

    listed: Listed
    path: Int64s
    value: Int64s


@dataclass(frozen=True)
class Runs:
    """The runs that count in a block.

    Attributes
    ----------
    path, value : numpy.ndarray of int64, runs
        Whose run it is; the number of its breakdown value, empty without one.
    rows : numpy.ndarray of int64, runs x 7
        As `journeykit.kernels.funnel` writes them.
    start_times : numpy.ndarray of int64, runs
        When each started.
    at, times : numpy.ndarray of int64, runs x steps
        The position of the event of every step, -1 where it was not reached, and its time.
    excluded_at : numpy.ndarray of int64, runs
        The position of the event that excluded it, -1 without one.
    tie_sensitive : numpy.ndarray of int64
        The paths whose level depends on the order of events at one time.
    """

    path: Int64s
    value: Int64s
    rows: Int64s
    start_times: Int64s
    at: Int64s
    times: Int64s
    excluded_at: Int64s
    tie_sensitive: Int64s


class Runner:
    """Finds the runs of one shard."""

    def __init__(self, machine: Machine, shard: Journeys, walk: Walk, periods: Int64s) -> None:
        self.machine, self.shard, self.walk, self.periods = machine, shard, walk, periods
        funnel = machine.funnel
        self.unit = funnel.container
        self.symbols = symbols_of(shard, machine.matches, funnel.of, self.unit)
        steps = self.symbols.masks & np.uint64(sum(1 << int(k) for k in machine.required))
        self.overlap = bool(((steps & (steps - np.uint64(1))) * (steps > 0)).any())
        starts = np.where(self.symbols.masks & machine.start_bits, START, np.uint64(0))
        self.masks = self.symbols.masks | starts
        self.held = numbers_of(shard, tuple(funnel.hold), self.unit) if funnel.hold else None
        self.values = numbers_of(shard, (funnel.breakdown,), self.unit) if funnel.breakdown else None

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Yield ranges of paths with about `BLOCK_EVENTS` events."""
        ends = np.cumsum(self.walk.paths.ends - self.walk.paths.starts)
        first = 0
        while first < ends.size:
            before = ends[first - 1] if first else 0
            last = max(first + 1, int(np.searchsorted(ends, before + BLOCK_EVENTS, side="right")))
            yield first, last
            first = last

    def runs(self, *, every_run: bool = False) -> Iterator[Runs]:
        """Yield the runs that count, or every run, block by block."""
        for first, last in self.blocks():
            units = self.units(np.arange(first, last), self.machine)
            if units.listed.at.size:
                yield self.chosen(units, every_run)

    def units(self, chosen: Int64s, machine: Machine) -> Units:
        """List the relevant events of some paths, by unit."""
        from journeykit.kernels.funnel_lists import Listed, next_times, relevant_events

        paths = self.walk.paths
        starts, ends = paths.starts[chosen], paths.ends[chosen]
        most = int((ends - starts).sum())
        offsets = np.empty(starts.size + 1, np.int64)
        at, ranks, times = (np.empty(most, np.int64) for _ in range(3))
        masks = np.empty(most, np.uint64)
        relevant_events(
            starts, ends, self.symbols.codes, self.masks, self.walk.states, paths.times,
            (self.walk.by_run, machine.tick), offsets, at, ranks, masks, times,
        )  # fmt: skip
        n = int(offsets[-1])
        at, ranks, times, masks = at[:n], ranks[:n], times[:n], masks[:n]
        if machine.ties != "input" and machine.has_direct:
            next_times(starts, ends, paths.times, (machine.tick, machine.grace), offsets, times, ranks)
        none = np.empty(0, np.int64)
        sessions = self.shard.event_sessions(self.unit)[at].astype(np.int64) if machine.in_session else none
        held = none if self.held is None else self.held.codes[at].astype(np.int64)
        deadlines = np.full(n, NEVER) if machine.window == NEVER else times + machine.window
        masks = self.startable(masks, times, sessions, held)
        listed = Listed(offsets, masks, times, ranks, sessions, held, deadlines, at)
        return self.split(Units(listed, chosen, none))

    def startable(self, masks: Any, times: Int64s, sessions: Int64s, held: Int64s) -> Any:
        """Leave the mark of a start only where the rules allow one. D7.4, D7.10."""
        funnel = self.machine.funnel
        may = np.ones(masks.size, np.bool_)
        first, last = funnel.entry_span
        if first is not None:
            may &= times >= first
        if last is not None:
            may &= times < last
        if sessions.size:
            may &= sessions >= 0
        if held.size:
            may &= held >= 0
        return masks if may.all() else np.where(may, masks, masks & ~START)

    def split(self, units: Units) -> Units:
        """Make the units that held values and breakdowns ask for. D7.10, D7.12."""
        funnel, listed = self.machine.funnel, units.listed
        if funnel.hold and funnel.rules.hold_unit == "first_entry":
            units = self.of_first_entry(units)
        if self.values is not None:
            values = self.values.with_null()[listed.at]
            if funnel.place in ("first", "last"):
                units = replace(units, value=self.valued(units, values))
            elif funnel.place == "all":
                return self.by_value(units, values, self.machine.step_bits)
            elif funnel.place.startswith("each:"):
                return self.by_value(units, values, np.uint64(1 << (funnel.place_step - 1)))
        if funnel.hold and funnel.rules.hold_unit == "pair":
            pairs = self.by_value(
                replace(units, value=np.empty(0, np.int64)), listed.held, self.machine.step_bits
            )
            value = units.value[pairs.path - units.path[0]] if units.value.size else units.value
            return replace(pairs, value=value)
        return units

    def of_first_entry(self, units: Units) -> Units:
        """Let only the value of a unit's first entry count. D7.10."""
        listed = units.listed
        owner = np.repeat(np.arange(units.path.size), np.diff(listed.offsets))
        at = np.flatnonzero(listed.masks & START)
        own, first = np.unique(owner[at], return_index=True)
        value = np.full(units.path.size, -2, np.int64)
        value[own] = listed.held[at[first]]
        keep = listed.held == value[owner]
        masks = np.where(keep, listed.masks, listed.masks & ~(START | self.machine.step_bits))
        return replace(units, listed=listed._replace(masks=masks))

    def valued(self, units: Units, values: Int64s) -> Int64s:
        """Return the first or last known value of each unit's step events. D7.12."""
        listed = units.listed
        null = self.values.count if self.values else 0
        found = np.full(units.path.size, null, np.int64)
        owner = np.repeat(np.arange(units.path.size), np.diff(listed.offsets))
        known = np.flatnonzero((values < null) & ((listed.masks & self.machine.step_bits) > 0))
        if self.machine.funnel.place == "first":
            known = known[::-1]
        found[owner[known]] = values[known]
        return found

    def by_value(self, units: Units, values: Int64s, limited: np.uint64) -> Units:
        """Make a unit of each value of each unit, in which the `limited` steps have it. D7.10, D7.12.

        Events that fit none of these steps are in all units of their path.
        """
        listed = units.listed
        owner = np.repeat(np.arange(units.path.size), np.diff(listed.offsets))
        asked = ((listed.masks & limited) > 0) & (values >= 0)
        width = int(values.max(initial=0)) + 1
        pairs = np.unique(owner[asked] * width + values[asked])
        unit_of = np.searchsorted(pairs // width, np.arange(units.path.size + 1))
        others = np.flatnonzero((listed.masks & ~(limited | START)) > 0)
        copies = np.diff(unit_of)[owner[others]]
        event = np.concatenate([np.flatnonzero(asked), np.repeat(others, copies)])
        ahead = np.arange(copies.sum()) - np.repeat(np.cumsum(copies) - copies, copies)
        unit = np.concatenate([
            np.searchsorted(pairs, owner[asked] * width + values[asked]),
            np.repeat(unit_of[owner[others]], copies) + ahead,
        ])  # fmt: skip
        order = np.lexsort((event, unit))
        unit, event = unit[order], event[order]
        fresh = np.ones(unit.size, np.bool_)
        fresh[1:] = (unit[1:] != unit[:-1]) | (event[1:] != event[:-1])
        unit, event = unit[fresh], event[fresh]
        masks = listed.masks[event]
        masks = np.where(values[event] == pairs[unit] % width, masks, masks & ~limited)
        starts = (masks & self.machine.start_bits) > 0
        masks = np.where(starts, masks, masks & ~START)
        offsets = np.searchsorted(unit, np.arange(pairs.size + 1))
        parts = (
            part[event] if part.size else part
            for part in (listed.times, listed.ranks, listed.sessions, listed.held)
        )
        made = listed._replace(
            offsets=offsets, masks=masks, deadlines=listed.deadlines[event], at=listed.at[event],
            **dict(zip(("times", "ranks", "sessions", "held"), parts, strict=True)),
        )  # fmt: skip
        return Units(made, units.path[pairs // width], pairs % width)

    def chosen(self, units: Units, every_run: bool) -> Runs:
        """Choose the runs of some units."""
        rows, chains, listed = self.choose(self.machine, units.listed, every_run)
        at = np.where(chains >= 0, listed.at[chains], -1)
        times = listed.times[chains]
        unit = rows[:, 0]
        value = units.value[unit] if units.value.size else units.value
        excluded = np.where(rows[:, 5] >= 0, listed.at[rows[:, 5]], -1)
        ties = np.empty(0, np.int64) if every_run else self.tie_sensitive(units)
        return Runs(units.path[unit], value, rows, listed.times[rows[:, 6]], at, times, excluded, ties)

    def choose(self, machine: Machine, listed: Listed, every_run: bool) -> tuple[Int64s, Int64s, Listed]:
        """Return the runs, the places of their steps in the list, and the list, whose ticks may be reordered."""
        from journeykit.kernels.funnel import ALL, ANY, EVERY, LINEAR, choose_runs, fill_optional

        method = machine.method(self.overlap)
        if method == LINEAR and machine.ties != "input":
            listed = in_step_order(listed, len(machine.funnel.made), machine.ties == "strict")
        steps = machine.steps(method, self.overlap)
        rules = machine.rules(method, self.shard.observed_until, every_run=every_run)
        many = self.periods.size > 0 or rules.entry in (ALL, EVERY)
        most = int(np.count_nonzero(listed.masks & START)) if many else listed.offsets.size - 1
        rows, required = np.empty((most, 7), np.int64), np.empty((most, machine.required.size), np.int64)
        opens = listed.deadlines > self.shard.observed_until
        periods = self.periods if rules.entry == ANY else np.empty(0, np.int64)
        n = choose_runs(
            tuple(listed),
            tuple(steps),
            tuple(rules),
            tuple(machine.exclusions),
            opens,
            periods,
            rows,
            required,
        )
        rows, required = rows[:n], required[:n]
        if machine.optional.size == 0:
            return rows, required, listed
        chains = np.full((n, len(machine.funnel.made)), -1, np.int64)
        chains[:, machine.required] = required
        found = np.empty((n, machine.optional.size), np.int64)
        bits = np.array([1 << int(k) for k in machine.optional], np.uint64)
        after = np.searchsorted(machine.required, machine.optional) - 1
        fill_optional(tuple(listed), tuple(steps), bits, after, rows, required, found)
        chains[:, machine.optional] = found
        return rows, chains, listed

    def tie_sensitive(self, units: Units) -> Int64s:
        """Return the paths whose level under ties "input" and "any" differs. D7.3."""
        listed = units.listed
        if self.machine.funnel.rules.order == "unordered":
            return np.empty(0, np.int64)
        owner = np.repeat(units.path, np.diff(listed.offsets))
        tied = (np.diff(listed.times) == 0) & (np.diff(owner) == 0) & (listed.masks[1:] != listed.masks[:-1])
        some = np.unique(owner[1:][tied])
        if some.size == 0:
            return some
        levels, again = [], units
        for ties in ("input", "any"):
            machine = Machine(self.machine.funnel, ties, probing=True)
            again = self.units(some, machine)
            rows, _, _ = self.choose(machine, again.listed, every_run=False)
            reached = np.zeros(again.path.size, np.int64)
            np.maximum.at(reached, rows[:, 0], rows[:, 2] - rows[:, 1])
            levels.append(reached)
        return np.unique(again.path[levels[0] != levels[1]])


def in_step_order(listed: Listed, n_steps: int, later_first: bool) -> Listed:
    """Put the events of each instant into the order of their steps."""
    from journeykit.kernels.funnel_lists import order_ticks

    order = np.empty(listed.at.size, np.int64)
    order_ticks(listed.offsets, n_steps, later_first, order, listed.masks, listed.times)
    return listed._replace(masks=listed.masks[order], at=listed.at[order])


@dataclass(frozen=True)
class Numbered:
    """The values of a property, or of several together, as numbers.

    Attributes
    ----------
    codes : numpy.ndarray of int32, events
        By the order of the values; -1 for null.
    values : polars.Series
        What the numbers mean.
    """

    codes: npt.NDArray[np.int32]
    values: pl.Series

    @property
    def count(self) -> int:
        """How many values there are; this number stands for null."""
        return len(self.values)

    def with_null(self) -> Int64s:
        """Return the codes with null as the last number."""
        return np.where(self.codes < 0, self.count, self.codes).astype(np.int64)


def numbers_of(journeys: Journeys, names: tuple[str, ...], unit: str) -> Numbered:
    """Number the values of kept properties, once for all shards, in the order of the paths of `unit`."""
    whole = journeys.whole

    def make() -> Numbered:
        log = whole.in_time_order() if unit == "user" else whole
        columns = [log.property(name) for name in names]
        frame = pl.DataFrame([column.alias(f"{i}") for i, column in enumerate(columns)])
        distinct = frame.drop_nulls().unique().sort(frame.columns)
        known = distinct.with_row_index("code").cast({"code": pl.Int32})
        codes = frame.join(known, on=frame.columns, how="left", maintain_order="left")["code"]
        return Numbered(codes.fill_null(-1).to_numpy(), distinct.to_series(0))

    return whole.memo.get(("numbers", names, unit), make)
