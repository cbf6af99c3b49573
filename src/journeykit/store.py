"""Journeys on disk: a folder of plain Parquet files and a manifest.

``events.parquet`` is the table of ``journeys.frame``, for any tool. ``users.parquet`` has one row per user
and ``sessions.parquet`` one per session, in the same order, with the number of their events, from which the
ragged array is rebuilt; to reopen, only times and dictionary-encoded columns of the events are read.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import JourneykitError, StoreError
from journeykit.ragged import Int64s, Ragged
from journeykit.sessions import CAUSES, SessionRule
from journeykit.stages import StageModel
from journeykit.views import column_names, columns_of, property_columns, session_numbers

FORMAT, VERSION = "journeykit journeys", 1
MANIFEST, EVENTS, USERS, SESSIONS, ORDER = (
    "manifest.json",
    "events.parquet",
    "users.parquet",
    "sessions.parquet",
    "order.parquet",
)
GROUPS = 64


@dataclass(frozen=True)
class StoredColumns:
    """The properties of reopened journeys, each read when first asked for."""

    path: Path
    columns_in_file: Mapping[str, str]
    signature: tuple[int, ...]
    read: dict[str, pl.Series] = field(default_factory=dict, compare=False)

    @property
    def columns(self) -> list[str]:
        """The names of the properties."""
        return list(self.columns_in_file)

    def __getitem__(self, name: str) -> pl.Series:
        """Read a property, one value per event in the order of the file.

        Raises
        ------
        StoreError
            If the file is not the one that was opened.
        """
        if name not in self.read:
            if _signature(self.path) != self.signature:
                raise StoreError.replaced(str(self.path.parent))
            column = self.columns_in_file[name]
            self.read[name] = _parquet(self.path, [column])[column].alias(name)
        return self.read[name]


@dataclass(frozen=True, eq=False)
class Stored:
    """What `read` found: the parts of journeys by their names, and those that have types of their own."""

    parts: dict[str, Any]
    stages: tuple[StageModel, npt.NDArray[np.uint8], npt.NDArray[np.uint8]] | None
    provenance: dict[str, Any]


def write(journeys: Ragged, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write the journeys to a folder of plain Parquet files, from which ``open_journeys`` reads them back.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder to make. It appears whole or not at all.
    overwrite : bool
        Replace journeys that are there; anything else is never replaced.

    Returns
    -------
    pathlib.Path
        The folder: ``events.parquet`` (the table of ``journeys.frame``), ``users.parquet``,
        ``sessions.parquet`` and ``manifest.json``.

    Raises
    ------
    StoreError
        If there is something at `path`, or it cannot be written.
    StageModelError
        If a stage rule holds an expression that cannot be written as TOML.
    """
    if journeys.user_range is not None:
        raise StoreError.unwritable(str(path), "a shard is a view, and has no journeys of its own")
    target = Path(path)
    _check_target(target, overwrite)
    about = _about(journeys)
    try:
        with _appearing(target) as folder:
            _write_files(journeys, folder)
            about["files"] = {file.name: _fingerprint(file) for file in sorted(folder.iterdir())}
            (folder / MANIFEST).write_text(json.dumps(about, ensure_ascii=False, indent=1), encoding="utf-8")
    except JourneykitError:
        raise
    except (OSError, pl.exceptions.PolarsError, TypeError) as error:
        raise StoreError.unwritable(str(path), _reason(error)) from error
    return target


def read(path: str | Path, *, verify: bool = False) -> Stored:
    """Read the parts of journeys; properties are left in the file. See ``open_journeys``."""
    folder = Path(path)
    about = _manifest(folder)
    try:
        return _read(folder, about, verify)
    except StoreError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = f"has no {error}" if isinstance(error, KeyError) else f"has a wrong value: {_reason(error)}"
        raise StoreError.broken(str(folder), MANIFEST, reason) from error


def _about(journeys: Ragged) -> dict[str, Any]:
    """Collect what the Parquet files do not hold."""
    rule = {name: value for name, value in asdict(journeys.session_rule).items() if value is not None}
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
        "stages": None if journeys.staged is None else journeys.staged.model.dumps(),
        "properties": property_columns(journeys),
        "provenance": asdict(journeys.provenance),
        "names": journeys.names.to_list(),
    }


def _write_files(journeys: Ragged, folder: Path) -> None:
    events = columns_of(journeys, column_names(journeys))
    events.write_parquet(folder / EVENTS, compression="snappy")
    numbers, sizes = session_numbers(journeys), np.diff(journeys.session_offsets)
    groups = np.repeat(np.arange(GROUPS, dtype=np.uint8), np.diff(journeys.group_offsets))
    users = {
        "user": journeys.users,
        "group": groups,
        "events": np.diff(journeys.user_offsets),
        "sessions": _per_user(numbers > 0, journeys),
        "runs_outside": _per_user(numbers == 0, journeys),
    }
    pl.DataFrame(users).write_parquet(folder / USERS, compression="snappy")
    causes = pl.Series([*CAUSES, None], dtype=pl.Enum(CAUSES))
    known = journeys.session_causes
    codes = np.full(sizes.size, len(CAUSES), np.uint8) if known is None else known
    sessions = pl.DataFrame({"session": numbers, "events": sizes, "cause": causes.gather(pl.Series(codes))})
    sessions = sessions.with_columns(pl.when(pl.col("session") > 0).then("session").cast(pl.Int32))
    sessions.write_parquet(folder / SESSIONS, compression="snappy")
    if journeys.time_order is not None:
        pl.DataFrame({"stored": journeys.time_order}).write_parquet(folder / ORDER, compression="snappy")


def _check_together(folder: Path, parts: Mapping[str, Any]) -> None:
    """Refuse offsets that lead beyond the events: compiled loops follow them unchecked."""
    events, sessions = parts["times"].size, parts["session_offsets"].size - 1
    ends = [parts[name][-1] for name in ("user_offsets", "session_offsets", "user_sessions")]
    if ends != [events, events, sessions]:
        reason = "and sessions.parquet count other events or sessions than there are"
        raise StoreError.broken(str(folder), USERS, reason)


def _per_user(runs: npt.NDArray[np.bool_], journeys: Ragged) -> Int64s:
    return np.diff(np.concatenate([[0], runs.cumsum()])[journeys.user_sessions])


def _read(folder: Path, about: Mapping[str, Any], verify: bool) -> Stored:
    _check_files(folder, about["files"], verify)
    names = pl.Series("event", about["names"], dtype=pl.String)
    model = None if about["stages"] is None else StageModel.loads(about["stages"])
    stage_columns = [] if model is None else ["stage", "furthest_stage"]
    events = _parquet(folder / EVENTS, ["time", "event", *stage_columns])
    users, sessions = _parquet(folder / USERS), _parquet(folder / SESSIONS)
    for frame, part in ((events, "events"), (users, "users")):
        if frame.height != about[part]:
            reason = f"has {frame.height:,} rows, not {about[part]:,}"
            raise StoreError.broken(str(folder), f"{part}.parquet", reason)
    if not isinstance(events["event"].dtype, pl.Enum) or not events["event"].dtype.categories.equals(names):
        raise StoreError.broken(str(folder), EVENTS, "has other event names than the manifest")
    order = _parquet(folder / ORDER)["stored"].to_numpy() if ORDER in about["files"] else None
    row_dtype = np.uint32 if events.height < 1 << 32 else np.uint64
    inside = sessions["session"].is_not_null().to_numpy()
    causes = sessions["cause"]
    file = folder.resolve() / EVENTS
    properties = StoredColumns(file, dict(about["properties"]), _signature(file))
    groups = np.bincount(users["group"].to_numpy(), minlength=GROUPS)
    parts = {
        "users": users["user"].rechunk(),
        "names": names,
        "user_offsets": _offsets(users["events"]),
        "session_offsets": _offsets(sessions["events"]),
        "user_sessions": _offsets(users["sessions"] + users["runs_outside"]),
        "event_codes": _stored(events["event"].to_physical().to_numpy(), order),
        "times": _stored(events["time"].to_physical().to_numpy(), order),
        "group_offsets": np.concatenate([[0], groups.cumsum()]),
        "rows": _stored(np.arange(events.height, dtype=row_dtype), order),
        "observed_from": about["observed_from"],
        "observed_until": about["observed_until"],
        "tz": about["tz"],
        "session_rule": _rule(about["session_rule"]),
        "session_causes": None if causes.null_count() else causes.to_physical().to_numpy(),
        "sessions_inside": None if inside.all() else inside,
        "time_order": order,
        "source": properties,
    }
    _check_together(folder, parts)
    codes = [_stored(_stage_codes(events[column]), order) for column in stage_columns]
    provenance = {**about["provenance"], "notes": tuple(about["provenance"]["notes"])}
    return Stored(parts, None if model is None else (model, codes[0], codes[1]), provenance)


def _offsets(sizes: pl.Series) -> Int64s:
    return np.concatenate([[0], sizes.cast(pl.Int64).to_numpy().cumsum()])


def _stored(values: npt.NDArray[Any], order: Int64s | None) -> npt.NDArray[Any]:
    """Bring a column of the file, which is in the order of time, into the stored order."""
    if order is None:
        return values
    stored = np.empty_like(values)
    stored[order] = values
    return stored


def _stage_codes(stages: pl.Series) -> npt.NDArray[np.uint8]:
    codes: npt.NDArray[np.uint8] = (stages.to_physical().cast(pl.UInt8) + 1).fill_null(0).to_numpy()
    return codes


def _rule(about: Mapping[str, Any]) -> SessionRule:
    known = {each.name for each in fields(SessionRule)}
    if unknown := sorted(set(about) - known):
        raise ValueError(f"session_rule has the unknown option {unknown[0]!r}")
    return SessionRule(**about)


def _manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest, and refuse what this version cannot read."""
    shown = str(folder)
    if not folder.exists():
        beside = folder.parent.iterdir() if folder.parent.is_dir() else ()
        raise StoreError.missing(shown, sorted(each.name for each in beside))
    file = folder / MANIFEST
    if not file.is_file():
        raise StoreError.foreign(shown)
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError.broken(shown, MANIFEST, f"cannot be read: {_reason(error)}") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise StoreError.foreign(shown)
    version = about.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise StoreError.newer(shown, version, VERSION, about.get("journeykit", "of an unknown version"))
    return about


def _check_files(folder: Path, files: Mapping[str, Mapping[str, Any]], verify: bool) -> None:
    """Compare the files with the manifest: their sizes, and if asked their checksums."""
    for name, known in files.items():
        file = folder / name
        if not file.is_file():
            raise StoreError.broken(str(folder), name, "is missing")
        size = file.stat().st_size
        if size != known["bytes"]:
            raise StoreError.broken(str(folder), name, f"has {size:,} bytes, not {known['bytes']:,}")
        if verify and _fingerprint(file) != known:
            raise StoreError.broken(str(folder), name, "has another checksum than when it was written")


def _check_target(target: Path, overwrite: bool) -> None:
    if not target.exists():
        return
    ours = False
    with suppress(StoreError):
        ours = bool(_manifest(target))
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


def _parquet(file: Path, columns: list[str] | None = None) -> pl.DataFrame:
    try:
        return pl.read_parquet(file, columns=columns, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise StoreError.broken(str(file.parent), file.name, f"cannot be read: {_reason(error)}") from error


def _fingerprint(file: Path) -> dict[str, Any]:
    with file.open("rb") as content:
        return {"bytes": file.stat().st_size, "sha256": hashlib.file_digest(content, "sha256").hexdigest()}


def _signature(file: Path) -> tuple[int, ...]:
    """Tell one version of a file from another."""
    try:
        found = file.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _reason(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
