"""From rows in input order to events ordered by user and time (D1.3), users stored by group (D12.1).

The different ids of a piece of the input are found while the piece is in the cache. Then they and the rows are
scattered, by a quick hash of the id, into partitions that fit the cache too; every partition numbers its users and
orders its events by itself. A hash stands in for an id only after the ids behind equal hashes were compared;
where two ids share a hash, the partition is numbered by comparing ids.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import InputError
from journeykit.threads import cores, on_all_cores

Int64s = npt.NDArray[np.int64]
Codes = npt.NDArray[np.unsignedinteger[Any]]
Words = npt.NDArray[np.uint64]

GROUPS = 64
ROWS_PER_PARTITION = 40_000
ROWS_PER_PIECE = 1 << 16
"""At most 2^16: the entries of a piece are numbered in 16 bits."""
LONGEST_ID = (1 << 16) - 1
RECORD_BYTES = 16
GIVE_BACK_FROM = 1 << 29
"""Bytes of records. Below it they stay: to clear pages for their next use costs more than the memory is worth."""


@dataclass(frozen=True)
class OrderedEvents:
    """Events by user and time. ``rows`` says where each stood in the input."""

    users: pl.Series
    user_offsets: Int64s
    group_offsets: Int64s
    event_codes: Codes
    times: Int64s
    rows: npt.NDArray[np.unsignedinteger[Any]]
    out_of_order: int = 0
    tied_pairs: int = 0
    tied_pairs_distinct: int = 0


class _Piece(NamedTuple):
    """A piece of the input: its first row, the entry of every row, and the (hash, identity) of every entry."""

    first: int
    owners: npt.NDArray[np.uint16]
    entries: Words


class _Lane(NamedTuple):
    """What one core has found in neighbouring pieces, and how many rows and entries each partition has of it."""

    pieces: list[_Piece]
    row_counts: Int64s
    entry_counts: Int64s


class _Scattered(NamedTuple):
    """Input rows and entries in partitions; the records lie in memory that can be given back piece by piece."""

    memory: mmap.mmap | None
    records: Words
    owners: Codes
    entries: Words
    row_offsets: Int64s
    entry_offsets: Int64s
    text: bool


class _Numbered(NamedTuple):
    """The users of one partition: that of every entry, the identity, group and events of each, totals of groups."""

    users: npt.NDArray[np.int32]
    identities: Words
    groups: npt.NDArray[np.uint8]
    counts: Int64s
    group_users: Int64s
    group_events: Int64s


def order_events(
    users: pl.Series, times: pl.Series, codes: pl.Series, ties: Int64s | None = None
) -> OrderedEvents:
    """Order events by user, time, tie-break and input row.

    Parameters
    ----------
    users : polars.Series of String or Int64
        Who; no nulls.
    times : polars.Series of Int64
        Microseconds since the epoch; no nulls.
    codes : polars.Series of an unsigned integer
        What, as a code.
    ties : numpy.ndarray of int64, optional
        Tie-break between events of one user at one time; smaller is earlier.

    Returns
    -------
    OrderedEvents
        Users by group (D12.1), in each group by a cut of the hash and by first appearance: the same on every
        machine.

    Raises
    ------
    InputError
        If a user id is longer than 65,534 bytes.

    Notes
    -----
    O(n) for input in time order, else one stable merge sort per user. While it works 22 bytes per event, and 32
    per user and piece of 65,536 rows; 8 + 4 + 1 per event in the result. D1.3, D12.1.
    """
    rows = _scatter(users, times, codes)
    parts = [slice(*span) for span in pairwise(rows.row_offsets.tolist())]
    giants_first = _giants_first(rows.row_offsets)
    numbered = dict(
        zip(giants_first, on_all_cores(lambda part: _number(rows, part), giants_first), strict=True)
    )
    found = [numbered[part] for part in range(len(parts))]
    # The entries have told who the users are: the ordered events of a large log need their memory.
    rows = rows._replace(entries=rows.entries[:0].copy())
    next_user, group_offsets = _bases(np.array([each.group_users for each in found], np.int64))
    next_event, _ = _bases(np.array([each.group_events for each in found], np.int64))
    n, n_users = len(users), int(group_offsets[-1])
    out = OrderedEvents(
        users=users[:0],
        user_offsets=np.full(n_users + 1, n, np.int64),
        group_offsets=group_offsets,
        event_codes=np.empty(n, codes[:0].to_numpy().dtype),
        times=np.empty(n, np.int64),
        rows=np.empty(n, np.uint32) if n < 1 << 32 else np.empty(n, np.uint64),
    )
    identities = np.empty(n_users, np.uint64)

    def place(part: int) -> tuple[int, int, int]:
        each = found[part]
        counts = _place(rows, part, each, next_user[part], next_event[part], identities, ties, out)
        _give_back(rows, parts[part])
        return counts

    counted = on_all_cores(place, giants_first)
    disorder, tied, distinct = (
        (sum(column) for column in zip(*counted, strict=True)) if counted else (0, 0, 0)
    )
    return replace(
        out,
        users=_ids(identities, users),
        out_of_order=disorder,
        tied_pairs=tied,
        tied_pairs_distinct=distinct,
    )


def hash_ids(users: pl.Series) -> Words:
    """Hash user ids by D12.1, the same on every machine and in every version.

    Parameters
    ----------
    users : polars.Series of String or Int64
        The ids.

    Returns
    -------
    numpy.ndarray of uint64
        One per id.

    Examples
    --------
    >>> [int(h) % 64 for h in hash_ids(pl.Series(["1", "42", "user_1"]))]
    [31, 2, 47]
    """
    users = users.rechunk()
    return _stable_hashes(
        identities_of(users, np.empty(len(users), np.uint64)), text=users.dtype == pl.String
    )


def identities_of(users: pl.Series, identities: Words) -> Words:
    """Write what tells ids apart: an integer itself, or where a text lies in memory while the series lives.

    Raises
    ------
    InputError
        If a user id is longer than 65,534 bytes.
    """
    from journeykit.kernels import ordering as kernels

    if users.dtype != pl.String:
        identities[:] = users.to_numpy().view(np.uint64)
        return identities
    array = users.to_arrow(compat_level=pl.CompatLevel.newest())
    _, views, *texts = array.buffers()
    addresses = np.array([text.address for text in texts], np.int64)
    first = views.address + 16 * array.offset if views is not None else 0
    longest = kernels.note_texts(first, addresses, identities)
    if longest >= LONGEST_ID:
        raise InputError(
            f"a user id of {longest:,} bytes is longer than the 65,534 that journeykit takes. "
            f"Check that user= names the column of ids."
        )
    return identities


def quick_hashes(identities: Words, hashes: Words, *, text: bool) -> Words:
    """Hash ids quickly, only to find equal ones in this run."""
    from journeykit.kernels import ordering as kernels

    kernels.quick_hashes(identities, text, hashes)
    return hashes


def group_of(users: pl.Series) -> npt.NDArray[np.uint8]:
    """Return the group (0..63) of every user id, from its stable hash. D12.1."""
    return (hash_ids(users) % GROUPS).astype(np.uint8)


def _stable_hashes(identities: Words, *, text: bool) -> Words:
    """Return the hash of D12.1 of every id."""
    from journeykit.kernels import ordering as kernels

    hashes = np.empty(identities.size, np.uint64)
    (kernels.hash_texts if text else kernels.hash_integers)(identities, hashes)
    return hashes


def _scatter(users: pl.Series, times: pl.Series, codes: pl.Series) -> _Scattered:
    """Scatter rows and entries into partitions by the quick hash of their user.

    Every core has a lane of neighbouring pieces; it looks at the ids once.
    """
    from journeykit.kernels import ordering as kernels

    bits = max(0, int(np.ceil(np.log2(max(1, len(users)) / ROWS_PER_PARTITION))))
    lanes = on_all_cores(lambda pieces: _entries(pieces, bits), _pieces(users))
    row_places, row_offsets = _places([lane.row_counts for lane in lanes], bits)
    entry_places, entry_offsets = _places([lane.entry_counts for lane in lanes], bits)
    memory, records, owners = _records(len(users))
    entries = np.empty((int(entry_offsets[-1]), 2), np.uint64)

    def scatter(i: int) -> None:
        waiting = lanes[i].pieces[::-1]
        lanes[i].pieces.clear()
        while waiting:
            first, own, found = waiting.pop()
            kernels.scatter_entries(found, bits, entry_places[i], entries)
            rows = slice(first, first + own.size)
            time, code = times[rows].to_numpy(), codes[rows].to_numpy()
            kernels.scatter_rows(own, found, time, code, first, bits, row_places[i], records, owners)

    on_all_cores(scatter, range(len(lanes)))
    text = users.dtype == pl.String
    return _Scattered(memory, records, owners, entries, row_offsets, entry_offsets, text)


def _entries(pieces: list[tuple[int, pl.Series]], bits: int) -> _Lane:
    """Find the different ids of every piece, one piece after another in the same memory."""
    from journeykit.kernels import ordering as kernels

    longest = max(len(piece) for _, piece in pieces)
    hashes, identities = np.empty(longest, np.uint64), np.empty(longest, np.uint64)
    table, entries = (
        np.empty(1 << (2 * longest - 1).bit_length(), np.int32),
        np.empty((longest, 2), np.uint64),
    )
    row_counts, entry_counts = np.zeros(1 << bits, np.int64), np.zeros(1 << bits, np.int64)
    found = []
    for first, piece in pieces:
        size, text, owners = len(piece), piece.dtype == pl.String, np.empty(len(piece), np.uint16)
        mine = identities_of(piece, identities[:size])
        quick = quick_hashes(mine, hashes[:size], text=text)
        known = kernels.number_ids(mine, quick, text, bits, table, entries, owners, row_counts, entry_counts)
        found.append(_Piece(first, owners, entries[:known].copy()))
    return _Lane(found, row_counts, entry_counts)


def _places(counts: list[Int64s], bits: int) -> tuple[Int64s, Int64s]:
    """Return where each lane begins to write in each partition, and where each partition begins."""
    table = np.array(counts, np.int64).reshape(-1, 1 << bits)
    ends = table.T.ravel().cumsum()
    begins = (ends - table.T.ravel()).reshape(1 << bits, -1)
    return np.ascontiguousarray(begins.T), np.concatenate([[0], table.sum(axis=0).cumsum()])


def _records(rows: int) -> tuple[mmap.mmap | None, Words, Codes]:
    """Return room for the records and owners; that of a large log, where the system can, to be given back in parts."""
    number = np.dtype(np.uint32 if rows < 1 << 32 else np.uint64)
    size = rows * (RECORD_BYTES + number.itemsize)
    if size < GIVE_BACK_FROM or not hasattr(mmap, "MADV_DONTNEED"):
        return None, np.empty((rows, 2), np.uint64), np.empty(rows, number)
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    records = np.frombuffer(memory, np.uint64, 2 * rows).reshape(-1, 2)
    return memory, records, np.frombuffer(memory, number, rows, RECORD_BYTES * rows)


def _give_back(rows: _Scattered, part: slice) -> None:
    """Give the memory of a partition back to the system: the ordered events of a large log need it."""
    if rows.memory is None:
        return
    for begin, width in ((0, RECORD_BYTES), (rows.records.nbytes, rows.owners.itemsize)):
        first = -(-(begin + part.start * width) // mmap.PAGESIZE) * mmap.PAGESIZE
        last = (begin + part.stop * width) // mmap.PAGESIZE * mmap.PAGESIZE
        if last > first:
            rows.memory.madvise(mmap.MADV_DONTNEED, first, last - first)


def _pieces(users: pl.Series) -> list[list[tuple[int, pl.Series]]]:
    """Cut a series into one lane per core, each of contiguous pieces (first row, piece); nothing is copied."""
    pieces: list[tuple[int, pl.Series]] = []
    first = 0
    for chunk in users.get_chunks():
        starts = range(0, len(chunk), ROWS_PER_PIECE)
        pieces += [(first + start, chunk[start : start + ROWS_PER_PIECE]) for start in starts]
        first += len(chunk)
    bounds = np.linspace(0, len(pieces), cores() + 1).astype(int).tolist()
    return [pieces[a:b] for a, b in pairwise(bounds) if a < b]


def _giants_first(offsets: Int64s) -> list[int]:
    """Order partitions as they lie, so that results fill memory as records leave it; but the giants first."""
    sizes = np.diff(offsets)
    return [int(part) for part in np.argsort(sizes <= 4 * sizes.mean(), kind="stable")]


def _number(rows: _Scattered, part: int) -> _Numbered:
    """Number the users of one partition by first appearance, and count what they have."""
    from journeykit.kernels import ordering as kernels

    first, last = int(rows.entry_offsets[part]), int(rows.entry_offsets[part + 1])
    entries, size = rows.entries[first:last], last - first
    users, firsts = np.empty(size, np.int32), np.empty(size, np.int32)
    slots = 1 << max(1, (2 * size - 1).bit_length())
    known = kernels.number_users(entries, np.full(slots, -1, np.int32), users, firsts)
    if kernels.hashes_collide(entries, users, firsts, rows.text):
        known = kernels.number_users_by_id(entries, rows.text, np.full(slots, -1, np.int32), users, firsts)
    identities = entries[firsts[:known], kernels.IDENTITY]
    groups = (_stable_hashes(identities, text=rows.text) % GROUPS).astype(np.uint8)
    counts = np.zeros(known, np.int64)
    group_users, group_events = np.zeros(GROUPS, np.int64), np.zeros(GROUPS, np.int64)
    owners = rows.owners[rows.row_offsets[part] : rows.row_offsets[part + 1]]
    kernels.count_groups(owners, first, users, groups, counts, group_users, group_events)
    return _Numbered(users, identities, groups, counts, group_users, group_events)


def _ids(identities: Words, users: pl.Series) -> pl.Series:
    """Return the ids that identities stand for; a gather from the many chunks of a large log is far slower."""
    from journeykit.kernels import ordering as kernels

    if users.dtype != pl.String:
        return pl.Series(users.name, identities.view(np.int64))
    import pyarrow as pa

    offsets = np.empty(identities.size + 1, np.int64)
    kernels.text_offsets(identities, offsets)
    texts = np.empty(offsets[-1], np.uint8)
    bounds = np.linspace(0, identities.size, cores() + 1).astype(int).tolist()
    on_all_cores(lambda span: kernels.copy_texts(identities, offsets, *span, texts), pairwise(bounds))
    array = pa.LargeStringArray.from_buffers(identities.size, pa.py_buffer(offsets), pa.py_buffer(texts))
    return pl.Series(users.name, array)


def _bases(per_part: Int64s) -> tuple[Int64s, Int64s]:
    """Return where each group of each partition begins, group by group, and where each group does."""
    ends = per_part.T.ravel().cumsum()
    begins = (ends - per_part.T.ravel()).reshape(GROUPS, -1)
    offsets = np.concatenate([[0], per_part.sum(axis=0).cumsum()])
    return np.ascontiguousarray(begins.T), offsets


def _place(
    scattered: _Scattered,
    part: int,
    each: _Numbered,
    next_user: Int64s,
    next_event: Int64s,
    identities: Words,
    ties: Int64s | None,
    out: OrderedEvents,
) -> tuple[int, int, int]:
    """Write the users and events of one partition to their final places, in order."""
    from journeykit.kernels import ordering as kernels

    if each.counts.size == 0:
        return 0, 0, 0
    ties = np.empty(0, np.int64) if ties is None else ties
    places, begins = np.empty(each.counts.size, np.int64), np.empty(each.counts.size, np.int64)
    kernels.lay_out(each.groups, each.counts, next_user, next_event, places, begins)
    out.user_offsets[places], identities[places] = begins, each.identities
    span = slice(scattered.row_offsets[part], scattered.row_offsets[part + 1])
    backwards = kernels.place_events(
        scattered.records[span],
        scattered.owners[span],
        int(scattered.entry_offsets[part]),
        each.users,
        begins,
        out.times,
        out.event_codes,
        out.rows,
    )
    if backwards or ties.size:
        kernels.sort_users(begins, each.counts, ties, out.times, out.event_codes, out.rows)
    tied, distinct = kernels.count_ties(begins, each.counts, ties, out.times, out.event_codes, out.rows)
    return backwards, tied, distinct
