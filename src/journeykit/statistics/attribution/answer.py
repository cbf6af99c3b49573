"""The answer to Attribution: one row per model and channel. DEFINITIONS D11, D12.3."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError, UnknownNameError
from journeykit.mathematics.intervals import GROUPS, Bounds, GroupSums, jackknife
from journeykit.protocol import CELL, GROUP, Context, Tables, sum_rows
from journeykit.statistics.attribution.chain import TouchChain
from journeykit.statistics.attribution.models import BY_CHAIN, NOT_SHARED_OUT, additive
from journeykit.statistics.attribution.tally import CONVERTED, NEXT
from journeykit.statistics.base import (
    UNITS_TABLE,
    Answer,
    Grouped,
    groups_of_rows,
    groups_per_cell,
    place_of,
    with_floats,
    with_rate,
)

if TYPE_CHECKING:
    from journeykit.statistics.attribution.attribution import Attribution

Floats = npt.NDArray[np.float64]
START, CONVERT, ABANDON = "<START>", "<CONVERT>", "<ABANDON>"
SEPARATOR = " > "


@dataclass(frozen=True, eq=False, repr=False)
class AttributionAnswer(Answer):
    """Who earned the conversions; the frame is described in `Attribution`.

    Attributes
    ----------
    totals : polars.DataFrame
        Per segment and period: ``conversions``, ``null_paths`` (touches that led to none), ``open_paths`` (that may
        still lead to one, and are left out), ``untouched`` conversions without a touch, ``users``,
        ``converting_users``, and with a value ``value``, ``untouched_value``.
    places : polars.DataFrame
        With the model ``shapley_ordered``: per channel and ``place`` (it was the place-th new channel of its path),
        the ``conversions`` (and ``value``) credited. Without rows otherwise.
    moves : polars.DataFrame
        With the model ``markov``: what its chain is made of, paths by cell, jackknife group, last touches and target.
    """

    shown: ClassVar[Sequence[str]] = (
        "model",
        "channel",
        "conversions",
        "share",
        "share_low",
        "share_high",
        "value",
    )

    totals: pl.DataFrame
    places: pl.DataFrame
    moves: pl.DataFrame

    def side_by_side(
        self, of: Literal["conversions", "share", "value", "value_share"] = "conversions"
    ) -> pl.DataFrame:
        """Put the models beside each other.

        Parameters
        ----------
        of : {"conversions", "share", "value", "value_share"}
            What to show.

        Returns
        -------
        polars.DataFrame
            Per segment, period and channel, by name: a column per model, and ``spread``, the largest less the smallest
            (but for ``participation``, which is no share).

        Raises
        ------
        ParameterError
            If the frame has no such column.
        """
        columns = ("conversions", "share", "value", "value_share")
        self._refuse_column(of, [name for name in columns if name in self.frame.columns])
        labels, models = self.context.labels.columns, self._models
        wide = self.frame.select(*labels, "channel").unique(maintain_order=True).sort("channel")
        if labels:
            wide = wide.sort(*labels, "channel", nulls_last=True)
        for model in models:
            own = self.frame.filter(pl.col("model") == model).select(
                *labels, "channel", pl.col(of).alias(model)
            )
            wide = wide.join(
                own, on=[*labels, "channel"], how="left", nulls_equal=True, maintain_order="left"
            )
        compared = [model for model in models if model != NOT_SHARED_OUT]
        if not compared:
            return wide
        return wide.with_columns((pl.max_horizontal(compared) - pl.min_horizontal(compared)).alias("spread"))

    def disagreement(self) -> pl.DataFrame:
        """Say how much of all credit any two models give to different channels.

        Returns
        -------
        polars.DataFrame
            Per segment, period and pair of models, ``a`` and ``b``: ``disagreement``, half the sum of the differences
            of shares; 0 if they agree, 1 if they credit no channel in common. Null without conversions.
        """
        wide, labels = self.side_by_side("share"), self.context.labels.columns
        pairs = list(combinations([model for model in self._models if model != NOT_SHARED_OUT], 2))
        tables = [wide.clear().select(*labels, a=pl.lit(""), b=pl.lit(""), disagreement=pl.lit(0.0)).clear()]
        for a, b in pairs:
            half = (pl.col(a) - pl.col(b)).abs().sum() / 2
            known = pl.when(pl.col(a).is_not_null().any()).then(half).alias("disagreement")
            grouped = wide.group_by(labels, maintain_order=True).agg(known) if labels else wide.select(known)
            tables.append(grouped.select(*labels, pl.lit(a).alias("a"), pl.lit(b).alias("b"), "disagreement"))
        return pl.concat(tables)

    def removal_effect(self, removed: str | Sequence[str], *, sequence: bool = False) -> pl.DataFrame:
        """Return the share of conversions lost without some channels together, or without a sequence of touches.

        Parameters
        ----------
        removed : str or sequence of str
            Channels.
        sequence : bool
            Whether paths end where the last touches are these, in this order, instead of at any of them; at most as
            many as the order of the chain.

        Returns
        -------
        polars.DataFrame
            One row per segment and period: ``removal_effect``, ``low``, ``high``; null without conversions.

        Raises
        ------
        ParameterError
            If the answer has no chain, or the sequence is longer than its order.
        UnknownNameError
            If a channel does not occur.
        """
        removed = (removed,) if isinstance(removed, str) else tuple(removed)
        self._check_removed(removed, sequence)
        cells, effects, replicates, groups, users = [], [], [], [], []
        for cell, chain in self._chains.items():
            found, parts = chain.removal_effects(chain.ending_in(removed, sequence)[None])
            cells.append(cell)
            effects.append(found[0])
            replicates.append(parts[0])
            groups.append(len(chain.groups))
            users.append(chain.total[chain.won].sum())
        values = np.array(effects, np.float64)
        bounds = jackknife(
            values, np.array(replicates).reshape(-1, GROUPS), np.array(groups, np.int64), np.array(users),
            level=self.context.level,
        )  # fmt: skip
        frame = pl.DataFrame({CELL: pl.Series(cells, dtype=pl.Int32)})
        named = {"removal_effect": values, "low": bounds.low, "high": bounds.high}
        return self.context.label(with_floats(frame, named))

    @cached_property
    def transitions(self) -> pl.DataFrame:
        """The chain of touches. D4.3, D10.1.

        One row per segment, period and move: ``source`` (the last touches, ``a > b``, oldest first), ``target``,
        ``paths``, and ``probability``, the share of the moves out of the source.
        """
        self._refuse_without_chain()
        statistic: Attribution = self.statistic  # type: ignore[assignment]
        keys = [CELL, *statistic.touch_columns, "target", "outcome"]
        table = sum_rows(self.moves, keys).sort(keys)
        source = pl.concat_str(statistic.touch_columns, separator=SEPARATOR, ignore_nulls=True)
        target = (
            pl.when(pl.col("outcome") == NEXT)
            .then("target")
            .when(pl.col("outcome") == CONVERTED)
            .then(pl.lit(CONVERT))
            .otherwise(pl.lit(ABANDON))
        )
        none = pl.col(statistic.touch_columns[-1]).is_null()
        named = table.select(
            CELL, pl.when(none).then(pl.lit(START)).otherwise(source).alias("source"), target.alias("target"),
            "paths",
        )  # fmt: skip
        whole = pl.col("paths").sum().over(CELL, "source")
        return self.context.label(named.with_columns(probability=pl.col("paths") / whole))

    @cached_property
    def _chains(self) -> dict[int, TouchChain]:
        return _chains_of(self.statistic, self.moves)  # type: ignore[arg-type]

    @property
    def _models(self) -> tuple[str, ...]:
        return tuple(self.statistic.models)  # type: ignore[attr-defined]

    def _refuse_column(self, of: str, columns: Sequence[str]) -> None:
        if of not in columns:
            raise ParameterError.choice("of", of, columns)

    def _refuse_without_chain(self) -> None:
        if BY_CHAIN not in self._models:
            raise ParameterError('there is no chain without the model "markov". Add it to models.')

    def _check_removed(self, removed: tuple[str, ...], sequence: bool) -> None:
        self._refuse_without_chain()
        known = self.moves["target"].drop_nulls().unique().sort().to_list()
        unknown = [name for name in removed if name not in known]
        if unknown or not removed:
            raise UnknownNameError("channel", unknown or [""], known)
        order: int = self.statistic.order  # type: ignore[attr-defined]
        if sequence and len(removed) > order:
            raise ParameterError(
                f"a sequence of {len(removed)} touches needs a chain of that order, not {order}. "
                f"Pass order={len(removed)}."
            )


def attribution_of(statistic: Attribution, tables: Tables, context: Context) -> AttributionAnswer:
    """Turn the summed tables of Attribution into its answer."""
    credit, moves = _Credit(statistic, tables, context), tables.get("moves", pl.DataFrame())
    parts = [credit.additive_model(model) for model in additive(statistic.models)]
    if BY_CHAIN in statistic.models:
        parts.append(credit.by_chain(_chains_of(statistic, moves)))
    frame = pl.concat(parts, how="diagonal")
    order = pl.col("model").replace_strict(
        list(statistic.models), list(range(len(statistic.models))), return_dtype=pl.Int32
    )
    frame = frame.sort(
        CELL, order, "conversions", "channel", descending=[False, False, True, False], nulls_last=True
    )
    return AttributionAnswer(
        frame=context.label(_in_order(statistic, frame)),
        statistic=statistic,
        context=replace(context, notes=(*context.notes, *_notes(statistic, credit.units.totals))),
        totals=context.label(_totals(statistic, credit.units.totals)),
        places=context.label(_places(statistic, tables)),
        moves=moves,
    )


def _chains_of(statistic: Attribution, moves: pl.DataFrame) -> dict[int, TouchChain]:
    """Return the chain of every cell that has touches."""
    cells = moves[CELL].unique()
    if len(cells) == 1:
        return {int(cells[0]): TouchChain.of(moves, statistic.touch_columns)}
    parts = moves.partition_by(CELL, as_dict=True, include_key=False)
    return {int(cell): TouchChain.of(parts[(cell,)], statistic.touch_columns) for (cell,) in sorted(parts)}


class _Credit:
    """The credit of one model after another, per cell and channel."""

    def __init__(self, statistic: Attribution, tables: Tables, context: Context) -> None:
        self.statistic, self.context = statistic, context
        self.units = Grouped(tables[UNITS_TABLE], ())
        self.groups = groups_per_cell(tables)
        self.channels = Grouped(self._with_untouched(tables), ("channel",))
        self.of_cell = place_of(self.channels.totals, self.units.totals, [CELL])
        self.users = self.units.totals["converting_users"].to_numpy()[self.of_cell]
        self.whole = self.units.sums("conversions")

    def _with_untouched(self, tables: Tables) -> pl.DataFrame:
        """Credit conversions without touches to the direct channel, by every model. D11.1."""
        credit, models = tables["credit"], additive(self.statistic.models)
        none = tables[UNITS_TABLE].filter(pl.col("untouched") > 0)
        columns = {"touches": pl.lit(0.0), "untouched": pl.col("untouched")}
        columns |= {"untouched_value": pl.col("untouched_value")}
        for model in models:
            columns |= {model: pl.col("untouched"), f"{model}_value": pl.col("untouched_value")}
        direct = pl.lit(self.statistic.direct).alias("channel")
        own = none.select(CELL, GROUP, direct, *(each.alias(name) for name, each in columns.items()))
        credit = credit.with_columns(untouched=pl.lit(0.0), untouched_value=pl.lit(0.0))
        return sum_rows(pl.concat([credit.select(own.columns), own]), [CELL, GROUP, "channel"])

    def _frame(self, model: str, conversions: Floats, values: Floats | None) -> pl.DataFrame:
        frame = self.channels.totals.select(CELL, pl.lit(model).alias("model"), "channel", "touches")
        frame = frame.with_columns(pl.Series("conversions", conversions, dtype=pl.Float64))
        if self.statistic.value is not None:
            frame = frame.with_columns(pl.Series("value", values, dtype=pl.Float64))
        return frame

    def additive_model(self, model: str) -> pl.DataFrame:
        """Return the credit of a model that adds up path by path."""
        credit = self.channels.sums(model)
        values = self.channels.sums(f"{model}_value")
        frame = self._frame(model, credit.total, values.total)
        frame = with_rate(
            frame, "share", credit, self.whole, self.of_cell, self.groups, self.users, self.context
        )
        if self.statistic.value is not None:
            frame = with_rate(
                frame, "value_share", values, self.units.sums("value"), self.of_cell, self.groups, self.users,
                self.context, scale="identity",
            )  # fmt: skip
        return frame

    def by_chain(self, chains: dict[int, TouchChain]) -> pl.DataFrame:
        """Share the conversions that have touches out by removal effect. D11.3."""
        height = self.channels.totals.height
        effects, parts = np.full(height, np.nan), np.full((height, GROUPS), np.nan)
        cells, names = self.channels.totals[CELL].to_numpy(), self.channels.totals["channel"].to_list()
        for cell, chain in chains.items():
            found, replicates = chain.removal_effects(chain.of_channel())
            place = {name: i for i, name in enumerate(chain.channels)}
            rows = [i for i in np.flatnonzero(cells == cell).tolist() if names[i] in place]
            own = [place[names[i]] for i in rows]
            effects[rows], parts[rows] = found[own], replicates[own]
        credit, replicates = self._shared(effects, parts, "conversions", "untouched")
        values = self._shared(effects, parts, "value", "untouched_value")
        frame = self._frame(BY_CHAIN, credit * self.whole.total[self.of_cell], np.full(height, np.nan))
        columns = self._bounded("share", credit, replicates)
        if self.statistic.value is not None:
            total = self.units.sums("value").total[self.of_cell]
            frame = frame.with_columns(pl.Series("value", values[0] * total, dtype=pl.Float64).fill_nan(None))
            columns |= self._bounded("value_share", *values, identity=True)
        columns |= self._bounded("removal_effect", effects, parts)
        return with_floats(frame.with_columns(pl.col("conversions").fill_nan(0.0)), columns)

    def _bounded(
        self, name: str, estimate: Floats, parts: Floats, *, identity: bool = False
    ) -> dict[str, Floats]:
        present = groups_of_rows(self.channels.totals[CELL], self.groups)
        bounds = Bounds(np.empty(0), np.empty(0))
        if estimate.size:
            bounds = jackknife(
                estimate, parts, present, self.users, scale="identity" if identity else "logit",
                level=self.context.level,
            )  # fmt: skip
        return {name: estimate, f"{name}_low": bounds.low, f"{name}_high": bounds.high}

    def _shared(self, effects: Floats, parts: Floats, whole: str, untouched: str) -> tuple[Floats, Floats]:
        """Return each channel's share of all that was earned, and the replicates of it."""
        sums = (self.units.sums(whole), self.units.sums(untouched), self.channels.sums(untouched))
        shares = self._of_cell(effects[:, None], *(each.total[:, None] for each in sums))
        return shares[:, 0], self._of_cell(parts, *(_left_out(each) for each in sums))

    def _of_cell(self, effects: Floats, total: Floats, untouched: Floats, own: Floats) -> Floats:
        """Share what has touches out by effect, and add what a channel gets without."""
        known = np.nan_to_num(effects)
        sums = np.zeros((self.units.totals.height, effects.shape[1]))
        np.add.at(sums, self.of_cell, known)
        sums, total = sums[self.of_cell], total[self.of_cell]
        touched = total - untouched[self.of_cell]
        with np.errstate(divide="ignore", invalid="ignore"):
            shared = np.where(sums > 0, known / sums * touched, 0.0)
            return np.where(total != 0, (shared + own) / total, np.nan)


def _left_out(sums: GroupSums) -> Floats:
    """Return sums without each jackknife group, rows x groups."""
    total, parts = sums.take(np.arange(sums.total.size))(0, sums.total.size)
    return total[:, None] - parts


def _in_order(statistic: Attribution, frame: pl.DataFrame) -> pl.DataFrame:
    names = ["conversions", "share", "share_low", "share_high"]
    if statistic.value is not None:
        names += ["value", "value_share", "value_share_low", "value_share_high"]
    if BY_CHAIN in statistic.models:
        names += ["removal_effect", "removal_effect_low", "removal_effect_high"]
    return frame.select(CELL, "model", "channel", *names, "touches")


def _totals(statistic: Attribution, units: pl.DataFrame) -> pl.DataFrame:
    values = [] if statistic.value is None else ["value", "untouched_value"]
    counts = ("conversions", "null_paths", "open_paths", "untouched", "users", "converting_users")
    return units.select(CELL, *counts, *values)


def _places(statistic: Attribution, tables: Tables) -> pl.DataFrame:
    types = {
        CELL: pl.Int32,
        "channel": pl.String,
        "place": pl.Int32,
        "conversions": pl.Float64,
        "value": pl.Float64,
    }
    table = tables.get("places", pl.DataFrame(schema=types))
    summed = sum_rows(table, [CELL, "channel", "place"]).sort(CELL, "channel", "place")
    return summed if statistic.value is not None else summed.drop("value")


def _notes(statistic: Attribution, units: pl.DataFrame) -> list[str]:
    """Say what the numbers rest on."""
    notes = []
    none, total = units["untouched"].sum(), units["conversions"].sum()
    if none:
        notes.append(
            f"{none:,.0f} of {total:,.0f} conversions have no touch and are credited to {statistic.direct}."
        )
    left_out = units["open_paths"].sum()
    if left_out:
        notes.append(f"{left_out:,.0f} paths without a conversion may still go on and are left out.")
    if statistic.lookback == "user":
        notes.append("No lookback window: every touch of the user before the goal counts.")
    if NOT_SHARED_OUT in statistic.models:
        notes.append(
            "participation counts a conversion once for every channel: it does not sum to the total."
        )
    return notes
