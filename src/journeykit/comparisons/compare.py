"""Any statistic for two segments or periods: difference, ratio, intervals, tests. DEFINITIONS D13.1 to D13.4."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.cells import By
from journeykit.comparisons.compared import Compared, in_memory
from journeykit.comparisons.replicates import ALL, Replicated
from journeykit.comparisons.sides import PERIOD, REST, SEGMENT, Sides, Split, sides_of
from journeykit.engines import Engine
from journeykit.errors import NotAStatisticError, ParameterError
from journeykit.journeys.journeys import Journeys
from journeykit.mathematics.differences import (
    compare_proportions,
    compare_replicated,
    detectable,
    either,
    homogeneity,
)
from journeykit.mathematics.intervals import FEWEST_GROUPS
from journeykit.mathematics.multiple_tests import benjamini_hochberg, holm
from journeykit.protocol import Context, Statistic
from journeykit.statistics.base import Answer, with_floats

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
NUMBERS = (
    "difference", "difference_low", "difference_high", "ratio", "ratio_low", "ratio_high", "p_value",
)  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Answer):
    """An answer in two segments or periods, row by row; the frame is described in `compare`.

    Attributes
    ----------
    frame : polars.DataFrame
        One row per comparison, row of the answer, and column of it.
    answers : tuple of Answer
        Per comparison the answer itself, with a column ``segment`` that is ``"a"`` or ``"b"``, or ``period``.
    homogeneity : polars.DataFrame
        Where proportions of users are compared: per row the chi-square of all segments being alike, ``degrees`` of
        freedom and ``p_value``. D13.3.
    """

    answers: tuple[Any, ...]
    homogeneity: pl.DataFrame

    @property
    def _columns(self) -> list[str]:
        left_out = {"ratio_low", "ratio_high", "p_holm", "method"}
        return [name for name in self.frame.columns if name not in left_out]


def compare(
    journeys: Compared,
    statistic: Statistic[Any, Any],
    *,
    by: By = None,
    every: str | None = None,
    a: Any = MISSING,
    b: Any = MISSING,
    pairs: bool = False,
    split: Split = "user",
    values: str | Sequence[str] | None = None,
    min_count: Mapping[str, int] | None = None,
    power: float = 0.8,
    engine: Engine | None = None,
    level: float = 0.95,
) -> Comparison:
    """Compare the answer to any statistic in two segments or two periods. D13.1 to D13.4.

    Parameters
    ----------
    journeys : Journeys, JourneysPlan or Store
        What is measured. A plan runs in memory first.
    statistic : Statistic
        The question, one of your own included.
    by : str or Segment, optional
        The kept property that makes the segments.
    every : str, optional
        Instead of `by`: the calendar period, as in ``compared``.
    a, b : optional
        Two values of the property, or days in two periods. Without `b`: the rest, or the period before. Without both:
        the two segments, or each against the rest where there are more; every period against the one before.
    pairs : bool
        Without `a` and `b`: every pair of segments instead of each against the rest.
    split : {"user", "path"}
        Segments are sets of users, each with one value (a user with two is refused); or of sessions or paths, each
        with its own first value.
    values : str or sequence of str, optional
        The columns of the answer to compare. By default those that have an interval; else all that are no counts.
    min_count : mapping of str to int, optional
        Per column of the answer: rows in which its sum over both sides is smaller are not tested. D13.4.
    power : float
        Of the smallest detectable difference; above 0.5, below 1.
    engine : Engine, optional
        Where to run; all cores in memory by default.
    level : float
        Of the intervals, between 0 and 1.

    Returns
    -------
    Comparison
        One row per comparison, row of the answer and column compared.

    Raises
    ------
    ParameterError
        If `journeys` is none of these, a segment or period does not exist or equals the other, or a user is in two
        segments.
    UnknownPropertyError
        If `by` names a property that was not kept.

    Notes
    -----
    ``segment_a``, ``segment_b`` (or ``period_a``, ``period_b``)
        What is compared; ``<REST>`` is all other segments.
    the first columns of the answer
        Which of its rows. Rows that only one side has are there too, with null on the other.
    ``compared``, ``a``, ``b``
        Which column of the answer, and its number on both sides.
    ``difference``, ``ratio`` and their ``_low``, ``_high``
        a - b and a / b. D13.2.
    ``p_value``, ``p_benjamini_hochberg``, ``p_holm``
        Two-sided, of no difference: for the row alone, and corrected over all rows of the table. Take Holm's for at
        most ten rows that were planned, else the other. D13.4.
    ``detectable_difference``
        The smallest true difference that data like these would show with the given power: whether "no difference
        found" says anything.
    ``method``
        ``newcombe`` where every user counts once in a proportion, as in ``Conversion(unit="user")`` between sets of
        users: Newcombe's interval, the pooled score test or Fisher's. Else ``jackknife``: the answer is made again
        without each of the 64 groups of users, on both sides at once, so that it holds for any statistic and for
        sides that share users. Null where there is no interval: fewer than 10 groups, or too few defined replicates.

    Where a row has no variance at all there is no test, unless it is a share of exactly 0 or 1 in an answer with a
    column ``users``: then users take its place (D12.3). One pass over the events per comparison, then 65 answers.

    References
    ----------
    Newcombe 1998, Stat. Med. 17; Kott 2001, J. Off. Stat. 17(4).

    Examples
    --------
    >>> import journeykit as jk
    >>> shop = jk.datasets.simulate_shop(4000, rng=1)
    >>> events = jk.read_events(shop.events, user="user", time="time", event="event", keep=["device"])
    >>> journeys = events.sessionize("30m")
    >>> question = jk.Conversion("purchase", start="add_to_cart", unit="user")
    >>> found = jk.compare(journeys, question, by="device", a="mobile", b="desktop", values="conversion_rate")
    >>> found.frame.select(pl.col("a", "b", "difference", "difference_low", "difference_high").round(4)).rows()
    [(0.1697, 0.3635, -0.1938, -0.2347, -0.1522)]
    >>> found.frame["method"].to_list()
    ['newcombe']
    """
    asked = (values,) if isinstance(values, str) else values
    _check(statistic, power, level)
    journeys = in_memory(journeys)
    made = sides_of(journeys, by, every, a, b, pairs, split)
    comparisons = [
        _Compared.make(journeys, statistic, sides, every, asked, split, engine, level) for sides in made
    ]
    frame = pl.concat([each.frame(power, min_count or {}) for each in comparisons], how="vertical_relaxed")
    p = frame["p_value"].fill_null(np.nan).to_numpy()
    frame = with_floats(frame, {"p_benjamini_hochberg": benjamini_hochberg(p), "p_holm": holm(p)})
    after = frame.columns.index("p_value") + 1
    names = [name for name in frame.columns if not name.startswith(("p_benjamini", "p_holm"))]
    frame = frame.select(*names[:after], "p_benjamini_hochberg", "p_holm", *names[after:])
    context = journeys.context(pl.DataFrame([{}]), level)
    notes = (*context.notes, *_notes(comparisons, frame, min_count))
    return Comparison(
        frame,
        statistic,  # type: ignore[arg-type]
        replace(context, notes=notes),
        tuple(each.found.answer for each in comparisons),
        _homogeneity(comparisons),
    )


def _check(statistic: Statistic[Any, Any], power: float, level: float) -> None:
    if isinstance(statistic, type) or not hasattr(statistic, "tally"):
        raise NotAStatisticError(statistic)
    if not 0 < level < 1:
        raise ParameterError(f"level must lie between 0 and 1, not {level!r}.")
    if not 0.5 < power < 1:
        raise ParameterError(f"power must lie between 0.5 and 1, not {power!r}.")


@dataclass(frozen=True)
class _Compared:
    """One comparison, measured."""

    sides: Sides
    context: Context
    found: Replicated
    disjoint: bool

    @classmethod
    def make(
        cls, journeys: Journeys, statistic: Statistic[Any, Any], sides: Sides, every: str | None,
        values: Sequence[str] | None, split: Split, engine: Engine | None, level: float,
    ) -> _Compared:  # fmt: skip
        """Count both sides in one pass, and answer with and without every group."""
        context = journeys.context(sides.cells.labels, level, every)
        statistic.check(context)
        last, tables = journeys.count(statistic, sides.cells, context, engine)
        found = Replicated.make(last, tables, context, sides, values)
        return cls(sides, context, found, every is None and split == "user")

    def frame(self, power: float, min_count: Mapping[str, int]) -> pl.DataFrame:
        """Return one row per row of the answer and column."""
        shown = self._enough(min_count)
        measures = [self._measure(name, power, shown) for name in self.found.values]
        rows = self.found.rows.with_row_index("__row")
        frame = pl.concat([rows.hstack(each) for each in measures]).sort("__row", maintain_order=True)
        column = SEGMENT if self.context.every is None else PERIOD
        dtype = pl.String() if column == SEGMENT else self.context.labels.schema[PERIOD]
        sides = [
            pl.lit(name, dtype).alias(f"{column}_{side}")
            for side, name in zip("ab", self.sides.names, strict=True)
        ]
        return frame.select(*sides, pl.exclude("__row", ALL))

    def proportions(self) -> Iterator[pl.DataFrame]:
        """Return numerators and denominators per row, of each segment and column that counts every user once."""
        for name, (x, n) in self.found.answer.proportions.items():
            if name not in self.found.values or not self.disjoint:
                continue
            for segment, side in zip(self.sides.names, (self.found.a, self.found.b), strict=True):
                if segment != REST:
                    keys = pl.lit(name).alias("compared"), pl.lit(segment, pl.String).alias(SEGMENT)
                    yield self.found.rows.hstack(side.select(*keys, x.alias("x"), n.alias("n")))

    def _measure(self, name: str, power: float, shown: Bools) -> pl.DataFrame:
        a, b = _numbers(self.found.a[name]), _numbers(self.found.b[name])
        groups = np.full(a.size, self.found.groups)
        one, other = self.found.without[name]
        found = compare_replicated((a, one), (b, other), groups, self._users(name), self.context.level)
        exact, degrees = np.zeros(a.size, np.bool_), groups - 1
        proportion = self.found.answer.proportions.get(name) if self.disjoint else None
        if proportion is not None:
            counts = [
                _numbers(each)
                for side in (self.found.a, self.found.b)
                for each in side.select(x=proportion[0], n=proportion[1]).iter_columns()
            ]
            exact = ~np.isnan(np.sum(counts, axis=0))
            x1, n1, x2, n2 = (np.where(exact, each, 0.0) for each in counts)
            found = either(exact, compare_proportions(x1, n1, x2, n2, self.context.level), found)
            degrees = np.where(exact, 0, degrees)
        columns = {each: getattr(found, each) for each in NUMBERS}
        columns["p_value"] = np.where(shown, columns["p_value"], np.nan)
        smallest = detectable(found.error, degrees, power, self.context.level)
        columns["detectable_difference"] = np.where(smallest > 0, smallest, np.nan)
        frame = with_floats(pl.DataFrame({"compared": [name] * a.size}), {"a": a, "b": b, **columns})
        tested = ~np.isnan(found.difference_low)
        method = pl.Series(np.where(exact, "newcombe", "jackknife")).set(pl.Series(~tested), None)
        return frame.with_columns(method.alias("method"))

    def _users(self, name: str) -> tuple[Floats, Floats] | None:
        """Return the users behind shares, of answers that say so. D12.3."""
        a, b = self.found.a, self.found.b
        both = np.concatenate([_numbers(a[name]), _numbers(b[name])])
        if "users" not in a.columns or not a.schema[name].is_float() or (both < 0).any() or (both > 1).any():
            return None
        return _numbers(a["users"]), _numbers(b["users"])

    def _enough(self, min_count: Mapping[str, int]) -> Bools:
        enough = np.ones(self.found.rows.height, np.bool_)
        for name, least in min_count.items():
            if name not in self.found.a.columns or not self.found.a.schema[name].is_integer():
                schema = self.found.a.schema
                counts = [each for each, dtype in schema.items() if dtype.is_integer() and each[:2] != "__"]
                raise ParameterError.choice("min_count", name, counts)
            pooled = self.found.a[name].fill_null(0) + self.found.b[name].fill_null(0)
            enough &= (pooled >= least).to_numpy()
        return enough


def _numbers(column: pl.Series) -> Floats:
    return column.cast(pl.Float64).fill_null(np.nan).to_numpy()


def _homogeneity(comparisons: Sequence[_Compared]) -> pl.DataFrame:
    """Test whether all segments are alike, of each proportion that more than two of them have. D13.3."""
    parts = [part for each in comparisons for part in each.proportions()]
    if not parts:
        return pl.DataFrame()
    table = pl.concat(parts).unique(maintain_order=True).drop_nulls(["x", "n"])
    keys = [name for name in table.columns if name not in {SEGMENT, "x", "n", ALL}]
    rows = []
    for key, part in table.group_by(keys, maintain_order=True):
        chi_square, degrees, p = homogeneity(part["x"], part["n"])
        rows.append((*key, chi_square, degrees, p))
    schema = {name: table.schema[name] for name in keys}
    numbers = {"chi_square": pl.Float64(), "degrees": pl.Int64(), "p_value": pl.Float64()}
    found = pl.DataFrame(rows, schema={**schema, **numbers}, orient="row")
    return found.with_columns(pl.col("chi_square", "p_value").fill_nan(None))


def _notes(
    comparisons: Sequence[_Compared], frame: pl.DataFrame, min_count: Mapping[str, int] | None
) -> list[str]:
    """Say what a reader should know."""
    notes = []
    if min(each.found.groups for each in comparisons) < FEWEST_GROUPS:
        notes.append(
            f"Fewer than {FEWEST_GROUPS} groups of users have data: some rows have no interval and no test."
        )
    elif frame["p_value"].null_count():
        untested = frame["p_value"].null_count()
        notes.append(
            f"{untested:,} of {frame.height:,} rows are not tested: one side has no number, nothing varies"
            f"{', or counts are below min_count' if min_count else ''}."
        )
    if any(each.sides.names[1] == REST for each in comparisons):
        notes.append(f"{REST} is all other segments together.")
    if not all(each.disjoint for each in comparisons):
        notes.append("Users may be on both sides; the jackknife leaves each out of both at once.")
    notes.append(
        "Segments were not assigned at random: a difference need not be caused by what they differ in."
    )
    return notes
