"""Conversion: who reaches a goal after a state. DEFINITIONS D5.1 to D5.3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import polars as pl

from journeykit.errors import ParameterError
from journeykit.journeys.journeys import Journeys
from journeykit.paths import Unit
from journeykit.patterns.matchers import Match, MatchLike, as_match, check_matches
from journeykit.protocol import CELL, GROUP, Cells, Context, Tables, sum_rows
from journeykit.statistics.base import (
    UNITS_TABLE,
    Answer,
    Grouped,
    Statistic,
    groups_of_rows,
    groups_per_cell,
    place_of,
    with_floats,
    with_rate,
    with_share,
)
from journeykit.statistics.checks import check_choices
from journeykit.statistics.counting import CountingRows
from journeykit.statistics.distribution import Distribution, checked_quantiles
from journeykit.statistics.goals import (
    Bools,
    Codes,
    Int32s,
    Int64s,
    Marks,
    Names,
    Of,
    Walk,
    as_goal,
    as_names,
    longest,
    state_names,
)
from journeykit.support.durations import Duration
from journeykit.support.unknown_names import Missing

START = "<START>"
COUNTS = ("reached", "converted", "open", "users", "visits", "converting_visits")


@dataclass(frozen=True, eq=False, repr=False)
class ConversionAnswer(Answer):
    """Who reaches the goal after each state; the frame is described in `Conversion`."""

    shown: ClassVar[Sequence[str]] = (
        "state",
        "reached",
        "converted",
        "abandoned",
        "open",
        "conversion_rate",
        "low",
        "high",
        "time_median",
        "visit_rate",
    )

    @property
    def proportions(self) -> Mapping[str, tuple[pl.Expr, pl.Expr]]:
        """The share of users that convert."""
        once = isinstance(self.statistic, Conversion) and self.statistic.unit == "user"
        return {"conversion_rate": (pl.col("converted"), pl.col("reached"))} if once else {}


@dataclass(frozen=True)
class Conversion(Statistic[ConversionAnswer]):
    """Count the units that reach a goal after each state. D5.1 to D5.3.

    Parameters
    ----------
    goal : str, sequence of str, polars expression, Pattern or Match
        Events or stages of which any is a success. A condition on a stage is asked of the first event of a visit.
    start : str or sequence of str, optional
        The states to answer for; without it all that occur, and START.
    of : {"event", "stage"}
        What a state is. An occurrence of a stage is a visit: a run of events in it (D6.4).
    unit : {"session", "user"}
        What converts.
    within : str or timedelta, optional
        The longest time from the state to the goal, itself included; without it, any.
    horizon : str or timedelta, optional
        With users: how long a silence makes a unit that did not convert abandoned. Without it the answer does
        not tell abandoned from open. A session is open by its own timeout (D2.5).
    quantiles : sequence of float
        Which percentiles of the time to convert to compute, such as ``(0.5, 0.9)``; 0.5 is the median.
    missing : {"raise", "ignore", "warn"}
        Whether a name that the log does not have is an error, or matches nothing. D0.9.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take.

    Notes
    -----
    The answer's frame has one row per state, those that most units reached first:

    ``reached``, ``users``
        Units with the state, and their distinct users. START is before the first event of every unit, and the
        clock of ``within`` starts there at the time of that event.
    ``converted``
        Those with a goal strictly after their *first* occurrence of the state: the first such goal, in time.
    ``open``, ``abandoned``
        The others: still able to convert at the end of the observation, or not (D5.2).
        ``converted + abandoned + open = reached``.
    ``conversion_rate``, ``low``, ``high``
        converted / reached; Wilson for users, jackknife for sessions (D12).
    ``time_median`` ...
        Seconds from the state to the goal, of the converted, with Woodruff intervals (D12.5).
    ``visits``, ``converting_visits``, ``visit_rate``
        Every occurrence of the state, and those with a goal strictly later.

    One pass, O(n).

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({"user": [1, 1, 1, 2], "time": [0, 10, 20, 5], "event": ["a", "b", "a", "a"]})
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> answer = journeys.measure(Conversion("b"))
    >>> answer.frame.select("state", "reached", "converted", "visits", "converting_visits").rows()
    [('<START>', 2, 1, 2, 1), ('a', 2, 1, 3, 1), ('b', 1, 0, 1, 0)]
    """

    goal: MatchLike
    start: Names | None = None
    of: Of = "event"
    unit: Unit = "session"
    within: Duration | None = None
    horizon: Duration | None = None
    quantiles: Sequence[float] = ()
    missing: Missing = "raise"

    def __post_init__(self) -> None:
        check_choices(self)
        object.__setattr__(self, "goal", as_goal(self.goal, "goal"))
        if self.start is not None:
            object.__setattr__(self, "start", as_names(self.start, "start"))
        object.__setattr__(self, "quantiles", checked_quantiles(self.quantiles))
        longest(self.within, "within")
        longest(self.horizon, "horizon")
        if self.horizon is not None and self.unit == "session":
            raise ParameterError(
                'horizon is for unit="user": a session is open until its own timeout has passed. '
                'Leave horizon out, or pass unit="user".'
            )

    @property
    def tells_open(self) -> bool:
        """Whether units that did not convert are told apart as abandoned and open."""
        return self.unit == "session" or self.horizon is not None

    @property
    def tables(self) -> Mapping[str, Sequence[str]]:  # type: ignore[override]
        """The tables of a tally."""
        tables: dict[str, Sequence[str]] = {"states": ("state",), UNITS_TABLE: ()}
        return tables | ({"times": ("state", "gap")} if self.quantiles else {})

    def check(self, context: Context) -> None:
        """Refuse goals and starts that the journeys do not have."""
        starts = () if self.start is None else (Match(self.start),)
        check_matches([as_match(self.goal, "goal"), *starts], self.of, self.missing, context)

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count units and visits per state in one shard."""
        from journeykit.kernels.outcomes.conversion import count_conversions

        walk = Walk(shard, cells, self.of, self.unit)
        codes, (goals,) = walk.fitting(self.goal)
        wanted = np.ones(walk.n_states + 1, bool)
        if self.start is not None:
            wanted[:-1], wanted[-1] = walk.marked(self.start), False
        still_open = shard.open_paths(self.unit, self.horizon) if self.tells_open else np.empty(0, bool)
        rule = (walk.n_states + 1, walk.by_run, longest(self.within, "within"), shard.observed_until)
        counted = CountingRows.make(walk.cell_count * rule[0], walk.n_events + walk.paths.n_paths)
        paths = walk.paths
        count_conversions(
            paths.user_paths, paths.starts, paths.ends, walk.states, codes, paths.times, walk.cells, still_open,
            goals, rule, counted.keys, counted.rows, counted.table,
        )  # fmt: skip
        keys, rows = counted.found()
        columns = {name: rows[:, i] for i, name in enumerate(COUNTS)}
        states = pl.DataFrame({**_cell_and_state(keys, rule[0]), **columns})
        tables = {"states": states.filter(pl.Series(wanted[keys % rule[0]])), UNITS_TABLE: walk.units()}
        if self.quantiles:
            tables["times"] = self._times(walk, codes, goals, wanted, rule)
        return tables

    def _times(
        self, walk: Walk, codes: Codes, goals: Marks, wanted: Bools, rule: tuple[int, bool, int, int]
    ) -> pl.DataFrame:
        """Count the converted units per state and time that they took."""
        from journeykit.kernels.outcomes.conversion import times_to_convert

        most = walk.n_events + walk.paths.n_paths
        seen = CountingRows.make(walk.cell_count * rule[0], most)
        found, gaps = np.empty(most, np.int64), np.empty(most, np.int64)
        n = times_to_convert(
            walk.paths.starts, walk.paths.ends, walk.states, codes, walk.paths.times, walk.cells, goals, rule,
            seen.keys, seen.rows, seen.table, found, gaps,
        )  # fmt: skip
        listed = pl.DataFrame({"key": found[:n], "gap": gaps[:n]})
        asked = pl.Series(wanted[found[:n] % rule[0]])
        counted = listed.filter(asked).group_by("key", "gap").len("count")
        keys = _cell_and_state(counted["key"].to_numpy(), rule[0])
        return pl.DataFrame(keys).with_columns(counted["gap"], counted["count"].cast(pl.Int64))

    def answer(self, tables: Tables, context: Context) -> ConversionAnswer:
        """Turn counts into rates with intervals."""
        known = state_names(self.of, context)
        unknown = [name for name in self.start or () if name not in known]
        names = pl.concat([known, pl.Series([START, *unknown], dtype=pl.String)])
        states = Grouped(_named(self._asked(tables, names), names), ("state",))
        frame = states.totals
        n_rows, groups = np.arange(frame.height), groups_per_cell(tables)
        users = frame["users"].to_numpy()
        if self.unit == "user":
            ends = {"conversion_rate_low": "low", "conversion_rate_high": "high"}
            frame = with_share(frame, "conversion_rate", "converted", "reached", context).rename(ends)
        else:
            frame = with_rate(
                frame, "conversion_rate", states.sums("converted"), states.sums("reached"), n_rows, groups,
                users, context, bounds=("low", "high"),
            )  # fmt: skip
        frame = with_rate(
            frame, "visit_rate", states.sums("converting_visits"), states.sums("visits"), n_rows, groups,
            users, context,
        )  # fmt: skip
        if self.quantiles:
            frame = self._with_times(frame, _named(tables["times"], names), groups, context)
        others = pl.col("reached") - pl.col("converted")
        frame = frame.with_columns((others - pl.col("open")).alias("abandoned"))
        outcome = ["converted", "abandoned", "open"] if self.tells_open else ["converted"]
        times = [name for name in frame.columns if name.startswith("time_")]
        frame = frame.select(
            CELL, "state", "reached", "users", *outcome, "conversion_rate", "low", "high", *times,
            "visits", "converting_visits", "visit_rate", "visit_rate_low", "visit_rate_high",
        )  # fmt: skip
        order = [CELL, pl.col("reached"), pl.col("state") != START, pl.col("state")]
        ordered = frame.sort(order, descending=[False, True, False, False])
        return ConversionAnswer(
            context.label(ordered), self, replace(context, notes=(*context.notes, *self._notes()))
        )

    def _asked(self, tables: Tables, names: pl.Series) -> pl.DataFrame:
        """Give the states that were asked for a row in every cell, also where nobody reached them. D0.3."""
        states = tables["states"]
        if self.start is None:
            return states
        asked = [i for i, name in enumerate(names) if name in self.start]
        numbers = pl.DataFrame({"state": pl.Series(asked, dtype=pl.Int32)})
        zero = tables[UNITS_TABLE].select(CELL, GROUP).join(numbers, how="cross")
        zero = zero.with_columns(pl.lit(0, pl.Int64).alias(name) for name in COUNTS)
        # One row per group: the jackknife takes each row for all there is of a group.
        return sum_rows(pl.concat([states, zero.select(states.columns)]), [CELL, GROUP, "state"])

    def _with_times(
        self, frame: pl.DataFrame, times: pl.DataFrame, groups: Mapping[int, int], context: Context
    ) -> pl.DataFrame:
        """Add percentiles of the time to convert, in seconds, with Woodruff intervals. D12.5."""
        taken = Distribution.of(frame.height, place_of(times, frame, [CELL, "state"]), times, "gap")
        present = groups_of_rows(frame[CELL], groups)
        return with_floats(frame, taken.percentiles(self.quantiles, "time", present, context.level))

    def _notes(self) -> list[str]:
        notes = [] if self.within else ["No window: a goal at any later time of the unit counts."]
        if not self.tells_open:
            notes.append("Without a horizon, abandoned and open units are not told apart.")
        return notes


def _cell_and_state(keys: Int64s, size: int) -> dict[str, Int32s]:
    return {CELL: (keys // size).astype(np.int32), "state": (keys % size).astype(np.int32)}


def _named(table: pl.DataFrame, names: pl.Series) -> pl.DataFrame:
    """Replace state numbers by names."""
    return table.with_columns(pl.lit(names).gather(pl.col("state")).alias("state"))
