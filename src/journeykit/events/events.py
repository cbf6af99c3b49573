"""Events: a log with canonical columns, read and checked, ready to be cut into journeys. DEFINITIONS D1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError, UnknownPropertyError
from journeykit.journeys.journeys import Journeys
from journeykit.ordering.order import OrderedEvents, order_events
from journeykit.ordering.user_ids import UserIds
from journeykit.ordering.vocabulary import encode_events
from journeykit.ragged.array import Provenance
from journeykit.sessions import SessionRule, cut
from journeykit.sources.canonical import InvalidCounts
from journeykit.support.durations import Duration
from journeykit.support.lazily import Later
from journeykit.support.precision import day_events

if TYPE_CHECKING:
    from journeykit.events.quality import Quality
    from journeykit.events.report import check
    from journeykit.events.session_comparison import SessionComparison
    from journeykit.events.stitching import stitch_report
    from journeykit.identity import Identity
    from journeykit.identity.stitch import Unmapped
    from journeykit.privacy.rules import PrivacyRules
else:
    check = Later("journeykit.events.report", "check")
    stitch_report = Later("journeykit.events.stitching", "stitch_report")

Int64s = npt.NDArray[np.int64]
COLUMNS = ("time", "event", "order")


@dataclass(frozen=True, eq=False, repr=False)
class Events:
    """A log in memory: who, when, what, and the properties that were kept, in input order.

    Made by `read_events`. Nothing changes it.

    Attributes
    ----------
    users : UserIds
        Who, for every row.
    columns : polars.DataFrame
        ``time`` (Datetime, UTC, microseconds), ``event`` (Enum), then ``session``, ``order`` and ``value`` as far
        as given, then the kept properties. Valid rows only.
    counts : InvalidCounts
        Rows read, and rows left out for want of a user, time or event.
    duplicates_dropped : int
        Rows left out because they equal an earlier one.
    tz : str
        The time zone of calendar days, weeks and months.
    time_format : str or None
        The format in which texts were read as times.
    local_zone : str or None
        The zone in which times without one were placed.
    observed_from, observed_until : datetime
        The span of observation. D1.6.
    notes : tuple of str
        What the reader of an export met on the way, such as a column that only some files have.
    rows_moved, rows_unmapped : int
        Rows that `stitch` gave to another user, and rows of unknown ids that it left out.
    """

    users: UserIds
    columns: pl.DataFrame
    counts: InvalidCounts
    duplicates_dropped: int
    tz: str
    time_format: str | None
    local_zone: str | None
    observed_from: datetime
    observed_until: datetime
    read_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    notes: tuple[str, ...] = ()
    rows_moved: int = 0
    rows_unmapped: int = 0

    stitch_report = stitch_report

    @cached_property
    def frame(self) -> pl.DataFrame:
        """The whole log: ``user`` (String or Int64), then `columns`. The ids are written out when it is asked for."""
        return self.columns.clone().insert_column(0, self.users.series())

    @property
    def kept(self) -> tuple[str, ...]:
        """The names of the kept properties, the session and the value among them."""
        return tuple(name for name in self.columns.columns if name not in COLUMNS)

    @cached_property
    def quality(self) -> Quality:
        """Rows read and dropped, duplicates, ties, span, heavy users, broken clocks. D1.9."""
        from journeykit.events.quality import quality

        return quality(
            self.frame,
            self.counts,
            duplicates_dropped=self.duplicates_dropped,
            local_zone=self.local_zone,
            time_format=self.time_format,
            now=self.read_at,
            notes=self.notes,
        )

    check = check

    def sessionize(self, timeout: Duration | SessionRule | None = "30m", **options: Any) -> Journeys:
        """Order the events of every user, and cut them into sessions.

        Parameters
        ----------
        timeout : str, timedelta, SessionRule or None
            Longest silence inside a session, for example ``"30m"``: a silence of exactly this does not cut.
            None: silence never cuts. Or a whole rule, such as ``jk.sessions.ga4()`` or
            ``SessionRule.from_column()``.
        **options
            The other options of `SessionRule`, such as ``max_duration="12h"``.

        Returns
        -------
        Journeys
            The same events in the order (user, time, order, input row), with session boundaries. D1.3, D2.

        Raises
        ------
        ParameterError
            If an option has a value it cannot take.
        UnknownNameError
            If the rule names an event that the log does not have.

        Notes
        -----
        O(n) when the log is in time order, else one stable sort per user. 36 bytes per user and piece of 65,536 rows
        while it works, 13 per event in the result.

        Examples
        --------
        >>> log = pl.DataFrame({"user": ["a", "a", "b"], "time": [0, 3600, 60], "event": ["x", "y", "x"]})
        >>> import journeykit as jk
        >>> jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m").n_sessions
        3
        """
        rule = session_rule(timeout, options)
        return _journeys(self, self._ordered(), rule)

    def compare_sessions(
        self, timeout: Duration | SessionRule | None = "30m", **options: Any
    ) -> SessionComparison:
        """Compare the log's own sessions with those of a rule.

        Parameters
        ----------
        timeout, **options
            The rule, as for `sessionize`.

        Returns
        -------
        SessionComparison
            How many sessions are the same, split by the rule, or joined by it.

        Raises
        ------
        ParameterError
            If the log has no session of its own, or an option a value it cannot take.

        Examples
        --------
        >>> import journeykit as jk
        >>> log = pl.DataFrame({"user": ["a"] * 3, "at": [0, 60, 7200], "event": ["x", "y", "z"], "visit": [1, 2, 2]})
        >>> events = jk.read_events(log, user="user", time="at", event="event", unit="s", session="visit")
        >>> events.compare_sessions("30m")
        SessionComparison(own=2, cut=2, same=0, split=1, joined=1, events_without=0)
        """
        from journeykit.events.session_comparison import compare_sessions

        return compare_sessions(self.sessionize(timeout, **options))

    def pseudonymize(self, key: bytes, columns: Sequence[str] = ()) -> Events:
        """Replace the ids of the users by pseudonyms. D16.2.

        Parameters
        ----------
        key : bytes
            16 to 64 bytes that nobody else knows, such as ``secrets.token_bytes(32)``. It is kept nowhere: who loses it
            makes other pseudonyms, who has it can tell whose they are.
        columns : sequence of str
            Properties that hold ids too, such as the user who invited, and the ``session``: the same id gets the same
            pseudonym.

        Returns
        -------
        Events
            The same log; users are texts of 32 hexadecimal characters.

        Raises
        ------
        ParameterError
            If the key is no such bytes; no byte of it is in the message.
        UnknownPropertyError
            If a column was not kept.

        Notes
        -----
        See `pseudonyms`. One hash per distinct id. Jackknife groups (D12.1) are those of the pseudonyms, so that
        intervals differ a little from those of the ids.

        Examples
        --------
        >>> import journeykit as jk
        >>> log = pl.DataFrame({"user": ["ada", "ada"], "time": [0, 60], "event": ["x", "y"]})
        >>> events = jk.read_events(log, user="user", time="time", event="event", unit="s")
        >>> events.pseudonymize(b"0123456789abcdef").frame["user"].n_unique()
        1
        """
        from journeykit.privacy.pseudonyms import pseudonyms

        self._check_kept(columns)
        made = {name: pseudonyms(self.columns[name], key) for name in columns}
        users = UserIds.of(pseudonyms(self.users.series(), key))
        return replace(self, users=users, columns=self.columns.with_columns(made.values()))

    def protect(self, rules: PrivacyRules, *, key: bytes | None = None) -> Events:
        """Leave out, coarsen, cut and scrub columns, before anybody works with them.

        Parameters
        ----------
        rules : PrivacyRules
            What happens to which column. The ids of the users are the business of `pseudonymize`.
        key : bytes, optional
            For ``rules.pseudonymize``.

        Returns
        -------
        Events
            The same rows.

        Raises
        ------
        ParameterError
            If a rule names a column that was not kept or does not fit, or a key is missing.

        Examples
        --------
        >>> import journeykit as jk
        >>> log = pl.DataFrame({"user": [1], "time": [0], "event": ["/a?token=1"], "ip": ["203.0.113.9"]})
        >>> events = jk.read_events(log, user="user", time="time", event="event", keep=["ip"], unit="s")
        >>> events.protect(jk.PrivacyRules(urls=["event"], ips=["ip"])).frame.row(0)[2:]
        ('/a', '203.0.113.0')
        """
        from journeykit.privacy.pseudonyms import pseudonyms

        rules.check(self.kept)
        if rules.pseudonymize and key is None:
            raise ParameterError("rules.pseudonymize needs a key. Pass key=<16 to 64 secret bytes>.")
        kept = self.columns.drop(rules.drop)
        made = [rules.applied(kept[name]) for name in rules.columns if name in kept.columns]
        named = {each.name: each for each in made}
        named |= {
            name: pseudonyms(kept[name], key) for name in rules.pseudonymize if name in kept.columns and key
        }
        protected = kept.with_columns(named.values())
        return replace(self, columns=encode_events(protected) if "event" in named else protected)

    def _check_kept(self, columns: Sequence[str]) -> None:
        for name in columns:
            if name not in self.kept:
                raise UnknownPropertyError(name, self.kept)

    def stitch(self, identity: Identity, *, unmapped: Unmapped = "own") -> Events:
        """Give every event to the user that its id belongs to.

        Parameters
        ----------
        identity : Identity
            Which ids are one user.
        unmapped : {"own", "drop"}
            What becomes of events of ids that the identity does not know: each such id is a user, or they are left out.

        Returns
        -------
        Events
            The same rows in the same order, their users as texts; a note of the journeys says how many changed hands.

        Raises
        ------
        ParameterError
            If `identity` is none, or `unmapped` no choice.
        EmptyInputError
            If no event is left.

        Notes
        -----
        Users are cut and ordered by who they are then. About 0.2 s per million events. D1.8.

        Examples
        --------
        >>> import journeykit as jk
        >>> log = pl.DataFrame({"id": ["c1", "ann"], "time": [0, 9], "event": ["see", "buy"]})
        >>> pairs, rules = pl.DataFrame({"cookie": ["c1"], "login": ["ann"]}), jk.IdentityRules(strong="login")
        >>> identity = jk.Identity.of(pairs, ["cookie", "login"], rules=rules)
        >>> events = jk.read_events(log, user="id", time="time", event="event", unit="s")
        >>> events.stitch(identity).frame["user"].to_list()
        ['ann', 'ann']
        """
        from journeykit.events.stitching import under, users_of

        return under(self, users_of(self, identity, unmapped))

    def _ordered(self) -> OrderedEvents:
        frame = self.columns
        ties = None
        if "order" in frame.columns:
            last = frame.height + 1
            ties = frame["order"].rank("dense").cast(pl.Int64).fill_null(last).to_numpy()
        times = frame["time"].to_physical()
        return order_events(self.users, times, frame["event"].to_physical(), ties)

    def __repr__(self) -> str:
        span = f"{self.observed_from:%Y-%m-%d %H:%M:%S} .. {self.observed_until:%Y-%m-%d %H:%M:%S} UTC"
        return f"Events: {self.columns.height:,} rows, {span}\n{self._head()}"

    def _repr_html_(self) -> str:
        return f"<p>Events: {self.columns.height:,} rows</p>{self._head()._repr_html_()}"

    def _head(self) -> pl.DataFrame:
        return self.columns.head(5).insert_column(0, self.users.series(5))


def session_rule(timeout: Duration | SessionRule | None, options: Mapping[str, Any]) -> SessionRule:
    """Make the rule that ``sessionize`` was asked for.

    Parameters
    ----------
    timeout : str, timedelta, SessionRule or None
        A rule, or the longest silence inside a session.
    options : mapping of str to object
        The other options of `SessionRule`; none beside a rule.

    Returns
    -------
    SessionRule
        The rule.

    Raises
    ------
    ParameterError
        If there is a rule and options, or an option that `SessionRule` does not have.
    """
    if isinstance(timeout, SessionRule):
        if options:
            raise ParameterError(
                f"sessionize takes a SessionRule or options, not both. Put {sorted(options)} into the rule."
            )
        return timeout
    known = [each.name for each in fields(SessionRule) if each.name != "_"]
    for name in options:
        if name not in known:
            raise ParameterError.unknown("sessionize", name, known)
    return SessionRule(timeout, **options)


@dataclass(frozen=True, eq=False)
class _OrderedLog:
    """What the session rule asks of the ordered events."""

    ordered: OrderedEvents
    events: Events

    @property
    def tz(self) -> str:
        return self.events.tz

    @property
    def user_offsets(self) -> Int64s:
        return self.ordered.user_offsets

    @property
    def times(self) -> Int64s:
        return self.ordered.times

    @property
    def event_codes(self) -> Any:
        return self.ordered.event_codes

    @property
    def names(self) -> pl.Series:
        return _vocabulary(self.events.columns)

    @property
    def session_values(self) -> pl.Series | None:
        return self.property("session") if "session" in self.events.kept else None

    def property(self, name: str) -> pl.Series:
        """Return a kept property in order."""
        if name not in self.events.kept:
            raise UnknownPropertyError(name, self.events.kept)
        return self.events.columns[name].gather(pl.Series(self.ordered.rows))


def _vocabulary(frame: pl.DataFrame) -> pl.Series:
    dtype = frame["event"].dtype
    assert isinstance(dtype, pl.Enum)
    return dtype.categories.alias("event")


def _journeys(events: Events, ordered: OrderedEvents, rule: SessionRule) -> Journeys:
    """Cut ordered events into sessions, and put everything into one value."""
    found = cut(rule, _OrderedLog(ordered, events))
    codes, times, rows, time_order = ordered.event_codes, ordered.times, ordered.rows, None
    if found.order is not None:
        codes, times, rows = codes[found.order], times[found.order], rows[found.order]
        time_order = np.empty(found.order.size, np.int64)
        time_order[found.order] = np.arange(found.order.size)
    outside = 0
    if found.inside is not None:
        outside = int(np.diff(found.session_offsets)[~found.inside].sum())
    return Journeys(
        users=ordered.users,
        names=_vocabulary(events.columns),
        user_offsets=ordered.user_offsets,
        session_offsets=found.session_offsets,
        user_sessions=found.user_sessions,
        event_codes=codes,
        times=times,
        group_offsets=ordered.group_offsets,
        rows=rows,
        observed_from=micro(events.observed_from),
        observed_until=micro(events.observed_until),
        tz=events.tz,
        session_rule=rule,
        session_causes=found.causes,
        sessions_inside=found.inside,
        time_order=time_order,
        source=events.columns.drop(COLUMNS, strict=False),
        tie_breaks=events.columns.select(each for each in ("order",) if each in events.columns.columns),
        provenance=log_provenance(
            Provenance(
                tied_pairs=ordered.tied_pairs,
                tied_pairs_distinct=ordered.tied_pairs_distinct,
                out_of_order=ordered.out_of_order,
                events_outside=outside,
                rows_dropped=events.counts.dropped,
                rows_left_out=events.counts.rows_left_out,
                duplicates_dropped=events.duplicates_dropped,
                rows_moved=events.rows_moved,
                rows_unmapped=events.rows_unmapped,
                day_events=day_events(events.columns),
            )
        ),
    )


def micro(moment: datetime) -> int:
    """Return microseconds since the epoch."""
    return int(pl.Series([moment]).dt.epoch("us")[0])


def log_provenance(found: Provenance) -> Provenance:
    """Add what a reader of any answer should know of the log."""
    said = {
        f"{found.rows_dropped:,} rows without a valid user, time or event were dropped": found.rows_dropped,
        f"{found.rows_left_out:,} rows were left out on purpose: events.quality says why": found.rows_left_out,
        f"{found.duplicates_dropped:,} duplicate rows were dropped": found.duplicates_dropped,
        f"{found.rows_moved:,} events became another user's when ids were joined": found.rows_moved,
        f"{found.rows_unmapped:,} events of ids that the identity does not know were left out": found.rows_unmapped,
        f"{found.day_events:,} events are known to the day only: their times of day are made up": found.day_events,
        f"{found.tied_pairs_distinct:,} pairs of different events share user and time: "
        f"their order is that of the log": found.tied_pairs_distinct,
        f"{found.events_outside:,} events lie outside any session": found.events_outside,
    }
    return replace(found, notes=tuple(f"{text}." for text, count in said.items() if count))
