"""The names of the events of a log, encoded as positions in a sorted vocabulary. DEFINITIONS D3.2."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import ReservedNameError

RESERVED_NAME = re.compile(r"<[A-Z_]+>")


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
    Two passes over the codes, O(n); the texts themselves are not touched if they come encoded.

    Examples
    --------
    >>> encode_events(pl.DataFrame({"event": ["view", "cart", "view"]}))["event"].to_physical().to_list()
    [1, 0, 1]
    """
    events = frame["event"]
    if not isinstance(events.dtype, pl.Categorical | pl.Enum):
        events = events.cast(pl.String).cast(pl.Categorical(pl.Categories.random()))
    names = categories(events.dtype)
    present = occurring(events.to_physical(), len(names))
    vocabulary = sorted(names[int(code)] for code in np.flatnonzero(present))
    check_names(vocabulary)
    return frame.with_columns(recoded(events, names, vocabulary))


def check_names(names: Iterable[str]) -> None:
    """Refuse event names that look like virtual states. DEFINITIONS D3.2."""
    reserved = [name for name in names if RESERVED_NAME.fullmatch(name)]
    if reserved:
        raise ReservedNameError(reserved)


def categories(dtype: pl.DataType) -> pl.Series:
    """All texts of a dictionary, at the position of their code."""
    return dtype.categories if isinstance(dtype, pl.Enum) else dtype.categories.to_series()  # type: ignore[attr-defined]


def occurring(codes: pl.Series, size: int) -> npt.NDArray[np.bool_]:
    """Mark the codes that occur."""
    from journeykit.kernels.ordering.recoding import mark_codes

    present = np.zeros(size, np.bool_)
    for chunk in codes.drop_nulls().get_chunks():
        mark_codes(chunk.to_numpy(), present)
    return present


def recoded(events: pl.Series, names: pl.Series, vocabulary: list[str]) -> pl.Series:
    """Replace the codes of one dictionary by those of a sorted vocabulary."""
    from journeykit.kernels.ordering.recoding import recode

    target = pl.Enum(vocabulary)
    if not vocabulary:
        return pl.Series("event", [None] * events.len(), dtype=target)
    narrow = pl.Series(dtype=target).to_physical().dtype
    places = {name: place for place, name in enumerate(vocabulary)}
    table = pl.Series([places.get(name, 0) for name in names], dtype=narrow).to_numpy()
    written = np.empty(events.len(), table.dtype)
    first = 0
    for chunk in events.to_physical().get_chunks():
        whole = chunk.fill_null(0) if chunk.null_count() else chunk
        recode(whole.to_numpy(), table, written[first : first + chunk.len()])
        first += chunk.len()
    codes = pl.Series("event", written)
    if events.null_count():
        codes = codes.zip_with(events.is_not_null(), pl.Series([None], dtype=narrow))
    return codes.cat.to(target)
