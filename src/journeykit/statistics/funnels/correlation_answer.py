"""Measures of association of two yes or no answers, with intervals. DEFINITIONS D7.11, D12.3, D13.2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.mathematics.differences import compare_proportions, compare_ratios
from journeykit.mathematics.intervals import GROUPS, GroupSums, jackknife, wilson
from journeykit.mathematics.multiple_tests import benjamini_hochberg
from journeykit.protocol import CELL, GROUP, Context, Tables
from journeykit.statistics.base import Answer, Grouped, groups_of_rows, place_of, with_floats
from journeykit.statistics.goals import Floats

if TYPE_CHECKING:
    from journeykit.statistics.funnels.correlation import FunnelCorrelation

FEW_UNITS, FEW_SHARE = 25, 0.02


@dataclass(frozen=True, eq=False, repr=False)
class CorrelationAnswer(Answer):
    """What goes with conversion; the frame is described in `FunnelCorrelation`."""

    shown: ClassVar[Sequence[str]] = (
        "event", "value", "success", "failure", "rate_with", "rate_without", "odds_ratio", "odds_ratio_low",
        "odds_ratio_high", "phi", "p_adjusted", "weak",
    )  # fmt: skip


@dataclass(frozen=True)
class Fourfold:
    """Tables of two by two: with and without, converted and not; each a number or an array of them."""

    s: Floats
    f: Floats
    without_s: Floats
    without_f: Floats

    def __sub__(self, other: Fourfold) -> Fourfold:
        return Fourfold(
            self.s - other.s, self.f - other.f, self.without_s - other.without_s, self.without_f - other.without_f
        )  # fmt: skip

    def deep(self) -> Fourfold:
        """Return the same with one more axis, for groups."""
        return Fourfold(*(each[:, None] for each in (self.s, self.f, self.without_s, self.without_f)))

    @property
    def odds_ratio(self) -> Floats:
        """With one added to every number, so that none is infinite."""
        return (self.s + 1) * (self.without_f + 1) / ((self.f + 1) * (self.without_s + 1))

    @property
    def phi(self) -> Floats:
        """Pearson's correlation."""
        having, lacking = self.s + self.f, self.without_s + self.without_f
        below = having * lacking * (self.s + self.without_s) * (self.f + self.without_f)
        return (self.s * self.without_f - self.f * self.without_s) / np.sqrt(
            np.where(below > 0, below, np.nan)
        )

    @property
    def rates(self) -> tuple[Floats, Floats]:
        """Who converts with it, and without it."""
        return _share(self.s, self.s + self.f), _share(self.without_s, self.without_s + self.without_f)


def correlation_answer(question: FunnelCorrelation, tables: Tables, context: Context) -> CorrelationAnswer:
    """Turn counts into the answer."""
    things, outcomes = Grouped(tables["correlates"], ("thing",)), Grouped(tables["outcomes"], ())
    frame = things.totals.with_columns((pl.col("success") + pl.col("failure")).alias("units"))
    totals = outcomes.totals.select(CELL, "converted", "others")
    frame = frame.join(totals, on=CELL, how="left", maintain_order="left")
    rows = place_of(frame, outcomes.totals, [CELL])
    whole, parts = _fourfold(things, outcomes, rows)
    some = tables["outcomes"].filter(pl.col("converted") + pl.col("others") > 0)
    groups = dict(some.group_by(CELL).agg(pl.col(GROUP).n_unique().cast(pl.Int64)).iter_rows())
    present = groups_of_rows(frame[CELL], groups)
    once = question.funnel.counts_users_once
    frame = with_floats(frame, _measures(whole, parts, present, once, context.level))
    frame = frame.with_columns(
        pl.when(pl.col("odds_ratio") != 1)
        .then(pl.when(pl.col("odds_ratio") > 1).then(pl.lit("success")).otherwise(pl.lit("failure")))
        .alias("correlates_with"),
        (
            pl.col("units")
            < pl.min_horizontal(FEW_UNITS, FEW_SHARE * (pl.col("converted") + pl.col("others")))
        ).alias("weak"),
    )
    strength = pl.col("odds_ratio").log().abs()
    frame = frame.sort(CELL, "weak", strength, "thing", descending=[False, False, True, False])
    bounded = ["rate_with", "rate_without", "odds_ratio"]
    columns = [f"{name}{end}" for name in bounded for end in ("", "_low", "_high")]
    frame = frame.select(
        CELL, pl.col("thing").alias("event" if question.of == "events" else "value"), "success", "failure", "units",
        "converted", "others", *columns, "correlates_with", "phi", "p_value", "p_adjusted", "weak",
    )  # fmt: skip
    note = "What goes with conversion need not cause it. Units still open count as not converted."
    return CorrelationAnswer(context.label(frame), question, replace(context, notes=(*context.notes, note)))


def _fourfold(things: Grouped, outcomes: Grouped, rows: npt.NDArray[np.int64]) -> tuple[Fourfold, Fourfold]:
    """Return the tables of all units, and (rows, groups) those of each group."""
    n = rows.size
    s, s_parts = things.sums("success").take(np.arange(n))(0, n)
    f, f_parts = things.sums("failure").take(np.arange(n))(0, n)
    converted, converted_parts = outcomes.sums("converted").take(rows)(0, n)
    others, others_parts = outcomes.sums("others").take(rows)(0, n)
    whole = Fourfold(s, f, converted - s, others - f)
    return whole, Fourfold(s_parts, f_parts, converted_parts - s_parts, others_parts - f_parts)


def _measures(
    whole: Fourfold, parts: Fourfold, present: npt.NDArray[np.int64], once: bool, level: float
) -> dict[str, Floats]:
    """Return every measure with its interval."""
    left = whole.deep() - parts
    having, lacking = whole.s + whole.f, whole.without_s + whole.without_f
    columns: dict[str, Floats] = {}
    for name, rate, replicates, x, n in zip(
        ("rate_with", "rate_without"), whole.rates, left.rates, (whole.s, whole.without_s), (having, lacking),
        strict=True,
    ):  # fmt: skip
        ends = wilson(x, n, level) if once else jackknife(rate, replicates, present, n, level=level)
        columns |= {name: rate, f"{name}_low": ends.low, f"{name}_high": ends.high}
    odds = whole.odds_ratio
    ends = jackknife(odds, left.odds_ratio, present, having, scale="log", level=level)
    columns |= {
        "odds_ratio": odds,
        "odds_ratio_low": ends.low,
        "odds_ratio_high": ends.high,
        "phi": whole.phi,
    }
    if once:
        p = compare_proportions(whole.s, having, whole.without_s, lacking, level).p_value
    else:
        pairs = [(parts.s, parts.s + parts.f), (parts.without_s, parts.without_s + parts.without_f)]
        one, other = ((_sums(top), _sums(bottom)) for top, bottom in pairs)
        p = compare_ratios(one, other, present, level=level).p_value
    return columns | {"p_value": p, "p_adjusted": benjamini_hochberg(p)}


def _sums(parts: Floats) -> GroupSums:
    rows = np.repeat(np.arange(parts.shape[0]), GROUPS)
    return GroupSums.of(parts.shape[0], rows, np.tile(np.arange(GROUPS), parts.shape[0]), parts.ravel())


def _share(part: Floats, whole: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(whole > 0, part / whole, np.nan)
