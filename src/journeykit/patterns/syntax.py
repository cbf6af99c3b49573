"""What a pattern is made of: elements, connectors, and the tests between them. DEFINITIONS D8.11."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

UNBOUNDED = 1 << 62
"""More microseconds, and more events, than any log has."""


@dataclass(frozen=True)
class Names:
    """Which events fit: any of these names, or with `negated` any but these; no names negated is any event."""

    names: tuple[Any, ...] = ()
    negated: bool = True

    @property
    def any_event(self) -> bool:
        """Whether every event fits."""
        return self.negated and not self.names


@dataclass(frozen=True)
class Bounds:
    """How far apart two matched events may be: microseconds, and the number of events between them; inclusive."""

    least_time: int = 0
    most_time: int = UNBOUNDED
    least_events: int = 0
    most_events: int = UNBOUNDED

    @property
    def possible(self) -> bool:
        """Whether two events can be so far apart."""
        return self.least_time <= self.most_time and self.least_events <= self.most_events

    def both(self, other: Bounds) -> Bounds:
        """Ask for both."""
        return Bounds(
            max(self.least_time, other.least_time),
            min(self.most_time, other.most_time),
            max(self.least_events, other.least_events),
            min(self.most_events, other.most_events),
        )


DIRECTLY = Bounds(most_events=0)


@dataclass(frozen=True)
class Element:
    """One event, or a run of events next to each other."""

    fits: Names
    least: int = 1
    most: int = 1
    capture: str | None = None
    text: str = ""
    column: int = 0

    @property
    def may_be_absent(self) -> bool:
        """Whether it matches no event at all, too."""
        return self.least == 0


@dataclass(frozen=True)
class Connector:
    """What lies between two elements."""

    between: Names = Names()
    bounds: Bounds = Bounds()
    column: int = 0

    @property
    def plain(self) -> bool:
        """Whether it is ``->`` or ``~>`` and nothing else."""
        return self.between.any_event and self.bounds in (DIRECTLY, Bounds())


@dataclass(frozen=True)
class Sequence:
    """Elements, with a connector between each two."""

    elements: tuple[Element, ...]
    connectors: tuple[Connector, ...]
    at_start: bool = False
    at_end: bool = False

    def names(self) -> tuple[str, ...]:
        """List every name that is written in the pattern, once."""
        said = [element.fits for element in self.elements] + [each.between for each in self.connectors]
        return tuple(dict.fromkeys(name for each in said for name in each.names))
