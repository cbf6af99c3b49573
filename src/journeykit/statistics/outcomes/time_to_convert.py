"""How long it takes to convert, for those too who have not done so yet. DEFINITIONS D14."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl

from journeykit.errors import ParameterError, suggestion
from journeykit.journeys.journeys import Journeys
from journeykit.paths import Unit
from journeykit.patterns.matchers import MatchLike, as_match, check_matches
from journeykit.protocol import CELL, GROUP, Cells, Context, Tables
from journeykit.statistics.base import UNITS_TABLE, Statistic
from journeykit.statistics.checks import check_choices
from journeykit.statistics.distribution import checked_quantiles
from journeykit.statistics.goals import NEVER, Of, Walk, as_goal, longest, longest_silence
from journeykit.statistics.outcomes.episodes import episode_times
from journeykit.statistics.outcomes.time_to_convert_answer import TimeToConvertAnswer, survival_answer
from journeykit.support.durations import Duration, microseconds
from journeykit.support.unknown_names import Missing


@dataclass(frozen=True)
class TimeToConvert(Statistic[TimeToConvertAnswer]):
    """Follow units from a start until they convert, give up, or are no longer observed. D14.

    Parameters
    ----------
    goal : str, sequence of str, Match, Pattern or expression
        Events or stages of which any is a success.
    start : str, sequence of str, Match, Pattern or expression, optional
        Where the clock starts: a unit's first such event or stage; without it, its first event. The goal must come
        strictly later.
    of : {"event", "stage"}
        What `goal` and `start` are. Arriving at a stage means a visit that begins (D6.4).
    unit : {"user", "session"}
        Who converts.
    horizon : str or timedelta, optional
        With users: the silence after which a user has given up, which then competes with conversion. Without it nobody
        gives up: who has not converted is censored at the end of the observation. Sessions give up by their timeout.
    within : str or timedelta, optional
        Who has not converted after so long is censored then.
    by : {"time", "step"}
        Whether the clock counts time, or events after the start.
    quantiles : sequence of float
        Of all units, not only those that converted: when has this share converted?
    resolution : str or timedelta
        Times are rounded up to multiples of this.
    missing : {"raise", "ignore", "warn"}
        What to do about names that the log does not have. D0.9.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take.

    Notes
    -----
    The answer's frame has one row (per segment and period):

    ``reached``, ``users``
        Units with a start, and their distinct users.
    ``converted``, ``abandoned``, ``censored``
        What became of them first; they add up to ``reached``.
    ``time_median`` ...
        When half of all (or another share) have converted, in seconds (by step: events), with Woodruff bounds;
        infinite where it is not reached. Without `horizon` that is Kaplan and Meier's median.

    Users have the formulas' own variance (Greenwood's, and the delta method's), symmetric for log(-log); sessions the
    jackknife. At equal times outcomes come before censorings. One pass, O(n), and a sort of the times of each shard.

    References
    ----------
    Kaplan & Meier 1958; Aalen & Johansen 1978; Putter, Fiocco & Geskus 2007.

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame(
    ...     {"user": [1, 1, 2, 3, 3], "time": [0, 60, 5, 10, 20], "event": ["see", "buy", "see", "see", "buy"]}
    ... )
    >>> events = jk.read_events(log, user="user", time="time", event="event", unit="s")
    >>> answer = events.sessionize("30m").measure(TimeToConvert("buy", "see"))
    >>> answer.frame.select("reached", "converted", "abandoned", "censored", "time_median").rows()
    [(3, 2, 0, 1, 60.0)]
    """

    goal: MatchLike
    start: MatchLike | None = None
    of: Of = "event"
    unit: Unit = "user"
    horizon: Duration | None = None
    within: Duration | None = None
    by: Literal["time", "step"] = "time"
    quantiles: Sequence[float] = (0.5,)
    resolution: Duration = "1s"
    missing: Missing = "raise"

    tables: ClassVar[Mapping[str, Sequence[str]]] = {UNITS_TABLE: (), "times": ("outcome", "time")}

    def __post_init__(self) -> None:
        check_choices(self, by=("time", "step"))
        object.__setattr__(self, "goal", as_goal(self.goal, "goal"))
        if self.start is not None:
            object.__setattr__(self, "start", as_goal(self.start, "start"))
        object.__setattr__(self, "quantiles", checked_quantiles(self.quantiles))
        longest(self.horizon, "horizon")
        longest(self.within, "within")
        microseconds(self.resolution, "resolution")
        if self.unit == "session" and self.horizon is not None:
            raise ParameterError(
                'horizon is for unit="user": a session has ended when its own timeout has passed. '
                'Leave horizon out, or pass unit="user".'
            )

    @property
    def goal_and_start(self) -> tuple[MatchLike, ...]:
        """What is meant by the goal, and by the start if there is one."""
        return (self.goal,) if self.start is None else (self.goal, self.start)

    def check(self, context: Context) -> None:
        """Refuse goals and starts that the journeys do not have."""
        matches = [as_match(each, "goal") for each in self.goal_and_start]
        check_matches(matches, self.of, self.missing, context)

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the units of one shard by what became of them, and when."""
        from journeykit.kernels.outcomes.conversion import follow_units

        walk = Walk(shard, cells, self.of, self.unit)
        codes, (goals, *starts) = walk.fitting(*self.goal_and_start)
        origins = starts[0] if starts else np.ones_like(goals)
        within, quiet = longest(self.within, "within"), NEVER
        if self.unit == "session" or self.horizon is not None:
            quiet = longest_silence(shard, self.unit, self.horizon)
        paths = walk.paths
        origin, goal = np.empty(paths.n_paths, np.int64), np.empty(paths.n_paths, np.int64)
        follow_units(
            paths.starts, paths.ends, walk.states, codes, paths.times, origins, goals,
            (walk.by_run, within, quiet, False), origin, goal, np.empty(paths.n_paths, np.bool_),
        )  # fmt: skip
        times = episode_times(
            shard, walk, (codes, origins, goals, origin), within, quiet, every=False,
            resolution=microseconds(self.resolution, "resolution"), by_step=self.by == "step",
        )  # fmt: skip
        reached = origin >= 0
        counts = np.bincount(walk.cells[reached], minlength=walk.cell_count)
        some = np.flatnonzero(counts)
        units = {"reached": counts[some], "users": walk.users_per_cell(reached)[some]}
        return {UNITS_TABLE: pl.DataFrame({CELL: some.astype(np.int32), **units}), "times": times}

    def answer(self, tables: Tables, context: Context) -> TimeToConvertAnswer:
        """Turn counts per time into curves."""
        scale = None if self.by == "step" else microseconds(self.resolution, "resolution") / 1e6
        notes = []
        if self.unit == "user" and self.horizon is None:
            notes.append("Without a horizon nobody gives up: who has not converted is censored.")
        context = replace(context, notes=(*context.notes, *notes))
        return survival_answer(self, tables, context, scale, own_variance=self.unit == "user")

    @classmethod
    def of_durations(
        cls,
        table: Any,
        duration: str = "duration",
        outcome: str = "outcome",
        *,
        by: str | None = None,
        quantiles: Sequence[float] = (0.5,),
        level: float = 0.95,
    ) -> TimeToConvertAnswer:
        """Take durations that are known already, one row per unit.

        Parameters
        ----------
        table : polars.DataFrame or anything that polars can read
            One row per unit, each of another user.
        duration : str
            The column of numbers from 0 on, in any unit; the answer is in the same unit.
        outcome : str
            The column of what came then: 1 or true for conversion, 2 for giving up, 0 or false for censored.
        by : str, optional
            A column of segments.
        quantiles : sequence of float
            As of `TimeToConvert`.
        level : float
            Of the intervals.

        Returns
        -------
        TimeToConvertAnswer
            As from journeys.

        Raises
        ------
        ParameterError
            If a column is missing, or holds something else.

        Examples
        --------
        >>> table = pl.DataFrame({"duration": [2, 3, 3, 8], "outcome": [1, 1, 0, 1]})
        >>> TimeToConvert.of_durations(table).curve.select("time", "at_risk", "unresolved").rows()
        [(2.0, 4, 0.75), (3.0, 3, 0.5), (8.0, 1, 0.0)]
        """
        frame = table if isinstance(table, pl.DataFrame) else pl.DataFrame(table)
        for name in (duration, outcome, by):
            if name is not None and name not in frame.columns:
                raise ParameterError(
                    f"no column {name!r} in the table of durations. {suggestion(name, frame.columns)}"
                )
        rows = frame.select(time=_times(frame[duration]), outcome=_outcomes(frame[outcome]))
        labels = pl.DataFrame([{}]) if by is None else frame.select(pl.col(by).unique().sort(nulls_last=True))
        cell = pl.Series(np.zeros(rows.height, np.int32))
        if by is not None:
            known = labels.with_row_index(CELL)
            cell = frame.select(by).join(known, on=by, how="left", nulls_equal=True, maintain_order="left")[
                CELL
            ]
        rows = rows.with_columns(cell.cast(pl.Int32).alias(CELL), pl.lit(0, pl.UInt8).alias(GROUP))
        count = pl.len().cast(pl.Int64)
        tables = {
            "times": rows.group_by(CELL, GROUP, "outcome", "time").agg(count.alias("count")),
            UNITS_TABLE: rows.group_by(CELL, GROUP).agg(count.alias("reached"), count.alias("users")),
        }
        context = Context(
            names=pl.Series([], dtype=pl.String), stages=(), labels=labels, observed_from=0, observed_until=0,
            tz="UTC", n_users=rows.height, n_sessions=0, n_events=0, tied_pairs=0, level=level,
        )  # fmt: skip
        statistic = cls(outcome, duration, quantiles=quantiles)
        return survival_answer(statistic, tables, context, None, own_variance=True)


def _times(column: pl.Series) -> pl.Series:
    if (
        not column.dtype.is_numeric()
        or column.null_count()
        or (column.cast(pl.Float64).fill_nan(-1) < 0).any()
    ):
        raise ParameterError(f"the column {column.name!r} must hold numbers from 0 on, without nulls.")
    return column.cast(pl.Float64)


def _outcomes(column: pl.Series) -> pl.Series:
    if column.dtype == pl.Boolean:
        column = column.cast(pl.Int32)
    if not column.dtype.is_numeric() or column.null_count() or not column.is_in([0, 1, 2]).all():
        raise ParameterError(
            f"the column {column.name!r} must hold 0 (censored), 1 (converted) or 2 (abandoned), without nulls."
        )
    return column.cast(pl.Int32)
