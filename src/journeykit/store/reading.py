"""Reading journeys back: times and codes at once, properties when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import StoreError
from journeykit.ragged.array import Int64s, Provenance
from journeykit.sessions import SessionRule
from journeykit.store.manifest import (
    EVENTS,
    GROUPS,
    ORDER,
    SESSIONS,
    USERS,
    Manifest,
    Shard,
    check_files,
    read_manifest,
    reading_manifest,
)
from journeykit.store.tables import TIE_BREAK, ShardTables
from journeykit.support.files import READ_ERRORS, first_line
from journeykit.support.slices import offsets
from journeykit.support.threads import on_all_cores

if TYPE_CHECKING:
    from journeykit.stages import StageModel

STAGES = ("stage", "furthest_stage")


@dataclass(frozen=True)
class StoredColumns:
    """The properties of reopened journeys, each read when first asked for."""

    folder: Path
    files: tuple[Path, ...]
    columns_in_file: Mapping[str, str]
    read: dict[str, pl.Series] = field(default_factory=dict, compare=False)

    @property
    def columns(self) -> list[str]:
        """The names of the properties."""
        return list(self.columns_in_file)

    def __getitem__(self, name: str) -> pl.Series:
        """Read a property, one value per event in the order of the files.

        Raises
        ------
        StoreError
            If the files are not those that were opened.
        """
        if name not in self.read:
            if not all(file.is_file() for file in self.files):
                raise StoreError.replaced(str(self.folder))
            column = self.columns_in_file[name]
            parts = on_all_cores(lambda file: parquet(self.folder, file, [column])[column], self.files)
            self.read[name] = pl.concat(parts).alias(name)
        return self.read[name]


@dataclass(frozen=True, eq=False)
class Stored:
    """What `read` found: the parts of journeys by their names, and those that have types of their own."""

    parts: dict[str, Any]
    stages: tuple[StageModel, npt.NDArray[np.uint8], npt.NDArray[np.uint8]] | None
    provenance: dict[str, Any]


def read(path: str | Path, *, verify: bool = False) -> Stored:
    """Read the parts of journeys; properties are left in the files. See ``open_journeys``."""
    manifest = read_manifest(path)
    with reading_manifest(manifest.folder):
        check_files(manifest, verify)
        return read_shards(manifest)


def _model(text: str) -> StageModel:
    from journeykit.stages import StageModel

    return StageModel.loads(text)


def read_shards(manifest: Manifest, only: Sequence[Shard] | None = None) -> Stored:
    """Read some shards of a store as journeys of their own, or all."""
    manifest = manifest if only is None else replace(manifest, shards=tuple(only))
    about, names = manifest.about, pl.Series("event", manifest.about["names"], dtype=pl.String)
    model = None if about["stages"] is None else _model(about["stages"])
    columns = _EventColumns(manifest, names, model is not None)
    order = _order(manifest)
    users, sessions = _table(manifest, USERS), _table(manifest, SESSIONS)
    inside, causes = sessions["session"].is_not_null().to_numpy(), sessions["cause"]
    files = tuple(file.resolve() for file in manifest.paths(EVENTS))
    breaks = {TIE_BREAK: TIE_BREAK} if about["tie_break"] else {}
    row_dtype = np.uint32 if columns.times.size < 1 << 32 else np.uint64
    groups = np.bincount(users["group"].to_numpy(), minlength=GROUPS)
    parts = {
        "users": users["user"].rechunk(),
        "names": names,
        "user_offsets": offsets(users["events"].to_numpy()),
        "session_offsets": offsets(sessions["events"].to_numpy()),
        "user_sessions": offsets((users["sessions"] + users["runs_outside"]).to_numpy()),
        "event_codes": _stored(columns.codes, order),
        "times": _stored(columns.times, order),
        "group_offsets": offsets(groups),
        "rows": _stored(np.arange(columns.times.size, dtype=row_dtype), order),
        "observed_from": about["observed_from"],
        "observed_until": about["observed_until"],
        "tz": about["tz"],
        "session_rule": stored_rule(about),
        "session_causes": None if causes.null_count() else causes.to_physical().to_numpy(),
        "sessions_inside": None if inside.all() else inside,
        "time_order": order,
        "source": StoredColumns(manifest.folder, files, dict(about["properties"])),
        "tie_breaks": StoredColumns(manifest.folder, files, breaks),
    }
    _check_together(manifest.folder, parts)
    _check_options(about, "provenance", Provenance)
    given = about["provenance"]
    provenance = {**given, "notes": tuple(given["notes"]), "verbs": tuple(given["verbs"])}
    stages = [_stored(each, order) for each in columns.stages]
    return Stored(parts, None if model is None else (model, stages[0], stages[1]), provenance)


def read_tables(manifest: Manifest, shard: Shard) -> ShardTables:
    """Read the tables of a shard as they are in its files."""
    rows = {EVENTS: shard.events, USERS: shard.users, SESSIONS: shard.runs}
    found = {
        kind: parquet(manifest.folder, manifest.folder / (shard.file(kind) or ""), None, rows[kind])
        for kind in rows
    }
    order = _order(replace(manifest, shards=(shard,)))
    tables = ShardTables(found[EVENTS], found[USERS], found[SESSIONS], order)
    if [tables.user_offsets[-1], tables.run_offsets[-1]] != [shard.events, shard.runs]:
        raise _not_together(manifest.folder)
    return tables


def log_of(manifest: Manifest, tables: ShardTables) -> pl.DataFrame:
    """Return events under the names of ``Events.frame``: those that the log had, in order (D1.3)."""
    about = manifest.about
    properties = {column: name for name, column in about["properties"].items()}
    breaks = [TIE_BREAK] if about["tie_break"] else []
    columns = ["user", "time", "event", *breaks, *properties]
    return tables.events.select(columns).rename(properties, strict=False)


class _EventColumns:
    """Times, codes and stages of all events, in the order of the files."""

    def __init__(self, manifest: Manifest, names: pl.Series, staged: bool) -> None:
        events = sum(shard.events for shard in manifest.shards)
        dtype = pl.Series(dtype=pl.Enum(names)).to_physical().to_numpy().dtype
        self.times, self.codes = np.empty(events, np.int64), np.empty(events, dtype)
        self.stages = [np.empty(events, np.uint8) for _ in STAGES] if staged else []
        self._manifest, self._size = manifest, len(names)
        # polars numbers categories anew when the last series that has them is gone: this one stays.
        self._categories = names.cast(pl.Categorical)
        self._places = self._categories.to_physical().to_numpy()
        starts = np.cumsum([0, *(shard.events for shard in manifest.shards)]).tolist()
        on_all_cores(lambda part: self._fill(*part), zip(manifest.shards, starts, strict=False))

    def _fill(self, shard: Shard, start: int) -> None:
        folder, file = self._manifest.folder, shard.file(EVENTS) or ""
        columns = ["time", "event", *STAGES[: len(self.stages)]]
        found = parquet(folder, folder / file, columns, shard.events)
        span = slice(start, start + shard.events)
        self.times[span] = found["time"].to_physical().to_numpy()
        known = found["event"].to_physical().to_numpy()
        most = max(int(known.max(initial=0)), int(self._places.max(initial=0)))
        code_of = np.full(most + 1, self._size, np.int64)
        code_of[self._places] = np.arange(self._size)
        codes = code_of[known]
        if codes.max(initial=0) >= max(1, self._size):
            raise StoreError.broken(str(folder), file, "has other event names than the manifest")
        self.codes[span] = codes
        for stages, name in zip(self.stages, STAGES, strict=False):
            stages[span] = (found[name].to_physical().cast(pl.UInt8) + 1).fill_null(0).to_numpy()


def _order(manifest: Manifest) -> Int64s | None:
    """Return where the events that follow each other in time are stored; None if all as they follow."""
    if not any(shard.file(ORDER) for shard in manifest.shards):
        return None
    parts, start = [], 0
    for shard in manifest.shards:
        file = shard.file(ORDER)
        places = np.arange(shard.events, dtype=np.int64)
        if file is not None:
            places = parquet(manifest.folder, manifest.folder / file, None, shard.events)["stored"].to_numpy()
        parts.append(places + start)
        start += shard.events
    return np.concatenate(parts)


def _table(manifest: Manifest, kind: str) -> pl.DataFrame:
    rows = {USERS: "users", SESSIONS: "runs"}[kind]
    tasks = list(zip(manifest.paths(kind), manifest.shards, strict=True))
    parts = on_all_cores(lambda task: parquet(manifest.folder, task[0], None, getattr(task[1], rows)), tasks)
    for part, (file, _) in zip(parts, tasks, strict=True):
        if part.schema != parts[0].schema:
            shown = f"{file.parent.name}/{file.name}"
            raise StoreError.broken(str(manifest.folder), shown, "has other columns than its neighbours")
    return pl.concat(parts)


def _check_together(folder: Path, parts: Mapping[str, Any]) -> None:
    """Refuse offsets that lead beyond the events: compiled loops follow them unchecked."""
    events, sessions = parts["times"].size, parts["session_offsets"].size - 1
    ends = [parts[name][-1] for name in ("user_offsets", "session_offsets", "user_sessions")]
    if ends != [events, events, sessions]:
        raise _not_together(folder)


def _not_together(folder: Path) -> StoreError:
    return StoreError.broken(str(folder), USERS, "and sessions count other events or sessions than there are")


def _stored(values: npt.NDArray[Any], order: Int64s | None) -> npt.NDArray[Any]:
    """Bring a column of the files, which is in the order of time, into the stored order."""
    if order is None:
        return values
    stored = np.empty_like(values)
    stored[order] = values
    return stored


def stored_rule(manifest: Mapping[str, Any]) -> SessionRule:
    """Give the session rule of a store."""
    _check_options(manifest, "session_rule", SessionRule)
    return SessionRule(**manifest["session_rule"])


def _check_options(manifest: Mapping[str, Any], name: str, kind: type) -> None:
    """Refuse an entry with options that what is made of it does not have."""
    known = {each.name for each in fields(kind)}
    if unknown := sorted(set(manifest[name]) - known):
        raise ValueError(f"{name} has the unknown option {unknown[0]!r}")


def parquet(
    folder: Path, file: Path, columns: list[str] | None = None, rows: int | None = None
) -> pl.DataFrame:
    """Read a file of a store, and insist on its number of rows."""
    shown = f"{file.parent.name}/{file.name}"
    try:
        found = pl.read_parquet(file, columns=columns, glob=False)
    except READ_ERRORS as error:
        raise StoreError.broken(str(folder), shown, f"cannot be read: {first_line(error)}") from error
    if rows is not None and found.height != rows:
        raise StoreError.broken(str(folder), shown, f"has {found.height:,} rows, not {rows:,}")
    return found
