"""Chain: the moves of journeys up to their first goal, counted for a Markov chain. DEFINITIONS D10.1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError, UnknownPropertyError
from journeykit.journeys.journeys import Journeys
from journeykit.models.chains.answer import ChainAnswer, chain_answer
from journeykit.models.chains.making import ABANDON, CONVERT, START, check_smoothing
from journeykit.paths import Unit
from journeykit.patterns.matchers import Match, MatchLike, Of, as_match, check_matches, symbols_of
from journeykit.protocol import CELL, Cells, Context, Tables
from journeykit.statistics.base import UNITS_TABLE, Statistic, described
from journeykit.statistics.checks import check_choices
from journeykit.statistics.counting import CountingRows
from journeykit.statistics.goals import longest
from journeykit.statistics.transitions.tuples import Tuples
from journeykit.statistics.units import count_units
from journeykit.support.durations import Duration
from journeykit.support.unknown_names import Missing

Int64s = npt.NDArray[np.int64]
GoalLike = MatchLike | Mapping[str, MatchLike]


@dataclass(frozen=True)
class Chain(Statistic[ChainAnswer]):
    """Fit a Markov chain to journeys: what becomes of who is in which state. D10.

    Parameters
    ----------
    goal : str, sequence of str, Match or mapping of str to these
        A path is cut at its first goal, and ends in ``<CONVERT>``. Several goals by name are an end each; an event
        that fits two counts for the first.
    of : {"event", "stage"}
        What a state is. Events before the first stage are left out; a goal among them still counts.
    unit : {"session", "user"}
        What a path is.
    order : int
        How many of the last states make up a state, such as ``view > cart``. D4.3.
    open_paths : {"censor", "end"}
        A path without a goal that may still go on has no end, or abandoned all the same. D3.5.
    horizon : str or timedelta, optional
        With users: how long a silence means that the path is over. Without it every path is. A session is over when its
        own timeout has passed.
    goal_state : {"absorb", "keep"}
        Whether the move into the goal event is the conversion, or the event is a state that is followed by it.
    collapse_repeats : bool
        Whether a run of one state is a single state.
    value : str, optional
        A numeric property of the goal event, such as revenue: what a conversion is worth.
    smoothing : float
        Added to the count of every move that is possible; for order 1.
    missing : {"raise", "ignore", "warn"}
        Whether a goal that the log does not have is an error, or is never met. D0.9.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take.

    Notes
    -----
    The answer is described in `ChainAnswer`. Assumes that all who are in a state are alike, however they came there;
    `OrderSelection` tells how far that holds. If every path is closed and there is no smoothing, P(convert) from START
    is exactly the share of paths that converted (order 1 or higher).

    Two passes, O(n), 16 bytes per path; one sparse factorisation per jackknife group and cell, or with more than 400
    states a few dozen passes over the moves.

    References
    ----------
    Kemeny & Snell 1960, Finite Markov Chains; Anderl et al. 2016, IJRM 33(3).

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({
    ...     "user": [1, 1, 1, 2, 3, 3],
    ...     "time": [0, 9, 12, 5, 0, 7],
    ...     "event": ["view", "cart", "buy", "view", "view", "cart"],
    ... })
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> chain = journeys.measure(Chain("buy", open_paths="end"))
    >>> chain.frame.select("source", "target", "transitions", "leaving").head(3).rows()
    [('<START>', 'view', 3, 3), ('view', 'cart', 2, 3), ('cart', '<ABANDON>', 1, 2)]
    >>> chain.states.select("state", "conversion").rows()
    [('<START>', 0.3333333333333333), ('cart', 0.5), ('view', 0.3333333333333333)]
    """

    goal: GoalLike
    of: Of = "event"
    unit: Unit = "session"
    order: int = 1
    open_paths: Literal["censor", "end"] = "censor"
    horizon: Duration | None = None
    goal_state: Literal["absorb", "keep"] = "absorb"
    collapse_repeats: bool = False
    value: str | None = None
    smoothing: float = 0.0
    missing: Missing = "raise"

    def __post_init__(self) -> None:
        check_choices(self, goal_state=("absorb", "keep"))
        object.__setattr__(self, "goal", _goals(self.goal))
        if not isinstance(self.order, int) or self.order < 1:
            raise ParameterError(f"order must be a whole number from 1 on, not {self.order!r}.")
        check_smoothing(self.smoothing, self.order)
        longest(self.horizon, "horizon")
        if self.horizon is not None and self.unit == "session":
            raise ParameterError(
                'horizon is for unit="user": a session is open until its own timeout has passed. '
                'Leave horizon out, or pass unit="user".'
            )

    def __repr__(self) -> str:
        return described(self)

    @property
    def goals(self) -> dict[str, Match]:
        """The goals by the names of their ends."""
        return dict(self.goal) if _is_named(self.goal) else {CONVERT: self.goal}  # type: ignore[arg-type, dict-item]

    @property
    def sources(self) -> tuple[str, ...]:
        """The key columns of a state: the last states, oldest first, null before the path starts."""
        return tuple(f"source_{i}" for i in range(1, self.order + 1))

    @property
    def tables(self) -> Mapping[str, Sequence[str]]:  # type: ignore[override]
        """The tables of a tally."""
        return {"moves": (*self.sources, "target"), "states": self.sources, UNITS_TABLE: ()}

    def check(self, context: Context) -> None:
        """Refuse goals and properties that the journeys do not have, and names that two things would have."""
        check_matches(self.goals.values(), self.of, self.missing, context)
        if self.value is not None and self.value not in context.kept:
            raise UnknownPropertyError(self.value, context.kept)
        known = {*context.names} if self.of == "event" else {*context.stages}
        for name, match in self.goals.items():
            absorbed = self.goal_state == "absorb" and match.by_name and match.names == (name,)
            if name in known and not absorbed:
                raise ParameterError(f"the goal {name!r} has the name of a state. Give it another name.")

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the moves, the states and the paths of one shard."""
        return ChainTally(self, shard, cells).tables()

    def answer(self, tables: Tables, context: Context) -> ChainAnswer:
        """Fit the chain of every segment, and refit it without each jackknife group."""
        return chain_answer(self, tables, context)


def _is_named(goal: Any) -> bool:
    return isinstance(goal, tuple) and all(isinstance(each, tuple) and len(each) == 2 for each in goal)


def _goals(goal: Any) -> Any:
    """Bring goals into one form that can be compared: a Match, or pairs of a name and a Match."""
    if not isinstance(goal, Mapping) and not (_is_named(goal) and goal):
        return as_match(goal, "goal")
    pairs = tuple(goal.items()) if isinstance(goal, Mapping) else goal
    if not pairs:
        raise ParameterError("goal is empty. Give a name, a list of names, or several by name.")
    for name, _ in pairs:
        if not isinstance(name, str) or name in {START, ABANDON}:
            raise ParameterError(f"a goal cannot be named {name!r}. Give it another name.")
    return tuple((name, as_match(match, "goal")) for name, match in pairs)


class ChainTally:
    """The counting of one shard."""

    def __init__(self, statistic: Chain, shard: Journeys, cells: Cells) -> None:
        from journeykit.kernels.models.absorption import cut_at_goals

        self.statistic, self.shard, self.cell_count = statistic, shard, cells.count
        self.whole = shard.paths(statistic.unit)
        self.cells = cells.of(self.whole, statistic.unit)
        self.states: Any = shard.states(statistic.of, statistic.unit)
        symbols = symbols_of(shard, tuple(statistic.goals.values()), statistic.of, statistic.unit)
        self.cuts = np.empty(self.whole.n_paths, np.int64)
        self.reached = np.empty(self.whole.n_paths, np.int64)
        self.keep = statistic.goal_state == "keep"
        cut_at_goals(
            self.whole.starts,
            self.whole.ends,
            symbols.codes,
            symbols.masks,
            self.keep,
            self.cuts,
            self.reached,
        )
        self.paths = replace(self.whole, ends=self.cuts)
        self.skip, self.collapse = statistic.of == "stage", statistic.collapse_repeats
        self.n_names = len(shard.stage_names) + 1 if self.skip else len(shard.names)
        self.tuples = None
        self.start = self.n_names
        if statistic.order > 1:
            self.tuples = Tuples(
                self.paths, self.states, np.empty(0, np.int32), statistic.order,
                skip_zero=self.skip, collapse=self.collapse,
            )  # fmt: skip
            self.paths, self.states = self.tuples.paths, self.tuples.ids
            self.skip = self.collapse = False
            self.start = self.tuples.count
        self.size = self.start + 2 + len(statistic.goals)

    def tables(self) -> Tables:
        """Return all tables of the tally."""
        from journeykit.kernels.models.absorption import count_chain

        n_events = int(self.paths.lengths.sum())
        moves = CountingRows.make(self.cell_count * self.size**2, n_events + 2 * self.paths.n_paths)
        visits = CountingRows.make(self.cell_count * self.size, n_events + self.paths.n_paths)
        steps = np.empty(self.paths.n_paths, np.int64)
        still_open = self.still_open()
        count_chain(
            self.paths.user_paths, self.paths.starts, self.paths.ends, self.states, self.cells, self.reached,
            still_open, (self.size, self.start, self.skip, self.collapse),
            (moves.keys, moves.rows, moves.table), (visits.keys, visits.rows, visits.table), steps,
        )  # fmt: skip
        return {
            "moves": self._moves(moves),
            "states": self._visits(visits),
            UNITS_TABLE: self._units(steps, still_open),
        }

    def still_open(self) -> npt.NDArray[np.bool_]:
        """Mark the paths that may still go on. D3.5."""
        statistic = self.statistic
        if statistic.open_paths == "end":
            return np.zeros(self.whole.n_paths, np.bool_)
        return self.shard.open_paths(statistic.unit, statistic.horizon)

    def _moves(self, counted: CountingRows) -> pl.DataFrame:
        keys, rows = counted.found()
        target = keys % self.size
        final = target > self.start
        state = np.where(final, 0, target)
        last = state if self.tuples is None else self.tuples.last_state(state)
        # Ends are -2 (ABANDON), -3 (the first goal) and so on: the same numbers in every shard.
        code = np.where(final, self.start - 1 - target, last)
        columns = {
            CELL: (keys // self.size**2).astype(np.int32),
            **self._sources(keys // self.size % self.size),
        }
        return pl.DataFrame({**columns, "target": code.astype(np.int32), "transitions": rows[:, 0]})

    def _visits(self, counted: CountingRows) -> pl.DataFrame:
        keys, rows = counted.found()
        columns = {CELL: (keys // self.size).astype(np.int32), **self._sources(keys % self.size)}
        return pl.DataFrame({**columns, "visits": rows[:, 0], "users": rows[:, 1]})

    def _sources(self, states: Int64s) -> dict[str, pl.Series]:
        if self.tuples is not None:
            return dict(zip(self.statistic.sources, self.tuples.columns(states), strict=True))
        codes = pl.Series(states, dtype=pl.Int64).cast(pl.Int32)
        return {"source_1": codes.set(codes == self.start, None)}

    def _units(self, steps: Int64s, still_open: npt.NDArray[np.bool_]) -> pl.DataFrame:
        """Count paths, what became of them, the moves until then, and the value of goals, per cell."""
        path, won = steps > 0, self.reached >= 0
        lost, left = path & ~won & ~still_open, path & ~won & still_open
        numbers = {
            "converted": won,
            "abandoned": lost,
            "open": left,
            "converted_steps": np.where(won, steps, 0),
            "abandoned_steps": np.where(lost, steps, 0),
            "converted_steps_squared": np.where(won, steps, 0) ** 2,
            "abandoned_steps_squared": np.where(lost, steps, 0) ** 2,
        }
        sums = {
            name: np.bincount(self.cells, values, self.cell_count).astype(np.int64)
            for name, values in numbers.items()
        }
        if self.statistic.value is not None:
            sums["value"] = np.bincount(self.cells[won], self._values(won), self.cell_count)
        units = count_units(self.whole, self.cells, path)
        present = units[CELL].to_numpy()
        return units.with_columns(pl.Series(name, column[present]) for name, column in sums.items())

    def _values(self, won: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """Return the value of the goal event of every path that has one; null is 0."""
        at = self.cuts[won] - self.keep
        if self.statistic.unit == "user" and self.shard.time_order is not None:
            at = self.shard.time_order[at]
        assert self.statistic.value is not None
        found = self.shard.source[self.statistic.value].gather(pl.Series(self.shard.rows[at]))
        return found.cast(pl.Float64).fill_null(0.0).fill_nan(0.0).to_numpy()
