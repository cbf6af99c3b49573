"""The answers as files: all of them, or none."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import polars as pl

from journeykit.errors import ParameterError, UnwritableError
from journeykit.protocol import GROUP
from journeykit.statistics.base import Answer
from journeykit.support.files import first_line, write_frame

FORMATS = {"parquet": (".parquet",), "csv": (".csv",), "both": (".parquet", ".csv")}
COMPUTED = ("curve",)
"""Frames that answers make when they are asked for them."""


def check_format(table_format: str) -> tuple[str, ...]:
    """Return the endings of the files of a table format."""
    if table_format not in FORMATS:
        raise ParameterError.choice("table_format", table_format, FORMATS)
    return FORMATS[table_format]


def frames_of(answers: Mapping[str, Answer]) -> dict[str, pl.DataFrame]:
    """Name every frame of every answer, and their notes.

    Parameters
    ----------
    answers : mapping of str to Answer
        By the name of the statistic.

    Returns
    -------
    dict of str to polars.DataFrame
        ``<statistic>`` for its frame, ``<statistic>_<name>`` for each further one, and ``notes`` with the
        columns ``statistic`` and ``note``.
    """
    frames: dict[str, pl.DataFrame] = {}
    for name, answer in answers.items():
        frames[name] = answer.frame
        further = [each.name for each in fields(answer) if each.name != "frame"]
        for each in (*further, *COMPUTED):
            value = getattr(answer, each, None)
            # Parts by jackknife group are what an answer computes from, not what it says.
            if isinstance(value, pl.DataFrame) and GROUP not in value.columns:
                frames[f"{name}_{each}"] = value
    notes = [(name, note) for name, answer in answers.items() for note in answer.notes]
    schema = {"statistic": pl.String, "note": pl.String}
    return frames | {"notes": pl.DataFrame(notes, schema=schema, orient="row")}


@contextmanager
def explained(path: Path, option: str = "--out") -> Iterator[None]:
    """Say what could not be written, and which option names another place.

    Raises
    ------
    UnwritableError
        In place of what the system says.
    """
    try:
        yield
    except UnwritableError:
        raise
    except OSError as error:
        reason = error.strerror or first_line(error)
        raise UnwritableError(
            f"{str(path)!r} cannot be written: {reason}. Check the folder's permissions and the room on its disk, or "
            f"name another place with {option}."
        ) from error


@contextmanager
def all_or_nothing(folder: Path) -> Iterator[Path]:
    """Give an empty folder to write into; what is in it moves to `folder` if all goes well.

    Parameters
    ----------
    folder : pathlib.Path
        Need not exist. Files of other names in it stay as they are.

    Raises
    ------
    UnwritableError
        If it cannot be written to: before any work, as far as that can be known.
    """
    with explained(folder):
        if folder.exists() and not folder.is_dir():
            raise UnwritableError(
                f"the answers cannot be written to {str(folder)!r}: it is a file. Name a folder."
            )
        # On the same disk, so that moving a file is one step that cannot stop half-way.
        near = next(each for each in (folder, *folder.absolute().parents) if each.is_dir())
        temporary = Path(tempfile.mkdtemp(prefix=".journeykit-", dir=near))
    try:
        yield temporary
        with explained(folder):
            _move(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_frames(frames: Mapping[str, pl.DataFrame], folder: Path, endings: tuple[str, ...]) -> list[Path]:
    """Write every frame in every format, as ``folder/<name><ending>``."""
    paths = [(frame, folder / f"{name}{ending}") for name, frame in frames.items() for ending in endings]
    with explained(folder):
        return [write_frame(frame, path) for frame, path in paths]


def _move(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for each in sorted(source.iterdir()):
        if each.is_dir():
            _move(each, target / each.name)
        else:
            each.replace(target / each.name)
