"""A log that is read part by part, and cut by user into buckets on disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.engines.progress import Callback, Meter
from journeykit.errors import EmptyInputError, JourneykitError
from journeykit.events.events import micro
from journeykit.events.reading import open_log, roles_of, span
from journeykit.ordering.user_ids import GROUPS, IDENTITY, Piece, encode_part, stable_hashes
from journeykit.ordering.vocabulary import EventNames
from journeykit.sessions import SessionRule, check_nulls
from journeykit.sharding.bucket_files import Bucket, Chunk
from journeykit.sharding.whole import Stitching
from journeykit.sources import blaming, collect_source, refuse_broken_rows, source_format, source_parts
from journeykit.sources.canonical import CanonicalLog, InvalidCounts, Validity
from journeykit.sources.collecting import engine_errors
from journeykit.support.threads import cores

MOST_ROWS = 4_000_000
"""Of a part that is read at once; where parts are larger, or there is only one, the log is streamed."""
WORTHWHILE_ROWS, PARTS_PER_CORE = 2_000_000, 16
"""Neighbouring parts are cut together up to so many rows, as long as every core has so many to cut."""
ROWS_PER_BATCH = 500_000
BUFFERED_PART = 8
"""Of the memory, what waits to be written of further columns: large files, and room for the parts being read."""
MOST_ENTRIES = 1 << 16
"""Of a bucket in one chunk: they are numbered in 16 bits."""
FIRST = ("user", "time", "event")
Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class About:
    """What is known of a log once it was read, and its shards need to know.

    Attributes
    ----------
    vocabulary : list of str
        The names of events, sorted.
    names : list of str
        What the codes of events in the files stand for.
    counts : InvalidCounts
        Rows read, and rows left out.
    observed_from, observed_until : datetime
        The span of observation.
    time_format, local_zone : str or None
        How times were read.
    text : bool
        Whether user ids are texts.
    rows_moved, rows_unmapped : int
        Rows that became another user's, and rows of unknown ids that were left out. D1.8.
    """

    vocabulary: list[str]
    names: list[str]
    counts: InvalidCounts
    observed_from: datetime
    observed_until: datetime
    time_format: str | None
    local_zone: str | None
    text: bool
    rows_moved: int = 0
    rows_unmapped: int = 0

    @property
    def first_microsecond(self) -> int:
        """The start of the span."""
        return micro(self.observed_from)

    @property
    def last_microsecond(self) -> int:
        """The end of the span."""
        return micro(self.observed_until)


@dataclass
class _Seen:
    """What is known of the log so far."""

    validity: Validity
    first: datetime | None = None
    last: datetime | None = None
    null_sessions: int = 0
    moved: int = 0
    left_out: int = 0

    @classmethod
    def of(cls, rows: pl.DataFrame, validity: Validity) -> _Seen:
        times = rows["time"]
        nulls = rows["session"].null_count() if "session" in rows.columns else 0
        return cls(validity, times.min(), times.max(), nulls)  # type: ignore[arg-type]

    def add(self, following: _Seen) -> None:
        """Put this together with what was seen in the part that follows."""
        self.validity = self.validity + following.validity
        times = [
            each for each in (self.first, self.last, following.first, following.last) if each is not None
        ]
        self.first, self.last = (min(times), max(times)) if times else (None, None)
        self.null_sessions += following.null_sessions
        self.moved += following.moved
        self.left_out += following.left_out


@dataclass(frozen=True, eq=False)
class _Part:
    """A part of the log by bucket, the rows of each in the order of the log, and what was seen in it."""

    seen: _Seen
    chunks: list[tuple[int, Chunk]]
    further: list[tuple[int, pl.DataFrame]]


def cut_log(
    source: Any,
    arguments: Mapping[str, Any],
    rule: SessionRule,
    folder: Path,
    n_buckets: int,
    memory: int,
    progress: Callback | None,
    stitching: Stitching,
) -> tuple[list[Bucket], About]:
    """Read a log once, and write its valid rows to buckets of users.

    Parameters
    ----------
    source, arguments
        As of ``read_events``.
    rule : SessionRule
        Whether rows need a session.
    folder : pathlib.Path
        Where the files are made.
    n_buckets : int
        A multiple of 64: a jackknife group is in `n_buckets` / 64 neighbouring buckets.
    memory : int
        Bytes that may be used.
    progress : callable, optional
        Who is told how far it is.
    stitching : Stitching
        What gives rows other users.

    Returns
    -------
    list of Bucket
        The rows by bucket; those without rows have no files.
    About
        What is known of all of them.

    Raises
    ------
    JourneykitError
        Whatever ``read_events`` refuses.
    WorkspaceError
        If the files cannot be written.

    Notes
    -----
    Per event 8 bytes for the time, 1, 2 or 4 for the name, 2 for the user; per user and part of the log 20 bytes and
    the id.
    """
    given = dict(arguments)
    shape, on_invalid = given.pop("format", None), given.pop("on_invalid", "raise")
    given.pop("duplicates", None)
    ends = given.pop("observed_from", None), given.pop("observed_until", None)
    required = {role: given.pop(role, None) for role in FIRST}
    roles = roles_of(source, shape, required, **given)
    log = open_log(source, roles, shape)
    schema = log.plan.collect_schema()
    buckets = [Bucket(folder / f"bucket-{number}") for number in range(n_buckets)]
    meter = Meter(progress, "cutting the log", _rows(source, shape, log))
    seen, names, waiting = _Seen(Validity()), EventNames(), 0
    readers = _readers(log, source, shape, roles.columns)
    for part in _cut(readers, names, n_buckets, stitching, keep=on_invalid == "drop"):
        seen.add(part.seen)
        meter.add(part.seen.validity.rows)
        for number, chunk in part.chunks:
            buckets[number].append(chunk)
        for number, rows in part.further:
            buckets[number].waiting.append(rows)
            waiting += int(rows.estimated_size())
        if waiting > memory // BUFFERED_PART:
            waiting = _flush(buckets)
    _flush(buckets)
    counts = seen.validity.counts(on_invalid)
    vocabulary = names.vocabulary()
    first, last = span(pl.Series([seen.first, seen.last]), *ends)
    check_nulls(rule, seen.null_sessions, counts.rows_kept)
    if seen.left_out == counts.rows_kept:
        raise EmptyInputError.unmapped()
    text = stitching.any or schema["user"] == pl.String
    told = log.time_format, log.local_zone, text, seen.moved, seen.left_out
    return buckets, About(vocabulary, names.numbered, counts, first, last, *told)


def _flush(buckets: Sequence[Bucket]) -> int:
    for bucket in buckets:
        bucket.flush()
    return 0


Reader = Callable[[], tuple[pl.DataFrame, int]]


def _readers(log: CanonicalLog, source: Any, shape: str | None, columns: list[str]) -> Iterator[Reader]:
    """Give what reads neighbouring parts of a log: those of Parquet by themselves, else batches of a stream."""
    bounds = source_parts(source, format=shape, columns=columns)
    most = max(size or 0 for _, size in bounds)
    if len(bounds) > 1 and most <= MOST_ROWS:
        for part in _joined(bounds, min(len(bounds) // (PARTS_PER_CORE * cores()), WORTHWHILE_ROWS // most)):
            yield lambda part=part: (  # type: ignore[misc]
                collect_source(log.plan, source, format=shape, columns=columns, part=part),
                part[0],
            )
        return
    first = 0
    refuse_broken_rows(source, shape)
    with blaming(source, format=shape, columns=columns), engine_errors("reading the log"):
        for batch in log.plan.collect_batches(chunk_size=ROWS_PER_BATCH, maintain_order=True):
            yield lambda found=(batch, first): found  # type: ignore[misc]
            first += batch.height


def _joined(parts: list[tuple[int, int | None]], size: int) -> Iterator[tuple[int, int | None]]:
    """Put `size` neighbouring parts together: fewer and longer runs of rows are written to every bucket."""
    step = max(1, size)
    for run in (parts[first : first + step] for first in range(0, len(parts), step)):
        yield run[0][0], None if run[-1][1] is None else sum(rows or 0 for _, rows in run)


def _cut(
    readers: Iterator[Reader], names: EventNames, n_buckets: int, stitching: Stitching, *, keep: bool
) -> Iterator[_Part]:
    """Read and cut parts on all cores; they come in the order of the log."""

    def work(reader: Reader) -> _Part:
        frame, first = reader()
        validity = Validity(first)
        rows = validity.keep(frame)
        seen = _Seen.of(rows, validity)
        if not rows.height or (validity.invalid and not keep):
            return _Part(seen, [], [])
        rows = rows.with_columns(names.number(rows["event"]))
        rows, seen.moved, seen.left_out = stitching(rows)
        return _Part(seen, *rows_apart(rows, n_buckets))

    with ThreadPoolExecutor(cores()) as pool:
        waiting: deque[Future[_Part]] = deque()
        try:
            for reader in readers:
                waiting.append(pool.submit(work, reader))
                if len(waiting) > cores():
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def rows_apart(
    rows: pl.DataFrame, n_buckets: int
) -> tuple[list[tuple[int, Chunk]], list[tuple[int, pl.DataFrame]]]:
    """Put the rows of a part of a log apart by bucket; the further columns beside what is written of the same rows."""
    users, columns = rows["user"], rows.drop(FIRST)
    text = users.dtype == pl.String
    times, codes = (rows[name].to_physical().rechunk().to_numpy() for name in ("time", "event"))
    bucketed = [_Bucketed.of(piece, n_buckets, text=text) for piece in encode_part(users, keep=False)]
    chunks, further, start = [], [], 0
    for pieces in _fitting(bucketed):
        own = slice(start, start + sum(each.piece.owners.size for each in pieces))
        sorting = _Sorting(pieces, times[own], codes[own], text=text, ordered=columns.width > 0)
        chunks += sorting.chunks()
        further += sorting.further(columns[own])
        start = own.stop
    return chunks, further


class _Bucketed(NamedTuple):
    """A piece, the bucket of each of its entries, and how many entries, rows and words of texts it has by bucket."""

    piece: Piece
    buckets: npt.NDArray[np.uint16]
    counts: Int64s

    @classmethod
    def of(cls, piece: Piece, n_buckets: int, *, text: bool) -> _Bucketed:
        """Find the buckets of the users of a piece."""
        from journeykit.kernels.ordering.partition import bucket_entries

        hashes = stable_hashes(np.ascontiguousarray(piece.entries[:, IDENTITY]), text=text)
        buckets, counts = np.empty(hashes.size, np.uint16), np.zeros((n_buckets, 3), np.int64)
        per_group = np.uint64(n_buckets // GROUPS)
        bucket_entries(piece.entries, piece.sizes, hashes, per_group, text, buckets, counts)
        return cls(piece, buckets, counts)


def _fitting(pieces: list[_Bucketed]) -> Iterator[list[_Bucketed]]:
    """Divide pieces where they have more entries of one bucket than can be numbered."""
    if len(pieces) > 1 and _total(pieces)[:, 0].max() > MOST_ENTRIES:
        half = len(pieces) // 2
        yield from _fitting(pieces[:half])
        yield from _fitting(pieces[half:])
    elif pieces:
        yield pieces


def _total(pieces: list[_Bucketed]) -> Int64s:
    total: Int64s = np.sum([each.counts for each in pieces], axis=0)
    return total


class _Sorting:
    """The rows of neighbouring pieces by bucket."""

    def __init__(self, pieces: list[_Bucketed], times: Any, codes: Any, *, text: bool, ordered: bool) -> None:
        from journeykit.kernels.ordering import partition as kernels

        self.bounds = np.vstack([np.zeros(3, np.int64), _total(pieces).cumsum(axis=0)])
        known, n, words = self.bounds[-1].tolist()
        self.entries, self.sizes = np.empty((known, 2), np.uint64), np.empty(known, np.uint32)
        self.owners, self.times = np.empty(n, np.uint16), np.empty(n, np.int64)
        self.codes = np.empty(n, np.min_scalar_type(int(codes.max(initial=0))))
        self.texts, self.order = np.empty(words, np.uint64), np.empty(n if ordered else 0, np.uint32)
        first, address = np.ascontiguousarray(self.bounds[:-1, 0]), self.texts.ctypes.data
        places, row = self.bounds[:-1].copy(), 0
        for piece, buckets, _ in pieces:
            own, numbers = slice(row, row + piece.owners.size), np.empty(buckets.size, np.uint16)
            kernels.cut_entries(
                piece.entries, piece.sizes, buckets, first, places, text, numbers,
                self.entries, self.sizes, self.texts, address,
            )  # fmt: skip
            kernels.cut_rows(
                piece.owners, buckets, numbers, times[own], codes[own], row, places,
                self.owners, self.times, self.codes, self.order,
            )  # fmt: skip
            row = own.stop

    def full(self) -> Iterator[tuple[int, slice, slice, slice]]:
        """Give the buckets that have rows, and which entries, rows and words of texts."""
        for number, (begin, end) in enumerate(pairwise(self.bounds.tolist())):
            if begin[0] < end[0]:
                known, rows, words = map(slice, begin, end)
                yield number, known, rows, words

    def chunks(self) -> list[tuple[int, Chunk]]:
        """Return what is written to each bucket."""
        return [
            (
                number,
                Chunk(
                    Piece(self.owners[rows], self.entries[known], self.sizes[known], self.texts[words]),
                    self.times[rows],
                    self.codes[rows],
                ),
            )
            for number, known, rows, words in self.full()
        ]

    def further(self, columns: pl.DataFrame) -> list[tuple[int, pl.DataFrame]]:
        """Return the further columns of each bucket, if there are any."""
        if not columns.width:
            return []
        by_bucket = columns[pl.Series(self.order)]
        return [(number, by_bucket[rows]) for number, _, rows, _ in self.full()]


def _rows(source: Any, shape: str | None, log: CanonicalLog) -> int | None:
    """Tell how many rows a log has, where that costs nothing."""
    if source_format(source, shape) != "parquet" and not isinstance(source, pl.DataFrame):
        return None
    try:
        return int(log.plan.select(pl.len()).collect().item())
    except (pl.exceptions.PolarsError, OSError, JourneykitError):
        return None
