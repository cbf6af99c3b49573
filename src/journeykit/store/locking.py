"""One writer at a time: a lock file that says who holds it."""

from __future__ import annotations

import json
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from journeykit.errors import JourneykitWarning, StoreError
from journeykit.store.manifest import MANIFEST, checksum
from journeykit.support.files import first_line

LOCK = "writing.lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a store.

    Raises
    ------
    StoreError
        If another process holds it. The lock of a process of this machine that is gone is taken over, with a
        warning; whether one of another machine is gone cannot be seen from here.
    """
    file, mine = folder / LOCK, _owner()
    if not _taken(file, mine):
        _take_over(folder, file)
        if not _taken(file, mine):
            raise StoreError.locked(str(folder), str(file), _holder(file))
    _note_state(folder, file, mine)
    try:
        yield
    finally:
        if _holder(file).get("token") == mine["token"]:
            file.unlink(missing_ok=True)


def _owner() -> dict[str, Any]:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return {"process": os.getpid(), "machine": socket.gethostname(), "since": since, "token": uuid4().hex}


def _taken(file: Path, owner: dict[str, Any]) -> bool:
    """Make the lock file whole in one step, unless there is one."""
    waiting = file.with_name(f".{file.name}.{owner['token']}")
    try:
        waiting.write_text(json.dumps(owner), encoding="utf-8")
        os.link(waiting, file)
    except FileExistsError:
        return False
    except OSError as error:
        raise StoreError.unwritable(str(file.parent), first_line(error)) from error
    finally:
        waiting.unlink(missing_ok=True)
    return True


def _note_state(folder: Path, file: Path, owner: dict[str, Any]) -> None:
    """Put into the lock what the store is before it is changed, for who finds the lock of a process that is gone."""
    noted = file.with_name(f".{file.name}.{owner['token']}")
    try:
        noted.write_text(json.dumps(owner | {"before": _state(folder)}), encoding="utf-8")
        noted.replace(file)
    except OSError as error:
        file.unlink(missing_ok=True)
        noted.unlink(missing_ok=True)
        raise StoreError.unwritable(str(folder), first_line(error)) from error


def _state(folder: Path) -> str | None:
    manifest = folder / MANIFEST
    return checksum(manifest) if manifest.is_file() else None


def _take_over(folder: Path, file: Path) -> None:
    """Set aside the lock of a process that is gone; if it was another's by then, give it back."""
    holder = _holder(file)
    if holder and (holder.get("machine") != socket.gethostname() or _lives(holder.get("process"))):
        return
    aside = file.with_name(f".{file.name}.{uuid4().hex}")
    try:
        file.rename(aside)
    except FileNotFoundError:
        return
    if _holder(aside) != holder:
        os.link(aside, file)
    elif holder:
        ended = holder.get("before", _state(folder)) != _state(folder)
        outcome = "All that it wrote is in the store." if ended else "The store is as it was before."
        warnings.warn(
            f"process {holder['process']} stopped while it wrote to {str(folder)!r} (since {holder['since']}): its "
            f"lock was removed. {outcome}",
            JourneykitWarning,
            stacklevel=4,
        )
    aside.unlink(missing_ok=True)


def _holder(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _lives(process: object) -> bool:
    if not isinstance(process, int):
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
