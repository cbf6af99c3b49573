"""The shape of paths: how long, how varied, how much to and fro. DEFINITIONS D8.13."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.journeys.journeys import Journeys
from journeykit.mathematics.intervals import GroupSums
from journeykit.paths import Unit
from journeykit.patterns.matchers import Of
from journeykit.protocol import CELL, Cells, Context, Tables
from journeykit.ragged.views import session_numbers
from journeykit.statistics.base import UNITS_TABLE, Answer, Grouped, Statistic, groups_per_cell, with_rate
from journeykit.statistics.checks import check_states
from journeykit.statistics.paths.walk import CleanWalk, check_shared, checked_count

Floats = npt.NDArray[np.float64]

MEASURES = (
    "events",
    "distinct",
    "transitions",
    "entropy",
    "complexity",
    "turbulence",
    "self_loops",
    "backtracks",
    "revisits",
    "longest_run",
)
FRACTIONS = ("entropy", "complexity", "turbulence")
SCALE = 1 << 32
"""Fractions are added as whole numbers of 2^-32, so that the sum is the same in whatever order they are added."""


@dataclass(frozen=True, eq=False, repr=False)
class ShapeTable(Answer):
    """What paths look like on average.

    Attributes
    ----------
    frame : polars.DataFrame
        One row per ``measure`` (in the order of the list below): ``paths`` that have it, its ``total`` over them,
        ``mean`` with ``low`` and ``high``, and ``max``.

        ``events``; ``distinct`` names; ``transitions`` (changes of name); ``entropy`` in [0, 1]; ``complexity``;
        ``turbulence``; ``self_loops`` (a name again); ``backtracks`` (A B A); ``revisits`` (a name seen before, though
        not just before); ``longest_run`` of one name.
    """


@dataclass(frozen=True)
class PathShape(Statistic[ShapeTable]):
    """Measure how varied and how repetitive paths are. D8.13.

    Parameters
    ----------
    of : {"event", "stage"}
        What a path is made of. Events before the first stage are left out of a stage path.
    unit : {"session", "user"}
        What a path is.
    alphabet : int, optional
        How many names there could be, against which entropy is measured; the names of the log by default.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take.

    Notes
    -----
    Of a path of m events with c changes of name, and p_i the share of name i: entropy h = -sum p ln p / ln alphabet;
    complexity = sqrt(c / (m - 1) x h); turbulence = log2(phi (s2max + 1) / (s2 + 1)), where phi counts the distinct
    subsequences of the path without repeats (the empty one too), s2 is the population variance of the lengths of its r
    runs and s2max = (r - 1)(1 - mean length)^2. Entropy is null with fewer than two names in the alphabet, complexity
    also for paths of one event; such paths are not in its mean.

    One pass, O(n), 80 bytes per path of a shard. Means of fractions are exact to 2^-32, for every engine alike.

    References
    ----------
    Gabadinho, Ritschard, Müller & Studer 2011, Journal of Statistical Software 40(4). Elzinga & Liefbroer 2007.

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({"user": [1] * 3 + [2] * 2, "time": [0, 1, 2, 0, 1], "event": list("ababb")})
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> shape = PathShape()
    >>> journeys.measure(shape).frame.select("measure", "mean").rows()[:3]
    [('events', 2.5), ('distinct', 1.5), ('transitions', 1.0)]
    >>> shape.per_path(journeys).select("user", "turbulence", "backtracks").rows()
    [(1, 2.807354922057604, 1), (2, 1.0, 0)]
    """

    of: Of = "event"
    unit: Unit = "session"
    alphabet: int | None = None

    tables: ClassVar[Mapping[str, Sequence[str]]] = {"shapes": ("measure",), UNITS_TABLE: ()}

    def __post_init__(self) -> None:
        check_shared(self)
        checked_count("alphabet", self.alphabet)

    def check(self, context: Context) -> None:
        """Refuse stages that were not assigned."""
        check_states(self.of, context)

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Add up the measures of the paths of one shard."""
        walk = CleanWalk(shard, cells, self.of, self.unit)
        values = self._measured(walk)
        here = walk.paths.ends > walk.paths.starts
        parts = []
        for number, name in enumerate(MEASURES):
            known = here & ~np.isnan(values[:, number])
            scale = SCALE if name in FRACTIONS else 1
            whole = np.rint(values[known, number] * scale).astype(np.int64)
            column = pl.DataFrame({CELL: walk.cells[known], "total": whole})
            sums = column.group_by(CELL).agg(
                pl.col("total").sum(),
                pl.len().cast(pl.Int64).alias("paths"),
                pl.col("total").max().alias("value_max"),
            )
            parts.append(sums.select(CELL, pl.lit(number, pl.Int32).alias("measure"), pl.exclude(CELL)))
        return {"shapes": pl.concat(parts), UNITS_TABLE: walk.units()}

    def answer(self, tables: Tables, context: Context) -> ShapeTable:
        """Turn sums into means."""
        shapes = Grouped(tables["shapes"], ("measure",))
        number = shapes.totals["measure"].to_numpy()
        scale = np.where(np.isin(np.array(MEASURES), FRACTIONS), SCALE, 1)[number]
        names = pl.Series("measure", np.array(MEASURES, dtype=object)[number], dtype=pl.String)
        frame = shapes.totals.with_columns(names)
        frame = with_rate(
            frame,
            "mean",
            _scaled(shapes, scale),
            shapes.sums("paths"),
            np.arange(frame.height),
            groups_per_cell(tables),
            frame["paths"],
            context,
            scale="identity",
            bounds=("low", "high"),
        )
        units = pl.Series(scale)
        frame = frame.with_columns(pl.col("total") / units, (pl.col("value_max") / units).alias("max"))
        order = [CELL, "measure", "paths", "total", "mean", "low", "high", "max"]
        return ShapeTable(context.label(frame.select(order)), self, context)

    def per_path(self, journeys: Journeys) -> pl.DataFrame:
        """Measure every path by itself.

        Parameters
        ----------
        journeys : Journeys
            What to measure.

        Returns
        -------
        polars.DataFrame
            One row per path with an event: ``user``, ``session`` (its number within the user, for sessions), then the
            measures; null where one is not defined.
        """
        self.check(journeys.context(pl.DataFrame([{}])))
        walk = CleanWalk(journeys, Cells(), self.of, self.unit)
        columns: dict[str, Any] = {"user": journeys.users.gather(walk.owners)}
        if self.unit == "session":
            numbers = session_numbers(journeys)
            columns["session"] = numbers[numbers > 0]
        frame = pl.DataFrame(columns).with_columns(
            pl.Series(name, values) for name, values in zip(MEASURES, self._measured(walk).T, strict=True)
        )
        whole = [name for name in MEASURES if name not in FRACTIONS]
        frame = frame.filter(pl.Series(walk.paths.ends > walk.paths.starts))
        return frame.with_columns(pl.col(whole).cast(pl.Int64), pl.col(FRACTIONS).fill_nan(None))

    def _measured(self, walk: CleanWalk) -> Floats:
        from journeykit.kernels.paths.shapes import path_shapes

        names = walk.n_states - walk.by_run
        found = np.zeros((walk.paths.n_paths, len(MEASURES)))
        alphabet = float(names if self.alphabet is None else self.alphabet)
        path_shapes(walk.paths.starts, walk.paths.ends, walk.states, alphabet, walk.n_states, found)
        return found


def _scaled(shapes: Grouped, scale: npt.NDArray[np.int64]) -> GroupSums:
    """Return the sums of the measures by group, each in its own unit."""
    sums = shapes.sums("total")
    return GroupSums(sums.total / scale, sums.row, sums.group, sums.value / scale[sums.row])
