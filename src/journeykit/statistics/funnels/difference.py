"""Why two funnels count differently: which rule moves how many units. DEFINITIONS D7."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import polars as pl

from journeykit.errors import ParameterError
from journeykit.journeys.journeys import Journeys
from journeykit.ordering.user_ids import hash_ids
from journeykit.protocol import CELL, GROUP, Cells, Context, Tables, sum_rows
from journeykit.statistics.base import UNITS_TABLE, Answer, Statistic
from journeykit.statistics.funnels.funnel import Funnel
from journeykit.statistics.funnels.machine import Machine
from journeykit.statistics.funnels.rule_changes import Change, changes
from journeykit.statistics.funnels.runs import Runner
from journeykit.statistics.goals import Walk

NUMBERS = ("reached_before", "reached_after", "gained", "lost")


@dataclass(frozen=True, eq=False, repr=False)
class DifferenceAnswer(Answer):
    """Which rule moves how many units at each step.

    Attributes
    ----------
    frame : polars.DataFrame
        One row per change and step. ``change``: its number, from 1, in the order of the way. ``rule``, ``from``,
        ``to``: what is changed. ``step``, ``name``. ``reached_before``, ``reached_after``: units at the step before
        and after this change. ``gained``, ``lost``: users' units that come to the step by it, and that no longer do.
        ``difference``: gained - lost. The differences of a step add up to that of the two funnels.
    examples : polars.DataFrame
        ``change``, ``rule``, ``user``, ``furthest_before``, ``furthest_after``: some users whom the change moves,
        those of the smallest hashes (D12.1), with the furthest step of theirs, 0 for none.
    """

    examples: pl.DataFrame

    shown: ClassVar[Sequence[str]] = (
        "rule", "from", "to", "name", "reached_before", "gained", "lost", "reached_after",
    )  # fmt: skip


def explain_difference(
    a: Funnel, b: Funnel, journeys: Journeys, *, examples: int = 3, by: Any = None, every: str | None = None
) -> DifferenceAnswer:
    """Say which rule makes two funnels count differently, and how many units it moves.

    Parameters
    ----------
    a, b : Funnel
        Funnels with the same number of steps.
    journeys : Journeys
        What both are asked of.
    examples : int, default 3
        How many example users to list per rule, 0 or more.
    by, every
        As in `Journeys.measure`.

    Returns
    -------
    DifferenceAnswer
        One row per rule that differs and step, in the order in which the rules are changed.

    Raises
    ------
    ParameterError
        If they are not funnels of as many steps, or `examples` is no such number.
    UnknownNameError, UnknownPropertyError
        If one of them asks for what the journeys do not have.

    Notes
    -----
    From `a` to `b` one rule is changed at a time, in this order: steps, unit, within, hold, hold_unit, order, ties,
    grace, resolution, reuse_event, entry_between, entry, open_entry, pick, exclude, exclusion. One that contradicts
    another that is still to change waits for it; two that need each other change together. How much is put down to a
    rule depends on this order, as it does in any such decomposition; the sum does not. Units of one user are put
    together: a user gained at a step in one session and lost in another is neither.

    Cost: one pass per rule that differs, and one more. Besides that of the funnels, memory for a row per user and step
    reached, of one shard at a time.

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({"user": [1, 1, 1, 2, 2], "time": [0, 50, 70, 0, 1], "event": ["a", "a", "b", "a", "b"]})
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> first = jk.Funnel(["a", "b"], within="1m", rules=jk.FunnelRules(entry="first"))
    >>> why = jk.explain_difference(first, jk.Funnel(["a", "b"], within="1h"), journeys)
    >>> why.frame.filter(step=2).select("rule", "from", "to", "reached_before", "gained", "lost").rows()
    [('within', '1m', '1h', 1, 1, 0), ('entry', 'first', 'any', 2, 0, 0)]
    >>> why.examples.rows()
    [(1, 'within', 1, 1, 2)]
    """
    question = FunnelDifference(a, b, examples)
    answer: DifferenceAnswer = journeys.measure(question, by=by, every=every)
    return answer


@dataclass(frozen=True)
class FunnelDifference(Statistic[DifferenceAnswer]):
    """The question of `explain_difference`, as a statistic."""

    a: Funnel
    b: Funnel
    examples: int = 3

    def __post_init__(self) -> None:
        changes(self.a, self.b)
        if isinstance(self.examples, bool) or not isinstance(self.examples, int) or self.examples < 0:
            raise ParameterError(f"examples must be a whole number of 0 or more, not {self.examples!r}.")

    @property
    def way(self) -> tuple[Funnel, tuple[Change, ...]]:
        """Where it starts, and the changes."""
        return changes(self.a, self.b)

    @property
    def tables(self) -> Mapping[str, Sequence[str]]:  # type: ignore[override]
        """The tables of a tally."""
        return {"moves": ("change", "step"), "examples": ("change", "user"), UNITS_TABLE: ()}

    def check(self, context: Context) -> None:
        """Refuse what either funnel refuses."""
        self.a.check(context)
        self.b.check(context)

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count what every change moves in one shard."""
        start, way = self.way
        before = reached_steps(start, shard, cells)
        moves, examples = [], []
        for number, change in enumerate(way, 1):
            after = reached_steps(change.funnel, shard, cells)
            both = _side_by_side(before, after)
            moves.append(_moves(both, number))
            examples.append(_examples(both, number, self.examples, shard))
            before = after
        if not way:
            both = _side_by_side(before, before)
            moves, examples = [_moves(both, 0)], [_examples(both, 0, 0, shard)]
        units = Walk(shard, cells, self.a.of, "user").units()
        return {"moves": pl.concat(moves), "examples": pl.concat(examples), UNITS_TABLE: units}

    def answer(self, tables: Tables, context: Context) -> DifferenceAnswer:
        """Put names to the changes."""
        _, way = self.way
        frame = self._complete(tables, len(way))
        named = _changes_frame(way)
        titles = pl.Series([step.title for step in self.b.made], dtype=pl.String)
        frame = frame.join(named, on="change", how="left", maintain_order="left").with_columns(
            (pl.col("gained") - pl.col("lost")).alias("difference"),
            pl.lit(titles).gather(pl.col("step") - 1).alias("name"),
        )
        frame = frame.select(CELL, "change", "rule", "from", "to", "step", "name", *NUMBERS, "difference")
        return DifferenceAnswer(
            context.label(frame), self, replace(context, notes=(*context.notes, *_notes(way))),
            self._shown_examples(tables, named, context),
        )  # fmt: skip

    def _complete(self, tables: Tables, n_changes: int) -> pl.DataFrame:
        """Give every change and step a row in each cell, zeros where nobody came. D0.3."""
        moves = tables["moves"]
        cells = pl.concat([moves.select(CELL), tables[UNITS_TABLE].select(CELL)]).unique()
        numbers = pl.DataFrame({"change": range(1, n_changes + 1)}, schema={"change": pl.Int64})
        steps = pl.DataFrame({"step": range(1, len(self.b.made) + 1)}, schema={"step": pl.Int64})
        asked = cells.join(numbers, how="cross").join(steps, how="cross")
        zero = asked.with_columns(pl.lit(0, pl.Int64).alias(name) for name in NUMBERS)
        keys = [CELL, "change", "step"]
        rows = pl.concat([moves.select(*keys, *NUMBERS).filter(pl.col("change") > 0), zero])
        return sum_rows(rows, keys).sort(keys)

    def _shown_examples(self, tables: Tables, named: pl.DataFrame, context: Context) -> pl.DataFrame:
        rows = tables["examples"].drop(GROUP)
        hashed = rows.with_columns(pl.Series("hash", hash_ids(rows["user"])))
        few = hashed.sort(CELL, "change", "hash").filter(_place(CELL, "change") < self.examples)
        shown = few.join(named, on="change", how="left", maintain_order="left")
        return context.label(
            shown.select(CELL, "change", "rule", "user", "furthest_before", "furthest_after")
        )


def reached_steps(funnel: Funnel, shard: Journeys, cells: Cells) -> pl.DataFrame:
    """Count the units (or runs) of every user of a shard at every step that they reach: cell, user, step, n."""
    walk = Walk(shard, cells, funnel.of, funnel.container)
    segments = cells.segments(walk.paths, funnel.container)
    empty = {CELL: pl.Int32, "user": pl.Int64, "step": pl.Int64}
    parts = [pl.DataFrame(schema=empty)]
    for runs in Runner(Machine(funnel, funnel.rules.ties), shard, walk, cells.period_starts).runs():
        cell = cells.at(segments[runs.path], runs.start_times)
        run, step = np.nonzero(runs.at >= 0)
        columns = {CELL: cell[run].astype(np.int32), "user": walk.owners[runs.path[run]], "step": step + 1}
        parts.append(pl.DataFrame(columns, schema=empty))
    return pl.concat(parts).group_by(CELL, "user", "step").agg(pl.len().cast(pl.Int64).alias("n"))


def _side_by_side(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    keys = [CELL, "user", "step"]
    both = before.join(after, on=keys, how="full", coalesce=True, suffix="_after")
    return both.rename({"n": "reached_before", "n_after": "reached_after"}).with_columns(
        pl.col("reached_before", "reached_after").fill_null(0)
    )


def _moves(both: pl.DataFrame, number: int) -> pl.DataFrame:
    """Add the users of each cell and step up."""
    change = pl.col("reached_after") - pl.col("reached_before")
    moved = both.with_columns(change.clip(0).alias("gained"), (-change).clip(0).alias("lost"))
    summed = moved.group_by(CELL, "step").agg(pl.col(NUMBERS).sum())
    return summed.select(CELL, pl.lit(number, pl.Int64).alias("change"), "step", *NUMBERS)


def _examples(both: pl.DataFrame, number: int, limit: int, shard: Journeys) -> pl.DataFrame:
    """List some users of each cell whose steps differ, those of the smallest hashes."""
    moved = pl.col("reached_before") != pl.col("reached_after")
    furthest = [
        pl.col("step").filter(pl.col(f"reached_{when}") > 0).max().fill_null(0).alias(f"furthest_{when}")
        for when in ("before", "after")
    ]
    users = both.group_by(CELL, "user").agg(*furthest, moved.any().alias("moved")).filter("moved")
    first, last = shard.user_range or (0, shard.users.len())
    ids = shard.users.slice(first, last - first).gather(users["user"])
    users = users.with_columns(ids.alias("user"), pl.Series("hash", hash_ids(ids)))
    few = users.sort(CELL, "hash").filter(_place(CELL) < limit)
    return few.select(
        CELL, pl.lit(number, pl.Int64).alias("change"), "user", "furthest_before", "furthest_after"
    )


def _place(*keys: str) -> pl.Expr:
    """Return the place of a row among those of its keys, from 0."""
    return pl.int_range(pl.len(), dtype=pl.Int64).over(*keys)


def _changes_frame(way: Sequence[Change]) -> pl.DataFrame:
    rows = [(number, change.rule, change.before, change.after) for number, change in enumerate(way, 1)]
    schema = {"change": pl.Int64, "rule": pl.String, "from": pl.String, "to": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _notes(way: Sequence[Change]) -> list[str]:
    if not way:
        return ["The two funnels count by the same rules: nothing is to explain."]
    order = ", then ".join(change.rule for change in way)
    return [
        f"Rules are changed one at a time, in this order: {order}. Another order may divide the sum differently."
    ]
