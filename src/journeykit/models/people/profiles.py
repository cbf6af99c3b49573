"""What each user did as counts of moves: what clusters of journeys are made of.

Users are sorted by what they did, not by who they are or where they stood in the log: so random starts and sums of
floats are the same whatever the order of the rows, the names of the users or the engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.journeys.journeys import Journeys
from journeykit.models.chains.making import END, START
from journeykit.ordering.user_ids import hash_ids
from journeykit.paths import Unit
from journeykit.patterns.matchers import Of
from journeykit.protocol import CELL, GROUP, Cells
from journeykit.support.slices import places_of

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]
START_CODE, END_CODE = -1, -2
USER = "user"
MIXING = np.uint64(0x9E3779B97F4A7C15)


def users_of(shard: Journeys) -> pl.Series:
    """Return the ids of the users of a shard, in the order of its paths."""
    first, last = shard.user_range or (0, shard.n_users)
    return shard.users[first:last].alias(USER)


def user_moves(shard: Journeys, cells: Cells, of: Of, unit: Unit, *, collapse: bool) -> pl.DataFrame:
    """Count the moves of every user of a shard, from START and to END of every path.

    Parameters
    ----------
    shard : Journeys
        Whole users.
    cells : Cells
        A user belongs to one cell, that of their whole path.
    of : {"event", "stage"}
        What a state is; events before the first stage are left out.
    unit : {"session", "user"}
        What a path is.
    collapse : bool
        Whether a run of one state is a single state.

    Returns
    -------
    polars.DataFrame
        ``cell``, ``user``, ``source``, ``target`` (codes; START is -1, END is -2), ``moves``.

    Notes
    -----
    About 60 bytes per event for a moment, 20 bytes and the id per user and distinct move afterwards.
    """
    paths = shard.paths(unit)
    owner = np.repeat(np.arange(paths.n_users), np.diff(paths.user_paths))
    path = np.repeat(np.arange(paths.n_paths), paths.lengths)
    before = np.cumsum(paths.lengths) - paths.lengths
    position = np.arange(path.size) - before[path] + paths.starts[path]
    state = shard.states(of, unit)[position].astype(np.int64)
    kept = state > 0 if of == "stage" else np.ones(state.size, np.bool_)
    path, state = path[kept], state[kept]
    if collapse:
        fresh = np.append(True, (state[1:] != state[:-1]) | (path[1:] != path[:-1]))[: state.size]
        path, state = path[fresh], state[fresh]
    begins = np.append(True, path[1:] != path[:-1])[: path.size]
    finishes = np.append(begins[1:], True)[: path.size]
    source = np.where(begins, START_CODE, np.roll(state, 1))
    # Two more than the code: END and START come first, as 0 and 1.
    size = int(state.max(initial=0)) + 3
    keys = (owner[path] * size + source + 2) * size + state + 2
    ends = (owner[path[finishes]] * size + state[finishes] + 2) * size
    found, counts = np.unique(np.concatenate([keys, ends]), return_counts=True)
    user = found // size**2
    cell = cells.of(shard.paths("user"), "user")
    return pl.DataFrame(
        {
            CELL: cell[user],
            USER: users_of(shard).gather(pl.Series(user, dtype=pl.Int64)),
            "source": (found // size % size - 2).astype(np.int32),
            "target": (found % size - 2).astype(np.int32),
            "moves": counts.astype(np.int64),
        }
    )


@dataclass(frozen=True, eq=False)
class Profiles:
    """The distinct ways in which users moved, and the users of each.

    Attributes
    ----------
    edges : polars.DataFrame
        ``source`` and ``target`` of every edge, by name; START first, END last.
    edge_sources : numpy.ndarray of int64
        The number of the source of every edge.
    offsets, moves, counts : numpy.ndarray
        Profile p has ``counts[i]`` times the edge ``moves[i]``, i from ``offsets[p]`` up to ``offsets[p + 1]``.
    weights : numpy.ndarray of float64
        How many users each profile has.
    users : polars.DataFrame
        ``user``, ``group`` and the number of the ``profile``.
    """

    edges: pl.DataFrame
    edge_sources: Int64s
    offsets: Int64s
    moves: Int64s
    counts: Floats
    weights: Floats
    users: pl.DataFrame

    @classmethod
    def of(cls, table: pl.DataFrame, names: pl.Series) -> Profiles:
        """Sort users by their moves, and those who moved alike into one profile.

        Parameters
        ----------
        table : polars.DataFrame
            As of `user_moves`, with the group of every user, of one cell.
        names : polars.Series
            The name of every state code.
        """
        named = table.with_columns(_named(table["source"], names), _named(table["target"], names))
        edges = _sorted_edges(named.select("source", "target").unique())
        numbered = edges.with_columns(hash=pl.Series(_hashes(edges), dtype=pl.UInt64)).with_row_index("edge")
        rows = named.join(numbered, on=["source", "target"], how="left", maintain_order="left")
        rows = rows.sort(USER, "edge")
        starts = np.flatnonzero(
            np.append(True, (rows[USER] != rows[USER].shift())[1:].to_numpy())[: rows.height]
        )
        ends = np.append(starts[1:], rows.height)
        counts = rows["moves"].to_numpy()
        hashes = rows["hash"].to_numpy() * (2 * counts + 1).astype(np.uint64)
        whole = np.add.reduceat(hashes, starts) if starts.size else np.empty(0, np.uint64)
        order = np.argsort(whole, kind="stable")
        edge = rows["edge"].to_numpy().astype(np.int64)
        fresh = _differ(whole[order], starts[order], ends[order], edge, counts)
        first = order[fresh]
        lengths = (ends - starts)[first]
        offsets = np.append(0, np.cumsum(lengths))
        entries = places_of(starts[first], lengths)
        profile = np.cumsum(fresh) - 1
        _, sources = np.unique(edges["source"].to_numpy().astype(object), return_inverse=True)
        users = rows[starts[order]].select(USER, GROUP).with_columns(pl.Series("profile", profile))
        weights = np.bincount(profile, minlength=first.size).astype(np.float64)
        return cls(
            edges, sources.astype(np.int64), offsets, edge[entries], counts[entries].astype(np.float64), weights, users
        )  # fmt: skip

    @property
    def n_users(self) -> int:
        """How many users have moves."""
        return self.users.height

    @property
    def size(self) -> int:
        """How many profiles there are."""
        return self.weights.size

    @property
    def rows(self) -> Int64s:
        """The profile of every entry of `moves`."""
        return np.repeat(np.arange(self.size), np.diff(self.offsets))

    def totals(self, weights: Floats | None = None) -> Floats:
        """Return how often all users made each move."""
        own = self.weights if weights is None else weights
        return np.bincount(self.moves, self.counts * own[self.rows], self.edges.height).astype(np.float64)

    def some(self, most: int) -> Profiles:
        """Return the first profiles: as good as random ones, since they are sorted by a hash."""
        kept = min(most, self.size)
        last = self.offsets[kept]
        return Profiles(
            self.edges, self.edge_sources, self.offsets[: kept + 1], self.moves[:last], self.counts[:last],
            self.weights[:kept], self.users.filter(pl.col("profile") < kept),
        )  # fmt: skip


def _named(codes: pl.Series, names: pl.Series) -> pl.Series:
    """Return the names of states, START and END among them."""
    known = pl.concat([pl.Series([END, START], dtype=pl.String), names.cast(pl.String)])
    return known.gather(codes.cast(pl.Int64) + 2).alias(codes.name)


def _sorted_edges(edges: pl.DataFrame) -> pl.DataFrame:
    """Sort edges by name, START before and END after all events. D0.4."""
    return edges.sort(pl.col("source") != START, "source", pl.col("target") == END, "target")


def _hashes(edges: pl.DataFrame) -> npt.NDArray[np.uint64]:
    """Hash every edge by the names of its states."""
    source, target = (hash_ids(edges[name]) for name in ("source", "target"))
    mixed: npt.NDArray[np.uint64] = (source ^ (target * MIXING)) * MIXING
    mixed ^= mixed >> np.uint64(29)
    return mixed


def _differ(
    whole: npt.NDArray[np.uint64], starts: Int64s, ends: Int64s, edge: Int64s, counts: Int64s
) -> npt.NDArray[np.bool_]:
    """Say of every user in order whether they moved otherwise than the one before; equal hashes are compared."""
    lengths = ends - starts
    fresh = np.append(True, (whole[1:] != whole[:-1]) | (lengths[1:] != lengths[:-1]))[: whole.size]
    alike = np.flatnonzero(~fresh)
    each = np.repeat(np.arange(alike.size), lengths[alike])
    within = np.arange(each.size) - np.repeat(np.cumsum(lengths[alike]) - lengths[alike], lengths[alike])
    here, there = starts[alike][each] + within, starts[alike - 1][each] + within
    unlike = (edge[here] != edge[there]) | (counts[here] != counts[there])
    fresh[alike[np.unique(each[unlike])]] = True
    return fresh


def seed_of(rng: Any) -> int:
    """Return a seed from what a caller gave as ``rng=``.

    Raises
    ------
    ParameterError
        If it is neither a whole number from 0 on nor a numpy Generator.
    """
    from journeykit.errors import ParameterError

    if isinstance(rng, np.random.Generator):
        return int(rng.integers(1 << 62))
    if isinstance(rng, bool) or not isinstance(rng, int | np.integer) or rng < 0:
        raise ParameterError(
            f"rng must be a seed (a whole number, 0 or more) or a numpy.random.Generator, not {rng!r}."
        )
    return int(rng)


def adjusted_rand(
    one: Sequence[int] | Int64s, two: Sequence[int] | Int64s, weights: Floats | None = None
) -> float:
    """Compare two clusterings of the same things: 1 if equal, about 0 if unrelated.

    Parameters
    ----------
    one, two : sequence of int
        The cluster of every thing, from 0 on.
    weights : numpy.ndarray of float64, optional
        How many things each entry stands for.

    Returns
    -------
    float
        The Rand index corrected for chance; 1 if both put all things together or all apart.

    References
    ----------
    Hubert & Arabie 1985, Journal of Classification 2.

    Examples
    --------
    >>> adjusted_rand([0, 0, 1, 1], [1, 1, 0, 0])
    1.0
    >>> round(adjusted_rand([0, 0, 1, 1], [0, 0, 1, 2]), 4)
    0.5714
    """
    table = contingency(np.asarray(one), np.asarray(two), weights)
    pairs = [float((each * (each - 1) / 2).sum()) for each in (table, table.sum(axis=1), table.sum(axis=0))]
    n = float(table.sum())
    everything = n * (n - 1) / 2
    expected = pairs[1] * pairs[2] / everything if everything else 0.0
    most = (pairs[1] + pairs[2]) / 2
    return 1.0 if most == expected else (pairs[0] - expected) / (most - expected)


def contingency(one: Int64s, two: Int64s, weights: Floats | None = None) -> Floats:
    """Count how many things are in each cluster of one clustering and each of the other."""
    wide = int(two.max(initial=-1)) + 1
    rows = int(one.max(initial=-1)) + 1
    counted = np.bincount(one * wide + two, weights, rows * wide)
    return counted.reshape(rows, wide).astype(np.float64)
