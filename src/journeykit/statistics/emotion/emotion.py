"""Emotion: how users feel at every touchpoint and along the stages, by their ratings. DEFINITIONS D15.1 to D15.3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError
from journeykit.journeys.journeys import Journeys
from journeykit.ordering.user_ids import hash_ids
from journeykit.protocol import CELL, Cells, Context, Tables
from journeykit.statistics.base import UNITS_TABLE, Statistic, described
from journeykit.statistics.checks import check_choices
from journeykit.statistics.counting import CountingRows
from journeykit.statistics.emotion.answer import EmotionAnswer, emotion_answer
from journeykit.statistics.emotion.joining import JoinedRatings
from journeykit.statistics.emotion.ratings import Ratings
from journeykit.statistics.goals import Walk

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Emotion(Statistic[EmotionAnswer]):
    """Average the ratings of every touchpoint and stage, and say how many visits were rated. D15.1 to D15.3.

    Parameters
    ----------
    ratings : Ratings
        What users said.
    min_n : int
        With fewer ratings than this, emotion, shares and score are null.
    weight : {"rating", "user"}
        Whether every rating counts the same for the emotion, or every user who rated.
    quotes : int
        How many comments to show per touchpoint; none by default. They may hold what gives a person away.
    quote_length : int
        How many characters of each.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take.

    Notes
    -----
    A rating speaks of the event that it names, else of the user's last event at or before it, at most ``max_lag``
    earlier; of equal times the last in order. Its stage is the stage there. A rating that names an event counts there
    even if the log has no such visit of the user; it is then in no stage, and makes no visit rated. Other ratings
    without a visit are counted in ``unmatched``. Rating events of the log are no visits.

    With ``every=`` a rating belongs to the period of its visit. Ratings are from those who answered only. O(n), and
    O(log n) per rating; 10 bytes per event of the shard at work.

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({"user": [1, 1, 2], "time": [0, 60, 5], "event": ["view", "pay", "view"]})
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> said = pl.DataFrame({"user": [1, 2, 9], "time": [70, 5, 8], "value": [2, 5, 5]})
    >>> answer = journeys.measure(Emotion(jk.Ratings("csat", said, unit="s"), min_n=1))
    >>> answer.frame.select("touchpoint", "visits", "ratings", "coverage", "emotion").rows()
    [('view', 2, 1, 0.5, 1.0), ('pay', 1, 1, 1.0, -0.5)]
    """

    ratings: Ratings
    _: KW_ONLY
    min_n: int = 5
    weight: Literal["rating", "user"] = "rating"
    quotes: int = 0
    quote_length: int = 200

    tables: ClassVar[Mapping[str, Sequence[str]]] = {
        "touchpoints": ("touchpoint",),
        "stages": ("stage",),
        "overall": (),
        "matched": (),
        "quotes": ("touchpoint", "stage", "hash", "time", "value", "emotion", "comment"),
        UNITS_TABLE: (),
    }

    def __post_init__(self) -> None:
        if not isinstance(self.ratings, Ratings):
            raise ParameterError(
                f"ratings must be Ratings, such as jk.Ratings('nps', table), not {self.ratings!r}."
            )
        check_choices(self, weight=("rating", "user"))
        for name, least in (("min_n", 1), ("quotes", 0), ("quote_length", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ParameterError(f"{name} must be a whole number from {least} on, not {value!r}.")

    def __repr__(self) -> str:
        return described(self)

    def check(self, context: Context) -> None:
        """Refuse ratings of events that the journeys do not have."""
        self.ratings.check(context)

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the visits and the ratings of one shard."""
        return _Counting(self, shard, cells).tables()

    def answer(self, tables: Tables, context: Context) -> EmotionAnswer:
        """Turn counts into means and rates with intervals."""
        return emotion_answer(self, tables, context)


class _Counting:
    """The counting of one shard."""

    def __init__(self, statistic: Emotion, shard: Journeys, cells: Cells) -> None:
        self.statistic, self.shard = statistic, shard
        self.walk = Walk(shard, cells, "event", "user")
        self.joined = JoinedRatings.of(statistic.ratings, shard)
        joined, paths = self.joined, self.walk.paths
        self.starts, self.ends = paths.starts - joined.events.start, paths.ends - joined.events.start
        times = paths.times[joined.events]
        segments = cells.segments(paths, "user")
        self.cells = cells.at(segments[self.walk.owners].repeat(paths.lengths), times)
        when = np.where(joined.visit >= 0, times[joined.visit], joined.time) if times.size else joined.time
        if cells.period_starts is not None:
            when = np.maximum(when, cells.period_starts[0])
        self.rating_cells = cells.at(segments[joined.owner], when)
        self.codes = paths.codes[joined.events]
        self.stages: npt.NDArray[np.unsignedinteger[Any]] = np.empty(0, np.uint8)
        if shard.staged is not None:
            self.stages = shard.states("stage", "user")[joined.events]

    def tables(self) -> Tables:
        """Return all tables of the tally."""
        touchpoints = self._counts("touchpoint", self.codes, len(self.shard.names), self.joined.touchpoint)
        stages = touchpoints.head(0).rename({"touchpoint": "stage"})
        stage = np.full(self.joined.owner.size, -1)
        if self.stages.size:
            stage = np.where(self.joined.visit >= 0, self.stages[self.joined.visit].astype(np.int64), -1)
            stages = self._counts("stage", self.stages, len(self.shard.stage_names) + 1, stage)
        every = np.where(self.joined.touchpoint >= 0, 0, -1)
        return {
            "touchpoints": touchpoints,
            "stages": stages,
            "overall": self._counts("all", self.codes[:0], 1, every).drop("all"),
            "matched": self._matched(),
            "quotes": self._quotes(stage),
            UNITS_TABLE: self.walk.units(),
        }

    def _counts(self, name: str, labels: npt.NDArray[Any], size: int, label: Int64s) -> pl.DataFrame:
        """Count the visits of every label, and sum up its ratings, per cell."""
        from journeykit.kernels.outcomes.emotion import count_rated

        joined, n = self.joined, self.codes.size
        counted = CountingRows.make(self.walk.cell_count * size, n, columns=4)
        if n:
            count_rated(
                self.starts, self.ends, labels, self.cells, joined.is_rating, joined.rated(n), size,
                counted.keys, counted.rows, counted.table,
            )  # fmt: skip
        keys, rows = counted.found()
        visits = pl.DataFrame(
            {"key": keys, "visits": rows[:, 0], "visitors": rows[:, 1], "rated_visits": rows[:, 3]}
        )
        both = visits.join(self._sums(size, label), on="key", how="full", coalesce=True).sort("key")
        key = pl.col("key")
        return both.select(
            (key // size).cast(pl.Int32).alias(CELL),
            (key % size).cast(pl.Int32).alias(name),
            pl.exclude("key").fill_null(0),
        )

    def _sums(self, size: int, label: Int64s) -> pl.DataFrame:
        """Sum up the ratings of every label, per cell; the mean of a user is one number for each."""
        joined, known = self.joined, label >= 0
        rows = pl.DataFrame(
            {
                "key": (self.rating_cells * size + label)[known],
                "owner": joined.owner[known],
                "value": joined.value[known],
                "emotion": joined.emotion[known],
                "top": self.statistic.ratings.top(joined.value)[known],
            }
        )
        by_user = rows.group_by("key", "owner", maintain_order=True).agg(
            pl.len().cast(pl.Int64).alias("ratings"),
            pl.col("value").sum().alias("value_sum"),
            pl.col("emotion").sum().alias("emotion_sum"),
            pl.col("emotion").mean().alias("user_sum"),
            (pl.col("emotion") < 0).sum().cast(pl.Int64).alias("low_ratings"),
            pl.col("top").sum().cast(pl.Int64).alias("top_ratings"),
        )
        return by_user.group_by("key", maintain_order=True).agg(
            pl.len().cast(pl.Int64).alias("raters"), pl.exclude("owner", "raters").sum()
        )

    def _matched(self) -> pl.DataFrame:
        """Count the ratings that have a touchpoint, and those that have none."""
        has = self.joined.touchpoint >= 0
        counts = [
            np.bincount(self.rating_cells[each], minlength=self.walk.cell_count) for each in (has, ~has)
        ]
        present = np.flatnonzero(counts[0] + counts[1])
        return pl.DataFrame(
            {
                CELL: present.astype(np.int32),
                "matched": counts[0][present].astype(np.int64),
                "unmatched": counts[1][present].astype(np.int64),
            }
        )

    def _quotes(self, stage: Int64s) -> pl.DataFrame:
        """List what was said, with the hash of the user to choose by."""
        joined = self.joined
        frame = pl.DataFrame(
            {
                CELL: self.rating_cells.astype(np.int32),
                "touchpoint": joined.touchpoint.astype(np.int32),
                "stage": np.maximum(stage, 0).astype(np.int32),
                "owner": joined.owner,
                "time": joined.time,
                "value": joined.value,
                "emotion": joined.emotion,
                "comment": joined.comment,
                "quotes": np.ones(joined.owner.size, np.int64),
            }
        )
        wanted = (pl.col("touchpoint") >= 0) & (pl.col("comment").str.strip_chars() != "")
        chosen = frame.filter(wanted if self.statistic.quotes else pl.lit(value=False))
        first, _ = self.shard.user_range or (0, self.shard.n_users)
        owners, at = np.unique(chosen["owner"].to_numpy(), return_inverse=True)
        hashes = hash_ids(self.shard.users.gather(owners + first))
        hashed = chosen.with_columns(pl.Series("hash", hashes[at], dtype=pl.UInt64))
        return hashed.drop("owner")
