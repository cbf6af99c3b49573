"""Journeys on disk: a folder of plain Parquet files, cut by user into shards, and a manifest.

``events/*.parquet`` are together the table of ``journeys.frame``, for any tool; ``users/`` has one row per user and
``sessions/`` one per session, in the same order, with the number of their events, from which the ragged array is
rebuilt. A shard holds the users of some jackknife groups (D12.1), whatever machine or version wrote it.
"""

from __future__ import annotations

from journeykit.store.locking import locked
from journeykit.store.manifest import (
    EVENTS,
    Manifest,
    Shard,
    check_files,
    clear,
    read_manifest,
    replace_manifest,
)
from journeykit.store.reading import Stored, read, read_shards, stored_events, stored_rule
from journeykit.store.writing import write, write_shards

__all__ = [
    "EVENTS",
    "Manifest",
    "Shard",
    "Stored",
    "check_files",
    "clear",
    "locked",
    "read",
    "read_manifest",
    "read_shards",
    "replace_manifest",
    "stored_events",
    "stored_rule",
    "write",
    "write_shards",
]
