"""The step matrix: which share of the paths is where at step k. DEFINITIONS D8.1, D8.2."""

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
from journeykit.patterns.matchers import Match, MatchLike, Of, as_match, check_matches
from journeykit.protocol import CELL, GROUP, Cells, Context, Tables, sum_rows
from journeykit.statistics.base import (
    UNITS_TABLE,
    Answer,
    Grouped,
    Statistic,
)
from journeykit.statistics.counting import CountingRows
from journeykit.statistics.paths.share import with_path_share
from journeykit.statistics.paths.walk import (
    VIRTUAL,
    CleanWalk,
    Occurrence,
    all_names,
    check_shared,
    checked_count,
    checked_occurrence,
    lost_note,
)
from journeykit.support.unknown_names import Missing

Int64s = npt.NDArray[np.int64]
KEYS = ("step", "state")


@dataclass(frozen=True, eq=False, repr=False)
class StepTable(Answer):
    """Which share of the paths is where at every step.

    Attributes
    ----------
    frame : polars.DataFrame
        One row per step and state that some path is in: ``step``, ``state``, ``paths`` in it, ``paths_total``,
        ``share`` with ``low`` and ``high``. Sorted by step, then ``<START>``, events (the largest share first, then by
        name), ``<OTHER>``, ``<END>``. The shares of a step sum to 1.
    """

    shown: ClassVar[Sequence[str]] = ("step", "state", "paths", "share", "low", "high")

    def matrix(self, value: str = "share") -> pl.DataFrame:
        """Return one row per state and one column per step.

        Parameters
        ----------
        value : {"share", "paths", "low", "high"}
            What stands in it.

        Returns
        -------
        polars.DataFrame
            The columns of ``by=`` and ``every=``, ``state``, then one column per step, named by its number. States
            sort by name, ``<START>`` first, ``<OTHER>`` and ``<END>`` last; 0 where no path is (null for an interval).

        Raises
        ------
        ParameterError
            If there is no such column.
        """
        values = ("share", "paths", "low", "high")
        if value not in values:
            raise ParameterError.choice("value", value, values)
        labels = self.context.labels.columns
        steps = [str(step) for step in self.frame["step"].unique().sort()]
        named = self.frame.with_columns(pl.col("step").cast(pl.String))
        wide = named.pivot("step", index=[*labels, "state"], values=value, on_columns=steps)
        rank = pl.col("state").replace_strict(list(VIRTUAL), [-1, 1, 2], default=0)
        order: list[pl.Expr] = []
        if labels:
            cells = self.frame.select(labels).unique(maintain_order=True).with_row_index("cell")
            wide = wide.join(cells, on=labels, how="left", nulls_equal=True, maintain_order="left")
            order = [pl.col("cell")]
        wide = wide.sort(*order, rank, "state").select(*labels, "state", *steps)
        return wide if value in {"low", "high"} else wide.with_columns(pl.col(steps).fill_null(0))


@dataclass(frozen=True)
class StepMatrix(Statistic[StepTable]):
    """Show where paths are at every step, from their start or around an anchor. D8.1, D8.2.

    Parameters
    ----------
    max_steps : int
        How many steps to show from the start of a path. Step 0 is its START. Ignored with an `anchor`.
    of : {"event", "stage"}
        What a step is. Events before the first stage are left out of a stage path.
    unit : {"session", "user"}
        What a path is.
    anchor : str, sequence of str, polars expression, Pattern or Match, optional
        The event that is step 0 of every path; paths without it are left out and counted in the notes.
    before, after : int
        How many steps to show on both sides of the anchor. Before a path's first event it is at START, behind its
        last at END.
    occurrence : {"first", "last"} or int
        Which anchor of a path counts, by number from 1 on.
    collapse_repeats : bool
        Whether a run of one state is one step.
    top : int, optional
        How many states to show per segment, those with the largest share at any step first; the others are
        ``<OTHER>``.
    threshold : float, optional
        States below this share at every step are ``<OTHER>``.
    missing : {"raise", "ignore", "warn"}
        What to do with an anchor that the log does not have. D0.9.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take.

    Notes
    -----
    The share is paths in the state at the step / all paths (with an anchor, those that have it). END is cumulative: a
    path that ended stays there, so every column sums to 1, as START does before it began. A path without events is
    none. One pass over the steps shown, O(paths x steps); a cache line per step and state. Intervals by the jackknife,
    Wilson's for ``unit="user"``.

    References
    ----------
    Step matrices: retentioneering.

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({"user": [1, 1, 1, 2], "time": [0, 1, 2, 0], "event": ["see", "cart", "buy", "see"]})
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> journeys.measure(StepMatrix(2)).matrix().rows()
    [('<START>', 1.0, 0.0, 0.0), ('cart', 0.0, 0.0, 0.5), ('see', 0.0, 1.0, 0.0), ('<END>', 0.0, 0.0, 0.5)]
    >>> journeys.measure(StepMatrix(anchor="cart", before=1, after=2)).matrix("paths")["2"].to_list()
    [0, 0, 0, 1]
    """

    max_steps: int = 10
    of: Of = "event"
    unit: Unit = "session"
    anchor: MatchLike | None = None
    before: int = 5
    after: int = 5
    occurrence: Occurrence = "first"
    collapse_repeats: bool = False
    top: int | None = None
    threshold: float | None = None
    missing: Missing = "raise"

    tables: ClassVar[Mapping[str, Sequence[str]]] = {"steps": KEYS, UNITS_TABLE: ()}

    def __post_init__(self) -> None:
        check_shared(self)
        checked_occurrence(self.occurrence)
        for parameter, least in (("max_steps", 1), ("before", 0), ("after", 0), ("top", 1)):
            checked_count(parameter, getattr(self, parameter), least)
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ParameterError(f"threshold is a share between 0 and 1, not {self.threshold!r}.")
        if self.anchor is not None:
            object.__setattr__(self, "anchor", as_match(self.anchor, "anchor"))

    @property
    def _anchors(self) -> tuple[Match, ...]:
        return () if self.anchor is None else (as_match(self.anchor, "anchor"),)

    @property
    def steps(self) -> tuple[int, int]:
        """The first and the last step shown."""
        return (0, self.max_steps) if self.anchor is None else (-self.before, self.after)

    def check(self, context: Context) -> None:
        """Refuse stages that were not assigned, and anchors that the log does not have."""
        check_matches(self._anchors, self.of, self.missing, context)

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the states of one shard at every step."""
        from journeykit.kernels.paths.steps import count_steps

        walk = CleanWalk(
            shard, cells, self.of, self.unit, collapse=self.collapse_repeats, matches=self._anchors
        )
        paths, (first, last) = walk.paths, self.steps
        origins = paths.starts - 1 if self.anchor is None else walk.find(paths.starts, 0, self.occurrence)
        if self.anchor is not None:
            origins[origins < 0] = -2
        shape = (cells.count, last - first + 1, walk.n_states)
        counted = CountingRows.make(shape[0] * shape[1] * shape[2], walk.n_events)
        before, after = (np.zeros((cells.count, shape[1] + 1), np.int64) for _ in range(2))
        count_steps(
            paths.starts,
            paths.ends,
            walk.states,
            walk.cells,
            origins,
            (walk.n_states, first, last),
            counted.keys,
            counted.rows,
            counted.table,
            before,
            after,
        )
        keys, rows = counted.found()
        steps = [
            _rows(keys // (shape[1] * shape[2]), keys // shape[2] % shape[1], keys % shape[2], rows[:, 0]),
            _virtual(before.sum(axis=1, keepdims=True) - before.cumsum(axis=1), walk.n_states),
            _virtual(after.cumsum(axis=1), walk.n_states + 2),
        ]
        table = pl.concat(steps).with_columns(pl.col("step") + first)
        counts = (paths.ends > paths.starts) & (origins >= -1)
        return {"steps": table, UNITS_TABLE: walk.counted_units(counts)}

    def answer(self, tables: Tables, context: Context) -> StepTable:
        """Turn counts into shares."""
        names = all_names(self.of, context)
        steps = _merged(self, tables, len(names) - 2, names)
        frame = _ordered(_with_share(self, steps, tables, context), names)
        notes = lost_note(tables[UNITS_TABLE], "the anchor")
        merged = steps["state"] == len(names) - 2
        if merged.any():
            notes += (f"<OTHER> holds the states below top={self.top}, threshold={self.threshold}.",)
        context = replace(context, notes=(*context.notes, *notes))
        return StepTable(context.label(frame), self, context)


def _rows(cells: Int64s, steps: Int64s, states: Int64s, paths: Int64s) -> pl.DataFrame:
    columns = {CELL: cells.astype(np.int32), "step": steps.astype(np.int32), "state": states.astype(np.int32)}
    return pl.DataFrame({**columns, "paths": paths})


def _virtual(counts: Int64s, state: int) -> pl.DataFrame:
    """Return the rows of START or END; `counts` has one column more than there are steps."""
    counts = counts[:, :-1]
    cells, steps = np.nonzero(counts)
    return _rows(cells, steps, np.full(cells.size, state), counts[cells, steps])


def _merged(statistic: StepMatrix, tables: Tables, other: int, names: pl.Series) -> pl.DataFrame:
    """Make OTHER of the states that are not shown, per cell. D0.5, D8.1."""
    steps = tables["steps"]
    if statistic.top is None and statistic.threshold is None:
        return steps
    total = sum_rows(tables[UNITS_TABLE], [CELL]).select(CELL, total="paths")
    shares = sum_rows(steps.filter(pl.col("state") < other - 1), [CELL, *KEYS]).join(total, on=CELL)
    rank = names.rank("ordinal").cast(pl.Int64)
    share = (pl.col("paths") / pl.col("total")).max().alias("share")
    largest = shares.group_by(CELL, "state").agg(share)
    largest = largest.with_columns(rank.gather(largest["state"]).alias("rank"))
    largest = largest.sort(CELL, "share", "rank", descending=[False, True, False])
    if statistic.top is not None:
        largest = largest.group_by(CELL, maintain_order=True).head(statistic.top)
    if statistic.threshold is not None:
        largest = largest.filter(pl.col("share") >= statistic.threshold)
    kept = pl.concat([largest.select(CELL, "state"), _virtual_states(total, other)])
    placed = steps.join(
        kept.with_columns(kept=pl.lit(True)), on=[CELL, "state"], how="left", maintain_order="left"
    )
    state = pl.when("kept").then("state").otherwise(pl.lit(other, pl.Int32)).alias("state")
    return sum_rows(placed.with_columns(state).drop("kept"), [CELL, GROUP, *KEYS])


def _virtual_states(cells: pl.DataFrame, other: int) -> pl.DataFrame:
    states = pl.DataFrame({"state": pl.Series([other - 1, other, other + 1], dtype=pl.Int32)})
    return cells.select(CELL).join(states, how="cross")


def _with_share(statistic: StepMatrix, steps: pl.DataFrame, tables: Tables, context: Context) -> pl.DataFrame:
    units = Grouped(tables[UNITS_TABLE], ())
    return with_path_share(Grouped(steps, KEYS), units, tables, context, once=statistic.unit == "user")


def _ordered(frame: pl.DataFrame, names: pl.Series) -> pl.DataFrame:
    """Sort by step: START, then events by share and name, OTHER, END. D0.4."""
    frame = frame.with_columns(pl.col("step").cast(pl.Int64), names.gather(frame["state"]).alias("state"))
    kind = pl.col("state").replace_strict(list(VIRTUAL), [-1, 1, 2], default=0)
    return frame.sort(CELL, "step", kind, -pl.col("paths"), "state")
