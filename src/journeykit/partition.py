"""A log that is read piece by piece, and cut by user into buckets on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.engines.progress import Callback, Meter
from journeykit.engines.workspace import writing
from journeykit.errors import JourneykitError
from journeykit.events import micro
from journeykit.reading import open_log, roles_of, span
from journeykit.sessions import SessionRule, check_nulls
from journeykit.sources import blaming, source_format
from journeykit.sources.canonical import (
    CanonicalLog,
    InvalidCounts,
    Validity,
    categories,
    check_names,
    occurring,
)
from journeykit.sources.collecting import engine_errors
from journeykit.user_ids import GROUPS, hash_ids

ROWS_PER_PIECE = 100_000
"""So that a piece is put in order while it is in the cache."""
BUFFERED_PART = 8
"""Of the memory, what waits to be written: large files, and room for the pieces that are being read."""


@dataclass(frozen=True, eq=False)
class About:
    """What is known of a log once it was read, and its shards need to know.

    Attributes
    ----------
    vocabulary : list of str
        The names of events, sorted.
    names : polars.Series
        What the codes of events in the files stand for.
    counts : InvalidCounts
        Rows read, and rows left out.
    observed_from, observed_until : datetime
        The span of observation.
    time_format, local_zone : str or None
        How times were read.
    """

    vocabulary: list[str]
    names: pl.Series
    counts: InvalidCounts
    observed_from: datetime
    observed_until: datetime
    time_format: str | None
    local_zone: str | None

    @property
    def first_microsecond(self) -> int:
        """The start of the span."""
        return micro(self.observed_from)

    @property
    def last_microsecond(self) -> int:
        """The end of the span."""
        return micro(self.observed_until)


@dataclass(frozen=True, eq=False)
class Buckets:
    """The rows of a log by bucket of users.

    Attributes
    ----------
    files : list of list of pathlib.Path
        Per bucket, in the order of the log.
    sizes : numpy.ndarray of int64
        How many rows each has.
    about : About
        What is known of all of them.
    """

    files: list[list[Path]]
    sizes: npt.NDArray[np.int64]
    about: About


@dataclass
class _Seen:
    """What is known of the log so far."""

    validity: Validity = field(default_factory=Validity)
    present: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    first: datetime | None = None
    last: datetime | None = None
    null_sessions: int = 0

    def look(self, piece: pl.DataFrame) -> None:
        """Take note of the valid rows of a piece."""
        codes = piece["event"].to_physical()
        size = max(self.present.size, int(codes.max() or 0) + 1)  # type: ignore[arg-type]
        present = occurring(codes, size)
        present[: self.present.size] |= self.present
        self.present = present
        times = pl.concat([pl.Series([self.first, self.last], dtype=piece["time"].dtype), piece["time"]])
        self.first, self.last = times.min(), times.max()  # type: ignore[assignment]
        self.null_sessions += piece["session"].null_count() if "session" in piece.columns else 0


def cut_log(
    source: Any,
    arguments: Mapping[str, Any],
    rule: SessionRule,
    folder: Path,
    n_buckets: int,
    memory: int,
    progress: Callback | None,
) -> Buckets:
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
        A multiple of 64 (whole jackknife groups are in `n_buckets` / 64 neighbouring buckets).
    memory : int
        Bytes that may be used.
    progress : callable, optional
        Who is told how far it is.

    Returns
    -------
    Buckets
        Files of Parquet with canonical columns; ``event`` as the code of the reader, rows in the order of the log.

    Raises
    ------
    JourneykitError
        Whatever ``read_events`` refuses.
    WorkspaceError
        If the files cannot be written.
    """
    given = dict(arguments)
    shape = given.pop("format", None)
    on_invalid = given.pop("on_invalid", "raise")
    given.pop("duplicates", None)
    ends = given.pop("observed_from", None), given.pop("observed_until", None)
    required = {role: given.pop(role, None) for role in ("user", "time", "event")}
    roles = roles_of(source, shape, required, **given)
    log = open_log(source, roles, shape)
    writer, seen = _Writer(folder, n_buckets, memory // BUFFERED_PART), _Seen()
    meter = Meter(progress, "cutting the log", _rows(source, shape, log))
    dtype = log.plan.collect_schema()["event"]
    for piece in _pieces(log, source, shape, roles.columns):
        valid = seen.validity.keep(piece)
        if valid.height and (on_invalid == "drop" or seen.validity.kept == seen.validity.rows):
            seen.look(valid)
            writer.add(valid)
        meter.add(piece.height)
    counts = seen.validity.counts(on_invalid)
    writer.flush()
    names = categories(dtype)
    vocabulary = sorted(names[int(code)] for code in np.flatnonzero(seen.present))
    check_names(vocabulary)
    first, last = span(pl.Series([seen.first, seen.last]), *ends)
    check_nulls(rule, seen.null_sessions, counts.rows_kept)
    about = About(vocabulary, names, counts, first, last, log.time_format, log.local_zone)
    return Buckets(writer.files, writer.sizes, about)


def _pieces(log: CanonicalLog, source: Any, shape: str | None, columns: list[str]) -> Iterator[pl.DataFrame]:
    """Read a log piece by piece, in its order; where that fails, find the file and the line."""
    with blaming(source, format=shape, columns=columns), engine_errors("reading the log"):
        yield from log.plan.collect_batches(chunk_size=ROWS_PER_PIECE, maintain_order=True)


def _rows(source: Any, shape: str | None, log: CanonicalLog) -> int | None:
    """Tell how many rows a log has, where that costs nothing."""
    if source_format(source, shape) != "parquet" and not isinstance(source, pl.DataFrame):
        return None
    try:
        return int(log.plan.select(pl.len()).collect().item())
    except (pl.exceptions.PolarsError, OSError, JourneykitError):
        return None


class _Writer:
    """Collects the rows of every bucket, and writes them when there are many."""

    def __init__(self, folder: Path, n_buckets: int, most_bytes: int) -> None:
        self.folder, self.n_buckets, self.most_bytes = folder, n_buckets, most_bytes
        self.files: list[list[Path]] = [[] for _ in range(n_buckets)]
        self.sizes = np.zeros(n_buckets, np.int64)
        self._waiting: list[list[pl.DataFrame]] = [[] for _ in range(n_buckets)]
        self._bytes = 0

    def add(self, rows: pl.DataFrame) -> None:
        """Put rows into the buckets of their users; the order inside a bucket is that of the log."""
        bucket = bucket_of(rows["user"], self.n_buckets)
        order = np.argsort(bucket, kind="stable")
        counts = np.bincount(bucket, minlength=self.n_buckets)
        codes = rows.with_columns(pl.col("event").to_physical().cast(pl.UInt32))
        apart = codes[pl.Series(order)]
        begin = 0
        for number in np.flatnonzero(counts):
            self._waiting[number].append(apart[begin : begin + int(counts[number])])
            begin += int(counts[number])
        self.sizes += counts
        self._bytes += int(rows.estimated_size())
        if self._bytes >= self.most_bytes:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        for number, pieces in enumerate(self._waiting):
            if not pieces:
                continue
            file = self.folder / f"bucket-{number}-{len(self.files[number])}.parquet"
            with writing(self.folder):
                pl.concat(pieces).write_parquet(file, compression="uncompressed", statistics=False)
            self.files[number].append(file)
            pieces.clear()
        self._bytes = 0


def bucket_of(users: pl.Series, n_buckets: int) -> npt.NDArray[np.uint16]:
    """Return the bucket of every user id: by its jackknife group, then by more of its stable hash. D12.1."""
    hashes = hash_ids(users)
    per_group = np.uint64(n_buckets // GROUPS)
    groups = hashes % np.uint64(GROUPS)
    return (groups * per_group + (hashes // np.uint64(GROUPS)) % per_group).astype(np.uint16)
