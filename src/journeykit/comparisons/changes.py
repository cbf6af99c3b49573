"""What a change of conversion between two periods is made of. DEFINITIONS D13.8, D13.9."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.cells import By, make_cells
from journeykit.comparisons.compared import Compared, in_memory
from journeykit.comparisons.sides import PERIOD, sides_of
from journeykit.errors import ParameterError, UndefinedError, UnknownNameError, listed
from journeykit.journeys.journeys import Journeys
from journeykit.mathematics.absorption import AbsorbingChain
from journeykit.mathematics.intervals import GROUPS, jackknife
from journeykit.paths import Unit
from journeykit.patterns.matchers import Match, MatchLike, as_match, check_matches
from journeykit.protocol import CELL, GROUP, Cells, Context, Tables
from journeykit.statistics.base import UNITS_TABLE, Answer, Statistic, with_floats
from journeykit.statistics.checks import check_choices
from journeykit.statistics.counting import CountingRows
from journeykit.statistics.goals import Stretches, Walk
from journeykit.support.durations import Duration

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]
START, CONVERT, ABANDON = "<START>", "<CONVERT>", "<ABANDON>"


@dataclass(frozen=True, eq=False, repr=False)
class ChangeAnswer(Answer):
    """What a change is made of; the frame is described in `decompose_change`.

    Attributes
    ----------
    frame : polars.DataFrame
        One row per segment, or per move.
    total : polars.DataFrame
        One row: the two periods, ``rate_before``, ``rate_after`` and their ``change`` with its interval; by segment
        also its parts ``mix`` and ``rate``.
    """

    total: pl.DataFrame


@dataclass(frozen=True)
class CutMoves(Statistic[Answer]):
    """Count the moves of paths cut at their first goal, with how they end. D10.1."""

    goal: Match
    unit: Unit = "session"
    horizon: Duration | None = None

    tables: ClassVar[Mapping[str, Sequence[str]]] = {"moves": ("source", "target"), UNITS_TABLE: ()}

    def __post_init__(self) -> None:
        check_choices(self)

    def check(self, context: Context) -> None:
        """Refuse a goal that the journeys do not have."""
        try:
            check_matches([self.goal], "event", "raise", context)
        except UnknownNameError as error:
            # There is no missing= to advise: a change of what nobody does is made of nothing.
            raise UnknownNameError(error.kind, error.names, context.names, advice="") from None

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the moves of one shard; the last three states are START, CONVERT and ABANDON."""
        from journeykit.kernels.outcomes.differential import count_edges

        walk = Walk(shard, cells, "event", self.unit)
        stretches = Stretches(shard, walk, self.goal, None, self.unit, None, from_first=True)
        converted, abandoned = stretches.goal >= 0, self._over(shard, stretches)
        starts, ends = walk.paths.starts, np.where(converted, stretches.goal, walk.paths.ends)
        start, size = walk.n_states, walk.n_states + 1
        room = max(1, walk.n_events + walk.paths.n_paths)
        moves, sources = (
            CountingRows.make(cells.count * size**2, room),
            CountingRows.make(cells.count * size, room),
        )
        sides, strata = np.zeros(starts.size, np.int8), np.zeros(starts.size, np.int64)
        count_edges(
            starts, ends, walk.states, sides, walk.cells, strata, walk.owners, (size, 1, True),
            (moves.keys, moves.rows, moves.table), (sources.keys, sources.rows, sources.table),
        )  # fmt: skip
        keys, rows = moves.found()
        inner = [keys // size**2, keys // size % size, keys % size, rows[:, 0]]
        last = np.where(ends > starts, walk.states[np.maximum(ends - 1, 0)], start).astype(np.int64)
        parts = [np.column_stack(inner)]
        for end, which in ((start + 1, converted), (start + 2, abandoned)):
            key, count = np.unique(
                walk.cells[which].astype(np.int64) * size + last[which], return_counts=True
            )
            parts.append(np.column_stack([key // size, key % size, np.full(key.size, end), count]))
        table = np.concatenate(parts)
        columns = {name: table[:, i].astype(np.int32) for i, name in enumerate((CELL, "source", "target"))}
        units = walk.units()
        reached = np.bincount(walk.cells[converted], minlength=walk.cell_count)
        counted = units.with_columns(converted=pl.Series(reached[units[CELL].to_numpy()]))
        return {"moves": pl.DataFrame({**columns, "moves": table[:, 3]}), UNITS_TABLE: counted}

    def _over(self, shard: Journeys, stretches: Stretches) -> npt.NDArray[np.bool_]:
        if self.unit == "user" and self.horizon is None:
            return stretches.goal < 0
        return stretches.abandoned(self.horizon)

    def answer(self, tables: Tables, context: Context) -> Answer:
        """Return the counts themselves."""
        return Answer(tables["moves"], self, context)


def decompose_change(
    journeys: Compared,
    goal: MatchLike,
    *,
    every: str,
    after: Any = MISSING,
    before: Any = MISSING,
    by: By = None,
    unit: Unit = "session",
    horizon: Duration | None = None,
    level: float = 0.95,
) -> ChangeAnswer:
    """Say what a change of the conversion rate between two periods is made of. D13.8, D13.9.

    Parameters
    ----------
    journeys : Journeys, JourneysPlan or Store
        What is measured. A plan runs in memory first.
    goal : str, sequence of str, polars expression, Pattern or Match
        What converts.
    every : str
        The calendar period, as in ``measure``; a path belongs to that of its first event.
    after, before : date, datetime or str, optional
        Days in the two periods; the last period, and the one before `after`, by default.
    by : str or Segment, optional
        A property that makes segments: into mix and rates of segments. Without it: into moves between events.
    unit : {"session", "user"}
        What converts.
    horizon : str or timedelta, optional
        With users and without `by`: how long a silence means that a path is over; without it every path is.
    level : float
        Of the intervals, between 0 and 1.

    Returns
    -------
    ChangeAnswer
        Parts that add up to the change exactly, each with a jackknife interval.

    Raises
    ------
    ParameterError
        If `journeys` is none of these, a period does not exist, or a parameter has a value it cannot take.
    UndefinedError
        If a period has no paths, or paths in it reach events from which none of them ends.

    Notes
    -----
    By segment i, with shares w and rates r of the periods 0 and 1 and R the rate of all: ``mix`` is
    ``(w1 - w0) ((r0 + r1) / 2 - (R0 + R1) / 2)`` and ``rate`` is ``(r1 - r0) (w0 + w1) / 2``. A segment that a period
    lacks takes its rate from the other. Columns: the segment, ``share_before``, ``share_after``, ``rate_before``,
    ``rate_after``, ``mix``, ``rate``, ``effect`` (both together).

    By move from i to j of the chain of D10.1, ended by ``<CONVERT>`` or ``<ABANDON>``:
    ``(p1_ij - p0_ij) / 2 (N0_i (b1_j - b1_i) + N1_i (b0_j - b0_i))`` with expected visits N from START and chances b to
    convert. Columns: ``source``, ``target``, ``probability_before``, ``probability_after``, ``moves_before``,
    ``moves_after``, ``effect``. The rows of ``<START>`` are the mix of entries.

    These are identities, not causes. One pass, then 65 times two sparse solves.

    References
    ----------
    Kitagawa 1955, JASA 50.

    Examples
    --------
    >>> import journeykit as jk
    >>> shop = jk.datasets.simulate_shop(3000, rng=1)
    >>> events = jk.read_events(shop.events, user="user", time="time", event="event", keep=["device"])
    >>> change = jk.decompose_change(events.sessionize("30m"), "purchase", every="1mo", by="device")
    >>> change.total.select(pl.col("change", "mix", "rate").round(5)).rows()
    [(-0.00276, -0.00107, -0.00169)]
    """
    match = as_match(goal, "goal")
    if not 0 < level < 1:
        raise ParameterError(f"level must lie between 0 and 1, not {level!r}.")
    journeys = in_memory(journeys)
    sides = sides_of(journeys, None, every, after, before, False, "path", ("after", "before"))[-1]
    cells = make_cells(journeys, by, every)
    context = journeys.context(cells.labels, level, every)
    question = CutMoves(match, unit, horizon)
    question.check(context)
    _, tables = journeys.count(question, cells, context)
    labels = cells.labels.with_row_index(CELL).with_columns(pl.col(CELL).cast(pl.Int32))
    made = _ByMove if by is None else _BySegment
    parts = made(tables, labels, sides.names, journeys, level)
    note = "These are parts of a sum, not causes." + (" Open paths have no end." if by is None else "")
    context = replace(journeys.context(pl.DataFrame([{}]), level), notes=(*context.notes, note))
    return ChangeAnswer(parts.frame(), question, context, parts.total())


class _Parts:
    """Numbers per row with their jackknife intervals."""

    def __init__(self, groups: Int64s, level: float) -> None:
        self.groups, self.level = groups, level

    def bounded(self, name: str, value: Floats, without: Floats) -> dict[str, Floats]:
        """Return a number and its interval; `without` is (rows, groups that have users)."""
        replicates = np.tile(value[:, None], (1, GROUPS))
        replicates[:, self.groups] = without
        present = np.full(value.size, self.groups.size)
        ends = jackknife(value, replicates, present, present, scale="identity", level=self.level)
        return {name: value, f"{name}_low": ends.low, f"{name}_high": ends.high}

    def all_without(self, of: Any) -> Any:
        """Stack what a function returns without each group: per number (rows, groups)."""
        each = [of(group) for group in self.groups]
        return [np.stack(parts, axis=-1) for parts in zip(*each, strict=True)]


class _BySegment(_Parts):
    """Mix and rates. D13.8."""

    def __init__(
        self, tables: Tables, labels: pl.DataFrame, periods: tuple[Any, Any], journeys: Journeys, level: float
    ) -> None:
        units = tables[UNITS_TABLE].join(labels, on=CELL, how="left", maintain_order="left")
        units = units.filter(pl.col(PERIOD).is_in(list(periods)))
        super().__init__(np.unique(units[GROUP].to_numpy()), level)
        names = [name for name in labels.columns if name not in (CELL, PERIOD)]
        self.segments = units.select(names).unique(maintain_order=True).sort(names, nulls_last=True)
        numbered = self.segments.with_row_index("row")
        rows = units.join(numbered, on=names, how="left", nulls_equal=True, maintain_order="left")
        place = rows["row"].cast(pl.Int64).to_numpy() * 2 + (units[PERIOD] == periods[0]).to_numpy()
        place = place * GROUPS + units[GROUP].to_numpy()
        shape = (self.segments.height, 2, GROUPS)
        self.paths, self.converted = (
            np.bincount(place, units[name].to_numpy(), int(np.prod(shape))).astype(np.float64).reshape(shape)
            for name in ("paths", "converted")
        )
        self.periods = periods
        _refuse_empty(self.paths.sum(axis=(0, 2)), periods)

    def _numbers(self, group: int | None = None) -> tuple[Floats, ...]:
        """Return shares and rates of both periods, mix and rate effects, from all groups or all but one."""
        kept = np.ones(GROUPS, np.bool_)
        if group is not None:
            kept[group] = False
        paths, converted = self.paths[:, :, kept].sum(axis=2), self.converted[:, :, kept].sum(axis=2)
        with np.errstate(divide="ignore", invalid="ignore"):
            share, rate = paths / paths.sum(axis=0), converted / paths
        rate = np.where(np.isnan(rate), rate[:, ::-1], rate)
        rate = np.where(np.isnan(rate), 0.0, rate)
        whole = (share * rate).sum(axis=0)
        (w0, w1), (r0, r1) = share.T, rate.T
        mix = (w1 - w0) * ((r0 + r1) / 2 - whole.mean())
        return w0, w1, r0, r1, mix, (r1 - r0) * (w0 + w1) / 2

    def frame(self) -> pl.DataFrame:
        """Return one row per segment, the largest effect first."""
        names = ("share_before", "share_after", "rate_before", "rate_after", "mix", "rate")
        values, without = self._numbers(), self.all_without(self._numbers)
        columns = dict(zip(names[:4], values[:4], strict=True))
        columns |= self.bounded("mix", values[4], without[4]) | self.bounded("rate", values[5], without[5])
        columns |= self.bounded("effect", values[4] + values[5], without[4] + without[5])
        counts = {
            f"{what}_{when}": table[:, i].sum(axis=1).astype(np.int64)
            for what, table in (("paths", self.paths), ("converted", self.converted))
            for i, when in enumerate(("before", "after"))
        }
        frame = self.segments.with_columns(pl.Series(name, each) for name, each in counts.items())
        return with_floats(frame, columns).sort(pl.col("effect").abs(), descending=True, maintain_order=True)

    def total(self) -> pl.DataFrame:
        """Return the change, and its two parts."""

        def sums(group: int | None = None) -> tuple[Floats, ...]:
            w0, w1, r0, r1, mix, rate = self._numbers(group)
            return tuple(np.array([each.sum()]) for each in (w0 * r0, w1 * r1, mix, rate))

        values, without = sums(), self.all_without(sums)
        columns = {"rate_before": values[0], "rate_after": values[1]}
        columns |= self.bounded("change", values[1] - values[0], without[1] - without[0])
        columns |= self.bounded("mix", values[2], without[2]) | self.bounded("rate", values[3], without[3])
        return with_floats(_named(self.periods), columns)


class _ByMove(_Parts):
    """The moves of a chain. D13.9."""

    def __init__(
        self, tables: Tables, labels: pl.DataFrame, periods: tuple[Any, Any], journeys: Journeys, level: float
    ) -> None:
        moves = tables["moves"].join(labels, on=CELL, how="left", maintain_order="left")
        moves = moves.filter(pl.col(PERIOD).is_in(list(periods)))
        super().__init__(np.unique(moves[GROUP].to_numpy()), level)
        self.names = [*journeys.names.cast(pl.String).to_list(), START, CONVERT, ABANDON]
        self.start = len(self.names) - 3
        edges = moves.select("source", "target").unique().sort("source", "target")
        place = moves.join(
            edges.with_row_index("row"), on=["source", "target"], how="left", maintain_order="left"
        )
        at = place["row"].cast(pl.Int64).to_numpy() * 2 + (moves[PERIOD] == periods[0]).to_numpy()
        at = at * GROUPS + moves[GROUP].to_numpy()
        shape = (edges.height, 2, GROUPS)
        counts = np.bincount(at, moves["moves"].to_numpy(), int(np.prod(shape)))
        self.counts = counts.astype(np.float64).reshape(shape)
        self.source, self.target = (edges[name].cast(pl.Int64).to_numpy() for name in ("source", "target"))
        self.periods = periods
        _refuse_empty(self.counts.sum(axis=(0, 2)), periods)

    def _probabilities(self, counts: Floats) -> Floats:
        """Return (edges, periods); a state that a period lacks takes the row of the other."""
        states = self.start + 1
        leaving = np.column_stack([np.bincount(self.source, each, states) for each in counts.T])[self.source]
        with np.errstate(divide="ignore", invalid="ignore"):
            p = np.where(leaving > 0, counts / leaving, np.nan)
        p = np.where(np.isnan(p), p[:, ::-1], p)
        return np.nan_to_num(p)

    def _effects(self, group: int | None = None) -> tuple[Floats, Floats, Floats, Floats]:
        """Return effects and both rates, from all groups or all but one; NaN where not defined."""
        counts = self.counts.sum(axis=2)
        if group is not None:
            counts = counts - self.counts[:, :, group]
        p, states = self._probabilities(counts), self.start + 1
        first = np.zeros(states)
        first[self.start] = 1.0
        chances, visits = [], []
        for each in p.T:
            chain = AbsorbingChain(self.source, self.target, each, states, 2)
            if group is None:
                self._refuse_endless(chain, each)
            known = np.bincount(self.source, each, states) > 0
            chances.append(np.concatenate([np.where(known, chain.absorbed[:, 0], 0.0), [1.0, 0.0]]))
            visits.append(chain.visits_from(first))
        (b0, b1), (n0, n1) = chances, visits
        i, j, dp = self.source, self.target, p[:, 1] - p[:, 0]
        effect = dp / 2 * (n0[i] * (b1[j] - b1[i]) + n1[i] * (b0[j] - b0[i]))
        return effect, b0[[self.start]], b1[[self.start]], p

    def _refuse_endless(self, chain: AbsorbingChain, p: Floats) -> None:
        met = np.unique(np.concatenate([self.source[p > 0], self.target[p > 0]]))
        met = met[met <= self.start]
        endless = met[~chain.ending[met]]
        if endless.size:
            raise UndefinedError(
                f"no path from {listed([self.names[i] for i in endless])} ends: the chance to convert is not defined "
                f"there. With users, leave horizon= out or take a shorter one."
            )

    def frame(self) -> pl.DataFrame:
        """Return one row per move, the largest effect first."""
        effect, _, _, p = self._effects()
        without = self.all_without(lambda group: self._effects(group)[:1])[0]
        counts = self.counts.sum(axis=2).astype(np.int64)
        names = pl.Series(self.names)
        frame = pl.DataFrame({
            "source": names.gather(pl.Series(self.source, dtype=pl.UInt32)),
            "target": names.gather(pl.Series(self.target, dtype=pl.UInt32)),
            "moves_before": counts[:, 0], "moves_after": counts[:, 1],
        })  # fmt: skip
        columns = {"probability_before": p[:, 0], "probability_after": p[:, 1]}
        frame = with_floats(frame, columns | self.bounded("effect", effect, without))
        return frame.sort(pl.col("effect").abs(), "source", "target", descending=[True, False, False])

    def total(self) -> pl.DataFrame:
        """Return the change."""
        _, before, after, _ = self._effects()
        without = self.all_without(lambda group: self._effects(group)[1:3])
        columns = {"rate_before": before, "rate_after": after}
        return with_floats(
            _named(self.periods), columns | self.bounded("change", after - before, without[1] - without[0])
        )


def _named(periods: tuple[Any, Any]) -> pl.DataFrame:
    return pl.DataFrame({"before": [periods[1]], "after": [periods[0]]})


def _refuse_empty(paths: Floats, periods: tuple[Any, Any]) -> None:
    """Refuse a period in which no path starts."""
    for count, period in zip(paths, periods[::-1], strict=True):
        if not count:
            raise UndefinedError(
                f"no path starts in the period from {period}: there is no rate to decompose."
            )
