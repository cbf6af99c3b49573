"""Personas: what the users of a cluster are like, how they differ from the rest, and whom to picture. D12, D16."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError, UnknownPropertyError
from journeykit.journeys.journeys import Journeys
from journeykit.models.chains.making import END
from journeykit.models.people.clustering import Clustering
from journeykit.models.people.clusters import Clusters, cluster_table, clusterings
from journeykit.models.people.profiles import USER
from journeykit.models.people.traits import TRAITS, Trait, listed_traits, user_traits
from journeykit.patterns.matchers import MatchLike
from journeykit.protocol import CELL, GROUP, Cells, Context, Tables
from journeykit.statistics.base import UNITS_TABLE, Answer, Statistic, with_share
from journeykit.statistics.features import Features, UserRows
from journeykit.statistics.goals import as_goal, state_names
from journeykit.support.unknown_names import Missing

Int64s = npt.NDArray[np.int64]
CANDIDATES = 60
LONGEST_PATH = 100
PAINS = 3
REPRESENTATIVES = 2


@dataclass(frozen=True, eq=False, repr=False)
class PersonasAnswer(Answer):
    """A persona per cluster.

    Attributes
    ----------
    frame : polars.DataFrame
        One row per cluster, the largest first: ``persona``; ``users`` of ``all_users``, ``share`` with ``low`` and
        ``high``; ``stability`` (see `Clusters`); ``converted`` users, ``conversion_rate`` with Wilson's interval;
        ``typical_path``; ``pains``: where users end a path oftener than the others do, the most costly first.
    traits : polars.DataFrame
        One row per persona and trait, by ``kind``: ``conversion``, ``behaviour``, ``time``, ``stage``, ``channel``,
        ``pain`` (the share of the moves out of a state that end the path). ``value`` = ``numerator`` / ``denominator``,
        that of the ``rest`` of the users, their ``difference`` with its interval and ``p_value`` (for this row alone);
        ``excess``: how many more this makes than if they were like the rest.
    representatives : polars.DataFrame
        Two users per persona, ``pseudonym``, their ``path``, ``sessions``, ``goals`` and ``lifetime`` in seconds.
    """

    traits: pl.DataFrame
    representatives: pl.DataFrame

    shown: ClassVar[Sequence[str]] = (
        "persona",
        "users",
        "share",
        "stability",
        "conversion_rate",
        "typical_path",
        "pains",
    )


@dataclass(frozen=True)
class Personas(Statistic[PersonasAnswer]):
    """Describe groups of users who move alike, so that one can picture them.

    Parameters
    ----------
    goal : str, sequence of str, polars expression, Pattern or Match
        What a success is.
    clusters : Clusters
        How the groups are found.
    channel : str, optional
        A property of which each session's first known value is compared, such as where it came from.
    missing : {"raise", "ignore", "warn"}
        Whether a goal that the log does not have is an error, or is never met. D0.9.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take.

    Notes
    -----
    The answer is described in `PersonasAnswer`. The typical path is the medoid: that of a user whose whole path has the
    smallest mean edit distance, divided by the longer length, to those of at most 60 different users of the cluster,
    each counting for all who moved alike; of paths longer than 100 the first 100 states count. The representatives are
    the medoid and the next best. Pseudonyms are numbers that say nothing of the id; a path itself can still give a
    person away.

    Intervals are of the users, with the clusters taken as given: traits that made the clusters differ anyway, so read
    them as descriptions, not as tests. Users without any state are in no persona, and not among the rest.

    Two passes; the memory of `Clusters` and `Features`.

    Examples
    --------
    >>> import journeykit as jk
    >>> lookers, buyers = ["view", "view", "view", "view"], ["view", "cart", "view", "cart"]
    >>> rows = [(u, t, e) for u in range(30) for t, e in enumerate(lookers if u % 3 else buyers)]
    >>> log = pl.DataFrame(rows, schema=["user", "time", "event"], orient="row")
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> found = journeys.measure(Personas("cart", Clusters(2, resamples=0, rng=1)))
    >>> found.frame.select("persona", "users", "converted", "typical_path").rows()
    [(1, 20, 0, ['view', 'view', 'view', 'view']), (2, 10, 10, ['view', 'cart', 'view', 'cart'])]
    """

    goal: MatchLike
    clusters: Clusters
    channel: str | None = None
    missing: Missing = "raise"

    tables: ClassVar[Mapping[str, Sequence[str]]] = {
        "moves": (USER, "source", "target"), UNITS_TABLE: (), "users": (USER,), "channels": (USER, "channel"),
    }  # fmt: skip

    def __post_init__(self) -> None:
        object.__setattr__(self, "goal", as_goal(self.goal, "goal"))
        if not isinstance(self.clusters, Clusters):
            raise ParameterError(
                f"clusters must be Clusters, such as jk.Clusters([2, 3, 4], rng=1), not {self.clusters!r}."
            )

    @property
    def features(self) -> Features:
        """The question whose rows of users this one takes."""
        return Features(self.goal, missing=self.missing)

    def check(self, context: Context) -> None:
        """Refuse goals, stages and properties that the journeys do not have."""
        self.clusters.check(context)
        self.features.check(context)
        if self.channel is not None and self.channel not in context.kept:
            raise UnknownPropertyError(self.channel, context.kept)

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count what clusters and features need, and the sessions of every channel."""
        rows = UserRows(shard, cells)
        channels = pl.DataFrame({CELL: rows.cells[:0], USER: rows.ids[:0], "channel": [], "sessions": []})
        channels = channels.cast({"channel": pl.String, "sessions": pl.Int64})
        if self.channel is not None:
            channels = _channels(shard, rows, self.channel)
        users = self.features.tally(shard, cells)["users"]
        return {**self.clusters.tally(shard, cells), "users": users, "channels": channels}

    def follow_up(self, tables: Tables, context: Context) -> Statistic[PersonasAnswer]:
        """Find the clusters, and ask for the paths of some of their users."""
        names = state_names(self.clusters.of, context).fill_null("")
        return _CandidatePaths(self, clusterings(self.clusters, tables["moves"], names), tables["users"])

    def answer(self, tables: Tables, context: Context) -> PersonasAnswer:
        """Describe every cluster, from the tallies of both questions."""
        return self.follow_up(tables, context).answer(tables, context)


@dataclass(frozen=True, eq=False)
class _CandidatePaths(Statistic[PersonasAnswer]):
    """The second question: the paths of some users of every cluster."""

    question: Personas
    found: Mapping[int, Clustering]
    users: pl.DataFrame

    tables: ClassVar[Mapping[str, Sequence[str]]] = {"steps": (USER, "step")}

    def candidates(self, cell: int) -> pl.DataFrame:
        """Return ``user``, ``cluster`` (from 0) and ``weight`` of one user per profile, those of most users first."""
        found = self.found[cell]
        place = pl.DataFrame({"cluster": found.labels, "weight": found.profiles.weights}).with_row_index(
            "profile"
        )
        known = self.users.filter(pl.col(CELL) == cell).select(USER, "first", "last", "events")
        people = found.profiles.users.join(known, on=USER, how="left", maintain_order="left")
        first = people.sort("profile", "first", "last", "events", USER).unique(
            "profile", keep="first", maintain_order=True
        )
        ranked = place.with_columns(first[USER]).sort("weight", "profile", descending=[True, False])
        return (
            ranked.group_by("cluster", maintain_order=True)
            .head(CANDIDATES)
            .sort("cluster", maintain_order=True)
        )

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """List the states of these users."""
        rows = UserRows(shard, cells)
        wanted = [self.candidates(cell)[USER] for cell in self.found]
        asked = (
            rows.ids.is_in(pl.concat(wanted).implode())
            if wanted
            else pl.Series([False] * len(rows.ids), dtype=pl.Boolean)
        )
        of = self.question.clusters.of
        states = shard.states(of, "user")[rows.events]
        kept = asked.to_numpy()[rows.owner] & ((states > 0) | (of == "event"))
        owner, code = rows.owner[kept], states[kept].astype(np.int64)
        new = np.append(True, owner[1:] != owner[:-1])[: owner.size]
        step = np.arange(owner.size) - np.maximum.accumulate(np.where(new, np.arange(owner.size), 0))
        short = step < LONGEST_PATH
        owner, code, step = owner[short], code[short], step[short]
        ids = rows.ids.gather(pl.Series(owner, dtype=pl.Int64))
        return {"steps": pl.DataFrame({CELL: rows.cells[owner], USER: ids, "step": step, "code": code})}

    def answer(self, tables: Tables, context: Context) -> PersonasAnswer:
        """Describe every cluster."""
        made = [_Described(self, tables, context, cell).tables() for cell in self.found]
        whole = {
            name: pl.concat([empty.clear(), *(each[name] for each in made)])
            for name, empty in _nothing().items()
        }
        notes = ["Typical paths are of at most 60 users of each cluster; traits describe, and test nothing."]
        return PersonasAnswer(
            context.label(whole["frame"]), self.question, replace(context, notes=(*context.notes, *notes)),
            traits=context.label(whole["traits"]), representatives=context.label(whole["representatives"]),
        )  # fmt: skip


class _Described:
    """The personas of one segment."""

    def __init__(self, asked: _CandidatePaths, tables: Tables, context: Context, cell: int) -> None:
        self.asked, self.context, self.cell = asked, context, cell
        self.found = asked.found[cell]
        mine = {name: table.filter(pl.col(CELL) == cell) for name, table in tables.items()}
        labels = pl.DataFrame(
            {"cluster": self.found.labels[self.found.profiles.users["profile"].to_numpy()]}
        ).with_columns(self.found.profiles.users[USER])
        self.users = mine["users"].join(labels, on=USER).sort(USER)
        self.place = self.users.select(USER).with_row_index("place")
        self.mine = mine

    def tables(self) -> dict[str, pl.DataFrame]:
        """Return all tables of the answer."""
        traits = self._traits()
        typical = self._typical()
        frame = cluster_table(self.found, self.context)
        converted = traits.filter(kind="conversion").select(
            "cluster", pl.col("numerator").cast(pl.Int64).alias("converted")
        )
        pains = (
            traits.filter((pl.col("kind") == "pain") & (pl.col("excess") > 0))
            .sort("excess", "trait", descending=[True, False])
            .group_by("cluster", maintain_order=True)
            .agg(pl.col("trait").head(PAINS).alias("pains"))
        )
        frame = frame.join(converted, on="cluster", how="left", maintain_order="left")
        frame = with_share(frame, "conversion_rate", "converted", "users", self.context)
        frame = frame.join(pains, on="cluster", how="left", maintain_order="left")
        first = typical.filter(place=1).select("cluster", pl.col("path").alias("typical_path"))
        frame = frame.join(first, on="cluster", how="left", maintain_order="left").rename(
            {"cluster": "persona"}
        )
        made = {
            "frame": frame.with_columns(pl.col("pains").fill_null([])),
            "traits": traits.rename({"cluster": "persona"}),
            "representatives": typical.rename({"cluster": "persona"}),
        }
        here = pl.lit(self.cell, pl.Int32).alias(CELL)
        return {name: made[name].with_columns(here).select(each.columns) for name, each in _nothing().items()}

    def _traits(self) -> pl.DataFrame:
        traits = user_traits(self.users, self.context.stages)
        channels = self.mine["channels"].rename({"sessions": "count"})
        traits += self._listed("channel", channels, "channel")
        ends = self._names(self.mine["moves"], "source")
        exits = pl.when(pl.col("target") == END).then("moves").otherwise(0).sum()
        ends = ends.group_by(USER, "source").agg(exits.alias("count"), pl.col("moves").sum().alias("of"))
        traits += self._listed("pain", ends.filter(pl.col("source") != "<START>"), "source")
        cluster, group = (self.users[name].to_numpy().astype(np.int64) for name in ("cluster", GROUP))
        rows = [each.compared(cluster, group, self.found.clusters, self.context.level) for each in traits]
        return pl.concat(rows)

    def _names(self, moves: pl.DataFrame, source: str) -> pl.DataFrame:
        """Give the states of moves their names."""
        names = pl.concat(
            [
                pl.Series([END, "<START>"], dtype=pl.String),
                state_names(self.asked.question.clusters.of, self.context),
            ]
        )
        return moves.with_columns(
            pl.lit(names).gather(pl.col(each) + 2).alias(each) for each in (source, "target")
        )

    def _listed(self, kind: str, rows: pl.DataFrame, name: str) -> list[Trait]:
        """Return the shares of a column's values; of channels, of all sessions of the user."""
        if rows.is_empty():
            return []
        rows = rows.join(self.place, on=USER).sort("place", name)
        if kind == "pain":
            return listed_traits(kind, rows, name, rows["place"].to_numpy().astype(np.int64))
        sessions = rows.group_by("place").agg(pl.col("count").sum().alias("of"))
        crossed = sessions.join(rows.select(name).unique(), how="cross")
        filled = crossed.join(rows.select("place", name, "count"), on=["place", name], how="left")
        filled = filled.with_columns(pl.col("count").fill_null(0)).sort("place", name)
        return listed_traits(kind, filled, name, filled["place"].to_numpy().astype(np.int64))

    def _typical(self) -> pl.DataFrame:
        """Return the users of every cluster who are nearest to the others."""
        from journeykit.kernels.paths.distances import edit_distances

        names = state_names(self.asked.question.clusters.of, self.context)
        steps = self.mine["steps"].sort(USER, "step")
        coded = steps.group_by(USER, maintain_order=True).agg(pl.col("code"))
        candidates = self.asked.candidates(self.cell).join(coded, on=USER, how="inner", maintain_order="left")
        rows: list[dict[str, Any]] = []
        for (cluster,), part in candidates.group_by("cluster", maintain_order=True):
            states = part["code"].explode().to_numpy()
            offsets = np.append(0, part["code"].list.len().cast(pl.Int64).to_numpy().cumsum())
            distances = np.empty((part.height, part.height))
            edit_distances(offsets, states, np.empty(LONGEST_PATH + 1, np.int64), distances)
            mean = distances @ part["weight"].to_numpy()
            for place, i in enumerate(np.argsort(mean, kind="stable")[:REPRESENTATIVES].tolist(), start=1):
                about = self.users.filter(pl.col(USER) == part[USER][i])
                rows.append({
                    "cluster": int(cluster) + 1,
                    "place": place,
                    "pseudonym": f"persona {int(cluster) + 1}, user {place}",
                    "path": names.gather(part["code"][i]).to_list(),
                    "sessions": about["sessions"][0],
                    "goals": about["goals"][0],
                    "lifetime": (about["last"][0] - about["first"][0]) / 1e6,
                })  # fmt: skip
        schema = {
            ("cluster" if name == "persona" else name): kind
            for name, kind in REPRESENTATIVE.items()
            if name != CELL
        }
        return pl.DataFrame(rows, schema=schema).sort("cluster", "place")


REPRESENTATIVE: dict[str, Any] = {
    CELL: pl.Int32, "persona": pl.Int64, "place": pl.Int64, "pseudonym": pl.String, "path": pl.List(pl.String),
    "sessions": pl.Int64, "goals": pl.Int64, "lifetime": pl.Float64,
}  # fmt: skip
FRAME: dict[str, Any] = {
    CELL: pl.Int32, "persona": pl.Int64, "users": pl.Int64, "all_users": pl.Int64, "share": pl.Float64,
    "low": pl.Float64, "high": pl.Float64, "stability": pl.Float64, "converted": pl.Int64,
    "conversion_rate": pl.Float64, "conversion_rate_low": pl.Float64, "conversion_rate_high": pl.Float64,
    "typical_path": pl.List(pl.String), "pains": pl.List(pl.String),
}  # fmt: skip


def _nothing() -> dict[str, pl.DataFrame]:
    traits = {CELL: pl.Int32, "persona": pl.Int64, **{k: v for k, v in TRAITS.items() if k != "cluster"}}
    schemas = {"frame": FRAME, "traits": traits, "representatives": REPRESENTATIVE}
    return {name: pl.DataFrame(schema=schema) for name, schema in schemas.items()}


def _channels(shard: Journeys, rows: UserRows, name: str) -> pl.DataFrame:
    """Count the sessions of every user by the first known value of a property."""
    paths = shard.paths("session")
    values = shard.property(name).cast(pl.String)
    owner = np.repeat(np.arange(paths.n_users), np.diff(paths.user_paths))
    path = np.repeat(np.arange(paths.n_paths), paths.lengths)
    before = np.cumsum(paths.lengths) - paths.lengths
    position = np.arange(path.size) - before[path] + paths.starts[path]
    listed = pl.DataFrame({"path": path}).with_columns(
        values.gather(pl.Series(position, dtype=pl.Int64)).alias("channel")
    )
    first = listed.drop_nulls().unique("path", keep="first", maintain_order=True)
    user = owner[first["path"].to_numpy()]
    table = first.select("channel").with_columns(
        pl.Series(CELL, rows.cells[user]), rows.ids.gather(pl.Series(user, dtype=pl.Int64)).alias(USER)
    )
    counted = table.group_by(CELL, USER, "channel", maintain_order=True).len("sessions")
    return counted.with_columns(pl.col("sessions").cast(pl.Int64))
