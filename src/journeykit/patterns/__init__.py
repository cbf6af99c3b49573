"""A small language for sequences of events, and where they are. DEFINITIONS D8.11."""

from typing import TYPE_CHECKING

from journeykit.support.lazily import attributes

if TYPE_CHECKING:
    from journeykit.patterns.matches import OTHER_JOURNEYS, Matches, mark, match
    from journeykit.patterns.pattern import Pattern
    from journeykit.patterns.searching import Occurrence

_HOMES = {
    "OTHER_JOURNEYS": "matches",
    "Matches": "matches",
    "mark": "matches",
    "match": "matches",
    "Pattern": "pattern",
    "Occurrence": "searching",
}

__all__ = ["OTHER_JOURNEYS", "Matches", "Occurrence", "Pattern", "mark", "match"]

__getattr__, __dir__ = attributes(__name__, _HOMES)
