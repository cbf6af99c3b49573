"""Appending: the shards that new events fall into are ordered, cut and staged again, the others stay as they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl

from journeykit.errors import StoreError
from journeykit.events import Events, log_provenance
from journeykit.journeys import Journeys, journeys_of, staged, unmapped_note
from journeykit.ragged import Provenance
from journeykit.sources.canonical import InvalidCounts
from journeykit.stages import StageModel
from journeykit.store import (
    EVENTS,
    Manifest,
    Shard,
    clear,
    locked,
    read_manifest,
    read_shards,
    replace_manifest,
    stored_events,
    stored_rule,
    write_shards,
)
from journeykit.threads import on_all_cores
from journeykit.user_ids import UserIds, group_of

SHARD = "__shard"
FIXED = ("user", "time", "event")
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
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise StoreError.not_appended(str(folder), reason[0], "The store is as it was before.") from error
        finally:
            clear(read_manifest(folder))


@dataclass(frozen=True)
class _Rewritten:
    """A shard as it was and as it is, and how the counts of events in no stage changed."""

    before: Shard | None
    after: Shard
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
    known = {shard.number: shard for shard in manifest.shards}

    def rewrite(number: int) -> _Rewritten:
        return _rewrite(manifest, known.get(number), number, parts[(number,)], names)

    rewritten = on_all_cores(rewrite, sorted(number for (number,) in parts))
    shards = known | {each.after.number: each.after for each in rewritten}
    full = [shards[number] for number in sorted(shards) if shards[number].users]
    return _about(manifest, events, names, rewritten, sum(shard.events for shard in full)), full


def _rewrite(
    manifest: Manifest, before: Shard | None, number: int, new: pl.DataFrame, names: list[str]
) -> _Rewritten:
    """Make the journeys of one shard from its old and its new events, as if they had been read together."""
    about, dtype = manifest.about, pl.Enum(names)
    log = new.with_columns(pl.col("event").cast(pl.String).cast(dtype))
    old = None
    if before is not None:
        stored = stored_events(manifest, before).with_columns(pl.col("event").cast(pl.String).cast(dtype))
        log = pl.concat([stored.select(log.columns), log])
        old = read_shards(manifest, [before])
    model = None if about["stages"] is None else StageModel.loads(about["stages"])
    first, last = log["time"].min(), log["time"].max()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    users, counts = UserIds.of(log["user"]), InvalidCounts(log.height, log.height)
    events = Events(users, log.drop("user"), counts, 0, about["tz"], None, None, first, last)
    made, unmapped = _staged(events.sessionize(stored_rule(about)), model)
    if old is not None and model is not None:
        unmapped.subtract(_staged(journeys_of(old), model)[1])
    (after,) = write_shards(made, manifest.folder, about["n_shards"], only=number)
    return _Rewritten(before, after, made.provenance.out_of_order, unmapped)


def _staged(journeys: Journeys, model: StageModel | None) -> tuple[Journeys, Counter[str]]:
    """Give events their stages, and count those in none by name. The names of rules were checked at first."""
    if model is None:
        return journeys, Counter()
    after, unmapped = staged(journeys, model, "ignore")
    return after, Counter(dict(unmapped.select("event", "events").iter_rows()))


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
    except (OSError, KeyError, pl.exceptions.PolarsError) as error:
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
    counts["rows_dropped"] = given["rows_dropped"] + events.counts.dropped
    counts["duplicates_dropped"] = given["duplicates_dropped"] + events.duplicates_dropped
    unmapped = Counter(about["unmapped"])
    for each in rewritten:
        unmapped.update(each.unmapped)
    first, last = (_micro(moment) for moment in (events.observed_from, events.observed_until))
    return {
        **about,
        "journeykit": import_module("journeykit").__version__,
        "names": names,
        "observed_from": min(about["observed_from"], first),
        "observed_until": max(about["observed_until"], last),
        "unmapped": {name: count for name, count in sorted(unmapped.items()) if count},
        "provenance": _provenance(counts, unmapped, n_events),
    }


def _provenance(counts: Mapping[str, Any], unmapped: Mapping[str, int], n_events: int) -> dict[str, Any]:
    notes = log_provenance(Provenance(**counts)).notes
    table = pl.DataFrame(
        {"event": list(unmapped), "events": list(unmapped.values())}, {"event": pl.String, "events": pl.Int64}
    )
    table = table.filter(pl.col("events") > 0).sort("events", "event", descending=[True, False])
    if table.height:
        notes = (*notes, unmapped_note(table, n_events))
    return {**counts, "notes": notes, "verbs": ()}


def _micro(moment: Any) -> int:
    return int(pl.Series([moment]).dt.epoch("us")[0])


def _listed(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names)
