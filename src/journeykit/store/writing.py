"""Writing journeys: their tables once, cut into shards of whole jackknife groups."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict
from importlib import import_module
from numbers import Integral
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import polars as pl

from journeykit.errors import JourneykitError, ParameterError, StoreError
from journeykit.ragged.array import Ragged
from journeykit.ragged.views import property_columns
from journeykit.store.locking import locked
from journeykit.store.manifest import (
    EVENTS,
    FORMAT,
    GROUPS,
    ORDER,
    SESSIONS,
    USERS,
    VERSION,
    Shard,
    checksum,
    read_manifest,
    replace_manifest,
    shard_of_group,
)
from journeykit.store.tables import TIE_BREAK, ShardTables, tables_of
from journeykit.support.files import first_line
from journeykit.support.threads import on_all_cores


def write(journeys: Ragged, path: str | Path, *, shards: int = GROUPS, overwrite: bool = False) -> Path:
    """Write the journeys to a folder of plain Parquet files, from which ``open_journeys`` reads them back.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder to make. It appears whole or not at all.
    shards : int, default 64
        Into how many parts the users are cut, 1 to 64; each holds whole jackknife groups (D12.1), and those
        without users have no files. ``open_store(path).append`` rewrites only parts that have new events.
    overwrite : bool
        Replace journeys that are there; anything else is never replaced.

    Returns
    -------
    pathlib.Path
        The folder: ``events/*.parquet`` (the table of ``journeys.frame``, with events as texts), ``users/``,
        ``sessions/`` and ``manifest.json``.

    Raises
    ------
    ParameterError
        If `shards` is not a whole number from 1 to 64.
    StoreError
        If there is something at `path`, or it cannot be written.
    StageModelError
        If a stage rule holds an expression that cannot be written as TOML.
    """
    if journeys.user_range is not None:
        raise StoreError.unwritable(str(path), "a shard is a view, and has no journeys of its own")
    if not isinstance(shards, Integral) or isinstance(shards, bool) or not 1 <= shards <= GROUPS:
        raise ParameterError(f"shards must be a whole number from 1 to {GROUPS}, not {shards!r}.")
    target = Path(path)
    _check_target(target, overwrite)
    about = {**_about(journeys), "n_shards": int(shards)}
    try:
        with locked(target) if target.exists() else nullcontext(), _appearing(target) as folder:
            replace_manifest(folder, about, write_shards(journeys, folder, int(shards)))
    except JourneykitError:
        raise
    except (OSError, pl.exceptions.PolarsError, TypeError) as error:
        raise StoreError.unwritable(str(path), first_line(error)) from error
    return target


def _about(journeys: Ragged) -> dict[str, Any]:
    """Collect what the Parquet files do not hold."""
    rule = {name: value for name, value in asdict(journeys.session_rule).items() if value is not None}
    staged = journeys.staged
    unmapped = None if staged is None else staged.model.assign(journeys.in_time_order(), missing="ignore")
    return {
        "format": FORMAT,
        "version": VERSION,
        "journeykit": import_module("journeykit").__version__,
        "users": journeys.n_users,
        "sessions": journeys.n_sessions,
        "events": journeys.n_events,
        "tz": journeys.tz,
        "observed_from": journeys.observed_from,
        "observed_until": journeys.observed_until,
        "session_rule": {"timeout": None, **rule},
        "stages": None if staged is None else staged.model.dumps(),
        "unmapped": {} if unmapped is None else dict(unmapped.unmapped.select("event", "events").iter_rows()),
        "properties": property_columns(journeys),
        "tie_break": TIE_BREAK in journeys.tie_breaks.columns,
        "provenance": asdict(journeys.provenance),
        "names": journeys.names.to_list(),
    }


def write_shards(journeys: Ragged, folder: Path, shards: int) -> list[Shard]:
    """Write the files of all shards that have users, or of one without any."""
    tables = tables_of(journeys)
    of_group, tie_break = shard_of_group(shards), TIE_BREAK in journeys.tie_breaks.columns
    bounds = journeys.group_offsets[np.searchsorted(of_group, np.arange(shards + 1))].tolist()
    full = [shard for shard in range(shards) if bounds[shard] < bounds[shard + 1]] or [0]
    _ = tables.user_offsets, tables.run_offsets

    def write_one(shard: int) -> Shard:
        own = tables.between(bounds[shard], bounds[shard + 1])
        return write_shard(own, folder, shard, tie_break=tie_break)

    return on_all_cores(write_one, full)


def write_shard(tables: ShardTables, folder: Path, number: int, *, tie_break: bool) -> Shard:
    """Write the files of a shard beside those that are there; their names are made of their content."""
    sessions = tables.sessions
    parts = {EVENTS: tables.events, USERS: tables.users, SESSIONS: sessions}
    if tables.order is not None:
        parts[ORDER] = pl.DataFrame({"stored": tables.order})
    tied_pairs, tied_pairs_distinct = tables.tied(tie_break=tie_break)
    return Shard(
        number=number,
        users=tables.users.height,
        sessions=sessions.height - sessions["session"].null_count(),
        runs=sessions.height,
        events=tables.events.height,
        tied_pairs=tied_pairs,
        tied_pairs_distinct=tied_pairs_distinct,
        events_outside=int(sessions.filter(pl.col("session").is_null())["events"].sum()),
        files={kind: _write_file(table, folder, kind, number) for kind, table in parts.items()},
    )


def _write_file(table: pl.DataFrame, folder: Path, kind: str, shard: int) -> dict[str, Any]:
    """Write under a name that no reader looks for, then give the file the name of its content."""
    (folder / kind).mkdir(parents=True, exist_ok=True)
    waiting = folder / kind / f".{uuid4().hex}"
    table.write_parquet(waiting, compression="snappy")
    found = checksum(waiting)
    file = f"{kind}/{shard:02}-{found[:16]}.parquet"
    size = waiting.stat().st_size
    waiting.replace(folder / file)
    return {"file": file, "bytes": size, "sha256": found}


def _check_target(target: Path, overwrite: bool) -> None:
    if not target.exists():
        return
    ours = False
    with suppress(StoreError):
        ours = bool(read_manifest(target))
    if not (ours and overwrite):
        raise StoreError.exists(str(target), ours)


@contextmanager
def _appearing(target: Path) -> Iterator[Path]:
    """Give a new folder beside `target`; put it in its place if all goes well, else remove it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    waiting = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    folder, before = waiting / "new", waiting / "old"
    try:
        folder.mkdir()
        yield folder
        if target.exists():
            target.rename(before)
        try:
            folder.rename(target)
        except BaseException:
            if before.exists():
                before.rename(target)
            raise
    finally:
        shutil.rmtree(waiting, ignore_errors=True)
