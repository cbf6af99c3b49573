"""Archives unpacked with care: no name in them leads anywhere, and none may unpack to more than is plausible."""

from __future__ import annotations

import gzip
import re
import shutil
import weakref
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import IO, cast

from journeykit.errors import UnreadableFileError

PLAUSIBLE_BYTES = 100 << 20
"""What anything may unpack to."""
PLAUSIBLE_RATIO = 300
"""How often its size in the archive it may have beyond that; logs reach 10 to 50."""
MOST_RATIO = 1_032
"""More than this deflate cannot do."""
MOST_MEMBERS = 100_000
PIECE = 1 << 20
ADVICE = "Check that it may be read and was written to its end."
BOMB = "If you trust it, unpack it yourself and give the folder."


class Folder:
    """A folder for unpacked files, which goes away with the last plan that reads them."""

    def __init__(self) -> None:
        self.path = Path(mkdtemp(prefix="journeykit-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def unpack_zip(name: str, folder: Path, wanted: Callable[[str], bool]) -> list[str]:
    """Write the files of a zip archive into a folder; what is gzipped in it is unpacked too.

    Parameters
    ----------
    name : str
        The archive.
    folder : pathlib.Path
        An empty folder. The files get names of their own there, in the order of their names in the archive.
    wanted : callable
        Whether a file is, by its name in the archive.

    Returns
    -------
    list of str
        The paths of the files.

    Raises
    ------
    UnreadableFileError
        If it is no archive, is broken or locked, or unpacks to more than is plausible.
    """
    try:
        with zipfile.ZipFile(name) as archive:
            members = sorted((each for each in archive.infolist() if _is_log(each, wanted)), key=_by_name)
            if len(members) > MOST_MEMBERS:
                raise UnreadableFileError(name, "zip", f"it has {len(members):,} files", BOMB)
            limit = _Limit(name, Path(name).stat().st_size)
            return [_extract(archive, each, folder, number, limit) for number, each in enumerate(members)]
    except (zipfile.BadZipFile, OSError, EOFError, zlib.error, NotImplementedError, RuntimeError) as error:
        raise UnreadableFileError(name, "zip", str(error) or type(error).__name__, ADVICE) from error


def check_gzip(name: str) -> None:
    """Refuse a gzipped file that is broken or unpacks to more than is plausible, without keeping what is in it."""
    size = Path(name).stat().st_size
    if size * MOST_RATIO <= PLAUSIBLE_BYTES:
        return
    limit = _Limit(name, size)
    try:
        with gzip.open(name) as file:
            while piece := file.read(PIECE):
                limit.add(len(piece))
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableFileError(name, "gzip", str(error), ADVICE) from error


class _Limit:
    """How much an archive has unpacked to, and whether that is plausible."""

    def __init__(self, name: str, size: int) -> None:
        self.name, self.unpacked = name, 0
        self.most = max(PLAUSIBLE_BYTES, PLAUSIBLE_RATIO * size)

    def add(self, size: int) -> None:
        self.unpacked += size
        if self.unpacked > self.most:
            reason = f"it unpacks to more than {self.most:,} bytes, which no log does"
            raise UnreadableFileError(self.name, "archive", reason, BOMB)


def _is_log(member: zipfile.ZipInfo, wanted: Callable[[str], bool]) -> bool:
    hidden = any(part.startswith((".", "__MACOSX")) for part in member.filename.split("/"))
    return not member.is_dir() and not hidden and wanted(member.filename)


def _by_name(member: zipfile.ZipInfo) -> str:
    return member.filename


def _extract(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, number: int, limit: _Limit
) -> str:
    inner = member.filename.removesuffix(".gz")
    # Only what is harmless of the last part of the name; the number keeps names apart and in order.
    shown = re.sub(r"[^\w.-]", "_", inner.replace("\\", "/").rsplit("/", 1)[-1])[-80:]
    target = folder / f"{number:06}-{shown}"
    with archive.open(member) as packed, target.open("wb") as file:
        content = gzip.GzipFile(fileobj=packed) if inner != member.filename else packed
        _copy(cast("IO[bytes]", content), file, limit)
    return str(target)


def _copy(content: IO[bytes], file: IO[bytes], limit: _Limit) -> None:
    while piece := content.read(PIECE):
        limit.add(len(piece))
        file.write(piece)
