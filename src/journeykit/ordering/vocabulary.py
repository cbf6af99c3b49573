"""The names of the events of a log, encoded as positions in a sorted vocabulary. DEFINITIONS D3.2."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ReservedNameError
from journeykit.support.exchange import Texts, text_addresses
from journeykit.support.threads import on_all_cores

Codes = npt.NDArray[np.uint32]

RESERVED_NAME = re.compile(r"<[A-Z_]+>")
FIRST_ROOM = 1 << 10
"""How many names a part of a log has room for at first."""
NO_VIEW = np.uint64(0xFFFFFFFFFFFFFFFF)
"""The first half of no view: no text is as long."""


class EventNames:
    """The different names of the events of a log, numbered as its parts come, from whichever thread.

    Notes
    -----
    A name is looked up once per row by the sixteen bytes of its view, and by its text where these are new: texts of a
    dictionary share their views. 4 bytes per row.

    Examples
    --------
    >>> names = EventNames()
    >>> names.number(pl.Series(["view", "cart", "view"])).to_list(), names.number(pl.Series(["cart"])).to_list()
    ([0, 1, 0], [1])
    >>> names.vocabulary()
    ['cart', 'view']
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._lock = Lock()

    def number(self, events: pl.Series) -> pl.Series:
        """Replace the names of a part of the log by their numbers.

        Parameters
        ----------
        events : polars.Series
            Texts, dictionary-encoded or not.

        Returns
        -------
        polars.Series of UInt32
            The number of every name; null stays null.
        """
        if events.null_count():
            numbers = self.number(events.drop_nulls())
            places = events.is_not_null().cum_sum().cast(pl.Int64) - 1
            return numbers.gather(pl.select(pl.when(events.is_not_null()).then(places)).to_series())
        if isinstance(events.dtype, pl.Categorical | pl.Enum):
            return pl.Series(events.name, self._of_dictionary(events))
        codes, names = _distinct(events)
        return pl.Series(events.name, _replaced(codes, self._shared(names)))

    def _of_dictionary(self, events: pl.Series) -> Codes:
        """Number names by their codes; those of a dictionary that do not occur are none of the log's."""
        from journeykit.kernels.ordering.recoding import mark_codes

        codes, names = events.to_physical().rechunk().to_numpy(), categories(events.dtype)
        present = np.zeros(names.len(), np.bool_)
        mark_codes(codes, present)
        table = np.zeros(names.len(), np.uint32)
        table[present] = self._shared(names.filter(pl.Series(present)).to_list())
        return _replaced(codes, table)

    def vocabulary(self) -> list[str]:
        """Return the names, sorted by code point.

        Raises
        ------
        ReservedNameError
            If a name has the form of a virtual state, ``<START>`` (D3.2).
        """
        check_names(self._numbers)
        return sorted(self._numbers)

    @property
    def numbered(self) -> list[str]:
        """The names in the order of their numbers."""
        return list(self._numbers)

    def _shared(self, names: Iterable[str]) -> Codes:
        """Return the number of each name, and give numbers to those that have none."""
        with self._lock:
            return np.array([self._numbers.setdefault(name, len(self._numbers)) for name in names], np.uint32)


def encode_events(frame: pl.DataFrame) -> pl.DataFrame:
    """Encode event names as an Enum of the names in the log, sorted by code point.

    Parameters
    ----------
    frame : polars.DataFrame
        A canonical log; ``event`` is text or dictionary-encoded text.

    Returns
    -------
    polars.DataFrame
        The same with ``event`` as ``polars.Enum``; a code is the position of the name in the vocabulary.

    Raises
    ------
    ReservedNameError
        If a name has the form of a virtual state, ``<START>`` (D3.2).

    Notes
    -----
    Two passes over the names, O(n).

    Examples
    --------
    >>> encode_events(pl.DataFrame({"event": ["view", "cart", "view"]}))["event"].to_physical().to_list()
    [1, 0, 1]
    """
    names = EventNames()
    numbers = names.number(frame["event"])
    return frame.with_columns(recoded(numbers, names.numbered, names.vocabulary()))


def recoded(numbers: pl.Series, names: Sequence[str], vocabulary: Sequence[str]) -> pl.Series:
    """Replace the numbers of names by an Enum of a sorted vocabulary, on all cores.

    Parameters
    ----------
    numbers : polars.Series of an unsigned integer
        A position in `names`, or null.
    names, vocabulary : sequence of str
        The names that are numbered, and those of the Enum, `names` among them.

    Returns
    -------
    polars.Series of Enum
        ``event``, in as many chunks as `numbers`.
    """
    target = pl.Enum(vocabulary)
    if not names:
        return pl.Series("event", [None] * numbers.len(), dtype=target)
    places = {name: place for place, name in enumerate(vocabulary)}
    narrow = pl.Series(dtype=target).to_physical().dtype
    table = pl.Series([places[name] for name in names], dtype=narrow).to_numpy()

    def encoded(chunk: pl.Series) -> pl.Series:
        codes = pl.Series("event", _replaced(chunk.fill_null(0).to_numpy(), table))
        if chunk.null_count():
            codes = codes.zip_with(chunk.is_not_null(), pl.Series([None], dtype=narrow))
        return codes.cat.to(target)

    return pl.concat(on_all_cores(encoded, numbers.get_chunks()))


def check_names(names: Iterable[str]) -> None:
    """Refuse event names that look like virtual states. DEFINITIONS D3.2."""
    reserved = [name for name in names if RESERVED_NAME.fullmatch(name)]
    if reserved:
        raise ReservedNameError(sorted(reserved))


class _Table:
    """The different texts of a part of a log, and what finds them."""

    def __init__(self, room: int) -> None:
        self.known = np.zeros(1, np.int64)
        self.hashes, self.places = np.empty(room, np.uint64), np.empty((room, 2), np.int64)
        self.firsts, self.slots = np.empty(room, np.int64), np.full(4 * room, -1, np.int32)

    def number(self, chunk: Texts, before: int, numbers: Codes) -> None:
        """Number the texts of a chunk, which follows `before` others."""
        from journeykit.kernels.ordering import event_names as kernels

        seen = np.full((1 << kernels.SEEN_BITS, 2), NO_VIEW), np.empty(1 << kernels.SEEN_BITS, np.uint32)
        row = 0
        while row < chunk.length:
            row = kernels.number_names(
                chunk.views, chunk.buffers, row, before, self.known, self.slots, self.hashes, self.places,
                self.firsts, *seen, numbers,
            )  # fmt: skip
            if row < chunk.length:
                self._grow()

    def _grow(self) -> None:
        """Make room for twice as many texts."""
        from journeykit.kernels.ordering import event_names as kernels

        kept, size = (self.hashes, self.places, self.firsts), self.hashes.size
        self.hashes, self.places, self.firsts = (np.concatenate([each, np.empty_like(each)]) for each in kept)
        self.slots = np.full(8 * size, -1, np.int32)
        kernels.fill_slots(self.hashes[:size], self.slots)


def categories(dtype: pl.DataType) -> pl.Series:
    """All texts of a dictionary, at the position of their code."""
    return dtype.categories if isinstance(dtype, pl.Enum) else dtype.categories.to_series()  # type: ignore[attr-defined]


def _replaced(codes: npt.NDArray[Any], table: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Replace every code by what the table has at its place."""
    from journeykit.kernels.ordering.recoding import recode

    written = np.empty(codes.size, table.dtype)
    recode(codes, table, written)
    return written


def _distinct(texts: pl.Series) -> tuple[Codes, list[str]]:
    """Number the texts of a series by first appearance; return the number of each, and the texts."""
    numbers, table, first = np.empty(texts.len(), np.uint32), _Table(FIRST_ROOM), 0
    for chunk in text_addresses(texts):
        table.number(chunk, first, numbers[first : first + chunk.length])
        first += chunk.length
    return numbers, texts.gather(pl.Series(table.firsts[: table.known[0]])).to_list()
