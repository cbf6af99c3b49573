"""Flow: from which state to which state paths go at every step. DEFINITIONS D3.4, D8.3, D8.4, D8.14."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError
from journeykit.journeys.journeys import Journeys
from journeykit.paths import Unit
from journeykit.patterns.matchers import Match, MatchLike, Of, as_match, check_matches
from journeykit.protocol import CELL, Cells, Context, Tables
from journeykit.statistics.base import UNITS_TABLE, Statistic
from journeykit.statistics.counting import CountingRows
from journeykit.statistics.distribution import checked_quantiles
from journeykit.statistics.paths.flow_table import EDGE, FlowTable, flow_table, top_nodes
from journeykit.statistics.paths.walk import (
    UNLIMITED,
    CleanWalk,
    Occurrence,
    check_shared,
    checked_count,
    checked_occurrence,
)
from journeykit.support.durations import Duration, microseconds
from journeykit.support.unknown_names import Missing

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Flow(Statistic[FlowTable]):
    """Count the moves between the steps of paths, as a sankey diagram shows them. D8.3.

    Parameters
    ----------
    max_steps : int
        How many steps of a path to show. END takes one too: a path of `max_steps` events shows no END.
    start, end : str, sequence of str, polars expression, Pattern or Match, optional
        Cut each path before its `start` and after the first `end` behind it; paths without are left out and counted in
        the notes. With an `end` the last `max_steps` events are shown; with both, of a longer path, the first and the
        last ``max_steps // 2``, and ``<OTHER>`` between them. D3.4.
    occurrence : {"first", "last"} or int
        Which `start` of a path counts, by number from 1 on.
    collapse_repeats : bool
        Whether a run of one state is one step.
    keep : {"first", "last"}
        Whose time a run has.
    top : int, optional
        How many states to show at every step, those with the most paths, then by name. The others are ``<OTHER>``
        before anything is counted, so what flows into a state flows out of it. A second pass.
    edge_limit : int, optional
        How many edges to show per segment, the heaviest; those that cannot be reached from step 1 by what is shown
        are left out then, unless `min_weight` or `max_weight` is set. D8.4.
    min_weight, max_weight : int, optional
        Leave out lighter and heavier edges.
    weight : {"paths", "users"}
        What an edge weighs.
    drop_off : bool
        Whether moves to ``<END>`` are edges.
    sort : {"step", "weight"}
        ``"step"``: edges of a step together, the heaviest first, END behind named targets, OTHER last. ``"weight"``:
        the heaviest first, then by step and name as texts. D8.4.
    of : {"event", "stage"}
        What a state is. Events before the first stage are left out of a stage path.
    unit : {"session", "user"}
        What a path is.
    open_paths : {"end", "censor"}
        Whether a path that may still go on gets its END. D3.5.
    horizon : str or timedelta, optional
        With ``open_paths="censor"`` and users: how long a silence makes a path ended.
    quantiles : sequence of float
        Which percentiles of the time per edge to add, such as ``(0.5,)`` for the median.
    missing : {"raise", "ignore", "warn"}
        What to do with anchors that the log does not have. D0.9.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take.

    Notes
    -----
    A path is on one edge per step: ``paths`` counts transitions and paths alike. ``probability`` = paths on the edge /
    paths in its source at that step. ``<OTHER>`` between two ends has the time of the first event it stands for. With
    an `end`, a path is cut there and shows no END: whoever is there has arrived. One pass over the steps shown, O(n),
    a cache line per edge; 16 bytes per event of a shard for percentiles.

    Each vendor's settings (D8.14): `posthog`, `posthog_v2`, `mixpanel`, `amplitude`, `ga4`, `adobe`.

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({"user": [1, 1, 1, 2], "time": [0, 1, 2, 0], "event": ["see", "cart", "buy", "see"]})
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> journeys.measure(Flow()).frame.select("step", "source", "target", "paths").rows()
    [(1, 'see', 'cart', 1), (1, 'see', '<END>', 1), (2, 'cart', 'buy', 1), (3, 'buy', '<END>', 1)]
    """

    max_steps: int = 5
    start: MatchLike | None = None
    end: MatchLike | None = None
    occurrence: Occurrence = "first"
    collapse_repeats: bool = False
    keep: Literal["first", "last"] = "first"
    top: int | None = None
    edge_limit: int | None = None
    min_weight: int | None = None
    max_weight: int | None = None
    weight: Literal["paths", "users"] = "paths"
    drop_off: bool = True
    sort: Literal["step", "weight"] = "step"
    of: Of = "event"
    unit: Unit = "session"
    open_paths: Literal["end", "censor"] = "end"
    horizon: Duration | None = None
    quantiles: Sequence[float] = ()
    missing: Missing = "raise"

    def __post_init__(self) -> None:
        check_shared(self)
        checked_occurrence(self.occurrence)
        checked_count("max_steps", self.max_steps, 2)
        for parameter in ("top", "edge_limit", "min_weight", "max_weight"):
            checked_count(parameter, getattr(self, parameter))
        least, most = self.min_weight or 0, self.max_weight or UNLIMITED
        if least > most:
            raise ParameterError(f"min_weight={least} is above max_weight={most}: no edge could be shown.")
        if self.horizon is not None:
            microseconds(self.horizon, "horizon")
        object.__setattr__(self, "quantiles", checked_quantiles(self.quantiles))
        for parameter in ("start", "end"):
            given = getattr(self, parameter)
            if given is not None:
                object.__setattr__(self, parameter, as_match(given, parameter))

    @classmethod
    def posthog(cls, **options: Any) -> Self:
        """Paths of PostHog: 5 steps, repeats always joined at their last time, the 50 heaviest edges. D8.14.

        Its sessions are those of ``jk.sessions.posthog_2021()``. Any parameter of `Flow` can be given.
        """
        rules: dict[str, Any] = {
            "collapse_repeats": True,
            "keep": "last",
            "edge_limit": 50,
            "drop_off": False,
            "sort": "weight",
        }
        return cls(**{**rules, **options})

    @classmethod
    def posthog_v2(cls, **options: Any) -> Self:
        """Paths of PostHog, second version: 5 steps with drop-off, the top 3 of each, repeats joined. D8.14."""
        return cls(**{"top": 3, "collapse_repeats": True, **options})

    @classmethod
    def mixpanel(cls, **options: Any) -> Self:
        """Flows of Mixpanel: 3 steps after the first, the top 3 of each, unique users. D8.14."""
        return cls(**{"max_steps": 4, "top": 3, "unit": "user", "weight": "users", **options})

    @classmethod
    def amplitude(cls, **options: Any) -> Self:
        """Journeys of Amplitude: up to 9 steps, unique users. D8.14."""
        return cls(**{"max_steps": 9, "unit": "user", "weight": "users", **options})

    @classmethod
    def ga4(cls, **options: Any) -> Self:
        """Path exploration of Google Analytics 4: inside sessions, the top 5 of each step, users. D8.14."""
        return cls(**{"top": 5, "weight": "users", **options})

    @classmethod
    def adobe(cls, **options: Any) -> Self:
        """Flow of Adobe Analytics: 5 columns of 10 items, visits. D8.14."""
        return cls(**{"top": 10, **options})

    @property
    def columns(self) -> int:
        """How many steps can be shown: one more than an even `max_steps` where both ends are."""
        both = self.start is not None and self.end is not None
        return 2 * (self.max_steps // 2) + 1 if both and self.max_steps % 2 == 0 else self.max_steps

    @property
    def tables(self) -> Mapping[str, Sequence[str]]:  # type: ignore[override]
        """The tables of a tally."""
        gaps = {"gaps": (*EDGE, "gap")} if self.quantiles and self.top is None else {}
        return {"edges": EDGE, UNITS_TABLE: ()} | gaps

    def check(self, context: Context) -> None:
        """Refuse stages that were not assigned, and anchors that the log does not have."""
        check_matches(_anchors(self), self.of, self.missing, context)

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the moves of one shard."""
        flowing = _Flowing(self, shard, cells)
        tables = flowing.moves(np.empty(0, np.int64), gaps=bool(self.quantiles) and self.top is None)
        return {**tables, UNITS_TABLE: flowing.units()}

    def follow_up(self, tables: Tables, context: Context) -> Statistic[FlowTable] | None:
        """Ask for the moves between the states that will be shown, where only some are."""
        if self.top is None:
            return None
        shown, others = top_nodes(tables["edges"], self.top, self.columns, self.of, context)
        return _TopFlow(self, shown, others)

    def answer(self, tables: Tables, context: Context) -> FlowTable:
        """Turn counts into edges."""
        return flow_table(self, tables, context)


@dataclass(frozen=True, eq=False)
class _TopFlow(Statistic[FlowTable]):
    """The second question: the moves between the states that are shown, the others being one."""

    statistic: Flow
    shown: Int64s
    others: int

    @property
    def tables(self) -> Mapping[str, Sequence[str]]:  # type: ignore[override]
        """The tables of a tally."""
        return {"edges": EDGE} | ({"gaps": (*EDGE, "gap")} if self.statistic.quantiles else {})

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the moves of one shard."""
        return _Flowing(self.statistic, shard, cells).moves(self.shown, gaps=bool(self.statistic.quantiles))

    def answer(self, tables: Tables, context: Context) -> FlowTable:
        """Turn both tallies into the answer."""
        said = (f"<OTHER> holds {self.others:,} states of single steps.",) if self.others else ()
        return flow_table(self.statistic, tables, replace(context, notes=(*context.notes, *said)))


class _Flowing:
    """The paths of one shard, cut to what is shown, and the room to count their moves."""

    def __init__(self, statistic: Flow, shard: Journeys, cells: Cells) -> None:
        self.statistic, self.cell_count = statistic, cells.count
        matches = _anchors(statistic)
        self.walk = CleanWalk(
            shard,
            cells,
            statistic.of,
            statistic.unit,
            collapse=statistic.collapse_repeats,
            keep_last=statistic.keep == "last",
            matches=matches,
        )
        start = None if statistic.start is None else 0
        end = None if statistic.end is None else len(matches) - 1
        self.firsts, self.lasts = self.walk.cut(start, end, statistic.occurrence)
        self.lengths = self.lasts - self.firsts
        if end is not None and start is None:
            self.firsts = np.maximum(self.firsts, self.lasts - statistic.max_steps)
        self.open = np.zeros(self.lengths.size, np.bool_)
        if statistic.open_paths == "censor":
            self.open = shard.open_paths(statistic.unit, statistic.horizon)

    def units(self) -> pl.DataFrame:
        """Count the paths, those without an anchor, those that are longer than what is shown, open ones."""
        counted = self.lengths > 0
        longer = self.lengths > self.statistic.max_steps
        return self.walk.counted_units(counted, longer=longer, open=self.open & counted)

    def moves(self, shown: Int64s, *, gaps: bool) -> Tables:
        """Count the moves between steps."""
        from journeykit.kernels.paths.steps import count_flow

        walk, columns = self.walk, self.statistic.columns
        both = self.statistic.start is not None and self.statistic.end is not None
        names = walk.n_states
        size = names + 3
        most = 2 * int(np.minimum(self.lengths + 1, columns).sum())
        counted = CountingRows.make(self.cell_count * columns * size * size, most)
        listed = np.empty((most if gaps else 0, 2), np.int64)
        ended = ~self.open if self.statistic.end is None else np.zeros(self.open.size, np.bool_)
        n = count_flow(
            (walk.paths.user_paths, self.firsts, self.lasts),
            walk.states,
            walk.paths.times,
            walk.cells,
            walk.segments,
            (names, columns),
            self.statistic.max_steps if both else UNLIMITED,
            shown,
            ended,
            counted.keys,
            counted.rows,
            counted.table,
            listed,
        )
        keys, rows = counted.found()
        counts = {"paths": rows[:, 0], "users": rows[:, 2], "time_sum": rows[:, 5]}
        edges = pl.DataFrame({**_edge_keys(keys, columns, size), **counts})
        return {"edges": edges} | ({"gaps": _gaps(listed[:n], counted, columns, size)} if gaps else {})


def _anchors(statistic: Flow) -> tuple[Match, ...]:
    given = {"start": statistic.start, "end": statistic.end}
    return tuple(as_match(value, name) for name, value in given.items() if value is not None)


def _edge_keys(keys: Int64s, columns: int, size: int) -> dict[str, Any]:
    parts = (keys // size**2 // columns, keys // size**2 % columns, keys // size % size, keys % size)
    return {name: part.astype(np.int32) for name, part in zip((CELL, *EDGE), parts, strict=True)}


def _gaps(listed: Int64s, counted: CountingRows, columns: int, size: int) -> pl.DataFrame:
    """Count the times that the moves of every edge took."""
    times = pl.DataFrame({"row": listed[:, 0], "gap": listed[:, 1]}).group_by("row", "gap").len("count")
    keys, rows = counted.places()
    key_of = np.zeros(int(rows.max(initial=0)) + 1, np.int64)
    key_of[rows] = keys
    edges = _edge_keys(key_of[times["row"].to_numpy()], columns, size)
    return pl.DataFrame(edges).with_columns(times["gap"], times["count"].cast(pl.Int64))
