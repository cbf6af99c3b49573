"""A small language for sequences of events, and where they are. DEFINITIONS D8.11."""

from journeykit.patterns.matches import Matches, mark, match
from journeykit.patterns.pattern import Pattern

__all__ = ["Matches", "Pattern", "mark", "match"]
