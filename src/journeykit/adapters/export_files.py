"""The files of an export: unpacked, told apart, and none that is empty or more than it can be."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from journeykit.adapters import archives, escapes
from journeykit.adapters.adapter import Adapter
from journeykit.errors import EmptyInputError, UnreadableFileError
from journeykit.sources.paths import SUFFIXES, common_format, files, format_of, is_remote
from journeykit.sources.texts import open_bytes, open_text

ENDINGS = {**SUFFIXES, ".json": "ndjson", ".xes": "xes", ".xml": "xes"}
ARCHIVES = {".zip": "zip", ".tar": "tar", ".tgz": "tar"}


@dataclass
class ExportFiles:
    """The files that are read.

    Attributes
    ----------
    names : list of str
        Where they are; those of archives, and those that were written anew, in `folder`.
    format : str
        Their format.
    notes : list of str
        What a reader should know of them.
    folder : Folder, optional
        Which has to live as long as they are read.
    headers : mapping of str to sequence of str
        The columns of files without a header.
    """

    names: list[str]
    format: str
    notes: list[str] = field(default_factory=list)
    folder: archives.Folder | None = None
    headers: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def room(self, number: int, name: str) -> Path:
        """Return where to write a file anew."""
        self.folder = self.folder or archives.Folder()
        return self.folder.path / f"{number:06}-{name}"


def files_of(adapter: Adapter, source: Any, format: str | None) -> ExportFiles:
    """Find the files of an export; parameters and errors as of `journeykit.adapters.opening.open_export`."""
    given = files(source, {**ENDINGS, **ARCHIVES})
    packed = [name for name in given if format_of(name, ARCHIVES) and not is_remote(name)]
    if not packed:
        names, folder = given, None
    else:
        folder = archives.Folder()
        names = list(_unpacked(given, set(packed), folder.path))
        if not names:
            raise EmptyInputError.source(f"the archive {packed[0]!r}")
    kind = format or _told(names, adapter)
    found = ExportFiles(names, kind, folder=folder)
    _leave_out_empty(found)
    if kind == "ndjson":
        _as_lines(found)
    if kind == "tsv" and adapter.headers is not None:
        _name_columns(found, adapter)
    return found


def _name_columns(found: ExportFiles, adapter: Adapter) -> None:
    """Keep the files that hold rows, without escapes, and the columns of each."""
    assert adapter.headers is not None
    headers = adapter.headers(found.names)
    if not headers:
        raise EmptyInputError.source(f"the {adapter.title} of {len(found.names):,} files")
    names = list(headers)
    if adapter.escaped:
        names = [
            name if is_remote(name) else escapes.plain(name, found.room(number, "plain.tsv"))
            for number, name in enumerate(names)
        ]
    found.names = names
    found.headers = dict(zip(names, headers.values(), strict=True))


def _told(names: Sequence[str], adapter: Adapter) -> str:
    if adapter.default_format and not any(format_of(name, ENDINGS) for name in names):
        return adapter.default_format
    return common_format(names, ENDINGS)


def _unpacked(given: Iterable[str], packed: set[str], folder: Path) -> Iterator[str]:
    for number, name in enumerate(given):
        if name not in packed:
            yield name
            continue
        target = folder / str(number)
        target.mkdir()
        unpack = archives.unpack_zip if format_of(name, ARCHIVES) == "zip" else archives.unpack_tar
        yield from unpack(name, target, lambda inner: format_of(inner, ENDINGS) is not None)


def _leave_out_empty(found: ExportFiles) -> None:
    """Leave out files without a byte: an hour without events."""
    full = [name for name in found.names if is_remote(name) or _first_byte(name, found.format)]
    empty = len(found.names) - len(full)
    if not full:
        raise EmptyInputError.source(f"the file {found.names[0]!r}")
    if empty:
        found.notes.append(f"{empty:,} of {len(found.names):,} files are empty")
    found.names = full


def _first_byte(name: str, kind: str) -> bytes:
    if name.lower().endswith(".gz"):
        archives.check_gzip(name)
    try:
        with open_bytes(name) as file:
            return file.read(1)
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableFileError(name, kind, str(error), archives.ADVICE) from error


def _as_lines(found: ExportFiles) -> None:
    """Write documents that are one list of objects as lines, beside the files of archives."""
    for number, name in enumerate(found.names):
        if not _is_list(name):
            continue
        target = found.room(number, "list.ndjson")
        with target.open("w", encoding="utf-8") as lines:
            lines.writelines(json.dumps(each) + "\n" for each in _listed(name))
        found.names[number] = str(target)


def _is_list(name: str) -> bool:
    if is_remote(name):
        return False
    with open_bytes(name) as file:
        return file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["


def _listed(name: str) -> list[Any]:
    try:
        with open_text(name) as file:
            content = json.load(file)
    except (ValueError, RecursionError, OSError, EOFError, zlib.error) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise UnreadableFileError(name, "JSON", reason, "Correct it, or export it again.") from error
    if not all(isinstance(each, dict) for each in content):
        raise UnreadableFileError(name, "JSON", "its list holds more than objects", "Export it again.")
    if not content:
        raise EmptyInputError.source(f"the list in {name!r}")
    return list(content)
