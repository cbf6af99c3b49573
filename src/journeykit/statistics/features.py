"""Features: what each user did, in one row: for models, and for recency, frequency and value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError, UnknownPropertyError
from journeykit.journeys.journeys import Journeys
from journeykit.patterns.matchers import MatchLike, as_match, check_matches, symbols_of
from journeykit.protocol import CELL, GROUP, Cells, Context, Tables
from journeykit.statistics.base import Answer, Statistic
from journeykit.statistics.checks import check_choices
from journeykit.statistics.goals import as_goal, state_names
from journeykit.support.unknown_names import Missing

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
USER = "user"
NEVER = -(1 << 62)


@dataclass(frozen=True, eq=False, repr=False)
class FeaturesAnswer(Answer):
    """One row per user; the frame is described in `Features`.

    Attributes
    ----------
    counts : polars.DataFrame
        One row per user and event that they have: ``user``, jackknife ``group``, ``event``, ``events``.
    """

    counts: pl.DataFrame

    shown: ClassVar[Sequence[str]] = (
        "user",
        "events",
        "sessions",
        "active_days",
        "recency",
        "goals",
        "value",
    )

    def rfm(self, scores: int = 5) -> pl.DataFrame:
        """Score users by recency, frequency and monetary value.

        Parameters
        ----------
        scores : int
            How many, from 2 to 10: the users are cut at the quantiles, within every segment and period. Equal values
            have equal scores.

        Returns
        -------
        polars.DataFrame
            One row per user. ``recency``: seconds since the last goal, ``frequency``: how many goals, ``monetary``:
            their value. Without a goal: since the last event, sessions, and the value of all events.
            ``recency_score``, ``frequency_score``, ``monetary_score``: 1 to `scores`, the best. Users who never reached
            the goal, or journeys without a value, have null.

        Raises
        ------
        ParameterError
            If `scores` is not such a number.
        """
        if type(scores) is not int or not 2 <= scores <= 10:
            raise ParameterError(f"scores must be a whole number from 2 to 10, not {scores!r}.")
        labels = self.context.labels.columns
        recency, frequency = ("recency", "sessions")
        if isinstance(self.statistic, Features) and self.statistic.goal is not None:
            recency, frequency = ("goal_recency", "goals")
        bought = pl.col(frequency) > 0
        table = self.frame.select(
            *labels,
            USER,
            GROUP,
            pl.col(recency).alias("recency"),
            pl.when(bought).then(frequency).alias("frequency"),
            pl.when(bought).then("value").alias("monetary"),
        )
        parts = table.partition_by(labels, maintain_order=True) if labels else [table]
        ranked = [
            part.with_columns(
                _scores(part["recency"], scores, reverse=True).alias("recency_score"),
                _scores(part["frequency"], scores).alias("frequency_score"),
                _scores(part["monetary"], scores).alias("monetary_score"),
            )
            for part in parts or [table]
        ]
        return pl.concat(ranked)


@dataclass(frozen=True)
class Features(Statistic[FeaturesAnswer]):
    """Describe every user in a row: how much, how often, how recently, how far.

    Parameters
    ----------
    goal : str, sequence of str, polars expression, Pattern or Match, optional
        What to count as a success.
    value : str, optional
        A numeric property: summed over the goal events, without a goal over all.
    missing : {"raise", "ignore", "warn"}
        Whether a goal that the log does not have is an error, or is never met. D0.9.

    Raises
    ------
    ParameterError
        If a parameter has a value it cannot take.

    Notes
    -----
    The answer's frame has one row per user, by id, with their jackknife ``group`` (D12.1; leave out the groups that 5
    divides to test a model on):

    ``events``, ``sessions``, ``active_days``, ``distinct_events``, ``repeats``
        Counts; days in the time zone of the journeys; repeats are events of the same name as the user's one before.
    ``first_time``, ``last_time``
        Of any event, in UTC.
    ``lifetime``, ``recency``, ``session_seconds``
        Seconds from the first event to the last, from the last to the end of the observation, and inside sessions.
    ``goals``, ``time_to_goal``, ``goal_recency``
        How many goal events; seconds from the first event to the first, and from the last to the end of the
        observation. Null without.
    ``value``
        The sum, nulls left out; 0 without any; null where no value was asked for.
    ``stage``, ``furthest_stage``
        Where the user is, and was at most (D6.3); null without stages, or before the first.

    One pass, O(n log n) in the events of a user; about 40 bytes per event for a moment. The answer holds 100 bytes and
    the id per user, and 10 bytes and the id per user and distinct event: it is as long as there are users.

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({"user": [1, 1, 1, 2], "time": [0, 10, 90_000, 5], "event": ["view", "buy", "view", "view"]})
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> found = journeys.measure(Features("buy"))
    >>> found.frame.select("user", "events", "sessions", "active_days", "recency", "goals", "time_to_goal").rows()
    [(1, 3, 2, 2, 0.0, 1, 10.0), (2, 1, 1, 1, 89995.0, 0, None)]
    >>> found.counts.select("user", "event", "events").rows()
    [(1, 'buy', 1), (1, 'view', 2), (2, 'view', 1)]
    """

    goal: MatchLike | None = None
    value: str | None = None
    missing: Missing = "raise"

    tables: ClassVar[Mapping[str, Sequence[str]]] = {"users": (USER,), "counts": (USER, "event")}

    def __post_init__(self) -> None:
        check_choices(self)
        if self.goal is not None:
            object.__setattr__(self, "goal", as_goal(self.goal, "goal"))

    def check(self, context: Context) -> None:
        """Refuse goals and properties that the journeys do not have."""
        if self.goal is not None:
            check_matches([as_match(self.goal, "goal")], "event", self.missing, context)
        if self.value is not None and self.value not in context.kept:
            raise UnknownPropertyError(self.value, context.kept)

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Describe the users of one shard."""
        rows = UserRows(shard, cells)
        hits = rows.fitting(None if self.goal is None else as_match(self.goal, "goal"))
        users = rows.table().with_columns(rows.goals(hits if self.goal is not None else np.zeros_like(hits)))
        if self.value is not None:
            users = users.with_columns(pl.Series("value", rows.sums(self.value, hits)))
        return {"users": users, "counts": rows.counts()}

    def answer(self, tables: Tables, context: Context) -> FeaturesAnswer:
        """Turn counts and times into features."""
        until = pl.lit(context.observed_until, pl.Int64)
        reached = pl.col("goals") > 0
        stages = state_names("stage", context)
        users = tables["users"].sort(CELL, USER)
        moment = pl.Datetime("us", "UTC")
        frame = users.select(
            CELL, USER, GROUP, "events", "sessions", "active_days", "distinct_events", "repeats",
            pl.col("first").cast(moment).alias("first_time"),
            pl.col("last").cast(moment).alias("last_time"),
            ((pl.col("last") - pl.col("first")) / 1e6).alias("lifetime"),
            ((until - pl.col("last")) / 1e6).alias("recency"),
            (pl.col("session_micros") / 1e6).alias("session_seconds"),
            "goals",
            pl.when(reached).then((pl.col("first_goal") - pl.col("first")) / 1e6).alias("time_to_goal"),
            pl.when(reached).then((until - pl.col("last_goal")) / 1e6).alias("goal_recency"),
            (pl.lit(None, pl.Float64) if self.value is None else pl.col("value")).alias("value"),
            pl.lit(stages).gather(pl.col("stage")).alias("stage"),
            pl.lit(stages).gather(pl.col("furthest_stage")).alias("furthest_stage"),
        )  # fmt: skip
        names = pl.lit(state_names("event", context))
        counts = tables["counts"].with_columns(names.gather(pl.col("event")).alias("event"))
        counts = counts.select(CELL, USER, GROUP, "event", "events").sort(CELL, USER, "event")
        return FeaturesAnswer(
            context.label(frame), self, replace(context, notes=context.notes), context.label(counts)
        )


class UserRows:
    """The users of one shard and their events in order, each user's one after the other."""

    def __init__(self, shard: Journeys, cells: Cells) -> None:
        self.shard = shard
        self.paths = shard.paths("user")
        self.cells = cells.of(self.paths, "user")
        self.events = self.paths.events
        self.starts = self.paths.starts - self.events.start
        self.lengths = self.paths.lengths
        self.codes = self.paths.codes[self.events]
        self.times = self.paths.times[self.events]
        self.owner = np.repeat(np.arange(self.paths.n_users), self.lengths)
        first, last = shard.user_range or (0, shard.n_users)
        self.ids = shard.users[first:last].alias(USER)

    def fitting(self, match: Any) -> Bools:
        """Mark the events that fit a matcher; all without one."""
        if match is None:
            return np.ones(self.codes.size, np.bool_)
        symbols = symbols_of(self.shard, (match,), "event", "user")
        found: Bools = (symbols.masks > 0)[symbols.codes[self.events]]
        return found

    def per_user(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Add values of events up per user."""
        if values.size == 0:
            return np.zeros(self.paths.n_users, values.dtype)
        return np.asarray(np.add.reduceat(values, self.starts))

    def table(self) -> pl.DataFrame:
        """Return one row per user without goals."""
        sessions = self.shard.paths("session")
        inside = sessions.times[sessions.ends - 1] - sessions.times[sessions.starts]
        of_session = np.repeat(np.arange(self.paths.n_users), np.diff(sessions.user_paths))
        same_user = np.append(False, self.owner[1:] == self.owner[:-1])[: self.owner.size]
        same_event = np.append(False, self.codes[1:] == self.codes[:-1])[: self.owner.size]
        days = (
            pl.Series(self.times).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(self.shard.tz).dt.date()
        )
        day = days.to_physical().to_numpy()
        new_day = ~same_user | np.append(True, day[1:] != day[:-1])[: day.size]
        last = self.starts + self.lengths - 1
        ends = self.paths.ends - 1
        nothing = np.zeros(self.paths.n_users, np.int32)
        columns = {
            "events": self.lengths,
            "sessions": np.diff(sessions.user_paths),
            "active_days": self.per_user(new_day.astype(np.int64)),
            "distinct_events": np.bincount(self._pairs[0], minlength=self.paths.n_users).astype(np.int64),
            "repeats": self.per_user((same_user & same_event).astype(np.int64)),
            "first": self.times[self.starts],
            "last": self.times[last],
            "session_micros": np.bincount(of_session, inside, self.paths.n_users).astype(np.int64),
            "stage": nothing if self.shard.staged is None else self._stages("current")[ends].astype(np.int32),
            "furthest_stage": nothing if self.shard.staged is None else self._stages("furthest")[ends].astype(np.int32),
        }  # fmt: skip
        return pl.DataFrame({CELL: self.cells, USER: self.ids, **columns})

    def _stages(self, which: str) -> npt.NDArray[np.uint8]:
        codes: npt.NDArray[np.uint8] = getattr(self.shard.staged, which)
        return codes if self.shard.time_order is None else codes[self.shard.time_order]

    @property
    def _pairs(self) -> tuple[Int64s, Int64s, Int64s]:
        """Return user, code and count of every event that a user has."""
        size = int(self.codes.max(initial=0)) + 1
        keys, counts = np.unique(self.owner * size + self.codes, return_counts=True)
        return keys // size, keys % size, counts.astype(np.int64)

    def counts(self) -> pl.DataFrame:
        """Return one row per user and event that they have."""
        user, code, counts = self._pairs
        columns = {"event": code.astype(np.int32), "events": counts}
        ids = self.ids.gather(pl.Series(user, dtype=pl.Int64))
        return pl.DataFrame({CELL: self.cells[user], USER: ids, **columns})

    def goals(self, hits: Bools) -> list[pl.Series]:
        """Return how many goals every user has, and when the first and the last was; 0 without."""
        where = np.flatnonzero(hits)
        user = self.owner[where]
        first, last = np.zeros(self.paths.n_users, np.int64), np.zeros(self.paths.n_users, np.int64)
        last[user] = self.times[where]
        first[user[::-1]] = self.times[where[::-1]]
        goals = np.bincount(user, minlength=self.paths.n_users).astype(np.int64)
        return [pl.Series("goals", goals), pl.Series("first_goal", first), pl.Series("last_goal", last)]

    def sums(self, name: str, hits: Bools) -> npt.NDArray[np.float64]:
        """Add a property up over the marked events, nulls left out."""
        stored = self.shard.property(name)
        if self.shard.time_order is not None:
            stored = stored.gather(pl.Series(self.shard.time_order))
        if not stored.dtype.is_numeric():
            raise ParameterError(f"value must be a numeric property, and {name!r} holds {stored.dtype}.")
        values = stored[self.events].cast(pl.Float64).fill_nan(None).fill_null(0.0).to_numpy()
        return np.asarray(self.per_user(np.where(hits, values, 0.0)), np.float64)


def _scores(values: pl.Series, scores: int, *, reverse: bool = False) -> pl.Series:
    """Cut values at their quantiles: 1 for the lowest part, or with `reverse` for the highest."""
    known = values.drop_nulls().cast(pl.Float64).to_numpy()
    if known.size == 0:
        return pl.Series([None] * len(values), dtype=pl.Int64)
    sign = -1.0 if reverse else 1.0
    edges = np.quantile(sign * known, np.arange(1, scores) / scores)
    found = 1 + np.searchsorted(
        edges, sign * values.cast(pl.Float64).fill_null(np.nan).to_numpy(), side="left"
    )
    return (
        pl.DataFrame({"score": found, "value": values})
        .select(pl.when(pl.col("value").is_not_null()).then("score").cast(pl.Int64))
        .to_series()
    )
