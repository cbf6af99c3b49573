"""Variants: the distinct paths, and how much of all the first m of them cover. DEFINITIONS D8.6."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

import polars as pl

from journeykit.errors import ParameterError
from journeykit.journeys.journeys import Journeys
from journeykit.paths import Unit
from journeykit.patterns.matchers import MatchLike, Of
from journeykit.protocol import Cells, Context, Tables
from journeykit.statistics.base import Statistic
from journeykit.statistics.checks import check_states
from journeykit.statistics.distribution import checked_quantiles
from journeykit.statistics.goals import as_goal
from journeykit.statistics.paths.table import PathTable
from journeykit.statistics.paths.top_paths import TopPaths
from journeykit.statistics.paths.walk import check_shared, checked_count
from journeykit.support.unknown_names import Missing


@dataclass(frozen=True, eq=False, repr=False)
class VariantTable(PathTable):
    """Every distinct path, the most frequent first; the columns are those of `TopPaths`.

    Attributes
    ----------
    frame : polars.DataFrame
        One row per variant: ``path`` (list of names), ``length``, ``count``, ``paths``, ``users``, ``share`` with
        ``low`` and ``high``, ``cumulative_share``, ``conversion_rate`` (with a goal), ``duration_mean`` in seconds.
    distinct : polars.DataFrame
        Per segment: ``variants`` (how many there are), ``count``, ``paths``, ``shown_share``.
    """

    def coverage(self, m: int) -> pl.DataFrame:
        """Return the share of paths in the first m variants.

        Parameters
        ----------
        m : int
            How many variants.

        Returns
        -------
        polars.DataFrame
            Per segment: ``variants`` (m, or all there are), ``count`` of paths in them, ``paths`` and ``coverage``,
            which is null where there is no path.

        Raises
        ------
        ParameterError
            If `m` is no whole number from 1 on, or larger than the number of variants that were asked for.
        """
        checked_count("m", m)
        asked = getattr(self.statistic, "n", None)
        if asked is not None and m > asked:
            raise ParameterError(f"coverage({m}) needs more variants than the n={asked} asked for.")
        labels = self.context.labels.columns
        count = pl.col("count").sum().alias("covered")
        if labels:
            head = self.frame.group_by(labels, maintain_order=True).head(m)
            head = head.group_by(labels, maintain_order=True).agg(count)
            table = self.distinct.join(head, on=labels, how="left", nulls_equal=True, maintain_order="left")
        else:
            table = self.distinct.hstack(self.frame.head(m).select(count))
        covered = pl.col("covered").fill_null(0)
        share = pl.when(pl.col("paths") > 0).then(covered / pl.col("paths"))
        return table.select(
            *labels,
            pl.col("variants").clip(upper_bound=m),
            covered.alias("count"),
            "paths",
            share.alias("coverage"),
        )


@dataclass(frozen=True)
class Variants(Statistic[VariantTable]):
    """Count the distinct paths: whole, and all of them. D8.6.

    Parameters
    ----------
    n : int or None
        How many to show per segment; None for all.
    of : {"event", "stage"}
        What a path is made of. Events before the first stage are left out of a stage path.
    unit : {"session", "user"}
        What a path is.
    collapse_repeats : bool
        Whether a run of one state is one state.
    goal : str, sequence of str, polars expression, Pattern or Match, optional
        Adds the share of the paths of a variant that hold a goal: 0 or 1 if names say what it is, since then the path
        decides.
    quantiles : sequence of float
        Which percentiles of the duration to add, such as ``(0.5,)`` for the median; they cost a second pass.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take.

    Notes
    -----
    coverage(m) = paths in the first m variants / all paths. Exact: paths that share a hash are told apart by their
    names. One pass, O(n), and one row per variant and jackknife group.

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({"user": [1, 1, 2, 2, 3], "time": [0, 9, 0, 9, 0], "event": ["a", "b", "a", "b", "a"]})
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> journeys.measure(Variants()).coverage(1).row(0, named=True)
    {'variants': 1, 'count': 2, 'paths': 3, 'coverage': 0.6666666666666666}
    """

    n: int | None = None
    of: Of = "event"
    unit: Unit = "session"
    collapse_repeats: bool = False
    goal: MatchLike | None = None
    quantiles: Sequence[float] = ()
    missing: Missing = "raise"

    tables: ClassVar[Mapping[str, Sequence[str]]] = TopPaths.tables

    def __post_init__(self) -> None:
        check_shared(self)
        checked_count("n", self.n)
        if self.goal is not None:
            object.__setattr__(self, "goal", as_goal(self.goal, "goal"))
        object.__setattr__(self, "quantiles", checked_quantiles(self.quantiles))

    @property
    def _paths(self) -> TopPaths:
        return TopPaths(**{each.name: getattr(self, each.name) for each in fields(self)})

    def check(self, context: Context) -> None:
        """Refuse stages that were not assigned, and goals that the journeys do not have."""
        check_states(self.of, context)
        self._paths.check(context)

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the paths of one shard by key."""
        return self._paths.tally(shard, cells)

    def follow_up(self, tables: Tables, context: Context) -> Statistic[VariantTable] | None:
        """Ask for the durations of the rows that will be shown, where their percentiles are wanted."""
        second = self._paths.follow_up(tables, context)
        return None if second is None else _TimedVariants(self, second)

    def answer(self, tables: Tables, context: Context) -> VariantTable:
        """Turn counts into shares."""
        return _as_variants(self, self._paths.answer(tables, context))


@dataclass(frozen=True)
class _TimedVariants(Statistic[VariantTable]):
    """The second question: how long the shown paths take."""

    statistic: Variants
    second: Statistic[PathTable]

    @property
    def tables(self) -> Mapping[str, Sequence[str]]:  # type: ignore[override]
        """The tables of a tally."""
        return self.second.tables

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the durations of one shard."""
        return self.second.tally(shard, cells)

    def answer(self, tables: Tables, context: Context) -> VariantTable:
        """Turn both tallies into the answer."""
        return _as_variants(self.statistic, self.second.answer(tables, context))


def _as_variants(statistic: Variants, table: PathTable) -> VariantTable:
    return VariantTable(table.frame, statistic, table.context, table.distinct)
