"""StageHazard: after how many events in a stage units go on, go back or give up. DEFINITIONS D14.5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError
from journeykit.journeys.journeys import Journeys
from journeykit.paths import Unit
from journeykit.protocol import CELL, Cells, Context, Tables
from journeykit.statistics.base import UNITS_TABLE, Answer, Grouped, Statistic, groups_per_cell, with_rate
from journeykit.statistics.checks import check_choices
from journeykit.statistics.goals import longest, state_names
from journeykit.statistics.stage_flow.visiting import StageVisits
from journeykit.statistics.units import count_units
from journeykit.support.durations import Duration

OUTCOMES = ("advanced", "regressed", "looped", "abandoned")


@dataclass(frozen=True, eq=False, repr=False)
class StageHazardAnswer(Answer):
    """Of those who have had so many events in a stage, how many leave it then; described in `StageHazard`."""

    shown: ClassVar[Sequence[str]] = (
        "stage",
        "event",
        "at_risk",
        "advanced_hazard",
        "regressed_hazard",
        "abandoned_hazard",
        "abandoned_hazard_low",
        "abandoned_hazard_high",
    )


@dataclass(frozen=True)
class StageHazard(Statistic[StageHazardAnswer]):
    """Follow units through their events in each stage: when do they go on, go back, or give up? D14.5.

    Parameters
    ----------
    unit : {"user", "session"}
        Who goes through the stages.
    horizon : str or timedelta, optional
        With users: the silence after which a user has given up. Without it every user has, where it was seen last.
        Sessions give up by their timeout.
    max_events : int
        Up to which event in a stage is counted; a note says how much lies beyond.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take. When measured: if the journeys have no stages.

    See Also
    --------
    TimeToConvert : The same by time: `hazard("1d")` of its answer.

    Notes
    -----
    The answer's frame has one row per stage and number of ``event`` that somebody had in it (per segment and period):

    ``at_risk``, ``users``
        Units with at least so many events in the stage, all their visits together, and their distinct users.
    ``advanced``, ``regressed``, ``looped``, ``abandoned``
        Those of them that left the stage right after this event: for a later stage, for an earlier one, along a
        declared loop (D6.4), or for good. Units that may still go on are at risk at their last event, and leave by
        none.
    ``advanced_hazard``, ``advanced_hazard_low``, ``advanced_hazard_high`` ...
        Each divided by those at risk; the four together are at most 1.

    Events that belong to no stage count for the stage that the unit is in (D6.3). Users have Wilson's interval,
    sessions that of the jackknife. Two passes, O(n).

    References
    ----------
    Kalbfleisch & Prentice 2002, The Statistical Analysis of Failure Time Data.

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({
    ...     "user": [1, 1, 1, 2, 3, 3],
    ...     "time": [0, 10, 40, 5, 7, 9],
    ...     "event": ["see", "see", "buy", "see", "see", "buy"],
    ... })
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> model = jk.StageModel([jk.Stage("look", "see"), jk.Stage("own", "buy")])
    >>> hazard = journeys.assign_stages(model).measure(StageHazard())
    >>> hazard.frame.select("stage", "event", "at_risk", "advanced", "abandoned", "advanced_hazard").rows()
    [('look', 1, 3, 1, 1, 0.3333333333333333), ('look', 2, 1, 1, 0, 1.0), ('own', 1, 2, 0, 2, 0.0)]
    """

    unit: Unit = "user"
    horizon: Duration | None = None
    max_events: int = 20

    tables: ClassVar[Mapping[str, Sequence[str]]] = {"events": ("stage", "event"), UNITS_TABLE: ()}

    def __post_init__(self) -> None:
        check_choices(self)
        longest(self.horizon, "horizon")
        if self.horizon is not None and self.unit == "session":
            raise ParameterError(
                'horizon is for unit="user": a session has ended when its own timeout has passed. '
                'Leave horizon out, or pass unit="user".'
            )
        if not isinstance(self.max_events, int) or not 1 <= self.max_events <= 1000:
            raise ParameterError(
                f"max_events must be a whole number from 1 to 1000, not {self.max_events!r}."
            )

    def check(self, context: Context) -> None:
        """Refuse journeys without stages."""
        if not context.stages:
            raise ParameterError("StageHazard needs stages. Call assign_stages(model) first.")

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count who is at risk and who leaves at every event of one shard."""
        from journeykit.kernels.stages import hazard as kernels

        walked = StageVisits.of(shard, self.unit)
        paths, visits = walked.paths, walked.visits
        # One event more than is shown: who comes so far is told in a note.
        own, size, most = cells.of(paths, self.unit), len(shard.stage_names), self.max_events + 1
        still_open = shard.open_paths(self.unit, self.horizon)
        rows = np.zeros((cells.count * size * most, kernels.COLUMNS), np.int64)
        kernels.count_leaving(
            paths.user_paths, visits.first, visits.starts, visits.ends, visits.stages, walked.kinds, still_open, own,
            (size, most), rows,
        )  # fmt: skip
        return {
            "events": _events(rows, size, most),
            UNITS_TABLE: count_units(paths, own, np.diff(visits.first) > 0),
        }

    def answer(self, tables: Tables, context: Context) -> StageHazardAnswer:
        """Divide those who leave by those at risk."""
        counted, groups = Grouped(tables["events"], ("stage", "event")), groups_per_cell(tables)
        frame, at_risk = counted.totals, counted.sums("at_risk")
        context = self._noted(frame, context)
        users, rows = frame["users"].to_numpy(), np.arange(frame.height)
        for name in OUTCOMES:
            frame = with_rate(
                frame, f"{name}_hazard", counted.sums(name), at_risk, rows, groups, users, context,
                once=self.unit == "user",
            )  # fmt: skip
        names = state_names("stage", context)
        frame = frame.filter(pl.col("event") <= self.max_events)
        return StageHazardAnswer(
            context.label(frame.with_columns(names.gather(frame["stage"]).alias("stage"))), self, context
        )

    def _noted(self, frame: pl.DataFrame, context: Context) -> Context:
        """Say how many units have more events in a stage than are shown."""
        beyond = int(frame.filter(pl.col("event") > self.max_events)["at_risk"].sum())
        if not beyond:
            return context
        note = f"{beyond:,} times a {self.unit} has more events in a stage than max_events={self.max_events} shows."
        return replace(context, notes=(*context.notes, note))


def _events(rows: npt.NDArray[np.int64], size: int, most: int) -> pl.DataFrame:
    """List the counts of every cell, stage and event that some unit had."""
    from journeykit.kernels.stages import hazard as kernels
    from journeykit.kernels.stages.stages import ADVANCE, LOOP_MOVE, REGRESS, SKIP

    seen = np.flatnonzero(rows[:, kernels.AT_RISK])
    counts = rows[seen]
    kind = counts[:, kernels.LEAVING : kernels.LAST_USER]
    return pl.DataFrame(
        {
            CELL: (seen // (size * most)).astype(np.int32),
            "stage": (seen // most % size + 1).astype(np.int32),
            "event": (seen % most + 1).astype(np.int32),
            "at_risk": counts[:, kernels.AT_RISK],
            "users": counts[:, kernels.USERS],
            "advanced": kind[:, ADVANCE] + kind[:, SKIP],
            "regressed": kind[:, REGRESS],
            "looped": kind[:, LOOP_MOVE],
            "abandoned": kind[:, 0],
        }
    )
