"""The answer to PainPoints: lost conversions per touchpoint, their parts, and examples. DEFINITIONS D15.6."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import polars as pl

from journeykit.mathematics.intervals import Scale
from journeykit.models.chains.fitted import Estimate
from journeykit.models.chains.making import START
from journeykit.models.chains.segments import SegmentChain, chain_notes, counted_paths, segment_chains
from journeykit.models.changes.references import reference_cells
from journeykit.models.changes.what_if import OPEN_COUNT
from journeykit.models.changes.worth import TOP, Worth, estimate_columns, share_in_top
from journeykit.models.pains.pains import CLEAN_CLASS, Classes, Pains
from journeykit.protocol import CELL, GROUP, Context, Tables, sum_rows
from journeykit.statistics.base import Answer, Grouped, groups_per_cell, with_rate
from journeykit.statistics.friction.flags import CLASSES
from journeykit.statistics.goals import state_names

if TYPE_CHECKING:
    from journeykit.models.pains.pain_points import PainPoints

BASE = "base"
PARTS = (BASE, *CLASSES[:-1])
ASSOCIATIONS = (
    "Lost conversions are associations: they say where paths give up more than elsewhere, and with which friction, not "
    "why. Only an experiment proves what a change would win."
)


@dataclass(frozen=True, eq=False, repr=False)
class PainPointsAnswer(Answer):
    """Where conversions are lost, what goes with it, and what would be won.

    Every number ``x`` with an interval stands beside ``x_low`` and ``x_high``.

    Attributes
    ----------
    frame : polars.DataFrame
        One row per segment and ``touchpoint``, those of most ``lost_conversions`` first: its ``stage``; ``visits``
        whose next step is known, ``users``; ``exits``, after which the path gave up, ``exit_rate``;
        ``reference_exit_rate``; ``conversion_if_staying``, and whether it is that of the peers (``from_peers``);
        ``lost_conversions`` = ``base`` + ``friction``; ``regained_conversions``, if the exit rate alone were at its
        level; the same in money with ``value``; ``in_top_10``: the share of jackknife replicates in which it is
        among the first ten.
    parts : polars.DataFrame
        One row per touchpoint and ``part``: ``base`` (visits without friction), then the classes of `Friction` that
        have visits: ``visits``, ``visit_share``, ``exits``, ``exit_rate``, ``lost_conversions``; with ``value``,
        ``lost_value``.
    outcomes : polars.DataFrame
        One row per segment: ``paths``, ``users``, ``converted``, ``conversion``; ``regained_conversions`` if all
        touchpoints that lose conversions were at their levels together.
    stages : polars.DataFrame
        One row per ``stage`` of the model, null before the first: ``visits`` whose next step is known, ``exits``: paths
        that gave up there, and ``exit_rate``. D5.5.
    examples : polars.DataFrame
        ``touchpoint``, the ``friction_class`` of the last visit, and the ``path`` (at most its last 20 events) of some
        users who gave up there; ``user`` only with ``show_users``. No rows unless ``examples=`` asks for them.
    """

    parts: pl.DataFrame
    outcomes: pl.DataFrame
    stages: pl.DataFrame
    examples: pl.DataFrame

    shown: ClassVar[Sequence[str]] = (
        "touchpoint", "stage", "visits", "exit_rate", "reference_exit_rate", "lost_conversions", "lost_conversions_low",
        "lost_conversions_high", "base", "friction", "regained_conversions",
    )  # fmt: skip


def pain_answer(statistic: PainPoints, tables: Tables, context: Context) -> PainPointsAnswer:
    """Turn the sums of all shards into pains."""
    segments, units = segment_chains(statistic.chain, tables, context), counted_paths(tables)
    notes = chain_notes(statistic.chain, segments, units)
    found = _segments(statistic, tables, context, segments, notes)
    notes += [OPEN_COUNT] if int(units["open"].sum() or 0) else []
    schemas = _schemas(statistic)
    built = [each.tables() for each in found]
    frames = {
        name: context.label(pl.concat([pl.DataFrame(schema=schema), *(each[name] for each in built)]))
        for name, schema in schemas.items()
    }
    cut = sum(each.pains.cut for each in found)
    if cut:
        notes.append(
            f"Regained conversions are computed for the largest pains; for {cut:,} touchpoints they are null."
        )
    return PainPointsAnswer(
        statistic=statistic,
        context=replace(context, notes=(*context.notes, *notes, ASSOCIATIONS)),
        stages=context.label(_stages(tables, context)),
        examples=context.label(_examples(statistic, tables, context)),
        **frames,
    )


def painful_touchpoints(statistic: PainPoints, tables: Tables, context: Context) -> frozenset[str]:
    """Return the ten touchpoints of every segment that lose most, as far as they lose any."""
    segments = segment_chains(statistic.chain, tables, context)
    wanted: set[str] = set()
    for each in _segments(statistic, tables, context, segments, []):
        lost = each.pains.of_all["lost_conversions"]
        ranked = [i for i in np.argsort(-np.nan_to_num(lost), kind="stable")[:TOP].tolist() if lost[i] > 0]
        wanted |= {each.pains.model.states[i] for i in ranked}
    return frozenset(wanted)


def _segments(
    statistic: PainPoints,
    tables: Tables,
    context: Context,
    segments: Sequence[SegmentChain],
    notes: list[str],
) -> list[_Segment]:
    """Put every segment beside its reference; say which have none."""
    names = state_names("event", context)
    named = {
        table: tables[table].with_columns(pl.lit(names).gather(pl.col("event")).alias("event"))
        for table in ("classes", "places")
    }
    references = reference_cells(statistic.reference, context.labels)
    by_cell, found = {segment.cell: segment for segment in segments}, []
    for segment in segments:
        cell = references.get(segment.cell)
        if statistic.reference is not None and cell not in by_cell:
            shown = ", ".join(map(str, context.labels.row(segment.cell)))
            notes.append(f"Left out, as its reference has no paths: {shown}.")
            continue
        if cell == segment.cell and statistic.reference is not None:
            continue
        own = {name: table.filter(pl.col(CELL) == segment.cell) for name, table in named.items()}
        other = None if cell is None else by_cell[cell]
        found.append(_Segment(statistic, segment, own["classes"], own["places"], other, context))
    return found


class _Segment:
    """One segment: its pains, and the frames that show them."""

    def __init__(
        self,
        statistic: PainPoints,
        segment: SegmentChain,
        classes: pl.DataFrame,
        places: pl.DataFrame,
        reference: SegmentChain | None,
        context: Context,
    ) -> None:
        self.statistic, self.segment = statistic, segment
        model = segment.model
        main = (
            places.filter(pl.col("stage") > 0)
            .group_by("event", "stage")
            .agg(pl.col("visits").sum())
            .sort("event", "visits", "stage", descending=[False, True, False])
            .unique("event", keep="first", maintain_order=True)
        )
        stage_of = dict(main.select("event", "stage").iter_rows())
        peers = [-1 if name == START else stage_of.get(name, 0) for name in model.states]
        self.stages = [context.stages[stage - 1] if stage > 0 else None for stage in peers]
        self.pains = Pains(
            model, Worth.of(segment.units), Classes.of(classes, model), np.array(peers, np.int64),
            None if reference is None else reference.model, statistic.levels,
        )  # fmt: skip

    def tables(self) -> dict[str, pl.DataFrame]:
        """Return the frames of this segment, with its cell."""
        self.values, self.replicates = self.pains.replicates()
        self.fitted = replace(self.segment.model.fitted, groups=len(self.pains.groups))
        frame = self._touchpoints()
        return {
            "frame": self._celled(frame, "frame"),
            "parts": self._celled(self._parts(frame["touchpoint"]), "parts"),
            "outcomes": self._celled(self._outcomes(), "outcomes"),
        }

    def _estimate(self, name: str, scale: Scale = "identity", users: Any = 0) -> Estimate:
        return self.fitted.bounded(self.values[name], self.replicates[name], scale, users)

    def _celled(self, frame: pl.DataFrame, table: str) -> pl.DataFrame:
        columns = _schemas(self.statistic)[table].items()
        celled = frame.with_columns(pl.lit(self.segment.cell, pl.Int32).alias(CELL))
        return celled.select(pl.col(name).cast(dtype) for name, dtype in columns)

    def _touchpoints(self) -> pl.DataFrame:
        pains, model = self.pains, self.segment.model
        visits, exits = (each.sum(axis=1).astype(np.int64) for each in pains.classes.counts())
        users = model.fitted.users
        found = {name: self._estimate(name) for name in IDENTITY}
        found |= {
            "exit_rate": self._estimate("exit_rate", "logit", users),
            "reference_exit_rate": self._estimate("reference_exit_rate", "logit"),
            "conversion_if_staying": self._estimate("conversion_if_staying", "logit", users),
        }
        columns = {
            "touchpoint": pl.Series(model.states, dtype=pl.String),
            "stage": pl.Series(self.stages, dtype=pl.String),
            "visits": pl.Series(visits),
            "users": pl.Series(users).cast(pl.Int64),
            "exits": pl.Series(exits),
            "from_peers": pl.Series(self.values["from_peers"] > 0),
        }
        rows = pains.touchpoints
        frame = pl.DataFrame(columns | estimate_columns(found)).filter(pl.Series(rows, dtype=pl.Boolean))
        top = share_in_top(self.replicates["lost_conversions"][rows], pains.groups)
        rank = (pl.col("lost_conversions") / max(pains.worth.paths.sum(), 1.0)).round(12)
        frame = frame.with_columns(top.alias("in_top_10"))
        return frame.sort(rank, "touchpoint", descending=[True, False], nulls_last=True)

    def _parts(self, ranked: pl.Series) -> pl.DataFrame:
        states = self.segment.model.states
        visits, exits = self.pains.classes.counts()
        found = {"lost_conversions": self._estimate("part"), "lost_value": self._estimate("part_value")}
        size = len(CLASSES)
        kind = np.tile(np.arange(size), len(states))
        total = np.repeat(visits.sum(axis=1), size)
        with np.errstate(divide="ignore", invalid="ignore"):
            share, rate = visits.ravel() / total, exits.ravel() / visits.ravel()
        labels = np.array([*CLASSES[:-1], BASE])
        columns = {
            "touchpoint": pl.Series(states, dtype=pl.String).gather(np.repeat(np.arange(len(states)), size)),
            "part": pl.Series(labels[kind].tolist(), dtype=pl.String),
            "visits": pl.Series(visits.ravel()).cast(pl.Int64),
            "visit_share": pl.Series(share).fill_nan(None),
            "exits": pl.Series(exits.ravel()).cast(pl.Int64),
            "exit_rate": pl.Series(rate).fill_nan(None),
            "place": pl.Series((kind + 1) % size),
        }
        frame = pl.DataFrame(columns | estimate_columns(found))
        shown = frame.filter((pl.col("place") == (CLEAN_CLASS + 1) % size) | (pl.col("visits") > 0))
        order = pl.DataFrame({"touchpoint": ranked}).with_row_index("rank")
        return shown.join(order, on="touchpoint", how="inner").sort("rank", "place")

    def _outcomes(self) -> pl.DataFrame:
        sums = self.segment.units.select(pl.col("paths", "users", "converted").sum())
        found = {
            "conversion": self._estimate("conversion", "logit", float(sums["users"][0])),
            "regained_conversions": self._estimate("together"),
            "regained_value": self._estimate("together_value"),
        }
        return sums.with_columns(**estimate_columns(found))


def _stages(tables: Tables, context: Context) -> pl.DataFrame:
    """Add the visits of all touchpoints up, and those that gave up, by the stage that they were in."""
    places = sum_rows(tables["places"].drop("event"), [CELL, GROUP, "stage"])
    table = Grouped(places if context.stages else places.clear(), ("stage",))
    frame = with_rate(
        table.totals, "exit_rate", table.sums("exits"), table.sums("visits"), np.arange(table.totals.height),
        groups_per_cell(tables, "paths"), np.zeros(table.totals.height), context,
    )  # fmt: skip
    order = pl.when(pl.col("stage") > 0).then("stage")
    names = pl.lit(state_names("stage", context))
    named = frame.sort(CELL, order, nulls_last=True).with_columns(
        names.gather(pl.col("stage")).alias("stage")
    )
    return named.select(CELL, "stage", "visits", "exits", "^exit_rate.*$")


def _examples(statistic: PainPoints, tables: Tables, context: Context) -> pl.DataFrame:
    """Choose the examples of every touchpoint, and give their events names."""
    schema: dict[str, Any] = {
        CELL: pl.Int32,
        "touchpoint": pl.String,
        "friction_class": pl.String,
        "path": pl.List(pl.String),
    }
    schema |= {"user": pl.String} if statistic.show_users else {}
    if "examples" not in tables:
        return pl.DataFrame(schema=schema)
    rows = tables["examples"].drop(GROUP).sort(CELL, "event", "hash", "path")
    few = rows.filter(pl.int_range(pl.len()).over(CELL, "event") < statistic.examples)
    names = state_names("event", context).to_list()
    paths = [[names[int(code)] for code in path.split()] for path in few["path"]]
    columns = {
        "touchpoint": pl.Series([names[code] for code in few["event"]], dtype=pl.String),
        "friction_class": pl.Series([CLASSES[kind] for kind in few["class"]], dtype=pl.String),
        "path": pl.Series(paths, dtype=pl.List(pl.String)),
    }
    named = few.select(CELL, "user").with_columns(**columns)
    return named.sort(CELL, "touchpoint", maintain_order=True).select(list(schema))


IDENTITY = (
    "lost_conversions", "base", "friction", "regained_conversions", "lost_value", "regained_value",
)  # fmt: skip


def _estimated(*names: str) -> dict[str, Any]:
    return {f"{name}{end}": pl.Float64 for name in names for end in ("", "_low", "_high")}


def _schemas(statistic: PainPoints) -> dict[str, dict[str, Any]]:
    """Return the columns of every table; those of money only where a conversion has a value."""
    kept = statistic.chain.value is not None
    return {
        name: {each: dtype for each, dtype in schema.items() if kept or "value" not in each}
        for name, schema in SCHEMAS.items()
    }


SCHEMAS: dict[str, dict[str, Any]] = {
    "frame": {
        CELL: pl.Int32,
        "touchpoint": pl.String,
        "stage": pl.String,
        "visits": pl.Int64,
        "users": pl.Int64,
        "exits": pl.Int64,
        **_estimated("exit_rate", "reference_exit_rate", "conversion_if_staying"),
        "from_peers": pl.Boolean,
        **_estimated(*IDENTITY),
        "in_top_10": pl.Float64,
    },
    "parts": {
        CELL: pl.Int32,
        "touchpoint": pl.String,
        "part": pl.String,
        "visits": pl.Int64,
        "visit_share": pl.Float64,
        "exits": pl.Int64,
        "exit_rate": pl.Float64,
        **_estimated("lost_conversions", "lost_value"),
    },
    "outcomes": {
        CELL: pl.Int32,
        "paths": pl.Int64,
        "users": pl.Int64,
        "converted": pl.Int64,
        **_estimated("conversion", "regained_conversions", "regained_value"),
    },
}
