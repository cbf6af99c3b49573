"""The runs of a funnel: from one shard's paths to the runs that count, a block of paths at a time. D7.4 to D7.12."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.journeys.journeys import Journeys
from journeykit.patterns.matchers import symbols_of
from journeykit.statistics.funnels.machine import START, Machine
from journeykit.statistics.goals import Floats, Int64s, Walk

BLOCK_EVENTS = 1 << 18
"""Of a block of paths, unless one path has more: what is made of them stays in the cache."""


@dataclass(frozen=True)
class Units:
    """Who runs: the relevant events of a block, by unit.

    Attributes
    ----------
    offsets : numpy.ndarray of int64, units + 1
        Where the events of each unit start.
    events : numpy.ndarray of int64, events x 6
        As `journeykit.kernels.funnels.lists` describes them.
    at : numpy.ndarray of int64, events
        The position of each among those of all paths.
    path : numpy.ndarray of int64, units
        Whose each unit is.
    value : numpy.ndarray of int64, units
        The number of its breakdown value; empty without one.
    tied : numpy.ndarray of int64
        The paths in which different kinds of events have one time.
    """

    offsets: Int64s
    events: Int64s
    at: Int64s
    path: Int64s
    value: Int64s
    tied: Int64s = field(default_factory=lambda: np.empty(0, np.int64))

    @property
    def owner(self) -> Int64s:
        """The number of the unit of every event."""
        return np.repeat(np.arange(self.path.size), np.diff(self.offsets))


@dataclass(frozen=True)
class Runs:
    """The runs that count in a block.

    Attributes
    ----------
    path, value : numpy.ndarray of int64, runs
        Whose run it is; the number of its breakdown value, empty without one.
    rows : numpy.ndarray of int64, runs x 7
        As `journeykit.kernels.funnels.rules` describes them.
    start_times : numpy.ndarray of int64, runs
        When each started.
    at, times : numpy.ndarray of int64, runs x steps
        The position of the event of every step, -1 where it was not reached, and its time.
    excluded_at : numpy.ndarray of int64, runs
        The position of the event that excluded it, -1 without one.
    tie_sensitive : numpy.ndarray of int64
        The paths whose level depends on the order of events at one time.
    every : Runs, optional
        All runs of the same units, those that do not count too.
    periods : numpy.ndarray of int64
        When each period starts in which a unit counts apart; empty without them.
    cut : bool
        An excluded run ends, and still counts.
    """

    path: Int64s
    value: Int64s
    rows: Int64s
    start_times: Int64s
    at: Int64s
    times: Int64s
    excluded_at: Int64s
    tie_sensitive: Int64s
    every: Runs | None = None
    periods: Int64s = field(default_factory=lambda: np.empty(0, np.int64))
    cut: bool = False

    def periods_of(self, runs: Runs) -> Int64s:
        """Return the number of the period in which each run starts."""
        return np.searchsorted(self.periods, runs.start_times, side="right")

    def longest_of_units(self) -> tuple[Runs, Int64s]:
        """Return all runs as long as the one of their unit that counts, and which one that is. D7.11."""
        from journeykit.kernels.funnels.rules import FIRST_STEP, LEVEL, UNIT

        assert self.every is not None
        every, size = self.every, int(self.periods_of(self.every).max(initial=0)) + 1
        own = self.rows[:, UNIT] * size + self.periods_of(self)
        theirs = every.rows[:, UNIT] * size + self.periods_of(every)
        place = np.clip(np.searchsorted(own, theirs), 0, max(own.size - 1, 0))
        length = self.rows[:, LEVEL] - self.rows[:, FIRST_STEP]
        same = (own[place] == theirs) & (every.rows[:, LEVEL] - every.rows[:, FIRST_STEP] == length[place])
        kept = np.flatnonzero(same & ((every.excluded_at < 0) | self.cut))
        return every.some(kept), place[kept]

    def some(self, kept: Int64s) -> Runs:
        """Return some of the runs."""
        value = self.value[kept] if self.value.size else self.value
        return replace(
            self, path=self.path[kept], value=value, rows=self.rows[kept], start_times=self.start_times[kept],
            at=self.at[kept], times=self.times[kept], excluded_at=self.excluded_at[kept],
        )  # fmt: skip


def averages(runs: Runs, of: Int64s, before: int, step: int) -> tuple[Int64s, Floats, Int64s]:
    """Return whose runs have two steps, and the mean and the median of the microseconds between them. D7.11.

    `of` says which run that counts each of the runs belongs to. Medians are rounded to whole microseconds.
    """
    from journeykit.kernels.funnels.counts import average_gaps

    whose, mean, middle = np.empty(of.size, np.int64), np.empty(of.size), np.empty(of.size)
    n = average_gaps(of, runs.at, runs.times, step, before, whose, mean, middle)
    return whose[:n], mean[:n], middle[:n].astype(np.int64)


class Runner:
    """Finds the runs of one shard."""

    def __init__(self, machine: Machine, shard: Journeys, walk: Walk, periods: Int64s | None = None) -> None:
        self.machine, self.shard, self.walk = machine, shard, walk
        self.periods = np.empty(0, np.int64) if periods is None else periods.astype(np.int64)
        funnel = machine.funnel
        self.unit = funnel.container
        self.symbols = symbols_of(shard, machine.matches, funnel.of, self.unit)
        masks = self.symbols.masks.astype(np.int64)
        steps = masks & sum(1 << int(k) for k in machine.required)
        self.overlap = bool((steps & (steps - 1)).any())
        self.masks = np.where(masks & machine.start_bits, masks | START, masks)
        self.held = numbers_of(shard, tuple(funnel.hold), self.unit) if funnel.hold else None
        self.values = numbers_of(shard, (funnel.breakdown,), self.unit) if funnel.breakdown else None

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Yield ranges of the paths of whole users with about `BLOCK_EVENTS` events: a user is counted in one."""
        paths = self.walk.paths
        events = np.concatenate([[0], np.cumsum(paths.ends - paths.starts)])
        ends = events[paths.user_paths]
        first = 0
        while first < paths.n_users:
            last = int(np.searchsorted(ends, ends[first] + BLOCK_EVENTS, side="right")) - 1
            last = max(first + 1, last)
            yield int(paths.user_paths[first]), int(paths.user_paths[last])
            first = last

    def runs(self, *, with_every: bool = False) -> Iterator[Runs]:
        """Yield the runs that count block by block, with every run beside them if asked for."""
        cut = self.machine.funnel.rules.exclusion == "dropoff"
        for first, last in self.blocks():
            units = self.units(np.arange(first, last), self.machine)
            if units.at.size:
                runs = self.chosen(units, every_run=False)
                every = self.chosen(units, every_run=True) if with_every else None
                yield replace(runs, every=every, periods=self.periods, cut=cut)

    def units(self, chosen: Int64s, machine: Machine) -> Units:
        """List the relevant events of some paths, by unit."""
        from journeykit.kernels.funnels.lists import HELD, SESSION, relevant_events

        paths, method = self.walk.paths, machine.method(self.overlap)
        starts, ends = paths.starts[chosen], paths.ends[chosen]
        most = int((ends - starts).sum())
        offsets, at, tied = (np.empty(size, np.int64) for size in (starts.size + 1, most + 1, starts.size))
        events = np.zeros((most + 1, 6), np.int64)
        n_tied = relevant_events(
            (0, starts.size), starts, ends, (self.symbols.codes, self.walk.states, paths.times), self.masks,
            tuple(machine.listing(method, self.walk.by_run)), offsets, at, events, tied, 0,
        )  # fmt: skip
        at, events = at[: offsets[-1]], events[: offsets[-1]]
        if machine.in_session:
            events[:, SESSION] = self.shard.event_sessions(self.unit)[at]
        if self.held is not None:
            events[:, HELD] = self.held.codes[at]
        self.limit_starts(events)
        units = self.split(Units(offsets, events, at, chosen, np.empty(0, np.int64)))
        return replace(units, tied=chosen[tied[:n_tied]])

    def limit_starts(self, events: Int64s) -> None:
        """Leave the mark of a start only in sessions, and where values are held that are known. D7.4, D7.10."""
        from journeykit.kernels.funnels.lists import HELD, MASK, SESSION

        never = np.zeros(events.shape[0], np.bool_)
        if self.machine.in_session:
            never |= events[:, SESSION] < 0
        if self.held is not None:
            never |= events[:, HELD] < 0
        if never.any():
            events[never, MASK] &= ~START

    def split(self, units: Units) -> Units:
        """Make the units that held values and breakdowns ask for. D7.10, D7.12."""
        funnel, machine = self.machine.funnel, self.machine
        if funnel.hold and funnel.rules.hold_unit == "first_entry":
            self.of_first_entry(units)
        if self.values is not None:
            values = self.values.with_null(units.at)
            if funnel.place in ("first", "last"):
                units = replace(units, value=self.valued(units, values))
            elif funnel.place == "all":
                return by_value(units, values, machine.step_bits, machine.start_bits)
            elif funnel.place.startswith("each:"):
                return by_value(units, values, 1 << (funnel.place_step - 1), machine.start_bits)
        if funnel.hold and funnel.rules.hold_unit == "pair" and self.held is not None:
            pairs = by_value(
                units, self.held.codes[units.at].astype(np.int64), machine.step_bits, machine.start_bits
            )
            of = np.searchsorted(units.path, pairs.path)
            return replace(pairs, value=units.value[of] if units.value.size else units.value)
        return units

    def of_first_entry(self, units: Units) -> None:
        """Let only the value of a unit's first entry count. D7.10."""
        from journeykit.kernels.funnels.lists import HELD, MASK

        events, owner = units.events, units.owner
        at = np.flatnonzero(events[:, MASK] & START)
        own, first = np.unique(owner[at], return_index=True)
        value = np.full(units.path.size, -2, np.int64)
        value[own] = events[at[first], HELD]
        events[events[:, HELD] != value[owner], MASK] &= ~(START | self.machine.step_bits)

    def valued(self, units: Units, values: Int64s) -> Int64s:
        """Return the first or last known value of each unit's step events. D7.12."""
        from journeykit.kernels.funnels.lists import MASK

        null = self.values.count if self.values else 0
        found = np.full(units.path.size, null, np.int64)
        known = np.flatnonzero((values < null) & ((units.events[:, MASK] & self.machine.step_bits) > 0))
        if self.machine.funnel.place == "first":
            known = known[::-1]
        found[units.owner[known]] = values[known]
        return found

    def chosen(self, units: Units, every_run: bool) -> Runs:
        """Choose the runs of some units."""
        from journeykit.kernels.funnels.lists import TIME
        from journeykit.kernels.funnels.rules import EXCLUDED, START_EVENT, UNIT

        rows, chains, listed = self.choose(self.machine, units, every_run)
        unit = rows[:, UNIT]
        value = units.value[unit] if units.value.size else units.value
        excluded = np.where(rows[:, EXCLUDED] >= 0, listed.at[rows[:, EXCLUDED]], -1)
        ties = self.sensitive_of(units.tied[: 0 if every_run else None])
        times = listed.events[:, TIME]
        return Runs(
            units.path[unit], value, rows, times[rows[:, START_EVENT]],
            np.where(chains >= 0, listed.at[chains], -1), times[chains], excluded, ties,
        )  # fmt: skip

    def choose(self, machine: Machine, units: Units, every_run: bool) -> tuple[Int64s, Int64s, Units]:
        """Return the runs, the places of their steps in the list, and the list, whose ticks may be reordered."""
        from journeykit.kernels.funnels import rules as kernels
        from journeykit.kernels.funnels.lists import MASK
        from journeykit.kernels.funnels.optional import fill_optional
        from journeykit.kernels.funnels.runs import choose_runs

        method = machine.method(self.overlap)
        if method == kernels.LINEAR and machine.ties != "input":
            units = in_step_order(units, len(machine.funnel.made), machine.ties == "strict")
        events, steps, how = units.events, machine.steps(method), tuple(machine.how(method, self.overlap))
        rules = machine.rules(method, self.shard.observed_until, every_run=every_run)
        many = self.periods.size > 0 or rules.entry in (kernels.ALL, kernels.EVERY)
        most = int(np.count_nonzero(events[:, MASK] & START)) if many else units.path.size
        rows, required = (
            np.empty((most, kernels.COLUMNS), np.int64),
            np.empty((most, machine.required.size), np.int64),
        )
        periods = self.periods if rules.entry == kernels.ANY else np.empty(0, np.int64)
        n = choose_runs(
            units.offsets,
            events,
            steps,
            machine.exclusions,
            periods,
            how,
            (0,) * method,
            tuple(rules),
            rows,
            required,
        )
        rows, required = rows[:n], required[:n]
        if machine.optional.size == 0:
            return rows, required, units
        chains = np.empty((n, len(machine.funnel.made)), np.int64)
        found = np.empty((n, machine.optional.size), np.int64)
        bits = np.array([1 << int(k) for k in machine.optional], np.int64)
        after = np.searchsorted(machine.required, machine.optional) - 1
        fill_optional(units.offsets, events, steps, bits, after, how, rows, required, found)
        chains[:, machine.required], chains[:, machine.optional] = required, found
        return rows, chains, units

    def sensitive_of(self, paths: Int64s) -> Int64s:
        """Return those of some paths, ascending, whose level under ties "input" and "any" differs."""
        if paths.size == 0 or self.machine.funnel.rules.order == "unordered":
            return paths[:0]
        levels = [
            self._level_of(paths, Machine(self.machine.funnel, ties, probing=True))
            for ties in ("input", "any")
        ]
        (path, reached), (_, other) = levels
        return np.unique(path[reached != other])

    def _level_of(self, paths: Int64s, machine: Machine) -> tuple[Int64s, Int64s]:
        """Return of every unit of some paths its path and how many steps it makes."""
        from journeykit.kernels.funnels.rules import FIRST_STEP, LEVEL, UNIT

        units = self.units(paths, machine)
        rows, _, _ = self.choose(machine, units, every_run=False)
        reached = np.zeros(units.path.size, np.int64)
        np.maximum.at(reached, rows[:, UNIT], rows[:, LEVEL] - rows[:, FIRST_STEP])
        return units.path, reached


def in_step_order(units: Units, n_steps: int, later_first: bool) -> Units:
    """Put the events of each instant into the order of their steps."""
    from journeykit.kernels.funnels.lists import order_ticks

    order = np.empty(units.at.size, np.int64)
    order_ticks(units.offsets, n_steps, later_first, units.events, order)
    return replace(units, events=units.events[order], at=units.at[order])


def by_value(units: Units, values: Int64s, limited: int, starting: int) -> Units:
    """Make a unit of each value of each unit, in which the `limited` steps have it. D7.10, D7.12.

    Events that fit none of these steps are in all units of their path. `starting`: the bits of steps that start.
    """
    from journeykit.kernels.funnels.lists import MASK

    owner, masks = units.owner, units.events[:, MASK]
    asked = ((masks & limited) > 0) & (values >= 0)
    width = int(values.max(initial=0)) + 1
    pairs = np.unique(owner[asked] * width + values[asked])
    unit_of = np.searchsorted(pairs // width, np.arange(units.path.size + 1))
    others = np.flatnonzero((masks & ~(limited | START)) > 0)
    copies = np.diff(unit_of)[owner[others]]
    ahead = np.arange(copies.sum()) - np.repeat(np.cumsum(copies) - copies, copies)
    own = np.flatnonzero(asked)
    event = np.concatenate([own, np.repeat(others, copies)])
    unit = np.concatenate([
        np.searchsorted(pairs, owner[own] * width + values[own]), np.repeat(unit_of[owner[others]], copies) + ahead
    ])  # fmt: skip
    place = np.unique(unit * np.int64(max(values.size, 1)) + event)
    unit, event = np.divmod(place, max(values.size, 1))
    events = units.events[event]
    masks = events[:, MASK]
    masks = np.where(values[event] == pairs[unit] % width, masks, masks & ~limited)
    events[:, MASK] = np.where(masks & starting, masks, masks & ~START)
    offsets = np.searchsorted(unit, np.arange(pairs.size + 1))
    return Units(offsets, events, units.at[event], units.path[pairs // width], pairs % width)


SAMPLE = 100_000
"""How many values are looked at to guess which ones a property has."""


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

    def with_null(self, at: Int64s) -> Int64s:
        """Return the codes at some positions, with null as the last number."""
        codes = self.codes[at]
        return np.where(codes < 0, self.count, codes).astype(np.int64)


def numbers_of(journeys: Journeys, names: tuple[str, ...], unit: str) -> Numbered:
    """Number the values of kept properties, once for all shards, in the order of the paths of `unit`."""
    whole = journeys.whole

    def make() -> Numbered:
        log = whole.in_time_order() if unit == "user" else whole
        columns = [log.property(name) for name in names]
        if len(columns) == 1 and columns[0].dtype == pl.String:
            return _numbered_texts(columns[0])
        frame = pl.DataFrame([column.alias(f"{i}") for i, column in enumerate(columns)])
        distinct = frame.drop_nulls().unique().sort(frame.columns)
        known = distinct.with_row_index("code").cast({"code": pl.Int32})
        codes = frame.join(known, on=frame.columns, how="left", maintain_order="left")["code"]
        return Numbered(codes.fill_null(-1).to_numpy(), distinct.to_series(0))

    return whole.memo.get(("numbers", names, unit), make)


def _numbered_texts(texts: pl.Series) -> Numbered:
    """Number texts by their order, which is faster than to join them: most properties have few values."""
    values = texts.head(SAMPLE).drop_nulls().unique()
    found = texts.cast(pl.Enum(values), strict=False).to_physical()
    if found.null_count() > texts.null_count():
        values = texts.drop_nulls().unique()
        found = texts.cast(pl.Enum(values)).to_physical()
    place = np.append(values.rank("ordinal").cast(pl.Int32).to_numpy() - np.int32(1), np.int32(-1))
    codes = place[found.cast(pl.UInt32).fill_null(len(values)).to_numpy()]
    return Numbered(codes.astype(np.int32, copy=False), values.sort())
