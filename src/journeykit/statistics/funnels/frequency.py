"""How often something happens between two steps of a funnel. DEFINITIONS D7.11."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import polars as pl

from journeykit.errors import ParameterError
from journeykit.journeys.journeys import Journeys
from journeykit.patterns.matchers import Match, MatchLike, as_match, check_matches, symbols_of
from journeykit.protocol import CELL, GROUP, Cells, Context, Tables, sum_rows
from journeykit.statistics.base import (
    Answer,
    Grouped,
    Statistic,
    groups_of_rows,
    place_of,
    with_floats,
    with_rate,
)
from journeykit.statistics.distribution import Distribution, checked_quantiles, column_names
from journeykit.statistics.funnels.funnel import Funnel
from journeykit.statistics.funnels.machine import Machine
from journeykit.statistics.funnels.runs import Runner, Runs
from journeykit.statistics.goals import Int64s, Walk


@dataclass(frozen=True, eq=False, repr=False)
class FrequencyAnswer(Answer):
    """How often something happens between two steps, one row per segment and period.

    Attributes
    ----------
    frame : polars.DataFrame
        Its columns are described in `FunnelFrequency`.
    distribution : polars.DataFrame
        How many units it happened to how often: ``occurrences``, ``units``, after the columns of segments and periods.
    """

    distribution: pl.DataFrame

    shown: ClassVar[Sequence[str]] = (
        "event", "from_name", "to_name", "units", "occurrences", "share_with", "mean", "mean_low", "mean_high",
        "median", "max",
    )  # fmt: skip


@dataclass(frozen=True)
class FunnelFrequency(Statistic[FrequencyAnswer]):
    """Count how often an event happens between two steps of a funnel, per unit that made both. D7.11.

    Parameters
    ----------
    funnel : Funnel
        Whose runs are looked at. It has no breakdown: ask by segment with ``by=``.
    event : str, sequence of str, polars expression, Pattern or Match
        What is counted: any of these.
    after, before : int
        The two steps, counted from 1; from the first to the last required one by default.
    quantiles : sequence of float
        Which percentiles of the number per unit to compute; 0.5 is the median.

    Raises
    ------
    ParameterError
        If `funnel` is no funnel or has a breakdown, `event` says no event, or the steps are not two of the funnel in
        order.

    See Also
    --------
    Funnel : The rates themselves.
    FunnelCorrelation : Whether something happens at all, and what goes with it.

    Notes
    -----
    The answer's frame has one row, or one per segment and period (of the run's first step):

    ``event``, ``from_step``, ``to_step``, ``from_name``, ``to_name``
        What is counted, and between which steps.
    ``units``, ``users``
        Units (or runs of totals) whose run that counts made both steps, and their distinct users.
    ``occurrences``
        Of the event after the one step and before the other, by the tie rule of the funnel (D7.3). Events that made a
        step of the run do not count.
    ``units_with``, ``share_with``
        Units to which it happened at least once, and their share, with its interval.
    ``mean``, ``median``, ``p90`` ..., ``min``, ``max``
        Occurrences per unit, with intervals: the jackknife's of the mean (D12.3), Woodruff's of percentiles (D12.5).

    All figures of occurrences are null where no unit made both steps. One pass over the events between the steps,
    besides what the funnel costs; per shard as many rows as there are different numbers.

    References
    ----------
    Mixpanel documentation, "Funnels: frequency".

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({
    ...     "user": [1, 1, 1, 1, 2, 2],
    ...     "time": [0, 1, 2, 3, 0, 1],
    ...     "event": ["view", "search", "search", "buy", "view", "buy"],
    ... })
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> answer = journeys.measure(jk.FunnelFrequency(jk.Funnel(["view", "buy"], within="1d"), "search"))
    >>> answer.frame.select("units", "occurrences", "units_with", "mean", "max").rows()
    [(2, 2, 1, 1.0, 2)]
    >>> answer.distribution.rows()
    [(0, 1), (2, 1)]
    """

    funnel: Funnel
    event: MatchLike
    after: int = 1
    before: int | None = None
    quantiles: Sequence[float] = (0.5,)

    def __post_init__(self) -> None:
        if not isinstance(self.funnel, Funnel):
            raise ParameterError(f"funnel must be a Funnel, not {self.funnel!r}.")
        if self.funnel.breakdown is not None:
            raise ParameterError(
                f"the funnel has breakdown={self.funnel.breakdown!r}, which a frequency does not know. Leave it out, "
                f"and ask by segment: measure(..., by={self.funnel.breakdown!r})."
            )
        object.__setattr__(self, "event", as_match(self.event, "event"))
        object.__setattr__(self, "quantiles", checked_quantiles(self.quantiles))
        made = self.funnel.made
        last = max(k for k, step in enumerate(made, 1) if not step.optional)
        before = last if self.before is None else self.before
        if (
            type(self.after) is not int
            or type(before) is not int
            or not 1 <= self.after < before <= len(made)
        ):
            raise ParameterError(
                f"a frequency is counted between two steps from 1 to {len(made)}, the first before the second: "
                f"after={self.after!r}, before={before!r} are none."
            )
        object.__setattr__(self, "before", before)

    @property
    def match(self) -> Match:
        """What is counted."""
        assert isinstance(self.event, Match)
        return self.event

    @property
    def ends(self) -> tuple[int, int]:
        """The two steps, from 0."""
        return self.after - 1, (self.before or 0) - 1

    @property
    def _percentiles(self) -> list[str]:
        """The columns of the percentiles."""
        return [name.removeprefix("_") for name in column_names(self.quantiles, "")]

    @property
    def tables(self) -> Mapping[str, Sequence[str]]:  # type: ignore[override]
        """The tables of a tally."""
        return {"between": (), "numbers": ("occurrences",)}

    def check(self, context: Context) -> None:
        """Refuse what the funnel refuses, and an event that the journeys do not have."""
        self.funnel.check(context)
        check_matches([self.match], self.funnel.of, self.funnel.missing, context)

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count what lies between the steps of the runs of one shard."""
        counting = _Counting(self, shard, cells)
        for runs in counting.runner.runs():
            counting.add(runs)
        return {"between": counting.between(), "numbers": counting.numbers()}

    def answer(self, tables: Tables, context: Context) -> FrequencyAnswer:
        """Turn counts into means, percentiles and shares with intervals."""
        between = Grouped(tables["between"], ())
        some = tables["between"].filter(pl.col("units") > 0)
        groups = dict(some.group_by(CELL).agg(pl.col(GROUP).n_unique().cast(pl.Int64)).iter_rows())
        frame = between.totals
        rows, units, users = np.arange(frame.height), between.sums("units"), frame["users"]
        some_in, once = between.sums("units_with"), self.funnel.counts_users_once
        frame = with_rate(frame, "share_with", some_in, units, rows, groups, users, context, once=once)
        frame = with_rate(
            frame, "mean", between.sums("occurrences"), units, rows, groups, users, context, scale="identity"
        )
        frame = self._with_percentiles(frame, tables["numbers"], groups, context)
        counted = sum_rows(tables["numbers"], [CELL, "occurrences"]).rename({"count": "units"})
        distribution = context.label(counted.sort(CELL, "occurrences"))
        return FrequencyAnswer(context.label(self._named(frame)), self, context, distribution)

    def _with_percentiles(
        self, frame: pl.DataFrame, numbers: pl.DataFrame, groups: Mapping[int, int], context: Context
    ) -> pl.DataFrame:
        """Add percentiles with Woodruff intervals, the least and the most. D12.5."""
        taken = Distribution.of(frame.height, place_of(numbers, frame, [CELL]), numbers, "occurrences")
        present = groups_of_rows(frame[CELL], groups)
        for q, name in zip(self.quantiles, self._percentiles, strict=True):
            value = taken.quantile(q)
            low, high = taken.bounds(value, present, context.level, frame["users"].to_numpy())
            frame = with_floats(frame, {name: value, f"{name}_low": low, f"{name}_high": high})
        ends = numbers.group_by(CELL).agg(
            pl.col("occurrences").min().alias("min"), pl.col("occurrences").max().alias("max")
        )
        return frame.join(ends, on=CELL, how="left", maintain_order="left")

    def _named(self, frame: pl.DataFrame) -> pl.DataFrame:
        steps = [self.funnel.made[k].title for k in self.ends]
        means = ["share_with", "mean", *self._percentiles]
        return frame.select(
            CELL, pl.lit(self.match.title).alias("event"), pl.lit(self.ends[0] + 1, pl.Int64).alias("from_step"),
            pl.lit(self.ends[1] + 1, pl.Int64).alias("to_step"), pl.lit(steps[0]).alias("from_name"),
            pl.lit(steps[1]).alias("to_name"), "units", "users", "occurrences", "units_with",
            *(f"{name}{end}" for name in means for end in ("", "_low", "_high")), "min", "max",
        )  # fmt: skip


class _Counting:
    """The tables of one shard."""

    def __init__(self, question: FunnelFrequency, shard: Journeys, cells: Cells) -> None:
        funnel = question.funnel
        self.ends, self.cells = question.ends, cells
        self.walk = Walk(shard, cells, funnel.of, funnel.container)
        self.machine = Machine(funnel, funnel.rules.ties)
        self.segments = cells.segments(self.walk.paths, funnel.container).astype(np.int64)
        self.runner = Runner(self.machine, shard, self.walk, cells.period_starts)
        self.symbols = symbols_of(shard, [question.match], funnel.of, funnel.container)
        self.rows: list[tuple[Int64s, Int64s, Int64s]] = [(np.empty(0, np.int64),) * 3]

    def add(self, runs: Runs) -> None:
        """Count the runs of a block that made both steps."""
        a, b = self.ends
        own = np.flatnonzero((runs.at[:, a] >= 0) & (runs.at[:, b] >= 0))
        path = runs.path[own]
        cell = self.cells.at(self.segments[path], runs.start_times[own])
        self.rows.append((cell, self.walk.owners[path], self._occurrences(runs.some(own))))

    def _occurrences(self, runs: Runs) -> Int64s:
        """Return how often it happened in each run."""
        from journeykit.kernels.funnels import frequency as kernels

        (a, b), paths, counts = self.ends, self.walk.paths, np.zeros(runs.path.size, np.int64)
        by_position = self.machine.ties == "input"
        first = runs.at[:, a] + by_position
        spans = np.column_stack([first, runs.at[:, b] - 1, runs.times[:, a], runs.times[:, b]])
        ends = np.column_stack([paths.starts[runs.path], paths.ends[runs.path]])
        between = {"input": kernels.BY_POSITION, "any": kernels.BY_TIME, "strict": kernels.LATER}
        rule = (between[self.machine.ties], self.machine.tick, self.machine.grace, self.walk.by_run)
        kernels.count_matches(
            runs.at,
            ends,
            spans,
            self.symbols.codes,
            self.symbols.masks,
            self.walk.states,
            paths.times,
            rule,
            counts,
        )
        return counts

    def between(self) -> pl.DataFrame:
        """Return units, users and occurrences per cell."""
        cell, owner, counts = (np.concatenate(column) for column in zip(*self.rows, strict=True))
        distinct, place = np.unique(cell, return_inverse=True)
        n, width = distinct.size, max(self.walk.paths.n_users, 1)
        users = np.unique(place * width + owner) // width
        columns = {
            "units": np.bincount(place, minlength=n),
            "users": np.bincount(users, minlength=n),
            "occurrences": np.bincount(place, counts, n).astype(np.int64),
            "units_with": np.bincount(place[counts > 0], minlength=n),
        }
        return pl.DataFrame({CELL: distinct.astype(np.int32), **columns})

    def numbers(self) -> pl.DataFrame:
        """Return per cell how many units it happened to how often."""
        cell, _, counts = (np.concatenate(column) for column in zip(*self.rows, strict=True))
        listed = pl.DataFrame({CELL: cell.astype(np.int32), "occurrences": counts})
        return listed.group_by(CELL, "occurrences").agg(pl.len().cast(pl.Int64).alias("count"))
