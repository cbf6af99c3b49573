"""How a statistic is run: make shards, tally each, add the tallies."""

from __future__ import annotations

from journeykit.engines.in_memory import Engine, InMemory

__all__ = ["Engine", "InMemory"]
