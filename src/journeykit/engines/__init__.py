"""How a statistic is run: make shards, tally each, add the tallies.

What works from disk or in processes is imported when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from journeykit.engines.asking import ask, check_questions, counted
from journeykit.engines.in_memory import Engine, InMemory
from journeykit.support.lazily import attributes

if TYPE_CHECKING:
    from journeykit.engines.on_disk import OnDisk
    from journeykit.engines.out_of_core import OutOfCore
    from journeykit.engines.pool import Pool
    from journeykit.engines.progress import Progress
    from journeykit.engines.spark import Spark

_HOMES = {
    "OnDisk": "on_disk",
    "OutOfCore": "out_of_core",
    "Pool": "pool",
    "Progress": "progress",
    "Spark": "spark",
}

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

__getattr__, __dir__ = attributes(__name__, _HOMES)
