"""A log's own sessions beside those that a rule cuts: how many are the same, split, or joined."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from journeykit.errors import ParameterError

if TYPE_CHECKING:
    from journeykit.journeys.journeys import Journeys


@dataclass(frozen=True)
class SessionComparison:
    """How the sessions of a log differ from those of a rule.

    A session of the log is one value of its session column with one user.

    Attributes
    ----------
    own : int
        Sessions of the log.
    cut : int
        Sessions that the rule makes of the same events.
    same : int
        Sessions of the log whose events are exactly those of one session of the rule.
    split : int
        Sessions of the log whose events are in several sessions of the rule.
    joined : int
        Sessions of the rule that hold events of several sessions of the log.
    events_without : int
        Events to which the log gives no session.
    """

    own: int
    cut: int
    same: int
    split: int
    joined: int
    events_without: int

    @property
    def same_share(self) -> float | None:
        """`same` of `own`; None if the log has no session."""
        return self.same / self.own if self.own else None

    @property
    def frame(self) -> pl.DataFrame:
        """One row of these numbers."""
        return pl.DataFrame(
            [{**asdict(self), "same_share": self.same_share}], schema_overrides={"same_share": pl.Float64}
        )


def compare_sessions(journeys: Journeys) -> SessionComparison:
    """Compare the sessions of journeys with the property ``session``.

    Parameters
    ----------
    journeys : Journeys
        Cut by a rule; the log's own session was read as ``session=``.

    Returns
    -------
    SessionComparison
        Counts.

    Raises
    ------
    ParameterError
        If the log has no session of its own.
    """
    if "session" not in journeys.source.columns:
        raise ParameterError(
            "the log has no session of its own to compare with. Pass session=<column name> when you read it."
        )
    sizes, users = np.diff(journeys.session_offsets), np.diff(journeys.user_offsets)
    frame = pl.DataFrame(
        {
            "user": np.repeat(np.arange(users.size), users),
            "cut": np.repeat(np.arange(sizes.size), sizes),
            "own": journeys.property("session"),
        }
    )
    known = frame.drop_nulls("own")
    pairs = known.group_by("user", "own", "cut").agg(pl.len().alias("events"))
    whole = pairs.with_columns(
        pl.len().over("user", "own").alias("parts"),
        pl.len().over("cut").alias("owners"),
        pl.lit(pl.Series(sizes)).gather(pl.col("cut")).alias("size"),
    )
    alone = (pl.col("parts") == 1) & (pl.col("owners") == 1) & (pl.col("events") == pl.col("size"))
    return SessionComparison(
        own=known.select("user", "own").n_unique() if known.height else 0,
        cut=journeys.n_sessions,
        same=int(whole.select(alone.sum()).item()),
        split=whole.filter(pl.col("parts") > 1).select("user", "own").n_unique(),
        joined=whole.filter(pl.col("owners") > 1)["cut"].n_unique(),
        events_without=frame.height - known.height,
    )
