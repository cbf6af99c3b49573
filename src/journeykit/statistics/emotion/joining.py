"""The ratings of the users of one shard, each at the visit that it speaks of. DEFINITIONS D15.1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError
from journeykit.journeys.journeys import Journeys
from journeykit.statistics.emotion.ratings import Ratings
from journeykit.support.durations import microseconds

Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
NONE_NAMED, NOT_IN_LOG = -1, -2


@dataclass(frozen=True)
class JoinedRatings:
    """The ratings of one shard, ordered by user and time.

    Attributes
    ----------
    events : slice
        The events of the shard among those of all, each user's in the order of time.
    owner : numpy.ndarray of int64
        The user of every rating, from the shard's first.
    time : numpy.ndarray of int64
        When it was given.
    visit : numpy.ndarray of int64
        The event that it speaks of, from the shard's first; -1 without one.
    touchpoint : numpy.ndarray of int64
        The code of the event that it speaks of, which may be named where no visit is known; -1 without one.
    value, emotion : numpy.ndarray of float64
        High ones are good.
    comment : polars.Series of String
        What was said.
    is_rating : numpy.ndarray of bool
        Which events of the shard are ratings, and so no visits; empty if none is.
    """

    events: slice
    owner: Int64s
    time: Int64s
    visit: Int64s
    touchpoint: Int64s
    value: Floats
    emotion: Floats
    comment: pl.Series
    is_rating: Bools

    @classmethod
    def of(cls, ratings: Ratings, shard: Journeys) -> JoinedRatings:
        """Join ratings to the visits of a shard."""
        from journeykit.kernels.outcomes.emotion import visits_before

        paths = shard.paths("user")
        events = paths.events
        codes, times = paths.codes[events], paths.times[events]
        starts, ends = paths.starts - events.start, paths.ends - events.start
        is_rating = np.empty(0, np.bool_)
        if ratings.event is None:
            rows = _of_table(ratings, shard)
        else:
            is_rating = shard.names.is_in(list(ratings.event_names)).to_numpy()[codes]
            rows = _of_events(ratings, shard, events, np.flatnonzero(is_rating), starts, times)
        known = pl.DataFrame({"touchpoint": shard.names.cast(pl.String)}).with_row_index("code")
        named = rows.join(known, on="touchpoint", how="left", maintain_order="left")["code"].cast(pl.Int64)
        wanted = named.fill_null(NOT_IN_LOG).to_numpy().copy()
        wanted[rows["touchpoint"].is_null().to_numpy()] = NONE_NAMED
        owner, moments = rows["owner"].to_numpy(), rows["time"].to_numpy()
        visit = np.empty(owner.size, np.int64)
        lag = microseconds(ratings.max_lag, "max_lag")
        visits_before(starts, ends, times, codes, is_rating, owner, moments, wanted, lag, visit)
        values = rows["value"].to_numpy()
        ratings.check_values(values)
        good = ratings.good(values)
        at_visit = codes[np.maximum(visit, 0)].astype(np.int64) if codes.size else visit
        touchpoint = np.where(visit >= 0, at_visit, np.where(wanted >= 0, wanted, -1))
        return cls(
            events, owner, moments, visit, touchpoint, good, ratings.emotion(good), rows["comment"], is_rating
        )

    def rated(self, n_events: int) -> Bools:
        """Mark the events of the shard that a rating speaks of."""
        marks = np.zeros(n_events, np.bool_)
        marks[self.visit[self.visit >= 0]] = True
        return marks


def _of_table(ratings: Ratings, shard: Journeys) -> pl.DataFrame:
    """Return the ratings of the table that are of users of the shard: owner, time, value, touchpoint, comment."""
    first, last = shard.user_range or (0, shard.n_users)
    ids, rows = shard.users[first:last], ratings.rows
    if rows.height and len(ids):
        rows = rows.with_columns(_ids_like(ids, rows["user"], ratings.user))
    users = pl.DataFrame({"user": ids.cast(rows.schema["user"])}).with_row_index("owner")
    found = rows.join(users, on="user", how="inner", maintain_order="left")
    return found.sort("owner", "time", maintain_order=True).select(
        pl.col("owner").cast(pl.Int64), "time", "value", "touchpoint", "comment"
    )


def _ids_like(ids: pl.Series, given: pl.Series, column: str) -> pl.Series:
    """Return the ids of ratings in the type of those of the log; texts may be its whole numbers, if all are."""
    if given.dtype == ids.dtype:
        return given
    if given.dtype == pl.String and ids.dtype == pl.Int64:
        numbers = given.cast(pl.Int64, strict=False)
        # "007" and "7" are two ids.
        if numbers.cast(pl.String).eq_missing(given).all():
            return numbers
    raise ParameterError(
        f"the column {column!r} of the ratings holds {given.dtype}, and the users of the log are {ids.dtype}. Cast it."
    )


def _of_events(
    ratings: Ratings, shard: Journeys, events: slice, at: Int64s, starts: Int64s, times: Int64s
) -> pl.DataFrame:
    """Return the ratings that are events of the shard; those without a value are none."""
    place = at + events.start
    if shard.time_order is not None:
        place = shard.time_order[place]

    def column(name: str | None, dtype: pl.DataType | type[pl.DataType]) -> pl.Series:
        if name is None:
            return pl.Series([None] * at.size, dtype=dtype)
        values = shard.source[name].gather(pl.Series(shard.rows[place]))
        if dtype == pl.Float64 and not values.dtype.is_numeric():
            raise ParameterError(
                f"the property {name!r} cannot be a rating: it holds {values.dtype}, not numbers."
            )
        return values.cast(dtype)

    return pl.DataFrame(
        {
            "owner": np.searchsorted(starts, at, side="right") - 1,
            "time": times[at],
            "value": column(ratings.value, pl.Float64).fill_nan(None),
            "touchpoint": column(ratings.touchpoint, pl.String),
            "comment": column(ratings.comment, pl.String),
        }
    ).filter(pl.col("value").is_not_null())
