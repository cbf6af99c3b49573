"""Texts in which a backslash keeps a tab or the end of a line in a field, as plain TSV."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

from journeykit.adapters.archives import ADVICE
from journeykit.errors import UnreadableFileError
from journeykit.sources.texts import open_bytes

PIECE = 1 << 22
_ESCAPED = re.compile(rb"\\([\t\n\\])")


def plain(name: str, target: Path) -> str:
    r"""Write a file anew where it has such backslashes.

    Parameters
    ----------
    name : str
        The file, compressed or not.
    target : pathlib.Path
        Where to write.

    Returns
    -------
    str
        The target, in which an escaped tab or end of a line is a blank, and ``\\`` one backslash; or `name`, if
        there is none.
    """
    try:
        if not _any(name):
            return name
        with open_bytes(name) as file, target.open("wb") as out:
            rest = b""
            while piece := rest + file.read(PIECE):
                whole = len(piece) - (len(piece) - len(piece.rstrip(b"\\"))) % 2
                more = whole < len(piece) and len(piece) > len(rest)
                out.write(_ESCAPED.sub(_unescaped, piece[:whole] if more else piece))
                rest = piece[whole:] if more else b""
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableFileError(name, "tsv", str(error), ADVICE) from error
    return str(target)


def _any(name: str) -> bool:
    last = b""
    with open_bytes(name) as file:
        while piece := file.read(PIECE):
            if _ESCAPED.search(last + piece):
                return True
            last = piece[-1:]
    return False


def _unescaped(match: re.Match[bytes]) -> bytes:
    return b"\\" if match[1] == b"\\" else b" "
