"""The time from one event or stage to another, and who never gets there. DEFINITIONS D12.5, D14.1 to D14.3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.journeys.journeys import Journeys
from journeykit.paths import Unit
from journeykit.patterns.matchers import Match, MatchLike, Of, as_match, check_matches, symbols_of
from journeykit.protocol import CELL, GROUP, Cells, Context, Tables, sum_rows
from journeykit.statistics.base import UNITS_TABLE, Grouped, Statistic
from journeykit.statistics.checks import check_choices
from journeykit.statistics.distribution import checked_quantiles
from journeykit.statistics.goals import longest
from journeykit.statistics.outcomes.time_between_answer import TimeBetweenAnswer, time_between_answer
from journeykit.support.durations import Duration
from journeykit.support.precision import known_to_the_day
from journeykit.support.unknown_names import Missing

Int64s = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
Pairing: TypeAlias = Literal["first", "each"]


@dataclass(frozen=True)
class TimeBetween(Statistic[TimeBetweenAnswer]):
    """Measure the time from one event or stage to another, of those who get there and of those who do not yet.

    Parameters
    ----------
    start, end : str, sequence of str, Match or expression
        Where the clock starts and stops. They may be the same: the time to the next one.
    of : {"event", "stage"}
        What they are names of. An occurrence of a stage is a visit: a run of events in it (D6.4).
    unit : {"user", "session"}
        In whose path both lie.
    pairing : {"first", "each"}
        A unit's first start, to the first end after it; or every start, each to the next end after it (two starts in a
        row have the same end).
    within : str or timedelta, optional
        The longest time, itself included; who takes longer did not get there. Without it, any.
    quantiles : sequence of float
        Which percentiles of the time to compute; 0.5 is the median.
    missing : {"raise", "ignore", "warn"}
        What to do about names that the log does not have. D0.9.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take.

    Notes
    -----
    An end lies strictly after its start in the order of the log; at the same time, it takes 0 seconds. The answer's
    frame has one row (per segment, and period of the start):

    ``started``, ``users``
        Starts, and the distinct users who have one.
    ``ended``, ``censored``
        Those with an end, and those without: after them the log was watched until the end of the observation (a session
        that is over: until its last event), or for `within`.
    ``censored_share``, ``censored_share_low``, ``censored_share_high``
        censored / started; Wilson for a user's first start, else jackknife.
    ``time_mean``, ``time_median`` ...
        Seconds, of the ended alone, each with bounds (jackknife; Woodruff, D12.5). Quick ends weigh too much in them
        where many are censored.
    ``survival_median``, ``survival_median_low``, ``survival_median_high``
        When half of all have got there, those who are censored taken into account: Kaplan-Meier (D14.1); infinite
        where it is not reached.

    Starts are left out, and counted in a note, if they or the next end are known to the day only (`combine`): their
    time of day is made up.

    `TimeBetweenAnswer` has the whole distribution. One pass, O(n); 25 bytes per start of those counted.

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({"user": [1, 1, 2, 2], "time": [0, 60, 5, 600], "event": ["see", "buy", "see", "see"]})
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> answer = journeys.measure(TimeBetween("see", "buy"))
    >>> answer.frame.select("started", "ended", "censored", "time_median", "survival_median").rows()
    [(2, 1, 1, 60.0, 60.0)]
    """

    tables: ClassVar[Mapping[str, Sequence[str]]] = {"waits": ("closed", "wait"), UNITS_TABLE: ()}

    start: MatchLike
    end: MatchLike
    of: Of = "event"
    unit: Unit = "user"
    pairing: Pairing = "first"
    within: Duration | None = None
    quantiles: Sequence[float] = (0.5,)
    missing: Missing = "raise"

    def __post_init__(self) -> None:
        check_choices(self, pairing=("first", "each"))
        object.__setattr__(self, "start", as_match(self.start, "start"))
        object.__setattr__(self, "end", as_match(self.end, "end"))
        object.__setattr__(self, "quantiles", checked_quantiles(self.quantiles))
        longest(self.within, "within")

    @property
    def matches(self) -> tuple[Match, Match]:
        """Where the clock starts and stops."""
        return as_match(self.start, "start"), as_match(self.end, "end")

    @property
    def each_user_once(self) -> bool:
        """Whether no user has more than one start."""
        return self.unit == "user" and self.pairing == "first"

    def check(self, context: Context) -> None:
        """Refuse names and properties that the journeys do not have."""
        check_matches(self.matches, self.of, self.missing, context)

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the waits of one shard by how long they take."""
        from journeykit.kernels.outcomes.time_between import list_waits

        paths = shard.paths(self.unit)
        symbols = symbols_of(shard, self.matches, self.of, self.unit)
        most = paths.n_paths if self.pairing == "first" else int(paths.lengths.sum())
        path, origin, goal, wait = (np.empty(most, np.int64) for _ in range(4))
        closed = np.empty(most, np.uint8)
        stops = np.full(paths.n_paths, shard.observed_until)
        if self.unit == "session":
            stops = np.where(shard.open_paths("session"), stops, paths.times[paths.ends - 1])
        rule = (self.of == "stage", self.pairing == "each", longest(self.within, "within"))
        n = list_waits(
            paths.starts, paths.ends, paths.times, symbols.codes, symbols.masks.astype(np.uint8), stops, rule,
            path, origin, goal, wait, closed,
        )  # fmt: skip
        path, timed = path[:n], _timed(shard, self.unit, origin[:n], goal[:n])
        cell = cells.at(cells.segments(paths, self.unit)[path], paths.times[origin[:n]])
        owners = np.repeat(np.arange(paths.n_users), np.diff(paths.user_paths))
        listed = pl.DataFrame({CELL: cell.astype(np.int32), "closed": closed[:n], "wait": wait[:n]})
        listed = listed.filter(timed)
        users = pl.DataFrame({CELL: cell.astype(np.int32), "user": owners[path], "timed": timed})
        return {
            "waits": listed.group_by(CELL, "closed", "wait").agg(pl.len().cast(pl.Int64).alias("count")),
            UNITS_TABLE: users.group_by(CELL).agg(
                pl.col("user").filter("timed").n_unique().cast(pl.Int64).alias("users"),
                pl.col("timed").not_().sum().cast(pl.Int64).alias("untimed"),
            ),
        }

    def answer(self, tables: Tables, context: Context) -> TimeBetweenAnswer:
        """Turn counts per wait into shares, means, percentiles and the survival median."""
        notes = [] if self.within else ["No window: an end at any later time counts."]
        units = Grouped(tables[UNITS_TABLE], ())
        untimed = int(units.totals["untimed"].sum())
        if untimed:
            notes.append(
                f"{untimed:,} starts are left out: they or the end after them are known to the day only."
            )
        return time_between_answer(self, tables, replace(context, notes=(*context.notes, *notes)), units)

    def at_later_end(self, tables: Tables, before: int, after: int) -> Tables | None:
        """Let the waits of users that have not ended go on; None for sessions, which end by themselves."""
        if self.unit == "session":
            return None
        waited = pl.min_horizontal(pl.col("wait") + (after - before), longest(self.within, "within"))
        later = tables["waits"].with_columns(
            pl.when(pl.col("closed") == 0).then(waited).otherwise("wait").alias("wait")
        )
        return {**tables, "waits": sum_rows(later, [CELL, GROUP, *self.tables["waits"]])}


def _timed(shard: Journeys, unit: Unit, origin: Int64s, goal: Int64s) -> npt.NDArray[np.bool_]:
    """Mark waits between events whose time of day is known; without an end, those whose start has one."""
    marks = shard.whole.memo.get(("known to the day",), lambda: known_to_the_day(shard.source))
    if marks is None:
        return np.ones(origin.size, np.bool_)
    order = shard.time_order if unit == "user" else None

    def to_the_day(events: Int64s) -> npt.NDArray[np.bool_]:
        return np.asarray(marks[shard.rows[events if order is None else order[events]]])

    timed = ~to_the_day(origin)
    ended = goal >= 0
    timed[ended] &= ~to_the_day(goal[ended])
    return timed
