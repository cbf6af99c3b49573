"""Clusters: users who move alike, by a mixture of Markov chains or by their n-grams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError
from journeykit.journeys.journeys import Journeys
from journeykit.models.people.clustering import Clustering, cluster
from journeykit.models.people.profiles import USER, Profiles, seed_of, user_moves
from journeykit.paths import Unit
from journeykit.patterns.matchers import Of
from journeykit.protocol import CELL, GROUP, Cells, Context, Tables
from journeykit.statistics.base import UNITS_TABLE, Answer, Statistic, with_share
from journeykit.statistics.checks import check_choices, check_states
from journeykit.statistics.goals import Walk, state_names

Floats = npt.NDArray[np.float64]
Method = Literal["markov", "ngrams"]
MOST_CLUSTERS = 50


@dataclass(frozen=True, eq=False, repr=False)
class ClustersAnswer(Answer):
    """Clusters of users, and who is in which.

    Attributes
    ----------
    frame : polars.DataFrame
        One row per cluster, the largest first: ``cluster`` from 1; ``users`` of ``all_users``, their ``share`` with
        Wilson's interval (of the users, the clusters taken as given); ``certainty``, the mean probability with which
        they belong to it (null with n-grams); ``stability``, the mean Jaccard index of the cluster and the one most
        like it when half of the users are clustered again (above 0.75: it is there; below 0.5: do not rely on it).
    assignments : polars.DataFrame
        One row per user: ``user``, jackknife ``group``, ``cluster``, ``probability`` (null with n-grams).
    moves : polars.DataFrame
        What each cluster does: ``source``, ``target``, the ``moves`` that its users made, their ``probability`` in the
        cluster and among all users, ``lift`` = one by the other.
    selection : polars.DataFrame
        One row per number of ``clusters`` that was tried: ``log_likelihood``, ``parameters``, ``bic`` (of mixtures; the
        smallest is chosen), ``silhouette`` (of n-grams; the largest is chosen), ``rounds``, ``converged``, ``chosen``,
        ``agreement``: the mean adjusted Rand index against clusterings of random halves of the users.
    """

    assignments: pl.DataFrame
    moves: pl.DataFrame
    selection: pl.DataFrame

    shown: ClassVar[Sequence[str]] = ("cluster", "users", "share", "low", "high", "certainty", "stability")


@dataclass(frozen=True)
class Clusters(Statistic[ClustersAnswer]):
    """Find groups of users who move alike.

    Parameters
    ----------
    clusters : int or sequence of int
        How many, or which numbers to try: from 1 to 50.
    of : {"event", "stage"}
        What a state is. Events before the first stage are left out.
    unit : {"session", "user"}
        What a path is. It is users that are put into clusters, by all their paths.
    method : {"markov", "ngrams"}
        ``"markov"``: a mixture of Markov chains by EM, the number of clusters by BIC. ``"ngrams"``: states and moves
        weighed by how rare they are, k-means, the number by silhouette; needs ``journeykit[clusters]``.
    collapse_repeats : bool
        Whether a run of one state is a single state.
    starts : int
        How many random starts of a mixture are tried.
    resamples : int
        How many random halves of the users are clustered again for the stability; 0 for none.
    rng : int or numpy.random.Generator
        A seed or a generator. The same seed finds the same clusters, in whatever order the log was. D0.7.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take.
    MissingPackageError
        If n-grams are asked for and scikit-learn is not installed.

    Notes
    -----
    The answer is described in `ClustersAnswer`. A mixture assumes that each user follows one of K chains of order 1, in
    all paths: ``P(u) = sum_k size_k prod p_k(target | source)^count`` over the moves of the user's paths from START to
    END. EM finds a maximum, not always the highest: hence the starts. ``BIC = -2 log L + parameters x ln users``;
    parameters are, per cluster, the moves that it is expected to have made at least once, less one per source, and
    K - 1 for the sizes. Clusters describe; a tidy number of them proves nothing.

    Users without any state are in no cluster and are counted in a note. With more clusters asked for than there are
    distinct users, as many as these are tried.

    One pass, then O(distinct moves of all users x clusters) per round; about 60 bytes per event for a moment, then 20
    bytes and the id per user and distinct move.

    References
    ----------
    Cadez et al. 2003, Data Mining and Knowledge Discovery 7; Melnykov 2016, Annals of Applied Statistics 10;
    Hennig 2007, Computational Statistics & Data Analysis 52 (stability).

    Examples
    --------
    >>> import journeykit as jk
    >>> lookers, buyers = ["view", "view", "view", "view"], ["view", "cart", "view", "cart"]
    >>> rows = [(u, t, e) for u in range(30) for t, e in enumerate(lookers if u % 3 else buyers)]
    >>> log = pl.DataFrame(rows, schema=["user", "time", "event"], orient="row")
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> found = journeys.measure(Clusters([1, 2], rng=1))
    >>> found.frame.select("cluster", "users", "stability").rows()
    [(1, 20, 1.0), (2, 10, 1.0)]
    >>> found.selection.select("clusters", "chosen").rows()
    [(1, False), (2, True)]
    """

    clusters: int | Sequence[int] = (2, 3, 4, 5, 6)
    of: Of = "event"
    unit: Unit = "session"
    method: Method = "markov"
    collapse_repeats: bool = False
    starts: int = 30
    resamples: int = 20
    rng: int | np.random.Generator | None = None

    tables: ClassVar[Mapping[str, Sequence[str]]] = {"moves": (USER, "source", "target"), UNITS_TABLE: ()}

    def __post_init__(self) -> None:
        check_choices(self, method=("markov", "ngrams"))
        object.__setattr__(self, "clusters", _counts(self.clusters))
        for name, least in (("starts", 1), ("resamples", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ParameterError(f"{name} must be a whole number from {least} on, not {value!r}.")
        object.__setattr__(self, "rng", seed_of(self.rng))

    @property
    def seed(self) -> int:
        """What ``rng=`` was, as a number."""
        assert isinstance(self.rng, int)
        return self.rng

    @property
    def tried(self) -> tuple[int, ...]:
        """The numbers of clusters to try."""
        assert isinstance(self.clusters, tuple)
        return self.clusters

    def check(self, context: Context) -> None:
        """Refuse stages that were not assigned, and n-grams without scikit-learn."""
        check_states(self.of, context)
        if self.method == "ngrams":
            from journeykit.models.people.embedding import require_sklearn

            require_sklearn()

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the moves of every user of one shard."""
        moves = user_moves(shard, cells, self.of, self.unit, collapse=self.collapse_repeats)
        return {"moves": moves, UNITS_TABLE: Walk(shard, cells, "event", "user").units()}

    def answer(self, tables: Tables, context: Context) -> ClustersAnswer:
        """Cluster the users of every segment."""
        names = state_names(self.of, context).fill_null("")
        parts = clusterings(self, tables["moves"], names)
        ids = tables["moves"].schema[USER]
        made = [_tables(None, ids, context)] + [
            {name: _celled(table, cell) for name, table in _tables(found, ids, context).items()}
            for cell, found in parts.items()
        ]
        whole = {name: pl.concat([each[name] for each in made]) for name in made[0]}
        notes = self._notes(tables, list(parts.values()))
        return ClustersAnswer(
            frame=context.label(whole["frame"]),
            statistic=self,
            context=replace(context, notes=(*context.notes, *notes)),
            assignments=context.label(whole["assignments"]),
            moves=context.label(whole["moves"]),
            selection=context.label(whole["selection"]),
        )

    def _notes(self, tables: Tables, found: Sequence[Clustering]) -> list[str]:
        users = int(tables[UNITS_TABLE]["users"].sum())
        stateless = users - sum(each.profiles.n_users for each in found)
        notes = (
            [f"{stateless:,} of {users:,} users have no {self.of} and are in no cluster."]
            if stateless
            else []
        )
        most = max(self.tried)
        if any(each.profiles.size < most for each in found):
            notes.append(
                f"Fewer than {most} users moved differently somewhere: fewer clusters were tried there."
            )
        if any(not each.converged for each in found):
            notes.append("A mixture had not settled after 1,000 rounds; see selection.converged.")
        return notes


def clusterings(statistic: Clusters, moves: pl.DataFrame, names: pl.Series) -> dict[int, Clustering]:
    """Cluster the users of every cell that has any with states."""
    return {
        int(cell): cluster(
            Profiles.of(part, names), statistic.tried, statistic.method, statistic.starts, statistic.resamples,
            statistic.seed,
        )
        for (cell,), part in sorted(moves.partition_by(CELL, as_dict=True).items())
    }  # fmt: skip


def _counts(given: Any) -> tuple[int, ...]:
    listed = (given,) if isinstance(given, int) else given
    fits = isinstance(listed, Sequence) and not isinstance(listed, str) and len(listed) > 0
    if not fits or not all(type(each) is int and 1 <= each <= MOST_CLUSTERS for each in listed):
        raise ParameterError(
            f"clusters cannot be {given!r}. Give a whole number from 1 to {MOST_CLUSTERS}, or several to choose from."
        )
    return tuple(sorted(set(listed)))


def _celled(table: pl.DataFrame, cell: int) -> pl.DataFrame:
    return table.with_columns(pl.lit(cell, pl.Int32).alias(CELL))


FRAME: dict[str, Any] = {
    CELL: pl.Int32, "cluster": pl.Int64, "users": pl.Int64, "all_users": pl.Int64, "certainty": pl.Float64,
    "stability": pl.Float64,
}  # fmt: skip
MOVES: dict[str, Any] = {
    CELL: pl.Int32, "cluster": pl.Int64, "source": pl.String, "target": pl.String, "moves": pl.Float64,
    "probability": pl.Float64, "probability_all": pl.Float64, "lift": pl.Float64,
}  # fmt: skip
SELECTION: dict[str, Any] = {
    CELL: pl.Int32, "clusters": pl.Int64, "log_likelihood": pl.Float64, "parameters": pl.Int64, "bic": pl.Float64,
    "silhouette": pl.Float64, "rounds": pl.Int64, "converged": pl.Boolean, "chosen": pl.Boolean,
    "agreement": pl.Float64,
}  # fmt: skip


def _tables(found: Clustering | None, ids: pl.DataType, context: Context) -> dict[str, pl.DataFrame]:
    """Return the tables of one cell; without a clustering, empty ones."""
    moves, selection = pl.DataFrame(schema=MOVES), pl.DataFrame(schema=SELECTION)
    assignments = pl.DataFrame(
        schema={CELL: pl.Int32, USER: ids, GROUP: pl.UInt8, "cluster": pl.Int64, "probability": pl.Float64}
    )
    if found is not None:
        moves = pl.DataFrame(found.moves(), schema=MOVES, nan_to_null=True)
        selection = pl.DataFrame(found.tried, schema=SELECTION, orient="row").fill_nan(None)
        assignments = found.assignments()
    return {
        "frame": cluster_table(found, context),
        "moves": moves.sort(
            "cluster", pl.col("moves"), "source", "target", descending=[False, True, False, False]
        ),
        "selection": selection,
        "assignments": assignments.select(CELL, USER, GROUP, "cluster", "probability"),
    }


def cluster_table(found: Clustering | None, context: Context) -> pl.DataFrame:
    """Return one row per cluster: its users, their share with Wilson's interval, how sure and how stable it is."""
    frame = pl.DataFrame({} if found is None else found.sizes(), schema=FRAME, nan_to_null=True)
    frame = with_share(frame, "share", "users", "all_users", context)
    frame = frame.rename({"share_low": "low", "share_high": "high"})
    return frame.select(
        CELL, "cluster", "users", "all_users", "share", "low", "high", "certainty", "stability"
    )
