"""Some of the journeys: by events, sessions, users or time; the first few; a sample."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from numbers import Integral
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import polars as pl

from journeykit.errors import ParameterError, UnknownNameError, UnknownUserError
from journeykit.ordering.user_ids import hash_ids
from journeykit.patterns import OTHER_JOURNEYS, Matches, Pattern, match
from journeykit.ragged.array import Int64s, Ragged
from journeykit.ragged.taking import Flags, J, taken
from journeykit.ragged.views import column_names, columns_of
from journeykit.support.files import first_line
from journeykit.support.unknown_names import Missing, check_missing, refuse_unknown

Keep: TypeAlias = Literal["events", "sessions", "users"]
Matching: TypeAlias = Pattern | Matches | str
Users: TypeAlias = Iterable[str] | Iterable[int] | pl.Series | str | int

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MATCH = "__match"
SHOWN_CHARACTERS = 80


@dataclass(frozen=True, eq=False, repr=False)
class Selection:
    """What `select` asks of an event, checked; see there."""

    where: pl.Expr | None = None
    keep: Keep = "events"
    users: Users | None = None
    events: str | Iterable[str] | None = None
    start: datetime | None = None
    end: datetime | None = None
    missing: Missing = "raise"
    matching: Matching | None = None

    def __post_init__(self) -> None:
        if self.where is not None and not isinstance(self.where, pl.Expr):
            raise ParameterError(
                f"where must be a polars expression, not {self.where!r}. Write, for example, "
                f"where=pl.col('device') == 'mobile'."
            )
        if isinstance(self.matching, str):
            object.__setattr__(self, "matching", Pattern(self.matching))
        if self.matching is not None and not isinstance(self.matching, Pattern | Matches):
            raise ParameterError(
                f"matching must be a pattern, such as 'view ~> buy', or the matches of one, not {self.matching!r}."
            )
        if self.keep not in get_args(Keep):
            raise ParameterError.choice("keep", self.keep, get_args(Keep))
        check_missing(self.missing)
        for parameter in ("start", "end"):
            _check_moment(parameter, getattr(self, parameter))
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ParameterError(
                f"start must lie before end, and {self.start.isoformat()} does not lie before "
                f"{self.end.isoformat()}."
            )
        object.__setattr__(self, "events", _listed_events(self.events))
        object.__setattr__(self, "users", _listed_users(self.users))

    def __repr__(self) -> str:
        """Show what was asked for, in a line that is not too long."""
        shown = []
        if self.where is not None:
            shown.append(f"where={' '.join(str(self.where).split())}")
        if self.users is not None:
            shown.append(f"users=<{len(self.users):,} ids>")  # type: ignore[arg-type]
        if self.events is not None:
            shown.append(f"events={list(self.events)!r}")
        if self.matching is not None:
            shown.append(f"matching={_text(self.matching)!r}")
        shown += [f"{end}={getattr(self, end).isoformat()}" for end in ("start", "end") if getattr(self, end)]
        short = [one if len(one) <= SHOWN_CHARACTERS else f"{one[:SHOWN_CHARACTERS]}..." for one in shown]
        return f"filter({', '.join([*short, f'keep={self.keep!r}'])})"


def select(
    journeys: J,
    where: pl.Expr | None = None,
    *,
    keep: Keep = "events",
    users: Users | None = None,
    events: str | Iterable[str] | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    matching: Matching | None = None,
    missing: Missing = "raise",
) -> J:
    """Keep the events that match everything asked for, or the sessions or users that have such an event.

    Parameters
    ----------
    where : polars.Expr, optional
        True or false of the columns of ``journeys.frame``; null is no match (D0.3).
    keep : {"events", "sessions", "users"}
        ``"events"``: matching events only; the neighbours of those left out become neighbours.
        ``"sessions"``, ``"users"``: whole sessions or users with at least one matching event.
    users : id, iterable of ids or polars.Series, optional
        Whose events match.
    events : str or iterable of str, optional
        Names of events that match.
    start, end : datetime, optional
        Events in ``[start, end)`` match. With a time zone.
    matching : Pattern, str or Matches, optional
        The events of all matches of a pattern match, or those of these matches. D8.11.
    missing : {"raise", "ignore", "warn"}
        What to do about names and users that are not there (D0.9). A pattern has a choice of its own.

    Returns
    -------
    Journeys
        Sessions and stages keep what they were: nothing is cut or assigned anew. Sessions and users without
        an event disappear, and a user's sessions are numbered from 1 again. The vocabulary stays, so that
        codes compare between parts of one log. What was left out is counted in ``provenance.notes``; the
        ties counted there are those of the whole log.

        `end` moves ``observed_until`` to it, since nothing is known of what came later, `start` moves
        ``observed_from``; with ``keep="sessions"`` no further than whole sessions reach. ``keep="users"``
        and the other filters leave the span as it is. D1.6.

    Raises
    ------
    UnknownNameError
        If a name or a user is not there.
    UnknownPropertyError
        If `where` names a column that is not there.
    ParameterError
        If a parameter has a value it cannot take, `where` is not true or false of every event, or matches are those
        of other journeys.
    PatternError
        If the text of `matching` is no pattern.

    Notes
    -----
    O(n). The properties are shared with the journeys before.
    """
    asked = Selection(where, keep, users, events, start, end, missing, matching)
    return apply(asked, journeys)


def apply(asked: Selection, journeys: J) -> J:
    """Run a selection; see `select`."""
    kept = _matches(asked, journeys)
    if asked.keep == "sessions":
        hit = _any(kept, journeys.session_offsets)
        if journeys.sessions_inside is not None:
            hit &= journeys.sessions_inside
        kept = np.repeat(hit, np.diff(journeys.session_offsets))
    elif asked.keep == "users":
        kept = np.repeat(_any(kept, journeys.user_offsets), np.diff(journeys.user_offsets))
    return spanned(asked, noted(journeys, taken(journeys, kept), repr(asked)))


def head(journeys: J, n_users: int = 5) -> J:
    """Keep the users with the smallest hashes (D12.1), whole: the same few on every machine and engine.

    Parameters
    ----------
    n_users : int, default 5
        How many, 0 or more.

    Returns
    -------
    Journeys
        All users if there are fewer.

    Raises
    ------
    ParameterError
        If `n_users` is negative or not a whole number.
    """
    chosen = _by_hash(journeys)[: counted_users(n_users)]
    return noted(journeys, _of_users(journeys, chosen), f"head({n_users})")


def sample(journeys: J, n_users: int, *, rng: int | np.random.Generator) -> J:
    """Keep users drawn at random without replacement, whole.

    Parameters
    ----------
    n_users : int
        How many, 0 or more.
    rng : int or numpy.random.Generator
        A seed or a generator. The same seed draws the same users, in whatever order the log was. D0.7.

    Returns
    -------
    Journeys
        All users if there are fewer.

    Raises
    ------
    ParameterError
        If `n_users` is negative or not a whole number, or `rng` is neither a seed nor a generator.
    """
    users, wanted, generator = _by_hash(journeys), counted_users(n_users), generator_of(rng)
    chosen = generator.choice(users, min(wanted, users.size), replace=False)
    return noted(journeys, _of_users(journeys, chosen), f"sample({n_users})")


def _matches(asked: Selection, journeys: Ragged) -> Flags:
    """Say of every event, in stored order, whether it matches."""
    users = None if asked.users is None else _user_flags(asked, journeys)
    codes = None if asked.events is None else code_flags(asked, journeys)
    matches = np.ones(journeys.event_codes.size, np.bool_)
    if journeys.user_range is not None:
        first, last = journeys.user_offsets[list(journeys.user_range)]
        matches[:first] = matches[last:] = False
    if users is not None:
        matches &= np.repeat(users, np.diff(journeys.user_offsets))
    if codes is not None:
        matches &= codes[journeys.event_codes]
    if asked.start is not None:
        matches &= journeys.times >= _micro(asked.start)
    if asked.end is not None:
        matches &= journeys.times < _micro(asked.end)
    if asked.where is not None:
        matches &= _evaluated(asked.where, journeys)
    if asked.matching is not None:
        matches &= _matching(asked.matching, journeys)
    return matches


def _text(matching: Matching | None) -> str:
    pattern = matching.pattern if isinstance(matching, Matches) else matching
    return pattern.text if isinstance(pattern, Pattern) else str(pattern)


def _matching(matching: Matching, journeys: Ragged) -> Flags:
    if not isinstance(matching, Matches):
        matching = match(journeys, matching, "all")
    elif matching.journeys is not journeys:
        raise ParameterError(OTHER_JOURNEYS)
    return matching.marks()


def _evaluated(where: pl.Expr, journeys: Ragged) -> Flags:
    whole = replace(journeys, user_range=None)
    several = where.meta.has_multiple_outputs()
    needed = column_names(whole) if several else where.meta.root_names() or ["event"]
    frame = columns_of(whole, dict.fromkeys(needed))
    try:
        answer = frame.with_columns(where.alias(MATCH)).get_column(MATCH)
    except (pl.exceptions.PolarsError, TypeError, ValueError) as error:
        raise ParameterError(
            f"where does not fit the columns of these journeys: {first_line(error)}"
        ) from error
    if answer.dtype not in (pl.Boolean, pl.Null):
        raise ParameterError(f"where must be true or false of an event, but gives {answer.dtype}.")
    found = answer.cast(pl.Boolean).fill_null(False).to_numpy()
    if journeys.time_order is None:
        return found
    stored = np.empty_like(found)
    stored[journeys.time_order] = found
    return stored


def code_flags(asked: Selection, journeys: Ragged) -> Flags:
    """Say of every name of the vocabulary whether its events are asked for; refuse those that it does not have."""
    wanted = pl.Series(list(asked.events or ()), dtype=pl.String)
    unknown = wanted.filter(~wanted.is_in(journeys.names.implode())).to_list()
    if unknown:
        refuse_unknown(UnknownNameError("event", unknown, journeys.names), asked.missing)
    return journeys.names.is_in(wanted.implode()).to_numpy()


def _user_flags(asked: Selection, journeys: Ragged) -> Flags:
    assert isinstance(asked.users, pl.Series)
    ids, wanted = journeys.users, _like(asked.users, journeys.users.dtype)
    if asked.missing != "ignore" and (unknown := absent_users(asked, ids)):
        refuse_unknown(UnknownUserError(*unknown_users(asked, unknown), ids.to_list()), asked.missing)
    return ids.is_in(wanted.drop_nulls().implode()).to_numpy()


def absent_users(asked: Selection, ids: pl.Series) -> frozenset[Any]:
    """Return the users asked for that are not among the ids."""
    assert isinstance(asked.users, pl.Series)
    wanted = _like(asked.users, ids.dtype)
    return frozenset(asked.users.filter(~wanted.is_in(ids.implode()).fill_null(False)).to_list())


def unknown_users(asked: Selection, unknown: frozenset[Any]) -> tuple[list[Any], int]:
    """Return these users in the order in which they were asked for, and how many were."""
    assert isinstance(asked.users, pl.Series)
    return [
        user for user in asked.users.unique(maintain_order=True) if user in unknown
    ], asked.users.n_unique()


def _like(given: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Bring ids into the type of the users; null for what cannot be one."""
    if dtype == pl.String and isinstance(given.dtype, pl.String | pl.Categorical | pl.Enum):
        return given.cast(pl.String)
    if dtype == pl.Int64 and given.dtype.is_integer():
        return given.cast(pl.Int64, strict=False)
    return pl.Series([None], dtype=dtype).new_from_index(0, len(given))


def _of_users(journeys: J, positions: Int64s) -> J:
    chosen = np.zeros(journeys.user_offsets.size - 1, np.bool_)
    chosen[positions] = True
    return taken(journeys, np.repeat(chosen, np.diff(journeys.user_offsets)))


def _by_hash(journeys: Ragged) -> Int64s:
    """Order the users by hash, equal hashes by id, whatever the order of the log."""
    first, last = journeys.user_range or (0, journeys.user_offsets.size - 1)
    users = journeys.users[first:last].rechunk()
    order = pl.DataFrame({"hash": hash_ids(users), "user": users}).with_row_index("position", first)
    return order.sort("hash", "user")["position"].cast(pl.Int64).to_numpy()


def _any(kept: Flags, offsets: Int64s) -> Flags:
    """Say of every part whether it has an event that is kept."""
    before = np.concatenate([[0], np.cumsum(kept)])
    found: Flags = np.diff(before[offsets]) > 0
    return found


def noted(before: J, after: J, verb: str) -> J:
    """Count what a verb left out."""
    counts = {
        "events": (before.n_events, after.n_events),
        "sessions": (before.n_sessions, after.n_sessions),
        "users": (before.n_users, after.n_users),
    }
    lost = [f"{had - has:,} of {had:,} {kind}" for kind, (had, has) in counts.items() if had > has]
    notes = after.provenance.notes
    if lost:
        *others, last = lost
        said = f"{', '.join(others)} and {last}" if others else last
        notes = (*notes, f"{verb} left out {said}.")
    verbs = (*after.provenance.verbs, verb)
    return replace(after, provenance=replace(after.provenance, notes=notes, verbs=verbs))


def spanned(asked: Selection, journeys: J) -> J:
    """Move the span of observation to where time was cut."""
    first, last = journeys.observed_from, journeys.observed_until
    if asked.keep == "users":
        return journeys
    whole_sessions = asked.keep == "sessions" and journeys.times.size
    if asked.end is not None:
        reach = int(journeys.times.max()) if whole_sessions else first
        last = min(last, max(_micro(asked.end), reach))
    if asked.start is not None:
        reach = int(journeys.times.min()) if whole_sessions else last
        first = max(first, min(_micro(asked.start), reach))
    if (first, last) == (journeys.observed_from, journeys.observed_until):
        return journeys
    return replace(journeys, observed_from=first, observed_until=last)


def _listed_events(names: object) -> tuple[str, ...] | None:
    if names is None:
        return None
    listed = (names,) if isinstance(names, str) else tuple(names) if isinstance(names, Iterable) else (names,)
    if not all(isinstance(name, str) for name in listed):
        raise ParameterError(f"events cannot be {names!r}. Give a name or a list of names.")
    return tuple(dict.fromkeys(listed))


def _listed_users(users: object) -> pl.Series | None:
    if users is None or isinstance(users, pl.Series):
        return users
    listed = list(users) if isinstance(users, Iterable) and not isinstance(users, str) else [users]
    if not all(isinstance(user, str) for user in listed) and not all(_is_whole(user) for user in listed):
        raise ParameterError(
            f"users cannot be {str(users)[:SHOWN_CHARACTERS]}. Give an id, a list of ids (all texts or all "
            f"whole numbers) or a polars Series."
        )
    return pl.Series("users", listed, dtype=pl.String if listed and isinstance(listed[0], str) else None)


def _check_moment(parameter: str, moment: object) -> None:
    if moment is None:
        return
    if not isinstance(moment, datetime):
        raise ParameterError(f"{parameter} cannot be {moment!r}. Give a datetime with a time zone.")
    if moment.tzinfo is None:
        raise ParameterError(f"{parameter} needs a time zone. Pass datetime(..., tzinfo=UTC), for example.")


def _micro(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def counted_users(n_users: object) -> int:
    """Refuse what is no number of users."""
    if not _is_whole(n_users) or n_users < 0:  # type: ignore[operator]
        raise ParameterError(f"n_users cannot be {n_users!r}. Give a whole number, 0 or more.")
    return int(n_users)  # type: ignore[call-overload, no-any-return]


def generator_of(rng: object) -> np.random.Generator:
    """Return a generator, made of a seed if it is one."""
    if isinstance(rng, np.random.Generator):
        return rng
    if not _is_whole(rng) or rng < 0:  # type: ignore[operator]
        raise ParameterError(
            f"rng cannot be {rng!r}. Give a seed (a whole number, 0 or more) or a numpy.random.Generator."
        )
    return np.random.default_rng(int(rng))  # type: ignore[call-overload]
