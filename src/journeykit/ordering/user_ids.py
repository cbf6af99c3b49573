"""The user ids of a log: hashed, told apart, and kept once for every piece of the input. D12.1.

The different ids of a piece are found while the piece is in the cache. They are its entries; a row keeps the number
of its entry alone. A hash stands in for an id only after the ids behind equal hashes were compared.
"""

from __future__ import annotations

import mmap
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import InputError
from journeykit.support.exchange import cut_bytes, text_addresses
from journeykit.support.threads import cores, on_all_cores

Words = npt.NDArray[np.uint64]

GROUPS = 64
IDENTITY = 1
"""The column of entries that tells ids apart; the other is the quick hash."""
ROWS_PER_PIECE = 1 << 16
"""At most 2^16: the entries of a piece are numbered in 16 bits."""
LONGEST_ID = (1 << 16) - 1


class Piece(NamedTuple):
    """Neighbouring rows of a log by the entries they belong to.

    Attributes
    ----------
    owners : numpy.ndarray of uint16
        The number of its entry, for every row.
    entries : numpy.ndarray of uint64, entries x 2
        The quick hash of every entry's id and its identity: an integer, or where its text lies in `texts`.
    sizes : numpy.ndarray of uint32
        How many rows every entry has.
    texts : numpy.ndarray of uint64
        The bytes of the texts, each from a word of its own on.
    """

    owners: npt.NDArray[np.uint16]
    entries: Words
    sizes: npt.NDArray[np.uint32]
    texts: Words


@dataclass(frozen=True, eq=False)
class UserIds:
    """The user ids of a log, row by row, as the pieces of its input.

    Notes
    -----
    Two bytes per row; 20 bytes and the text, in whole words, per user and piece of 65,536 rows.

    Examples
    --------
    >>> UserIds.of(pl.Series("user", ["b", "a", "b"])).series().to_list()
    ['b', 'a', 'b']
    """

    pieces: tuple[Piece, ...]
    text: bool

    @classmethod
    def of(cls, users: pl.Series) -> UserIds:
        """Encode a whole column of String or Int64 without nulls.

        Raises
        ------
        InputError
            If an id is longer than 65,534 bytes.
        """
        pieces = list(_cut(users))
        bounds = np.linspace(0, len(pieces), cores() + 1).astype(int).tolist()
        lanes = [pieces[a:b] for a, b in pairwise(bounds) if a < b]
        return cls.joined(on_all_cores(_encoded, lanes), text=users.dtype == pl.String)

    @classmethod
    def joined(cls, parts: Iterable[Iterable[Piece]], *, text: bool) -> UserIds:
        """Put the pieces of neighbouring parts of a log together."""
        return cls(tuple(piece for part in parts for piece in part), text)

    def __len__(self) -> int:
        return sum(piece.owners.size for piece in self.pieces)

    def __reduce__(self) -> tuple[Callable[[pl.Series], UserIds], tuple[pl.Series]]:
        return UserIds.of, (self.series(),)

    @property
    def starts(self) -> list[int]:
        """The number of the first row of every piece."""
        return list(accumulate((piece.owners.size for piece in self.pieces), initial=0))[:-1]

    def series(self, limit: int | None = None) -> pl.Series:
        """Return the column, or its first rows."""
        wanted = len(self) if limit is None else limit
        shown = [each for each, start in zip(self.pieces, self.starts, strict=True) if start < wanted]
        columns = [texts_or_numbers(each.entries[:, IDENTITY], text=self.text)[each.owners] for each in shown]
        columns = columns or [pl.Series(dtype=pl.String if self.text else pl.Int64)]
        return pl.concat(columns, rechunk=True).head(wanted).alias("user")


def encode_part(users: pl.Series, *, keep: bool = True) -> list[Piece]:
    """Encode the ids of a part of a log in this thread; see `UserIds.of`.

    With `keep` false the texts are not copied: entries point to those of the column, for as long as it lives.
    """
    return _encoded(list(_cut(users)), keep=keep)


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
    return stable_hashes(identities_of(users, np.empty(len(users), np.uint64)), text=users.dtype == pl.String)


def group_of(users: pl.Series) -> npt.NDArray[np.uint8]:
    """Return the group (0..63) of every user id, from its stable hash. D12.1."""
    return (hash_ids(users) % GROUPS).astype(np.uint8)


def stable_hashes(identities: Words, *, text: bool) -> Words:
    """Return the hash of D12.1 of every id."""
    from journeykit.kernels.ordering import user_ids as kernels

    hashes = np.empty(identities.size, np.uint64)
    (kernels.hash_texts if text else kernels.hash_integers)(identities, hashes)
    return hashes


def quick_hashes(identities: Words, hashes: Words, *, text: bool) -> Words:
    """Hash ids quickly, only to find equal ones in this run."""
    from journeykit.kernels.ordering import user_ids as kernels

    kernels.quick_hashes(identities, text, hashes)
    return hashes


def identities_of(users: pl.Series, identities: Words) -> Words:
    """Write what tells ids apart: an integer itself, or where a text lies in memory while the series lives.

    Raises
    ------
    InputError
        If a user id is longer than 65,534 bytes.
    """
    from journeykit.kernels.ordering import user_ids as kernels

    if users.dtype != pl.String:
        identities[:] = users.to_numpy().view(np.uint64)
        return identities
    longest = first = 0
    for length, views, buffers in text_addresses(users):
        noted = kernels.note_texts(views, buffers, identities[first : first + length])
        longest, first = max(longest, noted), first + length
    if longest >= LONGEST_ID:
        raise InputError(
            f"a user id of {longest:,} bytes is longer than the 65,534 that journeykit takes. "
            f"Check that user= names the column of ids."
        )
    return identities


def texts_or_numbers(identities: Words, *, text: bool) -> pl.Series:
    """Return the ids that identities stand for."""
    from journeykit.kernels.ordering import user_ids as kernels

    identities = np.ascontiguousarray(identities)
    if not text:
        return pl.Series(identities.view(np.int64))

    def copied(first: int) -> pl.Series:
        own = identities[first : first + ROWS_PER_PIECE]
        offsets = np.empty(own.size + 1, np.int64)
        kernels.text_offsets(own, offsets)
        texts = np.empty(offsets[-1], np.uint8)
        kernels.copy_texts(own, offsets, 0, own.size, texts)
        return cut_bytes(texts.tobytes(), offsets).cast(pl.String)

    spans = on_all_cores(copied, range(0, identities.size, ROWS_PER_PIECE))
    return pl.concat(spans, rechunk=True) if spans else pl.Series(dtype=pl.String)


class _Room:
    """Memory for the pieces of a part of a log, of which only what they need is touched.

    Small pages, where numpy would ask for large ones: of those more is touched than needed, and on a virtual machine
    they are the ones whose first touch waits for the host.
    """

    def __init__(self, rows: int, words: int) -> None:
        sizes = (16 * rows, 8 * words, 4 * rows, 2 * rows)
        memory = np.frombuffer(_fresh_memory(max(1, sum(sizes))), np.uint8)[: sum(sizes)]
        entries, texts, counts, owners = np.split(memory, np.cumsum(sizes)[:-1])
        self.entries = entries.view(np.uint64).reshape(-1, 2)
        self.texts, self.sizes, self.owners = (
            texts.view(np.uint64),
            counts.view(np.uint32),
            owners.view(np.uint16),
        )

    def give(self, rows: int, entries: int, words: int) -> Piece:
        """Hand out what a piece has filled; the next begins behind it."""
        piece = Piece(self.owners[:rows], self.entries[:entries], self.sizes[:entries], self.texts[:words])
        self.owners, self.entries = self.owners[rows:], self.entries[entries:]
        self.sizes, self.texts = self.sizes[entries:], self.texts[words:]
        return piece


def _fresh_memory(size: int) -> mmap.mmap:
    """Return memory of this process alone: its first touch takes a fifth less than that of memory to be shared."""
    if sys.platform == "win32":
        return mmap.mmap(-1, size)
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def _cut(users: pl.Series) -> Iterable[pl.Series]:
    """Cut a column into pieces; nothing is copied."""
    for chunk in users.get_chunks():
        for start in range(0, len(chunk), ROWS_PER_PIECE):
            yield chunk[start : start + ROWS_PER_PIECE]


def _encoded(pieces: list[pl.Series], *, keep: bool = True) -> list[Piece]:
    """Find the different ids of every piece, one piece after another with the same tables."""
    longest = max((len(piece) for piece in pieces), default=0)
    table = np.empty(1 << max(1, (2 * longest - 1).bit_length()), np.int32)
    identities, hashes = np.empty(longest, np.uint64), np.empty(longest, np.uint64)
    rows = sum(len(piece) for piece in pieces)
    kept = [piece for piece in pieces if keep and piece.dtype == pl.String]
    texts = sum(int(piece.str.len_bytes().sum()) for piece in kept)
    room = _Room(rows, sum(map(len, kept)) + texts // 8)
    return [_piece(users, identities, hashes, table, room, keep=bool(kept)) for users in pieces]


def _piece(
    users: pl.Series,
    identities: Words,
    hashes: Words,
    table: npt.NDArray[np.int32],
    room: _Room,
    *,
    keep: bool,
) -> Piece:
    from journeykit.kernels.ordering import user_ids as kernels

    size, text = len(users), users.dtype == pl.String
    mine = identities_of(users, identities[:size])
    quick = quick_hashes(mine, hashes[:size], text=text)
    known = kernels.number_ids(mine, quick, text, table, room.entries, room.sizes, room.owners)
    found = room.entries[:known]
    words = kernels.keep_texts(found, room.texts, room.texts.ctypes.data) if keep else 0
    return room.give(size, known, words)
