"""Erasing users from a store: their shards are written again without them, and nothing that was counted is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl

from journeykit.errors import StoreError, UnknownUserError
from journeykit.events.events import log_provenance
from journeykit.growing.appending import SHARD_COUNTS, journeys_of_log, provenance_of
from journeykit.growing.tallies import forget_all
from journeykit.journeys.journeys import UNMAPPED
from journeykit.ordering.user_ids import group_of
from journeykit.ragged.array import Provenance
from journeykit.stages import StageModel
from journeykit.store import (
    CHANGES,
    EVENTS,
    Manifest,
    Shard,
    ShardTables,
    clear,
    locked,
    log_of,
    read_manifest,
    read_tables,
    replace_manifest,
    write_shard,
)
from journeykit.store.reading import parquet
from journeykit.support.files import first_line
from journeykit.support.precision import day_events
from journeykit.support.unknown_names import Missing, check_missing, refuse_unknown


def erase(folder: Path, users: Sequence[str | int], missing: Missing) -> int:
    """Erase users from a store; see ``Store.erase``."""
    check_missing(missing)
    read_manifest(folder)
    with locked(folder):
        manifest = read_manifest(folder)
        # What a crash of an earlier call has left goes first: it may be of these users.
        clear(manifest)
        forget_all(folder)
        try:
            erased = _erased(manifest, users, missing)
            if erased:
                replace_manifest(folder, _about(manifest, erased), _shards(manifest, erased))
        except (OSError, pl.exceptions.PolarsError) as error:
            raise StoreError.not_erased(str(folder), first_line(error)) from error
        finally:
            clear(read_manifest(folder))
            # Whoever asked meanwhile may have kept what was counted before.
            forget_all(folder)
    return sum(each.tables.users.height for each in erased)


@dataclass(frozen=True)
class _Erased:
    """A shard as it was and as it is, and the tables of the users who went."""

    before: Shard
    after: Shard
    tables: ShardTables
    names: frozenset[str]


def _erased(manifest: Manifest, users: Sequence[str | int], missing: Missing) -> list[_Erased]:
    """Write the shards of the users without them, once it is known that all of them are there."""
    found = [(shard, read_tables(manifest, shard)) for shard in _candidates(manifest, users)]
    own = [
        (shard, tables, tables.users["user"].cast(pl.String).is_in([*map(str, users)]))
        for shard, tables in found
    ]
    known = {user for _, tables, mask in own for user in tables.users["user"].filter(mask).cast(pl.String)}
    if unknown := [user for user in users if str(user) not in known]:
        # Those who are there are named in no message of an erasure.
        refuse_unknown(UnknownUserError(unknown, len(users), None), missing, stacklevel=4)
    return [_without(manifest, shard, tables, mask) for shard, tables, mask in own if mask.any()]


def _candidates(manifest: Manifest, users: Sequence[str | int]) -> list[Shard]:
    """Return the shards that the groups of the users belong to."""
    first = parquet(manifest.folder, manifest.paths("users")[0], ["user"])["user"]
    texts = pl.Series("user", [*map(str, users)], dtype=pl.String)
    ids = texts if first.dtype == pl.String else texts.cast(first.dtype, strict=False).drop_nulls()
    numbers = set(manifest.shard_of_group()[group_of(ids)].tolist())
    return [shard for shard in manifest.shards if shard.number in numbers and shard.users]


def _without(manifest: Manifest, shard: Shard, tables: ShardTables, mask: pl.Series) -> _Erased:
    own = mask.to_numpy()
    gone, others = tables.of_users(own), tables.of_users(~own)
    after = write_shard(others, manifest.folder, shard.number, tie_break=manifest.about["tie_break"])
    names = {*gone.events["event"].cast(pl.String)} - {*others.events["event"].cast(pl.String)}
    return _Erased(shard, after, gone, frozenset(names))


def _shards(manifest: Manifest, erased: list[_Erased]) -> list[Shard]:
    """Return the shards that are left; one without users, if none is."""
    shards = {shard.number: shard for shard in manifest.shards}
    shards |= {each.after.number: each.after for each in erased}
    ordered = [shards[number] for number in sorted(shards)]
    return [shard for shard in ordered if shard.users] or ordered[:1]


def _about(manifest: Manifest, erased: list[_Erased]) -> dict[str, Any]:
    """Give what the manifest says now: no name of an event that nobody else had, no count of theirs."""
    about, given = manifest.about, manifest.about["provenance"]
    model = None if about["stages"] is None else StageModel.loads(about["stages"])
    unmapped = Counter[str](about["unmapped"])
    logs = [log_of(manifest, each.tables) for each in erased]
    for log in logs if model is not None else ():
        names = pl.Enum(sorted(set(log["event"].cast(pl.String))))
        unmapped.subtract(
            journeys_of_log(about, log.with_columns(pl.col("event").cast(pl.String).cast(names)), model)[1]
        )
    counts = {
        name: given[name] + sum(getattr(each.after, name) - getattr(each.before, name) for each in erased)
        for name in SHARD_COUNTS
    }
    known = {name: value for name, value in given.items() if name not in ("notes", "verbs")}
    # Stores of earlier versions do not say it.
    counts["day_events"] = max(0, given.get("day_events", 0) - sum(map(day_events, logs)))
    shards = _shards(manifest, erased)
    gone = _unused(manifest, shards, frozenset().union(*(each.names for each in erased)))
    return {
        **about,
        "journeykit": import_module("journeykit").__version__,
        "names": [name for name in about["names"] if name not in gone],
        "unmapped": {name: count for name, count in sorted(unmapped.items()) if count > 0},
        "provenance": provenance_of(
            known | counts,
            unmapped,
            sum(shard.events for shard in shards),
            _notes_of_verbs(given["notes"], known),
            given["verbs"],
        ),
        CHANGES: [],
    }


def _unused(manifest: Manifest, shards: Sequence[Shard], names: frozenset[str]) -> frozenset[str]:
    """Return those of some names that no event of these shards has."""
    for shard in shards:
        if not names:
            break
        file = manifest.folder / (shard.file(EVENTS) or "")
        names -= {*parquet(manifest.folder, file, ["event"])["event"].cast(pl.String).unique()}
    return names


def _notes_of_verbs(notes: Sequence[str], counts: Mapping[str, Any]) -> list[str]:
    """Return the notes that are neither about the log as it was read nor about stages."""
    known = log_provenance(Provenance(**counts)).notes
    return [note for note in notes if note not in known and not note.startswith(UNMAPPED)]
