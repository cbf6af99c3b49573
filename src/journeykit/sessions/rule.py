"""The rule that says when one session ends and the next begins. DEFINITIONS D2.1 to D2.3."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import KW_ONLY, dataclass, fields
from typing import Literal

import numpy as np
import numpy.typing as npt

from journeykit.errors import ParameterError
from journeykit.support.durations import MICROSECONDS, Duration, microseconds
from journeykit.support.unknown_names import Missing, check_missing

Int64s = npt.NDArray[np.int64]
NullSession = Literal["raise", "own", "rule", "outside"]

NEVER = int(np.iinfo(np.int64).max)
CUTTING = ("max_duration", "max_events", "burst", "split_at", "split_on", "start_events", "end_events")


@dataclass(frozen=True, repr=False)
class SessionRule:
    """Say when one session of a user ends and the next begins.

    Parameters
    ----------
    timeout : str, timedelta or None
        Longest silence inside a session. None: silence never cuts, so that without another option
        a user's events are one session.
    timeout_inclusive : bool
        A silence of exactly `timeout` cuts too.
    max_duration : str, timedelta or None
        Longest time from a session's start to any of its events.
    max_events : int or None
        Most events of a session, at least 1; passive events are not counted.
    burst : (int, duration) or None
        ``(m, d)``: a session whose `m`-th event lies at most `d` after its start ends with that event.
    split_at : "day" or None
        Cut between two events of different local dates, in the time zone of the log.
    split_on : names of properties
        Cut where one of them is not null and differs from its last value in the session.
    start_events, end_events : names of events
        Those that open a session, and those after which the next event opens one.
    passive : names of events
        Those that neither open nor extend a session (D2.2). One is in the user's latest session unless one of
        the rules 1 to 5 and 8 of D2.1 would have cut there, seen from the last event that is not passive;
        else it is outside any session. Its properties never split, and it may not be a start or end event.
    session_column : bool
        A session is a value of the column that was read as ``session=``; values may interleave (D2.3).
        The cutting options then apply to its null rows only, and need ``null_session="rule"``;
        `timeout` still says which sessions are open (D2.5).
    null_session : "raise", "own", "rule" or "outside"
        For a null in that column: refuse it; a session of its own; this rule among the user's null rows;
        no session.
    bounce : "single" or "ga4"
        A bounce is a session of one event, or one that is not engaged.
    views, key_events : names of events
        An engaged session is longer than `engaged_after`, or has two views, or one key event (D2.5).
    engaged_after : str or timedelta
        See `views`.
    missing : "raise", "ignore" or "warn"
        What to do with names of events that the log does not have (D0.9).

    Raises
    ------
    ParameterError
        If a parameter cannot take its value, if an event is both passive and a start or end event, or if an
        option would have no effect beside `session_column`.

    Notes
    -----
    The rules are asked in the order of D2.1; the first that fires is the session's cause (`CAUSES`).
    Equal rules compare equal however they were written: durations are kept as text in the largest whole unit,
    names sorted and without repeats. Where two tools disagree: D2.6 and the presets of this module.

    Examples
    --------
    >>> from datetime import timedelta
    >>> SessionRule("30m") == SessionRule(timedelta(minutes=30)) == SessionRule()
    True
    >>> SessionRule(None, end_events=["logout"])
    SessionRule(timeout=None, end_events=('logout',))
    """

    timeout: Duration | None = "30m"
    _: KW_ONLY
    timeout_inclusive: bool = False
    max_duration: Duration | None = None
    max_events: int | None = None
    burst: tuple[int, Duration] | None = None
    split_at: Literal["day"] | None = None
    split_on: Collection[str] = ()
    start_events: Collection[str] = ()
    end_events: Collection[str] = ()
    passive: Collection[str] = ()
    session_column: bool = False
    null_session: NullSession = "raise"
    bounce: Literal["single", "ga4"] = "single"
    views: Collection[str] = ()
    key_events: Collection[str] = ()
    engaged_after: Duration = "10s"
    missing: Missing = "raise"

    def __post_init__(self) -> None:
        """Check every value, and keep it in the one form that compares."""
        for name in ("timeout", "max_duration", "engaged_after"):
            duration = getattr(self, name)
            if duration is not None or name == "engaged_after":
                object.__setattr__(self, name, _canonical(duration, name))
        for name in ("split_on", "start_events", "end_events", "passive", "views", "key_events"):
            object.__setattr__(self, name, _names(getattr(self, name), name))
        if self.max_events is not None:
            _check_count(self.max_events, "max_events")
        if self.burst is not None:
            object.__setattr__(self, "burst", _burst(self.burst))
        _check_choice("split_at", self.split_at, (None, "day"))
        _check_choice("null_session", self.null_session, ("raise", "own", "rule", "outside"))
        _check_choice("bounce", self.bounce, ("single", "ga4"))
        check_missing(self.missing)
        for name in ("timeout_inclusive", "session_column"):
            _check_choice(name, getattr(self, name), (True, False))
        self._check_together()

    def _check_together(self) -> None:
        """Refuse options that contradict each other or would be without effect."""
        both = sorted(set(self.passive) & {*self.start_events, *self.end_events})
        if both:
            raise ParameterError(
                f"{both[0]!r} is passive and also a start or end event. A passive event neither opens nor "
                f"ends a session: name it in one place only."
            )
        if not self.session_column and self.null_session != "raise":
            raise ParameterError(
                f"null_session={self.null_session!r} has no effect without the log's own sessions. "
                f"Use SessionRule.from_column(null_session={self.null_session!r})."
            )
        unused = [name for name in CUTTING if getattr(self, name) not in (None, ())]
        if self.session_column and self.null_session != "rule" and unused:
            raise ParameterError(
                f"{unused[0]} has no effect on sessions from a column. Leave it out, or pass "
                f"null_session='rule' to apply it to the rows without a session."
            )

    def __repr__(self) -> str:
        """Show the timeout and every option that is set."""
        shown = [
            f"{each.name}={getattr(self, each.name)!r}"
            for each in fields(self)
            if each.name == "timeout" or getattr(self, each.name) != each.default
        ]
        return f"SessionRule({', '.join(shown)})"

    @classmethod
    def from_column(
        cls, null_session: NullSession = "raise", timeout: Duration | None = "30m"
    ) -> SessionRule:
        """Take the sessions from the column that was read as ``session=``. D2.3.

        Parameters
        ----------
        null_session : "raise", "own", "rule" or "outside"
            What to do with rows where it is null.
        timeout : str, timedelta or None
            After how long a session is over (D2.5), and with ``null_session="rule"`` what cuts the null rows.

        Examples
        --------
        >>> SessionRule.from_column("outside")
        SessionRule(timeout='30m', session_column=True, null_session='outside')
        """
        return cls(timeout, session_column=True, null_session=null_session)

    @property
    def events(self) -> tuple[str, ...]:
        """Every event that the rule names, sorted."""
        return tuple(
            sorted({*self.start_events, *self.end_events, *self.passive, *self.views, *self.key_events})
        )


def is_open(rule: SessionRule, last_times: Int64s, observed_until: int) -> npt.NDArray[np.bool_]:
    """Tell which sessions could still continue at the end of the observation. D2.5.

    Parameters
    ----------
    rule : SessionRule
        Its `timeout` decides; with None nothing ends a session, and all are open.
    last_times : int64[S]
        Time of each session's last event that is not passive, microseconds.
    observed_until : int
        T of D1.6, microseconds.

    Returns
    -------
    bool[S]
        ``T - last <= timeout``, or ``<`` with ``timeout_inclusive``.
    """
    still_open: npt.NDArray[np.bool_] = observed_until - last_times <= longest_gap(rule)
    return still_open


def longest_gap(rule: SessionRule) -> int:
    """Give the longest silence that does not end a session."""
    return NEVER if rule.timeout is None else microseconds(rule.timeout, "timeout") - rule.timeout_inclusive


def _canonical(duration: Duration, parameter: str) -> str:
    """Write a duration as a whole number of its largest unit below weeks."""
    us = microseconds(duration, parameter)
    unit = next(each for each in ("d", "h", "m", "s", "ms", "us") if us % MICROSECONDS[each] == 0)
    return f"{us // MICROSECONDS[unit]}{unit}"


def _names(names: object, parameter: str) -> tuple[str, ...]:
    """Accept one name or several, and sort them."""
    listed = [names] if isinstance(names, str) else names
    if not isinstance(listed, Collection) or not all(isinstance(name, str) for name in listed):
        raise ParameterError(f"{parameter} cannot be {names!r}. Give a name or a list of names.")
    return tuple(sorted(set(listed)))


def _burst(burst: object) -> tuple[int, str]:
    """Check the number of events and the duration of a burst."""
    if not isinstance(burst, tuple | list) or len(burst) != 2:
        raise ParameterError(
            f"burst cannot be {burst!r}. Give a number of events and a duration, such as (100, '100s')."
        )
    return _check_count(burst[0], "burst"), _canonical(burst[1], "burst")


def _check_count(count: object, parameter: str) -> int:
    """Refuse what is not a whole number of at least 1."""
    if not isinstance(count, int) or isinstance(count, bool):
        raise ParameterError(f"{parameter} cannot be {count!r}. Give a whole number of events.")
    if count < 1:
        raise ParameterError.not_positive(parameter, count)
    return count


def _check_choice(parameter: str, value: object, choices: tuple[object, ...]) -> None:
    """Refuse a value that is not one of a few."""
    if not any(value is choice or (isinstance(value, str) and value == choice) for choice in choices):
        raise ParameterError.choice(parameter, value, choices)
