"""Sources of touchpoints, and the one log that they make together."""

from __future__ import annotations

from journeykit.combining.combining import combine, scan_combined
from journeykit.combining.source import Source

__all__ = ["Source", "combine", "scan_combined"]
