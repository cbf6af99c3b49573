"""The manifest of a store: what the Parquet files do not hold, and which files belong to it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from journeykit.errors import StoreError
from journeykit.support.files import first_line

FORMAT, VERSION = "journeykit journeys", 2
MANIFEST = "manifest.json"
EVENTS, USERS, SESSIONS, ORDER = "events", "users", "sessions", "order"
KINDS = (EVENTS, USERS, SESSIONS, ORDER)
GROUPS = 64
CHANGES = "changes"
"""The folder of the users that were changed, and their key in the manifest."""
ABOUT: Mapping[str, type] = {
    **dict.fromkeys(("users", "sessions", "events", "n_shards", "observed_from", "observed_until"), int),
    **dict.fromkeys(("session_rule", "unmapped", "properties", "provenance"), dict),
    **{"tz": str, "tie_break": bool, "names": list, "stages": object},
}
PROVENANCE: Mapping[str, type] = {"tied_pairs": int, "notes": list, "verbs": list}
FILE: Mapping[str, type] = {"file": str, "bytes": int, "sha256": str}
"""What a manifest must say, and of which type."""


@dataclass(frozen=True)
class Shard:
    """The users of some jackknife groups, and their files.

    Attributes
    ----------
    number : int
        Which shard of the store.
    users, sessions, runs, events : int
        How many; runs are sessions and runs of events outside any.
    tied_pairs, tied_pairs_distinct, events_outside : int
        What it adds to the provenance.
    files : mapping of str to dict
        By kind: path within the store, size in bytes, checksum.
    """

    number: int
    users: int
    sessions: int
    runs: int
    events: int
    tied_pairs: int
    tied_pairs_distinct: int
    events_outside: int
    files: Mapping[str, Mapping[str, Any]]

    @property
    def checksum(self) -> str:
        """Tell the content of this shard from any other."""
        each = "".join(self.files[kind]["sha256"] for kind in sorted(self.files))
        return hashlib.sha256(each.encode()).hexdigest()

    def file(self, kind: str) -> str | None:
        """Give the path within the store of a file, or None."""
        return str(self.files[kind]["file"]) if kind in self.files else None


@dataclass(frozen=True)
class Change:
    """What an append did to the users of some shards, so that only these users are counted again.

    Attributes
    ----------
    shards : mapping of int to (str, str)
        The checksum of each of these shards before and after, by its number.
    before : Shard, optional
        Those users of all these shards that had events before, as they were.
    after : Shard
        The users with new events, as they are.
    """

    shards: Mapping[int, tuple[str, str]]
    before: Shard | None
    after: Shard

    @property
    def events(self) -> int:
        """How many events have to be counted."""
        return self.after.events + (0 if self.before is None else self.before.events)

    def as_json(self) -> dict[str, Any]:
        """Give what the manifest says of it."""
        before = None if self.before is None else vars(self.before)
        return {"shards": dict(self.shards), "before": before, "after": vars(self.after)}

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Change:
        """Read what the manifest says."""
        shards = {int(number): (first, last) for number, (first, last) in given["shards"].items()}
        before = None if given["before"] is None else Shard(**given["before"])
        return cls(shards, before, Shard(**given["after"]))


@dataclass(frozen=True)
class Manifest:
    """What is known of a store without its Parquet files."""

    folder: Path
    about: Mapping[str, Any]
    shards: tuple[Shard, ...]

    def paths(self, kind: str) -> list[Path]:
        """Return the files of one kind, in the order of the users."""
        return [self.folder / file for each in self.shards if (file := each.file(kind)) is not None]

    @property
    def files(self) -> Iterator[Mapping[str, Any]]:
        """Every file that belongs to the store."""
        return (file for shard in self.shards for file in shard.files.values())

    @property
    def changes(self) -> list[Change]:
        """What the last appends did, the oldest first."""
        return [Change.from_json(each) for each in self.about.get(CHANGES, [])]

    def changed(self, users: Shard) -> Manifest:
        """Return the users before or after a change as a store of their own."""
        return replace(self, folder=self.folder / CHANGES, shards=(users,))

    def shard_of_group(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Return the shard of every jackknife group."""
        return shard_of_group(self.about["n_shards"])


def shard_of_group(shards: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return the shard of every jackknife group: ranges of about as many."""
    return (np.arange(GROUPS) * shards // GROUPS).astype(np.uint8)


def is_store(path: str | Path) -> bool:
    """Tell whether a folder is laid out as a store, whatever state it is in."""
    folder = Path(path)
    return (folder / MANIFEST).is_file() and (folder / EVENTS).is_dir() and (folder / USERS).is_dir()


def read_manifest(path: str | Path) -> Manifest:
    """Read the manifest, and refuse what this version cannot read.

    Raises
    ------
    StoreError
        If there is no store, its manifest is damaged, or another version wrote it.
    """
    folder = Path(path)
    about = _read_text(folder)
    version = about.get("version")
    writer = about.get("journeykit", "of an unknown version")
    if not isinstance(version, int) or version > VERSION:
        raise StoreError.newer(str(folder), version, VERSION, writer)
    if version < VERSION:
        raise StoreError.older(str(folder), version, VERSION, writer)
    with reading_manifest(folder):
        manifest = Manifest(folder, about, tuple(Shard(**each) for each in about["shards"]))
        _check(about, ABOUT)
        _check(about["provenance"], PROVENANCE)
        changed = [users for each in manifest.changes for users in (each.before, each.after) if users]
        for shard in (*manifest.shards, *changed):
            _check(vars(shard), dict.fromkeys(set(vars(shard)) - {"files"}, int))
            for file in shard.files.values():
                _check(file, FILE)
        shard_of_group(about["n_shards"])
    return manifest


def _check(given: Mapping[str, Any], wanted: Mapping[str, type]) -> None:
    """Refuse, with an error of Python, what lacks a value or has one of a wrong type."""
    for name, kind in wanted.items():
        value = given[name]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise TypeError(f"{name!r} is {value!r}")


class reading_manifest:  # noqa: N801 - a context manager reads as a verb
    """Turn what a wrong manifest makes of Python into our error."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Refuse the manifest if its values do not do."""
        if isinstance(error, StoreError) or not isinstance(
            error, AttributeError | KeyError | TypeError | ValueError
        ):
            return
        reason = (
            f"has no {error}" if isinstance(error, KeyError) else f"has a wrong value: {first_line(error)}"
        )
        raise StoreError.broken(str(self.folder), MANIFEST, reason) from error


def _read_text(folder: Path) -> dict[str, Any]:
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
        raise StoreError.broken(shown, MANIFEST, f"cannot be read: {first_line(error)}") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise StoreError.foreign(shown)
    return about


def replace_manifest(folder: Path, about: Mapping[str, Any], shards: Sequence[Shard]) -> None:
    """Make these shards the store, in one step: readers see the old store or the new one."""
    totals = {
        "users": sum(each.users for each in shards),
        "sessions": sum(each.sessions for each in shards),
        "events": sum(each.events for each in shards),
        "shards": [vars(each) for each in shards],
    }
    text = json.dumps({**about, **totals}, ensure_ascii=False, indent=1)
    waiting = folder / f".{MANIFEST}.new"
    with waiting.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    waiting.replace(folder / MANIFEST)


def check_files(manifest: Manifest, verify: bool) -> None:
    """Compare the files with the manifest: their sizes, and if asked their checksums.

    Raises
    ------
    StoreError
        If a file is missing or differs.
    """
    for known in manifest.files:
        name, file = known["file"], manifest.folder / known["file"]
        try:
            size = file.stat().st_size if file.is_file() else None
        except OSError:  # no file can have such a name
            size = None
        if size is None:
            raise StoreError.broken(str(manifest.folder), name, "is missing")
        if size != known["bytes"]:
            raise StoreError.broken(str(manifest.folder), name, f"has {size:,} bytes, not {known['bytes']:,}")
        if verify and checksum(file) != known["sha256"]:
            raise StoreError.broken(
                str(manifest.folder), name, "has another checksum than when it was written"
            )


def clear(manifest: Manifest) -> None:
    """Remove files that a crash has left, and those that were replaced."""
    _clear(manifest.folder, manifest.files)
    changed = [users for each in manifest.changes for users in (each.before, each.after) if users]
    _clear(manifest.folder / CHANGES, (file for users in changed for file in users.files.values()))


def _clear(folder: Path, known: Iterable[Mapping[str, Any]]) -> None:
    names = {each["file"] for each in known}
    for kind in KINDS:
        for file in (folder / kind).glob("*"):
            if f"{kind}/{file.name}" not in names:
                file.unlink(missing_ok=True)


def checksum(file: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
