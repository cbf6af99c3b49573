"""A small language for sequences of events, and where they are. DEFINITIONS D8.11."""

from journeykit.patterns.matches import OTHER_JOURNEYS, Matches, mark, match
from journeykit.patterns.pattern import Pattern
from journeykit.patterns.searching import Occurrence

__all__ = ["OTHER_JOURNEYS", "Matches", "Occurrence", "Pattern", "mark", "match"]
