"""Writing journeys: their tables once, cut into shards of whole jackknife groups."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from numbers import Integral
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import JourneykitError, ParameterError, StoreError
from journeykit.ragged import Int64s, Ragged
from journeykit.sessions import CAUSES
from journeykit.store.locking import locked
from journeykit.store.manifest import (
    EVENTS,
    FORMAT,
    GROUPS,
    KINDS,
    ORDER,
    SESSIONS,
    USERS,
    VERSION,
    Shard,
    checksum,
    first_line,
    read_manifest,
    replace_manifest,
    shard_of_group,
)
from journeykit.threads import on_all_cores
from journeykit.views import column_names, columns_of, property_columns, session_numbers

TIE_BREAK = "order"
"""The column of the tie-break in the files of events, if the log has one."""


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


@dataclass(frozen=True)
class _Tables:
    """The tables of journeys, users as they are stored, and which pairs of neighbours are tied."""

    events: pl.DataFrame
    users: pl.DataFrame
    sessions: pl.DataFrame
    order: Int64s | None
    tied: npt.NDArray[np.bool_]
    tied_distinct: npt.NDArray[np.bool_]


def write_shards(journeys: Ragged, folder: Path, shards: int, only: int | None = None) -> list[Shard]:
    """Write the files of shards beside those that are there.

    Parameters
    ----------
    journeys : Ragged
        All users, or those of one shard.
    folder : pathlib.Path
        The store.
    shards : int
        Into how many parts the users of the store are cut.
    only : int, optional
        The shard of all these users.

    Returns
    -------
    list of Shard
        Those that have users, or one without any. The name of a file is made of its content.
    """
    tables = _tables(journeys)
    for kind in KINDS if tables.order is not None else (EVENTS, USERS, SESSIONS):
        (folder / kind).mkdir(exist_ok=True)
    of_group = shard_of_group(shards)
    wanted = range(shards) if only is None else [only]
    bounds = {
        shard: journeys.group_offsets[np.searchsorted(of_group, [shard, shard + 1])] for shard in wanted
    }
    full = [shard for shard in wanted if bounds[shard][0] < bounds[shard][1]] or [0]
    return on_all_cores(lambda shard: _write_shard(journeys, tables, folder, shard, bounds[shard]), full)


def _write_shard(journeys: Ragged, tables: _Tables, folder: Path, number: int, users: Int64s) -> Shard:
    first, last = (int(user) for user in users)
    events = slice(*(int(event) for event in journeys.user_offsets[[first, last]]))
    runs = slice(*(int(run) for run in journeys.user_sessions[[first, last]]))
    sessions = tables.sessions[runs]
    parts = {EVENTS: tables.events[events], USERS: tables.users[first:last], SESSIONS: sessions}
    if tables.order is not None:
        parts[ORDER] = pl.DataFrame({"stored": tables.order[events] - events.start})
    return Shard(
        number=number,
        users=last - first,
        sessions=sessions.height - sessions["session"].null_count(),
        runs=sessions.height,
        events=events.stop - events.start,
        tied_pairs=int(tables.tied[events].sum()),
        tied_pairs_distinct=int(tables.tied_distinct[events].sum()),
        events_outside=int(sessions.filter(pl.col("session").is_null())["events"].sum()),
        files={kind: _write_file(table, folder, kind, number) for kind, table in parts.items()},
    )


def _write_file(table: pl.DataFrame, folder: Path, kind: str, shard: int) -> dict[str, Any]:
    """Write under a name that no reader looks for, then give the file the name of its content."""
    waiting = folder / kind / f".{uuid4().hex}"
    table.write_parquet(waiting, compression="snappy")
    found = checksum(waiting)
    file = f"{kind}/{shard:02}-{found[:16]}.parquet"
    size = waiting.stat().st_size
    waiting.replace(folder / file)
    return {"file": file, "bytes": size, "sha256": found}


def _tables(journeys: Ragged) -> _Tables:
    columns = [name for name in column_names(journeys) if name != "event"]
    events = columns_of(journeys, columns)
    codes = _in_time(journeys, journeys.event_codes)
    texts = journeys.names.cast(pl.Categorical).gather(pl.Series(codes)).alias("event")
    events.insert_column(columns.index("time") + 1, texts)
    breaks = None
    if TIE_BREAK in journeys.tie_breaks.columns:
        breaks = journeys.tie_breaks[TIE_BREAK].gather(pl.Series(_in_time(journeys, journeys.rows)))
        events.insert_column(columns.index("time") + 2, breaks.alias(TIE_BREAK))
    tied = _tied(journeys, breaks)
    distinct = tied & np.append(codes[1:] != codes[:-1], False)[: tied.size]
    return _Tables(events, _users(journeys), _sessions(journeys), journeys.time_order, tied, distinct)


def _in_time(journeys: Ragged, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return values if journeys.time_order is None else values[journeys.time_order]


def _tied(journeys: Ragged, breaks: pl.Series | None) -> npt.NDArray[np.bool_]:
    """Mark the events that the user's next one is tied with. D1.9."""
    times = _in_time(journeys, journeys.times)
    tied = np.zeros(times.size, np.bool_)
    tied[:-1] = times[1:] == times[:-1]
    tied[journeys.user_offsets[1:][np.diff(journeys.user_offsets) > 0] - 1] = False
    if breaks is not None:
        tied[:-1] &= breaks[1:].eq_missing(breaks[: max(0, len(breaks) - 1)]).to_numpy()
    return tied


def _users(journeys: Ragged) -> pl.DataFrame:
    numbers = session_numbers(journeys)
    groups = np.repeat(np.arange(GROUPS, dtype=np.uint8), np.diff(journeys.group_offsets))
    users = {
        "user": journeys.users,
        "group": groups,
        "events": np.diff(journeys.user_offsets),
        "sessions": _per_user(numbers > 0, journeys),
        "runs_outside": _per_user(numbers == 0, journeys),
    }
    return pl.DataFrame(users)


def _sessions(journeys: Ragged) -> pl.DataFrame:
    numbers, sizes = session_numbers(journeys), np.diff(journeys.session_offsets)
    causes = pl.Series([*CAUSES, None], dtype=pl.Enum(CAUSES))
    known = journeys.session_causes
    codes = np.full(sizes.size, len(CAUSES), np.uint8) if known is None else known
    sessions = pl.DataFrame({"session": numbers, "events": sizes, "cause": causes.gather(pl.Series(codes))})
    return sessions.with_columns(pl.when(pl.col("session") > 0).then("session").cast(pl.Int32))


def _per_user(runs: npt.NDArray[np.bool_], journeys: Ragged) -> Int64s:
    return np.diff(np.concatenate([[0], runs.cumsum()])[journeys.user_sessions])


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
