"""The matches of a pattern: which events, of whom, when; and journeys that know of them. DEFINITIONS D8.11."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ParameterError
from journeykit.patterns.pattern import Pattern
from journeykit.patterns.searching import Occurrence, found_in
from journeykit.ragged.array import Columns, Ragged
from journeykit.ragged.views import sessions_at, units_of, users_at

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
J = TypeVar("J", bound=Ragged)

SHOWN_ROWS = 10
OTHER_JOURNEYS = "these matches are not of these journeys: positions in one are not those in another."


@dataclass(frozen=True, eq=False, repr=False)
class Matches:
    """Where a pattern matches.

    Made by ``journeys.match``.

    Attributes
    ----------
    pattern : Pattern
        What was looked for.
    journeys : Journeys
        Where.
    frame : polars.DataFrame
        One row per event of a match, in the order of the journeys: ``user``; ``session``, the number of the event's
        session within the user, null outside any; ``match``, the number of the match in its unit from 1 (0: the longest
        prefix, of a unit without a match); ``element``, as it is written, and ``capture``, the name it is captured
        under; ``event``; ``time`` in UTC; ``row`` in the log.
    positions : numpy.ndarray of int64
        Where the event of each row is in ``journeys.paths(pattern.unit)``.
    """

    pattern: Pattern
    journeys: Ragged
    found: Int64s

    @property
    def positions(self) -> Int64s:
        """Where the event of each row is in ``journeys.paths(pattern.unit)``."""
        return self.found[:, 2]

    @cached_property
    def frame(self) -> pl.DataFrame:
        """One row per event of a match."""
        journeys, stored = self.journeys, self._stored
        element = np.array(self.pattern.compiled.elements, np.int64)[self.found[:, 3]]
        elements = self.pattern.parsed.elements
        return pl.DataFrame(
            [
                users_at(journeys, stored),
                sessions_at(journeys, stored),
                pl.Series("match", self.found[:, 1]),
                pl.Series("element", [one.text for one in elements], dtype=pl.String).gather(element),
                pl.Series("capture", [one.capture for one in elements], dtype=pl.String).gather(element),
                pl.Series("event", journeys.event_codes[stored]).cat.to(pl.Enum(journeys.names)),
                pl.Series("time", journeys.times[stored]).cast(pl.Datetime("us", "UTC")),
                pl.Series("row", journeys.rows[stored]).cast(pl.Int64),
            ]
        )

    @cached_property
    def spans(self) -> pl.DataFrame:
        """One row per match: ``user``, ``session``, ``match``, ``start``, ``end``, ``seconds``, ``events``."""
        of_match = pl.struct(pl.Series("path", self.found[:, 0]), pl.col("match"))
        start, end = pl.col("time").first().alias("start"), pl.col("time").last().alias("end")
        seconds = (pl.col("time").last() - pl.col("time").first()).dt.total_microseconds() / 1e6
        return (
            self.frame.with_columns(of_match.rle_id().alias("__of"))
            .group_by("__of", maintain_order=True)
            .agg(
                pl.col("user", "session", "match").first(),
                start,
                end,
                seconds.alias("seconds"),
                pl.len().cast(pl.Int64).alias("events"),
            )
            .drop("__of")
        )

    @cached_property
    def units(self) -> pl.DataFrame:
        """One row per unit: ``user``, ``session`` if it is one, and the number of ``matches`` that are listed."""
        units = units_of(self.journeys, self.pattern.unit)
        each = np.unique(self.found[self.found[:, 1] > 0, :2], axis=0)[:, 0]
        return units.with_columns(pl.Series("matches", np.bincount(each, minlength=units.height)))

    @property
    def users(self) -> pl.Series:
        """The users with a match, each once."""
        return self.frame.filter(pl.col("match") > 0)["user"].unique(maintain_order=True)

    def at(self, capture: str) -> pl.DataFrame:
        """Return the rows of one capture.

        Parameters
        ----------
        capture : str
            A name from the pattern: ``look`` in ``"look=view ~> buy"``.

        Returns
        -------
        polars.DataFrame
            With the columns of ``frame``.

        Raises
        ------
        ParameterError
            If the pattern has no such capture.
        """
        self._check_capture(capture)
        return self.frame.filter(pl.col("capture") == capture)

    def marks(self, of: str = "event", capture: str | None = None) -> Bools:
        """Mark events, in stored order: those of complete matches, or all events of units with one.

        Parameters
        ----------
        of : {"event", "unit"}
            What is marked.
        capture : str, optional
            With events: only those captured under this name.

        Returns
        -------
        numpy.ndarray of bool
            One per event of the journeys.

        Raises
        ------
        ParameterError
            If the pattern has no such capture, or `of` is no choice.
        """
        if of not in ("event", "unit"):
            raise ParameterError.choice("of", of, ("event", "unit"))
        complete = self.found[:, 1] > 0
        marks = np.zeros(self.journeys.event_codes.size, np.bool_)
        if of == "event":
            if capture is not None:
                self._check_capture(capture)
                captured = np.array([one == capture for one in self.pattern.captures])
                complete &= captured[np.array(self.pattern.compiled.elements)[self.found[:, 3]]]
            marks[self._stored[complete]] = True
            return marks
        paths = self.journeys.paths(self.pattern.unit)
        edges = np.zeros(marks.size + 1, np.int8)
        matched = np.unique(self.found[complete, 0])
        np.add.at(edges, paths.starts[matched], 1)
        np.add.at(edges, paths.ends[matched], -1)
        marks[np.cumsum(edges[:-1], dtype=np.int8) > 0] = True
        return marks

    @cached_property
    def _stored(self) -> Int64s:
        """Where the events are in the stored order."""
        order = self.journeys.time_order if self.pattern.unit == "user" else None
        return self.positions if order is None else order[self.positions]

    def _check_capture(self, capture: str) -> None:
        names = [name for name in self.pattern.captures if name is not None]
        if capture not in names:
            raise ParameterError.choice("capture", capture, names)

    def __len__(self) -> int:
        """How many matches there are."""
        return int(np.unique(self.found[self.found[:, 1] > 0, :2], axis=0).shape[0])

    def __repr__(self) -> str:
        head = str(self.frame.head(SHOWN_ROWS))
        return f"{len(self):,} matches of {self.pattern.text!r}: {self.frame.height:,} events\n{head}"

    def _repr_html_(self) -> str:
        return self.frame.head(SHOWN_ROWS)._repr_html_()


def match(
    journeys: Ragged,
    pattern: Pattern | str,
    occurrence: Occurrence = "first",
    *,
    overlapping: bool = False,
    prefixes: bool = False,
) -> Matches:
    """Find where a pattern matches, with its events and times.

    Parameters
    ----------
    pattern : Pattern or str
        What to look for; a text is searched in sessions.
    occurrence : {"first", "last", "all"}
        Which matches of a unit. The last is the last of those that ``"all"`` gives.
    overlapping : bool
        Whether a match may begin before the one before is over: then there is at most one from every first event.
    prefixes : bool
        In units without a match, list the longest part of the pattern, from its beginning, that matches: as match 0.

    Returns
    -------
    Matches
        A tidy frame of events, and views of it.

    Raises
    ------
    PatternError
        If a text is no pattern.
    UnknownNameError
        If the pattern names an event that is not in the log.
    ParameterError
        If `occurrence` is no choice.

    Notes
    -----
    D8.11. Two passes over the events, and memory for the matches only: 24 bytes for every event of the longest path,
    and 32 for every event of a match. With `overlapping`, n events and matches that span m of them cost O(n m).
    """
    pattern = pattern if isinstance(pattern, Pattern) else Pattern(pattern)
    pattern.check(journeys.context(pl.DataFrame([{}])))  # type: ignore[attr-defined]
    found = found_in(journeys, pattern, occurrence, overlapping=overlapping, prefixes=prefixes)
    return Matches(pattern, journeys, found)


def mark(
    journeys: J,
    name: str,
    matches: Matches | Pattern | str,
    *,
    of: str = "event",
    capture: str | None = None,
) -> J:
    """Keep where a pattern matches as a property, true or false of every event.

    Whatever takes a property takes it: ``by=name``, ``filter(where=pl.col(name), keep="users")``, a step of a funnel or
    the anchor of a flow as ``jk.Match(where=pl.col(name))``.

    Parameters
    ----------
    name : str
        What the property is called.
    matches : Matches, Pattern or str
        Matches of these journeys; all matches of a pattern.
    of : {"event", "unit"}
        True of the events of a match, or of all events of the units that have one.
    capture : str, optional
        With events: only those captured under this name.

    Returns
    -------
    Journeys
        The same, with one more property: 1 bit per row of the log.

    Raises
    ------
    ParameterError
        If there is a property of this name, or no such capture; or the matches are those of other journeys.

    Examples
    --------
    >>> import journeykit as jk
    >>> log = pl.DataFrame({"user": [1, 1, 2], "time": [0, 1, 2], "event": ["see", "buy", "see"]})
    >>> journeys = jk.read_events(log, user="user", time="time", event="event", unit="s").sessionize("30m")
    >>> marked = journeys.mark("bought", "see -> buy", of="unit")
    >>> marked.measure(jk.TopPaths(), by="bought").frame.select("bought", "path").rows()
    [(False, ['see']), (True, ['see', 'buy'])]
    """
    if not isinstance(name, str) or not name or name in journeys.kept:
        raise ParameterError(f"a property cannot be called {name!r}: give a name that no property has.")
    if not isinstance(matches, Matches):
        matches = match(journeys, matches, "all")
    elif matches.journeys is not journeys:
        raise ParameterError(OTHER_JOURNEYS)
    flags = matches.marks(of, capture)
    size = int(journeys.rows.max(initial=0)) + 1
    by_row = np.zeros(size, np.bool_)
    by_row[journeys.rows] = flags
    source = MoreColumns(journeys.source, {name: pl.Series(name, by_row)})
    return replace(journeys, source=source)


@dataclass(frozen=True)
class MoreColumns:
    """Properties with some more that were made."""

    before: Columns
    more: Mapping[str, pl.Series] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        """The names of the properties."""
        return [*self.before.columns, *self.more]

    def __getitem__(self, name: str, /) -> pl.Series:
        return self.more[name] if name in self.more else self.before[name]
