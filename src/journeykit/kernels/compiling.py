"""How every kernel is compiled: once, kept on disk, without the interpreter's lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function on plain arrays; the machine code is cached beside the module."""
    compiled: Callable[..., Any] = njit(cache=True, nogil=True)(function)
    return compiled
