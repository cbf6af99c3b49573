"""What happens right after, or before, a run of events. DEFINITIONS D8.10."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError
from journeykit.journeys.journeys import Journeys
from journeykit.paths import Unit
from journeykit.patterns import Pattern
from journeykit.patterns.matchers import Match, MatchLike, as_match, check_matches, symbols_of
from journeykit.patterns.syntax import DIRECTLY
from journeykit.protocol import CELL, GROUP, Cells, Context, Tables, sum_rows
from journeykit.ragged.array import Codes, Ragged
from journeykit.ragged.views import units_of
from journeykit.statistics.base import (
    UNITS_TABLE,
    Answer,
    Grouped,
    Statistic,
    groups_per_cell,
    place_of,
    with_rate,
)
from journeykit.statistics.goals import Of, Walk, state_names
from journeykit.support.unknown_names import Missing

Int64s = npt.NDArray[np.int64]
Direction: TypeAlias = Literal["forward", "backward"]
Base: TypeAlias = Literal["head", "tail", "first_match", "last_match"]

NO_RUN = -2
END, START = "<END>", "<START>"


@dataclass(frozen=True, eq=False, repr=False)
class NextEventAnswer(Answer):
    """The answer to `NextEvent`; its frame is described there."""


@dataclass(frozen=True)
class NextEvent(Statistic[NextEventAnswer]):
    """Count which event comes right after, or right before, a run of events. D8.10.

    Parameters
    ----------
    run : Pattern or str, optional
        Events directly next to each other, such as ``"view -> [cart|wish]"``: the run begins at the base and goes in
        the direction, so with ``"backward"`` the first of them is the last in time. Without it, the answer is the base
        itself.
    direction : {"forward", "backward"}
        Which way the run goes.
    base : {"head", "tail", "first_match", "last_match"}
        Where the run must begin: at the first event of the unit, at its last, or at the first or the last event that
        fits its first element. Only there: a run elsewhere does not count.
    where : polars expression, str or Match, optional
        What must be true of the base, too.
    of : {"event", "stage"}
        What names are names of, if `run` is a text, and what is counted.
    unit : {"session", "user"}
        What is searched, if `run` is a text.
    missing : {"raise", "ignore", "warn"}, optional
        What to do about names that are not in the log, in place of what a pattern says. D0.9.

    Raises
    ------
    PatternError
        If a text is no pattern.
    ParameterError
        If the run holds more than single elements joined by ``->``, or goes forward from the tail or backward from the
        head.

    Notes
    -----
    The answer's frame has one row per event, those that are most frequent first:

    ``next``
        What comes then; ``<END>`` if the unit is over, with ``"backward"`` ``<START>``; null before the first stage.
    ``units``, ``users``
        Units where it does, and their distinct users.
    ``share``, ``low``, ``high``
        units / units with the run; Wilson for users, jackknife for sessions (D12).
    ``with_run``, ``all_units``
        Units with the run, and all units.

    ClickHouse's sequenceNextNode is this with ``unit="user"``; it also orders events of one time by name, which
    ``order=`` of ``read_events`` does. `per_unit` gives its answer for every unit. One pass, O(n).

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({"user": [1, 1, 1, 2], "time": [0, 10, 20, 5], "event": ["see", "buy", "see", "see"]})
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> journeys.measure(NextEvent("see")).frame.select("next", "units", "share").rows()
    [('buy', 1, 0.5), ('<END>', 1, 0.5)]
    """

    run: Pattern | str | None = None
    direction: Direction = "forward"
    base: Base = "first_match"
    where: MatchLike | None = None
    of: Of = "event"
    unit: Unit = "session"
    missing: Missing | None = None

    def __post_init__(self) -> None:
        for parameter, choices in (("direction", get_args(Direction)), ("base", get_args(Base))):
            if getattr(self, parameter) not in choices:
                raise ParameterError.choice(parameter, getattr(self, parameter), choices)
        if (self.direction, self.base) in (("forward", "tail"), ("backward", "head")):
            raise ParameterError(
                f"nothing lies {self.direction} of the {self.base}. Go forward from the head, or backward from "
                f"the tail."
            )
        pattern = (
            self.run
            if isinstance(self.run, Pattern)
            else Pattern(self.run or ".", of=self.of, unit=self.unit)
        )
        _check_run(pattern)
        if self.missing is not None:
            pattern = replace(pattern, missing=self.missing)
        object.__setattr__(self, "missing", pattern.missing)
        object.__setattr__(self, "of", pattern.of)
        object.__setattr__(self, "unit", pattern.unit)
        if self.run is not None:
            object.__setattr__(self, "run", pattern)
        if self.where is not None:
            object.__setattr__(self, "where", as_match(self.where, "where"))

    @property
    def tables(self) -> Mapping[str, Sequence[str]]:  # type: ignore[override]
        """The tables of a tally."""
        return {"next": ("state",), UNITS_TABLE: ()}

    def check(self, context: Context) -> None:
        """Refuse names and properties that the journeys do not have."""
        if isinstance(self.run, Pattern):
            self.run.check(context)
        check_matches(self._where, self.of, self.missing or "raise", context)

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the units per next event in one shard."""
        walk, found = Walk(shard, cells, self.of, self.unit), self.positions(shard)
        runs = found != NO_RUN
        state = np.full(found.size, walk.n_states, np.int32)
        state[found >= 0] = walk.states[found[found >= 0]]
        listed = walk.frame(state=state).filter(pl.Series(runs))
        counted = listed.group_by(CELL, "state").agg(
            pl.len().cast(pl.Int64).alias("units"), pl.col("user").n_unique().cast(pl.Int64).alias("users")
        )
        all_units = np.bincount(walk.cells, minlength=walk.cell_count)
        present = cells.present(all_units)
        units = {
            CELL: present.astype(np.int32),
            "all_units": all_units[present],
            "with_run": np.bincount(walk.cells[runs], minlength=walk.cell_count)[present],
            "users": walk.users_per_cell(runs)[present],
        }
        return {"next": counted, UNITS_TABLE: pl.DataFrame(units)}

    def answer(self, tables: Tables, context: Context) -> NextEventAnswer:
        """Turn counts into shares with intervals."""
        border = START if self.direction == "backward" else END
        names = pl.concat([state_names(self.of, context), pl.Series([border])])
        named = tables["next"].with_columns(pl.lit(names).gather(pl.col("state")).alias("next")).drop("state")
        counted, whole = Grouped(named, ("next",)), Grouped(tables[UNITS_TABLE], ())
        frame, rows = counted.totals, place_of(counted.totals, whole.totals, [CELL])
        of_all = whole.totals.select("with_run", "all_units")[rows]
        users = whole.totals["users"].to_numpy()[rows]
        frame = with_rate(
            frame, "share", counted.sums("units"), whole.sums("with_run"), rows, groups_per_cell(tables), users,
            context, bounds=("low", "high"), once=self.unit == "user",
        )  # fmt: skip
        frame = frame.with_columns(of_all)
        frame = frame.select(CELL, "next", "units", "users", "share", "low", "high", "with_run", "all_units")
        virtual = pl.col("next").replace_strict({START: 0, END: 2}, default=1, return_dtype=pl.Int8)
        ordered = frame.sort([CELL, -pl.col("units"), virtual, "next"], nulls_last=True)
        total = sum_rows(tables[UNITS_TABLE].drop(GROUP), []).row(0, named=True)
        note = f"{total['with_run']:,} of {total['all_units']:,} units have the run; shares are of these."
        return NextEventAnswer(context.label(ordered), self, replace(context, notes=(*context.notes, note)))

    def positions(self, journeys: Ragged) -> Int64s:
        """Return for every unit where the next event is; -1 where the unit is over, -2 without the run.

        Parameters
        ----------
        journeys : Journeys
            All of them, or a shard.

        Returns
        -------
        numpy.ndarray of int64
            Positions among the events of ``journeys.paths(unit)``.
        """
        from journeykit.kernels.patterns.next_event import next_events

        paths = journeys.paths(self.unit)
        codes, masks = self._symbols(journeys)
        rule = (self.length, self.direction == "forward", get_args(Base).index(self.base), bool(self._where))
        found = np.empty(paths.n_paths, np.int64)
        next_events(paths.starts, paths.ends, codes, masks, rule, found)
        return found

    def per_unit(self, journeys: Ragged) -> pl.DataFrame:
        """Return the next event of every unit.

        Parameters
        ----------
        journeys : Journeys
            Of whom.

        Returns
        -------
        polars.DataFrame
            One row per unit: ``user``; ``session``, its number within the user, if the unit is one; ``next``, null
            without the run or where the unit is over; ``has_run``.

        Raises
        ------
        UnknownNameError
            If the run names an event that is not in the log.
        """
        context = journeys.context(pl.DataFrame([{}]))  # type: ignore[attr-defined]
        self.check(context)
        found = self.positions(journeys)
        there = pl.Series(np.where(found >= 0, found, 0))
        states = (
            pl.Series(journeys.states(self.of, self.unit)).gather(there)
            if journeys.n_events
            else pl.Series([0]).clear()
        )
        following = pl.lit(state_names(self.of, context)).gather(pl.Series(states))
        columns = pl.DataFrame({"found": found}).select(
            pl.when(pl.col("found") >= 0).then(following).alias("next"),
            (pl.col("found") != NO_RUN).alias("has_run"),
        )
        return pl.concat([units_of(journeys, self.unit), columns], how="horizontal")

    @property
    def length(self) -> int:
        """How many elements the run has."""
        return self.run.compiled.automaton.states if isinstance(self.run, Pattern) else 0

    @property
    def _where(self) -> list[Match]:
        return [self.where] if isinstance(self.where, Match) else []

    def _symbols(self, journeys: Ragged) -> tuple[Codes, npt.NDArray[np.uint64]]:
        """Return what every event fits: the elements of the run, then the condition on the base."""
        if isinstance(self.run, Pattern):
            return self.run.symbols(journeys, self._where)[:2]
        symbols = symbols_of(journeys, self._where or [Match()], self.of, self.unit)
        return symbols.codes, symbols.masks


def _check_run(pattern: Pattern) -> None:
    parsed = pattern.parsed
    single = all(element.least == element.most == 1 for element in parsed.elements)
    next_to = all(each.plain and each.bounds == DIRECTLY for each in parsed.connectors)
    bounded = parsed.at_start or parsed.at_end or pattern.alphabet is not None or pattern.within is not None
    if not single or not next_to or bounded:
        raise ParameterError(
            f"the run {pattern.text!r} must be single elements joined by '->', without repeats, tests, '^', '$', "
            f"alphabet= and within=. For what follows any pattern see journeys.match."
        )
