"""The most frequent paths: whole, cut at anchors, or windows of n events. DEFINITIONS D8.5 to D8.7."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from journeykit.errors import ParameterError
from journeykit.journeys.journeys import Journeys
from journeykit.paths import Unit
from journeykit.patterns.matchers import Match, MatchLike, as_match, check_matches
from journeykit.protocol import Cells, Context, Tables
from journeykit.statistics.base import UNITS_TABLE, Statistic
from journeykit.statistics.checks import check_choices
from journeykit.statistics.distribution import checked_quantiles
from journeykit.statistics.goals import as_goal
from journeykit.statistics.paths.stretches import Stretches
from journeykit.statistics.paths.table import PathTable, Shown, path_table, shown_paths
from journeykit.support.unknown_names import Missing


@dataclass(frozen=True)
class TopPaths(Statistic[PathTable]):
    """Find the most frequent paths. D8.5, D8.7.

    Parameters
    ----------
    n : int or None
        How many rows per segment; None for all.
    of : {"event", "stage"}
        What a path is made of. Events before the first stage are left out of a stage path.
    unit : {"session", "user"}
        What a path is.
    length : int, optional
        Count windows of so many events in a row instead of whole paths (n-grams); they may overlap.
    start, end : str, sequence of str, polars expression, Pattern or Match, optional
        Cut each path before its first `start` and after the first `end` behind it; paths without are left
        out and counted in the notes. Of a run that is one event, the first decides. D3.4.
    occurrence : {"first", "last"}
        Which `start` counts.
    max_length : int, optional
        Cut longer paths after so many events; their last name is ``...``.
    prefix : bool
        With `max_length`: count equal beginnings, whether the path goes on or not.
    collapse_repeats : bool
        Whether a run of one name is one event.
    goal : str, sequence of str, polars expression, Pattern or Match, optional
        Adds the share of the paths with the row that hold a goal anywhere.
    quantiles : sequence of float
        Which percentiles of the duration to add, such as ``(0.5,)`` for the median; they cost a second pass.
    missing : {"raise", "ignore", "warn"}
        What to do with names that the log does not have. D0.9.

    Notes
    -----
    One pass, O(n); exact: a path of up to 63 bits of codes is its own key, a longer one is found by a hash and told
    apart by its codes. Intervals, for the rows shown, by the jackknife.

    Examples
    --------
    >>> import polars as pl
    >>> import journeykit as jk
    >>> log = pl.DataFrame({"user": [1, 1, 2, 2, 3], "time": [0, 9, 0, 9, 0], "event": ["a", "b", "a", "b", "a"]})
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> journeys.measure(TopPaths(2)).frame.select("path", "count", "cumulative_share").rows()
    [(['a', 'b'], 2, 0.6666666666666666), (['a'], 1, 1.0)]
    """

    n: int | None = 20
    of: Literal["event", "stage"] = "event"
    unit: Unit = "session"
    length: int | None = None
    start: MatchLike | None = None
    end: MatchLike | None = None
    occurrence: Literal["first", "last"] = "first"
    max_length: int | None = None
    prefix: bool = False
    collapse_repeats: bool = False
    goal: MatchLike | None = None
    quantiles: Sequence[float] = ()
    missing: Missing = "raise"

    tables: ClassVar[Mapping[str, Sequence[str]]] = {"paths": ("key", "codes", "cut"), UNITS_TABLE: ()}

    def __post_init__(self) -> None:
        check_choices(self)
        for parameter in ("n", "length", "max_length"):
            value = getattr(self, parameter)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ParameterError(f"{parameter} must be a whole number from 1 on, not {value!r}.")
        if self.length is not None and self.max_length is not None:
            raise ParameterError("length counts windows and max_length cuts whole paths: pass one of them.")
        if self.prefix and self.max_length is None:
            raise ParameterError("prefix counts equal beginnings of max_length events. Pass max_length too.")
        object.__setattr__(self, "quantiles", checked_quantiles(self.quantiles))
        for parameter in ("start", "end", "goal"):
            value = getattr(self, parameter)
            if value is not None:
                object.__setattr__(self, parameter, as_goal(value, parameter))

    @property
    def matches(self) -> dict[str, Match]:
        """What is searched: the anchors and the goal, as far as they are given."""
        given = {name: getattr(self, name) for name in ("start", "end", "goal")}
        return {name: as_match(value, name) for name, value in given.items() if value is not None}

    def check(self, context: Context) -> None:
        """Refuse anchors and goals that the journeys do not have."""
        check_matches(self.matches.values(), self.of, self.missing, context)

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the paths of one shard by key."""
        return Stretches(self, shard, cells).tables()

    def follow_up(self, tables: Tables, context: Context) -> Statistic[PathTable] | None:
        """Ask for the durations of the rows that will be shown, where their percentiles are wanted."""
        if not self.quantiles:
            return None
        return _ShownPaths(self, shown_paths(self, tables["paths"], context))

    def answer(self, tables: Tables, context: Context) -> PathTable:
        """Turn counts into shares, for the most frequent paths."""
        return path_table(self, shown_paths(self, tables["paths"], context), tables, context)


@dataclass(frozen=True)
class _ShownPaths(Statistic[PathTable]):
    """The second question: how long the shown paths take."""

    statistic: TopPaths
    shown: Shown

    tables: ClassVar[Mapping[str, Sequence[str]]] = {"durations": ("row", "duration")}

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the durations of one shard."""
        return {
            "durations": Stretches(self.statistic, shard, cells).durations(self.shown.rows, cells.per_group)
        }

    def answer(self, tables: Tables, context: Context) -> PathTable:
        """Turn both tallies into the answer."""
        return path_table(self.statistic, self.shown, tables, context)
