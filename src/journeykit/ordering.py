"""From rows in input order to events ordered by user and time (D1.3), users stored by group (D12.1).

The rows are hashed and scattered once into partitions that fit the cache; every partition then numbers
its users and orders its events by itself. A hash stands in for a user id only after the ids behind equal
hashes were compared; where two ids share a hash, the partition is numbered by comparing ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
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
Lane = list[tuple[int, pl.Series]]

GROUPS = 64
ROWS_PER_PARTITION = 40_000
ROWS_PER_PIECE = 100_000


@dataclass(frozen=True)
class OrderedEvents:
    """Events by user and time. ``rows`` says where each stood in the input."""

    users: pl.Series
    user_offsets: Int64s
    group_offsets: Int64s
    event_codes: Codes
    times: Int64s
    rows: npt.NDArray[np.unsignedinteger[Any]]
    out_of_order: int
    tied_pairs: int
    tied_pairs_distinct: int


class _Part(NamedTuple):
    """What one partition found: the first row of each user, and where users end."""

    first_rows: Int64s
    ends: Int64s
    out_of_order: int
    tied_pairs: int
    tied_pairs_distinct: int


@dataclass(frozen=True)
class _Rows:
    """Input rows scattered into partitions."""

    records: npt.NDArray[np.uint64]
    offsets: Int64s
    text: bool
    ties: Int64s


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
        Users by group, then by cut of the hash, then by first appearance: the same on every machine.

    Raises
    ------
    InputError
        If a user id is longer than 65,534 bytes.

    Notes
    -----
    O(n) for input in time order, else one stable merge sort per user. 32 bytes per event while it works,
    8 + 4 + 1 per event in the result. D1.3, D12.1.
    """
    rows = _scatter(users, times, codes, np.empty(0, np.int64) if ties is None else ties)
    n = len(users)
    out_times = np.empty(n, np.int64)
    out_codes = np.empty(n, codes.to_numpy().dtype if n == 0 else codes[:1].to_numpy().dtype)
    out_rows: Codes = np.empty(n, np.uint32) if n < 1 << 32 else np.empty(n, np.uint64)
    parts = _largest_first(
        rows.offsets, lambda part: _order_partition(rows, part, out_times, out_codes, out_rows)
    )
    counts = np.array([part.first_rows.size for part in parts], np.int64).reshape(GROUPS, -1).sum(axis=1)
    first_rows = np.concatenate([part.first_rows for part in parts])
    ends = np.concatenate([part.ends + start for part, start in zip(parts, rows.offsets[:-1], strict=True)])
    return OrderedEvents(
        users=users.gather(first_rows),
        user_offsets=np.concatenate([[0], ends]),
        group_offsets=np.concatenate([[0], counts.cumsum()]),
        event_codes=out_codes,
        times=out_times,
        rows=out_rows,
        out_of_order=sum(part.out_of_order for part in parts),
        tied_pairs=sum(part.tied_pairs for part in parts),
        tied_pairs_distinct=sum(part.tied_pairs_distinct for part in parts),
    )


def hash_ids(
    users: pl.Series, hashes: Words | None = None, identities: Words | None = None
) -> tuple[Words, Words]:
    """Hash user ids by D12.1.

    Parameters
    ----------
    users : polars.Series of String or Int64
        One chunk.
    hashes, identities : numpy.ndarray of uint64, optional
        Where to write.

    Returns
    -------
    hashes : numpy.ndarray of uint64
        Stable across machines and versions.
    identities : numpy.ndarray of uint64
        The id itself, or where its text lies in memory; valid while `users` lives.

    Examples
    --------
    >>> [int(h) % 64 for h in hash_ids(pl.Series(["1", "42", "user_1"]))[0]]
    [31, 2, 47]
    """
    from journeykit.kernels import ordering as kernels

    hashes = np.empty(len(users), np.uint64) if hashes is None else hashes
    identities = np.empty(len(users), np.uint64) if identities is None else identities
    if users.dtype != pl.String:
        ids = users.to_numpy()
        kernels.hash_integers(ids, hashes)
        identities[:] = ids.view(np.uint64)
        return hashes, identities
    array = users.to_arrow(compat_level=pl.CompatLevel.newest())
    _, views, *texts = array.buffers()
    addresses = np.array([text.address for text in texts], np.int64)
    first = views.address + 16 * array.offset if views is not None else 0
    longest = kernels.hash_texts(first, addresses, hashes, identities)
    if longest >= (1 << 16) - 1:
        raise InputError(
            f"a user id of {longest:,} bytes is longer than the 65,534 that journeykit takes. "
            f"Check that user= names the column of ids."
        )
    return hashes, identities


def group_of(users: pl.Series) -> npt.NDArray[np.uint8]:
    """Return the group (0..63) of every user id, from its stable hash. D12.1."""
    return (hash_ids(users.rechunk())[0] % GROUPS).astype(np.uint8)


def _scatter(users: pl.Series, times: pl.Series, codes: pl.Series, ties: Int64s) -> _Rows:
    """Hash all ids and scatter the rows into partitions, each a part of one group.

    Every core has a lane of neighbouring pieces. The ids are hashed twice, to count and to scatter: that is
    cheaper than to touch the memory that would keep the hashes.
    """
    from journeykit.kernels import ordering as kernels

    bits = max(0, int(np.ceil(np.log2(max(1, len(users)) / (GROUPS * ROWS_PER_PARTITION)))))
    lanes = _lanes(users)

    def count(lane: Lane) -> Int64s:
        found = np.zeros(GROUPS << bits, np.int64)
        for _, hashes, _ in _hashed(lane):
            kernels.count_partitions(hashes, bits, found)
        return found

    counts = np.array(on_all_cores(count, lanes), np.int64).reshape(-1, GROUPS << bits)
    ends = counts.T.ravel().cumsum()
    places = np.ascontiguousarray((ends - counts.T.ravel()).reshape(GROUPS << bits, -1).T)
    records = np.empty((len(users), 4), np.uint64)

    def scatter(i: int) -> None:
        for part, hashes, identities in _hashed(lanes[i]):
            time, code = times[part].to_numpy(), codes[part].to_numpy()
            kernels.scatter(hashes, identities, time, code, part.start, bits, places[i], records)

    on_all_cores(scatter, range(len(lanes)))
    offsets = np.concatenate([[0], counts.sum(axis=0).cumsum()])
    return _Rows(records, offsets, users.dtype == pl.String, ties)


def _lanes(users: pl.Series) -> list[Lane]:
    """Cut a series into one lane per core, each of contiguous pieces (first row, piece); nothing is copied."""
    pieces, first = [], 0
    for chunk in users.get_chunks():
        starts = range(0, len(chunk), ROWS_PER_PIECE)
        pieces += [(first + start, chunk[start : start + ROWS_PER_PIECE]) for start in starts]
        first += len(chunk)
    bounds = np.linspace(0, len(pieces), cores() + 1).astype(int).tolist()
    return [pieces[a:b] for a, b in pairwise(bounds) if a < b]


def _hashed(lane: Lane) -> Iterator[tuple[slice, Words, Words]]:
    """Hash the ids of every piece of a lane, into the same memory: (rows, hashes, identities)."""
    longest = max(len(piece) for _, piece in lane)
    hashes, identities = np.empty(longest, np.uint64), np.empty(longest, np.uint64)
    for first, piece in lane:
        size = len(piece)
        hash_ids(piece, hashes[:size], identities[:size])
        yield slice(first, first + size), hashes[:size], identities[:size]


def _largest_first(offsets: Int64s, work: Any) -> list[_Part]:
    """Work on the partitions, the largest first so that no core waits for it; results in partition order."""
    sizes = np.diff(offsets)
    order = np.argsort(-sizes, kind="stable")
    done = on_all_cores(work, order.tolist())
    results: list[_Part] = [done[0]] * len(done)
    for part, result in zip(order.tolist(), done, strict=True):
        results[part] = result
    return results


def _order_partition(rows: _Rows, part: int, times: Int64s, codes: Codes, positions: Any) -> _Part:
    """Number the users of one partition and order its events, in their final place."""
    from journeykit.kernels import ordering as kernels

    first, last = rows.offsets[part], rows.offsets[part + 1]
    if first == last:
        return _Part(np.empty(0, np.int64), np.empty(0, np.int64), 0, 0, 0)
    records = rows.records[first:last]
    users, firsts = _number(records, rows.text)
    offsets = np.zeros(firsts.size + 1, np.int64)
    times, codes, positions = times[first:last], codes[first:last], positions[first:last]
    backwards = kernels.place_events(records, users, offsets, times, codes, positions)
    ties = rows.ties[positions] if rows.ties.size else rows.ties
    if backwards or ties.size:
        order, spare = np.empty(users.size, np.int64), np.empty(users.size, np.int64)
        kernels.sort_users(offsets, times, ties, order, spare)
        times[:], codes[:], positions[:] = times[order], codes[order], positions[order]
        ties = ties[order] if ties.size else ties
    tied, distinct = kernels.count_ties(offsets, times, ties, codes)
    first_rows = (records[firsts, kernels.ROW] >> kernels.CODE_BITS).astype(np.int64)
    return _Part(first_rows, offsets[1:], backwards, tied, distinct)


def _number(records: npt.NDArray[np.uint64], text: bool) -> tuple[Any, Any]:
    """Number the users of a partition from 0 by first appearance; return them per row, and first rows."""
    from journeykit.kernels import ordering as kernels

    size = records.shape[0]
    users, firsts = np.empty(size, np.int32), np.empty(size, np.int32)
    slots = 1 << (2 * size - 1).bit_length()
    known = kernels.number_users(records, np.full(slots, -1, np.int32), users, firsts)
    if kernels.hashes_collide(records, users, firsts, text):
        known = kernels.number_users_by_id(records, text, np.full(slots, -1, np.int32), users, firsts)
    return users, firsts[:known]
