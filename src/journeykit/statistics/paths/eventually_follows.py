"""Eventually follows: which state comes some time after which. DEFINITIONS D8.8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError
from journeykit.journeys.journeys import Journeys
from journeykit.paths import Unit
from journeykit.patterns.matchers import Of
from journeykit.protocol import CELL, Cells, Context, Tables, sum_rows
from journeykit.statistics.base import (
    UNITS_TABLE,
    Answer,
    Grouped,
    Statistic,
)
from journeykit.statistics.checks import check_states
from journeykit.statistics.counting import CountingRows
from journeykit.statistics.goals import state_names
from journeykit.statistics.paths.share import with_path_share
from journeykit.statistics.paths.walk import CleanWalk, check_shared
from journeykit.support.slices import offsets

Int64s = npt.NDArray[np.int64]
PAIR = ("source", "target")
PAIRS_AT_ONCE = 1 << 20
"""Whose rows are counted at once: 64 MB."""


@dataclass(frozen=True, eq=False, repr=False)
class FollowingTable(Answer):
    """Which state comes later than which.

    Attributes
    ----------
    frame : polars.DataFrame
        One row per pair that some path has: ``source``, ``target``; ``paths`` in which the target comes later than
        the source, their distinct ``users``; with ``per="pair"`` also ``pairs`` of events; ``source_paths``, the paths
        that have the source, and ``share`` = paths / source_paths with ``low`` and ``high``. Sorted by paths (pairs),
        then by name.
    """

    shown: ClassVar[Sequence[str]] = (
        *PAIR,
        "paths",
        "pairs",
        "users",
        "source_paths",
        "share",
        "low",
        "high",
    )

    def matrix(self, value: str = "share") -> pl.DataFrame:
        """Return one row per source and one column per target, states by name.

        Parameters
        ----------
        value : str
            A column of the frame.

        Returns
        -------
        polars.DataFrame
            First column ``source``; 0 where no path has the pair (null for an interval).

        Raises
        ------
        ParameterError
            If there are segments or periods, or no such column.
        """
        if self.context.labels.width:
            raise ParameterError(
                "matrix takes one segment. Filter the journeys first, or measure without by= and every=."
            )
        if value not in self.frame.columns[2:]:
            raise ParameterError.choice("value", value, self.frame.columns[2:])
        states = pl.concat([self.frame["source"], self.frame["target"].rename("source")]).unique().sort()
        wide = self.frame.pivot("target", index="source", values=value, on_columns=states.to_list())
        wide = states.to_frame().join(wide, on="source", how="left", maintain_order="left")
        return wide if value in {"low", "high"} else wide.with_columns(pl.exclude("source").fill_null(0))


@dataclass(frozen=True)
class EventuallyFollows(Statistic[FollowingTable]):
    """Count in how many paths one state comes some time after another. D8.8.

    Parameters
    ----------
    per : {"path", "pair"}
        ``"path"``: paths with at least one such pair of events. ``"pair"``: every pair of events too.
    of : {"event", "stage"}
        What a state is. Events before the first stage are left out of a stage path.
    unit : {"session", "user"}
        What a path is.
    collapse_repeats : bool
        Whether a run of one state is one state.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take.

    Notes
    -----
    A pair is i < j, whatever lies between; a state follows itself if it is there twice. share = paths with A..B / paths
    with A. Per path O(events + distinct states^2), with ``per="pair"`` O(events x distinct states); a cache line per
    pair of states. Intervals by the jackknife, Wilson's for ``unit="user"``.

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({"user": [1] * 3 + [2] * 2, "time": [0, 1, 2, 0, 1], "event": list("abaab")})
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> journeys.measure(EventuallyFollows()).frame.select("source", "target", "paths", "share").rows()
    [('a', 'b', 2, 1.0), ('a', 'a', 1, 0.5), ('b', 'a', 1, 0.5)]
    """

    per: Literal["path", "pair"] = "path"
    of: Of = "event"
    unit: Unit = "session"
    collapse_repeats: bool = False

    tables: ClassVar[Mapping[str, Sequence[str]]] = {"pairs": PAIR, "states": ("source",), UNITS_TABLE: ()}

    def __post_init__(self) -> None:
        check_shared(self)
        if self.per not in {"path", "pair"}:
            raise ParameterError.choice("per", self.per, ("path", "pair"))

    def check(self, context: Context) -> None:
        """Refuse stages that were not assigned."""
        check_states(self.of, context)

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the pairs of states of one shard."""
        walk = CleanWalk(shard, cells, self.of, self.unit, collapse=self.collapse_repeats)
        parts = [_counted(walk, first, last, each_pair=self.per == "pair") for first, last in _parts(walk)]
        pairs, states = (pl.concat(tables) for tables in zip(*parts, strict=True))
        if len(parts) > 1:
            pairs, states = sum_rows(pairs, [CELL, *PAIR]), sum_rows(states, [CELL, "source"])
        return {"pairs": pairs, "states": states, UNITS_TABLE: walk.units()}

    def answer(self, tables: Tables, context: Context) -> FollowingTable:
        """Turn counts into shares."""
        pairs, states = Grouped(tables["pairs"], PAIR), Grouped(tables["states"], ("source",))
        once = self.unit == "user"
        frame = with_path_share(pairs, states, tables, context, total="source_paths", once=once)
        names = state_names(self.of, context)
        frame = frame.with_columns(names.gather(frame[side]).alias(side) for side in PAIR)
        value = "pairs" if self.per == "pair" else "paths"
        frame = frame.sort(CELL, -pl.col(value), *PAIR)
        frame = frame if self.per == "pair" else frame.drop("pairs")
        return FollowingTable(context.label(frame), self, context)


def _parts(walk: CleanWalk) -> list[tuple[int, int]]:
    """Cut the users of a shard so that the pairs of a part fit into the room, but for a user who has more."""
    lengths = walk.paths.ends - walk.paths.starts
    most = np.minimum(lengths * (lengths - 1) // 2, walk.n_states**2)
    before = offsets(most)[walk.paths.user_paths]
    if walk.cell_count * walk.n_states**2 <= PAIRS_AT_ONCE or before[-1] <= PAIRS_AT_ONCE:
        return [(0, walk.paths.n_users)]
    cuts = np.searchsorted(before, np.arange(PAIRS_AT_ONCE, before[-1], PAIRS_AT_ONCE))
    return list(pairwise(np.unique([0, *cuts, walk.paths.n_users]).tolist()))


def _counted(walk: CleanWalk, first: int, last: int, *, each_pair: bool) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Count the pairs and the states of some users."""
    from journeykit.kernels.paths.following import count_following

    paths, size = walk.paths, walk.n_states
    own = slice(*paths.user_paths[[first, last]])
    lengths = paths.ends[own] - paths.starts[own]
    most = int(np.minimum(lengths * (lengths - 1) // 2, size**2).sum())
    pairs = CountingRows.make(walk.cell_count * size * size, most)
    states = CountingRows.make(walk.cell_count * size, int(lengths.sum()))
    count_following(
        paths.user_paths[first : last + 1],
        paths.starts,
        paths.ends,
        walk.states,
        walk.cells,
        size,
        each_pair,
        tuple(np.zeros(size, np.int64) for _ in range(3)),
        (states.keys, states.rows, states.table),
        (pairs.keys, pairs.rows, pairs.table),
    )
    keys, counts = pairs.found()
    target = pl.Series("target", (keys % size).astype(np.int32))
    table = _frame(keys // size, counts, size).insert_column(2, target).with_columns(pairs=counts[:, 5])
    return table, _frame(*states.found(), size)


def _frame(keys: Int64s, counts: Int64s, size: int) -> pl.DataFrame:
    """Return the cell and the source of keys, with the paths and the users that were counted."""
    cell, source = (keys // size).astype(np.int32), (keys % size).astype(np.int32)
    return pl.DataFrame({CELL: cell, "source": source, "paths": counts[:, 0], "users": counts[:, 2]})
