"""Propensity: how likely each user is to convert or to stay away, and which next step goes with most. D5, D10, D12."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError
from journeykit.journeys.journeys import Journeys
from journeykit.models.chains.chain import Chain
from journeykit.models.chains.making import ABANDON, CONVERT, START
from journeykit.models.people.outlook import (
    PREDICTED,
    PREDICTIONS,
    SITUATION,
    Outlook,
    accuracy_of,
    calibration_of,
    held_out,
)
from journeykit.patterns.matchers import MatchLike, as_match, check_matches
from journeykit.protocol import CELL, GROUP, Cells, Context, Tables, sum_rows
from journeykit.statistics.base import Answer, Statistic
from journeykit.statistics.checks import check_choices
from journeykit.statistics.features import USER, UserRows
from journeykit.statistics.goals import as_goal, state_names
from journeykit.support.durations import Duration, microseconds
from journeykit.support.unknown_names import Missing

Int64s = npt.NDArray[np.int64]
FEWEST_MOVES = 5
SHARES_OF_HORIZON = (64, 16, 4, 1)
MOST_ACTIVITY = 4


@dataclass(frozen=True, eq=False, repr=False)
class PropensityAnswer(Answer):
    """A row per user, to be imported where campaigns are made.

    Attributes
    ----------
    frame : polars.DataFrame
        One row per user, by id: ``user``, jackknife ``group``; ``state``: their last event, and their ``stage`` (null
        without stages); ``silence``: seconds since then; ``conversion_probability``: of a goal within the horizon,
        with ``low`` and ``high``; ``abandonment_risk``: of no event at all within it; ``next_step``: which of the
        states that follow theirs goes with the largest chance of ever converting, its ``next_step_conversion``, by how
        much that is more than in their state (``next_step_gain``), and the share of moves that take it
        (``next_step_share``). Null where no step gains.
    calibration : polars.DataFrame
        One row per tenth of predicted probability, of users that the prediction was not made from: ``users``, mean
        ``predicted`` and ``observed`` share, with Wilson's interval.
    accuracy : polars.DataFrame
        Of the same users: ``users``, ``converted``; ``brier``, the mean squared error, and ``brier_of_mean``, that of
        saying the overall rate of everybody; ``auc``, the chance that of two users the one who converts ranks higher.
    """

    calibration: pl.DataFrame
    accuracy: pl.DataFrame

    shown: ClassVar[Sequence[str]] = (
        "user", "state", "silence", "conversion_probability", "low", "high", "abandonment_risk", "next_step",
    )  # fmt: skip


@dataclass(frozen=True)
class Propensity(Statistic[PropensityAnswer]):
    """Predict for every user whether they convert soon, or do not come back, and what could help.

    Parameters
    ----------
    goal : str, sequence of str, polars expression, Pattern or Match
        What a success is; also a second one, for those who had one.
    horizon : str or timedelta
        How far to look ahead.
    snapshots : int
        How many times in the past to learn from: at 1, 2, ... horizons before the end of the observation.
    missing : {"raise", "ignore", "warn"}
        Whether a goal that the log does not have is an error, or is never met. D0.9.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take.

    Notes
    -----
    At each snapshot, what is known of a user is reduced to a situation: the last state; the silence since (below 1/64,
    1/16, 1/4, 1 horizon, or longer); the events so far (1, 2-3, 4-7, 8-15, more); whether there was a goal. What
    happened within the next horizon is known. The rate of a situation leans on that of its state and silence, this on
    that of its state, this on that of all: each by ten users. Nothing is random. Intervals are by jackknife (D12.3).

    It is tested on users whose group 5 divides, at the last snapshot, predicted from the others; the table for use is
    then made from all. Next steps come from `Chain` over whole users up to their first goal; steps that were taken less
    than five times are left out. They go with conversion; whether pushing somebody there converts them, an
    `Experiment` tells.

    O(snapshots x n); 24 bytes per event for a moment; the answer has 100 bytes and the id per user.

    Examples
    --------
    >>> import journeykit as jk
    >>> paths = [["view", "cart", "buy"] if user % 4 else ["view"] for user in range(40)]
    >>> rows = [(user, 3_600 * t, event) for user, path in enumerate(paths) for t, event in enumerate(path)]
    >>> log = pl.DataFrame(rows, schema=["user", "time", "event"], orient="row")
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> found = journeys.measure(Propensity("buy", "1h", snapshots=2))
    >>> found.frame.select("state", "silence", "next_step").unique().sort("state").rows()
    [('buy', 0.0, None), ('view', 7200.0, 'cart')]
    """

    goal: MatchLike
    horizon: Duration
    snapshots: int = 4
    missing: Missing = "raise"

    def __post_init__(self) -> None:
        check_choices(self)
        object.__setattr__(self, "goal", as_goal(self.goal, "goal"))
        microseconds(self.horizon, "horizon")
        if type(self.snapshots) is not int or not 1 <= self.snapshots <= 100:
            raise ParameterError(f"snapshots must be a whole number from 1 to 100, not {self.snapshots!r}.")

    @property
    def chain(self) -> Chain:
        """The question that says which steps go with conversion."""
        return Chain(self.goal, unit="user", horizon=self.horizon, missing=self.missing)

    @property
    def tables(self) -> Mapping[str, Sequence[str]]:  # type: ignore[override]
        """The tables of a tally."""
        return {**self.chain.tables, "snapshots": ("latest", *SITUATION), "people": (USER,)}

    def check(self, context: Context) -> None:
        """Refuse goals that the journeys do not have."""
        check_matches([as_match(self.goal, "goal")], "event", self.missing, context)

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count situations and what came of them, list the users, and count moves."""
        rows, horizon = UserRows(shard, cells), microseconds(self.horizon, "horizon")
        hits = rows.fitting(as_match(self.goal, "goal"))
        past = []
        for i in range(1, self.snapshots + 1):
            moment = shard.observed_until - i * horizon
            seen, situation = _situation(rows, hits, moment, horizon)
            later = (rows.times > moment) & (rows.times <= moment + horizon)
            converted = rows.per_user((later & hits).astype(np.int64))[seen] > 0
            silent = rows.per_user(later.astype(np.int64))[seen] == 0
            latest = {"latest": np.full(seen.size, int(i == 1), np.int32)}
            outcome = {"users": np.ones(seen.size, np.int64), "converted": converted, "silent": silent}
            past.append(pl.DataFrame({CELL: rows.cells[seen], **latest, **situation, **outcome}))
        table = pl.concat(past).with_columns(pl.col("converted", "silent").cast(pl.Int64))
        seen, situation = _situation(rows, hits, shard.observed_until, horizon)
        people = pl.DataFrame({CELL: rows.cells[seen], USER: rows.ids.gather(pl.Series(seen)), **situation})
        last = rows.table().select(USER, "last", "stage")
        return {
            **self.chain.tally(shard, cells),
            "snapshots": sum_rows(table, [CELL, "latest", *SITUATION]),
            "people": people.join(last, on=USER, how="left", maintain_order="left"),
        }

    def answer(self, tables: Tables, context: Context) -> PropensityAnswer:
        """Turn counts into predictions, and test them."""
        people, past = tables["people"].sort(CELL, USER), tables["snapshots"]
        found = [pl.DataFrame(schema=PREDICTED)]
        calibration, accuracy = (
            [calibration_of(held_out(past.clear()), context)],
            [accuracy_of(held_out(past.clear())).clear()],
        )
        for (cell,), part in people.group_by(CELL, maintain_order=True):
            mine = past.filter(pl.col(CELL) == cell)
            outlook = Outlook.of(mine)
            situations = part.select(SITUATION).unique(maintain_order=True)
            found.append(
                outlook.predicted(situations, context.level).with_columns(pl.lit(cell, pl.Int32).alias(CELL))
            )
            others = held_out(mine)
            for parts, table in (
                (calibration, calibration_of(others, context)),
                (accuracy, accuracy_of(others)),
            ):
                parts.append(table.with_columns(pl.lit(cell, pl.Int32).alias(CELL)))
        frame = people.join(
            pl.concat(found, how="diagonal"), on=[CELL, *SITUATION], how="left", maintain_order="left"
        )
        names, stages = state_names("event", context), state_names("stage", context)
        frame = frame.with_columns(
            pl.lit(names).gather(pl.col("state")).alias("state"),
            pl.lit(stages).gather(pl.col("stage")).alias("stage"),
            ((pl.lit(context.observed_until, pl.Int64) - pl.col("last")) / 1e6).alias("silence"),
        )
        frame = frame.join(
            self._steps(tables, context), on=[CELL, "state"], how="left", maintain_order="left"
        )
        frame = frame.select(CELL, USER, GROUP, "state", "stage", "silence", *PREDICTIONS, *STEPS[2:])
        notes = ["A next step goes with conversion; whether it causes it, an experiment tells."]
        if past.is_empty():
            notes.append(
                "The log is no longer than the horizon: there is nothing to learn from, and no prediction."
            )
        return PropensityAnswer(
            context.label(frame), self, replace(context, notes=(*context.notes, *notes)),
            calibration=context.label(pl.concat(calibration)), accuracy=context.label(pl.concat(accuracy)),
        )  # fmt: skip

    def _steps(self, tables: Tables, context: Context) -> pl.DataFrame:
        """Return the next step of every state that goes with the largest chance of converting."""
        cells = pl.DataFrame({"part": np.arange(max(1, context.labels.height), dtype=np.int32)})
        chain = self.chain.answer(tables, replace(context, labels=cells))
        value = chain.states.select("part", "state", "conversion")
        edges = chain.frame.filter(
            ~pl.col("target").is_in([CONVERT, ABANDON]) & (pl.col("source") != START)
            & (pl.col("source") != pl.col("target")) & (pl.col("transitions") >= FEWEST_MOVES)
        )  # fmt: skip
        edges = edges.join(value, left_on=["part", "source"], right_on=["part", "state"])
        edges = edges.join(value, left_on=["part", "target"], right_on=["part", "state"], suffix="_next")
        edges = edges.with_columns((pl.col("conversion_next") - pl.col("conversion")).alias("gain"))
        best = edges.filter(pl.col("gain") > 0).sort(
            "part", "source", "gain", "target", descending=[False, False, True, False]
        )
        return best.unique(["part", "source"], keep="first", maintain_order=True).select(
            pl.col("part").cast(pl.Int32).alias(CELL), pl.col("source").alias("state"),
            pl.col("target").alias("next_step"), pl.col("conversion_next").alias("next_step_conversion"),
            pl.col("gain").alias("next_step_gain"), pl.col("probability").alias("next_step_share"),
        )  # fmt: skip


STEPS = (CELL, "state", "next_step", "next_step_conversion", "next_step_gain", "next_step_share")


def _situation(rows: UserRows, hits: Any, moment: int, horizon: int) -> tuple[Int64s, dict[str, Any]]:
    """Return the users who had an event up to a moment, and what was known of them then."""
    before = rows.times <= moment
    count = rows.per_user(before.astype(np.int64))
    seen = np.flatnonzero(count)
    last = (rows.starts + count - 1)[seen]
    silence = moment - rows.times[last]
    bounds = np.array([horizon // share for share in SHARES_OF_HORIZON])
    return seen, {
        "state": rows.codes[last].astype(np.int32),
        "quiet": np.searchsorted(bounds, silence, side="right").astype(np.int32),
        "activity": np.minimum(np.log2(count[seen]).astype(np.int32), MOST_ACTIVITY),
        "converted_before": (rows.per_user((before & hits).astype(np.int64))[seen] > 0).astype(np.int32),
    }
