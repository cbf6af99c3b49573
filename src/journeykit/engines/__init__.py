"""How a statistic is run: make shards, tally each, add the tallies."""

from __future__ import annotations

from journeykit.engines.asking import ask, check_questions, counted
from journeykit.engines.in_memory import Engine, InMemory
from journeykit.engines.on_disk import OnDisk
from journeykit.engines.out_of_core import OutOfCore
from journeykit.engines.pool import Pool
from journeykit.engines.progress import Progress
from journeykit.engines.spark import Spark

__all__ = [
    "Engine",
    "InMemory",
    "OnDisk",
    "OutOfCore",
    "Pool",
    "Progress",
    "Spark",
    "ask",
    "check_questions",
    "counted",
]
