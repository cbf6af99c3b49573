"""A folder for what does not fit into memory: gone when the work ends, however it ends."""

from __future__ import annotations

import shutil
import signal
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import polars as pl

from journeykit.errors import JourneykitWarning, WorkspaceError
from journeykit.support.files import first_line

PREFIX, LOCK = "journeykit-", "in-use"


@contextmanager
def workspace(directory: Path | None) -> Iterator[Path]:
    """Give an empty folder of this run, and remove it with everything in it at the end.

    Parameters
    ----------
    directory : pathlib.Path, optional
        Where to make it; the system's folder for temporary files by default.

    Yields
    ------
    pathlib.Path
        The folder, which only this user can read.

    Raises
    ------
    WorkspaceError
        If it cannot be made.

    Notes
    -----
    It also goes when the process is interrupted or terminated (SIGTERM). Only after a kill that cannot be caught, or
    a power cut, does it stay: the next run in the same directory finds that nobody holds its lock, removes it and
    warns.
    """
    parent = Path(tempfile.gettempdir()) if directory is None else directory
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(parent)
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    except OSError as error:
        raise WorkspaceError.unusable(str(parent), error.strerror or str(error)) from error
    with _termination_as_exit():
        held = None
        try:
            held = _hold(folder / LOCK)
            yield folder
        finally:
            if held is not None:
                held.close()
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Say of a write that fails where it was, why, and how much room is left there."""
    try:
        yield
    except WorkspaceError:
        raise
    except (OSError, pl.exceptions.PolarsError) as error:
        free = None
        with suppress(OSError):
            free = shutil.disk_usage(folder).free
        raise WorkspaceError.unwritable(str(folder.parent), first_line(error), free) from error


def _hold(file: Path) -> IO[bytes]:
    """Open a file and lock it for as long as it is open, which the system ends with the process."""
    held = file.open("wb")
    with suppress(ImportError, OSError):
        import fcntl

        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return held


def _remove_leftovers(parent: Path) -> None:
    for folder in sorted(parent.glob(f"{PREFIX}*")):
        if _abandoned(folder / LOCK):
            shutil.rmtree(folder, ignore_errors=True)
            warnings.warn(
                f"removed {str(folder)!r}, which a run that was killed had left.",
                JourneykitWarning,
                stacklevel=4,
            )


def _abandoned(file: Path) -> bool:
    """Whether nobody holds the lock of a run; where locks cannot be asked for, none is abandoned."""
    try:
        import fcntl

        with file.open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return False
    return True


@contextmanager
def _termination_as_exit() -> Iterator[None]:
    """Let SIGTERM end the process by an exception, so that what must be removed is; others' handlers stay."""
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def leave(number: int, _: Any) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
