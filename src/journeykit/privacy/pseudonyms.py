"""Pseudonyms: ids replaced by keyed hashes, the same for the same key. DEFINITIONS D16.2."""

from __future__ import annotations

import hashlib
from typing import Any

import polars as pl

from journeykit.errors import ParameterError

LEAST_KEY, MOST_KEY = 16, 64
DIGEST = 16


def pseudonyms(ids: Any, key: bytes) -> pl.Series:
    """Replace ids by their pseudonyms.

    Parameters
    ----------
    ids : polars.Series or sequence, of str or int
        Whole numbers count as their decimal text. Null stays null.
    key : bytes
        16 to 64 bytes that nobody else knows, such as ``secrets.token_bytes(32)``. It is kept nowhere.

    Returns
    -------
    polars.Series of String
        32 hexadecimal characters for each id, under the same name.

    Raises
    ------
    ParameterError
        If the key is no bytes of this length, or the ids are neither texts nor whole numbers. No message has a byte of
        the key.

    Notes
    -----
    BLAKE2b, keyed, with a digest of 16 bytes (RFC 7693), of the UTF-8 bytes of the id: D16.2. The same key gives the
    same pseudonym, so that logs of several days or sources still join. Two ids of a billion share a pseudonym with a
    chance of 1.5e-21. This is pseudonymisation, not anonymisation: who has the key, and a list of ids, has them back.
    One hash per distinct id.

    Examples
    --------
    >>> found = pseudonyms(["ada", "bob", "ada"], key=b"a key of sixteen")
    >>> found[0] == found[2] != found[1], len(found[0])
    (True, 32)
    """
    check_key(key)
    series = ids if isinstance(ids, pl.Series) else pl.Series(ids)
    is_text = series.dtype in (pl.String, pl.Null, pl.Categorical) or isinstance(series.dtype, pl.Enum)
    if not (is_text or series.dtype.is_integer()):
        raise ParameterError(f"pseudonyms are made of texts or whole numbers, not of {series.dtype}.")
    texts = series.cast(pl.String)
    distinct = texts.drop_nulls().unique()
    made = [hashlib.blake2b(each.encode(), key=key, digest_size=DIGEST).hexdigest() for each in distinct]
    table = pl.DataFrame({"id": distinct, "made": pl.Series(made, dtype=pl.String)})
    joined = texts.alias("id").to_frame().join(table, on="id", how="left", maintain_order="left")
    return joined["made"].alias(series.name)


def check_key(key: object) -> None:
    """Refuse what is no key, without showing it."""
    if not isinstance(key, bytes):
        raise ParameterError(
            f"key must be bytes, not {type(key).__name__}. Make one with secrets.token_bytes(32), and keep it safe."
        )
    if not LEAST_KEY <= len(key) <= MOST_KEY:
        raise ParameterError(
            f"key must have {LEAST_KEY} to {MOST_KEY} bytes, not {len(key)}. Make one with secrets.token_bytes(32)."
        )
