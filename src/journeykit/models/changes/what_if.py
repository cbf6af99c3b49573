"""WhatIf: what a change of some moves would do to conversions and value. DEFINITIONS D10.3, D15.6."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import polars as pl

from journeykit.errors import JourneykitError, ParameterError, UndefinedError, UnknownNameError, listed
from journeykit.journeys.journeys import Journeys
from journeykit.mathematics.absorption import AbsorbingChain
from journeykit.mathematics.intervals import Scale
from journeykit.models.chains.chain import Chain
from journeykit.models.chains.fitted import Fit, Floats
from journeykit.models.chains.making import ABANDON, START
from journeykit.models.chains.segments import SegmentChain, chain_notes, counted_paths, segment_chains
from journeykit.models.changes.changes import BETWEEN, Change, as_changes, changed_fit, is_meant
from journeykit.models.changes.worth import Worth, estimate_columns
from journeykit.protocol import CELL, Cells, Context, Tables
from journeykit.statistics.base import Answer, Statistic

ASSUMES = (
    "Assumes that who is moved goes on like those who are there now, that nothing else changes, and that as many come. "
    "What people do is counted, not why: only an experiment proves an effect."
)
OPEN_COUNT = "Conversions are P(convert) times paths, those that may still go on included."
SCALES: Mapping[str, Scale] = {
    "conversion": "logit",
    "conversion_changed": "logit",
    "difference": "identity",
    "expected_conversions": "log",
    "change_in_conversions": "identity",
    "value_per_conversion": "log",
    "change_in_value": "identity",
}
VISITS: Mapping[str, Scale] = {"visits": "log", "visits_changed": "log", "change_in_visits": "identity"}


@dataclass(frozen=True, eq=False, repr=False)
class WhatIfAnswer(Answer):
    """What changes of a chain would do, for every segment.

    Attributes
    ----------
    frame : polars.DataFrame
        One row per segment, all changes made: ``paths``, ``users``, ``converted`` (observed); ``conversion``
        (P(a goal) of the chain), ``conversion_changed`` and their ``difference``; ``expected_conversions`` =
        P x paths, and ``change_in_conversions``. With a value: ``value_per_conversion`` and ``change_in_value``. All
        with ``*_low`` and ``*_high``.
    changes : polars.DataFrame
        One row per change, made alone, in the order given: ``change``, ``source``, ``target``, the ``probability``
        before and ``probability_changed`` (of several states, the mean over their visits),
        ``change_in_conversions``, and ``change_in_value``. What they bring together is in ``frame``; it is not the
        sum.
    states : polars.DataFrame
        One row per state and end that paths pass through, all changes made: ``visits`` of the chain (times paths),
        ``visits_changed``, ``change_in_visits``; those that change most first.

    Notes
    -----
    Numbers are null where a segment does not have a move that changes, or a path need not end; notes say which.
    """

    changes: pl.DataFrame
    states: pl.DataFrame

    shown: ClassVar[Sequence[str]] = (
        "paths",
        "conversion",
        "conversion_changed",
        "expected_conversions",
        "change_in_conversions",
        "change_in_conversions_low",
        "change_in_conversions_high",
        "change_in_value",
    )


@dataclass(frozen=True)
class WhatIf(Statistic[WhatIfAnswer]):
    """Say what a change of some moves would be worth, in conversions and in value. D10.3.

    Parameters
    ----------
    chain : Chain
        The chain that is changed. With ``value=`` the answer speaks of money too.
    changes : Change or sequence of Change
        What changes, one after the other.

    Raises
    ------
    ParameterError
        If `chain` is no Chain or `changes` are none. When measured: if a probability would leave [0, 1] in every
        segment.
    UnknownNameError
        When measured: if a change names a state that the log does not have.

    Notes
    -----
    Row i of the chain becomes p_i + dp. The other moves out of the state grow or shrink in proportion, unless the
    change says ``instead=``: a lower exit rate scales all moves onward up (D15.6). The chain is solved anew: for one
    row this is N[START, i] (dp . b) / (1 - dp . N[., i]) exactly.

    Conversions are P(convert) times the paths of the segment; value is that times the mean value of a conversion. The
    interval is that of the delete-a-group jackknife, chain, paths and value anew without each group (D12.3).

    Assumes what a chain assumes: whoever is moved to a state goes on like those who are there now. It says what a
    change would bring *if* it could be made and touched nothing else.

    Costs what `Chain` costs, and two factorisations per change, segment and group.

    References
    ----------
    Kemeny & Snell 1960, Finite Markov Chains; Sherman & Morrison 1950, Ann. Math. Stat. 21.

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({
    ...     "user": [1, 1, 1, 2, 3, 3, 4, 4],
    ...     "time": [0, 9, 12, 5, 0, 7, 1, 4],
    ...     "event": ["view", "cart", "buy", "view", "view", "cart", "view", "cart"],
    ... })
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> fewer_lost_carts = jk.Change("cart", relative=-0.1)
    >>> answer = journeys.measure(WhatIf(Chain("buy", open_paths="end"), fewer_lost_carts))
    >>> answer.frame.select("conversion", pl.col("conversion_changed", "change_in_conversions").round(4)).row(0)
    (0.25, 0.3, 0.2)
    >>> answer.changes.select("change", pl.col("probability", "probability_changed").round(3)).row(0)
    ('cart to <ABANDON>, 10 % down', 0.667, 0.6)
    """

    chain: Chain
    changes: Change | Sequence[Change]

    def __post_init__(self) -> None:
        check_chain(self.chain)
        object.__setattr__(self, "changes", as_changes(self.changes))

    @property
    def tables(self) -> Mapping[str, Sequence[str]]:  # type: ignore[override]
        """The tables of a tally: those of the chain."""
        return self.chain.tables

    def check(self, context: Context) -> None:
        """Refuse goals, properties and states that the journeys do not have."""
        self.chain.check(context)
        if self.chain.missing == "raise":
            for change in as_changes(self.changes):
                check_names(self.chain, change, context)

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the moves of one shard."""
        return self.chain.tally(shard, cells)

    def answer(self, tables: Tables, context: Context) -> WhatIfAnswer:
        """Solve the chain of every segment before and after the changes."""
        segments, units = segment_chains(self.chain, tables, context), counted_paths(tables)
        found = [_Changed(self, segment) for segment in segments]
        refused = [each.refusal for each in found if isinstance(each.refusal, ParameterError)]
        if found and len(refused) == len(found):
            raise refused[0]
        notes = [*chain_notes(self.chain, segments, units), *_notes(found, context)]
        notes += [OPEN_COUNT] if int(units["open"].sum() or 0) else []
        tables_of = {
            name: context.label(pl.concat([_empty(schema), *(each.tables[name] for each in found)]))
            for name, schema in self._schemas.items()
        }
        return WhatIfAnswer(
            statistic=self, context=replace(context, notes=(*context.notes, *notes, ASSUMES)), **tables_of
        )

    @property
    def _schemas(self) -> dict[str, dict[str, Any]]:
        return {
            name: {
                column: dtype for column, dtype in schema.items() if self.chain.value or "value" not in column
            }
            for name, schema in SCHEMAS.items()
        }


def check_chain(chain: object) -> None:
    """Refuse what is no Chain."""
    if not isinstance(chain, Chain):
        raise ParameterError(f"chain must be a Chain, such as Chain('purchase'), not {chain!r}.")


def check_names(chain: Chain, change: Change, context: Context) -> None:
    """Refuse states that the journeys do not have."""
    known = [
        START,
        *chain.goals,
        ABANDON,
        *(context.stages if chain.of == "stage" else context.names.to_list()),
    ]
    for name in (change.source, change.target, change.instead):
        parts = [name] if name is None or name in known or chain.order == 1 else name.split(BETWEEN)
        unknown = [part for part in parts if part is not None and part not in known]
        if unknown:
            raise UnknownNameError("state", unknown, known, advice="")


def _notes(found: Sequence[_Changed], context: Context) -> list[str]:
    """Say which segments cannot change so, and why."""
    notes = []
    for each in found:
        if each.refusal is not None:
            segment = context.labels.row(each.segment.cell) if context.labels.width else ()
            named = f" in {', '.join(map(str, segment))}" if segment else ""
            why = str(each.refusal)
            if isinstance(each.refusal, UnknownNameError):
                why = f"nobody was in {listed(each.refusal.names)} before the goal."
            notes.append(f"Null{named}: {why}")
    return notes


class _Changed:
    """One segment, before and after the changes."""

    def __init__(self, statistic: WhatIf, segment: SegmentChain) -> None:
        self.statistic, self.segment, self.model = statistic, segment, segment.model
        self.worth = Worth.of(segment.units)
        self.start = np.array([float(name == START) for name in self.model.states])
        self.given = as_changes(statistic.changes)
        self.refusal: JourneykitError | None = None
        try:
            self.before, self.together = self._changed(self.given)
        except JourneykitError as refusal:
            self.refusal, self.before, self.together = refusal, self.model.fitted, None
        self.tables = {"frame": self._frame(), "changes": self._changes(), "states": self._states()}

    def _changed(self, changes: Sequence[Change]) -> tuple[Fit, Fit | None]:
        before, after = changed_fit(self.model, changes, self.statistic.chain.order)
        if not after.chain.defined[self.start > 0].all():
            raise UndefinedError("after the changes a path need not end.")
        return before, after

    def _frame(self) -> pl.DataFrame:
        sums = self.segment.units.select(pl.col("paths", "users", "converted").sum())
        found = self._numbers(self.before, self.together)
        return self._celled(sums.with_columns(**found), "frame")

    def _numbers(self, before: Fit, after: Fit | None) -> dict[str, pl.Series]:
        """Return the chances and what they are worth, with intervals."""
        first = self.start > 0

        def numbers(chain: AbsorbingChain, group: int | None) -> dict[str, Floats]:
            b = self.model.converting(chain)[first]
            changed = (
                np.full(b.size, np.nan)
                if after is None
                else self.model.converting(after.change(chain))[first]
            )
            paths, each = self.worth.paths_without(group), self.worth.each_without(group)
            return {
                "conversion": b,
                "conversion_changed": changed,
                "difference": changed - b,
                "change_in_conversions": paths * (changed - b),
                "value_per_conversion": np.full(b.size, each),
                "change_in_value": paths * each * (changed - b),
                "expected_conversions": paths * b,
            }

        values, replicates = before.replicated(numbers)
        users = float(self.segment.units["users"].sum())
        found = {
            name: before.bounded(values[name], replicates[name], scale, users)
            for name, scale in SCALES.items()
        }
        return estimate_columns(found)

    def _changes(self) -> pl.DataFrame:
        rows = []
        for change in self.given:
            before, after = self.model.fitted, None
            if self.refusal is None or len(self.given) > 1:
                before, after = self._alone(change)
            found = self._numbers(before, after)
            named = {
                "change": repr(change).removeprefix("Change(")[:-1],
                "source": change.source,
                "target": change.target,
                "probability": self._mean(change, before, before),
                "probability_changed": None if after is None else self._mean(change, before, after),
            }
            kept = {name: series for name, series in found.items() if name.startswith("change_in")}
            rows.append(pl.DataFrame({**named, **kept}, schema_overrides=_FLOATS))
        return self._celled(pl.concat(rows), "changes")

    def _alone(self, change: Change) -> tuple[Fit, Fit | None]:
        try:
            return self._changed([change])
        except JourneykitError:
            return self.model.fitted, None

    def _mean(self, change: Change, before: Fit, fitted: Fit) -> float | None:
        """Return the share of the visits of a source after which the target comes."""
        names, order = self.model.names, self.statistic.chain.order
        rows = np.array(
            [is_meant(names[i], change.source, order) for i in before.edge_source.tolist()], np.bool_
        )
        hits = np.array(
            [is_meant(names[i], change.target, order) for i in before.edge_target.tolist()], np.bool_
        )
        weight = before.leaving[before.edge_source] * fitted.chain.probability
        total = weight[rows].sum()
        return float(weight[rows & hits].sum() / total) if total > 0 else None

    def _states(self) -> pl.DataFrame:
        ends = len(self.model.ends)

        def visits(chain: AbsorbingChain) -> Floats:
            inner = chain.visits_from(self.start)
            own = np.concatenate([inner, np.zeros(ends)])
            final = chain.target >= chain.states
            flow = inner[chain.source[final]] * chain.probability[final]
            own[chain.states :] = np.bincount(chain.target[final] - chain.states, flow, ends)
            return own

        def numbers(chain: AbsorbingChain, group: int | None) -> dict[str, Floats]:
            paths, own = self.worth.paths_without(group), visits(chain)
            changed = (
                np.full(own.size, np.nan) if self.together is None else visits(self.together.change(chain))
            )
            return {
                "visits": paths * own,
                "visits_changed": paths * changed,
                "change_in_visits": paths * (changed - own),
            }

        values, replicates = self.before.replicated(numbers)
        found = {
            name: self.before.bounded(values[name], replicates[name], scale) for name, scale in VISITS.items()
        }
        columns = {"state": pl.Series(self.model.names, dtype=pl.String)} | estimate_columns(found)
        frame = pl.DataFrame(columns).filter(
            (pl.col("visits") > 0) | (pl.col("visits_changed") > 0).fill_null(False)
        )
        change = pl.col("change_in_visits")
        size = pl.when(change.abs() > 1e-9).then(change.abs()).when(change.is_not_null()).then(0.0)
        ranked = frame.with_columns(size=size.round_sig_figs(9)).sort(
            "size", "state", descending=[True, False], nulls_last=True
        )
        return self._celled(ranked, "states")

    def _celled(self, frame: pl.DataFrame, table: str) -> pl.DataFrame:
        schema = self.statistic._schemas[table]
        return frame.with_columns(pl.lit(self.segment.cell, pl.Int32).alias(CELL)).select(
            pl.col(name).cast(dtype) for name, dtype in schema.items()
        )


def _empty(schema: Mapping[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(schema=dict(schema))


def _estimated(*names: str) -> dict[str, Any]:
    return {f"{name}{end}": pl.Float64 for name in names for end in ("", "_low", "_high")}


_FLOATS: dict[str, Any] = {"probability": pl.Float64, "probability_changed": pl.Float64}
SCHEMAS: dict[str, dict[str, Any]] = {
    "frame": {
        CELL: pl.Int32,
        "paths": pl.Int64,
        "users": pl.Int64,
        "converted": pl.Int64,
        **_estimated("conversion", "conversion_changed", "difference", "expected_conversions"),
        **_estimated("change_in_conversions", "value_per_conversion", "change_in_value"),
    },
    "changes": {
        CELL: pl.Int32,
        "change": pl.String,
        "source": pl.String,
        "target": pl.String,
        **_FLOATS,
        **_estimated("change_in_conversions", "change_in_value"),
    },
    "states": {
        CELL: pl.Int32,
        "state": pl.String,
        **_estimated("visits", "visits_changed", "change_in_visits"),
    },
}
