"""Machine code of kernels: taken from numba once, kept as object files, called without numba.

numba's functions follow a plain convention: they return a status and take the address of the result, the address of an
error, and every argument; an array as (owner, parent, size, item size, data, shape, strides). The kernels allocate
little and hand nothing out, so that of numba's runtime only two functions are needed: they are in ``RUNTIME``.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import pickle
import re
import sys
from collections.abc import Callable, Container, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

NUMBERS = {
    **{f"int{bits}": getattr(ctypes, f"c_int{bits}") for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": getattr(ctypes, f"c_uint{bits}") for bits in (8, 16, 32, 64)},
    "float32": ctypes.c_float,
    "float64": ctypes.c_double,
    "bool": ctypes.c_bool,
}
OK, NONE = 0, -2
RUNTIME = """
declare ptr @malloc(i64)
declare void @free(ptr)
define ptr @NRT_MemInfo_alloc_aligned(i64 %size, i32 %align) {
  %wide = zext i32 %align to i64
  %with = add i64 %size, %wide
  %whole = add i64 %with, 48
  %memory = call ptr @malloc(i64 %whole)
  %none = icmp eq ptr %memory, null
  br i1 %none, label %failed, label %found
found:
  %begin = ptrtoint ptr %memory to i64
  %after = add i64 %begin, 47
  %last = add i64 %after, %wide
  %rest = urem i64 %last, %wide
  %place = sub i64 %last, %rest
  %data = inttoptr i64 %place to ptr
  store i64 1, ptr %memory
  %data_at = getelementptr i64, ptr %memory, i64 3
  store ptr %data, ptr %data_at
  %size_at = getelementptr i64, ptr %memory, i64 4
  store i64 %size, ptr %size_at
  ret ptr %memory
failed:
  ret ptr null
}
define void @NRT_MemInfo_call_dtor(ptr %memory) {
  call void @free(ptr %memory)
  ret void
}
"""
"""An allocation is a header of six words (count, two unused, data, size, one unused), then the aligned data."""
COUNTING = re.compile(
    r"^ *(?:tail )?call void @NRT_(?:in|de)cref\(ptr (?:nonnull )?([^ )]+)\).*\n", re.MULTILINE
)
DEFINING = re.compile(r"^define .*$", re.MULTILINE)
MERGING = re.compile(r"^ *(%\S+) = phi ptr (.*)$", re.MULTILINE)
VALUE = re.compile(r"\[ ([^ ,]+), ")
ELSEWHERE = ("malloc", "free", "memcpy", "memset", "memmove", "bcmp", "memcmp")


def takes(arguments: Sequence[Any]) -> bool:
    """Tell whether machine code can be called with these arguments."""
    return sys.platform == "linux" and sys.maxsize > 1 << 32 and all(_taken(each) for each in arguments)


def _taken(argument: Any) -> bool:
    if isinstance(argument, np.ndarray):
        return argument.ndim > 0 and argument.dtype.name in NUMBERS and argument.dtype.isnative
    if isinstance(argument, np.generic):
        return argument.dtype.name in NUMBERS
    if type(argument) is tuple:
        return all(_taken(each) for each in argument)
    return type(argument) in (bool, float) or (type(argument) is int and -(1 << 63) <= argument < 1 << 63)


def prepare(kernel: Any, kinds: tuple[Any, ...], arguments: tuple[Any, ...]) -> Callable[..., Any] | None:
    """Load the machine code of a kernel, or make and keep it; None if it needs more of numba than there is here."""
    place, origin = _place(kernel.function, kinds), _origin(sources(kernel.function.__code__.co_filename))
    found = _kept(place, origin) if place else None
    if found is None:
        found = _make(kernel.dispatcher, arguments)
        if place:
            _keep(place, origin, *found)
    about, code = found
    return _callable(kernel.function.__name__, about, code, arguments) if code else None


def _make(dispatcher: Any, arguments: tuple[Any, ...]) -> tuple[dict[str, Any], bytes]:
    """Compile a kernel; without code if it returns or calls what only numba can."""
    import llvmlite.binding as llvm
    from numba import typeof

    signature = tuple(typeof(argument) for argument in arguments)
    dispatcher.compile(signature)
    compiled = dispatcher.overloads[signature]
    symbol, result = compiled.fndesc.llvm_func_name, _result(compiled.signature.return_type)
    module = llvm.parse_assembly(_without_owners(dispatcher.inspect_llvm(signature), symbol))
    module.link_in(llvm.parse_assembly(RUNTIME))
    missing = [
        each.name
        for each in module.functions
        if each.is_declaration and not each.name.startswith("llvm.") and each.name not in ELSEWHERE
    ]
    if result is None or missing:
        return {}, b""
    for function in module.functions:
        if not function.is_declaration and function.name != symbol:
            function.linkage = "internal"
    return {"symbol": symbol, "result": result}, _machine().emit_object(module)


def _without_owners(code: str, symbol: str) -> str:
    """Return code in which a function does not count who holds its arguments: they are handed over without owners.

    Helpers that are inlined count anew at every call, in the innermost loops too.
    """
    begin = next(line.end() for line in DEFINING.finditer(code) if f"@{symbol}(" in line[0])
    end = code.index("\n}\n", begin)
    body = code[begin:end]
    merged = {name: set(VALUE.findall(values)) for name, values in MERGING.findall(body)}
    while owned := {name for name in merged if any(_is_owned(value, merged) for value in merged[name])}:
        merged = {name: merged[name] for name in merged.keys() - owned}
    body = COUNTING.sub(lambda found: found[0] if _is_owned(found[1], merged) else "", body)
    return code[:begin] + body + code[end:]


def _is_owned(value: str, merged: Container[str]) -> bool:
    """Tell whether a value may be an owner: it is neither nothing, nor that of an argument, nor merged from these."""
    return value != "null" and not value.startswith("%arg.") and value not in merged


def _result(result: Any) -> list[str] | None:
    """Return the types of the numbers that a kernel returns, after a star if they are a tuple; None for others."""
    from numba import types

    if isinstance(result, types.NoneType):
        return []
    several = isinstance(result, types.BaseAnonymousTuple)
    names = [str(each) for each in (result.types if several else [result])]
    return (["*"] if several else []) + names if all(name in NUMBERS for name in names) else None


def _callable(
    name: str, about: dict[str, Any], code: bytes, arguments: tuple[Any, ...]
) -> Callable[..., Any]:
    """Put machine code into this process, as a function of Python."""
    import llvmlite.binding as llvm

    engine = _engine()
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    kinds = [ctypes.c_void_p, ctypes.c_void_p, *_flat_kinds(arguments)]
    function = ctypes.CFUNCTYPE(ctypes.c_int32, *kinds)(engine.get_function_address(about["symbol"]))
    several = about["result"][:1] == ["*"]
    fields = [(f"_{i}", NUMBERS[kind]) for i, kind in enumerate(about["result"][several:])]
    results = type("Results", (ctypes.Structure,), {"_fields_": fields or [("_0", ctypes.c_void_p)]})

    def call(*arguments: Any) -> Any:
        result, error = results(), ctypes.c_void_p()
        status = function(ctypes.addressof(result), ctypes.addressof(error), *_flat(arguments))
        if status not in (OK, NONE):
            raise _failure(name, error.value)
        if several:
            return tuple(getattr(result, field) for field, _ in fields)
        return result._0 if fields else None

    return call


class _Error(ctypes.Structure):
    """What the address of an error leads to: the pickled class, arguments and place of the exception."""

    _fields_ = [("pickled", ctypes.c_void_p), ("size", ctypes.c_int32)]


def _failure(name: str, address: int | None) -> Exception:
    """Return what a kernel raised, with its name."""
    if not address:
        return RuntimeError(f"the kernel {name} failed and does not say why")
    error = _Error.from_address(address)
    kind, arguments, _ = pickle.loads(ctypes.string_at(error.pickled, error.size))
    why = ": ".join([kind.__name__, *map(str, arguments or ())])
    return (MemoryError if kind is MemoryError else RuntimeError)(f"the kernel {name} failed: {why}")


def _flat_kinds(arguments: Sequence[Any]) -> list[Any]:
    """Return the types of the words in which arguments are handed over."""
    kinds: list[Any] = []
    for argument in arguments:
        if isinstance(argument, tuple):
            kinds += _flat_kinds(argument)
        elif isinstance(argument, np.ndarray):
            kinds += [ctypes.c_void_p] * 2 + [ctypes.c_int64] * 2 + [ctypes.c_void_p]
            kinds += [ctypes.c_int64] * (2 * argument.ndim)
        else:
            kinds.append(NUMBERS[np.asarray(argument).dtype.name])
    return kinds


def _flat(arguments: Sequence[Any]) -> list[Any]:
    """Return arguments as the words in which they are handed over."""
    flat: list[Any] = []
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            flat += (None, None, argument.size, argument.itemsize, argument.ctypes.data)
            flat += (*argument.shape, *argument.strides)
        elif isinstance(argument, tuple):
            flat += _flat(argument)
        else:
            flat.append(argument.item() if isinstance(argument, np.generic) else argument)
    return flat


@cache
def _machine() -> Any:
    """Return what emits code for the processor of this process."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple()
    cpu, features = _processor()
    return target.create_target_machine(
        cpu=cpu,
        features=features,
        opt=3,
        reloc="static" if target.name.startswith("x86") else "default",
        codemodel="jitdefault",
        jit=True,
    )


@cache
def _engine() -> Any:
    """Return what holds the machine code of all kernels."""
    import llvmlite.binding as llvm

    machine = _machine()
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)


@cache
def _processor() -> tuple[str, str]:
    """Return the name of the processor of this process, and what it can do."""
    import llvmlite.binding as llvm

    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


@cache
def _origin(files: tuple[Path, ...]) -> str:
    """Return a digest of what machine code is made from: the source of the kernels, numba, this processor."""
    from importlib.util import find_spec

    import llvmlite

    spec = find_spec("numba")
    compiler = Path(spec.origin).stat() if spec is not None and spec.origin else None
    parts = [
        sys.version,
        np.__version__,
        llvmlite.__version__,
        str(compiler and (compiler.st_mtime_ns, compiler.st_size)),
        *_processor(),
    ]
    texts = [path.read_bytes() for path in files]
    return hashlib.sha256(b"\0".join([*(part.encode() for part in parts), *texts])).hexdigest()


@cache
def sources(source: str) -> tuple[Path, ...]:
    """Return the files that machine code is made from: all kernels, for they call each other, and its own."""
    kernels, own = _kernels(), Path(source)
    return kernels if own in kernels or not own.is_file() else (*kernels, own)


@cache
def _kernels() -> tuple[Path, ...]:
    return tuple(sorted(path for path in Path(__file__).parent.rglob("*.py") if path.is_file()))


def _place(function: Any, kinds: tuple[Any, ...]) -> Path | None:
    """Return the file for the machine code of a kernel; None where nothing can be kept."""
    folder, source = _folder(), function.__code__.co_filename
    if folder is None or not Path(source).is_file():
        return None
    name = (source, function.__qualname__, sys.implementation.cache_tag, _processor()[0], kinds)
    return folder / f"{function.__name__}-{hashlib.sha256(str(name).encode()).hexdigest()[:24]}.kernel"


@cache
def _folder() -> Path | None:
    """Return where machine code is kept: where numba keeps its own, beside the kernels, or in the user's cache."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    cached = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    places = [Path(given)] if given else [Path(__file__).parent / "__pycache__", Path(cached) / "journeykit"]
    for place in places:
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(place, os.W_OK):
            return place
    return None


def _kept(place: Path, origin: str) -> tuple[dict[str, Any], bytes] | None:
    """Read machine code that is kept, if it is whole and of the same origin."""
    try:
        head, _, code = place.read_bytes().partition(b"\n")
        about = json.loads(head)
    except (OSError, ValueError):
        return None
    digest = hashlib.sha256(code).hexdigest()
    fits = isinstance(about, dict) and (about.get("origin"), about.get("digest")) == (origin, digest)
    return (about, code) if fits else None


def _keep(place: Path, origin: str, about: dict[str, Any], code: bytes) -> None:
    """Write machine code so that nobody reads half of it; where that fails, it is made again next time."""
    part = place.with_suffix(f".{os.getpid()}")
    head = json.dumps({**about, "origin": origin, "digest": hashlib.sha256(code).hexdigest()})
    try:
        part.write_bytes(head.encode() + b"\n" + code)
        part.replace(place)
    except OSError:
        part.unlink(missing_ok=True)
