"""Appending: the shards that new events fall into are ordered, cut and staged again, the others stay as they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl

from journeykit.errors import StoreError
from journeykit.events.events import Events, log_provenance, micro
from journeykit.journeys.journeys import Journeys, staged, unmapped_note
from journeykit.ordering.user_ids import UserIds, group_of
from journeykit.ragged.array import Provenance
from journeykit.sources.canonical import InvalidCounts
from journeykit.stages import StageModel
from journeykit.store import (
    CHANGES,
    EVENTS,
    Change,
    Manifest,
    Shard,
    ShardTables,
    clear,
    locked,
    log_of,
    read_manifest,
    read_tables,
    replace_manifest,
    stored_rule,
    tables_of,
    together,
    write_shard,
)
from journeykit.support.files import READ_ERRORS, first_line
from journeykit.support.precision import day_events
from journeykit.support.threads import on_all_cores

SHARD = "__shard"
FIXED = ("user", "time", "event")
FEW, KEPT = 0.1, 0.5
"""The largest share of a shard's events whose users are written once more; and of a store's that are kept so."""
SHARD_COUNTS = ("tied_pairs", "tied_pairs_distinct", "events_outside")


def append(folder: Path, events: Events) -> None:
    """Add events to a store; see ``Store.append``."""
    read_manifest(folder)
    with locked(folder):
        manifest = read_manifest(folder)
        clear(manifest)
        try:
            about, shards = _appended(manifest, events)
            replace_manifest(folder, about, shards)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise StoreError.not_appended(
                str(folder), first_line(error), "The store is as it was before."
            ) from error
        finally:
            clear(read_manifest(folder))


@dataclass(frozen=True)
class _Rewritten:
    """A shard as it was and as it is, its users that changed, and how the counts of events in no stage changed."""

    before: Shard | None
    after: Shard
    users: tuple[ShardTables | None, ShardTables] | None
    out_of_order: int
    unmapped: Counter[str]


def _appended(manifest: Manifest, events: Events) -> tuple[dict[str, Any], list[Shard]]:
    """Write the shards that change, and give the manifest that makes them the store."""
    frame = _fitting(manifest, events)
    names = sorted({*manifest.about["names"], *events.frame["event"].dtype.categories})  # type: ignore[attr-defined]
    shard_of_user = manifest.shard_of_group()[group_of(frame["user"])]
    parts = frame.with_columns(pl.Series(SHARD, shard_of_user)).partition_by(
        SHARD, maintain_order=True, as_dict=True, include_key=False
    )
    known = {shard.number: shard for shard in manifest.shards if shard.users}

    def rewrite(number: int) -> _Rewritten:
        return _rewrite(manifest, known.get(number), number, parts[(number,)], names)

    rewritten = on_all_cores(rewrite, sorted(number for (number,) in parts))
    shards = known | {each.after.number: each.after for each in rewritten}
    full = [shards[number] for number in sorted(shards)] or list(manifest.shards)
    about = _about(manifest, events, names, rewritten, sum(shard.events for shard in full))
    return about | {CHANGES: _changes(manifest, names, rewritten, full)}, full


def _rewrite(
    manifest: Manifest, before: Shard | None, number: int, new: pl.DataFrame, names: list[str]
) -> _Rewritten:
    """Make the journeys of the users of new events as if all had been read together; copy the others."""
    about, dtype = manifest.about, pl.Enum(names)
    model = None if about["stages"] is None else StageModel.loads(about["stages"])
    log = new.with_columns(pl.col("event").cast(pl.String).cast(dtype))
    unmapped = Counter[str]()
    old, others = None, list[ShardTables]()
    if before is not None:
        tables = read_tables(manifest, before)
        own = tables.users["user"].is_in(log["user"].unique().implode()).to_numpy()
        others = [tables.of_users(~own)]
        if own.any():
            old = tables.of_users(own)
            stored = log_of(manifest, old).with_columns(pl.col("event").cast(pl.String).cast(dtype))
            log = pl.concat([stored.select(log.columns), log])
            if model is not None:
                unmapped.subtract(journeys_of_log(about, stored, model)[1])
    made, found = journeys_of_log(about, log, model)
    unmapped.update(found)
    users = tables_of(made)
    after = write_shard(
        together([*others, users]), manifest.folder, number, tie_break=about["tie_break"]
    )  # fmt: skip
    few = before is not None and users.events.height <= FEW * after.events
    return _Rewritten(before, after, (old, users) if few else None, made.provenance.out_of_order, unmapped)


def journeys_of_log(
    about: Mapping[str, Any], log: pl.DataFrame, model: StageModel | None
) -> tuple[Journeys, Counter[str]]:
    """Order events, cut them and give them their stages; count those in none by name."""
    first, last = log["time"].min(), log["time"].max()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    users, counts = UserIds.of(log["user"]), InvalidCounts(log.height, log.height)
    events = Events(users, log.drop("user"), counts, 0, about["tz"], None, None, first, last)
    journeys = events.sessionize(stored_rule(about))
    if model is None:
        return journeys, Counter()
    # The names of rules were checked at first.
    after, unmapped = staged(journeys, model, "ignore")
    return after, Counter(dict(unmapped.select("event", "events").iter_rows()))


def _changes(
    manifest: Manifest, names: list[str], rewritten: list[_Rewritten], shards: list[Shard]
) -> list[dict[str, Any]]:
    """Write the users that changed, and list what the last appends did while counting that is worth it."""
    if names != manifest.about["names"]:
        return []
    changed = {each.after.number: each.users for each in rewritten if each.users is not None}
    if not changed:
        return [each.as_json() for each in manifest.changes]
    folder, tie_break = manifest.folder / CHANGES, manifest.about["tie_break"]
    old = [before for before, _ in changed.values() if before is not None]
    before = write_shard(together(old), folder, 0, tie_break=tie_break) if old else None
    after = write_shard(
        together([users for _, users in changed.values()]), folder, 0, tie_break=tie_break
    )  # fmt: skip
    links = {
        each.after.number: (each.before.checksum, each.after.checksum)
        for each in rewritten
        if each.before is not None and each.after.number in changed
    }
    room, kept = KEPT * sum(shard.events for shard in shards), list[dict[str, Any]]()
    for change in reversed([*manifest.changes, Change(links, before, after)]):
        if (room := room - change.events) < 0:
            break
        kept.insert(0, change.as_json())
    return kept


def _fitting(manifest: Manifest, events: Events) -> pl.DataFrame:
    """Refuse events that were not read as those of the store; return them with its columns and types."""
    path, about, frame = str(manifest.folder), manifest.about, events.frame
    if verbs := about["provenance"]["verbs"]:
        raise StoreError.not_appended(
            path,
            f"its journeys are what {' and '.join(verbs)} left, and new events have not gone that way",
            "Append to a store of the whole log, open it, and apply the verbs to the journeys.",
        )
    if events.tz != about["tz"]:
        raise StoreError.not_appended(
            path,
            f"its days are those of {about['tz']!r}, and the new events were read with tz={events.tz!r}",
            f"Read them with tz={about['tz']!r}.",
        )
    wanted = [*FIXED, *(["order"] if about["tie_break"] else []), *about["properties"]]
    _check_columns(path, wanted, frame.columns)
    stored = pl.DataFrame(schema=_schema(manifest, wanted))
    own = frame.select(wanted).with_columns(pl.col("event").cast(pl.String).cast(pl.Categorical))
    for column in wanted:
        own = own.with_columns(_cast(path, own[column], stored[column]))
    return own


def _check_columns(path: str, wanted: list[str], given: list[str]) -> None:
    if missing := [name for name in wanted if name not in given]:
        raise StoreError.not_appended(
            path,
            f"the new events have no {_listed(missing)}, which the store holds",
            "Read them with the same roles (session=, order=, value=) and the same keep= as the first.",
        )
    if more := [name for name in given if name not in wanted]:
        raise StoreError.not_appended(
            path,
            f"the new events hold {_listed(more)}, which the store does not",
            "Leave that out, or write the store again from the whole log.",
        )


def _cast(path: str, new: pl.Series, stored: pl.Series) -> pl.Series:
    """Bring a column into the type of the store, if every value of the one type is one of the other."""
    if new.dtype == stored.dtype:
        return new
    try:
        common = pl.concat([stored.to_frame(), new.clear().to_frame()], how="vertical_relaxed").dtypes[0]
    except pl.exceptions.PolarsError:
        common = pl.Null()
    numbers_as_texts = stored.dtype == pl.String and new.dtype.is_numeric()
    if common != stored.dtype or numbers_as_texts:
        raise StoreError.not_appended(
            path,
            f"{new.name!r} has the type {new.dtype} in the new events and {stored.dtype} in the store",
            "Convert it before reading.",
        )
    return new.cast(stored.dtype)


def _schema(manifest: Manifest, columns: list[str]) -> dict[str, pl.DataType]:
    file = manifest.paths(EVENTS)[0]
    in_file = {name: manifest.about["properties"].get(name, name) for name in columns}
    try:
        found = pl.read_parquet_schema(file)
        return {name: found[column] for name, column in in_file.items()}
    except (KeyError, *READ_ERRORS) as error:
        raise StoreError.broken(str(manifest.folder), f"{EVENTS}/{file.name}", "cannot be read") from error


def _about(
    manifest: Manifest, events: Events, names: list[str], rewritten: list[_Rewritten], n_events: int
) -> dict[str, Any]:
    """Give what the manifest says after the change; what was counted per shard is taken out and added anew."""
    about, given = manifest.about, manifest.about["provenance"]
    counts = {
        name: given[name]
        + sum(getattr(each.after, name) - getattr(each.before, name, 0) for each in rewritten)
        for name in SHARD_COUNTS
    }
    counts["out_of_order"] = given["out_of_order"] + sum(each.out_of_order for each in rewritten)
    added = {
        "rows_dropped": events.counts.dropped,
        "rows_left_out": events.counts.rows_left_out,
        "duplicates_dropped": events.duplicates_dropped,
        "rows_moved": events.rows_moved,
        "rows_unmapped": events.rows_unmapped,
        "day_events": day_events(events.columns),
    }
    # Stores of earlier versions do not say all of it.
    counts |= {name: given.get(name, 0) + count for name, count in added.items()}
    unmapped = Counter(about["unmapped"])
    for each in rewritten:
        unmapped.update(each.unmapped)
    first, last = (micro(moment) for moment in (events.observed_from, events.observed_until))
    return {
        **about,
        "journeykit": import_module("journeykit").__version__,
        "names": names,
        "observed_from": min(about["observed_from"], first),
        "observed_until": max(about["observed_until"], last),
        "unmapped": {name: count for name, count in sorted(unmapped.items()) if count},
        "provenance": provenance_of(counts, unmapped, n_events),
    }


def provenance_of(
    counts: Mapping[str, Any],
    unmapped: Mapping[str, int],
    n_events: int,
    notes: Sequence[str] = (),
    verbs: Sequence[str] = (),
) -> dict[str, Any]:
    """Say what a reader should know of the log after a change; `notes` and `verbs` are what was said of verbs."""
    said = [*log_provenance(Provenance(**counts)).notes, *notes]
    table = pl.DataFrame(
        {"event": list(unmapped), "events": list(unmapped.values())}, {"event": pl.String, "events": pl.Int64}
    )
    table = table.filter(pl.col("events") > 0).sort("events", "event", descending=[True, False])
    if table.height:
        said.append(unmapped_note(table, n_events))
    return {**counts, "notes": said, "verbs": verbs}


def _listed(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names)
