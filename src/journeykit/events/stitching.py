"""What changes when ids are joined: users, sessions and the largest users of a log, before and after."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import polars as pl

from journeykit.errors import EmptyInputError, ParameterError
from journeykit.identity import Identity
from journeykit.identity.stitch import Stitched, Unmapped
from journeykit.ordering.user_ids import UserIds
from journeykit.sessions import SessionRule
from journeykit.support.durations import Duration
from journeykit.support.shares import percent

if TYPE_CHECKING:
    from journeykit.events.events import Events

LARGEST = 10


@dataclass(frozen=True, eq=False, repr=False)
class StitchReport:
    """A log before and after its ids were joined.

    Attributes
    ----------
    frame : polars.DataFrame
        ``measure``, ``before``, ``after``: users, sessions, events, sessions per user, events per user.
    ids : int
        Different ids in the log.
    ids_stitched : int
        Those that are one user with another id of the log.
    events_moved, events_left_out : int
        Events that became another user's, and events of unknown ids that were left out.
    largest : polars.DataFrame
        The users of the most ids of this log: ``user``, ``ids``, ``events``; at most 10.
    """

    frame: pl.DataFrame
    ids: int
    ids_stitched: int
    events_moved: int
    events_left_out: int
    largest: pl.DataFrame

    @property
    def share_stitched(self) -> float:
        """The share of the ids that are one user with another id of the log."""
        return self.ids_stitched / self.ids

    @property
    def sessions_merged(self) -> int:
        """How many sessions fewer there are: they were one session under two ids."""
        before, after = self.frame.filter(measure="sessions").select("before", "after").row(0)
        return int(before - after)

    def __repr__(self) -> str:
        share = percent(self.share_stitched)
        return (
            f"{self.ids_stitched:,} of {self.ids:,} ids ({share}) are one user with another; "
            f"{self.events_moved:,} events changed hands, {self.events_left_out:,} were left out; "
            f"{self.sessions_merged:,} sessions fewer.\n{self.frame}"
        )

    def _repr_html_(self) -> str:
        return self.frame._repr_html_()


def stitch_report(
    events: Events,
    identity: Identity,
    timeout: Duration | SessionRule | None = "30m",
    *,
    unmapped: Unmapped = "own",
    **options: Any,
) -> StitchReport:
    """Say what changes in this log when ids are joined.

    Parameters
    ----------
    identity : Identity
        Which ids are one user.
    timeout, **options
        How users are cut into sessions; see `sessionize`.
    unmapped : {"own", "drop"}
        See `stitch`.

    Returns
    -------
    StitchReport
        Users, sessions and events before and after.

    Raises
    ------
    ParameterError, EmptyInputError
        Those of `stitch` and `sessionize`.

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({"id": ["c1", "ann", "c2"], "time": [0, 9, 9], "event": ["see", "buy", "see"]})
    >>> events = jk.read_events(log, user="id", time="time", event="event", unit="s")
    >>> identity = jk.Identity.of(pl.DataFrame({"cookie": ["c1"], "login": ["ann"]}), ["cookie", "login"])
    >>> events.stitch_report(identity).frame.rows()[:2]
    [('users', 3.0, 2.0), ('sessions', 3.0, 2.0)]
    """
    stitched = users_of(events, identity, unmapped)
    after = under(events, stitched)
    measured = {"before": _measures(events, timeout, options), "after": _measures(after, timeout, options)}
    frame = pl.DataFrame(
        {
            "measure": list(measured["before"]),
            **{name: list(each.values()) for name, each in measured.items()},
        }
    )
    given = events.users.series()
    owners = pl.DataFrame({"id": given.cast(pl.String), "user": stitched.users})
    if stitched.known is not None:
        owners = owners.filter(stitched.known)
    users = owners.group_by("user").agg(
        pl.col("id").n_unique().cast(pl.Int64).alias("ids"), pl.len().cast(pl.Int64).alias("events")
    )
    joined = owners.filter(pl.col("user").is_in(users.filter(pl.col("ids") > 1)["user"].implode()))
    return StitchReport(
        frame,
        given.n_unique(),
        joined["id"].n_unique(),
        after.rows_moved - events.rows_moved,
        after.rows_unmapped - events.rows_unmapped,
        users.sort("ids", "user", descending=[True, False]).head(LARGEST),
    )


def users_of(events: Events, identity: Identity, unmapped: Unmapped) -> Stitched:
    """Tell whose every event is once ids are joined; errors as of ``Events.stitch``, but for a log of unknown ids."""
    return check_identity(identity).stitch(unmapped)(events.users.series(), events.columns["time"])


def under(events: Events, found: Stitched) -> Events:
    """Give every event to the user that was found for it.

    Raises
    ------
    EmptyInputError
        If no event is left.
    """
    users, columns = found.users, events.columns
    if found.known is not None:
        users, columns = users.filter(found.known), columns.filter(found.known)
    if not columns.height:
        raise EmptyInputError.unmapped()
    return replace(
        events,
        users=UserIds.of(users),
        columns=columns,
        rows_moved=events.rows_moved + found.moved,
        rows_unmapped=events.rows_unmapped + events.columns.height - columns.height,
    )


def check_identity(identity: Identity) -> Identity:
    """Refuse what is no identity."""
    if not isinstance(identity, Identity):
        raise ParameterError(
            f"stitch needs an Identity, not {identity!r}. Make one with jk.Identity.of(rows, ids=[...])."
        )
    return identity


def _measures(events: Events, timeout: Any, options: dict[str, Any]) -> dict[str, float]:
    journeys = events.sessionize(timeout, **options)
    users, sessions, count = journeys.n_users, journeys.n_sessions, journeys.n_events
    return {
        "users": float(users),
        "sessions": float(sessions),
        "events": float(count),
        "sessions per user": sessions / users,
        "events per user": count / users,
    }
