"""Opportunities: what would be won if a move were as good as elsewhere. DEFINITIONS D10.3, D15.6."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import polars as pl

from journeykit.journeys.journeys import Journeys
from journeykit.mathematics.intervals import FEWEST_GROUPS, GROUPS, Scale
from journeykit.models.chains.chain import Chain
from journeykit.models.chains.fitted import Estimate, Floats
from journeykit.models.chains.making import START
from journeykit.models.chains.markov import MarkovChain
from journeykit.models.chains.segments import SegmentChain, chain_notes, counted_paths, segment_chains
from journeykit.models.changes.levels import Levels
from journeykit.models.changes.references import checked_reference, reference_cells
from journeykit.models.changes.what_if import ASSUMES, OPEN_COUNT, check_chain
from journeykit.models.changes.worth import Worth, estimate_columns, share_in_top
from journeykit.protocol import CELL, GROUP, Cells, Context, Tables
from journeykit.statistics.base import Answer, Statistic


@dataclass(frozen=True, eq=False, repr=False)
class OpportunitiesAnswer(Answer):
    """What would be won, in conversions and in money; what is won most by first.

    Attributes
    ----------
    frame : polars.DataFrame
        One row per segment and move: ``source``, ``target``, ``transitions`` of ``leaving``: ``probability``;
        ``reference_transitions`` of ``reference_leaving``: ``reference_probability``, the level;
        ``change_in_conversions`` if the move were at that level and all others of the source in proportion, and
        ``change_in_value``; ``in_top_10``: the share of jackknife replicates in which the row is among the first ten.
    states : polars.DataFrame
        One row per segment and state: ``change_in_conversions`` if all its moves were as in the reference.
    outcomes : polars.DataFrame
        One row per segment: ``paths``, ``conversion``; ``change_in_conversions`` if all were as in the reference.

    Notes
    -----
    Losses are shown as such: where a segment is better than its reference, the level is a loss. Changes do not add up.
    """

    states: pl.DataFrame
    outcomes: pl.DataFrame

    shown: ClassVar[Sequence[str]] = (
        "source",
        "target",
        "leaving",
        "probability",
        "reference_probability",
        "change_in_conversions",
        "change_in_conversions_low",
        "change_in_conversions_high",
        "change_in_value",
    )


@dataclass(frozen=True)
class Opportunities(Statistic[OpportunitiesAnswer]):
    """Rank all moves by the conversions to be won if each reached the level of a reference. D10.3, D15.6.

    Parameters
    ----------
    chain : Chain
        The chain of every segment. With ``value=`` the answer speaks of money too.
    reference : mapping of str to object, optional
        The segment or period whose level is to be reached, by the columns of ``by=`` and ``every=``:
        ``{"device": "desktop"}``, ``{"period": "2026-01-05"}``. What it does not name stays: with segments and
        periods, ``{"device": "desktop"}`` is desktop in the same period. Without a reference, only giving up is looked
        at, and the level is the exit rate of all other states together.

    Raises
    ------
    ParameterError
        If `chain` is no Chain or `reference` no mapping. When measured: if there is no such segment or period.

    Notes
    -----
    A move i to j goes from p to the level q, the other moves of i are scaled by (1 - q) / (1 - p), and P(convert)
    changes by N[START, i] (dp . b) / (1 - dp . N[., i]), exactly; times the paths of the segment these are conversions,
    times the mean value of a conversion money. Where p = 1, the others are those of the reference, and without
    one the change is null. Who comes into a state that the segment was never in goes on like the reference. A state
    that the reference was never in has no level: null. Intervals by the delete-a-group jackknife, both segments
    refitted without each group (D12.3).

    A reference is a goal, not a cause: people on desktop may be other people.

    Costs what `Chain` costs, and V solves per segment and jackknife group, for V states.

    References
    ----------
    Kemeny & Snell 1960, Finite Markov Chains; Sherman & Morrison 1950, Ann. Math. Stat. 21.

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({
    ...     "user": [1, 1, 2, 2, 3, 3, 4, 5],
    ...     "time": [0, 9, 2, 5, 0, 7, 1, 4],
    ...     "event": ["view", "buy", "view", "buy", "view", "buy", "view", "view"],
    ...     "device": ["desktop", "desktop", "desktop", "desktop", "mobile", "mobile", "mobile", "mobile"],
    ... })
    >>> events = jk.read_events(log, user="user", time="time", event="event", unit="s", keep=["device"])
    >>> question = Opportunities(Chain("buy", open_paths="end"), reference={"device": "desktop"})
    >>> answer = events.sessionize("30m").measure(question, by="device")
    >>> columns = ["device", "source", "target", "change_in_conversions"]
    >>> answer.frame.select(*columns).with_columns(pl.col("change_in_conversions").round(6)).rows()[0]
    ('mobile', 'view', '<ABANDON>', 2.0)
    """

    chain: Chain
    reference: Mapping[str, object] | None = None

    def __post_init__(self) -> None:
        check_chain(self.chain)
        object.__setattr__(self, "reference", checked_reference(self.reference))

    @property
    def tables(self) -> Mapping[str, Sequence[str]]:  # type: ignore[override]
        """The tables of a tally: those of the chain."""
        return self.chain.tables

    def check(self, context: Context) -> None:
        """Refuse goals and properties, and references, that the journeys do not have."""
        self.chain.check(context)
        reference_cells(self.reference, context.labels)

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the moves of one shard."""
        return self.chain.tally(shard, cells)

    def answer(self, tables: Tables, context: Context) -> OpportunitiesAnswer:
        """Compare the chain of every segment with that of its reference."""
        segments, units = segment_chains(self.chain, tables, context), counted_paths(tables)
        by_cell = {segment.cell: segment for segment in segments}
        found, notes = [], chain_notes(self.chain, segments, units)
        references = reference_cells(self.reference, context.labels)
        for segment in segments:
            cell = references.get(segment.cell)
            if self.reference is not None and cell not in by_cell:
                notes.append(
                    f"Left out, as its reference has no paths: {self._named(segment.cell, context)}."
                )
            elif cell != segment.cell:
                other = None if cell is None else by_cell[cell]
                found.append(_Compared(self, segment, other))
        notes += [OPEN_COUNT] if int(units["open"].sum() or 0) else []
        tables_of = {
            name: context.label(
                pl.concat([pl.DataFrame(schema=schema), *(each.tables[name] for each in found)])
            )
            for name, schema in self.schemas.items()
        }
        return OpportunitiesAnswer(
            statistic=self,
            context=replace(context, notes=(*context.notes, *notes, ASSUMES)),
            **tables_of,
        )

    @property
    def schemas(self) -> dict[str, dict[str, Any]]:
        """The columns of every table."""
        return {
            name: {each: dtype for each, dtype in schema.items() if self.chain.value or "value" not in each}
            for name, schema in SCHEMAS.items()
        }

    def _named(self, cell: int, context: Context) -> str:
        return ", ".join(map(str, context.labels.row(cell)))


class _Compared:
    """One segment and its reference."""

    def __init__(
        self, statistic: Opportunities, segment: SegmentChain, reference: SegmentChain | None
    ) -> None:
        self.schemas, self.segment = statistic.schemas, segment
        self.levels = Levels(segment.model, None if reference is None else reference.model)
        self.worth = Worth.of(segment.units)
        units = [segment.units] + ([] if reference is None else [reference.units])
        self.present = sorted(set(pl.concat([each[GROUP] for each in units]).to_list()))
        self.fitted = replace(segment.model.fitted, groups=len(self.present))
        self.values = self._numbers(None)
        self.replicates = {name: np.tile(value[:, None], (1, GROUPS)) for name, value in self.values.items()}
        if len(self.present) >= FEWEST_GROUPS:
            for group in self.present:
                for name, each in self._numbers(group).items():
                    self.replicates[name][:, group] = each
        self.tables = {"frame": self._moves(), "states": self._states(), "outcomes": self._outcomes()}

    def _numbers(self, group: int | None) -> dict[str, Floats]:
        solved = self.levels.solved(group, self.segment.model.converting)
        paths, each = self.worth.paths_without(group), self.worth.each_without(group)
        together = np.array([paths * (solved.together - solved.at_start)])
        by_state = solved.by_state
        if self.levels.reference is None:
            by_state = np.full(by_state.size, np.nan)
            exits = self.levels.exits
            by_state[self.levels.source[exits]] = solved.by_move[exits]
        return {
            "probability": solved.own,
            "reference_probability": solved.level,
            "move": paths * solved.by_move,
            "move_value": paths * each * solved.by_move,
            "state": paths * by_state,
            "state_value": paths * each * by_state,
            "conversion": np.array([solved.at_start]),
            "all": together,
            "all_value": each * together,
        }

    def _estimate(self, name: str, scale: Scale, users: Any = 0) -> Estimate:
        return self.fitted.bounded(self.values[name], self.replicates[name], scale, users)

    def _moves(self) -> pl.DataFrame:
        levels = self.levels
        own = levels.counts(0)
        rows = levels.leaving(own) > 0
        if levels.reference is None:
            rows &= levels.exits & (np.array([name != START for name in levels.names])[levels.source])
        other = levels.counts(1) if levels.reference is not None else np.full(own.size, np.nan)
        found = {
            "probability": self._estimate("probability", "logit", self._users(levels.own)),
            "reference_probability": self._estimate(
                "reference_probability", "logit", self._users(levels.reference)
            ),
            "change_in_conversions": self._estimate("move", "identity"),
            "change_in_value": self._estimate("move_value", "identity"),
        }
        names = pl.Series(levels.names, dtype=pl.String)
        counts = {
            "transitions": own,
            "leaving": levels.leaving(own),
            "reference_transitions": other,
            "reference_leaving": levels.leaving(other),
        }
        columns: dict[str, Any] = {
            "source": names.gather(levels.source),
            "target": names.gather(levels.target),
        }
        columns |= {name: pl.Series(numbers, nan_to_null=True) for name, numbers in counts.items()}
        frame = pl.DataFrame(columns | estimate_columns(found)).filter(pl.Series(rows))
        top = share_in_top(self.replicates["move"][rows], self.present)
        return self._ranked(frame.with_columns(top.alias("in_top_10")), "frame", "source", "target")

    def _users(self, chain: MarkovChain | None) -> Floats:
        """Return the users who are in the source of every move."""
        known = {} if chain is None else dict(zip(chain.states, chain.fitted.users.tolist(), strict=True))
        return np.array([known.get(name, 0.0) for name in self.levels.states])[self.levels.source]

    def _states(self) -> pl.DataFrame:
        size = len(self.segment.model.states)
        rows = np.arange(len(self.levels.states)) < size
        found = {
            "change_in_conversions": self._estimate("state", "identity"),
            "change_in_value": self._estimate("state_value", "identity"),
        }
        columns = {"state": pl.Series(self.levels.states, dtype=pl.String)} | estimate_columns(found)
        frame = pl.DataFrame(columns).filter(pl.Series(rows))
        top = share_in_top(self.replicates["state"][rows], self.present)
        return self._ranked(frame.with_columns(top.alias("in_top_10")), "states", "state")

    def _outcomes(self) -> pl.DataFrame:
        sums = self.segment.units.select(pl.col("paths", "users", "converted").sum())
        found = {
            "conversion": self._estimate("conversion", "logit", float(sums["users"][0])),
            "change_in_conversions": self._estimate("all", "identity"),
            "change_in_value": self._estimate("all_value", "identity"),
        }
        return self._celled(sums.with_columns(**estimate_columns(found)), "outcomes")

    def _ranked(self, frame: pl.DataFrame, table: str, *names: str) -> pl.DataFrame:
        rank = (pl.col("change_in_conversions") / max(self.worth.paths.sum(), 1.0)).round(12)
        order = [True] + [False] * len(names)
        return self._celled(frame.sort(rank, *names, descending=order, nulls_last=True), table)

    def _celled(self, frame: pl.DataFrame, table: str) -> pl.DataFrame:
        return frame.with_columns(pl.lit(self.segment.cell, pl.Int32).alias(CELL)).select(
            pl.col(name).cast(dtype) for name, dtype in self.schemas[table].items()
        )


def _estimated(*names: str) -> dict[str, Any]:
    return {f"{name}{end}": pl.Float64 for name in names for end in ("", "_low", "_high")}


SCHEMAS: dict[str, dict[str, Any]] = {
    "frame": {
        CELL: pl.Int32,
        "source": pl.String,
        "target": pl.String,
        "transitions": pl.Int64,
        "leaving": pl.Int64,
        **_estimated("probability"),
        "reference_transitions": pl.Int64,
        "reference_leaving": pl.Int64,
        **_estimated("reference_probability", "change_in_conversions", "change_in_value"),
        "in_top_10": pl.Float64,
    },
    "states": {
        CELL: pl.Int32,
        "state": pl.String,
        **_estimated("change_in_conversions", "change_in_value"),
        "in_top_10": pl.Float64,
    },
    "outcomes": {
        CELL: pl.Int32,
        "paths": pl.Int64,
        "users": pl.Int64,
        "converted": pl.Int64,
        **_estimated("conversion", "change_in_conversions", "change_in_value"),
    },
}
