"""Overview: how many users, sessions and events, how long, how often again. DEFINITIONS D2.5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.journeys.journeys import Journeys
from journeykit.paths import Paths
from journeykit.patterns.matchers import Match, MatchLike, as_match, check_matches, symbols_of
from journeykit.protocol import CELL, Cells, Context, Tables
from journeykit.sessions import CAUSES, SessionRule
from journeykit.statistics.base import UNITS_TABLE, Statistic
from journeykit.statistics.checks import check_choices
from journeykit.statistics.counting import CountingRows
from journeykit.statistics.goals import Codes, as_goal
from journeykit.statistics.overview.table import OverviewAnswer, overview_answer
from journeykit.statistics.waiting import distinct
from journeykit.support.durations import microseconds
from journeykit.support.unknown_names import Missing

Int64s = npt.NDArray[np.int64]
LONGEST = int(np.iinfo(np.int64).max)
COUNTS = (
    "users",
    "sessions",
    "events",
    "outside",
    "active",
    "single_event_users",
    "bounced",
    "engaged",
    "converted_users",
    "converted_sessions",
    "duration",
    "session_users",
    "returned",
)


@dataclass(frozen=True)
class Overview(Statistic[OverviewAnswer]):
    """Give the first numbers of a log. D2.5.

    Parameters
    ----------
    goal : str, sequence of str, polars expression, Pattern or Match, optional
        Events of which any counts as a conversion, for the share of users and of sessions that have one.
    missing : {"raise", "ignore", "warn"}
        What to do about goals that are not in the log. D0.9.

    Notes
    -----
    With ``by=`` and ``every=`` sessions are what is cut: a user belongs to every segment and period that one of
    the user's sessions belongs to, with the events in it. Passive events are no part of a session's length.
    One pass, O(n); the medians sort the sessions.

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({"user": [1, 1, 1, 2], "time": [0, 60, 9000, 5], "event": ["see", "buy", "see", "see"]})
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> journeys.measure(Overview(goal="buy")).value("session_conversion_rate")
    0.3333333333333333
    """

    tables: ClassVar[Mapping[str, Sequence[str]]] = {
        UNITS_TABLE: (),
        "names": ("name",),
        "causes": ("cause",),
        "durations": ("duration",),
        "gaps": ("gap", "closed"),
        "open": ("until",),
    }

    goal: MatchLike | None = None
    missing: Missing = "raise"

    def __post_init__(self) -> None:
        check_choices(self)
        if self.goal is not None:
            object.__setattr__(self, "goal", as_goal(self.goal, "goal"))

    def check(self, context: Context) -> None:
        """Refuse goals that are not in the log. D0.9."""
        if self.goal is not None:
            check_matches([as_match(self.goal, "goal")], "event", self.missing, context)

    def tally(self, shard: Journeys, cells: Cells) -> Tables:
        """Count the events, sessions and users of one shard."""
        return _Tally(self, shard, cells).tables()

    def answer(self, tables: Tables, context: Context) -> OverviewAnswer:
        """Turn counts into means, rates and medians with intervals."""
        return overview_answer(self, tables, context)

    def at_later_end(self, tables: Tables, before: int, after: int) -> Tables:
        """Let who did not come back wait on, and close the sessions whose time is over."""
        waited = pl.col("gap") + (after - before) * (1 - pl.col("closed").cast(pl.Int64))
        return {
            **tables,
            "gaps": tables["gaps"].with_columns(waited),
            "open": tables["open"].filter(pl.col("until") >= after),
        }


class _Tally:
    """The counting of one shard: runs of events are its sessions and what lies outside any."""

    def __init__(self, statistic: Overview, shard: Journeys, cells: Cells) -> None:
        from journeykit.kernels.paths import overview as kernels

        self.kernels, self.statistic, self.cell_count = kernels, statistic, cells.count
        self.shard, self.rule = shard, shard.session_rule
        first, last = shard.user_range or (0, shard.n_users)
        self.user_runs = shard.user_sessions[first : last + 1]
        self.runs = slice(int(self.user_runs[0]), int(self.user_runs[-1]))
        offsets = shard.session_offsets[self.runs.start : self.runs.stop + 1]
        self.events = slice(int(offsets[0]), int(offsets[-1]))
        self.offsets = offsets - self.events.start
        paths = Paths(
            self.user_runs - self.runs.start, offsets[:-1], offsets[1:], shard.event_codes, shard.times
        )
        self.all_cells, self.cells = cells, cells.of(paths, "session")
        inside = shard.sessions_inside
        self.inside = np.empty(0, np.bool_) if inside is None else inside[self.runs]

    def tables(self) -> Tables:
        """Return all tables of the tally."""
        k, rule, shard = self.kernels, self.rule, self.shard
        count = self.offsets.size - 1
        table = np.zeros((self.cell_count, k.CELL_COLUMNS), np.int64)
        table[:, k.FIRST], table[:, k.LAST] = LONGEST, -LONGEST
        durations, gaps = np.empty(count, np.int64), np.empty(count, np.int64)
        n_names = max(1, len(shard.names))
        names = CountingRows.make(self.cell_count * n_names, self.events.stop - self.events.start)
        role_codes, roles = self._roles()
        longest = LONGEST if rule.timeout is None else microseconds(rule.timeout) - rule.timeout_inclusive
        limits = (shard.observed_until, microseconds(rule.engaged_after), rule.bounce == "ga4")
        k.overview_pass(
            (self.user_runs, self.offsets, self.inside),
            (shard.event_codes[self.events], role_codes[self.events], shard.times[self.events]),
            self.cells,
            roles,
            limits,
            table,
            (n_names, names.keys, names.rows, names.table),
            durations,
            gaps,
        )
        sessions = np.flatnonzero(durations >= 0)
        cells = self.cells[sessions].astype(np.int64)
        return {
            UNITS_TABLE: self._units(table),
            "names": _names(names, n_names),
            "causes": self._causes(cells, sessions),
            "durations": _durations(cells, durations[sessions]),
            "gaps": _gaps(cells, gaps[sessions]),
            "open": self._open(cells, sessions, durations, longest),
        }

    def _roles(self) -> tuple[Codes, npt.NDArray[np.uint8]]:
        """Return a code per event, and the bits of what each code plays; none if no event plays a role."""
        k, goal = self.kernels, self.statistic.goal
        given = [(k.PASSIVE, self.rule.passive), (k.VIEW, self.rule.views), (k.KEY, self.rule.key_events)]
        parts = [(bit, Match(sorted(names))) for bit, names in given if names]
        if goal is not None:
            parts.append((k.GOAL, as_match(goal, "goal")))
        if not parts:
            return self.shard.event_codes, np.empty(0, np.uint8)
        symbols = symbols_of(self.shard, [match for _, match in parts])
        roles = np.zeros(symbols.masks.size, np.uint8)
        for i, (bit, _) in enumerate(parts):
            roles[symbols.masks >> np.uint64(i) & np.uint64(1) > 0] |= np.uint8(bit)
        return symbols.codes, roles

    def _units(self, table: Int64s) -> pl.DataFrame:
        """List the cells that have events, a single one in any case; the last column says what to show."""
        k = self.kernels
        present = self.all_cells.present(table[:, k.USERS])
        columns: dict[str, Any] = {CELL: present.astype(np.int32)}
        columns |= {name: table[present, getattr(k, name.upper())] for name in COUNTS}
        columns |= {"first_min": table[present, k.FIRST], "last_max": table[present, k.LAST]}
        shown = np.full(present.size, names_engagement(self.rule), np.int64)
        return pl.DataFrame(columns | {"paths": columns["sessions"], "shows_engaged_max": shown})

    def _open(self, cells: Int64s, sessions: Int64s, durations: Int64s, longest: int) -> pl.DataFrame:
        """Count the sessions that another event could still belong to, by the last moment of such an event."""
        ends = self.shard.times[self.events][self.offsets[sessions]] + durations[sessions]
        some = np.flatnonzero(ends >= self.shard.observed_until - longest)
        until = np.full(some.size, LONGEST) if longest == LONGEST else ends[some] + longest
        listed = pl.DataFrame({CELL: cells[some].astype(np.int32), "until": until})
        return listed.group_by(CELL, "until").agg(pl.len().cast(pl.Int64).alias("sessions"))

    def _causes(self, cells: Int64s, sessions: Int64s) -> pl.DataFrame:
        """Count the sessions by what opened them."""
        causes = self.shard.session_causes
        codes = np.empty(0, np.uint8) if causes is None else causes[self.runs][sessions]
        counts = np.bincount(cells[: codes.size] * len(CAUSES) + codes, minlength=0)
        met = np.flatnonzero(counts)
        return pl.DataFrame(
            {
                CELL: (met // len(CAUSES)).astype(np.int32),
                "cause": (met % len(CAUSES)).astype(np.int32),
                "count": counts[met].astype(np.int64),
            }
        )


def names_engagement(rule: SessionRule) -> bool:
    """Tell whether the rule says what an engaged session is."""
    return bool(rule.views or rule.key_events or rule.bounce == "ga4")


def _names(counted: CountingRows, n_names: int) -> pl.DataFrame:
    keys, rows = counted.found()
    columns = {CELL: (keys // n_names).astype(np.int32), "name": (keys % n_names).astype(np.int32)}
    return pl.DataFrame({**columns, "events": rows[:, 0].copy()})


def _durations(cells: Int64s, durations: Int64s) -> pl.DataFrame:
    """Count the distinct durations of sessions."""
    cells, durations, counts = distinct(cells, durations)
    return pl.DataFrame({CELL: cells.astype(np.int32), "duration": durations, "count": counts})


def _gaps(cells: Int64s, gaps: Int64s) -> pl.DataFrame:
    """Count the distinct times to the next session, and from the last session to the end of observation."""
    returned = gaps >= 0
    things, gaps, counts = distinct(cells << 1 | returned, np.where(returned, gaps, -1 - gaps))
    return pl.DataFrame(
        {
            CELL: (things >> 1).astype(np.int32),
            "gap": gaps,
            "closed": (things & 1).astype(np.int32),
            "count": counts,
        }
    )
