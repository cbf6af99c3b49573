"""Archives unpacked with care: no name in them leads anywhere, and none may unpack to more than is plausible."""

from __future__ import annotations

import gzip
import re
import shutil
import struct
import tarfile
import weakref
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import IO, cast

from journeykit.errors import JourneykitError, UnreadableFileError

PLAUSIBLE_BYTES = 100 << 20
"""What anything may unpack to."""
PLAUSIBLE_RATIO = 300
"""How often its size in the archive it may have beyond that; logs reach 10 to 50."""
MOST_MEMBERS = 100_000
PIECE = 1 << 20
BROKEN_ZIP = (
    zipfile.BadZipFile,
    OSError,
    EOFError,
    zlib.error,
    RuntimeError,
    ValueError,
    LookupError,
    struct.error,
)
"""What the standard library raises on archives that are broken, locked, or packed in a way it does not know."""
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
            members = [each for each in archive.infolist() if not each.is_dir()]
            members = sorted((each for each in members if _is_log(each.filename, wanted)), key=_by_name)
            if len(members) > MOST_MEMBERS:
                raise UnreadableFileError(name, "zip", f"it has more than {MOST_MEMBERS:,} files", BOMB)
            limit = _Limit(name, Path(name).stat().st_size)
            return [_extract(archive, each, folder, number, limit) for number, each in enumerate(members)]
    except JourneykitError:
        raise
    except BROKEN_ZIP as error:
        raise UnreadableFileError(name, "zip", str(error) or type(error).__name__, ADVICE) from error


def unpack_tar(name: str, folder: Path, wanted: Callable[[str], bool]) -> list[str]:
    """Do for a tar archive, compressed or not, what `unpack_zip` does; links and devices are left alone."""
    limit = _Limit(name, Path(name).stat().st_size)
    found: list[tuple[str, str]] = []
    try:
        with tarfile.open(name, "r|*") as archive:
            for member in archive:
                content = (
                    archive.extractfile(member) if member.isreg() and _is_log(member.name, wanted) else None
                )
                if content is None:
                    continue
                if len(found) == MOST_MEMBERS:
                    raise UnreadableFileError(name, "tar", f"it has more than {MOST_MEMBERS:,} files", BOMB)
                found.append((member.name, _write(content, member.name, folder, len(found), limit)))
    except JourneykitError:
        raise
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError) as error:
        raise UnreadableFileError(name, "tar", str(error) or type(error).__name__, ADVICE) from error
    return [path for _, path in sorted(found)]


def check_gzip(name: str) -> None:
    """Refuse a gzipped file that is broken or unpacks to more than is plausible, without keeping what is in it."""
    limit = _Limit(name, Path(name).stat().st_size)
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


def _is_log(name: str, wanted: Callable[[str], bool]) -> bool:
    hidden = any(part.startswith((".", "__MACOSX")) for part in name.removeprefix("./").split("/"))
    return not hidden and wanted(name)


def _by_name(member: zipfile.ZipInfo) -> str:
    return member.filename


def _extract(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, number: int, limit: _Limit
) -> str:
    with archive.open(member) as packed:
        return _write(packed, member.filename, folder, number, limit)


def _write(packed: IO[bytes], name: str, folder: Path, number: int, limit: _Limit) -> str:
    inner = name.removesuffix(".gz")
    # Only what is harmless of the last part of the name; the number keeps names apart and in order.
    shown = re.sub(r"[^\w.-]", "_", inner.replace("\\", "/").rsplit("/", 1)[-1])[-80:]
    target = folder / f"{number:06}-{shown}"
    content = cast("IO[bytes]", gzip.GzipFile(fileobj=packed)) if inner != name else packed
    with target.open("wb") as file:
        while piece := content.read(PIECE):
            limit.add(len(piece))
            file.write(piece)
    return str(target)
