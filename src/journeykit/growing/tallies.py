"""Tallies of shards, kept in the store beside what they were counted from."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import polars as pl

from journeykit.cells import places_of
from journeykit.protocol import CELL, Tables

FOLDER, ABOUT, LABELS, SHARD = "tallies", "about.json", "labels.parquet", "__shard"


@dataclass(frozen=True)
class Tally:
    """What was counted in one shard.

    Attributes
    ----------
    tables : mapping of str to polars.DataFrame
        By cell of the labels of all shards, and group.
    looked_at : mapping of str to int
        What the statistic asked of the whole log, and was told.
    """

    tables: Tables
    looked_at: Mapping[str, int]


def tally_key(question: str, by: str, vocabulary: str) -> str:
    """Name the file of a question's tallies.

    Event codes are positions in the vocabulary, and what a statistic counts may change with this package or polars:
    these are parts of the key.
    """
    versions = [import_module("journeykit").__version__, pl.__version__]
    return hashlib.sha256(json.dumps([question, by, vocabulary, *versions]).encode()).hexdigest()[:32]


def kept(folder: Path, key: str, labels: pl.DataFrame) -> dict[str, Tally]:
    """Return the tallies of a question by the checksum of the shard; none if the file cannot be read.

    Labels that have come since then gave the cells other numbers: they get those of these labels.
    """
    try:
        with zipfile.ZipFile(folder / FOLDER / f"{key}.zip") as file:
            about = json.loads(file.read(ABOUT))
            places = places_of(pl.read_parquet(file.read(LABELS)), labels) if labels.width else None
            whole = {
                name: pl.read_parquet(file.read(f"{n}.parquet")) for n, name in enumerate(about["tables"])
            }
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, pl.exceptions.PolarsError):
        return {}
    if places is not None and places.dtype != np.int32:
        return {}
    if places is not None:
        whole = {
            name: table.with_columns(pl.Series(CELL, places[table[CELL].to_numpy()], dtype=pl.Int32))
            for name, table in whole.items()
        }
    parts = {
        name: table.partition_by(SHARD, as_dict=True, include_key=False, maintain_order=True)
        for name, table in whole.items()
    }
    none = {name: table.drop(SHARD).clear() for name, table in whole.items()}
    return {
        shard["checksum"]: Tally(
            {name: parts[name].get((n,), none[name]) for name in whole}, shard["looked_at"]
        )
        for n, shard in enumerate(about["shards"])
    }


def keep(folder: Path, key: str, tallies: Mapping[str, Tally], labels: pl.DataFrame) -> None:
    """Keep the tallies of a question, and what their cells stand for; a store that cannot be written to is slower."""
    first = next(iter(tallies.values()))
    about = {
        "tables": list(first.tables),
        "shards": [{"checksum": name, "looked_at": dict(each.looked_at)} for name, each in tallies.items()],
    }
    waiting = folder / FOLDER / f".{uuid4().hex}"
    with suppress(OSError, pl.exceptions.PolarsError):
        (folder / FOLDER).mkdir(exist_ok=True)
        try:
            with zipfile.ZipFile(waiting, "w") as file:
                file.writestr(ABOUT, json.dumps(about))
                if labels.width:
                    file.writestr(LABELS, _parquet(labels))
                for n, name in enumerate(first.tables):
                    file.writestr(f"{n}.parquet", _bytes(name, list(tallies.values())))
            waiting.replace(folder / FOLDER / f"{key}.zip")
        finally:
            waiting.unlink(missing_ok=True)


def _bytes(name: str, tallies: list[Tally]) -> bytes:
    tables = [
        each.tables[name].with_columns(pl.lit(n, pl.UInt8).alias(SHARD)) for n, each in enumerate(tallies)
    ]
    return _parquet(pl.concat(tables))


def _parquet(table: pl.DataFrame) -> bytes:
    content = BytesIO()
    table.write_parquet(content, compression="lz4")
    return content.getvalue()


def forget(folder: Path, keys: set[str] | None = None) -> None:
    """Remove the tallies of the store, or those of some questions."""
    for file in (folder / FOLDER).glob("*.zip"):
        if keys is None or file.stem in keys:
            file.unlink(missing_ok=True)


def vocabulary_text(about: Mapping[str, Any]) -> str:
    """Tell apart vocabularies, and what else all shards share and every tally may depend on."""
    return json.dumps([about["names"], about["tz"], about["session_rule"], about["stages"]])
