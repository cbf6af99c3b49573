"""What distinguishes those who convert from those who give up. DEFINITIONS D13.6, D13.7."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl

from journeykit.errors import ParameterError
from journeykit.journeys.journeys import Journeys
from journeykit.paths import Unit
from journeykit.patterns import Pattern
from journeykit.patterns.matchers import MatchLike, as_match, check_matches
from journeykit.protocol import CELL, Cells, Context, Tables, sum_rows
from journeykit.statistics.base import UNITS_TABLE, Statistic
from journeykit.statistics.checks import check_choices
from journeykit.statistics.differential.answer import DifferentialAnswer, differential_answer
from journeykit.statistics.differential.counting import Prefixes
from journeykit.statistics.goals import longest
from journeykit.support.durations import Duration
from journeykit.support.unknown_names import Missing

MOST_STRATA = 20


@dataclass(frozen=True)
class DifferentialPaths(Statistic[DifferentialAnswer]):
    """Find what those who convert do differently from those who give up, before either. D13.6, D13.7.

    Parameters
    ----------
    goal : str, sequence of str, polars expression, Pattern or Match
        What a unit has not given up when it gets there.
    start : the same, optional
        Only units that reached this count, from its first occurrence on, with a goal strictly later; for example the
        cart. By default all units, from their first event.
    unit : {"session", "user"}
        What converts or gives up.
    horizon : str or timedelta, optional
        With users, required: how long a silence means that the unit has given up. A session has ended by its own
        timeout.
    within : str or timedelta, optional
        The longest time from start to goal.
    longest : int
        How many events in a row to look at: 1 for single events, 2 for transitions too, and so on.
    patterns : sequence of Pattern or str
        Patterns to look for as well; those of the same `unit`.
    strata : int
        Compare units of like prefix length only, in so many classes of about equal size; 1 for all together.
    min_count : int
        Runs in fewer units (of both kinds together) are not tested, nor transitions from an event that either kind
        left less often. D13.4, D13.6.
    examples : int
        How many users to name per row and kind.
    uncut : bool
        Do not cut paths at the goal. Then what is found is mostly what comes with the goal itself.
    missing : {"raise", "ignore", "warn"}
        Whether a name that the log does not have is an error, or matches nothing. D0.9.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take.

    See Also
    --------
    journeykit.FunnelCorrelation : The same question between the steps of a funnel.
    journeykit.FrictionBeforeAbandonment : Which friction goes before giving up.

    Notes
    -----
    Every unit's path is cut just before its first goal. The units that are still open are left out (D5.2). The answer's
    frame has one row per event, run of events or pattern, the largest difference first:

    ``kind``, ``path``
        ``event``, ``transition``, ``sequence`` (three or more in a row) or ``pattern``; what it is.
    ``converted_with``, ``converted``, ``abandoned_with``, ``abandoned``
        Units with it, and all, of each kind.
    ``converted_share``, ``abandoned_share``
        Their ratios, each with its interval.
    ``difference``, ``ratio`` and their ``_low``, ``_high``
        Of ``converted_alike`` and ``abandoned_alike``: the shares as if both kinds had the same lengths, means over
        the classes weighted by their units of both kinds; the shares themselves where there is one class.
    ``phi``
        Pearson's correlation of having it and converting.
    ``p_value``, ``p_adjusted``
        Of no difference, then by Benjamini and Hochberg for all rows.
    ``converted_examples``, ``abandoned_examples``
        Users with it, chosen by their hash: ``journeys.filter(users=...)`` shows what they did.

    ``transitions`` has the chances of the next event instead, as `DifferentialAnswer` says.

    Whoever does more has more of everything, and whoever stays longer too: hence the classes of length. What goes
    with conversion need not cause it. Shares of users without strata are compared as proportions, all else by the
    group jackknife (D13.2). Two passes and a hash look-up per event and length of run; some 64 bytes per run and
    group of users while it works.

    Examples
    --------
    >>> import journeykit as jk
    >>> shop = jk.datasets.simulate_shop(4000, rng=1)
    >>> journeys = jk.read_events(shop.events, user="user", time="time", event="event").sessionize("30m")
    >>> answer = journeys.measure(jk.DifferentialPaths("purchase", start="add_to_cart", longest=1))
    >>> asked = answer.frame.filter(pl.col("path").list.first().is_in(["delivery_info", "returns_policy"]))
    >>> asked.select("path", pl.col("converted_share", "abandoned_share", "difference").round(3)).rows()
    [(['delivery_info'], 0.069, 0.133, -0.091), (['returns_policy'], 0.021, 0.082, -0.085)]
    """

    goal: MatchLike
    start: MatchLike | None = None
    unit: Unit = "session"
    horizon: Duration | None = None
    within: Duration | None = None
    longest: int = 3
    patterns: Sequence[Pattern | str] = ()
    strata: int = 5
    min_count: int = 20
    examples: int = 3
    uncut: bool = False
    missing: Missing = "raise"

    tables: ClassVar[Mapping[str, Sequence[str]]] = {"lengths": ("length",), "grams": ("gram",)}

    def __post_init__(self) -> None:
        check_choices(self)
        object.__setattr__(self, "goal", as_match(self.goal, "goal"))
        if self.start is not None:
            object.__setattr__(self, "start", as_match(self.start, "start"))
        longest(self.horizon, "horizon")
        longest(self.within, "within")
        for name, least in (("longest", 1), ("strata", 1), ("min_count", 1), ("examples", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ParameterError(f"{name} must be a whole number from {least} on, not {value!r}.")
        if self.strata > MOST_STRATA:
            raise ParameterError(f"strata must be at most {MOST_STRATA}, not {self.strata}.")
        if (self.unit == "user") != (self.horizon is not None):
            raise ParameterError(
                "horizon goes with users, and they need it: how long a silence means that a user is gone has no "
                'default. Pass unit="user", horizon="30d", or neither; a session has ended when its own timeout has '
                "passed."
            )
        given = [self.patterns] if isinstance(self.patterns, str | Pattern) else list(self.patterns)
        made = tuple(
            each if isinstance(each, Pattern) else Pattern(each, unit=self.unit, missing=self.missing)
            for each in given
        )
        other = [each for each in made if each.unit != self.unit or each.of != "event"]
        if other:
            raise ParameterError(
                f"the pattern {other[0].text!r} is not one of events of a {self.unit}. Pass unit={self.unit!r} to it."
            )
        object.__setattr__(self, "patterns", made)

    def check(self, context: Context) -> None:
        """Refuse names and properties that the journeys do not have."""
        given: list[Any] = [self.goal] if self.start is None else [self.goal, self.start]
        check_matches(given, "event", self.missing, context)
        for pattern in self.patterns:
            pattern.check(context)  # type: ignore[union-attr]

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the lengths of the prefixes, and who has which run, in one shard."""
        prefixes = Prefixes(self, shard, cells)
        return {"lengths": prefixes.lengths(), "grams": prefixes.grams()}

    def follow_up(self, tables: Tables, context: Context) -> Statistic[DifferentialAnswer] | None:
        """Ask again, by class of length, for the runs that are common enough."""
        total = sum_rows(tables["lengths"].select("length", "units"), ["length"]).sort("length")
        cuts = quantile_cuts(total["length"].to_list(), total["units"].to_list(), self.strata)
        common = sum_rows(tables["grams"].select(CELL, "gram", "units"), [CELL, "gram"])
        grams = common.filter(pl.col("units") >= self.min_count)["gram"].unique().sort()
        return Counted(self, cuts, grams.to_numpy())

    def answer(self, tables: Tables, context: Context) -> DifferentialAnswer:
        """Compare the two kinds; reached by way of the second question."""
        following = self.follow_up(tables, context)
        assert isinstance(following, Counted)
        return following.answer(tables, context)


@dataclass(frozen=True, eq=False)
class Counted(Statistic[DifferentialAnswer]):
    """The second question: units by class of length, for the runs that are common enough."""

    question: DifferentialPaths
    cuts: tuple[int, ...]
    shown: np.ndarray[Any, np.dtype[np.int64]]

    tables: ClassVar[Mapping[str, Sequence[str]]] = {
        "runs": ("number", "stratum"),
        "patterns": ("number", "stratum"),
        "moves": ("source", "target", "stratum"),
        "sources": ("source",),
        "strata": ("stratum",),
        "examples": ("number", "side", "hash", "user"),
        UNITS_TABLE: (),
    }
    by_group: ClassVar[bool] = False

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the units of one shard."""
        return Prefixes(self.question, shard, cells).counted(self.cuts, self.shown)

    def answer(self, tables: Tables, context: Context) -> DifferentialAnswer:
        """Compare the two kinds."""
        return differential_answer(self.question, self.shown, self.cuts, tables, context)


def quantile_cuts(lengths: Sequence[int], units: Sequence[int], strata: int) -> tuple[int, ...]:
    """Return the largest length of every class but the last, so that each has about as many units. D13.6.

    Examples
    --------
    >>> quantile_cuts([1, 2, 3, 9], [5, 2, 2, 1], 5)
    (1, 2, 3)
    """
    if not lengths:
        return ()
    before = np.cumsum(units)
    wanted = np.arange(1, strata) * before[-1]
    at = np.searchsorted(before * strata, wanted, side="left")
    return tuple(sorted({lengths[i] for i in at} - {lengths[-1]}))
