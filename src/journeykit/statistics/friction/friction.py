"""Friction: where visits show errors, rage, going back and forth, and waiting. DEFINITIONS D15.4, D15.5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl

from journeykit.errors import ParameterError
from journeykit.journeys.journeys import Journeys
from journeykit.patterns.matchers import Match, MatchLike, as_match, check_matches
from journeykit.protocol import CELL, Cells, Context, Tables
from journeykit.statistics.base import UNITS_TABLE, Statistic, described
from journeykit.statistics.checks import check_choices
from journeykit.statistics.counting import CountingRows
from journeykit.statistics.emotion.ratings import Ratings
from journeykit.statistics.friction.answer import FrictionAnswer, friction_answer
from journeykit.statistics.friction.flags import CLASSES, FLAGS, ShardVisits, class_of_flags
from journeykit.statistics.friction.rage import RageRule
from journeykit.statistics.friction.slow_visits import (
    BINS_TABLE,
    SlowLimits,
    binned_gaps,
    next_question,
    slow_limits,
)
from journeykit.statistics.goals import Walk
from journeykit.support.durations import Duration, microseconds
from journeykit.support.unknown_names import Missing

KINDS = (*FLAGS, "any", "all", *(f"class_{name}" for name in CLASSES), "plain", "detour", "return")
COUNTS = ("visits", "sessions", "users")
DEFAULT_RAGE = RageRule.posthog()


@dataclass(frozen=True)
class Friction(Statistic[FrictionAnswer]):
    """Count the visits to each event that show friction, as far as was known when they happened. D15.4, D15.5.

    Parameters
    ----------
    trouble : str, sequence of str, polars expression or Match, optional
        Which events are trouble: errors, help, returns, refunds, cancelling. Without it neither errors nor detours
        are looked for.
    rage : RageRule or None
        What a burst of one event is; PostHog's thresholds by default. None: not looked for.
    quick : str or timedelta
        A backtrack is quick if it took no longer than this. No vendor's value is known; ours is 10 seconds.
    slow : float or None
        A visit is slow if the gap before it is longer than this quantile of all gaps into its event. None: not
        looked for.
    missing : {"raise", "ignore", "warn"}
        What to do with a name in `trouble` that the log does not have. D0.9.
    ratings : Ratings, optional
        What users said. Without it, visits after a bad rating are not looked for.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take.

    Notes
    -----
    A visit is one event of a session; events outside any session are none. All flags look back within the session:

    ========================  =====================================================================================
    ``error``                 it, or the event before it, is trouble
    ``rage``                  it ends a burst or goes on with one, see `RageRule`
    ``backtrack``             it is the event before the last one, with another one between: A B A
    ``quick_backtrack``       of these, the quick ones; no class of its own
    ``repeat``                it is the event before it again: A A
    ``loop``                  it occurred earlier in the session, and none of the flags above holds
    ``slow``                  the gap since the event before it is above the percentile for this event
    ``low``                   of the user's ratings so far at the stage of the visit, the latest is a bad one: its
                              emotion is below 0. Without stages: of all their ratings so far
    ========================  =====================================================================================

    Its class is the first flag that holds in this order, else ``clean``. Rates per event are visits with the flag /
    visits. The percentile is over the whole log, whatever the segments: type 7, exact.

    Three passes, O(n): the gaps in bins, those of the bins that the percentiles are in, the flags. These take one byte
    per event of the shard at work; the gaps 16 there; targets 4 bytes per event of the log, places 16.

    References
    ----------
    Rage clicks: documentation of PostHog, Mixpanel and Amplitude.

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({"user": 1, "time": [0, 5, 9, 10, 99], "event": ["list", "item", "list", "fail", "item"]})
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> answer = journeys.measure(Friction("fail", slow=None))
    >>> answer.frame.filter(pl.col("flagged_visits") > 0).select("event", "flag", "flagged_visits", "visits").rows()
    [('fail', 'any', 1, 1), ('fail', 'error', 1, 1), ('item', 'any', 1, 2), ('item', 'error', 1, 2),
     ('list', 'any', 1, 2), ('list', 'backtrack', 1, 2), ('list', 'quick_backtrack', 1, 2)]
    >>> answer.detours.select("event", "detours", "returns").rows()
    [('list', 1, 1), ('item', 0, 0)]
    """

    trouble: MatchLike | None = None
    rage: RageRule | None = DEFAULT_RAGE
    quick: Duration = "10s"
    slow: float | None = 0.95
    missing: Missing = "raise"
    ratings: Ratings | None = None

    tables: ClassVar[Mapping[str, Sequence[str]]] = {BINS_TABLE: ("event", "bin")}
    by_group: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.trouble is not None:
            object.__setattr__(self, "trouble", as_match(self.trouble, "trouble"))
        if self.rage is not None and not isinstance(self.rage, RageRule):
            raise ParameterError(
                f"rage cannot be {self.rage!r}. Give a RageRule, such as RageRule.mixpanel(), or None."
            )
        microseconds(self.quick, "quick")
        if self.slow is not None and not (isinstance(self.slow, float | int) and 0 < self.slow < 1):
            raise ParameterError(f"slow must be a number between 0 and 1, or None, not {self.slow!r}.")
        if self.ratings is not None and not isinstance(self.ratings, Ratings):
            raise ParameterError(
                f"ratings must be Ratings, such as jk.Ratings('nps', table), not {self.ratings!r}."
            )
        check_choices(self)

    def __repr__(self) -> str:
        return described(self)

    @property
    def asked(self) -> tuple[str, ...]:
        """The flags that are looked for, in their order."""
        left_out = {
            "error": self.trouble is None,
            "rage": self.rage is None,
            "slow": self.slow is None,
            "low": self.ratings is None,
        }
        return tuple(name for name in FLAGS if not left_out.get(name, False))

    def check(self, context: Context) -> None:
        """Refuse names and properties that the journeys do not have."""
        if isinstance(self.trouble, Match):
            check_matches([self.trouble], "event", self.missing, context)
        if self.rage is not None:
            self.rage.check(context)
        if self.ratings is not None:
            self.ratings.check(context)

    @property
    def quantile(self) -> float | None:
        """The share of gaps into an event that are not slow."""
        return self.slow

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the gaps into every event of one shard."""
        gaps = binned_gaps(shard)
        return {BINS_TABLE: gaps.head(0) if self.slow is None else gaps}

    def follow_up(self, tables: Tables, context: Context) -> Statistic[FrictionAnswer] | None:
        """Ask for the gaps near the percentile, and then for the flags."""
        return next_question(self, tables, context)

    def with_limits(self, limits: SlowLimits) -> Statistic[FrictionAnswer]:
        """Return the question for the flags, where it is known what is slow."""
        return _FlaggedVisits(self, limits)

    def answer(self, tables: Tables, context: Context) -> FrictionAnswer:
        """Turn all tallies into rates with intervals."""
        return friction_answer(self, slow_limits(self, tables, context), tables, context)


@dataclass(frozen=True, eq=False)
class _FlaggedVisits(Statistic[FrictionAnswer]):
    """The last question: how many visits have which flags."""

    question: Friction
    limits: SlowLimits

    tables: ClassVar[Mapping[str, Sequence[str]]] = {
        "events": ("event",),
        "stages": ("stage",),
        "overall": (),
        UNITS_TABLE: (),
    }

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the flags of one shard."""
        return _Counting(self, shard, cells).tables()

    def answer(self, tables: Tables, context: Context) -> FrictionAnswer:
        """Turn all tallies into the answer."""
        return friction_answer(self.question, self.limits, tables, context)


class _Counting:
    """The counting of one shard."""

    def __init__(self, statistic: _FlaggedVisits, shard: Journeys, cells: Cells) -> None:
        self.walk, self.shard = Walk(shard, cells, "event", "session"), shard
        self.visits = ShardVisits.of(shard)
        self.symbols = self.visits.trouble(statistic.question, shard)
        self.detours = statistic.question.trouble is not None
        self.flags = self.visits.flags(statistic.question, shard, statistic.limits.micros)
        self.stages = np.empty(0, np.uint8)
        if shard.stage_codes is not None:
            self.stages = shard.stage_codes[self.visits.events]

    def tables(self) -> Tables:
        """Return all tables of the tally."""
        events = self._counts("event", self.visits.codes, len(self.shard.names))
        stages = events.head(0).rename({"event": "stage"})
        if self.stages.size:
            stages = self._counts("stage", self.stages, len(self.shard.stage_names) + 1)
        overall = self._counts("all", np.empty(0, np.uint8), 1).drop("all")
        return {"events": events, "stages": stages, "overall": overall, UNITS_TABLE: self.walk.units()}

    def _counts(self, name: str, labels: np.ndarray[Any, Any], size: int) -> pl.DataFrame:
        """Count per cell and label: one row each, with a column per kind and what is counted."""
        from journeykit.kernels.outcomes.friction import count_detours, count_flags

        visits, walk, symbols = self.visits, self.walk, self.symbols
        counted = CountingRows.make(walk.cell_count * size * len(KINDS), len(KINDS) * visits.n_events)
        room = (counted.keys, counted.rows, counted.table)
        paths = (visits.user_paths, visits.starts, visits.ends, labels)
        count_flags(*paths, self.flags, class_of_flags(), walk.cells, size, *room)
        if self.detours:
            count_detours(*paths, symbols.codes, symbols.masks, self.stages, walk.cells, size, *room)
        keys, rows = counted.found()
        things, place = np.unique(keys // len(KINDS), return_inverse=True)
        wide = np.zeros((things.size, len(KINDS), len(COUNTS)), np.int64)
        wide[place, keys % len(KINDS)] = rows[:, : len(COUNTS)]
        columns = {
            f"{kind}_{what}": wide[:, k, j] for k, kind in enumerate(KINDS) for j, what in enumerate(COUNTS)
        }
        return pl.DataFrame(
            {CELL: (things // size).astype(np.int32), name: (things % size).astype(np.int32), **columns}
        )
