"""Buckets of users on disk: the rows of a log as the arrays from which they are ordered, in its order."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.engines.workspace import writing
from journeykit.ordering.user_ids import IDENTITY, Piece, UserIds, Words

Int64s = npt.NDArray[np.int64]
Codes = npt.NDArray[np.unsignedinteger[Any]]
HEADER = 5
"""Words before the arrays of a chunk: its rows, entries, words of texts, bytes per code, and where its texts lay."""
MOST_BUFFERS = 512
"""That one call of the system writes."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some rows of one bucket, as they follow each other in the log."""

    users: Piece
    times: Int64s
    codes: Codes

    def buffers(self) -> list[Any]:
        """Return what is written of it, so that every array is aligned when it is read back."""
        owners, entries, sizes, texts = self.users
        header = np.array(
            [owners.size, sizes.size, texts.size, self.codes.itemsize, texts.ctypes.data], np.int64
        )
        arrays = (header, self.times, entries, texts, sizes, self.codes, owners)
        filled = [each for each in arrays if each.size]
        return [part for each in filled for part in (each.data.cast("B"), bytes(-each.nbytes % 8)) if part]


@dataclass
class Bucket:
    """The files of one bucket: one of rows, and some of further columns."""

    path: Path
    n_rows: int = 0
    further: list[Path] = field(default_factory=list)
    waiting: list[pl.DataFrame] = field(default_factory=list)

    def append(self, chunk: Chunk) -> None:
        """Write rows behind those that are there."""
        buffers = chunk.buffers()
        with writing(self.path.parent), self.path.open("ab", buffering=0) as file:
            _write(file.fileno(), buffers)
        self.n_rows += chunk.times.size

    def flush(self) -> None:
        """Write the further columns that wait."""
        if not self.waiting:
            return
        file = self.path.with_name(f"{self.path.name}-{len(self.further)}.parquet")
        with writing(self.path.parent):
            pl.concat(self.waiting).write_parquet(file, compression="lz4", statistics=False)
        self.further.append(file)
        self.waiting.clear()

    @property
    def files(self) -> tuple[Path, ...]:
        """Its files; the first are the rows."""
        return (self.path, *self.further)


def _write(number: int, buffers: Sequence[Any]) -> None:
    waiting = [memoryview(each) for each in buffers if len(each)]
    while waiting:
        written = os.writev(number, waiting[:MOST_BUFFERS])
        while waiting and written >= len(waiting[0]):
            written -= len(waiting.pop(0))
        if written:
            waiting[0] = waiting[0][written:]


def read_rows(files: Sequence[Path], *, text: bool) -> tuple[UserIds, Int64s, Codes]:
    """Read the rows of some buckets: whose, when, and what by its code.

    Raises
    ------
    OSError, ValueError
        If a file is gone, or ends too early.
    """
    chunks = [chunk for file in files for chunk in chunks_of(np.fromfile(file, np.uint8), text=text)]
    times = np.concatenate([np.empty(0, np.int64), *(chunk.times for chunk in chunks)])
    codes = np.concatenate([np.empty(0, np.uint8), *(chunk.codes for chunk in chunks)])
    return UserIds(tuple(chunk.users for chunk in chunks), text), times, codes


def chunks_of(content: npt.NDArray[np.uint8], *, text: bool) -> Iterator[Chunk]:
    """Read what `Chunk.buffers` gave, from memory that can be written and stays."""
    place = 0

    def take(kind: Any, size: int) -> Any:
        nonlocal place
        found = np.frombuffer(content, kind, size, place)
        place += found.nbytes + -found.nbytes % 8
        return found

    while place < content.size:
        rows, known, words, width, address = take(np.int64, HEADER).tolist()
        times, entries = take(np.int64, rows), take(np.uint64, 2 * known).reshape(-1, 2)
        texts, sizes = take(np.uint64, words), take(np.uint32, known)
        codes, owners = take(np.dtype(f"u{width}"), rows), take(np.uint16, rows)
        if text:
            _move(entries, texts.ctypes.data - address)
        yield Chunk(Piece(owners, entries, sizes, texts), times, codes)


def _move(entries: Words, by: int) -> None:
    """Let entries point to where their texts lie now."""
    entries[:, IDENTITY] += np.uint64(by % (1 << 64))
