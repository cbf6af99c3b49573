"""Abandonment: who gave up before the goal, where, and who may still come. DEFINITIONS D5, D14."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import polars as pl

from journeykit.errors import ParameterError
from journeykit.journeys.journeys import Journeys
from journeykit.paths import UNITS, Unit
from journeykit.patterns.matchers import MatchLike, as_match, check_matches
from journeykit.protocol import CELL, Cells, Context, Tables
from journeykit.statistics.base import UNITS_TABLE, Statistic
from journeykit.statistics.counting import CountingRows
from journeykit.statistics.goals import (
    Bools,
    Codes,
    Int64s,
    Of,
    Walk,
    as_goal,
    longest,
    longest_silence,
)
from journeykit.statistics.outcomes.abandonment_answer import (
    FURTHEST_STAGE,
    HORIZONS,
    LAST_EVENT,
    LAST_STAGE,
    AbandonmentAnswer,
    abandonment_of,
)
from journeykit.statistics.outcomes.episodes import episode_times
from journeykit.support.durations import Duration, microseconds
from journeykit.support.unknown_names import MISSING, Missing


@dataclass(frozen=True)
class Abandonment(Statistic[AbandonmentAnswer]):
    """Count the units that reached a state and gave up before the goal. D5.

    Parameters
    ----------
    goal : str, sequence of str, polars expression, Pattern or Match
        Events or stages of which any is a success. A condition on a stage is asked of the first event of a visit.
    start : str, sequence of str, polars expression, Pattern or Match, optional
        Where a unit comes into the count: its first such event or stage; without it, its first event. The
        goal must come strictly later, also where the start is itself a goal.
    of : {"event", "stage"}
        What `goal` and `start` are. Arriving at a stage means a visit that begins: a run of events in it
        (D6.4).
    unit : {"user", "session"}
        Who gives up. A user has given up after a silence of `horizon`; a session when it ends, which gives
        the abandonment of carts as it is commonly published (D5.6).
    horizon : str or timedelta, optional
        With users, required: the silence after which a user counts as gone.
    within : str or timedelta, optional
        The longest time from start to goal, itself included; who has not converted by then has given up.
    after : bool
        Whether the goal must come after the start; False takes it anywhere in the session, the start
        included.
    open_paths : {"censor", "end"}, optional
        Whether units that could still convert at the end of the observation count as open, or as ended
        without the goal (D3.5). By default users are ``"censor"`` (D5.2) and sessions ``"end"``: 1 - x / y of
        D5.6.
    episodes : {"first", "all"}
        For the figures over time (D14): a unit's first episode until it converts or falls silent, or also
        those that begin with the next start after its return. D5.4.
    resolution : str or timedelta
        The times of the curve are rounded up to multiples of this.
    missing : {"raise", "ignore", "warn"}
        Whether a name that the log does not have is an error, or matches nothing. D0.9.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take; if users have no horizon, or sessions have one.

    Notes
    -----
    Three passes, O(n), and a sort of the times of each shard. Statuses are those at the end of the observation;
    the curve takes abandonment at the moment it becomes certain, so that who returns after the horizon is
    converted in the first and abandoned in the second. Sessions still open are always censored in the curve.

    References
    ----------
    Baymard Institute (cart abandonment as published); Kalbfleisch & Prentice 2002 (censoring).

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame(
    ...     {"user": [1, 1, 2, 3], "time": [0, 10, 5, 90], "event": ["cart", "buy", "cart", "cart"]}
    ... )
    >>> events = jk.read_events(log, user="user", time="time", event="event", unit="s")
    >>> answer = events.sessionize("30m").measure(Abandonment("buy", "cart", horizon="1m"))
    >>> answer.frame.select("reached", "converted", "abandoned", "open", "abandonment_rate").rows()
    [(3, 1, 1, 1, 0.5)]
    """

    goal: MatchLike
    start: MatchLike | None = None
    of: Of = "event"
    unit: Unit = "user"
    horizon: Duration | None = None
    within: Duration | None = None
    after: bool = True
    open_paths: Literal["censor", "end"] | None = None
    episodes: Literal["first", "all"] = "first"
    resolution: Duration = "1s"
    missing: Missing = "raise"

    tables: ClassVar[Mapping[str, Sequence[str]]] = {
        UNITS_TABLE: (),
        "horizons": ("factor",),
        "losses": ("kind", "state"),
        "times": ("outcome", "time"),
    }

    CHOICES: ClassVar[Mapping[str, Sequence[object]]] = {
        "of": ("event", "stage"),
        "unit": UNITS,
        "open_paths": (None, "censor", "end"),
        "episodes": ("first", "all"),
        "missing": MISSING,
        "after": (True, False),
    }

    def __post_init__(self) -> None:
        for parameter, allowed in self.CHOICES.items():
            if getattr(self, parameter) not in allowed:
                raise ParameterError.choice(parameter, getattr(self, parameter), allowed)
        object.__setattr__(self, "goal", as_goal(self.goal, "goal"))
        if self.start is not None:
            object.__setattr__(self, "start", as_goal(self.start, "start"))
        longest(self.horizon, "horizon")
        longest(self.within, "within")
        microseconds(self.resolution, "resolution")
        self._check_together()

    def _check_together(self) -> None:
        """Refuse parameters that contradict each other."""
        if self.unit == "user" and self.horizon is None:
            raise ParameterError(
                "horizon is needed for users, and has no default: how long a silence means that a user is gone "
                "decides the rate. Take a time after which few return, such as horizon='30d'; the answer's "
                ".sensitivity shows the rate from a quarter of it to four times as long. "
                'For abandonment per session, pass unit="session".'
            )
        if self.unit == "session" and self.horizon is not None:
            raise ParameterError(
                'horizon is for unit="user": a session has ended when its own timeout has passed. '
                'Leave horizon out, or pass unit="user".'
            )
        if not self.after and (self.unit == "user" or self.within is not None):
            raise ParameterError(
                'after=False takes the goal anywhere in a session: it needs unit="session" and no within.'
            )

    @property
    def counts_open(self) -> bool:
        """Whether units that could still convert are open, not abandoned."""
        return (self.open_paths or ("censor" if self.unit == "user" else "end")) == "censor"

    @property
    def goal_and_start(self) -> tuple[MatchLike, ...]:
        """What is meant by the goal, and by the start if there is one."""
        return (self.goal,) if self.start is None else (self.goal, self.start)

    def check(self, context: Context) -> None:
        """Refuse goals and starts that the journeys do not have."""
        check_matches(
            [as_match(each, "goal") for each in self.goal_and_start], self.of, self.missing, context
        )

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count one shard of users."""
        return _Tally(self, shard, cells).tables()

    def answer(self, tables: Tables, context: Context) -> AbandonmentAnswer:
        """Turn counts into rates with intervals."""
        return abandonment_of(self, tables, context)


class _Tally:
    """The counting of one shard."""

    def __init__(self, statistic: Abandonment, shard: Journeys, cells: Cells) -> None:
        from journeykit.kernels.outcomes import conversion as kernels

        self.kernels, self.statistic, self.shard = kernels, statistic, shard
        self.walk = walk = Walk(shard, cells, statistic.of, statistic.unit)
        self.codes, (self.goals, *origins) = walk.fitting(*statistic.goal_and_start)
        self.origins = origins[0] if origins else np.ones_like(self.goals)
        self.quiet = longest_silence(shard, statistic.unit, statistic.horizon)
        self.within = longest(statistic.within, "within")
        paths = walk.paths
        self.origin, self.goal = np.empty(paths.n_paths, np.int64), np.empty(paths.n_paths, np.int64)
        self.resumed = np.empty(paths.n_paths, np.bool_)
        kernels.follow_units(
            paths.starts, paths.ends, walk.states, self.codes, paths.times, self.origins, self.goals,
            (walk.by_run, self.within, self.quiet, not statistic.after), self.origin, self.goal, self.resumed,
        )  # fmt: skip
        self.reached = self.origin >= 0
        self.unconverted = self.reached & (self.goal < 0)
        self.silence = shard.observed_until - walk.last_times
        self.over = shard.observed_until - paths.times[self.origin] >= self.within
        self.ended = (self.silence > self.quiet) | self.over
        self.lost = self.unconverted & (self.ended if statistic.counts_open else True)

    def tables(self) -> Tables:
        """Return all tables of the tally."""
        return {
            UNITS_TABLE: self._units(),
            "horizons": self._horizons(),
            "losses": pl.concat(self._losses()),
            "times": self._times(),
        }

    def _units(self) -> pl.DataFrame:
        converted = self.reached & (self.goal >= 0)
        marks = {
            "reached": self.reached,
            "converted": converted,
            "abandoned": self.lost,
            "expired": self.lost & self.over,
            "unfinished": self.unconverted & ~self.ended,
            "resumed": self.resumed,
        }
        sums = {name: self._count(marked) for name, marked in marks.items()}
        people = {
            "users_reached": self.reached,
            "users_resolved": self.lost | converted,
            "users_lost": self.lost,
        }
        sums |= {name: self.walk.users_per_cell(marked) for name, marked in people.items()}
        units = self.walk.units()
        cells = units[CELL].to_numpy()
        columns = {name: each[cells] for name, each in sums.items()}
        return units.with_columns(**columns, quiet_max=np.full(cells.size, self.quiet))

    def _count(self, marked: Bools) -> Int64s:
        """Count marked units per cell."""
        return np.bincount(self.walk.cells[marked], minlength=self.walk.cell_count)

    def _horizons(self) -> pl.DataFrame:
        """Count the abandoned as they would be with other horizons. D5.3."""
        factors = HORIZONS if self.statistic.unit == "user" else ()
        reached, converted = self._count(self.reached), self._count(self.reached & (self.goal >= 0))
        abandoned = []
        for factor in factors:
            gone = self.silence * 4 >= (self.quiet + 1) * factor
            abandoned.append(
                self._count(self.unconverted & (gone | self.over | (not self.statistic.counts_open)))
            )
        return pl.DataFrame(
            {
                CELL: np.tile(np.arange(reached.size, dtype=np.int32), len(factors)),
                "factor": np.repeat(np.array(factors, np.int32), reached.size),
                "reached": np.tile(reached, len(factors)),
                "converted": np.tile(converted, len(factors)),
                "abandoned": np.concatenate([np.empty(0, np.int64), *abandoned]),
            }
        )

    def _losses(self) -> list[pl.DataFrame]:
        """Count the abandoned by where they were last, and the units that reached each such state. D5.5."""
        shard, unit = self.shard, self.statistic.unit
        tables = [self._losses_by(LAST_EVENT, shard.states("event", unit), len(shard.names))]
        if shard.staged is None:
            return tables
        tables.append(self._losses_by(LAST_STAGE, shard.states("stage", unit), len(shard.stage_names) + 1))
        return [*tables, self._losses_by_furthest()]

    def _losses_by(self, kind: int, states: Codes, size: int) -> pl.DataFrame:
        walk, counted = self.walk, CountingRows.make(self.walk.cell_count * size, self.walk.n_events)
        self.kernels.count_losses(
            walk.paths.ends, states, self.origin, self.lost, walk.owners, walk.cells, size,
            counted.keys, counted.rows, counted.table,
        )  # fmt: skip
        keys, rows = counted.found()
        return _loss_table(kind, keys, size, rows[:, 0], rows[:, 1], rows[:, 3])

    def _losses_by_furthest(self) -> pl.DataFrame:
        """Count units by the furthest stage they have; who is further has reached the ones before too."""
        shard, size = self.shard, len(self.shard.stage_names) + 1
        assert shard.furthest_stage_codes is not None
        last = self.walk.paths.ends - 1
        if self.statistic.unit == "user" and shard.time_order is not None:
            last = shard.time_order[last]
        units = self.walk.frame(stage=shard.furthest_stage_codes[last].astype(np.int64), lost=self.lost)
        units = units.filter(pl.Series(self.reached)).with_columns(key=pl.col(CELL).cast(pl.Int64) * size)
        users = units.group_by("key", "user").agg(pl.col("stage").max())
        cells = self.walk.cell_count
        keys, user_keys = ((frame["key"] + frame["stage"]).to_numpy() for frame in (units, users))
        reached, further = (
            _at_least(np.bincount(each, minlength=cells * size), size) for each in (keys, user_keys)
        )
        lost = np.bincount(keys, units["lost"].cast(pl.Int64).to_numpy(), cells * size).astype(np.int64)
        met = np.flatnonzero(reached)
        return _loss_table(FURTHEST_STAGE, met, size, reached[met], lost[met], further[met])

    def _times(self) -> pl.DataFrame:
        """Count the episodes per outcome and time it took. D5.4, D14."""
        statistic = self.statistic
        # With the goal anywhere in the session there is no time from the start to it.
        origin = self.origin if statistic.after else np.full_like(self.origin, -1)
        return episode_times(
            self.shard, self.walk, (self.codes, self.origins, self.goals, origin), self.within, self.quiet,
            every=statistic.episodes == "all", resolution=microseconds(statistic.resolution, "resolution"),
        )  # fmt: skip


def _at_least(counts: Int64s, size: int) -> Int64s:
    """Turn counts of each of `size` ranks into counts of that rank or higher."""
    higher: Int64s = counts.reshape(-1, size)[:, ::-1].cumsum(axis=1)[:, ::-1].reshape(-1)
    return higher


def _loss_table(
    kind: int, keys: Int64s, size: int, reached: Int64s, lost: Int64s, users: Int64s
) -> pl.DataFrame:
    return pl.DataFrame(
        {
            CELL: (keys // size).astype(np.int32),
            "kind": np.full(keys.size, kind, np.int32),
            "state": (keys % size).astype(np.int32),
            "reached": reached,
            "abandoned": lost,
            "users": users,
        }
    )
