"""The cut of every user's events into sessions. DEFINITIONS D2."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import InputError, UnknownNameError
from journeykit.sessions.rule import CUTTING, NEVER, SessionRule, longest_gap
from journeykit.support.durations import MICROSECONDS, microseconds
from journeykit.support.slices import offsets, places_of
from journeykit.support.unknown_names import refuse_unknown

CAUSES = (
    "first",
    "timeout",
    "max_duration",
    "max_events",
    "burst",
    "split_at",
    "split_on",
    "start_events",
    "end_events",
    "session_column",
    "outside",
)
"""What opened a session, in the order of D2.1; a cause is stored as its position here."""

SESSION_COLUMN, OUTSIDE = CAUSES.index("session_column"), CAUSES.index("outside")
PARALLEL_FROM = 200_000
HOUR, DAY = MICROSECONDS["h"], MICROSECONDS["d"]

Int64s = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Result = TypeVar("Result")


class Log(Protocol):
    """What `cut` reads: events ordered by D1.3, one user after another."""

    @property
    def user_offsets(self) -> Int64s:
        """Where each user's events start; the first is 0, the last the number of events."""

    @property
    def times(self) -> Int64s:
        """Microseconds since the epoch, UTC, not falling within a user."""

    @property
    def event_codes(self) -> npt.NDArray[np.unsignedinteger]:
        """Position of each event's name in `names`."""

    @property
    def names(self) -> pl.Series:
        """Names of the events."""

    @property
    def session_values(self) -> pl.Series | None:
        """The log's own session of each event, or None if no column has this role."""

    @property
    def tz(self) -> str:
        """Time zone of the local days."""

    def property(self, name: str) -> pl.Series:
        """Give a kept property of each event, or raise UnknownPropertyError."""


class SessionCut(NamedTuple):
    """Where the sessions of a log are.

    Attributes
    ----------
    session_offsets : int64[S+1]
        Where each session's events start, in the order of the log, or in `order` if that is given.
    user_sessions : int64[U+1]
        Each user's first session; a user's sessions follow each other by their first event (D2.4).
    causes : uint8[S]
        What opened each, as a position in `CAUSES`.
    inside : bool[S] or None
        False for a run of events outside any session; None if there is no such run.
    order : int64[n] or None
        With interleaved sessions: the events so that each session is contiguous, in the order of D1.3 inside.
    """

    session_offsets: Int64s
    user_sessions: Int64s
    causes: Bytes
    inside: npt.NDArray[np.bool_] | None = None
    order: Int64s | None = None


def cut(rule: SessionRule, log: Log, *, threads: int | None = None) -> SessionCut:
    """Cut every user's events into sessions. D2.1 to D2.4.

    Parameters
    ----------
    rule : SessionRule
        When a session begins.
    log : Log
        n events of U users.
    threads : int, optional
        Ranges of users worked on at the same time; by default as many as polars uses, and one for a log
        of fewer than 200,000 events.

    Returns
    -------
    SessionCut
        S sessions and runs outside any. It does not depend on `threads`.

    Raises
    ------
    UnknownNameError
        If the rule names an event that the log does not have.
    UnknownPropertyError
        If `split_on` names a property that was not kept.
    InputError
        If the rule needs the log's own sessions and there are none, or nulls among them.

    Notes
    -----
    Two passes, O(n) time, one byte per event; 4 more for ``split_at`` and for each column of ``split_on``.
    Sessions from a column cost a grouping of their runs.
    """
    known = log.names.to_list() if rule.events else []
    unknown = sorted(set(rule.events) - set(known))
    if unknown:
        refuse_unknown(UnknownNameError("event", unknown, known), rule.missing)
    if threads is None:
        threads = pl.thread_pool_size() if log.times.size >= PARALLEL_FROM else 1
    return _cut_by_column(rule, log, threads) if rule.session_column else _cut_by_rule(rule, log, threads)


def _cut_by_rule(rule: SessionRule, log: Log, threads: int) -> SessionCut:
    """Mark where sessions open, then write the marks down as offsets, both over ranges of users."""
    from journeykit.kernels.paths.sessions import fill_sessions

    users, events = log.user_offsets, log.times.size
    marks = np.empty(events, np.uint8)
    mark = _marker(rule, log, marks)
    ranges = _user_ranges(users, threads)
    begins = np.cumsum([0, *_each(mark, ranges)]).tolist()
    session_offsets, causes = np.empty(begins[-1] + 1, np.int64), np.empty(begins[-1], np.uint8)
    user_sessions = np.empty(users.size, np.int64)
    session_offsets[-1], user_sessions[-1] = events, begins[-1]

    def fill(first: int, last: int, begin: int, end: int) -> None:
        fill_sessions(
            users[first : last + 1], marks, begin, end, session_offsets, causes, user_sessions[first:last]
        )

    _each(fill, [(*span, *sessions) for span, sessions in zip(ranges, pairwise(begins), strict=True)])
    inside = causes != OUTSIDE
    return SessionCut(session_offsets, user_sessions, causes, None if inside.all() else inside)


def _marker(rule: SessionRule, log: Log, marks: Bytes) -> Callable[[int, int], int]:
    """Choose the kernel, and gather what it reads besides the times."""
    from journeykit.kernels.paths.sessions import mark_sessions, mark_timeouts

    users, times = log.user_offsets, log.times
    if not rule.passive and all(getattr(rule, name) in (None, ()) for name in CUTTING):
        gap = longest_gap(rule)
        return lambda first, last: mark_timeouts(users[first : last + 1], times, gap, marks)
    codes, roles = log.event_codes, _roles(rule, log.names)
    days = _local_days(times, log.tz) if rule.split_at == "day" else np.empty(0, np.int32)
    columns = np.zeros((len(rule.split_on), times.size), np.uint32)
    for column, name in zip(columns, rule.split_on, strict=True):
        column[:] = _value_runs(log.property(name), rule, log)
    burst = (-1, 0) if rule.burst is None else (rule.burst[0], microseconds(rule.burst[1], "burst"))
    longest = NEVER if rule.max_duration is None else microseconds(rule.max_duration, "max_duration")
    most = NEVER if rule.max_events is None else rule.max_events
    limits = np.array([longest_gap(rule), longest, most, *burst], np.int64)
    return lambda first, last: mark_sessions(
        users[first : last + 1], times, codes, roles, days, columns, limits, marks
    )


def _cut_by_column(rule: SessionRule, log: Log, threads: int) -> SessionCut:
    """Group the runs of equal session values of each user; most often each run is a session."""
    if log.session_values is None:
        raise InputError("these events have no session column. Pass session=<column name> to read_events.")
    users = log.user_offsets
    parts, part_causes = _null_parts(rule, log, log.session_values.is_null().to_numpy(), threads)
    keys = pl.DataFrame({"value": log.session_values, "part": parts})
    changed = keys.select(pl.any_horizontal(pl.all().ne_missing(pl.all().shift()))).to_series()
    changes = changed.to_numpy(writable=True)
    changes[users[:-1][np.diff(users) > 0]] = True
    starts = np.flatnonzero(changes)
    run_users = np.searchsorted(users, starts, side="right") - 1
    first = _first_runs(keys[starts].with_columns(user=pl.Series(run_users)))
    opens = first == np.arange(starts.size)
    session = (np.cumsum(opens) - 1)[first]
    lengths = np.diff(starts, append=log.times.size)
    runs = np.argsort(session, kind="stable")
    order = None if opens.all() else places_of(starts[runs], lengths[runs])
    sizes = np.bincount(session, lengths, int(opens.sum())).astype(np.int64)
    causes = part_causes[parts[starts[opens]]]
    inside = causes != OUTSIDE
    owners = run_users[opens][inside]
    causes[np.flatnonzero(inside)[np.diff(owners, prepend=-1) != 0]] = 0
    user_sessions = np.searchsorted(starts[opens], users)
    return SessionCut(offsets(sizes), user_sessions, causes, None if inside.all() else inside, order)


def _first_runs(keys: pl.DataFrame) -> Int64s:
    """Give the first run with the same keys for each run."""
    # As many hashes as runs prove that all differ; fewer prove nothing, and the keys themselves are compared.
    if keys.hash_rows().n_unique() == keys.height:
        return np.arange(keys.height)
    first = pl.col("run").first().over("user", "part", "value")
    return keys.with_row_index("run").select(first.cast(pl.Int64)).to_series().to_numpy()


def _null_parts(
    rule: SessionRule, log: Log, nulls: npt.NDArray[np.bool_], threads: int
) -> tuple[Int64s, Bytes]:
    """Count up the sessions of the rows without a value (0: a value), and say what opens each."""
    parts = np.zeros(nulls.size, np.int64)
    missing = int(nulls.sum())
    check_nulls(rule, missing, nulls.size)
    causes = np.full(missing + 1, SESSION_COLUMN, np.uint8)
    if rule.null_session == "own":
        parts[nulls] = np.arange(1, missing + 1)
    elif rule.null_session == "outside":
        parts[nulls] = np.cumsum(nulls & ~np.concatenate([[False], nulls[:-1]]))[nulls]
        causes[1:] = OUTSIDE
    elif missing:
        within = _cut_by_rule(rule, _Rows(log, nulls), threads)
        parts[nulls] = np.repeat(np.arange(1, within.causes.size + 1), np.diff(within.session_offsets))
        causes[1 : within.causes.size + 1] = np.where(within.causes == 0, SESSION_COLUMN, within.causes)
    return parts, causes


def check_nulls(rule: SessionRule, missing: int, rows: int) -> None:
    """Refuse rows without a session, where the rule takes the log's own and does not say what they are.

    Raises
    ------
    InputError
        If there are any.
    """
    if missing and rule.session_column and rule.null_session == "raise":
        raise InputError(
            f"the session column is null in {missing:,} of {rows:,} rows. Pass null_session='own' "
            f"(each such row is a session), 'rule' (the timeout cuts them) or 'outside' (they are in no "
            f"session)."
        )


class _Rows:
    """The rows of a log where a mask is true, as a log."""

    def __init__(self, log: Log, kept: npt.NDArray[np.bool_]) -> None:
        self._log, self._kept = log, pl.Series(kept)
        self.user_offsets: Int64s = offsets(kept)[log.user_offsets]
        self.times, self.event_codes = log.times[kept], log.event_codes[kept]
        self.names, self.session_values, self.tz = log.names, None, log.tz

    def property(self, name: str) -> pl.Series:
        return self._log.property(name).filter(self._kept)


def _roles(rule: SessionRule, names: pl.Series) -> Bytes:
    """Give each name of an event the bits of what the rule says of it."""
    from journeykit.kernels.paths.sessions import ENDS, PASSIVE, STARTS

    roles = np.zeros(len(names), np.uint8)
    for bit, named in ((STARTS, rule.start_events), (ENDS, rule.end_events), (PASSIVE, rule.passive)):
        roles[names.is_in(list(named)).to_numpy()] |= np.uint8(bit)
    return roles


def _value_runs(values: pl.Series, rule: SessionRule, log: Log) -> npt.NDArray[np.uint32]:
    """Count up the runs of equal values from 1; 0 where it is null or the event is passive.

    Within a session only neighbours among the others are compared, so that runs do for values.
    """
    present = values.is_not_null().to_numpy()
    if rule.passive:
        present &= ~log.names.is_in(list(rule.passive)).to_numpy()[log.event_codes]
    runs = np.zeros(present.size, np.uint32)
    runs[present] = values.filter(pl.Series(present)).rle_id().to_numpy() + 1
    return runs


def _local_days(times: Int64s, tz: str) -> npt.NDArray[np.int32]:
    """Give the local date of each event, in days since the epoch. D1.7.

    The zone is asked for the first and last moment of every hour of the span, and for each event only of the
    few hours in which clocks change: six times as fast as asking it for every event.
    """
    hours = times // HOUR
    first, last = (int(hours.min()), int(hours.max())) if times.size else (0, 0)
    if last - first >= max(times.size, 1000):
        return (_local(times, tz) // DAY).astype(np.int32)
    begins = np.arange(first, last + 1) * HOUR
    offsets = _local(begins, tz) - begins
    changing = offsets != _local(begins + HOUR - 1, tz) - begins - HOUR + 1
    hours -= first
    days = ((times + offsets[hours]) // DAY).astype(np.int32)
    if changing.any():
        rows = np.flatnonzero(changing[hours])
        days[rows] = _local(times[rows], tz) // DAY
    return days


def _local(times: Int64s, tz: str) -> Int64s:
    """Give what local clocks show, as microseconds of a zone without offset."""
    moments = pl.Series(times).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(tz)
    return moments.dt.replace_time_zone(None).to_physical().to_numpy()


def _user_ranges(user_offsets: Int64s, pieces: int) -> list[tuple[int, int]]:
    """Divide the users into contiguous ranges of about as many events."""
    users, wanted = user_offsets.size - 1, np.linspace(0, user_offsets[-1], pieces + 1)
    bounds = [0, *np.searchsorted(user_offsets, wanted[1:-1]).tolist(), users]
    return [(first, last) for first, last in pairwise(bounds) if first < last]


def _each(work: Callable[..., Result], spans: Sequence[tuple[int, ...]]) -> list[Result]:
    """Do the work for each span, several at the same time; kernels release the interpreter's lock."""
    if len(spans) < 2:
        return [work(*span) for span in spans]
    with ThreadPoolExecutor(len(spans)) as pool:
        return list(pool.map(lambda span: work(*span), spans))
