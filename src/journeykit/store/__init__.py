"""Journeys on disk: a folder of plain Parquet files, cut by user into shards, and a manifest.

``events/*.parquet`` are together the table of ``journeys.frame``, for any tool; ``users/`` has one row per user and
``sessions/`` one per session, in the same order, with the number of their events, from which the ragged array is
rebuilt. A shard holds the users of some jackknife groups (D12.1), whatever machine or version wrote it.
"""

from __future__ import annotations

from journeykit.store.locking import locked
from journeykit.store.manifest import (
    CHANGES,
    EVENTS,
    Change,
    Manifest,
    Shard,
    check_files,
    clear,
    is_store,
    read_manifest,
    replace_manifest,
)
from journeykit.store.reading import Stored, log_of, read, read_shards, read_tables, stored_rule
from journeykit.store.tables import ShardTables, tables_of, together
from journeykit.store.writing import write, write_shard

__all__ = [
    "CHANGES",
    "EVENTS",
    "Change",
    "Manifest",
    "Shard",
    "ShardTables",
    "Stored",
    "check_files",
    "clear",
    "is_store",
    "locked",
    "log_of",
    "read",
    "read_manifest",
    "read_shards",
    "read_tables",
    "replace_manifest",
    "stored_rule",
    "tables_of",
    "together",
    "write",
    "write_shard",
]
