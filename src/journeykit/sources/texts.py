"""Text files, compressed or not, as Python reads them: for checks and for messages about lines."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, cast

import polars as pl

from journeykit.errors import UnreadableFileError


def open_bytes(name: str) -> IO[bytes]:
    """Open a file for reading; gzip is undone, and zstandard as far as polars does."""
    if name.lower().endswith(".gz"):
        return cast("IO[bytes]", gzip.open(name, "rb"))
    if name.lower().endswith(".zst"):
        import pyarrow as pa

        return io.BufferedReader(pa.input_stream(name, compression="zstd"))
    return Path(name).open("rb")


def unreadable_bytes(names: Sequence[str], kind: str) -> UnreadableFileError | None:
    """Find the first file that cannot be read to its end, such as half an archive."""
    for name in names:
        try:
            with open_bytes(name) as file:
                while file.read(1 << 20):
                    pass
        except (OSError, EOFError, zlib.error) as error:
            advice = "Check that it may be read and was written to its end."
            return UnreadableFileError(name, kind, str(error), advice)
    return None


def open_text(name: str) -> IO[str]:
    """Open a file as UTF-8; bytes that are not are replaced."""
    return io.TextIOWrapper(open_bytes(name), encoding="utf-8-sig", errors="replace", newline="")


def first_undecodable(name: str) -> int | None:
    """Find the number, from 1, of the first line that is not UTF-8; None if all are."""
    with open_bytes(name) as lines:
        for number, line in enumerate(lines, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return None


def decoded_lines(name: str) -> pl.LazyFrame:
    """Read the lines of a file into memory, bytes that are not UTF-8 replaced."""
    with open_text(name) as file:
        text = file.read()
    lines = text.replace("\r\n", "\n").split("\n")
    if lines and not lines[-1]:
        lines.pop()
    return pl.LazyFrame({"line": lines}, schema={"line": pl.String})
