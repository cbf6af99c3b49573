"""How every kernel is compiled: for the types that it meets, without the interpreter's lock, and kept on disk.

To import numba and to make it ready takes longer than to order a million events. So its machine code is
kept as a plain object file, which `machine_code` loads and calls without numba; numba is imported only to compile.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, update_wrapper
from threading import RLock
from typing import Any

import numpy as np

LAYOUT = 0x503
"""The flags of an array on which machine code depends: C, Fortran, aligned, writeable."""
LARGEST_INT = 1 << 63
COMPILING = RLock()


class Kernel:
    """A function on plain arrays and numbers, compiled when it is called."""

    def __init__(self, function: Callable[..., Any], *, inlined: bool = False) -> None:
        update_wrapper(self, function)
        self.function, self.inlined = function, inlined
        self._compiled: dict[tuple[Any, ...], Callable[..., Any]] = {}

    def __call__(self, *arguments: Any) -> Any:
        """Call the machine code for arguments of these types."""
        kinds = tuple([kind(argument) for argument in arguments])
        compiled = self._compiled.get(kinds)
        if compiled is None:
            with COMPILING:
                compiled = self._compiled.get(kinds) or self._prepare(kinds, arguments)
                self._compiled[kinds] = compiled
        return compiled(*arguments)

    def _prepare(self, kinds: tuple[Any, ...], arguments: tuple[Any, ...]) -> Callable[..., Any]:
        from journeykit.kernels import machine_code

        if not machine_code.takes(arguments):
            return self._by_numba
        return machine_code.prepare(self, kinds, arguments) or self._by_numba

    @cached_property
    def _by_numba(self) -> Callable[..., Any]:
        """The kernel as numba itself keeps and calls it."""
        from numba import njit

        install_loaders(self.function)
        compiled: Callable[..., Any] = njit(cache=True, nogil=True)(self.function)
        return compiled

    @cached_property
    def dispatcher(self) -> Any:
        """What numba compiles when one kernel calls another, and what machine code is taken from."""
        from numba import njit

        install_loaders(self.function)
        options = {"nogil": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
        return njit(**options, forceinline=self.inlined)(self.function)

    @property
    def _numba_type_(self) -> Any:
        """Tell numba what this is when another kernel calls it."""
        from numba import types

        return types.Dispatcher(self.dispatcher)


class Loader:
    """What loads an unaligned little-endian number at an address, known to numba only when it is needed."""

    def __init__(self, bits: int) -> None:
        self.bits = bits

    @cached_property
    def intrinsic(self) -> Any:
        """The same for numba."""
        from llvmlite import ir
        from numba import types
        from numba.extending import intrinsic

        result, pointer_type = getattr(types, f"uint{self.bits}"), ir.IntType(self.bits).as_pointer()

        @intrinsic
        def load(typing_context: Any, address: Any) -> Any:
            def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
                return builder.load(builder.inttoptr(arguments[0], pointer_type), align=1)

            return result(types.int64), generate

        return load


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function on plain arrays; the machine code is kept beside the module."""
    return Kernel(function)


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function into those that call it: to hand arrays over takes longer than many a function works."""
    return Kernel(function, inlined=True)


def install_loaders(function: Callable[..., Any]) -> None:
    """Let numba find its own loaders under the names that the function calls."""
    for name, value in function.__globals__.items():
        if isinstance(value, Loader):
            function.__globals__[name] = value.intrinsic


def kind(argument: Any) -> Any:
    """Return what of an argument decides which machine code takes it."""
    if isinstance(argument, np.ndarray):
        return argument.dtype, argument.ndim, argument.flags.num & LAYOUT
    if isinstance(argument, np.generic):
        return argument.dtype
    if type(argument) is tuple:
        return (tuple, *[kind(each) for each in argument])
    if type(argument) is int and not -LARGEST_INT <= argument < LARGEST_INT:
        return "uint64"
    return type(argument)
