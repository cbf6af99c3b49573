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
from journeykit.support.files import READ_ERRORS

FOLDER, ABOUT, LABELS = "tallies", "about.json", "labels.parquet"


@dataclass(frozen=True)
class Tally:
    """What was counted in some shards.

    Attributes
    ----------
    tables : mapping of str to polars.DataFrame
        By cell of the labels of all shards, and group.
    shards : mapping of int to str
        The checksum of each shard when it was counted, by its number.
    looked_at : mapping of str to int
        What the statistic asked of the whole log, and was told.
    """

    tables: Tables
    shards: Mapping[int, str]
    looked_at: Mapping[str, int]


def tally_key(question: str, by: str, vocabulary: str) -> str:
    """Name the file of a question's tallies.

    Event codes are positions in the vocabulary, and what a statistic counts may change with this package or polars:
    these are parts of the key.
    """
    versions = [import_module("journeykit").__version__, pl.__version__]
    return hashlib.sha256(json.dumps([question, by, vocabulary, *versions]).encode()).hexdigest()[:32]


def kept(folder: Path, key: str, labels: pl.DataFrame) -> Tally | None:
    """Return the tally of a question; None if there is none, or its file cannot be read.

    Labels that have come since then gave the cells other numbers: they get those of these labels.
    """
    try:
        with zipfile.ZipFile(folder / FOLDER / f"{key}.zip") as file:
            about = json.loads(file.read(ABOUT))
            known = pl.read_parquet(file.read(LABELS)) if labels.width else labels
            tables = {
                name: pl.read_parquet(file.read(f"{n}.parquet")) for n, name in enumerate(about["tables"])
            }
            shards = {int(number): str(checksum) for number, checksum in about["shards"].items()}
            looked_at = dict(about["looked_at"])
    except (ValueError, KeyError, AttributeError, zipfile.BadZipFile, *READ_ERRORS):
        return None
    if labels.width and not known.equals(labels):
        places = places_of(known, labels)
        if places.dtype != np.int32:
            return None
        tables = {
            name: table.with_columns(pl.Series(CELL, places[table[CELL].to_numpy()], dtype=pl.Int32))
            for name, table in tables.items()
        }
    return Tally(tables, shards, looked_at)


def keep(folder: Path, key: str, tally: Tally, labels: pl.DataFrame) -> None:
    """Keep the tally of a question, and what its cells stand for; a store that cannot be written to is slower."""
    about = {"tables": list(tally.tables), "shards": tally.shards, "looked_at": tally.looked_at}
    waiting = folder / FOLDER / f".{uuid4().hex}"
    with suppress(OSError, pl.exceptions.PolarsError):
        (folder / FOLDER).mkdir(exist_ok=True)
        try:
            with zipfile.ZipFile(waiting, "w") as file:
                file.writestr(ABOUT, json.dumps(about))
                if labels.width:
                    file.writestr(LABELS, _parquet(labels))
                for n, table in enumerate(tally.tables.values()):
                    file.writestr(f"{n}.parquet", _parquet(table))
            waiting.replace(folder / FOLDER / f"{key}.zip")
        finally:
            waiting.unlink(missing_ok=True)


def _parquet(table: pl.DataFrame) -> bytes:
    content = BytesIO()
    table.write_parquet(content, compression="lz4")
    return content.getvalue()


def forget(folder: Path, keys: set[str] | None = None) -> None:
    """Remove the tallies of the store, or those of some questions."""
    for file in (folder / FOLDER).glob("*.zip"):
        if keys is None or file.stem in keys:
            file.unlink(missing_ok=True)


def forget_all(folder: Path) -> None:
    """Remove all that was counted, and what a crash has left of it."""
    for file in (folder / FOLDER).glob("*"):
        file.unlink(missing_ok=True)


def vocabulary_text(about: Mapping[str, Any]) -> str:
    """Tell apart vocabularies, and what else all shards share and every tally may depend on."""
    return json.dumps([about["names"], about["tz"], about["session_rule"], about["stages"]])
