"""PainPoints: where journeys give up more than elsewhere, what it costs, and what goes with it. DEFINITIONS D15.6."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError, UnknownNameError
from journeykit.journeys.journeys import Journeys
from journeykit.models.chains.chain import Chain, ChainTally
from journeykit.models.changes.references import checked_reference, reference_cells
from journeykit.models.changes.what_if import check_chain
from journeykit.models.pains.pain_answer import PainPointsAnswer, pain_answer, painful_touchpoints
from journeykit.ordering.user_ids import hash_ids
from journeykit.protocol import CELL, Cells, Context, Tables
from journeykit.statistics.base import Statistic, described
from journeykit.statistics.counting import CountingRows
from journeykit.statistics.friction.flags import CLASSES, ShardVisits, class_of_flags
from journeykit.statistics.friction.friction import Friction
from journeykit.statistics.friction.slow_visits import SlowLimits, next_question
from journeykit.support.unknown_names import refuse_unknown

Int64s = npt.NDArray[np.int64]
ANY_FRICTION = Friction()
LONGEST_EXAMPLE = 20


@dataclass(frozen=True)
class PainPoints(Statistic[PainPointsAnswer]):
    """Rank touchpoints by the conversions that are lost there, and say what part of it goes with friction. D15.6.

    Parameters
    ----------
    chain : Chain
        What a success is, and when a path is over; of events, of order 1. With ``value=`` the answer speaks of money.
    friction : Friction
        What friction is. With ``trouble`` it finds errors, with ``ratings`` visits after a bad rating.
    reference : mapping of str to object, optional
        The segment or period whose exit rates are the level, as of `Opportunities`. Without it the level of a
        touchpoint is the exit rate of all others of its stage together; without stages, of all others.
    targets : mapping of str to float, optional
        Exit rates to hold touchpoints against, by name, in place of that level.
    examples : int
        How many paths to show of those that gave up, for each of the ten most painful touchpoints.
    show_users : bool
        Whether examples come with the ids of their users.

    Raises
    ------
    ParameterError
        If the chain is of stages, of higher order, smoothed or collapses repeats, or a parameter has a value it cannot
        take.

    Notes
    -----
    For touchpoint i over n paths: N_i its expected visits per path, a_i the share of its visits after which the path
    gave up, c_i = b_i / (1 - a_i) the chance of a goal for who does not give up there, a_ref the level. Its pain is ::

        lost conversions = n N_i c_i (a_i - a_ref) = base + sum of friction parts
        friction part    = n N_i c_i w_f (a_f - a_clean)
        base             = n N_i c_i (a_clean - a_ref)

    with w_f the share of its visits of class f, a_f their exit rate, and a_clean that of visits without friction (a_i
    if there are none). The sum is exact. Parts, and the whole, may be negative: better than elsewhere. ``regained`` is
    the exact what-if, the exit rate set to its level and the other moves scaled up (D10.3), for the 100 touchpoints of
    the largest excess. Visits after which a path may still go on count in no rate. Where nobody converts after a
    touchpoint, or nobody stays, c_i is P(convert) of its peers (``from_peers``). The stage of a touchpoint is where
    most of its visits are. Intervals by the delete-a-group jackknife (D12.3), stages held fixed.

    These are associations: who meets an error may be in trouble for other reasons. See :doc:`/explanation/pain-points`.

    Five passes, O(n); two sparse factorisations and at most 100 solves, per jackknife group and segment.

    References
    ----------
    Kemeny & Snell 1960, Finite Markov Chains.

    Examples
    --------
    >>> import journeykit as jk
    >>> paths = [["list", "cart", "buy"]] * 2 + [["list", "cart"]] * 2 + [["list", "list", "cart", "buy"]] * 2
    >>> rows = [(u, t, e) for u, path in enumerate(paths) for t, e in enumerate(path)]
    >>> log = pl.DataFrame(rows, schema=["user", "time", "event"], orient="row")
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> answer = journeys.measure(PainPoints(Chain("buy", open_paths="end"), Friction(rage=None, slow=None)))
    >>> answer.frame.select("touchpoint", "visits", "exits", "exit_rate", "reference_exit_rate").row(0)
    ('cart', 6, 2, 0.3333333333333333, 0.0)
    >>> answer.frame.select(pl.col("lost_conversions", "base", "friction", "regained_conversions").round(6)).row(0)
    (2.0, 2.0, 0.0, 2.0)
    """

    chain: Chain
    friction: Friction = ANY_FRICTION
    _: KW_ONLY
    reference: Mapping[str, object] | None = None
    targets: Mapping[str, float] | None = None
    examples: int = 0
    show_users: bool = False

    tables: ClassVar[Mapping[str, Sequence[str]]] = Friction.tables
    by_group: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_chain(self.chain)
        chain = self.chain
        if chain.of != "event" or chain.order != 1 or chain.smoothing or chain.collapse_repeats:
            raise ParameterError(
                "PainPoints need a chain of events of order 1, without smoothing or collapse_repeats: the visits of a "
                f"touchpoint must be its moves. Leave these out of {chain!r}."
            )
        if not isinstance(self.friction, Friction):
            raise ParameterError(
                f"friction cannot be {self.friction!r}. Give a Friction, such as Friction('help')."
            )
        object.__setattr__(self, "reference", checked_reference(self.reference))
        object.__setattr__(self, "targets", _checked_targets(self.targets))
        if isinstance(self.examples, bool) or not isinstance(self.examples, int) or self.examples < 0:
            raise ParameterError(f"examples must be a whole number from 0 on, not {self.examples!r}.")

    def __repr__(self) -> str:
        return described(self)

    @property
    def levels(self) -> dict[str, float]:
        """The exit rates that are given, by touchpoint."""
        return dict(self.targets or ())

    def check(self, context: Context) -> None:
        """Refuse names, properties and references that the journeys do not have."""
        self.chain.check(context)
        strict = self.friction.missing == "raise"
        (replace(self.friction, missing=self.chain.missing) if strict else self.friction).check(context)
        reference_cells(self.reference, context.labels)
        known = context.names.to_list()
        unknown = sorted(set(self.levels) - set(known))
        if unknown:
            refuse_unknown(UnknownNameError("event", unknown, known), self.chain.missing, stacklevel=5)

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the gaps into every event of one shard."""
        return self.friction.tally(shard, cells)

    @property
    def quantile(self) -> float | None:
        """The share of gaps into an event that are not slow."""
        return self.friction.slow

    def follow_up(self, tables: Tables, context: Context) -> Statistic[PainPointsAnswer] | None:
        """Ask for the gaps near the percentile, and then for moves and classes of visits."""
        return next_question(self, tables, context)

    def with_limits(self, limits: SlowLimits) -> Statistic[PainPointsAnswer]:
        """Return the question for moves and classes, where it is known what is slow."""
        return _PainVisits(self, limits)

    def answer(self, tables: Tables, context: Context) -> PainPointsAnswer:
        """Turn all tallies into pains with intervals."""
        return pain_answer(self, tables, context)


def _checked_targets(targets: Any) -> Any:
    """Bring exit rates by touchpoint into a form that can be compared."""
    if targets is None:
        return None
    pairs = tuple(targets.items()) if isinstance(targets, Mapping) else tuple(targets)
    for name, rate in pairs:
        number = isinstance(rate, int | float) and not isinstance(rate, bool)
        if not isinstance(name, str) or not number or not 0 <= rate <= 1:
            raise ParameterError(
                f"targets cannot hold {name!r}: {rate!r}. Give exit rates from 0 to 1 by touchpoint, such as "
                "{'cart': 0.2}."
            )
    return pairs


@dataclass(frozen=True, eq=False)
class _PainVisits(Statistic[PainPointsAnswer]):
    """The question for the moves of the chain, and the visits by class and by stage."""

    question: PainPoints
    limits: SlowLimits

    @property
    def tables(self) -> Mapping[str, Sequence[str]]:  # type: ignore[override]
        """The tables of a tally."""
        return {**self.question.chain.tables, "classes": ("event", "class"), "places": ("event", "stage")}

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the moves and the visits of one shard."""
        return _Visits(self, shard, cells).tables()

    def follow_up(self, tables: Tables, context: Context) -> Statistic[PainPointsAnswer] | None:
        """Ask for examples, if any are wanted."""
        if not self.question.examples:
            return None
        wanted = painful_touchpoints(self.question, tables, context)
        return _PainExamples(self.question, self.limits, wanted)

    def answer(self, tables: Tables, context: Context) -> PainPointsAnswer:
        """Turn all tallies into the answer."""
        return pain_answer(self.question, tables, context)


class _Visits:
    """The visits of one shard, with the class of each; places count from the shard's first event."""

    def __init__(self, statistic: _PainVisits | _PainExamples, shard: Journeys, cells: Cells) -> None:
        chain = statistic.question.chain
        self.shard, self.chain = shard, ChainTally(chain, shard, cells)
        visits = ShardVisits.of(shard)
        self.events = visits.events
        flags = visits.flags(statistic.question.friction, shard, statistic.limits.micros, chain.unit)
        self.classes = class_of_flags()[flags]
        self.codes = shard.states("event", chain.unit)[self.events]
        self.starts = self.chain.whole.starts - self.events.start
        self.cuts = self.chain.cuts - self.events.start
        self.still_open = self.chain.still_open()

    def tables(self) -> Tables:
        """Return all tables of the tally."""
        stages = np.zeros(self.codes.size, np.uint8)
        if self.shard.staged is not None:
            stages = self.shard.states("stage", self.chain.statistic.unit)[self.events].astype(np.uint8)
        return {
            **self.chain.tables(),
            "classes": self._counts("class", self.classes, len(CLASSES)),
            "places": self._counts("stage", stages, len(self.shard.stage_names) + 1),
        }

    def _counts(self, name: str, labels: npt.NDArray[np.uint8], n_labels: int) -> pl.DataFrame:
        from journeykit.kernels.models.pain import count_left

        size = len(self.shard.names)
        counted = CountingRows.make(self.chain.cell_count * size * n_labels, self.codes.size, columns=2)
        count_left(
            self.starts, self.cuts, self.codes, labels, self.chain.cells, self.chain.reached, self.still_open,
            size, n_labels, counted.keys, counted.rows, counted.table,
        )  # fmt: skip
        keys, rows = counted.found()
        place = keys // n_labels
        columns = {
            CELL: (place // max(size, 1)).astype(np.int32),
            "event": (place % max(size, 1)).astype(np.int32),
            name: (keys % n_labels).astype(np.int32),
        }
        return pl.DataFrame({**columns, "visits": rows[:, 0], "exits": rows[:, 1]})


@dataclass(frozen=True, eq=False)
class _PainExamples(Statistic[PainPointsAnswer]):
    """The last question: some of the paths that gave up at the most painful touchpoints."""

    question: PainPoints
    limits: SlowLimits
    wanted: frozenset[str]

    tables: ClassVar[Mapping[str, Sequence[str]]] = {"examples": ("event", "hash", "class", "path", "user")}

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """List the paths of the users with the smallest hashes."""
        from journeykit.kernels.models.pain import end_states

        visits = _Visits(self, shard, cells)
        chain, wanted = visits.chain, shard.names.is_in(list(self.wanted)).to_numpy()
        at = np.empty(visits.starts.size, np.int64)
        end_states(visits.starts, visits.cuts, visits.codes, chain.reached, visits.still_open, wanted, at)
        gone = np.flatnonzero(at >= 0)
        owners = np.repeat(np.arange(chain.whole.n_users), np.diff(chain.whole.user_paths))[gone]
        first, last = shard.user_range or (0, shard.n_users)
        ids = shard.users[first:last].rechunk()
        hashes = pl.Series(hash_ids(ids), dtype=pl.UInt64).gather(pl.Series(owners, dtype=pl.Int64))
        found = pl.DataFrame(
            {
                CELL: chain.cells[gone],
                "event": at[gone].astype(np.int32),
                "hash": hashes,
                "path": gone,
                "owner": owners,
            }
        )
        one_each = [CELL, "event", "hash"]
        few = found.sort(*one_each, "path").unique(one_each, keep="first", maintain_order=True)
        few = few.filter(pl.int_range(pl.len()).over(CELL, "event") < self.question.examples)
        paths = few["path"].to_list()
        ends = visits.cuts[paths]
        begins = np.maximum(visits.starts[paths], ends - LONGEST_EXAMPLE)
        listed = [visits.codes[a:b].tolist() for a, b in zip(begins, ends, strict=True)]
        texts = pl.Series(listed, dtype=pl.List(pl.Int64)).cast(pl.List(pl.String)).list.join(" ")
        users = ids.cast(pl.String).gather(few["owner"]) if self.question.show_users else pl.lit("")
        return {
            "examples": few.select(
                CELL,
                "event",
                "hash",
                pl.Series("class", visits.classes[ends - 1].astype(np.int32), dtype=pl.Int32),
                texts.alias("path"),
                users.alias("user"),
                pl.lit(1, pl.Int64).alias("paths"),
            )
        }

    def answer(self, tables: Tables, context: Context) -> PainPointsAnswer:
        """Turn all tallies into the answer."""
        return pain_answer(self.question, tables, context)
