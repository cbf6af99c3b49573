"""A pattern as a small automaton: one state per event to match, edges with bounds. DEFINITIONS D8.11."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from journeykit.errors import ParameterError
from journeykit.patterns.syntax import DIRECTLY, UNBOUNDED, Bounds, Connector, Names, Sequence

Int64s = npt.NDArray[np.int64]
Masks = npt.NDArray[np.uint64]

MOST_STATES = 64
NO_SLOT = -1
ANYHOW = (0, UNBOUNDED, 0, UNBOUNDED, NO_SLOT, NO_SLOT)
NOWHERE, ANYWHERE, AT_THE_EDGE = 0, 1, 2
"""Where a state may begin (or end) a match: not at all, at any event, at the first (last) event only."""


@dataclass(frozen=True, eq=False)
class Automaton:
    """What the kernels walk: arrays only.

    Attributes
    ----------
    offsets : numpy.ndarray of int64, states + 1
        Which rows of `edges` lead into each state.
    edges : numpy.ndarray of int64, edges x 7
        The state it comes from; least and most microseconds; least and most events between; the slot of what must
        not lie between, and the queue of positions that wait for the least distance (-1: none).
    begins, ends : numpy.ndarray of int64
        For every state, where it may begin and end a match.
    """

    offsets: Int64s
    edges: Int64s
    begins: Int64s
    ends: Int64s

    @property
    def states(self) -> int:
        """How many events the longest match without repeats has."""
        return self.begins.size

    @cached_property
    def queues(self) -> int:
        """How many edges have a least distance."""
        return int((self.edges[:, 6] >= 0).sum())

    @cached_property
    def follows(self) -> Masks:
        """For every state those it leads to, bit by bit; then those that need to be reached only once.

        They are those that only plain ``~>`` lead on from, and that do not have to be the last event: of a match
        without a window any start will do.
        """
        masks = np.zeros(self.states + 1, np.uint64)
        once = sum(1 << state for state in range(self.states) if self.ends[state] != AT_THE_EDGE)
        for state, edge in zip(
            np.repeat(np.arange(self.states), np.diff(self.offsets)), self.edges, strict=True
        ):
            masks[edge[0]] |= np.uint64(1 << int(state))
            if tuple(edge[1:]) != ANYHOW:
                once &= ~(1 << int(edge[0]))
        masks[-1] = once
        return masks

    @cached_property
    def mirrored(self) -> Automaton:
        """The same read backwards; state q becomes the q-th from the end."""
        last = self.states - 1
        into = np.repeat(np.arange(self.states), np.diff(self.offsets))
        turned = self.edges.copy()
        turned[:, 0] = last - into
        return _sorted(last - self.edges[:, 0], turned, self.ends[::-1].copy(), self.begins[::-1].copy())

    def prefix(self, states: int) -> Automaton:
        """Return the first states, of which the last ends a match."""
        ends = np.zeros(states, np.int64)
        ends[-1] = ANYWHERE
        offsets = self.offsets[: states + 1]
        return Automaton(offsets, self.edges[: offsets[-1]].copy(), self.begins[:states].copy(), ends)


@dataclass(frozen=True, eq=False)
class Compiled:
    """An automaton, with what each of its states fits and what blocks its edges, as names."""

    automaton: Automaton
    fits: tuple[Names, ...]
    elements: tuple[int, ...]
    blocks: tuple[Names, ...]


def compiled(sequence: Sequence) -> Compiled:
    """Spread the elements out into states.

    Raises
    ------
    ParameterError
        If there are more than 64 states: repeats count as many.
    """
    runs = list[range]()
    fits, elements = list[Names](), list[int]()
    for number, element in enumerate(sequence.elements):
        size = max(element.least, 1) if element.most == UNBOUNDED else element.most
        if len(fits) + size > MOST_STATES:
            raise ParameterError(
                f"a pattern can have at most {MOST_STATES} events, each repeat counted, and this one has more. "
                f"Write fewer repeats, or '+' and '*' for any number."
            )
        runs.append(range(len(fits), len(fits) + size))
        fits += [element.fits] * size
        elements += [number] * size
    blocks = tuple(dict.fromkeys(each.between for each in sequence.connectors if not each.between.any_event))
    into, edges = list[int](), list[tuple[int, ...]]()
    for source, target, connector in _edges(sequence, runs):
        bounds = connector.bounds
        waits = bounds.least_time > 0 or bounds.least_events > 0
        block = NO_SLOT if connector.between.any_event else blocks.index(connector.between)
        queue = sum(edge[6] >= 0 for edge in edges) if waits else NO_SLOT
        edges.append(
            (
                source,
                bounds.least_time,
                bounds.most_time,
                bounds.least_events,
                bounds.most_events,
                block,
                queue,
            )
        )
        into.append(target)
    begins, ends = _borders(sequence, runs)
    table = np.array(edges, np.int64).reshape(-1, 7)
    return Compiled(
        _sorted(np.array(into, np.int64), table, begins, ends), tuple(fits), tuple(elements), blocks
    )


def _sorted(into: Int64s, edges: Int64s, begins: Int64s, ends: Int64s) -> Automaton:
    order = np.argsort(into, kind="stable")
    offsets = np.searchsorted(into[order], np.arange(begins.size + 1)).astype(np.int64)
    return Automaton(offsets, np.ascontiguousarray(edges[order]), begins, ends)


def _edges(sequence: Sequence, runs: list[range]) -> Iterator[tuple[int, int, Connector]]:
    """List the edges between states: inside a run of repeats, and between runs."""
    directly = Connector(bounds=DIRECTLY)
    for number, run in enumerate(runs):
        for state in run[:-1]:
            yield state, state + 1, directly
        if sequence.elements[number].most == UNBOUNDED:
            yield run[-1], run[-1], directly
        for following in range(number + 1, len(runs)):
            between = sequence.connectors[number:following]
            for state in _exits(sequence, runs, number):
                yield state, runs[following][0], _joined(between)
            if not sequence.elements[following].may_be_absent:
                break


def _exits(sequence: Sequence, runs: list[range], number: int) -> range:
    """Return the states after which an element may be over."""
    run, element = runs[number], sequence.elements[number]
    return run[-1:] if element.most == UNBOUNDED else run[max(element.least, 1) - 1 :]


def _joined(connectors: tuple[Connector, ...]) -> Connector:
    """Join the connectors around elements that are absent, which are plain: later if any of them is."""
    if len(connectors) == 1:
        return connectors[0]
    return Connector(bounds=DIRECTLY if all(each.bounds == DIRECTLY for each in connectors) else Bounds())


def _borders(sequence: Sequence, runs: list[range]) -> tuple[Int64s, Int64s]:
    """Say of every state where it may begin and end a match."""
    size = runs[-1].stop
    begins, ends = np.zeros(size, np.int64), np.zeros(size, np.int64)
    where = AT_THE_EDGE if sequence.at_start else ANYWHERE
    for number, run in enumerate(runs):
        begins[run[0]] = where
        if not sequence.elements[number].may_be_absent:
            break
        if number < len(sequence.connectors) and sequence.connectors[number].bounds != DIRECTLY:
            where = ANYWHERE
    where = AT_THE_EDGE if sequence.at_end else ANYWHERE
    for number in reversed(range(len(runs))):
        ends[list(_exits(sequence, runs, number))] = where
        if not sequence.elements[number].may_be_absent:
            break
        if number > 0 and sequence.connectors[number - 1].bounds != DIRECTLY:
            where = ANYWHERE
    return begins, ends
