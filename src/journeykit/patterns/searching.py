"""Running a pattern over the paths of journeys: counts, prefixes, and the events of matches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from journeykit.errors import ParameterError
from journeykit.paths import Paths
from journeykit.patterns.automaton import Automaton
from journeykit.ragged.array import Ragged
from journeykit.support.threads import cores, on_all_cores

if TYPE_CHECKING:
    from journeykit.patterns.pattern import Pattern

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Occurrence: TypeAlias = Literal["first", "last", "all"]
OCCURRENCES = get_args(Occurrence)
SHARDS_PER_CORE = 4


@dataclass(frozen=True, eq=False)
class Search:
    """A pattern made ready for the paths of one shard.

    Attributes
    ----------
    pattern : Pattern
        What is looked for.
    paths : Paths
        Of this shard; their positions are those of all shards.
    symbols : tuple of numpy.ndarray
        See `Pattern.symbols`.
    """

    pattern: Pattern
    paths: Paths
    symbols: tuple[npt.NDArray[Any], ...]

    @classmethod
    def of(cls, journeys: Ragged, pattern: Pattern) -> Search:
        """Make it ready."""
        return cls(pattern, journeys.paths(pattern.unit), pattern.symbols(journeys))

    @property
    def loose(self) -> bool:
        """Whether repeats leave the length of a match open: then the first match need not be the first to end."""
        return any(element.least != element.most for element in self.pattern.parsed.elements)

    @property
    def automaton(self) -> Automaton:
        """What is walked."""
        return self.pattern.compiled.automaton

    def counts(self, *, first_only: bool = False) -> Int64s:
        """Return the number of matches of every path that do not overlap, or 1 for at least one."""
        from journeykit.kernels.patterns.ends import count_matches

        counts = np.empty(self.paths.starts.size, np.int64)
        codes, *symbols = self.symbols
        exact_in_one_pass = not self.loose or (first_only and self.pattern.within is None)
        if not exact_in_one_pass:
            self.matches("first" if first_only else "all", counts=counts)
            return counts
        count_matches(
            self.paths.starts, self.paths.ends, codes, self.paths.times, _machine(self.automaton), tuple(symbols),
            self._memory(), self.pattern.window, first_only, counts,
        )  # fmt: skip
        return counts

    def prefixes(self) -> Int64s:
        """Return for every path how many events of the pattern can be matched, from any start."""
        from journeykit.kernels.patterns.ends import longest_prefixes

        states = np.empty(self.paths.starts.size, np.int64)
        codes, *symbols = self.symbols
        longest_prefixes(
            self.paths.starts, self.paths.ends, codes, self.paths.times, _machine(self.automaton), tuple(symbols),
            self._memory(), self.pattern.window, states,
        )  # fmt: skip
        return states

    def matches(
        self,
        occurrence: Occurrence = "first",
        *,
        overlapping: bool = False,
        prefix: int | None = None,
        among: Int64s | None = None,
        counts: Int64s | None = None,
    ) -> Int64s:
        """List the events of matches.

        Parameters
        ----------
        occurrence : {"first", "last", "all"}
            Which matches of a path.
        overlapping : bool
            Whether a match may begin before the one before is over.
        prefix : int, optional
            Look for the first so many states only.
        among : numpy.ndarray of int64, optional
            The paths to look at; all of them by default.
        counts : numpy.ndarray of int64, optional
            Where to write the number of matches of each of these paths; then they are not listed.

        Returns
        -------
        numpy.ndarray of int64, events x 4
            The path, the number of the match in it from 1, the position of the event, its state.
        """
        from journeykit.kernels.patterns.matches import list_matches

        automaton = self.automaton if prefix is None else self.automaton.prefix(prefix)
        among = np.arange(self.paths.starts.size) if among is None else among
        starts, ends = self.paths.starts[among], self.paths.ends[among]
        codes, fits, blocks, left_out = self.symbols
        if prefix is not None:
            fits = fits & np.uint64((1 << prefix) - 1)
        longest = int((ends - starts).max(initial=0))
        room = (np.empty(longest, np.uint64), np.empty((longest, 3), np.int64), np.empty(longest, np.uint64))
        asked = (
            starts, ends, codes, self.paths.times, (_machine(automaton), _machine(automaton.mirrored)),
            (fits, blocks, left_out), self._memory(), room,
            (self.pattern.window, OCCURRENCES.index(occurrence), overlapping, self.loose),
            np.empty(starts.size, np.int64) if counts is None else counts,
        )  # fmt: skip
        found = np.empty((0, 4), np.int64)
        rows = list_matches(*asked, found)
        if rows and counts is None:
            found = np.empty((rows, 4), np.int64)
            list_matches(*asked, found)
        found[:, 0] = among[found[:, 0]]
        return found

    def _memory(self) -> tuple[Int64s, Int64s, Int64s, Int64s]:
        queues = self.automaton.queues
        longest = int((self.paths.ends - self.paths.starts).max(initial=0)) if queues else 0
        return (
            np.empty((self.automaton.states, 3), np.int64),
            np.empty(len(self.pattern.compiled.blocks), np.int64),
            np.empty((queues, longest, 3), np.int64),
            np.empty((queues, 3), np.int64),
        )


def _machine(automaton: Automaton) -> tuple[npt.NDArray[Any], ...]:
    return automaton.offsets, automaton.edges, automaton.begins, automaton.ends, automaton.follows


def found_in(
    journeys: Ragged,
    pattern: Pattern,
    occurrence: Occurrence = "first",
    *,
    overlapping: bool = False,
    prefixes: bool = False,
) -> Int64s:
    """List the events of matches in all paths of some journeys, on all cores.

    Parameters
    ----------
    journeys : Journeys
        All of them, or a shard.
    pattern : Pattern
        What is looked for.
    occurrence : {"first", "last", "all"}
        Which matches of a path.
    overlapping : bool
        Whether a match may begin before the one before is over.
    prefixes : bool
        Where there is no match, list the longest prefix that there is, as match 0.

    Returns
    -------
    numpy.ndarray of int64, events x 4
        The path of these journeys, the number of the match in it from 1, the position of the event, its state.
    """
    if occurrence not in OCCURRENCES:
        raise ParameterError.choice("occurrence", occurrence, OCCURRENCES)
    if prefixes and any(element.least != element.most for element in pattern.parsed.elements):
        raise ParameterError(
            "prefixes=True needs a pattern of fixed length, without '?', '+', '*' and '{m,n}': write the repeats out."
        )
    shards = journeys.shards(SHARDS_PER_CORE * cores()) if journeys.user_range is None else [journeys]

    def search(shard: Ragged) -> Int64s:
        one = Search.of(shard, pattern)
        parts = [one.matches(occurrence, overlapping=overlapping)]
        if prefixes:
            parts += _prefixes(one, parts[0])
        found = np.concatenate(parts)
        if prefixes:
            found = found[np.lexsort((found[:, 2], found[:, 1], found[:, 0]))]
        return found

    parts = on_all_cores(search, shards)
    before = np.cumsum([0, *(shard.paths(pattern.unit).n_paths for shard in shards)])
    for part, first in zip(parts, before, strict=False):
        part[:, 0] += first
    return np.concatenate(parts)


def _prefixes(search: Search, matched: Int64s) -> list[Int64s]:
    """List the longest prefixes in the paths without a match, as match 0."""
    states = search.prefixes()
    states[matched[:, 0]] = 0
    parts = []
    for size in np.unique(states[states > 0]):
        found = search.matches("first", prefix=int(size), among=np.flatnonzero(states == size))
        found[:, 1] = 0
        parts.append(found)
    return parts


def events_meant(journeys: Ragged, pattern: Pattern) -> Bools:
    """Mark the captured events of all matches, or without captures the last event of each, in stored order."""
    found = found_in(journeys, pattern, "all")
    captured = np.array([name is not None for name in pattern.captures])[list(pattern.compiled.elements)]
    meant = captured[found[:, 3]]
    if not captured.any():
        meant = np.append((found[1:, :2] != found[:-1, :2]).any(axis=1), True)[: len(found)]
    positions = found[meant, 2]
    if pattern.unit == "user" and journeys.time_order is not None:
        positions = journeys.time_order[positions]
    marks = np.zeros(journeys.event_codes.size, np.bool_)
    marks[positions] = True
    return marks
