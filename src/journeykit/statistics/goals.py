"""What questions about a goal share: the states they name, the units they walk, who may still go on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError
from journeykit.journeys.journeys import Journeys
from journeykit.paths import Paths, Unit
from journeykit.patterns.matchers import Match, MatchLike, as_match, symbols_of
from journeykit.protocol import CELL, Cells, Context
from journeykit.statistics.units import count_units
from journeykit.support.durations import Duration, microseconds

Codes = npt.NDArray[np.unsignedinteger[Any]]
Int64s = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Marks = npt.NDArray[np.uint8]

Names: TypeAlias = str | Sequence[str]
Of: TypeAlias = Literal["event", "stage"]

NEVER = 1 << 62
"""Microseconds that no log spans; two of them still fit into an int64."""


def as_names(names: Names, parameter: str) -> tuple[str, ...]:
    """Accept one name or several, each once.

    Parameters
    ----------
    names : str or sequence of str
        What a caller wrote.
    parameter : str
        The name for the message.

    Returns
    -------
    tuple of str
        In the order given.

    Raises
    ------
    ParameterError
        If there is none, or one is not a text.

    Examples
    --------
    >>> as_names(["cart", "view", "cart"], "goal")
    ('cart', 'view')
    """
    listed = (names,) if isinstance(names, str) else names
    if not isinstance(listed, Sequence) or not listed or not all(isinstance(name, str) for name in listed):
        raise ParameterError(f"{parameter} cannot be {names!r}. Give a name or a list of names.")
    return tuple(dict.fromkeys(listed))


def as_goal(given: MatchLike, parameter: str) -> MatchLike:
    """Accept what `Match` takes; several names alone stay names, each once.

    Parameters
    ----------
    given : str, sequence of str, polars expression, Pattern or Match
        What a caller wrote.
    parameter : str
        The name for the message.

    Returns
    -------
    tuple of str or Match
        So that equal questions are equal, and are written as they were asked.

    Raises
    ------
    ParameterError
        If it is none of these, or an empty list.

    Examples
    --------
    >>> as_goal("buy", "goal")
    ('buy',)
    >>> as_goal(Match("buy", where=pl.col("amount") > 9), "goal").title
    'buy where amount > 9'
    """
    match = as_match(given, parameter)
    return match.names if match == Match(match.names) and match.names else match


def longest(duration: Duration | None, parameter: str) -> int:
    """Return a limit in microseconds, NEVER without one."""
    return NEVER if duration is None else microseconds(duration, parameter)


def longest_silence(journeys: Journeys, unit: Unit, horizon: Duration | None) -> int:
    """Return the longest silence after which a unit may still go on. D2.5, D3.5.

    A session is open while its timeout has not passed; a user while the silence is shorter than the horizon.
    """
    if unit == "user":
        return longest(horizon, "horizon") - 1
    rule = journeys.session_rule
    return longest(rule.timeout, "timeout") - rule.timeout_inclusive


def state_names(of: Of, context: Context) -> pl.Series:
    """Return the name of every state number; stage 0, before the first, has none."""
    if of == "event":
        return context.names.cast(pl.String).rechunk()
    return pl.Series([None, *context.stages], dtype=pl.String)


class Walk:
    """The units of one shard and the states of their events, as the kernels take them.

    Attributes
    ----------
    paths : Paths
        Of this shard; their positions are those of all shards.
    states : numpy.ndarray of an unsigned integer
        The state of every event, of all shards.
    cells : numpy.ndarray of int32
        The cell of every path.
    by_run : bool
        Whether an occurrence of a state is a run of events: so with stages, where it is a visit. D6.4.
    """

    def __init__(self, shard: Journeys, cells: Cells, of: Of, unit: Unit) -> None:
        self.paths: Paths = shard.paths(unit)
        self.states = shard.states(of, unit)
        self.cells: Int32s = cells.of(self.paths, unit)
        self.cell_count = cells.count
        self.by_run = of == "stage"
        self._shard, self._of, self._unit = shard, of, unit
        self._names = pl.Series(["", *shard.stage_names], dtype=pl.String) if self.by_run else shard.names
        self.n_states = len(self._names)
        self.n_events = self.paths.n_events

    @cached_property
    def owners(self) -> Int64s:
        """The user of every path, numbered from 0."""
        return np.repeat(np.arange(self.paths.n_users), np.diff(self.paths.user_paths))

    @cached_property
    def last_times(self) -> Int64s:
        """The time of the last event of every path."""
        return self.paths.times[self.paths.ends - 1]

    def fitting(self, *given: MatchLike) -> tuple[Codes, list[Marks]]:
        """Return a code per event of all shards, and for each of what is meant a flag per code: whether it fits.

        The codes are the states where names alone say what is meant.
        """
        matches = [as_match(each, "goal") for each in given]
        symbols = symbols_of(self._shard, matches, self._of, self._unit)
        bits = (symbols.masks >> np.uint64(i) & np.uint64(1) for i in range(len(matches)))
        return symbols.codes, [each.astype(np.uint8) for each in bits]

    def marked(self, names: Sequence[str]) -> Marks:
        """Mark the states that are named, one flag per state; names that no state has mark nothing."""
        known = self._names.slice(1) if self.by_run else self._names
        marks = known.is_in(list(names)).to_numpy().astype(np.uint8)
        return np.concatenate([np.zeros(1, np.uint8), marks]) if self.by_run else marks

    def frame(self, **columns: npt.NDArray[Any]) -> pl.DataFrame:
        """Return one row per path: its cell, its user, and the columns given."""
        return pl.DataFrame({CELL: self.cells, "user": self.owners, **columns})

    def units(self) -> pl.DataFrame:
        """Count the paths and their users per cell."""
        return count_units(self.paths, self.cells, self.paths.ends > self.paths.starts)

    def users_per_cell(self, marked: Bools) -> Int64s:
        """Count the distinct users of the marked paths in each cell."""
        users = self.owners[marked]
        pairs = np.unique(self.cells[marked].astype(np.int64) * self.paths.n_users + users)
        return np.bincount(pairs // self.paths.n_users, minlength=self.cell_count)


class Stretches:
    """The units of one shard from their start to their goal, and what became of them. D5.1, D5.2.

    Parameters
    ----------
    shard : Journeys
        Whose units.
    walk : Walk
        Their paths.
    goal : Match
        Which events are the goal.
    start : Match, optional
        Where a unit's stretch begins; its first event by default.
    unit : {"session", "user"}
        What a unit is.
    within : str or timedelta, optional
        The longest time from the start to the goal.
    from_first : bool
        Whether the first event of a unit may be the goal itself; else it comes strictly after the start.

    Attributes
    ----------
    origin, goal : numpy.ndarray of int64
        Their positions, -1 for a unit without one.
    """

    def __init__(
        self, shard: Journeys, walk: Walk, goal: Match, start: Match | None, unit: Unit, within: Duration | None,
        *, from_first: bool = False,
    ) -> None:  # fmt: skip
        from journeykit.kernels.outcomes.conversion import follow_units

        matches = (goal,) if start is None else (goal, start)
        symbols = symbols_of(shard, matches, "event", unit)
        goals = (symbols.masks & np.uint64(1) > 0).astype(np.uint8)
        starts = np.ones_like(goals)
        if start is not None:
            starts = (symbols.masks & np.uint64(2) > 0).astype(np.uint8)
        self.shard, self.walk, self.unit = shard, walk, unit
        self.within = longest(within, "within")
        paths = walk.paths
        self.origin, self.goal = np.empty(paths.n_paths, np.int64), np.empty(paths.n_paths, np.int64)
        rule = (False, self.within, 0, from_first)
        follow_units(
            paths.starts, paths.ends, symbols.codes, symbols.codes, paths.times, starts, goals, rule, self.origin,
            self.goal, np.empty(paths.n_paths, np.bool_),
        )  # fmt: skip

    def abandoned(self, horizon: Duration | None) -> Bools:
        """Mark the units without a goal that were silent for the horizon, or whose time is over."""
        until = self.shard.observed_until
        silent = until - self.walk.last_times > longest_silence(self.shard, self.unit, horizon)
        over = until - self.walk.paths.times[self.origin] >= self.within
        return (self.goal < 0) & (self.origin >= 0) & (silent | over)
