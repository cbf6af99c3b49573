"""Reading bytes at an address, for strings that arrive as Arrow views (16 bytes each).

A view holds the length in its first four bytes. Up to twelve bytes of text follow directly; a longer
text has a buffer number in bytes 8-11 and an offset into that buffer in bytes 12-15.
"""

from __future__ import annotations

import numpy as np

from journeykit.kernels.compiling import Loader, kernel

INLINE_BYTES = 12
ADDRESS_BITS = np.uint64(48)
ADDRESS_MASK = np.uint64((1 << 48) - 1)


load_byte = Loader(8)
load_half = Loader(32)
load_word = Loader(64)


@kernel
def text_at(views, buffers, row):
    """Return the address and the length in bytes of the text in one row."""
    view = views + 16 * row
    length = np.int64(load_half(view))
    if length <= INLINE_BYTES:
        return view + 4, length
    return buffers[load_half(view + 8)] + np.int64(load_half(view + 12)), length


@kernel
def pack(address, length):
    """Put an address (48 bits) and a length (16 bits) into one word."""
    return (np.uint64(length) << ADDRESS_BITS) | np.uint64(address)


@kernel
def unpack(packed):
    """Return the address and the length of a packed text."""
    return np.int64(packed & ADDRESS_MASK), np.int64(packed >> ADDRESS_BITS)


@kernel
def same_text(first, second):
    """Tell whether two packed texts are equal."""
    a, length = unpack(first)
    b, other = unpack(second)
    return length == other and same_bytes(a, b, length)


@kernel
def same_bytes(a, b, length):
    """Tell whether two texts of one length are equal."""
    if length < 8:
        return short_word(a, length) == short_word(b, length)
    for i in range(0, length - 8, 8):
        if load_word(a + i) != load_word(b + i):
            return False
    return load_word(a + length - 8) == load_word(b + length - 8)


@kernel
def comes_before(first, second):
    """Tell whether one packed text comes before another in the order of their bytes."""
    a, length = unpack(first)
    b, other = unpack(second)
    for i in range(min(length, other)):
        x, y = load_byte(a + i), load_byte(b + i)
        if x != y:
            return x < y
    return length < other


@kernel
def copy_text(packed, target, at):
    """Copy the bytes of a packed text to `target` from place `at` on."""
    address, length = unpack(packed)
    for i in range(length):
        target[at + i] = load_byte(address + i)


@kernel
def words_of(length):
    """Return how many words of eight bytes hold a text."""
    return (length + 7) >> 3


@kernel
def copy_words(packed, words, at):
    """Copy a packed text to `words` from word `at` on."""
    address, length = unpack(packed)
    whole = length >> 3
    for i in range(whole):
        words[at + i] = load_word(address + 8 * i)
    rest = length - 8 * whole
    if rest > 0:
        word = np.uint64(0)
        for i in range(rest):
            word |= np.uint64(load_byte(address + 8 * whole + i)) << np.uint64(8 * i)
        words[at + whole] = word


@kernel
def short_word(address, length):
    """Return the bytes of a text of fewer than eight in one word."""
    word = np.uint64(0)
    for i in range(length):
        word = (word << np.uint64(8)) | np.uint64(load_byte(address + i))
    return word


@kernel
def fetch_all(packed, start, stop):
    """Touch both ends of packed texts, so that all are on their way to the cache when the first is read."""
    touched = 0
    for i in range(start, stop):
        address, length = unpack(packed[i])
        if length > 0:
            touched += np.int64(load_byte(address)) + np.int64(load_byte(address + length - 1))
    return touched
