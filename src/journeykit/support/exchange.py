"""Texts and lists from numpy to polars and back, without pyarrow, which takes as long to import as polars.

Where polars keeps texts is told by Arrow's C stream: they are read where they lie.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from ctypes import CFUNCTYPE, POINTER, Structure, addressof, c_char_p, c_int, c_int64, c_void_p
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

VIEWS = b"vu"
VIEW_BYTES = 16
STREAM = b"arrow_array_stream"
RELEASE = CFUNCTYPE(None, c_void_p)
NEXT = CFUNCTYPE(c_int, c_void_p, c_void_p)


class _Schema(Structure):
    """The type of a stream's arrays: ``struct ArrowSchema``."""

    _fields_ = (
        ("format", c_char_p),
        ("name", c_char_p),
        ("metadata", c_void_p),
        ("flags", c_int64),
        ("n_children", c_int64),
        ("children", c_void_p),
        ("dictionary", c_void_p),
        ("release", c_void_p),
        ("private_data", c_void_p),
    )


class _Array(Structure):
    """One chunk: ``struct ArrowArray``."""

    _fields_ = (
        ("length", c_int64),
        ("null_count", c_int64),
        ("offset", c_int64),
        ("n_buffers", c_int64),
        ("n_children", c_int64),
        ("buffers", POINTER(c_void_p)),
        ("children", c_void_p),
        ("dictionary", c_void_p),
        ("release", c_void_p),
        ("private_data", c_void_p),
    )


class _Stream(Structure):
    """``struct ArrowArrayStream``. Its capsule releases it."""

    _fields_ = (
        ("get_schema", NEXT),
        ("get_next", NEXT),
        ("get_last_error", c_void_p),
        ("release", c_void_p),
        ("private_data", c_void_p),
    )


class Texts(NamedTuple):
    """The texts of one chunk.

    Attributes
    ----------
    length : int
        How many there are.
    views : int
        The address of the first text's view, 16 bytes each: see `journeykit.kernels.memory`.
    buffers : numpy.ndarray of int64
        The addresses of the buffers that the views of longer texts name.
    """

    length: int
    views: int
    buffers: npt.NDArray[np.int64]


def text_addresses(texts: pl.Series) -> Iterator[Texts]:
    """Tell for every chunk of a String series where its texts lie, as long as the series lives.

    Parameters
    ----------
    texts : polars.Series of String
        It may have nulls: their views mean nothing.

    Raises
    ------
    TypeError
        If the series is none of String.

    Examples
    --------
    >>> [chunk.length for chunk in text_addresses(pl.Series(["a", "b"]).append(pl.Series(["c"])))]
    [2, 1]
    """
    capsule = texts.__arrow_c_stream__()
    address = _pointer()(capsule, STREAM)
    stream, schema = _Stream.from_address(address), _Schema()
    _check(stream.get_schema(address, addressof(schema)))
    form = schema.format
    RELEASE(schema.release)(addressof(schema))
    if form != VIEWS:
        raise TypeError(f"a series of String has views of texts, but that of {texts.dtype} has {form!r}")
    while True:
        array = _Array()
        _check(stream.get_next(address, addressof(array)))
        if not array.release:
            return
        _, views, *buffers = [array.buffers[i] or 0 for i in range(array.n_buffers - 1)]
        found = Texts(array.length, views + VIEW_BYTES * array.offset, np.array(buffers, np.int64))
        RELEASE(array.release)(addressof(array))
        yield found


def cut_bytes(whole: bytes, offsets: npt.NDArray[np.int64]) -> pl.Series:
    """Cut bytes into a series of Binary at `offsets`, ascending from 0: one more than there are values.

    Examples
    --------
    >>> cut_bytes(b"abc", np.array([0, 2, 2, 3])).to_list()
    [b'ab', b'', b'c']
    """
    return _spans(offsets).select(pl.lit(whole).bin.slice("first", "length")).to_series()


def cut_list(whole: pl.Series, offsets: npt.NDArray[np.int64]) -> pl.Series:
    """Cut a series into one of lists at `offsets`, ascending from 0: one more than there are lists.

    Examples
    --------
    >>> cut_list(pl.Series([1, 2, 3]), np.array([0, 2, 2, 3])).to_list()
    [[1, 2], [], [3]]
    """
    if offsets.size == 1:  # polars cuts one list into no lists only with an error
        return pl.Series(dtype=pl.List(whole.dtype))
    return _spans(offsets).select(pl.lit(whole.implode()).list.slice("first", "length")).to_series()


def _spans(offsets: npt.NDArray[np.int64]) -> pl.DataFrame:
    return pl.DataFrame({"first": offsets[:-1], "length": np.diff(offsets)})


def _pointer() -> ctypes._NamedFuncPointer:
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = c_void_p, (ctypes.py_object, c_char_p)
    return pointer


def _check(status: int) -> None:
    if status:
        raise MemoryError(f"polars could not hand texts over (error {status})")
