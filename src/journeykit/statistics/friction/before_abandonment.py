"""Which friction goes before giving up: units with a flag against units without it. DEFINITIONS D5.2, D13.2, D15.4."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import polars as pl

from journeykit.errors import ParameterError
from journeykit.journeys.journeys import Journeys
from journeykit.paths import Unit
from journeykit.patterns.matchers import Match, MatchLike, as_match, check_matches
from journeykit.protocol import CELL, Cells, Context, Tables
from journeykit.statistics.base import UNITS_TABLE, Statistic
from journeykit.statistics.checks import check_choices
from journeykit.statistics.counting import CountingRows
from journeykit.statistics.friction.exposure_answer import ExposureAnswer, exposure_answer
from journeykit.statistics.friction.flags import FLAGS, ShardVisits
from journeykit.statistics.friction.friction import Friction
from journeykit.statistics.friction.slow_visits import SlowLimits, next_question
from journeykit.statistics.goals import Bools, Int64s, Stretches, Walk, longest
from journeykit.support.durations import Duration
from journeykit.support.unknown_names import Missing

COUNTS = ("units", "converted", "abandoned", "users")
SIDES = ("with", "without")
ANY_FRICTION = Friction()


@dataclass(frozen=True)
class FrictionBeforeAbandonment(Statistic[ExposureAnswer]):
    """Compare how many give up among units that met each friction and among those that did not. D5.2, D15.4.

    Parameters
    ----------
    goal : str, sequence of str, polars expression or Match
        What a unit has not given up when it gets there.
    start : str, sequence of str, polars expression or Match, optional
        Where a unit comes into the count: its first such event; without it, its first event. The goal must come
        strictly later.
    friction : Friction
        What friction is. Flags look back in the session, before the start too.
    unit : {"user", "session"}
        Who gives up: a user after a silence of `horizon`, a session when its timeout has passed.
    horizon : str or timedelta, optional
        With users, required: the silence after which a user counts as gone.
    within : str or timedelta, optional
        The longest time from start to goal, itself included; who has not converted by then has given up.
    min_units : int
        A flag that fewer units met, of those that converted or gave up, is shown and not tested.
    missing : {"raise", "ignore", "warn"}
        What to do with names that the log does not have, those of `friction` included unless it says so itself. D0.9.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take; if users have no horizon, or sessions have one.

    Notes
    -----
    Only what happened from the start until just before the first goal counts; without a goal, until the end of the
    unit. Comparing whole paths would find what follows a conversion, not what goes before giving up. A unit has a flag
    if one of these visits has. At an event, it is compared with the units that visited the event in that stretch and
    never with the flag: those who saw the same page without the trouble.

    Rates are abandoned / (converted + abandoned), D5.3; units still open are counted and left out, as they would be
    taken for either. Differences and ratios: Newcombe and Katz for users, jackknife for sessions; p-values by D13.2,
    adjusted by Benjamini and Hochberg over all tests of a table, segments and periods included.

    What is found goes before giving up; it need not be the reason for it. Who converts is looked at until the goal, who
    gives up until the end: the longer stretch meets more of everything, whatever its reason.

    Three passes, O(n x flags): those of `Friction`, the last of which counts units.

    References
    ----------
    Newcombe 1998, Stat. Med. 17; Katz et al. 1978, Biometrics 34; Benjamini & Hochberg 1995, JRSS B 57.

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({
    ...     "user": [1, 1, 2, 2, 3, 3, 9],
    ...     "time": [0, 5, 0, 5, 0, 5, 900],
    ...     "event": ["cart", "fail", "cart", "buy", "cart", "buy", "cart"],
    ... })
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> answer = journeys.measure(FrictionBeforeAbandonment("buy", friction=Friction("fail"), horizon="10m"))
    >>> answer.frame.filter(flag="error").select("abandoned_with", "resolved_with", "open_with").rows()
    [(1, 1, 0)]
    >>> answer.frame.filter(flag="error").select("abandoned_without", "resolved_without", "open_without").rows()
    [(0, 2, 1)]
    """

    goal: MatchLike
    start: MatchLike | None = None
    friction: Friction = ANY_FRICTION
    unit: Unit = "user"
    horizon: Duration | None = None
    within: Duration | None = None
    min_units: int = 20
    missing: Missing = "raise"

    tables: ClassVar[Mapping[str, Sequence[str]]] = Friction.tables
    by_group: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_choices(self)
        object.__setattr__(self, "goal", as_match(self.goal, "goal"))
        if self.start is not None:
            object.__setattr__(self, "start", as_match(self.start, "start"))
        if not isinstance(self.friction, Friction):
            raise ParameterError(
                f"friction cannot be {self.friction!r}. Give a Friction, such as Friction('help')."
            )
        longest(self.horizon, "horizon")
        longest(self.within, "within")
        if not isinstance(self.min_units, int) or self.min_units < 1:
            raise ParameterError(f"min_units must be a whole number from 1 on, not {self.min_units!r}.")
        if self.unit == "user" and self.horizon is None:
            raise ParameterError(
                "horizon is needed for users, and has no default: how long a silence means that a user is gone "
                "decides the rates. Take a time after which few return, such as horizon='30d'. "
                'For sessions that end without the goal, pass unit="session".'
            )
        if self.unit == "session" and self.horizon is not None:
            raise ParameterError(
                'horizon is for unit="user": a session has ended when its own timeout has passed. '
                'Leave horizon out, or pass unit="user".'
            )

    @property
    def matches(self) -> tuple[Match, ...]:
        """The goal, and the start if there is one."""
        given = (self.goal,) if self.start is None else (self.goal, self.start)
        return tuple(each for each in given if isinstance(each, Match))

    def check(self, context: Context) -> None:
        """Refuse names and properties that the journeys do not have."""
        check_matches(self.matches, "event", self.missing, context)
        strict = self.friction.missing == "raise"
        (replace(self.friction, missing=self.missing) if strict else self.friction).check(context)

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the gaps into every event of one shard."""
        return self.friction.tally(shard, cells)

    @property
    def quantile(self) -> float | None:
        """The share of gaps into an event that are not slow."""
        return self.friction.slow

    def follow_up(self, tables: Tables, context: Context) -> Statistic[ExposureAnswer] | None:
        """Ask for the gaps near the percentile, and then who met friction."""
        return next_question(self, tables, context)

    def with_limits(self, limits: SlowLimits) -> Statistic[ExposureAnswer]:
        """Return the question for the units, where it is known what is slow."""
        return _ExposedUnits(self, limits)

    def answer(self, tables: Tables, context: Context) -> ExposureAnswer:
        """Turn counts into rates and comparisons."""
        return exposure_answer(self, tables, context)


@dataclass(frozen=True, eq=False)
class _ExposedUnits(Statistic[ExposureAnswer]):
    """The last question: which units met which friction, and what became of them."""

    question: FrictionBeforeAbandonment
    limits: SlowLimits

    tables: ClassVar[Mapping[str, Sequence[str]]] = {"events": ("event",), "overall": (), UNITS_TABLE: ()}

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the units of one shard by flag and outcome."""
        return _Exposure(self.question, self.limits, shard, cells).tables()

    def answer(self, tables: Tables, context: Context) -> ExposureAnswer:
        """Turn all tallies into the answer."""
        return exposure_answer(self.question, tables, context)


class _Exposure:
    """The units of one shard: their flags, their stretch before the goal, and what became of them."""

    def __init__(
        self, question: FrictionBeforeAbandonment, limits: SlowLimits, shard: Journeys, cells: Cells
    ) -> None:
        self.question, self.shard = question, shard
        self.walk = Walk(shard, cells, "event", question.unit)
        visits = ShardVisits.of(shard)
        self.flags = visits.flags(question.friction, shard, limits.micros, question.unit)
        self.offset = visits.events.start
        self.codes = shard.states("event", question.unit)[visits.events]
        goal, *start = question.matches
        self.stretches = Stretches(
            shard, self.walk, goal, start[0] if start else None, question.unit, question.within
        )
        self.origin, self.goal = self.stretches.origin, self.stretches.goal

    def outcomes(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Say of every unit whether it converted, gave up, or is open. D5.2."""
        from journeykit.kernels.outcomes.friction import HAS_ABANDONED, HAS_CONVERTED, LEFT_OPEN

        gone = np.where(self.stretches.abandoned(self.question.horizon), HAS_ABANDONED, LEFT_OPEN)
        return np.where(self.goal >= 0, HAS_CONVERTED, gone).astype(np.uint8)

    def tables(self) -> Tables:
        """Return all tables of the tally."""
        from journeykit.kernels.outcomes.friction import count_exposed

        walk, size, kinds = self.walk, len(self.shard.names) + 1, 2 * (len(FLAGS) + 1)
        counted = CountingRows.make(
            walk.cell_count * size * kinds, kinds * (walk.n_events + walk.paths.n_paths)
        )
        asked = sum(1 << bit for bit, flag in enumerate(FLAGS) if flag in self.question.friction.asked)
        count_exposed(
            walk.paths.ends - self.offset, self.codes, self.flags, asked | 1 << len(FLAGS),
            _moved(self.origin, self.offset), _moved(self.goal, self.offset), self.outcomes(), walk.owners,
            walk.cells, size, counted.keys, counted.rows, counted.table,
        )  # fmt: skip
        keys, rows = counted.found()
        things, place = np.unique(keys // kinds, return_inverse=True)
        wide = np.zeros((things.size, kinds, len(COUNTS)), np.int64)
        wide[place, keys % kinds] = rows[:, : len(COUNTS)]
        names = [f"{flag}_{side}" for flag in (*FLAGS, "any") for side in SIDES]
        columns = {
            f"{name}_{what}": wide[:, k, j] for k, name in enumerate(names) for j, what in enumerate(COUNTS)
        }
        frame = pl.DataFrame(
            {CELL: (things // size).astype(np.int32), "event": (things % size).astype(np.int32), **columns}
        )
        at_all = pl.col("event") == size - 1
        return {
            "events": frame.filter(~at_all),
            "overall": frame.filter(at_all).drop("event"),
            UNITS_TABLE: self._units(self.origin >= 0),
        }

    def _units(self, reached: Bools) -> pl.DataFrame:
        counts = np.bincount(self.walk.cells[reached], minlength=self.walk.cell_count)
        units = self.walk.units()
        cells = units[CELL].to_numpy()
        return units.with_columns(
            reached=counts[cells], users_reached=self.walk.users_per_cell(reached)[cells]
        )


def _moved(places: Int64s, offset: int) -> Int64s:
    """Count places from the shard's first event; -1 stays."""
    return np.where(places < 0, places, places - offset)
