"""From paths, patterns and folders to files, and from the names of files to their format."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from journeykit.errors import EmptyInputError, MissingFileError, UnknownFormatError

PathLike: TypeAlias = str | os.PathLike[str]

SUFFIXES = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".log": "access_log",
}
COMPRESSED = (".gz", ".zst")
FORMATS = ("parquet", "csv", "tsv", "ndjson", "access_log")


def is_remote(path: str) -> bool:
    """Whether a path is a URL, which is passed on as it is."""
    return "://" in path


def files(source: PathLike | Sequence[PathLike], suffixes: Mapping[str, str] = SUFFIXES) -> list[str]:
    """List the files that paths, patterns and folders stand for.

    Parameters
    ----------
    source : path or sequence of paths
        Files, folders (searched through and through for known endings), patterns with ``*``, ``?``, ``[]``,
        ``**``, or URLs such as ``s3://bucket/*.parquet``, which are not looked up here.
    suffixes : mapping of str to str
        The endings of files that are taken from folders.

    Returns
    -------
    list of str
        In the order given, the files of a folder or pattern by name.

    Raises
    ------
    MissingFileError
        If a path leads nowhere or a pattern matches nothing.
    EmptyInputError
        If a folder holds no log, or the sequence is empty.
    """
    if isinstance(source, str | os.PathLike):
        return _expanded(os.fspath(source), suffixes)
    found = [name for path in source for name in _expanded(os.fspath(path), suffixes)]
    if not found:
        raise EmptyInputError.source("the list of paths")
    return found


def _expanded(given: str, suffixes: Mapping[str, str]) -> list[str]:
    if is_remote(given):
        return [given]
    if not given:
        raise MissingFileError(
            "the path is empty. Give that of a file or folder; '.' is the folder you are in."
        )
    path = Path(given).expanduser()
    if path.is_file():
        return [str(path)]
    if path.is_dir():
        return _in_folder(path, suffixes)
    if not glob.has_magic(given):
        raise _missing(given, path)
    matches = sorted(name for name in glob.glob(str(path), recursive=True) if Path(name).is_file())  # noqa: PTH207
    if not matches:
        raise MissingFileError.pattern(given)
    return matches


def _in_folder(folder: Path, suffixes: Mapping[str, str]) -> list[str]:
    """Every log below a folder but hidden files and those that writers mark as their own by an underscore."""
    found = [
        str(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and format_of(path.name, suffixes) and not _hidden(path.relative_to(folder))
    ]
    if not found:
        raise EmptyInputError.source(f"the folder {str(folder)!r}")
    return found


def _hidden(path: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.parts)


def _missing(given: str, path: Path) -> MissingFileError:
    beside = path.parent.iterdir() if path.parent.is_dir() else None
    names = None if beside is None else sorted(each.name for each in beside if not _hidden(Path(each.name)))
    return MissingFileError.path(given, str(path.parent), names)


def format_of(name: str, suffixes: Mapping[str, str] = SUFFIXES) -> str | None:
    """Read the format off a file's name, compressed or not; None if it does not tell.

    Examples
    --------
    >>> format_of("2026/events.csv.gz")
    'csv'
    """
    lowered = name.lower().removesuffix(COMPRESSED[0]).removesuffix(COMPRESSED[1])
    return next((kind for suffix, kind in suffixes.items() if lowered.endswith(suffix)), None)


def common_format(names: Iterable[str], suffixes: Mapping[str, str] = SUFFIXES) -> str:
    """Find the one format of several files.

    Raises
    ------
    UnknownFormatError
        If a name does not tell, or several formats are mixed.
    """
    kinds: dict[str, None] = {}
    for name in names:
        kind = format_of(name, suffixes)
        if kind is None:
            raise UnknownFormatError.suffix(name, FORMATS)
        kinds[kind] = None
    if len(kinds) > 1:
        raise UnknownFormatError.mixed(kinds)
    return next(iter(kinds))
