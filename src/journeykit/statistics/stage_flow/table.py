"""The answer to StageFlow: a table of stages, a table of moves, and the plan. DEFINITIONS D6.5, D6.7."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.mathematics.intervals import GroupSums, Scale
from journeykit.protocol import CELL, GROUP, Context, Tables, sum_rows
from journeykit.statistics.base import (
    UNITS_TABLE,
    Answer,
    Grouped,
    groups_of_rows,
    groups_per_cell,
    place_of,
    with_floats,
    with_rate,
    with_share,
)
from journeykit.statistics.goals import state_names
from journeykit.statistics.waiting import Waits

if TYPE_CHECKING:
    from journeykit.statistics.stage_flow.stage_flow import StageFlow

START, END = "<START>", "<END>"
KINDS = ("entry", "advance", "skip", "regress", "loop_move", "exit")
TIMES = ("dwell_mean", "dwell_median", "active_dwell_mean")


@dataclass(frozen=True, eq=False, repr=False)
class StageFlowAnswer(Answer):
    """Stages with who visits, reaches, passes and leaves them, and for how long. D6.5.

    Every share and rate ``x`` stands beside its interval ``x_low``, ``x_high``.

    Attributes
    ----------
    frame : polars.DataFrame
        One row per stage in the model's order.

        ``units``, ``staged_units`` (with any stage);
        ``visited``, ``reached`` (furthest stage this or a later one), ``current`` and ``furthest`` (last stage this
        one), each with ``_share`` of the staged units and ``_share_all`` of all units;
        ``reached_next`` and ``step_through`` = reached_next / reached; ``open`` and ``open_share`` of the reached
        that have not gone on yet and were seen within the horizon (null without one);
        ``bypassed`` and ``bypass_rate`` of the units that got further (``reached_next``) without a visit;
        ``entries`` (first visits of a unit), ``late_entries`` (those to a later stage than the first);
        ``visits`` and how they ended: ``advances``, ``skips``, ``regresses``, ``loop_moves``; ``regress_rate`` of the
        visits; ``skipped``: moves that left this stage out; ``re_entries`` and ``re_entry_rate`` of the visits;
        ``exits``: units last seen here that are not open, and ``exit_share`` of the visited;
        ``closed_visits``, ``dwell_mean`` of these, ``dwell_median`` of all visits by Kaplan-Meier (infinite if fewer
        than half ever end), ``active_dwell_mean`` of all visits, inside sessions; in seconds.
    moves : polars.DataFrame
        One row per move: ``source``, ``target``, ``kind`` (entry, advance, skip, regress, loop_move, exit; START
        before a first visit, END after a last one), ``moves``, ``units``, ``re_entries`` into the target,
        ``probability`` of the moves that leave the source, ``share`` of all moves. Open units have no exit.
    plan : polars.DataFrame
        Planned and actual moves (D6.7), one row per segment, without rows if the model plans none: ``moves``,
        ``planned_moves``, ``allowed_move_share``; over the staged units the mean Levenshtein distance of the stage
        path from the planned one, ``deviation_mean``, and divided by the longer length,
        ``relative_deviation_mean``; null where the planned moves are not one chain.
    """

    shown: ClassVar[Sequence[str]] = (
        "stage",
        "visited",
        "visited_share",
        "reached",
        "reached_share",
        "step_through",
        "bypass_rate",
        "regress_rate",
        "exit_share",
        "dwell_median",
    )

    moves: pl.DataFrame
    plan: pl.DataFrame


def stage_flow_answer(statistic: StageFlow, tables: Tables, context: Context) -> StageFlowAnswer:
    """Turn the summed tables of StageFlow into its answer."""
    stages = _StageTable(statistic, tables, context)
    plan = _plan_frame(tables, context)
    if (tables[UNITS_TABLE]["plan_max"] == 1).any():
        note = "The planned moves are not one chain of stages: there is no distance from the planned path."
        context = replace(context, notes=(*context.notes, note))
    return StageFlowAnswer(
        frame=context.label(stages.frame()),
        statistic=statistic,
        context=context,
        moves=context.label(_move_frame(statistic, tables, context)),
        plan=context.label(plan),
    )


class _StageTable:
    """The building of the table of stages."""

    def __init__(self, statistic: StageFlow, tables: Tables, context: Context) -> None:
        self.statistic, self.tables, self.context = statistic, tables, context
        counted = tables["stages"].with_columns(
            (pl.col("current") - pl.col("open_current")).alias("exits"),
            pl.when(pl.col("stage") > 1).then("entries").otherwise(0).alias("late_entries"),
            *(pl.col(name).alias(f"{name}_") for name in ("dwell", "active")),
        )
        self.stages, self.units = Grouped(counted, ("stage",)), Grouped(tables[UNITS_TABLE], ())
        self.groups = groups_per_cell(tables)
        self.unit_rows = place_of(self.stages.totals, self.units.totals, [CELL])

    def frame(self) -> pl.DataFrame:
        """Return every number of D6.5 per cell and stage."""
        totals, units = self.stages.totals, self.units.totals[self.unit_rows]
        frame = totals.with_columns(
            units["paths"].alias("units"),
            units["staged"].alias("staged_units"),
            units["users"].alias("users_all"),
            units["staged_users"].alias("users_staged"),
            totals["closed"].alias("closed_visits"),
        )
        for name in ("visited", "reached", "current", "furthest"):
            frame = self._rate(frame, f"{name}_share", name, "staged_units", "users_staged")
            frame = self._rate(frame, f"{name}_share_all", name, "units", "users_all")
        frame = self._rate(frame, "step_through", "reached_next", "reached", "reached_users")
        frame = self._rate(frame, "open_share", "open_furthest", "reached", "reached_users")
        frame = self._rate(frame, "bypass_rate", "bypassed", "reached_next", "reached_next_users")
        frame = self._rate(frame, "exit_share", "exits", "visited", "visited_users")
        for name, part in (("regress_rate", "regresses"), ("re_entry_rate", "re_entries")):
            frame = self._rate(frame, name, part, "visits", "visited_users", counted_once=False)
        for name, part, whole in (
            ("dwell_mean", "dwell", "closed"),
            ("active_dwell_mean", "active", "visits"),
        ):
            frame = self._rate(frame, name, part, whole, "visited_users", counted_once=False, scale="log")
        return self._named(self._with_medians(frame))

    def _rate(
        self,
        frame: pl.DataFrame,
        name: str,
        part: str,
        whole: str,
        users: str,
        *,
        counted_once: bool = True,
        scale: Scale = "logit",
    ) -> pl.DataFrame:
        """Add a ratio with its interval: Wilson for users that count once, else the jackknife. D12."""
        if counted_once and self.statistic.unit == "user":
            return with_share(frame, name, part, whole, self.context)
        of_units = {"units": "paths", "staged_units": "staged"}.get(whole)
        bottom: GroupSums = self.units.sums(of_units) if of_units else self.stages.sums(whole)
        rows = self.unit_rows if of_units else np.arange(frame.height)
        return with_rate(
            frame,
            name,
            self.stages.sums(part),
            bottom,
            rows,
            self.groups,
            frame[users].to_numpy(),
            self.context,
            scale=scale,
        )

    def _with_medians(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Add the Kaplan-Meier median of the dwell of all visits, the last ones censored. D14.1."""
        waits = Waits.of(frame, (CELL, "stage"), self.tables["dwells"], "dwell", "closed")
        groups = groups_of_rows(frame[CELL], self.groups)
        found = waits.censored(groups, frame["visited_users"].to_numpy(), self.context.level)
        return with_floats(
            frame,
            {"dwell_median": found.value, "dwell_median_low": found.low, "dwell_median_high": found.high},
        )

    def _named(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Name the stages, turn microseconds into seconds, and put the columns into their order."""
        last = frame["stage"] == len(self.context.stages)
        means = [
            f"{name}{end}" for name in ("dwell_mean", "active_dwell_mean") for end in ("", "_low", "_high")
        ]
        going_on = [
            f"{name}{end}" for name in ("step_through", "bypass_rate") for end in ("", "_low", "_high")
        ]
        opened = ["open_share", "open_share_low", "open_share_high"]
        frame = frame.with_columns(
            *(pl.col(name) / 1e6 for name in means),
            *(pl.when(~last).then(name).alias(name) for name in going_on),
            pl.col("open_furthest").alias("open"),
        )
        if self.statistic.horizon is None:
            frame = frame.with_columns(
                pl.lit(None).cast(frame.schema[name]).alias(name) for name in ["open", *opened]
            )
        names = state_names("stage", self.context).fill_null("")
        frame = frame.with_columns(names.gather(frame["stage"]).alias("stage"))
        return frame.select(CELL, *_columns())


def _columns() -> list[str]:
    """List the columns of the table of stages in order."""
    columns = ["stage", "units", "staged_units"]
    for name in ("visited", "reached", "current", "furthest"):
        columns += [name, *_with_ends(f"{name}_share"), *_with_ends(f"{name}_share_all")]
    columns += ["reached_next", *_with_ends("step_through"), "open", *_with_ends("open_share")]
    columns += [
        "bypassed",
        *_with_ends("bypass_rate"),
        "entries",
        "late_entries",
        "visits",
        "advances",
        "skips",
    ]
    columns += ["regresses", "loop_moves", *_with_ends("regress_rate"), "skipped", "re_entries"]
    columns += [*_with_ends("re_entry_rate"), "exits", *_with_ends("exit_share"), "closed_visits"]
    return columns + [column for name in TIMES for column in _with_ends(name)]


def _with_ends(name: str) -> list[str]:
    return [name, f"{name}_low", f"{name}_high"]


def _move_frame(statistic: StageFlow, tables: Tables, context: Context) -> pl.DataFrame:
    """Return the table of moves: in the order of D0.4, by count and then along the stages."""
    made = tables["moves"]
    moves = Grouped(made, ("source", "target", "kind"))
    leaving = Grouped(
        sum_rows(made, [CELL, GROUP, "source"]).select(CELL, GROUP, "source", "moves"), ("source",)
    )
    every = Grouped(sum_rows(made, [CELL, GROUP]).select(CELL, GROUP, "moves"), ())
    frame, groups = moves.totals, groups_per_cell(tables)
    users = _users_leaving(frame, tables)
    rows = place_of(frame, leaving.totals, [CELL, "source"])
    parts = moves.sums("moves")
    frame = with_rate(frame, "probability", parts, leaving.sums("moves"), rows, groups, users, context)
    staged = tables[UNITS_TABLE].group_by(CELL).agg(pl.col("staged_users").sum())
    all_users = frame.join(staged, on=CELL, how="left", maintain_order="left")["staged_users"].to_numpy()
    rows = place_of(frame, every.totals, [CELL])
    frame = with_rate(frame, "share", parts, every.sums("moves"), rows, groups, all_users, context)
    names = pl.Series([START, *context.stages, END], dtype=pl.String)
    kinds = pl.Series(KINDS, dtype=pl.String)
    frame = frame.sort(CELL, "moves", "source", "target", descending=[False, True, False, False])
    return frame.with_columns(
        names.gather(frame["source"]).alias("source"),
        names.gather(frame["target"]).alias("target"),
        kinds.gather(frame["kind"]).alias("kind"),
    ).select(
        CELL,
        "source",
        "target",
        "kind",
        "moves",
        "units",
        "re_entries",
        *_with_ends("probability"),
        *_with_ends("share"),
    )


def _users_leaving(frame: pl.DataFrame, tables: Tables) -> npt.NDArray[np.float64]:
    """Return how many users have the source of each move; for START all that have a stage."""
    visited = sum_rows(tables["stages"], [CELL, "stage"]).select(
        CELL, pl.col("stage").alias("source"), pl.col("visited_users").alias("users")
    )
    started = sum_rows(tables[UNITS_TABLE], [CELL]).select(
        CELL, pl.lit(0, pl.Int32).alias("source"), pl.col("staged_users").alias("users")
    )
    every = pl.concat([visited, started])
    return every["users"].to_numpy()[place_of(frame, every, [CELL, "source"])].astype(np.float64)


def _plan_frame(tables: Tables, context: Context) -> pl.DataFrame:
    """Return planned and actual moves per cell. D6.7."""
    units = Grouped(tables[UNITS_TABLE], ())
    planned = units.totals.filter(pl.col("plan_max") > 0).select(CELL)
    frame = units.totals.select(CELL, "staged_users").join(
        planned, on=CELL, how="semi", maintain_order="left"
    )
    groups, users = groups_per_cell(tables), frame["staged_users"].to_numpy()
    rows = np.arange(frame.height)
    moves = _sums_per_cell(frame, tables["moves"], {"inner": pl.col("inner"), "planned": pl.col("planned")})
    away = _sums_per_cell(
        frame,
        tables["deviations"],
        {
            "units": pl.col("units"),
            "distance": pl.col("distance") * pl.col("units"),
            "relative": pl.col("distance") / pl.col("longer") * pl.col("units"),
        },
    )
    frame = frame.with_columns(
        pl.Series("moves", moves["inner"].total).cast(pl.Int64),
        pl.Series("planned_moves", moves["planned"].total).cast(pl.Int64),
    )
    frame = with_rate(
        frame, "allowed_move_share", moves["planned"], moves["inner"], rows, groups, users, context
    )
    for name, part in (("deviation_mean", "distance"), ("relative_deviation_mean", "relative")):
        frame = with_rate(
            frame, name, away[part], away["units"], rows, groups, users, context, scale="identity"
        )
    return frame.drop("staged_users")


def _sums_per_cell(
    frame: pl.DataFrame, table: pl.DataFrame, columns: Mapping[str, pl.Expr]
) -> dict[str, GroupSums]:
    """Return the parts of expressions by group, in the order of the cells of `frame`."""
    table = table.join(frame.select(CELL), on=CELL, how="semi", maintain_order="left").sort(
        CELL, GROUP, pl.all()
    )
    rows, groups = place_of(table, frame, [CELL]), table[GROUP].to_numpy()
    return {
        name: GroupSums.of(frame.height, rows, groups, table.select(column.alias(name))[name].to_numpy())
        for name, column in columns.items()
    }
